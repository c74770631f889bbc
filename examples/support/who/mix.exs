defmodule Who.MixProject do
  use Mix.Project

  def project, do: [app: :who, version: "0.1.0", elixir: "~> 1.14", deps: []]
  def application, do: [extra_applications: [:inets]]
end

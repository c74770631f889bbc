defmodule App.MixProject do
  use Mix.Project

  def project do
    [app: :app, version: "0.1.0", elixir: "~> 1.14", deps: [{:dns_mesh, path: "../../.."}]]
  end

  def application, do: [mod: {App.Application, []}, extra_applications: [:logger]]
end

defmodule Pulse.MixProject do
  use Mix.Project

  def project do
    [
      app: :pulse,
      version: "0.1.0",
      elixir: "~> 1.14",
      deps: [
        # Yours says {:dns_mesh, "~> 0.1"}, and has no :who.
        {:dns_mesh, path: "../.."},
        {:who, path: "../support/who"}
      ]
    ]
  end

  def application, do: [mod: {Pulse.Application, []}, extra_applications: [:logger, :crypto]]
end

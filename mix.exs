Code.require_file("mix/cargo_compiler.exs", __DIR__)

defmodule DNSMesh.MixProject do
  use Mix.Project

  @version "0.1.0"

  def project do
    [
      app: :dns_mesh,
      version: @version,
      elixir: "~> 1.14",
      description: "The nodes that share a DNS name find each other and stay together.",
      compilers: [:dns_mesh_cargo | Mix.compilers()],
      elixirc_paths: elixirc_paths(Mix.env()),
      deps: [],
      aliases: [check: &check/1],
      package: package(),
      docs: docs()
    ]
  end

  def application do
    [extra_applications: [:logger]]
  end

  defp elixirc_paths(:test), do: ["lib", "test/support", "test/build/support"]
  defp elixirc_paths(_), do: ["lib"]

  # The same as bin/test, for fingers used to Mix.
  defp check(arguments) do
    case Mix.shell().cmd(Enum.join(["bin/test" | arguments], " ")) do
      0 -> :ok
      status -> exit({:shutdown, status})
    end
  end

  # Whoever installs the package builds the resolver, so all that Cargo reads goes along, and nothing that Cargo writes.
  defp package do
    [
      licenses: ["MIT"],
      links: %{},
      files:
        ~w(lib mix mix.exs .formatter.exs) ++
          ~w(Cargo.toml Cargo.lock rustfmt.toml native/*/Cargo.toml native/*/build.rs native/*/src) ++
          ~w(README.md CHANGELOG.md LICENSE guides)
    ]
  end

  defp docs do
    [
      main: "readme",
      extras: ["README.md"] ++ Path.wildcard("guides/*.md") ++ ["CHANGELOG.md", "LICENSE"],
      groups_for_extras: [Guides: ~r"^guides/"],
      skip_undefined_reference_warnings_on: ["CHANGELOG.md"],
      source_ref: "v#{@version}"
    ]
  end
end

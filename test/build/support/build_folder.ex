defmodule DNSMesh.Test.BuildFolder do
  @moduledoc """
  A temporary folder, with `mix` run in it as a process of its own, as a user would run it.
  """

  import ExUnit.Callbacks, only: [on_exit: 1]

  @root Path.expand("../../..", __DIR__)

  # What the shell of whoever runs the tests may hold and would change a build.
  @clean_environment Map.new(
                       ~w(MIX_BUILD_PATH MIX_BUILD_ROOT MIX_TARGET MIX_EXS ERL_FLAGS ELIXIR_ERL_OPTIONS
                          CARGO RUSTC RUSTFLAGS CARGO_TARGET_DIR CARGO_BUILD_TARGET),
                       &{&1, nil}
                     )
                     |> Map.put("ELIXIR_ERL_OPTIONS", "+fnu")

  @doc "The folder of this project."
  @spec checkout() :: Path.t()
  def checkout, do: @root

  @doc "A new empty folder, removed when the test is over."
  @spec new!() :: Path.t()
  def new! do
    name = "dns_mesh_build_#{System.pid()}_#{System.unique_integer([:positive])}"
    folder = Path.join(System.tmp_dir!(), name)
    File.mkdir_p!(folder)
    on_exit(fn -> File.rm_rf!(folder) end)
    folder
  end

  @doc "Writes one file, with the folders above it."
  @spec write!(Path.t(), String.t(), iodata) :: :ok
  def write!(folder, path, content) do
    path = Path.join(folder, path)
    File.mkdir_p!(Path.dirname(path))
    File.write!(path, content)
  end

  @doc "Runs a program there: all it printed, and its exit status."
  @spec run(Path.t(), String.t(), [String.t()], [{String.t(), String.t() | nil}]) ::
          {String.t(), non_neg_integer}
  def run(folder, program, arguments, environment) do
    environment = Map.merge(@clean_environment, Map.new(environment))
    System.cmd(program, arguments, cd: folder, env: environment, stderr_to_stdout: true)
  end

  @doc "The mix.exs of a user's app, `Shop`, with this checkout as its path dependency."
  @spec shop_mix_exs() :: String.t()
  def shop_mix_exs do
    """
    defmodule Shop.MixProject do
      use Mix.Project

      def project do
        [app: :shop, version: "1.0.0", deps: [{:dns_mesh, path: #{inspect(checkout())}}]] ++
          [escript: [main_module: Shop, app: nil]]
      end

      def application, do: [extra_applications: [:logger], mod: {Shop, []}]
    end
    """
  end

  @doc "This checkout's Cargo folder, which holds the dependencies already, built."
  @spec cargo_folder() :: String.t()
  def cargo_folder do
    beside = Mix.Project.build_path() |> Path.dirname() |> Path.join("cargo")
    System.get_env("CARGO_TARGET_DIR", beside)
  end
end

# Builds the resolver with Cargo: the Rust library behind `DNSMesh.Native`, and `dns_mesh`, the program that gives
# `rel/env.sh.eex` the node's name before there is a VM.
#
#   sources, rustc, features ──changed?──▶ cargo build ──▶ <build root>/cargo/release/
#                                                               │ copied by rename
#                                                               ▼
#                                              <app path>/priv/native/libdns_mesh_nif.so
#                                                                     dns_mesh
#
# mix.exs requires this file; it cannot be in lib/, because Mix must know the compiler before it compiles lib/, and the
# library must be in place before the first module of lib/ is loaded.

Code.require_file("rust_toolchain.exs", __DIR__)

defmodule Mix.Tasks.Compile.DnsMeshCargo do
  @shortdoc "Builds the DNSMesh resolver with Cargo"
  @moduledoc """
  Builds the DNSMesh resolver with Cargo.

  Does nothing while the Rust sources, the version and host of rustc, the Cargo features and the environment
  variables that change what Cargo builds are those of the last build. All Mix environments share one Cargo folder,
  so that only the first of them pays for the dependencies.

  These environment variables are honoured:

    * `CARGO`, `RUSTC` - the programs to call, when not those in `PATH`
    * `CARGO_TARGET_DIR` - where Cargo builds; by default `cargo` beside the folders of the Mix environments
    * `CARGO_BUILD_*`, `CARGO_PROFILE_RELEASE_*`, `RUSTFLAGS` - as in Cargo; changing one builds anew
  """

  use Mix.Task.Compiler

  alias DNSMesh.RustToolchain

  @recursive true

  @root Path.expand("..", __DIR__)
  @library "dns_mesh_nif"
  @program "dns_mesh"
  @fault_marker "dns_mesh: fault injection is compiled in"
  @attempts 3

  @impl true
  def run(args) do
    refuse_source_priv()
    rustc = RustToolchain.rustc()
    inputs = inputs()

    if "--force" in args or stale?(rustc, inputs) do
      build(rustc, inputs)
    else
      {:noop, []}
    end
  end

  @impl true
  def manifests, do: [manifest()]

  @impl true
  def clean do
    File.rm(manifest())
    File.rm_rf!(folder())
  end

  ## Places

  # In the app path, never in a priv/ among the sources, where a Docker `COPY . .` would carry it to another C library.
  defp folder, do: Path.join(Mix.Project.app_path(), "priv/native")

  defp library, do: Path.join(folder(), "lib#{@library}.so")

  defp program, do: Path.join(folder(), @program)

  defp manifest, do: Path.join(Mix.Project.manifest_path(), "compile.dns_mesh_cargo")

  # Whoever sets CARGO_TARGET_DIR (a cache in CI, one folder for all Rust) wants Cargo's files there.
  defp target_dir do
    case System.get_env("CARGO_TARGET_DIR", "") do
      "" -> Path.join(build_root(), "cargo")
      dir -> Path.expand(dir, @root)
    end
  end

  # As a path dependency this is the parent's _build. MIX_BUILD_PATH names one environment's folder outright, and what
  # lies beside that folder need not be ours.
  defp build_root do
    env_path = Mix.Project.app_path() |> Path.join("../..") |> Path.expand()
    if System.get_env("MIX_BUILD_PATH"), do: env_path, else: Path.dirname(env_path)
  end

  defp built_library do
    extension = if :os.type() == {:unix, :darwin}, do: "dylib", else: "so"
    Path.join(release_dir(), "lib#{@library}.#{extension}")
  end

  defp built_program, do: Path.join(release_dir(), @program)

  defp release_dir do
    target = System.get_env("CARGO_BUILD_TARGET", "")
    Path.join([target_dir(), target, "release"])
  end

  # Mix would replace the app path's priv by a link to a priv/ among the sources. Then all environments would share one
  # library, and the one with fault injection would be everybody's after the tests.
  defp refuse_source_priv do
    priv = Path.join(@root, "priv")

    if File.exists?(priv) do
      Mix.raise(
        "#{priv} is in the way: DNSMesh has no priv folder among its sources, because its resolver is built into the " <>
          "priv folder of the build, which Mix would replace by a link to this one. Remove it"
      )
    end
  end

  ## Is there anything to do?

  # A digest of all that decides what Cargo builds, except rustc.
  defp inputs do
    sources = for path <- sources(), do: {Path.relative_to(path, @root), File.read!(path)}
    variables = for {name, value} <- System.get_env(), build_variable?(name), do: {name, value}
    machine = :erlang.system_info(:system_architecture)

    {sources, features(), Enum.sort(variables), machine}
    |> :erlang.term_to_binary()
    |> :erlang.md5()
    |> Base.encode16(case: :lower)
  end

  defp sources do
    [
      "Cargo.{toml,lock}",
      "rust-toolchain{,.toml}",
      ".cargo/config.toml",
      "mix/*.exs",
      "native/**"
    ]
    |> Enum.flat_map(&Path.wildcard(Path.join(@root, &1), match_dot: true))
    |> Enum.filter(&File.regular?/1)
  end

  # Fault injection is for DNSMesh's own tests. A dependency may be compiled under :test too, but locks in the lock file
  # of the project on top, whatever the version of Mix.
  defp features do
    on_top? = Path.expand(Mix.Project.config()[:lockfile], @root) == Path.join(@root, "mix.lock")
    if on_top? and Mix.env() == :test, do: ["faults"], else: []
  end

  defp build_variable?("CARGO_BUILD_" <> _), do: true
  defp build_variable?("CARGO_PROFILE_RELEASE_" <> _), do: true
  defp build_variable?("CARGO_TARGET_" <> rest), do: rest != "DIR"
  defp build_variable?(name), do: name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"]

  defp stale?(rustc, inputs) do
    with true <- Enum.all?([library(), program()], &File.regular?/1),
         {:ok, recorded} <- File.read(manifest()),
         [recorded_rustc, ^inputs] <- String.split(recorded, "\n", trim: true) do
      # Without a rustc, files that are up to date in everything else will do.
      rustc not in [{:ok, recorded_rustc}, :none]
    else
      _ -> true
    end
  end

  ## Building

  defp build(rustc, inputs) do
    cargo = RustToolchain.cargo!()
    {:ok, rustc} = rustc

    first? = not File.exists?(release_dir())
    patience = if first?, do: ", about a minute the first time", else: ""
    Mix.shell().info("Compiling the DNSMesh resolver (Rust)#{patience}")

    case build_and_install(cargo, @attempts) do
      :ok ->
        File.mkdir_p!(Path.dirname(manifest()))
        File.write!(manifest(), "#{rustc}\n#{inputs}\n")
        {:ok, []}

      {:error, text} ->
        Mix.shell().error(text)
        {:error, [diagnostic(text)]}
    end
  end

  # Cargo holds its lock only while it builds. Before the copy another Mix, with other features, may put its own library
  # there: then what was read is not what was asked for, and it is built again.
  defp build_and_install(cargo, attempts) do
    with :ok <- cargo_build(cargo) do
      case install() do
        {:error, _} when attempts > 1 -> build_and_install(cargo, attempts - 1)
        result -> result
      end
    end
  end

  defp cargo_build(cargo) do
    features = Enum.flat_map(features(), &["--features", "#{@library}/#{&1}"])
    what = ["build", "--locked", "--release", "-p", @library, "-p", "dns_mesh_cli"] ++ features

    case System.cmd(cargo, what ++ ["--target-dir", target_dir()],
           cd: @root,
           stderr_to_stdout: true
         ) do
      {_, 0} -> :ok
      {output, _} -> {:error, String.trim_trailing(output) <> linker_hint(output)}
    end
  end

  # Both or neither: a library that is not what was asked for leaves the program of before beside it.
  defp install do
    with {:ok, program} <- read(built_program()),
         {:ok, library} <- read(built_library()),
         :ok <- check_faults(library) do
      put(program(), program, 0o755)
      put(library(), library, 0o644)
    end
  end

  # A new file and a rename: a running VM keeps the old one mapped, and nobody ever sees half a file.
  defp put(path, content, mode) do
    unfinished = "#{path}.#{System.pid()}.tmp"
    File.mkdir_p!(Path.dirname(path))
    File.write!(unfinished, content)
    File.chmod!(unfinished, mode)
    File.rename!(unfinished, path)
  end

  defp read(artifact) do
    with {:error, reason} <- File.read(artifact) do
      {:error, "Cargo succeeded, but reading #{artifact} failed: #{:file.format_error(reason)}"}
    end
  end

  defp check_faults(content) do
    has = :binary.match(content, @fault_marker) != :nomatch
    wants = "faults" in features()

    cond do
      has == wants ->
        :ok

      has ->
        {:error,
         "#{built_library()} has fault injection, which only DNSMesh's own tests may have"}

      wants ->
        {:error, "#{built_library()} lacks the fault injection that DNSMesh's own tests need"}
    end
  end

  defp linker_hint(output) do
    if output =~ "linker `cc` not found" do
      "\n\nRust links with a C compiler: install gcc (Debian: gcc libc6-dev, Alpine: gcc musl-dev)"
    else
      ""
    end
  end

  defp diagnostic(text) do
    %Mix.Task.Compiler.Diagnostic{
      compiler_name: "Cargo",
      file: Path.join(@root, "Cargo.toml"),
      message: text,
      position: 0,
      severity: :error
    }
  end
end

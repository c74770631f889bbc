defmodule DNSMesh.Build.CargoCompilerTest do
  # When mix/cargo_compiler.exs calls Cargo, and what it says when it cannot. Cargo and rustc are stand-ins here, and
  # the project is this one's mix.exs above next to no code; release_test.exs has the real thing.
  use ExUnit.Case, async: false

  import DNSMesh.Test.BuildFolder, only: [run: 4, write!: 3]

  alias DNSMesh.Test.{BuildFolder, StandInRust}

  @source "native/dns_mesh/src/lib.rs"

  setup do
    folder = BuildFolder.new!()

    for path <- ["mix.exs", "Cargo.toml", "Cargo.lock"] ++ Path.wildcard("mix/*.exs") do
      write!(folder, path, File.read!(Path.join(BuildFolder.checkout(), path)))
    end

    write!(folder, @source, "// one\n")
    write!(folder, "lib/dns_mesh.ex", "defmodule DNSMesh, do: nil\n")
    %{folder: folder, rust: StandInRust.new!()}
  end

  describe "Cargo is called" do
    test "once: nothing to do is nothing done", %{folder: folder, rust: rust} do
      first = compile!(folder, rust)
      assert first =~ "Compiling the DNSMesh resolver (Rust), about a minute the first time\n"
      assert [build] = StandInRust.builds(rust)

      assert build =~
               "build --locked --release -p dns_mesh_nif -p dns_mesh_cli --target-dir #{folder}/_build/cargo"

      assert File.read!(library(folder, "dev")) == "library\n"
      assert System.cmd(program(folder, "dev"), []) == {"program\n", 0}

      assert compile!(folder, rust) == ""
      assert [_] = StandInRust.builds(rust)
    end

    test "when a Rust source changes, comes or goes", %{folder: folder, rust: rust} do
      compile!(folder, rust)

      write!(folder, @source, "// two\n")
      assert compile!(folder, rust) =~ "Compiling the DNSMesh resolver (Rust)\n"
      assert length(StandInRust.builds(rust)) == 2

      write!(folder, "native/dns_mesh/src/more.rs", "")
      compile!(folder, rust)
      assert length(StandInRust.builds(rust)) == 3

      File.rm!(Path.join(folder, "native/dns_mesh/src/more.rs"))
      compile!(folder, rust)
      assert length(StandInRust.builds(rust)) == 4
    end

    test "when a manifest or the compiler itself changes", %{folder: folder, rust: rust} do
      compile!(folder, rust)

      for {path, nr} <- Enum.with_index(["Cargo.lock", "Cargo.toml", "mix/cargo_compiler.exs"], 2) do
        File.write!(Path.join(folder, path), "\n# changed\n", [:append])
        compile!(folder, rust)
        assert length(StandInRust.builds(rust)) == nr, "#{path} was changed, and Cargo not called"
      end
    end

    test "not for a new date on the same text, as a fresh checkout gives it", context do
      compile!(context.folder, context.rust)
      File.touch!(Path.join(context.folder, @source), {{2040, 1, 1}, {0, 0, 0}})
      compile!(context.folder, context.rust)
      assert [_] = StandInRust.builds(context.rust)
    end

    test "when rustc is another version or builds for another host", context do
      %{folder: folder, rust: rust} = context
      compile!(folder, rust)

      StandInRust.set(rust, "rustc.version", "1.96.0")
      compile!(folder, rust)
      assert length(StandInRust.builds(rust)) == 2

      StandInRust.set(rust, "rustc.host", "aarch64-unknown-linux-musl")
      compile!(folder, rust)
      assert length(StandInRust.builds(rust)) == 3
    end

    test "when a variable changes that changes what Cargo builds", context do
      %{folder: folder, rust: rust} = context
      compile!(folder, rust)
      compile!(folder, rust, [{"CARGO_PROFILE_RELEASE_LTO", "off"}])
      assert length(StandInRust.builds(rust)) == 2
      compile!(folder, rust, [{"CARGO_PROFILE_RELEASE_LTO", "off"}, {"CARGO_HOME", folder}])
      assert length(StandInRust.builds(rust)) == 2
    end

    test "when one of the files it made is gone", %{folder: folder, rust: rust} do
      compile!(folder, rust)

      for {path, nr} <- Enum.with_index([library(folder, "dev"), program(folder, "dev")], 2) do
        File.rm!(path)
        compile!(folder, rust)
        assert length(StandInRust.builds(rust)) == nr, "#{path} was gone, and Cargo not called"
        assert File.exists?(path)
      end
    end

    test "when asked by --force, and after mix clean", %{folder: folder, rust: rust} do
      compile!(folder, rust)
      assert {_, 0} = mix(folder, rust, ["compile", "--force"])
      assert length(StandInRust.builds(rust)) == 2

      assert {_, 0} = mix(folder, rust, ["clean"])
      refute File.exists?(library(folder, "dev"))
      refute File.exists?(program(folder, "dev"))
      compile!(folder, rust)
      assert length(StandInRust.builds(rust)) == 3
      assert File.exists?(library(folder, "dev"))
    end
  end

  describe "places" do
    test "all Mix environments share one Cargo folder; only the tests' library has fault injection",
         %{folder: folder, rust: rust} do
      for env <- ~w(dev test prod), do: compile!(folder, rust, [{"MIX_ENV", env}])

      builds = StandInRust.builds(rust)
      assert Enum.all?(builds, &(&1 =~ ~r"--target-dir #{folder}/_build/cargo$"))
      assert Enum.map(builds, &(&1 =~ "--features dns_mesh_nif/faults")) == [false, true, false]

      assert File.read!(library(folder, "dev")) == "library\n"
      assert File.read!(library(folder, "test")) =~ "fault injection"
      assert File.read!(library(folder, "prod")) == "library\n"

      # Each has its own, and none is out of date because another one was built.
      for env <- ~w(dev test prod), do: assert(compile!(folder, rust, [{"MIX_ENV", env}]) == "")
    end

    test "a path dependency builds in its parent's _build, without fault injection even in tests",
         %{folder: folder, rust: rust} do
      parent = BuildFolder.new!()

      write!(parent, "mix.exs", """
      defmodule Parent.MixProject do
        use Mix.Project

        def project do
          [app: :parent, version: "1.0.0", deps: [{:dns_mesh, path: #{inspect(folder)}, env: :test}]]
        end
      end
      """)

      assert {output, 0} = mix(parent, rust, ["compile"], [{"MIX_ENV", "test"}])
      assert output =~ "Compiling the DNSMesh resolver (Rust)"
      assert [build] = StandInRust.builds(rust)
      assert String.ends_with?(build, "--target-dir #{parent}/_build/cargo")
      refute build =~ "faults"
      assert File.read!(library(parent, "test")) == "library\n"
      refute File.exists?(Path.join(folder, "_build"))
    end

    test "CARGO_TARGET_DIR is honoured; MIX_BUILD_PATH keeps all inside", context do
      %{folder: folder, rust: rust} = context
      elsewhere = BuildFolder.new!()

      compile!(folder, rust, [{"CARGO_TARGET_DIR", elsewhere}])
      compile!(folder, rust, [{"MIX_BUILD_PATH", Path.join(elsewhere, "build")}])

      assert [first, second] = StandInRust.builds(rust)
      assert String.ends_with?(first, "--target-dir #{elsewhere}")
      assert String.ends_with?(second, "--target-dir #{elsewhere}/build/cargo")
    end

    test "a new library is a new file, so a running VM keeps the one it has", context do
      %{folder: folder, rust: rust} = context
      compile!(folder, rust)
      before = File.stat!(library(folder, "dev")).inode

      # Keeps the old file in existence, as the VM that maps it does; else its number may be given again.
      {:ok, file} = File.open(library(folder, "dev"))

      StandInRust.set(rust, "content", "another library")
      write!(folder, @source, "// two\n")
      compile!(folder, rust)

      assert File.read!(library(folder, "dev")) == "another library\n"
      assert File.stat!(library(folder, "dev")).inode != before
      assert IO.read(file, :line) == "library\n"

      assert Enum.sort(File.ls!(Path.dirname(library(folder, "dev")))) == [
               "dns_mesh",
               "libdns_mesh_nif.so"
             ]
    end

    test "so is a new program, which a shell may be running, and it may be run", context do
      %{folder: folder, rust: rust} = context
      compile!(folder, rust)
      before = File.stat!(program(folder, "dev"))
      {:ok, file} = File.open(program(folder, "dev"))

      StandInRust.set(rust, "program", "#!/bin/sh\necho another")
      write!(folder, @source, "// two\n")
      compile!(folder, rust)

      assert System.cmd(program(folder, "dev"), []) == {"another\n", 0}
      now = File.stat!(program(folder, "dev"))
      assert now.inode != before.inode
      assert Bitwise.band(now.mode, 0o777) == 0o755
      assert Bitwise.band(File.stat!(library(folder, "dev")).mode, 0o777) == 0o644
      assert IO.read(file, :line) == "#!/bin/sh\n"
    end

    test "a priv folder among the sources is refused", %{folder: folder, rust: rust} do
      File.mkdir!(Path.join(folder, "priv"))
      assert refused(folder, rust) =~ "#{folder}/priv is in the way"
    end
  end

  describe "what is said when" do
    test "cargo is missing", %{folder: folder, rust: rust} do
      StandInRust.remove(rust, "cargo")
      message = refused(folder, rust)
      assert message =~ "** (Mix) cargo was not found in PATH\n"
      assert_says_what_to_install(message)
    end

    test "rustc is missing", %{folder: folder, rust: rust} do
      StandInRust.remove(rust, "rustc")
      message = refused(folder, rust)
      assert message =~ "** (Mix) rustc was not found in PATH\n"
      assert_says_what_to_install(message)
    end

    test "both are missing, but the library is up to date: nothing", context do
      %{folder: folder, rust: rust} = context
      compile!(folder, rust)
      for program <- ~w(cargo rustc), do: StandInRust.remove(rust, program)
      assert compile!(folder, rust) == ""

      write!(folder, @source, "// two\n")
      assert_says_what_to_install(refused(folder, rust))
    end

    test "rustc is too old", %{folder: folder, rust: rust} do
      StandInRust.set(rust, "rustc.version", "1.63.0")
      message = refused(folder, rust)
      assert message =~ "** (Mix) rustc 1.63.0 (#{rust.folder}/rustc) is too old\n"
      assert_says_what_to_install(message)
    end

    test "cargo is too old", %{folder: folder, rust: rust} do
      StandInRust.set(rust, "cargo.version", "1.65.0")
      message = refused(folder, rust)
      assert message =~ "** (Mix) cargo 1.65.0 (#{rust.folder}/cargo) is too old\n"
      assert_says_what_to_install(message)
    end

    test "rustc is a rustup without a toolchain", %{folder: folder, rust: rust} do
      StandInRust.set(rust, "fails", "error: rustup could not choose a version of rustc to run")
      message = refused(folder, rust)
      assert message =~ "** (Mix) #{rust.folder}/rustc does not run:\n"
      assert message =~ "    error: rustup could not choose a version of rustc to run\n"
      assert_says_what_to_install(message)
    end

    test "CARGO names no program", %{folder: folder, rust: rust} do
      message = refused(folder, rust, [{"CARGO", "/nowhere/cargo"}])
      assert message =~ "** (Mix) CARGO is set to /nowhere/cargo, and there is no such program\n"
    end

    test "Cargo fails: its own words, and next time it is tried again", context do
      %{folder: folder, rust: rust} = context
      compile!(folder, rust)
      write!(folder, @source, "// two\n")

      # Only cargo: rustc is asked for its version before.
      write!(rust.folder, "cargo", ~S"""
      #!/bin/sh
      if [ "$1" = -V ]; then echo "cargo 1.95.0"; exit; fi
      echo "error: could not download hickory-resolver: offline" >&2
      exit 101
      """)

      for _ <- 1..2 do
        message = refused(folder, rust)
        assert message =~ "error: could not download hickory-resolver: offline"
      end

      assert File.read!(library(folder, "dev")) == "library\n"
    end

    test "Cargo makes no program", %{folder: folder, rust: rust} do
      StandInRust.set(rust, "programless", "")

      assert refused(folder, rust) =~
               "Cargo succeeded, but reading #{folder}/_build/cargo/release/dns_mesh failed: no such file"

      refute File.exists?(library(folder, "dev"))
    end

    test "Cargo gives a library with fault injection where none was asked for", context do
      StandInRust.set(context.rust, "content", "dns_mesh: fault injection is compiled in")
      assert refused(context.folder, context.rust) =~ "which only DNSMesh's own tests may have"
      refute File.exists?(library(context.folder, "dev"))
    end
  end

  defp assert_says_what_to_install(message) do
    [_, floor] =
      Regex.run(
        ~r/^rust-version = "(.+)"$/m,
        File.read!(Path.join(BuildFolder.checkout(), "Cargo.toml"))
      )

    assert message =~ "Install Rust #{floor} or newer"
    assert message =~ "rustup"
    assert message =~ "apt-get install"
  end

  defp compile!(folder, rust, environment \\ []) do
    assert {output, 0} = mix(folder, rust, ["compile"], environment)
    output
  end

  # A Mix error is a sentence and an exit status; a stack trace would tell the user nothing.
  defp refused(folder, rust, environment \\ []) do
    assert {output, status} = mix(folder, rust, ["compile"], environment)
    assert status != 0
    refute output =~ ~r/^\s+\(?(mix|elixir|stdlib|\S+:\d+)/m, output
    refute output =~ "cargo_compiler.exs:", output
    output
  end

  defp mix(folder, rust, arguments, environment \\ []) do
    run(folder, "mix", arguments, [
      {"PATH", StandInRust.path(rust)},
      {"MIX_ENV", "dev"} | environment
    ])
  end

  defp library(folder, env), do: Path.join(native(folder, env), "libdns_mesh_nif.so")

  defp program(folder, env), do: Path.join(native(folder, env), "dns_mesh")

  defp native(folder, env), do: Path.join(folder, "_build/#{env}/lib/dns_mesh/priv/native")
end

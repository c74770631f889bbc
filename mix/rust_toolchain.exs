# Finds cargo and rustc, and says what to install when they are missing or too old.
# `rust-version` in the root Cargo.toml is the one place that knows how old is too old.

defmodule DNSMesh.RustToolchain do
  @moduledoc false

  @root Path.expand("..", __DIR__)

  @doc """
  What compiles Rust here, as text: `{:ok, "rustc 1.95.0 x86_64-unknown-linux-gnu"}`, or `:none`.
  """
  @spec rustc() :: {:ok, String.t()} | :none
  def rustc do
    case find_rustc() do
      {:ok, rustc} -> {:ok, "rustc #{rustc.version} #{rustc.host}"}
      {:error, _} -> :none
    end
  end

  @doc """
  The path of cargo. Raises a `Mix.Error` that names what to install when cargo or rustc cannot build the resolver.
  """
  @spec cargo!() :: Path.t()
  def cargo! do
    _ = demand!("rustc", find_rustc())
    demand!("cargo", find_cargo()).program
  end

  defp find_rustc, do: find("RUSTC", "rustc", ["-vV"])

  defp find_cargo, do: find("CARGO", "cargo", ["-V"])

  defp find(variable, name, arguments) do
    asked = if System.get_env(variable, "") == "", do: name, else: System.get_env(variable)

    case System.find_executable(asked) do
      nil when asked == name -> {:error, "#{name} was not found in PATH"}
      nil -> {:error, "#{variable} is set to #{asked}, and there is no such program"}
      program -> ask_version(name, program, arguments)
    end
  end

  # Asked in our folder: a rust-toolchain file or a rustup override there may choose another version.
  defp ask_version(name, program, arguments) do
    {output, status} = System.cmd(program, arguments, cd: @root, stderr_to_stdout: true)

    case Regex.run(~r/^#{name} (\d+\.\d+\.\d+\S*)/m, output) do
      [_, version] when status == 0 ->
        {:ok, %{program: program, version: version, host: host(output)}}

      _ ->
        {:error, "#{program} does not run:\n\n#{indent(output)}"}
    end
  end

  defp host(output) do
    case Regex.run(~r/^host: (\S+)/m, output) do
      [_, host] -> host
      nil -> "unknown host"
    end
  end

  defp indent(output) do
    output |> String.trim() |> String.split("\n") |> Enum.map_join("\n", &"    #{&1}")
  end

  defp demand!(_name, {:error, sentence}), do: raise_install(sentence)

  defp demand!(name, {:ok, tool}) do
    if numbers(tool.version) < numbers(oldest()) do
      raise_install("#{name} #{tool.version} (#{tool.program}) is too old")
    end

    tool
  end

  # Lists compare element by element, so [1, 91, 0] is not below [1, 91].
  defp numbers(version) do
    ~r/\d+/ |> Regex.scan(version) |> List.flatten() |> Enum.map(&String.to_integer/1)
  end

  defp oldest do
    manifest = File.read!(Path.join(@root, "Cargo.toml"))
    [_, version] = Regex.run(~r/^rust-version\s*=\s*"([\d.]+)"/m, manifest)
    version
  end

  @spec raise_install(String.t()) :: no_return()
  defp raise_install(problem) do
    Mix.raise("""
    #{problem}

    DNSMesh's resolver is written in Rust and built when DNSMesh is compiled. Install Rust #{oldest()} or newer,
    then run the same command again:

        curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh   # Linux, macOS
        apt-get install rustup gcc libc6-dev && rustup default stable    # Debian 13, Ubuntu 24.04 and later
        apk add rustup gcc musl-dev && rustup-init -y                    # Alpine
        rustup update stable                                             # where rustup is already there

    In a Dockerfile this belongs to the stage that compiles. The stage that runs the release needs no Rust.
    """)
  end
end

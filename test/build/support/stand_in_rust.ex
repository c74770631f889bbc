defmodule DNSMesh.Test.StandInRust do
  @moduledoc """
  A `cargo` and a `rustc` that build nothing and write down what they were asked: for tests of when Cargo is called
  and what is said when it cannot be.

  The library that this `cargo` makes is a few bytes of text, with the marker of fault injection when it was asked for
  the feature `faults`. So is the program, which says that it is one.
  """

  alias DNSMesh.Test.BuildFolder

  defstruct [:folder]

  @type t :: %__MODULE__{folder: Path.t()}

  @cargo ~S"""
  #!/bin/sh
  here=$(dirname "$0")
  if [ "$1" = -V ]; then echo "cargo $(cat "$here/cargo.version")"; exit; fi
  echo "$*" >> "$here/calls"
  if [ -e "$here/fails" ]; then cat "$here/fails" >&2; exit 101; fi
  content=library
  while [ $# -gt 0 ]; do
    case $1 in
      --target-dir) release=$2/release ;;
      --features) content="dns_mesh: fault injection is compiled in" ;;
    esac
    shift
  done
  if [ -e "$here/content" ]; then content=$(cat "$here/content"); fi
  mkdir -p "$release"
  for extension in so dylib; do echo "$content" > "$release/libdns_mesh_nif.$extension"; done
  program='#!/bin/sh
  echo program'
  if [ -e "$here/program" ]; then program=$(cat "$here/program"); fi
  if [ ! -e "$here/programless" ]; then echo "$program" > "$release/dns_mesh"; fi
  """

  @rustc ~S"""
  #!/bin/sh
  here=$(dirname "$0")
  if [ -e "$here/fails" ]; then cat "$here/fails" >&2; exit 1; fi
  echo "rustc $(cat "$here/rustc.version") (0123456 2026-01-01)"
  echo "host: $(cat "$here/rustc.host")"
  """

  @spec new!() :: t
  def new! do
    rust = %__MODULE__{folder: BuildFolder.new!()}
    for {name, script} <- [cargo: @cargo, rustc: @rustc], do: put_program(rust, name, script)
    set(rust, "cargo.version", "1.95.0")
    set(rust, "rustc.version", "1.95.0")
    set(rust, "rustc.host", "x86_64-unknown-linux-gnu")
    rust
  end

  @doc """
  Sets what the programs go by: `cargo.version`, `rustc.version`, `rustc.host`; `fails`, the text with which both fail
  from now on; `content` and `program`, what the next library and program hold; `programless`, no program is made.
  """
  @spec set(t, String.t(), String.t()) :: :ok
  def set(rust, what, text), do: BuildFolder.write!(rust.folder, what, text)

  @doc "Takes one of the two programs away."
  @spec remove(t, String.t()) :: :ok
  def remove(rust, program), do: File.rm!(Path.join(rust.folder, program))

  @doc "The arguments of each build so far, oldest first."
  @spec builds(t) :: [String.t()]
  def builds(rust) do
    case File.read(Path.join(rust.folder, "calls")) do
      {:ok, text} -> String.split(text, "\n", trim: true)
      {:error, :enoent} -> []
    end
  end

  @doc "A `PATH` in which these are the only cargo and rustc."
  @spec path(t) :: String.t()
  def path(rust) do
    others =
      "PATH" |> System.fetch_env!() |> String.split(":", trim: true) |> Enum.map(&without_rust/1)

    Enum.join([rust.folder | others], ":")
  end

  defp put_program(rust, name, script) do
    set(rust, "#{name}", script)
    File.chmod!(Path.join(rust.folder, "#{name}"), 0o755)
  end

  # On some systems the real ones are in /usr/bin, beside the shell.
  defp without_rust(folder) do
    if Enum.any?(~w(cargo rustc), &File.exists?(Path.join(folder, &1))) do
      links = BuildFolder.new!()

      for name <- File.ls!(folder), not String.starts_with?(name, ["cargo", "rust"]) do
        File.ln_s!(Path.join(folder, name), Path.join(links, name))
      end

      links
    else
      folder
    end
  end
end

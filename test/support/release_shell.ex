defmodule DNSMesh.Test.ReleaseShell do
  @moduledoc """
  A release's folder without a VM: a `bin/shop` that goes through the steps of the real one (`mix release.init`, the same
  from Elixir 1.14 to 1.20) around the generated env.sh, and then prints what it would start; and a stand-in for the
  native `dns_mesh`. As there, the shell of `start` becomes the node: it lives until `stop/1`, or the end of the test.
  """

  alias DNSMesh.ReleaseEnv
  alias DNSMesh.Test.BuildFolder

  defstruct [:root, :shell, :tmp]

  @type t :: %__MODULE__{root: Path.t(), shell: [String.t()], tmp: Path.t()}

  @script ~S"""
  set -e
  RELEASE_ROOT=$ROOT; export RELEASE_ROOT
  RELEASE_NAME="${RELEASE_NAME:-"shop"}"; export RELEASE_NAME
  RELEASE_VSN="${RELEASE_VSN:-"1.0.0"}"; export RELEASE_VSN
  RELEASE_COMMAND="$1"; export RELEASE_COMMAND
  REL_VSN_DIR="$RELEASE_ROOT/releases/$RELEASE_VSN"
  set > "$RESULTS/before"
  . "$REL_VSN_DIR/env.sh"
  set > "$RESULTS/after"
  RELEASE_NODE="${RELEASE_NODE:-"$RELEASE_NAME"}"; export RELEASE_NODE
  RELEASE_TMP="${RELEASE_TMP:-"$RELEASE_ROOT/tmp"}"; export RELEASE_TMP
  RELEASE_DISTRIBUTION="${RELEASE_DISTRIBUTION:-"sname"}"; export RELEASE_DISTRIBUTION
  env > "$RESULTS/env"
  echo "$RELEASE_DISTRIBUTION $RELEASE_NODE $*"
  case $1 in
    start | start_iex)
      echo $$ >> "$NODES"
      exec sleep 300 >/dev/null 2>&1
      ;;
  esac
  """

  # Says what it is told to, and notes each call.
  @helper ~S"""
  #!/bin/sh
  echo "$*" >> "$RESULTS/calls"
  [ -z "$HELPER_SAYS" ] || echo "$HELPER_SAYS"
  [ -z "$HELPER_COMPLAINS" ] || printf "$HELPER_COMPLAINS" >&2
  exit "${HELPER_STATUS:-0}"
  """

  @doc "The shells of this machine that a release may meet as /bin/sh, by name."
  @spec shells() :: [{String.t(), [String.t()]}]
  def shells do
    known =
      for {name, [program | arguments]} <- known(),
          path = System.find_executable(program),
          do: {name, [path | arguments]}

    [sh | _] = known
    # On most systems sh is a link to one of the others.
    if Enum.any?(tl(known), fn {_, [path | _]} -> target(path) == target(hd(elem(sh, 1))) end),
      do: tl(known),
      else: known
  end

  defp known,
    do: [
      {"sh", ["sh"]},
      {"dash", ["dash"]},
      {"bash", ["bash", "--posix"]},
      {"busybox", ["busybox", "ash"]}
    ]

  defp target(path) do
    {target, 0} = System.cmd("readlink", ["-f", path])
    target
  end

  @spec new!([String.t()]) :: t
  def new!(shell) do
    folder = BuildFolder.new!()
    root = Path.join(folder, "shop with a blank")
    BuildFolder.write!(root, "releases/1.0.0/vm.args", "## -proto_dist inet6_tcp\n+K true\n")
    BuildFolder.write!(root, "releases/1.0.0/remote.vm.args", "")
    BuildFolder.write!(root, "script", @script)
    put_helper(root, "0.1.0")
    File.mkdir_p!(Path.join(folder, "tmp"))
    File.mkdir_p!(Path.join(folder, "results"))
    release = %__MODULE__{root: root, shell: shell, tmp: Path.join(folder, "tmp")}
    ExUnit.Callbacks.on_exit(fn -> stop(release) end)
    put_env(release, "#!/bin/sh\n")
  end

  @doc "Another env.sh: the user's own lines, with the block after them as the task would have it."
  @spec put_env(t, String.t()) :: t
  def put_env(release, own) do
    {:missing, text} = ReleaseEnv.amend(own)
    BuildFolder.write!(release.root, "releases/1.0.0/env.sh", text)
    release
  end

  @spec put_helper(Path.t(), String.t()) :: :ok
  def put_helper(root, version) do
    path = "lib/dns_mesh-#{version}/priv/native/dns_mesh"
    BuildFolder.write!(root, path, @helper)
    File.chmod!(Path.join(root, path), 0o755)
  end

  @doc """
  Runs `bin/shop COMMAND`. What it would start (`distribution`, `node`), the rest of its environment, what it printed
  on stderr, and the arguments of each call of the native helper. A start takes the place of the nodes before it.
  """
  @spec run(t, String.t() | [String.t()], [{String.t(), String.t()}]) :: %{
          status: 0 | 1,
          distribution: String.t() | nil,
          node: String.t() | nil,
          env: %{String.t() => String.t()},
          said: String.t(),
          calls: [String.t()],
          left_behind: [String.t()]
        }
  def run(release, command, environment) do
    if command in ["start", "start_iex"], do: stop(release)
    beside(release, command, environment)
  end

  @doc "The same; nodes that have been started before run on."
  @spec beside(t, String.t() | [String.t()], [{String.t(), String.t()}]) :: map()
  def beside(release, command, environment) do
    results = Path.join(Path.dirname(release.root), "results")
    for file <- File.ls!(results), do: File.rm!(Path.join(results, file))

    # The caller's own environment must not show: Elixir's VM, say, exports much.
    fixed = [
      {"PATH", System.fetch_env!("PATH")},
      {"ROOT", release.root},
      {"RESULTS", results},
      {"NODES", nodes(release)},
      {"TMPDIR", release.tmp}
    ]

    environment = for {name, value} <- fixed ++ environment, do: "#{name}=#{value}"
    script = [Path.join(release.root, "script") | List.wrap(command)]

    # A node runs on behind the output of its start.
    inner =
      if command in ["start", "start_iex"],
        do: ~S'said=$1; shift; ("$@" 2>"$said" &) | cat',
        else: ~S'said=$1; shift; exec "$@" 2>"$said"'

    outer = ["-c", inner, "sh", Path.join(results, "said"), "env", "-i"]

    {output, status} =
      System.cmd("sh", outer ++ environment ++ release.shell ++ script, cd: release.root)

    said = File.read!(Path.join(results, "said"))
    if status > 1, do: raise("#{inspect(command)} ended with #{status}: #{output}#{said}")

    {distribution, node} =
      case String.split(output) do
        [distribution, node | _] -> {distribution, node}
        [] -> {nil, nil}
      end

    %{
      status: status,
      distribution: distribution,
      node: node,
      env: variables(Path.join(results, "env")),
      said: said,
      calls: lines(Path.join(results, "calls")),
      left_behind: left_behind(results)
    }
  end

  @doc "Ends the nodes, as a crash does."
  @spec stop(t) :: :ok
  def stop(release) do
    for pid <- lines(nodes(release)),
        do: System.cmd("kill", ["-9", pid], stderr_to_stdout: true)

    _ = File.rm(nodes(release))
    :ok
  end

  defp nodes(release), do: Path.join(Path.dirname(release.root), "nodes")

  @doc "The names in the name files: `{path, name}`, temporary ones included."
  @spec name_files(t) :: [{Path.t(), String.t()}]
  def name_files(release) do
    for folder <- [release.root, release.tmp],
        path <- Path.wildcard(Path.join(folder, "**/dns_mesh-shop-*"), match_dot: true),
        do: {path, path |> File.read!() |> String.split("\n") |> hd()}
  end

  # Variables and functions that env.sh has left in the script's shell without exporting them.
  defp left_behind(results) do
    names = fn file ->
      for line <- lines(Path.join(results, file)),
          [_, name] <- [Regex.run(~r/^(dns_mesh\w*)\b/, line)],
          into: MapSet.new(),
          do: name
    end

    MapSet.difference(names.("after"), names.("before")) |> Enum.sort()
  end

  defp variables(path) do
    for line <- lines(path),
        [name, value] <- [String.split(line, "=", parts: 2)],
        into: %{},
        do: {name, value}
  end

  defp lines(path) do
    case File.read(path) do
      {:ok, text} -> String.split(text, "\n", trim: true)
      {:error, :enoent} -> []
    end
  end
end

defmodule DNSMesh.Test.ReleaseFolder do
  @moduledoc """
  A small app with DNSMesh in it, as a user would have it, built into a release; and its `bin/shop`, run with an epmd of
  the test's own. `DNS_CLUSTER_QUERY` is given by each test, all other settings are the defaults.
  """

  alias DNSMesh.Test.{Await, BuildFolder, Epmd}

  @shop """
  defmodule Shop do
    use Application

    @impl true
    def start(_type, _args), do: Supervisor.start_link([DNSMesh], strategy: :one_for_one)
  end
  """

  @type release :: %{
          path: Path.t(),
          environment: [{String.t(), String.t()}],
          epmd: Epmd.t(),
          wrapper: [String.t()]
        }

  @spec new!() :: Path.t()
  def new! do
    folder = BuildFolder.new!()
    BuildFolder.write!(folder, "mix.exs", BuildFolder.shop_mix_exs())
    BuildFolder.write!(folder, "lib/shop.ex", @shop)
    folder
  end

  @doc "Runs one line of shell there, as a user would: what it printed. Raises when it fails."
  @spec shell!(Path.t(), String.t()) :: String.t()
  def shell!(folder, line) do
    case BuildFolder.run(folder, "sh", ["-c", line], [
           {"CARGO_TARGET_DIR", BuildFolder.cargo_folder()},
           {"MIX_ENV", nil}
         ]) do
      {output, 0} -> output
      {output, status} -> raise "#{line} ended with #{status}: #{output}"
    end
  end

  @doc "The release that was built last, put where the next build does not touch it."
  @spec keep!(Path.t()) :: Path.t()
  def keep!(folder), do: copy_to_new!(Path.join(folder, "_build/prod/rel/shop"))

  @doc "A copy of a kept release, to be run by one test."
  @spec copy!(Path.t()) :: release
  def copy!(kept) do
    path = copy_to_new!(kept)
    epmd = Epmd.start!(addresses: for(n <- 2..9, do: "127.0.0.#{n}") ++ ["::1"])
    %{path: path, epmd: epmd, wrapper: [], environment: [{"ERL_EPMD_PORT", "#{epmd.port}"}]}
  end

  @doc "Another copy of a kept release, on the same host as the first: the nodes of both have one epmd."
  @spec copy_beside!(Path.t(), release) :: release
  def copy_beside!(kept, first), do: %{first | path: copy_to_new!(kept)}

  @doc "The same release with more environment; the last of two wins."
  @spec with_env(release, [{String.t(), String.t()}]) :: release
  def with_env(release, environment),
    do: %{release | environment: release.environment ++ environment}

  @doc "The same release with its commands run by a wrapper, which gets them as its arguments."
  @spec wrapped(release, [String.t()]) :: release
  def wrapped(release, wrapper), do: %{release | wrapper: wrapper}

  @doc "Runs `bin/shop COMMAND`: what it printed, and its status."
  @spec run(release, [String.t()]) :: {String.t(), non_neg_integer()}
  def run(release, arguments) do
    [program | arguments] = release.wrapper ++ [program(release) | arguments]
    BuildFolder.run(release.path, program, arguments, clean() ++ release.environment)
  end

  @doc "Runs `bin/shop rpc`, again until the node answers: what it printed."
  @spec rpc!(release, String.t()) :: String.t()
  def rpc!(release, expression) do
    Await.await(
      fn ->
        case run(release, ["rpc", expression]) do
          {output, 0} -> output
          {_not_yet, _status} -> nil
        end
      end,
      30_000
    )
  end

  @doc "Starts `bin/shop start` in the foreground; its output goes to this process. Killed with it."
  @spec start!(release) :: port()
  def start!(release) do
    # A shell in between: when this port closes, it kills what would not notice.
    script =
      ~S'"$@" </dev/null 2>&1 & child=$!; (cat; kill -9 $child) <&3 >/dev/null 2>&1 & wait $child 2>/dev/null'

    environment =
      for {name, value} <- clean() ++ release.environment,
          do: {to_charlist(name), value && to_charlist(value)}

    environment = for {name, value} <- environment, do: {name, value || false}

    arguments =
      ["-c", "exec 3<&0; " <> script, "sh"] ++ release.wrapper ++ [program(release), "start"]

    Port.open({:spawn_executable, System.find_executable("sh")}, [
      :binary,
      :exit_status,
      args: arguments,
      cd: release.path,
      env: environment,
      line: 4_096
    ])
  end

  @doc "The lines that a foreground start prints, up to the first that matches."
  @spec lines_until(port(), Regex.t(), [String.t()]) :: [String.t()]
  def lines_until(port, pattern, seen \\ []) do
    receive do
      {^port, {:data, {_, line}}} ->
        if line =~ pattern,
          do: Enum.reverse([line | seen]),
          else: lines_until(port, pattern, [line | seen])

      {^port, {:exit_status, status}} ->
        raise "it ended with #{status}: #{seen |> Enum.reverse() |> Enum.join("\n")}"
    after
      30_000 ->
        raise "no line matches #{inspect(pattern)}: #{seen |> Enum.reverse() |> Enum.join("\n")}"
    end
  end

  @doc "Waits until no node of this release is registered any more, as `stop` does not."
  @spec await_stopped(release) :: :ok
  def await_stopped(release) do
    Await.await(fn -> Epmd.names(release.epmd) == [] end, 20_000)
    :ok
  end

  @doc "Starts `bin/shop daemon`, which is killed when the test is over, should it still be there."
  @spec daemon!(release) :: {output :: String.t(), 0}
  def daemon!(release) do
    path = release.path
    ExUnit.Callbacks.on_exit(fn -> kill_all(path) end)
    run(release, ["daemon"])
  end

  # Whatever runs from that folder: no other test's does.
  defp kill_all(path) do
    for folder <- Path.wildcard("/proc/[0-9]*"),
        {:ok, program} <- [File.read_link(Path.join(folder, "exe"))],
        String.starts_with?(program, path <> "/") do
      System.cmd("kill", ["-9", Path.basename(folder)], stderr_to_stdout: true)
    end
  end

  defp copy_to_new!(path) do
    copy = Path.join(BuildFolder.new!(), "shop")
    File.cp_r!(path, copy)
    copy
  end

  defp program(release), do: Path.join(release.path, "bin/shop")

  # The tests' own VM is started by a script much like the release's.
  defp clean do
    for name <-
          ~w(DNS_CLUSTER_QUERY RELEASE_NODE RELEASE_DISTRIBUTION RELEASE_TMP ERL_AFLAGS BINDIR ROOTDIR EMU PROGNAME),
        do: {name, nil}
  end
end

defmodule DNSMesh.Test.Mesh do
  @moduledoc """
  DNSMesh inside a test node, under a supervisor as an application has it, and watched through its events.

      pid = Mesh.start!(a, query: "app.internal", nameservers: [ScriptedDNS.address(dns)])
      Mesh.await_rounds(a, 5)
      assert Mesh.joins(a) == [{"app@127.0.0.3", true}]
      assert Mesh.pid(a) == pid

  Events reach the process that started the node, in the order in which the node told them.
  """

  alias DNSMesh.{Config, Poller, Roster}
  alias DNSMesh.Test.TestNode

  # As short as the option allows: a test counts polls, it does not wait for seconds.
  @interval 100
  @patience 10_000

  @doc """
  Starts an instance, with `interval: 100` and `distribution: :manual` unless told otherwise, and forwards its events. `files:` are paths for
  `:resolv_conf` and `:hosts`, which no option sets.
  """
  @spec start!(TestNode.t(), keyword) :: charlist | nil
  def start!(node, opts) do
    {files, opts} = Keyword.pop(opts, :files)
    opts = Keyword.merge([interval: @interval, distribution: :manual], opts)
    name = Keyword.get(opts, :name, DNSMesh)
    TestNode.forward_telemetry(node, name)

    spec = if files, do: spec(opts, files), else: {DNSMesh, opts}
    {:ok, _pid} = TestNode.start_child(node, spec)
    pid(node, name)
  end

  defp spec(opts, files) do
    config = struct!(opts |> Keyword.put_new(:name, DNSMesh) |> Config.new!(), files)
    %{id: config.name, start: {Poller, :start_link, [config]}}
  end

  @doc """
  The instance's pid as text, as the node itself sees it: the same also when the node gets a name meanwhile. `nil` when
  there is none.
  """
  @spec pid(TestNode.t(), atom) :: charlist | nil
  def pid(node, name \\ DNSMesh) do
    with pid when pid != nil <- whereis(node, name),
         do: TestNode.call(node, :erlang, :pid_to_list, [pid])
  end

  @doc "Kills the instance's process; its supervisor starts another."
  @spec kill(TestNode.t(), atom) :: true
  def kill(node, name \\ DNSMesh),
    do: TestNode.call(node, Process, :exit, [whereis(node, name), :kill])

  defp whereis(node, name), do: TestNode.call(node, Process, :whereis, [name])

  @spec status(TestNode.t(), atom) :: DNSMesh.Status.t()
  def status(node, name \\ DNSMesh), do: TestNode.call(node, DNSMesh, :status, [name])

  @doc "One peer of the status, by its name; `nil` when it is not held."
  @spec peer(TestNode.t(), String.t(), atom) :: map | nil
  def peer(node, peer, name \\ DNSMesh),
    do: Enum.find(status(node, name).peers, &(&1.name == peer))

  @doc "The names held that no answer lists any more. No status shows that: they are forgotten after a minute at the earliest."
  @spec missing(TestNode.t(), atom) :: [String.t()]
  def missing(node, name \\ DNSMesh) do
    {_config, roster, _lookups, _own_name, _now} =
      TestNode.call(node, GenServer, :call, [name, :status])

    for peer <- Roster.peers(roster), peer.missing_since != nil, do: peer.name
  end

  @doc "Waits until `count` rounds have ended from now on."
  @spec await_rounds(TestNode.t(), pos_integer, atom) :: :ok
  def await_rounds(node, count, name \\ DNSMesh) do
    drain(node, [:round, :stop], name)
    for _ <- 1..count, do: await(node, [:round, :stop], name)
    :ok
  end

  @doc "Polls, and waits for the end of a round. For an interval so long that no other round comes between."
  @spec poll!(TestNode.t(), atom) :: :ok
  def poll!(node, name \\ DNSMesh) do
    drain(node, [:round, :stop], name)
    :ok = TestNode.call(node, DNSMesh, :poll, [name])
    await(node, [:round, :stop], name)
    :ok
  end

  @doc "The next event of a kind that is wanted, measurements and metadata in one map. Others of the kind are dropped."
  @spec await(TestNode.t(), [atom], atom, (map -> as_boolean(term))) :: map
  def await(node, event, name \\ DNSMesh, wanted? \\ fn _ -> true end),
    do: await_until(node, [:dns_mesh | event], name, wanted?, now() + @patience)

  defp await_until(%TestNode{label: label} = node, full, name, wanted?, deadline) do
    receive do
      {:from_node, ^label, {:telemetry, ^full, measurements, %{mesh: ^name} = metadata}} ->
        told = Map.merge(metadata, measurements)
        if wanted?.(told), do: told, else: await_until(node, full, name, wanted?, deadline)
    after
      max(0, deadline - now()) ->
        raise "expected #{inspect(full)} of #{inspect(name)} from #{label} within #{@patience} ms, got none"
    end
  end

  @doc "Every event of a kind that has come so far and was not taken yet."
  @spec drain(TestNode.t(), [atom], atom) :: [map]
  def drain(%TestNode{label: label} = node, event, name \\ DNSMesh) do
    full = [:dns_mesh | event]

    receive do
      {:from_node, ^label, {:telemetry, ^full, measurements, %{mesh: ^name} = metadata}} ->
        [Map.merge(metadata, measurements) | drain(node, event, name)]
    after
      0 -> []
    end
  end

  @doc "Every join that has ended so far, as `{peer, result}`."
  @spec joins(TestNode.t(), atom) :: [{String.t(), term}]
  def joins(node, name \\ DNSMesh),
    do: for(join <- drain(node, [:join, :stop], name), do: {join.peer, join.result})

  @doc """
  What came to and went from a node so far (after `TestNode.forward_nodes/1`) and was not taken yet: `{:nodeup | :nodedown, node}`,
  the visible ones only. Hidden links are shells, and looks.
  """
  @spec visible_changes(TestNode.t()) :: [{:nodeup | :nodedown, node}]
  def visible_changes(%TestNode{label: label} = node) do
    receive do
      {:from_node, ^label, {change, other, info}} when change in [:nodeup, :nodedown] ->
        more = visible_changes(node)
        if info[:node_type] == :visible, do: [{change, other} | more], else: more
    after
      0 -> []
    end
  end

  @doc "Kills the processes that are dialling for the instance, and gives their number."
  @spec kill_joins(TestNode.t(), atom) :: non_neg_integer
  def kill_joins(node, name \\ DNSMesh) do
    joining = joining(node, name)
    for pid <- joining, do: TestNode.call(node, Process, :exit, [pid, :kill])
    length(joining)
  end

  @doc "The processes that are dialling for the instance."
  @spec joining(TestNode.t(), atom) :: [pid]
  def joining(node, name \\ DNSMesh) do
    {:monitors, monitors} = TestNode.call(node, Process, :info, [whereis(node, name), :monitors])
    for {:process, pid} <- monitors, is_pid(pid), do: pid
  end

  defp now, do: System.monotonic_time(:millisecond)
end

defmodule DNSMesh.PollerNewsTest do
  # What the Poller makes of the news that its roster is told: its callbacks, called on a copy of an instance's state. So
  # nothing happens in between, and timers and replies come here.
  use ExUnit.Case, async: true

  alias DNSMesh.{Members, Peer, Poller}
  alias DNSMesh.Test.{Given, ScriptedDNS, Telemetry}

  @a "app@10.0.0.1"
  @b "app@10.0.0.2"
  @member "app@10.0.0.9"

  setup %{test: name} do
    dns =
      start_supervised!({ScriptedDNS, zone: %{{"app.internal", :a} => ["10.0.0.1", "10.0.0.2"]}})

    opts = [
      name: name,
      query: "app@app.internal",
      nameservers: [ScriptedDNS.address(dns)],
      interval: 60_000,
      distribution: :manual,
      log: false
    ]

    Telemetry.subscribe(name)
    pid = start_supervised!({DNSMesh, opts})
    assert_receive {:telemetry, [:dns_mesh, :round, :stop], _, _}, 5_000
    state = :sys.get_state(pid)
    :ok = stop_supervised(name)
    # On a busy machine the next poll may be under way.
    %{state: %{state | asked: %{}, round: nil}}
  end

  defp info(state, message) do
    {:noreply, state} = Poller.handle_info(message, state)
    state
  end

  defp call(state, message) do
    ref = make_ref()

    case Poller.handle_call(message, {self(), ref}, state) do
      {:reply, reply, state} ->
        {reply, state}

      {:noreply, state} ->
        receive do
          {^ref, reply} -> {reply, state}
        after
          0 -> {:none, state}
        end
    end
  end

  defp peer(state, name \\ @a), do: state.roster.peers[name]
  defp linked?(state, name \\ @a), do: MapSet.member?(state.roster.connected, name)

  # As if a question had been asked whose answer is to come.
  defp asked(state, what, pid \\ nil) do
    ref = make_ref()
    timer = Process.send_after(self(), :never, 600_000)
    entry = %{what: what, pid: pid, since: 0, timer: timer, me: state.me}
    {ref, put_in(state.asked[ref], entry)}
  end

  defp deciding(state, target, stage),
    do: put_in(state.roster.asking.deciding, %{target: target, stage: stage, since: 0})

  describe "a node" do
    test "that comes is linked, one that goes is not; hidden ones are no members", %{state: state} do
      up = info(state, {:nodeup, :"app@10.0.0.1", node_type: :visible})
      assert linked?(up)
      assert %Peer{state: :connected} = peer(up)
      refute linked?(info(state, {:nodeup, :"app@10.0.0.1", node_type: :hidden}))
      # A VM that says nothing of the kind has visible ones.
      assert linked?(info(state, {:nodeup, :"app@10.0.0.1", []}))

      assert linked?(info(up, {:nodedown, :"app@10.0.0.1", node_type: :hidden}))
      refute linked?(info(up, {:nodedown, :"app@10.0.0.1", node_type: :visible}))
      refute linked?(info(up, {:nodedown, :"app@10.0.0.1", []}))
    end

    test "that goes, goes for a reason", %{state: state} do
      up = info(state, {:nodeup, :"app@10.0.0.1", node_type: :visible})
      down = &info(up, {:nodedown, :"app@10.0.0.1", node_type: :visible, nodedown_reason: &1})
      assert peer(down.(:connection_closed)).damped_until != nil
      assert peer(down.(:net_tick_timeout)).damped_until == nil
    end

    test "of which no kind is told goes as a visible one", %{state: state} do
      up = info(state, {:nodeup, :"stranger@10.0.0.5", node_type: :visible})
      went = &info(up, &1).roster.went
      assert went.({:nodedown, :"stranger@10.0.0.5", []}) == ["stranger@10.0.0.5"]
      assert went.({:nodedown, :"stranger@10.0.0.5", node_type: :hidden}) == []
    end

    test "that is this one is no news", %{state: state} do
      for event <- [:nodeup, :nodedown],
          do: assert(info(state, {event, node(), node_type: :visible}) == state)
    end

    test "that said that it leaves is remembered for it", %{state: state} do
      {:noreply, state} = Poller.handle_cast(Members.answer({:leaving, @a}), state)
      assert peer(state).leaving_until != nil
      assert peer(state, @b).leaving_until == nil
    end
  end

  describe "the end of a join" do
    defp joining(state, names) do
      joins = Map.new(names, &{make_ref(), &1})
      state = put_in(state.roster.joining, Map.new(names, &{&1, 0}))

      state =
        update_in(state.roster.peers, &Map.new(&1, fn {n, p} -> {n, %{p | state: :joining}} end))

      {Map.keys(joins), %{state | joins: joins}}
    end

    test "is what its process says, or that it died", %{state: state} do
      for {reason, outcome} <- [
            {{:joined, true}, %{state: :connected}},
            {{:joined, false}, %{state: :waiting, failures: 1}},
            {{:joined, :ignored}, %{state: :waiting, reason: :not_distributed}},
            {:killed, %{state: :waiting, failures: 1}}
          ] do
        {[ref], joining} = joining(state, [@a])
        ended = info(joining, {:DOWN, ref, :process, self(), reason})
        assert Map.take(peer(ended), Map.keys(outcome)) == outcome
        assert {ended.joins, ended.roster.joining} == {%{}, %{}}
      end
    end

    test "makes room for the next, looked for once however many end together", %{state: state} do
      {[one, two], state} = joining(state, [@a, @b])
      state = info(state, {:DOWN, one, :process, self(), {:joined, false}})
      state = info(state, {:DOWN, two, :process, self(), {:joined, false}})
      assert_received :fill
      refute_received :fill
      assert state.fill?
      refute info(state, :fill).fill?
    end

    test "is told once: a second word of it is nobody's", %{state: state} do
      {[ref], state} = joining(state, [@a])
      state = info(state, {:DOWN, ref, :process, self(), {:joined, true}})
      assert info(state, {:DOWN, ref, :process, self(), {:joined, false}}) == state
    end
  end

  describe "a question of ours that nobody answers in time" do
    test "to the members is one that none has answered", %{state: state} do
      asker = spawn(fn -> Process.sleep(:infinity) end)
      monitor = Process.monitor(asker)
      {ref, state} = state |> deciding(@a, :asking) |> asked({:ask, {@a, [@member]}}, asker)
      late = info(state, {:deadline, ref})

      assert_received {:telemetry, [:dns_mesh, :ask, :stop], %{members: 1},
                       %{peer: @a, answers: %{@member => :no_answer}}}

      assert late.roster.asking.deciding == nil
      assert_receive {:DOWN, ^monitor, :process, ^asker, :killed}
      # And its answer is nobody's.
      assert info(late, {:DOWN, ref, :process, asker, {:asked, %{@member => :ok}}}) == late
    end

    test "and one that is answered is heard as it was answered", %{state: state} do
      {ref, state} = state |> deciding(@a, :asking) |> asked({:ask, {@a, [@member]}})
      state = info(state, {:DOWN, ref, :process, self(), {:asked, %{@member => :busy}}})
      assert_received {:telemetry, [:dns_mesh, :ask, :stop], _, %{answers: %{@member => :busy}}}
      assert {state.asked, state.roster.asking.deciding} == {%{}, nil}
    end

    test "at a look is a look that failed, and its process is left to end its link", %{
      state: state
    } do
      for message <- [&{:deadline, &1}, &{:DOWN, &1, :process, self(), :killed}] do
        {ref, state} = state |> deciding(@a, :looking) |> asked({:look, @a})
        late = info(state, message.(ref))
        assert {late.asked, late.roster.asking.deciding} == {%{}, nil}
      end
    end

    test "of a probe leaves the peers unknown, not silent", %{state: state} do
      {ref, state} = asked(put_in(state.roster.asking.probing?, true), {:probe, [{@a, []}]})
      late = info(state, {:deadline, ref})
      assert {{:silent, :lost}, _at, nil} = peer(late).probe
      refute late.roster.asking.probing?
    end
  end

  describe "a member's question" do
    test "about its own members is answered, and puts off a decision till it has come in", %{
      state: state
    } do
      {answer, state} = call(state, Members.question({:members, @member, []}))
      assert answer == Members.answer({:members, [], %{}})
      assert Map.keys(state.roster.asking.settling) == [@member]
      assert state.roster.asking.consulted == nil
    end

    test "about a node is answered when it has been probed, whoever probed it", %{state: state} do
      {:none, state} = call(state, Members.question({:reach, @a}))
      assert {_since, _last} = state.roster.asking.consulted
      assert state.roster.asking.settling == %{}
      [{ref, %{what: {:check, [{@a, [{10, 0, 0, 1}]}]}}}] = Map.to_list(state.asked)
      # Another one waits for the same probe.
      {:none, state} = call(state, Members.question({:reach, @a}))
      assert map_size(state.asked) == 1

      late = info(state, {:deadline, ref})
      for _ <- 1..2, do: assert_received({_ref, {:dns_mesh, 1, :unknown}})
      assert late.answering.pending == []
      # A probe, and no news of that peer for ourselves.
      assert peer(late).probe == peer(state).probe
    end

    test "about what is no name is answered at once", %{state: state} do
      assert {{:dns_mesh, 1, :unknown}, _} = call(state, Members.question({:reach, "no name"}))
    end

    test "is that of a node that is about to let in another one: later", %{state: state} do
      state = put_in(state.roster.joining, %{@b => System.monotonic_time(:millisecond)})
      assert {{:dns_mesh, 1, :busy}, _} = call(state, Members.question({:reach, @a}))
      # That one counts as a member already, and about itself there is nothing to wait for.
      {answer, _} = call(state, Members.question({:members, @member, []}))
      assert answer == Members.answer({:members, [@b], %{}})
      assert {:none, _} = call(state, Members.question({:reach, @b}))
    end

    test "of a node that leaves is answered with that; it says so to its members once", %{
      state: state
    } do
      {:ok, state} = call(state, :leave)

      assert {{:dns_mesh, 1, :leaving}, _} =
               call(state, Members.question({:members, @member, []}))

      assert call(state, :leave) == {:ok, state}
    end

    test "beside a :resolver module is none", %{state: state} do
      state = put_in(state.config.resolver, SomeModule)
      assert {{:error, :unknown_call}, ^state} = call(state, Members.question({:reach, @a}))
      assert {{:error, :unknown_call}, ^state} = call(state, Members.question({:members, @a, []}))
    end
  end

  describe "who waits for the cluster" do
    defp wish(peers, timeout), do: {:await, %{peers: peers, timeout: timeout, on_timeout: nil}}

    test "is answered when there are enough, or when the time is over, once", %{state: state} do
      assert {{:error, :timeout}, ^state} = call(state, wish(1, 0))
      {:none, waiting} = call(state, wish(1, 600_000))
      [waited] = Map.keys(waiting.waiting.waiters)

      up = info(waiting, {:nodeup, :"app@10.0.0.1", node_type: :visible})
      assert_received {_ref, :ok}

      assert_received {:telemetry, [:dns_mesh, :await, :stop], %{connected: 1} = told,
                       %{result: :ok, missing: [@b]}}

      assert told.duration in 0..5_000

      assert {:ok, ^up} = call(up, wish(1, 600_000))
      assert info(up, {:waited, waited}) == up
      refute_received {_ref, {:error, :timeout}}

      over = info(waiting, {:waited, waited})
      assert_received {_ref, {:error, :timeout}}

      assert_received {:telemetry, [:dns_mesh, :await, :stop], _,
                       %{result: {:error, :timeout}, missing: [@a, @b]}}

      assert over.waiting.waiters == %{}
      assert info(over, {:waited, waited}) == over
    end
  end

  describe "the roster's alarm" do
    # As if this VM were distributed, and so late that the first seconds are over.
    defp distributed(state, peers) do
      world = %{
        distribution: Given.distribution(9),
        own_addresses: [{10, 0, 0, 9}],
        connected: [],
        guarded?: true
      }

      roster = %{state.roster | world: world, peers: Map.new(peers, &{&1.name, &1})}
      put_in(%{state | roster: roster}.roster.asking.alone.born, now() - 60_000)
    end

    defp waits(name, at), do: %{Peer.new(name, 0) | state: :waiting, next_at: at}
    defp now, do: System.monotonic_time(:millisecond)

    test "is set for the first that is due, once, and taken back when nothing is", %{state: state} do
      at = now() + 50_000
      state = info(distributed(state, [waits(@a, at), waits(@b, at + 9)]), :fill)
      assert {^at, timer} = state.wake
      assert Process.read_timer(timer) in 40_000..50_000
      assert info(state, :fill).wake == {at, timer}

      sooner = put_in(state.roster.peers[@b].next_at, at - 9)
      assert {soon, other} = info(sooner, :fill).wake
      assert soon == at - 9
      assert Process.read_timer(timer) == false
      assert Process.read_timer(other) in 40_000..50_000

      {:ok, left} = call(%{state | wake: {soon, other}}, :leave)
      state = info(left, :fill)
      assert state.wake == nil
      assert Process.read_timer(other) == false
      assert info(state, :fill).wake == nil
    end

    test "whose time is over rings at once", %{state: state} do
      # Probed just now, and not to be decided about before that.
      state = distributed(state, [%{waits(@a, now() - 10) | probe: {:ok, now(), 9_100}}])
      state = put_in(state.roster.asking.next_at, now() + 40)
      assert {at, _timer} = info(state, :fill).wake
      # However long the machine has taken to come here.
      assert_receive {:wake, ^at}, 5_000
    end
  end

  test "a name of which no atom can be made is put off, and no process dials", %{state: state} do
    state = distributed(state, [Peer.new("no name@h", 0)])
    state = info(put_in(state.roster.ask_first, false), :fill)
    assert %{state: :waiting, reason: :atom_budget} = peer(state, "no name@h")
    assert {state.joins, state.roster.joining} == {%{}, %{}}
    # Others may have one.
    assert_received :fill
  end

  test "what our own probes find is an answer for members too", %{state: state} do
    {:none, state} = call(state, Members.question({:reach, @a}))
    {ref, state} = asked(state, {:probe, [{@a, []}]})
    state = info(state, {:deadline, ref})
    assert_received {_ref, {:dns_mesh, 1, :unknown}}
    assert state.answering.pending == []
  end

  test "only the last alarm wakes the roster", %{state: state} do
    timer = Process.send_after(self(), :never, 600_000)
    state = %{state | wake: {5, timer}}
    assert info(state, {:wake, 4}) == state
    assert info(state, {:wake, 5}).wake == nil
  end

  test "only the last timer polls", %{state: state} do
    assert info(state, {:poll, make_ref()}) == state
    {_ref, token} = state.timer
    assert info(state, {:poll, token}).timer != state.timer
  end
end

defmodule DNSMesh.Asking.MembersTest do
  # What members answer when they are asked about a target, and what comes of it. Real VMs; the targets are ports that take
  # a connection, which is all that a probe wants of a node.
  use ExUnit.Case, async: true

  alias DNSMesh.Members
  alias DNSMesh.Test.{Await, HungPeer, Mesh, Ports, ScriptedDNS, StandIn, TestNode}

  # A and its members, linked; only A looks for targets, and there are none yet.
  defp scene(members) do
    port = Ports.free_port()
    ips = for n <- 3..(2 + members), do: "127.0.0.#{n}"
    dns = start_supervised!({ScriptedDNS, zone: %{{"app.test", :a} => ips}})
    [a | members] = nodes = for ip <- ["127.0.0.2" | ips], do: node!("app@#{ip}", port)
    pid = Mesh.start!(a, query: "app.test", nameservers: [ScriptedDNS.address(dns)])
    for node <- nodes, do: assert(TestNode.await_exactly(node, nodes -- [node]))
    targets = for n <- 21..29, do: "127.0.0.#{n}"
    hung = start_supervised!({HungPeer, ip: targets, port: port})
    %{a: a, pid: pid, members: members, dns: dns, ips: ips, hung: hung}
  end

  defp node!(name, port), do: TestNode.start!(name: name, epmd: {:fixed, port})

  # Lists one more target, and gives what the members said of it, by the end of their names.
  defp ask!(scene, target) do
    ScriptedDNS.put(scene.dns, {"app.test", :a}, scene.ips ++ [target])
    told = Mesh.await(scene.a, [:ask, :stop], DNSMesh, &(&1.peer == "app@#{target}"))
    {told.answers, Mesh.peer(scene.a, "app@#{target}")}
  end

  test "one that understands no question has no objection; one that says something else has one" do
    %{members: [m], a: a} = scene = scene(1)
    member = "#{m.name}"
    # Nothing of a dial is of interest here but that it began.
    dialled = fn peer -> peer.state in [:joining, :waiting] end

    # No DNSMesh at all.
    assert {%{^member => :no_mesh}, peer} = ask!(scene, "127.0.0.21")
    assert dialled.(peer)

    {:ok, _pid} = TestNode.start_child(m, {StandIn, {:reply, {:error, :unknown_call}}})
    answer = &{:reply, {:dns_mesh, 1, &1}}

    for {behaviour, answer, n} <- [
          {{:reply, {:error, :unknown_call}}, :no_mesh, 22},
          {{:reply, {:dns_mesh, 2, {:no, %{because: :too_new}}}}, :no_mesh, 23},
          {{:reply, "what?"}, :no_mesh, 24},
          {answer.(["nonsense"]), :no_answer, 25},
          {answer.(:unknown), :no_answer, 26},
          {{:twice, {:dns_mesh, 1, :silent}, {:dns_mesh, 1, :ok}}, :silent, 27},
          {{:twice, {:dns_mesh, 1, :ok}, {:dns_mesh, 1, :silent}}, :ok, 28}
        ] do
      HungPeer.hang_up(scene.hung)
      StandIn.behave(m, behaviour)
      assert {%{^member => ^answer}, peer} = ask!(scene, "127.0.0.#{n}")

      if answer in [:ok, :no_mesh],
        do: assert(dialled.(peer)),
        else: assert(%{state: :held, reason: {:unreachable_for, ^member}} = peer)
    end

    Mesh.await_rounds(a, 2)
    assert Mesh.pid(a) == scene.pid
    assert TestNode.nodes(a) == [m.name]
  end

  test "one that is late, one that never answers and one that hangs hold it for 5 s, and the poller not at all" do
    %{members: [late, silent, stopped], a: a} = scene = scene(3)
    {:ok, _} = TestNode.start_child(late, {StandIn, {:late, 6_000, {:dns_mesh, 1, :ok}}})
    {:ok, _} = TestNode.start_child(silent, {StandIn, :silent})
    TestNode.signal(stopped, "STOP")

    test = self()
    target = "app@127.0.0.21"
    processes = TestNode.call(a, :erlang, :system_info, [:process_count])

    # While the question hangs.
    watcher =
      Task.async(fn ->
        calls = for _ <- 1..60, do: timed_status(a, target)
        send(test, :watched)
        calls
      end)

    {took, {answers, peer}} = :timer.tc(fn -> ask!(scene, "127.0.0.21") end)
    assert took in 5_000_000..8_000_000
    assert answers == Map.new([late, silent, stopped], &{"#{&1.name}", :no_answer})
    assert %{state: :held, reason: {:unreachable_for, "app@127.0.0.3"}} = peer

    calls = Task.await(watcher, 20_000)
    assert Enum.any?(calls, fn {_us, state} -> state == :new end)
    assert calls |> Enum.map(&elem(&1, 0)) |> Enum.sort() |> Enum.at(30) < 50_000

    # The late answer comes after all, and is nobody's.
    Await.await(fn -> TestNode.call(a, :erlang, :system_info, [:process_count]) <= processes end)
    Mesh.await_rounds(a, 15)
    assert Mesh.pid(a) == scene.pid
    assert %{state: :held} = Mesh.peer(a, target)
    refute target in for({name, _result} <- Mesh.joins(a), do: name)
    TestNode.signal(stopped, "CONT")
  end

  # In the node: how long the call takes there, in microseconds, and what it says of the target.
  defp timed_status(node, target) do
    {us, status} = TestNode.call(node, :timer, :tc, [DNSMesh, :status, [DNSMesh]])
    Process.sleep(50)
    {us, Enum.find_value(status.peers, &(&1.name == target && &1.state))}
  end

  test "a node that looks at us is not looked at, nor over its link: nothing is learnt, and its link stays" do
    port = Ports.free_port()
    [a, b] = for n <- 2..3, do: node!("app@127.0.0.#{n}", port)
    look = fn -> TestNode.call(a, DNSMesh.Members, :look, [DNSMesh, b.name, "#{a.name}", []]) end
    # No DNSMesh there, and no link that stays.
    assert look.() == :failed
    assert TestNode.nodes(a) == []

    assert TestNode.call(b, :net_kernel, :hidden_connect_node, [a.name])
    assert look.() == :busy
    assert TestNode.nodes(a) == [b.name]

    # The end of theirs, while ours is under way.
    assert TestNode.call(b, :erlang, :disconnect_node, [a.name])
    assert TestNode.await_exactly(a, [])
    {:ok, _pid} = TestNode.start_child(b, {StandIn, :silent})
    looking = Task.async(look)
    Await.await(fn -> StandIn.asked(b) == 1 end)
    assert TestNode.call(b, :erlang, :disconnect_node, [a.name])
    assert Task.await(looking) == :busy
    assert TestNode.nodes(a) == []
  end

  test "a look ends with its link, once the link is gone, whatever the other one said" do
    port = Ports.free_port()
    [a, b] = for n <- 2..3, do: node!("app@127.0.0.#{n}", port)
    {:ok, _pid} = TestNode.start_child(b, {StandIn, :silent})
    mine = "#{a.name}"

    # In the node, so that there is no time in between.
    looked = fn ->
      """
      outcome = DNSMesh.Members.look(DNSMesh, :"#{b.name}", "#{mine}", [])
      {outcome, Node.list([:visible, :hidden])}
      """
      |> then(&TestNode.call(a, Code, :eval_string, [&1]))
      |> elem(0)
    end

    for {behaviour, outcome} <- [
          {{:reply, Members.answer({:members, [mine, :junk], %{}})}, {:ok, [mine], %{}}},
          {{:reply, Members.answer({:members, :junk, %{}})}, :failed},
          {{:reply, Members.answer({:members, [], :junk})}, :failed},
          {{:reply, Members.answer(:leaving)}, :leaving},
          {{:reply, Members.answer(:busy)}, :busy},
          {{:reply, Members.answer(:silent)}, :failed},
          {{:reply, {:error, :unknown_call}}, :failed}
        ] do
      StandIn.behave(b, behaviour)
      assert looked.() == {outcome, []}, inspect(behaviour)
    end
  end

  # A visible link is global's: ending it has other links cut.
  test "a link that has become visible while one looked stays" do
    port = Ports.free_port()
    [a, b] = for n <- 2..3, do: node!("app@127.0.0.#{n}", port)
    {:ok, _pid} = TestNode.start_child(b, {StandIn, :silent})

    {looker, _} =
      TestNode.call(a, Code, :eval_string, [
        """
        spawn(fn ->
          Process.register(self(), :looker)
          outcome = DNSMesh.Members.look(DNSMesh, :"#{b.name}", "#{a.name}", [])
          Process.put(:outcome, outcome)
          receive do: (:end -> :ok)
        end)
        """
      ])

    Await.await(fn -> StandIn.asked(b) == 1 end)

    # The end of the look's link and a new link, before the look knows of either.
    assert {true, _} =
             TestNode.call(a, Code, :eval_string, [
               """
               :erlang.suspend_process(Process.whereis(:looker))
               :erlang.disconnect_node(:"#{b.name}")
               linked = Node.connect(:"#{b.name}")
               :erlang.resume_process(Process.whereis(:looker))
               linked
               """
             ])

    ended? = fn ->
      {:dictionary, kept} = TestNode.call(a, Process, :info, [looker, :dictionary])
      kept[:outcome] == :busy
    end

    Await.await(ended?)
    assert TestNode.call(a, Node, :list, [:visible]) == [b.name]
  end

  test "each answer that a member may give is heard as it was given" do
    port = Ports.free_port()
    [a, b] = for n <- 2..3, do: node!("app@127.0.0.#{n}", port)
    {:ok, _pid} = TestNode.start_child(b, {StandIn, :silent})
    assert TestNode.call(a, Node, :connect, [b.name])
    args = [DNSMesh, "app@127.0.0.9", [b.name]]

    for answer <- [:ok, :dead, :silent, :busy] do
      StandIn.behave(b, {:reply, Members.answer(answer)})
      assert TestNode.call(a, Members, :ask, args) == %{"#{b.name}" => answer}
    end
  end

  test "one that has left by now is not asked, for that would dial it" do
    port = Ports.free_port()
    hung = start_supervised!({HungPeer, ip: "127.0.0.21", port: port})
    a = node!("app@127.0.0.2", port)
    args = [DNSMesh, "app@127.0.0.22", [:"app@127.0.0.21"]]
    assert TestNode.call(a, DNSMesh.Members, :ask, args) == %{}

    # Nor is it told that this node leaves.
    args = [DNSMesh, "app@127.0.0.2", [:"app@127.0.0.21"]]
    assert TestNode.call(a, DNSMesh.Members, :tell_leaving, args) == :ok
    assert HungPeer.accepted(hung) == 0
  end

  test "one that goes while it is asked has no objection any more" do
    %{members: [m, silent], a: a} = scene = scene(2)
    {:ok, _} = TestNode.start_child(m, {StandIn, {:reply, {:dns_mesh, 1, :ok}}})
    {:ok, _} = TestNode.start_child(silent, {StandIn, :silent})
    ScriptedDNS.put(scene.dns, {"app.test", :a}, scene.ips ++ ["127.0.0.21"])
    Await.await(fn -> StandIn.asked(silent) == 1 end)
    TestNode.kill(silent)
    Await.await(fn -> Mesh.peer(a, "app@127.0.0.21").state == :joining end, 3_000)
    assert StandIn.asked(m) >= 1
  end
end

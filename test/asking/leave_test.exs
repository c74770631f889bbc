defmodule DNSMesh.Asking.LeaveTest do
  # Leaving in good order: three real nodes, of which one leaves.
  use ExUnit.Case, async: true

  alias DNSMesh.Test.{Await, HungPeer, Mesh, NodeRelay, Ports, ScriptedDNS, TestNode}

  @ips ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
  @c "app@127.0.0.4"

  for {how, leave} <- [{"DNSMesh.leave/1", :leave}, {"a supervisor that stops it", :stop}] do
    test "#{how}: no link falls, nobody is dialled, nobody dials it for a minute, and it is back at once",
      do: leaves(unquote(leave))
  end

  defp leaves(leave) do
    port = Ports.free_port()
    # C alone is asked to find D too.
    zone = %{{"app.test", :a} => @ips, {"more.test", :a} => []}
    dns = start_supervised!({ScriptedDNS, zone: zone})
    [a, b, c] = nodes = for ip <- @ips, do: node!("app@#{ip}", port)
    for node <- [a, b], do: mesh!(node, dns, "app.test")
    mesh!(c, dns, "app.test, more.test")
    for node <- nodes, do: assert(TestNode.await_exactly(node, nodes -- [node]))
    Enum.each(nodes, &TestNode.forward_nodes/1)

    leave!(c, leave)
    # Asked by A, over the link that is still there.
    ask = fn question ->
      TestNode.call(a, GenServer, :call, [{DNSMesh, c.name}, {:dns_mesh, 1, question}])
    end

    if leave == :leave do
      # It says so itself, and nobody is told to wait for the next poll.
      assert %{state: :leaving, because: because} = TestNode.call(c, DNSMesh, :status, [])
      assert because =~ "it leaves, for DNSMesh.leave/1 was called"

      assert %{verdict: :left, fix: fix} = TestNode.call(c, DNSMesh, :doctor, [[print: false]])
      assert fix =~ "nothing, if this VM is about to stop"

      assert ask.({:reach, @c}) == {:dns_mesh, 1, :dead}
      assert ask.({:members, "#{a.name}", []}) == {:dns_mesh, 1, :leaving}

      # It goes on polling, and joins nobody.
      d = node!("app@127.0.0.5", port)
      ScriptedDNS.put(dns, {"more.test", :a}, ["127.0.0.5"])
      Mesh.await_rounds(c, 15)
      assert %{state: :new} = Mesh.peer(c, "app@127.0.0.5")
      assert TestNode.nodes(d) == []
      assert Mesh.joins(c) |> List.keyfind("app@127.0.0.5", 0) == nil
    end

    for node <- nodes, do: assert(Mesh.visible_changes(node) == [])

    # The links to it fall with the VM, and no others.
    TestNode.stop(c)
    for node <- [a, b], do: Await.await(fn -> Mesh.peer(node, @c).reason == :leaving end)

    for node <- [a, b] do
      assert %{state: :held, next_attempt: next} = Mesh.peer(node, @c)
      assert next > 50_000
    end

    # Somebody else is there now, and takes connections: none comes.
    hung = start_supervised!({HungPeer, ip: "127.0.0.4", port: port})
    for node <- [a, b], do: Mesh.drain(node, [:join, :stop])
    for node <- [a, b], do: Mesh.await_rounds(node, 20)
    assert HungPeer.accepted(hung) == 0
    for node <- [a, b], do: assert(Mesh.joins(node) == [])
    assert Mesh.visible_changes(a) == [nodedown: c.name]
    assert Mesh.visible_changes(b) == [nodedown: c.name]
    :ok = stop_supervised(HungPeer)

    # Back, and everybody has it at once.
    c = node!(@c, port)
    mesh!(c, dns, "app.test")
    for node <- [a, b], do: assert(TestNode.await_nodes(node, [c], 2_000))
    assert %{state: :connected} = Mesh.peer(a, @c)
  end

  defp leave!(node, :leave), do: assert(TestNode.call(node, DNSMesh, :leave, []) == :ok)

  defp leave!(node, :stop),
    do: assert(TestNode.call(node, NodeRelay, :stop_child, [DNSMesh]) == :ok)

  defp node!(name, port), do: TestNode.start!(name: name, epmd: {:fixed, port})

  defp mesh!(node, dns, query),
    do: Mesh.start!(node, query: query, nameservers: [ScriptedDNS.address(dns)])
end

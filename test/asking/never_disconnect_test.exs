defmodule DNSMesh.Asking.NeverDisconnectTest do
  # Whatever happens, nobody here ends a visible link: every call of the functions that could is traced, in all nodes.
  use ExUnit.Case, async: true

  alias DNSMesh.Test.{Mesh, Ports, ScriptedDNS, SilentPort, TestNode}

  @ips ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
  @silent "127.0.0.9"
  @disconnects [{:erlang, :disconnect_node, 1}, {:net_kernel, :disconnect, 1}]

  test "the look ends its own hidden link, and that is all, through outages, empty and changing answers, crashes and leaves" do
    port = Ports.free_port()
    start_supervised!({SilentPort, ip: @silent, port: port})
    # Whom B and C find does not hold A, so that it is A that comes to them.
    zone = %{{"app.test", :a} => [@silent | @ips], {"bc.test", :a} => tl(@ips)}
    dns = start_supervised!({ScriptedDNS, zone: zone})
    [a, b, c] = for ip <- @ips, do: node!("app@#{ip}", port)

    for node <- [b, c], do: mesh!(node, dns, "bc.test")
    for node <- [b, c], do: assert(TestNode.await_exactly(node, [b, c] -- [node]))

    # Alone, and somebody listed is silent: A looks at B before it joins.
    mesh!(a, dns)
    for node <- [a, b, c], do: assert(TestNode.await_exactly(node, [a, b, c] -- [node]))
    Mesh.await_rounds(a, 2)
    {looks, joined} = Enum.split_while(story(a), &match?({:disconnect, _, _}, &1))
    # Both functions, so the trace sees both.
    assert Enum.sort(looks) == [
             {:disconnect, :erlang, b.name},
             {:disconnect, :net_kernel, b.name}
           ]

    assert Enum.sort(joined) == [nodeup: b.name, nodeup: c.name]

    # From here on every link is visible.
    rotating = fn _query -> for n <- Enum.take_random(2..21, 8), do: {127, 0, 0, n} end

    for answer <- [:servfail, :nxdomain, :no_records, :silent, {:fun, rotating}] do
      for name <- ["app.test", "bc.test"], do: ScriptedDNS.put(dns, {name, :a}, answer)
      Mesh.await_rounds(a, 5)
      for node <- [a, b, c], do: assert(length(TestNode.nodes(node)) == 2)
    end

    for node <- [b, c], do: assert(Enum.uniq(story(node)) -- ups([a, b, c]) == [])
    assert story(a) == []
    for {key, answer} <- zone, do: ScriptedDNS.put(dns, key, answer)

    TestNode.kill(c)
    c = node!("app@127.0.0.4", port)
    mesh!(c, dns)
    for node <- [a, b, c], do: assert(TestNode.await_exactly(node, [a, b, c] -- [node], 20_000))
    assert TestNode.call(c, DNSMesh, :leave, []) == :ok
    Mesh.await_rounds(c, 5)
    assert_never_cut(story(c), [])
    TestNode.stop(c)
    for node <- [a, b], do: assert(TestNode.await_exactly(node, [a, b] -- [node]))
    Mesh.await_rounds(a, 5)

    for {node, others} <- [{a, [b, c]}, {b, [a, c]}] do
      story = story(node)
      assert_never_cut(story, for(other <- others, do: other.name))

      assert [nodedown: c.name, nodeup: c.name, nodedown: c.name] ==
               Enum.filter(story, &(tuple_size(&1) == 2))
    end
  end

  defp ups(nodes), do: for(node <- nodes, do: {:nodeup, node.name})

  defp node!(name, port) do
    node = TestNode.start!(name: name, epmd: {:fixed, port})
    TestNode.forward_nodes(node)
    TestNode.trace_calls(node, @disconnects)
    node
  end

  defp mesh!(node, dns, query \\ "app.test"),
    do: Mesh.start!(node, query: query, nameservers: [ScriptedDNS.address(dns)], timeout: 200)

  # A link that is there, by the nodes' own word, is not ended by this node; a look's is none of those.
  defp assert_never_cut(story, linked) do
    Enum.reduce(story, MapSet.new(linked), fn
      {:nodeup, node}, linked ->
        MapSet.put(linked, node)

      {:nodedown, node}, linked ->
        MapSet.delete(linked, node)

      {:disconnect, _module, node}, linked ->
        refute node in linked, "#{node} was disconnected: #{inspect(story)}"
        linked
    end)
  end

  # What was disconnected, and which visible nodes came and went, in that order, since it was last asked.
  defp story(%TestNode{label: label} = node) do
    receive do
      {:from_node, ^label, {:trace, _pid, :call, {module, _function, [other]}}} ->
        [{:disconnect, module, other} | story(node)]

      {:from_node, ^label, {change, other, info}} when change in [:nodeup, :nodedown] ->
        if info[:node_type] == :visible, do: [{change, other} | story(node)], else: story(node)
    after
      0 -> []
    end
  end
end

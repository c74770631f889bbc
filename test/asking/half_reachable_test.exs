defmodule DNSMesh.Asking.HalfReachableTest do
  # Two nodes that cannot reach each other, and a third that both can reach: what `global` makes of it, and that nobody
  # here is the cause of it. Real VMs on loopback, whose way to one another a module in place of epmd leads into a port
  # that gives no answer.
  use ExUnit.Case, async: true

  alias DNSMesh.Test.{Await, EpmdModule, Mesh, Ports, ScriptedDNS, SilentPort, TestNode}

  @ips ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
  @a "app@127.0.0.2"
  @b "app@127.0.0.3"
  @x "app@127.0.0.4"

  # A and B run and are linked, X can reach A, and B and X cannot reach each other.
  defp scene(opts \\ []) do
    port = Ports.free_port()
    silent = Ports.free_port()
    for ip <- @ips, do: start_supervised!({SilentPort, ip: ip, port: silent}, id: ip)
    dns = start_supervised!({ScriptedDNS, zone: %{{"app.test", :a} => tl(Enum.reverse(@ips))}})

    [a, b] = nodes = for name <- [@a, @b], do: node!(name, port)
    cut = fn x -> EpmdModule.part({b, "127.0.0.3"}, {x, "127.0.0.4"}, silent) end
    # X is not there yet, and B is told already, so that nobody sees it before the fault does.
    EpmdModule.says(b, "127.0.0.4", {:port, silent})
    for node <- nodes, do: mesh!(node, dns, opts)
    assert TestNode.await_exactly(a, [b])
    assert TestNode.await_exactly(b, [a])

    x = node!(@x, port)
    cut.(x)
    ScriptedDNS.put(dns, {"app.test", :a}, @ips)
    Enum.each([x | nodes], &TestNode.forward_nodes/1)
    %{a: a, b: b, x: x, dns: dns, silent: silent}
  end

  defp node!(name, port),
    do: TestNode.start!([name: name, epmd: {:fixed, port}] ++ EpmdModule.flags(1))

  defp mesh!(node, dns, opts) do
    base = [query: "app.test", nameservers: [ScriptedDNS.address(dns)]]
    Mesh.start!(node, base ++ opts)
  end

  defp held(node),
    do: for(%{problem: :held} = told <- Mesh.drain(node, [:problem, :raised]), do: told)

  test "a newcomer that one member cannot reach is held on both sides, named with that member, and no link falls" do
    %{a: a, b: b, x: x, dns: dns} = scene()
    mesh!(x, dns, [])

    unreachable = fn node, name, reason -> Mesh.peer(node, name)[:reason] == reason end

    Await.await(fn -> unreachable.(a, @x, {:unreachable_for, @b}) end, 15_000)
    Await.await(fn -> unreachable.(x, @a, {:member_unreachable, @b}) end, 15_000)
    Await.await(fn -> unreachable.(b, @x, {:silent, :port}) end, 15_000)
    assert %{state: :held} = Mesh.peer(a, @x)
    assert %{state: :held} = Mesh.peer(x, @a)
    Mesh.await_rounds(a, 10)
    Mesh.await_rounds(x, 10)

    # Each who would dial says it, with the pair that has to be mended: once, and again when it has lasted twice as long.
    assert_said(held(a), %{peers: [@x], member: @b, because: :unreachable_for, node: @a})
    assert_said(held(x), %{peers: [@a], member: @b, because: :member_unreachable, node: @x})
    assert held(b) == []
    assert {:warning, _} = TestNode.await_log(a, ~r/not joining #{@x}: #{@b} cannot reach it/)
    assert {:warning, _} = TestNode.await_log(x, ~r/not joining #{@a}: #{@b} is linked there/)

    refute @x in dialled(a)
    assert dialled(x) == []
    assert TestNode.nodes(a) == [b.name]
    assert TestNode.nodes(x) == []
    for node <- [a, b, x], do: assert(Mesh.visible_changes(node) == [])

    # Mended: whole again without a word from anybody, and that is told.
    EpmdModule.part({b, "127.0.0.3"}, {x, "127.0.0.4"}, nil)

    for {node, others} <- [{a, [b, x]}, {b, [a, x]}, {x, [a, b]}],
        do: assert(TestNode.await_exactly(node, others, 15_000))

    for node <- [a, x],
        do: Mesh.await(node, [:problem, :cleared], DNSMesh, &(&1.problem == :held))

    for node <- [a, b, x],
        do: assert(Keyword.get_values(Mesh.visible_changes(node), :nodedown) == [])
  end

  test "an application that connects to a held node by itself, and has links cut by that, is told so" do
    %{a: a, b: b, x: x} = scene()
    Await.await(fn -> Mesh.peer(a, @x)[:reason] == {:unreachable_for, @b} end, 15_000)
    Mesh.drain(a, [:join, :stop])
    assert TestNode.call(a, Node, :connect, [x.name])

    # B is told of X by A, and cannot reach it: `global` has the links of X cut, or of B, or both.
    told = Mesh.await(a, [:problem, :raised], DNSMesh, &(&1.problem == :dialled_past))
    assert %{peer: @x, member: @b} = told
    assert {:warning, line} = TestNode.await_log(a, ~r/was joined all the same by somebody/)
    assert line =~ "Look for code that sends to it"
    refute @x in dialled(a)
    # Which of the two who cannot reach each other stays out is chance.
    Await.await(fn -> TestNode.nodes(a) in [[b.name], [x.name]] end, 20_000)
  end

  test "the scene is real: with ask_first: false links are cut in it" do
    %{a: a, b: b, x: x, dns: dns} = scene(ask_first: false)
    mesh!(x, dns, ask_first: false)

    Await.await(
      fn -> Enum.any?([a, b, x], &(:nodedown in Keyword.keys(Mesh.visible_changes(&1)))) end,
      10_000
    )
  end

  defp assert_said([%{times: 1} | _] = all, what) do
    for told <- all, do: assert(Map.take(told, Map.keys(what)) == what)

    for [before, told] <- Enum.chunk_every(all, 2, 1, :discard),
        do: assert(told.lasted >= max(2 * before.lasted, 100))
  end

  defp dialled(node), do: for({name, _result} <- Mesh.joins(node), do: name)
end

defmodule DNSMesh.Asking.CrowdTest do
  # Many that ask at once about one target: it must not be knocked at by each for each.
  use ExUnit.Case, async: true

  alias DNSMesh.Test.{Await, HungPeer, Mesh, Ports, ScriptedDNS, StandIn, TestNode}

  @members 4
  @target "127.0.0.21"

  # Real members, all linked, and a port that takes connections in the place of the target's distribution.
  defp scene(port) do
    ips = for n <- 2..(1 + @members), do: "127.0.0.#{n}"
    dns = start_supervised!({ScriptedDNS, zone: %{{"app.test", :a} => ips}})
    nodes = for ip <- ips, do: TestNode.start!(name: "app@#{ip}", epmd: {:fixed, port})

    for node <- nodes,
        do: Mesh.start!(node, query: "app.test", nameservers: [ScriptedDNS.address(dns)])

    for node <- nodes, do: assert(TestNode.await_exactly(node, nodes -- [node]))
    {nodes, dns, ips, start_supervised!({HungPeer, ip: @target, port: port})}
  end

  test "n members that are asked about one target by n make n connects to it, and none when they know" do
    {nodes, _dns, _ips, hung} = scene(Ports.free_port())
    question = {:dns_mesh, 1, {:reach, "app@#{@target}"}}

    ask_all = fn ->
      asked =
        for asker <- nodes, member <- nodes, _twice <- 1..2 do
          to = {DNSMesh, member.name}
          Task.async(fn -> ask(asker, to, question) end)
        end

      assert asked |> Task.await_many() |> Enum.uniq() == [{:dns_mesh, 1, :ok}]
      HungPeer.accepted(hung)
    end

    assert ask_all.() == @members
    # Each has it for ten seconds.
    assert ask_all.() == @members
  end

  # Who has just been linked asks to be asked again.
  defp ask(asker, to, question) do
    case TestNode.call(asker, GenServer, :call, [to, question]) do
      {:dns_mesh, 1, :busy} -> ask(asker, to, question)
      answer -> answer
    end
  end

  test "n members that find a new target in the same answer make no more than two connects each before they dial" do
    port = Ports.free_port()
    {[first | _] = nodes, dns, ips, hung} = scene(port)

    # One more member, which has DNSMesh's name and says no: nobody dials.
    last = TestNode.start!(name: "app@127.0.0.9", epmd: {:fixed, port})
    {:ok, _} = TestNode.start_child(last, {StandIn, {:reply, {:dns_mesh, 1, :silent}}})
    ScriptedDNS.put(dns, {"app.test", :a}, ips ++ ["127.0.0.9"])
    for node <- nodes, do: assert(TestNode.await_nodes(node, [last]))

    ScriptedDNS.put(dns, {"app.test", :a}, ips ++ ["127.0.0.9", @target])
    held? = &(Mesh.peer(&1, "app@#{@target}")[:reason] == {:unreachable_for, "app@127.0.0.9"})
    for node <- nodes, do: Await.await(fn -> held?.(node) end, 10_000)
    assert HungPeer.accepted(hung) in @members..(2 * @members)

    # And polls, ten a second here, bring no more.
    accepted = HungPeer.accepted(hung)
    Mesh.await_rounds(first, 20)
    assert HungPeer.accepted(hung) == accepted

    for node <- nodes,
        do: refute("app@#{@target}" in for({name, _} <- Mesh.joins(node), do: name))
  end
end

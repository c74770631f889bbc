defmodule DNSMesh.Doctor.OutsidersTest do
  # A node that no item lists, that one member is linked to and no other can reach: what the doctor says on each of them, what
  # the log says, and that the fix, followed literally, is one.
  use ExUnit.Case, async: true

  import DNSMesh.Test.Clinic

  alias DNSMesh.Test.{Forward, Mesh, Ports, ScriptedDNS, SilentPort, TestNode}

  @both ["127.0.0.2", "127.0.0.3"]
  @livebook "livebook@127.0.0.9"

  setup do
    port = Ports.free_port()
    dns = start_supervised!({ScriptedDNS, zone: %{{"app.internal", :a} => @both}})
    [a, b] = for ip <- @both, do: TestNode.start!(name: "app@#{ip}", epmd: {:fixed, port})
    servers = [ScriptedDNS.address(dns)]
    for node <- [a, b], do: Mesh.start!(node, query: "app.internal", nameservers: servers)
    for {node, other} <- [{a, b}, {b, a}], do: well(node, [other])
    %{a: a, b: b, port: port}
  end

  # A port of its own, at which only a answers; what it dials of b, and what anybody dials of it, is swallowed.
  defp outsider!(%{a: a}, own, args) do
    l = TestNode.start!(name: @livebook, epmd: {:fixed, own}, args: args)
    assert TestNode.call(l, Node, :connect, [a.name])
    l
  end

  test "while its link stands: both sides name it, and hidden it is nobody's trouble", context do
    %{a: a, b: b, port: port} = context
    own = Ports.free_port()
    Forward.start!({{127, 0, 0, 2}, own}, {{127, 0, 0, 2}, port})
    for {ip, port} <- [{"127.0.0.3", own}, {"127.0.0.9", port}], do: swallow!(ip, port)
    l = outsider!(context, own, [])

    says = "#{@livebook}: no item of the query lists it"
    linked = "by a visible link to #{a.name}, and not to #{b.name}"
    fix = "start it hidden: elixir --hidden --name #{@livebook}"

    for node <- [a, b] do
      diagnosis = sick(node, :outsider, says: says, fix: fix)
      assert diagnosis.subject == @livebook
      assert diagnosis.sentence =~ linked

      assert %{ok: false, said: said} = Enum.find(diagnosis.table, &(&1.subject == @livebook))
      assert said =~ "linked to #{a.name}; not to #{b.name}"
    end

    TestNode.stop(l)
    outsider!(context, own, ["-hidden"])
    for {node, other} <- [{a, b}, {b, a}], do: well(node, [other])
    assert TestNode.call(a, Node, :list, [:hidden]) == [:"#{@livebook}"]
  end

  test "after its link was cut three times: the log tells, and the doctor remembers",
       context do
    %{a: a, port: port} = context
    # Whom b refuses for the cookie, `global` gives up at once.
    l = TestNode.start!(name: @livebook, epmd: {:fixed, port}, cookie: "its own")
    TestNode.call(a, Node, :set_cookie, [:"#{@livebook}", :"its own"])

    told = ~r/\d links .* and #{@livebook}, which no item of the query lists.*--hidden/

    # Three cuts are enough. What `global` cuts of its own accord, and who is linked again by it, is chance.
    assert Enum.any?(1..20, fn _ ->
             TestNode.call(l, Node, :connect, [a.name])
             TestNode.call(l, :erlang, :disconnect_node, [a.name])
             assert TestNode.await_exactly(l, [])
             Mesh.await_rounds(a, 2)
             Enum.any?(TestNode.logs(a), fn {_level, line} -> line =~ told end)
           end)

    sick(a, :outsider,
      says: "#{@livebook}: no item of the query lists it",
      fix: "elixir --hidden --name #{@livebook}"
    )

    TestNode.stop(l)
    args = ["-hidden"]
    l = TestNode.start!(name: @livebook, epmd: {:fixed, port}, cookie: "its own", args: args)
    assert TestNode.call(l, Node, :connect, [a.name])
    # What was cut so often is left alone for a while: not_yet.
    diagnosis = doctor(a)
    assert diagnosis.verdict in [:not_yet, :connected]
    refute Enum.any?(diagnosis.table, &(&1.subject == @livebook))
  end

  test "one that every member is linked to is nobody's trouble", %{a: a, b: b, port: port} do
    l = TestNode.start!(name: @livebook, epmd: {:fixed, port})
    assert TestNode.call(l, Node, :connect, [a.name])
    assert TestNode.await_nodes(b, [l])
    for {node, other} <- [{a, b}, {b, a}], do: well(node, [other])
    assert TestNode.await_nodes(b, [l])
  end

  test "one that is on its way in is waited for", %{a: a, b: b, port: port} do
    l = TestNode.start!(name: @livebook, epmd: {:fixed, port}, args: ["-connect_all", "false"])
    assert TestNode.call(l, Node, :connect, [a.name])
    TestNode.trace_calls(a, [{:erpc, :multicall, 5}])
    doctor = Task.async(fn -> doctor(a) end)
    # The members have been asked once.
    assert_receive {:from_node, _, {:trace, _, :call, {:erpc, :multicall, _}}}, 5_000
    assert TestNode.call(l, Node, :connect, [b.name])
    assert %{verdict: :connected} = Task.await(doctor)
  end

  defp swallow!(ip, port),
    do: start_supervised!({SilentPort, ip: ip, port: port}, id: {ip, port})
end

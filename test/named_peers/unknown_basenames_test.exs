defmodule DNSMesh.NamedPeers.UnknownBasenamesTest do
  # `*@app.test`: whoever is registered at the epmd of each address. Real VMs and a real epmd; what another machine's epmd
  # says is scripted, for two real ones cannot have one port on loopback.
  use ExUnit.Case, async: true

  alias DNSMesh.Test.{Epmd, HungPeer, Mesh, Ports, ScriptedDNS, ScriptedEpmd, TestNode}

  @dead "127.0.0.9"

  defp dns(zone), do: start_supervised!({ScriptedDNS, zone: zone})

  defp epmd!(addresses), do: Epmd.start!(addresses: addresses)

  defp node!(name, epmd, opts \\ []),
    do: TestNode.start!([name: name, epmd: {:port, epmd.port}] ++ opts)

  # A node of another machine: its port is what that machine's epmd tells. It asks no epmd itself, so it can reach none of
  # the others, and must not have links cut for that.
  defp elsewhere!(name, opts \\ []) do
    port = Ports.free_port()
    args = ~w(-kernel prevent_overlapping_partitions false) ++ Keyword.get(opts, :args, [])
    opts = Keyword.put(opts, :args, args)
    {TestNode.start!([name: name, epmd: {:fixed, port}] ++ opts), port}
  end

  defp other_epmd!(ip, epmd, says) do
    child = {ScriptedEpmd, ip: ip, port: epmd.port, says: says}
    start_supervised!(Supervisor.child_spec(child, id: ip))
  end

  defp mesh!(node, dns, opts) do
    base = [query: "*@app.test", nameservers: [ScriptedDNS.address(dns)]]
    Mesh.start!(node, Keyword.merge(base, opts))
  end

  defp await_problem(node, kind),
    do: Mesh.await(node, [:problem, :raised], DNSMesh, &(&1.problem == kind))

  test "every name registered at each address is joined, but this node's own and those of remote shells" do
    dns = dns(%{{"app.test", :a} => ["127.0.0.2", "127.0.0.3", "127.0.0.4"]})
    epmd = epmd!(["127.0.0.2"])

    [web, job] = for name <- ~w(web job), do: elsewhere!("#{name}@127.0.0.3")
    other = elsewhere!("web@127.0.0.4")
    shell = elsewhere!("rem-1a2b-web@127.0.0.4", args: ["-hidden"], interface: "127.0.0.4")
    other_epmd!("127.0.0.3", epmd, registered([web, job]))
    other_epmd!("127.0.0.4", epmd, registered([other, shell]))

    a = node!("web@127.0.0.2", epmd)
    beside = node!("cron@127.0.0.2", epmd)
    rpc = node!("rpc-3c4d-web@127.0.0.2", epmd, args: ["-hidden"])
    assert Enum.sort(for({name, _} <- Epmd.names(epmd), do: name)) == ~w(cron rpc-3c4d-web web)

    mesh!(a, dns, [])
    joined = [beside | for({node, _port} <- [web, job, other], do: node)]
    assert TestNode.await_exactly(a, joined)
    Mesh.await_rounds(a, 3)

    assert Enum.sort(Mesh.joins(a)) ==
             for(name <- Enum.sort(for(node <- joined, do: "#{node.name}")), do: {name, true})

    assert %{state: :refused, reason: :self} = Mesh.peer(a, "web@127.0.0.2")
    for {hidden, _} <- [shell, {rpc, 0}], do: assert(Mesh.peer(a, "#{hidden.name}") == nil)
    assert TestNode.nodes(rpc) == []
  end

  defp registered(nodes) do
    for {node, port} <- nodes do
      [basename, _host] = String.split("#{node.name}", "@")
      {basename, port}
    end
  end

  test "a part of the name is enough, and no other name is dialled" do
    dns = dns(%{{"app.test", :a} => ["127.0.0.3"]})
    epmd = epmd!(["127.0.0.2", "127.0.0.3"])
    a = node!("app-0@127.0.0.2", epmd)
    [b, _c, _d] = for name <- ~w(app-1 app web-app-2), do: node!("#{name}@127.0.0.3", epmd)
    mesh!(a, dns, query: "app-*@app.test")

    assert TestNode.await_exactly(a, [b])
    Mesh.await_rounds(a, 3)

    # The two addresses here have one epmd, so this node's own basename is registered at the other one too.
    assert ["app-0@127.0.0.3", "app-1@127.0.0.3"] =
             for(peer <- Mesh.status(a).peers, do: peer.name)
  end

  test "by name: the host is the SRV target, or the address's own name" do
    hosts = %{"app-0.test" => "127.0.0.2", "app-1.test" => "127.0.0.3"}

    dns =
      dns(%{
        {"app.test", :a} => ["127.0.0.3", @dead],
        {"_epmd._tcp.app.test", :srv} => [{0, 1, 4369, "app-1.test"}],
        {"app-1.test", :a} => ["127.0.0.3"],
        {"3.0.0.127.in-addr.arpa", :ptr} => [{:asked, :ptr, nil, "app-1.test"}]
      })

    epmd = epmd!(["127.0.0.2", "127.0.0.3"])
    allow = [allow: ["127.0.0.0/8"]]
    [b, c] = for name <- ~w(web job), do: node!("#{name}@app-1.test", epmd, hosts: hosts)

    for {query, n} <- [{"*@_epmd._tcp.app.test", 0}, {"*@app.test", 1}] do
      a = node!("app#{n}@app-0.test", epmd, hosts: hosts)
      mesh!(a, dns, [query: query] ++ allow)
      assert TestNode.await_nodes(a, [b, c])
    end
  end

  test "on a node with a short name: the host as written" do
    hosts = %{"node1" => "127.0.0.2", "node2" => "127.0.0.3"}
    dns = dns(%{{"node2", :a} => ["127.0.0.3"]})
    epmd = epmd!(["127.0.0.2", "127.0.0.3"])

    [a, b, c] =
      for name <- ["app@node1", "web@node2", "job@node2"],
          do: node!(name, epmd, names: :short, hosts: hosts)

    mesh!(a, dns, query: "*@node2", allow: ["127.0.0.0/8"])
    assert TestNode.await_exactly(a, [b, c])
  end

  # Both hosts are this machine, as are all of ::1, and an epmd has each name once.
  test "over IPv6, and this node's own name at another name of its machine is this node" do
    hosts = %{"a.test" => "::1", "b.test" => "::1"}

    dns =
      dns(%{
        {"_epmd._tcp.app.test", :srv} => [{0, 1, 4369, "b.test"}],
        {"b.test", :aaaa} => ["::1"]
      })

    epmd = epmd!(["::1"])
    ipv6 = [hosts: hosts, args: ~w(-proto_dist inet6_tcp)]
    [a, b] = for name <- ["app@a.test", "web@b.test"], do: node!(name, epmd, ipv6)
    mesh!(a, dns, query: "*@_epmd._tcp.app.test", allow: ["::1/128"])

    assert TestNode.await_exactly(a, [b])
    Mesh.await_rounds(a, 2)
    assert %{state: :refused, reason: :self} = Mesh.peer(a, "app@b.test")
    assert Mesh.joins(a) == [{"web@b.test", true}]
  end

  test "a silent epmd and an absent one are a reason at their addresses, and no failure of the round" do
    silent = "127.0.0.8"
    dns = dns(%{{"app.test", :a} => ["127.0.0.3", silent, @dead]})
    epmd = epmd!(["127.0.0.2", "127.0.0.3"])
    hung = start_supervised!({HungPeer, ip: silent, port: epmd.port, notify: self()})
    a = node!("a@127.0.0.2", epmd)
    b = node!("b@127.0.0.3", epmd)
    mesh!(a, dns, query: "b*@app.test", timeout: 300)

    assert_receive {:hung_peer, ^hung, _ip, _port}, 5_000
    assert TestNode.await_exactly(a, [b])
    Mesh.await_rounds(a, 1)
    assert %{state: :held, reason: {:epmd, :silent}} = Mesh.peer(a, "b*@#{silent}")
    assert %{state: :held, reason: {:epmd, :refused}} = Mesh.peer(a, "b*@#{@dead}")
    assert [%{error: nil}] = Mesh.status(a).queries

    assert %{peers: ["b*@127.0.0.8", "b*@127.0.0.9"]} = await_problem(a, :epmd_unreachable)
    assert {:warning, line} = TestNode.await_log(a, ~r/no epmd tells the names/)
    assert line =~ "b*@127.0.0.8, b*@127.0.0.9" and line =~ "ERL_EPMD_PORT"
    assert Mesh.joins(a) == [{"b@127.0.0.3", true}]

    # Over as soon as there is an epmd.
    {c, port} = elsewhere!("b@#{@dead}")
    other_epmd!(@dead, epmd, [{"b", port}])
    ScriptedDNS.put(dns, {"app.test", :a}, ["127.0.0.3", @dead])
    assert TestNode.await_exactly(a, [b, c])
    Mesh.await(a, [:problem, :cleared], DNSMesh, &(&1.problem == :epmd_unreachable))
    assert for(%{state: :held} = peer <- Mesh.status(a).peers, do: peer) == []
  end

  test "an absent epmd is worth a word after two intervals: its machine may just be starting" do
    dns = dns(%{{"app.test", :a} => [@dead]})
    epmd = epmd!(["127.0.0.2"])
    a = node!("a@127.0.0.2", epmd)
    mesh!(a, dns, interval: 1_500)
    Mesh.await(a, [:round, :stop])

    for _ <- 1..3, do: Mesh.poll!(a)
    assert %{state: :held, reason: {:epmd, :refused}} = Mesh.peer(a, "*@#{@dead}")
    assert Mesh.drain(a, [:problem, :raised]) == []
    assert %{peers: ["*@127.0.0.9"]} = await_problem(a, :epmd_unreachable)
  end

  test "a peer known before stays one while its epmd says nothing" do
    dns = dns(%{{"app.test", :a} => ["127.0.0.3"]})
    epmd = epmd!(["127.0.0.2"])
    a = node!("a@127.0.0.2", epmd)
    {b, port} = elsewhere!("b@127.0.0.3")
    other = other_epmd!("127.0.0.3", epmd, [{"b", port}])
    mesh!(a, dns, timeout: 200)
    assert TestNode.await_exactly(a, [b])

    for says <- [:silent, {:raw, "HTTP/1.1 400 Bad Request\r\n"}, {:raw, ""}] do
      ScriptedEpmd.says(other, says)
      Mesh.await_rounds(a, 3)
      assert %{state: :held, reason: {:epmd, _why}} = Mesh.peer(a, "*@127.0.0.3")
      assert TestNode.nodes(a) == [b.name]
      assert Mesh.missing(a) == []
    end

    # It goes and comes back in the meantime: its name was not forgotten.
    TestNode.kill(b)
    assert TestNode.await_exactly(a, [])
    Mesh.await_rounds(a, 2)
    assert Mesh.missing(a) == []
    assert %{state: state} = Mesh.peer(a, "b@127.0.0.3")
    assert state in [:new, :joining, :waiting]

    # A conclusive "nobody" of its epmd is another thing.
    ScriptedEpmd.says(other, [])
    Mesh.await_rounds(a, 2)
    assert Mesh.missing(a) == ["b@127.0.0.3"]
  end

  test "junk names never become atoms, and are refused as text" do
    dns = dns(%{{"app.test", :a} => ["127.0.0.3"]})
    epmd = epmd!(["127.0.0.2"])
    a = node!("a@127.0.0.2", epmd)
    {b, port} = elsewhere!("b@127.0.0.3")

    says = fn ->
      n = System.unique_integer([:positive])

      odd = [
        "it's",
        "a b",
        "a\"b",
        "a@b",
        "a\0b",
        "a\x1b[2J",
        "é",
        "\xFF\xFE",
        "a at port 7",
        "*"
      ]

      [{"b", port} | for(name <- odd, do: {name <> "#{n}", 9})]
    end

    other_epmd!("127.0.0.3", epmd, {:fun, says})
    mesh!(a, dns, [])
    assert TestNode.await_exactly(a, [b])
    Mesh.await_rounds(a, 3)
    Mesh.status(a)

    before = TestNode.call(a, :erlang, :system_info, [:atom_count])
    Mesh.await_rounds(a, 15)
    assert TestNode.call(a, :erlang, :system_info, [:atom_count]) == before

    {refused, others} = Enum.split_with(Mesh.status(a).peers, &(&1.reason == :bad_node_name))
    assert length(refused) >= 15 * 5
    assert Enum.all?(refused, &(&1.state == :refused and String.printable?(&1.name)))
    assert for(peer <- others, do: peer.name) == ["b@127.0.0.3"]
    assert Mesh.joins(a) == [{"b@127.0.0.3", true}]
  end
end

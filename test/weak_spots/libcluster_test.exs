defmodule DNSMesh.WeakSpots.LibclusterTest do
  # libcluster's known weak spots that DNSMesh could share, L1 and L3 to L8, each with what DNSMesh does there. Real
  # VMs, a real name server on loopback, the native resolver and Node.connect/1.
  use ExUnit.Case, async: true

  alias DNSMesh.Test.{Await, HungPeer, Mesh, Ports, ScriptedDNS, TestNode}

  defp dns(zone, opts \\ []), do: start_supervised!({ScriptedDNS, [zone: zone] ++ opts})

  defp node!(name, epmd, opts \\ []), do: TestNode.start!([name: name, epmd: epmd] ++ opts)

  defp servers(dns), do: [ScriptedDNS.address(dns)]

  # Every way in which a name server may fail to list the peers, and what a lookup says of it.
  @outages [
    {:nxdomain, :nxdomain},
    {:refused, :refused},
    {:servfail, :servfail},
    {:silent, :timeout},
    {:no_records, :no_records},
    {:junk, :bad_reply}
  ]

  test "L1: no DNS failure parts connected peers: nxdomain, refused, servfail, silence, no records, junk" do
    all = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
    dns = dns(%{{"app.internal", :a} => all})
    epmd = {:fixed, Ports.free_port()}
    # Without connect_all every link is ours, and none is mended by anybody else.
    nodes = for n <- 2..4, do: node!("app@127.0.0.#{n}", epmd, args: ~w(-connect_all false))

    for node <- nodes,
        do: Mesh.start!(node, query: "app.internal.", nameservers: servers(dns), timeout: 100)

    for node <- nodes, do: assert(TestNode.await_exactly(node, nodes -- [node]))
    Enum.each(nodes, &TestNode.forward_nodes/1)

    for {behaviour, reason} <- @outages do
      ScriptedDNS.put(dns, {"app.internal", :a}, behaviour)

      for node <- nodes do
        failed? = &(&1.result == {:error, reason})
        for _ <- 1..3, do: Mesh.await(node, [:lookup, :stop], DNSMesh, failed?)
        assert TestNode.nodes(node) == Enum.sort(for(other <- nodes -- [node], do: other.name))
      end
    end

    refute_received {:from_node, _, {:nodedown, _, _}}

    # Back again, and with one more: the outage has ended nothing else either.
    d = node!("app@127.0.0.5", epmd, args: ~w(-connect_all false))
    ScriptedDNS.put(dns, {"app.internal", :a}, ["127.0.0.5" | all])
    for node <- nodes, do: assert(TestNode.await_exactly(node, [d | nodes] -- [node]))
    refute_received {:from_node, _, {:nodedown, _, _}}
  end

  test "L3: a supervisor's start waits neither for DNS nor for hung peers" do
    addresses = for n <- 1..10, do: "127.0.2.#{n}"
    dns = dns(%{{"app.internal", :a} => {:delay, 1_500, addresses}}, notify: self())
    port = Ports.free_port()
    hung = start_supervised!({HungPeer, ip: addresses, port: port, notify: self()})
    a = node!("app@127.0.0.2", {:fixed, port})

    # The best of three: the first also loads the code, and a machine that is busy is no fault of the start.
    starts =
      for name <- [:one, :two, :three] do
        # At once, all of them: asked first, they would be dialled one after the other.
        options = [query: "app.internal", nameservers: servers(dns), ask_first: false]
        child = {DNSMesh, [name: name] ++ options}
        start = [DNSMesh.Test.NodeRelay, :start_child, [child]]
        {us, {:ok, _pid}} = TestNode.call(a, :timer, :tc, start)
        us
      end

    assert Enum.min(starts) < 100_000
    refute_received {:hung_peer, ^hung, _ip, _port}
    # The DNS answer and the peers come later, and hang as they should.
    for _ <- addresses, do: assert_receive({:hung_peer, ^hung, _ip, _port}, 10_000)
    assert Enum.count(Mesh.status(a, :one).peers, &(&1.state == :joining)) == 10
  end

  test "L4: addresses behind a CNAME are joined" do
    chain = [{:cname, "app.cluster.internal"}, "127.0.0.3"]
    dns = dns(%{{"app.internal", :a} => chain})
    epmd = {:fixed, Ports.free_port()}
    a = node!("app@127.0.0.2", epmd)
    b = node!("app@127.0.0.3", epmd)
    pid = Mesh.start!(a, query: "app.internal", nameservers: servers(dns))

    assert TestNode.await_exactly(a, [b])
    assert Mesh.pid(a) == pid
    assert [%{error: nil, answer: %{records: [{127, 0, 0, 3}]}}] = Mesh.status(a).queries
  end

  test "L5: one option without the other works, or says clearly what is missing" do
    a = TestNode.start!()
    start = &TestNode.call(a, DNSMesh, :start_link, [&1])

    # No query: nothing to do, as with no options at all.
    assert start.(basename: "app") == :ignore
    assert start.([]) == :ignore

    for {half, got} <- [
          {{"app", nil}, ~s({"app", nil})},
          {{nil, "app.internal"}, ~s({nil, "app.internal"})},
          {{"app", ""}, ~s("app@")},
          {{"", "app.internal"}, ~s("@app.internal")},
          {"app@", ~s("app@")},
          {["app.internal", "@app.internal"], ~s("@app.internal")}
        ] do
      error = assert_raise ArgumentError, fn -> start.(query: half) end
      assert error.message =~ ~r/\Aexpected .*:query to be a/
      assert error.message =~ "got: " <> got
    end

    # A query alone is enough.
    dns = dns(%{{"app.internal", :a} => ["127.0.0.3"]})
    epmd = {:fixed, Ports.free_port()}
    b = node!("app@127.0.0.2", epmd)
    c = node!("app@127.0.0.3", epmd)
    Mesh.start!(b, query: "app.internal", nameservers: servers(dns))
    assert TestNode.await_exactly(b, [c])
  end

  test "L6: an option that does not exist is refused by name, with those that do" do
    for unknown <- [:poll_interval, :polling_interval, :node_basename, :connect, :Interval] do
      error =
        assert_raise ArgumentError, fn ->
          DNSMesh.start_link([{:query, "app.internal"}, {unknown, 5_000}])
        end

      assert error.message =~ "unknown option #{inspect(unknown)}, expected one of [:query, "
      assert error.message =~ ":interval"
      # What stands behind a mistyped :cookie is nobody's business.
      refute error.message =~ "5000"
    end

    assert_raise ArgumentError, ~r/expected the options to be a keyword list, got: "app/, fn ->
      DNSMesh.start_link("app.internal")
    end
  end

  test "L7: whatever a name server sends, no more names than :max_peers become atoms, and no text of its own" do
    hostile = ~w(evil@127.0.0.9 app@127.0.0.3 EVIL x-y-z.example)
    targets = for {text, n} <- Enum.with_index(hostile), do: {0, 1, 9_000 + n, [text, "internal"]}
    addresses = for {_, _, _, name} <- targets, do: {name, {127, 0, 0, 3}}
    random = for(n <- 1..200, do: {127, 0, 3, n})

    dns =
      dns(%{
        {"app.internal", :a} => random,
        {"_app._tcp.internal", :srv} => {:ok, targets, additional: addresses}
      })

    epmd = {:fixed, Ports.free_port()}
    a = node!("app@127.0.0.2", epmd)
    b = node!("app@127.0.0.3", epmd)

    opts = [max_peers: 20, nameservers: servers(dns)]
    Mesh.start!(a, [query: "_app._tcp.internal"] ++ opts)
    assert TestNode.await_exactly(a, [b])

    # Nobody listens at these: they are probed, and that takes no atom.
    Mesh.start!(a, [name: :asking, query: "app.internal"] ++ opts)
    probed? = &(&1.state == :waiting)
    Await.await(fn -> Enum.count(Mesh.status(a, :asking).peers, probed?) == 20 end)
    assert Enum.count(random, &atom_there?(a, "app@#{:inet.ntoa(&1)}")) == 0

    Mesh.start!(a, [name: :random, query: "app.internal", ask_first: false] ++ opts)
    Mesh.await_rounds(a, 5, :random)
    assert length(Mesh.status(a, :random).peers) == 20

    assert [told | _] =
             for(
               %{problem: :peer_budget} = t <- Mesh.drain(a, [:problem, :raised], :random),
               do: t
             )

    assert told.max_peers == 20 and told.left_out == 180
    assert {:warning, _} = TestNode.await_log(a, ~r/Raise :max_peers/)

    assert Enum.count(random, &atom_there?(a, "app@#{:inet.ntoa(&1)}")) == 20
    for text <- hostile -- ["app@127.0.0.3"], do: refute(atom_there?(a, text))
    for text <- hostile, do: refute(atom_there?(a, text <> ".internal"))
    assert TestNode.nodes(a) == [b.name]
  end

  # In the node's VM, without making the atom that is looked for.
  defp atom_there?(node, text) do
    is_atom(TestNode.call(node, :erlang, :binary_to_existing_atom, [text]))
  rescue
    ArgumentError -> false
  end

  @tag :tmp_dir
  test "L8: a short name is searched for in the domains of resolv.conf", %{tmp_dir: tmp_dir} do
    dns = dns(%{{"app.example.internal", :a} => ["127.0.0.3"]})
    resolv_conf = Path.join(tmp_dir, "resolv.conf")
    File.write!(resolv_conf, "search no.internal example.internal\n")
    epmd = {:fixed, Ports.free_port()}
    a = node!("app@127.0.0.2", epmd)
    b = node!("app@127.0.0.3", epmd)

    Mesh.start!(a,
      query: "app",
      nameservers: servers(dns),
      files: %{resolv_conf: resolv_conf, hosts: Path.join(tmp_dir, "none")}
    )

    assert TestNode.await_exactly(a, [b])
    assert [%{answer: %{name: "app.example.internal"}}] = Mesh.status(a).queries
    asked = for query <- ScriptedDNS.queries(dns), uniq: true, do: query.name
    assert asked == ["app.no.internal", "app.example.internal"]
  end
end

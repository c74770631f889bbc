defmodule DNSMesh.NamedPeers.ByHostTest do
  # Nodes named by host (app@app-0.svc.test): real VMs, a real name server on loopback, the native resolver. What the
  # VMs dial by, their own resolver, has the names in a file.
  use ExUnit.Case, async: true

  alias DNSMesh.Test.{Mesh, Ports, ScriptedDNS, TestNode}

  @loopback ["127.0.0.0/8"]
  @hosts Map.new(0..3, &{"app-#{&1}.svc.test", "127.0.0.#{&1 + 2}"})
  @service "_epmd._tcp.app.svc.test"

  defp dns(zone, opts \\ []), do: start_supervised!({ScriptedDNS, [zone: zone] ++ opts})

  defp node!(name, port, opts \\ []),
    do: TestNode.start!(Keyword.merge([name: name, epmd: {:fixed, port}, hosts: @hosts], opts))

  defp mesh!(node, dns, opts) do
    allow = [allow: @loopback, nameservers: [ScriptedDNS.address(dns)]]
    Mesh.start!(node, Keyword.merge(allow, opts))
  end

  # What the name server of Kubernetes says of a headless Service.
  defp service(numbers) do
    targets = for n <- numbers, do: {0, 1, 4369, "app-#{n}.svc.test"}
    Map.merge(%{{@service, :srv} => targets}, forward(numbers))
  end

  defp forward(numbers),
    do: for(n <- numbers, host = "app-#{n}.svc.test", into: %{}, do: {{host, :a}, [@hosts[host]]})

  defp reverse(numbers),
    do: for(n <- numbers, into: %{}, do: {pointer_of(n), pointer("app-#{n}.svc.test")})

  defp pointer_of(n), do: {"#{n + 2}.0.0.127.in-addr.arpa", :ptr}
  defp pointer(host), do: [{:asked, :ptr, nil, host}]

  defp problems(node, kind),
    do: for(%{problem: ^kind} = told <- Mesh.drain(node, [:problem, :raised]), do: told)

  defp await_problem(node, kind),
    do: Mesh.await(node, [:problem, :raised], DNSMesh, &(&1.problem == kind))

  describe "SRV" do
    test "targets are the hosts of peers: a cluster without an address in any name" do
      dns = dns(service(0..2))
      port = Ports.free_port()
      nodes = for n <- 0..2, do: node!("app@app-#{n}.svc.test", port)
      for node <- nodes, do: mesh!(node, dns, query: @service)

      for node <- nodes do
        assert TestNode.await_exactly(node, nodes -- [node])
        Mesh.await_rounds(node, 2)

        assert for(peer <- Mesh.status(node).peers, do: {peer.name, peer.state, peer.reason}) ==
                 for(other <- nodes, do: seen(other, node))

        assert problems(node, :unresolved) == []
        assert Mesh.status(node).naming == "named by its host: so are its peers"
      end

      # Addresses need no reverse name for that.
      assert for(%{type: :ptr} = query <- ScriptedDNS.queries(dns), do: query) == []
    end

    defp seen(node, node), do: {"#{node.name}", :refused, :self}
    defp seen(other, _node), do: {"#{other.name}", :connected, nil}

    test "a target that has no address is held, and joined when it has one" do
      dns = dns(service(0..2) |> Map.delete({"app-2.svc.test", :a}))
      port = Ports.free_port()
      [a, b, c] = for n <- 0..2, do: node!("app@app-#{n}.svc.test", port)
      mesh!(a, dns, query: @service)

      assert TestNode.await_exactly(a, [b])
      Mesh.await_rounds(a, 3)
      assert %{state: :held, reason: :unresolved} = Mesh.peer(a, "#{c.name}")
      assert Mesh.joins(a) == [{"#{b.name}", true}]
      assert problems(a, :unresolved) == []

      ScriptedDNS.put(dns, {"app-2.svc.test", :a}, ["127.0.0.4"])
      assert TestNode.await_exactly(a, [b, c])
    end

    test "that no target but this node's own has an address is told, and parts nobody" do
      dns = dns(service(0..1))
      port = Ports.free_port()
      [a, b] = for n <- 0..1, do: node!("app@app-#{n}.svc.test", port)
      mesh!(a, dns, query: @service)
      assert TestNode.await_exactly(a, [b])

      # A link is a fact: a peer that is connected is not held.
      ScriptedDNS.put(dns, {"app-1.svc.test", :a}, :servfail)
      Mesh.await_rounds(a, 3)
      assert %{state: :connected} = Mesh.peer(a, "#{b.name}")
      assert problems(a, :unresolved) == []

      TestNode.kill(b)
      assert TestNode.await_exactly(a, [])
      assert %{peers: ["app@app-1.svc.test"]} = await_problem(a, :unresolved)
      assert {:warning, line} = TestNode.await_log(a, ~r/has no address/)
      assert line =~ "app@app-1.svc.test"
      assert %{state: :held, reason: :unresolved} = Mesh.peer(a, "#{b.name}")

      b = node!("app@app-1.svc.test", port)
      ScriptedDNS.put(dns, {"app-1.svc.test", :a}, ["127.0.0.3"])
      assert TestNode.await_exactly(a, [b])
      Mesh.await(a, [:problem, :cleared], DNSMesh, &(&1.problem == :unresolved))
    end

    test "while the addresses of all targets cannot be looked up, links and peers stay" do
      dns = dns(service(0..1))
      port = Ports.free_port()
      [a, b] = for n <- 0..1, do: node!("app@app-#{n}.svc.test", port)
      mesh!(a, dns, query: @service)
      assert TestNode.await_exactly(a, [b])

      for n <- 0..1, do: ScriptedDNS.put(dns, {"app-#{n}.svc.test", :a}, :servfail)
      assert %{reason: :servfail} = await_problem(a, :lookup_failed)
      Mesh.await_rounds(a, 2)
      assert TestNode.nodes(a) == [b.name]
      assert %{state: :connected} = Mesh.peer(a, "#{b.name}")
      assert Mesh.missing(a) == []
    end

    test "junk targets never become atoms, and are refused as text" do
      test = self()

      junk = fn ->
        n = System.unique_integer([:positive])

        for {label, at} <-
              Enum.with_index(["it's", "a b", "a\"b", "a@b", "a\0b", "a\nb", "a.b", "\xFF"]),
            do: {0, 1, 4369, ["#{label}#{n}-#{at}", "svc", "test"]}
      end

      answer =
        {:fun,
         fn _query ->
           targets = [{0, 1, 4369, "app-0.svc.test"}, {0, 1, 4369, "app-1.svc.test"} | junk.()]
           send(test, {:targets, targets})
           # Their addresses too, so that nothing but their names speaks against them.
           given = for {_, _, _, target} <- targets, do: {target, {127, 0, 0, 3}}
           {:ok, targets, additional: given}
         end}

      dns = dns(Map.put(service(0..1), {@service, :srv}, answer))
      port = Ports.free_port()
      [a, b] = for n <- 0..1, do: node!("app@app-#{n}.svc.test", port)
      mesh!(a, dns, query: @service)
      assert TestNode.await_exactly(a, [b])
      Mesh.await_rounds(a, 3)
      Mesh.status(a)

      # Rounds of ever new junk, and not an atom more.
      before = TestNode.call(a, :erlang, :system_info, [:atom_count])
      Mesh.await_rounds(a, 15)
      assert TestNode.call(a, :erlang, :system_info, [:atom_count]) == before

      peers = Mesh.status(a).peers
      refused = for %{reason: :bad_node_name} = peer <- peers, do: peer
      assert length(refused) >= 15 * 8
      assert Enum.all?(refused, &(&1.state == :refused and String.printable?(&1.name)))
      assert length(peers) == length(refused) + 2
      assert Mesh.joins(a) == [{"#{b.name}", true}]
      assert TestNode.nodes(a) == [b.name]
    end
  end

  describe "an A record without a basename" do
    test "means the peer of the address's own name (PTR), if that leads back to the address" do
      zone = %{{"app.test", :a} => for(n <- 2..4, do: "127.0.0.#{n}")}
      dns = dns(zone |> Map.merge(forward(0..2)) |> Map.merge(reverse(0..2)))
      port = Ports.free_port()
      nodes = for n <- 0..2, do: node!("app@app-#{n}.svc.test", port)
      for node <- nodes, do: mesh!(node, dns, query: "app.test")
      for node <- nodes, do: assert(TestNode.await_exactly(node, nodes -- [node]))
    end

    test "whose address has no name, or one that does not lead back, is refused, and that is told" do
      # Whoever has 127.0.0.4 may write any name into its reverse zone.
      zone =
        %{{"app.test", :a} => ["127.0.0.2", "127.0.0.3", "127.0.0.4"]}
        |> Map.merge(forward(0..1))
        |> Map.merge(reverse(0..0))
        |> Map.put(pointer_of(2), pointer("app-1.svc.test"))

      dns = dns(zone)
      port = Ports.free_port()
      [a, _b] = for n <- 0..1, do: node!("app@app-#{n}.svc.test", port)
      mesh!(a, dns, query: "app.test")

      assert %{peers: ["app@127.0.0.3", "app@127.0.0.4"], node: "app@app-0.svc.test"} =
               await_problem(a, :named_by_host)

      assert %{state: :refused, reason: {:no_host_name, :nxdomain}} =
               Mesh.peer(a, "app@127.0.0.3")

      assert %{state: :refused, reason: {:no_host_name, :unconfirmed}} =
               Mesh.peer(a, "app@127.0.0.4")

      assert {:warning, line} = TestNode.await_log(a, ~r/is named by a host name/)
      assert line =~ "app@app-0.svc.test" and line =~ "app@127.0.0.3, app@127.0.0.4"
      assert line =~ "PTR record" and line =~ "_epmd._tcp.NAME"

      text = TestNode.call(a, DNSMesh.Status, :to_text, [Mesh.status(a)])
      assert text =~ "and that address has none (PTR: no such name (NXDOMAIN))"
      assert text =~ "does not lead back to it"
      Mesh.await_rounds(a, 2)
      assert Mesh.joins(a) == []
    end

    test "whose name cannot be looked up for now is held, and a peer known before stays one" do
      zone = %{{"app.test", :a} => ["127.0.0.3", "127.0.0.4"]}
      zone = zone |> Map.merge(forward(0..2)) |> Map.merge(reverse(0..1))
      dns = dns(Map.put(zone, pointer_of(2), :silent))
      port = Ports.free_port()
      [a, b, c] = for n <- 0..2, do: node!("app@app-#{n}.svc.test", port)
      mesh!(a, dns, query: "app.test", timeout: 200)

      assert TestNode.await_exactly(a, [b])
      Mesh.await_rounds(a, 2)
      assert %{state: :held, reason: {:no_host_name, :timeout}} = Mesh.peer(a, "app@127.0.0.4")
      assert problems(a, :named_by_host) == []

      # No answer is not an empty answer: b is listed still, so it is dialled when it comes back.
      ScriptedDNS.put(dns, pointer_of(1), :silent)
      TestNode.kill(b)
      assert TestNode.await_exactly(a, [])
      Mesh.await_rounds(a, 3)
      assert Mesh.missing(a) == []
      b = node!("app@app-1.svc.test", port)
      assert TestNode.await_exactly(a, [b])

      for n <- 1..2, do: ScriptedDNS.put(dns, pointer_of(n), pointer("app-#{n}.svc.test"))
      assert TestNode.await_exactly(a, [b, c])
      # What stood for the address while its node had no name is gone with the reason.
      Mesh.await_rounds(a, 2)
      assert Mesh.peer(a, "app@127.0.0.4") == nil
      assert Mesh.peer(a, "app@127.0.0.3") == nil
    end
  end

  describe "policy on names" do
    test "a host with an address outside :allow is refused, also with one inside beside it" do
      zone = service(0..3) |> Map.put({"app-2.svc.test", :a}, ["127.0.0.3", "127.1.0.9"])
      dns = dns(Map.put(zone, {"app-3.svc.test", :a}, ["127.1.0.9"]))
      port = Ports.free_port()
      [a, b] = for n <- 0..1, do: node!("app@app-#{n}.svc.test", port)
      mesh!(a, dns, query: @service, allow: ["127.0.0.0/16"])

      assert TestNode.await_exactly(a, [b])
      Mesh.await_rounds(a, 3)

      for n <- 2..3,
          do:
            assert(
              %{state: :refused, reason: :not_allowed} = Mesh.peer(a, "app@app-#{n}.svc.test")
            )

      assert Mesh.joins(a) == [{"#{b.name}", true}]
    end

    test "a host with addresses of both families is one peer, dialled ever more rarely" do
      zone = Map.put(service(1..1), {"app-1.svc.test", :aaaa}, ["fdaa::3"])
      dns = dns(zone)
      port = Ports.free_port()
      a = node!("app@app-0.svc.test", port)
      both = [resource_types: [:a, :aaaa], allow: ["127.0.0.0/8", "fdaa::/16"]]
      mesh!(a, dns, [query: "app@app-1.svc.test", ask_first: false] ++ both)

      Mesh.await_rounds(a, 12)
      # At 0, 100, 300 and 700 ms, give or take a fifth.
      assert length(Mesh.joins(a)) in 2..5
      assert %{state: :waiting} = Mesh.peer(a, "app@app-1.svc.test")
      assert problems(a, :wrong_family) == []

      b = node!("app@app-1.svc.test", port)
      assert TestNode.await_exactly(a, [b])
    end

    test "loopback has to be allowed: a node named by host does not live there for all we know" do
      dns = dns(service(0..1))
      a = node!("app@app-0.svc.test", Ports.free_port())
      Mesh.start!(a, query: @service, nameservers: [ScriptedDNS.address(dns)])

      assert %{peers: ["app@app-1.svc.test"]} = await_problem(a, :not_allowed)
      assert {:warning, _} = TestNode.await_log(a, ~r/set :allow/)
      assert Mesh.joins(a) == []
    end
  end

  describe "the option :naming" do
    test ":address on a node named by host: peers are named by their addresses" do
      dns = dns(%{{"app.test", :a} => ["127.0.0.3"]})
      port = Ports.free_port()
      a = node!("app@app-0.svc.test", port)
      b = node!("app@127.0.0.3", port)
      mesh!(a, dns, query: "app.test", naming: :address)

      assert TestNode.await_exactly(a, [b])
      assert for(%{type: :ptr} = query <- ScriptedDNS.queries(dns), do: query) == []
    end

    test ":name on a node named by address: peers are named by host" do
      zone = %{{"app.test", :a} => ["127.0.0.3"]}
      dns = dns(zone |> Map.merge(service(1..1)) |> Map.merge(reverse(1..1)))
      port = Ports.free_port()
      a = node!("app@127.0.0.2", port)
      b = node!("app@app-1.svc.test", port)
      mesh!(a, dns, query: "app.test", naming: :name)
      assert TestNode.await_exactly(a, [b])

      # And by SRV, and as written.
      for {query, ip} <- [{@service, "127.0.0.4"}, {"app@app-1.svc.test", "127.0.0.5"}] do
        c = node!("app@#{ip}", port)
        mesh!(c, dns, query: query, naming: :name)
        assert TestNode.await_nodes(c, [b])
      end
    end
  end
end

defmodule DNSMesh.Doctor.WrongPeersTest do
  # As wrong_setups_test.exs, about what lies with the peer, or on the way to it. The peer's "machine" is 127.0.0.3, with an
  # epmd of its own where one is needed.
  use ExUnit.Case, async: true

  import DNSMesh.Test.Clinic

  alias DNSMesh.AtomBudget
  alias DNSMesh.Test.{Epmd, Forward, HungPeer, Mesh, Ports, ScriptedDNS, ScriptedEpmd, TestNode}

  @name {"app.internal", :a}
  @both ["127.0.0.2", "127.0.0.3"]
  @peer "app@127.0.0.3"

  setup do
    %{port: Ports.free_port(), dns: start_supervised!({ScriptedDNS, zone: %{@name => @both}})}
  end

  # Without epmd: each listens at one port of an address of its own.
  defp a!(port, opts \\ []), do: node!("app@127.0.0.2", port, opts)
  defp b!(port, opts \\ []), do: node!(@peer, port, opts)

  defp node!(name, port, opts),
    do: TestNode.start!([name: name, epmd: {:fixed, port}] ++ opts)

  # With an epmd at this node's address only: that of the peer's is somebody else.
  defp a_with_epmd! do
    epmd = Epmd.start!(addresses: ["127.0.0.2"])
    {TestNode.start!(name: "app@127.0.0.2", epmd: {:port, epmd.port}), epmd.port}
  end

  defp epmd!(port, says),
    do: start_supervised!({ScriptedEpmd, ip: "127.0.0.3", port: port, says: says})

  defp mesh!(node, dns, opts \\ []) do
    servers = [ScriptedDNS.address(dns)]
    Mesh.start!(node, Keyword.merge([query: "app.internal", nameservers: servers], opts))
  end

  describe "at the peer's epmd:" do
    setup %{dns: dns} do
      {a, epmd_port} = a_with_epmd!()
      mesh!(a, dns, name: Sick)
      %{a: a, epmd_port: epmd_port}
    end

    # The instance that was there finds the peer too, within 5 s: so long it leaves one alone that it has probed in vain.
    defp cured(a, dns, b) do
      mesh!(a, dns)
      well(a, [b])
      assert Mesh.peer(a, @peer, Sick).state == :connected
    end

    test "nobody, for no node was started there",
         %{a: a, epmd_port: epmd_port, port: port} = context do
      sick(a, :epmd_refused,
        name: Sick,
        says: "#{@peer}: the host answers, and no epmd runs there (port #{epmd_port})",
        fix: "start the node there, which starts its epmd"
      )

      b = b!(port)
      epmd!(epmd_port, [{"app", port}])
      cured(a, context.dns, b)
    end

    test "silence, as behind a firewall", %{a: a, epmd_port: epmd_port, port: port} = context do
      b = b!(port)
      hung = start_supervised!({HungPeer, ip: "127.0.0.3", port: epmd_port})

      sick(a, :epmd_silent,
        name: Sick,
        says: "#{@peer}: epmd's port, #{epmd_port}, does not answer",
        fix: "open TCP port #{epmd_port} and the distribution port from this host to 127.0.0.3"
      )

      HungPeer.hang_up(hung)
      :ok = stop_supervised(HungPeer)
      epmd!(epmd_port, [{"app", port}])
      cured(a, context.dns, b)
    end

    test "something else", %{a: a, epmd_port: epmd_port, port: port} = context do
      epmd = epmd!(epmd_port, {:raw, "HTTP/1.1 400 Bad Request\r\n\r\n"})
      sick(a, :epmd_refused, name: Sick, says: "held by something else", fix: "ERL_EPMD_PORT")
      b = b!(port)
      ScriptedEpmd.says(epmd, [{"app", port}])
      cured(a, context.dns, b)
    end

    test "another basename", %{a: a, dns: dns, epmd_port: epmd_port, port: port} do
      b = node!("worker@127.0.0.3", port, [])
      epmd!(epmd_port, [{"worker", port}])

      sick(a, :not_registered,
        name: Sick,
        says: ~s(0 of 1 peer connected. #{@peer}: epmd answers but knows only "worker".),
        fix: ~s(start it with basename app (--name #{@peer}\), or query "*@app.internal".)
      )

      mesh!(a, dns, query: "*@app.internal", name: Workers)
      assert TestNode.await_nodes(a, [b])
      well(a, [b], name: Workers)
    end

    test "another basename, where the node is given the right one", context do
      b = node!("worker@127.0.0.3", context.port, [])
      epmd = epmd!(context.epmd_port, [{"worker", context.port}])
      sick(context.a, :not_registered, name: Sick, says: "worker", fix: "--name #{@peer}")
      TestNode.stop(b)
      b = b!(context.port)
      ScriptedEpmd.says(epmd, [{"app", context.port}])
      cured(context.a, context.dns, b)
    end

    test "nobody registered", %{a: a, epmd_port: epmd_port, port: port} = context do
      epmd = epmd!(epmd_port, [])

      sick(a, :not_registered,
        name: Sick,
        says: "epmd answers and knows no node",
        fix: "start the node"
      )

      b = b!(port)
      ScriptedEpmd.says(epmd, [{"app", port}])
      cured(a, context.dns, b)
    end

    test "a port at which nobody listens, for the node listens elsewhere", context do
      b = b!(context.port, interface: "127.0.0.4")
      epmd!(context.epmd_port, [{"app", context.port}])

      sick(context.a, :port_closed,
        name: Sick,
        says: "nobody listens at 127.0.0.3",
        fix: "start it without inet_dist_use_interface, or with that address"
      )

      TestNode.stop(b)
      cured(context.a, context.dns, b!(context.port))
    end

    test "a port that swallows packets, as behind a firewall", context do
      # A queue of one that is full: the kernel drops what else knocks.
      ip = {127, 0, 0, 3}
      {:ok, full} = :gen_tcp.listen(context.port, ip: ip, backlog: 0, reuseaddr: true)
      knocks = for _ <- 1..2, do: :gen_tcp.connect(ip, context.port, [], 200)
      epmd!(context.epmd_port, [{"app", context.port}])

      sick(context.a, :port_silent,
        name: Sick,
        says: "epmd answers for it, and the distribution port does not",
        fix: "open these TCP ports from this host to 127.0.0.3"
      )

      for {:ok, socket} <- knocks, do: :gen_tcp.close(socket)
      :gen_tcp.close(full)
      cured(context.a, context.dns, b!(context.port))
    end

    test "names unknown to all, where nobody answers", %{a: a, dns: dns, epmd_port: epmd_port} do
      mesh!(a, dns, query: "*@app.internal", name: Any)
      sick(a, :epmd_refused, name: Any, says: "*@127.0.0.3", fix: "start the node there")
      port = Ports.free_port()
      epmd!(epmd_port, [{"app", port}])
      b = b!(port)
      assert TestNode.await_nodes(a, [b])
    end
  end

  describe "at the peer's distribution port:" do
    test "a node with another cookie", %{dns: dns, port: port} do
      a = a!(port)
      b = b!(port, cookie: "another")
      mesh!(a, dns)
      sick(a, :wrong_cookie, says: "#{@peer}: it does not take", fix: "RELEASE_COOKIE, --cookie")
      TestNode.stop(b)
      well(a, [b!(port)])
    end

    test "a node with a cookie for each of its peers is greeted with the right one", context do
      a = a!(context.port)
      b!(context.port, cookie: "another")
      mesh!(a, context.dns, ask_first: false, interval: 60_000)
      # With this node's own cookie, in vain; the next attempt is a minute away.
      assert %{result: false} = Mesh.await(a, [:join, :stop])
      TestNode.call(a, Node, :set_cookie, [:"app@127.0.0.3", :another])
      assert %{verdict: :not_yet, sentence: sentence} = doctor(a)
      assert sentence =~ "takes the cookie"
    end

    test "a node that answers under another name", %{dns: dns, port: port} do
      a = a!(port)
      b = node!("app@127.0.0.9", port, interface: "127.0.0.3")
      mesh!(a, dns)

      sick(a, :other_name,
        says: "the node at that address answers as app@127.0.0.9",
        fix: "name that node #{@peer}"
      )

      TestNode.stop(b)
      # As its fix has it: without a name, and with that address.
      b = TestNode.start!(epmd: {:fixed, port}, label: :b)

      mesh!(b, dns,
        distribution: :auto,
        basename: "app",
        address: "127.0.0.3"
      )

      well(a, [:"app@127.0.0.3"])
    end

    test "a node that lets in only the nodes of a list", %{dns: dns, port: port} do
      a = a!(port)
      b = b!(port)
      TestNode.call(b, :net_kernel, :allow, [[:"friend@127.0.0.4"]])
      mesh!(a, dns)
      sick(a, :not_admitted, says: "net_kernel:allow/1", fix: "add app@127.0.0.2 to that list")
      TestNode.call(b, :net_kernel, :allow, [[:"app@127.0.0.2"]])
      # Looked at from outside, for it is let in under its own name only.
      looks = [query: "app@app.internal", nameservers: [ScriptedDNS.address(dns)]]
      assert doctor(a, looks).healthy?
      well(a, [b])
    end

    test "a VM that hangs", %{dns: dns, port: port} do
      a = a!(port)
      b = b!(port)
      TestNode.signal(b, "STOP")
      mesh!(a, dns)
      sick(a, :node_silent, says: "takes the connection and says nothing", fix: "restart it")
      TestNode.kill(b)
      well(a, [b!(port)], timeout: 8_000)
    end

    test "TLS, and something that is no node", %{dns: dns, port: port} do
      a = a!(port)
      mesh!(a, dns)
      # An alert of TLS 1.2, as a listener of TLS answers what is none.
      tls =
        start_supervised!(
          {ScriptedEpmd, ip: "127.0.0.3", port: port, says: {:raw, <<21, 3, 3, 0, 2, 2, 10>>}}
        )

      sick(a, :tls, says: "speaks TLS", fix: "boot all nodes alike")
      ScriptedEpmd.says(tls, {:raw, "HTTP/1.1 400 Bad Request\r\n\r\n"})
      sick(a, :no_node, says: "is no node", fix: "free that port")
      :ok = stop_supervised(ScriptedEpmd)
      well(a, [b!(port)])
    end

    test "a hidden node, or this one is hidden", %{dns: dns, port: port} do
      a = a!(port)
      b = b!(port, args: ["-hidden"])
      mesh!(a, dns)
      says = "a hidden node, which Node.list/0 does not show"
      sick(a, :hidden, says: says, fix: "start that node without -hidden")
      assert TestNode.await_nodes(a, [b])
      sick(a, :hidden, says: says, fix: "start that node without -hidden", eventually: true)
      TestNode.stop(b)
      b = b!(port)
      well(a, [b])

      hidden = node!("app@127.0.0.5", port, args: ["-hidden"])
      ScriptedDNS.put(dns, @name, ["127.0.0.3", "127.0.0.5"])
      mesh!(hidden, dns)
      assert TestNode.await_nodes(hidden, [b])

      sick(hidden, :hidden,
        says: "was booted with -hidden",
        fix: "start this node without -hidden",
        eventually: true
      )
    end
  end

  test "addresses of hosts behind which the nodes stand, by NAT", %{dns: dns, port: port} do
    a = a!(port)
    b = b!(port)
    # Ports of two hosts, forwarded to the nodes; the nodes' own addresses are listed nowhere.
    for {from, to} <- [{{127, 0, 0, 72}, {127, 0, 0, 2}}, {{127, 0, 0, 73}, {127, 0, 0, 3}}],
        do: Forward.start!({from, port}, {to, port})

    ScriptedDNS.put(dns, @name, ["127.0.0.72", "127.0.0.73"])
    ScriptedDNS.put(dns, {"inner.internal", :a}, @both)
    mesh!(a, dns, name: Hosts)
    sick(a, :nat, name: Hosts, says: "by NAT", fix: "query a name that lists the inner addresses")
    mesh!(a, dns, query: "inner.internal")
    well(a, [b])
  end

  test "a load balancer before the nodes, beside the nodes themselves", %{dns: dns, port: port} do
    a = a!(port)
    b = b!(port)
    Forward.start!({{127, 0, 0, 100}, port}, {{127, 0, 0, 3}, port})
    ScriptedDNS.put(dns, @name, @both ++ ["127.0.0.100"])
    mesh!(a, dns)
    assert TestNode.await_nodes(a, [b])

    sick(a, :load_balancer,
      says: "app@127.0.0.100: what answers there is #{@peer}, which is linked under that name",
      fix: "take 127.0.0.100 out of app.internal"
    )

    ScriptedDNS.put(dns, @name, @both)
    well(a, [b])
  end

  # `docker network disconnect` and `connect`: the machine has another address, the node its old name, and its links.
  test "a node whose machine has another address now", %{dns: dns, port: port} do
    a = a!(port)
    b = b!(port)
    mesh!(a, dns)
    assert TestNode.await_nodes(a, [b])
    moved = Forward.start!({{127, 0, 0, 100}, port}, {{127, 0, 0, 3}, port})
    ScriptedDNS.put(dns, @name, ["127.0.0.2", "127.0.0.100"])

    sick(a, :other_name,
      says: "app@127.0.0.100: the node at that address answers as #{@peer}",
      fix: "restart it, if its address has changed since it started",
      eventually: true
    )

    # While it does not answer, it keeps itself out.
    TestNode.signal(b, "STOP")
    Mesh.await(a, [:problem, :raised], DNSMesh, &(&1.problem == :held))
    assert {:warning, line} = TestNode.await_log(a, ~r/not joining/)
    assert line =~ "#{@peer}, which no answer lists"
    refute Enum.any?(TestNode.logs(a), &(elem(&1, 1) =~ ~r/mend the way/i))

    Process.unlink(moved)
    Process.exit(moved, :kill)
    TestNode.kill(b)
    well(a, [node!("app@127.0.0.100", port, [])])
  end

  test "a load balancer that leads back to this node", %{dns: dns, port: port} do
    a = a!(port)
    b = b!(port)
    Forward.start!({{127, 0, 0, 100}, port}, {{127, 0, 0, 2}, port})
    mesh!(a, dns, query: "app.internal,127.0.0.100", name: Doubled)

    sick(a, :load_balancer,
      name: Doubled,
      says: "app@127.0.0.100: what answers there is this node itself",
      fix: "take 127.0.0.100 out of the query"
    )

    mesh!(a, dns)
    well(a, [b])
  end

  describe "policy:" do
    test "the address is not in :allow", %{dns: dns, port: port} do
      a = a!(port)
      b = b!(port)
      mesh!(a, dns, allow: ["10.0.0.0/8"], name: Strict)

      sick(a, :not_allowed,
        name: Strict,
        says: "#{@peer}: the address is not in :allow",
        fix: ~s(allow: ["10.0.0.0/8", "127.0.0.0/24"])
      )

      mesh!(a, dns, allow: ["10.0.0.0/8", "127.0.0.0/24"])
      well(a, [b])
    end

    test "the budget of atoms is spent", %{dns: dns, port: port} do
      a = a!(port)
      b = b!(port)
      :ok = TestNode.call(a, AtomBudget, :take, [])
      budget = TestNode.call(a, :persistent_term, :get, [AtomBudget])
      TestNode.call(a, :atomics, :put, [budget, 1, -1])
      mesh!(a, dns)

      sick(a, :atom_budget,
        says: "atom table",
        fix: "what the name server answers",
        eventually: true
      )

      # It goes on by itself, at one name in 3.5 s; here at once.
      TestNode.call(a, :atomics, :put, [budget, 1, 1])
      well(a, [b])
    end

    test "a peer that has said that it leaves", %{dns: dns, port: port} do
      a = a!(port)
      b = b!(port)
      for node <- [a, b], do: mesh!(node, dns)
      assert TestNode.await_nodes(a, [b])
      :ok = TestNode.call(b, DNSMesh, :leave, [])

      # Over the same link, and so after the word that it leaves, which the end of the link would lose else.
      TestNode.call(b, GenServer, :call, [{DNSMesh, a.name}, :status])
      TestNode.call(b, :erlang, :disconnect_node, [:"app@127.0.0.2"])
      sick(a, :leaving, says: "has said that it stops", fix: "else restart it", eventually: true)
      TestNode.stop(b)
      b = b!(port)
      mesh!(b, dns)
      well(a, [b])
    end
  end

  # Modules for the nodes, which have the test VM's compiled code and not this file.
  {:module, liar, liar_code, _} =
    defmodule Liar do
      # Stands at a member in DNSMesh's place, and says of every node what it was started with.
      use GenServer

      def start_link({mesh, says}), do: GenServer.start_link(__MODULE__, says, name: mesh)

      @impl true
      def init(says), do: {:ok, says}

      @impl true
      def handle_call({:dns_mesh, 1, {:reach, _}}, _from, says),
        do: {:reply, {:dns_mesh, 1, says}, says}

      def handle_call({:dns_mesh, 1, {:members, _, asked}}, _from, says) do
        answers = Map.new(asked, &{&1, says})
        {:reply, {:dns_mesh, 1, {:members, asked, answers}}, says}
      end
    end

  {:module, list, list_code, _} =
    defmodule List do
      def discover(names, _context), do: {:ok, names}
    end

  @modules %{liar => liar_code, list => list_code}

  defp teach!(node, module) do
    {:module, ^module} =
      TestNode.call(node, :code, :load_binary, [module, ~c"taught", @modules[module]])
  end

  describe "held:" do
    setup %{port: port} do
      [a, b, c] = for n <- 2..4, do: node!("app@127.0.0.#{n}", port, [])
      for node <- [b, c], do: teach!(node, Liar)
      %{a: a, b: b, c: c}
    end

    test "a member cannot reach the peer", %{a: a, b: b, c: c, dns: dns} do
      {:ok, _} = TestNode.start_child(b, {Liar, {DNSMesh, :silent}})
      mesh!(a, dns)
      assert TestNode.await_nodes(a, [b])
      ScriptedDNS.put(dns, @name, ["127.0.0.2", "127.0.0.3", "127.0.0.4"])

      sick(a, :unreachable_for,
        says: "app@127.0.0.4: not joined, because #{@peer} cannot reach it",
        fix: "mend the way between #{@peer} and 127.0.0.4",
        eventually: true
      )

      # Mended: the member says so now.
      TestNode.stop(b)
      b = node!(@peer, a |> port(), [])
      well(a, [b, c])
    end

    test "this node cannot reach a member of the peer's",
         %{a: a, b: b, c: c, dns: dns} = context do
      {:ok, _} = TestNode.start_child(c, {Liar, {DNSMesh, :ok}})
      TestNode.stop(b)
      # Its packets are swallowed.
      {:ok, full} = :gen_tcp.listen(context.port, ip: {127, 0, 0, 3}, backlog: 0, reuseaddr: true)
      knocks = for _ <- 1..2, do: :gen_tcp.connect({127, 0, 0, 3}, context.port, [], 200)
      ScriptedDNS.put(dns, @name, ["127.0.0.2", "127.0.0.3", "127.0.0.4"])
      mesh!(a, dns)

      eventually_row(a, "app@127.0.0.4", ~r/held: it is linked to #{@peer}/)

      sick(a, :member_unreachable,
        says:
          "0 of 2 peers connected. app@127.0.0.4: not joined, because it is linked to #{@peer}",
        fix: "mend the way between app@127.0.0.2 and #{@peer}"
      )

      for {:ok, socket} <- knocks, do: :gen_tcp.close(socket)
      :gen_tcp.close(full)
      b = node!(@peer, context.port, [])
      well(a, [b, c])
    end

    defp port(node) do
      {:ok, [[port]]} = TestNode.call(node, :init, :get_argument, [:erl_epmd_port])
      Elixir.List.to_integer(port)
    end
  end

  describe "a source lists" do
    setup %{port: port} do
      a = a!(port)
      teach!(a, List)
      %{a: a, b: b!(port)}
    end

    test "a host that has no address", %{a: a, b: b, dns: dns} do
      mesh!(a, dns, query: {List, ["app@nosuch.test"]}, name: Unresolved)

      sick(a, :unresolved,
        name: Unresolved,
        says: "app@nosuch.test: the host has no address",
        fix: "have the name servers, or /etc/hosts, know nosuch.test",
        eventually: true
      )

      mesh!(a, dns, query: {List, [@peer]})
      well(a, [b])
    end
  end
end

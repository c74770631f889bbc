defmodule DNSMesh.NamedPeers.ShortNamesTest do
  # Nodes named as `--sname node1@node1` names them, and items that each name one node. Real VMs, a real name server.
  use ExUnit.Case, async: true

  import DNSMesh.Test.Clinic

  alias DNSMesh.Test.{Await, Epmd, Mesh, Ports, ScriptedDNS, TestNode}

  @moduletag :tmp_dir

  @loopback ["127.0.0.0/8"]
  @hosts %{
    "node1" => "127.0.0.2",
    "node2" => "127.0.0.3",
    "node3" => "127.0.0.4",
    "node1.test" => "127.0.0.5"
  }
  @list "node1@node1,node2@node2,node3@node3"

  defp dns(zone, opts \\ []), do: start_supervised!({ScriptedDNS, [zone: zone] ++ opts})

  # As Docker's name server: the hosts of the containers that run.
  defp running(hosts), do: for(host <- hosts, into: %{}, do: {{host, :a}, [@hosts[host]]})

  defp short!(name, port, opts \\ []) do
    base = [name: name, names: :short, epmd: {:fixed, port}, hosts: @hosts]
    TestNode.start!(Keyword.merge(base, opts))
  end

  defp mesh!(node, dns, opts) do
    base = [allow: @loopback, nameservers: [ScriptedDNS.address(dns)]]
    Mesh.start!(node, Keyword.merge(base, opts))
  end

  # This machine's own resolv.conf and hosts file have no say; these are not there.
  defp no_files(tmp_dir),
    do: [
      files: %{resolv_conf: Path.join(tmp_dir, "resolv.conf"), hosts: Path.join(tmp_dir, "hosts")}
    ]

  defp await_problem(node, kind, wanted? \\ fn _ -> true end),
    do: Mesh.await(node, [:problem, :raised], DNSMesh, &(&1.problem == kind and wanted?.(&1)))

  defp asked(dns), do: for(query <- ScriptedDNS.queries(dns), do: {query.name, query.type})

  describe "strings that each name one node" do
    test "are joined whichever starts first, and again after a restart" do
      dns = dns(running(["node2"]))
      port = Ports.free_port()
      env = [env: [{"DNS_CLUSTER_QUERY", @list}]]

      node2 = short!("node2@node2", port, env)
      mesh!(node2, dns, [])
      assert %{reason: :nxdomain} = await_problem(node2, :nobody, &(&1.query == "node1@node1"))
      assert TestNode.nodes(node2) == []

      # Later, and then once more: its container was restarted.
      for _ <- 1..2 do
        ScriptedDNS.put(dns, {"node1", :a}, ["127.0.0.2"])
        node1 = short!("node1@node1", port, env)
        mesh!(node1, dns, [])
        assert TestNode.await_exactly(node2, [node1])
        assert TestNode.await_exactly(node1, [node2])
        assert %{query: "node3@node3"} = await_problem(node1, :nobody)

        TestNode.kill(node1)
        ScriptedDNS.put(dns, {"node1", :a}, :nxdomain)
        assert TestNode.await_exactly(node2, [])
      end
    end

    test "of which one is not there: it is said of that one, and the others are joined", %{
      tmp_dir: tmp_dir
    } do
      dns = dns(running(["node1", "node2"]))
      port = Ports.free_port()
      [node1, node2] = for n <- 1..2, do: short!("node#{n}@node#{n}", port)
      mesh!(node1, dns, [query: @list] ++ no_files(tmp_dir))

      assert TestNode.await_exactly(node1, [node2])
      assert %{query: "node3@node3"} = await_problem(node1, :nobody)
      assert {:warning, line} = TestNode.await_log(node1, ~r/lists nobody/)
      assert line =~ "node3@node3 lists nobody: no such name"
      Mesh.await_rounds(node1, 2)

      assert [
               %{name: "node1@node1", reason: :self},
               %{name: "node2@node2", state: :connected, reason: nil}
             ] = Mesh.status(node1).peers

      assert [nil, nil, :nxdomain] = for(query <- Mesh.status(node1).queries, do: query.error)
      assert Mesh.joins(node1) == [{"node2@node2", true}]

      # Its own name server is asked for the others only: its own host it knows.
      assert Enum.uniq(asked(dns)) |> Enum.sort() == [{"node2", :a}, {"node3", :a}]
    end

    test "are searched for in the domains of resolv.conf, and joined under the name as written",
         %{
           tmp_dir: tmp_dir
         } do
      dns = dns(%{{"node2.stack.test", :a} => ["127.0.0.3"]})
      port = Ports.free_port()
      [node1, node2] = for n <- 1..2, do: short!("node#{n}@node#{n}", port)
      files = no_files(tmp_dir)
      File.write!(files[:files].resolv_conf, "search stack.test\n")
      mesh!(node1, dns, [query: @list] ++ files)

      assert TestNode.await_exactly(node1, [node2])
      assert %{state: :connected} = Mesh.peer(node1, "node2@node2")
    end

    test "with two addresses behind the host: one node, and a word about SRV", %{tmp_dir: tmp_dir} do
      dns = dns(%{{"node2", :a} => ["127.0.0.3", "127.0.0.4"]})
      port = Ports.free_port()
      [node1, node2] = for n <- 1..2, do: short!("node#{n}@node#{n}", port)
      mesh!(node1, dns, [query: "node2@node2"] ++ no_files(tmp_dir))

      assert %{query: "node2@node2", addresses: 2} = await_problem(node1, :several_addresses)
      assert {:warning, line} = TestNode.await_log(node1, ~r/2 addresses/)
      assert line =~ "node2@node2 names one node" and line =~ "SRV"
      assert TestNode.await_exactly(node1, [node2])
      Mesh.await_rounds(node1, 2)
      assert [%{name: "node2@node2"}] = Mesh.status(node1).peers

      ScriptedDNS.put(dns, {"node2", :a}, ["127.0.0.3"])
      Mesh.await(node1, [:problem, :cleared], DNSMesh, &(&1.problem == :several_addresses))
      assert TestNode.nodes(node1) == [node2.name]
    end

    test "at this node's own host need no name server: two nodes on a laptop" do
      epmd = Epmd.start!(addresses: ["127.0.0.1"])
      dns = dns(%{}, default: :servfail)
      [a, b] = for name <- ["a@laptop", "b@laptop"], do: laptop!(name, epmd)

      # Without :allow: nobody is asked who could lead us elsewhere.
      Mesh.start!(a,
        query: "a@laptop, b@laptop, c@laptop",
        nameservers: [ScriptedDNS.address(dns)]
      )

      assert TestNode.await_exactly(a, [b])
      Await.await(fn -> Mesh.peer(a, "c@laptop").reason == {:dead, :not_registered} end)
      assert %{state: :refused, reason: :self} = Mesh.peer(a, "a@laptop")
      assert [nil, nil, nil] = for(query <- Mesh.status(a).queries, do: query.error)
      assert asked(dns) == []

      c = laptop!("c@laptop", epmd)
      assert TestNode.await_exactly(a, [b, c])
      assert asked(dns) == []
    end

    for query <- ["*@laptop", "*@localhost"] do
      test "or by #{query}: what the epmd of this machine knows" do
        epmd = Epmd.start!(addresses: ["127.0.0.1"])
        dns = dns(%{}, default: :servfail)
        [a, b] = for name <- ["a@laptop", "b@laptop"], do: laptop!(name, epmd)
        rem = laptop!("rem-1a2b-a@laptop", epmd)
        mesh = [query: unquote(query), nameservers: [ScriptedDNS.address(dns)]]
        Mesh.start!(a, mesh)
        assert TestNode.await_exactly(a, [b])
        assert %{state: :refused, reason: :self} = Mesh.peer(a, "a@laptop")

        c = laptop!("c@laptop", epmd)
        assert TestNode.await_exactly(a, [b, c])
        TestNode.kill(c)
        assert TestNode.await_exactly(a, [b])
        assert TestNode.nodes(rem) == []
        assert asked(dns) == []

        assert [%{error: nil, answer: answer}] = Mesh.status(a).queries
        assert answer.server == "this machine's epmd"
        assert "#{Mesh.status(a)}" =~ "1 record from this machine's epmd"
        well(a, [b])

        # Another cookie, say that of another project on this laptop.
        laptop!("d@laptop", epmd, cookie: "another")

        assert %{verdict: :wrong_cookie, subject: "d@laptop"} =
                 sick(a, :wrong_cookie, says: "d@laptop", fix: "RELEASE_COOKIE", eventually: true)
      end
    end

    test "or by a pattern that none of them fits: the doctor tells the names there are" do
      epmd = Epmd.start!(addresses: ["127.0.0.1"])
      [a, b] = for name <- ["a@laptop", "b@laptop"], do: laptop!(name, epmd)
      Mesh.start!(a, query: "app-*@localhost", name: Typo)

      sick(a, :not_registered,
        name: Typo,
        says:
          ~s(app-*@localhost lists no node: none of those that epmd knows at 127.0.0.1 is called so, but "a", "b".),
        fix: ~s(query "*@localhost", which lists them all)
      )

      Mesh.start!(a, query: "*@localhost")
      well(a, [b])
    end

    defp laptop!(name, epmd, opts \\ []) do
      hosts = %{"laptop" => "127.0.0.1"}

      TestNode.start!([name: name, names: :short, epmd: {:port, epmd.port}, hosts: hosts] ++ opts)
    end
  end

  describe "*@localhost" do
    test "among nodes named by an address, and by a long name, which listen there alone" do
      for {host, address} <- [{"127.0.0.2", "127.0.0.2"}, {"app.test", "127.0.0.3"}] do
        epmd = Epmd.start!(addresses: ["127.0.0.2", "127.0.0.3"])

        [a, b] =
          for name <- ["a@#{host}", "b@#{host}"] do
            hosts = if host == address, do: %{}, else: %{host => address}

            TestNode.start!(
              name: name,
              epmd: {:port, epmd.port},
              interface: address,
              hosts: hosts
            )
          end

        Mesh.start!(a, query: "*@localhost")
        assert TestNode.await_exactly(a, [b])
        well(a, [b])
      end
    end

    test "names a node that has no name yet by loopback, where it then finds the others" do
      epmd = Epmd.start!(addresses: ["127.0.0.1"])
      b = TestNode.start!(name: "b@127.0.0.1", epmd: {:port, epmd.port})
      a = TestNode.start!(epmd: {:port, epmd.port}, label: :a)
      Mesh.start!(a, query: "*@localhost", distribution: :auto, basename: "a")
      assert TestNode.await_exactly(a, [b])
      assert TestNode.call(a, Node, :self, []) == :"a@127.0.0.1"
    end

    test "without an epmd: it is held, and the doctor says where none is" do
      a =
        TestNode.start!(
          name: "a@laptop",
          names: :short,
          epmd: {:fixed, Ports.free_port()},
          hosts: %{"laptop" => "127.0.0.1"},
          env: [{"ERL_EPMD_PORT", "#{Ports.free_port()}"}]
        )

      Mesh.start!(a, query: "*@localhost")

      sick(a, :epmd_refused,
        says: "*@127.0.0.1: the host answers, and no epmd runs there",
        fix: "start the node there",
        eventually: true
      )
    end
  end

  test "an address whose own name (PTR) has no dot is a peer with a short name, and not refused before that is known",
       %{
         tmp_dir: tmp_dir
       } do
    pointer = {"3.0.0.127.in-addr.arpa", :ptr}
    zone = running(["node2"]) |> Map.merge(%{{"app", :a} => ["127.0.0.3"], pointer => :silent})
    dns = dns(zone)
    port = Ports.free_port()
    [a, b] = for n <- 1..2, do: short!("app@node#{n}", port)
    mesh!(a, dns, [query: "app", timeout: 200] ++ no_files(tmp_dir))

    Mesh.await_rounds(a, 2)
    assert %{state: :held, reason: {:no_host_name, :timeout}} = Mesh.peer(a, "app@127.0.0.3")

    assert for(%{problem: :short_names} = told <- Mesh.drain(a, [:problem, :raised]), do: told) ==
             []

    ScriptedDNS.put(dns, pointer, [{:asked, :ptr, nil, "node2"}])
    assert TestNode.await_exactly(a, [b])
  end

  describe "atoms in :query" do
    @nodes [:node1@node1, :node2@node2, :node3@node3]

    test "are joined as they are, without a question to any name server" do
      dns = dns(%{}, default: :servfail)
      port = Ports.free_port()
      node1 = short!(:node1@node1, port)
      # No :allow: what the operator has named needs none.
      options = [query: @nodes, nameservers: [ScriptedDNS.address(dns)]]
      Mesh.start!(node1, options)

      for n <- 2..3,
          do:
            Await.await(fn ->
              Mesh.peer(node1, "node#{n}@node#{n}").reason == {:dead, :refused}
            end)

      # Whichever starts first, and again after a restart.
      for _ <- 1..2 do
        node2 = short!(:node2@node2, port)
        # One alone needs no list.
        Mesh.start!(node2, Keyword.replace(options, :query, :node1@node1))
        assert TestNode.await_exactly(node1, [node2])
        TestNode.kill(node2)
        assert TestNode.await_exactly(node1, [])
      end

      assert [
               %{name: "node1@node1", state: :refused, reason: :self},
               %{name: "node2@node2"},
               %{name: "node3@node3", state: node3}
             ] = Mesh.status(node1).peers

      assert node3 in [:joining, :waiting]
      assert [%{type: :names, error: nil, answer: answer}] = Mesh.status(node1).queries
      assert length(answer.records) == 3
      assert asked(dns) == []
    end

    test "stand beside names to ask for, on nodes named by address too" do
      dns = dns(%{{"app.test", :a} => ["127.0.0.3"]})
      port = Ports.free_port()

      [a, b, c] =
        for n <- 2..4, do: TestNode.start!(name: "app@127.0.0.#{n}", epmd: {:fixed, port})

      mesh!(a, dns, query: ["app.test", c.name], resource_types: [:a])
      assert TestNode.await_exactly(a, [b, c])
      assert Enum.uniq(asked(dns)) == [{"app.test", :a}]
    end

    test "that this kind of node cannot join are refused by the same rule" do
      dns = dns(%{})
      a = short!("node1@node1", Ports.free_port())
      mesh!(a, dns, query: [:"app@app-0.svc.test"])
      assert %{peers: ["app@app-0.svc.test"]} = await_problem(a, :short_names)
      assert Mesh.joins(a) == []
    end
  end

  describe "names of the other kind are refused, with a line that names both sides and what to do" do
    test "a host with a dot, on a node with a short name", %{tmp_dir: tmp_dir} do
      zone = %{
        {"app", :a} => ["127.0.0.5"],
        {"5.0.0.127.in-addr.arpa", :ptr} => [{:asked, :ptr, nil, "node1.test"}],
        {"node1.test", :a} => ["127.0.0.5"]
      }

      dns = dns(zone)
      a = short!("node1@node1", Ports.free_port())
      mesh!(a, dns, [query: "app, web@node1.test"] ++ no_files(tmp_dir))

      both = ["node1@node1.test", "web@node1.test"]
      assert %{node: "node1@node1"} = await_problem(a, :short_names, &(&1.peers == both))
      for name <- both, do: assert(%{state: :refused, reason: :short_names} = Mesh.peer(a, name))

      assert {:warning, line} = TestNode.await_log(a, ~r/web@node1.test/)
      assert line =~ "this node, node1@node1, runs with short names"
      assert line =~ "node1@node1.test, web@node1.test cannot be joined"
      assert line =~ "List its peers by hosts without a dot (node1@node1)"
      assert line =~ "--name app@10.0.0.5"
      Mesh.await_rounds(a, 2)
      assert Mesh.joins(a) == []
    end

    test "an undotted host, on a node with a long name", %{tmp_dir: tmp_dir} do
      dns = dns(running(["node1", "node2"]))
      port = Ports.free_port()
      a = TestNode.start!(name: "node1@node1.test", epmd: {:fixed, port}, hosts: @hosts)
      # It is there, and could be dialled.
      _node2 = short!("node2@node2", port)
      mesh!(a, dns, [query: "node1@node1,node2@node2"] ++ no_files(tmp_dir))

      both = ["node1@node1", "node2@node2"]
      assert %{node: "node1@node1.test"} = await_problem(a, :long_names, &(&1.peers == both))
      for name <- both, do: assert(%{state: :refused, reason: :long_names} = Mesh.peer(a, name))

      assert {:warning, line} =
               TestNode.await_log(a, ~r/node1@node1, node2@node2 cannot be joined/)

      assert line =~ "this node, node1@node1.test, runs with long names"
      assert line =~ "--sname"
      Mesh.await_rounds(a, 2)
      assert Mesh.joins(a) == []
      assert TestNode.nodes(a) == []
    end
  end
end

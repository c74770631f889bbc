defmodule DNSMesh.WordsTest do
  use ExUnit.Case, async: true

  alias DNSMesh.{Telemetry, Words}

  @once %{lasted: 0, times: 1}
  @m %{mesh: DNSMesh}

  defp raised(problem, details),
    do:
      Words.for_event(
        [:problem, :raised],
        @once,
        Map.merge(@m, Map.put(details, :problem, problem))
      )

  test "joins and leaves of a round are one line" do
    assert Words.for_event(
             [:peers, :changed],
             %{joined: 2, left: 1, connected: 4},
             Map.merge(@m, %{joined: ["a@1", "b@1"], left: ["c@1"]})
           ) ==
             {:news, "DNSMesh: joined 2: a@1, b@1; left 1: c@1 (4 connected)"}
  end

  test "an instance with a name of its own says it" do
    {:news, text} =
      Words.for_event([:peers, :changed], %{connected: 1}, %{
        mesh: :jobs,
        joined: ["a@1"],
        left: []
      })

    assert text == "DNSMesh (:jobs): joined 1: a@1 (1 connected)"
  end

  test "every problem names what is wrong and what to do" do
    peers = %{peers: ["app@10.0.0.2"], node: "app@10.0.0.1"}
    lookup = %{query: "app.internal", type: :a, reason: :servfail, server: "10.0.0.53:53"}

    for {problem, details, what, remedy} <- [
          {:lookup_failed, lookup,
           "A of app.internal failed: the name server failed (SERVFAIL), says 10.0.0.53:53",
           "goes on asking"},
          {:nobody, %{lookup | reason: :nxdomain}, "lists nobody: no such name (NXDOMAIN)",
           "DNS_CLUSTER_QUERY"},
          {:nobody, %{query: "dir:/x", types: [:names], reason: :no_names, server: nil},
           "DNSMesh: dir:/x lists nobody.", "the same folder at /x: each keeps a file in it"},
          {:nobody, %{query: "MyApp.Nodes", types: [:names], reason: :no_names, server: nil},
           "DNSMesh: MyApp.Nodes lists nobody.", "MyApp.Nodes.discover/2"},
          {:answer_truncated, lookup, "more than 4096", "narrower name"},
          {:unreachable, peers, "cannot connect to app@10.0.0.2", "4369"},
          {:unreachable, Map.put(peers, :listed_as, ["node1@node1"]), "is called node1@node1",
           "--sname"},
          {:not_distributed, %{node: nil}, "not distributed", "distribution: :auto"},
          {:short_names, peers, "app@10.0.0.1, runs with short names", "--name"},
          {:long_names, peers, "app@10.0.0.1, runs with long names", "--sname"},
          {:several_addresses, %{query: "a@b", addresses: 3},
           "a@b names one node, and 3 addresses", "_epmd._tcp"},
          {:unresolved, peers, "app@10.0.0.2) has no address", "/etc/hosts"},
          {:epmd_unreachable, %{peers: ["*@10.0.0.2"]}, "at *@10.0.0.2", "port 4369"},
          {:held, Map.merge(peers, %{because: :unreachable_for, member: "app@10.0.0.3"}),
           "not joining app@10.0.0.2: app@10.0.0.3 cannot reach it",
           "Mend the way between app@10.0.0.3 and it"},
          {:held, Map.merge(peers, %{because: :member_unreachable, member: "app@10.0.0.3"}),
           "not joining app@10.0.0.2: app@10.0.0.3 is linked there, and this node cannot reach it",
           "Mend the way between app@10.0.0.1 and app@10.0.0.3"},
          {:held,
           Map.merge(peers, %{because: :unreachable_for, member: "app@10.0.0.3", listed: false}),
           "not joining app@10.0.0.2: app@10.0.0.3, which no answer lists, is a member",
           "answers as app@10.0.0.3, they are one node, whose machine has another address now: restart it"},
          {:dialled_past, %{peer: "app@10.0.0.2", member: "app@10.0.0.3"},
           "app@10.0.0.2, which was held because app@10.0.0.3 cannot reach it",
           "mend the way between app@10.0.0.3 and app@10.0.0.2"},
          {:outsider, %{peers: ["livebook@10.0.0.9"], cuts: 3, node: "app@10.0.0.1"},
           "3 links of this node were cut within two minutes, and livebook@10.0.0.9, which no item of the query lists",
           "Start it hidden (elixir --hidden)"},
          {:named_by_host, peers, "named by a host name", "--name"},
          {:wrong_family, peers, "IP version", "-proto_dist inet6_tcp"},
          {:not_allowed, peers, "not in :allow", ":allow"},
          {:peer_budget, %{left_out: 3, max_peers: 9}, "3 names are left out", ":max_peers"},
          {:atom_budget, peers, "1 names wait", "name server answers"},
          {:public_plain, peers, "public address", "inet_tls"},
          {:no_own_address, %{reason: {:no_interface, "eth9"}}, "its own address", ":address"},
          {:name_not_taken, %{node: "app@10.0.0.1", reason: :no_cookie}, "app@10.0.0.1",
           "RELEASE_COOKIE"},
          {:name_unfit, %{node: "app@10.0.0.5", reason: {:address_gone, "10.0.0.5"}},
           "app@10.0.0.5, no longer fits this host: 10.0.0.5 is on no interface", "restart it"},
          {:name_unfit, %{node: "app@10.0.0.5", reason: {:listed_as, "10.1.0.5"}},
           "list 10.1.0.5, another address", "restart this node, and it takes 10.1.0.5"},
          {:name_unfit, %{node: "app@10.0.0.5", reason: {:epmd_elsewhere, "10.0.0.5"}},
           "does not answer at 10.0.0.5", "-kill"},
          {:name_late, %{}, "no name yet", ":address"}
        ] do
      assert problem in Telemetry.problems()
      assert {:warning, text} = raised(problem, details)
      assert text =~ what
      assert text =~ remedy
    end
  end

  test "a failure of the default name server hints at resolv.conf" do
    lookup = %{query: "app.internal", type: :a, reason: :timeout, server: "127.0.0.1:53"}
    assert {:warning, text} = raised(:lookup_failed, lookup)
    assert text =~ "where /etc/resolv.conf names no server or cannot be read"
  end

  test "in a release the advice is for a release" do
    assert Words.naming_advice(:no_block) =~ "    mix dns_mesh.gen.env\n"
    assert Words.naming_advice(nil) =~ "elixir --name"
  end

  test "long lists are cut after five" do
    {:warning, text} = raised(:unreachable, %{peers: for(n <- 1..8, do: "n#{n}@h")})
    assert text =~ "n5@h and 3 more"
    refute text =~ "n6@h"
  end

  test "how long and how often is said from the second time on" do
    {:warning, text} =
      Words.for_event(
        [:problem, :raised],
        %{lasted: 600_000, times: 120},
        Map.merge(@m, %{problem: :not_distributed})
      )

    assert text =~ "(for 10 min now, seen 120 times)"
  end

  test "the end of a problem is news where nothing else says it" do
    assert {:news, "DNSMesh: A of app.internal is answered again (after 35 s)"} =
             Words.for_event(
               [:problem, :cleared],
               %{lasted: 35_000, times: 7},
               Map.merge(@m, %{problem: :lookup_failed, query: "app.internal", type: :a})
             )

    assert Words.for_event([:problem, :cleared], @once, Map.put(@m, :problem, :not_allowed)) ==
             nil
  end

  test "events for machines are no lines" do
    assert Words.for_event([:lookup, :stop], %{}, @m) == nil
  end
end

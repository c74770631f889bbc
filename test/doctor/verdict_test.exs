defmodule DNSMesh.Doctor.VerdictTest do
  # The judgement and its words, on facts made by hand: every verdict there is, and which of several is told.
  use ExUnit.Case, async: true

  alias DNSMesh.{Answer, Diagnosis, Doctor, JSON, Query}
  alias DNSMesh.Doctor.{Facts, Verdicts}
  alias DNSMesh.Test.Given

  @a "app@10.0.0.1"
  @b "app@10.0.0.2"
  @c "app@10.0.0.3"
  @l "livebook@10.0.0.9"
  @joined {:welcome, :visible, :proved}

  @own Given.distribution(1)

  defp query(text \\ "app.internal"), do: hd(Query.parse!(text))

  defp ip(text), do: text |> String.to_charlist() |> :inet.parse_address() |> elem(1)

  defp answer(ips, query \\ query()) do
    %Answer{
      records: Enum.map(ips, &ip/1),
      ttl: 5,
      name: query.host,
      server: "10.0.0.53:53"
    }
  end

  defp lookup(result, opts \\ [])

  defp lookup([ip | _] = ips, opts) when is_binary(ip),
    do: lookup({:ok, answer(ips, query(opts[:query] || "app.internal"))}, opts)

  defp lookup({:no_tcp, _why} = reason, opts),
    do: lookup({:error, %{reason: reason, server: "10.0.0.53:53", name: nil}}, opts)

  defp lookup(reason, opts) when is_atom(reason),
    do: lookup({:error, %{reason: reason, server: "10.0.0.53:53", name: nil}}, opts)

  defp lookup(result, opts) do
    %{
      query: query(opts[:query] || "app.internal"),
      type: opts[:type] || :a,
      result: result,
      ms: 3,
      elsewhere: opts[:elsewhere] || 0,
      as_written: opts[:as_written]
    }
  end

  defp failure(reason), do: %{reason: reason, server: "10.0.0.53:53", name: "app.internal"}

  # Asked for under a search domain.
  defp searched({outcome, said}, as_written) do
    said = Map.put(said, :name, "app.internal.corp.example")
    lookup({outcome, said}, as_written: as_written)
  end

  defp peer(name, changes \\ []) do
    "app@" <> host = name

    Map.merge(
      %{
        name: name,
        ips: [ip(host)],
        query: query(),
        policy: :join,
        link: nil,
        state: :new,
        reason: nil,
        next_attempt: nil,
        epmd: {:ok, ["app"]},
        door: {:ok, 9_100},
        greeting: @joined,
        unheeded: nil
      },
      Map.new(changes)
    )
  end

  defp shut(name, door, changes \\ []), do: peer(name, [door: door, greeting: nil] ++ changes)
  defp barred(name, policy), do: shut(name, nil, policy: policy, epmd: nil)

  defp outsider(name, linked, apart), do: %{name: name, linked: linked, apart: apart}

  defp own(ip \\ "10.0.0.1"), do: peer(@a, policy: {:refused, :self}, ips: [ip(ip)], door: nil)

  defp facts(changes) do
    struct!(
      %Facts{
        mode: :running,
        mesh: DNSMesh,
        distribution: @own,
        node: @a,
        alive?: true,
        own: {:ok, %{ip: {10, 0, 0, 1}, interface: "eth0", because: :boot_name}},
        cookie: {:ok, :vm},
        networks: [{{127, 0, 0, 1}, 8}, {{10, 0, 0, 1}, 24}],
        servers: ["10.0.0.53"],
        lookups: [lookup(["10.0.0.1", "10.0.0.2", "10.0.0.3"])],
        selves: [own()],
        peers: [peer(@b, link: :visible), peer(@c, link: :visible)]
      },
      changes
    )
  end

  defp verdict(changes), do: changes |> facts() |> Doctor.diagnose()
  defp kind(changes), do: verdict(changes).verdict

  # One peer is well, the other is not.
  defp one(ailing), do: [peers: [peer(@b, link: :visible), ailing]]

  # Each verdict, the facts that lead to it, what is said, and what is to be done.
  defp every do
    [
      {:query_not_set, [mode: :unset], "DNS_CLUSTER_QUERY is not set", "DNS_CLUSTER_QUERY="},
      {:query_not_set, [mode: :unset, mesh: nil], "No query is given", "mix dns_mesh.doctor"},
      {:not_running, [mode: :not_running], "No process is registered as DNSMesh",
       "into the children"},
      {:no_library, [mode: :not_running, library: "it is gone"], "it is gone.", "do as it says"},
      {:left, [leaving?: true], "DNSMesh joins nobody: it leaves, for DNSMesh.leave/1 was called",
       "restart it"},
      {:search_domain,
       [lookups: [searched({:ok, answer(["10.0.0.9"])}, {:ok, answer(["10.0.0.1", "10.0.0.2"])})]] ++
         [peers: [shut("app@10.0.0.9", {:silent, :epmd})], selves: []],
       "app.internal was answered as app.internal.corp.example, under a search domain of /etc/resolv.conf, by 10.0.0.9",
       "write app.internal. in the query"},
      {:search_domain,
       [lookups: [searched({:error, failure(:timeout)}, {:ok, answer(["10.0.0.1"])})]],
       "A of app.internal was asked for as app.internal.corp.example",
       "take corp.example out of"},
      {:search_domain,
       [lookups: [searched({:error, failure(:refused)}, {:error, failure(:nxdomain)})]],
       "it has none there", "write the full name that lists the nodes, with a dot at its end"},
      {:server_silent,
       [lookups: [searched({:error, failure(:timeout)}, {:error, failure(:timeout)})]],
       "A of app.internal (asked as app.internal.corp.example) got no answer", "port 53"},
      {:server_silent, [lookups: [lookup(:timeout)]],
       "A of app.internal got no answer in 3 ms from 10.0.0.53:53", "port 53"},
      {:server_silent, [lookups: [lookup({:error, %{reason: :timeout, server: nil}})]],
       "from 10.0.0.53", "port 53"},
      {:server_refused, [lookups: [lookup(:refused)]], "10.0.0.53:53 refuses",
       "/etc/resolv.conf"},
      {:server_failed, [lookups: [lookup(:servfail)]], "failed at 10.0.0.53:53", "mend that"},
      {:server_failed,
       [lookups: [lookup({:error, %{reason: {:network, "refused"}, server: nil}})], servers: []],
       "127.0.0.1 (/etc/resolv.conf names no server)", "write a name server"},
      {:no_tcp, [lookups: [lookup({:no_tcp, :refused})]],
       "A of app.internal: 10.0.0.53:53 has an answer that is too long for UDP, and refuses",
       "open TCP port 53 of 10.0.0.53 to this host"},
      {:no_tcp, [lookups: [lookup({:no_tcp, :silent})]], "does not answer over TCP",
       "open TCP port 53"},
      {:no_tcp, [lookups: [lookup({:no_tcp, :closed})]], "hangs up over TCP", "let it answer"},
      {:no_tcp,
       [
         lookups: [
           lookup(
             {:error, %{reason: {:no_tcp, {:unreachable, "no route"}}, server: "[fd00::1]:53"}}
           )
         ]
       ], "cannot be reached over TCP (no route)", "open TCP port 53 of fd00::1 to"},
      {:source_failed,
       [lookups: [lookup({:error, %{reason: {:folder, :missing, "/x"}, server: nil}}, dir())]],
       "dir:/x tells no nodes: the folder /x is not there", "do as it says"},
      {:local_name, [lookups: [lookup(:nxdomain, query: "app.local")]], "multicast DNS",
       "/etc/hosts"},
      {:no_such_name, [lookups: [lookup(:nxdomain)]],
       "10.0.0.53:53 says that app.internal does not exist", "spelling"},
      {:no_such_name,
       [
         lookups: [
           lookup({:error, %{reason: :nxdomain, server: "x", name: "app.svc.cluster.local"}},
             query: "app"
           )
         ]
       ], "app (asked as app.svc.cluster.local)", "spelling"},
      {:no_records, [lookups: [lookup(:no_records)]], "has no A records", "headless service"},
      {:no_records, [lookups: [lookup({:ok, %{answer([]) | name: "dir:/x"}}, dir())]],
       "dir:/x lists nobody", "have the same query, and see the same folder at /x"},
      {:no_records,
       [
         lookups: [
           lookup({:error, %{reason: :no_names, server: nil}},
             query: {MyApp.Nodes, "secret"},
             type: :names
           )
         ]
       ], "MyApp.Nodes lists nobody", "MyApp.Nodes.discover/2 asks"},
      {:wrong_family, [lookups: [lookup(:no_records, elsewhere: 2)]],
       "has 2 IPv6 addresses and no IPv4 ones", ~s(ERL_AFLAGS="-proto_dist inet6_tcp")},
      {:wrong_family, [lookups: [lookup(:no_records, elsewhere: 1, type: :aaaa)]],
       "has 1 IPv4 address and no IPv6 ones", "without -proto_dist inet6_tcp"},
      {:wrong_family, one(barred(@c, {:refused, :wrong_family})), "the IP version", "inet6_tcp"},
      {:not_distributed, [alive?: false, node: nil, obstacle: :no_cookie],
       "no name yet, so it can join nobody: there is no cookie: set RELEASE_COOKIE", "says"},
      {:not_distributed, [alive?: false, node: nil, obstacle: :manual], "distribution: :manual",
       "leave :distribution out"},
      {:not_distributed, [alive?: false, node: nil, obstacle: :eval],
       "bin/my_app eval runs code beside the application, and is no node",
       ~s|bin/my_app rpc "DNSMesh.doctor()"|},
      {:not_distributed, [alive?: false, node: nil], "it is about to take one", "wait"},
      {:short_names, one(barred(@c, {:refused, :short_names})), "has a short name",
       "without --sname"},
      {:short_names, one(barred(@c, {:refused, :short_names})) ++ [release: :no_block],
       "has a short name", "run mix dns_mesh.gen.env"},
      {:short_names,
       one(barred(@c, {:refused, :short_names})) ++
         [release: {:given, "RELEASE_DISTRIBUTION", "RELEASE_NODE"}], "has a short name",
       "unset RELEASE_DISTRIBUTION in the environment"},
      {:long_names, one(barred(@c, {:refused, :long_names})), "has a long name", "--sname"},
      {:no_host_name, one(barred(@c, {:refused, {:no_host_name, :nxdomain}})),
       "named by a host name", "PTR record"},
      {:no_host_name,
       one(barred(@c, {:refused, {:no_host_name, :nxdomain}})) ++
         [release: {:given, "RELEASE_NODE", "RELEASE_DISTRIBUTION"}], "named by a host name",
       "or have all nodes named by address: unset RELEASE_NODE"},
      {:no_host_name, one(barred(@c, {:held, {:no_host_name, :timeout}})), "none that leads to",
       "PTR record"},
      {:only_myself, [peers: [], lookups: [lookup(["10.0.0.1"])]], "app.internal gives 10.0.0.1",
       "start a second node"},
      {:virtual_ip,
       [
         peers: [],
         selves: [own("10.0.0.7")],
         lookups: [lookup(["10.0.0.7"])],
         networks: [{{10, 0, 0, 1}, 24}, {{10, 0, 0, 7}, 32}]
       ], "app.internal gives 10.0.0.7", "tasks.SERVICE"},
      # On a dummy device, where the instance does not take it for its own.
      {:virtual_ip,
       [
         peers: [],
         selves: [own("10.96.0.10")],
         lookups: [lookup(["10.96.0.10"])],
         networks: [{{10, 0, 0, 1}, 24}, {{10, 96, 0, 10}, 32}]
       ], "app.internal gives 10.96.0.10", "headless service"},
      {:virtual_ip,
       [
         peers: [shut("app@10.0.0.9", {:silent, :epmd})],
         selves: [],
         lookups: [lookup(["10.0.0.9"])]
       ], "no node's own", "If 10.0.0.9 is a node's own address"},
      {:virtual_ip,
       [
         peers: [peer("app@10.0.0.9", greeting: {:other_name, @a})],
         selves: [],
         lookups: [lookup(["10.0.0.9"])]
       ], "a virtual IP", "headless service"},
      {:nat,
       [
         peers: [
           shut("app@192.168.1.5", {:silent, :epmd}),
           shut("app@192.168.1.6", {:silent, :epmd})
         ],
         selves: [],
         lookups: [lookup(["192.168.1.5", "192.168.1.6"])]
       ], "none of these addresses is one of this host's (10.0.0.1)", "awsvpc"},
      {:nat,
       [
         peers: [peer(@b, greeting: {:other_name, @a}), peer(@c, greeting: @joined)],
         selves: [],
         lookups: [lookup(["10.0.0.2", "10.0.0.3"])]
       ], "by NAT", "Nomad"},
      {:unresolved, one(barred(@c, {:held, :unresolved})), "has no address", "10.0.0.3"},
      {:unresolved, one(shut(@c, {:silent, :name})), "has no address", "/etc/hosts"},
      {:epmd_refused, one(shut(@c, {:dead, :refused_epmd}, epmd: {:error, :refused})),
       "#{@c}: the host answers, and no epmd runs there (port 4369)", "start the node"},
      {:epmd_refused, one(barred(@c, {:held, {:epmd, :garbled}})), "held by something else",
       "start the node"},
      {:epmd_silent, one(shut(@c, {:silent, :epmd})), "#{@c}: epmd's port, 4369, does not answer",
       "open TCP port 4369"},
      {:epmd_silent, one(barred(@c, {:held, {:epmd, :silent}})), "does not answer", "10.0.0.3"},
      {:not_registered, one(shut(@c, {:dead, :not_registered}, epmd: {:ok, ["worker"]})),
       ~s(1 of 2 peers connected. #{@c}: epmd answers but knows only "worker".),
       ~s(start it with basename app (--name #{@c}\), or query "*@app.internal".)},
      {:not_registered, [peers: [], selves: [], lookups: [pattern({:ok, ["web", "worker"]})]],
       ~s(app-*@app.internal lists no node: none of those that epmd knows at 10.0.0.2 is called so, but "web", "worker".),
       ~s(query "*@app.internal")},
      {:not_registered, [mode: :apart, peers: [], selves: [], lookups: [pattern({:ok, []})]],
       "app-*@app.internal lists no node: no epmd at 10.0.0.2 knows one", "with names (--sname"},
      {:not_registered, one(shut(@c, {:dead, :not_registered}, epmd: {:ok, []})),
       "epmd answers and knows no node", "start the node"},
      {:port_closed, one(shut(@c, {:dead, :refused})), "nobody listens at 10.0.0.3",
       "inet_dist_use_interface"},
      {:port_closed,
       one(shut(@c, {:dead, :refused})) ++ [distribution: %{@own | ports: {:fixed, 9_100}}],
       "nobody listens at port 9100", "-start_epmd false -erl_epmd_port 9100"},
      {:port_silent, one(shut(@c, {:silent, :port})), "the distribution port does not",
       "inet_dist_listen_min"},
      {:port_silent,
       one(shut(@c, {:silent, :port})) ++ [distribution: %{@own | ports: {:fixed, 9_100}}],
       "port 9100 (-erl_epmd_port) does not answer", "open TCP port 9100"},
      {:no_node, one(peer(@c, greeting: :no_node)), "is no node", "free that port"},
      {:node_silent, one(peer(@c, greeting: :silent)), "says nothing", "restart it"},
      {:tls, one(peer(@c, greeting: :tls)), "speaks TLS", "-proto_dist inet_tls"},
      {:name_unfit, [unfit: {:address_gone, "10.0.0.1"}],
       "This node's name, #{@a}, no longer fits this host: 10.0.0.1 is on no interface",
       "restart this node"},
      {:name_unfit, [unfit: {:listed_as, "10.1.0.1"}, lookups: [lookup(:timeout)]],
       "the answers list 10.1.0.1, another address of this machine", "restart this node"},
      {:name_unfit, [unfit: {:epmd_elsewhere, "10.0.0.1"}],
       "the epmd of this machine does not answer at 10.0.0.1", "end that epmd"},
      # One machine, under the address it had before and the one that it has now.
      {:other_name,
       [
         peers: [moved({:unreachable_for, @b}), peer(@b, link: :visible, query: nil)],
         members: [@b]
       ], "answers as #{@b}", "restart it, if its address has changed since it started"},
      {:other_name, [peers: [moved({:member_unreachable, @b})]], "answers as #{@b}",
       "restart it, if its address has changed"},
      {:tls, one(peer(@c, greeting: :plain)), "speaks no TLS, and this node's does",
       "that one too with -proto_dist inet_tls"},
      {:tls_failed, failed(:theirs, "Unknown CA"), "this node does not take its TLS certificate",
       "cacertfile under client in this node's"},
      {:tls_failed, failed(:theirs, "Handshake Failure {bad_cert,hostname_check_failed}"),
       "hostname_check_failed", "have its certificate name 10.0.0.3"},
      {:tls_failed, failed(:theirs, "Certificate Expired"), "(Certificate Expired)",
       "renew its certificate"},
      {:tls_failed, failed(:theirs, "Protocol Version"), "(Protocol Version)",
       "the same -ssl_dist_optfile"},
      {:tls_failed, failed(:ours, "Unknown CA"), "it does not take this node's TLS certificate",
       "cacertfile under server in that node's"},
      {:tls_failed, failed(:ours, "Certificate Expired"), "it does not take",
       "renew this node's certificate"},
      {:tls_failed, failed(:ours, "Handshake Failure"), "it does not take",
       "certfile and keyfile under client"},
      {:tls_failed, failed(:ours, "Insufficient Security"), "it does not take",
       "with the same -ssl_dist_optfile"},
      {:tls_failed, failed(:options, "{certfile,enoent}"), "with the options it was booted with",
       "mend the client's part"},
      {:tls_failed,
       one(peer(@c, greeting: nil, state: :waiting, reason: {:connect_failed, 9})) ++
         [distribution: %{@own | tls?: true}],
       "could not be connected over TLS (could not connect",
       "a line that begins with TLS client"},
      {:load_balancer, one(peer(@c, greeting: {:other_name, @b})) ++ [members: [@b]],
       "#{@c}: what answers there is #{@b}, which is linked under that name already",
       "take 10.0.0.3 out of app.internal"},
      {:load_balancer, one(peer(@c, greeting: {:other_name, @a})), "this node itself, #{@a}",
       "take 10.0.0.3 out of app.internal"},
      {:load_balancer, [mode: :apart, peers: [peer(@b), peer(@c, greeting: {:other_name, @b})]],
       "listed under that name too", "take 10.0.0.3 out"},
      {:load_balancer,
       one(peer(@c, greeting: {:other_name, @b}, query: query("10.0.0.3"))) ++ [members: [@b]],
       "linked under that name", "take 10.0.0.3 out of the query"},
      {:load_balancer,
       one(peer(@c, greeting: {:other_name, @b}, query: query("dir:/x"))) ++ [members: [@b]],
       "linked under that name", "take #{@c} out of the list"},
      {:other_name, one(peer(@c, greeting: {:other_name, "app@172.18.0.3"})),
       "answers as app@172.18.0.3", ~s(address: "10.0.0.3", or {:subnet, "10.0.0.0/24"})},
      {:not_admitted, one(peer(@c, greeting: :not_allowed)), "net_kernel:allow/1", "add #{@a}"},
      {:release_cookie, unheeded(:option), "the option :cookie comes first", "take the option"},
      {:release_cookie, unheeded(:boot_flag), "--cookie (-setcookie) gives another",
       ~s(--cookie "$RELEASE_COOKIE")},
      {:release_cookie, unheeded(:boot_flags), "more than once", "take -setcookie out"},
      {:release_cookie, unheeded(:dash), "it begins with -", "a letter or a digit"},
      {:release_cookie, unheeded({:file, "/root/.erlang.cookie"}), "of /root/.erlang.cookie",
       ~s(--cookie "$RELEASE_COOKIE" too)},
      {:release_cookie, unheeded(:for_peer), "for that peer alone", "Node.set_cookie/2"},
      {:release_cookie, unheeded(:set), "while the VM ran", "Node.set_cookie/1"},
      {:wrong_cookie, one(peer(@c, greeting: :wrong_cookie)), "does not take this node's cookie",
       "RELEASE_COOKIE"},
      {:not_allowed, one(barred(@c, {:refused, :not_allowed})), "not in :allow",
       ~s(allow: ["10.0.0.0/24"])},
      {:bad_name, one(barred(@c, {:refused, :bad_node_name})), "no node can have", "correct"},
      {:atom_budget, one(peer(@c, state: :waiting, reason: :atom_budget)), "atom table",
       "what the name server answers"},
      {:unreachable_for, one(peer(@c, state: :held, reason: {:unreachable_for, @b})),
       "#{@c}: not joined, because #{@b} cannot reach it", "between #{@b} and 10.0.0.3"},
      {:unreachable_for,
       [peers: [peer(@c, state: :held, reason: {:unreachable_for, @b})], members: [@b]],
       "because #{@b} cannot reach it", "no item lists #{@b}: if it is the same node"},
      {:member_unreachable, one(peer(@c, state: :held, reason: {:member_unreachable, @b})),
       "linked to #{@b}, which this node cannot reach", "between #{@a} and #{@b}"},
      {:outsider, [outsiders: [outsider(@l, [@a], [@b])], cuts: 3],
       "#{@l}: no item of the query lists it, and it is a member all the same, by a visible link to #{@a}, and not to #{@b}",
       "start it hidden: elixir --hidden --name #{@l}"},
      {:outsider, [outsiders: [outsider(@l, [@b], [@a, @c])]], "global has links cut.",
       "let #{@a}, #{@c} reach it"},
      {:outsider, [outsiders: [outsider(@l, [], [])], cuts: 1] ++ one(peer(@c, state: :waiting)),
       "by a visible link that was cut lately", "let every member reach it"},
      {:peer_budget, [left_out: 3, max_peers: 2], "3 of the names listed are left out",
       "max_peers: 5"},
      {:hidden, one(peer(@c, link: :hidden)), "#{@c}: a hidden node", "start that node without"},
      {:hidden, one(peer(@c, greeting: {:welcome, :hidden, :proved})), "a hidden node",
       "without"},
      {:hidden, one(peer(@c, link: :hidden)) ++ [hidden?: true], "this node was booted with",
       "start this node without -hidden"},
      {:leaving, one(peer(@c, state: :held, reason: :leaving)), "said that it stops", "nothing"},
      {:not_yet,
       one(peer(@c, state: :waiting, reason: {:connect_failed, 9}, next_attempt: 3_000)),
       "it answers and takes the cookie, and is not connected yet (could not connect",
       "wait 3 s"},
      {:reachable, [mode: :apart, alive?: false, node: nil, peers: [peer(@b), peer(@c)]],
       "2 nodes listed, and every one answers and takes the cookie", nil},
      {:reachable, [mode: :apart, peers: [peer(@b, greeting: {:welcome, :visible, :unproved})]],
       "1 node listed, and every one answers; no cookie was tried", nil},
      {:connected, [], "2 of 2 peers connected. Nothing is wrong.", nil}
    ]
  end

  defp failed(whose, words), do: one(peer(@c, greeting: {:tls_failed, whose, words}))

  defp unheeded(why), do: one(peer(@c, greeting: :wrong_cookie, unheeded: why))

  defp moved(reason),
    do: peer(@c, greeting: {:other_name, @b}, state: :held, reason: reason)

  defp pattern(registered) do
    query = "app-*@app.internal"
    answer = %{answer(["10.0.0.2"], query(query)) | registered: %{ip("10.0.0.2") => registered}}
    lookup({:ok, answer}, query: query)
  end

  defp dir, do: [query: "dir:/x", type: :names]

  test "every verdict is reached, and says what it is and what to do" do
    for {kind, changes, sentence, fix} <- every() do
      diagnosis = verdict(changes)
      assert diagnosis.verdict == kind, "expected #{kind}, got:\n#{diagnosis}"
      assert String.downcase(diagnosis.sentence) =~ String.downcase(sentence)
      if fix, do: assert(diagnosis.fix =~ fix), else: assert(diagnosis.fix == nil)
      assert diagnosis.healthy? == kind in [:connected, :reachable]
    end

    assert Enum.uniq(for {kind, _, _, _} <- every(), do: kind) -- Verdicts.kinds() == []
    assert Verdicts.kinds() -- for({kind, _, _, _} <- every(), do: kind) == []
  end

  test "sentences and fixes are whole sentences, without holes" do
    for {_kind, changes, _, _} <- every(),
        %{sentence: sentence, fix: fix} = verdict(changes),
        text <- [sentence, fix],
        text != nil do
      assert text =~ ~r/\.$/, text
      refute text =~ ~r/  | ,|, ,|%\{|#\{|nil|\.\.$|:\.$/, text
    end
  end

  test "each is a text, a map of JSON and an inspect" do
    for {kind, changes, _, _} <- every() do
      diagnosis = verdict(changes)
      text = to_string(diagnosis)
      assert text =~ diagnosis.sentence
      if diagnosis.fix, do: assert(text =~ "\n\nFix: " <> diagnosis.fix)
      assert inspect(diagnosis) =~ "#DNSMesh.Diagnosis<#{kind}"
      map = Diagnosis.to_map(diagnosis)
      assert map["verdict"] == to_string(kind)
      assert JSON.encode(map) =~ ~s("verdict": "#{kind}")
    end
  end

  describe "of several troubles" do
    test "what comes first in the walk is told: DNS before this node before its peers" do
      cookie = peer(@c, greeting: :wrong_cookie)
      nameless = [alive?: false, node: nil, obstacle: :no_cookie]
      assert kind([lookups: [lookup(:servfail)], peers: [cookie]] ++ nameless) == :server_failed
      assert kind([peers: [cookie]] ++ nameless) == :not_distributed
      assert kind(peers: [cookie]) == :wrong_cookie
    end

    test "who is silent, and a member of one that is held for that, is one trouble: the way between the two" do
      held = peer(@b, state: :held, reason: {:member_unreachable, @c})
      other = "app@10.0.0.4"

      for where <- [:epmd, :port] do
        silent = shut(@c, {:silent, where})
        assert kind(peers: [held, silent]) == :member_unreachable
        assert kind(peers: [held, shut(other, {:silent, :epmd})]) == :epmd_silent
      end

      assert kind(peers: [held, shut(@c, {:dead, :refused_epmd})]) == :epmd_refused
    end

    test "another basename than all that an item lists have is to be queried; else all basenames" do
      worker = &shut(&1, {:dead, :not_registered}, epmd: {:ok, ["worker"]})
      workers = [peers: [worker.(@b), worker.(@c)], selves: []]
      assert verdict(workers).fix =~ ~s(or query "worker@app.internal".)
      assert verdict(Keyword.put(workers, :selves, [own()])).fix =~ ~s(or query "*@app.internal".)
      assert verdict(peers: [peer(@b), worker.(@c)], selves: []).fix =~ ~s("*@app.internal")
    end

    test "among peers, the one that most of them have" do
      names = for n <- 2..6, do: "app@10.0.0.#{n}"
      [first | rest] = Enum.map(names, &peer(&1, greeting: :wrong_cookie))

      assert kind(peers: [shut("app@10.0.0.9", {:silent, :epmd}) | [first | rest]]) ==
               :wrong_cookie

      assert verdict(peers: [first | rest]).sentence =~
               "app@10.0.0.2, app@10.0.0.3, app@10.0.0.4 and 2 more: "

      # Of as many, the first of the walk.
      assert kind(peers: [shut("app@10.0.0.9", {:silent, :epmd}), first]) == :epmd_silent
    end

    test "what ends by itself is told only where nothing else is wrong" do
      waiting = for n <- 2..6, do: peer("app@10.0.0.#{n}")
      assert kind(peers: waiting) == :not_yet

      assert kind(peers: waiting ++ [peer("app@10.0.0.9", greeting: :wrong_cookie)]) ==
               :wrong_cookie
    end

    test "one item that lists nobody is told when the peers of the others are well" do
      lookups = [lookup(["10.0.0.1", "10.0.0.2"]), lookup(:nxdomain, query: "jobs.internal")]
      assert %{verdict: :no_such_name, subject: "jobs.internal"} = verdict(lookups: lookups)

      assert kind([lookups: lookups] ++ one(peer(@c, greeting: :wrong_cookie))) == :wrong_cookie
    end

    test "an item is answered when one of its record types has records" do
      lookups = [lookup(["10.0.0.1", "10.0.0.2"]), lookup(:no_records, type: :aaaa)]
      assert kind(lookups: lookups) == :connected
    end
  end

  describe "a search domain is not blamed" do
    test "where nodes are found under it, or it gives what the name gives" do
      both = {:ok, answer(["10.0.0.2", "10.0.0.3"])}
      other = {:ok, answer(["10.0.0.9"])}
      assert kind(lookups: [searched(both, other)]) == :connected

      unheard = [peers: [shut(@b, {:silent, :epmd})], lookups: [searched(both, both)]]
      assert kind(unheard) == :epmd_silent
      assert kind(Keyword.put(unheard, :lookups, [searched(both, nil)])) == :epmd_silent

      nobody = {:error, failure(:nxdomain)}
      assert kind(Keyword.put(unheard, :lookups, [searched(both, nobody)])) == :epmd_silent
      assert kind(lookups: [searched(nobody, nobody)]) == :no_such_name
    end
  end

  describe "an address that is no node's own" do
    test "is not suspected while somebody is connected, or answers, or this node is listed" do
      far = ["192.168.1.5", "192.168.1.6"]
      silent = for ip <- far, do: shut("app@" <> ip, {:silent, :epmd})

      assert kind(selves: [], lookups: [lookup(far)], peers: silent) == :nat

      for changes <- [
            [peers: [peer(@b, link: :visible) | silent]],
            [peers: [shut(@b, {:dead, :not_registered}) | silent]],
            [lookups: [lookup(["10.0.0.1" | far])]],
            [lookups: [lookup(["10.0.77.1" | far])]]
          ] do
        assert kind([selves: [], lookups: [lookup(far)], peers: silent] |> Keyword.merge(changes)) not in [
                 :nat,
                 :virtual_ip
               ]
      end
    end

    test "is not suspected where it was written down" do
      lookups = [lookup(["10.0.0.9"], query: "10.0.0.9")]

      assert kind(selves: [], lookups: lookups, peers: [shut("app@10.0.0.9", {:silent, :epmd})]) ==
               :epmd_silent
    end

    test "names of Kubernetes are not taken for multicast DNS" do
      lookups = [lookup(:nxdomain, query: "app.ns.svc.cluster.local.")]
      assert kind(lookups: lookups) == :no_such_name
    end
  end

  test "the table tells what was looked at, in the order of the walk, what is wrong before what is well" do
    diagnosis = verdict(one(shut(@c, {:dead, :not_registered}, epmd: {:ok, ["worker"]})))

    assert for(row <- diagnosis.table, do: {row.step, row.ok, row.subject, row.said}) == [
             {:dns, true, "app.internal A",
              "3 records: 10.0.0.1, 10.0.0.2, 10.0.0.3, from 10.0.0.53:53, 3 ms"},
             {:name, true, @a, "10.0.0.1, by its name"},
             {:distribution, true, "IPv4", "long names, ports by epmd (4369)"},
             {:cookie, nil, "the VM's", "not shown"},
             {:peer, true, @a, "this node itself"},
             {:peer, false, @c, "epmd knows worker; no node of that name is registered there"},
             {:peer, true, @b, "connected"}
           ]
  end

  test "what the README and the guide show is what is printed" do
    ips = ["10.0.0.5", "10.0.0.6", "10.0.0.7"]
    address = {10, 0, 0, 5}
    name = "app@10.0.0.5"
    lost = shut("app@10.0.0.7", {:dead, :not_registered}, epmd: {:ok, ["worker"]})

    text =
      to_string(
        verdict(
          node: name,
          distribution: %{@own | node: name, host: "10.0.0.5", address: address},
          own: {:ok, %{ip: address, interface: "eth0", because: :in_answer}},
          lookups: [lookup(ips)],
          selves: [%{own("10.0.0.5") | name: name}],
          peers: [peer("app@10.0.0.6", link: :visible), lost]
        )
      )

    assert File.read!("README.md") =~ "iex> DNSMesh.doctor()\n" <> text <> "\n```"

    guide =
      text |> String.split("\n") |> Enum.map_join("\n", &if(&1 == "", do: "", else: "    " <> &1))

    assert File.read!("guides/doctor.md") =~ guide <> "\n\n"
  end

  test "a large cluster fills no screen with what is well" do
    peers = for n <- 2..200, do: peer("app@10.0.0.#{n}", link: :visible)
    diagnosis = verdict(peers: peers)
    assert length(diagnosis.table) < 30

    assert List.last(diagnosis.table) == %{
             step: :peer,
             subject: "179 more",
             ok: true,
             said: "like these"
           }
  end
end

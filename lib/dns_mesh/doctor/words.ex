defmodule DNSMesh.Doctor.Words do
  @moduledoc false
  # What a verdict says to a person: the sentence, and the one thing to do. Pure. Whoever does what is said here literally
  # has mended it.

  alias DNSMesh.{Answer, Error, IP, NodeName}
  alias DNSMesh.Doctor.{Facts, Verdict, Verdicts}

  @spec say(Verdicts.kind(), Verdict.about(), Facts.t()) ::
          {subject :: String.t() | nil, sentence :: String.t(), fix :: String.t() | nil}
  def say(kind, about, facts) do
    {sentence, fix} = verdict(kind, about, facts)
    {subject(about), tally(facts) <> upcase(sentence), fix}
  end

  # Not what is a name.
  defp upcase("the " <> rest), do: "The " <> rest
  defp upcase("this " <> rest), do: "This " <> rest
  defp upcase(sentence), do: sentence

  defp subject(%{lookup: lookup}), do: lookup.query.text
  defp subject(%{peers: [peer | _]}), do: peer.name
  defp subject(nil), do: nil

  # What a member has come to so far.
  defp tally(%{mode: :running, peers: [_ | _] = peers}) do
    connected = Enum.count(peers, &(&1.link != nil))
    "#{connected} of #{counted(peers, "peer", "peers")} connected. "
  end

  defp tally(_facts), do: ""

  ## Nothing runs

  defp verdict(:query_not_set, _about, %{mesh: nil}) do
    {"No query is given, and DNS_CLUSTER_QUERY is not set here.",
     "name what is to be examined: mix dns_mesh.doctor app.internal, or DNSMesh.doctor(DNSMesh, query: \"app.internal\")."}
  end

  defp verdict(:query_not_set, _about, facts) do
    {"DNS_CLUSTER_QUERY is not set, no process is registered as #{inspect(facts.mesh)}, and without a query DNSMesh does not start.",
     "set DNS_CLUSTER_QUERY in the environment in which the application is started, to the name that lists its nodes " <>
       "(DNS_CLUSTER_QUERY=app.internal), and start it again."}
  end

  defp verdict(:not_running, _about, facts) do
    {"No process is registered as #{inspect(facts.mesh)}, though there is a query: DNSMesh has not been started, or has ended.",
     "put DNSMesh into the children of your application's supervisor, before those that need the cluster; where it is " <>
       "started as {DNSMesh, name: MyMesh}, ask DNSMesh.doctor(MyMesh)."}
  end

  defp verdict(:no_library, _about, facts),
    do: {facts.library <> ".", "do as it says, and start again."}

  ## DNS

  defp verdict(:server_silent, %{lookup: lookup}, facts) do
    {"#{type(lookup)}#{lookup.query.text} got no answer in #{lookup.ms || "some"} ms from #{servers(lookup, facts)}.",
     "look whether a name server runs there, and let port 53, UDP and TCP, through from this host; or name another one, " <>
       "in /etc/resolv.conf or with the option :nameservers."}
  end

  defp verdict(:server_refused, %{lookup: lookup}, facts) do
    {"#{servers(lookup, facts)} refuses to answer for #{lookup.query.text} (REFUSED): it serves others, or not this name.",
     "correct the name, if that is the name server which the platform gives its containers and machines; else ask that one: " <>
       "take the option :nameservers out, or write it into /etc/resolv.conf; or permit this host's address there."}
  end

  defp verdict(:server_failed, %{lookup: lookup}, facts) do
    {"#{type(lookup)}#{lookup.query.text} failed at #{servers(lookup, facts)}: #{reason(lookup)}.",
     if(facts.servers == [],
       do:
         "write a name server into /etc/resolv.conf, which names none, or give one with the option :nameservers.",
       else:
         "mend that name server, or name another one, in /etc/resolv.conf or with the option :nameservers."
     )}
  end

  defp verdict(:source_failed, %{lookup: lookup}, _facts) do
    {"#{lookup.query.text} tells no nodes: #{reason(lookup)}.",
     "do as it says; DNSMesh asks again at each poll."}
  end

  defp verdict(:local_name, %{lookup: lookup}, facts) do
    {"#{lookup.query.text} ends in .local, which is for multicast DNS (Avahi, Bonjour): #{servers(lookup, facts)} has no " <>
       "such name (#{reason(lookup)}), and DNSMesh asks name servers only.",
     "query a name that a name server has; or write the addresses into /etc/hosts, all of them under that name; or list " <>
       "them: DNS_CLUSTER_QUERY=10.0.0.5,10.0.0.6."}
  end

  defp verdict(:no_such_name, %{lookup: lookup}, facts) do
    {"#{servers(lookup, facts)} says that #{asked_as(lookup)} does not exist (NXDOMAIN).",
     "correct the spelling of the query (DNS_CLUSTER_QUERY, or :query), or have the name server list the nodes' addresses " <>
       "under that name; where it is right and new, wait: DNSMesh asks again at each poll."}
  end

  defp verdict(:no_records, %{lookup: %{type: :names} = lookup}, _facts) do
    {"#{lookup.query.text} lists nobody.",
     "look whether the other nodes have the same query, and run; and at the spelling of this one."}
  end

  defp verdict(:no_records, %{lookup: lookup}, facts) do
    {"#{asked_as(lookup)} exists at #{servers(lookup, facts)}, and has no #{type_name(lookup.type)} records.",
     "have the name list the nodes' addresses: in Kubernetes a headless service (clusterIP: None) whose selector matches " <>
       "the pods, with publishNotReadyAddresses: true; in Compose and Swarm a service with running containers."}
  end

  ## This node

  defp verdict(:not_distributed, _about, %{obstacle: :manual} = _facts) do
    {"this node is not distributed, and distribution: :manual keeps DNSMesh from changing that.",
     "leave :distribution out; or start the VM with a name: elixir --name app@10.0.0.5 --cookie SECRET -S mix run --no-halt, " <>
       "with this machine's own address."}
  end

  defp verdict(:not_distributed, _about, %{obstacle: nil, own: {:ok, _address}}) do
    {"this node has no name yet: it is about to take one.",
     "wait for the next poll, and ask again."}
  end

  defp verdict(:not_distributed, _about, facts) do
    why = facts.obstacle || unnamed(facts.own)

    {"this node has no name yet, so it can join nobody: #{Error.message(why)}.",
     "do as it says; DNSMesh tries again at each poll. See DNSMesh.status() and the log for more."}
  end

  defp verdict(:short_names, %{peers: peers}, facts) do
    {"this node, #{facts.node}, has a short name, and #{some(peers)} #{has(peers)} a dot in the host: short names join short ones only.",
     if(System.get_env("RELEASE_NAME"),
       do:
         "in the folder of mix.exs run mix dns_mesh.gen.env and MIX_ENV=prod mix release --overwrite, and start the release " <>
           "that this builds: it names itself by its own address.",
       else: "start this node without --sname, and DNSMesh names it by its own address."
     )}
  end

  defp verdict(:long_names, %{peers: peers}, facts) do
    {"this node, #{facts.node}, has a long name, and #{some(peers)} #{has(peers)} no dot in the host: long names join long ones only.",
     "start this node with --sname, as those are; or those with --name and a host with a dot in it, and query them so."}
  end

  defp verdict(:no_host_name, %{peers: peers}, facts) do
    {"this node, #{facts.node}, is named by a host name, and so it joins peers by theirs: #{some(peers)} " <>
       "#{has(peers)} none that leads to and from the address.",
     "give each address a PTR record of a name that has that address; or query SRV records (_epmd._tcp.NAME); or list the " <>
       "nodes as BASENAME@HOST; or start all nodes without --name and --sname, and DNSMesh names them by address."}
  end

  defp verdict(:wrong_family, %{lookup: %{type: type, elsewhere: count} = lookup}, _facts) do
    {"#{lookup.query.text} has #{count} #{if type == :a, do: "IPv6", else: "IPv4"} #{word(count, "address", "addresses")} and no " <>
       "#{if type == :a, do: "IPv4", else: "IPv6"} ones, and this VM's distribution speaks #{if type == :a, do: "IPv4", else: "IPv6"}.",
     boot_for(if(type == :a, do: :inet6, else: :inet))}
  end

  defp verdict(:wrong_family, %{peers: peers}, facts) do
    other = if facts.distribution.family == :inet6, do: :inet, else: :inet6

    {"#{some(peers)}: the address is of the IP version that this VM's distribution does not speak.",
     boot_for(other)}
  end

  ## Addresses that are nobody's

  defp verdict(:only_myself, _about, facts) do
    {"the only node listed is this one: #{listed(facts)}.",
     "start a second node with the same query; if one runs, have the name list its address too (look at what it says itself: " <>
       "DNSMesh.doctor() there)."}
  end

  defp verdict(:virtual_ip, %{peers: [peer | _]} = _about, facts) do
    {"#{listed(facts)}: one address, and no node's own; it looks like a virtual IP that stands before the nodes.",
     "query the name that lists the nodes themselves: tasks.SERVICE in Swarm, a headless service (clusterIP: None) in " <>
       "Kubernetes, the tasks' own names elsewhere. If #{ips(peer)} is a node's own address after all, start the node there, " <>
       "and open port #{DNSMesh.Epmd.port()} (epmd) to this host."}
  end

  defp verdict(:nat, _about, facts) do
    {"#{listed(facts)}: none of these addresses is one of this host's (#{own_ips(facts)}), nor near one: they are those of " <>
       "hosts, and the nodes stand behind them, by NAT.",
     "run the nodes in a network in which each has the address that is listed: network_mode host, Nomad's host or bridge with " <>
       "CNI, ECS' awsvpc, a Kubernetes pod network; or query a name that lists the inner addresses, if they reach each other."}
  end

  ## Peers

  defp verdict(:unresolved, %{peers: peers}, _facts) do
    {"#{some(peers)}: the host has no address.",
     "correct the spelling in the query, or have the name servers, or /etc/hosts, know #{hosts(peers)}."}
  end

  defp verdict(:epmd_refused, %{peers: peers}, _facts) do
    {"#{some(peers)}: the host answers, and no epmd runs there (port #{DNSMesh.Epmd.port()}#{garbled(peers)}).",
     "start the node there, which starts its epmd; if one runs, see that it is distributed (Node.self() there), uses the " <>
       "same ERL_EPMD_PORT, and that its epmd listens at #{ips(hd(peers))} (ERL_EPMD_ADDRESS unset). If the node is gone for " <>
       "good, take its address out of the name."}
  end

  defp verdict(:epmd_silent, %{peers: peers}, _facts) do
    {"#{some(peers)}: epmd's port, #{DNSMesh.Epmd.port()}, does not answer: the host is down, or something swallows the packets.",
     "open TCP port #{DNSMesh.Epmd.port()} and the distribution port from this host to #{ips(hd(peers))} (firewall, security " <>
       "group, network policy). If the node is gone for good, take its address out of the name."}
  end

  defp verdict(:not_registered, %{peers: [peer | _] = peers}, facts) do
    {basename, _host} = NodeName.split(peer.name)

    case peer.epmd do
      {:ok, [_ | _] = names} ->
        {"#{some(peers)}: epmd answers but knows only #{quoted(names)}.",
         "start it with basename #{basename} (--name #{peer.name}), or query #{other_query(peer, names, facts)}."}

      _nobody ->
        {"#{some(peers)}: epmd answers and knows no node.",
         "start the node there; if it runs, it is not distributed: Node.self() and DNSMesh.doctor() there tell more."}
    end
  end

  defp verdict(:port_closed, %{peers: peers}, %{distribution: %{ports: {:fixed, port}}}) do
    {"#{some(peers)}: the host answers, and nobody listens at port #{port} (-erl_epmd_port).",
     "start the node there, with -start_epmd false -erl_epmd_port #{port} as this one, and without inet_dist_use_interface " <>
       "or with #{its_ips(peers)}. If the node is gone for good, take its address out of the name."}
  end

  defp verdict(:port_closed, %{peers: peers}, _facts) do
    {"#{some(peers)}: epmd answers for it, and nobody listens at #{its_ips(peers)} at the distribution port it gives.",
     "let the node listen at that address: start it without inet_dist_use_interface, or with that address, and with the same " <>
       "-erl_epmd_port as this node, if any. If it has just stopped, wait until its epmd has noticed."}
  end

  defp verdict(:port_silent, %{peers: peers}, %{distribution: %{ports: {:fixed, port}}}) do
    {"#{some(peers)}: port #{port} (-erl_epmd_port) does not answer: the host is down, or something swallows the packets.",
     "open TCP port #{port} from this host to #{ips(hd(peers))} (firewall, security group, network policy). If the node is " <>
       "gone for good, take its address out of the name."}
  end

  defp verdict(:port_silent, %{peers: peers}, _facts) do
    {"#{some(peers)}: epmd answers for it, and the distribution port does not: something swallows the packets.",
     "fix the distribution port on all nodes, ERL_AFLAGS=\"-kernel inet_dist_listen_min 9100 inet_dist_listen_max 9105\", and " <>
       "open these TCP ports from this host to #{ips(hd(peers))} (firewall, security group, network policy)."}
  end

  defp verdict(:no_node, %{peers: peers}, _facts) do
    {"#{some(peers)}: what listens at its distribution port is no node.",
     "free that port for the node, or give the nodes another one (-erl_epmd_port, inet_dist_listen_min); a proxy in between " <>
       "has to pass plain TCP."}
  end

  defp verdict(:node_silent, %{peers: peers}, _facts) do
    {"#{some(peers)}: its distribution port takes the connection and says nothing: the VM hangs, or a proxy holds the line.",
     "look at that VM (is it stopped, swapping, out of memory?) and restart it; take a proxy in between away."}
  end

  defp verdict(:tls, %{peers: peers}, _facts) do
    {"#{some(peers)}: its distribution speaks TLS, and this node's does not.",
     "boot all nodes alike: this one too with -proto_dist inet_tls and its ssl_dist_optfile, or that one without."}
  end

  defp verdict(
         :other_name,
         %{peers: [%{greeting: {:other_name, name}} = peer | _] = peers},
         _facts
       ) do
    {"#{some(peers)}: the node at that address answers as #{name}, and OTP joins a node under its own name only.",
     "name that node #{peer.name}: start it without --name and DNSMesh does, where the query lists that address, or set its " <>
       "option :address (address: \"#{ips(peer)}\", or {:subnet, \"#{net(peer)}\"} for all nodes alike); or query the names that the nodes have (#{name} as an item)."}
  end

  defp verdict(:not_admitted, %{peers: peers}, facts) do
    {"#{some(peers)}: it lets in only the nodes of a list (net_kernel:allow/1).",
     "add #{facts.node || "this node's name"} to that list there, or do not call net_kernel:allow/1."}
  end

  defp verdict(:wrong_cookie, %{peers: peers}, facts) do
    {"#{some(peers)}: it does not take this node's cookie.",
     "give all nodes the same one: RELEASE_COOKIE, --cookie, or the option :cookie" <>
       "#{cookie_source(facts)}, and restart those that had another."}
  end

  defp verdict(:not_allowed, %{peers: peers}, facts) do
    default =
      if facts.allow == :default,
        do: " (by default every unicast address but loopback and link-local ones)",
        else: ""

    {"#{some(peers)}: the address is not in :allow#{default}.",
     "if that address is right, set the option allow: #{inspect(networks(facts))}; else correct what the name server lists."}
  end

  defp verdict(:bad_name, %{peers: peers}, _facts) do
    {"#{some(peers)}: no node can have such a name.",
     "correct the item of the query, or the list, that gives it."}
  end

  defp verdict(:atom_budget, %{peers: peers}, _facts) do
    {"#{some(peers)}: not dialled, for more than 1024 new names an hour would fill the VM's atom table.",
     "look at what the name server answers: names that change all the time are no cluster. It goes on by itself, at one name " <>
       "in 3.5 s."}
  end

  defp verdict(:unreachable_for, %{peers: [%{reason: {_, member}} | _] = peers}, _facts) do
    {"#{some(peers)}: not joined, because #{member} cannot reach it, and a join would have links cut all over the cluster.",
     "mend the way between #{member} and #{its_ips(peers)}, in both directions, ports of epmd and distribution; run " <>
       "DNSMesh.doctor() on #{member}."}
  end

  defp verdict(:member_unreachable, %{peers: [%{reason: {_, member}} | _] = peers}, facts) do
    {"#{some(peers)}: not joined, because it is linked to #{member}, which this node cannot reach.",
     "mend the way between #{facts.node} and #{member}, in both directions, ports of epmd and distribution."}
  end

  defp verdict(:peer_budget, _about, facts) do
    {"#{facts.left_out} of the names listed are left out, for :max_peers is #{facts.max_peers}.",
     "set max_peers: #{facts.max_peers + facts.left_out} or more, if the cluster is that large; else look at what the name " <>
       "server answers."}
  end

  ## What ends by itself

  defp verdict(:hidden, %{peers: peers}, %{hidden?: true}) do
    {"this node was booted with -hidden: #{some(peers)} #{is_or_are(peers)} not in Node.list/0, only in Node.list(:hidden).",
     "start this node without -hidden; or count with Node.list(:connected)."}
  end

  defp verdict(:hidden, %{peers: peers}, _facts) do
    {"#{some(peers)}: a hidden node, which Node.list/0 does not show, only Node.list(:hidden).",
     "start that node without -hidden; or count with Node.list(:connected)."}
  end

  defp verdict(:leaving, %{peers: peers}, _facts) do
    {"#{some(peers)}: it has said that it stops (DNSMesh.leave/1), and is left alone for a minute, or until it comes back.",
     "nothing, if it stops; else restart it."}
  end

  defp verdict(:not_yet, %{peers: [peer | _] = peers}, facts) do
    {"#{some(peers)}: it answers#{took_cookie(peer)}, and is not connected yet#{last(peer)}.",
     "wait#{moment(peer)}, or call DNSMesh.poll(#{if facts.mesh == DNSMesh, do: "", else: inspect(facts.mesh)}). If it stays so, " <>
       "run DNSMesh.doctor() on #{peer.name}."}
  end

  defp verdict(:reachable, _about, facts) do
    untried = Enum.any?(facts.peers, &(not match?({:welcome, _, :proved}, &1.greeting)))

    {"#{counted(facts.peers, "node", "nodes")} listed, and every one answers#{if untried, do: "; no cookie was tried", else: " and takes the cookie"}.",
     nil}
  end

  defp verdict(:connected, _about, _facts), do: {"Nothing is wrong.", nil}

  ## Small things

  defp unnamed({:error, reason}), do: reason
  defp unnamed(_address), do: :not_distributed

  defp type(%{type: :names}), do: ""
  defp type(%{type: type}), do: type_name(type) <> " of "

  defp type_name(type), do: type |> Atom.to_string() |> String.upcase()

  defp reason(%{result: {:error, failure}}), do: Error.message(failure.reason)
  defp reason(%{result: {:ok, _nobody}}), do: "nobody"

  defp servers(%{result: {_, %{server: server}}}, _facts) when server not in [nil, ""], do: server
  defp servers(_lookup, %{servers: []}), do: "127.0.0.1 (/etc/resolv.conf names no server)"
  defp servers(_lookup, %{servers: servers}), do: Enum.join(servers, ", ")

  # A search domain may have been added.
  defp asked_as(%{query: query, result: {:error, %{name: name}}}) when is_binary(name) do
    if name == String.trim_trailing(query.host, "."),
      do: query.host,
      else: "#{query.host} (asked as #{name})"
  end

  defp asked_as(%{query: query}), do: query.host

  defp boot_for(:inet6),
    do:
      "boot every node for IPv6: ERL_AFLAGS=\"-proto_dist inet6_tcp\" (a release's env.sh of mix dns_mesh.gen.env sees to it)."

  defp boot_for(:inet),
    do:
      "boot every node for IPv4: without -proto_dist inet6_tcp in ERL_AFLAGS, ERL_FLAGS, ELIXIR_ERL_OPTIONS and vm.args."

  defp listed(facts) do
    for %{query: query, type: type, result: {:ok, %{records: [_ | _]} = answer}} <- facts.lookups do
      if type == :names,
        do: "#{query.text} lists #{counted(answer.records, "name", "names")}",
        else: "#{query.text} gives #{answer |> Answer.addresses() |> some_ips()}"
    end
    |> Enum.uniq()
    |> Enum.join(", ")
  end

  defp some_ips(ips) do
    {shown, more} = Enum.split(ips, 4)

    Enum.map_join(shown, ", ", &IP.to_text/1) <>
      if(more == [], do: "", else: " and #{length(more)} more")
  end

  defp own_ips(facts) do
    case for({ip, _} <- facts.networks, IP.class(ip) not in [:loopback, :link_local], do: ip) do
      [] -> "it has none but loopback"
      ips -> some_ips(ips)
    end
  end

  defp ips(%{ips: []} = peer), do: peer.name |> NodeName.split() |> elem(1)
  defp ips(%{ips: ips}), do: some_ips(ips)

  defp its_ips([peer | _]), do: ips(peer)

  defp hosts(peers),
    do:
      peers
      |> Enum.map(&(&1.name |> NodeName.split() |> elem(1)))
      |> Enum.uniq()
      |> Enum.join(", ")

  defp net(%{ips: [ip | _]}), do: surroundings(ip)

  # What is allowed already, and the networks of all that are listed.
  defp networks(facts) do
    before = if facts.allow == :default, do: [], else: facts.allow

    listed =
      for peer <- facts.peers, ip <- peer.ips, not Enum.any?(before, &IP.in_cidr?(ip, &1)), do: ip

    (Enum.map(before, fn {ip, prefix} -> "#{IP.to_text(ip)}/#{prefix}" end) ++
       Enum.map(listed, &surroundings/1))
    |> Enum.uniq()
  end

  # As large as networks mostly are.
  defp surroundings({a, b, c, _d}), do: "#{a}.#{b}.#{c}.0/24"

  defp surroundings({a, b, c, d, _, _, _, _}),
    do: "#{IP.to_text({a, b, c, d, 0, 0, 0, 0})}/64"

  defp garbled(peers) do
    if Enum.any?(
         peers,
         &(&1.epmd == {:error, :garbled} or match?({_, {:epmd, :garbled}}, &1.policy))
       ),
       do: " is held by something else",
       else: ""
  end

  # A basename in an item is that of all its addresses, this node's own among them.
  defp other_query(%{query: %{host: host} = query}, [name | _], facts) when host != nil do
    others = for other <- facts.peers ++ facts.selves, other.query == query, do: other.epmd
    inspect("#{if Enum.all?(others, &knows?(&1, name)), do: name, else: "*"}@#{host}")
  end

  defp other_query(peer, [name | _], _facts),
    do: inspect("#{name}@#{peer.name |> NodeName.split() |> elem(1)}")

  defp knows?({:ok, names}, name), do: name in names
  defp knows?(_not_asked, _name), do: false

  defp quoted(names) do
    {shown, more} = Enum.split(names, 5)

    Enum.map_join(shown, ", ", &inspect/1) <>
      if(more == [], do: "", else: " and #{length(more)} more")
  end

  defp cookie_source(%{mode: :apart, cookie: {:ok, {:file, path}}}),
    do: " (here it is that of #{path})"

  defp cookie_source(%{mode: :apart, cookie: {:ok, :environment}}),
    do: " (here it is RELEASE_COOKIE's)"

  defp cookie_source(_facts), do: ""

  defp took_cookie(%{greeting: {:welcome, _, :proved}}), do: " and takes the cookie"
  defp took_cookie(_peer), do: ""

  defp last(%{reason: nil}), do: ""
  defp last(%{reason: reason}), do: " (#{Error.message(reason)})"

  defp moment(%{next_attempt: ms}) when is_integer(ms), do: " #{DNSMesh.Words.duration(ms)}"
  defp moment(_peer), do: " for the next poll"

  defp some([one]), do: one.name

  defp some(peers) do
    {shown, more} = peers |> Enum.map(& &1.name) |> Enum.split(3)
    Enum.join(shown, ", ") <> if(more == [], do: "", else: " and #{length(more)} more")
  end

  defp has([_one]), do: "has"
  defp has(_several), do: "have"
  defp is_or_are([_one]), do: "is"
  defp is_or_are(_several), do: "are"

  defp counted([_one], one, _several), do: "1 #{one}"
  defp counted(list, _one, several), do: "#{length(list)} #{several}"

  defp word(1, one, _several), do: one
  defp word(_count, _one, several), do: several
end

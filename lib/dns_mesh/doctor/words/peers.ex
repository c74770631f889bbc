defmodule DNSMesh.Doctor.Words.Peers do
  @moduledoc false
  # What is said of those who are listed. Pure.

  import DNSMesh.Doctor.Words.Phrases

  alias DNSMesh.{Error, IP, NodeName, ReleaseNaming}
  alias DNSMesh.Doctor.{Facts, Verdicts}
  alias DNSMesh.Doctor.Words.TLS

  ## Their kind is another than this node's

  @spec say(Verdicts.kind(), [Facts.peer(), ...], Facts.t()) ::
          {sentence :: String.t(), fix :: String.t()}
  def say(:short_names, peers, facts) do
    {"this node, #{facts.node}, has a short name, and #{some(peers)} #{has(peers)} a dot in the host: short names join short ones only.",
     if(facts.release,
       do: ReleaseNaming.cure(facts.release) <> ".",
       else: "start this node without --sname, and DNSMesh names it by its own address."
     )}
  end

  def say(:long_names, peers, facts) do
    {"this node, #{facts.node}, has a long name, and #{some(peers)} #{has(peers)} no dot in the host: long names join long ones only.",
     "start this node with --sname (a release: RELEASE_DISTRIBUTION=sname), as those are; or those with --name and a host with a dot in it, and query them so."}
  end

  def say(:no_host_name, peers, facts) do
    {"this node, #{facts.node}, is named by a host name, and so it joins peers by theirs: #{some(peers)} " <>
       "#{has(peers)} none that leads to and from the address.",
     "give each address a PTR record of a name that has that address; or query SRV records (_epmd._tcp.NAME); or list the " <>
       "nodes as BASENAME@HOST; or have all nodes named by address: #{by_address(facts.release)}."}
  end

  def say(:wrong_family, peers, facts) do
    other = if facts.distribution.family == :inet6, do: :inet, else: :inet6

    {"#{some(peers)}: the address is of the IP version that this VM's distribution does not speak.",
     boot_for(other)}
  end

  ## Addresses that are nobody's

  def say(:only_myself, _peers, facts) do
    {"the only node listed is this one: #{listed(facts)}.",
     "start a second node with the same query; if one runs, have the name list its address too (look at what it says itself: " <>
       "DNSMesh.doctor() there)."}
  end

  def say(:virtual_ip, [peer | _], facts) do
    {"#{listed(facts)}: one address, and no node's own; it looks like a virtual IP that stands before the nodes.",
     "query the name that lists the nodes themselves: tasks.SERVICE in Swarm, a headless service (clusterIP: None) in " <>
       "Kubernetes, the tasks' own names elsewhere. If #{ips(peer)} is a node's own address after all, start the node there, " <>
       "and open port #{DNSMesh.Epmd.port()} (epmd) to this host."}
  end

  def say(:nat, _peers, facts) do
    {"#{listed(facts)}: none of these addresses is one of this host's (#{own_ips(facts)}), nor near one: they are those of " <>
       "hosts, and the nodes stand behind them, by NAT.",
     "run the nodes in a network in which each has the address that is listed: network_mode host, Nomad's host or bridge with " <>
       "CNI, ECS' awsvpc, a Kubernetes pod network; or query a name that lists the inner addresses, if they reach each other."}
  end

  ## Peers

  def say(:unresolved, peers, _facts) do
    {"#{some(peers)}: the host has no address.",
     "correct the spelling in the query, or have the name servers, or /etc/hosts, know #{hosts(peers)}."}
  end

  def say(:epmd_refused, peers, _facts) do
    {"#{some(peers)}: the host answers, and no epmd runs there (port #{DNSMesh.Epmd.port()}#{garbled(peers)}).",
     "start the node there, which starts its epmd; if one runs, see that it is distributed (Node.self() there), uses the " <>
       "same ERL_EPMD_PORT, and that its epmd listens at #{ips(hd(peers))} (ERL_EPMD_ADDRESS unset). If the node is gone for " <>
       "good, take its address out of the name."}
  end

  def say(:epmd_silent, peers, _facts) do
    {"#{some(peers)}: epmd's port, #{DNSMesh.Epmd.port()}, does not answer: the host is down, or something swallows the packets.",
     "open TCP port #{DNSMesh.Epmd.port()} and the distribution port from this host to #{ips(hd(peers))} (firewall, security " <>
       "group, network policy). If the node is gone for good, take its address out of the name."}
  end

  def say(:not_registered, [peer | _] = peers, facts) do
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

  def say(:port_closed, peers, %{distribution: %{ports: {:fixed, port}}}) do
    {"#{some(peers)}: the host answers, and nobody listens at port #{port} (-erl_epmd_port).",
     "start the node there, with -start_epmd false -erl_epmd_port #{port} as this one, and without inet_dist_use_interface " <>
       "or with #{its_ips(peers)}. If the node is gone for good, take its address out of the name."}
  end

  def say(:port_closed, peers, _facts) do
    {"#{some(peers)}: epmd answers for it, and nobody listens at #{its_ips(peers)} at the distribution port it gives.",
     "let the node listen at that address: start it without inet_dist_use_interface, or with that address, and with the same " <>
       "-erl_epmd_port as this node, if any. If it has just stopped, wait until its epmd has noticed."}
  end

  def say(:port_silent, peers, %{distribution: %{ports: {:fixed, port}}}) do
    {"#{some(peers)}: port #{port} (-erl_epmd_port) does not answer: the host is down, or something swallows the packets.",
     "open TCP port #{port} from this host to #{ips(hd(peers))} (firewall, security group, network policy). If the node is " <>
       "gone for good, take its address out of the name."}
  end

  def say(:port_silent, peers, _facts) do
    {"#{some(peers)}: epmd answers for it, and the distribution port does not: something swallows the packets.",
     "fix the distribution port on all nodes, ERL_AFLAGS=\"-kernel inet_dist_listen_min 9100 inet_dist_listen_max 9105\", and " <>
       "open these TCP ports from this host to #{ips(hd(peers))} (firewall, security group, network policy)."}
  end

  def say(:no_node, peers, _facts) do
    {"#{some(peers)}: what listens at its distribution port is no node.",
     "free that port for the node, or give the nodes another one (-erl_epmd_port, inet_dist_listen_min); a proxy in between " <>
       "has to pass plain TCP."}
  end

  def say(:node_silent, peers, _facts) do
    {"#{some(peers)}: its distribution port takes the connection and says nothing: the VM hangs, or a proxy holds the line.",
     "look at that VM (is it stopped, swapping, out of memory?) and restart it; take a proxy in between away."}
  end

  def say(:tls, [%{greeting: :plain} | _] = peers, _facts) do
    {"#{some(peers)}: its distribution speaks no TLS, and this node's does.",
     "boot all nodes alike: that one too with -proto_dist inet_tls and its ssl_dist_optfile, or this one without."}
  end

  def say(:tls_failed, [peer | _] = peers, _facts) do
    {what, fix} = TLS.say(peer)
    {"#{some(peers)}: #{what}.", fix <> "."}
  end

  def say(:tls, peers, _facts) do
    {"#{some(peers)}: its distribution speaks TLS, and this node's does not.",
     "boot all nodes alike: this one too with -proto_dist inet_tls and its ssl_dist_optfile, or that one without."}
  end

  def say(:load_balancer, [%{greeting: {:other_name, name}} = peer | _] = peers, facts) do
    {"#{some(peers)}: what answers there is #{whose(name, facts)}. The address is a load balancer's, a virtual IP, or a second " <>
       "one of that host, and a node is joined under its own name only.",
     "#{take_out(peer, peers)}: of each node its own address is to be listed, and no other."}
  end

  def say(
        :other_name,
        [%{greeting: {:other_name, name}} = peer | _] = peers,
        _facts
      ) do
    {"#{some(peers)}: the node at that address answers as #{name}, and OTP joins a node under its own name only.",
     "name that node #{peer.name}: restart it, if its address has changed since it started; start it without --name (a release: with RELEASE_NODE and RELEASE_DISTRIBUTION unset) and DNSMesh does, where the query lists that address, or set its " <>
       "option :address (address: \"#{ips(peer)}\", or {:subnet, \"#{net(peer)}\"} for all nodes alike); or query the names that the nodes have (#{name} as an item)."}
  end

  def say(:not_admitted, peers, facts) do
    {"#{some(peers)}: it lets in only the nodes of a list (net_kernel:allow/1).",
     "add #{facts.node || "this node's name"} to that list there, or do not call net_kernel:allow/1."}
  end

  def say(:release_cookie, [%{unheeded: why} | _] = peers, _facts) do
    {in_force, fix} = unheeded(why)

    {"#{some(peers)}: it does not take this node's cookie, and that is not RELEASE_COOKIE, which is set: #{in_force}.",
     fix <> "."}
  end

  def say(:wrong_cookie, [peer | _] = peers, facts) do
    {"#{some(peers)}: it does not take this node's cookie.",
     "give all nodes the same one: RELEASE_COOKIE, --cookie, or the option :cookie" <>
       "#{cookie_source(facts)}, and restart those that had another. Where that is so already, it is not in force on " <>
       "one of them: DNSMesh.doctor() on #{peer.name} tells why."}
  end

  def say(:not_allowed, peers, facts) do
    default =
      if facts.allow == :default,
        do: " (by default every unicast address but loopback and link-local ones)",
        else: ""

    {"#{some(peers)}: the address is not in :allow#{default}.",
     "if that address is right, set the option allow: #{inspect(networks(facts))}; else correct what the name server lists."}
  end

  def say(:bad_name, peers, _facts) do
    {"#{some(peers)}: no node can have such a name.",
     "correct the item of the query, or the list, that gives it."}
  end

  def say(:atom_budget, peers, _facts) do
    {"#{some(peers)}: not dialled, for more than 1024 new names an hour would fill the VM's atom table.",
     "look at what the name server answers: names that change all the time are no cluster. It goes on by itself, at one name " <>
       "in 3.5 s."}
  end

  def say(:unreachable_for, [%{reason: {_, member}} | _] = peers, facts) do
    {"#{some(peers)}: not joined, because #{member} cannot reach it, and a join would have links cut all over the cluster.",
     if(listed?(member, facts),
       do:
         "mend the way between #{member} and #{its_ips(peers)}, in both directions, ports of epmd and distribution; run " <>
           "DNSMesh.doctor() on #{member}.",
       else:
         "no item lists #{member}: if it is the same node, under the address that its machine had before, restart it; if it " <>
           "has gone, wait until its links end (net_ticktime); else list it, and open the ports of epmd and distribution " <>
           "between it and #{its_ips(peers)}."
     )}
  end

  def say(:member_unreachable, [%{reason: {_, member}} | _] = peers, facts) do
    {"#{some(peers)}: not joined, because it is linked to #{member}, which this node cannot reach.",
     "mend the way between #{facts.node} and #{member}, in both directions, ports of epmd and distribution."}
  end

  ## What ends by itself

  def say(:hidden, peers, %{hidden?: true}) do
    {"this node was booted with -hidden: #{some(peers)} #{is_or_are(peers)} not in Node.list/0, only in Node.list(:hidden).",
     "start this node without -hidden; or count with Node.list(:connected)."}
  end

  def say(:hidden, peers, _facts) do
    {"#{some(peers)}: a hidden node, which Node.list/0 does not show, only Node.list(:hidden).",
     "start that node without -hidden; or count with Node.list(:connected)."}
  end

  def say(:leaving, peers, _facts) do
    {"#{some(peers)}: it has said that it stops (DNSMesh.leave/1), and is left alone for a minute, or until it comes back.",
     "nothing, if it stops; else restart it."}
  end

  def say(:not_yet, [peer | _] = peers, facts) do
    {"#{some(peers)}: it answers#{took_cookie(peer)}, and is not connected yet#{last(peer)}.",
     "wait#{moment(peer)}, or call DNSMesh.poll(#{if facts.mesh == DNSMesh, do: "", else: inspect(facts.mesh)}). If it stays so, " <>
       "run DNSMesh.doctor() on #{peer.name}."}
  end

  ## Small things

  defp ips(%{ips: []} = peer), do: peer.name |> NodeName.split() |> elem(1)
  defp ips(%{ips: ips}), do: some_ips(ips)

  defp by_address(nil), do: "start them without --name and --sname, and DNSMesh does"
  defp by_address(release), do: ReleaseNaming.cure(release)

  defp whose(name, %{node: name}), do: "this node itself, #{name}"

  defp whose(name, facts) do
    if name in facts.members,
      do: "#{name}, which is linked under that name already",
      else: "#{name}, which is listed under that name too"
  end

  defp listed?(name, facts), do: Enum.any?(facts.peers, &(&1.name == name and &1.query != nil))

  defp take_out(%{query: %{text: text, host: host}}, peers) when host != nil do
    if IP.parse(host) == :error,
      do: "take #{peers |> Enum.flat_map(& &1.ips) |> some_ips()} out of #{host}",
      else: "take #{text} out of the query"
  end

  defp take_out(_by_a_source, peers), do: "take #{some(peers)} out of the list that names it"

  defp its_ips([peer | _]), do: ips(peer)

  defp hosts(peers),
    do:
      peers
      |> Enum.map(&(&1.name |> NodeName.split() |> elem(1)))
      |> Enum.uniq()
      |> Enum.join(", ")

  defp own_ips(facts) do
    case for({ip, _} <- facts.networks, IP.class(ip) not in [:loopback, :link_local], do: ip) do
      [] -> "it has none but loopback"
      ips -> some_ips(ips)
    end
  end

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

  defp cookie_source(%{mode: :apart, cookie: {:ok, {:file, path}}}),
    do: " (here it is that of #{path})"

  defp cookie_source(%{mode: :apart, cookie: {:ok, :environment}}),
    do: " (here it is RELEASE_COOKIE's)"

  defp cookie_source(_facts), do: ""

  defp unheeded(:option),
    do: {"the option :cookie comes first", "take the option :cookie out, and restart this node"}

  defp unheeded(:boot_flag) do
    {"--cookie (-setcookie) gives another, and comes first",
     "start this node with --cookie \"$RELEASE_COOKIE\", and without any other -setcookie"}
  end

  defp unheeded(:boot_flags) do
    {"-setcookie is given more than once, and OTP heeds none of them then, but its file",
     "take -setcookie out of vm.args, ERL_AFLAGS, ERL_FLAGS, ERL_ZFLAGS and ELIXIR_ERL_OPTIONS, for the release's own script " <>
       "gives it once already, and restart this node"}
  end

  defp unheeded(:dash) do
    {"it begins with -, so OTP has taken it for a flag, and a cookie of its own",
     "set RELEASE_COOKIE on all nodes to one that begins with a letter or a digit, and restart them"}
  end

  defp unheeded({:file, path}) do
    {"this VM was started with --name or --sname, and has the cookie of #{path}",
     "start this node with --cookie \"$RELEASE_COOKIE\" too; or without --name and --sname, and DNSMesh takes RELEASE_COOKIE"}
  end

  defp unheeded(:for_peer) do
    {"somebody has set a cookie for that peer alone",
     "look for Node.set_cookie/2 in the application, take that call out, and restart this node"}
  end

  defp unheeded(:set) do
    {"somebody has set another one while the VM ran",
     "look for Node.set_cookie/1 and Node.set_cookie/2 in the application, take that call out, and restart this node"}
  end

  defp took_cookie(%{greeting: {:welcome, _, :proved}}), do: " and takes the cookie"
  defp took_cookie(_peer), do: ""

  defp last(%{reason: nil}), do: ""
  defp last(%{reason: reason}), do: " (#{Error.message(reason)})"

  defp moment(%{next_attempt: ms}) when is_integer(ms), do: " #{DNSMesh.Words.duration(ms)}"
  defp moment(_peer), do: " for the next poll"

  defp has([_one]), do: "has"
  defp has(_several), do: "have"

  defp is_or_are([_one]), do: "is"
  defp is_or_are(_several), do: "are"
end

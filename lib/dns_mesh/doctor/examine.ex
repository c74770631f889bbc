defmodule DNSMesh.Doctor.Examine do
  @moduledoc false
  # Gathers the facts, in a process of its own: late replies must not end up in the caller's mailbox. What can be asked at
  # once is asked at once, and all of it has one deadline:
  #
  #   world ─▶ lookups (two fifths of the time) ─▶ epmd and ports (to four fifths) ─▶ handshakes (the rest)
  #
  # It asks, and changes nothing: who is dialled is the running instance's business.

  alias DNSMesh.{
    Candidates,
    Config,
    Cookie,
    Distribution,
    Inetrc,
    IP,
    Lookups,
    Outside,
    OwnName,
    Policy,
    ReleaseNaming,
    Resolver,
    Roster
  }

  alias DNSMesh.Doctor.{Asked, Facts, Greetings, Outsiders, Replies}
  alias DNSMesh.Outside.{Probe, VM}

  @typedoc "What a running instance has told of itself."
  @type instance ::
          {Config.t(), Roster.t(), Lookups.t(), OwnName.t(), now :: integer()}

  @spec facts(Facts.mode(), Config.t(), instance() | nil, timeout :: pos_integer()) :: Facts.t()
  def facts(mode, config, instance, timeout) do
    {pid, monitor} =
      spawn_monitor(fn -> exit({:facts, gather(mode, config, instance, timeout)}) end)

    receive do
      {:DOWN, ^monitor, :process, ^pid, {:facts, facts}} -> facts
      {:DOWN, ^monitor, :process, ^pid, died} -> exit(died)
    end
  end

  defp gather(mode, config, instance, timeout) do
    started = now()
    instance = once_answered(instance, config.name, started + div(timeout, 5))
    outside = Outside.open(config)
    vm = VM.open(config)
    {:now, world} = VM.survey(vm)
    me = me(world.distribution, config)

    lookups = Asked.look_up(outside, vm, config, instance, me, started + div(timeout * 2, 5))
    {own_name, known} = own_name(config, instance, lookups)
    own = OwnName.address(own_name, known)
    distribution = distribution(world.distribution, own_name, known, me.basename)

    facts = %Facts{
      mode: mode,
      mesh: config.name,
      distribution: distribution,
      alive?: world.distribution.alive?,
      node: world.distribution.node,
      own: own,
      obstacle: obstacle(mode, config, own_name),
      leaving?: leaving?(instance),
      unfit: own_name.fit.reason,
      cookie: cookie(world.distribution, config),
      hidden?: :init.get_argument(:hidden) != :error,
      networks: Resolver.own_networks(),
      servers: servers(config),
      conf: conf(Inetrc.read()),
      allow: config.allow,
      max_peers: config.max_peers,
      release: ReleaseNaming.why(),
      members: world.connected -- world.hidden,
      lookups: lookups
    }

    world = %{world | distribution: distribution}

    facts
    |> peers(config, instance, world, %{me(distribution, config) | by: me.by})
    |> count_in()
    |> knock(vm, started + div(timeout * 4, 5))
    |> Greetings.add(config, started + timeout)
    |> count_out()
    |> Outsiders.add(remembered_cuts(instance), world[:guarded?] == true, started + timeout)
    |> Map.put(:took, now() - started)
  end

  # Beside a VM that is no node there may run one that is what is listed here: it is looked at as the others are, and not
  # judged, for this may be asked before it starts.
  defp count_in(%{alive?: true} = facts), do: facts

  defp count_in(facts) do
    selves = for self <- facts.selves, do: %{self | policy: :join}
    %{facts | peers: facts.peers ++ selves}
  end

  defp count_out(%{alive?: true} = facts), do: facts

  defp count_out(facts) do
    {peers, selves} = Enum.split(facts.peers, length(facts.peers) - length(facts.selves))
    %{facts | peers: peers, selves: for(self <- selves, do: %{self | policy: {:refused, :self}})}
  end

  # One that has just started has not heard of its sources yet, and nobody but it asks them.
  defp once_answered({_config, _roster, lookups, _own_name, _now} = instance, name, until) do
    open? = fn
      %{key: {_query, :names}, answer: nil, failure: nil} -> true
      _answered_or_asked_anew -> false
    end

    if left(until) > 0 and Enum.any?(lookups.entries, open?) do
      Process.sleep(20)
      once_answered(GenServer.call(name, :status), name, until)
    else
      instance
    end
  catch
    :exit, _stopped -> instance
  end

  defp once_answered(nil, _name, _until), do: nil

  ## DNS

  defp me(distribution, config) do
    basename = config.basename || distribution.basename || OwnName.basename(config)
    Candidates.me(distribution, config, basename)
  end

  ## This node

  # As a running instance has it; else as one would, after these lookups.
  defp own_name(_config, {_, _, lookups, own_name, _now}, _fresh), do: {own_name, lookups}

  defp own_name(config, nil, fresh) do
    keys = for %{query: query, type: type} <- fresh, do: {query, type}

    lookups =
      Enum.reduce(fresh, Lookups.new(keys, config.interval), fn lookup, lookups ->
        {lookups, _told} =
          Lookups.done(lookups, {lookup.query, lookup.type}, lookup.result, now())

        lookups
      end)

    {OwnName.new(config, now()), lookups}
  end

  defp distribution(%{alive?: true} = distribution, _own_name, _lookups, _basename),
    do: distribution

  # What it would be, so that its peers can be named and judged.
  defp distribution(distribution, own_name, lookups, basename) do
    case OwnName.name(own_name, lookups) do
      {:ok, name} -> Distribution.as(distribution, name)
      {:error, _reason} -> %{distribution | names: :long, basename: basename || "", alive?: true}
    end
  end

  defp leaving?(nil), do: false
  defp leaving?({_config, roster, _lookups, _own_name, _now}), do: roster.leaving?

  defp obstacle(:running, config, own_name) do
    cond do
      Node.alive?() -> own_name.naming.obstacle
      not Distribution.expected?() -> :eval
      config.distribution == :manual -> :manual
      true -> own_name.naming.obstacle
    end
  end

  defp obstacle(_mode, _config, _own_name), do: nil

  defp cookie(%{alive?: true}, %{cookie: nil}), do: {:ok, :vm}

  defp cookie(_distribution, config) do
    with {:ok, _cookie, source} <- Cookie.find(config.cookie), do: {:ok, source}
  end

  defp conf(rc) do
    conf = rc.resolv_conf || "/etc/resolv.conf"

    %{
      servers: if(rc.nameservers == [], do: conf, else: rc.path),
      search: if(rc.search == nil, do: conf, else: rc.path)
    }
  end

  defp servers(config) do
    case Resolver.settings(config.nameservers, config) do
      %{nameservers: [_ | _] = servers} -> Enum.map(servers, &server/1)
      %{resolv_conf: conf} -> servers_in(conf)
    end
  end

  defp servers_in(conf) do
    with {:ok, text} <- File.read(conf),
         [_ | _] = servers <- Regex.scan(~r/^nameserver\s+(\S+)/m, text) do
      Enum.map(servers, fn [_, server] -> server end)
    else
      _none -> []
    end
  end

  defp server({ip, 53}), do: IP.to_text(ip)
  defp server({ip, port}) when tuple_size(ip) == 4, do: "#{IP.to_text(ip)}:#{port}"
  defp server({ip, port}), do: "[#{IP.to_text(ip)}]:#{port}"

  ## Peers

  defp peers(facts, config, instance, world, me) do
    fresh = listed(facts.lookups, me)
    remembered = remembered(instance, unsure?(facts.lookups))
    known = known_peers(instance)

    all =
      for {name, {ips, verdict, query}} <- Map.merge(remembered, fresh) do
        peer(name, ips, judge(name, {ips, verdict}, config, world), query)
        |> linked(world)
        |> noted(known[name])
      end

    {selves, peers} = Enum.split_with(all, &(&1.policy == {:refused, :self}))
    {kept, left_out} = peers |> Enum.sort_by(& &1.name) |> Enum.split(config.max_peers)
    %{facts | selves: selves, peers: kept, left_out: length(left_out)}
  end

  defp listed(lookups, me) do
    for %{query: query, result: {:ok, answer}} <- lookups,
        %Candidates{names: names} <- [Candidates.of(query, answer, me)],
        {name, {ips, verdict}} <- names,
        reduce: %{} do
      all ->
        Map.update(all, name, {ips, verdict, query}, fn {before, other, first} ->
          {Enum.uniq(before ++ ips), other || verdict, first}
        end)
    end
  end

  # Where nothing can be looked up, what the instance knows is all there is.
  defp unsure?(lookups) do
    Enum.any?(lookups, fn
      %{result: {:error, failure}} -> not Lookups.nobody?(failure)
      _answered -> false
    end)
  end

  defp remembered(nil, _unsure?), do: %{}

  defp remembered({_config, roster, _lookups, _own_name, _now}, unsure?) do
    for %{name: name} = peer <- Roster.peers(roster),
        peer.state == :connected or (unsure? and peer.missing_since == nil),
        into: %{},
        do: {name, {Roster.addresses(roster, name), peer.verdict || :join, nil}}
  end

  defp judge(_name, {_ips, {:refused, :bad_node_name} = verdict}, _config, _world), do: verdict

  defp judge(name, _candidate, %{resolver: module}, %{distribution: %{node: own}})
       when module != nil,
       do: if(name == own, do: {:refused, :self}, else: :join)

  defp judge(name, candidate, config, world),
    do: Policy.judge(name, candidate, world, config.allow)

  defp peer(name, ips, policy, query) do
    %{
      name: name,
      ips: ips,
      query: query,
      policy: policy,
      link: nil,
      state: nil,
      reason: nil,
      next_attempt: nil,
      epmd: nil,
      door: nil,
      greeting: nil,
      unheeded: nil
    }
  end

  defp linked(peer, world) do
    cond do
      peer.name in world.hidden -> %{peer | link: :hidden}
      peer.name in world.connected -> %{peer | link: :visible}
      true -> peer
    end
  end

  defp remembered_cuts(nil), do: Outsiders.remembered(nil, 0)

  defp remembered_cuts({_config, roster, _lookups, _own_name, at}),
    do: Outsiders.remembered(roster, at)

  defp known_peers(nil), do: %{}

  defp known_peers({_config, roster, _lookups, _own_name, at}),
    do: for(peer <- Roster.peers(roster), into: %{}, do: {peer.name, {peer, at}})

  defp noted(peer, nil), do: peer

  defp noted(peer, {known, at}) do
    next = known.next_at && max(0, known.next_at - at)
    %{peer | state: known.state, reason: known.reason, next_attempt: next}
  end

  ## Their doors

  # Only those that may be joined: policy says whom this node has business with.
  defp knock(facts, vm, until) do
    wanted = for peer <- facts.peers, knock?(peer), do: peer
    timeout = max(left(until), 1)
    targets = for peer <- wanted, do: {peer.name, peer.ips}
    {ref, pid} = Probe.run(vm, targets, timeout)
    asked = Map.put(ask_epmds(facts, vm, timeout), ref, %{key: :probe, pid: pid})

    found =
      Replies.collect(asked, until + 500, fn
        %{key: :probe}, reply -> Probe.read(targets, reply)
        _epmd, reply -> Resolver.result(reply)
      end)

    doors = found[:probe] || %{}
    %{facts | peers: for(peer <- facts.peers, do: opened(peer, doors, found))}
  end

  defp knock?(%{link: nil, policy: policy}), do: policy == :join
  defp knock?(_linked), do: false

  # The names at each host, for whoever is looked for under a wrong one.
  defp ask_epmds(facts, %{ports: :epmd} = vm, timeout) do
    ips =
      for peer <- facts.peers,
          knock?(peer) or match?({:held, {:epmd, _}}, peer.policy),
          ip <- Enum.take(peer.ips, 1),
          uniq: true,
          do: ip

    for ip <- ips, into: %{} do
      type = if IP.family(ip) == :inet, do: :a, else: :aaaa
      ref = Resolver.ask(vm.handle, type, vm.families, IP.to_text(ip), timeout, [:registered])
      {ref, %{key: ip, pid: nil}}
    end
  end

  defp ask_epmds(_facts, _vm, _timeout), do: %{}

  defp opened(peer, doors, found) do
    door =
      case doors[peer.name] do
        {:ok, port} -> {:ok, port}
        {not_ok, _port} -> not_ok
        nil -> if(knock?(peer), do: {:silent, :not_tried})
      end

    epmd =
      with [ip | _] <- peer.ips,
           {:ok, %{registered: %{^ip => names}}} <- found[ip],
           do: names,
           else: (_not_asked -> nil)

    %{peer | door: door, epmd: epmd}
  end

  defp left(until), do: max(until - now(), 0)
  defp now, do: System.monotonic_time(:millisecond)
end

defmodule DNSMesh.Doctor.Verdict do
  @moduledoc false
  # From facts to the one verdict that is told, and what it is about. Pure. In the order of the walk: what comes first in
  # it has to be mended first.

  alias DNSMesh.{Answer, IP, Lookups, Query}
  alias DNSMesh.Doctor.{Facts, Searched, Verdicts}

  @type about ::
          nil
          | %{lookup: Facts.lookup()}
          | %{peers: [Facts.peer(), ...]}
          | %{outsiders: [Facts.outsider(), ...]}

  @silent [:epmd_silent, :port_silent]

  # The first bits that networks of one site mostly have in common.
  @near %{inet: 16, inet6: 48}

  @spec judge(Facts.t()) :: {Verdicts.kind(), about()}
  def judge(%Facts{} = facts) do
    nothing_runs(facts) || unfit(facts) || nobody_listed(facts) || not_distributed(facts) ||
      another_name(facts) || nobody_named(facts) || astray(facts) ||
      members(facts) || partly_listed(facts) || budget(facts) || well(facts)
  end

  defp nothing_runs(%{mode: :unset}), do: {:query_not_set, nil}
  defp nothing_runs(%{library: text}) when text != nil, do: {:no_library, nil}
  defp nothing_runs(%{mode: :not_running}), do: {:not_running, nil}
  # Whatever else may be amiss: it is not what keeps this node from its peers.
  defp nothing_runs(%{leaving?: true}), do: {:left, nil}
  defp nothing_runs(_facts), do: nil

  # Before DNS: with its address a node may have lost the way to the name servers.
  defp unfit(%{unfit: nil}), do: nil
  defp unfit(_facts), do: {:name_unfit, nil}

  ## DNS

  # Only where no item lists anybody: what one of several lacks need not be what is missed.
  defp nobody_listed(facts) do
    items = items(facts)
    if items != [] and Enum.all?(items, &(not lists?(&1))), do: worst_item(items)
  end

  defp partly_listed(facts) do
    case Enum.reject(items(facts), &lists?/1) do
      [] -> nil
      items -> worst_item(items)
    end
  end

  # An item is asked for several record types, and it is enough that one of them has records.
  defp items(facts), do: facts.lookups |> Enum.chunk_by(& &1.query)

  defp lists?(item), do: Enum.any?(item, &match?(%{result: {:ok, %{records: [_ | _]}}}, &1))

  defp worst_item(items) do
    items
    |> List.flatten()
    |> Enum.map(&{silence(&1), %{lookup: &1}})
    |> Enum.min_by(fn {kind, _about} -> Enum.find_index(Verdicts.kinds(), &(&1 == kind)) end)
  end

  @spec silence(Facts.lookup()) :: Verdicts.kind()
  defp silence(%{result: {:ok, _nobody}}), do: :no_records

  defp silence(%{result: {:error, failure}, elsewhere: elsewhere, query: query} = lookup) do
    cond do
      elsewhere > 0 ->
        :wrong_family

      Searched.hides_name?(lookup) ->
        :search_domain

      local?(query) ->
        :local_name

      Lookups.nobody?(failure) ->
        if(failure.reason == :nxdomain, do: :no_such_name, else: :no_records)

      lookup.type == :names ->
        :source_failed

      true ->
        trouble(failure.reason)
    end
  end

  # Multicast DNS (RFC 6762) has these, and name servers have not; but for Kubernetes', which ends alike.
  defp local?(%Query{host: nil}), do: false

  defp local?(%Query{host: host}) do
    host = host |> String.trim_trailing(".") |> String.downcase()
    String.ends_with?(host, ".local") and not String.ends_with?(host, ".cluster.local")
  end

  defp trouble(:timeout), do: :server_silent
  defp trouble(:refused), do: :server_refused
  defp trouble({:no_tcp, _why}), do: :no_tcp
  defp trouble(_other), do: :server_failed

  ## This node

  defp not_distributed(%{mode: :running, alive?: false}), do: {:not_distributed, nil}
  defp not_distributed(_facts), do: nil

  ## Another name than the one that was written

  defp another_name(facts) do
    with lookup when lookup != nil <- Enum.find(facts.lookups, &astray?(&1, facts)),
         do: {:search_domain, %{lookup: lookup}}
  end

  defp astray?(lookup, facts) do
    Searched.answers_for_name?(lookup) and
      not Enum.any?(facts.peers, &(&1.query == lookup.query and well?(&1)))
  end

  defp well?(peer), do: peer.link != nil or match?({:welcome, _, _}, peer.greeting)

  # Addresses there are, and no epmd at them knows a name that a pattern fits.
  defp nobody_named(%{peers: [], selves: [], lookups: lookups}) do
    fits_nobody = fn %{query: query, result: result} ->
      Query.pattern?(query) and match?({:ok, %{records: [_ | _]}}, result)
    end

    with %{} = lookup <- Enum.find(lookups, fits_nobody),
         do: {:not_registered, %{lookup: lookup}}
  end

  defp nobody_named(_facts), do: nil

  ## Addresses that are nobody's own

  defp astray(%{peers: peers, selves: selves} = facts) do
    cond do
      Enum.any?(peers, &(&1.link != nil)) -> nil
      peers == [] and selves != [] -> alone(selves, facts)
      true -> elsewhere(facts, addresses(facts))
    end
  end

  defp alone(selves, facts) do
    ips = Enum.flat_map(selves, & &1.ips)

    if ips != [] and Enum.all?(ips, &(guest?(&1, facts.networks) or shared?(&1, facts))),
      do: {:virtual_ip, %{peers: selves}},
      else: {:only_myself, %{peers: selves}}
  end

  # Swarm puts a service's virtual IP on the interface of each of its containers, as a /32 inside the network of the
  # container's own address.
  defp guest?(ip, networks) do
    {ip, 32} in networks and
      Enum.any?(networks, fn {_own, prefix} = network ->
        prefix < 32 and IP.in_cidr?(ip, network)
      end)
  end

  # One of this machine's that a running instance does not take for its own (that would be :name_unfit): a service's, which
  # every host of the cluster holds (kube-router, LVS).
  defp shared?(ip, %{mode: :running, distribution: %{address: own}} = facts),
    do: own not in [nil, ip] and {ip, 32} in facts.networks

  defp shared?(_ip, _facts), do: false

  defp elsewhere(%{peers: peers} = facts, ips) do
    mirrored? =
      Enum.any?(peers, &(facts.node != nil and &1.greeting == {:other_name, facts.node}))

    unheard? = peers != [] and Enum.all?(peers, &unheard?(&1, facts.distribution.ports))

    cond do
      ips == [] or Enum.any?(ips, &own?(&1, facts)) -> nil
      mirrored? -> {if(one?(ips), do: :virtual_ip, else: :nat), %{peers: peers}}
      not unheard? -> nil
      one?(ips) and not service?(facts) -> {:virtual_ip, %{peers: peers}}
      Enum.all?(ips, &far?(&1, facts.networks)) -> {:nat, %{peers: peers}}
      true -> nil
    end
  end

  # An address that was written down is no answer of a name server.
  defp addresses(facts) do
    for %{type: type, query: query, result: {:ok, answer}} <- facts.lookups,
        type in [:a, :aaaa, :srv],
        IP.parse(query.host) == :error,
        ip <- Answer.addresses(answer),
        uniq: true,
        do: ip
  end

  defp one?(ips), do: match?([_], ips)

  defp service?(facts), do: Enum.any?(facts.lookups, &(&1.type == :srv))

  defp own?(ip, facts),
    do: ip == facts.distribution.address or Enum.any?(facts.networks, &(elem(&1, 0) == ip))

  # Nothing of a node's was heard there.
  defp unheard?(%{door: {:dead, :refused_epmd}}, _ports), do: true
  defp unheard?(%{door: {:dead, :refused}}, {:fixed, _port}), do: true
  defp unheard?(%{door: {:silent, :epmd}}, _ports), do: true
  defp unheard?(%{door: {:silent, :port}}, {:fixed, _port}), do: true
  defp unheard?(_answers, _ports), do: false

  defp far?(ip, networks) do
    near = @near[IP.family(ip)]

    not Enum.any?(networks, fn {own, _prefix} ->
      IP.family(own) == IP.family(ip) and IP.in_cidr?(ip, {own, near})
    end)
  end

  ## Members

  # Whose links are cut all the time is not connected, for no fault of its own.
  defp members(facts) do
    case ailing(facts) do
      nil -> outsiders(facts)
      {kind, about} -> if(Verdicts.mild?(kind), do: outsiders(facts)) || {kind, about}
    end
  end

  defp outsiders(%{outsiders: []}), do: nil
  defp outsiders(%{outsiders: outsiders}), do: {:outsider, %{outsiders: outsiders}}

  ## Peers

  defp ailing(facts) do
    ailing = for peer <- facts.peers, kind = ailment(peer, facts), do: {kind, peer}
    members = for {:member_unreachable, %{reason: {_kind, member}}} <- ailing, do: member

    # The way to such a member is what is told; that it is silent here is the same trouble once more.
    case Enum.reject(ailing, fn {kind, peer} -> kind in @silent and peer.name in members end) do
      [] ->
        nil

      ailing ->
        groups = Enum.group_by(ailing, &elem(&1, 0), &elem(&1, 1))
        kind = Verdicts.worst(for {kind, peers} <- groups, do: {kind, length(peers)})
        {kind, %{peers: groups[kind]}}
    end
  end

  @doc "What ails one peer; nil for nothing."
  @spec ailment(Facts.peer(), Facts.t()) :: Verdicts.kind() | nil
  def ailment(peer, facts) do
    linked(peer) || barred(peer.policy) || shut(peer) || renamed(peer.greeting, facts) ||
      held(peer) || received(peer) || waiting(peer, facts)
  end

  defp linked(%{link: :hidden}), do: :hidden
  defp linked(_peer), do: nil

  defp barred({:refused, :bad_node_name}), do: :bad_name
  defp barred({_held_or_refused, {:no_host_name, _reason}}), do: :no_host_name
  defp barred({:refused, reason}) when reason in [:short_names, :long_names], do: reason
  defp barred({:refused, reason}) when reason in [:wrong_family, :not_allowed], do: reason
  defp barred({:held, :unresolved}), do: :unresolved
  defp barred({:held, {:epmd, why}}) when why in [:refused, :garbled], do: :epmd_refused
  defp barred({:held, {:epmd, _silent}}), do: :epmd_silent
  defp barred(_join), do: nil

  defp shut(%{link: :visible}), do: nil
  defp shut(%{door: {:dead, :refused_epmd}}), do: :epmd_refused
  defp shut(%{door: {:dead, :not_registered}}), do: :not_registered
  defp shut(%{door: {:dead, :refused}}), do: :port_closed
  defp shut(%{door: {:silent, :epmd}}), do: :epmd_silent
  defp shut(%{door: {:silent, :port}}), do: :port_silent
  defp shut(%{door: {:silent, :name}}), do: :unresolved
  defp shut(_open), do: nil

  # Before who is held because of whom: that may be the same node, under its old address and its new one.
  defp renamed({:other_name, name}, facts),
    do: if(rightful?(name, facts), do: :load_balancer, else: :other_name)

  defp renamed(_greeting, _facts), do: nil

  defp held(%{link: :visible}), do: nil
  defp held(%{state: :held, reason: {:unreachable_for, _member}}), do: :unreachable_for
  defp held(%{state: :held, reason: {:member_unreachable, _member}}), do: :member_unreachable
  defp held(%{state: :held, reason: :leaving}), do: :leaving
  defp held(%{state: :waiting, reason: :atom_budget}), do: :atom_budget
  defp held(_peer), do: nil

  defp received(%{greeting: :wrong_cookie, unheeded: nil}), do: :wrong_cookie
  defp received(%{greeting: :wrong_cookie}), do: :release_cookie
  defp received(%{greeting: :not_allowed}), do: :not_admitted
  defp received(%{greeting: tls}) when tls in [:tls, :plain], do: :tls
  defp received(%{greeting: {:tls_failed, _whose, _words}}), do: :tls_failed
  defp received(%{greeting: :no_node}), do: :no_node
  defp received(%{greeting: :silent}), do: :node_silent
  defp received(%{greeting: {:welcome, :hidden, _cookie}}), do: :hidden
  defp received(_welcome), do: nil

  # Under its own name it is listed too, and linked or could be. Where that is not listed, it has another name than it is to
  # have, though it be linked by that: it has dialled us.
  defp rightful?(name, facts) do
    name == facts.node or
      Enum.any?(facts.peers, &(&1.name == name and &1.query != nil and well?(&1)))
  end

  defp waiting(%{link: :visible}, _facts), do: nil
  # Nothing is known of it but that it does not come about.
  defp waiting(%{greeting: nil, reason: {:connect_failed, _ms}}, %{distribution: %{tls?: true}}),
    do: :tls_failed

  defp waiting(_peer, %{mode: :running}), do: :not_yet
  defp waiting(_peer, _no_member), do: nil

  ## The rest

  defp budget(%{left_out: 0}), do: nil
  defp budget(_facts), do: {:peer_budget, nil}

  defp well(%{mode: :running}), do: {:connected, nil}
  defp well(_facts), do: {:reachable, nil}
end

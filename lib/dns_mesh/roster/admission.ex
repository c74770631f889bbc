defmodule DNSMesh.Roster.Admission do
  @moduledoc false
  # Who is held: the names of answers, judged by policy, as long as there is room, until they have been missing for long.

  alias DNSMesh.{Candidates, IP, Peer, Policy}
  alias DNSMesh.Roster.{Book, Outlook}

  @forget_rounds 10
  @forget_min 60_000

  @spec answer(Book.acc(), Book.key(), Candidates.t(), integer()) :: Book.acc()
  def answer({roster, _effects} = acc, key, candidates, now) do
    names = still_listed(Map.get(roster.answers, key, %{}), candidates)

    acc
    |> list(key, names, now)
    |> judge(key, names, now)
    |> keep_held(key)
    |> several_problem(key, candidates, now)
    |> public_problem(key, now)
  end

  # An address about which nothing was learnt this time (its epmd was silent, its PTR lookup failed) lists what it listed
  # before: no answer is not an empty answer.
  defp still_listed(_before, %Candidates{names: names, unknown: []}), do: names

  defp still_listed(before, %Candidates{names: names, unknown: unknown}) do
    before
    |> Map.filter(fn {_name, {ips, _}} -> Enum.any?(ips, &(&1 in unknown)) end)
    |> Map.merge(names)
  end

  @doc "The lookup listed nobody: what it listed before is missing from now on."
  @spec nobody(Book.acc(), Book.key(), integer()) :: Book.acc()
  def nobody(acc, key, now), do: list(acc, key, %{}, now)

  @doc "Drops the names that no answer has listed for long, and that are not linked."
  @spec forget(Book.acc(), integer()) :: Book.acc()
  def forget({roster, effects} = acc, now) do
    case for {name, peer} <- roster.peers, long_gone?(peer, roster, now), do: name do
      [] ->
        acc

      names ->
        acc = {%{roster | peers: Map.drop(roster.peers, names)}, effects}
        Book.tell(acc, [:peers, :forgotten], %{count: length(names)}, %{peers: Enum.sort(names)})
    end
  end

  defp long_gone?(%Peer{missing_since: nil}, _roster, _now), do: false

  defp long_gone?(%Peer{name: name, missing_since: since}, roster, now) do
    now - since >= max(@forget_rounds * roster.interval, @forget_min) and
      name not in roster.connected and not Map.has_key?(roster.joining, name)
  end

  # A name that no lookup's last answer holds is missing from now on. Only the peers that this changes are touched:
  # mostly it is none.
  defp list({roster, effects}, key, names, now) do
    answers = Map.put(roster.answers, key, names)
    lists = Map.values(answers)

    roster =
      Enum.reduce(roster.peers, roster, fn {name, peer}, roster ->
        case {Enum.any?(lists, &is_map_key(&1, name)), peer.missing_since} do
          {true, since} when since != nil -> Book.put(roster, %{peer | missing_since: nil})
          {false, nil} -> miss(roster, peer, now)
          _as_before -> roster
        end
      end)

    {%{roster | answers: answers}, effects}
  end

  defp miss(roster, peer, now) do
    if Peer.stand_in?(peer),
      do: %{roster | peers: Map.delete(roster.peers, peer.name)},
      else: Book.put(roster, %{peer | missing_since: now})
  end

  # What was left out is not remembered: an answer may list four times what may be held.
  defp keep_held({roster, effects}, key) do
    held = Map.take(roster.answers[key], Map.keys(roster.peers))
    {%{roster | answers: Map.put(roster.answers, key, held)}, effects}
  end

  # Names already held are judged anew (this node's own name may have changed); new ones while there is room.
  defp judge({roster, effects}, key, names, now) do
    {roster, _room, left_out} =
      Enum.reduce(names, {roster, room(roster), 0}, fn {name, candidate}, so_far ->
        {roster, room, left_out} = so_far
        candidate = known(roster.answers, name, candidate)

        case roster.peers do
          %{^name => peer} ->
            case obey(peer, verdict(roster, name, candidate), roster, now) do
              ^peer -> so_far
              peer -> {Book.put(roster, peer), room, left_out}
            end

          _full when room.join <= 0 ->
            {roster, room, left_out + 1}

          _unknown ->
            peer = obey(new(name, roster, now), verdict(roster, name, candidate), roster, now)
            {roster, room} = admit(roster, peer, room)
            {roster, room, left_out}
        end
      end)

    details = %{left_out: left_out, max_peers: roster.max_peers}
    Book.problem({roster, effects}, left_out > 0, {:peer_budget, key}, nil, details, now)
  end

  # Several lookups may list one name, each with something of its own to say of it (a host's IPv4 addresses, its IPv6
  # ones). It is judged by all of that; else each answer would change its state anew, and make it due at every poll.
  defp known(answers, _name, candidate) when map_size(answers) == 1, do: candidate

  defp known(answers, name, _candidate) do
    candidates = for {_key, %{^name => candidate}} <- answers, do: candidate
    {_ips, verdict} = Enum.min_by(candidates, &rank/1)
    {candidates |> Enum.flat_map(&elem(&1, 0)) |> Enum.uniq(), verdict}
  end

  defp rank({_ips, :join}), do: 0
  defp rank({_ips, nil}), do: 1
  defp rank({_ips, {:held, _reason}}), do: 2
  defp rank({_ips, {:refused, _reason}}), do: 3

  defp new(name, roster, now),
    do: %{Peer.new(name, now) | newcomer?: not Outlook.lonely?(roster)}

  # Names that are refused, or held by policy, have a room of their own: they must not crowd out the good ones, nor grow
  # without bound. One that is linked all the same moves over to the others, so there is a bound on both together too.
  defp room(%{max_peers: max, peers: peers}) do
    refused = Enum.count(peers, fn {_, peer} -> barred?(peer) end)
    left = 2 * max - map_size(peers)
    %{join: min(max - (map_size(peers) - refused), left), refuse: max - refused}
  end

  defp admit(roster, peer, room) do
    case {barred?(peer), room.refuse} do
      {true, none} when none <= 0 -> {roster, room}
      {true, some} -> {Book.put(roster, peer), %{room | refuse: some - 1}}
      {false, _} -> {Book.put(roster, peer), %{room | join: room.join - 1}}
    end
  end

  defp barred?(%Peer{verdict: {state, _reason}, state: state}), do: true
  defp barred?(_peer), do: false

  defp verdict(%{gated?: false}, _name, {_ips, {:refused, :bad_node_name} = verdict}), do: verdict
  defp verdict(%{gated?: false}, _name, _candidate), do: :join

  defp verdict(roster, name, candidate),
    do: Policy.judge(name, candidate, roster.world, roster.allow)

  # A link is a fact, whatever policy says of it; when it is gone, policy's word counts again.
  defp obey(%Peer{verdict: before} = peer, verdict, roster, now) do
    peer = Peer.judged(peer, verdict)

    cond do
      peer.state in [:connected, :joining] ->
        peer

      peer.name in roster.connected ->
        Peer.connected(peer, now)

      peer.verdict != nil ->
        {state, reason} = peer.verdict
        Peer.enter(peer, state, reason, now)

      match?({:waiting, _}, verdict) ->
        Peer.postponed(peer, elem(verdict, 1), roster.interval, now)

      # What policy had against it is over; what members have is not policy's.
      before != nil and peer.state in [:refused, :held] ->
        Peer.enter(peer, :new, nil, now)

      true ->
        peer
    end
  end

  defp several_problem(acc, key, %Candidates{query: query, several: several}, now) do
    details = %{query: query, addresses: several}
    Book.problem(acc, several != nil, {:several_addresses, key}, nil, details, now)
  end

  defp public_problem({%{gated?: false}, _effects} = acc, _key, _now), do: acc
  defp public_problem({%{world: %{distribution: %{tls?: true}}}, _} = acc, _key, _now), do: acc

  defp public_problem({roster, _effects} = acc, key, now) do
    public =
      for {name, {ips, _verdict}} <- roster.answers[key],
          roster.peers[name].verdict == nil,
          Enum.any?(ips, &(IP.class(&1) == :public)),
          do: name

    # Said, and never taken back: an answer of another query may hold no public address.
    if public == [],
      do: acc,
      else: Book.problem(acc, true, :public_plain, nil, %{peers: Enum.sort(public)}, now)
  end
end

defmodule DNSMesh.Roster.Concerns do
  @moduledoc false
  # What is wrong, looked at once a round: said when it comes, at every doubling, and when it is over.

  alias DNSMesh.{IP, Peer, Query}
  alias DNSMesh.Roster.{Book, Outsiders}

  @spec look(Book.acc(), integer()) :: Book.acc()
  def look({%{gated?: false}, _effects} = acc, now), do: unreachable(acc, now)

  def look({roster, _effects} = acc, now) do
    own = roster.world.distribution
    details = %{node: own.node}
    # While a name is being taken, what keeps it from being taken is what there is to say.
    unnamed? = not own.alive? and not Map.get(roster.world, :naming?, false)

    acc
    |> Book.problem(unnamed?, :not_distributed, nil, details, now)
    |> all_barred(:short_names, :short_names, now)
    |> all_barred(:long_names, :long_names, now)
    |> all_barred(:no_host_name, :named_by_host, now)
    |> all_barred(:wrong_family, :wrong_family, now)
    |> all_barred(:not_allowed, :not_allowed, now)
    |> all_barred(:unresolved, :unresolved, now)
    |> silent_epmd(now)
    |> without_atoms(now)
    |> held(now)
    |> outsiders(now)
    |> unreachable(now)
  end

  # Worth a word only when it keeps us from every peer: a dual-stack answer always holds some of the other family.
  defp all_barred({roster, _effects} = acc, reason, problem, now) do
    others = for {_, peer} <- roster.peers, peer.reason != :self, do: peer

    barred =
      for %{state: state} = peer <- others,
          state in [:refused, :held],
          kind(peer.reason) == reason,
          do: peer.name

    details = %{peers: Enum.sort(barred), node: roster.world.distribution.node}
    there? = barred != [] and length(barred) == length(others)
    Book.problem(acc, there?, problem, nil, details, now)
  end

  defp kind(reason) when is_tuple(reason), do: elem(reason, 0)
  defp kind(reason), do: reason

  # An address without an epmd is a machine whose node is still starting. A word is due when it has been silent in two
  # polls that are an interval apart, and the look at it comes before the second one's answer.
  defp silent_epmd({roster, _effects} = acc, now) do
    silent =
      for {name, %Peer{state: :held, reason: {:epmd, _why}, since: since}} <- roster.peers,
          now - since >= 2 * roster.interval,
          do: name

    Book.problem(acc, silent != [], :epmd_unreachable, nil, %{peers: Enum.sort(silent)}, now)
  end

  defp without_atoms({roster, _effects} = acc, now) do
    waiting = for {name, %Peer{reason: :atom_budget}} <- roster.peers, do: name
    Book.problem(acc, waiting != [], :atom_budget, nil, %{peers: Enum.sort(waiting)}, now)
  end

  # Who cannot reach whom is the fault; who is not joined because of it is what comes of it.
  defp held({roster, _effects} = acc, now) do
    now_held =
      for {name, %Peer{state: :held, reason: {kind, member}}} <- roster.peers,
          kind in [:unreachable_for, :member_unreachable],
          reduce: %{} do
        groups -> Map.update(groups, {:held, kind, member}, [name], &[name | &1])
      end

    before = for {{:held, _kind, _member} = key, _entry} <- roster.problems.entries, do: key

    Enum.reduce(Enum.uniq(before ++ Map.keys(now_held)), acc, fn {:held, kind, member} = key,
                                                                 acc ->
      peers = Enum.sort(Map.get(now_held, key, []))

      details = %{
        peers: peers,
        member: member,
        because: kind,
        listed: listed?(roster, member),
        node: roster.world.distribution.node
      }

      Book.problem(acc, peers != [], key, nil, details, now)
    end)
  end

  defp outsiders({roster, _effects} = acc, now) do
    peers = if roster.world[:guarded?], do: Outsiders.suspects(roster, now), else: []

    details = %{
      peers: peers,
      cuts: Outsiders.cuts(roster, now),
      node: roster.world.distribution.node
    }

    Book.problem(acc, peers != [], :outsider, nil, details, now)
  end

  defp listed?(roster, name),
    do: Enum.any?(roster.answers, fn {_key, names} -> is_map_key(names, name) end)

  # One failed dial is nothing: the peer may just be starting. One that is being dialled again has not been reached yet.
  # The face of this problem is its size, in doublings.
  defp unreachable({roster, _effects} = acc, now) do
    failing =
      for {name, %Peer{state: state} = peer} <- roster.peers,
          state in [:waiting, :joining] and (peer.failures >= 2 or missed?(peer, roster, now)),
          do: name

    size = length(Integer.digits(length(failing), 2))

    details = %{
      peers: Enum.sort(failing),
      listed_as: listed_by_host(roster, failing),
      tls?: tls?(roster.world)
    }

    Book.problem(acc, failing != [], :unreachable, size, details, now)
  end

  # A :resolver module stands for the whole outside.
  defp tls?(%{distribution: %{tls?: tls?}}), do: tls?
  defp tls?(_unknown), do: false

  # Items like node1@node1, which a node that is named by address takes for node1@ the address.
  defp listed_by_host(%{world: %{distribution: %{address: own}}} = roster, failing)
       when own != nil do
    for {{%Query{basename: basename, host: host} = query, _type}, names} <- roster.answers,
        basename != nil and not Query.pattern?(query) and IP.parse(host) == :error,
        Enum.any?(failing, &is_map_key(names, &1)),
        uniq: true,
        do: query.text
  end

  defp listed_by_host(_named_by_host, _failing), do: []

  # A peer that restarts is probed often, and is not there for a while.
  defp missed?(%Peer{misses: misses} = peer, roster, now),
    do: misses >= 3 and now - (peer.lost_at || peer.known_at || now) >= 2 * roster.interval
end

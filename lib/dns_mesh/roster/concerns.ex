defmodule DNSMesh.Roster.Concerns do
  @moduledoc false
  # What is wrong, looked at once a round: said when it comes, at every doubling, and when it is over.

  alias DNSMesh.Peer
  alias DNSMesh.Roster.Book

  @spec look(Book.acc(), integer()) :: Book.acc()
  def look({%{gated?: false}, _effects} = acc, now), do: unreachable(acc, now)

  def look({roster, _effects} = acc, now) do
    own = roster.world.distribution
    details = %{node: own.node}
    # While a name is being taken, what keeps it from being taken is what there is to say.
    unnamed? = not own.alive? and not Map.get(roster.world, :naming?, false)
    by_host? = own.names == :long and own.address == nil

    acc
    |> Book.problem(unnamed?, :not_distributed, nil, details, now)
    |> Book.problem(own.names == :short, :short_names, own.node, details, now)
    |> Book.problem(by_host?, :named_by_host, own.node, details, now)
    |> all_refused(:wrong_family, now)
    |> all_refused(:not_allowed, now)
    |> without_atoms(now)
    |> unreachable(now)
  end

  # Worth a word only when it keeps us from every peer: a dual-stack answer always holds some of the other family.
  defp all_refused({roster, _effects} = acc, reason, now) do
    others = for {_, peer} <- roster.peers, peer.reason != :self, do: peer
    refused = for %{reason: ^reason, name: name} <- others, do: name
    details = %{peers: Enum.sort(refused), node: roster.world.distribution.node}
    there? = refused != [] and length(refused) == length(others)
    Book.problem(acc, there?, reason, nil, details, now)
  end

  defp without_atoms({roster, _effects} = acc, now) do
    waiting = for {name, %Peer{reason: :atom_budget}} <- roster.peers, do: name
    Book.problem(acc, waiting != [], :atom_budget, nil, %{peers: Enum.sort(waiting)}, now)
  end

  # One failed dial is nothing: the peer may just be starting. One that is being dialled again has not been reached yet.
  # The face of this problem is its size, in doublings.
  defp unreachable({roster, _effects} = acc, now) do
    failing =
      for {name, %Peer{state: state, failures: failures}} <- roster.peers,
          state in [:waiting, :joining] and failures >= 2,
          do: name

    size = length(Integer.digits(length(failing), 2))
    Book.problem(acc, failing != [], :unreachable, size, %{peers: Enum.sort(failing)}, now)
  end
end

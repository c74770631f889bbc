defmodule DNSMesh.Roster.Outsiders do
  @moduledoc false
  # Nodes that are linked, visible, and that no item lists: a Livebook, a shell, another application. `global` makes members
  # of them, whom every other node has to reach; where one cannot, it has links cut, every few seconds, for ever. Pure.
  #
  # Who they are is in the roster; remembered is only since when they are there, and which links were cut lately. A link that
  # ends for a crash looks the same (both sides cut at once, and each sees the other's end), so only those count that had not
  # lasted, and one or two are nothing.

  alias DNSMesh.{NodeName, Peer}
  alias DNSMesh.Roster.{Book, Damping}

  # Milliseconds that a cut is remembered, and how many of them.
  @lately 120_000
  @most 32

  @enough 3

  defstruct came: %{}, cuts: []

  @type t :: %__MODULE__{
          # Of outsiders that came as visible nodes.
          came: %{NodeName.t() => at :: integer()},
          cuts: [{NodeName.t(), at :: integer()}]
        }

  @doc "A visible node has come."
  @spec came(Book.t(), NodeName.t(), integer()) :: Book.t()
  def came(%{outsiders: %{came: came}} = roster, name, now) do
    if listed?(roster, name) or map_size(came) >= @most,
      do: roster,
      else: put_in(roster.outsiders.came[name], now)
  end

  @doc "A visible link has gone."
  @spec went(Book.t(), NodeName.t(), reason :: term(), integer()) :: Book.t()
  def went(roster, name, reason, now) do
    {came, roster} = pop_in(roster.outsiders.came[name])

    if Damping.cut?(reason) and short?(roster.peers[name], came, now) do
      cuts = [{name, now} | recent(roster, now)]
      put_in(roster.outsiders.cuts, Enum.take(cuts, @most))
    else
      roster
    end
  end

  defp short?(%Peer{} = peer, _came, now), do: not Damping.lasted?(peer, now)
  # It was there before this node looked.
  defp short?(nil, nil, _now), do: false
  defp short?(nil, came, now), do: not Damping.lasted?(came, now)

  @doc "A node has come back as a hidden one: that is the cure."
  @spec hidden(Book.t(), NodeName.t()) :: Book.t()
  def hidden(roster, name),
    do: update_in(roster.outsiders.cuts, &Enum.reject(&1, fn {one, _at} -> one == name end))

  @doc "Outsiders that are linked, or were cut lately."
  @spec names(Book.t(), integer()) :: [NodeName.t()]
  def names(roster, now) do
    linked = MapSet.difference(roster.connected, roster.hidden)
    cut = for {name, _at} <- recent(roster, now), do: name

    Enum.sort(
      for name <- Enum.uniq(Enum.to_list(linked) ++ cut), not listed?(roster, name), do: name
    )
  end

  @doc "How many links were cut lately."
  @spec cuts(Book.t(), integer()) :: non_neg_integer()
  def cuts(roster, now), do: length(recent(roster, now))

  @doc "Who may be the cause of the cuts, if `global` is who cuts."
  @spec suspects(Book.t(), integer()) :: [NodeName.t()]
  def suspects(roster, now),
    do: if(cuts(roster, now) >= @enough, do: names(roster, now), else: [])

  defp listed?(roster, name), do: is_map_key(roster.peers, name) or own?(roster.world, name)

  defp own?(%{distribution: %{node: node}}, name), do: node == name
  defp own?(nil, _name), do: false

  defp recent(roster, now),
    do: Enum.filter(roster.outsiders.cuts, fn {_, at} -> now - at < @lately end)
end

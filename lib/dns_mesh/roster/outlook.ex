defmodule DNSMesh.Roster.Outlook do
  @moduledoc false
  # What this node sees from where it stands: whom it is linked to, and who of the listed is silent. Pure.

  alias DNSMesh.{NodeName, Peer}
  alias DNSMesh.Roster.Book

  # Of these nothing is known: that is no silence.
  @untried [:not_tried, :lost]

  # Milliseconds that a decision, and a join, take where nothing hangs.
  @turn 1_000

  @doc "Linked nodes that count: hidden ones are not `global`'s."
  @spec members(Book.t()) :: [NodeName.t()]
  def members(roster), do: Enum.sort(MapSet.difference(roster.connected, roster.hidden))

  @spec lonely?(Book.t()) :: boolean()
  def lonely?(roster), do: MapSet.size(roster.connected) == MapSet.size(roster.hidden)

  @doc "Whom this node is about to join: as good as linked, for whoever is about to join this one."
  @spec engaged(Book.t()) :: [NodeName.t()]
  def engaged(roster) do
    deciding =
      with %{target: target} <- roster.asking.deciding, do: [target], else: (_nobody -> [])

    deciding ++ Map.keys(roster.joining)
  end

  @doc "The listed peers that are silent to this node."
  @spec silent(Book.t()) :: [NodeName.t()]
  def silent(roster) do
    for {name, %Peer{probe: {{:silent, where}, _at, _port}, verdict: nil}} <- roster.peers,
        where not in @untried,
        name not in roster.connected,
        do: name
  end

  @doc "Who is silent and who answers, to compare."
  @spec view(Book.t()) :: %{NodeName.t() => :ok | :dead | :silent}
  def view(roster) do
    for {name, %Peer{probe: {verdict, _at, _port}}} <- roster.peers,
        name not in roster.connected,
        into: %{},
        do: {name, if(is_tuple(verdict), do: elem(verdict, 0), else: verdict)}
  end

  @doc """
  Whether a member that asks about a target had better ask again a little later: this node is about to let in another one,
  or has just done so, and whether those two can reach each other nobody has asked. Of two that decide at once, the one
  with the lower name does. What hangs is not waited for.
  """
  @spec busy?(Book.t(), asker :: NodeName.t(), target :: NodeName.t(), integer()) :: boolean()
  def busy?(%{asking: asking} = roster, asker, target, now) do
    settling?(asking.settling, asker, now) or
      Enum.any?(roster.joining, fn {name, at} -> name != target and recent?(at, now) end) or
      (decides?(asking.deciding, target, now) and before?(roster.world, asker))
  end

  # The asker knows of itself.
  defp settling?(settling, asker, now),
    do: Enum.any?(settling, fn {name, until} -> name != asker and now < until end)

  defp decides?(nil, _target, _now), do: false

  defp decides?(%{target: about, since: at}, target, now),
    do: about != target and recent?(at, now)

  defp recent?(at, now), do: now - at < @turn

  defp before?(nil, _asker), do: false
  defp before?(%{distribution: %{node: node}}, asker), do: node < asker
end

defmodule DNSMesh.Doctor.Outsiders do
  @moduledoc false
  # Nodes that no item lists, and that are members all the same, by a visible link: which members are linked to them, and
  # which are not. `global` has every member link with every other; where that has not come about for a while, it has links
  # cut. Members are asked for the nodes that they see.

  alias DNSMesh.Doctor.Facts
  alias DNSMesh.{NodeName, Roster}

  @ask 1_000
  # Milliseconds that `global` takes at most to bring in a node that all can reach.
  @settled 1_500

  @typedoc "What a running instance remembers of links that were cut: their number, and who may be the cause."
  @type remembered :: {cuts :: non_neg_integer(), [NodeName.t()]}

  @spec remembered(Roster.t() | nil, now :: integer()) :: remembered()
  def remembered(nil, _now), do: {0, []}

  def remembered(roster, now),
    do: {Roster.Outsiders.cuts(roster, now), Roster.Outsiders.suspects(roster, now)}

  @doc "Nothing is asked where `global` does not cut, and of nobody but listed peers that are linked."
  @spec add(Facts.t(), remembered(), guarded? :: boolean(), until :: integer()) :: Facts.t()
  def add(%{alive?: true} = facts, {cuts, suspects}, true, until) do
    first = split(facts, until)
    {suspected, perhaps_on_their_way_in} = Enum.split_with(first, &(&1.name in suspects))

    settled =
      if perhaps_on_their_way_in == [],
        do: [],
        else: again(perhaps_on_their_way_in, facts, until)

    others = for name <- suspects -- names(first), one = suspect(name, facts), do: one
    %{facts | outsiders: Enum.sort_by(suspected ++ settled ++ others, & &1.name), cuts: cuts}
  end

  def add(facts, _remembered, _guarded?, _until), do: facts

  defp again(before, facts, until) do
    Process.sleep(min(@settled, max(until - now(), 0)))
    members = for node <- Node.list(), do: Atom.to_string(node)
    for one <- split(%{facts | members: members}, until), one.name in names(before), do: one
  end

  defp split(facts, until) do
    seen = Map.put(ask(facts, until), facts.node, facts.members)
    known = known(facts)

    for name <- seen |> Map.values() |> List.flatten() |> Enum.uniq(), name not in known do
      {linked, apart} = seen |> Map.keys() |> Enum.sort() |> Enum.split_with(&(name in seen[&1]))
      %{name: name, linked: linked, apart: apart}
    end
    |> Enum.reject(&(&1.apart == []))
  end

  # Cut lately, and not to be seen now; or those that could tell are cut off themselves.
  defp suspect(name, facts) do
    cut_off = for %{link: nil, policy: :join, name: peer} <- facts.peers, do: peer

    case {name in facts.members, cut_off} do
      {false, _cut_off} -> %{name: name, linked: [], apart: []}
      {true, [_ | _]} -> %{name: name, linked: [facts.node], apart: cut_off}
      {true, []} -> nil
    end
  end

  defp names(outsiders), do: Enum.map(outsiders, & &1.name)

  defp known(facts), do: [facts.node | for(peer <- facts.peers ++ facts.selves, do: peer.name)]

  defp ask(facts, until) do
    nodes =
      for %{link: :visible, name: name} <- facts.peers,
          {:ok, node} <- [NodeName.existing_atom(name)],
          # A call would dial one that has gone by now.
          node in Node.list(),
          do: node

    answers = :erpc.multicall(nodes, :erlang, :nodes, [], min(@ask, max(until - now(), 1)))

    for {node, {:ok, seen}} <- Enum.zip(nodes, answers), into: %{} do
      {Atom.to_string(node), for(one <- seen, do: Atom.to_string(one))}
    end
  end

  defp now, do: System.monotonic_time(:millisecond)
end

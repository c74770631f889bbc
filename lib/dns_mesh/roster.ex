defmodule DNSMesh.Roster do
  @moduledoc false
  # What is known about the candidates, and what is to be done about them: `handle(roster, event, now)` gives the next
  # roster and a list of effects. Pure: no process, no clock, no chance but the seed it was made with, and no effect
  # that could part two nodes exists.
  #
  # The roster is memory, not membership: who is connected is the VM's to say, and each round says it anew.
  #
  #   Book       what is written down, and writing it
  #   Admission  an answer: who is held, who is refused, who has been missing for long
  #   Joins      who is dialled, in which order, and what came of it
  #   Concerns   what is wrong, for people to know

  alias DNSMesh.{Candidates, NodeName, Peer, Problems}
  alias DNSMesh.Roster.{Admission, Book, Concerns, Joins}

  @type t :: Book.t()
  @type event ::
          {:round, Book.world()}
          | {:answer, Book.key(), Candidates.t()}
          | {:listed_nothing, Book.key()}
          | {:joined, NodeName.t(), Joins.outcome()}
          | {:no_atoms, [NodeName.t()]}
          | :fill
          | {:nodeup, NodeName.t(), :visible | :hidden}
          | {:nodedown, NodeName.t(), :visible | :hidden}

  @spec new(DNSMesh.Config.t() | map(), seed :: integer()) :: t()
  defdelegate new(config, seed), to: Book

  @doc "The basename of peers whose item gives none."
  @spec basename(t()) :: String.t() | nil
  defdelegate basename(roster), to: Book

  @spec peers(t()) :: [Peer.t()]
  def peers(roster), do: roster.peers |> Map.values() |> Enum.sort_by(& &1.name)

  @doc "How many peers are held, this node not counted, and how many of them are connected."
  @spec counts(t()) :: %{peers: non_neg_integer(), connected: non_neg_integer()}
  def counts(roster) do
    others = for {_name, peer} <- roster.peers, peer.reason != :self, do: peer.state
    %{peers: length(others), connected: Enum.count(others, &(&1 == :connected))}
  end

  @doc "Without what nobody outside looks at: what is sent to another process is copied."
  @spec seen(t()) :: t()
  def seen(roster), do: %{roster | answers: %{}, world: nil, problems: %Problems{}}

  @spec handle(t(), event(), integer()) :: {t(), [Book.effect()]}
  def handle(roster, event, now) do
    {roster, effects} = on(event, {roster, []}, now)
    {roster, Enum.reverse(effects)}
  end

  ## Events. `acc` is {roster, effects so far, the last first}.

  defp on({:round, world}, acc, now) do
    acc
    |> meet(world, now)
    |> tell_changes()
    |> Joins.mark_slow(now)
    |> Admission.forget(now)
    |> Concerns.look(now)
    |> Joins.fill(now)
  end

  # An answer cannot be judged before there is a world to judge it in.
  defp on({:answer, _key, _candidates}, {%{world: nil}, _} = acc, _now), do: acc

  defp on({:answer, key, candidates}, acc, now),
    do: acc |> Admission.answer(key, candidates, now) |> Joins.fill(now)

  # A conclusive "nobody". An error says nothing about names, and does not come here.
  defp on({:listed_nothing, key}, acc, now), do: Admission.nobody(acc, key, now)

  defp on({:joined, name, outcome}, acc, now), do: Joins.ended(acc, name, outcome, now)
  defp on({:no_atoms, names}, acc, now), do: Joins.put_off(acc, names, now)

  # Apart from the outcome of a join, so that a hundred joins that end together are followed by one look for the next.
  defp on(:fill, acc, now), do: Joins.fill(acc, now)

  defp on({:nodeup, name, type}, {roster, effects} = acc, now) do
    if name in roster.connected do
      acc
    else
      came = if member?(roster, name, type), do: [name | roster.came], else: roster.came
      {Book.link(%{roster | came: came}, name, now), effects}
    end
  end

  defp on({:nodedown, name, type}, {roster, effects} = acc, now) do
    if name in roster.connected do
      went = if member?(roster, name, type), do: [name | roster.went], else: roster.went
      {Book.unlink(%{roster | went: went}, name, now), effects}
    else
      acc
    end
  end

  # Hidden nodes are remote shells and tools, unless they are peers; the line about joins is about members.
  defp member?(roster, name, type), do: type == :visible or Map.has_key?(roster.peers, name)

  ## A round begins

  # The first round finds what was linked before us: nothing to tell about that.
  defp meet({%{world: nil} = roster, effects}, world, now) do
    {Enum.reduce(world.connected, %{roster | world: world}, &Book.link(&2, &1, now)), effects}
  end

  defp meet({roster, effects}, world, now) do
    connected = MapSet.new(world.connected)
    lost = MapSet.difference(roster.connected, connected)
    found = MapSet.difference(connected, roster.connected)

    roster = if same_identity?(roster.world, world), do: roster, else: drop_unlinked(roster)
    roster = Enum.reduce(lost, roster, &Book.unlink(&2, &1, now))
    {Enum.reduce(found, %{roster | world: world}, &Book.link(&2, &1, now)), effects}
  end

  # Names made under another own name mean nothing now; this very round's answers bring the right ones.
  defp drop_unlinked(roster) do
    keep? = fn {name, _} -> name in roster.connected or Map.has_key?(roster.joining, name) end
    %{roster | peers: Map.filter(roster.peers, keep?), answers: %{}}
  end

  defp same_identity?(%{distribution: a} = one, %{distribution: b} = other) do
    identity = &{&1.node, &1.names, &1.family}
    identity.(a) == identity.(b) and Map.get(one, :basename) == Map.get(other, :basename)
  end

  defp tell_changes({%{came: [], went: []}, _effects} = acc), do: acc

  defp tell_changes({roster, effects}) do
    came = Enum.sort(Enum.uniq(roster.came))
    went = Enum.sort(Enum.uniq(roster.went))
    counts = %{joined: length(came), left: length(went), connected: MapSet.size(roster.connected)}
    names = %{joined: came, left: went}
    Book.tell({%{roster | came: [], went: []}, effects}, [:peers, :changed], counts, names)
  end
end

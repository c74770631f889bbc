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
  #   Asking     who may be dialled without harm: the questions before a join
  #   Damping    who is left alone for a while because links to it did not last
  #   Joins      who is dialled, in which order, and what came of it
  #   Outsiders  members that nobody lists, and whether links are cut because of them
  #   Concerns   what is wrong, for people to know

  alias DNSMesh.{Candidates, NodeName, Peer, Problems}
  alias DNSMesh.Roster.{Admission, Asking, Book, Concerns, Joins, Outlook, Outsiders, Probing}

  # Milliseconds that a node which said that it leaves is left alone.
  @leaving 60_000

  @type t :: Book.t()
  @type event ::
          {:round, Book.world()}
          | {:answer, Book.key(), Candidates.t()}
          | {:listed_nothing, Book.key()}
          | {:joined, NodeName.t(), Joins.outcome()}
          | {:no_atoms, [NodeName.t()]}
          | :fill
          | {:nodeup, NodeName.t(), :visible | :hidden}
          | {:nodedown, NodeName.t(), :visible | :hidden, reason :: term()}
          | {:probed, %{NodeName.t() => {Probing.verdict(), port :: integer() | nil}}}
          | {:asked, NodeName.t(), %{NodeName.t() => Asking.answer()}}
          | {:looked, NodeName.t(),
             {:ok, [NodeName.t()], %{NodeName.t() => Asking.answer()}}
             | :leaving
             | :busy
             | :failed}
          | {:promised, asker :: NodeName.t()}
          | :consulted
          | {:leaving, NodeName.t()}
          | :leave
          | :wake

  @spec new(DNSMesh.Config.t() | map(), seed :: integer()) :: t()
  defdelegate new(config, seed), to: Book

  @doc "The basename of peers whose item gives none."
  @spec basename(t()) :: String.t() | nil
  defdelegate basename(roster), to: Book

  @doc "The addresses behind a name."
  @spec addresses(t(), NodeName.t()) :: [:inet.ip_address()]
  defdelegate addresses(roster, name), to: Book

  @spec peers(t()) :: [Peer.t()]
  def peers(roster), do: roster.peers |> Map.values() |> Enum.sort_by(& &1.name)

  @doc "How many peers are held, this node not counted, and how many of them are connected."
  @spec counts(t()) :: %{peers: non_neg_integer(), connected: non_neg_integer()}
  def counts(roster) do
    others = for {_name, peer} <- roster.peers, peer.reason != :self, do: peer.state
    %{peers: length(others), connected: Enum.count(others, &(&1 == :connected))}
  end

  @doc "Who could be connected and is not: neither this node nor what policy refuses."
  @spec unconnected(t()) :: [NodeName.t()]
  def unconnected(roster),
    do: for(peer <- peers(roster), peer.state not in [:connected, :refused], do: peer.name)

  @doc "Without what nobody outside looks at: what is sent to another process is copied."
  @spec seen(t()) :: t()
  def seen(roster),
    do: %{roster | answers: %{}, world: nil, problems: %Problems{}, asking: %Asking{}}

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
    |> next(now)
  end

  # An answer cannot be judged before there is a world to judge it in.
  defp on({:answer, _key, _candidates}, {%{world: nil}, _} = acc, _now), do: acc

  defp on({:answer, key, candidates}, acc, now),
    do: acc |> Admission.answer(key, candidates, now) |> next(now)

  # A conclusive "nobody". An error says nothing about names, and does not come here.
  defp on({:listed_nothing, key}, acc, now), do: Admission.nobody(acc, key, now)

  defp on({:joined, name, outcome}, acc, now), do: Joins.ended(acc, name, outcome, now)
  defp on({:no_atoms, names}, acc, now), do: Joins.put_off(acc, names, now)

  # Apart from the outcome of a join, so that a hundred joins that end together are followed by one look for the next.
  defp on(:fill, acc, now), do: next(acc, now)
  defp on(:wake, acc, now), do: next(acc, now)

  defp on({:probed, found}, acc, now), do: Asking.probed(acc, found, now)
  defp on({:asked, target, answers}, acc, now), do: Asking.asked(acc, target, answers, now)
  defp on({:looked, target, outcome}, acc, now), do: Asking.looked(acc, target, outcome, now)

  defp on({:promised, asker}, {roster, effects}, now),
    do: {Asking.promised(roster, asker, now), effects}

  defp on(:consulted, {roster, effects}, now), do: {Asking.consulted(roster, now), effects}

  # Until it comes back, or for a minute.
  defp on({:leaving, name}, {roster, effects} = acc, now) do
    case roster.peers do
      %{^name => peer} -> {Book.put(roster, %{peer | leaving_until: now + @leaving}), effects}
      _stranger -> acc
    end
  end

  defp on(:leave, {roster, effects}, _now), do: {%{roster | leaving?: true}, effects}

  defp on({:nodeup, name, type}, {roster, effects} = acc, now) do
    cond do
      name in roster.connected and name not in roster.hidden ->
        acc

      # A remote shell, a tool, or a member's look: none of them is a member, and a peer that is linked hidden for good is
      # found by the rounds.
      type == :hidden ->
        {Outsiders.hidden(roster, name), effects}

      true ->
        roster = %{
          roster
          | came: [name | roster.came],
            hidden: MapSet.delete(roster.hidden, name)
        }

        {Outsiders.came(roster, name, now), effects}
        |> Asking.came(name, now)
        |> linked(name, now)
    end
  end

  defp on({:nodedown, name, type, reason}, {roster, effects} = acc, now) do
    cond do
      name not in roster.connected ->
        acc

      # The end of a look, while there is another link.
      type == :hidden and name not in roster.hidden ->
        acc

      true ->
        went = if member?(roster, name, type), do: [name | roster.went], else: roster.went
        roster = %{roster | went: went}
        roster = if type == :visible, do: Outsiders.went(roster, name, reason, now), else: roster
        {roster, effects} = Asking.went({roster, effects}, name, reason, now)
        next({Book.unlink(roster, name, reason, now), effects}, now)
    end
  end

  defp linked({roster, effects}, name, now), do: {Book.link(roster, name, now), effects}

  # What is to be done next: questions before joins, or joins alone.
  defp next({roster, _effects} = acc, now),
    do: if(Asking.on?(roster), do: Asking.step(acc, now), else: Joins.fill(acc, now))

  # Hidden nodes are remote shells and tools, unless they are peers; the line about joins is about members.
  defp member?(roster, name, type), do: type == :visible or Map.has_key?(roster.peers, name)

  @doc "Whom this node is about to join."
  @spec engaged(t()) :: [NodeName.t()]
  defdelegate engaged(roster), to: Outlook

  @doc "Whether a member that asks about a target is to ask again later."
  @spec busy?(t(), asker :: NodeName.t(), target :: NodeName.t(), integer()) :: boolean()
  defdelegate busy?(roster, asker, target, now), to: Outlook

  @doc "When there is something to be done if nothing happens before; nil when there is not."
  @spec wake_at(t()) :: integer() | nil
  def wake_at(roster), do: if(Asking.on?(roster), do: roster.asking.wake_at)

  ## A round begins

  # The first round finds what was linked before us: nothing to tell about that.
  defp meet({%{world: nil} = roster, effects}, world, now) do
    roster = %{roster | world: world, hidden: hidden(world)}
    {Enum.reduce(world.connected, roster, &Book.link(&2, &1, now)), effects}
  end

  defp meet({roster, effects}, world, now) do
    # A hidden link that two rounds have seen is no look.
    hidden = MapSet.intersection(hidden(world), hidden(roster.world))
    passing = MapSet.difference(hidden(world), hidden)
    connected = MapSet.difference(MapSet.new(world.connected), passing)
    lost = MapSet.difference(roster.connected, connected)
    found = MapSet.difference(connected, roster.connected)

    roster = if same_identity?(roster.world, world), do: roster, else: drop_unlinked(roster)
    roster = Enum.reduce(lost, roster, &Book.unlink(&2, &1, nil, now))
    roster = %{roster | world: world, hidden: hidden}

    # Hidden links are no news when they come, for they may be looks; those of peers are when they have lasted.
    came = for name <- found, name in hidden and Map.has_key?(roster.peers, name), do: name
    roster = %{roster | came: came ++ roster.came}
    {Enum.reduce(found, roster, &Book.link(&2, &1, now)), effects}
  end

  defp hidden(world), do: MapSet.new(Map.get(world, :hidden, []))

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

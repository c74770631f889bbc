defmodule DNSMesh.Roster.Joins do
  @moduledoc false
  # Who is dialled, in which order, and what came of it. A slot is taken until the process that dials has ended.

  alias DNSMesh.{NodeName, Peer}
  alias DNSMesh.Roster.{Asking, Book}

  @slots 128

  @type outcome :: true | false | :ignored | {:down, term()}

  @doc "Dials whoever is due, as long as there are slots: never tried, then once connected, then the fewest failures."
  @spec fill(Book.acc(), integer()) :: Book.acc()
  def fill({roster, _effects} = acc, now) do
    free = @slots - map_size(roster.joining)

    if free > 0 and may_join?(roster) do
      due = for {_name, peer} <- roster.peers, due?(peer, roster, now), do: peer

      due
      |> Enum.sort_by(&{rank(&1), &1.failures, &1.name})
      |> Enum.take(free)
      |> Enum.reduce(acc, &join(&1, &2, now))
    else
      acc
    end
  end

  @doc "Whether one more can be dialled."
  @spec slot?(Book.t()) :: boolean()
  def slot?(roster), do: map_size(roster.joining) < @slots

  @doc "Dials one peer."
  @spec join(Peer.t(), Book.acc(), integer()) :: Book.acc()
  def join(%Peer{name: name} = peer, {roster, effects}, now) do
    roster = Book.put(roster, Peer.enter(peer, :joining, nil, now))
    {%{roster | joining: Map.put(roster.joining, name, now)}, [{:join, name} | effects]}
  end

  @doc "A join has ended."
  @spec ended(Book.acc(), NodeName.t(), outcome(), integer()) :: Book.acc()
  def ended({roster, effects}, name, outcome, now) do
    {started, joining} = Map.pop(roster.joining, name, now)
    ms = now - started

    roster =
      %{roster | joining: joining}
      |> note(name, outcome, ms, now)
      |> Asking.joined(name, outcome == true, now)

    Book.tell({roster, effects}, [:join, :stop], %{duration: ms}, %{peer: name, result: outcome})
  end

  @doc "These were to be joined, but the budget of new atoms is spent: they wait. Others may have an atom already."
  @spec put_off(Book.acc(), [NodeName.t()], integer()) :: Book.acc()
  def put_off({roster, effects}, names, now) do
    roster = %{roster | joining: Map.drop(roster.joining, names)}

    roster =
      for name <- names, %{state: :joining} = peer <- [roster.peers[name]], reduce: roster do
        roster -> Book.put(roster, Peer.postponed(peer, :atom_budget, roster.interval, now))
      end

    {roster, effects}
  end

  @doc "A join cannot be called off; one that takes long is only marked."
  @spec mark_slow(Book.acc(), integer()) :: Book.acc()
  def mark_slow({roster, effects}, now) do
    roster =
      for {name, started} <- roster.joining,
          now - started >= roster.connect_timeout,
          %{state: :joining, reason: nil} = peer <- [roster.peers[name]],
          reduce: roster do
        roster -> Book.put(roster, Peer.enter(peer, :joining, :connect_timeout, peer.since))
      end

    {roster, effects}
  end

  defp may_join?(%{world: nil}), do: false
  defp may_join?(%{leaving?: true}), do: false
  defp may_join?(%{gated?: false}), do: true
  defp may_join?(%{world: %{distribution: distribution}}), do: distribution.alive?

  defp due?(%Peer{state: :new}, _roster, _now), do: true

  # A poll comes up to a tenth of the interval early; a peer due within that would wait a whole round for nothing.
  defp due?(%Peer{state: state, next_at: at} = peer, roster, now)
       when state in [:waiting, :held] and at != nil,
       do: peer.next_at - div(roster.interval, 5) <= now

  defp due?(_peer, _roster, _now), do: false

  defp rank(%Peer{failures: 0, once_connected?: false}), do: 0
  defp rank(%Peer{once_connected?: true}), do: 1
  defp rank(_tried), do: 2

  # `true` is believed at once; the next round's list corrects it where it was wrong (a :resolver module's word).
  defp note(roster, name, true, _ms, now) do
    came = if news?(roster, name), do: [name | roster.came], else: roster.came
    Book.link(%{roster | came: came}, name, now)
  end

  defp note(roster, name, outcome, ms, now) do
    case roster.peers do
      %{^name => %Peer{state: :joining} = peer} -> failed(roster, peer, outcome, ms, now)
      # It came to us while we dialled it.
      _other -> roster
    end
  end

  # Its nodeup may be in the mailbox still. A :resolver module has none, and one that never lists what it connected
  # would have the same join told at every poll: there only the first counts.
  defp news?(roster, name) do
    case roster.peers do
      %{^name => peer} ->
        name not in roster.connected and (roster.gated? or not peer.once_connected?)

      _forgotten ->
        false
    end
  end

  defp failed(roster, peer, :ignored, _ms, now),
    do: Book.put(roster, Peer.postponed(peer, :not_distributed, roster.interval, now))

  defp failed(roster, peer, _false_or_down, ms, now) do
    {chance, state} = :rand.uniform_s(roster.chance)
    peer = Peer.failed(peer, {:connect_failed, ms}, roster.interval, chance, now)
    Book.put(%{roster | chance: state}, peer)
  end
end

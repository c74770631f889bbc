defmodule DNSMesh.Roster.Probing do
  @moduledoc false
  # Which peers are looked at, when, and what becomes of those that are not there. A probe costs its target a TCP connect,
  # so none is made twice within 5 s, but of a peer that was lost just now, which is most likely starting again, and by a node
  # that has just started, whose peers mostly have too. Pure.

  alias DNSMesh.{NodeName, Peer}
  alias DNSMesh.Roster.{Alone, Book, Damping, Outlook}

  @floor 5_000
  @hot_floor 200
  @hot 5_000

  # A VM that dies may lose its links before its port is closed, and with a fixed port the next one has the same: only who
  # sees it closed in between knows that the peer was gone, and was not cut off.
  @closing_floor 30
  @closing 100

  # A verdict a decision may rest on.
  @fresh 10_000

  # Backoff of a probe that found nobody.
  @nobody {5_000, 30_000}

  @type verdict :: :ok | {:dead, atom()} | {:silent, atom()}
  @type found :: %{NodeName.t() => {verdict(), port :: integer() | nil}}

  @doc "Asks for the probes of all that are due, unless some are under way."
  @spec due(Book.acc(), integer()) :: Book.acc()
  def due({%{asking: %{probing?: true}}, _} = acc, _now), do: acc

  def due({roster, effects}, now) do
    case for(
           {_, peer} <- roster.peers,
           due?(peer, roster, now),
           stale?(peer, roster, now),
           do: peer.name
         ) do
      [] ->
        {roster, effects}

      names ->
        roster = put_in(roster.asking.probing?, true)
        targets = for name <- Enum.sort(names), do: {name, Book.addresses(roster, name)}
        {roster, [{:probe, targets} | effects]}
    end
  end

  defp stale?(%Peer{probe: nil}, _roster, _now), do: true

  defp stale?(%Peer{probe: {_, at, _}} = peer, roster, now),
    do: now - at >= floor_of(peer, roster, now)

  defp floor_of(peer, roster, now) do
    cond do
      to_come?(peer.probe, roster, now) -> @hot_floor
      not hot?(peer, now) -> @floor
      now - peer.lost_at < @closing and Damping.damped?(peer, now) -> @closing_floor
      true -> @hot_floor
    end
  end

  # Nobody is there yet, at this node's own start.
  defp to_come?({{:dead, _why}, _at, _port}, roster, now), do: Alone.starting?(roster, now)
  defp to_come?(_probe, _roster, _now), do: false

  defp hot?(%Peer{lost_at: nil}, _now), do: false
  defp hot?(%Peer{lost_at: at}, now), do: now - at < @hot

  @doc "Whether it is time for a peer. A newcomer is left to knock first: it finds us in its own answer, and asks by itself."
  @spec due?(Peer.t(), Book.t(), integer()) :: boolean()
  def due?(%Peer{state: :new} = peer, roster, now),
    do: Outlook.lonely?(roster) or now >= knock_until(peer, roster)

  def due?(%Peer{state: state, next_at: at} = peer, roster, now)
      when state in [:waiting, :held] and at != nil,
      do: at <= now or to_come?(peer.probe, roster, now)

  def due?(_peer, _roster, _now), do: false

  defp knock_until(%Peer{newcomer?: false} = peer, _roster), do: peer.known_at
  defp knock_until(peer, roster), do: peer.known_at + div(3 * roster.interval, 2)

  @doc "Whether a peer's port has answered just now."
  @spec fresh?(Peer.t(), integer()) :: boolean()
  def fresh?(%Peer{probe: {:ok, at, _port}}, now), do: now - at <= @fresh
  def fresh?(_peer, _now), do: false

  @doc "Writes down what the probes found."
  @spec found(Book.t(), found(), integer()) :: Book.t()
  def found(roster, found, now) do
    roster = put_in(roster.asking.probing?, false)

    for {name, {verdict, port}} <- found,
        %Peer{} = peer <- [roster.peers[name]],
        reduce: roster do
      roster -> heard(roster, peer, verdict, port, now)
    end
  end

  defp heard(roster, peer, verdict, port, now) do
    peer = Damping.heard(peer, verdict, port)
    peer = %{peer | probe: {verdict, now, port}}

    cond do
      peer.state not in [:new, :waiting, :held] or peer.verdict != nil -> Book.put(roster, peer)
      verdict == :ok -> Book.put(roster, there(%{peer | misses: 0}, now))
      true -> missed(roster, peer, verdict, now)
    end
  end

  # It may have been looked at before its time.
  defp there(%Peer{state: :waiting, next_at: at} = peer, now) when at != nil and at > now,
    do: %{peer | next_at: now}

  defp there(peer, _now), do: peer

  defp missed(roster, peer, verdict, now) do
    {chance, state} = :rand.uniform_s(roster.chance)
    roster = %{roster | chance: state}

    # Not sooner than it may be, and so that status/1 says when it will be.
    delay =
      if hot?(peer, now),
        do: @hot_floor + 50,
        else: max(nobody_delay(roster, peer, chance), @floor)

    peer = Peer.enter(peer, :waiting, verdict, now)
    Book.put(roster, %{peer | next_at: now + delay, misses: peer.misses + 1})
  end

  # Who is alone asks at each poll: the first that answers is its way in. So does who has lost a peer.
  defp nobody_delay(roster, peer, chance) do
    if Outlook.lonely?(roster) or peer.once_connected?,
      do: round(roster.interval * 0.8),
      else: backoff(@nobody, peer.misses, chance)
  end

  @doc "A time that doubles up to a most, give or take a fifth."
  @spec backoff({first :: pos_integer(), most :: pos_integer()}, non_neg_integer(), float()) ::
          pos_integer()
  def backoff({first, most}, times, chance),
    do: min(round(min(first * Bitwise.bsl(1, min(times, 20)), most) * (0.8 + 0.4 * chance)), most)

  @doc "When there is something to do about any peer; nil when there is not."
  @spec next_at(Book.t(), integer()) :: integer() | nil
  def next_at(roster, now) do
    times = for {_name, peer} <- roster.peers, at = due_at(peer, roster, now), do: at
    Enum.min(times, fn -> nil end)
  end

  defp due_at(%Peer{state: :new} = peer, roster, now) do
    at = if Outlook.lonely?(roster), do: now, else: knock_until(peer, roster)
    in_turn(at, peer, roster, now)
  end

  defp due_at(%Peer{state: state, next_at: at} = peer, roster, now)
       when state in [:waiting, :held] and at != nil do
    at = if to_come?(peer.probe, roster, now), do: now, else: at
    in_turn(at, peer, roster, now)
  end

  defp due_at(_peer, _roster, _now), do: nil

  # A decision waits for its turn, a probe does not; but a verdict may be too old to decide on and too young to be asked
  # for anew.
  defp in_turn(at, %Peer{probe: nil}, _roster, _now), do: at

  defp in_turn(at, %Peer{probe: {_, probed, _}} = peer, roster, now) do
    if fresh?(peer, now) and not Damping.damped?(peer, now),
      do: max(at, roster.asking.next_at || at),
      else: max(at, probed + floor_of(peer, roster, now))
  end
end

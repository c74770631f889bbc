defmodule DNSMesh.Roster.Asking do
  @moduledoc false
  # Ask first, dial after. OTP's `global` keeps a mesh whole or cuts it: as soon as one member cannot reach a node that
  # another one is linked to, it has links cut, and whoever dials again at the next poll has them cut again, for ever.
  # So nobody is dialled that some member could not reach.
  #
  #   due ──▶ probe ──not ok──▶ waiting, probed again later
  #             │ ok
  #             ▼  one at a time, the lowest name first
  #           ask the members: can you reach it? ──no──▶ held
  #             │
  #             ▼  only if somebody listed is silent to us
  #           look at its members: is that one among them? ──yes──▶ held
  #             │
  #             ▼
  #           join
  #
  # Alone says what a node without links does otherwise.
  #
  # Pure. The questions travel as effects, {:probe, …}, {:ask, …} and {:look, …}; what comes back are the events probed,
  # asked and looked. `wake_at` is when the next step is due if nothing happens before.

  alias DNSMesh.{NodeName, Peer}
  alias DNSMesh.Roster.{Alone, Book, Damping, Joins, Outlook, Probing}

  # Backoff of a refusal.
  @refused {15_000, 300_000}
  # The member found nobody where we found somebody: mostly a peer that is just starting; or a firewall that rejects.
  @contradicted {2_000, 300_000}

  # Two that look at each other disturb each other: nothing has been learnt then.
  @busy 500

  # A member is about to let somebody in, or has just done so: whom, this node will know soon.
  @their_turn 300

  # All of that in a row: somebody who says so for longer, by a fault or in a mesh that is always deciding, is heard no more.
  @turns 3_000

  # Between two looks at a target where this node gives way, and two at whom it waits for.
  @way 1_000
  @start 200

  # After a join `global` brings in the others by itself; a dial that hangs must not hold up the rest.
  @after_join 300
  @meanwhile 1_000

  @type answer :: :ok | :dead | :silent | :busy | :no_answer | :no_mesh

  defstruct probing?: false,
            # nil | %{target: name, stage: :asking | :looking, since: when}
            deciding: nil,
            next_at: nil,
            # At which target others have this node wait, and since when.
            kept_waiting: nil,
            # Since when somebody has been about to join this node without a pause, and when the last one was.
            promises: nil,
            # Since when members have asked without a pause, and when the last one did.
            consulted: nil,
            # Who comes in through this node, until all members know.
            settling: %{},
            alone: %Alone{},
            wake_at: nil

  @type t :: %__MODULE__{
          probing?: boolean(),
          deciding: nil | %{target: NodeName.t(), stage: :asking | :looking, since: integer()},
          next_at: integer() | nil,
          kept_waiting: nil | {NodeName.t(), since :: integer()},
          promises: nil | {since :: integer(), last :: integer()},
          consulted: nil | {since :: integer(), last :: integer()},
          settling: %{NodeName.t() => until :: integer()},
          alone: Alone.t(),
          wake_at: integer() | nil
        }

  @doc "Whether peers are to be asked about at all: `global` cuts only what it keeps whole."
  @spec on?(Book.t()) :: boolean()
  def on?(%{ask_first: true, gated?: true, world: %{guarded?: true}}), do: true
  def on?(_roster), do: false

  @doc "Does what is due; the effects are questions, or joins."
  @spec step(Book.acc(), integer()) :: Book.acc()
  def step({roster, effects}, now) do
    if idle?(roster) do
      {put_in(roster.asking.wake_at, nil), effects}
    else
      {roster, effects} = {Alone.tick(roster, now), effects} |> Probing.due(now) |> decide(now)
      {wake(roster, now), effects}
    end
  end

  defp idle?(%{world: nil}), do: true
  defp idle?(%{leaving?: true}), do: true
  defp idle?(%{world: %{distribution: distribution}}), do: not distribution.alive?

  @doc "What the probes found; `port` is where the peer listens, nil where that is not known."
  @spec probed(Book.acc(), Probing.found(), integer()) :: Book.acc()
  def probed({roster, effects}, found, now) do
    before = Outlook.view(roster)
    roster = Probing.found(roster, found, now)
    # What refusals rested on has changed: they are looked at anew.
    roster =
      if Outlook.view(roster) == before, do: roster, else: release(roster, now, fn _ -> true end)

    {roster, effects} |> dialled_past(found, now) |> step(now)
  end

  ## Decisions: one at a time

  defp decide({%{asking: %{deciding: deciding}}, _} = acc, _now) when deciding != nil, do: acc
  defp decide({%{asking: %{probing?: true}}, _} = acc, _now), do: acc

  defp decide({roster, _effects} = acc, now) do
    if later?(roster.asking.next_at, now) or not Joins.slot?(roster) do
      acc
    else
      case roster.peers |> Map.values() |> Enum.filter(&ready?(&1, roster, now)) do
        [] -> acc
        peers -> peers |> Enum.min_by(& &1.name) |> consider(acc, now)
      end
    end
  end

  defp consider(peer, {roster, _effects} = acc, now) do
    if Alone.awaits_lower?(peer, roster, now),
      do: put_off(acc, now + @start),
      else: ask(peer, acc, now)
  end

  defp later?(nil, _now), do: false
  defp later?(at, now), do: now < at

  defp ready?(peer, roster, now) do
    Probing.fresh?(peer, now) and Probing.due?(peer, roster, now) and
      not Damping.damped?(peer, now)
  end

  defp ask(peer, {roster, effects}, now) do
    case Outlook.members(roster) do
      [] ->
        look(peer.name, {roster, effects}, now)

      members ->
        roster = deciding(roster, peer.name, :asking, now)
        {roster, [{:ask, peer.name, members} | effects]}
    end
  end

  @doc "What the members say about a target."
  @spec asked(Book.acc(), NodeName.t(), %{NodeName.t() => answer()}, integer()) :: Book.acc()
  def asked({roster, effects} = acc, target, answers, now) do
    case roster.asking.deciding do
      %{target: ^target, stage: :asking} ->
        heed(target, answers, {undecided(roster), effects}, now)

      _another_question ->
        acc
    end
  end

  defp heed(target, answers, {roster, _effects} = acc, now) do
    objections = objections(answers)

    cond do
      not open?(roster, target) ->
        step(acc, now)

      objections == [] and :busy in Map.values(answers) and waits?(roster, target, now) ->
        acc |> keep_waiting(target, now) |> put_off(now + @their_turn) |> step(now)

      objections == [] ->
        look(target, acc, now)

      # Whoever did not consent and has gone since is a new case: it may be out of this node's reach now, and a member still.
      member = Enum.find(objections, &(&1 in roster.connected)) ->
        backoff = if answers[member] == :dead, do: @contradicted, else: @refused
        acc |> hold(target, {:unreachable_for, member}, backoff, now) |> step(now)

      true ->
        step(acc, now)
    end
  end

  # No answer is a no: a member whose link is dead without its knowing cannot tell. Silence weighs most.
  defp objections(answers) do
    for {member, answer} <-
          Enum.sort_by(answers, fn {member, answer} -> {answer == :dead, member} end),
        answer not in [:ok, :no_mesh, :busy],
        do: member
  end

  # Nobody silent is the usual case, and takes no look.
  defp look(target, {roster, effects}, now) do
    case Outlook.silent(roster) -- [target] do
      [] ->
        join(target, {roster, effects}, now)

      silent ->
        if Alone.let_in?(roster, target, silent, now),
          do: join(target, {roster, effects}, now),
          else: {deciding(roster, target, :looking, now), [{:look, target, silent} | effects]}
    end
  end

  @doc "Who the target is linked to, and what it says about those of them that are silent to us; `:failed` if it said nothing."
  @spec looked(
          Book.acc(),
          NodeName.t(),
          {:ok, [NodeName.t()], %{NodeName.t() => answer()}} | :leaving | :busy | :failed,
          integer()
        ) :: Book.acc()
  def looked({roster, effects} = acc, target, outcome, now) do
    case roster.asking.deciding do
      %{target: ^target, stage: :looking} ->
        acc = {undecided(roster), effects}

        cond do
          not open?(roster, target) ->
            step(acc, now)

          outcome == :busy and waits?(roster, target, now) ->
            acc |> keep_waiting(target, now) |> put_off(now + @busy) |> step(now)

          outcome in [:busy, :failed] ->
            target |> join(acc, now) |> step(now)

          outcome == :leaving ->
            acc |> hold(target, :leaving, @refused, now) |> step(now)

          true ->
            judge(target, outcome, acc, now)
        end

      _another_question ->
        acc
    end
  end

  # Every wait for others has an end, whatever they say. Each target has one wait, and a new one once it was decided about.
  defp waits?(%{asking: %{kept_waiting: {target, since}}}, target, now), do: now - since < @turns
  defp waits?(_roster, _target, _now), do: true

  defp keep_waiting({%{asking: %{kept_waiting: {target, _since}}}, _} = acc, target, _now),
    do: acc

  defp keep_waiting({roster, effects}, target, now),
    do: {put_in(roster.asking.kept_waiting, {target, now}), effects}

  defp put_off({roster, effects}, at), do: {not_before(roster, at), effects}

  defp judge(target, {:ok, members, answers}, {roster, effects}, now) do
    case Enum.sort(for name <- Outlook.silent(roster), name in members, name != target, do: name) do
      [] ->
        {lower, roster} = Alone.gives_way(roster, members, answers, now)
        acc = {roster, effects}

        if lower,
          do: acc |> held(target, {:gives_way, lower}, @way, now) |> step(now),
          else: target |> join(acc, now) |> step(now)

      [first | _] = silent ->
        # Its own word for the peer that cannot be reached from here is what tells a cut cable from a dead host.
        contradicted = Enum.find(silent, &(answers[&1] == :ok))

        group = Enum.uniq([target | members])

        case Alone.refused(roster, group, silent, contradicted, now) do
          {:try, roster} ->
            target |> join({roster, effects}, now) |> step(now)

          {:wait, roster} ->
            reason = {:member_unreachable, contradicted || first}
            group |> hold_all({roster, effects}, reason, now) |> step(now)
        end
    end
  end

  # They are linked with one another: what one has said holds for all, and the next one may not have heard of it yet.
  defp hold_all(names, acc, reason, now),
    do: Enum.reduce(names, acc, &hold(&2, &1, reason, @refused, now))

  defp join(target, {roster, effects}, now) do
    asking = %{roster.asking | next_at: now + @meanwhile, kept_waiting: nil}
    roster = %{roster | asking: asking}
    Joins.join(roster.peers[target], {roster, effects}, now)
  end

  @doc "A join has ended: when the next decision may be taken."
  @spec joined(Book.t(), NodeName.t(), boolean(), integer()) :: Book.t()
  def joined(roster, _name, false, now), do: put_in(roster.asking.next_at, now)

  def joined(roster, name, true, now) do
    put_in(settling(roster, name, now + @after_join, now).asking.next_at, now + @after_join)
  end

  defp settling(roster, name, until, now) do
    settling = Map.filter(roster.asking.settling, fn {_name, until} -> until > now end)
    put_in(roster.asking.settling, Map.put(settling, name, until))
  end

  @doc """
  A node has come in. One that is held because a member cannot reach it, and that nobody here has dialled, may have been
  dialled by somebody who did not ask, or be whole again: `went/4` will tell.
  """
  @spec came(Book.acc(), NodeName.t(), integer()) :: Book.acc()
  def came({roster, effects} = acc, name, now) do
    case roster.peers do
      %{^name => %Peer{state: :held, reason: {:unreachable_for, member}} = peer}
      when not is_map_key(roster.joining, name) ->
        {Book.put(roster, %{peer | past: member}), effects}

      _not_held ->
        Book.problem(acc, false, {:dialled_past, name}, nil, %{peer: name}, now)
    end
  end

  @doc "A node has gone: nobody is held any more for one that is no member."
  @spec went(Book.acc(), NodeName.t(), reason :: term(), integer()) :: Book.acc()
  def went({roster, effects}, name, reason, now) do
    roster = release(roster, now, &(&1.reason == {:unreachable_for, name}))

    case roster.peers do
      %{^name => %Peer{past: member} = peer} when member != nil ->
        cut? = Damping.cut?(reason) and not Damping.lasted?(peer, now)
        {Book.put(roster, %{peer | past: if(cut?, do: member)}), effects}

      _asked_for ->
        {roster, effects}
    end
  end

  # It had come in past us and its link was cut. If it is there all the same, that was `global`, and not its end.
  defp dialled_past({roster, _effects} = acc, found, now) do
    for {name, {verdict, _port}} <- found,
        %Peer{past: member} = peer when member != nil <- [roster.peers[name]],
        reduce: acc do
      {roster, effects} ->
        acc = {Book.put(roster, %{peer | past: nil}), effects}
        details = %{peer: name, member: member}

        if verdict == :ok,
          do: Book.problem(acc, true, {:dialled_past, name}, member, details, now),
          else: acc
    end
  end

  defp hold({roster, _effects} = acc, target, reason, backoff, now),
    do: if(open?(roster, target), do: hold_open(acc, target, reason, backoff, now), else: acc)

  defp hold_open({roster, effects}, target, reason, backoff, now) do
    peer = roster.peers[target]
    {chance, state} = :rand.uniform_s(roster.chance)
    roster = %{roster | chance: state, asking: %{roster.asking | kept_waiting: nil}}

    delay =
      if Outlook.lonely?(roster),
        do: Alone.again_in(roster, now),
        else: Probing.backoff(backoff, peer.holds, chance)

    held({roster, effects}, target, reason, delay, now)
  end

  defp held({roster, effects}, target, reason, delay, now) do
    peer = roster.peers[target]
    peer = %{Peer.enter(peer, :held, reason, now) | next_at: now + delay, holds: peer.holds + 1}
    {Book.put(roster, peer), effects}
  end

  # Held peers are due at once, but for those that leave: that is no refusal.
  defp release(roster, now, which?) do
    for {_name, %Peer{state: :held, verdict: nil, next_at: at} = peer} <- roster.peers,
        at != nil and at > now and peer.reason != :leaving,
        which?.(peer) and not Damping.damped?(peer, now),
        reduce: roster do
      roster -> Book.put(roster, %{peer | next_at: now})
    end
  end

  @doc """
  Somebody was told whom this node is linked to, and is about to join: no decision before it has. Nor for ever, where
  somebody asks all the time.
  """
  @spec promised(Book.t(), NodeName.t(), integer()) :: Book.t()
  def promised(roster, asker, now) do
    since = row(roster.asking.promises, now, @meanwhile)
    roster = put_in(settling(roster, asker, now + @meanwhile, now).asking.promises, {since, now})
    if now - since < @turns, do: not_before(roster, now + @meanwhile), else: roster
  end

  defp not_before(roster, at),
    do: put_in(roster.asking.next_at, max(at, roster.asking.next_at || at))

  @doc """
  A member has asked about a node: it may be about to let that one in, and has its turn. In a large mesh, or beside one gone
  mad, somebody asks all the time: this node waits so long, and no longer.
  """
  @spec consulted(Book.t(), integer()) :: Book.t()
  def consulted(roster, now) do
    since = row(roster.asking.consulted, now, @their_turn)
    roster = put_in(roster.asking.consulted, {since, now})
    if now - since < @meanwhile, do: not_before(roster, now + @their_turn), else: roster
  end

  # Since when the same has happened again and again, without a pause.
  defp row({since, last}, now, pause) when now - last < pause, do: since
  defp row(_none, now, _pause), do: now

  # Neither linked by somebody else nor refused by policy meanwhile, nor found silent by a later probe.
  defp open?(roster, name) do
    case roster.peers do
      %{^name => %Peer{state: state, verdict: nil, probe: {:ok, _at, _port}}} ->
        state in [:new, :waiting, :held] and name not in roster.connected

      _not_any_more ->
        false
    end
  end

  defp deciding(roster, target, stage, now),
    do: put_in(roster.asking.deciding, %{target: target, stage: stage, since: now})

  defp undecided(roster), do: put_in(roster.asking.deciding, nil)

  ## When to wake

  defp wake(%{asking: %{probing?: probing?, deciding: deciding}} = roster, _now)
       when probing? or deciding != nil,
       do: put_in(roster.asking.wake_at, nil)

  # With every slot taken it is the end of a join that is waited for.
  defp wake(roster, now) do
    at =
      with at when at != nil <- Probing.next_at(roster, now),
           true <- Joins.slot?(roster),
           do: max(at, now + 20),
           else: (_nothing_or_full -> nil)

    put_in(roster.asking.wake_at, at)
  end
end

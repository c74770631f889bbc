defmodule DNSMesh.Poller do
  @moduledoc false
  # The only process with state. It carries mail between the pure parts (Roster, Lookups, Pace) and the outside, and
  # never waits: a lookup is a ref, a join is a monitored process, and `status` is a copy of what is known.
  #
  #   timer :poll ──▶ survey the world ──▶ ask each item ──▶ {ref, reply} ──▶ Lookups, Roster ──▶ effects
  #
  # Whatever it does not know (a reply after its deadline, a stray message) it drops: no mail may end it. `Mail` reads what
  # comes.

  use GenServer

  alias DNSMesh.{
    Answering,
    Candidates,
    Config,
    Distribution,
    Lookups,
    Mail,
    Members,
    NameFile,
    NodeName,
    Outside,
    OwnName,
    Pace,
    Query,
    Roster,
    Telemetry,
    Waiting
  }

  @enforce_keys [:config, :outside, :roster, :lookups, :pace, :own_name]
  defstruct [
    :config,
    :outside,
    :roster,
    :lookups,
    :pace,
    :own_name,
    # The one timer of the rhythm, and the token its message must carry.
    timer: nil,
    # %{ref => %{what: :survey | key, pid: pid | nil, since: ms, timer: ref, me: what the round knew of this node}}
    asked: %{},
    # %{monitor => name} of running join processes.
    joins: %{},
    fill?: false,
    # %{since: ms, open: refs still awaited} of the round under way.
    round: nil,
    # What the last round knew of this node, see Candidates.
    me: nil,
    # What other members have asked.
    answering: %Answering{},
    # Who waits for the cluster.
    waiting: %Waiting{},
    # When the roster wants to go on, and the timer for it.
    wake: nil,
    # Who started it, and ends with it.
    parent: nil
  ]

  @spec start_link(Config.t()) :: GenServer.on_start()
  def start_link(%Config{} = config), do: :proc_lib.start_link(__MODULE__, :enter, [config])

  # `gen_server` ends with its parent, which it knows by no more than a message {:EXIT, parent, reason}, and anybody can
  # send that. So it is given a parent that nobody knows, and `stands?/2` looks at the real one. Not from `init/1`:
  # `gen_server` takes the end of the loop for one of `init/1` then, and tells whoever started it.
  @doc "The process itself."
  @spec enter(Config.t()) :: term()
  def enter(config) do
    case register(config.name) do
      :ok ->
        {:ok, state, begin} = init(config)
        :ok = :proc_lib.init_ack({:ok, self()})
        _ = Process.put(:"$ancestors", [spawn(fn -> :ok end)])
        :gen_server.enter_loop(__MODULE__, [], state, {:local, config.name}, begin)

      {:error, taken} ->
        :proc_lib.init_ack({:error, taken})
    end
  end

  defp register(name) do
    Process.register(self(), name)
    :ok
  rescue
    ArgumentError -> {:error, {:already_started, Process.whereis(name)}}
  end

  ## Callbacks

  @impl true
  def init(config) do
    ancestors = Process.get(:"$ancestors")
    state = %{open(config) | parent: pid(hd(ancestors))}
    {:ok, state, {:continue, {:begin, ancestors}}}
  end

  defp pid(pid) when is_pid(pid), do: pid
  defp pid(name), do: Process.whereis(name)

  defp open(config) do
    Telemetry.prepare()

    # So that terminate/2 is called when the supervisor stops us: a source may have something to take back.
    Process.flag(:trap_exit, true)

    # Before the first look at the list: a node that comes in between is then in the mailbox, not lost.
    :ok = :net_kernel.monitor_nodes(true, [:nodedown_reason, node_type: :all])

    state = %__MODULE__{
      config: config,
      outside: Outside.open(config),
      roster: Roster.new(config, :erlang.unique_integer()),
      lookups: Lookups.new(Config.lookups(config), config.interval),
      pace: pace(config),
      own_name: OwnName.new(config, now())
    }

    _ =
      if OwnName.pending?(state.own_name) do
        _ = Process.send_after(self(), :name_guess, OwnName.patience(config))
        Process.send_after(self(), :name_late, config.name_timeout)
      end

    state
  end

  @impl true
  def handle_continue({:begin, ancestors}, state) do
    Process.put(:"$ancestors", ancestors)
    {:noreply, poll(state)}
  end

  @impl true
  def handle_call(message, from, state) do
    case Mail.call(message, from) do
      :nobody -> {:noreply, state}
      call -> called(call, from, state)
    end
  end

  @impl true
  def handle_cast(message, state) do
    case Mail.cast(message) do
      :poll -> {:noreply, poll(state)}
      {:leaving, name} -> {:noreply, roster(state, {:leaving, name})}
      :unknown -> {:noreply, state}
    end
  end

  @impl true
  def handle_info(message, state) do
    case Mail.info(message) do
      {:exit, pid, reason} when pid == state.parent ->
        if stands?(pid, reason), do: {:noreply, state}, else: {:stop, reason, state}

      news ->
        {:noreply, heard(news, state)}
    end
  end

  # A supervisor stops its child by :shutdown. Any other reason is that of a parent that has ended; of one that is there it
  # is mail of somebody.
  defp stands?(parent, reason), do: reason != :shutdown and Process.alive?(parent)

  ## Calls

  defp called(:status, _from, state),
    do:
      {:reply, {state.config, Roster.seen(state.roster), state.lookups, state.own_name, now()},
       state}

  # What it takes to tell the own address and name; looking at the interfaces is the asker's business.
  defp called(:own_name, _from, state), do: {:reply, {state.own_name, state.lookups}, state}

  # Answered when this node has its name, or need not or can not have one soon.
  defp called(:await_name, from, state) do
    if OwnName.coming?(state.own_name),
      do: {:noreply, %{state | own_name: OwnName.await(state.own_name, from)}},
      else: {:reply, :ok, state}
  end

  defp called(:leave, _from, state), do: {:reply, :ok, leave(state)}

  # Answered when there are as many peers, or the time is over; at once where there is no time.
  defp called({:await, %{peers: goal, timeout: timeout} = wish}, from, state) do
    cond do
      Waiting.reached?(state.waiting, goal, state.roster) -> {:reply, :ok, state}
      timeout == 0 -> {:reply, {:error, :timeout}, state}
      true -> {:noreply, wait(state, wish, from)}
    end
  end

  # Another member's question. Beside a :resolver module there is nothing to probe with.
  defp called({:member, question}, from, %{config: %{resolver: nil}} = state) do
    event =
      case question do
        {:reach, _name} -> :consulted
        {:members, asker, _silent} -> {:promised, asker}
      end

    {:noreply, state |> answer(question, from) |> roster(event)}
  end

  defp called(_unknown, _from, state), do: {:reply, {:error, :unknown_call}, state}

  ## News

  defp heard({:poll, token}, %{timer: {_ref, token}} = state), do: poll(state)
  defp heard({:deadline, ref}, state), do: give_up(state, ref)

  defp heard({:reply, ref, reply}, state) when is_map_key(state.asked, ref),
    do: replied(state, ref, reply)

  defp heard({:ended, ref, reason}, state) when is_map_key(state.asked, ref),
    do: replied(state, ref, reason)

  defp heard({:ended, ref, reason}, %{own_name: %{check: ref}} = state),
    do: %{state | own_name: OwnName.checked(state.own_name, reason)}

  defp heard({:ended, ref, reason}, state) when is_map_key(state.joins, ref),
    do: joined(state, ref, reason)

  defp heard({:ended, ref, reason}, %{own_name: %{start: ref}} = state),
    do: own_name(state, OwnName.started(state.own_name, reason, now()))

  # The only address will do now.
  defp heard(:name_guess, state), do: consider_name(state)
  defp heard(:name_late, state), do: own_name(state, OwnName.late(state.own_name, now()))
  defp heard(:fill, state), do: roster(%{state | fill?: false}, :fill)

  defp heard({:wake, at}, %{wake: {at, _timer}} = state),
    do: roster(%{state | wake: nil}, :wake)

  defp heard({:waited, ref}, state), do: waited(state, ref)
  defp heard({:nodeup, _name, _type} = up, state), do: roster(state, up)

  # Unless it is we who start it, nobody has told the release's commands the name.
  defp heard(:named, state) do
    _ = if state.own_name.start == nil, do: spawn(NameFile, :claim, [])
    state
  end

  defp heard({:nodedown, name, type, reason}, state) do
    state = roster(state, {:nodedown, name, type || :visible, reason})
    # Hidden ones are shells and looks: nothing that DNS would know of.
    pace = if type == :hidden, do: state.pace, else: Pace.burst(state.pace, now())

    # Only a new burst moves the timer: nodes that go down one after the other must not put the next poll off for ever.
    if pace == state.pace, do: state, else: arm(%{state | pace: pace})
  end

  defp heard(_stray, state), do: state

  ## The end

  # Whatever else ends it is no leave: a supervisor starts it again at once.
  @impl true
  def terminate(reason, state) do
    if reason in [:normal, :shutdown] or match?({:shutdown, _}, reason) do
      state = leave(state)
      if state.me, do: Outside.leave(state.config, state.me), else: :ok
    else
      :ok
    end
  end

  ## A round

  defp poll(state) do
    state = arm(state)

    # A survey that takes longer than a poll takes that poll's place.
    if Enum.any?(state.asked, fn {_ref, asked} -> asked.what == :survey end) do
      state
    else
      case Outside.survey(state.outside) do
        {:now, world} -> begin_round(state, world)
        {:later, asked} -> await(state, :survey, asked)
      end
    end
  end

  defp begin_round(state, world) do
    state = state |> consider_name() |> look_at_name(world)
    state = roster(state, {:round, Map.put(world, :naming?, OwnName.pending?(state.own_name))})
    state = %{state | me: me(world.distribution, state)}
    under_way = for {_ref, %{what: {%Query{}, _type} = key}} <- state.asked, do: key

    state =
      Enum.reduce(Lookups.keys(state.lookups) -- under_way, state, fn key, state ->
        await(state, key, Outside.ask(state.outside, key, state.me, state.config))
      end)

    # What the last round still waits for belongs to this one now.
    since = if state.round, do: state.round.since, else: now()
    open = for {ref, %{what: {%Query{}, _type}}} <- state.asked, into: MapSet.new(), do: ref
    end_round(%{state | round: %{since: since, open: open}})
  end

  defp end_round(%{round: %{open: open, since: since}} = state) when open == %MapSet{} do
    counts = Roster.counts(state.roster)
    tell(state, [:round, :stop], Map.put(counts, :duration, now() - since))

    %{state | round: nil}
  end

  defp end_round(state), do: state

  ## What was asked, and what came of it

  defp await(state, what, {ref, pid}) do
    {patience, _reason} = Outside.patience(state.outside, what, state.config.timeout)
    timer = Process.send_after(self(), {:deadline, ref}, patience)

    asked = %{what: what, pid: pid, since: now(), timer: timer, me: state.me}
    %{state | asked: Map.put(state.asked, ref, asked)}
  end

  defp replied(state, ref, reply) do
    {asked, state} = no_longer_asked(state, ref)
    _ = Process.cancel_timer(asked.timer)

    case asked.what do
      :survey ->
        surveyed(state, Outside.surveyed(state.outside, reply))

      {%Query{}, _type} = key ->
        looked_up(state, ref, asked, Outside.answered(state.outside, key, reply))

      question ->
        told(state, question, reply)
    end
  end

  defp give_up(state, ref) when is_map_key(state.asked, ref) do
    {asked, state} = no_longer_asked(state, ref)
    {_patience, reason} = Outside.patience(state.outside, asked.what, state.config.timeout)

    if asked.pid do
      Process.demonitor(ref, [:flush])
      Process.exit(asked.pid, :kill)
    end

    case asked.what do
      :survey -> surveyed(state, {:error, reason})
      {%Query{}, _type} -> looked_up(state, ref, asked, {:error, %{reason: reason, server: nil}})
      question -> told(state, question, :late)
    end
  end

  defp give_up(state, _long_answered), do: state

  defp no_longer_asked(state, ref) do
    {asked, rest} = Map.pop!(state.asked, ref)
    {asked, %{state | asked: rest}}
  end

  defp surveyed(state, {:ok, world}), do: begin_round(state, world)

  # Without a view of the world there is nothing to compare answers with: this round is skipped, and told.
  defp surveyed(state, {:error, reason}) do
    tell(state, [:round, :skipped], %{}, %{reason: reason})
    state
  end

  defp looked_up(state, ref, %{what: {query, type} = key} = asked, result) do
    tell(
      state,
      [:lookup, :stop],
      %{duration: now() - asked.since, records: count(result)},
      lookup_metadata(query, type, result)
    )

    {lookups, effects} = Lookups.done(state.lookups, key, result, now())
    state = run(%{state | lookups: lookups}, effects)
    state = state |> consider_name() |> heed(asked, result)

    if state.round,
      do: end_round(update_in(state.round.open, &MapSet.delete(&1, ref))),
      else: state
  end

  # Read by what was known when it was asked: what has been asked about each address depends on that.
  defp heed(state, %{what: {query, _type} = key, me: me}, {:ok, answer}) do
    case Candidates.of(query, answer, me) do
      # Not distributed and no basename anywhere: nobody can be named yet.
      :unnamed -> state
      candidates -> roster(state, {:answer, key, candidates})
    end
  end

  # A failure says nothing about names, so nothing is forgotten by it.
  defp heed(state, %{what: key}, {:error, failure}),
    do: if(Lookups.nobody?(failure), do: roster(state, {:listed_nothing, key}), else: state)

  defp me(%Distribution{} = distribution, state),
    do: Candidates.me(distribution, state.config, Roster.basename(state.roster))

  defp count({:ok, answer}), do: length(answer.records)
  defp count({:error, _failure}), do: 0

  defp lookup_metadata(query, type, {:ok, answer}),
    do: %{
      query: query.text,
      type: type,
      result: :ok,
      server: answer.server,
      name: answer.name,
      ttl: answer.ttl
    }

  defp lookup_metadata(query, type, {:error, failure}),
    do: %{query: query.text, type: type, result: {:error, failure.reason}, server: failure.server}

  ## Asking before joining

  defp told(state, {:probe, targets}, reply) do
    found = Outside.Probe.read(targets, reply)
    state |> learnt(found) |> roster({:probed, found})
  end

  defp told(state, {:check, targets}, reply),
    do: learnt(state, Outside.Probe.read(targets, reply))

  defp told(state, {:ask, {target, members}}, reply) do
    answers =
      with {:asked, answers} <- reply,
           do: answers,
           else: (_late -> Map.new(members, &{&1, :no_answer}))

    tell(state, [:ask, :stop], %{members: length(members)}, %{peer: target, answers: answers})
    roster(state, {:asked, target, answers})
  end

  defp told(state, {:look, target}, reply) do
    outcome = with {:looked, outcome} <- reply, do: outcome, else: (_late -> :failed)
    roster(state, {:looked, target, outcome})
  end

  ## What other members ask

  defp answer(state, question, from) do
    me = %{
      node: state.me && state.me.node,
      leaving?: state.roster.leaving?,
      busy?: busy?(state, question, from),
      members:
        Enum.uniq(
          for(node <- Node.list(), do: Atom.to_string(node)) ++ Roster.engaged(state.roster)
        )
    }

    {answering, effects} = Answering.asked(state.answering, question, from, me, now())
    reply(%{state | answering: answering}, effects)
  end

  defp busy?(state, {:reach, target}, {asker, _tag}),
    do: Roster.busy?(state.roster, Atom.to_string(node(asker)), target, now())

  defp busy?(_state, _look, _from), do: false

  defp learnt(state, found) do
    {answering, effects} = Answering.learnt(state.answering, found, now())
    reply(%{state | answering: answering}, effects)
  end

  defp reply(state, effects) do
    Enum.reduce(effects, state, fn
      {:reply, from, answer}, state ->
        GenServer.reply(from, answer)
        state

      {:check, names}, state ->
        targets = for name <- names, do: {name, Roster.addresses(state.roster, name)}
        await(state, {:check, targets}, Outside.probe(state.outside, targets))
    end)
  end

  # Told once; the links fall with the VM.
  defp leave(%{roster: %{leaving?: true}} = state), do: state

  defp leave(state) do
    if Node.alive?() do
      Members.tell_leaving(state.config.name, Atom.to_string(node()), Node.list())
    end

    roster(state, :leave)
  end

  ## Joins

  defp joined(state, monitor, reason) do
    {name, joins} = Map.pop!(state.joins, monitor)

    outcome =
      case reason do
        {:joined, outcome} -> outcome
        died -> {:down, died}
      end

    roster(fill_soon(%{state | joins: joins}), {:joined, name, outcome})
  end

  # By a message to ourselves: behind the ends of other joins that are in the mailbox already.
  defp fill_soon(%{fill?: true} = state), do: state

  defp fill_soon(state) do
    send(self(), :fill)
    %{state | fill?: true}
  end

  ## The roster and its effects

  defp roster(state, event) do
    {roster, effects} = Roster.handle(state.roster, event, now())
    %{state | roster: roster} |> run(effects) |> wake() |> look_for_waiters()
  end

  defp wake(%{wake: before} = state) do
    case {Roster.wake_at(state.roster), before} do
      {at, {at, _timer}} ->
        state

      {nil, nil} ->
        state

      {at, _other} ->
        _ = with {_at, timer} <- before, do: Process.cancel_timer(timer)
        %{state | wake: at && {at, Process.send_after(self(), {:wake, at}, max(at - now(), 0))}}
    end
  end

  defp run(state, effects) do
    {state, unnamed} = Enum.reduce(effects, {state, []}, &run_one/2)
    if unnamed == [], do: state, else: roster(fill_soon(state), {:no_atoms, unnamed})
  end

  defp run_one({:event, event, measurements, metadata}, {state, unnamed}) do
    tell(state, event, measurements, metadata)
    {state, unnamed}
  end

  defp run_one({:probe, targets}, {state, unnamed}),
    do: {await(state, {:probe, targets}, Outside.probe(state.outside, targets)), unnamed}

  defp run_one({:ask, target, members}, {state, unnamed}) do
    nodes = for name <- members, {:ok, node} <- [NodeName.to_atom(name)], do: node
    asked = Outside.ask_members(state.config, target, nodes)
    {await(state, {:ask, {target, members}}, asked), unnamed}
  end

  defp run_one({:look, target, silent}, {state, unnamed}) do
    case NodeName.to_atom(target) do
      {:ok, node} ->
        asked = Outside.look(state.config, node, state.me, silent)
        {await(state, {:look, target}, asked), unnamed}

      {:error, _no_atom} ->
        {roster(state, {:looked, target, :failed}), unnamed}
    end
  end

  defp run_one({:join, name}, {state, unnamed}) do
    case NodeName.to_atom(name) do
      {:ok, node} ->
        {_pid, monitor} = Outside.join(state.outside, node)
        {%{state | joins: Map.put(state.joins, monitor, name)}, unnamed}

      {:error, _no_atom} ->
        {state, [name | unnamed]}
    end
  end

  ## Those who wait for the cluster

  defp wait(state, wish, from) do
    ref = make_ref()
    timer = Process.send_after(self(), {:waited, ref}, wish.timeout)
    waiter = %{wish: wish, from: from, since: now(), timer: timer}
    %{state | waiting: Waiting.add(state.waiting, ref, waiter)}
  end

  defp look_for_waiters(state) do
    {waiting, done} = Waiting.look(state.waiting, state.roster, Lookups.keys(state.lookups))
    state = %{state | waiting: waiting}

    for waiter <- done do
      _ = Process.cancel_timer(waiter.timer)
      end_wait(state, waiter, :ok)
    end

    state
  end

  defp waited(state, ref) do
    {waiter, waiting} = Waiting.over(state.waiting, ref)
    if waiter, do: end_wait(state, waiter, {:error, :timeout})
    %{state | waiting: waiting}
  end

  defp end_wait(state, %{wish: wish} = waiter, reply) do
    metadata = %{
      wanted: wish.peers,
      result: reply,
      on_timeout: wish.on_timeout,
      missing: Roster.unconnected(state.roster)
    }

    measurements = Map.put(Roster.counts(state.roster), :duration, now() - waiter.since)
    tell(state, [:await, :stop], measurements, metadata)
    GenServer.reply(waiter.from, reply)
  end

  ## This node's own name

  defp consider_name(state),
    do: own_name(state, OwnName.consider(state.own_name, state.lookups, now()))

  defp look_at_name(state, world),
    do: own_name(state, OwnName.look(state.own_name, world, state.lookups, now()))

  defp own_name(state, {own_name, effects}) do
    {polls, effects} = Enum.split_with(effects, &(&1 == :poll))
    state = run(%{state | own_name: own_name}, effects)
    # Named: what has been heard is judged anew, at once.
    if polls != [], do: GenServer.cast(self(), :poll)
    state
  end

  ## Small things

  defp pace(%Config{resolver: nil, interval: interval}), do: Pace.new(interval, now())
  defp pace(%Config{interval: interval}), do: Pace.steady(interval)

  defp arm(state) do
    _ = with {ref, _token} <- state.timer, do: Process.cancel_timer(ref)
    token = make_ref()
    delay = Pace.delay(state.pace, now(), :rand.uniform())
    %{state | timer: {Process.send_after(self(), {:poll, token}, delay), token}}
  end

  defp tell(state, event, measurements, metadata \\ %{}),
    do:
      Telemetry.emit(
        event,
        measurements,
        Map.put(metadata, :mesh, state.config.name),
        state.config.log
      )

  defp now, do: System.monotonic_time(:millisecond)
end

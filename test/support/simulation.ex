defmodule DNSMesh.Test.Simulation do
  @moduledoc """
  A mesh without a VM: nodes that are the pure parts of the library (roster, answers to other members, pace), and between
  them a network, DNS and OTP's `global`, in a time of their own. A minute takes milliseconds, so a property can be tried
  on thousands of orders in which nodes start.

  `global` is modelled by the one thing that matters here: when two nodes are linked, all members of both sides are to be
  linked. A pair of them that cannot reach each other is an *overlap*: what `global` answers with a cut.
  """

  alias DNSMesh.{Answering, Candidates, Pace, Roster}
  alias DNSMesh.Test.Given

  defstruct now: 0,
            seq: 0,
            queue: :gb_sets.new(),
            nodes: %{},
            hosts: 0,
            blocked: MapSet.new(),
            links: MapSet.new(),
            hidden: MapSet.new(),
            questions: %{},
            overlaps: [],
            log: []

  @probe 1_500
  @setup 7_000
  @look 3_000
  @ask 5_000

  @doc """
  Plays a start: `boots` says when which host's node starts, in milliseconds, `blocked` which pairs cannot reach each
  other. Gives the links, as sorted pairs, the overlaps, as `{time, pair}`, and a log of who did what.
  """
  @spec start(%{pos_integer => non_neg_integer}, [{pos_integer, pos_integer}], keyword) :: map
  def start(boots, blocked, opts \\ []) do
    _ = :rand.seed(:exsss, Keyword.get(opts, :seed, 1))
    town = %__MODULE__{hosts: map_size(boots), blocked: MapSet.new(blocked, &pair/1)}

    town = Enum.reduce(boots, town, fn {host, at}, town -> at(town, at, {:boot, host, opts}) end)

    town = go(town, Keyword.get(opts, :until, 60_000))
    %{links: town.links, overlaps: Enum.reverse(town.overlaps), log: Enum.reverse(town.log)}
  end

  @doc "The groups that links make, the largest first."
  @spec groups(map, pos_integer) :: [[pos_integer]]
  def groups(%{links: links}, hosts) do
    Enum.reduce(links, Enum.map(1..hosts, &[&1]), fn {a, b}, groups ->
      {touched, rest} = Enum.split_with(groups, &(a in &1 or b in &1))
      [touched |> Enum.concat() |> Enum.sort() | rest]
    end)
    |> Enum.sort_by(&{-length(&1), &1})
  end

  ## Time

  defp at(town, at, what) do
    queue = :gb_sets.add({max(at, town.now), town.seq, what}, town.queue)
    %{town | queue: queue, seq: town.seq + 1}
  end

  defp soon(town, delay, what), do: at(town, town.now + delay, what)

  defp go(town, until) do
    with false <- :gb_sets.is_empty(town.queue),
         {{at, _, what}, queue} when at <= until <- :gb_sets.take_smallest(town.queue) do
      %{town | now: at, queue: queue} |> happens(what) |> go(until)
    else
      _over -> town
    end
  end

  ## What happens

  defp happens(town, {:boot, host, opts}) do
    config = Given.config(Keyword.get(opts, :config, []))

    node = %{
      roster: Roster.new(config, :rand.uniform(1_000_000)),
      answering: %Answering{},
      pace: Pace.new(config.interval, town.now),
      wake: nil
    }

    %{town | nodes: Map.put(town.nodes, host, node)}
    |> note(host, :boot)
    |> happens({:poll, host})
  end

  defp happens(town, {:poll, host}) do
    town
    |> soon(Pace.delay(town.nodes[host].pace, town.now, :rand.uniform()), {:poll, host})
    |> event(host, {:round, world(town, host)})
    |> soon(chance(1..5), {:event, host, listed(town)})
  end

  defp happens(town, {:event, host, event}), do: event(town, host, event)

  defp happens(town, {:wake, host, at}) do
    case town.nodes[host].wake do
      ^at -> town |> node(host, &%{&1 | wake: nil}) |> event(host, :wake)
      _another -> town
    end
  end

  defp happens(town, {:probed, host, found, for_whom}) do
    {answering, effects} = Answering.learnt(town.nodes[host].answering, found, town.now)
    town = town |> node(host, &%{&1 | answering: answering}) |> replies(host, effects)
    if for_whom == :me, do: event(town, host, {:probed, found}), else: town
  end

  defp happens(town, {:dialled, host, peer}) do
    cond do
      not is_map_key(town.nodes, peer) -> event(town, host, {:joined, name(peer), false})
      blocked?(town, host, peer) -> event(town, host, {:joined, name(peer), false})
      true -> town |> link(host, peer) |> event(host, {:joined, name(peer), true})
    end
  end

  # `global`: all of one side with all of the other.
  defp happens(town, {:sync, a, b}) do
    if pair({a, b}) in town.links do
      for x <- [a | members(town, a)], y <- [b | members(town, b)], x != y, reduce: town do
        town ->
          cond do
            pair({x, y}) in town.links -> town
            blocked?(town, x, y) -> overlap(town, pair({x, y}))
            true -> soon(town, chance(5..30), {:link, x, y})
          end
      end
    else
      town
    end
  end

  defp happens(town, {:link, a, b}), do: link(town, a, b)

  # A member's question arrives.
  defp happens(town, {:question, ref, _host, _question})
       when not is_map_key(town.questions, ref),
       do: town

  defp happens(town, {:question, ref, host, question}) do
    roster = town.nodes[host].roster

    busy? =
      with {:reach, target} <- question,
           do: Roster.busy?(roster, name(town.questions[ref].host), target, town.now),
           else: (_look -> false)

    members = told_members(town, host)
    me = %{node: name(host), leaving?: false, busy?: busy?, members: members}

    {answering, effects} =
      Answering.asked(town.nodes[host].answering, question, {ref, host}, me, town.now)

    town = town |> node(host, &%{&1 | answering: answering}) |> replies(host, effects)

    case question do
      {:members, asker, _silent} -> event(town, host, {:promised, asker})
      {:reach, _target} -> event(town, host, :consulted)
    end
  end

  defp happens(town, {:answer, ref, from, answer}) do
    case town.questions do
      %{^ref => %{open: open} = question} ->
        question = %{
          question
          | open: List.delete(open, from),
            heard: Map.put(question.heard, from, answer)
        }

        town = put_in(town.questions[ref], question)
        if question.open == [], do: answered(town, ref), else: town

      _late ->
        town
    end
  end

  defp happens(town, {:late, ref}),
    do: if(is_map_key(town.questions, ref), do: answered(town, ref), else: town)

  defp answered(town, ref) do
    {question, questions} = Map.pop!(town.questions, ref)
    town = %{town | questions: questions}

    case question do
      %{what: :ask, host: host, peer: peer, heard: heard, open: open} ->
        answers =
          Map.merge(
            Map.new(open, &{name(&1), :no_answer}),
            Map.new(heard, fn {m, {:dns_mesh, 1, answer}} -> {name(m), answer} end)
          )

        event(town, host, {:asked, name(peer), answers})

      %{what: :look, host: host, peer: peer, heard: heard} ->
        town = %{town | hidden: MapSet.delete(town.hidden, pair({host, peer}))}

        outcome =
          case heard do
            %{^peer => {:dns_mesh, 1, {:members, names, answers}}} -> {:ok, names, answers}
            %{^peer => {:dns_mesh, 1, :busy}} -> :busy
            _none -> :failed
          end

        event(town, host, {:looked, name(peer), outcome})
    end
  end

  defp replies(town, host, effects) do
    Enum.reduce(effects, town, fn
      {:reply, {ref, _}, answer}, town -> soon(town, 1, {:answer, ref, host, answer})
      {:check, names}, town -> probe(town, host, names, :others)
    end)
  end

  ## The library

  defp event(town, host, event) do
    {roster, effects} = Roster.handle(town.nodes[host].roster, event, town.now)
    town = node(town, host, &%{&1 | roster: roster})
    effects |> Enum.reduce(town, &effect(&2, host, &1)) |> wake(host)
  end

  defp wake(town, host) do
    node = town.nodes[host]

    case Roster.wake_at(node.roster) do
      at when at == node.wake -> town
      nil -> node(town, host, &%{&1 | wake: nil})
      at -> town |> node(host, &%{&1 | wake: at}) |> at(at, {:wake, host, at})
    end
  end

  defp effect(town, host, {:probe, targets}),
    do: probe(town, host, for({name, _ips} <- targets, do: name), :me)

  defp effect(town, host, {:join, name}) do
    peer = host(name)
    delay = if blocked?(town, host, peer), do: @setup, else: chance(10..40)
    town |> note(host, {:dial, peer}) |> soon(delay, {:dialled, host, peer})
  end

  defp effect(town, host, {:ask, name, members}) do
    members = Enum.map(members, &host/1)
    question = %{what: :ask, host: host, peer: host(name), open: members, heard: %{}}
    ref = make_ref()
    town = put_in(town.questions[ref], question)

    members
    |> Enum.reduce(town, &soon(&2, chance(1..3), {:question, ref, &1, {:reach, name}}))
    |> soon(@ask, {:late, ref})
  end

  defp effect(town, host, {:look, name, silent}) do
    peer = host(name)
    pair = pair({host, peer})

    if pair in town.links or pair in town.hidden do
      soon(town, 1, {:event, host, {:looked, name, :busy}})
    else
      ref = make_ref()
      question = %{what: :look, host: host, peer: peer, open: [peer], heard: %{}}
      town = put_in(town.questions[ref], question)
      town = note(town, host, {:look, peer})

      %{town | hidden: MapSet.put(town.hidden, pair)}
      |> soon(chance(3..10), {:question, ref, peer, {:members, name(host), silent}})
      |> soon(@look, {:late, ref})
    end
  end

  defp effect(town, _host, {:event, _event, _measurements, _metadata}), do: town

  defp probe(town, host, names, for_whom) do
    found = Map.new(names, fn name -> {name, verdict(town, host, host(name))} end)
    silent? = Enum.any?(found, &match?({_name, {{:silent, _}, _port}}, &1))
    delay = if silent?, do: @probe, else: chance(2..6)
    soon(town, delay, {:probed, host, found, for_whom})
  end

  defp verdict(town, host, peer) do
    cond do
      blocked?(town, host, peer) -> {{:silent, :epmd}, nil}
      not is_map_key(town.nodes, peer) -> {{:dead, :epmd}, nil}
      true -> {:ok, 9_100}
    end
  end

  ## The network

  defp link(town, a, b) do
    cond do
      pair({a, b}) in town.links ->
        town

      # A dial finds the hidden link, and takes it for one.
      pair({a, b}) in town.hidden ->
        town

      true ->
        %{town | links: MapSet.put(town.links, pair({a, b}))}
        |> note(a, {:link, b})
        |> event(a, {:nodeup, name(b), :visible})
        |> event(b, {:nodeup, name(a), :visible})
        |> soon(chance(5..50), {:sync, a, b})
    end
  end

  defp overlap(town, pair) do
    if List.keymember?(town.overlaps, pair, 1),
      do: town,
      else: %{town | overlaps: [{town.now, pair} | town.overlaps]}
  end

  defp members(town, host) do
    for {a, b} <- town.links, host in [a, b], do: if(a == host, do: b, else: a)
  end

  defp told_members(town, host) do
    Enum.uniq(Enum.map(members(town, host), &name/1) ++ Roster.engaged(town.nodes[host].roster))
  end

  defp blocked?(town, a, b), do: pair({a, b}) in town.blocked

  defp pair({a, b}), do: {min(a, b), max(a, b)}

  defp world(town, host) do
    hidden = for {a, b} <- town.hidden, host in [a, b], do: if(a == host, do: b, else: a)

    %{
      distribution: Given.distribution(host),
      own_addresses: [{10, 0, 0, host}],
      connected: Enum.map(members(town, host) ++ hidden, &name/1),
      hidden: Enum.map(hidden, &name/1),
      guarded?: true
    }
  end

  defp listed(town) do
    names = Map.new(1..town.hosts, &{name(&1), {[{10, 0, 0, &1}], nil}})
    {:answer, :q, %Candidates{query: "app.internal", names: names}}
  end

  ## Small things

  defp node(town, host, fun), do: update_in(town.nodes[host], fun)
  defp note(town, host, what), do: %{town | log: [{town.now, host, what} | town.log]}
  defp chance(range), do: Enum.random(range)
  defp name(host), do: "app@10.0.0.#{host}"
  defp host("app@10.0.0." <> number), do: String.to_integer(number)
end

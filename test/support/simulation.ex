defmodule DNSMesh.Test.Simulation do
  @moduledoc """
  A mesh without a VM: nodes that are the pure parts of the library (roster, answers to other members, pace), and between
  them a network, DNS and OTP's `global`, in a time of their own. A minute takes milliseconds, so a property can be tried
  on thousands of orders in which nodes start.

  `global` is modelled by what matters here: when two nodes are linked, all members of both sides are to be linked. A pair of
  them that cannot reach each other is an *overlap*: what `global` answers with a cut. One that hangs is let go by all when
  somebody has tried in vain to be linked with it.
  """

  import DNSMesh.Test.Simulation.Network, only: [pair: 1]

  alias DNSMesh.{Answering, Candidates, Pace, Roster}
  alias DNSMesh.Test.Given
  alias DNSMesh.Test.Simulation.Network

  @enforce_keys [:network, :hosts]
  defstruct [
    :network,
    :hosts,
    now: 0,
    seq: 0,
    queue: :gb_sets.new(),
    nodes: %{},
    # Nodes without the library, and hosts whose VM hangs: %{host => {from, until}}.
    plain: [],
    hung: %{},
    # When DNS begins to list a host.
    listed: %{},
    links: MapSet.new(),
    linked_at: %{},
    hidden: MapSet.new(),
    questions: %{},
    overlaps: [],
    sent: %{},
    log: []
  ]

  @setup 7_000
  @look 3_000
  @ask 5_000

  @doc """
  Plays a start: `boots` says when which host's node starts, in milliseconds, `blocked` which pairs cannot reach each
  other. Gives the links, as sorted pairs, when each was made, the overlaps, as `{time, pair}`, a log of who did what, and how
  many messages of which kind were sent.

  ## Options

    * `:rtt`, `:loss`, `:absent` - the network, see `DNSMesh.Test.Simulation.Network`.
    * `:up` - whether all VMs run already, and `boots` says when the library starts in them.
    * `:plain` - hosts whose node does not run the library.
    * `:hung` - `{host, from, until}`: their VM says nothing meanwhile, and its kernel takes connections.
    * `:listed` - `{host, at}`: DNS lists them from then on only.
    * `:config` - options of the library. `:until` - how long to play. `:seed`.
  """
  @spec start(%{pos_integer => non_neg_integer}, [{pos_integer, pos_integer}], keyword) :: map
  def start(boots, blocked, opts \\ []) do
    _ = :rand.seed(:exsss, Keyword.get(opts, :seed, 1))
    hung = Keyword.get(opts, :hung, [])
    network = Network.new([blocked: blocked] ++ opts)

    town = %__MODULE__{
      network: network,
      hosts: Enum.sort(Map.keys(boots) ++ Map.keys(network.absent)),
      plain: Keyword.get(opts, :plain, []),
      hung: Map.new(hung, fn {host, from, until} -> {host, {from, until}} end),
      listed: Map.new(Keyword.get(opts, :listed, []))
    }

    up = if opts[:up], do: Map.new(boots, fn {host, _at} -> {host, :plain} end), else: %{}
    town = %{town | nodes: up}
    town = Enum.reduce(boots, town, fn {host, at}, town -> at(town, at, {:boot, host, opts}) end)

    town =
      Enum.reduce(hung, town, fn {host, _, until}, town -> at(town, until, {:wakes, host}) end)

    town = go(town, Keyword.get(opts, :until, 60_000))

    %{
      links: town.links,
      linked_at: town.linked_at,
      overlaps: Enum.reverse(town.overlaps),
      sent: town.sent,
      log: Enum.reverse(town.log)
    }
  end

  @doc "When the last link among these hosts was made; `nil` where one is missing."
  @spec whole_at(map, [pos_integer]) :: non_neg_integer | nil
  def whole_at(mesh, hosts) do
    pairs = for a <- hosts, b <- hosts, a < b, do: {a, b}

    if Enum.all?(pairs, &(&1 in mesh.links)),
      do: pairs |> Enum.map(&mesh.linked_at[&1]) |> Enum.max(fn -> 0 end)
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
      %{town | now: at, queue: queue} |> unless_hung(what) |> go(until)
    else
      _over -> town
    end
  end

  ## What happens

  # What a VM that hangs would do, it does when it goes on.
  defp unless_hung(town, what) do
    case town.hung[host_of(what)] do
      {from, until} when town.now >= from and town.now < until -> at(town, until, what)
      _it_runs -> happens(town, what)
    end
  end

  # Whose doing it is: only what needs a VM that runs.
  defp host_of({kind, host, _}) when kind in [:event, :wake], do: host
  defp host_of({:poll, host}), do: host
  defp host_of({:question, _ref, host, _question}), do: host
  defp host_of({kind, host, _, _}) when kind == :probed, do: host
  defp host_of(_another), do: nil

  defp hung?(town, host) do
    case town.hung[host] do
      {from, until} -> town.now >= from and town.now < until
      nil -> false
    end
  end

  defp vm(town, host) do
    cond do
      not is_map_key(town.nodes, host) -> :down
      hung?(town, host) -> :hung
      true -> :up
    end
  end

  defp happens(town, {:boot, host, opts}) do
    if host in town.plain,
      do: note(%{town | nodes: Map.put(town.nodes, host, :plain)}, host, :boot),
      else: boot(town, host, opts)
  end

  # Everybody has let it go meanwhile, or does so now.
  defp happens(town, {:wakes, host}), do: note(town, host, :wakes)

  defp happens(town, {:let_go, host}) do
    if hung?(town, host) do
      for peer <- members(town, host), reduce: note(town, host, :let_go) do
        town -> unlink(town, host, peer)
      end
    else
      town
    end
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
    if vm(town, peer) == :up and not blocked?(town, host, peer),
      do: town |> link(host, peer) |> event(host, {:joined, name(peer), true}),
      else: event(town, host, {:joined, name(peer), false})
  end

  # `global`: all of one side with all of the other.
  defp happens(town, {:sync, a, b}) do
    if pair({a, b}) in town.links do
      for x <- [a | members(town, a)], y <- [b | members(town, b)], x != y, reduce: town do
        town ->
          cond do
            pair({x, y}) in town.links -> town
            blocked?(town, x, y) -> overlap(town, pair({x, y}))
            hung?(town, x) -> soon(town, @setup, {:let_go, x})
            hung?(town, y) -> soon(town, @setup, {:let_go, y})
            true -> soon(town, Network.dial(town.network), {:link, x, y})
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

  defp happens(town, {:question, ref, host, _question})
       when :erlang.map_get(host, town.nodes) == :plain,
       do: soon(town, Network.one_way(town.network), {:answer, ref, host, :no_mesh})

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

  defp boot(town, host, opts) do
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

  defp answered(town, ref) do
    {question, questions} = Map.pop!(town.questions, ref)
    town = %{town | questions: questions}

    case question do
      %{what: :ask, host: host, peer: peer, heard: heard, open: open} ->
        answers =
          Map.merge(
            Map.new(open, &{name(&1), :no_answer}),
            Map.new(heard, fn
              {m, {:dns_mesh, 1, answer}} -> {name(m), answer}
              {m, :no_mesh} -> {name(m), :no_mesh}
            end)
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
      {:reply, {ref, _}, answer}, town ->
        town |> sent(:answer) |> soon(Network.one_way(town.network), {:answer, ref, host, answer})

      {:check, names}, town ->
        probe(town, host, names, :others)
    end)
  end

  ## The library

  defp event(town, host, _event) when :erlang.map_get(host, town.nodes) == :plain, do: town

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

    delay =
      case vm(town, peer) do
        :up -> dial(town, host, peer)
        other -> Network.no_dial(town.network, host, peer, other)
      end

    town |> note(host, {:dial, peer}) |> sent(:dial) |> soon(delay, {:dialled, host, peer})
  end

  defp effect(town, host, {:ask, name, members}) do
    members = Enum.map(members, &host/1)
    question = %{what: :ask, host: host, peer: host(name), open: members, heard: %{}}
    ref = make_ref()
    town = put_in(town.questions[ref], question)

    members
    |> Enum.reduce(town, fn member, town ->
      town
      |> sent(:ask)
      |> soon(Network.one_way(town.network), {:question, ref, member, {:reach, name}})
    end)
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

      town = sent(town, :look)

      if vm(town, peer) == :up and not blocked?(town, host, peer) do
        on_its_way = Network.look(town.network) + Network.one_way(town.network)

        %{town | hidden: MapSet.put(town.hidden, pair)}
        |> soon(on_its_way, {:question, ref, peer, {:members, name(host), silent}})
        |> soon(@look, {:late, ref})
      else
        soon(town, Network.no_dial(town.network, host, peer, vm(town, peer)), {:late, ref})
      end
    end
  end

  defp effect(town, _host, {:event, _event, _measurements, _metadata}), do: town

  # One message about all of them: with the slowest.
  defp probe(town, host, names, for_whom) do
    probed =
      for name <- names,
          do: {name, Network.probe(town.network, host, host(name), up(town, host(name)))}

    delay = probed |> Enum.map(fn {_name, {_found, delay}} -> delay end) |> Enum.max()
    found = Map.new(probed, fn {name, {found, _delay}} -> {name, found} end)
    town |> sent(:probe, length(names)) |> soon(delay, {:probed, host, found, for_whom})
  end

  # A VM that hangs has a kernel that answers.
  defp up(town, host), do: if(is_map_key(town.nodes, host), do: :up, else: :down)

  defp dial(town, host, peer),
    do: if(blocked?(town, host, peer), do: @setup, else: Network.dial(town.network))

  ## The network

  defp link(town, a, b) do
    cond do
      pair({a, b}) in town.links ->
        town

      # A dial finds the hidden link, and takes it for one.
      pair({a, b}) in town.hidden ->
        town

      true ->
        pair = pair({a, b})

        %{
          town
          | links: MapSet.put(town.links, pair),
            linked_at: Map.put(town.linked_at, pair, town.now)
        }
        |> note(a, {:link, b})
        |> event(a, {:nodeup, name(b), :visible})
        |> event(b, {:nodeup, name(a), :visible})
        |> soon(chance(5..50) + 2 * town.network.rtt, {:sync, a, b})
    end
  end

  # The one that hangs hears of it when it goes on.
  defp unlink(town, hung, peer) do
    {_from, until} = town.hung[hung]
    town = %{town | links: MapSet.delete(town.links, pair({hung, peer}))}

    town
    |> note(peer, {:lost, hung})
    |> event(peer, {:nodedown, name(hung), :visible, :disconnect})
    |> at(until, {:event, hung, {:nodedown, name(peer), :visible, :connection_closed}})
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

  defp blocked?(town, a, b), do: Network.blocked?(town.network, a, b)

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
    listed = for host <- town.hosts, Map.get(town.listed, host, 0) <= town.now, do: host
    names = Map.new(listed, &{name(&1), {[{10, 0, 0, &1}], nil}})
    {:answer, :q, %Candidates{query: "app.internal", names: names}}
  end

  ## Small things

  defp node(town, host, fun), do: update_in(town.nodes[host], fun)

  defp sent(town, kind, count \\ 1),
    do: %{town | sent: Map.update(town.sent, kind, count, &(&1 + count))}

  defp note(town, host, what), do: %{town | log: [{town.now, host, what} | town.log]}
  defp chance(range), do: Enum.random(range)
  defp name(host), do: "app@10.0.0.#{host}"
  defp host("app@10.0.0." <> number), do: String.to_integer(number)
end

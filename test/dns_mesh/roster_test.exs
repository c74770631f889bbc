defmodule DNSMesh.RosterTest do
  use ExUnit.Case, async: true

  alias DNSMesh.{Answer, Candidates, Distribution, Peer, Query, Roster}

  alias DNSMesh.Test.Given

  @interval 5_000

  # Dialled at once: how peers are asked about first is asking_test.exs's.
  defp config(overrides \\ []), do: Given.config([ask_first: false] ++ overrides)
  defp distribution(overrides \\ []), do: Given.distribution(1, overrides)

  defp undistributed do
    %Distribution{alive?: false, names: nil, family: :inet, tls?: false, epmd?: true}
  end

  defp world(overrides \\ []) do
    Map.merge(
      %{distribution: distribution(), own_addresses: [{10, 0, 0, 1}], connected: []},
      Map.new(overrides)
    )
  end

  # Runs events at given times through a roster, and gives it with all effects, the first first.
  defp play(roster, events) do
    Enum.reduce(events, {roster, []}, fn {now, event}, {roster, effects} ->
      {roster, more} = handle(roster, event, now)
      {roster, effects ++ more}
    end)
  end

  # An answer as the Poller hands it on: `{:answer, key, basename, addresses}` for short, by address.
  defp handle(roster, {:answer, key, basename, ips}, now) do
    query = %Query{text: "app.internal", host: "app.internal", basename: basename}
    answer = %Answer{records: ips, ttl: 0, name: "app.internal", server: "test"}
    own = if roster.world, do: Roster.basename(roster), else: "app"
    me = %{by: :address, node: nil, host: nil, basename: own}

    case Candidates.of(query, answer, me) do
      :unnamed -> {roster, []}
      candidates -> Roster.handle(roster, {:answer, key, candidates}, now)
    end
  end

  defp handle(roster, event, now), do: Roster.handle(roster, event, now)

  defp joins(effects), do: for({:join, name} <- effects, do: name)

  defp told(effects, event),
    do: for({:event, ^event, measurements, metadata} <- effects, do: {measurements, metadata})

  defp raised(effects),
    do: for({_, %{problem: problem}} <- told(effects, [:problem, :raised]), do: problem)

  defp state(roster, name), do: Enum.find(Roster.peers(roster), &(&1.name == name))

  defp ip(n), do: {10, 0, div(n, 256), rem(n, 256)}

  describe "an answer" do
    test "has its new names joined, this node's own left alone" do
      {roster, effects} =
        play(Roster.new(config(), 1), [
          {0, {:round, world()}},
          {1, {:answer, :q, nil, [ip(1), ip(2), ip(3)]}}
        ])

      assert joins(effects) == ["app@10.0.0.2", "app@10.0.0.3"]
      assert %Peer{state: :refused, reason: :self} = state(roster, "app@10.0.0.1")
      assert %Peer{state: :joining} = state(roster, "app@10.0.0.2")
    end

    test "under another basename makes this machine's address a peer" do
      {_roster, effects} =
        play(Roster.new(config(), 1), [
          {0, {:round, world()}},
          {1, {:answer, :q, "worker", [ip(1)]}}
        ])

      assert joins(effects) == ["worker@10.0.0.1"]
    end

    test "with our basename at another address of this machine is us while ports come from epmd" do
      both = [own_addresses: [ip(1), ip(9)]]
      events = &[{0, {:round, &1}}, {1, {:answer, :q, nil, [ip(9)]}}]

      {roster, effects} = play(Roster.new(config(), 1), events.(world(both)))
      assert {[], :self} = {joins(effects), state(roster, "app@10.0.0.9").reason}

      fixed_port = world([distribution: distribution(epmd?: false)] ++ both)
      {_, effects} = play(Roster.new(config(), 1), events.(fixed_port))
      assert joins(effects) == ["app@10.0.0.9"]
    end

    test "that lists fewer names drops nobody, and a failure is not an event at all" do
      {roster, effects} =
        play(Roster.new(config(), 1), [
          {0, {:round, world(connected: ["app@10.0.0.2", "app@10.0.0.3"])}},
          {1, {:answer, :q, nil, [ip(2), ip(3)]}},
          {5_000, {:round, world(connected: ["app@10.0.0.2", "app@10.0.0.3"])}},
          {5_001, {:answer, :q, nil, [ip(2)]}},
          {5_002, {:listed_nothing, :q}}
        ])

      assert joins(effects) == []
      assert state(roster, "app@10.0.0.3").state == :connected
    end

    test "is judged by all that other lookups say of the same name, or each answer would make it due anew" do
      named = fn ip -> %Candidates{query: "n", names: %{"app@n.net" => {[ip], nil}}} end

      answers = [
        {:answer, :a, named.(ip(5))},
        {:answer, :aaaa, named.({0xFDAA, 0, 0, 0, 0, 0, 0, 5})}
      ]

      polls =
        for poll <- 0..9, event <- [{:round, world()} | answers], do: {poll * @interval, event}

      {roster, effects} =
        play(Roster.new(config(), 1), polls ++ [{50_000, {:joined, "app@n.net", false}}])

      assert joins(effects) == ["app@n.net"]
      assert %Peer{state: :waiting, failures: 1} = state(roster, "app@n.net")

      {roster, effects} =
        play(roster, for(event <- [{:round, world()} | answers], do: {50_001, event}))

      assert joins(effects) == []
      assert %Peer{state: :waiting} = state(roster, "app@n.net")
    end

    test "with the names at an address ends what stood for it, at once" do
      for {stand_in, reason} <- [
            {"*@10.0.0.5", {:epmd, :silent}},
            {"app@10.0.0.5", {:no_host_name, :timeout}}
          ] do
        names = %{stand_in => {[ip(5)], {:held, reason}}}
        held = %Candidates{query: "q", names: names, unknown: [ip(5)]}
        found = %Candidates{query: "q", names: %{"app@n5.net" => {[ip(5)], nil}}}
        start = [{0, {:round, world()}}, {1, {:answer, :q, held}}]

        {roster, _effects} = play(Roster.new(config(), 1), start)
        assert %Peer{state: :held, reason: ^reason} = state(roster, stand_in)
        {roster, effects} = play(roster, [{2, {:answer, :q, found}}])
        assert joins(effects) == ["app@n5.net"]
        assert [%Peer{name: "app@n5.net"}] = Roster.peers(roster)

        # And the other way round nobody is lost.
        {roster, _effects} = play(roster, [{3, {:answer, :q, held}}])
        assert %Peer{missing_since: nil} = state(roster, "app@n5.net")
        assert %Peer{state: :held} = state(roster, stand_in)
      end
    end

    test "without an epmd at one poll, and with one at the next, is not worth a word" do
      held = %{"*@10.0.0.5" => {[ip(5)], {:held, {:epmd, :refused}}}}
      held = %Candidates{query: "q", names: held, unknown: [ip(5)]}

      found = %Candidates{query: "q", names: %{"app@10.0.0.5" => {[ip(5)], nil}}}
      poll = fn time, answer -> [{time, {:round, world()}}, {time + 1, {:answer, :q, answer}}] end

      # A poll may come a tenth of the interval late, and the look at what is wrong comes before its answer.
      late = @interval + 501
      {_roster, effects} = play(Roster.new(config(), 1), poll.(0, held) ++ poll.(late, found))
      assert raised(effects) == []

      polls = Enum.flat_map(0..2, &poll.(&1 * late, held))
      {_roster, effects} = play(Roster.new(config(), 1), polls)
      assert raised(effects) == [:epmd_unreachable]
    end

    test "is not judged before the first round" do
      assert {_, []} = play(Roster.new(config(), 1), [{0, {:answer, :q, nil, [ip(2)]}}])
    end

    test "names nobody while there is no basename to name them by" do
      {roster, effects} =
        play(Roster.new(config(), 1), [
          {0, {:round, world(distribution: undistributed())}},
          {1, {:answer, :q, nil, [ip(2)]}}
        ])

      assert {[], []} = {joins(effects), Roster.peers(roster)}
    end
  end

  describe "this node's own distribution" do
    test "missing: peers wait, nothing is dialled, and it is told once" do
      events =
        for n <- 0..3,
            event <- [
              {:round, world(distribution: undistributed())},
              {:answer, :q, "app", [ip(2)]}
            ] do
          {n * 100, event}
        end

      {roster, effects} = play(Roster.new(config(), 1), events)
      assert joins(effects) == []
      assert raised(effects) == [:not_distributed]
      assert %Peer{state: :waiting, reason: :not_distributed} = state(roster, "app@10.0.0.2")
    end

    test "coming later: the next round joins under the new basename" do
      {roster, effects} =
        play(Roster.new(config(), 1), [
          {0, {:round, world(distribution: undistributed())}},
          {1, {:answer, :q, nil, [ip(2)]}},
          {5_000, {:round, world()}},
          {5_001, {:answer, :q, nil, [ip(2)]}}
        ])

      assert joins(effects) == ["app@10.0.0.2"]
      assert [%{name: "app@10.0.0.2"}] = Roster.peers(roster)
      assert [{_, %{problem: :not_distributed}}] = told(effects, [:problem, :cleared])
    end

    test "under another name: names made with the old basename are gone" do
      other = distribution(node: "web@10.0.0.1", basename: "web")

      {roster, effects} =
        play(Roster.new(config(), 1), [
          {0, {:round, world(distribution: undistributed())}},
          {1, {:answer, :q, "old", [ip(2)]}},
          {5_000, {:round, world(distribution: other)}},
          {5_001, {:answer, :q, nil, [ip(2)]}}
        ])

      assert joins(effects) == ["web@10.0.0.2"]
      assert [%{name: "web@10.0.0.2"}] = Roster.peers(roster)
    end

    test "under another basename to come: names made with the old one are gone, but who is dialled or linked" do
      unnamed = &world(distribution: undistributed(), basename: &1, naming?: true)
      start = [{0, {:round, unnamed.("one")}}, {1, {:answer, :q, nil, [ip(2)]}}]
      {roster, _} = play(Roster.new(config(), 1), start)
      assert [%{name: "one@10.0.0.2"}] = Roster.peers(roster)
      {same, _} = play(roster, [{2, {:round, unnamed.("one")}}])
      assert [%{name: "one@10.0.0.2"}] = Roster.peers(same)
      {other, _} = play(roster, [{2, {:round, unnamed.("two")}}])
      assert Roster.peers(other) == []

      {dialled, _} =
        play(dialled(), [
          {1, {:answer, :q, nil, [ip(2), ip(3), ip(4)]}},
          {2, {:joined, "app@10.0.0.3", true}},
          {3, {:joined, "app@10.0.0.4", false}}
        ])

      other =
        world(
          distribution: distribution(node: "web@10.0.0.1", basename: "web"),
          connected: ["app@10.0.0.3"]
        )

      {other, _} = play(dialled, [{4, {:round, other}}])

      assert for(peer <- Roster.peers(other), do: {peer.name, peer.state}) == [
               {"app@10.0.0.2", :joining},
               {"app@10.0.0.3", :connected}
             ]
    end

    test "under another name: what was answered before counts no more, till it is answered anew" do
      other = distribution(node: "web@10.0.0.1", basename: "web")
      answer = {:answer, :q, "old", [ip(2)]}

      {roster, _} =
        play(Roster.new(config(), 1), [
          {0, {:round, world()}},
          {1, answer},
          {2, {:joined, "old@10.0.0.2", true}}
        ])

      assert Roster.addresses(roster, "old@10.0.0.2") == [ip(2)]
      linked = [connected: ["old@10.0.0.2"]]
      {same, _} = play(roster, [{5_000, {:round, world(linked)}}])
      assert Roster.addresses(same, "old@10.0.0.2") == [ip(2)]

      {renamed, _} = play(roster, [{5_000, {:round, world([distribution: other] ++ linked)}}])
      assert Roster.addresses(renamed, "old@10.0.0.2") == []
      # A link is a fact, under whatever name it was made.
      assert %Peer{state: :connected} = state(renamed, "old@10.0.0.2")
      {renamed, _} = play(renamed, [{5_001, answer}])
      assert Roster.addresses(renamed, "old@10.0.0.2") == [ip(2)]
    end

    for {what, change, reason} <- [
          {"short names", [names: :short], :short_names},
          {"the other IP version", [family: :inet6], :wrong_family}
        ] do
      test "with #{what}: peers are refused with that reason, none is dialled" do
        own = distribution(unquote(change))

        {roster, effects} =
          play(Roster.new(config(), 1), [
            {0, {:round, world(distribution: own)}},
            {1, {:answer, :q, nil, [ip(2)]}},
            {4_999, {:round, world(distribution: own)}}
          ])

        assert joins(effects) == []
        assert %Peer{state: :refused, reason: unquote(reason)} = state(roster, "app@10.0.0.2")
        assert raised(effects) == [unquote(reason)]
      end
    end
  end

  describe "a join" do
    defp dialled do
      play(Roster.new(config(), 1), [{0, {:round, world()}}, {0, {:answer, :q, nil, [ip(2)]}}])
      |> elem(0)
    end

    test "that fails is tried again after about an interval, then two, four, at most a minute" do
      {_, waits} =
        Enum.reduce(1..8, {{dialled(), 0}, []}, fn _, {{roster, now}, waits} ->
          {roster, []} = drop_joins(Roster.handle(roster, {:joined, "app@10.0.0.2", false}, now))
          wait = state(roster, "app@10.0.0.2").next_at - now
          {roster, effects} = Roster.handle(roster, {:round, world()}, now + wait)
          assert joins(effects) == ["app@10.0.0.2"]
          {{roster, now + wait}, [wait | waits]}
        end)

      for {wait, usual} <- Enum.zip(Enum.reverse(waits), [5, 10, 20, 40, 60, 60, 60, 60]) do
        assert wait >= usual * 800 and wait <= usual * 1_200 and wait <= 60_000
      end
    end

    defp drop_joins({roster, effects}), do: {roster, for({:join, _} = join <- effects, do: join)}

    # With one seed for all, nodes that start together would dial together for ever.
    test "that fails is tried again at a time that differs from node to node" do
      again = fn seed ->
        {roster, _} =
          play(Roster.new(config(), seed), [
            {0, {:round, world()}},
            {0, {:answer, :q, nil, [ip(2)]}},
            {1, {:joined, "app@10.0.0.2", false}}
          ])

        state(roster, "app@10.0.0.2").next_at
      end

      times = for seed <- 1..20, do: again.(seed)
      assert length(Enum.uniq(times)) > 15
      assert times == for(seed <- 1..20, do: again.(seed))
    end

    test "that fails for a peer once connected is tried again within two intervals, always" do
      {roster, _} =
        play(dialled(), [
          {1, {:joined, "app@10.0.0.2", true}},
          {2, {:nodedown, "app@10.0.0.2", :visible, :connection_closed}},
          {250, {:round, world()}}
        ])

      {_, waits} =
        Enum.reduce(1..6, {{roster, 250}, []}, fn _, {{roster, now}, waits} ->
          {roster, _} = Roster.handle(roster, {:joined, "app@10.0.0.2", false}, now)
          wait = state(roster, "app@10.0.0.2").next_at - now
          {roster, _} = Roster.handle(roster, {:round, world()}, now + wait)
          {{roster, now + wait}, [wait | waits]}
        end)

      assert Enum.all?(waits, &(&1 <= 2 * @interval))
    end

    test "that ends in :ignored is no success, and not tried again at once" do
      {roster, effects} = play(dialled(), [{5, {:joined, "app@10.0.0.2", :ignored}}, {5, :fill}])
      assert joins(effects) == []
      assert %Peer{state: :waiting, reason: :not_distributed} = state(roster, "app@10.0.0.2")
    end

    test "whose process dies counts as failed" do
      {roster, _} = play(dialled(), [{7, {:joined, "app@10.0.0.2", {:down, :killed}}}])
      assert %Peer{state: :waiting, reason: {:connect_failed, 7}} = state(roster, "app@10.0.0.2")
    end

    test "that takes longer than connect_timeout is marked, goes on, and may still succeed" do
      {roster, effects} = play(dialled(), [{10_000, {:round, world()}}])
      assert %Peer{state: :joining, reason: :connect_timeout} = state(roster, "app@10.0.0.2")
      assert joins(effects) == []

      {roster, _} = play(roster, [{12_000, {:joined, "app@10.0.0.2", true}}])
      assert %Peer{state: :connected, reason: nil} = state(roster, "app@10.0.0.2")
    end

    test "that fails while the peer came to us leaves it connected" do
      {roster, _} =
        play(dialled(), [
          {1, {:nodeup, "app@10.0.0.2", :visible}},
          {2, {:joined, "app@10.0.0.2", false}}
        ])

      assert state(roster, "app@10.0.0.2").state == :connected
    end

    test "is never begun for a peer that policy refuses, though it came to us and left again" do
      {roster, effects} =
        play(Roster.new(config(), 1), [
          {0, {:round, world()}},
          {1, {:answer, :q, nil, [{127, 0, 0, 2}]}},
          {2, {:nodeup, "app@127.0.0.2", :visible}},
          {3, {:answer, :q, nil, [{127, 0, 0, 2}]}},
          {4, {:nodedown, "app@127.0.0.2", :visible, :connection_closed}},
          {250, {:round, world()}}
        ])

      assert joins(effects) == []
      assert %Peer{state: :refused, reason: :not_allowed} = state(roster, "app@127.0.0.2")
    end

    test "is never begun for a peer that is linked, hidden or not" do
      {_, effects} =
        play(Roster.new(config(), 1), [
          {0,
           {:round, world(connected: ["app@10.0.0.2", "app@10.0.0.3"], hidden: ["app@10.0.0.3"])}},
          {1, {:answer, :q, nil, [ip(2), ip(3)]}}
        ])

      assert joins(effects) == []
    end
  end

  test "peers that are listed by host are said so to a node that is named by address" do
    query = %Query{text: "node1@node1", host: "node1", basename: "node1"}
    names = %{"node1@10.0.0.2" => {[ip(2)], nil}}
    candidates = %Candidates{query: query.text, names: names}
    failed = {:joined, "node1@10.0.0.2", false}

    {_, effects} =
      play(Roster.new(config(), 1), [
        {0, {:round, world()}},
        {1, {:answer, {query, :a}, candidates}},
        {2, failed},
        {20_000, {:round, world()}},
        {20_001, failed},
        {40_000, {:round, world()}}
      ])

    assert [%{listed_as: ["node1@node1"]} | _] =
             for({_, %{problem: :unreachable} = d} <- told(effects, [:problem, :raised]), do: d)
  end

  describe "of the peers" do
    @all for n <- 20..59, do: "app@10.0.0.#{n}"

    defp listed(overrides \\ []) do
      {roster, _} =
        play(Roster.new(config(overrides), 1), [
          {0, {:round, world()}},
          {1, {:answer, :q, nil, [ip(1), {127, 0, 0, 1}] ++ Enum.map(20..59, &ip/1)}},
          {2, {:joined, "app@10.0.0.20", true}},
          {3, {:joined, "app@10.0.0.21", false}}
        ])

      roster
    end

    test "all are told in order; this node is none of them, though listed" do
      names = for peer <- Roster.peers(listed()), do: peer.name
      assert names == ["app@10.0.0.1"] ++ @all ++ ["app@127.0.0.1"]
      assert Roster.counts(listed()) == %{peers: 41, connected: 1}
    end

    test "those could be connected and are not that are neither refused nor this node" do
      assert Roster.unconnected(listed()) == tl(@all)
    end

    test "what nobody outside looks at stays inside" do
      {roster, [_]} =
        play(listed(), [{4, {:answer, :public, nil, [{8, 8, 8, 8}]}}]) |> told_only()

      seen = Roster.seen(roster)
      fresh = Roster.new(config(), 1)
      kept = &Map.take(&1, [:answers, :world, :problems, :asking])
      assert kept.(seen) == kept.(fresh)
      assert seen.peers == roster.peers
    end

    defp told_only({roster, effects}), do: {roster, raised(effects)}

    test "many that come or go at once are told in order, each once" do
      ups = for name <- @all, do: {4, {:nodeup, name, :visible}}
      {roster, _} = play(listed(), [{3, {:round, world(connected: ["app@10.0.0.20"])}}] ++ ups)
      {roster, effects} = play(roster, [{5, {:round, world(connected: @all)}}])
      assert [{%{joined: 39}, %{joined: joined, left: []}}] = told(effects, [:peers, :changed])
      assert joined == tl(@all)

      # One comes back and goes twice before the next round.
      downs = for name <- @all, do: {6, {:nodedown, name, :visible, :disconnect}}

      again = [
        {7, {:nodeup, hd(@all), :visible}},
        {8, {:nodedown, hd(@all), :visible, :disconnect}}
      ]

      {_, effects} = play(roster, downs ++ again ++ again ++ [{9, {:round, world()}}])
      assert [{%{left: 40, joined: 1}, %{left: @all}}] = told(effects, [:peers, :changed])
    end
  end

  test "where nobody is asked nothing is waited for" do
    {roster, _} =
      play(Roster.new(config(), 1), [{0, {:round, world()}}, {1, {:answer, :q, nil, [ip(2)]}}])

    assert Roster.wake_at(put_in(roster.asking.wake_at, 5)) == nil

    {asks, _} =
      play(Roster.new(config(ask_first: true), 1), [{0, {:round, world(guarded?: true)}}])

    assert Roster.wake_at(put_in(asks.asking.wake_at, 5)) == 5
  end

  test "what is said of strangers changes nothing" do
    {roster, _} = play(Roster.new(config(), 1), [{0, {:round, world()}}])

    for event <- [
          {:leaving, "x@h"},
          {:nodedown, "x@h", :visible, :disconnect},
          {:nodedown, "x@h", :hidden, :disconnect},
          {:nodeup, "x@h", :hidden}
        ],
        do: assert(play(roster, [{1, event}]) == {roster, []})
  end

  test "a link that a round does not find is lost, and one that it finds is there, without a word from the VM" do
    {roster, effects} =
      play(linked_to_peer(), [{5_000, {:round, world(connected: ["app@10.0.0.3"])}}])

    assert joins(effects) == ["app@10.0.0.2"]
    assert roster.connected == MapSet.new(["app@10.0.0.3"])
    # Who comes and goes is told by nodeup and nodedown, which may be in the mailbox still.
    assert told(effects, [:peers, :changed]) == []

    {_, effects} =
      play(roster, [{5_001, {:nodeup, "app@10.0.0.3", :visible}}, {5_002, {:round, world()}}])

    assert told(effects, [:peers, :changed]) == []
  end

  describe "a hidden link" do
    defp linked_to_peer do
      play(Roster.new(config(), 1), [
        {0, {:round, world(connected: ["app@10.0.0.2"])}},
        {1, {:answer, :q, nil, [ip(2)]}}
      ])
      |> elem(0)
    end

    # Looks are hidden, and end: the nodedown of one may come when the peer is linked already.
    test "that ends leaves alone the visible one that has come meanwhile" do
      before = linked_to_peer()
      {roster, []} = play(before, [{9, {:nodedown, "app@10.0.0.2", :hidden, :disconnect}}])
      assert roster == before
    end

    test "that becomes a visible one is a link, and news" do
      there = world(connected: ["app@10.0.0.2"], hidden: ["app@10.0.0.2"])

      {roster, effects} =
        play(Roster.new(config(), 1), [
          {0, {:round, there}},
          {1, {:answer, :q, nil, [ip(2)]}},
          {2, {:nodeup, "app@10.0.0.2", :visible}}
        ])

      assert {roster.hidden, told(effects, [:peers, :changed])} == {MapSet.new(), []}
      {roster, effects} = play(roster, [{3, {:round, world(connected: ["app@10.0.0.2"])}}])
      assert [{_, %{joined: ["app@10.0.0.2"], left: []}}] = told(effects, [:peers, :changed])

      # A visible one that is told of twice is none.
      {_, effects} =
        play(roster, [
          {4, {:nodeup, "app@10.0.0.2", :visible}},
          {5, {:round, world(connected: ["app@10.0.0.2"])}}
        ])

      assert told(effects, [:peers, :changed]) == []
    end

    test "of a stranger that lasts is no news, neither when it comes nor when it goes; a peer's is" do
      shell = "rem-1-app@10.0.0.1"
      names = [shell, "app@10.0.0.2", "app@10.0.0.3"]
      there = world(connected: names, hidden: names -- ["app@10.0.0.3"])

      {roster, effects} =
        play(Roster.new(config(), 1), [
          {0, {:round, world()}},
          {1, {:answer, :q, nil, [ip(2), ip(3)]}},
          {5_000, {:round, there}},
          {10_000, {:round, there}}
        ])

      assert roster.hidden == MapSet.new([shell, "app@10.0.0.2"])
      # The visible one is told of by its nodeup.
      assert [{_, %{joined: ["app@10.0.0.2"], left: []}}] = told(effects, [:peers, :changed])

      {_, effects} =
        play(roster, [
          {10_001, {:nodedown, shell, :hidden, :connection_closed}},
          {10_002, {:nodedown, "app@10.0.0.2", :hidden, :connection_closed}},
          {15_000, {:round, world(connected: ["app@10.0.0.3"])}}
        ])

      assert [{_, %{left: ["app@10.0.0.2"], joined: []}}] = told(effects, [:peers, :changed])
    end

    test "that was there before this node looked is a link at once" do
      there = world(connected: ["app@10.0.0.2"], hidden: ["app@10.0.0.2"])

      {roster, _} =
        play(Roster.new(config(), 1), [{0, {:round, there}}, {1, {:answer, :q, nil, [ip(2)]}}])

      assert %Peer{state: :connected} = state(roster, "app@10.0.0.2")
      assert roster.hidden == MapSet.new(["app@10.0.0.2"])
    end

    test "that lasted ends as any other link does" do
      there = world(connected: ["app@10.0.0.2"], hidden: ["app@10.0.0.2"])

      {roster, effects} =
        play(Roster.new(config(), 1), [
          {0, {:round, there}},
          {1, {:answer, :q, nil, [ip(2)]}},
          {9, {:nodedown, "app@10.0.0.2", :hidden, :connection_closed}}
        ])

      assert joins(effects) == ["app@10.0.0.2"]
      assert MapSet.size(roster.connected) == 0
    end
  end

  describe "slots" do
    test "hold 128 joins at once; one that ends makes room for the next" do
      {roster, effects} =
        play(Roster.new(config(), 1), [
          {0, {:round, world()}},
          {1, {:answer, :q, nil, Enum.map(2..200, &ip/1)}}
        ])

      assert length(joins(effects)) == 128

      {_, effects} = play(roster, [{2, {:joined, hd(joins(effects)), false}}, {2, :fill}])
      assert length(joins(effects)) == 1
    end

    test "go to the never tried first, then the once connected, then the fewest failures" do
      never = %Peer{name: "d", since: 0}

      connected = %Peer{
        name: "c",
        since: 0,
        state: :waiting,
        next_at: 0,
        failures: 3,
        once_connected?: true
      }

      few = %Peer{name: "b", since: 0, state: :waiting, next_at: 0, failures: 1}
      many = %Peer{name: "a", since: 0, state: :waiting, next_at: 0, failures: 2}

      {roster, []} = play(Roster.new(config(), 1), [{0, {:round, world()}}])
      roster = %{roster | peers: Map.new([many, few, connected, never], &{&1.name, &1})}
      assert {_, [join: "d", join: "c", join: "b", join: "a"]} = Roster.handle(roster, :fill, 1)
    end
  end

  describe "memory" do
    test "forgets a name that no answer lists and that is not linked, after max(10 intervals, 60 s)" do
      {roster, _} =
        play(Roster.new(config(), 1), [
          {0, {:round, world()}},
          {0, {:answer, :q, nil, [ip(2)]}},
          {1, {:joined, "app@10.0.0.2", false}},
          {1_000, {:answer, :q, nil, []}}
        ])

      {roster, _} = Roster.handle(%{roster | interval: 100}, {:round, world()}, 60_999)
      {roster, _} = Roster.handle(roster, {:joined, "app@10.0.0.2", false}, 60_999)
      assert state(roster, "app@10.0.0.2")
      {roster, effects} = Roster.handle(roster, {:round, world()}, 61_000)
      refute state(roster, "app@10.0.0.2")
      assert [{%{count: 1}, _}] = told(effects, [:peers, :forgotten])
    end

    test "keeps a name through a DNS outage of any length" do
      rounds =
        for n <- 1..100,
            event <- [{:round, world()}, {:joined, "app@10.0.0.2", false}],
            do: {n * 5_000, event}

      {roster, effects} =
        play(
          Roster.new(config(), 1),
          [{0, {:round, world()}}, {0, {:answer, :q, nil, [ip(2)]}}] ++ rounds
        )

      assert state(roster, "app@10.0.0.2")
      assert length(joins(effects)) > 5
    end

    test "keeps a name that one of two lookups still lists" do
      {roster, _} =
        play(Roster.new(config(), 1), [
          {0, {:round, world()}},
          {0, {:answer, :one, nil, [ip(2)]}},
          {0, {:answer, :two, nil, [ip(2)]}},
          {1, {:answer, :one, nil, []}}
        ])

      assert state(roster, "app@10.0.0.2").missing_since == nil
    end

    test "holds at most max_peers names; what is left out is told, with the option's name" do
      {roster, effects} =
        play(Roster.new(config(max_peers: 10), 1), [
          {0, {:round, world()}},
          {1, {:answer, :q, nil, Enum.map(2..31, &ip/1)}}
        ])

      assert length(Roster.peers(roster)) == 10
      assert [{_, %{problem: :peer_budget, left_out: 20}}] = told(effects, [:problem, :raised])
    end

    test "refused names take no room from the others, and are bounded themselves" do
      loopback = for n <- 1..50, do: {127, 0, 0, n}

      {roster, effects} =
        play(Roster.new(config(max_peers: 10), 1), [
          {0, {:round, world()}},
          {1, {:answer, :q, nil, loopback}},
          {2, {:answer, :q2, nil, [ip(2), ip(3)]}}
        ])

      assert joins(effects) == ["app@10.0.0.2", "app@10.0.0.3"]
      assert Enum.count(Roster.peers(roster), &(&1.state == :refused)) == 10
    end

    test "names that found no atom wait, hold no slot, and are told once" do
      {roster, _} =
        play(Roster.new(config(), 1), [
          {0, {:round, world()}},
          {1, {:answer, :q, nil, Enum.map(2..300, &ip/1)}}
        ])

      names = Map.keys(roster.joining)

      {roster, effects} =
        play(roster, [
          {2, {:no_atoms, names}},
          {2, :fill},
          {5_000, {:round, world()}},
          {5_100, {:round, world()}}
        ])

      assert length(joins(effects)) == 128
      assert raised(effects) == [:atom_budget]
      assert %Peer{state: :waiting, reason: :atom_budget} = state(roster, hd(names))
    end
  end

  describe "what is told" do
    test "joins and leaves of a round in one event, linked strangers too, helper nodes not" do
      {_, effects} =
        play(Roster.new(config(), 1), [
          {0, {:round, world()}},
          {1, {:nodeup, "app@10.0.0.3", :visible}},
          {2, {:nodeup, "app@10.0.0.2", :visible}},
          {3, {:nodeup, "rpc-1-app@10.0.0.1", :hidden}},
          {4, {:nodedown, "app@10.0.0.3", :visible, :connection_closed}},
          {250, {:round, world(connected: ["app@10.0.0.2"])}}
        ])

      assert [{counts, names}] = told(effects, [:peers, :changed])
      assert counts == %{joined: 2, left: 1, connected: 1}
      assert names == %{joined: ["app@10.0.0.2", "app@10.0.0.3"], left: ["app@10.0.0.3"]}
    end

    test "nothing about what was linked before us" do
      {_, effects} =
        play(Roster.new(config(), 1), [
          {0, {:round, world(connected: ["app@10.0.0.2"])}},
          {250, {:round, world(connected: ["app@10.0.0.2"])}}
        ])

      assert effects == []
    end

    test "unreachable peers once for all, again when the time or their number has doubled" do
      fail = fn now, names -> for name <- names, do: {now, {:joined, name, false}} end
      names = for n <- 2..4, do: "app@10.0.0.#{n}"

      events =
        [{0, {:round, world()}}, {0, {:answer, :q, nil, Enum.map(2..4, &ip/1)}}] ++
          Enum.flat_map(0..11, fn n ->
            fail.(n * 5_000 + 10, names) ++ [{(n + 1) * 5_000, {:round, world()}}]
          end)

      {_, effects} = play(Roster.new(config(), 1), events)
      told = told(effects, [:problem, :raised])
      assert [{_, %{problem: :unreachable, peers: ^names}} | _] = told
      # 60 s of three dead peers: at most at 0, 5, 10, 20 and 40 s.
      assert length(told) <= 5
    end

    test "a hung peer that is being dialled again as still unreachable, not as reached" do
      name = "app@10.0.0.2"
      fail = fn now -> {now, {:joined, name, false}} end

      {_, effects} =
        play(Roster.new(config(), 1), [
          {0, {:round, world()}},
          {0, {:answer, :q, nil, [ip(2)]}},
          fail.(7_000),
          {12_500, {:round, world()}},
          fail.(19_500),
          {20_000, {:round, world()}},
          {33_000, {:round, world()}},
          {34_000, {:round, world()}}
        ])

      assert raised(effects) |> Enum.uniq() == [:unreachable]
      assert told(effects, [:problem, :cleared]) == []
    end

    test "a peer that is joined again, though the end of the join came before its nodeup" do
      name = "app@10.0.0.2"

      {_, effects} =
        play(Roster.new(config(), 1), [
          {0, {:round, world()}},
          {0, {:answer, :q, nil, [ip(2)]}},
          {1, {:joined, name, true}},
          {2, {:nodeup, name, :visible}},
          {3, {:round, world(connected: [name])}},
          {4, {:nodedown, name, :visible, :connection_closed}},
          {250, {:round, world()}},
          {251, {:joined, name, true}},
          {252, {:nodeup, name, :visible}},
          {500, {:round, world(connected: [name])}}
        ])

      assert for(
               {_, %{joined: joined, left: left}} <- told(effects, [:peers, :changed]),
               do: {joined, left}
             ) ==
               [{[name], []}, {[], [name]}, {[name], []}]
    end

    test "public addresses on a distribution that is not TLS, once" do
      public = [
        {0, {:round, world()}},
        {1, {:answer, :q, nil, [{8, 8, 8, 8}]}},
        {2, {:answer, :q, nil, [{8, 8, 8, 8}]}}
      ]

      {_, effects} = play(Roster.new(config(), 1), public)
      assert raised(effects) == [:public_plain]

      tls = [{0, {:round, world(distribution: distribution(tls?: true))}} | tl(public)]
      {_, effects} = play(Roster.new(config(), 1), tls)
      assert raised(effects) == []
    end
  end

  # Random histories, printed with their seed: whatever happens, in whatever order, some things never do.
  describe "in a thousand random histories" do
    @tag timeout: 120_000
    test "the invariants hold" do
      {_, seed, _} = :os.timestamp()

      for n <- 1..1_000 do
        seed = {seed, n}
        :rand.seed(:exsss, :erlang.phash2(seed))
        history = history(Enum.random(5..60))
        assert_invariants(Roster.new(config(max_peers: 20), n), history, inspect(seed))
      end
    end

    # Monotonic time begins far below zero, and nothing may depend on where it stands.
    test "the same history gives the same effects at any time" do
      for n <- 1..100 do
        :rand.seed(:exsss, n)
        history = history(40)
        {_, effects} = play(Roster.new(config(), n), history)

        for start <- [-576_460_751_000, 576_460_751_000] do
          later = for {at, event} <- history, do: {start + at, event}
          assert {_, ^effects} = play(Roster.new(config(), n), later)
        end
      end
    end

    test "the same history gives the same effects" do
      for n <- 1..100 do
        :rand.seed(:exsss, n)
        history = history(40)
        assert play(Roster.new(config(), n), history) == play(Roster.new(config(), n), history)
      end
    end

    defp history(length) do
      {events, _} =
        Enum.map_reduce(1..length, 0, fn _, now ->
          {{now, random_event()}, now + Enum.random([0, 1, 100, 5_000, 70_000])}
        end)

      [{-1, {:round, world()}} | events]
    end

    defp random_event do
      name = "app@10.0.0.#{Enum.random(1..40)}"

      case Enum.random(1..10) do
        n when n <= 2 ->
          {:round, random_world()}

        n when n <= 4 ->
          {:answer, Enum.random([:a, :b]), Enum.random([nil, nil, "w"]), random_ips()}

        5 ->
          {:listed_nothing, Enum.random([:a, :b])}

        6 ->
          {:nodeup, name, Enum.random([:visible, :hidden])}

        7 ->
          {:nodedown, name, :visible, :connection_closed}

        8 ->
          :fill

        # Filled in when played: the outcome of a join that is under way, or of one that is not.
        _ ->
          {:joined, Enum.random([:any, name]),
           Enum.random([true, false, :ignored, {:down, :x}, :no_atom])}
      end
    end

    defp random_world do
      connected = for n <- 1..40, Enum.random(1..4) == 1, do: "app@10.0.0.#{n}"

      world(
        connected: connected -- ["app@10.0.0.1"],
        distribution: Enum.random([distribution(), distribution(), undistributed()])
      )
    end

    defp random_ips,
      do:
        for(_ <- 1..Enum.random(1..40), do: Enum.random([ip(Enum.random(1..40)), {127, 0, 0, 1}]))

    defp assert_invariants(roster, history, seed) do
      Enum.reduce(history, {roster, MapSet.new()}, fn {now, event}, {roster, flying} ->
        event = concrete(event, flying)
        {next, effects} = handle(roster, event, now)
        assert {^next, ^effects} = handle(roster, event, now)

        landed =
          case event do
            {:joined, name, _} -> [name]
            {:no_atoms, names} -> names
            _ -> []
          end

        flying = MapSet.difference(flying, MapSet.new(landed))
        joins = joins(effects)
        context = "seed #{seed} at #{now}: #{inspect(event)}"

        assert Enum.all?(
                 effects,
                 &(match?({kind, _} when kind == :join, &1) or match?({:event, _, _, _}, &1))
               ),
               context

        refute "app@10.0.0.1" in joins, "dialled itself, " <> context
        assert joins == Enum.uniq(joins), context
        assert Enum.all?(joins, &(&1 not in flying)), "two joins of one name, " <> context
        assert Enum.all?(joins, &(&1 not in next.connected)), "dialled a linked peer, " <> context

        assert joins == [] or next.world.distribution.alive?,
               "dialled while not distributed, " <> context

        flying = MapSet.union(flying, MapSet.new(joins))
        assert MapSet.new(Map.keys(next.joining)) == flying, context
        assert MapSet.size(flying) <= 128, context

        # max_peers names to dial and as many refused ones; a refused one that came in by itself is no more to dial.
        peers = Roster.peers(next)

        dialable =
          Enum.count(peers, &(&1.state not in [:refused, :connected] and not &1.once_connected?))

        assert dialable <= 20, "more than max_peers, " <> context
        assert length(peers) <= 40, context

        if match?({:round, _}, event) do
          for %{missing_since: since, name: name} <- peers,
              since != nil and now - since >= 60_000 do
            assert name in next.connected or name in flying, "not forgotten: #{name}, " <> context
          end
        end

        {next, flying}
      end)
    end

    defp concrete({:joined, :any, outcome}, flying) do
      case Enum.to_list(flying) do
        [] -> :fill
        names -> concrete({:joined, Enum.random(names), outcome}, flying)
      end
    end

    defp concrete({:joined, name, :no_atom}, _flying), do: {:no_atoms, [name]}
    defp concrete(event, _flying), do: event
  end
end

defmodule DNSMesh.AskingTest do
  use ExUnit.Case, async: true

  alias DNSMesh.{Candidates, Peer, Roster}

  alias DNSMesh.Test.Given

  @interval 5_000
  @a "app@10.0.0.1"
  @b "app@10.0.0.2"
  @c "app@10.0.0.3"
  @d "app@10.0.0.4"

  defp config(overrides \\ []), do: Given.config(overrides)

  defp world(overrides \\ []) do
    Map.merge(
      %{
        distribution: Given.distribution(9),
        own_addresses: [{10, 0, 0, 9}],
        connected: [],
        hidden: [],
        guarded?: true
      },
      Map.new(overrides)
    )
  end

  defp listed(names) do
    names =
      Map.new(names, fn "app@10.0.0." <> n = name ->
        {name, {[{10, 0, 0, String.to_integer(n)}], nil}}
      end)

    {:answer, :q, %Candidates{query: "app.internal", names: names}}
  end

  defp play(roster \\ Roster.new(config(), 1), events) do
    Enum.reduce(events, {roster, []}, fn {now, event}, {roster, effects} ->
      {roster, more} = Roster.handle(roster, event, now)
      {roster, effects ++ more}
    end)
  end

  defp found(verdicts),
    do: {:probed, Map.new(verdicts, fn {name, verdict} -> {name, {verdict, port(verdict)}} end)}

  defp port(:ok), do: 9_100
  defp port(_), do: nil

  defp joins(effects), do: for({:join, name} <- effects, do: name)
  defp probes(effects), do: for({:probe, targets} <- effects, {name, _} <- targets, do: name)
  defp asks(effects), do: for({:ask, name, members} <- effects, do: {name, members})
  defp looks(effects), do: for({:look, name, silent} <- effects, do: {name, silent})
  defp peer(roster, name), do: Enum.find(Roster.peers(roster), &(&1.name == name))
  defp state(roster, name), do: {peer(roster, name).state, peer(roster, name).reason}

  # This node alone, and what is listed.
  defp lonely(names), do: [{0, {:round, world()}}, {1, listed(names)}]

  # This node linked to @a and @b; @c was listed long ago.
  defp linked(more \\ []) do
    [{0, {:round, world(connected: [@a, @b])}}, {1, listed([@a, @b, @c])}] ++
      [{10_000, {:round, world(connected: [@a, @b])}}, {10_001, listed([@a, @b, @c])}] ++ more
  end

  describe "a node without links" do
    test "probes all that is listed at once, and dials the lowest name that answers" do
      {roster, effects} = play(lonely([@c, @a, @b]))
      assert probes(effects) == [@a, @b, @c]
      assert joins(effects) == []

      {roster, effects} =
        play(roster, [{5, found([{@a, :ok}, {@b, {:dead, :refused}}, {@c, :ok}])}])

      assert joins(effects) == [@a]
      assert state(roster, @b) == {:waiting, {:dead, :refused}}
      assert state(roster, @c) == {:new, nil}
    end

    test "just started, waits for a lower one to come up, which it probes five times a second" do
      {roster, effects} =
        play(lonely([@a, @b]) ++ [{5, found([{@a, {:dead, :not_registered}}, {@b, :ok}])}])

      assert joins(effects) == []
      assert Roster.wake_at(roster) == 205
      {roster, effects} = play(roster, [{205, :wake}, {255, :wake}])
      assert {probes(effects), joins(effects)} == {[@a], []}
      {_roster, effects} = play(roster, [{260, found([{@a, :ok}])}, {405, :wake}])
      assert joins(effects) == [@a]
    end

    test "waits for a lower one no longer than 1.5 s" do
      down = found([{@a, {:dead, :refused}}, {@b, :ok}])
      {roster, _} = play(lonely([@a, @b]) ++ [{5, down}])

      {effects, at} =
        Enum.reduce_while(Stream.iterate(255, &(&1 + 50)), roster, fn at, roster ->
          {roster, effects} = play(roster, [{at, :wake}])

          {roster, more} =
            if probes(effects) == [], do: {roster, []}, else: play(roster, [{at, down}])

          if joins(effects ++ more) == [],
            do: {:cont, roster},
            else: {:halt, {effects ++ more, at}}
        end)

      assert joins(effects) == [@b]
      assert at in 1_500..1_750
    end

    test "waits neither for one above the target or itself, nor for the silent, nor for what policy refuses" do
      above = "app@10.0.0.90"

      for {names, verdicts} <- [
            {[@b, @c], [{@b, :ok}, {@c, {:dead, :refused}}]},
            {[above, "app@10.0.0.91"], [{above, {:dead, :refused}}, {"app@10.0.0.91", :ok}]},
            {[@a, @b], [{@a, {:silent, :not_tried}}, {@b, :ok}]}
          ] do
        {_, effects} = play(lonely(names) ++ [{5, found(verdicts)}])
        assert [_] = joins(effects)
      end
    end

    test "gives way to a lower one, silent to it, that a target without links can reach" do
      start = lonely([@a, @b, @c]) ++ [{5, found([{@a, {:silent, :epmd}}, {@b, :ok}, {@c, :ok}])}]
      {roster, effects} = play(start ++ [{9, {:looked, @b, {:ok, [], %{@a => :ok}}}}])
      assert joins(effects) == []
      assert state(roster, @b) == {:held, {:gives_way, @a}}

      # The next one may know better: it is in a group already.
      assert looks(effects) == [{@b, [@a]}, {@c, [@a]}]
      {_, effects} = play(roster, [{12, {:looked, @c, {:ok, [@d], %{}}}}])
      assert joins(effects) == [@c]
    end

    test "gives way for two intervals, and then no more" do
      {roster, _} =
        play(
          lonely([@a, @b]) ++
            [
              {5, found([{@a, {:silent, :epmd}}, {@b, :ok}])},
              {9, {:looked, @b, {:ok, [], %{@a => :ok}}}}
            ]
        )

      {roster, effects} = play(roster, [{1_010, :wake}])
      assert looks(effects) == [{@b, [@a]}]
      {roster, effects} = play(roster, [{1_012, {:looked, @b, {:ok, [], %{@a => :ok}}}}])
      assert joins(effects) == []

      {_, effects} =
        play(roster, [
          {10_005, :wake},
          {10_006, found([{@a, {:silent, :epmd}}, {@b, :ok}])},
          {10_010, {:looked, @b, {:ok, [], %{@a => :ok}}}}
        ])

      assert joins(effects) == [@b]
    end

    test "gives way neither to one the target cannot reach, nor to a higher one, nor where the target has links" do
      above = "app@10.0.0.90"

      for {silent, outcome} <- [
            {@a, {:ok, [], %{@a => :silent}}},
            {@a, {:ok, [], %{}}},
            {above, {:ok, [], %{above => :ok}}},
            {@a, {:ok, [@c], %{@a => :ok}}}
          ] do
        {_, effects} =
          play(
            lonely([silent, @b]) ++
              [{5, found([{silent, {:silent, :epmd}}, {@b, :ok}])}, {9, {:looked, @b, outcome}}]
          )

        assert joins(effects) == [@b], inspect({silent, outcome})
      end
    end

    test "gives way no more once it has links, however long the lower one stays silent" do
      {roster, _} =
        play([
          {0, {:round, world(connected: [@d])}},
          {1, listed([@a, @b, @d])},
          {10_000, {:round, world(connected: [@d])}},
          {10_001, found([{@a, {:silent, :epmd}}, {@b, :ok}])},
          {10_003, {:asked, @b, %{@d => :ok}}}
        ])

      {_, effects} = play(roster, [{10_005, {:looked, @b, {:ok, [], %{@a => :ok}}}}])
      assert joins(effects) == [@b]
    end

    test "takes what one member says for the word of them all" do
      {roster, effects} =
        play(
          lonely([@a, @b, @c]) ++
            [
              {5, found([{@a, :ok}, {@b, {:silent, :port}}, {@c, :ok}])},
              {9, {:looked, @a, {:ok, [@b, @c], %{@b => :ok}}}}
            ]
        )

      assert looks(effects) == [{@a, [@b]}]
      assert state(roster, @c) == {:held, {:member_unreachable, @b}}
      # Another one tells them apart, though.
      {_, effects} = play(roster, [{40_000, :wake}])
      assert Enum.sort(probes(effects)) == [@a, @b, @c]
    end

    test "leaves the others to global for 300 ms once it has a link, and then asks about them as members do" do
      {roster, _} = play(lonely([@a, @b]) ++ [{5, found([{@a, :ok}, {@b, :ok}])}])
      {roster, effects} = play(roster, [{20, {:joined, @a, true}}, {319, :wake}])
      assert {joins(effects), asks(effects)} == {[], []}
      {_roster, effects} = play(roster, [{320, :wake}])
      assert asks(effects) == [{@b, [@a]}]
    end

    test "goes on at once after a join that failed, and after a second beside one that hangs" do
      start = lonely([@a, @b]) ++ [{5, found([{@a, :ok}, {@b, :ok}])}]
      {_, effects} = play(start ++ [{20, {:joined, @a, false}}, {21, :wake}])
      assert joins(effects) == [@a, @b]
      {roster, effects} = play(start ++ [{900, :wake}])
      assert joins(effects) == [@a]
      {_, effects} = play(roster, [{1_005, :wake}])
      assert joins(effects) == [@b]
    end

    test "looks at a target's members when somebody is silent, and is kept out if that one is among them" do
      {roster, effects} =
        play(lonely([@a, @b]) ++ [{5, found([{@a, :ok}, {@b, {:silent, :port}}])}])

      assert looks(effects) == [{@a, [@b]}]
      assert joins(effects) == []

      {roster, effects} = play(roster, [{9, {:looked, @a, {:ok, [@b, @c], %{@b => :ok}}}}])
      assert joins(effects) == []
      assert state(roster, @a) == {:held, {:member_unreachable, @b}}
    end

    test "joins when the silent one is no member, or when the target tells nothing" do
      start = lonely([@a, @b]) ++ [{5, found([{@a, :ok}, {@b, {:silent, :epmd}}])}]

      for outcome <- [{:ok, [@c], %{}}, :failed] do
        {_, effects} = play(start ++ [{9, {:looked, @a, outcome}}])
        assert joins(effects) == [@a]
      end
    end

    test "is let go on only by a look at the very target, once" do
      start = lonely([@a, @b]) ++ [{5, found([{@a, :ok}, {@b, {:silent, :epmd}}])}]
      {roster, effects} = play(start ++ [{9, {:looked, @c, :failed}}, {10, {:asked, @a, %{}}}])
      assert joins(effects) == []
      {_, effects} = play(roster, [{11, {:looked, @a, :failed}}, {12, {:looked, @a, :failed}}])
      assert joins(effects) == [@a]
    end

    test "a peer that was not probed in time is neither silent nor dialled" do
      {roster, effects} =
        play(lonely([@a, @b]) ++ [{5, found([{@a, :ok}, {@b, {:silent, :not_tried}}])}])

      assert {looks(effects), joins(effects)} == {[], [@a]}
      assert state(roster, @b) == {:waiting, {:silent, :not_tried}}
    end

    test "probes the silent at each poll, and is free the moment one answers" do
      {roster, _} =
        play(
          lonely([@a, @b]) ++
            [
              {5, found([{@a, :ok}, {@b, {:silent, :port}}])},
              {9, {:looked, @a, {:ok, [@b], %{@b => :ok}}}}
            ]
        )

      assert Roster.wake_at(roster) in 5_000..5_010
      {roster, effects} = play(roster, [{5_010, :wake}])
      assert probes(effects) == [@b]
      {roster, effects} = play(roster, [{5_012, found([{@b, :ok}])}])
      assert probes(effects) == [@a]
      {_roster, effects} = play(roster, [{5_014, found([{@a, :ok}])}])
      assert joins(effects) == [@a]
    end

    test "kept out by a silence that nobody contradicts, it tries once after 20 s, and not again" do
      {roster, effects} = kept_out(%{@b => :silent}, 60_000)
      assert [{@a, at}] = Enum.uniq_by(effects, &elem(&1, 0))
      assert at in 20_000..25_500
      assert length(effects) == 1
      assert match?({:held, _}, state(roster, @a)) or match?({:waiting, _}, state(roster, @a))
    end

    test "kept out by a peer that the target can reach, it never tries" do
      {roster, effects} = kept_out(%{@b => :ok}, 120_000)
      assert effects == []
      assert state(roster, @a) == {:held, {:member_unreachable, @b}}
    end

    test "kept out for 20 s, it tries nobody once it has links: it asks as members do" do
      {roster, _} = kept_out(%{@b => :silent}, 15_000)
      there = world(connected: [@d])
      names = [@a, @b, @d]

      {roster, effects} =
        play(roster, [
          {30_000, {:nodeup, @d, :visible}},
          {30_001, {:round, there}},
          {30_002, listed(names)},
          {30_003, found([{@a, :ok}, {@b, {:silent, :port}}])},
          {30_400, :wake},
          {30_401, {:asked, @a, %{@d => :ok}}},
          {30_402, {:looked, @a, {:ok, [@b], %{@b => :silent}}}}
        ])

      assert looks(effects) == [{@a, [@b]}]
      assert joins(effects) == []
      assert state(roster, @a) == {:held, {:member_unreachable, @b}}
    end

    test "who is in by that one try may have the others too, for global waits for the dead one" do
      {roster, _} = kept_out(%{@b => :silent}, 15_000)
      names = [@a, @b, @c]
      at = 30_000
      answer = {:ok, [@b], %{@b => :silent}}

      {roster, effects} =
        play(roster, [
          {at, {:round, world()}},
          {at + 1, listed(names)},
          {at + 2, found([{@a, :ok}, {@b, {:silent, :port}}, {@c, :ok}])},
          {at + 10, {:looked, @a, answer}},
          {at + 20, {:joined, @a, true}},
          {at + 20, {:nodeup, @a, :visible}},
          {at + 400, :wake},
          {at + 401, {:asked, @c, %{@a => :ok}}},
          {at + 402, {:looked, @c, answer}}
        ])

      assert joins(effects) == [@a, @c]
      assert looks(effects) == [{@a, [@b]}, {@c, [@b]}]
      # Cut again, it does not try once more.
      {_, effects} =
        play(roster, [
          {at + 9_000, {:nodedown, @a, :visible, :disconnect}},
          {at + 9_001, {:nodedown, @c, :visible, :disconnect}},
          {at + 90_000, :wake},
          {at + 90_001, found([{@a, :ok}, {@b, {:silent, :port}}, {@c, :ok}])},
          {at + 90_010, {:looked, @a, answer}},
          {at + 90_011, {:looked, @c, answer}}
        ])

      assert joins(effects) == []
    end

    test "whom the one that was tried has named is not looked at once more, for ten seconds" do
      assert {[@a, @c], [{@a, [@b]}]} = after_the_try([@a, @b, @c], 402)
    end

    test "is looked at all the same later, or where one more is silent by now" do
      assert {[@a], [{@a, [@b]}, {@c, [@b]}]} = after_the_try([@a, @b, @c], 10_102)
      assert {[@a], [{@a, [@b, @d]}, {@c, [@b, @d]}]} = after_the_try([@a, @b, @c, @d], 402)
    end

    # Kept out for 20 s; then @a, whose members are @b and @c, has let it in, and answers about @c so much later.
    defp after_the_try(names, later) do
      {roster, _} = kept_out(%{@b => :silent}, 15_000)
      at = 30_000
      verdicts = Enum.map(names, &{&1, if(&1 in [@b, @d], do: {:silent, :port}, else: :ok)})

      {_, effects} =
        play(roster, [
          {at, {:round, world()}},
          {at + 1, listed(names)},
          {at + 2, found(verdicts)},
          {at + 10, {:looked, @a, {:ok, [@b, @c], %{@b => :silent}}}},
          {at + 20, {:joined, @a, true}},
          {at + 20, {:nodeup, @a, :visible}},
          {at + 400, :wake},
          {at + later - 1, found(verdicts)},
          {at + later, {:asked, @c, %{@a => :ok}}}
        ])

      {joins(effects), looks(effects)}
    end

    # Polls and answers as long as `most`; joins fail as global's cut would have them. Gives the joins with their times.
    defp kept_out(answers, most) do
      {roster, effects} = play([{0, {:round, world()}}, {1, listed([@a, @b])}])
      run(roster, effects, 1, most, answers, [])
    end

    defp run(roster, effects, now, most, answers, joined) do
      events =
        Enum.flat_map(effects, fn
          {:probe, targets} ->
            [found(for {n, _} <- targets, do: {n, if(n == @b, do: {:silent, :port}, else: :ok)})]

          {:look, target, _} ->
            [{:looked, target, {:ok, [@b], answers}}]

          {:join, name} ->
            [{:joined, name, false}]

          _ ->
            []
        end)

      joined = joined ++ for({:join, name} <- effects, do: {name, now})

      cond do
        now > most ->
          {roster, joined}

        events != [] ->
          {roster, effects} = play(roster, Enum.map(events, &{now + 1, &1}))
          run(roster, effects, now + 1, most, answers, joined)

        true ->
          poll = (div(now, @interval) + 1) * @interval
          at = min(poll, max(Roster.wake_at(roster) || poll, now + 1))
          event = if at == poll, do: {:round, world()}, else: :wake
          {roster, effects} = play(roster, [{at, event}])
          run(roster, effects, at, most, answers, joined)
      end
    end
  end

  describe "a node with links" do
    test "leaves a new name to knock first, for one and a half intervals" do
      start = [{0, {:round, world(connected: [@a])}}, {1, listed([@a, @b])}]
      {roster, effects} = play(start)
      assert probes(effects) == []
      assert Roster.wake_at(roster) == 7_501
      {_, effects} = play(roster, [{7_501, :wake}])
      assert probes(effects) == [@b]
    end

    test "asks every member, and joins when none objects; who does not run DNSMesh has no objection" do
      {roster, effects} = play(linked())
      assert probes(effects) == [@c]
      {roster, effects} = play(roster, [{10_003, found([{@c, :ok}])}])
      assert asks(effects) == [{@c, [@a, @b]}]
      {_, effects} = play(roster, [{10_005, {:asked, @c, %{@a => :ok, @b => :no_mesh}}}])
      assert joins(effects) == [@c]
    end

    test "tells whether an answer lists the member because of which a target is held" do
      for {names, listed?} <- [{[@a, @b, @c], true}, {[@a, @c], false}] do
        moved = [
          {20_000, {:round, world(connected: [@a, @b])}},
          {20_001, listed(names)},
          {20_003, found([{@c, :ok}])},
          {20_005, {:asked, @c, %{@a => :ok, @b => :no_answer}}},
          {25_000, {:round, world(connected: [@a, @b])}}
        ]

        {_roster, effects} = play(linked(moved))

        assert [listed?] ==
                 for(
                   {:event, [:problem, :raised], _, %{problem: :held} = d} <- effects,
                   do: d.listed
                 )
      end
    end

    for answer <- [:silent, :dead, :no_answer] do
      test "holds a target of which a member says #{inspect(answer)}, and names that member" do
        {roster, effects} =
          play(
            linked([
              {10_003, found([{@c, :ok}])},
              {10_005, {:asked, @c, %{@a => :ok, @b => unquote(answer)}}}
            ])
          )

        assert joins(effects) == []
        assert state(roster, @c) == {:held, {:unreachable_for, @b}}
        {_, effects} = play(roster, [{15_000, {:round, world(connected: [@a, @b])}}])

        assert [{%{times: 1}, %{peers: [@c], member: @b, because: :unreachable_for}}] =
                 for(
                   {:event, [:problem, :raised], m, %{problem: :held} = d} <- effects,
                   do: {m, d}
                 )
      end
    end

    test "no answer of one that has gone meanwhile is no consent: all is looked at anew" do
      {roster, effects} =
        play(
          linked([
            {10_003, found([{@c, :ok}])},
            {10_004, {:nodedown, @b, :visible, :net_tick_timeout}},
            {10_005, {:asked, @c, %{@a => :ok, @b => :no_answer}}}
          ])
        )

      assert joins(effects) == []
      assert List.last(probes(effects)) == @b
      {roster, effects} = play(roster, [{10_006, found([{@b, {:silent, :port}}])}])
      assert asks(effects) == [{@c, [@a]}]
      {_, effects} = play(roster, [{10_007, {:asked, @c, %{@a => :ok}}}])
      assert looks(effects) == [{@c, [@b]}]
    end

    test "asks again at once when the member that objected is gone, one that no answer lists too" do
      stranger = "job@10.0.0.3"
      world = world(connected: [@a, stranger])

      {roster, _} =
        play([
          {0, {:round, world}},
          {1, listed([@a, @c])},
          {10_000, {:round, world}},
          {10_003, found([{@c, :ok}])},
          {10_005, {:asked, @c, %{@a => :ok, stranger => :silent}}}
        ])

      assert state(roster, @c) == {:held, {:unreachable_for, stranger}}
      {_, effects} = play(roster, [{12_000, {:nodedown, stranger, :visible, :net_tick_timeout}}])
      assert asks(effects) == [{@c, [@a]}]
    end

    test "decides about one target at a time" do
      names = [@a, @b, @c, @d]
      start = [{0, {:round, world(connected: [@a])}}, {1, listed(names)}, {7_600, :wake}]
      {roster, effects} = play(start)
      assert probes(effects) == [@b, @c, @d]

      {roster, effects} =
        play(roster, [{7_601, found([{@b, :ok}, {@c, :ok}, {@d, :ok}])}, {7_602, :wake}])

      assert asks(effects) == [{@b, [@a]}]
      {_, effects} = play(roster, [{7_610, {:asked, @b, %{@a => :silent}}}])
      assert asks(effects) == [{@c, [@a]}]
    end

    test "is not let go on by the next answer of DNS" do
      held = [{10_003, found([{@c, :ok}])}, {10_005, {:asked, @c, %{@a => :ok, @b => :silent}}}]
      {roster, _} = play(linked(held))

      {roster, effects} =
        play(roster, [
          {15_000, {:round, world(connected: [@a, @b])}},
          {15_001, listed([@a, @b, @c])}
        ])

      assert {probes(effects), asks(effects)} == {[], []}
      assert state(roster, @c) == {:held, {:unreachable_for, @b}}
    end

    test "asks again after 15 s, 30 s, … 5 min, or at once when somebody answers differently" do
      {roster, _} =
        play(
          linked([
            {10_003, found([{@c, :ok}])},
            {10_005, {:asked, @c, %{@a => :ok, @b => :silent}}}
          ])
        )

      assert peer(roster, @c).next_at in 22_005..28_005

      later =
        Enum.reduce(1..12, roster, fn _, roster ->
          at = peer(roster, @c).next_at

          {roster, _} =
            play(roster, [
              {at, :wake},
              {at + 1, found([{@c, :ok}])},
              {at + 2, {:asked, @c, %{@b => :silent}}}
            ])

          roster
        end)

      assert peer(later, @c).holds == 13
      assert peer(later, @c).next_at - peer(later, @c).since <= 13 * 300_000
    end
  end

  describe "a peer that is lost" do
    test "is probed at once, then four times a second while it may be starting again, and dialled when it is there" do
      {roster, effects} =
        play([
          {0, {:round, world(connected: [@a])}},
          {1, listed([@a])},
          {70_000, {:nodedown, @a, :visible, :connection_closed}}
        ])

      assert probes(effects) == [@a]

      {roster, times} =
        Enum.reduce(1..9, {roster, [70_000]}, fn _, {roster, times} ->
          {roster, []} = play(roster, [{hd(times) + 1, found([{@a, {:dead, :not_registered}}])}])
          at = Roster.wake_at(roster)
          {roster, effects} = play(roster, [{at, :wake}])
          assert probes(effects) == [@a]
          {roster, [at | times]}
        end)

      gaps =
        times
        |> Enum.reverse()
        |> Enum.chunk_every(2, 1, :discard)
        |> Enum.map(fn [a, b] -> b - a end)

      assert Enum.all?(gaps, &(&1 <= 300)), inspect(gaps)
      {_, effects} = play(roster, [{hd(times) + 1, found([{@a, :ok}])}])
      assert joins(effects) == [@a]
    end

    test "and whose port is open still is probed more often at first: the port may be about to close" do
      # Just after a join, which puts off the next decision.
      {roster, effects} =
        play(
          lonely([@a]) ++
            [
              {5, found([{@a, :ok}])},
              {990, {:joined, @a, true}},
              {1_000, {:nodedown, @a, :visible, :connection_closed}}
            ]
        )

      assert probes(effects) == [@a, @a]

      # Left alone for up to 2 s, as if it had been cut off, unless it is seen to have gone.
      roster = %{roster | peers: Map.update!(roster.peers, @a, &%{&1 | damped_until: 3_000})}
      {roster, effects} = play(roster, [{1_001, found([{@a, :ok}])}])
      assert {joins(effects), Roster.wake_at(roster)} == {[], 1_031}

      {alive, effects} = play(roster, [{1_031, :wake}, {1_032, found([{@a, :ok}])}])
      assert probes(effects) == [@a]
      {alive, _} = play(alive, [{1_095, :wake}, {1_099, found([{@a, :ok}])}, {1_100, :wake}])
      assert Roster.wake_at(alive) == 1_299

      {gone, _} = play(roster, [{1_031, :wake}, {1_032, found([{@a, {:dead, :refused}}])}])
      {_, effects} = play(gone, [{1_532, :wake}, {1_533, found([{@a, :ok}])}])
      assert joins(effects) == [@a]
    end
  end

  describe "links that did not last" do
    # Linked at 1_000, lost after `lived`, and its port open all the time.
    defp flap(roster, lived, now, reason \\ :connection_closed) do
      {roster, _} =
        play(roster, [
          {now, {:nodeup, @a, :visible}},
          {now + lived, {:nodedown, @a, :visible, reason}}
        ])

      roster
    end

    defp held_for(roster, now) do
      case peer(roster, @a).damped_until do
        nil -> 0
        until -> max(until - now, 0)
      end
    end

    setup do
      {roster, _} =
        play([
          {0, {:round, world()}},
          {1, listed([@a])},
          {5, found([{@a, :ok}])},
          {9, {:joined, @a, true}}
        ])

      {roster, _} = play(roster, [{10, {:nodedown, @a, :visible, :net_tick_timeout}}])
      %{roster: %{roster | peers: Map.update!(roster.peers, @a, &%{&1 | credits: 0})}}
    end

    test "are redialled after a minute, two, four … at most ten, give or take a half", %{
      roster: roster
    } do
      Enum.reduce([60, 120, 240, 480, 600, 600], {roster, 0}, fn seconds, {roster, now} ->
        roster = flap(roster, 5_000, now)
        pause = held_for(roster, now + 5_000)

        assert pause in div(seconds * 1_000, 2)..div(seconds * 3_000, 2),
               "#{pause} for #{seconds} s"

        {roster, now + 2_000_000}
      end)
    end

    test "cost nothing after one that lasted: twice soon, then the minute", %{roster: roster} do
      roster = flap(roster, 60_000, 0)
      assert held_for(roster, 60_000) <= 2_000
      roster = flap(roster, 5_000, 70_000)
      assert held_for(roster, 75_000) in 1_000..6_000
      roster = flap(roster, 5_000, 90_000)
      assert held_for(roster, 95_000) >= 30_000
    end

    test "of silence are the probe's business", %{roster: roster} do
      assert roster |> flap(5_000, 0, :net_tick_timeout) |> held_for(5_000) == 0
    end

    test "are forgiven when the peer was gone, or has another port: it was started anew", %{
      roster: roster
    } do
      roster = flap(roster, 5_000, 0)
      assert held_for(roster, 5_000) > 0
      {dead, _} = play(roster, [{5_001, found([{@a, {:dead, :refused}}])}])
      assert held_for(dead, 5_002) == 0
    end

    test "are forgiven when the peer has another port than it was linked at, if that is known", %{
      roster: roster
    } do
      # Looked at so long before it is linked, then lost, then looked at again.
      pause = fn before, then, now ->
        at = 25_000 + before

        {roster, _} =
          play(roster, [
            {20_000, {:probed, %{@a => {:ok, then}}}},
            {20_000 + before, {:joined, @a, true}},
            {at, {:nodedown, @a, :visible, :connection_closed}}
          ])

        assert held_for(roster, at) > 0
        {roster, _} = play(roster, [{at + 1, {:probed, %{@a => {:ok, now}}}}])
        held_for(roster, at + 2)
      end

      assert pause.(1, 9_100, 9_200) == 0
      assert pause.(9_999, 9_100, 9_200) == 0
      assert pause.(1, 9_100, 9_100) > 0
      assert pause.(1, 9_100, nil) > 0
      assert pause.(1, nil, 9_200) > 0
      # An older port may be that of an earlier life: nothing to compare with.
      assert pause.(10_000, 9_100, 9_200) > 0
    end

    test "hold off the dial, not the probe", %{roster: roster} do
      roster = flap(roster, 5_000, 0)

      {roster, effects} =
        play(roster, [{5_600, :wake}, {5_601, found([{@a, :ok}])}, {9_000, :wake}])

      assert joins(effects) == []
      {_, effects} = play(roster, [{200_000, {:round, world()}}, {200_001, found([{@a, :ok}])}])
      assert joins(effects) == [@a]
    end
  end

  describe "members that decide at once take turns:" do
    test "one that is told so asks again 300 ms later, unless another one objects" do
      {roster, effects} =
        play(
          linked([{10_003, found([{@c, :ok}])}, {10_005, {:asked, @c, %{@a => :busy, @b => :ok}}}])
        )

      assert joins(effects) == []
      assert state(roster, @c) == {:new, nil}
      {roster, effects} = play(roster, [{10_304, :wake}])
      assert asks(effects) == []
      {roster, effects} = play(roster, [{10_305, :wake}])
      assert asks(effects) == [{@c, [@a, @b]}]
      {roster, _} = play(roster, [{10_307, {:asked, @c, %{@a => :busy, @b => :silent}}}])
      assert state(roster, @c) == {:held, {:unreachable_for, @b}}
    end

    test "who is asked waits 0.3 s, but not for ever where somebody asks all the time" do
      {roster, _} =
        play(
          linked([{10_003, found([{@c, :ok}])}, {10_004, {:asked, @c, %{@a => :busy, @b => :ok}}}])
        )

      {once, effects} = play(roster, [{10_200, :consulted}, {10_499, :wake}])
      assert asks(effects) == []
      assert {_, [{:ask, @c, _}]} = play(once, [{10_500, :wake}])

      {_, effects} =
        play(roster, Enum.flat_map(10_200..12_000//100, &[{&1, :consulted}, {&1 + 50, :wake}]))

      assert asks(effects) == [{@c, [@a, @b]}]
    end

    test "who lets in another one, or has just done so, says so, and of two that ask the lower name goes first" do
      below = "app@10.0.0.1"
      above = "app@10.0.0.90"
      {asks, _} = play(linked([{10_003, found([{@c, :ok}])}]))
      assert asks.asking.deciding == %{target: @c, stage: :asking, since: 10_003}
      assert Roster.busy?(asks, above, @d, 10_004)
      refute Roster.busy?(asks, below, @d, 10_004)
      refute Roster.busy?(asks, above, @c, 10_004)

      # A member that does not answer must not hold up all others, nor a peer that hangs in its handshake.
      assert Roster.busy?(asks, above, @d, 11_002)
      refute Roster.busy?(asks, above, @d, 11_003)

      {joins, _} = play(asks, [{10_005, {:asked, @c, %{@a => :ok, @b => :ok}}}])
      assert Roster.busy?(joins, below, @d, 10_006)
      refute Roster.busy?(joins, below, @c, 10_006)
      refute Roster.busy?(joins, below, @d, 11_005)

      {joined, _} = play(joins, [{10_020, {:joined, @c, true}}])
      assert Roster.busy?(joined, below, @d, 10_319)
      refute Roster.busy?(joined, below, @d, 10_320)

      {failed, _} = play(joins, [{10_020, {:joined, @c, false}}])
      refute Roster.busy?(failed, below, @d, 10_021)

      {promised, _} = play(linked([{10_003, {:promised, above}}]))
      refute Roster.busy?(promised, above, @d, 10_004)
      assert Roster.busy?(promised, below, @d, 11_002)
      refute Roster.busy?(promised, below, @d, 11_003)
      refute Roster.busy?(Roster.new(config(), 1), below, @d, 0)
    end
  end

  describe "every wait for others has an end:" do
    test "members that have this node ask again for ever are heard no more after 3 s" do
      {roster, _} = play(linked([{10_003, found([{@c, :ok}])}]))

      {at, effects} =
        Enum.reduce_while(for(n <- 0..30, do: 10_005 + n * 300), roster, fn at, roster ->
          busy = {:asked, @c, %{@a => :busy, @b => :busy}}
          {roster, effects} = play(roster, [{at, busy}, {at + 299, found([{@c, :ok}])}])
          if joins(effects) == [], do: {:cont, roster}, else: {:halt, {at, effects}}
        end)

      assert joins(effects) == [@c]
      assert (at - 10_005) in 3_000..3_300
    end

    test "but one that objects is heard all the same" do
      {roster, _} = play(linked([{10_003, found([{@c, :ok}])}]))

      roster =
        Enum.reduce(0..9, roster, fn n, roster ->
          at = 10_005 + n * 300
          busy = {:asked, @c, %{@a => :busy, @b => :busy}}
          {roster, effects} = play(roster, [{at, busy}, {at + 299, found([{@c, :ok}])}])
          assert joins(effects) == []
          roster
        end)

      {roster, effects} = play(roster, [{13_100, {:asked, @c, %{@a => :busy, @b => :silent}}}])

      assert joins(effects) == []
      assert state(roster, @c) == {:held, {:unreachable_for, @b}}
    end

    test "and one that was held in between is waited for anew" do
      busy = {:asked, @c, %{@a => :busy, @b => :ok}}
      objects = {:asked, @c, %{@a => :silent, @b => :ok}}

      {roster, _} = play(linked([{10_003, found([{@c, :ok}])}, {10_005, busy}, {10_305, :wake}]))

      {roster, _} = play(roster, [{10_310, objects}, {40_000, :wake}])
      {_roster, effects} = play(roster, [{40_001, found([{@c, :ok}])}, {40_003, busy}])
      assert [{@c, _members}] = asks(effects)
      assert joins(effects) == []
    end

    test "a target that has those who look at it come again for ever is joined after 3 s" do
      {roster, _} = play(lonely([@b, @c]))
      {roster, _} = play(roster, [{2_000, found([{@b, :ok}, {@c, {:silent, :port}}])}])

      {at, effects} =
        Enum.reduce_while(for(n <- 0..30, do: 2_001 + n * 500), roster, fn at, roster ->
          {roster, effects} = play(roster, [{at, {:looked, @b, :busy}}, {at + 499, :wake}])
          if joins(effects) == [], do: {:cont, roster}, else: {:halt, {at, effects}}
        end)

      assert joins(effects) == [@b]
      assert (at - 2_001) in 3_000..3_500
    end

    test "a node that is about to join for ever keeps this one from its own decisions for 3 s" do
      {roster, _} = play(linked([{10_002, {:promised, @d}}, {10_003, found([{@c, :ok}])}]))

      {at, effects} =
        Enum.reduce_while(for(n <- 0..30, do: 10_100 + n * 500), roster, fn at, roster ->
          {roster, effects} =
            play(roster, [{at, {:promised, @d}}, {at + 1, found([{@c, :ok}])}, {at + 499, :wake}])

          if asks(effects) == [], do: {:cont, roster}, else: {:halt, {at, effects}}
        end)

      assert [{@c, _members} | _] = asks(effects)
      assert (at - 10_002) in 3_000..4_200
    end
  end

  describe "somebody who looks at us" do
    test "hears of whom we are about to join, and is waited for" do
      {roster, _} = play(lonely([@a, @b]))

      {roster, effects} =
        play(roster, [{4, {:promised, @c}}, {5, found([{@a, :ok}, {@b, :ok}])}, {900, :wake}])

      assert joins(effects) == []
      {roster, effects} = play(roster, [{1_004, :wake}])
      assert joins(effects) == [@a]
      assert Roster.engaged(roster) == [@a]
    end

    test "hears of whom we ask about" do
      {roster, _} = play(linked([{10_003, found([{@c, :ok}])}]))
      assert Roster.engaged(roster) == [@c]
      {roster, _} = play(roster, [{10_005, {:asked, @c, %{@a => :silent}}}])
      assert Roster.engaged(roster) == []
    end
  end

  describe "leaving" do
    test "a peer that said so is left alone for a minute, or until it is back" do
      {roster, effects} =
        play([
          {0, {:round, world(connected: [@a, @b])}},
          {1, listed([@a, @b])},
          {70_000, {:leaving, @a}},
          {70_001, {:nodedown, @a, :visible, :connection_closed}},
          {75_000, {:round, world(connected: [@b])}}
        ])

      assert probes(effects) == []
      assert state(roster, @a) == {:held, :leaving}
      {_, effects} = play(roster, [{130_001, :wake}])
      assert probes(effects) == [@a]

      {roster, _} = play(roster, [{80_000, {:nodeup, @a, :visible}}])
      assert state(roster, @a) == {:connected, nil}
      {_, effects} = play(roster, [{150_000, {:nodedown, @a, :visible, :connection_closed}}])
      assert probes(effects) == [@a]
    end

    test "a peer that said so is left alone for no longer than that minute, though it goes later" do
      lost_at = fn at ->
        {roster, effects} =
          play([
            {0, {:round, world(connected: [@a, @b])}},
            {1, listed([@a, @b])},
            {10_000, {:leaving, @a}},
            {at, {:nodedown, @a, :visible, :connection_closed}}
          ])

        {state(roster, @a), probes(effects)}
      end

      assert lost_at.(69_999) == {{:held, :leaving}, []}
      assert {{_probed, nil}, [@a]} = lost_at.(70_000)
    end

    test "a node that leaves itself neither probes nor dials" do
      {_, effects} =
        play(
          lonely([@a]) ++
            [{3, :leave}, {5, found([{@a, :ok}])}, {5_000, {:round, world()}}, {9_000, :wake}]
        )

      assert joins(effects) == []
      assert probes(effects) == [@a]
    end
  end

  test "a held node that came in undialled and was cut was dialled past us: told, with both names" do
    {_, effects} =
      play(
        linked([
          {10_003, found([{@c, :ok}])},
          {10_005, {:asked, @c, %{@a => :ok, @b => :silent}}},
          {12_000, {:nodeup, @c, :visible}},
          {20_000, {:nodedown, @c, :visible, :connection_closed}},
          {20_002, found([{@c, :ok}])}
        ])
      )

    assert [%{peer: @c, member: @b}] =
             for(
               {:event, [:problem, :raised], _, %{problem: :dialled_past} = d} <- effects,
               do: d
             )
  end

  test "a look at a node over a hidden link is no link" do
    start = lonely([@a, @b]) ++ [{5, found([{@a, :ok}, {@b, {:silent, :port}}])}]

    {roster, _} =
      play(
        start ++
          [{6, {:nodeup, @a, :hidden}}, {7, {:round, world(connected: [@a], hidden: [@a])}}]
      )

    assert MapSet.size(roster.connected) == 0
    assert %Peer{state: :new} = peer(roster, @a)
    {_, effects} = play(roster, [{9, {:looked, @a, {:ok, [], %{}}}}])
    assert joins(effects) == [@a]
  end

  test "a look that was disturbed is made again half a second later, and is no leave to join" do
    start = lonely([@a, @b]) ++ [{5, found([{@a, :ok}, {@b, {:silent, :port}}])}]
    {roster, effects} = play(start ++ [{10, {:looked, @a, :busy}}])
    assert {joins(effects), Roster.wake_at(roster)} == {[], 510}
    {roster, effects} = play(roster, [{510, :wake}])
    assert {joins(effects), looks(effects)} == {[], [{@a, [@b]}]}
    {_, effects} = play(roster, [{520, {:looked, @a, :failed}}])
    assert joins(effects) == [@a]
  end

  test "somebody's hidden look at us is neither a member nor news" do
    {roster, effects} =
      play([
        {0, {:round, world(connected: [@a])}},
        {1, listed([@a, @b])},
        {10, {:nodeup, @b, :hidden}},
        {20, {:nodedown, @b, :hidden, :disconnect}},
        {5_000, {:round, world(connected: [@a])}}
      ])

    assert for({:event, [:peers, :changed], _, _} = event <- effects, do: event) == []
    assert MapSet.to_list(roster.connected) == [@a]
  end

  test "an answer that lists a held peer once more changes nothing: it is asked about again when it is time" do
    {before, _} =
      play(
        linked([{10_003, found([{@c, :ok}])}, {10_005, {:asked, @c, %{@a => :ok, @b => :silent}}}])
      )

    {roster, effects} = play(before, [{15_000, listed([@a, @b, @c])}, {15_001, :wake}])
    assert {joins(effects), probes(effects), asks(effects)} == {[], [], []}
    assert peer(roster, @c) == peer(before, @c)

    # So with one that said that it leaves, also when others come and go.
    {before, _} =
      play([
        {0, {:round, world(connected: [@a, @b])}},
        {1, listed([@a, @b])},
        {70_000, {:leaving, @a}},
        {70_001, {:nodedown, @a, :visible, :connection_closed}}
      ])

    {roster, effects} =
      play(before, [
        {75_000, listed([@a, @b, @d])},
        {75_001, found([{@d, {:silent, :port}}])},
        {75_002, :wake}
      ])

    assert {joins(effects), probes(effects)} == {[], []}
    assert state(roster, @a) == {:held, :leaving}
  end

  test "a look at us changes nothing of what is known of the one that looks" do
    held =
      linked([{10_003, found([{@c, :ok}])}, {10_005, {:asked, @c, %{@a => :ok, @b => :silent}}}])

    {before, _} = play(held)
    {visited, effects} = play(before, [{10_010, {:nodeup, @c, :hidden}}, {10_011, listed([@c])}])
    assert {joins(effects), probes(effects), asks(effects)} == {[], [], []}
    assert peer(visited, @c) == peer(before, @c)

    {roster, effects} = play(visited, [{10_020, {:nodedown, @c, :hidden, :disconnect}}])
    assert {joins(effects), probes(effects), asks(effects)} == {[], [], []}
    assert peer(roster, @c) == peer(before, @c)

    # An answer that comes while it looks counts all the same.
    {roster, _} =
      play(
        linked([
          {10_003, found([{@c, :ok}])},
          {10_004, {:nodeup, @c, :hidden}},
          {10_005, {:asked, @c, %{@a => :ok, @b => :silent}}}
        ])
      )

    assert state(roster, @c) == {:held, {:unreachable_for, @b}}
  end

  test "a hidden link that lasts is a link" do
    there = [connected: [@a, @c], hidden: [@c]]

    {roster, effects} =
      play([
        {0, {:round, world(connected: [@a])}},
        {1, listed([@a, @c])},
        {10, {:nodeup, @c, :hidden}},
        {5_000, {:round, world(there)}},
        {10_000, {:round, world(there)}}
      ])

    assert [%{joined: [@c]}] = for({:event, [:peers, :changed], _, told} <- effects, do: told)
    assert state(roster, @c) == {:connected, nil}
    assert {joins(effects), probes(effects)} == {[], []}
  end

  test "where global does not cut, or without :ask_first, peers are dialled at once" do
    for {roster, world} <- [
          {Roster.new(config(), 1), world(guarded?: false)},
          {Roster.new(config(ask_first: false), 1), world()}
        ] do
      {_, effects} = play(roster, [{0, {:round, world}}, {1, listed([@a, @b])}])
      assert {joins(effects), probes(effects)} == {[@a, @b], []}
    end
  end

  describe "in a thousand random histories" do
    @tag timeout: 120_000
    test "nobody is dialled whose port did not answer just before, or of whom a member or a look said no" do
      {_, seed, _} = :os.timestamp()

      for n <- 1..1_000 do
        :rand.seed(:exsss, :erlang.phash2({seed, n}))

        history(
          Roster.new(config(), n),
          0,
          60,
          %{probed: %{}, question: nil, probing: false},
          "seed #{inspect({seed, n})}"
        )
      end
    end

    # Monotonic time begins far below zero, and nothing may depend on where it stands.
    test "the same history gives the same effects at any time" do
      for n <- 1..100 do
        :rand.seed(:exsss, n)
        {history, effects} = recorded(Roster.new(config(), n), 60)
        assert Enum.any?(effects, &(&1 != []))

        for start <- [-576_460_751_000, 576_460_751_000] do
          {again, _} =
            Enum.map_reduce(history, Roster.new(config(), n), fn {at, event}, roster ->
              {roster, effects} = Roster.handle(roster, event, start + at)
              {effects, roster}
            end)

          assert again == effects, "seed #{n}"
        end
      end
    end

    # A random history in which what is asked is answered, and what each event of it brought about.
    defp recorded(roster, length) do
      first = {{0, {:round, world()}}, []}
      {roster, []} = Roster.handle(roster, {:round, world()}, 0)

      {_, _, _, past} =
        Enum.reduce(1..length, {roster, 0, [], [first]}, fn _, {roster, now, asked, past} ->
          now = now + Enum.random([0, 1, 50, 400, 5_000, 30_000])

          seen = %{
            probing: :probe in asked,
            question: Enum.find(asked, &match?({_kind, _target}, &1))
          }

          event = random_event(seen)
          {roster, effects} = Roster.handle(roster, event, now)
          asked = Enum.reject(asked, &answered?(&1, event)) ++ Enum.flat_map(effects, &question/1)
          {roster, now, asked, [{{now, event}, effects} | past]}
        end)

      past |> Enum.reverse() |> Enum.unzip()
    end

    defp question({:probe, _targets}), do: [:probe]
    defp question({kind, target, _more}) when kind in [:ask, :look], do: [{kind, target}]
    defp question(_effect), do: []

    defp answered?(:probe, {:probed, _found}), do: true
    defp answered?({:ask, target}, {:asked, target, _answers}), do: true
    defp answered?({:look, target}, {:looked, target, _outcome}), do: true
    defp answered?(_question, _event), do: false

    defp history(_roster, _now, 0, _seen, _seed), do: :ok

    defp history(roster, now, left, seen, seed) do
      now = now + Enum.random([0, 1, 50, 400, 5_000, 30_000])
      event = random_event(seen)
      {next, effects} = Roster.handle(roster, event, now)
      context = "#{seed} at #{now}: #{inspect(event)} gave #{inspect(effects)}"

      seen =
        case event do
          {:probed, found} ->
            %{
              seen
              | probing: false,
                probed:
                  Map.merge(seen.probed, Map.new(found, fn {n, {v, _}} -> {n, {v, now}} end))
            }

          {:asked, t, _} ->
            if(match?({:ask, ^t}, seen.question), do: %{seen | question: nil}, else: seen)

          {:looked, t, _} ->
            if(match?({:look, ^t}, seen.question), do: %{seen | question: nil}, else: seen)

          _ ->
            seen
        end

      for name <- joins(effects) do
        # An answer may take its time, but not the decision to ask.
        assert {:ok, at} = seen.probed[name], context
        assert now - at <= 20_000 or elem(event, 0) in [:asked, :looked], context
        refute MapSet.member?(next.connected, name), context

        refute match?({:asked, ^name, %{@a => :silent}}, event) and @a in roster.connected,
               context

        refute match?({:looked, ^name, :leaving}, event), context
      end

      questions = asks(effects) ++ looks(effects)
      assert length(questions) + if(seen.question, do: 1, else: 0) <= 1, context
      assert not (seen.probing and probes(effects) != []), context

      seen =
        case questions do
          [{target, _}] ->
            %{seen | question: {if(asks(effects) == [], do: :look, else: :ask), target}}

          [] ->
            seen
        end

      seen = if probes(effects) == [], do: seen, else: %{seen | probing: true}
      if event == :wake, do: assert((Roster.wake_at(next) || now + 1) > now, context)
      history(next, now, left - 1, seen, seed)
    end

    defp random_event(seen) do
      name = Enum.random([@a, @b, @c, @d])

      case Enum.random(1..9) do
        1 ->
          {:round, world(connected: Enum.take_random([@a, @b, @c, @d], Enum.random(0..2)))}

        2 ->
          listed(Enum.take_random([@a, @b, @c, @d], Enum.random(0..4)))

        n when n in 3..4 and seen.probing ->
          found(
            for n <- [@a, @b, @c, @d],
                do: {n, Enum.random([:ok, :ok, {:silent, :port}, {:dead, :refused}])}
          )

        5 when seen.question != nil ->
          answer_to(seen.question)

        6 ->
          {:nodeup, name, Enum.random([:visible, :visible, :hidden])}

        7 ->
          {:nodedown, name, :visible,
           Enum.random([:connection_closed, :disconnect, :net_tick_timeout])}

        8 ->
          {:joined, name, Enum.random([true, false])}

        _ ->
          :wake
      end
    end

    defp answer_to({:ask, target}),
      do:
        {:asked, target,
         Map.new([@a, @b, @c, @d], &{&1, Enum.random([:ok, :ok, :ok, :silent, :no_answer])})}

    defp answer_to({:look, target}),
      do:
        {:looked, target,
         Enum.random([
           :failed,
           :leaving,
           {:ok, [@a, @b], %{@a => :ok, @b => :silent}},
           {:ok, [], %{}}
         ])}
  end
end

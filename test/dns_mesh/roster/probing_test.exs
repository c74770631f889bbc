defmodule DNSMesh.Roster.ProbingTest do
  # Who is probed when, and what becomes of it; in the course of events: asking_test.exs.
  use ExUnit.Case, async: true

  alias DNSMesh.{Peer, Roster}
  alias DNSMesh.Roster.Probing
  alias DNSMesh.Test.Given

  @a "app@10.0.0.2"
  @member "app@10.0.0.9"

  # Long after its start, and linked to somebody unless told otherwise.
  @now 1_000_000

  defp roster(peers, overrides \\ []) do
    {alone, overrides} = Keyword.pop(overrides, :alone, %{born: 0})
    {interval, overrides} = Keyword.pop(overrides, :interval, 5_000)

    world = %{
      distribution: Given.distribution(1),
      own_addresses: [{10, 0, 0, 1}],
      connected: [],
      guarded?: true
    }

    roster = Roster.new(Given.config(interval: interval), 1)

    roster =
      struct!(
        %{
          roster
          | world: world,
            connected: MapSet.new([@member]),
            peers: Map.new(peers, &{&1.name, &1})
        },
        overrides
      )

    update_in(roster.asking.alone, &Map.merge(&1, alone))
  end

  defp lonely, do: [connected: MapSet.new()]

  defp peer(overrides \\ []), do: struct!(Peer.new(@a, 0), overrides)

  defp probed(roster, now \\ @now) do
    {_roster, effects} = Probing.due({roster, []}, now)

    case effects do
      [] -> []
      [{:probe, [_ | _] = targets}] -> for {name, _ips} <- targets, do: name
    end
  end

  defp probed?(peer, overrides \\ []), do: probed(roster([peer], overrides)) == [@a]

  defp found(peer, verdict, overrides \\ []),
    do: Probing.found(roster([peer], overrides), %{@a => {verdict, nil}}, @now).peers[@a]

  defp ago(ms), do: @now - ms

  describe "a probe" do
    test "is of all that are due, in order, with their addresses, one round of them at a time" do
      peers = for n <- 59..20//-1, do: Peer.new("app@10.0.0.#{n}", 0)
      answers = %{q: %{"app@10.0.0.20" => {[{10, 0, 0, 20}], nil}}}
      {roster, [{:probe, targets}]} = Probing.due({roster(peers, answers: answers), []}, @now)
      assert Enum.map(targets, &elem(&1, 0)) == for(n <- 20..59, do: "app@10.0.0.#{n}")
      assert [{_, [{10, 0, 0, 20}]}, {_, []} | _] = targets
      assert probed(roster, @now + 60_000) == []
      assert Probing.found(roster, %{}, @now).asking.probing? == false
    end

    test "is made again after 5 s at the earliest" do
      for verdict <- [:ok, {:dead, :refused}, {:silent, :port}] do
        refute probed?(peer(state: :waiting, next_at: 0, probe: {verdict, ago(4_999), nil}))
        assert probed?(peer(state: :waiting, next_at: 0, probe: {verdict, ago(5_000), nil}))
      end
    end

    test "of a peer that was lost less than 5 s ago is made five times a second" do
      due = [state: :waiting, next_at: 0]
      hot = due ++ [lost_at: ago(4_999)]
      refute probed?(peer(hot ++ [probe: {{:dead, :refused}, ago(199), nil}]))
      assert probed?(peer(hot ++ [probe: {{:dead, :refused}, ago(200), nil}]))
      cold = due ++ [lost_at: ago(5_000)]
      refute probed?(peer(cold ++ [probe: {{:dead, :refused}, ago(200), nil}]))
    end

    test "of one whose port may be about to close is made every 30 ms, for 100 ms, if it is left alone" do
      lost = fn since, damped, probed ->
        peer(
          state: :new,
          lost_at: ago(since),
          damped_until: damped,
          probe: {:ok, ago(probed), 9_100}
        )
      end

      damped = @now + 1_000
      refute probed?(lost.(99, damped, 29))
      assert probed?(lost.(99, damped, 30))
      refute probed?(lost.(100, damped, 30))
      # It would have been dialled at once.
      refute probed?(lost.(99, nil, 30))
      refute probed?(lost.(99, ago(1), 199))
      assert probed?(lost.(99, nil, 200))
    end

    test "of one that is not up yet is made five times a second, while this node has just started and is alone" do
      down =
        peer(state: :waiting, next_at: @now + 9_000, probe: {{:dead, :refused}, ago(200), nil})

      started = [alone: %{born: ago(1_499)}] ++ lonely()
      assert probed?(down, started)
      refute probed?(%{down | probe: {{:dead, :refused}, ago(199), nil}}, started)
      refute probed?(%{down | probe: {{:silent, :port}, ago(200), nil}}, started)
      refute probed?(down, alone: %{born: ago(1_500)}, connected: MapSet.new())
      refute probed?(down, alone: %{born: ago(1)})
    end
  end

  describe "it is time" do
    test "for a new one at once where this node is alone, or it was there before; else after it might have knocked" do
      newcomer = peer(newcomer?: true, known_at: ago(7_499))
      refute probed?(newcomer)
      assert probed?(%{newcomer | known_at: ago(7_500)})
      assert probed?(newcomer, lonely())
      assert probed?(peer(known_at: @now))
    end

    test "for one that waits or is held when its time has come" do
      for state <- [:waiting, :held] do
        assert probed?(peer(state: state, next_at: @now))
        refute probed?(peer(state: state, next_at: @now + 1))
        refute probed?(peer(state: state, next_at: nil))
      end
    end

    test "for no other" do
      for state <- [:joining, :connected, :refused],
          do: refute(probed?(peer(state: state, next_at: 0)))
    end
  end

  test "a verdict is good for a decision for 10 s" do
    assert Probing.fresh?(peer(probe: {:ok, ago(10_000), 9_100}), @now)
    refute Probing.fresh?(peer(probe: {:ok, ago(10_001), 9_100}), @now)
    refute Probing.fresh?(peer(probe: {{:silent, :port}, @now, nil}), @now)
    refute Probing.fresh?(peer(), @now)
  end

  describe "what a probe finds" do
    test "is written down of everyone, and moves only who is to be dialled" do
      for state <- [:joining, :connected], verdict <- [:ok, {:dead, :refused}] do
        before = peer(state: state, misses: 2)
        assert found(before, verdict) == %{before | probe: {verdict, @now, nil}}
      end

      for {state, reason} <- [refused: :not_allowed, held: :unresolved],
          verdict <- [:ok, {:dead, :refused}] do
        before = peer(state: state, reason: reason, verdict: {state, reason}, misses: 2)
        assert found(before, verdict) == %{before | probe: {verdict, @now, nil}}
      end

      # Nobody is there any more under that name.
      assert Probing.found(roster([]), %{@a => {:ok, 1}}, @now).peers == %{}
    end

    test "of one that is there makes it due, but not who is held: that is for members to say" do
      assert %{next_at: @now, misses: 0, state: :waiting} =
               found(peer(state: :waiting, next_at: @now + 9_000, misses: 3), :ok)

      assert %{next_at: 5, misses: 0} = found(peer(state: :waiting, next_at: 5, misses: 3), :ok)
      assert %{next_at: nil} = found(peer(state: :waiting, next_at: nil), :ok)
      assert %{next_at: nil, state: :new, misses: 0} = found(peer(misses: 3), :ok)

      held =
        peer(state: :held, reason: {:unreachable_for, @member}, next_at: @now + 9_000, misses: 3)

      assert found(held, :ok) == %{held | probe: {:ok, @now, nil}, misses: 0}
    end

    test "of one that is not there has it wait for that, once more each time" do
      for state <- [:new, :waiting, :held], verdict <- [{:dead, :refused}, {:silent, :epmd}] do
        before = peer(state: state, reason: {:unreachable_for, @member}, next_at: 0, misses: 3)

        assert %{state: :waiting, reason: ^verdict, misses: 4, next_at: at} =
                 found(before, verdict)

        assert at >= @now + 5_000
      end
    end

    test "is looked at again a quarter of a second later after a loss, else after 5 s at the earliest" do
      delay = fn peer, overrides -> found(peer, {:dead, :refused}, overrides).next_at - @now end
      hot = peer(lost_at: ago(4_999), once_connected?: true)
      assert delay.(hot, []) == 250
      assert delay.(%{hot | lost_at: ago(5_000)}, interval: 100) == 5_000

      # Who is alone, and who has lost it, looks at each poll, a little early.
      for {peer, overrides} <- [
            {peer(misses: 9), lonely()},
            {peer(misses: 9, once_connected?: true), []}
          ] do
        assert delay.(peer, [interval: 20_000] ++ overrides) == 16_000
        assert delay.(peer, [interval: 5_000] ++ overrides) == 5_000
      end

      # Others less and less often.
      for {misses, usual} <- [{0, 5_000}, {1, 10_000}, {2, 20_000}, {3, 30_000}, {90, 30_000}] do
        at = delay.(peer(misses: misses), [])

        assert at in max(5_000, round(usual * 0.8))..min(30_000, round(usual * 1.2)),
               inspect({misses, at})
      end
    end
  end

  test "a pause doubles up to its most, and is its own each time" do
    assert for(times <- 0..4, do: Probing.backoff({100, 1_000}, times, 0.5)) ==
             [100, 200, 400, 800, 1_000]

    assert Probing.backoff({100, 1_000}, 1, 0.0) == 160
    assert Probing.backoff({100, 1_000}, 1, 1.0) == 240
    assert Probing.backoff({100, 1_000}, 9, 0.0) == 800
    assert Probing.backoff({100, 1_000}, 9, 1.0) == 1_000
    # Numbers that no VM could hold are not even made.
    assert Probing.backoff({100, 1_000}, Bitwise.bsl(1, 70), 0.5) == 1_000
  end

  describe "when there is something to do" do
    defp next_at(peer, overrides \\ []), do: Probing.next_at(roster([peer], overrides), @now)

    test "of a new one: at once where this node is alone, else when it might have knocked" do
      newcomer = peer(newcomer?: true, known_at: ago(100))
      assert next_at(newcomer, lonely()) == @now
      assert next_at(newcomer) == ago(100) + 7_500
    end

    test "of one that waits or is held: at its time, and no sooner than it may be probed" do
      for state <- [:waiting, :held] do
        assert next_at(peer(state: state, next_at: @now + 70)) == @now + 70
        probe = {{:silent, :port}, ago(100), nil}
        assert next_at(peer(state: state, next_at: @now + 70, probe: probe)) == @now + 4_900
        assert next_at(peer(state: state, next_at: nil)) == nil
      end

      for state <- [:joining, :connected, :refused],
          do: assert(next_at(peer(state: state, next_at: 5)) == nil)
    end

    test "of one that is not up yet at this node's own start: five times a second" do
      down =
        peer(state: :waiting, next_at: @now + 9_000, probe: {{:dead, :refused}, ago(100), nil})

      started = [alone: %{born: ago(10)}] ++ lonely()
      assert next_at(down, started) == @now + 100
      assert next_at(down) == @now + 9_000
    end

    test "of one that answers: in its turn" do
      ready = peer(state: :waiting, next_at: @now - 70, probe: {:ok, ago(100), 9_100})

      turn = fn at, peer ->
        roster = roster([peer])
        Probing.next_at(put_in(roster.asking.next_at, at), @now)
      end

      assert turn.(nil, ready) == @now - 70
      assert turn.(@now + 300, ready) == @now + 300
      assert turn.(@now - 300, ready) == @now - 70
      # Left alone for a while it is probed as any other.
      assert turn.(@now + 300, %{ready | damped_until: @now + 60_000}) == @now + 4_900
      # Its answer is too old to decide on.
      old = %{ready | probe: {:ok, ago(10_001), 9_100}}
      assert turn.(@now + 300, old) == @now - 70
    end

    test "is the first of all, and nothing where there is nobody" do
      waits =
        for n <- 3..9, do: %{Peer.new("app@10.0.0.#{n}", 0) | state: :waiting, next_at: @now + n}

      assert Probing.next_at(roster(Enum.reverse(waits)), @now) == @now + 3
      assert Probing.next_at(roster([]), @now) == nil
    end
  end
end

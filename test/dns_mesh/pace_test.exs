defmodule DNSMesh.PaceTest do
  use ExUnit.Case, async: true

  alias DNSMesh.{Backoff, Pace}

  # When polls happen from `from` on, if each is followed by the delay that the pace asks for.
  defp polls(pace, from, count, chance \\ 0.5) do
    Stream.iterate(from, &(&1 + Pace.delay(pace, &1, chance))) |> Enum.take(count)
  end

  test "begins with a burst at 250, 500, 1000 and 2000 ms, then goes by the interval" do
    assert polls(Pace.new(5_000, 0), 0, 7) == [0, 250, 500, 1_000, 2_000, 7_000, 12_000]
  end

  test "works the same on a clock that starts below zero" do
    assert polls(Pace.new(5_000, -576_460_751_000), -576_460_751_000, 3)
           |> Enum.map(&(&1 + 576_460_751_000)) == [0, 250, 500]
  end

  test "is never slower than the interval, however long a burst would wait" do
    for now <- polls(Pace.new(100, 0), 0, 50),
        do: assert(Pace.delay(Pace.new(100, 0), now, 0.5) <= 100)
  end

  test "keeps within a tenth of the interval" do
    delays = for chance <- [0.0, 0.25, 0.999], do: Pace.delay(Pace.new(5_000, 0), 60_000, chance)
    assert [4_500, 4_750, almost] = delays
    assert almost < 5_500
  end

  test "bursts again after a nodedown, at most every 10 s" do
    pace = Pace.new(5_000, 0)
    assert Pace.burst(pace, 9_999) == pace
    again = Pace.burst(pace, 10_000)
    assert polls(again, 10_000, 4) == [10_000, 10_250, 10_500, 11_000]
    assert Pace.burst(again, 19_999) == again
  end

  test "goes by the interval alone where it is to be steady" do
    pace = Pace.steady(5_000)
    assert polls(pace, 0, 3) == [0, 5_000, 10_000]
    assert Pace.burst(pace, 100_000) == pace
  end

  test "a stranger is left alone for longer and longer, up to a minute; a known peer for two intervals at most" do
    waits = fn once? -> for n <- 1..7, do: Backoff.delay(n, once?, 5_000, 0.5) end
    assert waits.(false) == [5_000, 10_000, 20_000, 40_000, 60_000, 60_000, 60_000]
    assert waits.(true) == [5_000, 10_000, 10_000, 10_000, 10_000, 10_000, 10_000]
    assert Backoff.delay(1_000_000, false, 5_000, 0.999) <= 60_000
    # Numbers that no VM could hold are not even made.
    assert Backoff.delay(Bitwise.bsl(1, 70), false, 5_000, 0.5) == 60_000
    # At its most, too, it differs from node to node.
    assert Backoff.delay(9, false, 5_000, 0.0) == 48_000
    assert Backoff.delay(9, false, 600_000, 0.5) == 600_000
  end
end

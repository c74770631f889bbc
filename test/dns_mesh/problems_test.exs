defmodule DNSMesh.ProblemsTest do
  use ExUnit.Case, async: true

  alias DNSMesh.Problems

  defp told(checks, first \\ 5_000) do
    {_, told} =
      Enum.reduce(checks, {%Problems{}, []}, fn {now, there?, face}, {problems, told} ->
        {problems, effects} =
          Problems.check(problems, there?, {:lookup_failed, :key}, face, %{}, now, first)

        {problems,
         told ++
           for({:event, [:problem, what], mention, _} <- effects, do: {now, what, mention.times})}
      end)

    told
  end

  test "a problem is told at once, then at every doubling of the time it has lasted" do
    checks = for now <- 0..60_000//1_000, do: {now, true, :timeout}
    assert Enum.map(told(checks), &elem(&1, 0)) == [0, 5_000, 10_000, 20_000, 40_000]
  end

  test "another face of it is told at once, but each face once" do
    assert [{0, :raised, 1}, {1, :raised, 2}] =
             told([
               {0, true, :timeout},
               {1, true, :servfail},
               {2, true, :timeout},
               {3, true, :servfail}
             ])
  end

  test "its end is told, once, with how often it was seen" do
    assert told([{0, true, :x}, {10, true, :x}, {20, false, nil}, {30, false, nil}]) == [
             {0, :raised, 1},
             {20, :cleared, 2}
           ]
  end

  test "what never was is not told to be over" do
    assert told([{0, false, nil}]) == []
  end

  test "the kind of a problem of which several may be there is told, not the whole key" do
    assert {_, [{:event, _, _, %{problem: :lookup_failed}}]} =
             Problems.check(%Problems{}, true, {:lookup_failed, "one"}, nil, %{}, 0, 1)
  end
end

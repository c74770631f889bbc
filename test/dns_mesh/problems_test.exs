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

  test "how long it has lasted and when it is told again do not depend on where the clock stands" do
    mentions = fn start ->
      checks = [{0, true, :x}, {1_000, true, :x}, {5_000, true, :x}, {5_500, true, :y}]

      {_, told} =
        Enum.reduce(checks ++ [{7_000, false, nil}], {%Problems{}, []}, fn {at, there?, face},
                                                                           {problems, told} ->
          {problems, effects} = Problems.check(problems, there?, :x, face, %{}, start + at, 5_000)
          {problems, told ++ effects}
        end)

      for {:event, [:problem, what], mention, %{problem: :x}} <- told, do: {what, mention}
    end

    assert mentions.(0) == [
             {:raised, %{lasted: 0, times: 1}},
             {:raised, %{lasted: 5_000, times: 3}},
             {:raised, %{lasted: 5_500, times: 4}},
             {:cleared, %{lasted: 7_000, times: 4}}
           ]

    # As in every young VM.
    assert mentions.(-576_460_751_000) == mentions.(0)
    assert mentions.(576_460_751_000) == mentions.(0)
  end

  test "the kind of a problem of which several may be there is told, not the whole key" do
    assert {_, [{:event, _, _, %{problem: :lookup_failed}}]} =
             Problems.check(%Problems{}, true, {:lookup_failed, "one"}, nil, %{}, 0, 1)
  end
end

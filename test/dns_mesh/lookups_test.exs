defmodule DNSMesh.LookupsTest do
  use ExUnit.Case, async: true

  alias DNSMesh.{Answer, Lookups, Query}

  @query %Query{text: "app.internal", host: "app.internal"}
  @a {@query, :a}
  @aaaa {@query, :aaaa}

  defp ok(opts \\ []),
    do:
      {:ok,
       struct!(%Answer{records: [{10, 0, 0, 1}], ttl: 1, name: "app.internal", server: "x"}, opts)}

  defp error(reason), do: {:error, %{reason: reason, server: "10.0.0.53:53"}}

  defp told(results) do
    {_, told} =
      Enum.reduce(results, {Lookups.new([@a, @aaaa], 5_000), []}, fn {now, key, result},
                                                                     {lookups, told} ->
        {lookups, effects} = Lookups.done(lookups, key, result, now)

        {lookups,
         told ++
           for({:event, [:problem, what], _, metadata} <- effects, do: {now, what, metadata})}
      end)

    told
  end

  test "a failing server is told at once, with its reason, and when it answers again" do
    assert [
             {0, :raised,
              %{
                problem: :lookup_failed,
                query: "app.internal",
                type: :a,
                reason: :servfail,
                server: "10.0.0.53:53"
              }},
             {900, :cleared, %{problem: :lookup_failed, type: :a}}
           ] = told([{0, @a, error(:servfail)}, {250, @a, error(:servfail)}, {900, @a, ok()}])
  end

  test "nobody listed is no trouble for an interval: the first node of a cluster is alone" do
    nobody = [{0, @a, error(:no_records)}, {0, @aaaa, error(:nxdomain)}]
    assert told(nobody ++ [{4_999, @a, error(:nxdomain)}, {5_000, @a, ok()}]) == []
  end

  test "nobody listed for an interval is told, once, with the server's word" do
    results =
      for now <- [0, 250, 4_000, 5_000, 5_250],
          key <- [@a, @aaaa],
          do: {now, key, error(:nxdomain)}

    assert [
             {5_000, :raised,
              %{
                problem: :nobody,
                query: "app.internal",
                reason: :nxdomain,
                server: "10.0.0.53:53"
              }}
           ] = told(results)
  end

  test "records of one type are enough: no records of the other is not told" do
    results =
      for now <- 0..60_000//5_000,
          {key, result} <- [{@a, error(:no_records)}, {@aaaa, ok()}],
          do: {now, key, result}

    assert told(results) == []
  end

  test "of two words the one that tells more is told: the name is there" do
    words = fn a, aaaa ->
      for now <- [0, 5_000], {key, word} <- [{@a, a}, {@aaaa, aaaa}], do: {now, key, error(word)}
    end

    for words <- [words.(:nxdomain, :no_records), words.(:no_records, :nxdomain)] do
      assert [{_, :raised, %{problem: :nobody, reason: :no_records, types: [:a, :aaaa]}} | _] =
               told(words)
    end
  end

  test "a failure of one type is no word that nobody is listed" do
    results =
      for now <- [0, 6_000],
          {key, word} <- [{@a, :nxdomain}, {@aaaa, :timeout}],
          do: {now, key, error(word)}

    assert [{0, :raised, %{problem: :lookup_failed, reason: :timeout}} | more] = told(results)
    assert for({_, _, %{problem: :nobody}} = nobody <- more, do: nobody) == []
  end

  test "one item that lists nobody is told beside another one that lists somebody" do
    other = {%Query{text: "web.internal", host: "web.internal"}, :a}
    lookups = Lookups.new([@a, other], 5_000)

    {lookups, _} = Lookups.done(lookups, other, ok(), 0)
    {lookups, []} = Lookups.done(lookups, @a, error(:nxdomain), 0)
    {lookups, effects} = Lookups.done(lookups, @a, error(:nxdomain), 5_000)
    assert [{:event, [:problem, :raised], _, %{problem: :nobody, types: [:a]}}] = effects
    # And is not written down for that one.
    assert [%{answer: nil}, %{answer: {_, 0}, failure: nil}] = lookups.entries
  end

  test "an interval is as long wherever the clock stands" do
    for start <- [-576_460_751_000, 576_460_751_000] do
      nobody = for at <- [0, 4_999], key <- [@a, @aaaa], do: {start + at, key, error(:nxdomain)}
      assert told(nobody) == []
      assert [{_, :raised, _}] = told(nobody ++ [{start + 5_000, @a, error(:nxdomain)}])
    end
  end

  test "what is wrong with an answer that gave names is told, once for each kind" do
    answers = for {now, count} <- [{0, 1}, {1, 2}], do: {now, @a, ok(fault: {:junk_names, count})}

    assert [{0, :raised, %{problem: :lookup_failed, reason: {:junk_names, 1}}}] = told(answers)

    assert [{0, :raised, _}, {2, :raised, %{reason: :enoent, server: "x"}}, {3, :cleared, _}] =
             told(answers ++ [{2, @a, ok(fault: :enoent)}, {3, @a, ok()}])
  end

  describe "what is listed" do
    test "is known when all lookups have ended once, in whatever way" do
      lookups = Lookups.new([@a, @aaaa], 5_000)
      {lookups, _} = Lookups.done(lookups, @a, ok(), 0)
      assert Lookups.listed(lookups, nil) == :not_yet
      {failed, _} = Lookups.done(lookups, @aaaa, error(:timeout), 0)
      assert Lookups.listed(failed, nil) == {:ok, [[{10, 0, 0, 1}]]}
      {same, _} = Lookups.done(lookups, @aaaa, ok(), 0)
      assert Lookups.listed(same, nil) == {:ok, [[{10, 0, 0, 1}]]}
    end
  end

  test "an answer cut short is told" do
    assert [{0, :raised, %{problem: :answer_truncated}}] = told([{0, @a, ok(truncated?: true)}])
  end

  test "the last good answer is kept through any failure" do
    {lookups, _} = Lookups.done(Lookups.new([@a], 5_000), @a, ok(), 1)
    {lookups, _} = Lookups.done(lookups, @a, error(:timeout), 2)

    assert [%{answer: {%Answer{records: [{10, 0, 0, 1}]}, 1}, failure: {%{reason: :timeout}, 2}}] =
             lookups.entries
  end
end

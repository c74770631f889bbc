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

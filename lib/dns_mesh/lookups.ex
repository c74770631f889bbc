defmodule DNSMesh.Lookups do
  @moduledoc false
  # What has been asked and what was last said: one entry for each query item and record type. Pure; the Poller asks.
  #
  # Three kinds of outcome, never mixed: records; a conclusive "nobody" (no such name, or no records of the type); and
  # a failure, which says nothing about names at all.

  alias DNSMesh.{Answer, IP, Problems, Query, Resolver}

  @nobody [:nxdomain, :no_records, :no_names]

  @enforce_keys [:entries, :interval]
  defstruct [:entries, :interval, nobody_since: %{}, problems: %Problems{}]

  @type key :: {Query.t(), Query.type()}
  @type entry :: %{
          key: key(),
          answer: {Answer.t(), at :: integer()} | nil,
          failure: {Resolver.failure(), at :: integer()} | nil
        }
  @type t :: %__MODULE__{entries: [entry()], interval: pos_integer()}

  @spec new([key()], pos_integer()) :: t()
  def new(keys, interval) do
    %__MODULE__{
      entries: Enum.map(keys, &%{key: &1, answer: nil, failure: nil}),
      interval: interval
    }
  end

  @spec keys(t()) :: [key()]
  def keys(lookups), do: Enum.map(lookups.entries, & &1.key)

  @doc """
  What each item has listed so far, in the order of the query; of the items without a basename or with this one, for
  the others list strangers. `:not_yet` while one of their lookups has not ended once.
  """
  @spec listed(t(), basename :: String.t() | nil) :: {:ok, [[:inet.ip_address()]]} | :not_yet
  def listed(lookups, basename) do
    entries = Enum.filter(lookups.entries, &Query.lists?(elem(&1.key, 0), basename))

    if Enum.any?(entries, &(&1.answer == nil and &1.failure == nil)) do
      :not_yet
    else
      queries = for %{key: {query, _type}} <- entries, uniq: true, do: query

      {:ok,
       for query <- queries do
         for %{key: {^query, _}} = entry <- entries, ip <- last_listed(entry), uniq: true, do: ip
       end}
    end
  end

  defp last_listed(%{answer: nil}), do: []
  defp last_listed(%{failure: {%{reason: reason}, _at}}) when reason in @nobody, do: []
  defp last_listed(%{answer: {answer, _at}}), do: Answer.listed(answer)

  @doc """
  Whether any name server has answered, be it that there is nobody. Where nothing is asked of one, an address or a source
  counts; beside one, what is written down here says nothing of the network.
  """
  @spec answered?(t()) :: boolean()
  def answered?(lookups) do
    case Enum.reject(lookups.entries, &(elem(&1.key, 1) == :names or literal?(&1))) do
      [] -> Enum.any?(lookups.entries, &conclusive?/1)
      asked -> Enum.any?(asked, &conclusive?/1)
    end
  end

  defp literal?(%{key: {%Query{host: host}, _type}}), do: IP.parse(host) != :error

  defp conclusive?(%{answer: answer, failure: failure}),
    do: answer != nil or (failure != nil and nobody?(elem(failure, 0)))

  @doc "Whether a failure is the conclusive statement that there is nobody."
  @spec nobody?(Resolver.failure()) :: boolean()
  def nobody?(%{reason: reason}), do: reason in @nobody

  @doc "Notes what came of one lookup, and tells what is to be said about it."
  @spec done(t(), key(), Resolver.result(), integer()) ::
          {t(), [Problems.effect()]}
  def done(lookups, key, result, now) do
    entries = Enum.map(lookups.entries, &if(&1.key == key, do: update(&1, result, now), else: &1))

    {%{lookups | entries: entries}, []}
    |> failure_problem(key, result, now)
    |> truncation_problem(key, result, now)
    |> nobody_problem(key, now)
  end

  defp update(entry, {:ok, answer}, now), do: %{entry | answer: {answer, now}, failure: nil}
  defp update(entry, {:error, failure}, now), do: %{entry | failure: {failure, now}}

  defp failure_problem(acc, {query, type} = key, result, now) do
    {there?, face, details} =
      case result do
        {:error, %{reason: reason} = failure} when reason not in @nobody ->
          {true, reason, %{reason: reason, server: failure.server, name: failure[:name]}}

        # It gave names, and yet something is wrong.
        {:ok, %Answer{fault: fault} = answer} when fault != nil ->
          {true, face(fault), %{reason: fault, server: answer.server, name: nil}}

        _conclusive ->
          {false, nil, %{}}
      end

    problem(
      acc,
      there?,
      {:lookup_failed, key},
      face,
      Map.merge(details, %{query: query.text, type: type}),
      now
    )
  end

  # How many there are is no news.
  defp face({:junk_names, _count}), do: :junk_names
  defp face(fault), do: fault

  defp truncation_problem(acc, {query, type} = key, result, now) do
    there? = match?({:ok, %Answer{truncated?: true}}, result)
    problem(acc, there?, {:answer_truncated, key}, nil, %{query: query.text, type: type}, now)
  end

  # A name that lists nobody is normal for a moment: the first node of a cluster, a pod that is not ready yet. It is
  # worth a word when it has lasted for an interval, and only when no record type of the item found anybody.
  defp nobody_problem({lookups, events}, {query, _type}, now) do
    entries = for %{key: {^query, _}} = entry <- lookups.entries, do: entry
    failures = Enum.map(entries, & &1.failure)
    nobody? = Enum.all?(failures, &(&1 != nil and nobody?(elem(&1, 0))))
    since = if nobody?, do: lookups.nobody_since[query] || now
    lookups = %{lookups | nobody_since: Map.put(lookups.nobody_since, query, since)}
    details = if nobody?, do: nobody_details(failures), else: %{}

    if since != nil and now - since < lookups.interval do
      {lookups, events}
    else
      problem(
        {lookups, events},
        since != nil,
        {:nobody, query},
        details[:reason],
        Map.merge(details, %{
          query: query.text,
          types: for(%{key: {_, type}} <- entries, do: type)
        }),
        now
      )
    end
  end

  # "No records" tells more than "no such name": the name is there.
  defp nobody_details(failures) do
    {failure, _at} = Enum.max_by(failures, fn {failure, _at} -> failure.reason == :no_records end)
    %{reason: failure.reason, server: failure.server}
  end

  defp problem({lookups, events}, there?, key, face, details, now) do
    {problems, told} =
      Problems.check(lookups.problems, there?, key, face, details, now, lookups.interval)

    {%{lookups | problems: problems}, events ++ told}
  end
end

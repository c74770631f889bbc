defmodule Settle.Links do
  @moduledoc false
  # When which links were up, from the records of both ends: a link is up only while both say so.
  # Spans are sorted lists of `{from, to}`, milliseconds.

  @type span :: {from :: integer(), to :: integer()}
  @type pair :: {pos_integer(), pos_integer()}

  @doc "`%{{1, 2} => spans}` of all pairs; `records` is `%{host => events}`, `names` gives a node's host."
  @spec new(%{pos_integer() => [Settle.Log.event()]}, %{String.t() => pos_integer()}, integer()) ::
          %{pair => [span]}
  def new(records, names, finish) do
    ends =
      for {host, events} <- records, {other, spans} <- said(events, names, finish), into: %{} do
        {{host, other}, spans}
      end

    for {one, other} = pair <- pairs(Map.keys(records)), into: %{} do
      {pair, both(Map.get(ends, {one, other}, []), Map.get(ends, {other, one}, []))}
    end
  end

  @doc "Every two of these."
  @spec pairs([pos_integer()]) :: [pair]
  def pairs(hosts),
    do: for(one <- Enum.sort(hosts), other <- hosts, one < other, do: {one, other})

  @doc "When all these pairs were up at once; always, if there are none."
  @spec together(%{pair => [span]}, [pair], span) :: [span]
  def together(links, pairs, within),
    do: Enum.reduce(pairs, [within], fn pair, spans -> both(spans, Map.fetch!(links, pair)) end)

  @doc "The part of the time, 0.0 to 1.0, in which all these pairs were up."
  @spec share(%{pair => [span]}, [pair], span) :: float()
  def share(links, pairs, {from, to} = within) do
    up = for {from, to} <- together(links, pairs, within), reduce: 0, do: (sum -> sum + to - from)
    up / max(to - from, 1)
  end

  # What one host says: `%{other => spans}`. A VM that begins anew has no links left.
  defp said(events, names, finish) do
    {open, closed} =
      Enum.reduce(events, {%{}, []}, fn
        {ms, "BOOT", _}, {open, closed} ->
          {%{}, for({other, from} <- open, do: {other, {from, ms}}) ++ closed}

        {ms, "UP", [name | _]}, {open, closed} ->
          {Map.put_new(open, names[name], ms), closed}

        {ms, "DOWN", [name | _]}, {open, closed} ->
          case Map.pop(open, names[name]) do
            {nil, open} -> {open, closed}
            {from, open} -> {open, [{names[name], {from, ms}} | closed]}
          end

        _other, state ->
          state
      end)

    still = for {other, from} <- open, do: {other, {from, finish}}

    for {other, spans} <- Enum.group_by(still ++ closed, &elem(&1, 0), &elem(&1, 1)),
        into: %{},
        do: {other, Enum.sort(spans)}
  end

  defp both(spans, others) do
    for {from, to} <- spans,
        {other_from, other_to} <- others,
        from = max(from, other_from),
        to = min(to, other_to),
        from < to,
        do: {from, to}
  end
end

defmodule Settle.Picture do
  @moduledoc false
  # What a run has come to: all records, the links made of them, and the figures that the checks and the report share.

  alias Settle.{Lab, Links, Log, Story}

  # As an event's metadata are written.
  @held "problem: :held"

  # Longer than global takes to tell everybody, shorter than the pause before somebody dials anew.
  @quiet 4_000

  @enforce_keys [:run, :shape, :names, :records, :links, :marks, :fault, :lift, :finish]
  defstruct @enforce_keys

  def new(run, lab) do
    marks = Enum.reverse(lab.marks)
    finish = at(marks, :finish)
    names = Map.new(Lab.all(lab), &{Lab.node(lab, &1), &1})
    records = Map.new(Lab.all(lab), &{&1, Log.read(Lab.log(lab, &1))})

    %__MODULE__{
      run: run,
      shape: Story.shape(run),
      names: names,
      records: records,
      links: Links.new(records, names, finish),
      marks: marks,
      fault: at(marks, :fault),
      lift: marks |> Enum.reverse() |> at(:lift),
      finish: finish
    }
  end

  defp at(marks, what), do: Enum.find_value(marks, fn {ms, mark} -> mark == what && ms end)

  ## Times

  def hosts(picture), do: picture.records |> Map.keys() |> Enum.sort()
  def others(picture, host), do: hosts(picture) -- [host]

  @doc "The last part of the fault."
  def window(%{lift: lift, fault: fault, run: run}),
    do: {max(fault, lift - run.window * 1000), lift}

  def during(%{fault: fault, lift: lift}), do: {fault, lift}

  ## What happened

  @doc "`[{ms, host, words}]` of one kind, in order; `within` is a span or `:always`."
  def events(picture, what, within) do
    Enum.sort(
      for {host, events} <- picture.records,
          {ms, ^what, words} <- events,
          within?(ms, within),
          do: {ms, host, words}
    )
  end

  defp within?(_ms, :always), do: true
  defp within?(ms, {from, to}), do: ms >= from and ms <= to

  @doc "`[{ms, host, other}]`: events about another node of this lab."
  def about(picture, what, within) do
    for {ms, host, [name | _]} <- events(picture, what, within),
        other = picture.names[name],
        do: {ms, host, other}
  end

  def nodedowns(picture, within), do: about(picture, "DOWN", within)

  @doc "Nodedowns per node and minute in the window."
  def pace(picture) do
    {from, to} = window(picture)
    length(nodedowns(picture, {from, to})) / length(hosts(picture)) / ((to - from) / 60_000)
  end

  @doc "Seconds from the fault to the last nodedown of it, or nil."
  def settled(picture) do
    case List.last(nodedowns(picture, during(picture))) do
      nil -> nil
      {ms, _, _} -> (ms - picture.fault) / 1000
    end
  end

  @doc "How often nodedowns came together, with quiet before and after."
  def bursts(picture) do
    times = for {ms, _, _} <- nodedowns(picture, during(picture)), do: ms

    Enum.count(Enum.zip([nil | times], times), fn {last, ms} ->
      last == nil or ms - last > @quiet
    end)
  end

  @doc "What the counters have grown by, all hosts together, or nil where they were not marked twice."
  def counted(picture) do
    case for {_, {:counters, counters}} <- picture.marks, do: counters do
      [first, _ | _] = marked ->
        for key <- Map.keys(hd(first)),
            into: %{},
            do: {key, sum(List.last(marked), key) - sum(first, key)}

      _ ->
        nil
    end
  end

  defp sum(counters, key), do: counters |> Enum.map(& &1[key]) |> Enum.sum()

  ## Links

  @doc "Part of the time in which the best of the alternatives was whole."
  def clique(picture, within) do
    picture.shape.either
    |> Enum.map(fn groups ->
      Links.share(picture.links, Enum.flat_map(groups, &Links.pairs/1), within)
    end)
    |> Enum.max(fn -> nil end)
  end

  @doc "Pairs of which neither is a party to the fault, and those within one party."
  def uninvolved(%{shape: %{apart: apart}} = picture) do
    blocked = for {one, other} <- apart, host <- [one, other], do: host
    Links.pairs(hosts(picture) -- blocked)
  end

  @doc "Seconds from `since` until all these pairs are up at once, or nil."
  def whole_after(picture, pairs, since) do
    case Links.together(picture.links, pairs, {since, picture.finish}) do
      [{from, _to} | _] -> (from - since) / 1000
      [] -> nil
    end
  end

  @doc "`[{host, seconds}]`: from a return until the host is linked with all of `with`."
  def rejoins(picture, with \\ nil) do
    for {ms, {:back, host}} <- picture.marks do
      others = List.delete(with || hosts(picture), host)
      since = began(picture, host, ms)
      {host, whole_after(picture, for(other <- others, do: Enum.min_max([host, other])), since)}
    end
  end

  # A VM that was started has begun a little before the story knew.
  defp began(picture, host, ms) do
    stops = for {stop, {:start, ^host}} <- picture.marks, stop <= ms, do: stop

    picture.records[host]
    |> Enum.filter(fn {at, what, _} ->
      what == "BOOT" and stops != [] and at >= List.last(stops) and at <= ms
    end)
    |> case do
      [{at, _, _} | _] -> at
      [] -> ms
    end
  end

  @doc "`[{:early | :late, seconds}]`: from the beginning of a VM until the first other is linked with it."
  def relinks(picture) do
    host = picture.run.hosts
    boots = for {ms, "BOOT", words} <- picture.records[host], do: ms - age(words)

    for {ms, kind} <- picture.marks, kind in [:early, :late] do
      since = Enum.find(boots, &(&1 >= ms))
      links = for other <- others(picture, host), do: whole_after(picture, [{other, host}], since)
      {kind, links |> Enum.reject(&is_nil/1) |> Enum.min(fn -> nil end)}
    end
  end

  # How long the VM had been running when it wrote its first line.
  defp age(words), do: for("age=" <> ms <- words, do: String.to_integer(ms)) |> hd()

  @doc "From the stop of each restarted host until eight seconds after its return: `[{host, from, to}]`."
  def away(picture) do
    for {from, {:stop, host}} <- picture.marks do
      back =
        Enum.find_value(picture.marks, fn {ms, mark} ->
          mark == {:back, host} and ms > from && ms
        end)

      {host, from, (back || picture.finish) + 8_000}
    end
  end

  ## Dials and words

  @doc "`[{ms, host, other}]`: calls of connect_node."
  def dials(picture, within), do: about(picture, "DIAL", within)

  @doc "What members have said of `held` that names `because` too."
  def named(picture, held, because) do
    names = for host <- [held, because], {name, ^host} <- picture.names, do: name

    for {_, host, ["problem.raised" | words]} = event <-
          events(picture, "EVENT", during(picture)),
        host != held,
        text = Enum.join(words, " "),
        text =~ @held,
        Enum.all?(names, &String.contains?(text, ~s("#{&1}"))),
        do: event
  end

  @doc "Calls for a disconnect from a visible node that were not global's own: `[{ms, host, words}]`."
  def cuts(picture) do
    for {_, _, [_name, "visible", by | _]} = cut <- events(picture, "CUT", :always),
        not String.starts_with?(by, "by=global:"),
        do: cut
  end
end

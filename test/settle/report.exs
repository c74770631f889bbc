defmodule Settle.Report do
  @moduledoc false
  # A run in one line, and its figures for the closing line.

  import Settle.Say
  alias Settle.{Checks, Links, Picture}

  @doc "`{:ok | :failed, one line, the figures alone}`"
  def result(picture) do
    # A lie that could not be told makes no control.
    unable =
      for {_, _, words} <- Picture.events(picture, "NO-LIE", :always),
          do: {:lie, Enum.join(words, " ")}

    failures = Enum.uniq(unable) ++ Checks.failures(picture)
    figures = figures(picture)
    title = String.pad_trailing("#{picture.run.id} (#{picture.run.hosts} hosts)", 21)

    case {picture.run.must_fail, failures} do
      {[], []} ->
        {:ok, "#{title} #{figures}", figures}

      {[], failures} ->
        {:failed, "#{title} #{figures}#{sentences(failures)}", figures}

      {_, [{:lie, why} | _]} ->
        {:failed, "#{title} #{figures}\n      no control: #{why}", figures}

      {expected, failures} ->
        noticed = for {name, _} <- failures, name in expected, do: name
        control(title, figures, expected, noticed)
    end
  end

  @doc "The id of a wrong library is only whether it was noticed."
  def brief(%{must_fail: []} = run, figures), do: "#{run.id}: #{figures}"
  def brief(run, _figures), do: "#{run.id}: noticed"

  defp control(title, figures, expected, []) do
    {:failed,
     "#{title} #{figures}\n      a wrong library: one of #{inspect(expected)} had to fail, and none did",
     figures}
  end

  defp control(title, figures, _expected, noticed),
    do:
      {:ok,
       "#{title} #{figures}; a wrong library, noticed by #{Enum.map_join(noticed, ", ", &to_string/1)}",
       figures}

  defp sentences(failures),
    do: for({name, sentence} <- failures, do: "\n      #{name}: #{sentence}")

  ## Figures

  defp figures(%{run: %{story: story}} = picture) when story in [:rolling, :leaving] do
    rejoins = for {_, seconds} <- Picture.rejoins(picture), do: seconds

    counts =
      for {who, from, to} <- Picture.away(picture),
          do: {length(Picture.dials(picture, {from, to})), setups(picture, {from, to}), who}

    "back in #{range(rejoins)} s, #{downs(picture)}, dials for each restart #{range(for {n, _, _} <- counts, do: n)} (connections tried #{range(for {_, n, _} <- counts, do: n)})"
  end

  defp figures(%{run: %{story: story}} = picture)
       when story in [:host_gone, :vanished, :dead_address] do
    gone = if story == :vanished, do: [picture.run.hosts - 1], else: []

    rejoins =
      for {_, seconds} <- Picture.rejoins(picture, Picture.hosts(picture) -- gone), do: seconds

    "linked after #{range(rejoins)} s, #{downs(picture)}"
  end

  defp figures(%{run: %{story: :relinked}} = picture) do
    times = Enum.group_by(Picture.relinks(picture), &elem(&1, 0), &elem(&1, 1))
    "linked again #{median_and_worst(times.early)} early, #{median_and_worst(times.late)} late"
  end

  defp figures(%{run: %{story: :parted}} = picture),
    do: "#{length(Picture.cuts(picture))} calls for a disconnect"

  defp figures(%{run: %{story: :dns_faults}} = picture) do
    share =
      Links.share(picture.links, Links.pairs(Picture.hosts(picture)), Picture.during(picture))

    "#{downs(picture)}, all links up #{percent(share)} of the time"
  end

  defp figures(picture) do
    all = Links.pairs(Picture.hosts(picture))

    Enum.join(
      [
        "#{downs(picture)} #{bursts(picture)}",
        "#{decimals(Picture.pace(picture))} per node and minute at the end",
        "last after #{seconds(Picture.settled(picture))}",
        "best group whole #{percent(Picture.clique(picture, Picture.window(picture)) || 0.0)}",
        "uninvolved #{percent(Links.share(picture.links, Picture.uninvolved(picture), Picture.window(picture)))}",
        "healed in #{seconds(Picture.whole_after(picture, all, picture.lift))}",
        "#{length(Picture.dials(picture, Picture.during(picture)))} dials"
      ] ++ newcomer(picture) ++ cost(picture),
      ", "
    )
  end

  defp newcomer(%{run: %{story: story}, shape: %{apart: [{newcomer, blocked}]}} = picture)
       when story in [:newcomer, :port_only] do
    within = Picture.during(picture)
    dials = for {_, _, ^newcomer} = dial <- Picture.dials(picture, within), do: dial

    [
      "#{length(dials)} of them to the newcomer",
      "held because of host #{blocked} #{length(Picture.named(picture, newcomer, blocked))} times"
    ]
  end

  defp newcomer(_picture), do: []

  # Of probes, epmd and distribution alike.
  defp cost(picture) do
    {from, to} = Picture.during(picture)
    minutes = length(Picture.hosts(picture)) * (to - from) / 60_000

    case Picture.counted(picture) do
      nil ->
        []

      %{connects: connects, full: full} ->
        [
          "#{decimals(connects / minutes)} TCP connects per host and minute (#{full} met a full queue)"
        ]
    end
  end

  defp downs(picture),
    do: "#{length(Picture.nodedowns(picture, Picture.during(picture)))} nodedowns"

  defp bursts(picture), do: "in #{Picture.bursts(picture)} bursts"
  defp setups(picture, within), do: length(Picture.about(picture, "SETUP", within))

  defp median_and_worst(times) do
    sorted = Enum.sort(times)

    "#{seconds(Enum.at(sorted, div(length(sorted), 2)))} (at most #{seconds(List.last(sorted))} of #{length(times)})"
  end

  defp range([]), do: "never"

  defp range(numbers) do
    case Enum.min_max(numbers) do
      {_, nil} -> "never"
      {same, same} -> text(same)
      {least, most} -> "#{text(least)}-#{text(most)}"
    end
  end

  defp text(number) when is_float(number), do: decimals(number, 2)
  defp text(number), do: "#{number}"
end

defmodule Settle.Checks do
  @moduledoc false
  # What has to hold. Each check gives `:ok` or a sentence: what was expected, what was got.

  import Settle.Say
  alias Settle.{Links, Picture, StoryChecks}

  @spec failures(%Picture{}) :: [{atom(), String.t()}]
  def failures(picture) do
    for name <- picture.run.checks,
        result = check(name, picture),
        result != :ok,
        do: {name, result}
  end

  # The base: without it nothing that follows means anything.
  defp check(:A0, %{fault: fault} = picture) do
    share =
      Links.share(picture.links, Links.pairs(picture.shape.base), {fault - 10_000, fault - 200})

    expect(
      share == 1.0,
      "all links of #{hosts(picture.shape.base)} up in the 10 s before the fault",
      percent(share)
    )
  end

  defp check(:A1, picture) do
    share = Picture.clique(picture, Picture.window(picture))

    expect(
      share >= 0.99,
      "the largest possible group whole for 99 % of the last #{picture.run.window} s",
      percent(share)
    )
  end

  defp check(:A2, picture) do
    share = Links.share(picture.links, Picture.uninvolved(picture), uninvolved_since(picture))

    expect(
      share == 1.0,
      "the links of those who have no part in the fault up all the time",
      percent(share)
    )
  end

  defp check(:A3, picture) do
    downs = Picture.nodedowns(picture, Picture.window(picture))

    expect(
      downs == [],
      "no nodedown in the last #{picture.run.window} s of the fault",
      "#{length(downs)}, #{decimals(Picture.pace(picture))} per node and minute"
    )
  end

  # global cuts both parties of a pair that it sees break, and sometimes twice; nobody else has to go, ever.
  defp check(:A4, picture) do
    downs = length(Picture.nodedowns(picture, Picture.during(picture)))
    settled = Picture.settled(picture)
    {most, latest} = allowed(picture.run)

    expect(
      downs <= most and (settled == nil or settled <= latest),
      "at most #{most} nodedowns, the last #{latest} s after the fault at the latest",
      "#{downs}, the last after #{seconds(settled)}"
    )
  end

  defp check(:A5, picture) do
    limit = picture.run.interval / 1000 + 3
    all = Links.pairs(Picture.hosts(picture))
    lifts = for {ms, :lift} <- picture.marks, do: ms
    heals = for lift <- lifts, do: Picture.whole_after(picture, all, lift)
    healed = List.last(heals)

    cond do
      nil in heals or Enum.any?(heals, &(&1 > limit)) ->
        "expected all links up #{limit} s after the end of the fault at the latest, got #{Enum.map_join(heals, ", ", &seconds/1)}"

      Links.share(picture.links, all, {List.last(lifts) + round(healed * 1000), picture.finish}) <
          1.0 ->
        "expected all links to stay up once they were after the fault"

      true ->
        :ok
    end
  end

  defp check(:A6, picture) do
    limit =
      if picture.run.story in [:rolling, :leaving], do: 1.0, else: picture.run.interval / 1000 + 3

    rejoins = Picture.rejoins(picture)

    expect(
      Enum.all?(rejoins, fn {_, seconds} -> seconds != nil and seconds <= limit end),
      "each host that comes back linked with all others within #{limit} s",
      Enum.map_join(rejoins, ", ", fn {host, seconds} -> "host #{host} #{seconds(seconds)}" end)
    )
  end

  # Nobody is alone who could have company, and whoever is linked with two sees them linked.
  defp check(:A7, picture) do
    {from, to} = Picture.window(picture)

    alternatives =
      for groups <- picture.shape.either, do: Enum.sort(Enum.flat_map(groups, &Links.pairs/1))

    up =
      for {pair, _} <- picture.links,
          Links.share(picture.links, [pair], {from, to}) > 0.99,
          do: pair

    expect(
      Enum.sort(up) in alternatives,
      "two clean groups, such as #{inspect(hd(alternatives))}",
      inspect(Enum.sort(up), charlists: :as_lists)
    )
  end

  # Nobody dials the newcomer, and somebody says why.
  defp check(:A8, picture) do
    [{newcomer, blocked}] = picture.shape.apart
    within = Picture.during(picture)
    dials = for {_, _, ^newcomer} = dial <- Picture.dials(picture, within), do: dial
    said = Picture.named(picture, newcomer, blocked)

    cond do
      dials != [] ->
        "expected nobody to dial host #{newcomer}, got #{length(dials)} dials"

      said == [] ->
        "expected a member's event that holds host #{newcomer} and names host #{blocked}, got none"

      true ->
        :ok
    end
  end

  # The library parts nobody.
  defp check(:A9, picture) do
    cuts = Picture.cuts(picture)

    expect(
      cuts == [],
      "no call for a disconnect from a visible node, except global's",
      inspect(Enum.take(cuts, 3))
    )
  end

  defp check(name, picture), do: StoryChecks.check(name, picture)

  # 2 (n - 1) is what global makes of a pair, twice that when both parties are let in again at the same second.
  defp allowed(%{bursts: bursts, latest: latest, hosts: n}),
    do: {bursts * (4 * (n - 1) + 2), latest}

  # At a cold start there are no links yet that could be up all the time.
  defp uninvolved_since(%{run: %{story: :cold_start}} = picture), do: Picture.window(picture)
  defp uninvolved_since(picture), do: Picture.during(picture)

  defp hosts(hosts), do: "hosts #{Enum.join(hosts, ", ")}"
end

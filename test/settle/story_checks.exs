defmodule Settle.StoryChecks do
  @moduledoc false
  # What has to hold in one or two stories only.

  import Settle.Say
  alias Settle.{Links, Picture}

  # As an event's metadata are written.
  @bypassed "problem: :dialled_past"

  @spec check(atom(), %Picture{}) :: :ok | String.t()
  # Linked at once when it comes back while we poll faster, else at the next poll.
  def check(:relink, picture) do
    limits = %{early: 1.0, late: picture.run.interval / 1000 + 1}
    relinks = Picture.relinks(picture)

    slow =
      for {kind, seconds} <- relinks,
          seconds == nil or seconds > limits[kind],
          do: {kind, seconds}

    expect(
      slow == [],
      "a link within #{limits.early} s early and #{limits.late} s late",
      inspect(slow)
    )
  end

  def check(:join, picture) do
    gone = if picture.run.story == :vanished, do: [picture.run.hosts - 1], else: []
    limit = if gone == [], do: 3, else: 25
    [{_, seconds}] = Picture.rejoins(picture, Picture.hosts(picture) -- gone)
    stays = Links.pairs(Picture.hosts(picture) -- gone)

    cond do
      seconds == nil or seconds > limit ->
        "expected the newcomer linked with all who are there within #{limit} s, got #{seconds(seconds)}"

      Links.share(picture.links, stays, {picture.finish - 1_000, picture.finish}) < 1.0 ->
        "expected those who are there linked at the end"

      true ->
        :ok
    end
  end

  def check(:only_restarted, picture) do
    away = Picture.away(picture)

    others =
      for {ms, host, other} <- Picture.nodedowns(picture, Picture.during(picture)),
          not Enum.any?(away, fn {who, from, to} ->
            who in [host, other] and ms >= from and ms <= to
          end),
          do: {host, other}

    expect(others == [], "nodedowns of restarted nodes only", "also between #{inspect(others)}")
  end

  # While a host is away nobody needs to dial it, and when it is back one dial by each side of each link is plenty.
  def check(:dials, picture) do
    most = 2 * (picture.run.hosts - 1)

    counts =
      for {who, from, to} <- Picture.away(picture),
          do: {who, length(Picture.dials(picture, {from, to}))}

    expect(
      Enum.all?(counts, fn {_, count} -> count <= most end),
      "at most #{most} dials by all nodes together for each restart",
      Enum.map_join(counts, ", ", fn {host, count} -> "host #{host} #{count}" end)
    )
  end

  # Between the word and the end of the VM every link stays, and until it is back nobody dials.
  def check(:left, picture) do
    [{stop, _}] = for {ms, {:stop, host}} <- picture.marks, do: {ms, host}
    early = Picture.nodedowns(picture, {picture.fault, stop})
    [{back, {:back, host}}] = Enum.filter(picture.marks, &match?({_, {:back, _}}, &1))

    dials =
      for {ms, who, ^host} <- Picture.dials(picture, {picture.fault, back}), who != host, do: ms

    cond do
      Picture.events(picture, "NO-LEAVE", :always) != [] ->
        "expected DNSMesh.leave/1, got a library without it"

      early != [] ->
        "expected no nodedown before the VM stops, got #{length(early)}"

      dials != [] ->
        "expected nobody to dial who has left, got #{length(dials)} dials"

      true ->
        :ok
    end
  end

  # Somebody else in this VM dialled a node that is held: that is told.
  def check(:bypass, picture) do
    [{newcomer, _}] = picture.shape.apart
    [name] = for {name, ^newcomer} <- picture.names, do: name

    told =
      for {_, 1, ["problem.raised" | words]} <-
            Picture.events(picture, "EVENT", Picture.during(picture)),
          text = Enum.join(words, " "),
          text =~ @bypassed and text =~ ~s("#{name}"),
          do: text

    expect(told != [], "an event at host 1 with #{@bypassed} that names #{name}", "none")
  end

  def check(:no_nodedown, picture) do
    downs = Picture.nodedowns(picture, Picture.during(picture))
    expect(downs == [], "no nodedown whatever DNS says", "#{length(downs)}")
  end
end

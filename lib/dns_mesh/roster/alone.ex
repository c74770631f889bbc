defmodule DNSMesh.Roster.Alone do
  @moduledoc false
  # A node without links: what it waits for before it joins anybody, and when it waits no longer. It has no members to ask,
  # and whom it meets first settles which group it is in, for no link is ever ended here. Two groups that form around a
  # pair that cannot reach each other become one at the price of a cut. So all who start together are to meet at one of
  # them, the lowest name:
  #
  #   just started, and a lower one is not up yet           waits for it, 1.5 s at most
  #   the target has no links either, and reaches a lower
  #   one that is silent to this node                       gives way to that one, two intervals at most
  #   refused, for a silence that nobody contradicts        tries once after 20 s
  #
  # Pure.

  alias DNSMesh.{NodeName, Peer}
  alias DNSMesh.Roster.{Asking, Book, Outlook}

  # Milliseconds in which nodes that start together come up one after the other.
  @start 1_500

  # How long it gives way: the other one is in by its next poll, or something else keeps it.
  @intervals 2

  # A node that has been kept out for so long, by a silence nobody could contradict, tries once.
  @patience 20_000

  # How long the word of the one it has tried is good for the others.
  @word 10_000

  # A refusal is used for so long, as long as the same ones are silent.
  @reuse 30_000

  # Since when there are questions; to whom this node gives way, and since when; since when it has been refused, by whom,
  # for which silent ones, and when it has tried all the same.
  defstruct born: nil, gave_way: nil, kept_out: nil

  @type t :: %__MODULE__{
          born: integer() | nil,
          gave_way: nil | {NodeName.t(), since :: integer()},
          kept_out:
            nil
            | %{
                since: integer(),
                group: [NodeName.t()],
                silent: [NodeName.t()],
                tried_at: integer() | nil
              }
        }
  @type answers :: %{NodeName.t() => Asking.answer()}

  @doc "Time goes on: the clock of the start begins, and whoever has links gives way to nobody."
  @spec tick(Book.t(), integer()) :: Book.t()
  def tick(roster, now) do
    alone = roster.asking.alone
    gave_way = if Outlook.lonely?(roster), do: alone.gave_way
    put_in(roster.asking.alone, %{alone | born: alone.born || now, gave_way: gave_way})
  end

  @doc "Whether this node has just started, and has met nobody."
  @spec starting?(Book.t(), integer()) :: boolean()
  def starting?(%{asking: %{alone: %{born: born}}} = roster, now),
    do: Outlook.lonely?(roster) and (born == nil or now - born < @start)

  @doc "Whether a lower one than this node and the target is still to come up."
  @spec awaits_lower?(Peer.t(), Book.t(), integer()) :: boolean()
  def awaits_lower?(%Peer{name: target}, roster, now) do
    first = min(target, roster.world.distribution.node)
    starting?(roster, now) and Enum.any?(roster.peers, fn {_, peer} -> missing?(peer, first) end)
  end

  defp missing?(%Peer{name: name, verdict: nil, probe: {{:dead, _why}, _at, _port}}, first),
    do: name < first

  defp missing?(_there_or_not_wanted, _first), do: false

  @doc "To whom this node gives way at a target that it has looked at; nil where it need not, or not any more."
  @spec gives_way(Book.t(), members :: [NodeName.t()], answers(), integer()) ::
          {NodeName.t() | nil, Book.t()}
  def gives_way(roster, [], answers, now) do
    lower = if Outlook.lonely?(roster), do: lower_silent(roster, answers)

    since =
      case roster.asking.alone.gave_way do
        {^lower, since} -> since
        _another_or_none -> now
      end

    roster = put_in(roster.asking.alone.gave_way, lower && {lower, since})
    {if(now - since < @intervals * roster.interval, do: lower), roster}
  end

  def gives_way(roster, _members, _answers, _now), do: {nil, roster}

  defp lower_silent(roster, answers) do
    roster
    |> Outlook.silent()
    |> Enum.filter(&(&1 < roster.world.distribution.node and answers[&1] == :ok))
    |> Enum.min(fn -> nil end)
  end

  @doc """
  Refused by a group, for those of it who are silent to this node; `contradicted` is one of them that the target can reach.
  `:try` where it tries all the same.
  """
  @spec refused(
          Book.t(),
          group :: [NodeName.t()],
          silent :: [NodeName.t()],
          contradicted :: NodeName.t() | nil,
          integer()
        ) :: {:try | :wait, Book.t()}
  def refused(roster, group, silent, contradicted, now) do
    kept_out = kept_out(roster.asking.alone.kept_out, group, silent, contradicted, now)
    try? = try_once?(kept_out, Outlook.lonely?(roster), now)
    kept_out = if try?, do: %{kept_out | tried_at: now}, else: kept_out
    {if(try?, do: :try, else: :wait), put_in(roster.asking.alone.kept_out, kept_out)}
  end

  # Only while nobody contradicts: a peer that the target can reach is alive, and joining would cut the mesh.
  defp kept_out(_before, _group, _silent, contradicted, _now) when contradicted != nil, do: nil

  defp kept_out(%{silent: silent} = before, group, silent, nil, _now),
    do: %{before | group: group}

  defp kept_out(_before, group, silent, nil, now),
    do: %{since: now, group: group, silent: silent, tried_at: nil}

  # Who is in by that one try, and has not been cut, may have the others too: `global` will not bring them before the dead
  # link has timed out.
  defp try_once?(nil, _lonely?, _now), do: false

  defp try_once?(%{tried_at: nil, since: since}, lonely?, now),
    do: lonely? and now - since >= @patience

  defp try_once?(_tried, lonely?, _now), do: not lonely?

  @doc "Whether this node has just been let in by the one try, and may have this one of the group without another look."
  @spec let_in?(Book.t(), NodeName.t(), silent :: [NodeName.t()], integer()) :: boolean()
  def let_in?(
        %{asking: %{alone: %{kept_out: %{tried_at: at} = kept_out}}} = roster,
        target,
        silent,
        now
      )
      when at != nil do
    now - at < @word and not Outlook.lonely?(roster) and target in kept_out.group and
      silent -- kept_out.silent == []
  end

  def let_in?(_roster, _target, _silent, _now), do: false

  @doc "When a refused target is asked about again, in milliseconds."
  @spec again_in(Book.t(), integer()) :: pos_integer()
  def again_in(roster, now) do
    case roster.asking.alone.kept_out do
      %{tried_at: nil, since: since} ->
        max(min(roster.interval, since + @patience - now), 100)

      _tried_or_contradicted ->
        @reuse
    end
  end
end

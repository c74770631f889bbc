defmodule DNSMesh.Problems do
  @moduledoc false
  # "Say it once": which problems are there now, and when each is to be mentioned again. A problem is mentioned when it
  # is new or has a new face, and then each time it has lasted twice as long. Pure.

  defstruct entries: %{}

  @type key :: term()
  @type t :: %__MODULE__{
          entries: %{
            key() => %{
              since: integer(),
              faces: MapSet.t(),
              times: pos_integer(),
              again_at: integer()
            }
          }
        }
  @type mention :: %{lasted: non_neg_integer(), times: pos_integer()}

  @typedoc "What a problem is; a tuple when several of the kind may be there at once, its kind first."
  @type effect :: {:event, [atom()], mention(), map()}

  @doc """
  Notes whether a problem is there at `now` (monotonic milliseconds), and gives the event to tell, if it is time to.

  `face` is how the problem looks (its reason, say): a face not seen before is told at once. `first` is how long it
  lasts before it is told a second time; after that the time doubles.
  """
  @spec check(
          t(),
          boolean(),
          key(),
          face :: term(),
          details :: map(),
          now :: integer(),
          first :: pos_integer()
        ) ::
          {t(), [effect()]}
  def check(problems, true, key, face, details, now, first) do
    {problems, mention} = note(problems, key, face, now, first)
    {problems, tell(mention, :raised, key, details)}
  end

  def check(problems, false, key, _face, details, now, _first) do
    {problems, mention} = clear(problems, key, now)
    {problems, tell(mention, :cleared, key, details)}
  end

  defp tell(nil, _event, _key, _details), do: []

  defp tell(mention, event, key, details),
    do: [{:event, [:problem, event], mention, Map.put(details, :problem, kind(key))}]

  defp kind(key) when is_tuple(key), do: elem(key, 0)
  defp kind(key), do: key

  defp note(%__MODULE__{entries: entries} = problems, key, face, now, first) do
    entry =
      Map.get(entries, key, %{since: now, faces: MapSet.new(), times: 0, again_at: now})
      |> Map.update!(:times, &(&1 + 1))

    if now >= entry.again_at or face not in entry.faces do
      lasted = now - entry.since

      entry = %{
        entry
        | faces: MapSet.put(entry.faces, face),
          again_at: entry.since + max(first, 2 * lasted)
      }

      {%{problems | entries: Map.put(entries, key, entry)}, %{lasted: lasted, times: entry.times}}
    else
      {%{problems | entries: Map.put(entries, key, entry)}, nil}
    end
  end

  defp clear(%__MODULE__{entries: entries} = problems, key, now) do
    case Map.pop(entries, key) do
      {nil, _entries} ->
        {problems, nil}

      {entry, entries} ->
        {%{problems | entries: entries}, %{lasted: now - entry.since, times: entry.times}}
    end
  end
end

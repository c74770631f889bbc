defmodule DNSMesh.Doctor.Replies do
  @moduledoc false
  # What comes back of all that the doctor has asked at once.

  @doc """
  One message for each ref, until there is no time (monotonic milliseconds); `asked` is `%{ref => %{key: what}}`, with the
  process that asks under `:pid` where there is one, the result `%{what => read}`.
  """
  @spec collect(%{reference() => map()}, integer(), (map(), term() -> term()), map()) :: map()
  def collect(asked, until, read, found \\ %{})
  def collect(asked, _until, _read, found) when asked == %{}, do: found

  def collect(asked, until, read, found) do
    receive do
      {ref, reply} when is_map_key(asked, ref) ->
        {one, asked} = Map.pop!(asked, ref)
        collect(asked, until, read, Map.put(found, one.key, read.(one, reply)))

      {:DOWN, ref, :process, _pid, reason} when is_map_key(asked, ref) ->
        {one, asked} = Map.pop!(asked, ref)
        collect(asked, until, read, Map.put(found, one.key, read.(one, reason)))
    after
      max(until - System.monotonic_time(:millisecond), 0) ->
        for {_ref, %{pid: pid}} when pid != nil <- asked, do: Process.exit(pid, :kill)
        found
    end
  end
end

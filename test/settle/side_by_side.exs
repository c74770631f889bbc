defmodule Settle.SideBySide do
  @moduledoc false
  # Runs what fits side by side, in order: hosts at once are bounded, because all of them share this machine.

  @capacity 28

  @spec run([item], (item -> pos_integer()), (item -> result)) :: [result]
        when item: term(), result: term()
  def run(items, weight, fun), do: go(items, weight, fun, %{}, [])

  defp go([], _weight, _fun, running, done) when running == %{}, do: Enum.reverse(done)

  defp go(items, weight, fun, running, done) do
    busy = running |> Map.values() |> Enum.sum()
    fits? = fn item -> running == %{} or busy + weight.(item) <= @capacity end

    case Enum.split_while(items, &(not fits?.(&1))) do
      {_, []} ->
        {running, result} = finished(running)
        go(items, weight, fun, running, [result | done])

      {before, [item | rest]} ->
        {_pid, monitor} = spawn_monitor(fn -> exit({:shutdown, {:done, fun.(item)}}) end)
        go(before ++ rest, weight, fun, Map.put(running, monitor, weight.(item)), done)
    end
  end

  defp finished(running) do
    receive do
      {:DOWN, monitor, :process, _, {:shutdown, {:done, result}}}
      when is_map_key(running, monitor) ->
        {Map.delete(running, monitor), result}

      {:DOWN, monitor, :process, _, reason} when is_map_key(running, monitor) ->
        exit(reason)
    end
  end
end

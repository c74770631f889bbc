defmodule Settle.Log do
  @moduledoc false
  # Reads what the nodes have written; see node/recorder.ex. An event is `{ms, what, words}`.

  @type event :: {ms :: integer(), what :: String.t(), words :: [String.t()]}

  @doc "The events of one file, in order. What else is in it (log lines) is left out."
  @spec read(Path.t()) :: [event]
  def read(path) do
    for "settle " <> rest <- path |> lines(), event = event(rest), do: event
  end

  @doc "How often a VM has begun to write there."
  @spec boots(Path.t()) :: non_neg_integer()
  def boots(path), do: Enum.count(read(path), &match?({_, "BOOT", _}, &1))

  defp lines(path) do
    case File.read(path) do
      {:ok, text} -> String.split(text, "\n")
      {:error, :enoent} -> []
    end
  end

  # The last line of a VM that was killed may be half a line.
  defp event(text) do
    with [ms, what | words] <- String.split(text, " "), {ms, ""} <- Integer.parse(ms) do
      {ms, what, words}
    else
      _ -> nil
    end
  end
end

defmodule DNSMesh.Bench.Footprint do
  @moduledoc """
  What this VM's process takes from the system at this moment, with as little garbage in it as can be.
  """

  @type t :: %{rss: kilobytes :: non_neg_integer(), threads: pos_integer()}

  @spec now() :: t()
  def now do
    Enum.each(Process.list(), &:erlang.garbage_collect/1)
    %{rss: rss(), threads: number(File.read!("/proc/self/status"), "Threads")}
  end

  # VmRSS of /proc/self/status is the same number, counted in batches per thread: off by a few hundred kilobytes.
  defp rss do
    case File.read("/proc/self/smaps_rollup") do
      {:ok, text} -> number(text, "Rss")
      {:error, _} -> number(File.read!("/proc/self/status"), "VmRSS")
    end
  end

  defp number(text, key) do
    [_, digits] = Regex.run(~r/^#{key}:\s+(\d+)/m, text)
    String.to_integer(digits)
  end
end

defmodule DNSMesh.Bench.Table do
  @moduledoc """
  The one table all benchmarks print into, and the header that says where the figures come from.
  """

  alias DNSMesh.Bench.Samples

  @columns [what: 58, measured: 37, beside: 29, ratio: 18]

  @doc "Prints the header, unless the benchmark is one of many and the first has printed it."
  @spec header() :: :ok
  def header do
    unless System.get_env("DNS_MESH_BENCH_HEADER") == "printed" do
      IO.puts("""
      #{Date.utc_today()}  Elixir #{System.version()}, OTP #{:erlang.system_info(:otp_release)}, #{rustc()}
      #{:erlang.system_info(:logical_processors_online)} cores#{cpu()}, #{kernel()}, load average #{load()}
      """)

      line(
        what: "what",
        measured: "DNSMesh",
        beside: "beside it",
        ratio: "ratio",
        goal: "to reach"
      )

      IO.puts(String.duplicate("─", 168))
    end

    :ok
  end

  @doc """
  Prints one row: `:what` and `:measured` are texts; `:beside` is what the same run gave for the other way; `:ratio` is as
  `Samples.ratio/2` gives it; `:goal` is `{text, reached?}`.
  """
  @spec row(keyword()) :: :ok
  def row(cells) do
    cells
    |> Keyword.update(:ratio, "", &ratio/1)
    |> Keyword.update(:goal, "", fn {text, reached?} ->
      "#{text}: #{if reached?, do: "yes", else: "NO"}"
    end)
    |> line()
  end

  defp line(cells) do
    @columns
    |> Enum.map_join(" ", fn {column, width} ->
      String.pad_trailing(cells[column] || "", width)
    end)
    |> Kernel.<>(" #{cells[:goal]}")
    |> String.trim_trailing()
    |> IO.puts()
  end

  defp ratio({median, lowest, highest}),
    do: "#{decimal(median)} (#{decimal(lowest)}–#{decimal(highest)})"

  @doc "Median and 99th percentile of microseconds, with the worst where `:max` is asked for."
  @spec spread(Samples.t(), [:max]) :: String.t()
  def spread(samples, more \\ []) do
    worst = if :max in more, do: ", max #{time(Enum.max(samples))}", else: ""
    "#{time(Samples.median(samples))}, p99 #{time(Samples.percentile(samples, 99))}#{worst}"
  end

  @doc "Microseconds for people."
  @spec time(number()) :: String.t()
  def time(us) when us < 10, do: "#{decimal(us)} µs"
  def time(us) when us < 1_000, do: "#{round(us)} µs"
  def time(us) when us < 10_000, do: "#{decimal(us / 1_000)} ms"
  def time(us) when us < 1_000_000, do: "#{round(us / 1_000)} ms"
  def time(us), do: "#{decimal(us / 1_000_000)} s"

  @spec decimal(number()) :: String.t()
  def decimal(number), do: :erlang.float_to_binary(number / 1, decimals: 2)

  defp rustc do
    {version, 0} = System.cmd("rustc", ["--version"])
    version |> String.split(" ") |> Enum.take(2) |> Enum.join(" ")
  end

  defp kernel do
    {kernel, 0} = System.cmd("uname", ["-sr"])
    String.trim(kernel)
  end

  defp cpu do
    with {:ok, text} <- File.read("/proc/cpuinfo"),
         [_, model] <- Regex.run(~r/^model name\s*: (.*)$/m, text),
         do: " (#{model})",
         else: (_ -> "")
  end

  defp load do
    case File.read("/proc/loadavg") do
      {:ok, text} -> text |> String.split(" ") |> hd()
      {:error, _} -> "unknown"
    end
  end
end

defmodule Settle.Plan do
  @moduledoc false
  # Every run there is, as data: which story, how many hosts, how long, what has to hold. Times are seconds.
  #
  #   base       quiet before the fault; above a minute, so that links count as old when it comes
  #   fault      how long it lasts, and window, its last part, in which nothing may move any more
  #   heal       after its end
  #   bursts     how often the fault may cost nodedowns, the last of them `latest` after its beginning
  #   ticktime   net_ticktime; nil is OTP's default
  #
  # A run with `must_fail` is a control: a wrong library, and good when one of these checks notices.

  @defaults %{
    base: 75,
    fault: 140,
    window: 120,
    heal: 25,
    bursts: 0,
    latest: 0,
    ticktime: 8,
    interval: 5_000,
    options: [],
    lie: nil,
    must_fail: []
  }

  @settles [:A0, :A1, :A2, :A3, :A4, :A5, :A9]

  # What all runs of a story share.
  @stories %{
    newcomer: [checks: @settles ++ [:A8]],
    port_only: [checks: @settles ++ [:A8]],
    # global cuts both parties when it sees a pair break. Its first word comes with the tick timeout.
    mid_life: [checks: @settles, bursts: 1, latest: 20],
    # There are no links before the fault.
    cold_start: [checks: @settles -- [:A0]],
    halves: [checks: [:A0, :A1, :A3, :A5, :A7, :A9]],
    flapping: [checks: [:A0, :A5, :A9], fault: 280, heal: 5],
    vanished: [checks: [:A0, :join, :A9], base: 15, fault: 100, heal: 0, ticktime: nil],
    dead_address: [checks: [:A0, :join, :A9], base: 15, fault: 15, heal: 0],
    rolling: [checks: [:A0, :A6, :only_restarted, :dials, :A9], base: 15, heal: 10],
    relinked: [checks: [:A0, :relink, :A9], base: 30, heal: 0],
    host_gone: [checks: [:A0, :A6, :A9], base: 15, fault: 60, heal: 30],
    dns_faults: [checks: [:A0, :no_nodedown, :A9], base: 15, heal: 0],
    leaving: [checks: [:A0, :A6, :left, :only_restarted, :A9], base: 15, heal: 10],
    bypassed: [checks: [:A0, :A1, :A3, :bypass, :A9]],
    parted: [checks: [:A0, :A9], base: 15, heal: 5]
  }

  # A control needs no longer.
  @short [base: 15, fault: 75, window: 60, heal: 10]

  @selection [
    {"S1", :newcomer, 4, []},
    {"S2", :mid_life, 4, []},
    {"SB", :cold_start, 4, []},
    {"SD", :port_only, 4, []},
    {"S8", :halves, 5, []},
    {"S7v", :vanished, 4, []},
    {"S4", :rolling, 4, []},
    {"R8", :rolling, 8, []},
    {"R", :relinked, 4, early: 6, late: 4},
    {"S5", :host_gone, 4, []},
    {"L3", :leaving, 3, []},
    {"DNS", :dns_faults, 4, []},
    {"S1-off", :newcomer, 4, [options: [ask_first: false], must_fail: [:A3]] ++ @short},
    {"S1-nobody", :newcomer, 4,
     [options: [allow: ["192.0.2.0/24"]], must_fail: [:A0, :A1]] ++ @short},
    {"SD-epmd", :port_only, 4, [lie: "epmd", must_fail: [:A3, :A4]] ++ @short},
    {"cut", :parted, 3, must_fail: [:A9]}
  ]

  @rest [
    {"S2-off", :mid_life, 4, [options: [ask_first: false], must_fail: [:A3]] ++ @short},
    {"S1-60", :newcomer, 4, ticktime: nil, bursts: 1, latest: 45},
    {"S2-60", :mid_life, 4, ticktime: nil, fault: 210, latest: 90},
    {"SA", :bypassed, 4, []},
    {"L8", :leaving, 8, []},
    {"S7", :dead_address, 4, []},
    {"SF", :flapping, 4, []},
    {"R50", :relinked, 4, early: 25, late: 25},
    {"SB-8", :cold_start, 8, []},
    {"S1-8", :newcomer, 8, []},
    {"S2-8", :mid_life, 8, []},
    {"S1-20", :newcomer, 20, []},
    {"S2-20", :mid_life, 20, []},
    {"DNS-20", :dns_faults, 20, []}
  ]

  # Two who cannot see each other and one who sees both; more would not fit into the addresses.
  @hosts 3..200

  @type run :: map()

  @spec all() :: [run]
  def all, do: Enum.map(@selection ++ @rest, &run/1)

  @doc "What the arguments choose, or a sentence on what is wrong with them."
  @spec chosen([String.t()]) :: {:ok, [run]} | {:error, String.t()}
  def chosen(arguments) do
    strict = [all: :boolean, only: :string, hosts: :integer]

    with {:ok, flags} <- flags(OptionParser.parse(arguments, strict: strict)),
         {:ok, runs} <- runs(flags),
         do: resize(runs, flags[:hosts])
  end

  defp flags({flags, [], []}), do: {:ok, flags}
  defp flags({_, [argument | _], _}), do: {:error, "unknown argument: #{argument}"}
  defp flags({_, _, [{flag, nil} | _]}), do: {:error, "unknown argument: #{flag}"}
  defp flags({_, _, [{flag, value} | _]}), do: {:error, "#{flag} cannot be #{value}"}

  defp runs(%{} = flags) when is_map_key(flags, :only),
    do: flags.only |> String.split(",") |> Enum.uniq() |> only()

  defp runs(%{all: true}), do: {:ok, all()}
  defp runs(%{}), do: {:ok, Enum.map(@selection, &run/1)}
  defp runs(flags), do: flags |> Map.new() |> runs()

  defp only(ids) do
    runs = Map.new(all(), &{&1.id, &1})

    case Enum.reject(ids, &is_map_key(runs, &1)) do
      [] ->
        {:ok, Enum.map(ids, &runs[&1])}

      [unknown | _] ->
        {:error, "no run #{unknown}; there are #{Enum.map_join(all(), ", ", & &1.id)}"}
    end
  end

  defp resize(runs, nil), do: {:ok, runs}

  defp resize(runs, hosts) when hosts in @hosts,
    do:
      {:ok, for(run <- runs, do: if(run.story == :halves, do: run, else: %{run | hosts: hosts}))}

  defp resize(_runs, hosts),
    do: {:error, "--hosts has to be from #{@hosts.first} to #{@hosts.last}, not #{hosts}"}

  defp run({id, story, hosts, own}) do
    @defaults
    |> Map.merge(Map.new(@stories[story]))
    |> Map.merge(Map.new(own))
    |> Map.merge(%{id: id, story: story, hosts: hosts})
  end
end

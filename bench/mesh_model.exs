# How long a mesh takes to form, in simulated time: the pure parts of the library, and a network of their own. Beside it the same
# nodes that dial at once, `ask_first: false`. What a machine has to compute for it is not in these figures.
Code.require_file("support.exs", __DIR__)

for file <- ~w(given simulation/network simulation),
    do: Code.require_file("../test/support/#{file}.ex", __DIR__)

defmodule DNSMesh.Bench.MeshModel do
  alias DNSMesh.Bench.{Samples, Table}
  alias DNSMesh.Test.Simulation

  @runs 7
  # Long after the others have met.
  @later 30_000
  @never 10_000_000

  def run do
    Table.header()

    for {what, goal, scenario} <- rows() do
      [asks, blind] = for config <- [[], [ask_first: false]], do: times(scenario, config)
      {ratio, _lowest, _highest} = ratios = Samples.ratio(asks, blind)

      Table.row(
        what: "model: " <> what,
        measured: spread(asks),
        beside: "at once #{spread(blind)}",
        ratio: ratios,
        goal: {"≤ #{goal}", ratio <= goal}
      )
    end
  end

  # {what, how much slower it may be, {hosts that start, those that are to be linked, since when, options}}
  defp rows do
    for({kind, what} <- [refused: "refuse", silent: "drop all", epmd: "have a silent epmd"]) do
      absent = for host <- 9..11, do: {host, kind}
      {"8 nodes, beside 3 addresses that #{what}", 1.3, {1..8, 1..8, 0, absent: absent}}
    end
    |> Enum.concat([
      {"16 nodes start together", 1.2, {1..16, 1..16, 0, []}},
      {"24 nodes", 1.2, {1..24, 1..24, 0, []}},
      {"8 nodes beside 3 that hang", 1.3, {1..11, 4..11, 0, hung: hung(1..3, 0)}},
      {"one more joins 7", 1.5, {1..8, 1..8, @later, late: 8}},
      {"one without the library joins 7", 1.2, {1..8, 1..8, @later, late: 8, plain: [8]}},
      {"12 nodes, 20 ms round trip", 2, {1..12, 1..12, 0, rtt: 20}},
      {"12 nodes, 80 ms", 2, {1..12, 1..12, 0, rtt: 80}},
      {"12 nodes, 200 ms", 2, {1..12, 1..12, 0, rtt: 200}},
      {"12 nodes, 200 ms and 5 % loss", 2, {1..12, 1..12, 0, rtt: 200, loss: 0.05}},
      {"30 nodes, 80 ms", 2, {1..30, 1..30, 0, rtt: 80}},
      {"two beside 30 that hang", 2, {1..32, 31..32, 0, hung: hung(1..30, 0)}},
      {"one more joins 5, of which 2 are frozen", 2,
       {1..6, 3..6, @later, late: 6, hung: hung(1..2, @later - 1_000)}}
    ])
  end

  defp hung(hosts, from), do: for(host <- hosts, do: {host, from, @never})

  defp times({hosts, linked, since, opts}, config) do
    for seed <- 1..@runs do
      _ = :rand.seed(:exsss, seed)
      boots = Map.new(hosts, &{&1, :rand.uniform(20)})
      {late, opts} = Keyword.pop(opts, :late)
      boots = if late, do: Map.put(boots, late, since), else: boots
      # Up to an interval later, for who has to be found by a poll.
      listed = if late, do: [{late, since + if(opts[:plain], do: :rand.uniform(5_000), else: 0)}]

      opts =
        [config: config, seed: seed, up: late == nil, listed: listed || [], until: 150_000] ++
          opts

      mesh = Simulation.start(boots, [], opts)

      with at when at != nil <- Simulation.whole_at(mesh, Enum.to_list(linked)),
           do: max(at - since, 1)
    end
    |> Enum.map(&((&1 || 150_000) * 1_000))
  end

  defp spread(samples),
    do: "#{Table.time(Samples.median(samples))}, max #{Table.time(Enum.max(samples))}"
end

DNSMesh.Bench.MeshModel.run()

defmodule DNSMesh.ColdStartTest do
  # All nodes of a mesh start within a second of each other, in any order, and some pair cannot reach each other. No link
  # is ever ended by the library, so whom each node meets first settles it: the largest group there can be has to form
  # around the pair, and never one in which both of them are, for `global` would cut it. In simulated time.
  use ExUnit.Case, async: true

  alias DNSMesh.Test.Simulation

  # Starts per row, each in an order of its own.
  @starts 50

  @rows [
    {"nobody blocked", 6, [], [6]},
    {"the two lowest of four", 4, [{1, 2}], [3, 1]},
    {"the two highest of four", 4, [{3, 4}], [3, 1]},
    {"the lowest and the highest of four", 4, [{1, 4}], [3, 1]},
    {"the two lowest of three", 3, [{1, 2}], [2, 1]},
    {"the two lowest of eight", 8, [{1, 2}], [7, 1]},
    {"two in the middle of eight", 8, [{3, 6}], [7, 1]},
    {"two halves, and a fifth that sees both", 5, [{1, 3}, {1, 4}, {2, 3}, {2, 4}], [3, 2]}
  ]

  for {what, hosts, blocked, sizes} <- @rows, spread <- [20, 300, 1_000] do
    test "#{what}, all up within #{spread} ms" do
      for {seed, boots} <- starts(unquote(hosts), unquote(spread)) do
        mesh = Simulation.start(boots, unquote(blocked), seed: seed)
        story = inspect({seed, boots, mesh.log}, limit: :infinity)
        assert mesh.overlaps == [], story

        assert Enum.map(Simulation.groups(mesh, unquote(hosts)), &length/1) == unquote(sizes),
               story
      end
    end
  end

  test "who does not ask lets both in: the simulation would notice" do
    for {seed, boots} <- starts(4, 300) do
      mesh = Simulation.start(boots, [{1, 2}], seed: seed, config: [ask_first: false])
      assert [{_at, {1, 2}}] = mesh.overlaps
    end
  end

  test "nobody is blocked, and all are linked a second after the last one has started" do
    for {_seed, boots} = start <- starts(20, 1_000) do
      last = boots |> Map.values() |> Enum.max()
      mesh = Simulation.start(boots, [], seed: elem(start, 0), until: last + 1_000)
      assert [whole] = Simulation.groups(mesh, 20), inspect(start)
      assert length(whole) == 20
      assert MapSet.size(mesh.links) == 190, inspect(start)
    end
  end

  defp starts(hosts, spread) do
    {_, run, _} = :os.timestamp()

    for n <- 1..@starts do
      seed = {run, hosts, n}
      _ = :rand.seed(:exsss, seed)
      {seed, Map.new(1..hosts, &{&1, :rand.uniform(spread)})}
    end
  end
end

defmodule DNSMesh.OutsidersTest do
  # Which cuts are laid at an outsider's door, and for how long: on the roster alone.
  use ExUnit.Case, async: true

  alias DNSMesh.{Candidates, Roster}
  alias DNSMesh.Roster.Outsiders
  alias DNSMesh.Test.Given

  @a "app@10.0.0.1"
  @peers [@a, "app@10.0.0.3", "app@10.0.0.4"]
  @l "livebook@10.0.0.9"

  defp world(overrides \\ []) do
    Map.merge(
      %{
        distribution: Given.distribution(2),
        own_addresses: [{10, 0, 0, 2}],
        connected: @peers,
        hidden: [],
        guarded?: true
      },
      Map.new(overrides)
    )
  end

  defp listed,
    do:
      {:answer, :q,
       %Candidates{query: "app", names: Map.new(@peers, &{&1, {[{10, 0, 0, 1}], nil}})}}

  # Linked to a, which is listed.
  defp play(events, world \\ world()) do
    Enum.reduce(
      [{0, {:round, world}}, {1, listed()} | events],
      {Roster.new(Given.config(), 1), []},
      fn {now, event}, {roster, told} ->
        {roster, effects} = Roster.handle(roster, event, now)

        {roster,
         told ++
           for({:event, [:problem, what], _, %{problem: :outsider} = m} <- effects, do: {what, m})}
      end
    )
  end

  defp visit(at, reason, type \\ :visible, stay \\ 400),
    do: [{at, {:nodeup, @l, type}}, {at + stay, {:nodedown, @l, type, reason}}]

  defp flap(at, reason),
    do: [{at, {:nodedown, @a, :visible, reason}}, {at + 400, {:nodeup, @a, :visible}}]

  defp looked(at, overrides \\ []), do: {at, {:round, world(overrides)}}

  @thrice [100, 1_000, 1_700]

  test "an outsider that was cut three times is told, once, with what was counted" do
    events = Enum.flat_map(@thrice, &visit(&1, :connection_closed))
    {_, told} = play(events ++ [looked(2_000), looked(3_000)])
    assert told == [{:raised, %{problem: :outsider, peers: [@l], cuts: 3, node: "app@10.0.0.2"}}]
  end

  test "links of peers that did not last count while an outsider is linked" do
    came = {100, {:nodeup, @l, :visible}}
    events = Enum.flat_map([200, 5_000, 9_000], &flap(&1, :connection_closed))
    {_, told} = play([came | events] ++ [looked(10_000, connected: [@l | @peers])])
    assert [{:raised, %{peers: [@l], cuts: 3}}] = told
  end

  test "two cuts, other ends, links that lasted, and hidden visits lay nothing at anybody's door" do
    came = {100, {:nodeup, @l, :visible}}

    for events <- [
          visit(100, :disconnect) ++ visit(1_000, :connection_closed),
          Enum.flat_map(@thrice, &visit(&1, :net_tick_timeout)),
          Enum.flat_map(@thrice, &visit(&1, :disconnect, :hidden)),
          Enum.flat_map([1, 2, 3], &visit(&1 * 100_000, :disconnect, :visible, 61_000)),
          [came | Enum.flat_map([1, 2, 3], &flap(&1 * 62_000, :connection_closed))],
          [came | Enum.flat_map(@thrice, &flap(&1, :net_tick_timeout))]
        ] do
      {last, _event} = List.last(events)
      {_, told} = play(events ++ [looked(last + 1_000, connected: [@l | @peers])])
      assert told == []
    end
  end

  test "nor do several links that had lasted, and end together, nor hidden ones" do
    came = {100, {:nodeup, @l, :visible}}
    down = fn name, at, type -> {at, {:nodedown, name, type, :connection_closed}} end
    lasted = for name <- @peers, do: down.(name, 61_000, :visible)
    hidden = for name <- @peers, do: down.(name, 1_000, :hidden)
    left = for n <- 1..3, do: down.("livebook#{n}@10.0.0.9", 61_000, :visible)
    there = for n <- 1..3, do: {50, {:nodeup, "livebook#{n}@10.0.0.9", :visible}}

    for {events, world} <- [
          {lasted, world()},
          {hidden, world(hidden: @peers)},
          {there ++ left, world()}
        ] do
      {_, told} = play([came | events] ++ [looked(62_000, connected: [@l])], world)
      assert told == []
    end
  end

  test "nobody is suspected where nobody who is not listed is there" do
    {roster, told} = play(Enum.flat_map(@thrice, &flap(&1, :disconnect)) ++ [looked(3_000)])
    assert told == []
    assert Outsiders.cuts(roster, 3_000) == 3
    assert Outsiders.suspects(roster, 3_000) == []
  end

  test "nor where global cuts nothing" do
    events = Enum.flat_map(@thrice, &visit(&1, :disconnect))
    {_, told} = play(events ++ [looked(3_000, guarded?: false)])
    assert told == []
  end

  test "it is over when the outsider comes back hidden, or two minutes later" do
    events = Enum.flat_map(@thrice, &visit(&1, :disconnect)) ++ [looked(2_200)]
    {_, told} = play(events ++ [{3_000, {:nodeup, @l, :hidden}}, looked(4_000)])
    assert [{:raised, _}, {:cleared, _}] = told
    {_, told} = play(events ++ [looked(122_200)])
    assert [{:raised, _}, {:cleared, _}] = told
  end

  test "what is remembered is bounded" do
    {roster, _} = play(Enum.flat_map(1..500, &visit(&1 * 500, :disconnect)))
    assert Outsiders.cuts(roster, 250_500) == 32
    strangers = for n <- 1..500, do: {n, {:nodeup, "livebook#{n}@10.0.0.9", :visible}}
    {roster, _} = play(strangers)
    assert map_size(roster.outsiders.came) == 32
  end
end

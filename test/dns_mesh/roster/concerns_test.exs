defmodule DNSMesh.Roster.ConcernsTest do
  # What is wrong, and of whom it is said.
  use ExUnit.Case, async: true

  alias DNSMesh.{Distribution, Peer, Query, Roster}
  alias DNSMesh.Roster.Concerns
  alias DNSMesh.Test.Given

  defp world(overrides \\ []),
    do:
      Map.merge(
        %{distribution: Given.distribution(1), own_addresses: [{10, 0, 0, 1}], connected: []},
        Map.new(overrides)
      )

  defp peer(n, overrides),
    do: struct!(%Peer{name: "app@10.0.0.#{n}", since: 0, known_at: 0}, overrides)

  # The one that is this node's own among them, as it is in every answer.
  defp roster(peers, overrides \\ []) do
    peers = [peer(1, state: :refused, reason: :self) | peers]
    roster = Roster.new(Given.config(), 1)
    struct!(%{roster | world: world(), peers: Map.new(peers, &{&1.name, &1})}, overrides)
  end

  # More than a map keeps in order.
  defp many, do: for(n <- 20..59, do: "app@10.0.0.#{n}")

  defp told({_roster, effects}, what \\ :raised),
    do: for({:event, [:problem, ^what], _, details} <- Enum.reverse(effects), do: details)

  defp look(roster, now \\ 0), do: Concerns.look({roster, []}, now)
  defp raised(roster, now \\ 0), do: for(problem <- told(look(roster, now)), do: problem.problem)

  describe "a fault that lies with this node" do
    for {reason, problem} <- [
          short_names: :short_names,
          long_names: :long_names,
          wrong_family: :wrong_family,
          not_allowed: :not_allowed,
          unresolved: :unresolved,
          no_host_name: :named_by_host
        ],
        state <- [:refused, :held] do
      reason = if reason == :no_host_name, do: {reason, :nxdomain}, else: reason

      test "#{problem} is told when it bars everyone, #{state}, and only then" do
        barred = for n <- 59..20//-1, do: peer(n, state: unquote(state), reason: unquote(reason))
        assert [told] = told(look(roster(barred)))
        assert told.problem == unquote(problem)
        assert told.peers == many()
        assert told.node == "app@10.0.0.1"

        other = peer(4, state: :connected)
        assert raised(roster([other | barred])) == []
        assert raised(roster([])) == []

        # When somebody else comes it is over.
        {before, _} = look(roster(barred))
        now = %{before | peers: Map.put(before.peers, other.name, other)}
        assert [%{problem: unquote(problem)}] = told(look(now, 1), :cleared)
      end
    end

    test "an unsettled name is none of them" do
      unnamed = %Distribution{alive?: false, names: nil, family: :inet, tls?: false, epmd?: true}
      assert raised(roster([], world: world(distribution: unnamed))) == [:not_distributed]

      assert raised(roster([], world: world(distribution: unnamed, naming?: false))) == [
               :not_distributed
             ]

      # It is being taken: what keeps it from that is told elsewhere.
      assert raised(roster([], world: world(distribution: unnamed, naming?: true))) == []
      # A :resolver module connects as it likes.
      assert raised(roster([], world: world(distribution: unnamed), gated?: false)) == []
      assert raised(roster([], world: world(naming?: false))) == []
    end
  end

  test "an epmd that is silent is told after two intervals, wherever the clock stands" do
    for start <- [-576_460_751_000, 0, 576_460_751_000] do
      silent =
        for n <- 59..20//-1, do: peer(n, state: :held, reason: {:epmd, :silent}, since: start)

      others = [peer(2, state: :held, reason: :leaving, since: start), peer(3, state: :connected)]
      roster = roster(others ++ silent)
      assert raised(roster, start + 9_999) == []
      assert [%{problem: :epmd_unreachable, peers: peers}] = told(look(roster, start + 10_000))
      assert peers == many()
    end
  end

  test "all peers without an atom are named" do
    waiting = for n <- 59..20//-1, do: peer(n, state: :waiting, reason: :atom_budget)
    assert [%{problem: :atom_budget, peers: peers}] = told(look(roster([peer(2, []) | waiting])))
    assert peers == many()
  end

  describe "who is held for a member" do
    test "is told by member and kind, and when it is over" do
      held = fn n, reason -> peer(n, state: :held, reason: reason) end

      peers = [
        held.(9, {:unreachable_for, "x@h"}),
        held.(7, {:unreachable_for, "x@h"}),
        held.(8, {:member_unreachable, "x@h"}),
        held.(6, {:gives_way, "x@h"}),
        held.(5, {:unreachable_for, "y@h"})
      ]

      {before, _} = looked = look(roster(peers))

      assert told(looked) |> Enum.map(&{&1.because, &1.member, &1.peers}) |> Enum.sort() == [
               {:member_unreachable, "x@h", ["app@10.0.0.8"]},
               {:unreachable_for, "x@h", ["app@10.0.0.7", "app@10.0.0.9"]},
               {:unreachable_for, "y@h", ["app@10.0.0.5"]}
             ]

      # Once more at each doubling, each counted once a round.
      for {at, times} <- [{5_000, 2}, {10_000, 3}], reduce: before do
        before ->
          {before, effects} = look(before, at)
          mentions = for {:event, [:problem, :raised], mention, _} <- effects, do: mention.times
          assert mentions == [times, times, times]
          before
      end

      {_, effects} = look(%{before | peers: roster([hd(peers)]).peers}, 1)
      over = told({nil, effects}, :cleared) |> Enum.map(&{&1.because, &1.member}) |> Enum.sort()
      assert over == [{:member_unreachable, "x@h"}, {:unreachable_for, "y@h"}]
    end
  end

  describe "who is not reached" do
    test "is told after two dials that failed, or three probes and two intervals" do
      for {peer, now, told?} <- [
            {[failures: 1], 0, false},
            {[failures: 2], 0, true},
            {[failures: 2, state: :joining], 0, true},
            {[failures: 2, state: :held, reason: {:unreachable_for, "x@h"}], 0, false},
            {[failures: 2, state: :new], 0, false},
            {[misses: 3], 9_999, false},
            {[misses: 3], 10_000, true},
            {[misses: 2], 90_000, false},
            {[misses: 4], 10_000, true},
            # One that was lost counts from then.
            {[misses: 3, lost_at: 50_000], 59_999, false},
            {[misses: 3, lost_at: 50_000], 60_000, true},
            {[misses: 3, known_at: nil], 60_000, false}
          ] do
        peer = peer(2, Keyword.merge([state: :waiting, reason: {:dead, :refused}], peer))
        raised = for problem <- raised(roster([peer]), now), problem == :unreachable, do: problem
        assert raised == if(told?, do: [:unreachable], else: []), inspect({peer, now})
        # Beside a :resolver module too.
        assert raised(roster([peer], gated?: false), now) == raised
      end
    end

    test "is the same where the clock stands below zero" do
      start = -576_460_751_000
      peer = peer(2, state: :waiting, misses: 3, known_at: start)
      assert raised(roster([peer]), start + 9_999) == []
      assert raised(roster([peer]), start + 10_000) == [:unreachable]
    end

    test "is told anew when there are twice as many" do
      failing = fn count ->
        roster(for n <- count..1//-1, do: peer(n + 1, state: :waiting, failures: 2))
      end

      {_, told} =
        Enum.reduce(1..4, {failing.(1), []}, fn count, {before, all} ->
          {after_it, effects} = look(%{failing.(count) | problems: before.problems})
          {after_it, all ++ told({nil, effects})}
        end)

      assert Enum.map(told, &length(&1.peers)) == [1, 2, 4]
      {_, effects} = look(roster(for n <- 20..59, do: peer(n, state: :waiting, failures: 2)))
      assert [%{peers: peers}] = told({nil, effects})
      assert peers == many()

      assert List.last(told).peers == for(n <- 2..5, do: "app@10.0.0.#{n}")
    end

    test "is said to be listed by host, where a node that is named by address has it so" do
      failing = peer(5, state: :waiting, failures: 2)
      another = peer(7, state: :waiting, failures: 2)
      there = peer(6, state: :connected)
      names = &Map.new(&1, fn peer -> {peer.name, {[], nil}} end)

      listed = fn answers, own ->
        answers =
          for {text, type, peers} <- answers,
              into: %{},
              do: {{hd(Query.parse!(text)), type}, names.(peers)}

        world = world(distribution: Given.distribution(1, own))
        [told] = told(look(roster([failing, another, there], answers: answers, world: world)))
        told.listed_as
      end

      both = [{"app@host5", :a, [failing, there]}, {"app@host5", :aaaa, [failing]}]
      assert listed.(both, []) == ["app@host5"]
      # Not where nobody of it is missed, nor where it is no host, or no one name's.
      assert listed.([{"app@host6", :a, [there]}], []) == []
      assert listed.([{"host5", :a, [failing]}], []) == []
      assert listed.([{"*@host5", :a, [failing]}], []) == []
      assert listed.([{"app@10.0.0.5", :a, [failing]}], []) == []
      # A node named by host has nothing to mend there.
      assert listed.(both, address: nil, host: "host1", node: "app@host1", names: :short) == []
    end
  end
end

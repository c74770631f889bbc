defmodule DNSMesh.Roster.AdmissionTest do
  # Who is held, and as what; in the course of events: roster_test.exs.
  use ExUnit.Case, async: true

  alias DNSMesh.{Candidates, Peer, Roster}
  alias DNSMesh.Test.Given

  @name "app@host.net"
  @there {10, 0, 0, 5}

  defp world(overrides \\ []),
    do:
      Map.merge(
        %{distribution: Given.distribution(1), own_addresses: [{10, 0, 0, 1}], connected: []},
        Map.new(overrides)
      )

  # Nobody is dialled here: this node leaves.
  defp roster(overrides \\ []) do
    roster = Roster.new(Given.config([ask_first: false] ++ overrides), 1)
    %{roster | world: world(), leaving?: true}
  end

  defp play(roster, events) do
    Enum.reduce(events, {roster, []}, fn {now, event}, {roster, effects} ->
      {roster, more} = Roster.handle(roster, event, now)
      {roster, effects ++ more}
    end)
  end

  defp answer(key \\ :q, names), do: answer(key, names, [])

  defp answer(key, names, more),
    do: {:answer, key, struct!(%Candidates{query: "q", names: Map.new(names)}, more)}

  defp heard(roster, events),
    do: roster |> play(Enum.with_index(events, &{&2, &1})) |> elem(0)

  defp ip(n), do: {10, 0, div(n, 256), rem(n, 256)}
  defp by_ip(numbers), do: for(n <- numbers, do: {"app@10.0.0.#{n}", {[ip(n)], nil}})
  defp loopback(numbers), do: for(n <- numbers, do: {"app@127.0.0.#{n}", {[{127, 0, 0, n}], nil}})

  defp names(roster), do: for(peer <- Roster.peers(roster), do: peer.name)

  defp told(effects, event),
    do: for({:event, ^event, counts, details} <- effects, do: {counts, details})

  describe "a name" do
    test "is missing once no answer lists it, and no more once one does" do
      roster = heard(roster(), [answer(:a, by_ip([5])), answer(:b, by_ip([5, 6]))])
      assert [%{missing_since: nil}, %{missing_since: nil}] = Roster.peers(roster)

      {roster, _} = play(roster, [{10, answer(:b, [])}])
      assert [%{missing_since: nil}, %{missing_since: 10}] = Roster.peers(roster)
      # It is missing since the first time.
      {roster, _} = play(roster, [{20, answer(:b, [])}])
      assert [_, %{missing_since: 10}] = Roster.peers(roster)
      {roster, _} = play(roster, [{30, answer(:a, by_ip([5, 6]))}])
      assert [%{missing_since: nil}, %{missing_since: nil}] = Roster.peers(roster)
    end

    test "at an address about which nothing was learnt is still listed, and no other" do
      names = [
        {"a@one.net", {[ip(5)], nil}},
        {"b@two.net", {[ip(6)], nil}},
        {"c@both.net", {[ip(6), ip(5)], nil}}
      ]

      roster = heard(roster(), [answer(names), answer(:q, [], unknown: [ip(5)])])
      missing = for peer <- Roster.peers(roster), peer.missing_since != nil, do: peer.name
      assert missing == ["b@two.net"]
      # What is said of it anew counts.
      roster = heard(roster, [answer(:q, [{"a@one.net", {[ip(7)], nil}}], unknown: [ip(5)])])
      assert Roster.addresses(roster, "a@one.net") == [ip(7)]
    end

    test "is forgotten after ten intervals where these are more than a minute" do
      many = for n <- 20..59, do: "app@10.0.0.#{n}"
      roster = heard(roster(interval: 10_000), [answer(by_ip(20..59)), {:listed_nothing, :q}])
      {later, effects} = play(roster, [{100_000, {:round, world()}}])
      assert {names(later), told(effects, [:peers, :forgotten])} == {many, []}
      {later, effects} = play(roster, [{100_001, {:round, world()}}])
      assert names(later) == []
      assert [{%{count: 40}, %{peers: ^many}}] = told(effects, [:peers, :forgotten])
    end

    test "is kept while it is linked or dialled, however long it is missing" do
      roster = heard(roster(), [answer(by_ip([5, 6])), {:listed_nothing, :q}])
      linked = world(connected: ["app@10.0.0.5"])
      roster = %{roster | joining: %{"app@10.0.0.6" => 0}}
      {roster, _} = play(roster, [{600_000, {:round, linked}}])
      assert names(roster) == ["app@10.0.0.5", "app@10.0.0.6"]
      {roster, _} = play(%{roster | joining: %{}}, [{600_001, {:round, linked}}])
      assert names(roster) == ["app@10.0.0.5"]
      {roster, _} = play(roster, [{600_002, {:round, world()}}])
      assert names(roster) == []
    end
  end

  describe "room" do
    test "is for max_peers names; what is left out is counted, and not remembered" do
      {roster, effects} = play(roster(max_peers: 2), [{0, answer(by_ip(5..9))}])
      assert length(names(roster)) == 2
      assert map_size(roster.answers.q) == 2
      assert [{_, %{left_out: 3, max_peers: 2}}] = told(effects, [:problem, :raised])

      # Exactly as many are not too many.
      {roster, effects} = play(roster(max_peers: 2), [{0, answer(by_ip(5..6))}])
      assert {length(names(roster)), told(effects, [:problem, :raised])} == {2, []}
      # Those already held take no room once more.
      {_, effects} = play(roster, [{1, answer(by_ip(5..6))}, {2, answer(by_ip(5..7))}])
      assert [{_, %{left_out: 1}}] = told(effects, [:problem, :raised])
    end

    test "of refused names is their own, and not told of" do
      {roster, effects} =
        play(roster(max_peers: 2), [{0, answer(:a, loopback(2..9))}, {1, answer(:b, by_ip(5..6))}])

      assert length(names(roster)) == 4
      assert told(effects, [:problem, :raised]) == []
      assert Enum.count(Roster.peers(roster), &(&1.state == :refused)) == 2
    end

    test "is never for more than twice max_peers together, whoever moves from one to the other" do
      full = heard(roster(max_peers: 2), [answer(:a, loopback(2..3)), answer(:b, by_ip(5..6))])
      # A refused one has come in: it is one of the others now, of which there are too many.
      came = heard(full, [{:nodeup, "app@127.0.0.2", :visible}])
      more = heard(came, [answer(:c, loopback(4..5)), answer(:d, by_ip(7..8))])
      assert names(more) == names(came)

      # The others have gone: there is room for one more refused one, and one more other one.
      few =
        heard(roster(max_peers: 2), [
          answer(:a, loopback(2..3)),
          {:nodeup, "app@127.0.0.2", :visible}
        ])

      few = heard(few, [answer(:c, loopback(4..5))])
      assert names(few) == ["app@127.0.0.2", "app@127.0.0.3", "app@127.0.0.4"]
      # And when it leaves it is a refused one again, the third.
      few = heard(few, [{:nodedown, "app@127.0.0.2", :visible, :connection_closed}])
      few = heard(few, [answer(:d, by_ip(7..9))])
      assert length(names(few)) == 4
      few = heard(few, [answer(:e, loopback(6..7))])
      assert length(names(few)) == 4
    end
  end

  describe "of what several lookups say of one name" do
    test "the kindest word counts" do
      join = {[], :join}
      plain = {[@there], nil}
      held = {[{127, 0, 0, 1}], {:held, {:no_host_name, :timeout}}}
      refused = {[], {:refused, {:no_host_name, :nxdomain}}}

      for {one, other, expected} <- [
            {join, {[{127, 0, 0, 1}], nil}, nil},
            {join, held, nil},
            {plain, refused, nil},
            {{[@there], {:held, :unresolved}}, plain, nil},
            {held, refused, {:held, {:no_host_name, :timeout}}}
          ],
          {a, b} <- [{one, other}, {other, one}] do
        roster = heard(roster(), [answer(:a, [{@name, a}]), answer(:b, [{@name, b}])])
        assert [%Peer{verdict: ^expected}] = Roster.peers(roster), inspect({a, b})
      end
    end

    test "all addresses count" do
      roster = heard(roster(), [answer(:a, [{@name, {[@there], nil}}])])
      bad = answer(:b, [{@name, {[{127, 0, 0, 1}], nil}}])
      assert [%Peer{verdict: {:refused, :not_allowed}}] = Roster.peers(heard(roster, [bad]))
      # Of one lookup, its last word.
      roster = heard(roster, [answer(:a, [{@name, {[{10, 0, 0, 6}], nil}}])])
      assert [%Peer{verdict: nil}] = Roster.peers(roster)
    end
  end

  test "beside a :resolver module nothing is refused but what is no name" do
    names =
      loopback([2]) ++ [{"a b@h", {[], {:refused, :bad_node_name}}}, {"app@10.0.0.1", {[], nil}}]

    odd = [{"held@h", {[], {:held, :unresolved}}}]
    module = %{roster() | gated?: false}

    verdicts =
      for peer <- Roster.peers(heard(module, [answer(names ++ odd)])),
          do: {peer.name, peer.verdict}

    assert verdicts == [
             {"a b@h", {:refused, :bad_node_name}},
             {"app@10.0.0.1", nil},
             {"app@127.0.0.2", nil},
             {"held@h", nil}
           ]
  end

  describe "policy's word" do
    @bad {[{127, 0, 0, 1}], nil}

    test "ends no link and no dial, but holds when they are over" do
      roster = heard(roster(), [answer([{@name, {[@there], nil}}])])

      linked = heard(roster, [{:nodeup, @name, :visible}, answer([{@name, @bad}])])
      assert [%Peer{state: :connected, verdict: {:refused, :not_allowed}}] = Roster.peers(linked)
      lost = heard(linked, [{:nodedown, @name, :visible, :connection_closed}])
      assert [%Peer{state: :refused, reason: :not_allowed}] = Roster.peers(lost)

      dialled = %{heard(%{roster | leaving?: false}, [:fill]) | leaving?: true}
      assert %{@name => _at} = dialled.joining
      refused = heard(dialled, [answer([{@name, @bad}])])
      assert [%Peer{state: :joining}] = Roster.peers(refused)

      # Nor is it dialled once more, though no answer comes any more.
      for ended <- [{:joined, @name, false}, {:joined, @name, :ignored}, {:no_atoms, [@name]}] do
        ended = heard(%{refused | leaving?: false}, [ended])
        assert [%Peer{state: :refused, reason: :not_allowed}] = Roster.peers(ended)
        {_, effects} = play(ended, for(at <- 0..600_000//5_000, do: {at, {:round, world()}}))
        assert for({:join, name} <- effects, do: name) == []
      end
    end

    test "that is over leaves a peer to be dialled, whatever it was" do
      for {candidate, before} <- [{@bad, :refused}, {{[], nil}, :held}] do
        roster = heard(roster(), [answer([{@name, candidate}])])
        assert [%Peer{state: ^before}] = Roster.peers(roster)
        roster = heard(roster, [answer([{@name, {[@there], nil}}])])

        assert [%Peer{state: :new, reason: nil, verdict: nil, next_at: nil}] =
                 Roster.peers(roster)
      end
    end

    test "is no reason to dial sooner who waits, or is held by members" do
      roster = heard(roster(), [answer([{@name, {[@there], nil}}])])

      for peer <- [
            [state: :waiting, reason: {:connect_failed, 1}, next_at: 9_000],
            [state: :held, reason: {:unreachable_for, "x@h"}, next_at: 9_000]
          ] do
        peer = struct!(Peer.new(@name, 0), peer)
        roster = %{roster | peers: %{@name => peer}}
        assert heard(roster, [answer([{@name, {[@there], nil}}])]).peers[@name] == peer
      end
    end

    test "finds a peer that came before it was listed, and is linked" do
      roster = heard(roster(), [{:nodeup, @name, :visible}, answer([{@name, {[@there], nil}}])])
      assert [%Peer{state: :connected}] = Roster.peers(roster)
    end
  end

  test "several addresses of one node are told, and when it is one again" do
    several = answer(:q, [{@name, {[@there], nil}}], several: 2)

    {_, effects} =
      play(roster(), [{0, several}, {1, several}, {2, answer([{@name, {[@there], nil}}])}])

    assert [{_, %{problem: :several_addresses, query: "q", addresses: 2}}] =
             told(effects, [:problem, :raised])

    assert [{_, %{problem: :several_addresses}}] = told(effects, [:problem, :cleared])
  end

  describe "a public address in the clear" do
    @public {8, 8, 8, 8}

    test "is told of those that may be dialled, one among others too" do
      names = [
        {"c@h.net", {[@public], nil}},
        {"b@h.net", {[@there, @public], nil}},
        {"a@h.net", {[@public], {:held, {:no_host_name, :timeout}}}},
        {"d@h.net", {[@there], nil}}
      ]

      {_, effects} = play(roster(), [{0, answer(names)}])

      assert [{_, %{problem: :public_plain, peers: ["b@h.net", "c@h.net"]}}] =
               told(effects, [:problem, :raised])

      # In order, also of more than a map keeps in order.
      names = for n <- 20..59, do: {"app@h#{n}.net", {[@public], nil}}
      {_, effects} = play(roster(), [{0, answer(names)}])
      assert [{_, %{peers: peers}}] = told(effects, [:problem, :raised])
      assert peers == Enum.map(names, &elem(&1, 0))
    end

    test "is a :resolver module's own business, and no matter over TLS" do
      tls = %{roster() | world: world(distribution: Given.distribution(1, tls?: true))}

      for roster <- [%{roster() | gated?: false}, tls] do
        {_, effects} = play(roster, [{0, answer([{@name, {[@public], nil}}])}])
        assert told(effects, [:problem, :raised]) == []
      end
    end
  end
end

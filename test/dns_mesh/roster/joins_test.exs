defmodule DNSMesh.Roster.JoinsTest do
  # Who is dialled, and what comes of it; in the course of events: roster_test.exs.
  use ExUnit.Case, async: true

  alias DNSMesh.{Distribution, Peer, Roster}
  alias DNSMesh.Roster.Joins
  alias DNSMesh.Test.Given

  @a "app@10.0.0.2"

  defp world(overrides \\ []),
    do:
      Map.merge(
        %{distribution: Given.distribution(1), own_addresses: [{10, 0, 0, 1}], connected: []},
        Map.new(overrides)
      )

  defp roster(peers, overrides \\ []) do
    peers = Map.new(peers, &{&1.name, &1})
    roster = Roster.new(Given.config(ask_first: false), 1)
    struct!(%{roster | world: world(), peers: peers}, overrides)
  end

  defp new(name \\ @a), do: Peer.new(name, 0)
  defp joining(count), do: for(n <- 1..count, into: %{}, do: {"app@10.1.0.#{n}", 0})

  defp dialled(roster, now \\ 0) do
    {_roster, effects} = Joins.fill({roster, []}, now)
    for {:join, name} <- Enum.reverse(effects), do: name
  end

  defp changed({roster, _effects}, connected) do
    {_roster, effects} = Roster.handle(roster, {:round, world(connected: connected)}, 1_000)
    for {:event, [:peers, :changed], _counts, names} <- effects, do: names
  end

  test "nobody is dialled before the first look at the world, nor while this node leaves or has no name" do
    unnamed = %Distribution{alive?: false, names: nil, family: :inet, tls?: false, epmd?: true}
    assert dialled(roster([new()])) == [@a]
    assert dialled(roster([new()], world: nil)) == []
    assert dialled(roster([new()], leaving?: true)) == []
    assert dialled(roster([new()], world: world(distribution: unnamed))) == []
    # A :resolver module connects as it likes, but not before there is a world, nor on leaving.
    assert dialled(roster([new()], world: world(distribution: unnamed), gated?: false)) == [@a]
    assert dialled(roster([new()], world: nil, gated?: false)) == []
    assert dialled(roster([new()], leaving?: true, gated?: false)) == []
  end

  test "128 at once" do
    assert dialled(roster([new()], joining: joining(127))) == [@a]
    assert dialled(roster([new()], joining: joining(128))) == []
    assert Joins.slot?(roster([], joining: joining(127)))
    refute Joins.slot?(roster([], joining: joining(128)))
  end

  test "the never tried before the once connected before the others, then the fewest failures, then the name" do
    peer = &struct!(%Peer{new(&1) | state: :waiting, next_at: 0}, &2)

    peers = [
      peer.("g", failures: 1),
      peer.("a", failures: 3),
      peer.("b", failures: 3),
      peer.("e", once_connected?: true, failures: 2),
      peer.("c", once_connected?: true),
      peer.("f", []),
      new("d")
    ]

    assert dialled(roster(peers)) == ~w(d f c e g a b)
  end

  test "who waits is due a fifth of the interval early, for so a poll may come" do
    for state <- [:waiting, :held] do
      peer = %{new() | state: state, next_at: 10_000}
      assert dialled(roster([peer]), 8_999) == []
      assert dialled(roster([peer]), 9_000) == [@a]
      assert dialled(roster([%{peer | next_at: nil}]), 9_000_000) == []
    end

    for state <- [:refused, :joining, :connected],
        do: assert(dialled(roster([%{new() | state: state, next_at: 1}]), 9_000) == [])
  end

  describe "the end of a join" do
    defp dial(now), do: Joins.join(new(), {roster([new()]), []}, now)

    test "is told with how long it took" do
      {roster, _} = dial(-500)
      {ended, effects} = Joins.ended({roster, []}, @a, false, 250)
      assert [{:event, [:join, :stop], %{duration: 750}, %{peer: @a, result: false}}] = effects
      assert ended.joining == %{}
      assert %{state: :waiting, reason: {:connect_failed, 750}, failures: 1} = ended.peers[@a]
    end

    test "is news once, whoever tells it first" do
      {roster, _} = dial(0)
      ended = Joins.ended({roster, []}, @a, true, 1)
      assert [%{joined: [@a], left: []}] = changed(ended, [@a])

      # Its nodeup had come, and been told.
      {up, _} = Roster.handle(roster, {:nodeup, @a, :visible}, 1)
      {told, effects} = Roster.handle(up, {:round, world(connected: [@a])}, 2)
      assert [%{joined: [@a]}] = for({:event, [:peers, :changed], _, names} <- effects, do: names)
      assert changed(Joins.ended({told, []}, @a, true, 3), [@a]) == []

      # Of a name that nobody has listed for long nothing is told.
      assert changed(Joins.ended({%{roster | peers: %{}}, []}, @a, true, 1), [@a]) == []
    end

    test "is news the first time where a :resolver module tells it" do
      {roster, _} = dial(0)
      module = %{roster | gated?: false}
      assert [%{joined: [@a]}] = changed(Joins.ended({module, []}, @a, true, 1), [@a])
      again = put_in(module.peers[@a].once_connected?, true)
      assert changed(Joins.ended({again, []}, @a, true, 1), [@a]) == []
      # Of a link that was lost it is news again.
      assert [%{joined: [@a]}] =
               changed(Joins.ended({%{again | gated?: true}, []}, @a, true, 1), [@a])
    end
  end

  describe "a peer that came in while it was dialled" do
    setup do
      {roster, _} = Joins.join(new(), {roster([new()]), []}, 0)
      {roster, []} = Roster.handle(roster, {:nodeup, @a, :visible}, 1)
      %{roster: roster}
    end

    test "stays connected, though the join finds no atom", %{roster: roster} do
      {roster, []} = Joins.put_off({roster, []}, [@a], 2)
      assert %{state: :connected} = roster.peers[@a]
      assert roster.joining == %{}
    end

    test "stays connected, though the join takes long", %{roster: roster} do
      {roster, []} = Joins.mark_slow({roster, []}, 10_000)
      assert %{state: :connected, reason: nil} = roster.peers[@a]
    end
  end

  test "a join is slow from :connect_timeout on, wherever the clock stands" do
    for start <- [-576_460_751_000, 0, 576_460_751_000] do
      {roster, _} = Joins.join(new(), {roster([new()]), []}, start)
      reason = fn at -> elem(Joins.mark_slow({roster, []}, start + at), 0).peers[@a].reason end
      assert reason.(9_999) == nil
      assert reason.(10_000) == :connect_timeout
    end
  end
end

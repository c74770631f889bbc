defmodule DNSMesh.Roster.BookTest do
  # What is written down of links, addresses and names.
  use ExUnit.Case, async: true

  alias DNSMesh.{Peer, Roster}
  alias DNSMesh.Roster.Book
  alias DNSMesh.Test.Given

  @a "app@10.0.0.2"

  defp roster(overrides \\ []), do: struct!(Roster.new(Given.config(), 1), overrides)
  defp with_peer(peer, overrides \\ []), do: roster([peers: %{peer.name => peer}] ++ overrides)

  test "peers have the option's basename, else that of the world, else this node's" do
    world = %{distribution: Given.distribution(1)}
    assert Book.basename(roster(world: world)) == "app"
    assert Book.basename(roster(world: Map.put(world, :basename, "soon"))) == "soon"

    assert Book.basename(roster(world: Map.put(world, :basename, "soon"), basename: "option")) ==
             "option"

    assert Book.basename(roster(world: world, basename: "option")) == "option"
  end

  test "a name's addresses are those of an answer that has any" do
    one = %{@a => {[], nil}}
    two = %{@a => {[{10, 0, 0, 2}], nil}}
    assert Book.addresses(roster(answers: %{1 => one, 2 => two}), @a) == [{10, 0, 0, 2}]
    assert Book.addresses(roster(answers: %{1 => two, 2 => one}), @a) == [{10, 0, 0, 2}]
    assert Book.addresses(roster(answers: %{1 => one}), @a) == []
    assert Book.addresses(roster(answers: %{1 => two}), "app@10.0.0.3") == []
    assert Book.addresses(roster(), @a) == []
  end

  test "a link is written down of strangers too, and its end, hidden or not" do
    linked = roster() |> Book.link(@a, 1)
    assert linked.connected == MapSet.new([@a])
    hidden = %{linked | hidden: MapSet.new([@a])}

    for roster <- [linked, hidden] do
      ended = Book.unlink(roster, @a, :disconnect, 2)
      assert {ended.connected, ended.hidden, ended.peers} == {MapSet.new(), MapSet.new(), %{}}
    end
  end

  test "a join under way outlives a link that it did not make" do
    peer = %{Peer.connected(Peer.new(@a, 0), 1) | failures: 2}
    roster = with_peer(peer, connected: MapSet.new([@a]), joining: %{@a => 1})
    peer = Book.unlink(roster, @a, :disconnect, 2).peers[@a]

    assert %{state: :joining, reason: nil, since: 2, lost_at: nil, damped_until: nil, failures: 2} =
             peer
  end

  test "who said that it leaves is held for that, but not against policy's word" do
    said = %{Peer.connected(Peer.new(@a, 0), 1) | leaving_until: 60_000}
    lost = fn peer, now -> Book.unlink(with_peer(peer), @a, :disconnect, now).peers[@a] end

    assert %{state: :held, reason: :leaving, next_at: 60_000} = lost.(said, 59_999)
    assert %{state: :new, next_at: nil} = lost.(said, 60_000)
    assert %{state: :new} = lost.(%{said | leaving_until: nil}, 5)

    assert %{state: :refused, reason: :not_allowed, next_at: nil} =
             lost.(%{said | verdict: {:refused, :not_allowed}}, 5)
  end
end

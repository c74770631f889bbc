defmodule DNSMesh.PeerTest do
  # The ways from one state of a peer to another.
  use ExUnit.Case, async: true

  alias DNSMesh.Peer

  defp peer(overrides \\ []), do: struct!(Peer.new("app@10.0.0.2", 1_000), overrides)

  test "a new one has nothing to its name but one redial that is free" do
    assert peer() == %Peer{
             name: "app@10.0.0.2",
             state: :new,
             since: 1_000,
             known_at: 1_000,
             failures: 0,
             misses: 0,
             holds: 0,
             flaps: 0,
             credits: 1,
             once_connected?: false,
             newcomer?: false
           }
  end

  test "what stands for an address without names is known by its state and reason" do
    for reason <- [{:epmd, :silent}, {:no_host_name, :timeout}] do
      for state <- [:held, :refused],
          do: assert(Peer.stand_in?(peer(state: state, reason: reason)))

      for state <- [:waiting, :joining, :connected, :new],
          do: refute(Peer.stand_in?(peer(state: state, reason: reason)))
    end

    for reason <- [nil, :unresolved, {:unreachable_for, "app@10.0.0.3"}],
        do: refute(Peer.stand_in?(peer(state: :held, reason: reason)))
  end

  test "it is in its state since it came into it, and for the reason it came for" do
    held = %{Peer.enter(peer(), :held, :unresolved, 2_000) | next_at: 9_000}
    assert %{state: :held, reason: :unresolved, since: 2_000} = held
    assert Peer.enter(held, :held, :unresolved, 3_000) == held

    assert %{reason: :leaving, since: 3_000, next_at: nil} =
             Peer.enter(held, :held, :leaving, 3_000)

    assert %{reason: nil, since: 3_000, next_at: nil} = Peer.enter(held, :new, nil, 3_000)
  end

  test "a link ends what was wrong before" do
    before =
      peer(
        state: :waiting,
        reason: {:dead, :refused},
        next_at: 9_000,
        failures: 3,
        misses: 4,
        holds: 5,
        lost_at: 500,
        leaving_until: 60_000,
        flaps: 2,
        credits: 0
      )

    # What is known of links that did not last stays: this one may not last either.
    assert Peer.connected(before, 2_000) == %{
             before
             | state: :connected,
               reason: nil,
               since: 2_000,
               next_at: nil,
               failures: 0,
               misses: 0,
               holds: 0,
               lost_at: nil,
               leaving_until: nil,
               once_connected?: true,
               linked_at: 2_000
           }
  end

  test "a link that is told of twice is as old as it was" do
    linked = Peer.connected(peer(), 2_000)
    assert Peer.connected(linked, 70_000) == linked
  end

  test "the port of a link is the one that was probed less than 10 s before" do
    for {probe, now, port} <- [
          {{:ok, 1_000, 9_100}, 1_000, 9_100},
          {{:ok, 1_000, 9_100}, 10_999, 9_100},
          {{:ok, 1_000, 9_100}, 11_000, nil},
          {{:ok, 1_000, nil}, 1_001, nil},
          {{:ok, -9_000, 9_100}, 999, 9_100},
          {{:ok, -9_000, 9_100}, 1_000, nil},
          {{{:dead, :refused}, 1_000, nil}, 1_001, nil},
          {nil, 1_001, nil}
        ],
        do: assert(Peer.connected(peer(probe: probe), now).linked_port == port)
  end

  test "policy's word is kept where it is one against the peer" do
    for against <- [{:refused, :self}, {:held, :unresolved}],
        do: assert(Peer.judged(peer(), against).verdict == against)

    for nothing <- [:join, {:waiting, :not_distributed}],
        do: assert(Peer.judged(peer(verdict: {:refused, :self}), nothing).verdict == nil)
  end

  test "a lost one begins anew, or is what policy says, and nothing is known of its port" do
    linked = %{Peer.connected(peer(), 2_000) | probe: {:ok, 1_999, 9_100}, failures: 2}
    lost = Peer.lost(linked, 3_000)

    assert %{state: :new, reason: nil, failures: 0, probe: nil, lost_at: 3_000, since: 3_000} =
             lost

    assert %{once_connected?: true, linked_at: 2_000} = lost

    refused = Peer.lost(%{linked | verdict: {:refused, :not_allowed}}, 3_000)
    assert %{state: :refused, reason: :not_allowed, probe: nil, lost_at: 3_000} = refused
  end

  test "one that policy has refused while it was dialled is refused when that is over" do
    dialled = peer(state: :joining, verdict: {:refused, :not_allowed})
    refused = %{dialled | state: :refused, reason: :not_allowed, since: 2_000}
    assert Peer.failed(dialled, {:connect_failed, 7}, 5_000, 0.5, 2_000) == refused
    assert Peer.postponed(dialled, :atom_budget, 5_000, 2_000) == refused
  end

  test "one that failed waits for longer each time, one that waits for this node till the next poll" do
    failed = Peer.failed(peer(failures: 1), {:connect_failed, 7}, 5_000, 0.5, 2_000)
    assert %{state: :waiting, reason: {:connect_failed, 7}, failures: 2, next_at: 12_000} = failed
    again = Peer.failed(%{failed | once_connected?: true, failures: 9}, :x, 5_000, 0.5, 20_000)
    assert %{failures: 10, next_at: 30_000, since: 20_000} = again

    assert %{state: :waiting, reason: :atom_budget, failures: 1, next_at: 7_000} =
             Peer.postponed(peer(failures: 1), :atom_budget, 5_000, 2_000)
  end
end

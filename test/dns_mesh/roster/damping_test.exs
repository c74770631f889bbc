defmodule DNSMesh.Roster.DampingTest do
  # Links that did not last. In the course of events: asking_test.exs.
  use ExUnit.Case, async: true

  alias DNSMesh.Peer
  alias DNSMesh.Roster.Damping

  @now 1_000_000

  # Linked so long ago.
  defp linked(ago, overrides \\ []),
    do: struct!(Peer.new("app@10.0.0.2", 0), [linked_at: @now - ago] ++ overrides)

  defp pause(peer, chance, reason \\ :connection_closed) do
    peer = Damping.lost(peer, reason, chance, @now)
    {peer.damped_until && peer.damped_until - @now, peer.credits, peer.flaps}
  end

  test "either end of a cut may be told; what else ends a link is none" do
    for reason <- [:disconnect, :connection_closed] do
      assert Damping.cut?(reason)
      assert {500, 1, 0} = pause(linked(60_000), 0.25, reason)
    end

    for reason <- [:net_tick_timeout, :net_kernel_terminated, :get_status_failed, nil] do
      refute Damping.cut?(reason)
      assert Damping.lost(linked(1), reason, 0.5, @now) == linked(1)
    end
  end

  test "a minute is no short link" do
    refute Damping.lasted?(linked(59_999), @now)
    assert Damping.lasted?(linked(60_000), @now)
    refute Damping.lasted?(%{linked(0) | linked_at: nil}, @now)
  end

  test "of a link that had lasted the next one is free, and all before is forgotten" do
    for before <- [[], [credits: 0, flaps: 7], [credits: 1]] do
      assert pause(linked(60_000, before), 0.0) == {0, 1, 0}
      assert pause(linked(60_000, before), 0.5) == {1_000, 1, 0}
    end
  end

  test "the first link that did not last costs a few seconds, at a time of its own" do
    assert pause(linked(59_999), 0.0) == {1_000, 0, 0}
    assert pause(linked(59_999), 0.5) == {3_500, 0, 0}
    # With two redials to its credit it costs one.
    assert pause(linked(59_999, credits: 2), 0.5) == {1_000, 1, 0}
  end

  test "then a minute, two, four … ten, half or half as much again" do
    for {flaps, seconds} <- [{0, 60}, {1, 120}, {2, 240}, {3, 480}, {4, 600}, {5, 600}, {9, 600}] do
      peer = linked(5_000, credits: 0, flaps: flaps)
      assert pause(peer, 0.5) == {seconds * 1_000, 0, flaps + 1}
      assert pause(peer, 0.0) == {seconds * 500, 0, flaps + 1}
    end

    # Numbers that no VM could hold are not even made.
    assert {600_000, 0, _} = pause(linked(5_000, credits: 0, flaps: Bitwise.bsl(1, 70)), 0.5)
  end

  test "it is left alone until its time, and no longer" do
    peer = linked(0, damped_until: @now)
    assert Damping.damped?(peer, @now - 1)
    refute Damping.damped?(peer, @now)
    refute Damping.damped?(linked(0), @now)
  end

  describe "what a probe finds" do
    @damped [damped_until: 2_000_000, flaps: 3, credits: 0, linked_port: 9_100]

    test "forgives where the peer was gone, or has another port: with one redial free" do
      for {verdict, port} <- [
            {{:dead, :refused}, nil},
            {{:dead, :not_registered}, nil},
            {:ok, 9_101}
          ] do
        assert %{damped_until: nil, flaps: 0, credits: 1} =
                 Damping.heard(linked(0, @damped), verdict, port)

        assert %{credits: 2} = Damping.heard(linked(0, @damped ++ [credits: 2]), verdict, port)
        # Who is not left alone has nothing to be forgiven.
        free = linked(0, flaps: 3, credits: 0, linked_port: 9_100)
        assert Damping.heard(free, verdict, port) == free
      end
    end

    test "forgives nothing where the peer was there all the time, or that is not known" do
      peer = linked(0, @damped)

      for {verdict, port} <- [
            {:ok, 9_100},
            {:ok, nil},
            {{:silent, :port}, nil},
            {{:silent, :epmd}, 9_101}
          ],
          do: assert(Damping.heard(peer, verdict, port) == peer)

      unknown = %{peer | linked_port: nil}
      assert Damping.heard(unknown, :ok, 9_101) == unknown
    end
  end
end

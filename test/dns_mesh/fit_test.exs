defmodule DNSMesh.FitTest do
  use ExUnit.Case, async: true

  alias DNSMesh.Fit

  @own {10, 0, 0, 5}
  @other {10, 1, 0, 5}
  @peer {10, 0, 0, 6}

  # Plays rounds, each a map of what differs from a node that fits, one second apart unless told otherwise.
  defp play(rounds) do
    {fit, told, _now} =
      Enum.reduce(rounds, {%Fit{}, [], 0}, fn round, {fit, told, now} ->
        {fit, effects} = Fit.look(fit, seen(round), Map.get(round, :at, now))
        {fit, told ++ effects, Map.get(round, :at, now) + 1_000}
      end)

    {fit.reason,
     for({:event, [:problem, what], _, %{reason: reason}} <- told, do: {what, reason})}
  end

  defp seen(round) do
    Map.merge(
      %{
        node: "app@10.0.0.5",
        ip: @own,
        own: [{127, 0, 0, 1}, @own],
        listed: [[@own, @peer]],
        listed_as: fn -> flunk("not asked without need") end
      },
      Map.delete(round, :at)
    )
  end

  test "a name whose address is there and listed fits" do
    assert play([%{}, %{}]) == {nil, []}
  end

  test "the address goes, is told once, and comes back" do
    gone = %{own: [{127, 0, 0, 1}]}
    reason = {:address_gone, "10.0.0.5"}
    assert play([%{}, gone, gone, gone]) == {reason, [raised: reason]}
    assert play([%{}, gone, gone, %{}]) == {nil, [raised: reason, cleared: nil]}
    assert play([%{}, %{own: [{127, 0, 0, 1}, @other], listed: [[@peer]]}]) |> elem(0) == reason
  end

  test "an address that never was there (a host behind NAT), loopback, and a list that cannot be read are no fault" do
    assert play([%{own: [@other]}, %{own: [@other]}]) == {nil, []}

    local = %{ip: {127, 0, 0, 9}, listed: [[{127, 0, 0, 9}, @peer]]}
    assert play([Map.put(local, :own, [{127, 0, 0, 9}]), local]) == {nil, []}
    assert play([%{}, %{own: []}]) == {nil, []}
    assert play([%{ip: nil, own: []}]) == {nil, []}
  end

  test "an epmd that is elsewhere is told, after what is worse" do
    elsewhere = {:epmd_elsewhere, "10.0.0.5"}
    {fit, _} = Fit.look(%Fit{}, seen(%{}), 0)
    fit = %{fit | epmd: elsewhere}
    assert {%{reason: ^elsewhere} = fit, [_raised]} = Fit.look(fit, seen(%{}), 1)
    assert {%{reason: {:address_gone, _}}, [_]} = Fit.look(fit, seen(%{own: [@other]}), 2)
    assert {%{reason: nil}, [_cleared]} = Fit.look(%{fit | epmd: nil}, seen(%{}), 2)
  end

  test "another name is looked at anew, and what was wrong with the one before is over" do
    gone = %{own: [@other]}
    renamed = %{ip: @other, node: "app@10.1.0.5", own: [@other], listed: [[@other]]}
    reason = {:address_gone, "10.0.0.5"}
    assert play([%{}, gone, renamed]) == {nil, [raised: reason, cleared: nil]}
  end

  describe "another address of this machine is listed" do
    @two [@own, @other]
    @wrong %{own: @two, listed: [[@other, @peer]]}

    test "and not the name's: told, whether the machine has that or not" do
      wrong = Map.put(@wrong, :listed_as, fn -> @other end)
      reason = {:listed_as, "10.1.0.5"}
      assert play([wrong, wrong]) == {reason, [raised: reason]}
      assert play([%{wrong | own: [@other]}]) == {reason, [raised: reason]}
    end

    test "and it is a service's, by the ladder: no fault" do
      for not_own <- [nil, @own] do
        assert play([Map.put(@wrong, :listed_as, fn -> not_own end)]) == {nil, []}
      end
    end

    test "beside the name's, in that item or another one: no fault" do
      assert play([%{own: @two, listed: [[@other, @own]]}]) == {nil, []}
      assert play([%{own: @two, listed: [[@other], [@own]]}]) == {nil, []}
    end

    test "where answers hold a random few, the name's counts for a minute" do
      wrong = Map.put(@wrong, :listed_as, fn -> @other end)
      assert play([%{at: 0}, Map.put(wrong, :at, 59_999)]) == {nil, []}
      assert {{:listed_as, _}, _} = play([%{at: 0}, Map.put(wrong, :at, 60_000)])
    end

    test "nobody, peers, or a loopback address: no fault" do
      for listed <- [[], [[]], [[@peer]], [[{127, 0, 0, 1}]]],
          do: assert(play([%{own: [{127, 0, 0, 1}, @own], listed: listed}]) == {nil, []})
    end
  end
end

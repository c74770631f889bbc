defmodule DNSMesh.NativeOwnAddressTest do
  # The border of the own address and the node name: terms in, terms out. Which address it is, native/dns_mesh tests on
  # the interface lists of many machines; here there is this one.
  use ExUnit.Case, async: true

  alias DNSMesh.Native

  @request %{option: nil, family: :inet, answers: [], hints: []}

  defp own(changes), do: Native.own_address(Map.merge(@request, Map.new(changes)))

  describe "own_address/1" do
    test "an address, its interface, and why it is this one" do
      assert own(option: {:literal, {127, 0, 0, 1}}) ==
               {:ok, %{ip: {127, 0, 0, 1}, interface: "lo", because: :option}}

      assert own(option: {:interface, "lo"}) ==
               {:ok, %{ip: {127, 0, 0, 1}, interface: "lo", because: :option}}

      assert own(option: {:subnet, {{127, 0, 0, 0}, 8}}) ==
               {:ok, %{ip: {127, 0, 0, 1}, interface: "lo", because: :option}}

      assert own(answers: [[], [{127, 0, 0, 5}]]) ==
               {:ok, %{ip: {127, 0, 0, 5}, interface: "lo", because: :in_answer}}

      assert own(answers: [[{127, 0, 0, 5}]], family: nil) ==
               {:ok, %{ip: {127, 0, 0, 5}, interface: "lo", because: :in_answer}}
    end

    test "all candidates, when nothing says which" do
      assert own(answers: [[{127, 0, 0, 5}, {127, 0, 0, 6}]]) ==
               {:undecided,
                [%{ip: {127, 0, 0, 5}, interface: "lo"}, %{ip: {127, 0, 0, 6}, interface: "lo"}]}
    end

    test "what the user's address is not" do
      assert own(option: {:literal, {192, 0, 2, 251}}) == {:error, {:not_local, "192.0.2.251"}}
      mapped = {0, 0, 0, 0, 0, 0xFFFF, 0x7F00, 1}
      assert own(option: {:literal, mapped}) == {:error, {:wrong_family, "::ffff:127.0.0.1"}}

      assert own(option: {:subnet, {mapped, 96}}, family: :inet) ==
               {:error, {:wrong_family, "::ffff:127.0.0.1"}}

      assert own(option: {:interface, "nope9"}) == {:error, {:no_interface, "nope9"}}

      assert own(option: {:subnet, {{192, 0, 2, 248}, 29}}) ==
               {:error, {:no_subnet, "192.0.2.248/29"}}
    end

    test "bytes that are no text fit nothing" do
      assert own(option: {:interface, <<255>>}) == {:error, {:no_interface, "\uFFFD"}}

      assert own(hints: [<<255>>, ""], answers: [[{127, 0, 0, 5}]]) ==
               {:ok, %{ip: {127, 0, 0, 5}, interface: "lo", because: :in_answer}}
    end

    test "terms that are none of these raise" do
      for changes <- [
            [option: :literal],
            [option: {:literal, {1, 2, 3}}],
            [option: {:literal, {1, 2, 3, 256}}],
            [option: {:interface, 1}],
            [option: {:subnet, {{10, 0, 0, 0}, 33}}],
            [option: {:subnet, {{10, 0, 0, 0}, -1}}],
            [option: {:subnet, {{10, 0, 0, 0}}}],
            [option: {:env, "POD_IP"}],
            [family: :inet7],
            [answers: [{127, 0, 0, 1}]],
            [hints: nil]
          ] do
        assert_raise ArgumentError, fn -> own(changes) end
      end

      assert_raise ArgumentError, fn -> Native.own_address(Map.delete(@request, :hints)) end
    end

    test "is quick, however much there is in DNS" do
      peers = for a <- 0..15, b <- 0..255, do: {127, 1, a, b}
      {us, _} = :timer.tc(fn -> for _ <- 1..10, do: own(answers: [[{10, 9, 8, 7} | peers]]) end)
      # Some tenths of a millisecond each; a scheduler must not be held for long.
      assert us < 10 * 20_000
    end
  end

  describe "node_name/2" do
    test "basename and address" do
      assert Native.node_name("app", {10, 0, 0, 5}) == {:ok, "app@10.0.0.5"}
      assert Native.node_name("app", {0xFDAA, 0, 0, 0, 0, 0, 0, 3}) == {:ok, "app@fdaa::3"}
    end

    test "the text of an address is :inet.ntoa's, always" do
      parts = [[0, 1, 0x64, 0x2001, 0xFE80, 0xFF02], [0, 1, 0xFF9B], [0, 3], [0, 4], [0, 5]]
      parts = parts ++ [[0, 6, 0xFFFF], [0, 0x0A00], [0, 1, 2, 0x0102]]
      special = parts |> Enum.reduce([[]], &extend/2) |> Enum.map(&List.to_tuple/1)
      v6 = for _ <- 1..10_000, do: random(8, [0, 0, 0, 1, 0x10, 0xABC, 0xFFFF])
      v4 = for _ <- 1..1_000, do: random(4, [0, 1, 9, 10, 99, 100, 255])

      for ip <- special ++ v6 ++ v4 do
        assert Native.node_name("a", ip) == {:ok, "a@#{:inet.ntoa(ip)}"}
      end
    end

    test "what is no basename" do
      for bad <- ["", "a b", "a@b", "a.b", "ä", <<255>>, String.duplicate("a", 201)] do
        assert Native.node_name(bad, {10, 0, 0, 5}) == {:error, {:bad_basename, bad}}
      end

      assert {:ok, _} = Native.node_name(String.duplicate("a", 200), {10, 0, 0, 5})
      assert_raise ArgumentError, fn -> Native.node_name("app", {10, 0, 0}) end
      assert_raise ArgumentError, fn -> Native.node_name(:app, {10, 0, 0, 5}) end
    end
  end

  defp extend(part, lists), do: for(list <- lists, value <- part, do: list ++ [value])

  defp random(size, values), do: List.to_tuple(for _ <- 1..size, do: Enum.random(values))
end

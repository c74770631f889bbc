defmodule DNSMesh.Bench.HostileDNS do
  @moduledoc """
  A name server whose every answer lists as many addresses as one message holds, all of them new: `name/0`.
  """

  alias DNSMesh.Bench.Addresses
  alias DNSMesh.Test.ScriptedDNS

  @name "h.internal"
  @question <<1, "h", 8, "internal", 0, 1::16, 1::16>>
  @addresses 4_094
  # Made beforehand: making them would cost as much as reading them. No two in a row are the same.
  @answers 64

  @spec name() :: String.t()
  def name, do: @name

  @spec addresses() :: pos_integer()
  def addresses, do: @addresses

  @doc "Starts it; all the addresses lie in 127.0.0.0/8."
  @spec start!() :: DNSMesh.Bench.Lookups.nameserver()
  def start! do
    bodies = List.to_tuple(for _ <- 1..@answers, do: body())
    {:ok, counter} = Agent.start_link(fn -> 0 end)

    reply = fn <<id::16, _query::binary>> ->
      turn = Agent.get_and_update(counter, &{&1, &1 + 1})
      <<id::16, elem(bodies, rem(turn, @answers))::binary>>
    end

    behaviour = {:by_transport, {:truncate, ["127.0.0.2"]}, {:raw, reply}}
    {:ok, dns} = ScriptedDNS.start_link(zone: %{{@name, :a} => behaviour})
    ScriptedDNS.nameserver(dns)
  end

  # The message behind its id: a reply (0x8180), one question, the answers (a pointer to the question's name, A, IN).
  defp body do
    records =
      for {a, b, c, d} <- Addresses.random(@addresses, 127), into: <<>> do
        <<0xC00C::16, 1::16, 1::16, 30::32, 4::16, a, b, c, d>>
      end

    <<0x8180::16, 1::16, @addresses::16, 0::16, 0::16, @question::binary, records::binary>>
  end
end

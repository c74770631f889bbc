defmodule DNSMesh.Bench.Addresses do
  @moduledoc """
  Addresses nobody has seen before, as a hostile or broken name server would send them.
  """

  @spec random(pos_integer(), network :: 0..255) :: [:inet.ip4_address()]
  def random(count, network) do
    # From .1 on, and never 127.0.0.1.
    for _ <- 1..count do
      {network, :rand.uniform(255), :rand.uniform(254), :rand.uniform(254)}
    end
  end
end

defmodule DNSMesh.Bench.LinkedWorld do
  @moduledoc """
  A `:resolver` module for which 1 000 peers are listed and connected, and `hostile` lists whom nobody has ever seen.
  """

  alias DNSMesh.Bench.Addresses

  def basename(_node), do: "app"
  def lookup("hostile", :a), do: Addresses.random(4_096, 127)
  def lookup(_name, :a), do: for(n <- 1..1_000, do: ip(n))
  def lookup(_name, _type), do: []
  def list_nodes, do: for(n <- 1..1_000, do: :"app@#{:inet.ntoa(ip(n))}")
  def connect_node(_node), do: false

  defp ip(n), do: {10, 0, div(n, 250), rem(n, 250) + 1}
end

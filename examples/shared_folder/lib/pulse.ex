defmodule Pulse do
  @moduledoc """
  Logs every three seconds which of the others are alive, as far as this node knows:

      [info] 7c57022cc5@172.19.0.6["3a8ba306cf@172.19.0.2": true, "ab4b316c90@172.19.0.4": true]
  """

  use Task, restart: :permanent

  require Logger

  @interval 3_000

  @doc false
  def start_link(_arg), do: Task.start_link(&loop/0)

  defp loop do
    Logger.info("#{node()}[#{Enum.join(others(), ", ")}]")
    Process.sleep(@interval)
    loop()
  end

  # Refused is this node itself; held is an address where, for now, no name is known.
  defp others do
    for peer <- DNSMesh.status().peers, peer.state not in [:refused, :held] do
      "#{inspect(peer.name)}: #{peer.state == :connected}"
    end
  end
end

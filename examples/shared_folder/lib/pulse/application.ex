defmodule Pulse.Application do
  @moduledoc false

  use Application

  @impl true
  def start(_type, _args) do
    children = [{DNSMesh, basename: random()}, Pulse, Who]
    Supervisor.start_link(children, strategy: :one_for_one, name: Pulse.Supervisor)
  end

  # Ten hex letters, new at each start.
  defp random, do: 5 |> :crypto.strong_rand_bytes() |> Base.encode16(case: :lower)
end

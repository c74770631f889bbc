defmodule Poc.Application do
  @moduledoc false

  use Application

  @impl true
  def start(_type, _args) do
    children = [DNSMesh, Who]
    Supervisor.start_link(children, strategy: :one_for_one, name: Poc.Supervisor)
  end
end

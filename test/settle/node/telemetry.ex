# DNSMesh calls `:telemetry` where there is one. Here it writes into the node's record.
defmodule :telemetry do
  @moduledoc false

  @frequent [[:dns_mesh, :lookup, :stop], [:dns_mesh, :round, :stop]]

  def execute(event, _measurements, _metadata) when event in @frequent, do: :ok

  def execute([_dns_mesh | event], _measurements, metadata),
    do: Settle.Node.Recorder.event(Enum.join(event, "."), Map.delete(metadata, :mesh))
end

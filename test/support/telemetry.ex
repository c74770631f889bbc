# The library calls `:telemetry` when the host application has it. It is no dependency of ours, so the tests bring
# a stand-in under the same name that hands each event to the tests that asked for this mesh's events.
defmodule :telemetry do
  @moduledoc false

  @spec execute([atom], map, map) :: :ok
  def execute(event, measurements, metadata),
    do: DNSMesh.Test.Telemetry.deliver(event, measurements, metadata)
end

defmodule DNSMesh.Test.Telemetry do
  @moduledoc """
  Events as messages, per mesh name, so that tests stay `async: true`:

      Telemetry.subscribe(config.test)
      assert_receive {:telemetry, [:dns_mesh, :lookup, :stop], _measurements, %{mesh: ^name}}
  """

  @table __MODULE__

  @doc "From now on this process gets `{:telemetry, event, measurements, metadata}` for events whose `metadata.mesh` is `mesh`."
  @spec subscribe(mesh :: term, pid) :: :ok
  def subscribe(mesh, pid \\ self()) do
    ensure_table()
    :ets.insert(@table, {mesh, pid})
    :ok
  end

  @doc "No more events of this mesh for this process."
  @spec unsubscribe(mesh :: term, pid) :: :ok
  def unsubscribe(mesh, pid \\ self()) do
    ensure_table()
    :ets.delete_object(@table, {mesh, pid})
    :ok
  end

  @doc false
  @spec deliver([atom], map, map) :: :ok
  def deliver(event, measurements, metadata) do
    if :ets.whereis(@table) != :undefined do
      for {_mesh, pid} <- :ets.lookup(@table, metadata[:mesh]),
          do: send(pid, {:telemetry, event, measurements, metadata})
    end

    :ok
  end

  # A table dies with its owner, and a test ends early: a process of its own holds it. Of several that start at
  # once, one wins the table's name and the others end.
  defp ensure_table do
    if :ets.whereis(@table) == :undefined do
      caller = self()
      {pid, monitor} = spawn_monitor(fn -> hold_table(caller) end)

      receive do
        {^pid, :ready} -> Process.demonitor(monitor, [:flush])
        {:DOWN, ^monitor, :process, ^pid, _another_won} -> ensure_table()
      end
    end
  end

  defp hold_table(caller) do
    :ets.new(@table, [:bag, :public, :named_table, read_concurrency: true])
    send(caller, {self(), :ready})
    Process.sleep(:infinity)
  rescue
    ArgumentError -> :ok
  end
end

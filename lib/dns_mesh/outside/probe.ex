defmodule DNSMesh.Outside.Probe do
  @moduledoc false
  # Whether nodes can be reached at their distribution ports; asked of Rust, all at once. Where a port comes from is what
  # the VM itself would do: the peer's epmd, the port of the boot flag, or the module that stands for epmd (Door).

  alias DNSMesh.{IP, NodeName, Outside, Resolver}
  alias DNSMesh.Outside.Door
  alias DNSMesh.Roster.{Book, Probing}

  # Milliseconds: epmd and the port take 1.5 s each at most, and not all nodes are probed at the same time.
  @timeout 6_000

  @type found :: %{NodeName.t() => {Probing.verdict(), port :: :inet.port_number() | nil}}

  @doc "How long it takes at most, what the VM is asked before included."
  @spec patience() :: pos_integer()
  def patience, do: Resolver.patience(@timeout)

  @spec run(struct(), [Book.target()], timeout :: pos_integer()) :: Outside.asked()
  def run(vm, targets, timeout \\ @timeout) do
    case Enum.split_with(targets, &placed?(&1, vm)) do
      {placed, []} -> {ask(vm, Enum.map(placed, &placed(&1, vm)), timeout), nil}
      {placed, others} -> run_apart(vm, Enum.map(placed, &placed(&1, vm)), others, timeout)
    end
  end

  defp run_apart(vm, placed, others, timeout) do
    {pid, monitor} =
      spawn_monitor(fn ->
        begun = now()
        doors = Door.find(others, vm)
        found = for {name, {:ok, door}} <- doors, do: {name, door}
        not_found = for {name, {:error, verdict}} <- doors, into: %{}, do: {name, {verdict, nil}}
        timeout = max(timeout - (now() - begun), 1)
        ref = ask(vm, placed ++ found, timeout)

        receive do
          {^ref, reply} -> exit({:probed, Map.merge(not_found, read([], reply))})
        after
          # Then what follows is as good as nothing.
          Resolver.patience(timeout) -> exit(:lost)
        end
      end)

    {monitor, pid}
  end

  @doc "Reads the message that follows."
  @spec read([Book.target()], term()) :: found()
  def read(_targets, {:probed, found}), do: found

  def read(_targets, {:ok, verdicts}) do
    for {name, verdict} <- verdicts, into: %{} do
      case verdict do
        {:ok, port} -> {name, {:ok, port}}
        not_ok -> {name, {not_ok, nil}}
      end
    end
  end

  def read(targets, _lost),
    do: Map.new(targets, fn {name, _ips} -> {name, {{:silent, :lost}, nil}} end)

  defp placed?(_target, %{ports: {:module, _module}}), do: false
  defp placed?({name, ips}, vm), do: address(name, ips, vm) != nil

  defp placed({name, ips}, %{ports: {:fixed, port}} = vm),
    do: {name, {address(name, ips, vm), port}}

  defp placed({name, ips}, vm), do: {name, {address(name, ips, vm), :epmd}}

  # The name's own, or the first of a family that can be dialled.
  defp address(name, ips, vm) do
    {_basename, host} = NodeName.split(name)

    case IP.parse(host) do
      {:ok, ip} -> ip
      :error -> Enum.find(ips, &(IP.family(&1) in vm.families))
    end
  end

  defp ask(vm, doors, timeout) do
    targets =
      for {name, {ip, port}} <- doors do
        {basename, _host} = NodeName.split(name)
        {name, basename, ip, port}
      end

    Resolver.probe(vm.handle, targets, timeout)
  end

  defp now, do: System.monotonic_time(:millisecond)
end

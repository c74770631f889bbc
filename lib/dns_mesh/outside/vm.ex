defmodule DNSMesh.Outside.VM do
  @moduledoc false
  # The usual outside: this VM's distribution, the native resolver, Node.connect/1.

  @behaviour DNSMesh.Outside

  alias DNSMesh.{Distribution, Query, Resolver}

  @enforce_keys [:handle, :families]
  defstruct [:handle, :families]

  @impl true
  def open(config) do
    # SRV targets are wanted in the family that can be dialled; both where that is not known.
    families = List.wrap(Distribution.current().family || [:inet, :inet6])
    %__MODULE__{handle: Resolver.open(config.nameservers, config), families: families}
  end

  @impl true
  def survey(_vm) do
    # :connected, not :visible: a hidden peer is linked too, and must not be dialled again.
    connected = for node <- Node.list(:connected), do: Atom.to_string(node)

    {:now,
     %{
       distribution: Distribution.current(),
       own_addresses: Resolver.own_addresses(),
       connected: connected
     }}
  end

  @impl true
  def surveyed(_vm, world), do: {:ok, world}

  @impl true
  def ask(vm, {%Query{host: host}, type}, timeout),
    do: {Resolver.ask(vm.handle, type, vm.families, host, timeout), nil}

  @impl true
  def answered(_vm, _key, reply), do: Resolver.result(reply)

  @impl true
  def patience(_vm, timeout), do: {Resolver.patience(timeout), :lost_reply}

  @impl true
  def connect(_vm, node), do: Node.connect(node)
end

defmodule DNSMesh.Outside.VM do
  @moduledoc false
  # The usual outside: this VM's distribution, the native resolver, Node.connect/1.

  @behaviour DNSMesh.Outside

  alias DNSMesh.{Candidates, Distribution, IP, Outside, Query, Resolver}

  @enforce_keys [:handle, :families, :ports]
  defstruct [:handle, :families, :ports]

  @impl true
  def open(config) do
    # SRV targets are wanted in the family that can be dialled; both where that is not known.
    distribution = Distribution.current()
    families = List.wrap(distribution.family || [:inet, :inet6])
    handle = Resolver.open(config.nameservers, config)
    %__MODULE__{handle: handle, families: families, ports: distribution.ports}
  end

  @impl true
  def survey(_vm) do
    # :connected, not :visible: a hidden peer is linked too, and must not be dialled again.
    connected = for node <- Node.list(:connected), do: Atom.to_string(node)

    {:now,
     %{
       distribution: Distribution.current(),
       own_addresses: Resolver.own_addresses(),
       connected: connected,
       hidden: for(node <- Node.list(:hidden), do: Atom.to_string(node)),
       guarded?: Distribution.guarded?()
     }}
  end

  @impl true
  def surveyed(_vm, world), do: {:ok, world}

  @impl true
  def ask(vm, {%Query{host: host} = query, type}, me, timeout) do
    cond do
      not Candidates.at_home?(query, me) ->
        follow = Candidates.follow(query, type, me.by)
        {Resolver.ask(vm.handle, type, vm.families, host, timeout, follow), nil}

      Query.pattern?(query) ->
        # Whatever addresses an epmd is told to listen at, it listens at loopback too.
        ip = if type == :aaaa, do: "::1", else: "127.0.0.1"
        {Resolver.ask(vm.handle, type, vm.families, ip, timeout, [:registered]), nil}

      true ->
        {Outside.tell_ourselves({:ok, home(host, type)}), nil}
    end
  end

  # Nobody else need know this machine's own name: a laptop's is in no DNS, and its hosts entry gives a loopback address.
  defp home(host, type) do
    family = if type == :aaaa, do: :inet6, else: :inet
    own = for ip <- Resolver.own_addresses(), IP.family(ip) == family, do: ip

    %{
      records: own,
      ttl: 0,
      name: host,
      server: "this node's own host",
      truncated: false,
      hosts: [],
      registered: []
    }
  end

  @impl true
  def addresses(vm, hosts, timeout) do
    asked =
      for host <- hosts, family <- vm.families, into: %{} do
        type = if family == :inet6, do: :aaaa, else: :a
        {Resolver.ask(vm.handle, type, [family], host, timeout), host}
      end

    collect(asked, %{}, Resolver.patience(timeout))
  end

  # Every one of them answers by its deadline; the patience is for what never should happen.
  defp collect(asked, found, _patience) when asked == %{}, do: found

  defp collect(asked, found, patience) do
    receive do
      {ref, reply} when is_map_key(asked, ref) ->
        {host, asked} = Map.pop!(asked, ref)
        collect(asked, note(found, host, Resolver.result(reply)), patience)
    after
      patience -> found
    end
  end

  defp note(found, host, {:ok, answer}),
    do: Map.update(found, host, answer.records, &(answer.records ++ &1))

  defp note(found, _host, {:error, _failure}), do: found

  @impl true
  def answered(_vm, {%Query{host: host}, _type}, reply) do
    case Resolver.result(reply) do
      # No host is a literal that is not written as one: it was asked at loopback.
      {:ok, %{server: "literal"} = answer} ->
        if IP.parse(host) == :error,
          do: {:ok, %{answer | name: host, server: "this machine's epmd"}},
          else: {:ok, answer}

      result ->
        result
    end
  end

  @impl true
  def patience(_vm, timeout), do: {Resolver.patience(timeout), :lost_reply}

  @impl true
  def connect(_vm, node), do: Node.connect(node)
end

defmodule DNSMesh.Test.NativeLookup do
  @moduledoc """
  Lookups straight through the NIF, as the Poller makes them, without the Poller.

      resolver = NativeLookup.open([dns])
      {:ok, %{records: [{10, 0, 0, 1}]}} = NativeLookup.ask(resolver, "app.internal")
  """

  alias DNSMesh.Native
  alias DNSMesh.Test.ScriptedDNS

  @timeout 2_000
  # Rust owns the deadline; a reply that is later than this by so much is lost.
  @grace 3_000

  @doc """
  Opens a resolver on these servers (`ScriptedDNS` processes, or `{ip, port}`); none means those of resolv.conf.

  `:resolv_conf` and `:hosts` are paths. Without them there is no such file, so that the machine's own do not matter.
  `:epmd_port` is where the hosts that are found have their epmd, 4369.
  """
  @spec open([GenServer.server() | {:inet.ip_address(), :inet.port_number()}], keyword) ::
          Native.handle()
  def open(servers, opts \\ []) do
    {:ok, resolver} =
      Native.resolver_open(%{
        nameservers: Enum.map(servers, &nameserver/1),
        resolv_conf: Keyword.get(opts, :resolv_conf, "/nonexistent/resolv.conf"),
        hosts: Keyword.get(opts, :hosts, "/nonexistent/hosts"),
        more_resolv_conf: Keyword.get(opts, :more_resolv_conf, ""),
        more_hosts: Keyword.get(opts, :more_hosts, ""),
        epmd_port: Keyword.get(opts, :epmd_port, 4369)
      })

    resolver
  end

  @doc "Asks, and waits for the reply. Opts: `:type` (`:a`), `:families` (both), `:follow` (none), `:timeout` (2_000 ms)."
  @spec ask(Native.handle(), String.t(), keyword) :: {:ok, map} | {:error, map}
  def ask(resolver, name, opts \\ []) do
    resolver |> start(name, opts) |> await(Keyword.get(opts, :timeout, @timeout) + @grace)
  end

  @doc "Opens, asks once and forgets the handle, which cannot leave its VM: for `TestNode.call/4`."
  @spec open_and_ask([{:inet.ip_address(), :inet.port_number()}], String.t(), keyword) ::
          {:ok, map} | {:error, map}
  def open_and_ask(servers, name, opts \\ []), do: servers |> open(opts) |> ask(name, opts)

  @doc "Opens, asks for `count` names at once and waits for nothing."
  @spec open_and_start_many([{:inet.ip_address(), :inet.port_number()}], pos_integer) :: :ok
  def open_and_start_many(servers, count) do
    resolver = open(servers)
    Enum.each(1..count, &start(resolver, "n#{&1}.internal", timeout: 10_000))
  end

  @doc "Asks, and returns the ref of the reply to come."
  @spec start(Native.handle(), String.t(), keyword) :: reference
  def start(resolver, name, opts \\ []) do
    ref = make_ref()
    type = Keyword.get(opts, :type, :a)
    families = Keyword.get(opts, :families, [:inet, :inet6])
    follow = Keyword.get(opts, :follow, [])
    timeout = Keyword.get(opts, :timeout, @timeout)
    :ok = Native.lookup(resolver, ref, type, families, follow, name, timeout)
    ref
  end

  @doc "The reply to one ref."
  @spec await(reference, timeout) :: {:ok, map} | {:error, map}
  def await(ref, timeout \\ @timeout + @grace) do
    receive do
      {^ref, result} -> result
    after
      timeout -> raise "no reply within #{timeout} ms"
    end
  end

  @doc "The reason alone: `:nxdomain` for `{:error, %{reason: :nxdomain}}`, `:ok` for an answer."
  @spec reason({:ok, map} | {:error, map}) :: term
  def reason({:error, %{reason: reason}}), do: reason
  def reason({:ok, _answer}), do: :ok

  defp nameserver({_ip, _port} = nameserver), do: nameserver
  defp nameserver(server), do: ScriptedDNS.nameserver(server)
end

defmodule DNSMesh.Outside.Module do
  @moduledoc false
  # A user's :resolver module as the outside. Its functions may block, raise or return anything: each call runs in an
  # unlinked, monitored process, killed at its deadline.

  @behaviour DNSMesh.Outside

  alias DNSMesh.{Answer, Distribution, IP, Query}

  @enforce_keys [:module]
  defstruct [:module]

  @impl true
  def open(config), do: %__MODULE__{module: config.resolver}

  @impl true
  def survey(%{module: module}) do
    {:later,
     run(fn ->
       basename = module.basename(node())
       connected = for node <- module.list_nodes(), do: to_string(node)

       %{
         distribution: Distribution.current(),
         own_addresses: [],
         connected: connected,
         basename: to_string(basename)
       }
     end)}
  end

  @impl true
  def surveyed(_outside, {:done, world}), do: {:ok, world}
  def surveyed(_outside, other), do: {:error, raised(other)}

  @impl true
  def ask(%{module: module}, {%Query{host: host}, type}, _me, _timeout),
    do: run(fn -> module.lookup(host, type) end)

  @impl true
  def answered(outside, key, {:done, {:ok, list}}) when is_list(list),
    do: answered(outside, key, {:done, list})

  def answered(_outside, _key, {:done, {:error, reason}}),
    do: {:error, %{reason: reason, server: nil}}

  def answered(_outside, _key, {:done, []}), do: {:error, %{reason: :no_records, server: nil}}

  def answered(_outside, {query, _type}, {:done, list}) when is_list(list) do
    if List.improper?(list) or not Enum.all?(list, &IP.ip?/1),
      do: bad_return(list),
      else: {:ok, %Answer{records: list, ttl: 0, name: query.host, server: "module"}}
  end

  def answered(_outside, _key, {:done, other}), do: bad_return(other)
  def answered(_outside, _key, other), do: {:error, %{reason: raised(other), server: nil}}

  # No address is judged beside a :resolver module.
  @impl true
  def addresses(_outside, _hosts, _timeout), do: %{}

  @impl true
  def patience(_outside, timeout), do: {timeout, :timeout}

  @impl true
  def connect(%{module: module}, node) do
    # dns_cluster took anything truthy for a success; Node.connect/1's :ignored is truthy and is none.
    case module.connect_node(node) do
      none when none in [false, nil] -> false
      :ignored -> :ignored
      _truthy -> true
    end
  end

  # The monitor is the ref: the end of the process is the message. A crash is caught here, for the VM would log it
  # anew at every poll; the reason is told once, by us.
  defp run(fun) do
    {pid, monitor} =
      spawn_monitor(fn ->
        exit(
          try do
            {:done, fun.()}
          catch
            kind, reason -> {:raised, Exception.format_banner(kind, reason, __STACKTRACE__)}
          end
        )
      end)

    {monitor, pid}
  end

  defp bad_return(term),
    do: {:error, %{reason: {:bad_return, inspect(term, limit: 5)}, server: nil}}

  defp raised({:raised, text}), do: {:raised, text}
  defp raised(reason), do: {:raised, Exception.format_exit(reason)}
end

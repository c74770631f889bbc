defmodule DNSMesh.Distribution.Start do
  @moduledoc false
  # Starting distribution under the derived name, step by step, in a process of its own: several steps may wait, and
  # the Poller must not. DNSMesh never stops distribution, not even what it started here.

  alias DNSMesh.{Cookie, Distribution, Epmd, IP, NameFile, NodeName, Secret}

  @type fault ::
          Cookie.fault()
          | Epmd.fault()
          | {:wrong_proto, :inet | :inet6}
          | :atom_budget
          | :duplicate_name
          | {:port_taken, String.t()}
          | {:start_failed, String.t()}

  @doc "Starts it; a monitored process whose end is `{:started, outcome}`."
  @spec run(NodeName.t(), IP.t(), cookie :: Secret.t() | nil) :: {pid(), reference()}
  def run(name, ip, cookie) do
    spawn_monitor(fn -> exit({:started, start_or_say(name, ip, cookie)}) end)
  end

  # Not by its end: that would be told with the arguments of what failed, and the cookie is one.
  defp start_or_say(name, ip, cookie) do
    start(name, ip, cookie)
  catch
    kind, reason -> {:error, {:start_failed, Exception.format_banner(kind, reason)}}
  end

  @spec start(NodeName.t(), IP.t(), Secret.t() | nil) ::
          {:ok, :inet.port_number() | nil} | {:error, fault()}
  def start(name, ip, cookie) do
    with :ok <- proto(ip),
         {:ok, cookie, _source} <- Cookie.find(cookie),
         :ok <- epmd(name, ip),
         :ok <- port_free(ip),
         {:ok, node} <- NodeName.to_atom(name),
         :ok <- net_kernel(node, ip) do
      if cookie, do: Node.set_cookie(NodeName.trusted(cookie))
      :ok = NameFile.write(name)
      {:ok, port(name)}
    end
  end

  # An IPv6 name on an inet_tcp VM "starts", on an IPv4 listener, and nobody can join it.
  defp proto(ip) do
    family = IP.family(ip)

    if Distribution.current().family in [nil, family],
      do: :ok,
      else: {:error, {:wrong_proto, family}}
  end

  # net_kernel says of its failures that there is "no distribution", and no more: so what it would stumble over is looked
  # at before.
  defp epmd(name, ip) do
    start? = :init.get_argument(:start_epmd) != {:ok, [[~c"false"]]}

    # Alive: another instance was faster, and the name that epmd knows is ours.
    if Distribution.current().epmd? and not Node.alive?() do
      {basename, _host} = NodeName.split(name)

      with {:ok, names} <- Epmd.names(start?),
           :ok <- Epmd.at(ip),
           do: if(basename in names, do: {:error, :duplicate_name}, else: :ok)
    else
      :ok
    end
  end

  defp port_free(ip) do
    ip =
      case :application.get_env(:kernel, :inet_dist_use_interface) do
        {:ok, interface} -> interface
        :undefined -> ip
      end

    case ports() do
      nil ->
        :ok

      ports ->
        if Node.alive?() or Enum.any?(ports, &free?(&1, ip)),
          do: :ok,
          else: {:error, {:port_taken, inspect(ports)}}
    end
  end

  # The ports that distribution may take; nil for any.
  defp ports do
    with :error <- :init.get_argument(:erl_epmd_port),
         {:ok, first} <- :application.get_env(:kernel, :inet_dist_listen_min) do
      case :application.get_env(:kernel, :inet_dist_listen_max) do
        {:ok, last} -> first..last//1
        :undefined -> [first]
      end
    else
      {:ok, [[port | _] | _]} -> [List.to_integer(port)]
      :undefined -> nil
    end
  end

  defp free?(port, ip) do
    # As inet_tcp_dist listens: a socket of the last VM that is still closing is no obstacle.
    case :gen_tcp.listen(port, [IP.family(ip), ip: ip, reuseaddr: true]) do
      {:ok, socket} -> :gen_tcp.close(socket) == :ok
      {:error, _taken} -> false
    end
  end

  # Listens only where peers reach it, but what the operator has set stays. A start that fails leaves the VM as it was:
  # the next may be under another address.
  defp net_kernel(node, ip) do
    ours? = :application.get_env(:kernel, :inet_dist_use_interface) == :undefined
    _ = if ours?, do: :application.set_env(:kernel, :inet_dist_use_interface, ip)

    case :net_kernel.start(node, %{name_domain: :longnames}) do
      {:ok, _pid} ->
        :ok

      {:error, {:already_started, _pid}} ->
        :ok

      {:error, reason} ->
        _ = if ours?, do: :application.unset_env(:kernel, :inet_dist_use_interface)
        {:error, {:start_failed, inspect(reason)}}
    end
  end

  # For people, who have a firewall to open.
  defp port(name) do
    with :error <- :init.get_argument(:erl_epmd_port),
         {:ok, names} <- :erl_epmd.names({127, 0, 0, 1}) do
      {basename, _host} = NodeName.split(name)

      Enum.find_value(names, fn {registered, port} ->
        if to_string(registered) == basename, do: port
      end)
    else
      {:ok, [[port | _] | _]} -> List.to_integer(port)
      _unknown -> nil
    end
  end
end

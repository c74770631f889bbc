defmodule DNSMesh.Test.HungPeer do
  @moduledoc """
  Listens on loopback, accepts everything, and says nothing: a hung epmd, or a hung distribution port.

      hung = start_supervised!({HungPeer, ip: "127.0.0.3", port: epmd_port, notify: self()})
      assert_receive {:hung_peer, ^hung, {127, 0, 0, 3}, _port}
      HungPeer.accepted(hung)   #=> 1

  One process can listen on many addresses: `ip: ["127.0.0.3", "127.0.0.4"]`.
  """
  use GenServer

  @doc "Opts: `:ip` (one or a list, `\"127.0.0.1\"`), `:port` (0), `:notify` (a pid)."
  @spec start_link(keyword) :: GenServer.on_start()
  def start_link(opts \\ []), do: GenServer.start_link(__MODULE__, opts)

  @spec port(GenServer.server()) :: :inet.port_number()
  def port(server), do: GenServer.call(server, :port)

  @doc "How many connections were accepted so far, at all addresses."
  @spec accepted(GenServer.server()) :: non_neg_integer
  def accepted(server), do: GenServer.call(server, :accepted)

  @doc "Closes all connections that are open, as a peer that restarts."
  @spec hang_up(GenServer.server()) :: :ok
  def hang_up(server), do: GenServer.call(server, :hang_up)

  ## Callbacks

  @impl true
  def init(opts) do
    ips = opts |> Keyword.get(:ip, "127.0.0.1") |> List.wrap() |> Enum.map(&ip!/1)

    case listen_all(ips, Keyword.get(opts, :port, 0)) do
      {:ok, port, listeners} ->
        for {ip, listener} <- listeners, do: start_acceptor(ip, listener)

        state = %{
          port: port,
          notify: opts[:notify],
          accepted: 0,
          sockets: [],
          listeners: listeners
        }

        {:ok, state}

      {:error, reason} ->
        {:stop, reason}
    end
  end

  @impl true
  def handle_call(:port, _from, state), do: {:reply, state.port, state}
  def handle_call(:accepted, _from, state), do: {:reply, state.accepted, state}

  def handle_call(:hang_up, _from, state) do
    Enum.each(state.sockets, &:gen_tcp.close/1)
    {:reply, :ok, %{state | sockets: []}}
  end

  @impl true
  def handle_info({:accepted, ip, socket}, state) do
    if state.notify, do: send(state.notify, {:hung_peer, self(), ip, state.port})
    {:noreply, %{state | accepted: state.accepted + 1, sockets: [socket | state.sockets]}}
  end

  # The first address may get its port from the kernel, the others must have the same one.
  defp listen_all(ips, port) do
    Enum.reduce_while(ips, {:ok, port, []}, fn ip, {:ok, port, listeners} ->
      with {:ok, listener} <- listen(ip, port),
           {:ok, bound} <- :inet.port(listener) do
        {:cont, {:ok, bound, [{ip, listener} | listeners]}}
      else
        {:error, reason} -> {:halt, {:error, {reason, ip, port}}}
      end
    end)
  end

  defp listen(ip, port) do
    family = if tuple_size(ip) == 4, do: :inet, else: :inet6
    :gen_tcp.listen(port, [family, ip: ip, active: false, reuseaddr: true, backlog: 1_024])
  end

  defp start_acceptor(ip, listener) do
    server = self()
    spawn_link(fn -> accept(ip, listener, server) end)
  end

  defp accept(ip, listener, server) do
    case :gen_tcp.accept(listener) do
      {:ok, socket} ->
        :ok = :gen_tcp.controlling_process(socket, server)
        send(server, {:accepted, ip, socket})
        accept(ip, listener, server)

      {:error, _closed} ->
        :ok
    end
  end

  defp ip!(ip) when is_tuple(ip), do: ip

  defp ip!(text) do
    {:ok, ip} = :inet.parse_strict_address(String.to_charlist(text))
    ip
  end
end

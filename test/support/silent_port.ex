defmodule DNSMesh.Test.SilentPort do
  @moduledoc """
  A TCP port that neither takes nor refuses a connection, as behind a firewall that drops: its queue is full, and Linux
  leaves whoever comes then without an answer.

      silent = start_supervised!({SilentPort, ip: "127.0.0.9"})
      SilentPort.port(silent)
  """
  use GenServer

  @doc "Opts: `:ip` (`\"127.0.0.1\"`), `:port` (0)."
  @spec start_link(keyword) :: GenServer.on_start()
  def start_link(opts \\ []), do: GenServer.start_link(__MODULE__, opts)

  @spec port(GenServer.server()) :: :inet.port_number()
  def port(server), do: GenServer.call(server, :port)

  @impl true
  def init(opts) do
    {:ok, ip} =
      opts
      |> Keyword.get(:ip, "127.0.0.1")
      |> String.to_charlist()
      |> :inet.parse_strict_address()

    options = [ip: ip, backlog: 0, active: false, reuseaddr: true]
    {:ok, listener} = :gen_tcp.listen(Keyword.get(opts, :port, 0), options)
    {:ok, port} = :inet.port(listener)
    {:ok, %{port: port, open: [listener | fill(ip, port)]}}
  end

  @impl true
  def handle_call(:port, _from, state), do: {:reply, state.port, state}

  defp fill(ip, port) do
    case :gen_tcp.connect(ip, port, [active: false], 100) do
      {:ok, socket} -> [socket | fill(ip, port)]
      {:error, :timeout} -> []
    end
  end
end

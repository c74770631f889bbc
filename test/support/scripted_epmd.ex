defmodule DNSMesh.Test.ScriptedEpmd do
  @moduledoc """
  What listens at epmd's port of one address, and says what a test tells it to say: the epmd of another machine, with its
  own nodes, or something worse. (A real epmd listens on 127.0.0.1 too, so there can be one at each port.)

      epmd = start_supervised!({ScriptedEpmd, ip: "127.0.0.3", port: port, says: [{"app", 40123}]})
      ScriptedEpmd.says(epmd, :silent)

  It says one of:

    * `[{name, port}]` – the nodes registered there, to whoever asks for all names or for the port of one
    * `:silent` – nothing, and the connection stays open
    * `{:raw, bytes}` – these bytes, whatever was asked

  A name may hold any bytes. `{:fun, fun}` asks `fun.()` for one of these at each connection.
  """
  use GenServer

  @names_request 110
  @port_request 122
  @port_reply 119
  @lowest_version 5
  @highest_version 6

  @spec start_link(keyword) :: GenServer.on_start()
  def start_link(opts), do: GenServer.start_link(__MODULE__, opts)

  @doc "From now on it says this."
  @spec says(GenServer.server(), term) :: :ok
  def says(server, what), do: GenServer.call(server, {:says, what})

  @doc "How many have asked so far."
  @spec asked(GenServer.server()) :: non_neg_integer
  def asked(server), do: GenServer.call(server, :asked)

  ## Callbacks

  @impl true
  def init(opts) do
    {:ok, ip} =
      opts |> Keyword.fetch!(:ip) |> String.to_charlist() |> :inet.parse_strict_address()

    port = Keyword.fetch!(opts, :port)

    case listen(port, ip, 50) do
      {:ok, listener} ->
        server = self()
        spawn_link(fn -> accept(listener, server) end)
        {:ok, %{listener: listener, port: port, says: Keyword.fetch!(opts, :says), asked: 0}}

      {:error, reason} ->
        {:stop, {reason, ip, port}}
    end
  end

  # What listened there before may be closing still.
  defp listen(port, ip, left) do
    opts = [:binary, ip: ip, active: false, reuseaddr: true, backlog: 1_024]

    with {:error, :eaddrinuse} when left > 0 <- :gen_tcp.listen(port, opts) do
      receive do
      after
        20 -> listen(port, ip, left - 1)
      end
    end
  end

  @impl true
  def handle_call({:says, what}, _from, state), do: {:reply, :ok, %{state | says: what}}
  def handle_call(:asked, _from, state), do: {:reply, state.asked, state}

  def handle_call(:accepted, _from, state),
    do: {:reply, {state.says, state.port}, %{state | asked: state.asked + 1}}

  ## One question

  defp accept(listener, server) do
    {:ok, socket} = :gen_tcp.accept(listener)
    {says, port} = GenServer.call(server, :accepted)

    # Linked: what is open when the test ends is closed then.
    connection =
      spawn_link(fn ->
        receive do
          :go -> answer(socket, says, port)
        end
      end)

    :ok = :gen_tcp.controlling_process(socket, connection)
    send(connection, :go)
    accept(listener, server)
  end

  defp answer(socket, {:fun, fun}, port), do: answer(socket, fun.(), port)

  # Until the other side has enough of it.
  defp answer(socket, :silent, _port) do
    case :gen_tcp.recv(socket, 0) do
      {:ok, _question} -> answer(socket, :silent, nil)
      {:error, _closed} -> :ok
    end
  end

  defp answer(socket, says, port) do
    with {:ok, <<size::16>>} <- :gen_tcp.recv(socket, 2),
         {:ok, question} <- :gen_tcp.recv(socket, size) do
      _ = :gen_tcp.send(socket, reply(question, says, port))
      :gen_tcp.close(socket)
    end
  end

  defp reply(_question, {:raw, bytes}, _port), do: bytes

  defp reply(<<@names_request>>, nodes, port),
    do: [<<port::32>> | for({name, at} <- nodes, do: ["name ", name, " at port #{at}\n"])]

  defp reply(<<@port_request, name::binary>>, nodes, _port) do
    case List.keyfind(nodes, name, 0) do
      nil ->
        <<@port_reply, 1>>

      {^name, at} ->
        # Port, a visible node (77), TCP over IPv4 (0), the versions it speaks, its name, nothing more.
        <<@port_reply, 0, at::16, 77, 0, @highest_version::16, @lowest_version::16,
          byte_size(name)::16, name::binary, 0::16>>
    end
  end
end

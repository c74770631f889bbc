defmodule Demo.NameServer do
  @moduledoc false
  # The DNS server that answers app.internal, at one address for as long as the demo runs, whether it is up or not.

  use GenServer

  alias DNSMesh.Test.{Ports, ScriptedDNS}

  @host "127.0.0.1"
  @name "app.internal"

  def start_link, do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  def name, do: @name

  @doc ~S'As `:nameservers` takes it: "127.0.0.1:12345".'
  def address, do: GenServer.call(__MODULE__, :address)

  @doc "From now on the name has these addresses."
  def list(ips), do: GenServer.call(__MODULE__, {:list, ips})

  @doc "Gives something else than the addresses, `:servfail` say; `:addresses` ends that."
  def answer(what), do: GenServer.call(__MODULE__, {:answer, what})

  def up, do: GenServer.call(__MODULE__, :up)
  def down, do: GenServer.call(__MODULE__, :down)

  @doc "Whether it is up, and the addresses it lists."
  def status, do: GenServer.call(__MODULE__, :status)

  @doc "How often it was asked for the name since it is up."
  def questions, do: GenServer.call(__MODULE__, :questions)

  @impl true
  def init(nil) do
    state = %{port: Ports.free_port(), server: nil, ips: [], answer: :addresses}
    {:ok, start(state)}
  end

  @impl true
  def handle_call(:address, _from, state), do: {:reply, "#{@host}:#{state.port}", state}
  def handle_call({:list, ips}, _from, state), do: {:reply, :ok, put(%{state | ips: ips})}
  def handle_call({:answer, what}, _from, state), do: {:reply, :ok, put(%{state | answer: what})}
  def handle_call(:up, _from, %{server: nil} = state), do: {:reply, :ok, start(state)}
  def handle_call(:up, _from, state), do: {:reply, :ok, state}
  def handle_call(:down, _from, %{server: nil} = state), do: {:reply, :ok, state}

  def handle_call(:down, _from, state) do
    :ok = GenServer.stop(state.server)
    {:reply, :ok, %{state | server: nil}}
  end

  def handle_call(:status, _from, state), do: {:reply, {state.server != nil, state.ips}, state}

  def handle_call(:questions, _from, state),
    do: {:reply, length(ScriptedDNS.queries(state.server, @name, :a)), state}

  defp start(state) do
    {:ok, server} = ScriptedDNS.start_link(ip: @host, port: state.port)
    put(%{state | server: server})
  end

  defp put(%{server: nil} = state), do: state

  defp put(state) do
    behaviour = if state.answer == :addresses, do: state.ips, else: state.answer
    :ok = ScriptedDNS.put(state.server, {@name, :a}, behaviour)
    state
  end
end

defmodule DNSMesh.Test.NodeRelay do
  @moduledoc """
  The way back from a test node to the test: `:peer` carries calls there, but no messages here.

  A connection between two processes, by a file: a node in a network of its own has it too. The near one (`start/1`, in the test's VM) keeps the node's
  log lines and hands everything else to the test process; the far one (`join/2`, in the node) sends each log
  event, and each message that it gets itself.
  """
  use GenServer

  alias DNSMesh.Test.Telemetry

  @type line :: {Logger.level(), String.t()}

  ## In the test's VM

  @doc "Starts the near end. `owner` gets `{:from_node, label, message}`."
  @spec start(owner :: pid) :: {:ok, pid, path :: String.t()}
  def start(owner) do
    {:ok, pid} = GenServer.start(__MODULE__, owner)
    {:ok, pid, GenServer.call(pid, :path)}
  end

  @doc "The label under which the owner gets the node's messages."
  @spec label(pid, term) :: :ok
  def label(relay, label), do: GenServer.call(relay, {:label, label})

  @spec logs(pid) :: [line]
  def logs(relay), do: GenServer.call(relay, :logs)

  @spec clear_logs(pid) :: :ok
  def clear_logs(relay), do: GenServer.call(relay, :clear_logs)

  @doc "The first line, seen or to come, that matches."
  @spec await_log(pid, Regex.t(), timeout :: pos_integer) :: line
  def await_log(relay, regex, timeout) do
    GenServer.call(relay, {:await_log, regex}, timeout)
  catch
    :exit, {:timeout, _} ->
      raise "no log line matched #{inspect(regex)} within #{timeout} ms, seen: " <>
              inspect(logs(relay), limit: :infinity, printable_limit: :infinity, pretty: true)
  end

  @impl true
  def init(owner) do
    unique = "#{System.pid()}_#{System.unique_integer([:positive])}"
    path = Path.join(System.tmp_dir!(), "dns_mesh_relay_#{unique}")

    {:ok, listener} =
      :gen_tcp.listen(0, [:binary, ifaddr: {:local, path}, packet: 4, active: false])

    Process.monitor(owner)
    relay = self()

    spawn_link(fn ->
      # The listener closes with the relay when the node never came up.
      accepted = :gen_tcp.accept(listener, 60_000)
      File.rm(path)

      with {:ok, socket} <- accepted,
           :ok <- :gen_tcp.controlling_process(socket, relay),
           do: :inet.setopts(socket, active: true)
    end)

    {:ok, %{owner: owner, listener: listener, path: path, label: nil, logs: [], waiting: []}}
  end

  @impl true
  def handle_call(:path, _from, state), do: {:reply, state.path, state}
  def handle_call({:label, label}, _from, state), do: {:reply, :ok, %{state | label: label}}
  def handle_call(:logs, _from, state), do: {:reply, Enum.reverse(state.logs), state}
  def handle_call(:clear_logs, _from, state), do: {:reply, :ok, %{state | logs: []}}

  def handle_call({:await_log, regex}, from, state) do
    case state.logs |> Enum.reverse() |> Enum.find(&matches?(&1, regex)) do
      nil -> {:noreply, update_in(state.waiting, &[{from, regex} | &1])}
      line -> {:reply, line, state}
    end
  end

  @impl true
  def handle_info({:tcp, _socket, bytes}, state) do
    case :erlang.binary_to_term(bytes) do
      {:log, level, text} ->
        {:noreply, note({level, text}, state)}

      {:message, message} ->
        send(state.owner, {:from_node, state.label, message})
        {:noreply, state}
    end
  end

  # The node is gone; its lines may still be asked for.
  def handle_info({:tcp_closed, _socket}, state), do: {:noreply, state}
  def handle_info({:tcp_error, _socket, _reason}, state), do: {:noreply, state}
  def handle_info({:DOWN, _ref, :process, _owner, _reason}, state), do: {:stop, :normal, state}

  defp note(line, state) do
    {served, waiting} =
      Enum.split_with(state.waiting, fn {_from, regex} -> matches?(line, regex) end)

    for {from, _regex} <- served, do: GenServer.reply(from, line)
    %{state | logs: [line | state.logs], waiting: waiting}
  end

  defp matches?({_level, text}, regex), do: text =~ regex

  ## In the node

  @handler :dns_mesh_test_relay

  @doc "Starts the far end, the node's log handler, and a supervisor for `start_child/1`."
  @spec join(path :: String.t()) :: :ok
  def join(path) do
    caller = self()

    relay =
      spawn(fn ->
        Process.flag(:trap_exit, true)
        Process.register(self(), __MODULE__)

        {:ok, socket} = :gen_tcp.connect({:local, path}, 0, [:binary, packet: 4, active: false])

        {:ok, supervisor} =
          DynamicSupervisor.start_link(strategy: :one_for_one, max_restarts: 1_000)

        send(caller, {self(), :joined})
        forward(socket, supervisor)
      end)

    receive do
      {^relay, :joined} -> :ok
    end

    # Supervisors' progress reports are no line that anybody would see.
    filters = [progress: {&:logger_filters.progress/2, :stop}]
    :logger.add_handler(@handler, __MODULE__, %{config: %{relay: relay}, filters: filters})
  end

  @doc "Starts a child under a supervisor of the node, so that it outlives the call."
  @spec start_child(Supervisor.child_spec() | {module, term} | module) ::
          DynamicSupervisor.on_start_child()
  def start_child(spec), do: DynamicSupervisor.start_child(supervisor(), spec)

  @doc "Stops such a child, as a supervisor does."
  @spec stop_child(name :: atom) :: :ok | {:error, :not_found}
  def stop_child(name),
    do: DynamicSupervisor.terminate_child(supervisor(), Process.whereis(name))

  defp supervisor do
    send(__MODULE__, {:supervisor, self()})

    receive do
      {:supervisor_is, supervisor} -> supervisor
    end
  end

  @doc "From now on the test process gets the mesh's events as `{:from_node, label, {:telemetry, …}}`."
  @spec forward_telemetry(mesh :: term) :: :ok
  def forward_telemetry(mesh), do: Telemetry.subscribe(mesh, Process.whereis(__MODULE__))

  @doc "From now on the test process gets `{:from_node, label, {:nodeup | :nodedown, node, info}}`, hidden nodes included."
  @spec forward_nodes() :: :ok
  def forward_nodes do
    send(__MODULE__, {:monitor_nodes, self()})

    receive do
      :monitoring_nodes -> :ok
    end
  end

  @doc "From now on the test process gets each call of these functions as `{:from_node, label, {:trace, pid, :call, {m, f, args}}}`."
  @spec trace_calls([mfa]) :: :ok
  def trace_calls(functions) do
    for {module, _, _} = function <- functions do
      {:module, ^module} = Code.ensure_loaded(module)
      1 = :erlang.trace_pattern(function, true, [:global])
    end

    _ = :erlang.trace(:all, true, [:call, {:tracer, Process.whereis(__MODULE__)}])
    :ok
  end

  @doc "Waits in the node until it is connected to all of `names`, and to nobody else if `:exactly`. True if so in time."
  @spec await_nodes([node], :exactly | :at_least, timeout :: non_neg_integer) :: boolean
  def await_nodes(names, mode, timeout) do
    :net_kernel.monitor_nodes(true, node_type: :all)
    await_nodes_until(Enum.sort(names), mode, System.monotonic_time(:millisecond) + timeout)
  end

  defp await_nodes_until(names, mode, deadline) do
    connected = Enum.sort(Node.list([:visible, :hidden]))
    left = deadline - System.monotonic_time(:millisecond)

    cond do
      connected == names ->
        true

      mode == :at_least and names -- connected == [] ->
        true

      left <= 0 ->
        false

      true ->
        wait_for_change(min(left, 100))
        await_nodes_until(names, mode, deadline)
    end
  end

  # Bounded, because a node that is not distributed yet cannot be told of changes.
  defp wait_for_change(timeout) do
    receive do
      {change, _node, _info} when change in [:nodeup, :nodedown] -> :ok
    after
      timeout -> :ok
    end
  end

  # :logger callback, in the process that logs.
  @doc false
  def log(event, %{config: %{relay: relay}}) do
    text =
      event
      |> :logger_formatter.format(%{template: [:msg], single_line: false})
      |> IO.chardata_to_string()

    send(relay, {:dns_mesh_test_log, event.level, text})
  end

  defp forward(socket, supervisor) do
    receive do
      {:dns_mesh_test_log, level, text} ->
        transmit(socket, {:log, level, text})

      {:supervisor, pid} ->
        send(pid, {:supervisor_is, supervisor})

      {:monitor_nodes, pid} ->
        :net_kernel.monitor_nodes(true, node_type: :all)
        send(pid, :monitoring_nodes)

      {:EXIT, ^supervisor, reason} ->
        transmit(socket, {:message, {:supervisor_down, reason}})
        exit(reason)

      message ->
        transmit(socket, {:message, message})
    end

    forward(socket, supervisor)
  end

  defp transmit(socket, term), do: :gen_tcp.send(socket, :erlang.term_to_binary(term))
end

defmodule Demo.Cluster do
  @moduledoc false
  # The nodes as this machine sees them: each is an OS process, app@127.0.0.2 the first. They share a basename and a
  # distribution port, each at an address of its own; all of 127.0.0.0/8 is this machine. So there is no need for epmd,
  # which takes each basename once.
  #
  # A node ends when its input ends (see node.exs): none outlives this VM, whatever ends that.

  use GenServer

  alias Demo.NameServer
  alias DNSMesh.Test.Ports

  @first 2
  @patience 5_000

  def start_link(opts), do: GenServer.start_link(__MODULE__, Map.new(opts), name: __MODULE__)

  def name(number), do: "app@#{ip(number)}"
  def ip(number), do: "127.0.0.#{number}"

  @doc "Starts the node of this number, and lets DNS list it. `flags` are further flags of its VM."
  def start(number, flags \\ ""), do: GenServer.call(__MODULE__, {:start, number, flags})

  @doc "SIGKILL. DNS goes on listing it, as it does after a crash. Returns when the process is gone."
  def kill(number), do: GenServer.call(__MODULE__, {:kill, number}, :infinity)

  @doc "Ends all nodes, forgets them, and gives the folder of their logs."
  def stop, do: GenServer.call(__MODULE__, :stop, :infinity)

  @doc """
  All nodes: `%{number:, name:, url:, log:, state:}`, where the state is `:running` or `{:ended, exit_status}`.
  """
  def nodes, do: GenServer.call(__MODULE__, :nodes)

  @doc "The number of the node after the last one, and its HTTP port."
  def next, do: GenServer.call(__MODULE__, :next)

  ## Callbacks

  @impl true
  def init(opts) do
    state =
      Map.merge(opts, %{
        nodes: %{},
        port: Ports.free_port(),
        cookie: cookie(),
        programs: programs()
      })

    {:ok, state}
  end

  @impl true
  def handle_call({:start, number, flags}, _from, state) do
    node = start_node(number, flags, state)
    state = put_in(state.nodes[number], node)
    NameServer.list(for {number, _node} <- state.nodes, do: ip(number))
    {:reply, :ok, state}
  end

  def handle_call({:kill, number}, _from, state) do
    {:reply, :ok, update_in(state.nodes[number], &kill_node/1)}
  end

  def handle_call(:stop, _from, state) do
    running = for {_number, %{state: :running} = node} <- state.nodes, do: node
    for node <- running, do: Port.command(node.port, "quit\n")
    deadline = now() + @patience
    for node <- running, do: unless(ended(node, deadline), do: kill_node(node))
    NameServer.list([])
    {:reply, state.folder, %{state | nodes: %{}}}
  end

  def handle_call(:nodes, _from, state) do
    nodes = state.nodes |> Map.values() |> Enum.sort_by(& &1.number)
    {:reply, Enum.map(nodes, &Map.take(&1, [:number, :name, :url, :log, :state])), state}
  end

  def handle_call(:next, _from, state) do
    number = state.nodes |> Map.keys() |> Enum.max(fn -> @first - 1 end) |> Kernel.+(1)
    {:reply, {number, http_port(number, state)}, state}
  end

  @impl true
  def handle_info({port, {:exit_status, status}}, state) do
    case Enum.find(state.nodes, fn {_number, node} -> node.port == port end) do
      {number, node} ->
        {:noreply, put_in(state.nodes[number], %{node | state: {:ended, status}})}

      nil ->
        {:noreply, state}
    end
  end

  ## One node

  defp start_node(number, flags, state) do
    log = Path.join(state.folder, "#{name(number)}.log")

    # The log is appended to: a node that comes back has its past there.
    arguments = [
      "-c",
      ~S(log=$1; shift; exec "$@" >>"$log" 2>&1),
      "sh",
      log | command(number, flags, state)
    ]

    port =
      Port.open({:spawn_executable, "/bin/sh"}, [
        :binary,
        :exit_status,
        args: arguments,
        env: environment(number, state)
      ])

    {:os_pid, os_pid} = Port.info(port, :os_pid)

    %{
      number: number,
      name: name(number),
      url: "http://localhost:#{http_port(number, state)}/",
      log: log,
      port: port,
      os_pid: os_pid,
      state: :running
    }
  end

  # Both programs replace themselves by what they call: the process we started is the node's VM.
  defp command(number, flags, state) do
    interface = "{#{ip(number) |> String.replace(".", ",")}}"

    # One scheduler that does not spin: several VMs share this machine.
    vm =
      "+S 1 +sbwt none -start_epmd false -erl_epmd_port #{state.port} " <>
        "-kernel inet_dist_use_interface #{interface} #{flags}"

    [
      state.programs.elixir,
      ["--name", name(number), "--cookie", state.cookie, "--erl", vm, "-pa", state.ebin],
      Path.join(__DIR__, "node.exs")
    ]
    |> List.flatten()
  end

  defp environment(number, state) do
    variables = %{
      "DNS_CLUSTER_QUERY" => NameServer.name(),
      "DEMO_NAME_SERVER" => NameServer.address(),
      "DEMO_HTTP_PORT" => "#{http_port(number, state)}",
      "DEMO_FOLDER" => state.folder,
      "PATH" => state.programs.path
    }

    for {name, value} <- variables, do: {to_charlist(name), to_charlist(value)}
  end

  defp http_port(number, state), do: state.http_port + number - @first

  defp kill_node(%{state: :running} = node) do
    System.cmd("kill", ["-KILL", "#{node.os_pid}"], stderr_to_stdout: true)

    ended(node, now() + @patience) ||
      raise "#{node.name} (process #{node.os_pid}) survived SIGKILL"
  end

  defp kill_node(node), do: node

  defp ended(%{port: port} = node, deadline) do
    receive do
      {^port, {:exit_status, status}} -> %{node | state: {:ended, status}}
    after
      max(0, deadline - now()) -> nil
    end
  end

  # What runs us, not what a version manager has put into PATH: its stand-ins may stay in between as processes.
  defp programs do
    elixir = :elixir |> :code.lib_dir() |> Path.join("../../bin/elixir") |> Path.expand()
    elixir = if File.exists?(elixir), do: elixir, else: System.find_executable("elixir")
    %{elixir: elixir, path: "#{:code.root_dir()}/bin:#{System.get_env("PATH")}"}
  end

  # Nodes of another demo, and of anybody else, stay out.
  defp cookie, do: Base.encode16(:crypto.strong_rand_bytes(16))

  defp now, do: System.monotonic_time(:millisecond)
end

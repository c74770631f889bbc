defmodule DNSMesh.Test.TestNode do
  @moduledoc """
  Real nodes, each a VM in an OS process of its own, started from a test VM that is not distributed itself.

      a = TestNode.start!(name: "app@127.0.0.2", epmd: {:fixed, port})
      b = TestNode.start!(name: "app@127.0.0.3", epmd: {:fixed, port})
      TestNode.start_child(a, {DNSMesh, query: "app.internal", nameservers: [ScriptedDNS.address(dns)]})
      assert TestNode.await_nodes(a, [b])
      assert {:info, _} = TestNode.await_log(a, ~r/joined 1/)

  All of 127.0.0.0/8 is local on Linux: with `epmd: {:fixed, port}` each node listens at the same port of an
  address of its own, so nodes with one basename share this machine without epmd and without root.

  The node has the test VM's code paths, runs Elixir and Logger, prints nothing, and ends with the test.
  """

  alias DNSMesh.Test.{Await, NodeRelay, OSProcess}

  defstruct [:name, :label, :peer, :os_pid, :relay]

  @type t :: %__MODULE__{name: node | nil, label: term, peer: pid, os_pid: String.t(), relay: pid}

  @call_timeout 30_000

  # Small VMs: many of them run at once on few cores. `net_ticktime` and the rest stay as users have them.
  @emulator ~w(+S 2:2 +SDio 1 +A 1)

  # Nothing of the node's is printed: not by Elixir's backends (1.14) or its handler (since, where naming backends is
  # deprecated), nor by OTP's, which Elixir's Logger puts back when it stops.
  @elixir_logger if Version.match?(System.version(), "< 1.15.0"),
                   do: ~w(backends []),
                   else: ~w(default_handler false)
  @quiet ["-kernel", "logger", "[{handler,default,logger_std_h,\#{level=>none}}]"] ++
           ["-logger" | @elixir_logger]

  @doc """
  Starts a node.

    * `:name` – `"app@127.0.0.2"`; without it the VM is not distributed
    * `:names` – `:long` (default) or `:short`
    * `:epmd` – `{:fixed, port}`: no epmd, every node listens at this port of its own address;
      `{:port, port}`: a private epmd there (`DNSMesh.Test.Epmd`); without it a VM must have no name
    * `:hosts` – `%{"app-0.svc.test" => "127.0.0.2"}`: the host names that the VM can resolve, each with an address or a
      list of them; it asks nobody else then. For nodes named by host, which no name server of this machine knows
    * `:interface` – the address that distribution listens on, by default the name's host if that is an address, or its
      address in `:hosts`
    * `:cookie` – `"dns_mesh_test"`; `nil` leaves it to the VM
    * `:args` – more flags, such as `["-connect_all", "false"]`, `["-hidden"]`, `["-proto_dist", "inet6_tcp"]`
    * `:env` – environment, `[{"DNS_CLUSTER_QUERY", "app.internal"}]`; `nil` as value unsets one
    * `:label` – what `{:from_node, label, message}` says, by default the node's name (or `:nonode@nohost`)
    * `:exit_status` – `true`: the process `node.peer` ends with `{:exit_status, status}`, for a test that monitors it
    * `:boot_timeout` – 15_000 ms
    * `:within` – a command that the VM is run by, `["unshare", "-m"]`
  """
  @spec start(keyword) :: {:ok, t} | {:error, term}
  def start(opts \\ []) do
    {:ok, relay, relay_path} = NodeRelay.start(self())
    inetrc = write_inetrc(opts[:hosts])

    options = %{
      connection: :standard_io,
      exec: executable(Keyword.get(opts, :within, [])),
      args: opts |> arguments() |> Enum.map(&String.to_charlist/1),
      env: environment(opts, inetrc),
      peer_down: if(opts[:exit_status], do: :crash, else: :stop),
      wait_boot: Keyword.get(opts, :boot_timeout, 15_000)
    }

    booted = boot(options)
    # The VM has read it while it booted, and reads it once.
    if inetrc, do: File.rm!(inetrc)

    case booted do
      {:ok, peer} ->
        {:ok, set_up(peer, relay, relay_path, opts)}

      {:error, reason} ->
        GenServer.stop(relay)
        {:error, reason}
    end
  end

  @doc "As `start/1`, but raises when the node does not come up."
  @spec start!(keyword) :: t
  def start!(opts \\ []) do
    case start(opts) do
      {:ok, node} -> node
      {:error, reason} -> raise "node #{inspect(opts)} did not start: #{inspect(reason)}"
    end
  end

  @doc "Runs a function in the node. Raises, exits or throws here what it does there."
  @spec call(t, module, atom, [term], timeout) :: term
  def call(node, module, function, args, timeout \\ @call_timeout),
    do: :peer.call(node.peer, module, function, args, timeout)

  @doc """
  Starts a child in the node, under a supervisor that restarts it. The result's pid belongs to the other VM:
  reach the process by its name, through `call/4`.
  """
  @spec start_child(t, Supervisor.child_spec() | {module, term} | module) ::
          DynamicSupervisor.on_start_child()
  def start_child(node, spec), do: call(node, NodeRelay, :start_child, [spec])

  @doc "The nodes it is connected to, hidden ones included, sorted."
  @spec nodes(t) :: [node]
  def nodes(node), do: node |> call(Node, :list, [[:visible, :hidden]]) |> Enum.sort()

  @doc "Waits until the node is connected to all of `nodes` (nodes or names). True if so in time."
  @spec await_nodes(t, [t | node], timeout :: pos_integer) :: boolean
  def await_nodes(node, nodes, timeout \\ 10_000),
    do: await_nodes(node, nodes, :at_least, timeout)

  @doc "As `await_nodes/3`, and to nobody else: `await_exactly(node, [])` waits until it is alone."
  @spec await_exactly(t, [t | node], timeout :: pos_integer) :: boolean
  def await_exactly(node, nodes, timeout \\ 10_000),
    do: await_nodes(node, nodes, :exactly, timeout)

  defp await_nodes(node, nodes, mode, timeout) do
    names = for other <- nodes, do: if(is_atom(other), do: other, else: other.name)
    call(node, NodeRelay, :await_nodes, [names, mode, timeout], timeout + 10_000)
  end

  @doc "Sends a process of the node a message."
  @spec send(t, atom, term) :: :ok
  def send(node, registered_name, message), do: :peer.send(node.peer, registered_name, message)

  @doc "All log lines so far, as `{level, text}`, oldest first. Still there when the node is gone."
  @spec logs(t) :: [NodeRelay.line()]
  def logs(node), do: NodeRelay.logs(node.relay)

  @spec clear_logs(t) :: :ok
  def clear_logs(node), do: NodeRelay.clear_logs(node.relay)

  @doc "The first log line, seen or to come, that matches. Raises after `timeout` ms, showing what came instead."
  @spec await_log(t, Regex.t(), timeout :: pos_integer) :: NodeRelay.line()
  def await_log(node, regex, timeout \\ 5_000),
    do: NodeRelay.await_log(node.relay, regex, timeout)

  @doc "The process that started the node gets `{:from_node, label, {:telemetry, event, measurements, metadata}}`."
  @spec forward_telemetry(t, mesh :: term) :: :ok
  def forward_telemetry(node, mesh), do: call(node, NodeRelay, :forward_telemetry, [mesh])

  @doc "The process that started the node gets `{:from_node, label, {:nodeup | :nodedown, other, info}}`."
  @spec forward_nodes(t) :: :ok
  def forward_nodes(node), do: call(node, NodeRelay, :forward_nodes, [])

  @doc """
  The process that started the node gets `{:from_node, label, {:trace, pid, :call, {module, function, arguments}}}` for each
  call of one of these functions, whoever in the node makes it.
  """
  @spec trace_calls(t, [mfa]) :: :ok
  def trace_calls(node, functions), do: call(node, NodeRelay, :trace_calls, [functions])

  @doc "Ends the VM by `init:stop`: its applications shut down in order."
  @spec stop(t) :: :ok
  def stop(node) do
    monitor = Process.monitor(node.peer)
    :peer.cast(node.peer, :init, :stop, [])

    receive do
      {:DOWN, ^monitor, :process, _peer, _reason} -> :ok
    after
      10_000 -> kill(node)
    end

    gone(node)
  end

  @doc "SIGKILL: the VM has no time for anything. Returns when it is gone and its ports are free."
  @spec kill(t) :: :ok
  def kill(node) do
    OSProcess.signal(node.os_pid, "KILL")
    gone(node)
  end

  @doc ~S'Sends the VM a signal, such as `"STOP"` and `"CONT"`.'
  @spec signal(t, String.t()) :: :ok
  def signal(node, name), do: OSProcess.signal(node.os_pid, name)

  ## Starting

  # The VM's own resolver dials, and it can be given a file of hosts of its own.
  defp write_inetrc(nil), do: nil

  defp write_inetrc(hosts) do
    entries =
      for {host, addresses} <- hosts, address <- List.wrap(addresses) do
        {:ok, ip} = :inet.parse_strict_address(String.to_charlist(address))
        {:host, ip, [String.to_charlist(host)]}
      end

    path = Path.join(System.tmp_dir!(), "dns_mesh_inetrc_#{System.pid()}_#{unique()}")

    File.write!(
      path,
      for(line <- [{:lookup, [:file]} | entries], do: :io_lib.format("~p.~n", [line]))
    )

    path
  end

  defp unique, do: System.unique_integer([:positive])

  # `:peer` exits, prints and returns by turns when a boot fails; this makes it one shape.
  defp boot(options) do
    case :peer.start(options) do
      {:ok, peer, _name} -> {:ok, peer}
      {:error, reason} -> {:error, reason}
    end
  catch
    :exit, reason -> {:error, reason}
  end

  defp set_up(peer, relay, relay_path, opts) do
    # A VM that hangs in here must not outlive the test either.
    os_pid = peer |> :peer.call(:os, :getpid, []) |> List.to_string()
    name = :peer.call(peer, :erlang, :node, [])

    node = %__MODULE__{
      name: if(opts[:name], do: name),
      label: Keyword.get(opts, :label, name),
      peer: peer,
      os_pid: os_pid,
      relay: relay
    }

    clean_up_after_test(node)
    NodeRelay.label(relay, node.label)
    {:ok, _} = call(node, :application, :ensure_all_started, [:elixir])
    {:ok, _} = call(node, :application, :ensure_all_started, [:logger])
    :ok = call(node, NodeRelay, :join, [relay_path])
    node
  end

  defp clean_up_after_test(node) do
    ExUnit.Callbacks.on_exit({__MODULE__, node.peer}, fn -> kill(node) end)
  rescue
    # Not in a test: the control process's end closes the node's stdin, and that ends the node.
    ArgumentError -> :ok
  end

  defp gone(node) do
    Await.await(fn -> not OSProcess.alive?(node.os_pid) end, 10_000)
    if Process.alive?(node.peer), do: stop_control(node.peer)
    :ok
  end

  defp stop_control(peer) do
    :peer.stop(peer)
  catch
    :exit, _gone_already -> :ok
  end

  defp executable(within) do
    [program | arguments] =
      for command <- Enum.take(within, 1) ++ ["erl"], do: System.find_executable(command)

    case within do
      [] ->
        String.to_charlist(program)

      [_ | flags] ->
        {String.to_charlist(program), Enum.map(flags ++ arguments, &String.to_charlist/1)}
    end
  end

  ## Flags

  defp arguments(opts) do
    @emulator ++
      name_flags(opts) ++
      epmd_flags(opts) ++
      interface_flags(opts) ++
      cookie_flags(opts) ++
      @quiet ++
      Keyword.get(opts, :args, []) ++
      ["-pa" | code_paths()]
  end

  defp name_flags(opts) do
    case {opts[:name], Keyword.get(opts, :names, :long)} do
      {nil, _} -> []
      {name, :long} -> ["-name", "#{name}"]
      {name, :short} -> ["-sname", "#{name}"]
    end
  end

  defp epmd_flags(opts) do
    case opts[:epmd] do
      {:fixed, port} -> ["-start_epmd", "false", "-erl_epmd_port", "#{port}"]
      {:port, _port} -> ["-start_epmd", "false"]
      nil -> if opts[:name], do: raise(ArgumentError, "a named node needs :epmd"), else: []
    end
  end

  # Without it a node listens on all addresses, and the second one finds the port taken.
  defp interface_flags(opts) do
    host = opts |> Keyword.get(:name, "") |> to_string() |> String.split("@") |> List.last()
    known = opts |> Keyword.get(:hosts, %{}) |> Map.get(host, host) |> List.wrap()
    wanted = Keyword.get(opts, :interface, hd(known))

    case :inet.parse_strict_address(String.to_charlist(wanted)) do
      {:ok, ip} ->
        ["-kernel", "inet_dist_use_interface", "{#{ip |> Tuple.to_list() |> Enum.join(",")}}"]

      {:error, :einval} ->
        []
    end
  end

  defp cookie_flags(opts) do
    case Keyword.get(opts, :cookie, "dns_mesh_test") do
      nil -> []
      cookie -> ["-setcookie", "#{cookie}"]
    end
  end

  # OTP's own paths are there already.
  defp code_paths do
    otp = List.to_string(:code.lib_dir())

    for path <- :code.get_path(),
        path = path |> List.to_string() |> Path.expand(),
        not String.starts_with?(path, otp <> "/"),
        do: path
  end

  # What the test VM was started with must not reach the nodes.
  defp environment(opts, inetrc) do
    unset =
      ~w(DNS_CLUSTER_QUERY DNS_MESH_BASENAME DNS_MESH_ADDRESS ERL_EPMD_PORT ERL_FLAGS ERL_AFLAGS ERL_ZFLAGS)

    base =
      unset
      |> Map.new(&{&1, nil})
      |> Map.merge(%{"ERL_CRASH_DUMP_SECONDS" => "0", "ERL_INETRC" => inetrc})

    epmd =
      case opts[:epmd] do
        {:port, port} -> %{"ERL_EPMD_PORT" => "#{port}"}
        _ -> %{}
      end

    for {name, value} <-
          base |> Map.merge(epmd) |> Map.merge(Map.new(Keyword.get(opts, :env, []))) do
      {String.to_charlist(name), if(value, do: String.to_charlist(value), else: false)}
    end
  end
end

defmodule Settle.Lab do
  @moduledoc false
  # Hosts, their VMs, and the DNS server that lists them; what stories do to them, and when (`marks`). Used by the one
  # process that opened it, which hears of every VM's end.

  alias DNSMesh.Test.ScriptedDNS
  alias Settle.{Log, Net}

  @name "app.internal"
  @port 9100
  @boot_patience 60_000
  # A VM that has died may have left half a line.
  @exec ~S(echo >>"$0" && exec "$@" >>"$0" 2>&1)
  @stop_patience 10_000

  @enforce_keys [:net, :hosts, :folder, :dns, :run]
  defstruct [:net, :hosts, :folder, :dns, :run, vms: %{}, marks: []]

  @doc "The port at which every node of a lab listens for others."
  def port, do: @port

  def open(run, number, settings) do
    net = %Net{prefix: settings.prefix, lab: number}
    folder = Path.join(settings.folder, run.id)
    # Where records are kept, those of the last time may still be there.
    File.rm_rf!(folder)
    File.mkdir_p!(folder)
    :ok = Net.up(net, run.hosts)
    {:ok, dns} = ScriptedDNS.start_link(ip: Net.server(net), port: 53)
    %__MODULE__{net: net, hosts: run.hosts, folder: folder, dns: dns, run: run}
  end

  # The VMs see their input end; what does not heed that, and epmd, dies with its namespace.
  def close(net, hosts), do: Net.down(net, hosts)

  def all(lab), do: Enum.to_list(1..lab.hosts)
  def node(lab, host), do: "app@#{Net.address(lab.net, host)}"
  def log(lab, host), do: Path.join(lab.folder, "#{host}.log")

  ## What a story says

  @doc "From now on DNS lists these hosts, and `more` addresses."
  def list(lab, hosts, more \\ []) do
    answer(lab, for(host <- hosts, do: Net.address(lab.net, host)) ++ more)
  end

  @doc "From now on DNS answers so; see ScriptedDNS."
  def answer(lab, behaviour) do
    :ok = ScriptedDNS.put(lab.dns, {@name, :a}, behaviour)
    lab
  end

  @doc "Starts VMs; returns when each of them runs its script."
  def start(lab, hosts, options \\ [])
  def start(lab, [host], options), do: boot(lab, [host], options)

  # One lab at a time: to boot many takes the whole machine.
  def start(lab, hosts, options),
    do: :global.trans({__MODULE__, self()}, fn -> boot(lab, hosts, options) end)

  defp boot(lab, hosts, options) do
    before = Map.new(hosts, &{&1, Log.boots(log(lab, &1))})
    lab = Enum.reduce(hosts, lab, &mark(&2, {:start, &1}))
    vms = Map.new(hosts, &{&1, spawn_vm(lab, &1, options)})
    lab = %{lab | vms: Map.merge(lab.vms, vms)}
    for host <- hosts, do: await_boot(lab, host, before[host] + 1, now() + @boot_patience)
    lab
  end

  @doc "SIGTERM; returns when the VM is gone."
  def stop(lab, host) do
    {port, pid} = Map.fetch!(lab.vms, host)
    lab = mark(lab, {:stop, host})
    signal(pid, "TERM")

    receive do
      {^port, {:exit_status, _}} -> :ok
    after
      @stop_patience -> raise "#{node(lab, host)} does not stop within #{@stop_patience} ms"
    end

    mark(%{lab | vms: Map.delete(lab.vms, host)}, {:stopped, host})
  end

  @doc "SIGKILL."
  def kill(lab, host) do
    {port, pid} = Map.fetch!(lab.vms, host)
    lab = mark(lab, {:kill, host})
    signal(pid, "KILL")

    receive do
      {^port, {:exit_status, _}} -> %{lab | vms: Map.delete(lab.vms, host)}
    end
  end

  @doc "A line for the VM's input; see node/node.ex."
  def tell(lab, host, line) do
    {port, _pid} = Map.fetch!(lab.vms, host)
    Port.command(port, line <> "\n")
    lab
  end

  def block(lab, pairs) do
    for {one, other} <- pairs, do: Net.block(lab.net, one, other)
    lab
  end

  def unblock(lab, pairs) do
    for {one, other} <- pairs, do: Net.unblock(lab.net, one, other)
    lab
  end

  @doc "Nothing is done for so many seconds."
  def wait(lab, seconds), do: wait_until(lab, now() + round(seconds * 1000))

  @doc "Until one of these hosts says that it is linked with `host`, or the seconds are over."
  def wait_for_link(lab, hosts, host, since, seconds) do
    name = node(lab, host)

    linked? =
      Enum.any?(hosts, fn other ->
        Enum.any?(Log.read(log(lab, other)), fn {ms, what, words} ->
          ms >= since and what == "UP" and hd(words) == name
        end)
      end)

    if linked? or seconds <= 0,
      do: lab,
      else: lab |> wait(0.2) |> wait_for_link(hosts, host, since, seconds - 0.2)
  end

  def mark(lab, what), do: %{lab | marks: [{now(), what} | lab.marks]}

  @doc "Marks all hosts' counters."
  def count(lab),
    do: mark(lab, {:counters, for(host <- all(lab), do: Net.counters(lab.net, host))})

  @doc "The clock of every record."
  def now, do: :os.perf_counter(:millisecond)

  ## VMs

  defp spawn_vm(lab, host, options) do
    port =
      Port.open({:spawn_executable, System.find_executable("sh")}, [
        :binary,
        :exit_status,
        args: ["-c", @exec, log(lab, host) | command(lab, host, options)]
      ])

    # Each program of the chain becomes the next, so this is the VM's.
    {:os_pid, pid} = Port.info(port, :os_pid)
    {port, pid}
  end

  defp command(lab, host, options) do
    beams = System.fetch_env!("SETTLE_BEAMS")
    root = System.get_env("SETTLE_ROOT", "")

    ["nsenter", "--net=#{Net.path(lab.net, host)}"] ++
      if(root == "", do: [], else: ["chroot", root]) ++
      ["env", "-i", "HOME=#{beams}", "LC_ALL=C.UTF-8", "PATH=#{path(root)}"] ++
      environment(lab, options) ++
      ["elixir", "--name", node(lab, host), "--cookie", "settle", "--erl", flags(lab)] ++
      ["-pa", "#{beams}/dns_mesh/ebin", "-pa", "#{beams}/node", "--no-halt"] ++
      ["-e", "Settle.Node.main()"]
  end

  defp path(""), do: System.fetch_env!("PATH")
  defp path(_root), do: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

  defp environment(lab, options) do
    mesh = [query: @name, nameservers: [Net.server(lab.net)], interval: lab.run.interval]
    mesh = if options[:mesh] == false, do: nil, else: Keyword.merge(mesh, lab.run.options)
    lie = lab.run[:lie]

    ["SETTLE_OPTIONS=#{inspect(mesh, limit: :infinity)}"] ++
      if lie, do: ["SETTLE_LIE=#{lie}"], else: []
  end

  # Small VMs: there are many.
  defp flags(lab) do
    ticktime = if lab.run.ticktime, do: " -kernel net_ticktime #{lab.run.ticktime}", else: ""

    "+S 1:1 +SDcpu 1:1 +SDio 1 +A 1#{ticktime} " <>
      "-kernel inet_dist_listen_min #{@port} inet_dist_listen_max #{@port}"
  end

  defp await_boot(lab, host, boots, deadline) do
    cond do
      Log.boots(log(lab, host)) >= boots -> :ok
      now() > deadline -> raise "#{node(lab, host)} does not boot#{last_words(lab, host)}"
      true -> wait(lab, 0.05) && await_boot(lab, host, boots, deadline)
    end
  end

  defp wait_until(lab, deadline) do
    receive do
      {port, {:exit_status, status}} when is_port(port) ->
        host = Enum.find_value(lab.vms, fn {host, {p, _}} -> p == port && host end)

        raise "#{node(lab, host)} has ended by itself (#{status})#{last_words(lab, host)}"
    after
      max(deadline - now(), 0) -> lab
    end
  end

  defp last_words(lab, host) do
    lines = lab |> log(host) |> File.read!() |> String.split("\n", trim: true)
    for line <- Enum.take(lines, -10), do: "\n      | #{line}"
  end

  defp signal(pid, name), do: System.cmd("kill", ["-#{name}", "#{pid}"], stderr_to_stdout: true)
end

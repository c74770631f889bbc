defmodule Settle.Node.Recorder do
  @moduledoc false
  # Writes what happens to this node's links, line by line: `settle MS WHAT …`, read by log.exs.
  #
  #   BOOT name otp=25 …        the node's script runs
  #   UP name, DOWN name …      a visible link, and why it ended; HIDDEN-UP and HIDDEN-DOWN for others
  #   DIAL name, LOOK name      somebody in this VM called connect_node, or hidden_connect_node
  #   SETUP name type           the VM tries to make a connection, whoever wanted it (global does too)
  #   CUT name kind by=m:f/a    somebody in this VM called for a disconnect
  #   EVENT name {…}            an event of DNSMesh

  @traced [
    {:net_kernel, :connect_node, 1},
    {:net_kernel, :hidden_connect_node, 1},
    {:inet_tcp_dist, :setup, 5},
    {:erlang, :disconnect_node, 1},
    {:net_kernel, :disconnect, 1},
    {:net_kernel, :async_disconnect, 1}
  ]

  @spec start(facts :: keyword()) :: :ok
  def start(facts) do
    caller = self()
    {pid, monitor} = spawn_monitor(fn -> init(caller, facts) end)

    receive do
      {^pid, :ready} -> Process.demonitor(monitor, [:flush]) && :ok
    end
  end

  @spec event(String.t(), term()) :: :ok
  def event(name, term), do: say("EVENT", [name, inspect(term, limit: :infinity, width: 0)])

  @spec say(String.t(), [term()]) :: :ok
  def say(what, words \\ []),
    do: IO.puts(Enum.join(["settle", now(), what | words], " ") |> String.replace("\n", " "))

  defp init(caller, facts) do
    # What it writes is when things happened, also in a VM that is busy.
    Process.flag(:priority, :high)
    say("BOOT", [node() | for({key, value} <- facts, do: "#{key}=#{value}")])
    :ok = :net_kernel.monitor_nodes(true, [:nodedown_reason, node_type: :all])

    # Others may have dialled this VM before: these links will give no nodeup.
    links =
      for {type, what} <- [visible: "UP", hidden: "HIDDEN-UP"],
          node <- Node.list(type),
          into: %{} do
        say(what, [node, "before"])
        {node, {type, now()}}
      end

    trace()
    send(caller, {self(), :ready})
    loop(links)
  end

  defp trace do
    for {module, _, _} = mfa <- @traced do
      {:module, ^module} = :code.ensure_loaded(module)
      1 = :erlang.trace_pattern(mfa, [{:_, [], [{:message, {:caller}}]}], [:global])
    end

    :erlang.trace(:all, true, [:call])
  end

  defp loop(links) do
    receive do
      {:nodeup, node, info} -> loop(up(links, node, info[:node_type]))
      {:nodedown, node, info} -> loop(down(links, node, info))
      {:trace, _pid, :call, mfa, caller} -> called(links, mfa, caller) && loop(links)
      _other -> loop(links)
    end
  end

  defp up(links, node, _type) when is_map_key(links, node) or node == node(), do: links

  defp up(links, node, type) do
    say(if(type == :hidden, do: "HIDDEN-UP", else: "UP"), [node])
    Map.put(links, node, {type, now()})
  end

  defp down(links, node, _info) when node == node(), do: links

  defp down(links, node, info) do
    {link, links} = Map.pop(links, node)
    {type, since} = link || {info[:node_type], now()}
    what = if type == :hidden, do: "HIDDEN-DOWN", else: "DOWN"
    say(what, [node, "life=#{now() - since}", inspect(info[:nodedown_reason])])
    links
  end

  defp called(_links, {:net_kernel, :connect_node, [node]}, _caller), do: say("DIAL", [node])
  defp called(_links, {:net_kernel, :hidden_connect_node, [node]}, _), do: say("LOOK", [node])

  defp called(_links, {:inet_tcp_dist, :setup, [node, type | _]}, _),
    do: say("SETUP", [node, type])

  defp called(links, {_module, _disconnect, [node]}, caller) do
    type = with {type, _since} <- links[node], do: type
    say("CUT", [node, type || "unlinked", "by=#{called_by(caller)}"])
  end

  defp called_by({module, function, arity}), do: "#{module}:#{function}/#{arity}"
  defp called_by(_unknown), do: "unknown"

  # CLOCK_MONOTONIC, the same for all VMs of a machine.
  defp now, do: :os.perf_counter(:millisecond)
end

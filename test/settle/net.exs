defmodule Settle.Net do
  @moduledoc false
  # A lab's network: a bridge in the namespace this VM runs in, with the name server's address on it, and one namespace
  # for each host. Faults are silent, like a firewall's: what is sent goes to a card that nobody has.
  #
  #   bridge 10.77.L.1 ─┬─ host 1  10.77.L.11
  #                     ├─ host 2  10.77.L.12
  #                     └─ …

  @nobody "02:00:00:00:00:99"
  @nowhere 250
  # Of policy routing, in the hosts' namespaces.
  @table 77

  @enforce_keys [:prefix, :lab]
  defstruct [:prefix, :lab]

  @type t :: %__MODULE__{prefix: String.t(), lab: 1..250}

  @spec up(t, pos_integer()) :: :ok
  def up(net, hosts) do
    ip(["link add #{bridge(net)} type bridge"])
    ip(["addr add #{server(net)}/24 dev #{bridge(net)}", "link set #{bridge(net)} up"])
    for host <- 1..hosts, do: plug(net, host)
    :ok
  end

  @spec down(t, pos_integer()) :: :ok
  def down(net, hosts) do
    for host <- 1..hosts do
      for pid <- pids(net, host), do: System.cmd("kill", ["-KILL", pid], stderr_to_stdout: true)
      System.cmd("ip", ["netns", "del", namespace(net, host)], stderr_to_stdout: true)
    end

    System.cmd("ip", ["link", "del", bridge(net)], stderr_to_stdout: true)
    :ok
  end

  @doc "The name server's address."
  def server(net), do: "10.77.#{net.lab}.1"

  @spec address(t, pos_integer()) :: String.t()
  def address(net, host), do: "10.77.#{net.lab}.#{10 + host}"

  @doc "An address of this network at which there is nobody, and never a word about that."
  def nowhere(net), do: "10.77.#{net.lab}.#{@nowhere}"

  def namespace(net, host), do: "#{net.prefix}-#{net.lab}-#{host}"

  @doc "Neither hears the other."
  def block(net, one, other) do
    deafen(net, one, address(net, other))
    deafen(net, other, address(net, one))
  end

  def unblock(net, one, other) do
    at(net, one, ["neigh del #{address(net, other)} dev e0"])
    at(net, other, ["neigh del #{address(net, one)} dev e0"])
  end

  @doc "Whatever this host sends to that address is lost."
  def deafen(net, host, address),
    do: at(net, host, ["neigh replace #{address} lladdr #{@nobody} dev e0 nud permanent"])

  @doc "Neither reaches this TCP port of the other; all else passes."
  def block_port(net, one, other, port) do
    for {from, to} <- [{one, other}, {other, one}] do
      deafen(net, from, nowhere(net))

      at(net, from, [
        "route replace default via #{nowhere(net)} dev e0 table #{@table}",
        "rule add #{to_port(net, to, port)}"
      ])
    end
  end

  def unblock_port(net, one, other, port) do
    for {from, to} <- [{one, other}, {other, one}],
        do: at(net, from, ["rule del #{to_port(net, to, port)}"])
  end

  defp to_port(net, host, port),
    do: "to #{address(net, host)} ipproto tcp dport #{port} table #{@table}"

  @doc "Pulls a host's cable, and plugs it in again."
  def unplug(net, host), do: ip(["link set #{cable(net, host)} down"])
  def replug(net, host), do: ip(["link set #{cable(net, host)} up"])

  @doc """
  How many TCP connections this host has tried, and how often one to it found the listener's queue full.
  """
  def counters(net, host) do
    files = ["/proc/net/snmp", "/proc/net/netstat"]
    {text, 0} = System.cmd("nsenter", ["--net=#{path(net, host)}", "cat" | files])

    %{
      connects: counter(text, "Tcp:", "ActiveOpens"),
      full: counter(text, "TcpExt:", "ListenOverflows")
    }
  end

  # Two lines of one title: names, and values in the same order.
  defp counter(text, title, name) do
    [names, values] =
      for line <- String.split(text, "\n"), [^title | words] <- [String.split(line)], do: words

    names
    |> Enum.zip(values)
    |> Enum.find_value(fn {key, value} -> key == name && String.to_integer(value) end)
  end

  @doc "Where a program enters a host's namespace."
  def path(net, host), do: "/var/run/netns/#{namespace(net, host)}"

  defp plug(net, host) do
    {_, 0} = System.cmd("ip", ["netns", "add", namespace(net, host)])
    namespace = namespace(net, host)

    ip([
      "link add #{cable(net, host)} type veth peer name e0 netns #{namespace}",
      "link set #{cable(net, host)} master #{bridge(net)} up"
    ])

    at(net, host, [
      "link set lo up",
      "addr add #{address(net, host)}/24 dev e0",
      "link set e0 up"
    ])
  end

  defp pids(net, host) do
    case System.cmd("ip", ["netns", "pids", namespace(net, host)], stderr_to_stdout: true) do
      {pids, 0} -> String.split(pids)
      _none_such -> []
    end
  end

  # A name of a network card has at most 15 letters.
  defp bridge(net), do: "br#{net.lab}"
  defp cable(net, host), do: "p#{net.lab}x#{host}"

  defp at(net, host, commands), do: ip(["-n", namespace(net, host)], commands)

  defp ip(options \\ [], commands) do
    for command <- commands do
      case System.cmd("ip", options ++ String.split(command), stderr_to_stdout: true) do
        {_, 0} -> :ok
        {said, _} -> raise "ip #{Enum.join(options, " ")} #{command}: #{said}"
      end
    end

    :ok
  end
end

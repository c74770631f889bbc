defmodule DNSMesh.Test.Forward do
  @moduledoc """
  A port that leads to another one, as a load balancer's does, or one that a host forwards.

      Forward.start!({{127, 0, 0, 100}, port}, {{127, 0, 0, 3}, port})

  Ends with the process that has started it.
  """

  @type place :: {:inet.ip_address(), :inet.port_number()}

  @doc "What connects to `from` talks with `to`."
  @spec start!(from :: place, to :: place) :: pid
  def start!({ip, port}, to) do
    {:ok, listener} = :gen_tcp.listen(port, [:binary, ip: ip, active: false, reuseaddr: true])
    pid = spawn_link(fn -> wait(listener, to) end)
    :ok = :gen_tcp.controlling_process(listener, pid)
    pid
  end

  defp wait(listener, {ip, port} = to) do
    {:ok, outer} = :gen_tcp.accept(listener)
    {:ok, inner} = :gen_tcp.connect(ip, port, [:binary, active: false])

    for {one, other} <- [{outer, inner}, {inner, outer}],
        do: spawn_link(fn -> pipe(one, other) end)

    wait(listener, to)
  end

  defp pipe(one, other) do
    with {:ok, bytes} <- :gen_tcp.recv(one, 0), :ok <- :gen_tcp.send(other, bytes) do
      pipe(one, other)
    else
      {:error, _closed} -> :gen_tcp.shutdown(other, :write)
    end
  end
end

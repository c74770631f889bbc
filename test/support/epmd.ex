defmodule DNSMesh.Test.Epmd do
  @moduledoc """
  A real `epmd` of one test's own, on a port nobody else uses. It ends with the process that started it.

      epmd = Epmd.start!()
      TestNode.start!(name: "app@127.0.0.2", epmd: {:port, epmd.port})
  """

  alias DNSMesh.Test.{Await, OSProcess, Ports}

  defstruct [:port, :os_process]

  @type t :: %__MODULE__{port: :inet.port_number(), os_process: OSProcess.t()}

  @doc """
  Starts it and waits until it listens. Opts: `:port`, and `:addresses`, the loopback addresses it listens on
  besides 127.0.0.1 (which epmd always takes), by default 127.0.0.2 to 127.0.0.9.
  """
  @spec start!(keyword) :: t
  def start!(opts \\ []) do
    port = Keyword.get_lazy(opts, :port, &Ports.free_port/0)
    addresses = Keyword.get(opts, :addresses, for(n <- 2..9, do: "127.0.0.#{n}"))

    os_process =
      OSProcess.start!(executable!(), ["-port", "#{port}", "-address", Enum.join(addresses, ",")])

    Await.await(fn -> listening?(port) end)
    %__MODULE__{port: port, os_process: os_process}
  end

  @doc "The names it knows: `[{\"app\", port}]`."
  @spec names(t) :: [{String.t(), :inet.port_number()}]
  def names(%__MODULE__{port: port}) do
    {:ok, socket} = :gen_tcp.connect({127, 0, 0, 1}, port, [:binary, active: false])
    # NAMES_REQ, answered by epmd's port and one line a name, then a close.
    :ok = :gen_tcp.send(socket, <<1::16, ?n>>)
    <<^port::32, lines::binary>> = receive_all(socket, <<>>)

    for [_, name, port] <- Regex.scan(~r/^name (\S+) at port (\d+)$/m, lines),
        do: {name, String.to_integer(port)}
  end

  @spec stop(t) :: :ok
  def stop(%__MODULE__{os_process: os_process}), do: OSProcess.kill(os_process)

  defp receive_all(socket, seen) do
    case :gen_tcp.recv(socket, 0, 5_000) do
      {:ok, bytes} -> receive_all(socket, seen <> bytes)
      {:error, :closed} -> seen
    end
  end

  defp listening?(port) do
    case :gen_tcp.connect({127, 0, 0, 1}, port, [], 1_000) do
      {:ok, socket} -> :gen_tcp.close(socket) == :ok
      {:error, _} -> false
    end
  end

  # Debian has it in PATH; other installations have it beside the emulator only.
  defp executable! do
    beside = Path.join([:code.root_dir(), "erts-#{:erlang.system_info(:version)}", "bin", "epmd"])

    if File.exists?(beside),
      do: beside,
      else: System.find_executable("epmd") || raise("no epmd found")
  end
end

defmodule DNSMesh.Epmd do
  @moduledoc false
  # The epmd of this machine, before distribution is started: `:net_kernel` waits 10 s for a silent one, and starts
  # none where there is none.

  @timeout 1_000
  @start_timeout 2_000
  @default_port 4369
  @local {127, 0, 0, 1}
  @names_request 110

  @type fault ::
          :epmd_absent
          | :epmd_silent
          | :epmd_port_taken
          | :epmd_missing
          | {:epmd_failed, String.t()}
          | {:epmd_elsewhere, String.t()}

  @doc "The port of every epmd: the VM's, and those of its peers. The VM reads the same variable."
  @spec port() :: 1..65_535
  def port do
    case Integer.parse(System.get_env("ERL_EPMD_PORT", "")) do
      {port, ""} when port in 1..65_535 -> port
      _unset -> @default_port
    end
  end

  @doc """
  The basenames it knows. Where none answers, one is started, if `start?`, as OTP starts it: at every address (or those of
  `ERL_EPMD_ADDRESS`). It outlives this VM, and is the host's: an address may change, and another application may be on
  another interface.
  """
  @spec names(start? :: boolean()) :: {:ok, [String.t()]} | {:error, fault()}
  def names(start?) do
    with {:error, :epmd_absent} when start? <- ask(@local),
         :ok <- start() do
      ask_new(System.monotonic_time(:millisecond) + @start_timeout)
    end
  end

  # `epmd -daemon` returns before its child listens, and says nothing when that fails.
  defp ask_new(deadline) do
    case ask(@local) do
      {:error, :epmd_absent} ->
        if System.monotonic_time(:millisecond) < deadline do
          receive do
          after
            20 -> ask_new(deadline)
          end
        else
          {:error, {:epmd_failed, "it was started, and does not listen"}}
        end

      answered ->
        answered
    end
  end

  @doc "Whether peers that ask at that address of this machine find it: one that was started with `-address` is elsewhere."
  @spec at(:inet.ip_address()) :: :ok | {:error, fault()}
  def at(ip) do
    case ask(ip) do
      {:ok, _names} -> :ok
      {:error, _why} -> {:error, {:epmd_elsewhere, DNSMesh.IP.to_text(ip)}}
    end
  end

  @spec ask(:inet.ip_address()) :: {:ok, [String.t()]} | {:error, fault()}
  defp ask(ip) do
    options = [:binary, DNSMesh.IP.family(ip), active: false]

    case :gen_tcp.connect(ip, port(), options, @timeout) do
      {:ok, socket} ->
        try do
          read_names(socket)
        after
          :gen_tcp.close(socket)
        end

      {:error, :timeout} ->
        {:error, :epmd_silent}

      {:error, _refused} ->
        {:error, :epmd_absent}
    end
  end

  # EPMD protocol, NAMES_REQ: the reply begins with epmd's own port, then a line for each name, until it closes.
  defp read_names(socket) do
    port = port()
    _ = :gen_tcp.send(socket, <<1::16, @names_request>>)

    case :gen_tcp.recv(socket, 4, @timeout) do
      {:ok, <<^port::32>>} -> {:ok, socket |> read_all("") |> parse_names()}
      {:error, :timeout} -> {:error, :epmd_silent}
      _somebody_else -> {:error, :epmd_port_taken}
    end
  end

  defp read_all(socket, so_far) do
    case :gen_tcp.recv(socket, 0, @timeout) do
      {:ok, more} -> read_all(socket, so_far <> more)
      {:error, _closed} -> so_far
    end
  end

  defp parse_names(text),
    do: for([_, name] <- Regex.scan(~r/^name (\S+) at port \d+$/m, text), do: name)

  defp start do
    case executable() do
      nil ->
        {:error, :epmd_missing}

      path ->
        case System.cmd(path, ["-daemon"], stderr_to_stdout: true) do
          {_, 0} -> :ok
          {text, status} -> {:error, {:epmd_failed, "exit status #{status} #{String.trim(text)}"}}
        end
    end
  end

  # A release brings its own, beside its emulator, which need not be in PATH.
  defp executable do
    root = List.to_string(:code.root_dir())
    erts = "erts-#{:erlang.system_info(:version)}"
    beside = Path.join([root, erts, "bin", "epmd"])
    if File.regular?(beside), do: beside, else: System.find_executable("epmd")
  end
end

defmodule DNSMesh.Doctor.TLS do
  @moduledoc false
  # The handshake of distribution over TLS, which the native library does not speak: with the options that this VM dials with,
  # and as far as the proof of the cookie, like native/dns_mesh/src/handshake.rs. What TLS itself has against it, OTP tells in
  # the log alone, on both sides; here it is an answer.

  alias DNSMesh.{IP, NodeName}

  # Each is a process with a connection.
  @most 64

  # Of the flags that erts wants of whoever connects: as in handshake.rs, without DFLAG_PUBLISHED, hence hidden.
  @flags 0x4 + 0x10 + 0x80 + 0x100 + 0x200 + 0x400 + 0x800 + 0x1_0000 + 0x2_0000 + 0x4_0000 +
           0x100_0000 + 0x200_0000 + 0x10_0000_0000 + 0x4_0000_0000
  @published 0x1

  @typedoc "Who refuses whose certificate (or what else TLS has against it), and OTP's words for it."
  @type fault :: {:tls_failed, :theirs | :ours | :options, String.t()}
  @type greeting :: DNSMesh.Native.greeting() | fault() | :plain
  @type target ::
          {id :: NodeName.t(), name :: NodeName.t(), IP.t(), :inet.port_number()}

  @doc """
  Begins to greet them, each in a process of its own, whose end is `{:greeted, greeting}`. Nobody where this VM's options
  are not to be had.
  """
  @spec greet(
          [target()],
          {name :: String.t(), cookie :: binary() | nil},
          timeout :: pos_integer()
        ) ::
          %{reference() => %{key: term(), pid: pid()}}
  def greet(targets, caller, timeout) do
    case options() do
      nil ->
        %{}

      options ->
        for target <- Enum.take(targets, @most), into: %{} do
          {pid, monitor} =
            spawn_monitor(fn -> exit({:greeted, say(target, caller, options, timeout)}) end)

          {monitor, %{key: elem(target, 0), pid: pid}}
        end
    end
  end

  # The arguments hold the cookie, and what raises is told with them.
  defp say(target, caller, options, timeout) do
    shake(target, caller, options, timeout)
  rescue
    _unforeseen -> :no_node
  catch
    _kind, _unforeseen -> :no_node
  end

  # As inet_tls_dist has them; nil where they are not to be had.
  defp options do
    case :ets.lookup(:ssl_dist_opts, :client) do
      [{:client, options}] -> options
      [] -> nil
    end
  rescue
    # -ssl_dist_opt, or no TLS.
    ArgumentError -> nil
  end

  defp shake({_id, name, ip, port}, {caller, cookie}, options, timeout) do
    {_basename, host} = NodeName.split(name)

    fixed = [
      :binary,
      IP.family(ip),
      active: false,
      packet: 4,
      nodelay: true,
      server_name_indication: String.to_charlist(host),
      erl_dist: true
    ]

    # Called so, for OTP's ssl is no dependency: where distribution speaks TLS it is there.
    case apply(:ssl, :connect, [ip, port, fixed ++ options, timeout]) do
      {:ok, socket} ->
        greeting = introduce(socket, name, caller, cookie, timeout)
        _ = apply(:ssl, :close, [socket])
        greeting

      {:error, reason} ->
        refused(reason)
    end
  end

  defp introduce(socket, name, caller, cookie, timeout) do
    hello = <<"N", @flags::64, chance()::32, byte_size(caller)::16, caller::binary>>

    with :ok <- send_to(socket, hello),
         {:ok, "s" <> status} <- receive_from(socket, timeout),
         :ok <- read_status(status),
         {:ok,
          <<"N", flags::64, challenge::32, _creation::32, length::16, theirs::binary-size(length),
            _more::binary>>} <- receive_from(socket, timeout) do
      kind = if Bitwise.band(flags, @published) == 0, do: :hidden, else: :visible

      cond do
        theirs != name -> {:other_name, theirs}
        cookie == nil -> {:welcome, kind, :unproved}
        prove(socket, cookie, challenge, timeout) -> {:welcome, kind, :proved}
        true -> :wrong_cookie
      end
    else
      {:error, reason} -> refused(reason)
      {:status, greeting} -> greeting
      _otherwise -> :no_node
    end
  end

  defp prove(socket, cookie, challenge, timeout) do
    ours = chance()

    with :ok <- send_to(socket, <<"r", ours::32, proof(cookie, challenge)::binary>>),
         {:ok, "a" <> theirs} <- receive_from(socket, timeout),
         # Who does not take our proof hangs up without a word.
         do: theirs == proof(cookie, ours),
         else: (_hung_up -> false)
  end

  defp read_status(status) when status in ["ok", "ok_simultaneous"], do: :ok
  defp read_status(status) when status in ["nok", "alive"], do: {:status, :busy}
  defp read_status("not_allowed"), do: {:status, :not_allowed}
  defp read_status(_other), do: {:status, :no_node}

  defp proof(cookie, challenge), do: :erlang.md5([cookie, Integer.to_string(challenge)])

  # Of this life of the node: any number above 3, which older formats had for others.
  defp chance, do: Bitwise.bor(:rand.uniform(0xFFFF_FFFF), 4)

  defp send_to(socket, message), do: apply(:ssl, :send, [socket, message])

  # An alert comes as an error of what is read next, under TLS 1.3.
  defp receive_from(socket, timeout), do: apply(:ssl, :recv, [socket, 0, timeout])

  defp refused({:tls_alert, {_kind, text}}),
    do: {:tls_failed, whose(to_string(text)), words(text)}

  defp refused({:options, reason}), do: {:tls_failed, :options, inspect(reason)}
  defp refused(:timeout), do: :silent
  defp refused(_closed), do: :no_node

  defp whose(text), do: if(text =~ "received SERVER ALERT", do: :ours, else: :theirs)

  # "TLS client: In state … at ssl_handshake.erl:2123 generated CLIENT ALERT: Fatal - Unknown CA"
  defp words(text) do
    text
    |> to_string()
    |> String.split("Fatal - ")
    |> List.last()
    |> String.replace(~r/\s+/, " ")
    |> String.trim()
    |> String.slice(0, 200)
  end
end

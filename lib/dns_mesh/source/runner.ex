defmodule DNSMesh.Source.Runner do
  @moduledoc false
  # A source is foreign code: it may block, raise or return anything. Each call runs in an unlinked, monitored process,
  # which also looks up the hosts of what it returned; whoever started it kills it at the deadline. Its end is the answer.

  alias DNSMesh.{Answer, Directory, IP, NodeName, Source, Static}

  @type source :: {module(), arg :: term()}
  @type resolve :: ([host :: String.t()] -> %{String.t() => [IP.t()] | :error})
  @type result :: {:ok, Answer.t()} | {:error, %{reason: DNSMesh.Error.reason(), server: nil}}

  # As many as a DNS answer may hold.
  @max_names 4_096
  @max_text 300
  @leave_timeout 1_000

  @doc "What a source is called for people. An `arg` may hold a password, so that of a stranger's is left out."
  @spec text(source()) :: String.t()
  def text({Static, names}), do: Enum.join(names, ", ")
  def text({Directory, path: path, expiry: _}), do: "dir:" <> path
  def text({module, _arg}), do: inspect(module)

  @doc "Has the module check its argument, if it wants to. A module that is not there costs its item, not the start."
  @spec validate(source()) :: {:ok, source()} | {:error, String.t()}
  def validate({module, arg}) do
    if exports?(module, :validate, 1) do
      case module.validate(arg) do
        {:ok, arg} -> {:ok, {module, arg}}
        {:error, text} when is_binary(text) -> {:error, text}
        other -> {:error, "#{inspect(module)}.validate/1 returned #{show(other)}"}
      end
    else
      {:ok, {module, arg}}
    end
  end

  @doc "Starts a call. The monitor's message says how it ended, for `read/1`."
  @spec run(source(), Source.context(), resolve()) :: {monitor :: reference(), pid()}
  def run(source, context, resolve) do
    {pid, monitor} =
      spawn_monitor(fn ->
        exit({__MODULE__, call(source, context, resolve)})
      end)

    {monitor, pid}
  end

  @doc "The same, in the calling process: for a source that is ours and takes no time."
  @spec call(source(), Source.context(), resolve()) :: result()
  def call(source, context, resolve) do
    source |> discover(context) |> result(source, resolve)
  catch
    # Caught, for the VM would log a crash anew at every poll; the reason is told once, by us.
    {:bad_return, text} -> failure({:bad_return, text})
    kind, reason -> failure(raised(kind, reason, __STACKTRACE__))
  end

  @doc "The result, from the reason of the process's end."
  @spec read(exit_reason :: term()) :: result()
  def read({__MODULE__, result}), do: result
  def read(reason), do: failure({:raised, reason |> Exception.format_exit() |> cut()})

  @doc "Tells all sources that this node stops; a second in all."
  @spec leave([source()], Source.context()) :: :ok
  def leave(sources, context) do
    calls =
      for {module, arg} <- sources, exports?(module, :leave, 2) do
        spawn_monitor(fn -> module.leave(arg, context) end)
      end

    deadline = now() + @leave_timeout

    for {pid, monitor} <- calls do
      receive do
        {:DOWN, ^monitor, :process, _pid, _reason} -> :ok
      after
        max(deadline - now(), 0) ->
          Process.demonitor(monitor, [:flush])
          Process.exit(pid, :kill)
      end
    end

    :ok
  end

  # A throw of the source's must not pass for one of ours.
  defp discover({module, arg}, context) do
    {:returned, module.discover(arg, context)}
  catch
    kind, reason -> raised(kind, reason, __STACKTRACE__)
  end

  defp result({:raised, _text} = reason, _source, _resolve), do: failure(reason)

  defp result({:returned, {:ok, names}}, source, resolve),
    do: answer(take(names), nil, source, resolve)

  defp result({:returned, {:partial, names, reason}}, source, resolve),
    do: answer(take(names), reason(reason), source, resolve)

  defp result({:returned, {:error, reason}}, _source, _resolve), do: failure(reason(reason))
  defp result({:returned, other}, _source, _resolve), do: throw({:bad_return, show(other)})

  defp answer(%{names: [], junk: 0}, nil, _source, _resolve), do: failure(:no_names)

  defp answer(%{names: [], junk: junk}, fault, _source, _resolve),
    do: failure(fault || {:junk_names, junk})

  defp answer(taken, fault, source, resolve) do
    {:ok,
     %Answer{
       records: records(taken.names, resolve),
       ttl: 0,
       name: text(source),
       server: "source",
       truncated?: taken.more?,
       fault: fault || if(taken.junk > 0, do: {:junk_names, taken.junk})
     }}
  end

  defp take(names), do: take(names, %{names: [], seen: %{}, junk: 0, more?: false})

  defp take([name | rest], taken) when is_atom(name),
    do: take([Atom.to_string(name) | rest], taken)

  defp take([name | rest], taken) when is_map_key(taken.seen, name), do: take(rest, taken)

  defp take([name | rest], taken) when is_binary(name) do
    cond do
      not NodeName.valid?(name) ->
        take(rest, %{taken | junk: taken.junk + 1})

      map_size(taken.seen) == @max_names ->
        take(rest, %{taken | more?: true})

      true ->
        take(rest, %{taken | names: [name | taken.names], seen: Map.put(taken.seen, name, true)})
    end
  end

  defp take([], taken), do: %{taken | names: Enum.reverse(taken.names)}
  defp take([other | _], _taken), do: throw({:bad_return, "a list with #{show(other)} in it"})
  defp take(other, %{seen: seen, junk: 0}) when seen == %{}, do: throw({:bad_return, show(other)})
  defp take(_tail, _taken), do: throw({:bad_return, "an improper list"})

  defp records(names, resolve) do
    hosts =
      for name <- names, {_basename, host} = NodeName.split(name), do: {name, host, literal(host)}

    unknown = for {_name, host, nil} <- hosts, uniq: true, do: host
    resolved = if unknown == [], do: %{}, else: resolve.(unknown)

    for {name, host, literal} <- hosts do
      addresses = if literal, do: [literal], else: Map.get(resolved, host)
      %{name: name, addresses: if(is_list(addresses), do: addresses, else: [])}
    end
  end

  # A zone (fe80::1%eth0) says which way, not which address.
  defp literal(host) do
    case host |> String.split("%") |> hd() |> IP.parse() do
      {:ok, ip} -> ip
      :error -> nil
    end
  end

  # Ours pass as they are; all else becomes words.
  defp reason({:folder, why, path} = ours) when is_atom(why) and is_binary(path), do: ours
  defp reason({:folder_stuck, path} = ours) when is_binary(path), do: ours
  defp reason({:junk_names, count} = ours) when is_integer(count), do: ours
  defp reason(other), do: {:source, cut(words(other))}

  defp words(atom) when is_atom(atom) do
    case atom |> :inet.format_error() |> List.to_string() do
      "unknown POSIX error" <> _ -> Atom.to_string(atom)
      words -> "#{words} (#{atom})"
    end
  end

  defp words(%{__exception__: true} = exception), do: Exception.message(exception)

  defp words(text) when is_binary(text), do: text
  defp words(other), do: show(other)

  defp raised(kind, reason, stack),
    do: {:raised, kind |> Exception.format_banner(reason, stack) |> cut()}

  defp failure(reason), do: {:error, %{reason: reason, server: nil}}

  defp show(term), do: inspect(term, limit: 5, printable_limit: 100)

  # For a line in the log: of some length, and nothing a terminal could not show.
  defp cut(text) do
    {head, rest} = String.split_at(text, @max_text)

    cond do
      not String.printable?(head) -> inspect(head, binaries: :as_strings)
      rest == "" -> text
      true -> head <> "..."
    end
  end

  defp exports?(module, function, arity),
    do: Code.ensure_loaded?(module) and function_exported?(module, function, arity)

  defp now, do: System.monotonic_time(:millisecond)
end

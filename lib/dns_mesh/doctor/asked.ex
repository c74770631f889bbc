defmodule DNSMesh.Doctor.Asked do
  @moduledoc false
  # What name servers and sources say, asked by the doctor itself; runs in its process.

  alias DNSMesh.{Candidates, Config, IP, Outside, Resolver}
  alias DNSMesh.Doctor.{Examine, Facts, Replies}
  alias DNSMesh.Outside.VM

  @doc "Every item's answer, asked anew, until there is no time (monotonic milliseconds)."
  @spec look_up(
          struct(),
          VM.t(),
          Config.t(),
          Examine.instance() | nil,
          Candidates.me(),
          until :: integer()
        ) :: [Facts.lookup()]
  def look_up(outside, vm, config, instance, me, until) do
    keys = Config.lookups(config)
    {known, to_ask} = Enum.split_with(keys, &known?(&1, instance))
    config = %{config | timeout: left(until) |> min(config.timeout) |> max(1)}

    asked =
      for {_query, type} = key <- to_ask, into: %{} do
        {ref, pid} = Outside.ask(outside, key, me, config)
        {ref, %{key: key, type: type, pid: pid, since: now()}}
      end

    answers =
      asked
      |> Map.merge(as_written(to_ask, vm, config))
      |> Replies.collect(until + 500, fn
        %{key: {:as_written, _key}}, reply -> Resolver.result(reply)
        %{key: key, since: since}, reply -> {Outside.answered(outside, key, reply), now() - since}
      end)

    lookups =
      for {query, type} = key <- keys do
        {result, ms} =
          if key in known,
            do: {last_answer(key, instance), nil},
            else: answers[key] || {{:error, %{reason: :timeout, server: nil}}, config.timeout}

        as_written = answers[{:as_written, key}]
        %{query: query, type: type, result: result, ms: ms, elsewhere: 0, as_written: as_written}
      end

    elsewhere(lookups, vm, config, until)
  end

  # A search domain may stand between the name and its records: so it is asked for without one too, at once, for a silent
  # search domain takes all the time.
  defp as_written(keys, vm, %{resolver: nil} = config) do
    for {%{host: host} = query, type} = key when type != :names <- keys,
        IP.parse(host) == :error and not String.ends_with?(host, "."),
        into: %{} do
      ref = Resolver.ask(vm.handle, type, vm.families, query.host <> ".", config.timeout)
      {ref, %{key: {:as_written, key}}}
    end
  end

  defp as_written(_keys, _vm, _own_resolver), do: %{}

  # A source may write (a shared folder's entry), and is never asked twice at once: the instance's last answer stands.
  defp known?({_query, :names}, {_, _, _, _, _}), do: true
  defp known?(_key, _instance), do: false

  defp last_answer(key, {_config, _roster, lookups, _own_name, _now}) do
    case Enum.find(lookups.entries, &(&1.key == key)) do
      %{failure: {failure, _at}} -> {:error, failure}
      %{answer: {answer, _at}} -> {:ok, answer}
      _not_yet -> {:error, %{reason: :timeout, server: nil}}
    end
  end

  # A name without addresses of our IP version may have some of the other: that is another thing to mend.
  defp elsewhere(lookups, vm, config, until) do
    asked =
      for %{query: query, type: type, result: {:error, %{reason: :no_records}}} <- lookups,
          type in [:a, :aaaa],
          other = if(type == :a, do: :aaaa, else: :a),
          not Enum.any?(lookups, &(&1.query == query and &1.type == other)),
          config.resolver == nil,
          into: %{} do
        timeout = max(left(until), 1)
        {Resolver.ask(vm.handle, other, vm.families, query.host, timeout), %{key: {query, type}}}
      end

    found = Replies.collect(asked, until, fn _asked, reply -> Resolver.result(reply) end)

    for lookup <- lookups do
      case found[{lookup.query, lookup.type}] do
        {:ok, answer} -> %{lookup | elsewhere: length(answer.records)}
        _none -> lookup
      end
    end
  end

  defp left(until), do: max(until - now(), 0)
  defp now, do: System.monotonic_time(:millisecond)
end

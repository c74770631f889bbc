defmodule DNSMesh.Status.Plain do
  @moduledoc false
  # A status in plain maps, lists, strings and numbers; the keys are documented in DNSMesh.Status.to_map/1.

  alias DNSMesh.{Answer, Error, Status}

  @spec map(Status.t()) :: map()
  def map(%Status{} = status) do
    %{
      name: inspect(status.name),
      state: Atom.to_string(status.state),
      because: status.because,
      node: status.node,
      naming: status.naming,
      connected: status.connected,
      queries: Enum.map(status.queries, &query/1),
      peers: Enum.map(status.peers, &peer/1)
    }
  end

  defp query(query) do
    %{
      query: query.query,
      type: Atom.to_string(query.type),
      answer: query.answer && answer(query.answer),
      answer_age: query.answer_age,
      error: code(query.error),
      message: message(query.error),
      error_age: query.error_age,
      server: query.server
    }
  end

  defp answer(%Answer{} = answer) do
    %{
      records: Enum.map(answer.records, &record/1),
      ttl: answer.ttl,
      name: answer.name,
      server: answer.server,
      truncated: answer.truncated?,
      fault: message(answer.fault)
    }
  end

  defp record(%{target: target} = service),
    do: %{
      target: target,
      port: service.port,
      priority: service.priority,
      weight: service.weight,
      addresses: Enum.map(service.addresses, &text/1)
    }

  defp record(%{name: name} = node),
    do: %{name: name, addresses: Enum.map(node.addresses, &text/1)}

  defp record(ip), do: text(ip)

  defp text(ip), do: ip |> :inet.ntoa() |> List.to_string()

  defp peer(peer) do
    %{
      name: peer.name,
      state: Atom.to_string(peer.state),
      reason: code(peer.reason),
      message: message(peer.reason),
      failures: peer.failures,
      since: peer.since,
      next_attempt: peer.next_attempt
    }
  end

  # The reason without what belongs to it; a :resolver module may give any term.
  defp code(nil), do: nil
  defp code(reason) when is_atom(reason), do: Atom.to_string(reason)

  defp code(reason) when is_tuple(reason) and is_atom(elem(reason, 0)),
    do: Atom.to_string(elem(reason, 0))

  defp code(reason), do: inspect(reason)

  defp message(nil), do: nil
  defp message(reason), do: Error.message(reason)
end

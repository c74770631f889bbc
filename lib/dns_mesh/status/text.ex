defmodule DNSMesh.Status.Text do
  @moduledoc false
  # A status as a table for a terminal. Each line begins with what it is about.

  alias DNSMesh.{Error, Status, Table, Words}

  @spec render(Status.t()) :: String.t()
  def render(%Status{} = status),
    do: Enum.join([head(status) | status |> rows() |> Table.lines()], "\n")

  @doc "What keeps it from being whole, in one line for a message of one's own: at most so many peers that are missing."
  @spec line(Status.t(), pos_integer()) :: String.t()
  def line(%Status{} = status, most) do
    missing = Enum.reject(status.peers, &(&1.state in [:connected, :refused]))
    {shown, more} = Enum.split(missing, most)
    rows = [node_row(status) | Enum.map(status.queries, &query/1) ++ Enum.map(shown, &peer/1)]
    sentences = for [about, what | rest] <- rows, do: "#{about} #{what}: #{Enum.join(rest, ", ")}"
    more = if more == [], do: [], else: ["and #{length(more)} more"]
    Enum.join([head(status) | sentences ++ more], "; ")
  end

  defp head(%{state: :not_running} = status), do: "DNSMesh is not running: #{status.because}."

  defp head(status) do
    others = Enum.reject(status.peers, &(&1.reason == :self))
    connected = Enum.count(others, &(&1.state == :connected))
    leaving = if status.state == :leaving, do: "; #{status.because}", else: ""
    "#{inspect(status.name)}: #{connected} of #{length(others)} peers connected#{leaving}"
  end

  defp rows(%{state: :not_running} = status), do: [node_row(status)]

  defp rows(status) do
    [node_row(status) | Enum.map(status.queries, &query/1) ++ Enum.map(status.peers, &peer/1)] ++
      for(name <- status.connected -- Enum.map(status.peers, & &1.name), do: linked(name))
  end

  defp node_row(status), do: ["node", status.node || "nonode@nohost", status.naming]
  defp linked(name), do: ["linked", name, "in no answer"]

  defp query(query) do
    what = if query.type == :names, do: query.query, else: "#{query.query} #{type(query.type)}"
    ["query", what, outcome(query)]
  end

  defp type(type), do: type |> Atom.to_string() |> String.upcase()

  defp outcome(%{answer: nil, error: nil}), do: "not answered yet"
  defp outcome(%{answer: nil} = query), do: failed(query)
  defp outcome(%{error: nil} = query), do: answered(query)
  defp outcome(query), do: "#{failed(query)}; before that #{answered(query)}"

  defp answered(%{answer: answer, answer_age: age} = query) do
    records =
      counted(length(answer.records), if(query.type == :names, do: "name", else: "record"))

    cut = if answer.truncated?, do: ", the rest left out", else: ""
    fault = if answer.fault, do: " (#{Error.message(answer.fault)})", else: ""
    from = if query.type == :names, do: "", else: " from #{answer.server}"
    "#{records}#{from}, #{Words.duration(age)} ago#{cut}#{fault}"
  end

  defp counted(1, what), do: "1 #{what}"
  defp counted(count, what), do: "#{count} #{what}s"

  defp failed(query) do
    from = if query.server, do: " from #{query.server}", else: ""
    "#{Error.message(query.error)}#{from}, #{Words.duration(query.error_age)} ago"
  end

  defp peer(peer) do
    next = if peer.next_attempt, do: "again in #{Words.duration(peer.next_attempt)}"
    more = for text <- [peer.reason && Error.message(peer.reason), next], text, do: text
    state = "#{peer.state} for #{Words.duration(peer.since)}"
    ["peer", peer.name, state | if(more == [], do: [], else: [Enum.join(more, ", ")])]
  end
end

defmodule Demo.Table do
  @moduledoc false
  # Who sees whom, as lines of text. Pure.
  #
  #   node           url                     sees  .2  .3  .4  last DNS answer
  #   app@127.0.0.2  http://localhost:4000/  2/2   ·   ✓   ✓   0.4 s ago: 3 addresses

  @gap "  "

  @doc "`nodes` are those of `Demo.Eyes.look/1`. With `ages: false` the text changes only when something happens."
  def lines(nodes, ages: ages?) do
    rows = [header(nodes) | Enum.map(nodes, &row(&1, nodes, ages?))]

    widths =
      for cells <- Enum.zip_with(rows, & &1),
          do: cells |> Enum.map(&String.length/1) |> Enum.max()

    for row <- rows do
      row
      |> Enum.zip_with(widths, &String.pad_trailing/2)
      |> Enum.join(@gap)
      |> String.trim_trailing()
    end
  end

  defp header(nodes),
    do: ["node", "url", "sees"] ++ Enum.map(nodes, &".#{&1.number}") ++ ["last DNS answer"]

  defp row(node, nodes, ages?) do
    [node.name, node.url, sees(node, nodes)] ++
      Enum.map(nodes, &mark(node, &1)) ++ [dns(node, ages?)]
  end

  # Of the nodes whose process runs: a node that was killed is nobody to see.
  defp sees(%{says: nil}, _nodes), do: "-"

  defp sees(node, nodes) do
    running = for other <- nodes, other != node, other.state == :running, do: other.name
    "#{Enum.count(running, &(&1 in node.says.others))}/#{length(running)}"
  end

  defp mark(%{number: number}, %{number: number}), do: "·"
  defp mark(%{says: nil}, _other), do: ""
  defp mark(node, other), do: if(other.name in node.says.others, do: "✓", else: "-")

  defp dns(%{state: {:ended, 137}}, _ages?), do: "killed"
  defp dns(%{state: {:ended, status}, log: log}, _ages?), do: "ended with #{status}, see #{log}"
  defp dns(%{says: nil}, _ages?), do: "(not heard from yet)"
  defp dns(node, ages?), do: answer(node.says.dns, ages?)

  defp answer(:not_yet, _ages?), do: "none yet"
  defp answer({:answered, 1, age}, ages?), do: ago(age, ages?) <> "1 address"
  defp answer({:answered, count, age}, ages?), do: ago(age, ages?) <> "#{count} addresses"
  defp answer({:failed, _reason, sentence, age}, ages?), do: ago(age, ages?) <> sentence

  defp ago(_age, false), do: ""
  defp ago(age, true), do: "#{Float.round(age / 1_000, 1)} s ago: "
end

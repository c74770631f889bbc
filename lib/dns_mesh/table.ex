defmodule DNSMesh.Table do
  @moduledoc false
  # Rows of cells as lines of text, the columns under each other. A row's last cell may be as long as it likes: nothing
  # stands behind it.

  @gap "  "
  # Beyond that a cell moves what is behind it, in its own row only.
  @widest 48

  @spec lines([[String.t()]]) :: [String.t()]
  def lines(rows) do
    widths = widths(rows)
    for row <- rows, do: row |> pad(widths) |> Enum.join(@gap) |> String.trim_trailing()
  end

  defp widths(rows) do
    columns = rows |> Enum.map(&length/1) |> Enum.max(fn -> 0 end)

    for column <- 1..columns//1 do
      rows
      |> Enum.filter(&(length(&1) > column))
      |> Enum.map(&String.length(Enum.at(&1, column - 1)))
      |> Enum.filter(&(&1 <= @widest))
      |> Enum.max(fn -> 0 end)
    end
  end

  defp pad([last], _widths), do: [last]
  defp pad([], _widths), do: []

  defp pad([cell | cells], [width | widths]),
    do: [String.pad_trailing(cell, width) | pad(cells, widths)]
end

defmodule Demo.Report do
  @moduledoc false
  # What a node says of itself to the demo.

  @doc "Terms of which the other VM knows every atom."
  def state do
    %{
      me: me(),
      others: others(),
      links: links(),
      connect_all: :init.get_argument(:connect_all) != {:ok, [[~c"false"]]},
      dns: dns(DNSMesh.status())
    }
  end

  defp me, do: Atom.to_string(node())
  defp others, do: Node.list() |> Enum.map(&Atom.to_string/1) |> Enum.sort()

  # Each connection with its identity: one that broke and came back is another.
  defp links do
    for {node, controller} <- :erlang.system_info(:dist_ctrl),
        into: %{},
        do: {Atom.to_string(node), inspect(controller)}
  end

  defp dns(%{queries: [%{error: nil, answer: nil}]}), do: :not_yet

  defp dns(%{queries: [%{error: nil, answer: answer, answer_age: age}]}),
    do: {:answered, length(answer.records), age}

  defp dns(%{queries: [%{error: reason, error_age: age}]}),
    do: {:failed, inspect(reason), DNSMesh.Error.message(reason), age}

  defp dns(%{state: :not_running, because: because}), do: {:failed, "not_running", because, 0}
end

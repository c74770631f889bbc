defmodule Who.Mesh do
  @moduledoc """
  What each node of the cluster sees, as JSON: for the page, and for any other program.

      {"me": "app@10.0.0.11", "nodes": [{"node": "app@10.0.0.11", "status": {…}, "silent": null}, …]}

  `nodes` are this node and those it is linked to. `status` is `DNSMesh.Status.to_map/1` of each, or null where a node did not
  tell within a second, and then `silent` is why.
  """

  @patience 1_000

  @spec json() :: String.t()
  def json do
    nodes = [node() | Enum.sort(Node.list())]
    answers = :erpc.multicall(nodes, DNSMesh, :status, [], @patience)
    told = for {node, answer} <- Enum.zip(nodes, answers), do: told(node, answer)
    DNSMesh.JSON.encode(%{me: node(), nodes: told}) <> "\n"
  end

  defp told(node, {:ok, status}),
    do: %{node: node, status: DNSMesh.Status.to_map(status), silent: nil}

  defp told(node, {_failed, {:erpc, reason}}) when is_atom(reason),
    do: %{node: node, status: nil, silent: reason}

  defp told(node, _without_dns_mesh), do: %{node: node, status: nil, silent: "no DNSMesh there"}
end

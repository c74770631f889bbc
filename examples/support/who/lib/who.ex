defmodule Who do
  @moduledoc """
  Pages that say who this node is and whom it is connected to, so that an example has something to show:

      {"me": "app@10.0.0.11", "others": ["app@10.0.0.12", "app@10.0.0.13"]}

  at `/`; DNSMesh's own picture of the same at `/status`; and the whole cluster, as each of its nodes sees it, drawn at
  `/mesh` and as JSON at `/mesh.json`. Put `Who` behind `DNSMesh` in the list of children; the port is 4000, or the
  environment variable `PORT`.
  """

  alias Who.{Mesh, Web}

  # A page of one file: it loads nothing but /mesh.json.
  @external_resource Path.join(__DIR__, "who/mesh.html")
  @mesh File.read!(Path.join(__DIR__, "who/mesh.html"))

  @doc false
  def child_spec(_opts) do
    Web.child_spec(__MODULE__, port: String.to_integer(System.get_env("PORT", "4000")))
  end

  # httpd's callback has the name of a keyword.
  @doc false
  def unquote(:do)(request), do: Web.answer(request, &page/1)

  @doc false
  @spec page(String.t()) :: Web.page()
  def page("/"), do: {200, "application/json", who()}
  def page("/status"), do: {200, "text/plain; charset=utf-8", "#{DNSMesh.status()}\n"}
  def page("/mesh"), do: {200, "text/html; charset=utf-8", @mesh}
  def page("/mesh.json"), do: {200, "application/json", Mesh.json()}
  def page(_other), do: {404, "text/plain", "There are /, /status, /mesh and /mesh.json.\n"}

  defp who, do: DNSMesh.JSON.encode(%{me: node(), others: Enum.sort(Node.list())}) <> "\n"
end

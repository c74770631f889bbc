defmodule Demo.Web do
  @moduledoc false
  # A node's web server: the pages that every example has, and one for the demo's own table.

  alias Demo.Report

  def child_spec(opts), do: Who.Web.child_spec(__MODULE__, [ip: {127, 0, 0, 1}] ++ opts)

  # httpd's callback has the name of a keyword.
  def unquote(:do)(request), do: Who.Web.answer(request, &page/1)

  defp page("/state"),
    do: {200, "application/octet-stream", :erlang.term_to_binary(Report.state())}

  defp page(other), do: Who.page(other)
end

defmodule Demo.Web do
  @moduledoc false
  # A node's web server: OTP's httpd, with this module as the one that answers.

  require Record

  Record.defrecordp(:mod, Record.extract(:mod, from_lib: "inets/include/httpd.hrl"))

  alias Demo.Report

  def child_spec(opts) do
    folder = opts |> Keyword.fetch!(:folder) |> to_charlist()

    config = [
      port: Keyword.fetch!(opts, :port),
      bind_address: {127, 0, 0, 1},
      server_name: ~c"localhost",
      server_root: folder,
      document_root: folder,
      modules: [__MODULE__]
    ]

    %{
      id: __MODULE__,
      start: {:inets, :start, [:httpd, config, :stand_alone]},
      type: :supervisor
    }
  end

  # httpd's callback has the name of a keyword.
  def unquote(:do)(request) do
    [path | _query] = request |> mod(:request_uri) |> to_string() |> String.split("?")
    {code, type, body} = page(path)

    headers = [
      code: code,
      content_type: to_charlist(type),
      content_length: body |> byte_size() |> Integer.to_charlist()
    ]

    {:proceed, [response: {:response, headers, [body]}]}
  end

  defp page("/"), do: {200, "application/json", Report.json()}
  defp page("/status"), do: {200, "text/plain; charset=utf-8", Report.status()}

  defp page("/state"),
    do: {200, "application/octet-stream", :erlang.term_to_binary(Report.state())}

  defp page(_other), do: {404, "text/plain", "There are / and /status.\n"}
end

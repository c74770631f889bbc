defmodule Who do
  @moduledoc """
  A page that says who this node is and whom it is connected to, so that an example has something to show:

      {"me": "app@10.0.0.11", "others": ["app@10.0.0.12", "app@10.0.0.13"]}

  at `/`, and DNSMesh's own picture of the same at `/status`. Put `Who` behind `DNSMesh` in the list of children; the port
  is 4000, or the environment variable `PORT`. It is OTP's httpd, with this module as the one that answers; an application
  would have Phoenix here.
  """

  require Record

  Record.defrecordp(:mod, Record.extract(:mod, from_lib: "inets/include/httpd.hrl"))

  @doc false
  def child_spec(_opts) do
    folder = to_charlist(System.tmp_dir!())

    config = [
      port: String.to_integer(System.get_env("PORT", "4000")),
      bind_address: :any,
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
  @doc false
  def unquote(:do)(request) do
    {code, type, body} = request |> mod(:request_uri) |> to_string() |> page()

    headers = [
      code: code,
      content_type: to_charlist(type),
      content_length: body |> byte_size() |> Integer.to_charlist()
    ]

    {:proceed, [response: {:response, headers, [body]}]}
  end

  defp page("/"), do: {200, "application/json", who()}
  defp page("/status"), do: {200, "text/plain; charset=utf-8", "#{DNSMesh.status()}\n"}
  defp page(_other), do: {404, "text/plain", "There are / and /status.\n"}

  defp who do
    others =
      Node.list() |> Enum.map(&to_string/1) |> Enum.sort() |> Enum.map_join(", ", &quoted/1)

    ~s({"me": #{quoted(to_string(node()))}, "others": [#{others}]}\n)
  end

  # The name of a node that others connected to us can be any text without a NUL.
  defp quoted(text) do
    escaped = for <<char::utf8 <- text>>, into: "", do: escape(char)
    ~s("#{escaped}")
  end

  defp escape(char) when char in [?", ?\\], do: <<?\\, char>>

  defp escape(char) when char < 0x20,
    do: "\\u" <> (char |> Integer.to_string(16) |> String.pad_leading(4, "0"))

  defp escape(char), do: <<char::utf8>>
end

defmodule Who.Web do
  @moduledoc """
  OTP's httpd for a handful of pages; an application would have Phoenix here.

  The module given is httpd's callback: its `do/1` hands the request on to `answer/2`.
  """

  require Record

  Record.defrecordp(:mod, Record.extract(:mod, from_lib: "inets/include/httpd.hrl"))

  @type page :: {code :: pos_integer(), content_type :: String.t(), iodata()}

  @doc """
  Options: `:port`; `:ip`, all addresses by default; `:folder`, which httpd wants and does not use.
  """
  @spec child_spec(module(), keyword()) :: Supervisor.child_spec()
  def child_spec(module, opts) do
    folder = opts |> Keyword.get_lazy(:folder, &System.tmp_dir!/0) |> to_charlist()

    config = [
      port: Keyword.fetch!(opts, :port),
      bind_address: Keyword.get(opts, :ip, :any),
      server_name: ~c"localhost",
      server_root: folder,
      document_root: folder,
      modules: [module]
    ]

    %{
      id: module,
      start: {:inets, :start, [:httpd, config, :stand_alone]},
      type: :supervisor
    }
  end

  @doc "Answers with the page that the function gives for the path."
  @spec answer(tuple(), (String.t() -> page())) :: tuple()
  def answer(request, page) do
    [path | _query] = request |> mod(:request_uri) |> to_string() |> String.split("?")
    {code, type, body} = page.(path)

    headers = [
      code: code,
      content_type: to_charlist(type),
      content_length: body |> IO.iodata_length() |> Integer.to_charlist(),
      cache_control: ~c"no-store"
    ]

    {:proceed, [response: {:response, headers, [body]}]}
  end
end

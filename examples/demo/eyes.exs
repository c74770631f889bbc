defmodule Demo.Eyes do
  @moduledoc false
  # What the nodes say of themselves, asked over HTTP.

  @timeout 1_000

  @doc "A page: `{:ok, body}` or `{:error, reason}`."
  def get(url, timeout \\ @timeout) do
    # Browsers and curl know what localhost is; OTP asks the machine, which may not.
    url = String.replace(url, "//localhost:", "//127.0.0.1:")
    request = {to_charlist(url), [{~c"connection", ~c"close"}]}

    # httpc's default for :ssl reads the machine's CA certificates, and raises where there are none: also for http.
    case :httpc.request(:get, request, [timeout: timeout, ssl: []], body_format: :binary) do
      {:ok, {{_version, 200, _phrase}, _headers, body}} -> {:ok, body}
      {:ok, {{_version, code, _phrase}, _headers, _body}} -> {:error, {:http, code}}
      {:error, reason} -> {:error, reason}
    end
  end

  @doc """
  The nodes, each with `:says`: what Demo.Report.state/0 gave there, or `nil` while it says nothing, and then `:silent`:
  why that is so.
  """
  def look(nodes) do
    nodes
    |> Enum.map(&Task.async(fn -> Map.merge(&1, ask(&1)) end))
    |> Task.await_many(:infinity)
  end

  defp ask(%{state: :running, url: url}) do
    case get(url <> "state") do
      {:ok, body} -> %{says: :erlang.binary_to_term(body, [:safe])}
      {:error, reason} -> %{says: nil, silent: reason}
    end
  end

  defp ask(%{state: ended}), do: %{says: nil, silent: ended}
end

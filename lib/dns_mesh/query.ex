defmodule DNSMesh.Query do
  @moduledoc false
  # One item of `:query`: `host` or `basename@host`. Parsing only; whether a name resolves is the resolver's business.

  alias DNSMesh.{NodeName, Resolver}

  @enforce_keys [:text, :host]
  defstruct [:text, :host, :basename]

  @type t :: %__MODULE__{text: String.t(), host: String.t(), basename: String.t() | nil}

  # `check` tells whether a host is a name one can ask for. A `:resolver` module may mean anything by its strings, so
  # its queries are not checked.
  @type check :: (String.t() -> :ok | {:error, {:bad_name, atom()}})

  @doc """
  Turns what the `:query` option holds into a list of items; `[]` when nothing is left to ask.

  Raises `ArgumentError` that names the malformed item, and `origin`: where the query was read.
  """
  @spec parse!(term(), check(), origin :: String.t()) :: [t()]
  def parse!(query, check \\ &Resolver.check_name/1, origin \\ ":query") do
    query |> items!() |> Enum.map(&item!(&1, check)) |> Enum.uniq_by(&{&1.basename, &1.host})
  catch
    {:bad_query, _part} ->
      raise ArgumentError,
            "expected #{origin} to be a string, {basename, query}, or list, got: #{inspect(query)}"

    {:bad_item, item, why} ->
      raise ArgumentError,
            "expected every item of #{origin} to be a host name, or basename@host, got: #{inspect(item)} (#{why})"
  end

  @doc "The record types this item asks: SRV for a name that starts like a service (RFC 2782), else the usual ones."
  @spec types(t(), [:a | :aaaa | :srv]) :: [:a | :aaaa | :srv]
  def types(%__MODULE__{host: host}, usual), do: if(service?(host), do: [:srv], else: usual)

  @spec service?(String.t()) :: boolean()
  def service?(host), do: Regex.match?(~r/\A_[^.]+\._[^.]+\./, host)

  defp items!(query) when is_binary(query) do
    for item <- String.split(query, ","), item = String.trim(item), item != "", do: item
  end

  defp items!({basename, host} = item) when is_binary(basename) and is_binary(host), do: [item]

  # One level only: a list in a list is a mistake, as it is for dns_cluster.
  defp items!([item | rest]) when (is_binary(item) or is_tuple(item)) and is_list(rest),
    do: items!(item) ++ items!(rest)

  defp items!([]), do: []
  defp items!(other), do: throw({:bad_query, other})

  defp item!({basename, host}, check), do: build!("#{basename}@#{host}", basename, host, check)

  defp item!(text, check) do
    case String.split(text, "@") do
      [host] -> build!(text, nil, host, check)
      [basename, host] -> build!(text, basename, host, check)
      _more -> throw({:bad_item, text, "it holds more than one @"})
    end
  end

  defp build!(text, basename, host, check) do
    if basename != nil and not NodeName.basename?(basename),
      do:
        throw(
          {:bad_item, text,
           "its basename #{inspect(basename)} is not one or more letters, digits, _ or -"}
        )

    case check.(host) do
      :ok -> %__MODULE__{text: text, host: host, basename: basename}
      {:error, reason} -> throw({:bad_item, text, DNSMesh.Error.message(reason)})
    end
  end
end

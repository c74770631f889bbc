defmodule DNSMesh.Query do
  @moduledoc false
  # One item of `:query`: a name to ask DNS for (`host`, `basename@host`, `app-*@host`), or a source of node names that
  # is not DNS. Parsing only; whether a name resolves is the resolver's business.

  alias DNSMesh.{Directory, NodeName, Resolver, Static}
  alias DNSMesh.Source.Runner

  # The argument of a source may hold a password.
  @derive {Inspect, except: [:source]}
  @enforce_keys [:text]
  defstruct [:text, :host, :basename, :source]

  @type t :: %__MODULE__{
          text: String.t(),
          # Of a DNS item; the basename may hold one `*`.
          host: String.t() | nil,
          basename: String.t() | nil,
          # Of an item that is not DNS.
          source: {module(), term()} | nil
        }
  @type type :: :a | :aaaa | :srv | :names

  # `check` tells whether a host is a name one can ask for. A `:resolver` module may mean anything by its strings, so
  # its queries are not checked.
  @type check :: (String.t() -> :ok | {:error, {:bad_name, atom()}})

  @doc """
  Turns what the `:query` option holds into a list of items; `[]` when nothing is left to ask.

  Raises `ArgumentError` that names the malformed item, and `origin`: where the query was read.
  """
  @spec parse!(term(), check(), origin :: String.t()) :: [t()]
  def parse!(query, check \\ &Resolver.check_name/1, origin \\ ":query") do
    query
    |> items!()
    |> Enum.map(&item!(&1, check))
    |> gather_nodes()
    |> Enum.uniq_by(&{&1.basename, &1.host, &1.source})
  catch
    {:bad_query, _part} ->
      raise ArgumentError,
            "expected #{origin} to be a string, {basename, query}, or list, got: #{inspect(query)}"

    {:bad_item, item, why} ->
      raise ArgumentError,
            "expected every item of #{origin} to be a host name, or basename@host, got: #{inspect(item)} (#{why})"
  end

  @doc """
  The record types this item asks: SRV for a name that starts like a service (RFC 2782), else the usual ones. A source
  gives names.
  """
  @spec types(t(), [:a | :aaaa | :srv]) :: [type()]
  def types(%__MODULE__{source: {_module, _arg}}, _usual), do: [:names]
  def types(%__MODULE__{host: host}, usual), do: if(service?(host), do: [:srv], else: usual)

  @spec service?(String.t()) :: boolean()
  def service?(host), do: Regex.match?(~r/\A_[^.]+\._[^.]+\./, host)

  @doc "Whether the basename is a pattern: the names are then asked of each address's epmd."
  @spec pattern?(t()) :: boolean()
  def pattern?(%__MODULE__{basename: nil}), do: false
  def pattern?(%__MODULE__{basename: basename}), do: String.contains?(basename, "*")

  @doc "Whether a basename is one that this item lists; an item without a basename lists everybody's."
  @spec lists?(t(), basename :: String.t() | nil) :: boolean()
  def lists?(%__MODULE__{basename: nil}, _basename), do: true
  def lists?(%__MODULE__{}, nil), do: false

  def lists?(%__MODULE__{basename: listed}, basename) do
    case String.split(listed, "*") do
      [exact] ->
        basename == exact

      [before, behind] ->
        byte_size(basename) >= byte_size(before) + byte_size(behind) and
          String.starts_with?(basename, before) and String.ends_with?(basename, behind)
    end
  end

  ## From what was written to items, each still a string, a tuple or an atom

  defp items!(query) when is_binary(query) do
    for item <- String.split(query, ","), item = String.trim(item), item != "", do: item
  end

  defp items!(item) when is_tuple(item), do: if(pair?(item), do: [item], else: bad_query!(item))
  # Alone, what is no node is no query at all, as it is for dns_cluster.
  defp items!(node) when is_atom(node),
    do: if(NodeName.valid?(Atom.to_string(node)), do: [node], else: bad_query!(node))

  # One level only: a list in a list is a mistake, as it is for dns_cluster.
  defp items!([node | rest])
       when is_atom(node) and node not in [nil, true, false] and is_list(rest),
       do: [node | items!(rest)]

  defp items!([item | rest]) when (is_binary(item) or is_tuple(item)) and is_list(rest),
    do: items!(item) ++ items!(rest)

  defp items!([]), do: []
  defp items!(other), do: bad_query!(other)

  defp pair?({basename, host}) when is_binary(basename) and is_binary(host), do: true
  defp pair?({module, _arg}) when is_atom(module), do: module?(module)
  defp pair?(_other), do: false

  # {:app, "x"} is a basename written as an atom rather than a module; an Elixir module need not be there (yet).
  defp module?(atom) do
    match?("Elixir." <> _, Atom.to_string(atom)) or
      (Code.ensure_loaded?(atom) and function_exported?(atom, :discover, 2))
  end

  @spec bad_query!(term()) :: no_return()
  defp bad_query!(part), do: throw({:bad_query, part})

  ## From items to queries

  defp item!({module, arg}, _check) when is_atom(module), do: source!(module, arg)
  defp item!({basename, host}, check), do: dns!("#{basename}@#{host}", basename, host, check)
  defp item!(node, _check) when is_atom(node), do: node!(node)

  defp item!("dir:" <> path = text, _check), do: source!(Directory, [path: path], text)

  defp item!(text, check) do
    case String.split(text, "@") do
      [host] ->
        dns!(text, nil, host, check)

      # Not ::1, which has no @.
      [":" <> _, _host] ->
        bad_item!(
          text,
          "in a string a node is written as its name: write node1@node1, without the colon"
        )

      ["", _host] ->
        bad_item!(text, "no basename stands before its @")

      [_basename, ""] ->
        bad_item!(text, "no host stands behind its @")

      [basename, host] ->
        dns!(text, basename, host, check)

      _more ->
        bad_item!(text, "it holds more than one @")
    end
  end

  defp dns!(text, basename, host, check) do
    _ = with fault when fault != nil <- basename_fault(basename), do: bad_item!(text, fault)

    case check.(host) do
      :ok -> %__MODULE__{text: text, host: host, basename: basename}
      {:error, reason} -> bad_item!(text, DNSMesh.Error.message(reason))
    end
  end

  defp basename_fault(nil), do: nil

  defp basename_fault(basename) do
    parts = String.split(basename, "*")

    cond do
      length(parts) > 2 ->
        "its basename #{inspect(basename)} holds more than one *"

      basename == "" or not Enum.all?(parts, &(&1 == "" or NodeName.basename?(&1))) ->
        "its basename #{inspect(basename)} is not one or more letters, digits, _ or -, and at most one *"

      true ->
        nil
    end
  end

  defp node!(node) do
    name = Atom.to_string(node)

    unless NodeName.valid?(name),
      do: bad_item!(node, ~s(an atom is a node's whole name, such as :"node1@node1"))

    %__MODULE__{text: name, source: {Static, [name]}}
  end

  # A module that is not there costs its own item in each round, and nothing else: it may be loaded later.
  defp source!(module, arg, item \\ nil) do
    case Runner.validate({module, arg}) do
      {:ok, source} -> %__MODULE__{text: Runner.text(source), source: source}
      {:error, why} -> bad_item!(item || {module, arg}, why)
    end
  end

  @spec bad_item!(term(), String.t()) :: no_return()
  defp bad_item!(item, why), do: throw({:bad_item, item, why})

  # The nodes that were listed one by one are one list: a line of the status, a lookup that takes no time.
  defp gather_nodes(queries) do
    case Enum.split_with(queries, &match?(%{source: {Static, _}}, &1)) do
      {[], _queries} ->
        queries

      {nodes, others} ->
        names = for %{text: name} <- nodes, uniq: true, do: name
        source = {Static, names}
        others ++ [%__MODULE__{text: Runner.text(source), source: source}]
    end
  end
end

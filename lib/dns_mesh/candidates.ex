defmodule DNSMesh.Candidates do
  @moduledoc false
  # From an answer to the names of nodes. Pure, and text only: whether a name may become a peer is Policy's to say,
  # whether an atom NodeName's.
  #
  # Peers are named the way this node is: by address (app@10.0.0.5), or by name (app@app-0.svc) where its own host is a
  # name. By name the host is an SRV record's target; the host of an item that gives a basename, as written; else the
  # name that the address's PTR record gives, if that leads back to the address.

  alias DNSMesh.{Answer, Distribution, IP, NodeName, Query, Static}

  @enforce_keys [:query, :names]
  defstruct [:query, :names, unknown: [], several: nil]

  @typedoc """
  One candidate: the addresses behind its name, as far as they are known, and a verdict that is certain without
  Policy: `:join` for what needs no leave, a refusal or a hold for what could not be named.
  """
  @type candidate ::
          {[IP.t()],
           nil | :join | {:refused, DNSMesh.Error.reason()} | {:held, DNSMesh.Error.reason()}}
  @type t :: %__MODULE__{
          # The item's text.
          query: String.t(),
          names: %{NodeName.t() => candidate()},
          # Addresses about which nothing was learnt: what they had before, they have still.
          unknown: [IP.t()],
          # How many addresses stand behind the one node that the item names, when it is more than one.
          several: nil | pos_integer()
        }

  @typedoc "What a round knows of this node: how peers are named, and what to compare with."
  @type me :: %{
          by: :address | :name,
          node: NodeName.t() | nil,
          host: String.t() | nil,
          # Where distribution listens, if it is not at all of this machine's addresses.
          interface: IP.t() | nil,
          basename: String.t() | nil
        }

  # The helper nodes of a release's commands (`bin/app remote`, `bin/app rpc`).
  @helpers ["rem-", "rpc-"]

  @conclusive [:nxdomain, :no_records, :unconfirmed]

  @doc "How peers are named: as the option says, else as this node is named itself."
  @spec by(Distribution.t(), :address | :name | nil) :: :address | :name
  def by(_distribution, option) when option != nil, do: option
  def by(%{alive?: true, address: nil}, nil), do: :name
  def by(_distribution, nil), do: :address

  @doc "What is known of this node; beside a :resolver module peers are named by address."
  @spec me(Distribution.t(), DNSMesh.Config.t(), basename :: String.t() | nil) :: me()
  def me(distribution, config, basename) do
    by = if config.resolver, do: :address, else: by(distribution, config.naming)

    %{
      by: by,
      node: distribution.node,
      host: distribution.host,
      interface: distribution.interface,
      basename: basename
    }
  end

  @doc "What is to be asked about each address that a lookup finds."
  @spec follow(Query.t(), Query.type(), :address | :name) :: [:hosts | :registered]
  def follow(query, type, by) do
    pattern? = Query.pattern?(query)
    hosts? = by == :name and type != :srv and (query.basename == nil or pattern?)
    for {what, true} <- [hosts: hosts?, registered: pattern?], do: what
  end

  @doc """
  Whether an item names a node at this node's own host, or a pattern those of this machine, which has it as `localhost` too:
  no name server need know that.
  """
  @spec at_home?(Query.t(), me()) :: boolean()
  def at_home?(%Query{source: nil, basename: basename} = query, me) when basename != nil do
    (me.by == :name and same_host?(query.host, me.host)) or
      (Query.pattern?(query) and same_host?(query.host, "localhost"))
  end

  def at_home?(_query, _me), do: false

  @doc "The candidates of one answer; `:unnamed` while nothing tells the basename of peers."
  @spec of(Query.t(), Answer.t(), me()) :: t() | :unnamed
  def of(%Query{source: {module, _arg}} = query, answer, me) do
    names =
      for %{name: name, addresses: ips} <- answer.records, into: %{} do
        {_basename, host} = NodeName.split(name)
        {name, {ips, if(module == Static or same_host?(host, me.host), do: :join)}}
      end

    %__MODULE__{query: query.text, names: names}
  end

  def of(%Query{basename: nil}, _answer, %{basename: nil}), do: :unnamed

  def of(query, answer, me) do
    if Query.pattern?(query) and at_home?(query, me),
      do: at_home(query, answer, me),
      else: elsewhere(query, answer, me)
  end

  defp elsewhere(query, answer, me) do
    named = if Query.pattern?(query), do: pattern(query, answer), else: plain(query, answer, me)

    query
    |> hosts(answer, me)
    |> Enum.reduce(%__MODULE__{query: query.text, names: %{}}, named)
    |> count_addresses(query, answer, me)
  end

  # What the epmd of this machine knows, which has been asked at loopback. It knows no hosts: those of its nodes are written
  # as this node's own.
  defp at_home(query, answer, me) do
    for ip <- Answer.listed(answer),
        {host, at} = home(ip, me),
        reduce: %__MODULE__{query: query.text, names: %{}} do
      candidates -> registered(candidates, ip, {host, at, :join}, query, answer)
    end
  end

  defp home(ip, %{host: nil}), do: {:inet.ntoa(ip), ip}

  defp home(ip, me) do
    case {IP.parse(me.host), me} do
      {{:ok, own}, %{host: host}} -> {host, own}
      {:error, %{by: :name, host: host, interface: nil}} -> {host, ip}
      {:error, %{by: :name, host: host, interface: own}} -> {host, own}
      {:error, _by_address} -> {:inet.ntoa(ip), ip}
    end
  end

  ## The host of each address: {host, ips} | {:no_host, ip, reason}

  defp hosts(_query, answer, %{by: :address}),
    do: for(ip <- Answer.listed(answer), do: {:inet.ntoa(ip), [ip]})

  defp hosts(_query, %Answer{records: [%{target: _} | _] = services}, _me),
    do: for(service <- services, do: {service.target, service.addresses})

  defp hosts(query, answer, me) do
    ips = Answer.addresses(answer)

    if as_written?(query, ips, answer, me),
      do: [{String.trim_trailing(query.host, "."), ips}],
      else: Enum.map(ips, &by_ptr(&1, answer, group(query, ips, answer)))
  end

  # A pattern may stand before the name of one host, or before one that lists many, of which one may be left: where that
  # one has a name of its own, of our kind, it is meant.
  defp as_written?(%Query{basename: nil}, _ips, _answer, _me), do: false

  defp as_written?(query, ips, answer, me) do
    not Query.pattern?(query) or
      case ips do
        [ip] -> not match?({:ok, _host}, named(answer, ip, me))
        _none_or_several -> ips == []
      end
  end

  defp named(answer, ip, me) do
    with %{^ip => {:ok, host}} <- answer.hosts,
         true <- String.contains?(host, ".") == String.contains?(me.host || ".", "."),
         do: {:ok, host}
  end

  # Of several addresses, a name that lists them all is no host's: some name servers (dnsmasq's, for one) give it as the
  # PTR record of each.
  defp group(_query, [_one], _answer), do: []

  defp group(query, _ips, answer),
    do: for(name <- [query.host, answer.name], name != nil, do: bare(name))

  defp by_ptr(ip, answer, group) do
    case answer.hosts do
      %{^ip => {:ok, host}} ->
        if bare(host) in group, do: {:no_host, ip, :unconfirmed}, else: {host, [ip]}

      %{^ip => {:error, reason}} ->
        {:no_host, ip, reason}

      _not_asked ->
        {:no_host, ip, :timeout}
    end
  end

  ## The names at each host: a function to reduce the hosts with

  defp plain(query, _answer, me) do
    basename = query.basename || me.basename
    verdict = if at_home?(query, me), do: :join

    fn
      {:no_host, ip, reason}, candidates ->
        candidates
        |> put(basename, :inet.ntoa(ip), [ip], no_host(reason))
        |> doubt(ip, reason)

      {host, ips}, candidates ->
        put(candidates, basename, host, ips, verdict)
    end
  end

  defp pattern(query, answer) do
    fn
      {:no_host, ip, reason}, candidates ->
        candidates |> hold(query, ip, no_host(reason)) |> doubt(ip, reason)

      {host, ips}, candidates ->
        Enum.reduce(ips, candidates, &registered(&2, &1, {host, &1, nil}, query, answer))
    end
  end

  # `at` is where its nodes are to be found, beside the address at which epmd was asked.
  defp registered(candidates, ip, {host, at, verdict}, query, answer) do
    case Map.get(answer.registered, ip, {:error, :silent}) do
      {:ok, names} ->
        for name <- names, wanted?(query, name), reduce: candidates do
          candidates -> put(candidates, name, host, [at], verdict)
        end

      {:error, why} ->
        %{hold(candidates, query, ip, {:held, {:epmd, why}}) | unknown: [at | candidates.unknown]}
    end
  end

  defp wanted?(query, name) do
    Query.lists?(query, name) and
      (not String.starts_with?(name, @helpers) or String.starts_with?(query.basename, @helpers))
  end

  # No node can be named "*", so what stands for an address without names is taken for none.
  defp hold(candidates, query, ip, verdict),
    do: add(candidates, IO.iodata_to_binary([query.basename, ?@, :inet.ntoa(ip)]), [ip], verdict)

  defp no_host(reason) when reason in @conclusive, do: {:refused, {:no_host_name, reason}}
  defp no_host(reason), do: {:held, {:no_host_name, reason}}

  defp doubt(candidates, _ip, reason) when reason in @conclusive, do: candidates
  defp doubt(candidates, ip, _failure), do: %{candidates | unknown: [ip | candidates.unknown]}

  # Not with <>: that makes a binary off the heap, with room for more, which for thousands of names costs twice as much.
  defp put(candidates, basename, host, ips, verdict) do
    name = IO.iodata_to_binary([basename, ?@ | host])

    add(
      candidates,
      name,
      ips,
      if(named?(name, basename, host), do: verdict, else: {:refused, :bad_node_name})
    )
  end

  # An address has been written by us.
  defp named?(_name, basename, host) when is_list(host), do: NodeName.basename?(basename)
  defp named?(name, _basename, _host), do: NodeName.valid?(name)

  defp add(%{names: names} = candidates, name, ips, verdict) do
    case names do
      %{^name => {^ips, _verdict}} ->
        candidates

      %{^name => {before, _}} ->
        %{candidates | names: %{names | name => {Enum.uniq(before ++ ips), verdict}}}

      _new ->
        %{candidates | names: Map.put(names, name, {ips, verdict})}
    end
  end

  defp count_addresses(candidates, %Query{basename: basename} = query, answer, %{by: :name} = me)
       when basename != nil do
    with false <- Query.pattern?(query) or at_home?(query, me),
         %Answer{records: [ip | _]} when not is_map(ip) <- answer,
         [_, _ | _] = ips <- Answer.addresses(answer) do
      %{candidates | several: length(ips)}
    else
      _one_or_many_meant -> candidates
    end
  end

  defp count_addresses(candidates, _query, _answer, _me), do: candidates

  defp same_host?(_host, nil), do: false

  defp same_host?(one, other), do: bare(one) == String.downcase(other)

  defp bare(host), do: String.downcase(String.trim_trailing(host, "."))
end

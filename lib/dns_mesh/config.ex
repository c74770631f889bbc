defmodule DNSMesh.Config do
  @moduledoc false
  # The options: one table for their documentation, defaults and checks, and the struct they become. Nothing else in
  # the library reads an option.

  alias DNSMesh.{Cookie, Distribution, IP, NodeName, Options, Query, Resolver, Secret, Variables}

  @types [:a, :aaaa, :srv]
  @day 86_400_000
  @levels [:emergency, :alert, :critical, :error, :warning, :notice, :info, :debug]

  # {key, default in words, what it must be, documentation}; the checks are the clauses of valid?/2 and cast/2 below.
  @options [
    {:query, "the environment variable `DNS_CLUSTER_QUERY`",
     "a string, {basename, query}, or list",
     "where nodes are listed: a host name to ask DNS for, `basename@host`, `{basename, host}`, several of them in one string " <>
       "separated by commas, or a list of them. A name that starts like `_service._proto.` is asked for SRV records; " <>
       "`*@host` and `app-*@host` mean every name that the epmd of each address has registered and that matches. Nodes " <>
       "can be listed by themselves, as atoms, in a folder (`dir:/path`, see `DNSMesh.Directory`), or by a module of " <>
       "yours (`{MySource, arg}`, see `DNSMesh.Source`). `:ignore`, `nil`, `\"\"` and `[]` start nothing. The " <>
       "environment variable is read when the key is absent, but not in a test run (`mix test`)."},
    {:resource_types, "`[:a]` or `[:aaaa]`, as this node's distribution speaks IPv4 or IPv6",
     "a subset of [:a, :aaaa, :srv]", "the record types to ask for."},
    {:interval, "`5_000`", "an integer from 100 to 86400000 (milliseconds)",
     "milliseconds between two polls, give or take a tenth."},
    {:timeout, "`2_000`", "an integer from 50 to 86400000 (milliseconds)",
     "milliseconds one lookup may take in all: every name server, search domain and SRV target."},
    {:connect_timeout, "`10_000`", "a positive integer (milliseconds)",
     "milliseconds after which a peer that is being dialled shows as `:connect_timeout`. It ends nothing: the VM's own " <>
       "`net_setuptime` does."},
    {:name, "`DNSMesh`", "an atom", "the name of this instance; several may run side by side."},
    {:log, "`:info`", "a Logger level, or false",
     "the level of the lines about joins and leaves. Problems are warnings. `false` for no line at all."},
    {:resolver, "the native resolver",
     "a module with basename/1, lookup/2, list_nodes/0 and connect_node/1",
     "a module that stands for DNS and for the VM: `basename(node)`, `lookup(host, type)`, `list_nodes()` and " <>
       "`connect_node(node)`, as with dns_cluster."},
    {:nameservers, "those of `/etc/resolv.conf`",
     ~s(a list like ["10.0.0.2", "127.0.0.1:8600", "[fdaa::3]:53"]),
     "the name servers to ask, as IP addresses with an optional port; `/etc/resolv.conf` still gives the search domains."},
    {:basename, "the environment variable `DNS_MESH_BASENAME`, else the running node's",
     "a string of letters, digits, _ and -",
     "the part of a peer's name before the `@`, and of this node's, where DNSMesh starts distribution."},
    {:allow,
     "every unicast address but loopback and link-local ones, and those too where this node lives at one",
     ~s(a list of networks like ["10.0.0.0/8", "fd00::/8"]), "the networks peers must lie in."},
    {:distribution, "`:auto`; in a test run `:manual`", ":auto or :manual",
     "`:auto` starts distribution, under this node's basename and own address, when the VM is not distributed; `:manual` " <>
       "leaves that to you."},
    {:address,
     "the environment variable `DNS_MESH_ADDRESS` (`10.0.0.5`, `interface:eth1`, `subnet:10.0.0.0/8` or `env:POD_IP`), " <>
       "else derived",
     ~s(an IP address, {:interface, "eth1"}, {:subnet, "10.0.0.0/8"} or {:env, "POD_IP"}),
     "this node's own address, where DNSMesh starts distribution: an IP address, or where to find it."},
    {:cookie, "the VM's", "a string or an atom of 1 to 255 characters",
     "the cookie, where DNSMesh starts distribution."},
    {:name_timeout, "`5_000`", "an integer from 0 to 86400000 (milliseconds)",
     "milliseconds that `start_link/1` waits for the name this node is about to take, so that what starts after it sees " <>
       "it; 0 for not at all. While no name server answers, a machine's only address is taken towards their end (with 0 " <>
       "after 4 s), and no sooner: another one may be about to come up."},
    {:naming, "as this node is named", ":address or :name",
     "whether peers are named by `:address` (`app@10.0.0.5`) or by `:name` (`app@app-0.svc`): by an SRV record's target, " <>
       "the host of a `basename@host` item, or the address's PTR record if it leads back to the address."},
    {:ask_first, "`true`", "true or false",
     "whether a peer is joined only when its distribution port answers and no member of the cluster is out of its reach; " <>
       "`false` dials at once."},
    {:max_peers, "`1_024`", "an integer from 1 to 65536", "how many names are held at once."}
  ]
  @keys Enum.map(@options, &elem(&1, 0))

  @enforce_keys [:queries, :types]
  defstruct [
    :queries,
    :types,
    :resolver,
    :basename,
    :name,
    interval: 5_000,
    timeout: 2_000,
    connect_timeout: 10_000,
    distribution: :auto,
    address: nil,
    cookie: nil,
    name_timeout: 5_000,
    naming: nil,
    ask_first: true,
    log: :info,
    nameservers: [],
    allow: :default,
    max_peers: 1_024,
    # What is wrong with an environment variable that stands for one of them: it keeps this node from taking a name.
    fault: nil,
    # Not options: tests put files of their own here.
    resolv_conf: "/etc/resolv.conf",
    hosts: "/etc/hosts"
  ]

  @type address :: Variables.address()
  @type t :: %__MODULE__{
          queries: [Query.t()],
          types: [:a | :aaaa | :srv],
          resolver: module() | nil,
          basename: String.t() | nil,
          interval: pos_integer(),
          timeout: pos_integer(),
          connect_timeout: pos_integer(),
          name: atom(),
          distribution: :auto | :manual,
          address: address() | nil,
          cookie: Secret.t() | nil,
          name_timeout: non_neg_integer(),
          naming: :address | :name | nil,
          ask_first: boolean(),
          log: Logger.level() | false,
          nameservers: [{IP.t(), :inet.port_number()}],
          allow: [IP.cidr()] | :default,
          max_peers: pos_integer(),
          fault: Variables.fault() | nil,
          resolv_conf: String.t(),
          hosts: String.t()
        }

  @doc "The options as they stand in the documentation."
  @spec options() :: [{atom(), default :: String.t(), doc :: String.t()}]
  def options, do: for({key, default, _expected, doc} <- @options, do: {key, default, doc})

  @doc "A Markdown list of the options."
  @spec docs() :: String.t()
  def docs,
    do:
      Enum.map_join(options(), "\n", fn {key, default, doc} ->
        "  * `#{inspect(key)}` - #{doc} Default: #{default}."
      end)

  @doc "Checks the options; `:ignore` when there is nothing to ask. Raises `ArgumentError` that says what was expected and what was got."
  @spec new!(keyword(), query_from_environment :: String.t() | nil) :: t() | :ignore
  def new!(opts, environment \\ System.get_env("DNS_CLUSTER_QUERY")) do
    :ok = Options.known!(opts, @keys)

    {query, origin} =
      if Keyword.has_key?(opts, :query),
        do: {opts[:query], ":query"},
        else: {environment, "DNS_CLUSTER_QUERY"}

    opts = Keyword.delete(opts, :query)
    cast = for {key, value} <- opts, do: {field(key), cast!(key, value)}

    # Every option is checked before there is nothing to ask: a mistake shows on the laptop, not in production.
    settings = heed_variables(struct!(__MODULE__, [queries: [], types: []] ++ cast))

    case queries!(query, settings.resolver, origin) do
      [] -> :ignore
      queries -> %{settings | queries: queries, types: types!(settings)}
    end
  end

  @doc "Without any option: what the environment says, and nothing to ask."
  @spec blank() :: t()
  def blank, do: heed_variables(%__MODULE__{queries: [], types: []})

  defp heed_variables(settings),
    do: Enum.reduce([:address, :basename], settings, &heed_variable/2)

  # An option that is given as nil is as good as absent.
  defp heed_variable(key, settings) do
    with nil <- Map.fetch!(settings, key),
         {:ok, value} <- Variables.read(key) do
      Map.put(settings, key, value)
    else
      {:error, fault} -> %{settings | fault: fault}
      _given -> settings
    end
  end

  @doc "Whether a text is a name server option's item."
  @spec parse_nameserver(term()) :: {:ok, {IP.t(), :inet.port_number()}} | :error
  def parse_nameserver(text) when is_binary(text) do
    case Regex.run(~r/\A(?:\[([^\]]+)\]|([^:\[\]]+))(?::(\d{1,5}))?\z/, text) do
      nil -> with({:ok, ip} <- IP.parse(text), do: {:ok, {ip, 53}})
      [_, bracketed, plain | port] -> address_and_port(bracketed <> plain, port)
      [_, bracketed] -> address_and_port(bracketed, [])
    end
  end

  def parse_nameserver(_other), do: :error

  defp address_and_port(address, port) do
    port = if port == [], do: 53, else: port |> hd() |> String.to_integer()

    with {:ok, ip} <- IP.parse(address),
         true <- port in 1..65_535,
         do: {:ok, {ip, port}},
         else: (_ -> :error)
  end

  defp queries!(query, _resolver, _origin) when query in [nil, :ignore], do: []
  defp queries!(query, nil, origin), do: Query.parse!(query, &Resolver.check_name/1, origin)

  defp queries!(query, _module, origin) do
    queries = Query.parse!(query, fn _anything -> :ok end, origin)

    # Only the native resolver asks epmd.
    for item <- queries, Query.pattern?(item) do
      raise ArgumentError,
            "expected no * in #{origin} beside the option :resolver, which stands for DNS and cannot ask epmd, got: #{inspect(item.text)}"
    end

    queries
  end

  defp types!(%{types: [_ | _] = types}), do: types
  defp types!(%{resolver: module}) when module != nil, do: [:a, :aaaa]

  defp types!(_settings) do
    case Distribution.current().family do
      :inet ->
        [:a]

      :inet6 ->
        [:aaaa]

      nil ->
        raise ArgumentError,
              "expected :resource_types to be given, as -proto_dist #{Distribution.proto()} does not tell whether peers have IPv4 or IPv6 addresses, got: nothing"
    end
  end

  defp field(:resource_types), do: :types
  defp field(key), do: key

  @doc "What is asked for in each round: every item, for each of its record types."
  @spec lookups(t()) :: [{Query.t(), Query.type()}]
  def lookups(config),
    do: for(query <- config.queries, type <- Query.types(query, config.types), do: {query, type})

  @doc "Checks one option's value and gives it in its inner form."
  @spec cast!(atom(), term()) :: term()
  def cast!(key, value) do
    case cast(key, value) do
      {:ok, value} ->
        value

      :error ->
        raise ArgumentError,
              "expected #{inspect(key)} to be #{expected(key)}, got: #{Options.show(key, value)}"
    end
  end

  defp expected(key), do: @options |> List.keyfind!(key, 0) |> elem(2)

  defp cast(:resource_types, [_ | _] = types),
    do: check(Enum.all?(types, &(&1 in @types)), Enum.uniq(types))

  defp cast(:interval, ms), do: check(is_integer(ms) and ms in 100..@day, ms)
  defp cast(:timeout, ms), do: check(is_integer(ms) and ms in 50..@day, ms)
  defp cast(:connect_timeout, ms), do: check(is_integer(ms) and ms > 0, ms)
  defp cast(:name, name), do: check(is_atom(name) and name not in [nil, true, false], name)
  defp cast(:log, level), do: check(level == false or level in @levels, level)
  defp cast(:resolver, module), do: check(module == nil or resolver?(module), module)

  defp cast(:basename, basename),
    do: check(basename == nil or (is_binary(basename) and NodeName.basename?(basename)), basename)

  defp cast(:max_peers, count), do: check(is_integer(count) and count in 1..65_536, count)
  defp cast(:distribution, value), do: check(value in [:auto, :manual], value)
  defp cast(:ask_first, value), do: check(is_boolean(value), value)
  defp cast(:naming, value), do: check(value in [nil, :address, :name], value)
  defp cast(:name_timeout, ms), do: check(is_integer(ms) and ms in 0..@day, ms)
  defp cast(:cookie, nil), do: {:ok, nil}

  # By its ticket from here on: what is made of the options goes into states and reports.
  defp cast(:cookie, cookie) do
    text = with atom when is_atom(atom) <- Secret.reveal(cookie), do: Atom.to_string(atom)

    if is_binary(text) and Cookie.check(text) == :ok,
      do: {:ok, Secret.hide(text)},
      else: :error
  end

  defp cast(:address, nil), do: {:ok, nil}

  defp cast(:address, {:interface, name}) when is_binary(name) and name != "",
    do: {:ok, {:interface, name}}

  defp cast(:address, {:env, name}) when is_binary(name),
    do: check(Variables.name?(name), {:env, name})

  defp cast(:address, {:subnet, text}) when is_binary(text),
    do: with({:ok, cidr} <- IP.parse_cidr(text), do: {:ok, {:subnet, cidr}})

  defp cast(:address, text) when is_binary(text),
    do: with({:ok, ip} <- IP.parse(text), do: {:ok, {:literal, ip}})

  defp cast(:nameservers, [_ | _] = list), do: cast_all(list, &parse_nameserver/1)
  defp cast(:allow, [_ | _] = list), do: cast_all(list, &parse_network/1)
  defp cast(_key, _value), do: :error

  defp check(true, value), do: {:ok, value}
  defp check(false, _value), do: :error

  defp cast_all(list, parse) do
    cast = Enum.map(list, parse)
    if :error in cast, do: :error, else: {:ok, Enum.map(cast, &elem(&1, 1))}
  end

  defp parse_network(text) when is_binary(text), do: IP.parse_cidr(text)
  defp parse_network(_other), do: :error

  defp resolver?(module) do
    is_atom(module) and Code.ensure_loaded?(module) and
      Enum.all?([basename: 1, lookup: 2, list_nodes: 0, connect_node: 1], fn {f, a} ->
        function_exported?(module, f, a)
      end)
  end
end

defmodule DNSMesh.Test.ScriptedDNS do
  @moduledoc """
  A DNS server on loopback that does exactly what a test tells it to.

  It owns one UDP socket and one TCP listener on the same port and answers from a zone map:

      dns = start_supervised!({ScriptedDNS, zone: %{{"app.internal", :a} => ["10.0.0.1", "10.0.0.2"]}})
      ScriptedDNS.address(dns)            #=> "127.0.0.1:41234"
      ScriptedDNS.put(dns, {"app.internal", :a}, :servfail)
      ScriptedDNS.queries(dns)            #=> [%{name: "app.internal", type: :a, transport: :udp, …}]

  Packets are written by hand and not by `:inet_dns`: half of what is served here is wrong on purpose,
  a bad packet must be bad in exactly one place, and each OTP release has its own idea of `:inet_dns` records.
  The file depends on nothing but OTP, so a script can load it alone with `Code.require_file/1`.

  ## Options

    * `:zone` – map of `{name, type}` to a behaviour. Types: `:a`, `:aaaa`, `:srv`, `:cname`, `:ptr`, `:txt`, `:ns`, `:soa` or a number
    * `:default` – behaviour for names that are not in the zone, `:nxdomain`. A name that has only other types answers `:no_records`
    * `:ip` – loopback address as tuple or string, `"127.0.0.1"`
    * `:port` – 0 takes one that is free for both transports
    * `:udp`, `:tcp` – see `transport/3`, both `true`
    * `:notify` – a process that gets `{:dns_query, server, name, type, transport}` for each question
    * `:seed` – for `{:rotate, …}`, 1
    * `:name` – registers the server

  ## Behaviours

    * `records` – a list, the same as `{:ok, records, []}`
    * `{:ok, records, opts}` – opts: `:ttl` in seconds (30), `:additional` and `:authority` records, `:rcode`
    * `:no_records`, `:nxdomain`, or with opts `{:nxdomain, negative_ttl: 5}`, `{:nxdomain, soa: false}` – with a SOA of 60 s unless told otherwise
    * `:servfail`, `:refused`, `:formerr`, `:notimp`, `{:rcode, n}`
    * `:silent` – no reply
    * `{:delay, ms, behaviour}` – later; nobody else waits for it
    * `{:sequence, [behaviour]}` – one for each query, the last one stays
    * `{:rotate, k, records}` – k of the records, at random, in random order
    * `{:truncate, records}` – TC and nothing else over UDP, all over TCP; `{:truncate, records, partial: k}` puts k of them beside the TC
    * `:truncate_always`, `{:truncate_always, records}` – TC over TCP as well
    * `{:edns_limited, k, records}` – k records over UDP without EDNS, all of them with EDNS or TCP, never TC (Consul)
    * `{:formerr_with_edns, behaviour}` – FORMERR while the query has an OPT record (old forwarders)
    * `{:wrong_id_first, behaviour}`, `{:wrong_question_first, behaviour}` – a forged answer of 192.0.2.66 comes before the true one
    * `{:junk_first, behaviour}` – a datagram that is no DNS at all comes first
    * `:junk` – right id, right question, and a body that cannot be read
    * `:ptr_with_srv_body` – record type PTR around the body of a SRV record (an old Docker bug)
    * `{:by_transport, udp_behaviour, tcp_behaviour}`
    * `{:fun, fun}` – `fun.(query)` gives the behaviour; the query is a map as in `queries/1`
    * `{:raw, fun}` – `fun.(query_bytes)` gives the reply's bytes

  ## Records

    * `"10.0.0.1"`, `{10, 0, 0, 1}`, an IPv6 tuple or string – owned by the name that was asked
    * `{priority, weight, port, target}` – SRV, owned by the name that was asked
    * `{:cname, target}` – an alias; records after it in the list belong to the target
    * `{owner, address}` – an address record of another name
    * `{owner, type, ttl, data}` – everything said; ttl `nil` is the default one. For a numeric type, data is the body's bytes

  A name may be a list of labels (`["has.dot", "internal"]`), for names that text cannot say.

  A reply that is larger than what the client takes (512 bytes, or what its OPT record says) is cut by itself: first the
  additional records go, then answers go and TC is set.
  """
  use GenServer

  import Bitwise

  @default_ttl 30
  @negative_ttl 60
  @forged_address {192, 0, 2, 66}
  @plain_payload 512
  @tcp_payload 65_535
  @bind_attempts 50

  @types %{a: 1, ns: 2, cname: 5, soa: 6, ptr: 12, txt: 16, aaaa: 28, srv: 33, opt: 41, any: 255}
  @type_names Map.new(@types, fn {name, number} -> {number, name} end)
  @rcodes %{formerr: 1, servfail: 2, notimp: 4, refused: 5}

  @type server :: GenServer.server()
  @type behaviour :: term
  @type zone :: %{optional({name :: String.t(), type :: atom | non_neg_integer}) => behaviour}
  @type query :: %{
          name: String.t(),
          type: atom | non_neg_integer,
          transport: :udp | :tcp,
          edns: non_neg_integer | nil,
          at: integer,
          from: {:inet.ip_address(), :inet.port_number()}
        }

  @spec start_link(keyword) :: GenServer.on_start()
  def start_link(opts \\ []) do
    {gen_opts, opts} = Keyword.split(opts, [:name])
    GenServer.start_link(__MODULE__, opts, gen_opts)
  end

  @doc "The port, the same for UDP and TCP."
  @spec port(server) :: :inet.port_number()
  def port(server), do: server |> nameserver() |> elem(1)

  @doc "Address and port as tuple, as `DNSMesh.Native` takes them."
  @spec nameserver(server) :: {:inet.ip_address(), :inet.port_number()}
  def nameserver(server), do: GenServer.call(server, :nameserver)

  @doc ~S'Address and port as text, as the option `:nameservers` takes them: `"127.0.0.1:5353"`, `"[::1]:5353"`.'
  @spec address(server) :: String.t()
  def address(server) do
    case nameserver(server) do
      {ip, port} when tuple_size(ip) == 4 -> "#{:inet.ntoa(ip)}:#{port}"
      {ip, port} -> "[#{:inet.ntoa(ip)}]:#{port}"
    end
  end

  @doc "Sets what one name and type answers from now on."
  @spec put(server, {String.t(), atom | non_neg_integer}, behaviour) :: :ok
  def put(server, key, behaviour) do
    GenServer.call(server, {:put, key(key), compile(behaviour)})
  end

  @doc "Replaces the whole zone."
  @spec zone(server, zone) :: :ok
  def zone(server, zone), do: GenServer.call(server, {:zone, compile_zone(zone)})

  @doc "Replaces what names outside of the zone answer."
  @spec default(server, behaviour) :: :ok
  def default(server, behaviour), do: GenServer.call(server, {:default, compile(behaviour)})

  @doc """
  Switches a transport at run time.

  `:udp` is `true` or `false` (as behind a firewall: nothing comes back, nothing is noted). `:tcp` is `true`, `false`
  (the port is closed: connection refused), `:hang` (accepts, then silence) or `{:drip, ms}` (one byte each `ms`).
  """
  @spec transport(server, :udp | :tcp, boolean | :hang | {:drip, pos_integer}) :: :ok
  def transport(server, kind, mode), do: GenServer.call(server, {:transport, kind, mode})

  @doc "All questions so far, oldest first."
  @spec queries(server) :: [query]
  def queries(server), do: GenServer.call(server, :queries)

  @doc "All questions so far for one name, and for one type of it."
  @spec queries(server, String.t(), atom | non_neg_integer) :: [query]
  def queries(server, name, type \\ nil) do
    {name, type} = key({name, type})
    for query <- queries(server), query.name == name, type in [nil, query.type], do: query
  end

  @doc "Forgets the questions so far."
  @spec clear_queries(server) :: :ok
  def clear_queries(server), do: GenServer.call(server, :clear_queries)

  @doc "From now on `pid` (or nobody) gets `{:dns_query, server, name, type, transport}` for each question."
  @spec notify(server, pid | nil) :: :ok
  def notify(server, pid), do: GenServer.call(server, {:notify, pid})

  @doc "How many TCP connections were accepted so far."
  @spec tcp_connections(server) :: non_neg_integer
  def tcp_connections(server), do: GenServer.call(server, :tcp_connections)

  ## Callbacks

  @impl true
  def init(opts) do
    # The acceptor and the connections are linked; without this a closed listener would end the server.
    Process.flag(:trap_exit, true)
    ip = opts |> Keyword.get(:ip, {127, 0, 0, 1}) |> parse_ip!()

    case bind(ip, Keyword.get(opts, :port, 0), @bind_attempts) do
      {:ok, udp, listener, port} ->
        state = %{
          ip: ip,
          port: port,
          udp: udp,
          udp_mode: Keyword.get(opts, :udp, true),
          listener: listener,
          tcp_mode: true,
          connections: MapSet.new(),
          tcp_connections: 0,
          zone: compile_zone(Keyword.get(opts, :zone, %{})),
          default: compile(Keyword.get(opts, :default, :nxdomain)),
          rand: :rand.seed_s(:exsss, Keyword.get(opts, :seed, 1)),
          notify: Keyword.get(opts, :notify),
          queries: []
        }

        start_acceptor(listener)
        {:ok, set_tcp(state, Keyword.get(opts, :tcp, true))}

      {:error, reason} ->
        {:stop, {:cannot_bind, ip, reason}}
    end
  end

  @impl true
  def handle_call(:nameserver, _from, state), do: {:reply, {state.ip, state.port}, state}

  def handle_call({:put, key, behaviour}, _from, state),
    do: {:reply, :ok, put_in(state.zone[key], behaviour)}

  def handle_call({:zone, zone}, _from, state), do: {:reply, :ok, %{state | zone: zone}}

  def handle_call({:default, behaviour}, _from, state),
    do: {:reply, :ok, %{state | default: behaviour}}

  def handle_call({:transport, :udp, mode}, _from, state) when is_boolean(mode),
    do: {:reply, :ok, %{state | udp_mode: mode}}

  def handle_call({:transport, :tcp, mode}, _from, state), do: {:reply, :ok, set_tcp(state, mode)}

  def handle_call(:queries, _from, state), do: {:reply, Enum.reverse(state.queries), state}
  def handle_call(:clear_queries, _from, state), do: {:reply, :ok, %{state | queries: []}}
  def handle_call({:notify, pid}, _from, state), do: {:reply, :ok, %{state | notify: pid}}
  def handle_call(:tcp_connections, _from, state), do: {:reply, state.tcp_connections, state}

  @impl true
  def handle_info({:udp, _socket, ip, port, packet}, %{udp_mode: true} = state),
    do: {:noreply, serve(packet, {:udp, ip, port}, state)}

  def handle_info({:udp, _socket, _ip, _port, _packet}, state), do: {:noreply, state}

  def handle_info({:tcp_query, connection, from, packet}, state),
    do: {:noreply, serve(packet, {:tcp, connection, from}, state)}

  def handle_info({:tcp_accepted, connection}, state) do
    send(connection, {:go, state.tcp_mode})
    connections = MapSet.put(state.connections, connection)
    {:noreply, %{state | connections: connections, tcp_connections: state.tcp_connections + 1}}
  end

  def handle_info({:reply, to, bytes}, state) do
    send_reply(to, bytes, state)
    {:noreply, state}
  end

  def handle_info({:EXIT, pid, _reason}, state),
    do: {:noreply, %{state | connections: MapSet.delete(state.connections, pid)}}

  # ICMP errors of clients that are gone already.
  def handle_info({:udp_error, _socket, _reason}, state), do: {:noreply, state}

  # A server that stops normally would leave its connections open: a link carries no normal exit.
  @impl true
  def terminate(_reason, state), do: close_connections(state)

  ## One question

  defp serve(packet, from, state) do
    case decode(packet) do
      {:ok, question} ->
        query = describe(question, from)
        if state.notify, do: send(state.notify, notification(query))

        {key, behaviour} = find({query.name, query.type}, state)

        {replies, behaviour, rand} =
          answer(behaviour, Map.put(query, :question, question), state.rand)

        for {delay, bytes} <- replies, do: schedule(delay, from, bytes, state)

        remember(%{state | rand: rand, queries: [query | state.queries]}, key, behaviour)

      :error ->
        state
    end
  end

  defp describe(question, from) do
    {transport, peer} =
      case from do
        {:udp, ip, port} -> {:udp, {ip, port}}
        {:tcp, _connection, peer} -> {:tcp, peer}
      end

    %{
      name: question.name,
      type: Map.get(@type_names, question.type, question.type),
      transport: transport,
      edns: question.edns,
      at: System.monotonic_time(:millisecond),
      from: peer
    }
  end

  defp notification(query), do: {:dns_query, self(), query.name, query.type, query.transport}

  # A name that exists with other types only has no records of this type; it is not an unknown name.
  defp find({name, _type} = key, %{zone: zone} = state) do
    cond do
      is_map_key(zone, key) -> {key, zone[key]}
      Enum.any?(zone, fn {{other, _type}, _} -> other == name end) -> {nil, compile(:no_records)}
      true -> {:default, state.default}
    end
  end

  defp remember(state, nil, _behaviour), do: state
  defp remember(state, :default, behaviour), do: %{state | default: behaviour}
  defp remember(state, key, behaviour), do: %{state | zone: Map.put(state.zone, key, behaviour)}

  defp schedule(0, to, bytes, state), do: send_reply(to, bytes, state)

  defp schedule(delay, to, bytes, _state),
    do: Process.send_after(self(), {:reply, to, bytes}, delay)

  defp send_reply({:udp, ip, port}, bytes, state), do: :gen_udp.send(state.udp, ip, port, bytes)
  defp send_reply({:tcp, connection, _peer}, bytes, _state), do: send(connection, {:reply, bytes})

  ## From behaviour to replies: [{delay in ms, bytes}], the behaviour for the next query, and the dice

  defp answer({:reply, reply}, query, rand),
    do: {[{0, encode(reply, query)}], {:reply, reply}, rand}

  defp answer(:silent, _query, rand), do: {[], :silent, rand}

  defp answer({:delay, ms, behaviour}, query, rand) do
    {replies, next, rand} = answer(behaviour, query, rand)
    {for({delay, bytes} <- replies, do: {delay + ms, bytes}), {:delay, ms, next}, rand}
  end

  defp answer({:sequence, [behaviour]}, query, rand) do
    {replies, next, rand} = answer(behaviour, query, rand)
    {replies, {:sequence, [next]}, rand}
  end

  defp answer({:sequence, [behaviour | rest]}, query, rand) do
    {replies, _next, rand} = answer(behaviour, query, rand)
    {replies, {:sequence, rest}, rand}
  end

  defp answer({:rotate, k, reply} = same, query, rand) do
    {keyed, rand} =
      Enum.map_reduce(reply.answers, rand, fn record, rand ->
        {order, rand} = :rand.uniform_s(rand)
        {{order, record}, rand}
      end)

    chosen = keyed |> Enum.sort() |> Enum.take(k) |> Enum.map(&elem(&1, 1))
    {[{0, encode(%{reply | answers: chosen}, query)}], same, rand}
  end

  defp answer({:truncate, reply, partial} = same, query, rand) do
    reply =
      if query.transport == :udp,
        do: %{reply | answers: Enum.take(reply.answers, partial), additional: [], truncated: true},
        else: reply

    {[{0, encode(reply, query)}], same, rand}
  end

  defp answer({:truncate_always, reply} = same, query, rand) do
    {[{0, encode(%{reply | truncated: true}, query)}], same, rand}
  end

  defp answer({:edns_limited, k, reply} = same, query, rand) do
    reply =
      if query.transport == :udp and query.edns == nil,
        do: %{reply | answers: Enum.take(reply.answers, k)},
        else: reply

    {[{0, encode(reply, query)}], same, rand}
  end

  defp answer({:formerr_with_edns, behaviour}, query, rand) do
    if query.edns do
      # Such a server has never heard of OPT records, so its own reply has none.
      {[{0, encode(rcode(1), %{query | edns: nil})}], {:formerr_with_edns, behaviour}, rand}
    else
      {replies, next, rand} = answer(behaviour, query, rand)
      {replies, {:formerr_with_edns, next}, rand}
    end
  end

  defp answer({:wrong_id_first, behaviour}, query, rand) do
    forged = update_in(query.question.id, &bxor(&1, 0x5555))
    first({:wrong_id_first, behaviour}, encode(forgery(), forged), query, rand)
  end

  defp answer({:wrong_question_first, behaviour}, query, rand) do
    wire = IO.iodata_to_binary([wire_name("not-what-was-asked.internal"), <<1::16, 1::16>>])
    forged = put_in(query.question.wire, wire)
    first({:wrong_question_first, behaviour}, encode(forgery(), forged), query, rand)
  end

  defp answer({:junk_first, behaviour}, query, rand),
    do: first({:junk_first, behaviour}, <<255, 1, 254>>, query, rand)

  defp answer(:junk, %{question: question}, rand) do
    bytes =
      <<question.id::16, 0x8180::16, 1::16, 9::16, 0::16, 0::16, question.wire::binary, 255, 255,
        255, 255>>

    {[{0, bytes}], :junk, rand}
  end

  defp answer({:by_transport, udp, tcp}, %{transport: :udp} = query, rand) do
    {replies, next, rand} = answer(udp, query, rand)
    {replies, {:by_transport, next, tcp}, rand}
  end

  defp answer({:by_transport, udp, tcp}, query, rand) do
    {replies, next, rand} = answer(tcp, query, rand)
    {replies, {:by_transport, udp, next}, rand}
  end

  defp answer({:fun, fun} = same, query, rand) do
    behaviour = query |> Map.delete(:question) |> fun.() |> compile()
    {replies, _next, rand} = answer(behaviour, query, rand)
    {replies, same, rand}
  end

  defp answer({:raw, fun} = same, query, rand),
    do: {[{0, fun.(query.question.bytes)}], same, rand}

  defp first({wrapper, behaviour}, bytes, query, rand) do
    {replies, next, rand} = answer(behaviour, query, rand)
    {[{0, bytes} | replies], {wrapper, next}, rand}
  end

  defp forgery, do: reply([@forged_address], [])

  ## Compiling: record lists become bytes once, when they are put, so that thousands of records cost nothing per query

  defp compile_zone(zone),
    do: Map.new(zone, fn {key, behaviour} -> {key(key), compile(behaviour)} end)

  defp key({name, type}), do: {name |> String.downcase() |> String.trim_trailing("."), type}

  defp compile(records) when is_list(records), do: {:reply, reply(records, [])}
  defp compile({:ok, records, opts}), do: {:reply, reply(records, opts)}
  defp compile(:no_records), do: compile({:no_records, []})
  defp compile({:no_records, opts}), do: {:reply, negative(0, opts)}
  defp compile(:nxdomain), do: compile({:nxdomain, []})
  defp compile({:nxdomain, opts}), do: {:reply, negative(3, opts)}
  defp compile({:rcode, number}), do: {:reply, rcode(number)}
  defp compile(name) when is_map_key(@rcodes, name), do: {:reply, rcode(@rcodes[name])}
  defp compile({:delay, ms, behaviour}), do: {:delay, ms, compile(behaviour)}
  defp compile({:sequence, [_ | _] = list}), do: {:sequence, Enum.map(list, &compile/1)}
  defp compile({:rotate, k, records}), do: {:rotate, k, reply(records, [])}
  defp compile({:truncate, records}), do: {:truncate, reply(records, []), 0}

  defp compile({:truncate, records, opts}),
    do: {:truncate, reply(records, opts), Keyword.get(opts, :partial, 0)}

  defp compile(:truncate_always), do: compile({:truncate_always, []})
  defp compile({:truncate_always, records}), do: {:truncate_always, reply(records, [])}
  defp compile({:edns_limited, k, records}), do: {:edns_limited, k, reply(records, [])}

  defp compile({wrapper, behaviour})
       when wrapper in [:formerr_with_edns, :wrong_id_first, :wrong_question_first, :junk_first],
       do: {wrapper, compile(behaviour)}

  defp compile({:by_transport, udp, tcp}), do: {:by_transport, compile(udp), compile(tcp)}
  defp compile(simple) when simple in [:silent, :junk], do: simple

  defp compile(:ptr_with_srv_body) do
    body = IO.iodata_to_binary([<<1::16, 1::16, 4369::16>>, wire_name("one.internal")])
    compile([{:asked, 12, nil, body}])
  end

  defp compile({:fun, fun}) when is_function(fun, 1), do: {:fun, fun}
  defp compile({:raw, fun}) when is_function(fun, 1), do: {:raw, fun}

  defp reply(records, opts) do
    ttl = Keyword.get(opts, :ttl, @default_ttl)

    %{
      rcode: Keyword.get(opts, :rcode, 0),
      truncated: false,
      answers: compile_records(records, ttl),
      authority: compile_records(Keyword.get(opts, :authority, []), ttl),
      additional: compile_records(Keyword.get(opts, :additional, []), ttl)
    }
  end

  defp rcode(number), do: reply([], rcode: number)

  # The SOA's owner must be an ancestor of the name that was asked for a resolver to take it; the root always is.
  defp negative(rcode, opts) do
    ttl = Keyword.get(opts, :negative_ttl, @negative_ttl)
    soa = {".", :soa, ttl, {"ns.internal", "admin.internal", 1, 3_600, 600, 86_400, ttl}}
    reply([], rcode: rcode, authority: if(Keyword.get(opts, :soa, true), do: [soa], else: []))
  end

  defp compile_records(records, ttl) do
    {records, _owner} =
      Enum.map_reduce(records, :asked, fn record, owner ->
        {record_owner, type, record_ttl, data} = full_record(record, owner)
        next_owner = if match?({:cname, _}, record), do: data, else: owner
        {wire_record(record_owner, type, record_ttl || ttl, data), next_owner}
      end)

    records
  end

  defp full_record({:cname, target}, owner), do: {owner, :cname, nil, target}

  defp full_record({owner, type, ttl, data}, _owner) when is_atom(type),
    do: {owner, type, ttl, data}

  defp full_record({owner, type, ttl, data}, _owner)
       when is_binary(owner) or is_list(owner) or owner == :asked,
       do: {owner, type, ttl, data}

  defp full_record({priority, weight, port, target}, owner)
       when is_binary(target) or is_list(target),
       do: {owner, :srv, nil, {priority, weight, port, target}}

  defp full_record({owner, address}, _owner), do: full_record(address, owner)

  defp full_record(address, owner) do
    ip = parse_ip!(address)
    {owner, if(tuple_size(ip) == 4, do: :a, else: :aaaa), nil, ip}
  end

  defp parse_ip!(ip) when is_tuple(ip), do: ip

  defp parse_ip!(text) when is_binary(text) do
    case :inet.parse_strict_address(String.to_charlist(text)) do
      {:ok, ip} ->
        ip

      {:error, _} ->
        raise ArgumentError, "expected an IP address as record, got: #{inspect(text)}"
    end
  end

  ## The wire, RFC 1035 and RFC 6891

  defp decode(<<id::16, flags::16, 1::16, _::16, _::16, additional::16, rest::binary>> = bytes)
       when band(flags, 0x8000) == 0 do
    with {:ok, labels, <<type::16, _class::16, rest::binary>>} <- decode_name(rest, []) do
      size = byte_size(bytes) - 12 - byte_size(rest)

      {:ok,
       %{
         id: id,
         bytes: bytes,
         wire: binary_part(bytes, 12, size),
         recursion_desired: band(bsr(flags, 8), 1),
         name: labels |> Enum.join(".") |> String.downcase(),
         type: type,
         edns: if(additional > 0, do: payload_size(rest))
       }}
    end
  end

  defp decode(_bytes), do: :error

  # Questions are never compressed by the resolvers we meet.
  defp decode_name(<<0, rest::binary>>, labels), do: {:ok, Enum.reverse(labels), rest}

  defp decode_name(<<size, label::binary-size(size), rest::binary>>, labels) when size < 64,
    do: decode_name(rest, [label | labels])

  defp decode_name(_rest, _labels), do: :error

  defp payload_size(<<0, 41::16, size::16, _::binary>>), do: size
  defp payload_size(_), do: nil

  defp encode(reply, query) do
    limit =
      case query do
        %{transport: :tcp} -> @tcp_payload
        %{edns: nil} -> @plain_payload
        %{edns: size} -> max(size, @plain_payload)
      end

    opt = if query.edns, do: [<<0, 41::16, 4096::16, 0::32, 0::16>>], else: []
    fixed = 12 + byte_size(query.question.wire) + IO.iodata_length(opt)
    reply = fit(reply, limit - fixed)

    flags =
      bor(
        bor(0x8080, bsl(query.question.recursion_desired, 8)),
        bor(if(reply.truncated, do: 0x0200, else: 0), band(reply.rcode, 15))
      )

    IO.iodata_to_binary([
      <<query.question.id::16, flags::16, 1::16, length(reply.answers)::16,
        length(reply.authority)::16, length(reply.additional) + length(opt)::16>>,
      query.question.wire,
      reply.answers,
      reply.authority,
      reply.additional,
      opt
    ])
  end

  defp fit(reply, room) do
    wanted = IO.iodata_length([reply.answers, reply.authority])

    cond do
      wanted + IO.iodata_length(reply.additional) <= room ->
        reply

      wanted <= room ->
        %{reply | additional: []}

      true ->
        %{
          reply
          | additional: [],
            authority: [],
            answers: take(reply.answers, room),
            truncated: true
        }
    end
  end

  defp take([record | rest], room) when byte_size(record) <= room,
    do: [record | take(rest, room - byte_size(record))]

  defp take(_records, _room), do: []

  defp wire_record(owner, type, ttl, data) do
    body = wire_data(type, data)

    IO.iodata_to_binary([
      wire_owner(owner),
      <<Map.get(@types, type, type)::16, 1::16, ttl::32, byte_size(body)::16>>,
      body
    ])
  end

  # The question stands at byte 12 of each reply: this points back at it.
  defp wire_owner(:asked), do: <<0xC00C::16>>
  defp wire_owner(name), do: wire_name(name)

  defp wire_data(:a, ip), do: bytes(parse_ip!(ip), 8)
  defp wire_data(:aaaa, ip), do: bytes(parse_ip!(ip), 16)

  defp wire_data(:srv, {priority, weight, port, target}),
    do: <<priority::16, weight::16, port::16, wire_name(target)::binary>>

  defp wire_data(type, name) when type in [:cname, :ptr, :ns], do: wire_name(name)
  defp wire_data(:txt, text), do: <<byte_size(text), text::binary>>

  defp wire_data(:soa, {mname, rname, serial, refresh, retry, expire, minimum}),
    do:
      <<wire_name(mname)::binary, wire_name(rname)::binary, serial::32, refresh::32, retry::32,
        expire::32, minimum::32>>

  defp wire_data(_number, bytes) when is_binary(bytes), do: bytes

  defp bytes(ip, bits), do: for(part <- Tuple.to_list(ip), into: <<>>, do: <<part::size(bits)>>)

  defp wire_name(labels) when is_list(labels),
    do: IO.iodata_to_binary([Enum.map(labels, &[byte_size(&1), &1]), 0])

  defp wire_name(name), do: name |> String.split(".", trim: true) |> wire_name()

  ## Sockets

  # Another process may own the TCP side of the port the kernel gave us for UDP: then another pair is tried.
  defp bind(ip, port, attempts) do
    family = if tuple_size(ip) == 4, do: :inet, else: :inet6
    udp_opts = [family, :binary, ip: ip, active: true, reuseaddr: port != 0, recbuf: 1_048_576]

    with {:ok, udp} <- :gen_udp.open(port, udp_opts),
         {:ok, bound} = :inet.port(udp) do
      case listen(ip, bound) do
        {:ok, listener} ->
          {:ok, udp, listener, bound}

        {:error, :eaddrinuse} when port == 0 and attempts > 0 ->
          :gen_udp.close(udp)
          bind(ip, port, attempts - 1)

        {:error, reason} ->
          :gen_udp.close(udp)
          {:error, reason}
      end
    end
  end

  defp listen(ip, port) do
    family = if tuple_size(ip) == 4, do: :inet, else: :inet6

    :gen_tcp.listen(port, [
      family,
      :binary,
      ip: ip,
      packet: 2,
      active: false,
      reuseaddr: true,
      nodelay: true,
      backlog: 1_024
    ])
  end

  # Clients keep connections for later questions, so a change of mode ends those that are open.
  defp set_tcp(%{tcp_mode: mode} = state, mode), do: state

  defp set_tcp(state, false) do
    :gen_tcp.close(state.listener)
    %{close_connections(state) | listener: nil, tcp_mode: false}
  end

  defp set_tcp(%{listener: nil} = state, mode) do
    {:ok, listener} = listen(state.ip, state.port)
    start_acceptor(listener)
    %{state | listener: listener, tcp_mode: mode}
  end

  defp set_tcp(state, mode), do: %{close_connections(state) | tcp_mode: mode}

  defp close_connections(state) do
    Enum.each(state.connections, &Process.exit(&1, :kill))
    %{state | connections: MapSet.new()}
  end

  defp start_acceptor(listener) do
    server = self()
    spawn_link(fn -> accept(listener, server) end)
  end

  defp accept(listener, server) do
    case :gen_tcp.accept(listener) do
      {:ok, socket} ->
        connection = start_connection(socket, server)
        :ok = :gen_tcp.controlling_process(socket, connection)
        send(server, {:tcp_accepted, connection})
        accept(listener, server)

      {:error, _closed} ->
        :ok
    end
  end

  # The link must be to the server, not to the acceptor, which ends with its listener.
  defp start_connection(socket, server) do
    spawn(fn ->
      Process.link(server)

      receive do
        {:go, mode} -> connection(socket, server, mode)
      end
    end)
  end

  defp connection(socket, server, mode) do
    case :inet.peername(socket) do
      {:ok, peer} ->
        :inet.setopts(socket, active: true)
        connection_loop(socket, server, peer, mode)

      {:error, _closed} ->
        :ok
    end
  end

  # Stays open for as many questions as the client has.
  defp connection_loop(socket, server, peer, mode) do
    receive do
      {:tcp, ^socket, packet} ->
        if mode != :hang, do: send(server, {:tcp_query, self(), peer, packet})
        connection_loop(socket, server, peer, mode)

      {:reply, bytes} ->
        write(socket, bytes, mode)
        connection_loop(socket, server, peer, mode)

      {:tcp_closed, ^socket} ->
        :ok

      {:tcp_error, ^socket, _reason} ->
        :ok
    end
  end

  defp write(socket, bytes, {:drip, ms}) do
    :inet.setopts(socket, packet: :raw)

    for <<(byte <- <<byte_size(bytes)::16, bytes::binary>>)>> do
      :gen_tcp.send(socket, <<byte>>)

      # The wait is the behaviour itself.
      receive do
        {:tcp_closed, ^socket} -> exit(:normal)
      after
        ms -> :ok
      end
    end

    :inet.setopts(socket, packet: 2)
  end

  defp write(socket, bytes, _mode), do: :gen_tcp.send(socket, bytes)
end

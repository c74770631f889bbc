defmodule DNSMesh.Status do
  @moduledoc """
  A picture of one instance at one moment, as `DNSMesh.status/1` gives it.

  `IO.puts(DNSMesh.status())` prints it as a table, and so does IEx; `mix dns_mesh.status` asks a node that runs for it, and
  `to_map/1` and `to_json/1` are for programs.

    * `:name` - the instance.
    * `:state` - `:running`, `:leaving` (`DNSMesh.leave/1` was called, and nobody is dialled any more) or `:not_running`.
    * `:because` - why it is not running, or leaves, a sentence; `nil` while it runs.
    * `:node` - this node's name, a string; `nil` while it is not distributed.
    * `:naming` - what that name means for being found, a sentence.
    * `:connected` - every node this VM is linked to, sorted strings.
    * `:queries` - a list of maps, one for each query item and record type:
      * `:query`, `:type` (`:names` for a list that is not DNS),
      * `:answer` - the last `DNSMesh.Answer`, `nil` before the first,
      * `:answer_age` - milliseconds since it came, or `nil`,
      * `:error` - the reason the last lookup failed for (see `DNSMesh.Error`), `nil` when it did not,
      * `:error_age` - milliseconds since then, or `nil`,
      * `:server` - who said the last of the two, or `nil`.
    * `:peers` - a list of maps, sorted by name:
      * `:name` - the node name, a string,
      * `:state` - `:new` (not dialled yet), `:joining` (being dialled), `:connected` (linked, whoever dialled),
        `:waiting` (not linked, dialled again later), `:held` (not dialled for now) or `:refused` (never dialled, by
        policy); the name of an address whose epmd told none is the item's pattern, `*@10.0.0.5`,
      * `:reason` - why it is waiting, held or refused, or `:connect_timeout` while joining; see `DNSMesh.Error`,
      * `:failures` - failed attempts in a row,
      * `:since` - milliseconds it has been in that state,
      * `:next_attempt` - milliseconds until it is dialled again, by the poll that follows; `nil` when it is not waiting.
  """

  alias DNSMesh.{
    Answer,
    Distribution,
    Error,
    JSON,
    Naming,
    OwnName,
    Query,
    Roster,
    TestRun,
    Words
  }

  alias DNSMesh.Status.{Plain, Text}

  @enforce_keys [:name, :state]
  defstruct [:name, :state, :because, :node, :naming, connected: [], queries: [], peers: []]

  @type query :: %{
          query: String.t(),
          type: Query.type(),
          answer: Answer.t() | nil,
          answer_age: non_neg_integer() | nil,
          error: Error.reason() | nil,
          error_age: non_neg_integer() | nil,
          server: String.t() | nil
        }
  @type peer :: %{
          name: String.t(),
          state: DNSMesh.Peer.state(),
          reason: Error.reason() | nil,
          failures: non_neg_integer(),
          since: non_neg_integer(),
          next_attempt: non_neg_integer() | nil
        }
  @type t :: %__MODULE__{
          name: atom(),
          state: :running | :leaving | :not_running,
          because: String.t() | nil,
          node: String.t() | nil,
          naming: String.t() | nil,
          connected: [String.t()],
          queries: [query()],
          peers: [peer()]
        }

  @doc false
  @spec running(
          {DNSMesh.Config.t(), Roster.t(), DNSMesh.Lookups.t(), OwnName.t(), now :: integer()}
        ) :: t()
  def running({config, roster, lookups, own_name, now}) do
    # Read at this moment, not at the last round: a VM may have become distributed since.
    distribution = Distribution.current()

    %__MODULE__{
      name: config.name,
      state: if(roster.leaving?, do: :leaving, else: :running),
      because: if(roster.leaving?, do: Words.leaving()),
      node: distribution.node,
      naming: fit(naming(distribution, own_name.naming), distribution, own_name.fit),
      connected: Enum.sort(roster.connected),
      queries: Enum.map(lookups.entries, &query(&1, now)),
      peers: roster |> Roster.peers() |> Enum.map(&peer(&1, roster, now))
    }
  end

  @doc false
  @spec not_running(atom()) :: t()
  def not_running(name) do
    distribution = Distribution.current()

    because =
      case {System.get_env("DNS_CLUSTER_QUERY"), TestRun.now?()} do
        {unset, _test_run?} when unset in [nil, ""] ->
          "no process is registered as #{inspect(name)}, and DNS_CLUSTER_QUERY is not set: without a query DNSMesh does not start"

        {_query, true} ->
          "no process is registered as #{inspect(name)}. #{TestRun.advice()}"

        {query, false} ->
          "no process is registered as #{inspect(name)}, though DNS_CLUSTER_QUERY is #{inspect(query)}: put DNSMesh into " <>
            "the children of your application's supervisor, or set its :query"
      end

    %__MODULE__{
      name: name,
      state: :not_running,
      because: because,
      node: distribution.node,
      naming: naming(distribution, Naming.off(0))
    }
  end

  defp fit(naming, %{alive?: true, address: ip}, %{ip: ip, reason: reason}) when reason != nil,
    do: "#{naming}; no longer fits this host: #{Error.message(reason)}"

  defp fit(naming, _distribution, _fit), do: naming

  defp naming(%{alive?: false}, %{state: :starting, name: name}), do: "about to be #{name}"

  defp naming(%{alive?: false}, %{state: :seeking, obstacle: {fault, _value} = reason})
       when fault in [:bad_basename_variable, :bad_address_variable],
       do: "takes no name: #{Error.message(reason)}"

  defp naming(%{alive?: false}, %{state: :seeking} = naming),
    do: "about to take a name; #{Naming.obstacle(naming)}"

  defp naming(%{alive?: false}, _naming) do
    if Distribution.expected?(),
      do: "not distributed: nobody can be joined",
      else: "not distributed: #{Words.no_node()}"
  end

  defp naming(%{names: :short}, _naming), do: "a short name: so must its peers' be"

  defp naming(%{address: nil}, _naming), do: "named by its host: so are its peers"

  defp naming(distribution, %{state: :named, address: %{} = address}),
    do: "named by DNSMesh: #{Words.because(address)}; #{carrier(distribution)}"

  defp naming(distribution, _naming), do: "named by its address, #{carrier(distribution)}"

  defp carrier(%{family: family, tls?: tls?}),
    do: "#{protocol(family)} distribution#{if tls?, do: " over TLS"}"

  defp protocol(:inet), do: "IPv4"
  defp protocol(:inet6), do: "IPv6"
  defp protocol(nil), do: Distribution.proto()

  defp query(%{key: {%Query{text: text}, type}, answer: answer, failure: failure}, now) do
    {answer, answered_at} = answer || {nil, nil}
    {failure, failed_at} = failure || {nil, nil}

    %{
      query: text,
      type: type,
      answer: answer,
      answer_age: answered_at && now - answered_at,
      error: failure && failure.reason,
      error_age: failed_at && now - failed_at,
      server: if(failure, do: failure.server, else: answer && answer.server)
    }
  end

  defp peer(peer, roster, now) do
    %{
      name: peer.name,
      state: peer.state,
      reason: reason(peer, roster, now),
      failures: peer.failures,
      since: now - peer.since,
      next_attempt: peer.next_at && max(0, peer.next_at - now)
    }
  end

  # Marked at each round; here between two rounds too.
  defp reason(%{state: :joining, reason: nil, since: since}, %{connect_timeout: timeout}, now)
       when now - since >= timeout,
       do: :connect_timeout

  defp reason(peer, _roster, _now), do: peer.reason

  @doc """
  The same as plain maps, lists, strings, numbers and `nil`: for JSON, by whichever library there is, and for other programs.

  The keys are those of the struct, and ages are milliseconds as there. What is text here and was not:

    * `:name` - `"DNSMesh"`.
    * `:state`, `:type` - `"running"`, `"a"`, `"connected"`: the atoms' names.
    * `:error` of a query, `:reason` of a peer - the reason's name alone (`"connect_failed"`), see `DNSMesh.Error`; `:message`
      beside it is the sentence for it. Both `nil` where there is none.
    * `:answer` - a map with `:records`, `:ttl`, `:name`, `:server`, `:truncated` and `:fault` (a sentence, or `nil`), as in
      `DNSMesh.Answer`. Records are addresses (`"10.0.0.5"`); for SRV maps with `:target`, `:port`, `:priority`, `:weight`
      and `:addresses`; where the list is not DNS maps with `:name` and `:addresses`.

  New keys may be added.

      iex> DNSMesh.Status.to_map(DNSMesh.status(:no_such_instance)).state
      "not_running"
  """
  @spec to_map(t()) :: map()
  def to_map(%__MODULE__{} = status), do: Plain.map(status)

  @doc """
  `to_map/1` as JSON, on one line.

      $ bin/my_app rpc "IO.puts(DNSMesh.Status.to_json(DNSMesh.status()))"
  """
  @spec to_json(t()) :: String.t()
  def to_json(%__MODULE__{} = status), do: status |> to_map() |> JSON.encode()

  @doc false
  @spec to_text(t()) :: String.t()
  defdelegate to_text(status), to: Text, as: :render

  @doc false
  @spec to_line(t(), pos_integer()) :: String.t()
  defdelegate to_line(status, most), to: Text, as: :line

  defimpl String.Chars do
    def to_string(status), do: DNSMesh.Status.to_text(status)
  end

  defimpl Inspect do
    def inspect(status, _opts),
      do: "#DNSMesh.Status<\n" <> DNSMesh.Status.to_text(status) <> "\n>"
  end
end

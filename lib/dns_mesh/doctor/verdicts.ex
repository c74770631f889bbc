defmodule DNSMesh.Doctor.Verdicts do
  @moduledoc false
  # Every verdict there is, in the order of the walk, and what each means: one table for the documentation, for what counts
  # as healthy, and for which of several is told.

  @table [
    {:query_not_set,
     "no process runs, and `DNS_CLUSTER_QUERY` is not set: DNSMesh does not start"},
    {:not_running, "there is a query, and no process: `DNSMesh` is not among the children"},
    {:no_library, "the native library cannot be loaded"},
    {:left, "this instance has been told to leave the cluster (`DNSMesh.leave/1`)"},
    {:name_unfit,
     "this node's name does not fit the machine any more: its address has gone, or is not the one listed; or its epmd is elsewhere"},
    {:search_domain,
     "a search domain was added to the name, and what it gave, or did not give, came in the name's own place"},
    {:server_silent, "no name server answers"},
    {:server_refused, "the name server refuses such questions"},
    {:server_failed,
     "the name server fails, cannot be reached, or says what cannot be understood"},
    {:no_tcp, "the name server's answer is too long for UDP, and TCP does not bring it"},
    {:source_failed, "a source that is not DNS fails (`DNSMesh.Directory`, a module of yours)"},
    {:local_name, "a `.local` name, asked of a name server that has none"},
    {:no_such_name, "the name does not exist"},
    {:no_records, "the name exists, or the source answers, and nobody is listed"},
    {:not_distributed, "this node has no name, so it can join nobody"},
    {:short_names, "this node has a short name, and those listed need long ones"},
    {:long_names, "this node has a long name, and those listed have short ones"},
    {:no_host_name, "this node is named by host, and the addresses listed have no host names"},
    {:wrong_family, "what is listed is of the IP version that this VM does not speak"},
    {:only_myself, "nobody but this node is listed"},
    {:virtual_ip, "one address is listed, and it is a service's, not a node's"},
    {:nat, "the addresses listed are those of hosts that the nodes stand behind, by NAT"},
    {:unresolved, "the host of a peer has no address"},
    {:epmd_refused, "no epmd runs at a peer's address"},
    {:epmd_silent, "epmd's port at a peer's address does not answer"},
    {:not_registered, "a peer's epmd knows other names, or none"},
    {:port_closed, "nobody listens at a peer's distribution port"},
    {:port_silent, "a peer's distribution port does not answer"},
    {:no_node, "what listens at a peer's distribution port is no node"},
    {:node_silent, "a peer takes the connection and says nothing"},
    {:tls, "a peer speaks TLS, and this node does not, or the other way round"},
    {:tls_failed, "a peer and this node do not agree on TLS: a certificate, mostly"},
    {:load_balancer,
     "what answers at an address listed is a node that is listed under its own name too"},
    {:other_name, "a peer answers under another name"},
    {:not_admitted, "a peer has a list of nodes that may connect (`net_kernel:allow/1`)"},
    {:release_cookie,
     "a peer does not take this node's cookie, which is not `RELEASE_COOKIE`, though that is set"},
    {:wrong_cookie, "a peer has another cookie"},
    {:not_allowed, "a peer's address is not in `:allow`"},
    {:bad_name, "no node can have the name that is listed"},
    {:atom_budget, "too many new names lately: an atom is never freed"},
    {:unreachable_for, "a peer is held: a member of the cluster cannot reach it"},
    {:member_unreachable, "a peer is held: this node cannot reach one of its members"},
    {:outsider,
     "a node that no item lists is linked, and not with every member: `global` has links cut for that"},
    {:peer_budget, "more names are listed than `:max_peers`"},
    {:hidden, "a peer is connected, and hidden: `Node.list/0` does not show it"},
    {:leaving, "a peer has said that it stops"},
    {:not_yet, "nothing is wrong with a peer, and it is not connected yet"},
    {:reachable, "every node listed answers (and takes the cookie, where there is one to try)"},
    {:connected, "every peer listed is connected"}
  ]

  @kinds Enum.map(@table, &elem(&1, 0))

  # What ends by itself, or is a matter of taste, is told only where nothing else is wrong: these in turn.
  @mild [:hidden, :leaving, :not_yet]

  @type kind ::
          unquote(
            Enum.reduce(Enum.reverse(@kinds), fn kind, rest ->
              quote(do: unquote(kind) | unquote(rest))
            end)
          )

  @spec kinds() :: [kind()]
  def kinds, do: @kinds

  @doc "Whether it is told only where nothing else is wrong."
  @spec mild?(kind()) :: boolean()
  def mild?(kind), do: kind in @mild

  @spec healthy?(kind()) :: boolean()
  def healthy?(kind), do: kind in [:connected, :reachable]

  @doc "Of several, with how many peers each is about, the one to tell: the one that most suffer from, the first of the walk."
  @spec worst([{kind(), pos_integer()}]) :: kind()
  def worst(counted) do
    {kind, _count} =
      Enum.min_by(counted, fn {kind, count} ->
        {Enum.find_index(@mild, &(&1 == kind)) || -1, -count,
         Enum.find_index(@kinds, &(&1 == kind))}
      end)

    kind
  end

  @doc "A Markdown table."
  @spec docs() :: String.t()
  def docs do
    rows = for {kind, meaning} <- @table, do: "  | `#{inspect(kind)}` | #{meaning} |\n"
    "| verdict | meaning |\n  |---|---|\n" <> Enum.join(rows)
  end
end

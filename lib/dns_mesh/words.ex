defmodule DNSMesh.Words do
  @moduledoc false
  # What an event says to a person: one line, what was expected, what was got, what to do. Pure; `nil` for the many
  # events that are for machines.

  alias DNSMesh.{Distribution, Error, ReleaseNaming, TestRun}

  @spec for_event([atom()], map(), map()) :: {:news | :warning, String.t()} | nil
  def for_event([:peers, :changed], counts, %{joined: joined, left: left} = metadata) do
    parts = [changed("joined", joined), changed("left", left)] |> Enum.reject(&is_nil/1)
    {:news, prefix(metadata) <> Enum.join(parts, "; ") <> " (#{counts.connected} connected)"}
  end

  def for_event([:node, :named], _, metadata) do
    port = if metadata.port, do: ", distribution port #{metadata.port}", else: ""
    {:news, prefix(metadata) <> "this node is #{metadata.node} now (#{because(metadata)}#{port})"}
  end

  def for_event([:round, :skipped], _, %{reason: reason} = metadata),
    do: {:warning, prefix(metadata) <> "a poll was skipped: #{Error.message(reason)}"}

  def for_event([:await, :stop], counts, %{on_timeout: :continue, result: {:error, :timeout}} = m) do
    missing = if m.missing == [], do: "", else: "; missing: #{some(m.missing)}"

    {:warning,
     prefix(m) <>
       "waited #{duration(counts.duration)} for #{awaited(m.wanted)}: #{counts.connected} of #{counts.peers} peers " <>
       "connected#{missing}. DNSMesh.Await goes on without (on_timeout: :continue); DNSMesh.doctor() tells why"}
  end

  def for_event([:await, :stop], _, %{on_timeout: :continue, result: {:error, :not_running}} = m),
    do: {:warning, "DNSMesh.Await: " <> nobody_to_wait_for(m.mesh)}

  def for_event([:problem, :raised], mention, metadata),
    do: {:warning, prefix(metadata) <> problem(metadata) <> lasting(mention)}

  def for_event([:problem, :cleared], mention, metadata) do
    case over(metadata) do
      nil -> nil
      text -> {:news, prefix(metadata) <> text <> " (after #{duration(mention.lasted)})"}
    end
  end

  def for_event(_event, _measurements, _metadata), do: nil

  @doc "What to do about a list of names that is not DNS and has nobody in it; by the item's text."
  @spec fill_the_list(String.t()) :: String.t()
  def fill_the_list("dir:" <> path) do
    "look whether the other nodes run, have the same query, and see the same folder at #{path}: each keeps a file in it"
  end

  def fill_the_list(module),
    do: "look at what #{module}.discover/2 asks, and what of it it returns: it gave an empty list"

  @doc "What is waited for."
  @spec awaited(DNSMesh.Waiting.goal()) :: String.t()
  def awaited(:discovered), do: "the first discovery"
  def awaited(1), do: "1 peer"
  def awaited(count), do: "#{count} peers"

  @doc "Somebody waits for an instance that is not there."
  @spec nobody_to_wait_for(mesh :: atom()) :: String.t()
  def nobody_to_wait_for(mesh) do
    "no process is registered as #{inspect(mesh)}, so there is nothing to wait for. Put DNSMesh.Await behind DNSMesh in " <>
      "the list of children, with the same :name; where DNSMesh is left out of it, leave both out"
  end

  @doc "How to make this node one that can be joined: the lines to write, for the way it was started."
  @spec naming_advice(ReleaseNaming.why() | nil) :: String.t()
  def naming_advice(:no_block) do
    """
    In the folder of its mix.exs, run these two, and start the release that they build, with DNS_CLUSTER_QUERY set in its
    environment:

        mix dns_mesh.gen.env
        MIX_ENV=prod mix release --overwrite

    (the first writes rel/env.sh.eex, which names the node by its own address)\
    """
  end

  def naming_advice(nil) do
    """
    Start it without --sname and --name, and DNSMesh names it by its own address (distribution: :auto); or give it a long
    name that ends in the address the other nodes reach it by:

        elixir --name app@10.0.0.5 --cookie SECRET -S mix run --no-halt\
    """
  end

  # The block of `mix dns_mesh.gen.env` is there.
  def naming_advice(why) do
    {first, rest} = why |> ReleaseNaming.cure() |> String.split_at(1)
    String.upcase(first) <> rest
  end

  @doc "Why a VM that is not to be a node is none, as `Distribution.expected?/0` has it."
  @spec no_node() :: String.t()
  def no_node, do: "#{script()} eval runs code beside the application, and is no node"

  @doc "What an instance does that has been told to leave."
  @spec leaving() :: String.t()
  def leaving do
    "it leaves, for DNSMesh.leave/1 was called: it dials nobody, and for a minute the members do not dial this node; the " <>
      "links stay until the VM stops"
  end

  @doc "Where to run instead what needs the cluster."
  @spec ask_the_node() :: String.t()
  def ask_the_node,
    do:
      "run it in the node instead: #{script()} rpc \"DNSMesh.doctor()\", once #{script()} start, or daemon, has started one"

  defp script, do: "bin/#{System.get_env("RELEASE_NAME", "my_app")}"

  defp problem(%{problem: :lookup_failed, type: :names} = m) do
    "#{m.query} may lack nodes: #{Error.message(m.reason)}. Links stay as they are; DNSMesh goes on asking"
  end

  defp problem(%{problem: :lookup_failed} = m) do
    "looking up #{type(m.type)} of #{m.query} failed: #{Error.message(m.reason)}#{server(m.server)}. " <>
      "Links stay as they are; DNSMesh goes on asking" <> searched(m)
  end

  defp problem(%{problem: :nobody, types: [:names]} = m),
    do: "#{m.query} lists nobody. If somebody should be listed, #{fill_the_list(m.query)}"

  defp problem(%{problem: :nobody} = m) do
    "#{m.query} lists nobody: #{Error.message(m.reason)}#{server(m.server)}. " <>
      "If nodes should be listed there, check the spelling of the query (DNS_CLUSTER_QUERY, or :query)" <>
      other_family(m)
  end

  defp problem(%{problem: :answer_truncated} = m),
    do:
      "the #{type(m.type)} answer for #{m.query} holds more than 4096 records; the rest is left out. Ask for a narrower name"

  defp problem(%{problem: :unreachable} = m) do
    "cannot connect to #{some(m.peers)}. Check that it runs under that very name with the same cookie, and that " <>
      "port 4369 (epmd) and its distribution port are open to this node" <>
      over_tls(m) <>
      by_host(Map.get(m, :listed_as, [])) <> ". DNSMesh.doctor() tells which of these it is"
  end

  defp problem(%{problem: :not_distributed}) do
    cond do
      not Distribution.expected?() ->
        "this VM can join nobody: #{no_node()}; #{ask_the_node()}"

      TestRun.now?() ->
        "this node is not distributed, so it can join nobody. " <> TestRun.advice()

      true ->
        "this node is not distributed, so it can join nobody. " <>
          naming_advice(ReleaseNaming.why())
    end
  end

  defp problem(%{problem: :short_names} = m) do
    "this node, #{m.node}, runs with short names, and those have no dot in their host: #{some(m.peers)} cannot be joined " <>
      "from it. List its peers by hosts without a dot (node1@node1), or name all nodes alike, by address. " <>
      naming_advice(ReleaseNaming.why())
  end

  defp problem(%{problem: :long_names} = m) do
    "this node, #{m.node}, runs with long names, and those have a dot in their host: #{some(m.peers)} cannot be joined " <>
      "from it. Start this node with --sname, as those are, or those with --name"
  end

  defp problem(%{problem: :named_by_host} = m) do
    "this node, #{m.node}, is named by a host name, so it joins peers by theirs, and no host name leads to and from the " <>
      "addresses found (#{some(m.peers)}). Give each address a PTR record of a name that has that address, or ask for " <>
      "SRV records (_epmd._tcp.NAME), or list the nodes as BASENAME@HOST; or name all nodes, this one too, by address. " <>
      naming_advice(ReleaseNaming.why())
  end

  defp problem(%{problem: :several_addresses} = m) do
    "#{m.query} names one node, and #{m.addresses} addresses stand behind its host: which of them the VM dials is chance. " <>
      "Ask for SRV records (_epmd._tcp.NAME), which give each node a host of its own, or list each node's own host"
  end

  defp problem(%{problem: :unresolved} = m) do
    "the host of every node found (#{some(m.peers)}) has no address. Check the spelling, and that the name servers, or " <>
      "/etc/hosts, know it"
  end

  defp problem(%{problem: :epmd_unreachable} = m) do
    "no epmd tells the names at #{some(m.peers)}. Check that a node runs there, and that port 4369 (or ERL_EPMD_PORT) is " <>
      "open to this node"
  end

  # Mostly it has gone, or it is the very node that is held, whose machine has another address now.
  defp problem(%{problem: :held, listed: false} = m) do
    "not joining #{some(m.peers)}: #{m.member}, which no answer lists, is a member, and nothing gets through between " <>
      "#{m.member} and #{them(m.peers)}. Where DNSMesh.doctor() here says that what is listed answers as #{m.member}, they are " <>
      "one node, whose machine has another address now: restart it. Where #{m.member} has gone, its links end by themselves, " <>
      "within net_ticktime; else open the ports of epmd and distribution between them"
  end

  defp problem(%{problem: :held, because: :unreachable_for} = m) do
    "not joining #{some(m.peers)}: #{m.member} cannot reach #{them(m.peers)}, and joining would have links cut all over the " <>
      "cluster. Mend the way between #{m.member} and #{them(m.peers)}, both directions, ports of epmd and distribution"
  end

  defp problem(%{problem: :held, because: :member_unreachable} = m) do
    "not joining #{some(m.peers)}: #{m.member} is linked there, and this node cannot reach it; joining would have links cut " <>
      "all over the cluster. Mend the way between #{m.node} and #{m.member}, both directions, ports of epmd and distribution"
  end

  defp problem(%{problem: :dialled_past} = m) do
    "#{m.peer}, which was held because #{m.member} cannot reach it, was joined all the same by somebody who did not ask, and " <>
      "cut. Look for code that sends to it or connects to it by name, and for nodes with another clustering library; and " <>
      "mend the way between #{m.member} and #{m.peer}"
  end

  defp problem(%{problem: :outsider} = m) do
    "#{m.cuts} links of this node were cut within two minutes, and #{some(m.peers)}, which no item of the query lists, " <>
      "came to #{m.node} as a visible node: where another member cannot reach such a node, global has links cut. Start " <>
      "#{them(m.peers)} hidden (elixir --hidden), or have the query list #{them(m.peers)}, and let every member reach #{them(m.peers)}"
  end

  defp problem(%{problem: :wrong_family} = m) do
    "every address found (#{some(m.peers)}) is of the IP version this node's distribution does not speak. Boot all nodes " <>
      "with ERL_AFLAGS=\"-proto_dist inet6_tcp\" for IPv6, or without it for IPv4, or set :resource_types to match"
  end

  defp problem(%{problem: :not_allowed} = m) do
    "every address found (#{some(m.peers)}) is refused: it is not in :allow. By default that is every unicast address " <>
      "but loopback and link-local ones; set :allow, say allow: [\"10.0.0.0/8\"], if these are right"
  end

  defp problem(%{problem: :peer_budget} = m) do
    "#{m.left_out} names are left out, for #{m.max_peers} are held already. Raise :max_peers if the cluster is that " <>
      "large; else look at what the name server answers"
  end

  defp problem(%{problem: :atom_budget} = m) do
    "#{length(m.peers)} names wait to be dialled: more than 1024 new names an hour would fill the VM's atom table. " <>
      "Look at what the name server answers: #{some(m.peers)}"
  end

  defp problem(%{problem: :public_plain} = m) do
    "#{some(m.peers)} has a public address, and the distribution is not encrypted: whoever can reach or answer in place " <>
      "of it can read and forge all traffic, and a cookie does not prevent that. Use TLS distribution " <>
      "(-proto_dist inet_tls), a private network, or :allow"
  end

  defp problem(%{problem: :no_own_address, reason: {fault, _value}} = m)
       when fault in [:bad_basename_variable, :bad_address_variable],
       do: "this node takes no name: #{Error.message(m.reason)}"

  defp problem(%{problem: :no_own_address} = m),
    do: "this node cannot tell its own address: #{Error.message(m.reason)}"

  defp problem(%{problem: :name_not_taken} = m),
    do: "this node cannot take the name #{m.node}: #{Error.message(m.reason)}"

  defp problem(%{problem: :name_unfit} = m),
    do: "this node's name, #{m.node}, no longer fits this host: #{Error.message(m.reason)}"

  defp problem(%{problem: :name_late}) do
    "this node has no name yet, and start_link/1 goes on without (:name_timeout). What starts after it and keeps node() " <>
      "(Phoenix.Tracker, Oban) keeps nonode@nohost: restart it once the name is there, or set :address"
  end

  # Fly.io and others list IPv6 addresses only, and say "no records" when asked for IPv4.
  defp other_family(%{reason: :no_records, types: [:a]}) do
    "; it was asked for IPv4 (A records) only, which is what this VM's distribution speaks: if it lists IPv6 addresses, " <>
      "boot every node with ERL_AFLAGS=\"-proto_dist inet6_tcp\""
  end

  defp other_family(%{reason: :no_records, types: [:aaaa]}) do
    "; it was asked for IPv6 (AAAA records) only, which is what this VM's distribution speaks: if it lists IPv4 " <>
      "addresses, boot every node without -proto_dist inet6_tcp"
  end

  defp other_family(_either), do: ""

  defp over(%{problem: :no_own_address}), do: nil
  defp over(%{problem: :name_not_taken}), do: nil
  defp over(%{problem: :lookup_failed} = m), do: "#{type(m.type)} of #{m.query} is answered again"
  defp over(%{problem: :nobody} = m), do: "#{m.query} lists somebody now"

  defp over(%{problem: :unreachable}),
    do: "every peer that could not be reached is connected or gone now"

  defp over(%{problem: :name_unfit} = m),
    do: "this node's name, #{m.node}, fits this host again"

  defp over(%{problem: :not_distributed} = m), do: "this node is distributed now, as #{m.node}"
  defp over(_said_by_what_follows), do: nil

  @doc "Why this node has the address it has."
  @spec because(%{:because => atom(), :interface => String.t() | nil, optional(atom()) => term()}) ::
          String.t()
  def because(%{because: :option}), do: "by the option :address"

  def because(%{because: :in_answer, interface: i}),
    do: "its address on #{i} is in the DNS answer"

  def because(%{because: :route_to_peer, interface: i}),
    do: "the way to its peers leads over #{i}"

  def because(%{because: :platform_hint}), do: "the platform says so"
  def because(%{because: :only_address, interface: i}), do: "its only address, on #{i}"
  def because(%{because: :boot_name}), do: "started by somebody else"

  defp prefix(%{mesh: DNSMesh}), do: "DNSMesh: "
  defp prefix(%{mesh: mesh}), do: "DNSMesh (#{inspect(mesh)}): "

  defp changed(_verb, []), do: nil
  defp changed(verb, names), do: "#{verb} #{length(names)}: #{Enum.join(names, ", ")}"

  defp over_tls(%{tls?: true}) do
    ", and that both take each other's certificates: what TLS has against one is in OTP's own lines here, which begin with " <>
      "TLS client or TLS server"
  end

  defp over_tls(_plain), do: ""

  defp by_host([]), do: ""

  defp by_host(items) do
    ". This node is named by its address, and a node that is called #{some(items)} joins only those that are named by their " <>
      "host: if that is what they are called, start this one with --sname or --name and its host's name"
  end

  defp them([_one]), do: "it"
  defp them(_several), do: "them"

  defp some(names) do
    case Enum.split(names, 5) do
      {shown, []} -> Enum.join(shown, ", ")
      {shown, more} -> Enum.join(shown, ", ") <> " and #{length(more)} more"
    end
  end

  # With `ndots:5`, as in Kubernetes, full names too are asked for under each search domain first.
  defp searched(%{name: name, query: query}) when is_binary(name) do
    host = query |> String.split("@") |> List.last() |> String.trim_trailing(".")

    if String.starts_with?(String.downcase(name), String.downcase(host) <> "."),
      do:
        ". It was asked for as #{name}, under a search domain: if #{host} is the full name, write #{query}. with a dot at its end",
      else: ""
  end

  defp searched(_as_written), do: ""

  defp type(:names), do: "the names"
  defp type(type), do: type |> Atom.to_string() |> String.upcase()

  defp server(nil), do: ""

  # What the resolver asks by default, as glibc does; whoever has a name server there knows.
  defp server("127.0.0.1:53"),
    do:
      ", says 127.0.0.1:53 (which is also asked where /etc/resolv.conf names no server or cannot be read)"

  defp server(server), do: ", says #{server}"

  defp lasting(%{lasted: lasted}) when lasted < 1_000, do: ""

  defp lasting(%{lasted: lasted, times: times}),
    do: " (for #{duration(lasted)} now, seen #{times} times)"

  @doc "Milliseconds as a person says them."
  @spec duration(non_neg_integer()) :: String.t()
  def duration(ms) when ms < 1_000, do: "#{ms} ms"
  def duration(ms) when ms < 120_000, do: "#{div(ms, 1_000)} s"
  def duration(ms) when ms < 7_200_000, do: "#{div(ms, 60_000)} min"
  def duration(ms), do: "#{div(ms, 3_600_000)} h"
end

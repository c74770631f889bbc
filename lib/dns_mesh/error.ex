defmodule DNSMesh.Error do
  @moduledoc """
  Why something did not work: a closed list of reasons, and one sentence for each.

  Reasons of a lookup, as in `{:error, reason}` of `DNSMesh.lookup/2`, in `DNSMesh.Status` and in events:

  | reason | meaning |
  |---|---|
  | `:nxdomain` | the name server says there is no such name (RFC 1035 §4.1.1, RCODE 3) |
  | `:no_records` | the name exists, but has no records of this type (RFC 2308 §2.2) |
  | `:timeout` | no name server answered in time |
  | `:servfail`, `:refused`, `:formerr`, `:notimp` | the name server failed, refused, or did not understand (RFC 1035 §4.1.1, RCODE 2, 5, 1, 4) |
  | `{:rcode, code}` | any other response code of a name server |
  | `:bad_reply` | a reply that cannot be decoded, or does not fit the question |
  | `:truncated` | a reply that is cut short over TCP too |
  | `{:no_tcp, why}` | a reply that is cut short over UDP, being too long for it, and TCP is `:refused`, `:silent`, `:closed` (before the answer is there) or `{:unreachable, text}` |
  | `{:network, text}` | the name server cannot be reached; the operating system's words |
  | `{:bad_name, why}` | not a name one can ask for; nothing was sent |
  | `{:runtime, text}` | the operating system gave no thread to ask by; its words. Tried again with each lookup |
  | `:panicked`, `:dropped`, `:lost_reply` | a fault of DNSMesh itself: please report it |
  | `{:not_loaded, text}` | the native library could not be loaded |
  | `{:raised, text}`, `{:bad_return, text}` | the `:resolver` or source module raised, or returned something else than addresses or names |
  | `:no_names` | a list that is not DNS (`DNSMesh.Source`) has nobody in it |
  | `{:source, text}` | a source (`DNSMesh.Source`) says why it has no names; its own words |
  | `{:junk_names, count}` | a source lists so many things that cannot be the name of a node |
  | `{:folder, why, path}` | the shared folder of `DNSMesh.Directory` cannot be used, or only be read |
  | `{:folder_stuck, path}` | the shared folder does not answer |

  Reasons of a peer, in `DNSMesh.Status`:

  | reason | state | meaning |
  |---|---|---|
  | `{:connect_failed, ms}` | waiting | `Node.connect/1` gave `false` after so many milliseconds |
  | `:connect_timeout` | joining | dialled for longer than `:connect_timeout`, and still being dialled |
  | `{:silent, what}` | waiting | probed before it is dialled: its host is silent at epmd's port (`:epmd`), at the distribution port (`:port`), or its host name cannot be looked up (`:name`); `:not_tried` and `:lost`: not probed in time |
  | `{:dead, what}` | waiting | probed before it is dialled: no epmd (`:refused_epmd`), no such name registered there (`:not_registered`), or nobody at the port (`:refused`) |
  | `{:unreachable_for, node}` | held | that member cannot reach it, so joining it would have links cut |
  | `{:member_unreachable, node}` | held | it is linked to that node, which this one cannot reach |
  | `{:gives_way, node}` | held | for two intervals at most: nobody is linked yet, that node, which this one cannot reach, can reach it too, and the lower name goes first |
  | `:leaving` | held | it has said that it stops |
  | `:not_distributed` | waiting | this node is not distributed |
  | `:atom_budget` | waiting | too many new names lately: one atom for each is never freed |
  | `:short_names` | refused | this node runs with short names, and the peer's host has a dot |
  | `:long_names` | refused | this node runs with long names, and the peer's host has no dot |
  | `{:no_host_name, reason}` | refused, or held while it may be otherwise | this node is named by a host name, and the PTR record of the peer's address gives none (`:nxdomain`, `:no_records`), none that leads back to it alone (`:unconfirmed`), or could not be looked up |
  | `:unresolved` | held | the peer's host has no address |
  | `{:epmd, why}` | held | the epmd at that address, asked for names, is `:silent`, `:refused` (no epmd), `:garbled`, or `{:unreachable, text}` |
  | `:bad_node_name` | refused | no node can have that name |
  | `:wrong_family` | refused | an IPv6 address on an IPv4 distribution, or the other way round |
  | `:bad_name` | refused | the name cannot be a node's |
  | `:not_allowed` | refused | the address is not in `:allow` |
  | `:self` | refused | this node itself |

  Reasons why this node has no name yet, in the problems `:no_own_address` and `:name_not_taken`:

  | reason | meaning |
  |---|---|
  | `{:bad_basename_variable, text}`, `{:bad_address_variable, text}` | `DNS_MESH_BASENAME` holds no basename, `DNS_MESH_ADDRESS` no address, as it should: no name is taken |
  | `:no_basename` | nothing tells the part before the `@` |
  | `{:bad_basename, text}` | that part is not letters, digits, `_` and `-` |
  | `{:not_local, ip}`, `{:wrong_family, ip}` | the address given is on no interface of this machine; it is not of the IP version this node's distribution speaks |
  | `{:no_interface, name}`, `{:no_subnet, text}`, `{:no_address_in, variable}` | no interface of that name, no own address in that network, no address in that environment variable |
  | `:unanswered` | this machine has one address, and no name server has answered yet: it may not be the one that the peers know |
  | `{:undecided, candidates}` | several addresses, and nothing tells which one the peers reach |
  | `:no_address`, `{:interfaces, text}` | no interface that is up has an address of the right IP version; the operating system does not tell |
  | `{:wrong_proto, family}` | an `:inet6` address on a VM booted for IPv4, or the other way round |
  | `:no_cookie`, `{:bad_cookie, why}` | no cookie, or one that is empty, longer than 255 characters or not UTF-8 |
  | `:epmd_absent`, `:epmd_silent`, `:epmd_port_taken`, `:epmd_missing`, `{:epmd_failed, text}` | epmd is not running under `-start_epmd false`, does not answer, another program holds its port, it is not installed, it does not start |
  | `{:epmd_elsewhere, ip}` | the epmd of this machine does not listen at this node's address |
  | `:duplicate_name` | another node of this basename is registered at this machine's epmd |
  | `{:port_taken, text}`, `{:start_failed, text}` | the distribution port is taken; distribution does not start |

  Reasons why its name no longer fits the host, in the problem `:name_unfit`: `{:epmd_elsewhere, ip}`, and

  | reason | meaning |
  |---|---|
  | `{:address_gone, ip}` | the address in this node's name is on no interface any more |
  | `{:listed_as, ip}` | the answers list another address of this machine, and not the one in this node's name |

  A name that no room is left for (`:max_peers`) is not kept as a peer: `:peer_budget` is the problem told in its place.
  """

  alias DNSMesh.Epmd

  @type name_fault ::
          :empty
          | :too_long
          | :label_too_long
          | :empty_label
          | :blank
          | :control
          | :not_ascii
          | :bad_character
          | :not_a_string
  @type tcp_fault :: :refused | :silent | :closed | {:unreachable, String.t()}
  @typedoc "What is wrong with a shared folder; other faults are the operating system's (`:file.posix/0`)."
  @type folder_fault ::
          :missing
          | :not_a_folder
          | :read_only
          | :no_permission
          | :full
          | :stale
          | :replaced
          | :file.posix()
  @type reason ::
          :nxdomain
          | :no_records
          | :timeout
          | :servfail
          | :refused
          | :formerr
          | :notimp
          | {:rcode, 0..65_535}
          | :bad_reply
          | :truncated
          | {:no_tcp, tcp_fault()}
          | {:network, String.t()}
          | {:bad_name, name_fault()}
          | :panicked
          | :dropped
          | {:runtime, String.t()}
          | {:not_loaded, String.t()}
          | :lost_reply
          | {:raised, String.t()}
          | {:bad_return, String.t()}
          | :no_names
          | {:source, String.t()}
          | {:junk_names, pos_integer()}
          | {:folder, folder_fault(), path :: String.t()}
          | {:folder_stuck, path :: String.t()}
          | {:connect_failed, non_neg_integer()}
          | :connect_timeout
          | :not_distributed
          | :atom_budget
          | :peer_budget
          | {:silent, :epmd | :port | :name | :not_tried | :lost}
          | {:dead, :refused_epmd | :not_registered | :refused}
          | {:unreachable_for, String.t()}
          | {:member_unreachable, String.t()}
          | {:gives_way, String.t()}
          | :leaving
          | :short_names
          | :long_names
          | {:no_host_name, :unconfirmed | reason()}
          | :unresolved
          | {:epmd, :silent | :refused | :garbled | {:unreachable, String.t()}}
          | :bad_node_name
          | :wrong_family
          | :bad_name
          | :not_allowed
          | :self
          | {:bad_basename_variable, String.t()}
          | {:bad_address_variable, String.t()}
          | :no_basename
          | {:bad_basename, String.t()}
          | {:not_local, String.t()}
          | {:wrong_family, String.t()}
          | {:no_interface, String.t()}
          | {:no_subnet, String.t()}
          | {:no_address_in, String.t()}
          | :unanswered
          | :no_address
          | {:undecided, [map()]}
          | {:interfaces, String.t()}
          | {:wrong_proto, :inet | :inet6}
          | :no_cookie
          | {:bad_cookie, :empty | :too_long | :no_text}
          | :epmd_absent
          | :epmd_silent
          | :epmd_port_taken
          | :epmd_missing
          | {:epmd_failed, String.t()}
          | {:epmd_elsewhere, String.t()}
          | {:address_gone, String.t()}
          | {:listed_as, String.t()}
          | :duplicate_name
          | {:port_taken, String.t()}
          | {:start_failed, String.t()}

  @doc """
  The sentence for a reason, without a full stop, to stand behind a colon.

      iex> DNSMesh.Error.message(:nxdomain)
      "no such name (NXDOMAIN)"
      iex> DNSMesh.Error.message({:bad_name, :blank})
      "the name holds a blank"

  A reason that is not in the list (a `:resolver` module's own) is inspected.
  """
  @spec message(reason() | term()) :: String.t()
  def message(:nxdomain), do: "no such name (NXDOMAIN)"
  def message(:no_records), do: "the name has no records of this type"
  def message(:timeout), do: "no answer in time"
  def message(:servfail), do: "the name server failed (SERVFAIL)"
  def message(:refused), do: "the name server refused (REFUSED)"
  def message(:formerr), do: "the name server did not understand the question (FORMERR)"
  def message(:notimp), do: "the name server does not do such questions (NOTIMP)"
  def message({:rcode, code}), do: "the name server answered with response code #{code}"
  def message(:bad_reply), do: "the name server's reply cannot be decoded"
  def message(:truncated), do: "the name server's reply is cut short, over TCP too"

  def message({:no_tcp, why}),
    do: "the answer is too long for UDP, and the name server #{tcp_fault(why)}"

  def message({:network, text}), do: "the name server cannot be reached (#{text})"
  def message({:bad_name, why}), do: name_fault(why)
  def message(:panicked), do: "the resolver panicked; this is a bug in DNSMesh, please report it"

  def message(:dropped),
    do: "the resolver dropped the lookup; this is a bug in DNSMesh, please report it"

  def message({:runtime, text}),
    do:
      "the resolver's thread could not be started (#{text}): raise the limit of threads (ulimit -u, or the container's limit " <>
        "of pids); it is tried again"

  def message({:not_loaded, text}), do: text

  def message(:lost_reply),
    do: "the resolver never replied; this is a bug in DNSMesh, please report it"

  def message({:raised, text}), do: "its module raised: #{text}"

  def message({:bad_return, text}),
    do:
      "its module returned #{text} instead of a list of addresses (a :resolver module) or {:ok, [\"app@10.0.0.5\"]} (a source)"

  def message(:no_names), do: "nobody is in the list"
  def message({:source, text}), do: text

  def message({:junk_names, count}),
    do:
      "#{count} of the names listed cannot be a node's: write each as name@host, in letters, digits and . - _, or take it away"

  def message({:folder, why, path}), do: "the folder #{path} " <> folder_fault(why)

  def message({:folder_stuck, path}),
    do:
      "the folder #{path} does not answer: look at its mount (a network file system without its server hangs so), or raise :timeout if it is only slow"

  def message({:connect_failed, ms}), do: "could not connect (gave up after #{ms} ms)"
  def message(:connect_timeout), do: "still trying to connect"
  def message(:not_distributed), do: "this node is not distributed"
  def message(:atom_budget), do: "too many new names lately, waiting for room"
  def message(:peer_budget), do: "more names than :max_peers"
  def message({:silent, :epmd}), do: "its epmd does not answer"
  def message({:silent, :port}), do: "its distribution port does not answer"
  def message({:silent, :name}), do: "its host name cannot be looked up"
  def message({:silent, _not_tried}), do: "not probed in time"
  def message({:dead, :refused_epmd}), do: "no epmd runs there"
  def message({:dead, :not_registered}), do: "no node of that name is registered there"
  def message({:dead, :refused}), do: "nobody listens at its distribution port"
  def message({:unreachable_for, node}), do: "#{node} cannot reach it"

  def message({:member_unreachable, node}),
    do: "it is linked to #{node}, which this node cannot reach"

  def message({:gives_way, node}),
    do: "#{node}, which it reaches and this node does not, goes first"

  def message(:leaving), do: "it has said that it stops"
  def message(:short_names), do: "this node runs with short names, whose hosts have no dot"
  def message(:long_names), do: "this node runs with long names, whose hosts have a dot"

  def message({:no_host_name, :unconfirmed}),
    do:
      "this node is named by a host name, and that address's own (PTR) does not lead back to it alone"

  def message({:no_host_name, reason}),
    do: "this node is named by a host name, and that address has none (PTR: #{message(reason)})"

  def message(:unresolved), do: "its host has no address"
  def message({:epmd, :silent}), do: "its epmd does not answer"
  def message({:epmd, :refused}), do: "no epmd runs there"
  def message({:epmd, :garbled}), do: "what listens at epmd's port there is no epmd"
  def message({:epmd, {:unreachable, text}}), do: "its epmd cannot be reached (#{text})"
  def message(:bad_node_name), do: "no node can have this name"
  def message(:wrong_family), do: "this node's distribution speaks the other IP version"
  def message(:bad_name), do: "not the name of a node, which is name@host"
  def message(:not_allowed), do: "the address is not in :allow"
  def message(:self), do: "this node itself"

  def message({:bad_basename_variable, value}),
    do:
      "DNS_MESH_BASENAME is #{inspect(value)}, which cannot stand before the @ of a node name: set it to letters, digits, _ and - " <>
        "(200 at most), or unset it, and restart"

  def message({:bad_address_variable, value}),
    do:
      "DNS_MESH_ADDRESS is #{inspect(value)}: set it to an IP address, interface:NAME, subnet:ADDRESS/LENGTH or env:VARIABLE, or " <>
        "unset it, and restart"

  def message(:no_basename),
    do: "nothing tells the part of its name before the @: set :basename"

  def message({:bad_basename, text}),
    do:
      "#{inspect(text)} cannot stand before the @ of a node name: set :basename to letters, digits, _ and -"

  def message({:not_local, ip}),
    do: "the address #{ip} is on no interface of this machine: correct :address"

  def message({:wrong_family, ip}),
    do:
      "the address #{ip} is not of the IP version this node's distribution speaks: correct :address, or -proto_dist"

  def message({:no_interface, name}),
    do: "no interface called #{name} has a usable address: correct :address"

  def message({:no_subnet, text}),
    do: "no address of this machine lies in #{text}: correct :address"

  def message({:no_address_in, variable}),
    do: "the environment variable #{variable} holds no IP address: set it, or correct :address"

  def message(:unanswered),
    do:
      "no name server has answered yet, and this machine's only address need not be the one that the peers know: it is " <>
        "taken if none answers within :name_timeout"

  def message({:undecided, candidates}) do
    "several addresses, and nothing tells which one the peers reach: " <>
      Enum.map_join(candidates, ", ", fn c -> "#{:inet.ntoa(c.ip)} (#{c.interface})" end) <>
      "; set :address, say address: {:interface, \"eth0\"}"
  end

  def message(:no_address),
    do:
      "no interface that is up has an address of the IP version this node's distribution speaks: bring one up, and it is taken"

  def message({:interfaces, text}),
    do: "the operating system does not tell the interfaces (#{text})"

  def message({:wrong_proto, :inet6}),
    do:
      "its address is an IPv6 one, but the VM was booted for IPv4: boot it with ERL_AFLAGS=\"-proto_dist inet6_tcp\""

  def message({:wrong_proto, :inet}),
    do:
      "its address is an IPv4 one, but the VM was booted for IPv6: boot it without -proto_dist inet6_tcp"

  def message(:no_cookie),
    do:
      "there is no cookie: set RELEASE_COOKIE, the option :cookie, or boot with --cookie, the same on all nodes"

  def message({:bad_cookie, :empty}), do: "the cookie is empty: set RELEASE_COOKIE or :cookie"

  def message({:bad_cookie, :too_long}),
    do: "the cookie is longer than 255 characters: shorten it"

  def message({:bad_cookie, :no_text}),
    do: "the cookie is not UTF-8 text: set RELEASE_COOKIE or :cookie to one of letters and digits"

  def message(:epmd_absent),
    do:
      "no epmd runs here, and -start_epmd false forbids to start one: start it, or boot with -erl_epmd_port 9100 too"

  def message(:epmd_silent),
    do:
      "the epmd of this machine accepts connections and does not answer: end it, or boot with -start_epmd false -erl_epmd_port 9100"

  def message(:epmd_port_taken),
    do:
      "another program than epmd listens at epmd's port: end it, or set ERL_EPMD_PORT to another one on all nodes"

  def message(:epmd_missing),
    do:
      "epmd is not installed: install it (Debian: erlang-base), or boot with -start_epmd false -erl_epmd_port 9100"

  def message({:epmd_failed, text}), do: "epmd does not start: #{text}"

  def message({:epmd_elsewhere, ip}) do
    "the epmd of this machine does not answer at #{ip}, where peers ask it for this node: it was started with -address, with " <>
      "ERL_EPMD_ADDRESS, or by a service that has it listen elsewhere. End it: stop the nodes that it serves (epmd -port " <>
      "#{Epmd.port()} -names lists them), then run epmd -port #{Epmd.port()} -kill, or stop that service (systemctl stop " <>
      "epmd.socket epmd.service); and start them again without that setting"
  end

  def message({:address_gone, ip}),
    do:
      "#{ip} is on no interface of this machine any more, so that nobody can dial this node: restart it, and it takes the " <>
        "address that the machine has then; or give the machine that address back"

  def message({:listed_as, ip}),
    do:
      "the answers list #{ip}, another address of this machine, and not the one in its name, so that nobody looks for it there: " <>
        "restart this node, and it takes #{ip} (where it is named by hand, by --name, RELEASE_NODE, :address or " <>
        "DNS_MESH_ADDRESS, write #{ip} there first); or correct what is listed"

  def message(:duplicate_name),
    do:
      "another node of this basename runs on this machine: end it, or set another basename (DNS_MESH_BASENAME, or :basename)"

  def message({:port_taken, _text}),
    do:
      "its distribution port is taken: end the program that holds it, or set another inet_dist_listen_min or -erl_epmd_port"

  def message({:start_failed, text}), do: "distribution does not start: #{text}"
  def message(other), do: inspect(other)

  defp tcp_fault(:closed),
    do: "hangs up over TCP: look at what takes its TCP port 53, and let it answer there"

  defp tcp_fault(why) do
    shut =
      case why do
        :refused -> "refuses connections over TCP"
        :silent -> "does not answer over TCP"
        {:unreachable, text} -> "cannot be reached over TCP (#{text})"
      end

    shut <> ": open its TCP port 53 to this host, beside UDP"
  end

  defp name_fault(:empty), do: "the name is empty"
  defp name_fault(:too_long), do: "the name is longer than 253 characters"

  defp name_fault(:label_too_long),
    do: "a part of the name between dots is longer than 63 characters"

  defp name_fault(:empty_label),
    do: "the name has an empty part, two dots in a row or a dot at its start"

  defp name_fault(:blank), do: "the name holds a blank"
  defp name_fault(:control), do: "the name holds a control character"

  defp name_fault(:not_ascii),
    do: "the name holds a character outside ASCII; write it in its xn-- form"

  defp name_fault(:not_a_string), do: "the name is not a string"

  defp name_fault(:bad_character),
    do: "the name holds a character other than letters, digits, hyphen, underscore and dot"

  defp folder_fault(:missing),
    do: "is not there, nor is the one above it: mount the volume, or create the folder"

  defp folder_fault(:not_a_folder), do: "is a file: correct :path, or move the file away"

  defp folder_fault(:read_only),
    do:
      "is read-only, so the others cannot see this node: mount it read-write, or mend its file system"

  defp folder_fault(:no_permission),
    do:
      "may not be read and written by this user: give it the permissions (chmod, chown, or the volume's fsGroup)"

  defp folder_fault(:full),
    do: "has no room for one more file: free some (see df -i, and quotas)"

  defp folder_fault(:stale),
    do: "is not on its server any more (stale file handle): mount it anew"

  defp folder_fault(:replaced),
    do:
      "is another one than before, with nobody in it: mount the volume again if it has been unmounted"

  defp folder_fault(posix),
    do: "cannot be used (#{:file.format_error(posix)}): look at its mount"
end

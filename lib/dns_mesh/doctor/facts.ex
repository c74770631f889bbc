defmodule DNSMesh.Doctor.Facts do
  @moduledoc false
  # What the doctor has found out, before anything is judged: plain data, so that each verdict can be tested without the
  # world it is about.

  alias DNSMesh.{Distribution, Error, Query, Resolver}

  @typedoc """
  What was examined: an instance that runs; one that should and does not; a VM without a query; or a query by itself,
  from a VM that is no member (`mix dns_mesh.doctor`).
  """
  @type mode :: :running | :not_running | :unset | :apart

  @type lookup :: %{
          query: Query.t(),
          type: Query.type(),
          result: Resolver.result(),
          # Milliseconds it took; nil where an earlier answer is told.
          ms: non_neg_integer() | nil,
          # How many addresses the name has of the IP version that was not asked for, where it has none of the other.
          elsewhere: non_neg_integer(),
          # What the name gives without any search domain; nil where that was not asked, or not answered.
          as_written: Resolver.result() | nil
        }

  @type peer :: %{
          name: String.t(),
          ips: [:inet.ip_address()],
          # The query item that lists it.
          query: Query.t() | nil,
          policy: DNSMesh.Policy.verdict(),
          # How the VM is linked to it.
          link: nil | :visible | :hidden,
          # What the running instance has it down as.
          state: DNSMesh.Peer.state() | nil,
          reason: Error.reason() | nil,
          next_attempt: non_neg_integer() | nil,
          # What its epmd has registered.
          epmd: nil | {:ok, [String.t()]} | {:error, DNSMesh.Answer.epmd_fault()},
          door: nil | {:ok, :inet.port_number()} | {:dead | :silent, atom()},
          greeting: nil | DNSMesh.Doctor.TLS.greeting(),
          # Why this node has another cookie for it than RELEASE_COOKIE, where it does not take that.
          unheeded: nil | DNSMesh.Cookie.unheeded()
        }

  @typedoc "Which members are linked to it, and which are not, as far as they could be asked."
  @type outsider :: %{name: String.t(), linked: [String.t()], apart: [String.t()]}

  @enforce_keys [:mode, :mesh]
  defstruct [
    :mode,
    :mesh,
    # This VM's, or while it is not distributed, the one it would have.
    :distribution,
    # This node's name: nil while it has none.
    :node,
    # Its own address, and why it is that one.
    :own,
    # Why it has no name yet: a reason, :manual, :eval (bin/app eval is no node), or nil.
    :obstacle,
    # Why its name fits the machine no longer, as the running instance has found.
    :unfit,
    # The library's words where it cannot be loaded.
    :library,
    # Where the cookie comes from, or why there is none.
    :cookie,
    # Whether the instance has been told to leave.
    leaving?: false,
    # Whether the VM is distributed.
    alive?: false,
    # Whether Mix runs it for tests.
    test_run?: false,
    # Whether it was booted with -hidden.
    hidden?: false,
    networks: [],
    servers: [],
    # The files that name them, and the search domains.
    conf: %{servers: "/etc/resolv.conf", search: "/etc/resolv.conf"},
    allow: :default,
    max_peers: 1_024,
    left_out: 0,
    lookups: [],
    # Why the release has not been named by its own address; nil where it is none.
    release: nil,
    # Whom the VM is linked to, listed or not; the visible ones.
    members: [],
    # Nodes that are linked, visible, that no item lists, and that some member is not linked to.
    outsiders: [],
    # How many links of this node were cut lately.
    cuts: 0,
    # The names listed that are this node's own.
    selves: [],
    peers: [],
    took: 0
  ]

  @type t :: %__MODULE__{
          mode: mode(),
          test_run?: boolean(),
          mesh: atom(),
          distribution: Distribution.t() | nil,
          node: String.t() | nil,
          own: {:ok, DNSMesh.Naming.address()} | {:error, Error.reason()} | nil,
          obstacle: Error.reason() | :manual | :eval | nil,
          unfit: DNSMesh.Fit.fault() | nil,
          library: String.t() | nil,
          cookie: {:ok, source :: term()} | {:error, Error.reason()} | nil,
          leaving?: boolean(),
          alive?: boolean(),
          hidden?: boolean(),
          networks: [DNSMesh.IP.cidr()],
          servers: [String.t()],
          conf: %{servers: String.t(), search: String.t()},
          allow: [DNSMesh.IP.cidr()] | :default,
          max_peers: pos_integer(),
          left_out: non_neg_integer(),
          lookups: [lookup()],
          release: DNSMesh.ReleaseNaming.why() | nil,
          members: [String.t()],
          outsiders: [outsider()],
          cuts: non_neg_integer(),
          selves: [peer()],
          peers: [peer()],
          took: non_neg_integer()
        }
end

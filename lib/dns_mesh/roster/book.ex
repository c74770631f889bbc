defmodule DNSMesh.Roster.Book do
  @moduledoc false
  # What the roster has written down, and the ways of writing it that several of its rules share.

  alias DNSMesh.{NodeName, Peer, Problems}

  alias DNSMesh.Roster.{Asking, Damping, Outsiders}

  @enforce_keys [
    :interval,
    :connect_timeout,
    :max_peers,
    :allow,
    :basename,
    :gated?,
    :ask_first,
    :chance
  ]
  defstruct [
    :interval,
    :connect_timeout,
    :max_peers,
    :allow,
    :basename,
    :gated?,
    :ask_first,
    :chance,
    # The world of the last round: nil before the first.
    world: nil,
    peers: %{},
    # What each lookup's last conclusive answer listed of the peers held: %{key => %{name => candidate}}.
    answers: %{},
    # Everything the VM is linked to, our peers or not.
    connected: MapSet.new(),
    # Those of them that are linked hidden.
    hidden: MapSet.new(),
    asking: %Asking{},
    outsiders: %Outsiders{},
    # This node is about to stop: nobody is dialled any more.
    leaving?: false,
    # %{name => started at}: one entry per running join process.
    joining: %{},
    # Since the last round: for one log line about all of them.
    came: [],
    went: [],
    problems: %Problems{}
  ]

  @type t :: %__MODULE__{
          interval: pos_integer(),
          connect_timeout: pos_integer(),
          max_peers: pos_integer(),
          allow: [DNSMesh.IP.cidr()] | :default,
          basename: String.t() | nil,
          gated?: boolean(),
          ask_first: boolean(),
          chance: :rand.state(),
          world: world() | nil,
          peers: %{NodeName.t() => Peer.t()},
          answers: %{key() => %{NodeName.t() => DNSMesh.Candidates.candidate()}},
          connected: MapSet.t(),
          hidden: MapSet.t(),
          asking: Asking.t(),
          outsiders: Outsiders.t(),
          leaving?: boolean(),
          joining: %{NodeName.t() => integer()},
          came: [NodeName.t()],
          went: [NodeName.t()],
          problems: Problems.t()
        }
  @type key :: term()
  @type world :: %{
          required(:distribution) => DNSMesh.Distribution.t(),
          required(:own_addresses) => [:inet.ip_address()],
          required(:connected) => [NodeName.t()],
          optional(:basename) => String.t(),
          optional(:naming?) => boolean(),
          optional(:hidden) => [NodeName.t()],
          # Whether OTP's global cuts links in this mesh.
          optional(:guarded?) => boolean()
        }
  @type effect ::
          {:join, NodeName.t()}
          | {:probe, [target()]}
          | {:ask, NodeName.t(), members :: [NodeName.t()]}
          | {:look, NodeName.t(), silent :: [NodeName.t()]}
          | {:event, [atom()], map(), map()}
  @typedoc "A name, and the addresses behind it as far as they are known."
  @type target :: {NodeName.t(), [DNSMesh.IP.t()]}
  @typedoc "The roster, and the effects so far, the last first."
  @type acc :: {t(), [effect()]}

  @spec new(map(), integer()) :: t()
  def new(config, seed) do
    %__MODULE__{
      interval: config.interval,
      connect_timeout: config.connect_timeout,
      max_peers: config.max_peers,
      allow: config.allow,
      basename: config.basename,
      # A :resolver module stands for the whole outside: neither distribution nor addresses are judged then.
      gated?: config.resolver == nil,
      ask_first: config.ask_first,
      chance: :rand.seed_s(:exsss, seed)
    }
  end

  @doc "The basename of peers whose query gives none: the option's, else this node's own."
  @spec basename(t()) :: String.t() | nil
  def basename(%__MODULE__{basename: nil, world: %{basename: basename}}), do: basename
  def basename(%__MODULE__{basename: nil, world: world}), do: world.distribution.basename
  def basename(%__MODULE__{basename: basename}), do: basename

  @spec put(t(), Peer.t()) :: t()
  def put(roster, peer), do: %{roster | peers: Map.put(roster.peers, peer.name, peer)}

  @doc "The addresses behind a name, as the last answers have them."
  @spec addresses(t(), NodeName.t()) :: [DNSMesh.IP.t()]
  def addresses(roster, name) do
    Enum.find_value(roster.answers, [], fn
      {_key, %{^name => {[_ | _] = ips, _verdict}}} -> ips
      _unknown_there -> nil
    end)
  end

  @spec link(t(), NodeName.t(), integer()) :: t()
  def link(roster, name, now) do
    roster = %{roster | connected: MapSet.put(roster.connected, name)}

    case roster.peers do
      %{^name => peer} -> put(roster, Peer.connected(peer, now))
      _stranger -> roster
    end
  end

  @doc "A link has gone; `reason` is the VM's, nil where it gave none."
  @spec unlink(t(), NodeName.t(), reason :: term(), integer()) :: t()
  def unlink(roster, name, reason, now) do
    roster = %{
      roster
      | connected: MapSet.delete(roster.connected, name),
        hidden: MapSet.delete(roster.hidden, name)
    }

    case roster.peers do
      # A join under way outlives the link it did not make.
      %{^name => peer} when is_map_key(roster.joining, name) ->
        put(roster, Peer.enter(peer, :joining, nil, now))

      %{^name => peer} ->
        {chance, state} = :rand.uniform_s(roster.chance)
        peer = peer |> Damping.lost(reason, chance, now) |> Peer.lost(now) |> leaving(now)
        put(%{roster | chance: state}, peer)

      _stranger ->
        roster
    end
  end

  # It said so before it went.
  defp leaving(%Peer{leaving_until: until, verdict: nil} = peer, now)
       when until != nil and until > now,
       do: %{Peer.enter(peer, :held, :leaving, now) | next_at: until}

  defp leaving(peer, _now), do: peer

  @spec tell(acc(), [atom()], map(), map()) :: acc()
  def tell({roster, effects}, event, measurements, metadata),
    do: {roster, [{:event, event, measurements, metadata} | effects]}

  @doc "Notes whether a problem is there, and tells it when it is time to; see `DNSMesh.Problems`."
  @spec problem(acc(), boolean(), Problems.key(), face :: term(), map(), integer()) :: acc()
  def problem({roster, effects}, there?, key, face, details, now) do
    {problems, told} =
      Problems.check(roster.problems, there?, key, face, details, now, roster.interval)

    {%{roster | problems: problems}, told ++ effects}
  end
end

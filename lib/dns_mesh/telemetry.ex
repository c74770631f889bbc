defmodule DNSMesh.Telemetry do
  @moduledoc """
  Every event DNSMesh tells, and the log lines made of some of them.

  Events go to `:telemetry` when the host application has it; DNSMesh itself does not depend on it. Every event's
  metadata holds `:mesh`, the instance's `:name`. Durations are milliseconds. Node names are strings.

  | event | when | measurements | metadata |
  |---|---|---|---|
  | `[:dns_mesh, :lookup, :stop]` | a lookup (one query item, one record type) has ended | `:duration`, `:records` | `:query`, `:type`, `:result` (`:ok` or `{:error, reason}`), `:server`; with `:ok` also `:name`, `:ttl` |
  | `[:dns_mesh, :round, :stop]` | every lookup of a poll has ended | `:duration`, `:peers` (names held, this node not counted), `:connected` (of these) | |
  | `[:dns_mesh, :round, :skipped]` | a `:resolver` module could not tell its node list | | `:reason` |
  | `[:dns_mesh, :ask, :stop]` | members were asked whether they can reach a peer | `:members` (how many) | `:peer`, `:answers` (a map of each member's: `:ok`, `:dead`, `:silent`, `:no_answer`, `:no_mesh`) |
  | `[:dns_mesh, :await, :stop]` | somebody has waited (`DNSMesh.Await`, `DNSMesh.await/2`) | `:duration`, `:peers`, `:connected` (as above) | `:wanted` (a number, or `:discovered`), `:result` (`:ok`, `{:error, :timeout}`; `{:error, :not_running}` from `DNSMesh.Await`), `:missing` (names that are neither connected nor refused), `:on_timeout` (`nil` for `DNSMesh.await/2`) |
  | `[:dns_mesh, :join, :stop]` | an attempt to join a peer has ended | `:duration` | `:peer`, `:result` (`true`, `false`, `:ignored`, or `{:down, reason}` when it crashed) |
  | `[:dns_mesh, :node, :named]` | this node has taken its name | `:lasted` (since the start of the instance) | `:node`, `:port`, `:because` (`:option`, `:in_answer`, `:route_to_peer`, `:platform_hint`, `:only_address`; `:boot_name` when somebody else started distribution), `:interface` |
  | `[:dns_mesh, :peers, :changed]` | at a poll, when nodes came or went since the last one | `:joined`, `:left`, `:connected` (links in all) | `:joined`, `:left` (names) |
  | `[:dns_mesh, :peers, :forgotten]` | names that no answer has listed for long were dropped | `:count` | `:peers` |
  | `[:dns_mesh, :problem, :raised]` | something is wrong: when it begins, when its reason changes, and each time it has lasted twice as long | `:lasted`, `:times` (how often it was seen) | `:problem`, and what belongs to it |
  | `[:dns_mesh, :problem, :cleared]` | it is over | `:lasted`, `:times` | `:problem`, and what belongs to it |

  What belongs to a problem:

  | `:problem` | meaning | metadata |
  |---|---|---|
  | `:lookup_failed` | name servers fail, or stay silent; `:name` is the name that was asked for at last, a search domain included, or `nil` | `:query`, `:type`, `:reason`, `:server`, `:name` |
  | `:nobody` | for at least an interval, no record type of an item has had a record | `:query`, `:types`, `:reason`, `:server` |
  | `:answer_truncated` | an answer held more than 4 096 records | `:query`, `:type` |
  | `:unreachable` | peers were dialled in vain, or not found, more than once | `:peers`, `:listed_as` (items that name them by host, while this node is named by address), `:tls?` (whether they are dialled over TLS) |
  | `:held` | peers are not joined, because `:member` cannot reach them (`:because` is `:unreachable_for`), or because it is linked to them and this node cannot reach it (`:member_unreachable`): that pair is what has to be mended, if an answer lists the member still | `:peers`, `:member`, `:because`, `:listed`, `:node` |
  | `:dialled_past` | a peer that was held because `:member` cannot reach it was joined by somebody who did not ask (an application, another library), and was cut | `:peer`, `:member` |
  | `:outsider` | `:cuts` links of this node were cut lately, and `:peers`, which are linked to it or were cut, visible, stand in no answer: where another member cannot reach such a node, `global` has links cut | `:peers`, `:cuts`, `:node` |
  | `:not_distributed` | this node cannot dial anybody as it is | `:node` |
  | `:short_names`, `:long_names` | every peer listed has the other kind of name than this node | `:peers`, `:node` |
  | `:named_by_host` | this node is named by a host name, and no PTR record leads to and from any address listed | `:peers`, `:node` |
  | `:wrong_family`, `:not_allowed` | every peer listed is refused for that reason | `:peers`, `:node` |
  | `:unresolved` | no peer listed has a host that has an address | `:peers`, `:node` |
  | `:several_addresses` | several addresses stand behind the host of an item that names one node | `:query`, `:addresses` |
  | `:epmd_unreachable` | for at least two intervals, the epmd at an address of a `*@host` item told no names | `:peers` |
  | `:peer_budget` | an answer lists more names than `:max_peers` | `:left_out`, `:max_peers` |
  | `:atom_budget` | too many new names lately | `:peers` |
  | `:no_own_address` | this node does not know its own address, or what stands before it in its name | `:reason` |
  | `:name_not_taken` | distribution could not be started under the name derived | `:node`, `:reason` |
  | `:name_unfit` | the address in this node's name has gone, or is not the one that the answers list; or epmd does not answer there | `:node`, `:reason` |
  | `:name_late` | `start_link/1` went on without the name | |
  | `:public_plain` | peers have public addresses and the distribution is not TLS | `:peers` |

  Log lines: joins and leaves at the instance's `:log` level, problems and a `DNSMesh.Await` that goes on in vain as
  warnings, the end of a problem at the `:log` level;
  nothing at all with `log: false`.
  """

  alias DNSMesh.Words

  require Logger

  @compile {:no_warn_undefined, :telemetry}

  @events [
    [:lookup, :stop],
    [:round, :stop],
    [:round, :skipped],
    [:ask, :stop],
    [:await, :stop],
    [:join, :stop],
    [:node, :named],
    [:peers, :changed],
    [:peers, :forgotten],
    [:problem, :raised],
    [:problem, :cleared]
  ]

  @problems [
    :lookup_failed,
    :nobody,
    :answer_truncated,
    :unreachable,
    :not_distributed,
    :short_names,
    :long_names,
    :named_by_host,
    :several_addresses,
    :unresolved,
    :epmd_unreachable,
    :held,
    :dialled_past,
    :outsider,
    :wrong_family,
    :not_allowed,
    :peer_budget,
    :atom_budget,
    :public_plain,
    :no_own_address,
    :name_not_taken,
    :name_unfit,
    :name_late
  ]

  @doc """
  All event names, for `:telemetry.attach_many/4`.

      iex> [:dns_mesh, :peers, :changed] in DNSMesh.Telemetry.events()
      true
  """
  @spec events() :: [[atom()]]
  def events, do: Enum.map(@events, &[:dns_mesh | &1])

  @doc "Every value of `:problem`."
  @spec problems() :: [atom()]
  def problems, do: @problems

  @doc false
  # Looks for :telemetry once, where time is cheap; see telemetry?/0.
  @spec prepare() :: :ok
  def prepare do
    _ = Code.ensure_loaded(:telemetry)
    :ok
  end

  @doc false
  @spec emit([atom()], map(), map(), Logger.level() | false) :: :ok
  def emit(event, measurements, metadata, level) when event in @events do
    true = Map.get(metadata, :problem) in [nil | @problems]
    if telemetry?(), do: :telemetry.execute([:dns_mesh | event], measurements, metadata)
    if level, do: log(Words.for_event(event, measurements, metadata), level)
    :ok
  end

  # Not ensure_loaded: where there is no :telemetry, that would search the whole code path at every event.
  defp telemetry?, do: function_exported?(:telemetry, :execute, 3)

  defp log(nil, _level), do: :ok
  defp log({:news, text}, level), do: Logger.log(level, text)
  defp log({:warning, text}, _level), do: Logger.warning(text)
end

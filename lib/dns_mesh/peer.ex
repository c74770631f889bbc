defmodule DNSMesh.Peer do
  @moduledoc false
  # A peer: a name that stood in an answer, and what became of it. The states are documented in DNSMesh.Status; the
  # functions are the ways from one to another. Times are monotonic milliseconds.

  alias DNSMesh.Backoff

  @enforce_keys [:name, :since]
  defstruct [
    :name,
    :since,
    :known_at,
    :reason,
    :next_at,
    :missing_since,
    :verdict,
    :probe,
    :linked_at,
    :linked_port,
    :lost_at,
    :damped_until,
    :leaving_until,
    :past,
    state: :new,
    failures: 0,
    once_connected?: false,
    newcomer?: false,
    misses: 0,
    holds: 0,
    credits: 1,
    flaps: 0
  ]

  @type state :: :new | :joining | :connected | :waiting | :held | :refused
  @type t :: %__MODULE__{
          name: String.t(),
          state: state(),
          reason: DNSMesh.Error.reason() | nil,
          failures: non_neg_integer(),
          once_connected?: boolean(),
          # When it came into its state.
          since: integer(),
          # When it is dialled again.
          next_at: integer() | nil,
          # Since when no answer lists it.
          missing_since: integer() | nil,
          # What policy has against it. Such a peer is not dialled, but may be connected when it dialled us.
          verdict: {:refused | :held, DNSMesh.Error.reason()} | nil,
          ## For Roster.Asking and Roster.Damping:
          known_at: integer(),
          # First listed when this node had links already: it has just started, and we have not.
          newcomer?: boolean(),
          # What the last probe found, when, and the port it listens at.
          probe: {DNSMesh.Roster.Probing.verdict(), integer(), port :: integer() | nil} | nil,
          # Probes in a row that found nobody; refusals in a row.
          misses: non_neg_integer(),
          holds: non_neg_integer(),
          # Since when it is, or was, linked, and the port it listened at then.
          linked_at: integer() | nil,
          linked_port: integer() | nil,
          lost_at: integer() | nil,
          # Redials that are free, links that did not last, and until when it is left alone for that.
          credits: non_neg_integer(),
          flaps: non_neg_integer(),
          damped_until: integer() | nil,
          # It has said that it leaves.
          leaving_until: integer() | nil,
          # The member that could not reach it when it came in undialled.
          past: String.t() | nil
        }

  @doc """
  Whether it stands for an address whose nodes have no names yet (`*@10.0.0.5`): the name is no node's, so there is nothing
  to remember once the address has got names.
  """
  @spec stand_in?(t()) :: boolean()
  def stand_in?(%__MODULE__{state: state, reason: {kind, _why}}) when state in [:held, :refused],
    do: kind in [:epmd, :no_host_name]

  def stand_in?(_peer), do: false

  @spec new(String.t(), integer()) :: t()
  def new(name, now), do: %__MODULE__{name: name, since: now, known_at: now}

  @spec enter(t(), state(), DNSMesh.Error.reason() | nil, integer()) :: t()
  def enter(%__MODULE__{state: state, reason: reason} = peer, state, reason, _now), do: peer

  def enter(peer, state, reason, now),
    do: %{peer | state: state, reason: reason, since: now, next_at: nil}

  @spec connected(t(), integer()) :: t()
  def connected(%__MODULE__{state: :connected} = peer, _now), do: peer

  def connected(peer, now) do
    %{
      enter(peer, :connected, nil, now)
      | failures: 0,
        misses: 0,
        holds: 0,
        once_connected?: true,
        linked_at: now,
        linked_port: fresh_port(peer.probe, now),
        lost_at: nil,
        leaving_until: nil
    }
  end

  # Only that of a probe just before: an older one may be of an earlier life.
  defp fresh_port({:ok, at, port}, now) when now - at < 10_000, do: port
  defp fresh_port(_old_or_none, _now), do: nil

  @spec judged(t(), DNSMesh.Policy.verdict()) :: t()
  def judged(peer, {state, _reason} = verdict) when state in [:refused, :held],
    do: %{peer | verdict: verdict}

  def judged(peer, _nothing_against), do: %{peer | verdict: nil}

  # A lost peer is dialled again at the next poll: a burst of polls follows a nodedown.
  @spec lost(t(), integer()) :: t()
  def lost(%__MODULE__{verdict: nil} = peer, now),
    do: %{enter(peer, :new, nil, now) | failures: 0, probe: nil, lost_at: now}

  def lost(%__MODULE__{verdict: {state, reason}} = peer, now),
    do: %{enter(peer, state, reason, now) | probe: nil, lost_at: now}

  @spec failed(t(), DNSMesh.Error.reason(), pos_integer(), float(), integer()) :: t()
  # Policy has spoken while it was dialled.
  def failed(%__MODULE__{verdict: {state, reason}} = peer, _reason, _interval, _chance, now),
    do: enter(peer, state, reason, now)

  def failed(peer, reason, interval, chance, now) do
    failures = peer.failures + 1
    delay = Backoff.delay(failures, peer.once_connected?, interval, chance)
    %{enter(peer, :waiting, reason, now) | failures: failures, next_at: now + delay}
  end

  # Waiting for something that lies with this node, which every poll may find mended.
  @spec postponed(t(), DNSMesh.Error.reason(), pos_integer(), integer()) :: t()
  def postponed(%__MODULE__{verdict: {state, reason}} = peer, _reason, _interval, now),
    do: enter(peer, state, reason, now)

  def postponed(peer, reason, interval, now),
    do: %{enter(peer, :waiting, reason, now) | next_at: now + interval}
end

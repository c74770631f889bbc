defmodule DNSMesh.Roster.Damping do
  @moduledoc false
  # The fallback where asking was not enough: a probe that lied, an application that dials by itself, an older library
  # among us. A link that `global` had cut (the one that was cut sees `disconnect`, the other one `connection_closed`, as
  # it would for a crash) is dialled again at once only if it had lasted; else after 60 s, 2, 4 … 10 minutes.
  #
  # A peer that was really gone is no flapping link: whoever finds its port closed, or another one in its place, knows.

  alias DNSMesh.Peer

  @cut [:disconnect, :connection_closed]
  @lasting 60_000
  @credits 2
  @most 600_000

  @doc "A link has gone."
  @spec lost(Peer.t(), reason :: term(), chance :: float(), integer()) :: Peer.t()
  def lost(peer, reason, chance, now) when reason in @cut do
    peer = if lasted?(peer, now), do: %{peer | credits: @credits, flaps: 0}, else: peer

    case peer.credits do
      0 ->
        flaps = peer.flaps + 1
        pause = min(@lasting * Bitwise.bsl(1, min(flaps - 1, 10)), @most)
        %{peer | flaps: flaps, damped_until: now + round(pause * (0.5 + chance))}

      # The second time a little later, and at a time of its own: two that redial each other at once would go on so.
      1 ->
        %{peer | credits: 0, damped_until: now + 1_000 + round(5_000 * chance)}

      credits ->
        %{peer | credits: credits - 1, damped_until: now + round(2_000 * chance)}
    end
  end

  # Silence and the like are the probe's business.
  def lost(peer, _reason, _chance, _now), do: peer

  @doc "Whether `global` may have had the link cut, by the VM's reason for its end."
  @spec cut?(term()) :: boolean()
  def cut?(reason), do: reason in @cut

  @doc "Whether the link is, or was, no short one; by its peer, or since when it is there."
  @spec lasted?(Peer.t() | integer() | nil, integer()) :: boolean()
  def lasted?(%Peer{linked_at: at}, now), do: lasted?(at, now)
  def lasted?(nil, _now), do: false
  def lasted?(at, now), do: now - at >= @lasting

  @doc "What a probe has found: a peer that was gone, or listens at another port, was started anew."
  @spec heard(Peer.t(), DNSMesh.Roster.Probing.verdict(), integer() | nil) :: Peer.t()
  def heard(peer, {:dead, _why}, _port), do: forgive(peer)

  def heard(%Peer{linked_port: before} = peer, :ok, port)
      when before != nil and port != nil and before != port,
      do: forgive(peer)

  def heard(peer, _verdict, _port), do: peer

  defp forgive(%Peer{damped_until: nil} = peer), do: peer
  defp forgive(peer), do: %{peer | damped_until: nil, flaps: 0, credits: max(peer.credits, 1)}

  @spec damped?(Peer.t(), integer()) :: boolean()
  def damped?(%Peer{damped_until: nil}, _now), do: false
  def damped?(%Peer{damped_until: at}, now), do: now < at
end

defmodule DNSMesh.Fit do
  @moduledoc false
  # Whether this node's name still fits the machine, looked at once a round. A name is never changed while the VM runs; an
  # address may go, or turn out to be another one than DNS lists. Nobody finds the node then, and only a restart helps.
  # Pure.

  alias DNSMesh.{IP, Problems}

  # An answer may hold a random few of all addresses (Route 53 gives eight).
  @capped 60_000
  @first_again 30_000

  defstruct [:ip, :listed_at, :epmd, :reason, held?: false, problems: %Problems{}]

  @type fault ::
          {:address_gone, String.t()} | {:listed_as, String.t()} | {:epmd_elsewhere, String.t()}
  @type t :: %__MODULE__{
          # The address in the name.
          ip: IP.t() | nil,
          # Whether it has been seen on an interface: that of a host behind NAT never is.
          held?: boolean(),
          listed_at: integer() | nil,
          # What was found at epmd's port there.
          epmd: fault() | nil,
          reason: fault() | nil,
          problems: Problems.t()
        }
  @type seen :: %{
          node: DNSMesh.NodeName.t() | nil,
          ip: IP.t() | nil,
          # This machine's addresses; none where they could not be read.
          own: [IP.t()],
          # What each item that counts lists.
          listed: [[IP.t()]],
          # Which of this machine's addresses the answers show to be its own; asked in case of need.
          listed_as: (() -> IP.t() | nil)
        }

  @spec look(t(), seen(), integer()) :: {t(), [Problems.effect()]}
  def look(%{ip: ip} = fit, %{ip: ip} = seen, now) do
    fit = %{
      fit
      | held?: fit.held? or ip in seen.own,
        listed_at: if(Enum.any?(seen.listed, &(ip in &1)), do: now, else: fit.listed_at)
    }

    reason = if ip, do: gone(fit, seen) || listed_as(fit, seen, now) || fit.epmd
    tell(%{fit | reason: reason}, seen, now)
  end

  def look(fit, seen, now), do: look(%__MODULE__{ip: seen.ip, problems: fit.problems}, seen, now)

  # All of 127.0.0.0/8 is local, though one of it is listed.
  defp gone(%{ip: ip, held?: true}, %{own: [_ | _] = own}),
    do: if(ip not in own and IP.class(ip) != :loopback, do: {:address_gone, IP.to_text(ip)})

  defp gone(_never_held, _seen), do: nil

  defp listed_as(%{ip: ip, listed_at: listed_at}, seen, now) do
    with true <- listed_at == nil or now - listed_at >= @capped,
         true <- Enum.any?(seen.listed, fn ips -> Enum.any?(ips, &other?(&1, seen)) end),
         other when other not in [nil, ip] <- seen.listed_as.() do
      {:listed_as, IP.to_text(other)}
    else
      _fits -> nil
    end
  end

  defp other?(ip, seen),
    do: ip != seen.ip and ip in seen.own and IP.class(ip) in [:private, :public]

  defp tell(fit, seen, now) do
    kind = fit.reason && elem(fit.reason, 0)
    details = %{node: seen.node, reason: fit.reason}

    {problems, told} =
      Problems.check(fit.problems, kind != nil, :name_unfit, kind, details, now, @first_again)

    {%{fit | problems: problems}, told}
  end
end

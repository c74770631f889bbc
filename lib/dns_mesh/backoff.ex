defmodule DNSMesh.Backoff do
  @moduledoc false
  # How long a peer that could not be joined is left alone: interval x 2^(failures - 1), give or take a fifth; at most
  # twice the interval for a peer that was once connected (it is more likely restarting than gone), else a minute.
  # Pure: chance in the caller's hand.

  @stranger_max 60_000

  @spec delay(
          failures :: pos_integer(),
          once_connected? :: boolean(),
          pos_integer(),
          chance :: float()
        ) :: pos_integer()
  def delay(failures, once_connected?, interval, chance) do
    # An interval above a minute is its own ceiling: a peer is not asked more often than DNS is.
    ceiling = if once_connected?, do: 2 * interval, else: max(@stranger_max, interval)
    # The exponent is bounded so that a peer dead for weeks does not make a bignum.
    doubled = interval * Bitwise.bsl(1, min(failures - 1, 20))
    min(round(min(doubled, ceiling) * (0.8 + 0.4 * chance)), ceiling)
  end
end

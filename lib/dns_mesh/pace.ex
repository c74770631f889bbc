defmodule DNSMesh.Pace do
  @moduledoc false
  # When the next poll is due. Normally every `interval` (give or take a tenth, so that nodes started together do not
  # ask together); right after the start and after a nodedown a short burst, because that is when answers change.
  # Pure: time in monotonic milliseconds, chance in the caller's hand.

  @burst [250, 500, 1_000, 2_000]
  @burst_every 10_000

  @enforce_keys [:interval, :burst_at]
  defstruct [:interval, :burst_at]

  # burst_at: when the last burst began; nil for a pace without any.
  @type t :: %__MODULE__{interval: pos_integer(), burst_at: integer() | nil}

  @doc "A pace that begins with a burst."
  @spec new(pos_integer(), integer()) :: t()
  def new(interval, now), do: %__MODULE__{interval: interval, burst_at: now}

  @doc "A pace by the interval alone: for a `:resolver` module, behind which there may be a service that counts calls."
  @spec steady(pos_integer()) :: t()
  def steady(interval), do: %__MODULE__{interval: interval, burst_at: nil}

  @doc "Begins a burst, unless one began less than 10 s ago."
  @spec burst(t(), integer()) :: t()
  def burst(%__MODULE__{burst_at: nil} = pace, _now), do: pace

  def burst(%__MODULE__{} = pace, now) do
    if now - pace.burst_at >= @burst_every, do: %{pace | burst_at: now}, else: pace
  end

  @doc "How long to wait for the next poll; `chance` is a number from 0 up to 1."
  @spec delay(t(), integer(), float()) :: non_neg_integer()
  def delay(%__MODULE__{interval: interval, burst_at: burst_at}, now, chance) do
    usual = round(interval * (0.9 + 0.2 * chance))

    case burst_at && Enum.find(@burst, &(burst_at + &1 > now)) do
      nil -> usual
      offset -> min(burst_at + offset - now, usual)
    end
  end
end

defmodule Settle.Say do
  @moduledoc false
  # Numbers for people, and the sentence of a check.

  @spec expect(boolean(), String.t(), String.t()) :: :ok | String.t()
  def expect(true, _, _), do: :ok
  def expect(false, expected, got), do: "expected #{expected}, got #{got}"

  @spec percent(float()) :: String.t()
  def percent(share), do: "#{decimals(share * 100)} %"

  @spec seconds(number() | nil) :: String.t()
  def seconds(nil), do: "never"
  def seconds(number), do: "#{decimals(number)} s"

  @spec decimals(number(), 0..3) :: String.t()
  def decimals(number, places \\ 1), do: :erlang.float_to_binary(number / 1, decimals: places)
end

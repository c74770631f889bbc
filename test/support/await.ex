defmodule DNSMesh.Test.Await do
  @moduledoc """
  Waiting for what sends no message: a port that opens, a node list that fills.
  Where a message can be awaited, await the message.
  """

  @step 10

  @doc """
  Calls `fun` until it gives something truthy, and returns that. Raises after `timeout` ms, with the last value.
  """
  @spec await((... -> value), timeout :: pos_integer) :: value when value: term
  def await(fun, timeout \\ 5_000), do: retry(fun, deadline(timeout), timeout)

  @doc """
  Calls `fun` for `duration` ms. True if each call gave something truthy, false at the first that did not.
  """
  @spec holds?((... -> term), duration :: pos_integer) :: boolean
  def holds?(fun, duration), do: hold(fun, deadline(duration))

  defp retry(fun, deadline, timeout) do
    value = fun.()

    cond do
      value ->
        value

      now() >= deadline ->
        raise "expected the condition to hold within #{timeout} ms, it still gives: #{inspect(value)}"

      true ->
        pause()
        retry(fun, deadline, timeout)
    end
  end

  defp hold(fun, deadline) do
    cond do
      !fun.() ->
        false

      now() >= deadline ->
        true

      true ->
        pause()
        hold(fun, deadline)
    end
  end

  defp pause do
    receive do
    after
      @step -> :ok
    end
  end

  defp deadline(timeout), do: now() + timeout
  defp now, do: System.monotonic_time(:millisecond)
end

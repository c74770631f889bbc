defmodule DNSMesh.Bench.Samples do
  @moduledoc """
  Taking times, and saying little about many of them: microseconds, medians.
  """

  @type t :: [float()]

  @doc "How long one call takes, in microseconds."
  @spec time((... -> term())) :: float()
  def time(fun) do
    started = :erlang.monotonic_time()
    fun.()
    elapsed(started)
  end

  @spec elapsed(started :: integer()) :: float()
  def elapsed(started) do
    System.convert_time_unit(:erlang.monotonic_time() - started, :native, :nanosecond) / 1_000
  end

  @doc """
  Times every function once a round, in turn, so that whatever else the machine does falls on all of them alike.
  Gives the samples of each, in the order they were taken; the first `warm_up` rounds do not count.
  """
  @spec interleave(pos_integer(), non_neg_integer(), [(... -> term())]) :: [t()]
  def interleave(rounds, warm_up, functions) do
    for(_ <- 1..(rounds + warm_up), do: Enum.map(functions, &time/1))
    |> Enum.drop(warm_up)
    |> Enum.zip_with(& &1)
  end

  @spec median(t()) :: float()
  def median(samples), do: percentile(samples, 50)

  @spec percentile(t(), 0..100) :: float()
  def percentile(samples, percent) do
    sorted = Enum.sort(samples)
    Enum.at(sorted, min(div(length(sorted) * percent, 100), length(sorted) - 1))
  end

  @doc """
  By how much the first is slower than the second: `{median, lowest, highest}` of the ratios of medians of five
  consecutive parts of the run. How far they lie apart tells how much the machine had on its mind.
  """
  @spec ratio(t(), t()) :: {float(), float(), float()}
  def ratio(these, those) do
    part = max(1, div(length(these), 5))

    ratios =
      Enum.zip_with(Enum.chunk_every(these, part), Enum.chunk_every(those, part), fn a, b ->
        median(a) / median(b)
      end)

    {median(ratios), Enum.min(ratios), Enum.max(ratios)}
  end
end

defmodule DNSMesh.AtomBudget do
  @moduledoc false
  # How many new atoms DNSMesh may make: a bucket of 1 024 that fills up again at 1 024 an hour, and 200 000 in the
  # life of the VM (its table holds 1 048 576 for everybody). One budget for all instances, because the atom table is
  # one; kept in an `:atomics` array so that it outlives any process of ours. Two takers at the same instant may both
  # get the last one: harmless, and cheaper than a lock.

  @bucket 1_024
  @refill_ms div(3_600_000, @bucket)
  @lifetime 200_000

  @tokens 1
  @refilled_at 2
  @spent 3

  @on_load :create

  @type t :: :atomics.atomics_ref()

  @doc false
  @spec create() :: :ok
  def create do
    # Loading the module again must not fill the bucket.
    if :persistent_term.get(__MODULE__, nil) == nil,
      do: :persistent_term.put(__MODULE__, new(now()))

    :ok
  end

  @spec new(integer()) :: t()
  def new(now) do
    ref = :atomics.new(3, signed: true)
    :atomics.put(ref, @tokens, @bucket)
    :atomics.put(ref, @refilled_at, now)
    ref
  end

  @spec take() :: :ok | :empty
  def take, do: take(:persistent_term.get(__MODULE__), now())

  @spec take(t(), integer()) :: :ok | :empty
  def take(ref, now) do
    refill(ref, now)

    if :atomics.get(ref, @tokens) > 0 and :atomics.get(ref, @spent) < @lifetime do
      :atomics.sub(ref, @tokens, 1)
      :atomics.add(ref, @spent, 1)
      :ok
    else
      :empty
    end
  end

  defp refill(ref, now) do
    at = :atomics.get(ref, @refilled_at)
    gained = div(now - at, @refill_ms)

    if gained > 0 do
      :atomics.put(ref, @tokens, min(@bucket, :atomics.get(ref, @tokens) + gained))
      :atomics.put(ref, @refilled_at, at + gained * @refill_ms)
    end
  end

  defp now, do: System.monotonic_time(:millisecond)
end

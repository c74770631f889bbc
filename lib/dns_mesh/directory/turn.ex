defmodule DNSMesh.Directory.Turn do
  @moduledoc false
  # A call into a file system whose server is away does not come back, and nothing ends it: the process can be killed,
  # but the thread it is on, one of ten that all file work of the VM shares, stays. So the work runs in a process that
  # nobody kills, and there is one at most per folder: another has to wait until that one is back.

  @enforce_keys [:slots]
  defstruct [:slots]

  @opaque t :: %__MODULE__{slots: :atomics.atomics_ref()}

  @busy 1
  @device 2
  @pause 10

  @doc "Runs `fun` with the turn of this key: `:taken` when another has it, `:late` when it takes longer than `patience`."
  @spec run(key :: term(), patience :: pos_integer(), (t() -> result)) ::
          {:ok, result} | :taken | :late
        when result: term()
  def run(key, patience, fun) do
    turn = of(key)
    {_pid, monitor} = spawn_monitor(fn -> exit(run_here(turn, fun)) end)

    receive do
      {:DOWN, ^monitor, :process, _pid, {:raised, kind, reason, stack}} ->
        :erlang.raise(kind, reason, stack)

      {:DOWN, ^monitor, :process, _pid, outcome} ->
        outcome
    after
      patience ->
        Process.demonitor(monitor, [:flush])
        :late
    end
  end

  @doc "The same, once the turn is free, whenever that is."
  @spec await(key :: term(), patience :: pos_integer(), (t() -> result)) :: {:ok, result} | :late
        when result: term()
  def await(key, patience, fun) do
    with :taken <- run(key, patience, fun) do
      receive do
      after
        @pause -> await(key, patience, fun)
      end
    end
  end

  @doc "The device on which there was company last; 0 for none. It outlives the round, and a restart of DNSMesh."
  @spec device(t()) :: non_neg_integer()
  def device(turn), do: :atomics.get(turn.slots, @device)

  @spec remember(t(), device :: non_neg_integer()) :: :ok
  def remember(turn, device), do: :atomics.put(turn.slots, @device, device)

  # Taken in the process that gives it back, so that no kill can come in between.
  defp run_here(turn, fun) do
    case :atomics.compare_exchange(turn.slots, @busy, 0, 1) do
      :ok ->
        try do
          {:ok, fun.(turn)}
        catch
          kind, reason -> {:raised, kind, reason, __STACKTRACE__}
        after
          :atomics.put(turn.slots, @busy, 0)
        end

      _another ->
        :taken
    end
  end

  # Put once per key and never changed: a change of a persistent term has the VM look through every process.
  defp of(key) do
    case :persistent_term.get({__MODULE__, key}, nil) do
      nil ->
        turn = %__MODULE__{slots: :atomics.new(2, signed: false)}
        :persistent_term.put({__MODULE__, key}, turn)
        turn

      turn ->
        turn
    end
  end
end

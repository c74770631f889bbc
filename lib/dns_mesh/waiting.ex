defmodule DNSMesh.Waiting do
  @moduledoc false
  # Who waits for the cluster, and for what. Pure; the Poller looks here after each thing that happens, and replies.

  alias DNSMesh.{Lookups, Peer, Roster}

  defstruct discovered?: false, waiters: %{}

  @type goal :: pos_integer() | :discovered
  @type wish :: %{
          peers: goal(),
          timeout: non_neg_integer(),
          # What the one who waits does in the end, where it is DNSMesh.Await.
          on_timeout: :continue | :stop | nil
        }
  @type waiter :: %{wish: wish(), from: GenServer.from(), since: integer(), timer: reference()}
  @type t :: %__MODULE__{discovered?: boolean(), waiters: %{reference() => waiter()}}

  @day 86_400_000

  @doc "Reads a wish as it came in a call."
  @spec read(term()) :: {:ok, wish()} | :error
  def read(%{peers: goal, timeout: timeout} = wish)
      when (goal == :discovered or (is_integer(goal) and goal > 0)) and
             is_integer(timeout) and timeout in 0..@day do
    case Map.get(wish, :on_timeout) do
      on_timeout when on_timeout in [:continue, :stop, nil] ->
        {:ok, %{peers: goal, timeout: timeout, on_timeout: on_timeout}}

      _other ->
        :error
    end
  end

  def read(_other), do: :error

  @spec reached?(t(), goal(), Roster.t()) :: boolean()
  def reached?(%__MODULE__{discovered?: discovered?}, :discovered, _roster), do: discovered?
  def reached?(_waiting, count, roster), do: Roster.counts(roster).connected >= count

  @spec add(t(), reference(), waiter()) :: t()
  def add(waiting, ref, waiter), do: put_in(waiting.waiters[ref], waiter)

  @doc "Something has happened: who need not wait any longer."
  @spec look(t(), Roster.t(), [Lookups.key()]) :: {t(), [waiter()]}
  def look(waiting, roster, keys) do
    waiting = %{waiting | discovered?: waiting.discovered? or discovered?(roster, keys)}

    {done, rest} =
      Enum.split_with(waiting.waiters, fn {_ref, waiter} ->
        reached?(waiting, waiter.wish.peers, roster)
      end)

    {%{waiting | waiters: Map.new(rest)}, for({_ref, waiter} <- done, do: waiter)}
  end

  @doc "A waiter's time is over; nil when it does not wait any longer."
  @spec over(t(), reference()) :: {waiter() | nil, t()}
  def over(waiting, ref) do
    {waiter, waiters} = Map.pop(waiting.waiters, ref)
    {waiter, %{waiting | waiters: waiters}}
  end

  # Every item has had an answer that counts for the name this node has now, and everyone listed has had its turn. Once
  # so, for ever: a node that comes later is no reason to be unready.
  defp discovered?(roster, keys) do
    Enum.all?(keys, &is_map_key(roster.answers, &1)) and
      Enum.all?(roster.peers, fn {_name, peer} -> settled?(peer) end)
  end

  # Nobody has tried yet.
  defp settled?(%Peer{state: :waiting, reason: :not_distributed}), do: false

  defp settled?(%Peer{state: state}) when state in [:connected, :waiting, :held, :refused],
    do: true

  defp settled?(%Peer{state: :joining, reason: :connect_timeout}), do: true
  defp settled?(%Peer{once_connected?: once?, failures: failures}), do: once? or failures > 0
end

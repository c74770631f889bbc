defmodule DNSMesh.Test.StandIn do
  @moduledoc """
  A process in a test node that is registered as DNSMesh is, and answers another member's questions as a test wants it to:
  one of another version, or one gone wrong.

      TestNode.start_child(m, {StandIn, {:reply, {:error, :unknown_call}}})
      StandIn.behave(m, :silent)

  It does one of: `{:reply, term}`, `{:twice, first, second}`, `{:late, ms, term}`, `:silent`.
  """
  use GenServer

  alias DNSMesh.Test.TestNode

  @spec start_link(term) :: GenServer.on_start()
  def start_link(what), do: GenServer.start_link(__MODULE__, what, name: DNSMesh)

  @doc "From now on it does this."
  @spec behave(TestNode.t(), term) :: :ok
  def behave(node, what), do: TestNode.call(node, GenServer, :call, [DNSMesh, {:behave, what}])

  @doc "How many questions have come so far."
  @spec asked(TestNode.t()) :: non_neg_integer
  def asked(node), do: TestNode.call(node, GenServer, :call, [DNSMesh, :asked])

  @impl true
  def init(what), do: {:ok, {what, 0}}

  @impl true
  def handle_call({:behave, what}, _from, {_before, asked}), do: {:reply, :ok, {what, asked}}
  def handle_call(:asked, _from, {_what, asked} = state), do: {:reply, asked, state}

  def handle_call(_question, from, {what, asked}) do
    answer(what, from)
    {:noreply, {what, asked + 1}}
  end

  @impl true
  def handle_info({:answer, from, term}, state) do
    GenServer.reply(from, term)
    {:noreply, state}
  end

  defp answer(:silent, _from), do: :ok
  defp answer({:reply, term}, from), do: GenServer.reply(from, term)
  defp answer({:late, ms, term}, from), do: Process.send_after(self(), {:answer, from, term}, ms)

  defp answer({:twice, first, second}, from) do
    GenServer.reply(from, first)
    GenServer.reply(from, second)
  end
end

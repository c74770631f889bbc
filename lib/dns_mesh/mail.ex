defmodule DNSMesh.Mail do
  @moduledoc false
  # What may come into the Poller's mailbox, in the shapes that it acts on. Anybody can send anything there, and nothing of
  # it may end the process: what has none of these shapes is dropped here, before a rule sees it. Pure.
  #
  # A message that has one of them and lies (a nodeup of nobody, a reply to a ref of somebody else) is true for all that can
  # be told here; the rules have to stand it.

  alias DNSMesh.{Members, NodeName, Waiting}

  @type call ::
          :status
          | :own_name
          | :await_name
          | :leave
          | {:await, Waiting.wish()}
          | {:member, Members.question()}
          | :unknown

  @type info ::
          {:poll, token :: reference()}
          | {:deadline, reference()}
          | {:reply, reference(), term()}
          | {:ended, reference(), reason :: term()}
          | {:waited, reference()}
          | {:wake, at :: integer()}
          | :fill
          | :name_guess
          | :name_late
          | :named
          | {:nodeup, NodeName.t(), :visible | :hidden}
          | {:nodedown, NodeName.t(), :visible | :hidden | nil, reason :: term()}
          | {:exit, pid(), reason :: term()}

  @doc """
  Reads a call. `:nobody` where there is no process to answer: an answer to anything else would end us.
  """
  @spec call(term(), from :: term()) :: call() | :nobody
  def call(message, {pid, _tag}) when is_pid(pid), do: call(message)
  def call(_message, _from), do: :nobody

  defp call(message) when message in [:status, :own_name, :await_name, :leave], do: message

  defp call({:await, wish}) do
    case Waiting.read(wish) do
      {:ok, wish} -> {:await, wish}
      :error -> :unknown
    end
  end

  defp call(message) do
    case Members.read(message) do
      {:ok, {kind, _} = question} when kind != :leaving -> {:member, question}
      {:ok, {_members, _asker, _silent} = question} -> {:member, question}
      _other -> :unknown
    end
  end

  @doc "Reads a cast."
  @spec cast(term()) :: :poll | {:leaving, NodeName.t()} | :unknown
  def cast(:poll), do: :poll

  def cast(message) do
    case Members.read(message) do
      {:ok, {:leaving, name}} -> {:leaving, name}
      _other -> :unknown
    end
  end

  @doc "Reads all other mail."
  @spec info(term()) :: info() | :unknown
  def info({kind, ref}) when kind in [:poll, :deadline, :waited] and is_reference(ref),
    do: {kind, ref}

  def info({ref, reply}) when is_reference(ref), do: {:reply, ref, reply}

  def info({:DOWN, ref, :process, _pid, reason}) when is_reference(ref), do: {:ended, ref, reason}
  def info({:EXIT, pid, reason}) when is_pid(pid), do: {:exit, pid, reason}
  def info({:wake, at}) when is_integer(at), do: {:wake, at}
  def info(own) when own in [:fill, :name_guess, :name_late], do: own

  # Our own node is no peer.
  def info({:nodeup, node, _info}) when node == node(), do: :named
  def info({:nodedown, node, _info}) when node == node(), do: :unknown

  def info({:nodeup, node, info}) when is_atom(node),
    do: named(node, &{:nodeup, &1, type(info) || :visible})

  def info({:nodedown, node, info}) when is_atom(node),
    do: named(node, &{:nodedown, &1, type(info), find(info, :nodedown_reason)})

  def info(_other), do: :unknown

  defp named(node, read) do
    name = Atom.to_string(node)
    if NodeName.split(name), do: read.(name), else: :unknown
  end

  defp type(info) do
    type = find(info, :node_type)
    if type in [:visible, :hidden], do: type
  end

  # Not Keyword.get/3: it may be an improper list.
  defp find([{key, value} | _rest], key), do: value
  defp find([_other | rest], key), do: find(rest, key)
  defp find(_end, _key), do: nil
end

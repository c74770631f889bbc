defmodule DNSMesh.Members do
  @moduledoc false
  # What members say to one another: calls to the Poller of the same instance name on another node, with a version in
  # front. Who does not understand (another version, no DNSMesh at all) has no objection; who does not answer has one.
  #
  # Runs in processes of its own, for each of these waits.

  alias DNSMesh.NodeName

  @version 1
  # Milliseconds for all members together, and for one look.
  @ask 5_000
  @look 3_000
  # For the end of a link of our own.
  @gone 500

  @typedoc "`:reach`: can you reach that node? `:members`: whom are you linked to, and which of these can you reach?"
  @type question :: {:reach, NodeName.t()} | {:members, asker :: NodeName.t(), [NodeName.t()]}

  @doc "A question as it travels."
  @spec question(question()) :: term()
  def question(question), do: {:dns_mesh, @version, question}

  @doc "An answer as it travels."
  @spec answer(term()) :: term()
  def answer(answer), do: {:dns_mesh, @version, answer}

  @doc "Reads what came as a call or a cast; `:other` for what is none of ours, or of a version to come."
  @spec read(term()) :: {:ok, question() | {:leaving, NodeName.t()}} | :other
  def read({:dns_mesh, @version, {:reach, name} = question}) when is_binary(name),
    do: {:ok, question}

  def read({:dns_mesh, @version, {:members, asker, silent} = question})
      when length(silent) <= 4_096,
      do: if(Enum.all?([asker | silent], &is_binary/1), do: {:ok, question}, else: :other)

  def read({:dns_mesh, @version, {:leaving, name} = news}) when is_binary(name), do: {:ok, news}
  def read(_other), do: :other

  @doc "How long the calls below take at most, in milliseconds."
  @spec patience() :: pos_integer()
  def patience, do: @ask + 1_000

  @doc "Asks members whether they can reach a target, all at once."
  @spec ask(atom(), NodeName.t(), [node()]) :: %{NodeName.t() => DNSMesh.Roster.Asking.answer()}
  def ask(mesh, target, members) do
    requests =
      for member <- members,
          # Sending would dial a member that has left by now.
          member in Node.list(),
          do:
            {Atom.to_string(member),
             :gen_server.send_request({mesh, member}, question({:reach, target}))}

    deadline = System.monotonic_time(:millisecond) + @ask

    Map.new(requests, fn {member, request} ->
      {member, heard(:gen_server.receive_response(request, {:abs, deadline}))}
    end)
  end

  defp heard({:reply, {:dns_mesh, @version, answer}}) when answer in [:ok, :dead, :silent, :busy],
    do: answer

  defp heard({:reply, {:dns_mesh, @version, _unknown}}), do: :no_answer
  defp heard({:reply, _of_another_version}), do: :no_mesh
  defp heard({:error, {:noproc, _server}}), do: :no_mesh
  defp heard(_late_or_unreachable), do: :no_answer

  @doc "Looks at whom a node is linked to, over a hidden link, which `global` does not see, and which ends with the look."
  @spec look(atom(), node(), NodeName.t(), [NodeName.t()]) ::
          {:ok, [NodeName.t()], %{NodeName.t() => term()}} | :leaving | :busy | :failed
  def look(mesh, target, asker, silent) do
    cond do
      # It looks at us, and its link will end with that.
      target in Node.list(:connected) -> :busy
      not hidden_connect(target) -> :failed
      true -> ask_members(mesh, target, question({:members, asker, silent}))
    end
  end

  defp ask_members(mesh, target, question) do
    members(GenServer.call({mesh, target}, question, @look))
  catch
    # Both looked at once, over one link, and it was done first.
    :exit, {{:nodedown, _target}, _call} -> :busy
    :exit, _reason -> :failed
  after
    hidden_disconnect(target)
  end

  defp members({:dns_mesh, @version, {:members, names, answers}})
       when is_list(names) and is_map(answers),
       do: {:ok, Enum.filter(names, &is_binary/1), answers}

  defp members({:dns_mesh, @version, told}) when told in [:leaving, :busy], do: told
  defp members(_of_another_version), do: :failed

  # In every OTP from 25 to 29, and in no documentation.
  defp hidden_connect(target) do
    function_exported?(:net_kernel, :hidden_connect_node, 1) and
      apply(:net_kernel, :hidden_connect_node, [target]) == true
  end

  # The only disconnect there is in this library: of a link that it made itself, and only while it is hidden. A visible
  # one belongs to `global`, and ending it would have other links cut.
  defp hidden_disconnect(target) do
    if target in Node.list(:hidden) do
      _ = :erlang.disconnect_node(target)
      await_gone(target, System.monotonic_time(:millisecond) + @gone)
    end

    :ok
  end

  # It ends a little later. A dial before that would find it, and take it for a link.
  defp await_gone(target, at) do
    if target in Node.list(:hidden) and System.monotonic_time(:millisecond) < at do
      receive do
      after
        2 -> await_gone(target, at)
      end
    end
  end

  @doc "Tells members that this node leaves; does not dial, does not wait."
  @spec tell_leaving(atom(), NodeName.t(), [node()]) :: :ok
  def tell_leaving(mesh, name, members) do
    for member <- members do
      :erlang.send({mesh, member}, {:"$gen_cast", answer({:leaving, name})}, [
        :noconnect,
        :nosuspend
      ])
    end

    :ok
  end
end

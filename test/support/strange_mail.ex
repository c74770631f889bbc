defmodule DNSMesh.Test.StrangeMail do
  @moduledoc """
  Mail of every shape that a Poller acts on, filled with every kind of term: sent to one that runs in the same VM, from a
  random seed.

      assert StrangeMail.send!(DNSMesh, 1, 2_000) == :ok

  Not among it: `{:system, from, request}`, which is OTP's own and reaches no GenServer's code, and what is to end it (a
  parent that is gone, `:shutdown` from one that is there).
  """

  # So many at once before it has to show that it is still the same.
  @batch 25

  @doc """
  Sends that much, in calls, casts and messages. `:ok`, or `{:ended, batch}` with what was sent last when the process is
  another, or none.
  """
  @spec send!(atom, integer, pos_integer) :: :ok | {:ended, [term]}
  def send!(name, seed, count) do
    :rand.seed(:exsss, seed)
    pid = Process.whereis(name)
    {:dictionary, dictionary} = Process.info(pid, :dictionary)
    parent = hd(dictionary[:"$ancestors"])
    parent = if is_pid(parent), do: parent, else: Process.whereis(parent)
    batches(pid, parent, div(count, @batch))
  end

  defp batches(_pid, _parent, 0), do: :ok

  defp batches(pid, parent, left) do
    batch = for _ <- 1..@batch, do: mail(pid, parent)
    for one <- batch, do: send(pid, one)

    if answers?(pid), do: batches(pid, parent, left - 1), else: {:ended, batch}
  end

  # Behind all that was sent before.
  defp answers?(pid) do
    {_config, _roster, _lookups, _own_name, _now} = GenServer.call(pid, :status, 20_000)
    true
  catch
    :exit, _ended -> false
  end

  ## Shapes

  defp mail(pid, parent) do
    case :rand.uniform(10) do
      n when n <= 3 -> {:"$gen_call", from(), call()}
      n when n <= 5 -> {:"$gen_cast", one_of([call(), term(), news()])}
      n when n <= 9 -> info(pid, parent)
      _ -> one_of([term(), {:"$gen_call", term()}, {:"$gen_cast", term(), term()}])
    end
  end

  # Who could be answered, and all else.
  defp from do
    one_of([
      {self(), make_ref()},
      {self(), [:alias | make_ref()]},
      {self(), [[:alias | make_ref()] | term()]},
      {self(), term()},
      {dead(), make_ref()},
      {term(), term()},
      {:x, make_ref()},
      {nil, term(), term()},
      term()
    ])
  end

  defp call do
    one_of([
      :status,
      :own_name,
      :await_name,
      {:await, wish()},
      {:await, term()},
      member({:reach, text()}),
      member({:reach, term()}),
      member({:members, text(), terms(&text/0)}),
      member({:members, term(), term()}),
      member(term()),
      {:dns_mesh, term(), term()},
      term()
    ])
  end

  defp news, do: one_of([:poll, member({:leaving, text()}), member({:leaving, term()})])
  defp member(message), do: {:dns_mesh, 1, message}

  defp wish do
    whole = %{
      peers: one_of([:discovered, 1, 99, 0, -1, term()]),
      timeout: one_of([0, 1, 10, -1, 86_400_001, 1.5, term()]),
      on_timeout: one_of([:continue, :stop, nil, term()])
    }

    one_of([whole, Map.drop(whole, [one_of([:peers, :timeout, :on_timeout])])])
  end

  defp info(pid, parent) do
    one_of([
      {one_of([:poll, :deadline, :waited, :wake]), term()},
      one_of([:poll, :fill, :name_guess, :name_late, :timeout]),
      {make_ref(), term()},
      {make_ref(), {one_of([:ok, :error]), term()}},
      {:DOWN, one_of([make_ref(), nil, term()]), one_of([:process, :port, term()]), term(),
       reason()},
      {:EXIT, one_of([self(), pid, parent, dead(), term()]), reason()},
      {one_of([:nodeup, :nodedown]), node_name()},
      {one_of([:nodeup, :nodedown]), one_of([node_name(), term()]), node_info()},
      {:io_reply, term(), term()},
      {:io_request, term(), term(), term()},
      {:tcp, term(), term()},
      {:timeout, term(), term()},
      {:system, term()},
      {:system, term(), term(), term()}
    ])
  end

  # What ends a process with its parent is :shutdown; and not :kill, which is no mail.
  defp reason do
    case one_of([:boom, :normal, :killed, {:shutdown, :x}, {:joined, term()}, term()]) do
      :shutdown -> :noproc
      other -> other
    end
  end

  # Never more atoms than these.
  defp node_name,
    do: one_of([node(), :ghost@nowhere, :"ghost@127.0.0.9", :"app@::1", :x, :@, nil])

  defp node_info do
    one_of([
      [],
      [node_type: one_of([:visible, :hidden, 1, nil]), nodedown_reason: term()],
      [{:nodedown_reason, term()} | term()],
      %{node_type: :visible},
      term()
    ])
  end

  ## Terms

  defp text do
    one_of([
      "app@127.0.0.2",
      "app@127.0.0.9",
      "ghost@nowhere.invalid",
      "a@b@c",
      "@",
      "",
      <<255, 0, 254>>,
      "b\u0308ücher@☂",
      String.duplicate("a", 300),
      Atom.to_string(node())
    ])
  end

  defp terms(one), do: for(_ <- 1..:rand.uniform(4), do: one.())

  defp term(depth \\ 3) do
    leaf = fn -> term(depth - 1) end

    if depth == 0 or :rand.uniform(2) == 1 do
      leaf()
    else
      case :rand.uniform(6) do
        1 -> List.to_tuple(terms(leaf))
        2 -> terms(leaf)
        3 -> [leaf.() | leaf.()]
        4 -> Map.new(terms(fn -> {leaf.(), leaf.()} end))
        5 -> [{one_of([:peers, :node_type, :reason]), leaf.()}]
        6 -> fn -> leaf end
      end
    end
  end

  defp leaf do
    one_of([
      nil,
      true,
      :x,
      :ok,
      :error,
      :infinity,
      0,
      -1,
      1.5,
      99_999_999_999_999_999_999,
      "text",
      ~c"text",
      text(),
      <<1::7>>,
      {},
      [],
      %{},
      MapSet.new([1]),
      1..2,
      make_ref(),
      self(),
      dead(),
      &__MODULE__.send!/3
    ])
  end

  defp dead, do: spawn(fn -> :ok end)

  defp one_of(list), do: Enum.random(list)
end

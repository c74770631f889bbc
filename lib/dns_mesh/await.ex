defmodule DNSMesh.Await do
  @options [
    {:peers, :discovered, "a positive integer or :discovered",
     "what is waited for. A number: so many peers are connected. `:discovered`: the first discovery is over, that is, " <>
       "every query item has had a first conclusive answer, and everyone listed there is connected, held, refused, or has " <>
       "failed once."},
    {:timeout, 30_000, "an integer from 0 to 86400000 (milliseconds)",
     "milliseconds to wait at most; with 0 it is only looked at."},
    {:on_timeout, :continue, ":continue or :stop",
     "what comes after that: `:continue` starts what follows in the child list all the same, with a warning in the log; " <>
       "`:stop` gives an error, with which the supervisor, and so the application, does not start."},
    {:name, DNSMesh, "an atom", "the instance that is waited for."}
  ]
  @keys Enum.map(@options, &elem(&1, 0))
  @day 86_400_000

  @moduledoc """
  A child that holds up those after it until the cluster is there.

  Put it behind `DNSMesh`, and before what needs the other nodes:

      children = [
        DNSMesh,
        {DNSMesh.Await, peers: 2, timeout: 30_000, on_timeout: :continue},
        MyApp.Singleton
      ]

  While it waits its supervisor waits, and nothing else: DNSMesh goes on polling and joining. When it is done it is gone:
  there is no process of it, and it does not wait again when a sibling is restarted. `DNSMesh.await/2` waits at any other
  place, `DNSMesh.ready?/2` only looks.

  Where DNSMesh has no query and does not start, there is nothing to wait for: `DNSMesh.Await` is `:ignore` too, at once
  and without a word. So a laptop without `DNS_CLUSTER_QUERY` starts as before.

  A platform that lists a node only once it is ready makes all nodes wait for each other: see the
  [guide to readiness](readiness.html).

  ## Options

  #{Enum.map_join(@options, "\n", fn {key, default, _expected, doc} -> "  * `#{inspect(key)}` - #{doc} Default: `#{inspect(default)}`." end)}

  ## When the first discovery is over

  `peers: :discovered` is for what needs to know the others, however few they are: it is over soon on a cluster of one, too.
  Records are a conclusive answer, and so are *no such name* and *no records*: then there is nobody to wait for, and it is
  over, for the first node of a cluster finds nobody. A name server that fails or stays silent has not answered. Someone
  who is refused (`:allow`, the wrong IP version), held, or could not be connected once, and is tried again later, has had
  its turn. A node without a name of its own discovers nobody but an empty list. Once over, it stays so for as long as the
  instance runs, whoever comes and goes.
  """

  alias DNSMesh.{Options, Status, Telemetry, Words}

  # For the Poller to say itself that the time is over.
  @patience 5_000
  # Of the peers that are missing.
  @shown 5

  @doc """
  The child specification: started once, never restarted.
  """
  @spec child_spec(keyword()) :: Supervisor.child_spec()
  def child_spec(opts) do
    name = if Keyword.keyword?(opts), do: Keyword.get(opts, :name, DNSMesh), else: DNSMesh

    %{
      id: {__MODULE__, name},
      start: {__MODULE__, :start_link, [opts]},
      type: :worker,
      # One that is restarted with its siblings would hold up a running system.
      restart: :temporary
    }
  end

  @doc """
  Waits, and gives `:ignore`: nothing stays behind. `{:error, sentence}` with `on_timeout: :stop` when the time is over, or
  when no instance of that name runs. Raises `ArgumentError` for an option that is unknown or has the wrong type.

      iex> DNSMesh.start_link(query: :ignore, name: :no_query)
      iex> DNSMesh.Await.start_link(name: :no_query, peers: 2, on_timeout: :stop)
      :ignore
  """
  @spec start_link(keyword()) :: :ignore | {:error, String.t()}
  def start_link(opts \\ []) do
    opts = options!(opts, @keys)

    if ignored?(opts.name) and Process.whereis(opts.name) == nil do
      :ignore
    else
      opts |> wait() |> outcome(opts)
    end
  end

  defp outcome(:ok, _opts), do: :ignore
  defp outcome({:error, :timeout}, %{on_timeout: :continue}), do: :ignore

  # There is no instance that could tell it.
  defp outcome({:error, :not_running} = result, %{on_timeout: :continue} = opts) do
    counts = %{duration: 0, peers: 0, connected: 0}
    told = %{wanted: opts.peers, result: result, on_timeout: :continue, missing: []}
    Telemetry.emit([:await, :stop], counts, Map.put(told, :mesh, opts.name), :info)
    :ignore
  end

  defp outcome({:error, reason}, %{on_timeout: :stop} = opts),
    do: {:error, sentence(reason, opts)}

  @doc false
  # `DNSMesh.await/2`.
  @spec await(atom(), keyword()) :: :ok | {:error, :timeout | :not_running}
  def await(name, opts),
    do:
      opts
      |> options!(@keys -- [:on_timeout, :name])
      |> Map.merge(%{name: name, on_timeout: nil})
      |> wait()

  @doc false
  # `DNSMesh.ready?/2`.
  @spec ready?(atom(), keyword()) :: boolean()
  def ready?(name, opts) do
    opts = opts |> options!([:peers]) |> Map.merge(%{name: name, timeout: 0, on_timeout: nil})
    wait(opts) == :ok
  end

  @doc false
  # Whether the last start of an instance of that name came to nothing for want of a query. Somebody who waits has no
  # other way to tell that from a child that is missing, or stands too late in the list: its supervisor is busy with
  # starting the one who asks.
  @spec ignored(atom(), boolean()) :: :ok
  def ignored(name, ignored?) do
    cond do
      ignored?(name) == ignored? -> :ok
      ignored? -> :persistent_term.put({__MODULE__, name}, true)
      true -> :persistent_term.put({__MODULE__, name}, false)
    end
  end

  defp ignored?(name), do: :persistent_term.get({__MODULE__, name}, false)

  defp wait(%{name: name, timeout: timeout} = opts) do
    GenServer.call(
      name,
      {:await, Map.take(opts, [:peers, :timeout, :on_timeout])},
      timeout + @patience
    )
  catch
    :exit, {:timeout, _call} -> {:error, :timeout}
    :exit, _not_there -> {:error, :not_running}
  end

  ## What is said where it stops

  defp sentence(:not_running, opts), do: "DNSMesh.Await: " <> Words.nobody_to_wait_for(opts.name)

  defp sentence(:timeout, opts) do
    picture = opts.name |> DNSMesh.status() |> Status.to_line(@shown)

    "DNSMesh.Await: waited #{Words.duration(opts.timeout)} for #{Words.awaited(opts.peers)}. #{picture}. Mend that " <>
      "(DNSMesh.doctor() tells more); or raise :timeout, lower :peers, or start without them by on_timeout: :continue"
  end

  ## Options

  defp options!(opts, keys) do
    :ok = Options.known!(opts, keys)

    for {key, default, expected, _doc} <- @options, key in keys, into: %{} do
      value = Keyword.get(opts, key, default)

      valid?(key, value) ||
        raise ArgumentError,
              "expected #{inspect(key)} to be #{expected}, got: #{inspect(value)}"

      {key, value}
    end
  end

  defp valid?(:peers, peers), do: peers == :discovered or (is_integer(peers) and peers > 0)
  defp valid?(:timeout, ms), do: is_integer(ms) and ms in 0..@day
  defp valid?(:on_timeout, value), do: value in [:continue, :stop]
  defp valid?(:name, name), do: is_atom(name) and name not in [nil, true, false]
end

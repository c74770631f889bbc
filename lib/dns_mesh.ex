defmodule DNSMesh do
  @external_resource "README.md"
  @moduledoc """
  Clusters the nodes that share a DNS name.

  Put it into the supervision tree, before whatever wants the cluster (Phoenix.PubSub, say), and set the environment
  variable `DNS_CLUSTER_QUERY` at run time:

      children = [
        DNSMesh,
        {Phoenix.PubSub, name: MyApp.PubSub},
        MyAppWeb.Endpoint
      ]

  Every few seconds it asks the name servers, and dials what is new. Without a query it does not start: on a laptop
  nothing happens. See `start_link/1` for the options, `status/1` for what it sees, `DNSMesh.Telemetry` for its events.

  ## Coming from dns_cluster

  Change one word; the options are the same.

      {DNSMesh, query: Application.get_env(:my_app, :dns_cluster_query) || :ignore}
  """

  alias DNSMesh.{
    Answer,
    Await,
    Config,
    Diagnosis,
    Distribution,
    Doctor,
    Error,
    NameFile,
    Options,
    OwnName,
    Poller,
    Query,
    Resolver,
    Status,
    TestRun
  }

  @lookup_keys [:type, :nameservers, :timeout]

  @doc """
  Starts an instance, linked to the caller.

  ## Options

  #{Config.docs()}

  Times are milliseconds.

  Returns `{:ok, pid}`; `:ignore` when there is no query; `{:error, sentence}` when the native library cannot be loaded;
  `{:error, {:already_started, pid}}` when the name is taken. Raises `ArgumentError` for an option that is unknown or has
  the wrong type.

      iex> DNSMesh.start_link(query: :ignore)
      :ignore
  """
  @spec start_link(keyword()) ::
          {:ok, pid()} | :ignore | {:error, String.t() | {:already_started, pid()}}
  def start_link(opts \\ []) do
    opts = opts |> named() |> TestRun.guard(TestRun.now?())

    with %Config{} = config <- Config.new!(opts),
         :ok <- Await.ignored(config.name, false),
         :ok <- library(config),
         :ok <- NameFile.claim(),
         {:ok, pid} <- Poller.start_link(config) do
      await_name(pid, config.name_timeout)
      {:ok, pid}
    else
      :ignore ->
        :ok = Await.ignored(opts[:name], true)
        :ignore

      error ->
        error
    end
  end

  # The Poller answers by then in any case; the second is for a machine that is busy booting.
  defp await_name(_pid, 0), do: :ok

  defp await_name(pid, timeout) do
    GenServer.call(pid, :await_name, timeout + 1_000)
  catch
    :exit, _late_or_dead -> :ok
  end

  # Here rather than in Config: that module's table is part of this one's documentation, and may not need this one.
  defp named(opts),
    do: if(Keyword.keyword?(opts), do: Keyword.put_new(opts, :name, __MODULE__), else: opts)

  # A :resolver module needs no native resolver.
  defp library(%Config{resolver: nil}), do: Resolver.ready()
  defp library(_config), do: :ok

  @doc """
  The child specification: `:id` is the instance's name, restarted permanently, 5 s to stop.
  """
  @spec child_spec(keyword()) :: Supervisor.child_spec()
  def child_spec(opts) do
    id = if Keyword.keyword?(opts), do: Keyword.get(opts, :name, __MODULE__), else: __MODULE__

    %{
      id: id,
      start: {__MODULE__, :start_link, [Options.hide_cookie(opts)]},
      type: :worker,
      restart: :permanent,
      shutdown: 5_000
    }
  end

  @doc """
  What an instance sees: its own node, the last answer or error of each query, and every peer with its state.

  Answers at once, whatever DNS and peers do, and also when the instance is not running. See `DNSMesh.Status`.

      iex> DNSMesh.status(:no_such_instance).state
      :not_running
  """
  @spec status(atom()) :: Status.t()
  def status(name \\ __MODULE__) do
    name |> GenServer.call(:status) |> Status.running()
  catch
    # Not there, or gone while we asked.
    :exit, _reason -> Status.not_running(name)
  end

  @doc """
  This node's own address, and why it is that one: `{:ok, %{ip: tuple, interface: String.t() | nil, because: atom}}`.

  `:because` is `:boot_name` (the node was named by it before), `:option` (the option `:address`), `:in_answer` (an
  interface's address that the DNS answer lists), `:route_to_peer` (the way to a peer in the answer leads over it),
  `:platform_hint` (`POD_IP`, `FLY_PRIVATE_IP` …, and it is on an interface) or `:only_address`.

  `{:error, reason}` where it is not known, or not yet; see `DNSMesh.Error`. Works without a running instance too, then
  without answers.
  """
  @spec address(atom()) ::
          {:ok, %{ip: :inet.ip_address(), interface: String.t() | nil, because: atom()}}
          | {:error, Error.reason()}
  def address(name \\ __MODULE__), do: own(name, &OwnName.address/2)

  @doc """
  This node's name as text, `{:ok, "app@10.0.0.5"}`: the one it has, else the one it would take, from its basename and
  `address/1`. `{:error, reason}` as there. Makes no atom.
  """
  @spec node_name(atom()) :: {:ok, String.t()} | {:error, Error.reason()}
  def node_name(name \\ __MODULE__), do: own(name, &OwnName.name/2)

  defp own(name, ask) do
    with :ok <- loaded() do
      {own_name, lookups} = own_state(name)
      ask.(own_name, lookups)
    end
  end

  defp own_state(name) do
    GenServer.call(name, :own_name)
  catch
    :exit, _not_running -> OwnName.nobody()
  end

  @doc """
  Tells why `Node.list()` is empty, or not as full as it should be: walks from DNS to the handshake with each peer, prints
  what it found as a table, then one verdict and one fix, and returns them. See `DNSMesh.Diagnosis`.

  In a release: `bin/my_app rpc "DNSMesh.doctor()"`. Where none runs: `bin/my_app eval "DNSMesh.doctor(exit: true)"`, and
  `mix dns_mesh.doctor app.internal` in the project. `DNSMesh.doctor(opts)` is `DNSMesh.doctor(DNSMesh, opts)`.

  Asks the name servers anew, probes the epmd and the distribution port of every peer that is not connected, and begins
  the handshake with those that answer, as a hidden node `dns_mesh_doctor@…` that leaves at once. It connects nobody and
  parts nobody. A wrong cookie leaves a line in the log of the peer, as with any dial.

  ## Options

    * `:query` - examines this query rather than the instance: from a VM that need not be a member. It is then no fault
      that nobody is connected. The options of `start_link/1` may stand beside it.
    * `:timeout` - milliseconds it may take in all. Default: `5_000`.
    * `:print` - `:json` prints one JSON object on one line (`DNSMesh.Diagnosis.to_map/1`), `false` nothing. Default: `true`.
    * `:exit` - with `true` the calling process ends by `exit({:shutdown, status})` unless nothing is wrong: 1 where
      something is, 2 for wrong options, which are then said on standard error. `bin/my_app eval` and `rpc`, `mix run -e` and
      `elixir -e` make this their exit status; no VM that runs is ended. Default: `false`.

  Raises `ArgumentError` for a wrong option.

      iex> DNSMesh.doctor(:no_such_instance, query: :ignore, print: false).verdict
      :query_not_set
  """
  @spec doctor(atom() | keyword(), keyword()) :: Diagnosis.t()
  def doctor(name \\ __MODULE__, opts \\ [])
  def doctor(opts, []) when is_list(opts), do: Doctor.run(__MODULE__, opts)
  def doctor(name, opts), do: Doctor.run(name, opts)

  @doc "Begins a round of lookups now; `{:error, :not_running}` when there is no such instance."
  @spec poll(atom()) :: :ok | {:error, :not_running}
  def poll(name \\ __MODULE__) do
    if GenServer.whereis(name), do: GenServer.cast(name, :poll), else: {:error, :not_running}
  end

  @doc """
  Waits until the cluster is there, in the calling process; nothing else waits. For a place in the list of children there
  is `DNSMesh.Await`.

  ## Options

    * `:peers` - how many peers have to be connected, a positive integer; or `:discovered`: the first discovery is over,
      see `DNSMesh.Await`. Default: `:discovered`.
    * `:timeout` - milliseconds to wait at most. Default: `30_000`.

  Gives `:ok`, `{:error, :timeout}`, or `{:error, :not_running}` when there is no such instance: it is not started yet, or
  never, for there is no query. Raises `ArgumentError` for a wrong option. `await(peers: 2)` is `await(DNSMesh, peers: 2)`.

      iex> DNSMesh.await(:no_such_instance, peers: 2)
      {:error, :not_running}
  """
  @spec await(atom(), keyword()) :: :ok | {:error, :timeout | :not_running}
  def await(name \\ __MODULE__, opts), do: Await.await(name, opts)

  @doc """
  Whether the cluster is there, at this moment: for a health check. Takes `:peers` as `await/2` does; `false` also where no
  such instance runs.

  With a number it is `false` again when a peer goes; with `:discovered`, the default, it stays `true`. Read the
  [guide to readiness](readiness.html) before a platform asks it: one that lists only ready nodes would wait for ever.

      iex> DNSMesh.ready?(:no_such_instance, peers: 2)
      false
  """
  @spec ready?(atom(), keyword()) :: boolean()
  def ready?(name \\ __MODULE__, opts), do: Await.ready?(name, opts)

  @doc """
  Leaves the cluster, in good order: nobody is dialled any more, questions of others about this node are answered with no,
  and the members are told once that it leaves; they do not dial it for 60 s, or until it comes back by itself.

  The links stay: they fall with the VM. A supervisor that stops the instance has the same done. `status/1` and `doctor/2`
  say from then on that it leaves. To come back without a restart of the VM, restart the instance.
  """
  @spec leave(atom()) :: :ok | {:error, :not_running}
  def leave(name \\ __MODULE__) do
    GenServer.call(name, :leave)
  catch
    :exit, _not_running -> {:error, :not_running}
  end

  @doc """
  Looks up one name, and waits for the answer. Needs no running instance.

  ## Options

    * `:type` - `:a`, `:aaaa` or `:srv`. Default: `:srv` for a name like `_service._proto.…`, else `:a`, or `:aaaa` where
      this node's distribution speaks IPv6.
    * `:nameservers` - as in `start_link/1`. Default: those of `/etc/resolv.conf`.
    * `:timeout` - milliseconds it may take in all. Default: `2_000`.

  Returns `{:ok, %DNSMesh.Answer{}}` or `{:error, reason}`, see `DNSMesh.Error`. Raises `ArgumentError` for a wrong option.

      iex> {:ok, answer} = DNSMesh.lookup("127.0.0.1", type: :a)
      iex> answer.records
      [{127, 0, 0, 1}]
      iex> DNSMesh.lookup("no blanks please")
      {:error, {:bad_name, :blank}}
  """
  @spec lookup(String.t(), keyword()) :: {:ok, Answer.t()} | {:error, Error.reason()}
  def lookup(name, opts \\ []) do
    opts = lookup_options!(name, opts)

    with :ok <- loaded(), :ok <- Resolver.check_name(name) do
      case Resolver.lookup(name, opts.type, opts.nameservers, opts.timeout) do
        {:ok, answer} -> {:ok, answer}
        {:error, failure} -> {:error, failure.reason}
      end
    end
  end

  defp loaded do
    with {:error, sentence} <- Resolver.ready(), do: {:error, {:not_loaded, sentence}}
  end

  defp lookup_options!(name, opts) do
    :ok = Options.keyword!(opts)

    case Keyword.keys(opts) -- @lookup_keys do
      [] ->
        :ok

      [unknown | _] ->
        raise ArgumentError,
              "unknown option #{inspect(unknown)}, expected one of #{inspect(@lookup_keys)}"
    end

    %{
      type: lookup_type!(Keyword.get_lazy(opts, :type, fn -> usual_type(name) end)),
      nameservers:
        if(opts[:nameservers], do: Config.cast!(:nameservers, opts[:nameservers]), else: []),
      timeout: Config.cast!(:timeout, Keyword.get(opts, :timeout, 2_000))
    }
  end

  defp lookup_type!(type) when type in [:a, :aaaa, :srv], do: type

  defp lookup_type!(other),
    do: raise(ArgumentError, "expected :type to be :a, :aaaa or :srv, got: #{inspect(other)}")

  defp usual_type(name) do
    cond do
      is_binary(name) and Query.service?(name) -> :srv
      Distribution.current().family == :inet6 -> :aaaa
      true -> :a
    end
  end
end

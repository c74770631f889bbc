defmodule DNSMesh.Outside do
  @moduledoc false
  # All that the Poller touches beyond itself: the world around this node, DNS, and dialling. Two ways to do it, the
  # VM with the native resolver (`Outside.VM`) and a user's `:resolver` module (`Outside.Module`); one shape for both:
  # whatever may take time is asked for with a ref and comes back as one message.

  alias DNSMesh.{
    Candidates,
    Config,
    IP,
    Lookups,
    Members,
    NodeName,
    Query,
    Resolver,
    Source,
    Static
  }

  alias DNSMesh.Roster.Book

  @typedoc "What is under way: its ref, and the process that does it where there is one to kill."
  @type asked :: {reference(), pid() | nil}

  @doc "Makes ready; called in the Poller."
  @callback open(Config.t()) :: struct()

  @doc "Looks at the world: at once, or by a message whose content `surveyed/2` reads."
  @callback survey(struct()) :: {:now, Book.world()} | {:later, asked()}
  @callback surveyed(struct(), term()) :: {:ok, Book.world()} | {:error, DNSMesh.Error.reason()}

  @doc "Asks DNS; the message's content is read by `answered/3`."
  @callback ask(struct(), Lookups.key(), Candidates.me(), timeout :: pos_integer()) :: asked()
  @callback answered(struct(), Lookups.key(), term()) :: Resolver.result()

  @doc "The addresses of host names, for a source's names; runs in the source's process and takes `timeout` at most."
  @callback addresses(struct(), [String.t()], timeout :: pos_integer()) :: %{
              String.t() => [IP.t()]
            }

  @doc "How long to wait for that message, and what its absence means."
  @callback patience(struct(), timeout :: pos_integer()) ::
              {pos_integer(), DNSMesh.Error.reason()}

  @doc "Dials; runs in a process of its own and takes as long as it takes."
  @callback connect(struct(), node()) :: true | false | :ignored

  @spec open(Config.t()) :: struct()
  def open(%Config{resolver: nil} = config), do: __MODULE__.VM.open(config)
  def open(%Config{} = config), do: __MODULE__.Module.open(config)

  @spec survey(struct()) :: {:now, Book.world()} | {:later, asked()}
  def survey(%way{} = outside), do: way.survey(outside)

  @spec surveyed(struct(), term()) :: {:ok, Book.world()} | {:error, DNSMesh.Error.reason()}
  def surveyed(%way{} = outside, message), do: way.surveyed(outside, message)

  @doc "Asks for what one item lists; a message with the ref follows."
  @spec ask(struct(), Lookups.key(), Candidates.me(), Config.t()) :: asked()
  # What is known needs nobody to be asked, but the message all the same: one shape for all.
  def ask(_outside, {%Query{source: {Static, _names} = source}, :names}, me, config),
    do:
      {tell_ourselves(Source.Runner.call(source, context(me, config), fn _hosts -> %{} end)), nil}

  def ask(outside, {%Query{source: {_module, _arg} = source}, :names}, me, config),
    do: Source.Runner.run(source, context(me, config), addresses(outside, now() + config.timeout))

  def ask(%way{} = outside, key, me, config), do: way.ask(outside, key, me, config.timeout)

  @spec answered(struct(), Lookups.key(), term()) :: Resolver.result()
  def answered(_outside, {%Query{source: {Static, _names}}, :names}, result), do: result
  def answered(_outside, {_query, :names}, message), do: Source.Runner.read(message)
  def answered(%way{} = outside, key, message), do: way.answered(outside, key, message)

  @typedoc "What may be under way."
  @type what ::
          :survey
          | Lookups.key()
          | {:probe | :check, [Book.target()]}
          | {:ask, {NodeName.t(), [NodeName.t()]}}
          | {:look, NodeName.t()}

  @spec patience(struct(), what(), pos_integer()) ::
          {pos_integer(), DNSMesh.Error.reason()}
  def patience(_outside, {_query, :names}, timeout), do: {timeout, :timeout}

  def patience(_outside, {probe, _targets}, _) when probe in [:probe, :check],
    do: {__MODULE__.Probe.patience(), :timeout}

  def patience(_outside, {question, _target}, _) when question in [:ask, :look],
    do: {Members.patience(), :timeout}

  def patience(%way{} = outside, _what, timeout), do: way.patience(outside, timeout)

  @doc "Probes the distribution ports of nodes; a message with the ref follows, which `Outside.Probe.read/2` reads."
  @spec probe(struct(), [Book.target()]) :: asked()
  defdelegate probe(outside, targets), to: __MODULE__.Probe, as: :run

  @doc "Asks members about a target, in a process of its own, whose end is the answer."
  @spec ask_members(Config.t(), NodeName.t(), [node()]) :: asked()
  def ask_members(config, target, members),
    do: apart(fn -> {:asked, Members.ask(config.name, target, members)} end)

  @doc "Looks at a target's members, likewise. Not to be killed: the link that it makes has to be ended."
  @spec look(Config.t(), node(), Candidates.me(), [NodeName.t()]) :: asked()
  def look(config, target, me, silent) do
    {monitor, _pid} =
      apart(fn -> {:looked, Members.look(config.name, target, me.node, silent)} end)

    {monitor, nil}
  end

  defp apart(fun) do
    {pid, monitor} = spawn_monitor(fn -> exit(fun.()) end)
    {monitor, pid}
  end

  @doc "A message to the calling process, of the shape in which all answers come."
  @spec tell_ourselves(term()) :: reference()
  def tell_ourselves(message) do
    ref = make_ref()
    send(self(), {ref, message})
    ref
  end

  @doc "What a source is told; see `DNSMesh.Source`."
  @spec context(Candidates.me(), Config.t()) :: Source.context()
  def context(me, config),
    do: %{mesh: config.name, node: me.node, interval: config.interval, timeout: config.timeout}

  @doc "Lets every source take back what it has put up."
  @spec leave(Config.t(), Candidates.me()) :: :ok
  def leave(config, me) do
    sources = for %Query{source: source} when source != nil <- config.queries, do: source
    Source.Runner.leave(sources, context(me, config))
  end

  # A little before the source's deadline, so that what has been found by then still counts.
  defp addresses(%way{} = outside, deadline),
    do: fn hosts -> way.addresses(outside, hosts, max(deadline - now() - 150, 1)) end

  defp now, do: System.monotonic_time(:millisecond)

  @doc """
  Starts dialling a node: an unlinked, monitored process, whose end (`{:DOWN, monitor, …, {:joined, outcome}}`) is the
  answer. Nothing waits for it and nothing kills it.
  """
  @spec join(struct(), node()) :: {pid(), monitor :: reference()}
  def join(%way{} = outside, node) do
    spawn_monitor(fn ->
      exit(
        {:joined,
         try(do: way.connect(outside, node), catch: (kind, reason -> {:down, {kind, reason}}))}
      )
    end)
  end
end

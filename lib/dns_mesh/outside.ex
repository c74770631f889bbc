defmodule DNSMesh.Outside do
  @moduledoc false
  # All that the Poller touches beyond itself: the world around this node, DNS, and dialling. Two ways to do it, the
  # VM with the native resolver (`Outside.VM`) and a user's `:resolver` module (`Outside.Module`); one shape for both:
  # whatever may take time is asked for with a ref and comes back as one message.

  alias DNSMesh.{Config, Resolver}
  alias DNSMesh.Roster.Book

  @typedoc "What is under way: its ref, and the process that does it where there is one to kill."
  @type asked :: {reference(), pid() | nil}

  @doc "Makes ready; called in the Poller."
  @callback open(Config.t()) :: struct()

  @doc "Looks at the world: at once, or by a message whose content `surveyed/2` reads."
  @callback survey(struct()) :: {:now, Book.world()} | {:later, asked()}
  @callback surveyed(struct(), term()) :: {:ok, Book.world()} | {:error, DNSMesh.Error.reason()}

  @doc "Asks DNS; the message's content is read by `answered/3`."
  @callback ask(struct(), DNSMesh.Lookups.key(), timeout :: pos_integer()) :: asked()
  @callback answered(struct(), DNSMesh.Lookups.key(), term()) :: Resolver.result()

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

  @spec ask(struct(), DNSMesh.Lookups.key(), pos_integer()) :: asked()
  def ask(%way{} = outside, key, timeout), do: way.ask(outside, key, timeout)

  @spec answered(struct(), DNSMesh.Lookups.key(), term()) :: Resolver.result()
  def answered(%way{} = outside, key, message), do: way.answered(outside, key, message)

  @spec patience(struct(), pos_integer()) :: {pos_integer(), DNSMesh.Error.reason()}
  def patience(%way{} = outside, timeout), do: way.patience(outside, timeout)

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

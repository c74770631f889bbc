defmodule Settle.Node do
  @moduledoc false
  # One host's VM: an application like any other that has DNSMesh in its supervision tree, with a record kept beside it.
  # SETTLE_OPTIONS holds DNSMesh's options, or `nil` for a node without it; SETTLE_LIE a name from lie.ex.

  use Application

  alias Settle.Node.{Lie, Recorder}

  @options_as_text "SETTLE_OPTIONS"

  def main do
    {options, _} = @options_as_text |> System.fetch_env!() |> Code.eval_string()
    :ok = Recorder.start(facts())
    if lie = System.get_env("SETTLE_LIE"), do: Lie.tell(lie)

    # An application, so that SIGTERM stops it as a release would be.
    spec = [mod: {__MODULE__, known(options)}, applications: [:kernel, :stdlib, :elixir, :logger]]
    :ok = :application.load({:application, :settle, spec})
    {:ok, _} = Application.ensure_all_started(:settle, :permanent)
    spawn(&obey/0)
  end

  @impl true
  def start(_type, options) do
    children = if options, do: [{DNSMesh, options}], else: []
    Supervisor.start_link(children, strategy: :one_for_one)
  end

  # The driver holds the other end of our input: its end is ours.
  defp obey do
    case "" |> IO.gets() |> words() do
      ["leave"] -> leave()
      # As an application would that sends to a node by its name.
      ["dial", name] -> spawn(fn -> Node.connect(String.to_atom(name)) end)
      ["part", name] -> Node.disconnect(String.to_atom(name))
      _end -> System.halt(0)
    end

    obey()
  end

  defp words(:eof), do: []
  defp words(line), do: String.split(line)

  # A record that says so is clearer than a crash, where the library has no such function.
  defp leave do
    if function_exported?(DNSMesh, :leave, 0),
      do: apply(DNSMesh, :leave, []),
      else: Recorder.say("NO-LEAVE")
  end

  # A library that does not have the option behaves like `ask_first: false`.
  defp known(nil), do: nil
  defp known(options), do: if(asks?(), do: options, else: Keyword.delete(options, :ask_first))

  defp facts do
    [
      otp: System.otp_release(),
      elixir: System.version(),
      asks: asks?(),
      age: :erlang.convert_time_unit(age(), :native, :millisecond)
    ]
  end

  # How long this VM has been running.
  defp age, do: :erlang.monotonic_time() - :erlang.system_info(:start_time)

  defp asks?, do: Enum.any?(DNSMesh.Config.options(), &(elem(&1, 0) == :ask_first))
end

defmodule DNSMesh.Bench.StatusCalls do
  @moduledoc """
  Runs in a VM of its own: one instance, and somebody who asks for its status all the time.
  """

  alias DNSMesh.Bench.Samples

  @pause 3

  @type result :: %{
          status: Samples.t(),
          plain: Samples.t(),
          peers: %{optional(DNSMesh.Peer.state()) => pos_integer()}
        }

  @doc "Starts an instance with these options, lets it run for `settle`, then asks for `duration` milliseconds."
  @spec take(keyword(), settle :: pos_integer(), duration :: pos_integer()) :: result()
  def take(opts, settle, duration) do
    # Log lines are made, and go nowhere: they are not what this bench prints.
    {:ok, _} = Application.ensure_all_started(:logger)
    for handler <- :logger.get_handler_ids(), do: :logger.remove_handler(handler)

    {:ok, idle} = Agent.start_link(fn -> :idle end)
    {:ok, _mesh} = DNSMesh.start_link(opts)
    Process.sleep(settle)

    # Beside each other, so that what the machine and the VM do to one they do to the other.
    [status, plain] =
      [fn -> DNSMesh.status(opts[:name]) end, fn -> Agent.get(idle, & &1) end]
      |> Enum.map(&Task.async(fn -> ask_until(now() + duration, &1, []) end))
      |> Task.await_many(:infinity)

    peers = Enum.frequencies_by(DNSMesh.status(opts[:name]).peers, & &1.state)
    %{status: status, plain: plain, peers: peers}
  end

  defp ask_until(stop_at, ask, samples) do
    # Not in step with the polls.
    Process.sleep(@pause + :rand.uniform(@pause))
    samples = [Samples.time(ask) | samples]
    if now() < stop_at, do: ask_until(stop_at, ask, samples), else: samples
  end

  defp now, do: System.monotonic_time(:millisecond)
end

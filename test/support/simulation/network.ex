defmodule DNSMesh.Test.Simulation.Network do
  @moduledoc """
  Between the hosts of a `DNSMesh.Test.Simulation`: who answers, and how long it takes. In milliseconds; chance is the calling
  process's `:rand`.

  What takes a connection takes round trips, each of which may lose a packet: the first one of a connection is sent again after a
  second, any later one as TCP does, after two round trips and never before 200 ms.
  """

  @resent_first 1_000
  @resent_least 200

  # Milliseconds after which the one that waits gives up.
  @probe_step 1_500
  @setup 7_000

  # Round trips: epmd (connect, ask), the port; a dial takes the handshake besides (name, challenge).
  @epmd [:connect, :exchange]
  @dial @epmd ++ [:connect, :exchange, :exchange]

  defstruct rtt: 0, loss: 0.0, blocked: MapSet.new(), absent: %{}

  @typedoc """
  `absent`: addresses that DNS lists and where no node will ever be: `:refused` (the host answers), `:silent` (nothing
  does), `:epmd` (something accepts at epmd's port, and says nothing).
  """
  @type t :: %__MODULE__{
          rtt: non_neg_integer(),
          loss: float(),
          blocked: MapSet.t({pos_integer, pos_integer}),
          absent: %{pos_integer => :refused | :silent | :epmd}
        }

  @spec new(keyword) :: t
  def new(opts) do
    %__MODULE__{
      rtt: Keyword.get(opts, :rtt, 0),
      loss: Keyword.get(opts, :loss, 0.0),
      blocked: MapSet.new(Keyword.get(opts, :blocked, []), &pair/1),
      absent: Map.new(Keyword.get(opts, :absent, []))
    }
  end

  @spec pair({pos_integer, pos_integer}) :: {pos_integer, pos_integer}
  def pair({a, b}), do: {min(a, b), max(a, b)}

  @spec blocked?(t, pos_integer, pos_integer) :: boolean
  def blocked?(network, a, b), do: pair({a, b}) in network.blocked

  @doc "What a probe of a host finds, whose VM is `:up` (also where it hangs: its kernel answers) or `:down`; and when."
  @spec probe(t, pos_integer, pos_integer, :up | :down) ::
          {{verdict :: term, port :: pos_integer | nil}, delay :: pos_integer}
  def probe(network, from, to, vm) do
    cond do
      blocked?(network, from, to) -> {{{:silent, :epmd}, nil}, @probe_step}
      network.absent[to] in [:silent, :epmd] -> {{{:silent, :epmd}, nil}, @probe_step}
      vm == :down -> {{{:dead, :refused_epmd}, nil}, chance(2..6) + time(network, [:connect])}
      true -> probed(chance(2..6) + time(network, @epmd), time(network, [:connect]))
    end
  end

  # A step that loses packets twice is over before it is answered.
  defp probed(epmd, _port) when epmd >= @probe_step, do: {{{:silent, :epmd}, nil}, @probe_step}

  defp probed(epmd, port) when port >= @probe_step,
    do: {{{:silent, :port}, nil}, epmd + @probe_step}

  defp probed(epmd, port), do: {{:ok, 9_100}, epmd + port}

  @doc "How long it takes to dial a node that answers."
  @spec dial(t) :: pos_integer
  def dial(network), do: chance(10..40) + time(network, @dial)

  @doc "How long one waits for a dial that nobody answers, or that is refused."
  @spec no_dial(t, pos_integer, pos_integer, :hung | :down) :: pos_integer
  def no_dial(network, from, to, vm) do
    if vm == :down and not blocked?(network, from, to) and network.absent[to] in [nil, :refused],
      do: chance(2..6) + time(network, [:connect]),
      else: @setup
  end

  @doc "How long a hidden link takes."
  @spec look(t) :: pos_integer
  def look(network), do: chance(3..10) + time(network, @dial)

  @doc "A message over a link that is there."
  @spec one_way(t) :: pos_integer
  def one_way(network), do: chance(1..3) + div(time(network, [:exchange]), 2)

  defp time(network, steps),
    do: Enum.sum(for step <- steps, do: network.rtt + resent(network, step, 1))

  defp resent(%{loss: loss}, _step, _times) when loss == 0, do: 0

  # Lost on its way there, or the answer on its way back.
  defp resent(network, step, times) do
    if :rand.uniform() < 1 - (1 - network.loss) * (1 - network.loss),
      do: pause(network, step) * times + resent(network, step, times * 2),
      else: 0
  end

  defp pause(_network, :connect), do: @resent_first
  defp pause(network, :exchange), do: max(@resent_least, 2 * network.rtt)

  defp chance(range), do: Enum.random(range)
end

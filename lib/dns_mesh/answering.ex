defmodule DNSMesh.Answering do
  @moduledoc false
  # What other members ask of this one: whether it can reach a node, and whom it is linked to. Pure; the Poller probes
  # and replies.
  #
  # An answer comes from a probe that is younger than 10 s, whoever caused it, so that n nodes that all ask about one never
  # make more than n connects to it, where each asking each would be n x n.

  alias DNSMesh.{NodeName, Members}

  # How long a verdict is repeated. A dead port is mostly one that is about to open: it is looked at anew each time.
  @keep %{ok: 10_000, silent: 10_000, dead: 0, unknown: 0}

  # Whoever was told our members is about to join: the next one to ask hears of it already.
  @promise 5_000

  # And so is, most likely, whom another member has just asked about.
  @let_in 500

  # Bounds against a member gone mad; what is above is not answered, and no answer is a no; or not remembered.
  @max_pending 256
  @max_known 2_048

  # As many as are probed at once.
  @max_lower 16

  defstruct known: %{}, probing: MapSet.new(), pending: [], promised: %{}, let_in: %{}

  @type answer :: :ok | :dead | :silent | :unknown
  @type t :: %__MODULE__{
          known: %{NodeName.t() => {answer(), at :: integer()}},
          probing: MapSet.t(NodeName.t()),
          pending: [%{from: GenServer.from(), about: [NodeName.t()], reply: term()}],
          promised: %{NodeName.t() => until :: integer()},
          let_in: %{NodeName.t() => until :: integer()}
        }
  @type me :: %{
          node: NodeName.t() | nil,
          leaving?: boolean(),
          busy?: boolean(),
          members: [NodeName.t()]
        }
  @type effect :: {:reply, GenServer.from(), term()} | {:check, [NodeName.t()]}

  @doc "A member asks."
  @spec asked(t(), Members.question(), GenServer.from(), me(), integer()) :: {t(), [effect()]}
  def asked(answering, {:reach, node}, from, %{node: node} = me, _now),
    do: {answering, [reply(from, if(me.leaving?, do: :dead, else: :ok))]}

  def asked(answering, {:reach, _name}, from, %{busy?: true}, _now),
    do: {answering, [reply(from, :busy)]}

  def asked(answering, {:reach, name}, from, _me, now) do
    let_in = remember(current(answering.let_in, now), name, now + @let_in)
    find(%{answering | let_in: let_in}, %{from: from, about: [name], reply: :reach}, now)
  end

  def asked(answering, {:members, _asker, _silent}, from, %{leaving?: true}, _now),
    do: {answering, [reply(from, :leaving)]}

  def asked(answering, {:members, asker, silent}, from, me, now) do
    let_in = Map.keys(current(answering.let_in, now)) -- [asker | me.members]

    if Enum.any?(silent, &(&1 in let_in)),
      do: {answering, [reply(from, :busy)]},
      else: tell_members(answering, asker, silent, from, me, now)
  end

  defp tell_members(answering, asker, silent, from, me, now) do
    promised = current(answering.promised, now)
    members = Enum.uniq(me.members ++ Map.keys(promised)) -- [asker]
    answering = %{answering | promised: remember(promised, asker, now + @promise)}
    about = about(members, asker, silent)
    find(answering, %{from: from, about: about, reply: {:members, members}}, now)
  end

  # Each question looks through all of them, so they are bounded.
  defp remember(times, name, _until)
       when map_size(times) >= @max_known and not is_map_key(times, name),
       do: times

  defp remember(times, name, until), do: Map.put(times, name, until)

  defp current(times, now), do: Map.filter(times, fn {_name, until} -> until > now end)

  # Of those who are silent to the asker our members count; who has none tells of those to whom it may have to give way.
  defp about([], asker, silent), do: silent |> Enum.filter(&(&1 < asker)) |> Enum.take(@max_lower)
  defp about(members, _asker, silent), do: Enum.filter(silent, &(&1 in members))

  defp find(%{pending: pending} = answering, _question, _now)
       when length(pending) >= @max_pending,
       do: {answering, []}

  defp find(answering, question, now) do
    answering = forget(answering, now)
    about = Enum.filter(question.about, &NodeName.valid?/1)
    missing = Enum.reject(about, &is_map_key(answering.known, &1))

    case missing do
      [] ->
        {answering, [finish(question, answering)]}

      missing ->
        new = Enum.reject(missing, &(&1 in answering.probing))

        answering = %{
          answering
          | pending: [question | answering.pending],
            probing: MapSet.union(answering.probing, MapSet.new(new))
        }

        {answering, if(new == [], do: [], else: [{:check, new}])}
    end
  end

  @doc "Probes have ended, our own ones or those made for others."
  @spec learnt(t(), %{NodeName.t() => {DNSMesh.Roster.Probing.verdict(), term()}}, integer()) ::
          {t(), [effect()]}
  def learnt(answering, found, now) do
    known =
      for {name, {verdict, _port}} <- found,
          into: answering.known,
          do: {name, {kind(verdict), now}}

    known = if map_size(known) > @max_known, do: Map.take(known, Map.keys(found)), else: known
    probing = MapSet.difference(answering.probing, MapSet.new(Map.keys(found)))
    answering = %{answering | known: known, probing: probing}

    {ready, pending} =
      Enum.split_with(answering.pending, fn question ->
        Enum.all?(question.about, &(is_map_key(known, &1) or not NodeName.valid?(&1)))
      end)

    {%{answering | pending: pending}, Enum.map(ready, &finish(&1, answering))}
  end

  defp kind({:silent, untried}) when untried in [:not_tried, :lost], do: :unknown
  defp kind({kind, _why}), do: kind
  defp kind(:ok), do: :ok

  defp finish(%{reply: :reach, about: [name]} = question, answering),
    do: reply(question.from, answer(answering, name))

  defp finish(%{reply: {:members, members}} = question, answering) do
    answers = Map.new(question.about, &{&1, answer(answering, &1)})
    reply(question.from, {:members, members, answers})
  end

  defp answer(answering, name) do
    case answering.known do
      %{^name => {answer, _at}} -> answer
      _not_a_name -> :unknown
    end
  end

  defp reply(from, answer), do: {:reply, from, Members.answer(answer)}

  defp forget(answering, now) do
    known = Map.filter(answering.known, fn {_name, {answer, at}} -> now - at < @keep[answer] end)
    %{answering | known: known}
  end
end

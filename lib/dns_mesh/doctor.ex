defmodule DNSMesh.Doctor do
  @moduledoc false
  # Why Node.list() is empty: the facts, one verdict on them, and the words for it.
  #
  #   Examine   asks, in a process of its own        ─▶ Facts
  #   Verdict   what of it has to be mended first    (pure)
  #   Words     the sentence and the fix             (pure)
  #   Table     what was looked at                   (pure)

  alias DNSMesh.{Config, Diagnosis, Options, Resolver}
  alias DNSMesh.Doctor.{Examine, Facts, Table, Verdict, Verdicts, Words}

  @timeout 5_000
  @keys [:query, :timeout, :print]

  @doc "Examines, prints unless told otherwise, and returns the diagnosis."
  @spec run(atom(), keyword()) :: Diagnosis.t()
  def run(name, opts) do
    {own, options} = split!(opts)
    diagnosis = name |> facts(own, options) |> diagnose()
    if Keyword.get(own, :print, true), do: IO.puts(Diagnosis.to_text(diagnosis))
    diagnosis
  end

  # The options of start_link/1 are for a query that is examined by itself: an instance has its own.
  defp split!(opts) do
    :ok = Options.keyword!(opts)

    case Keyword.split(opts, @keys) do
      {own, [{key, value} | _] = options} ->
        if Keyword.has_key?(own, :query),
          do: {own, options},
          else:
            raise(
              ArgumentError,
              "unknown option #{inspect(key)}, expected one of #{inspect(@keys)} (and beside :query those of start_link/1), " <>
                "got: #{inspect(value)}"
            )

      {own, []} ->
        {own, []}
    end
  end

  @doc "The judgement, apart from the asking."
  @spec diagnose(Facts.t()) :: Diagnosis.t()
  def diagnose(facts) do
    {kind, about} = Verdict.judge(facts)
    {subject, sentence, fix} = Words.say(kind, about, facts)

    %Diagnosis{
      healthy?: Verdicts.healthy?(kind),
      node: facts.node,
      verdict: kind,
      subject: subject,
      sentence: sentence,
      fix: fix,
      table: Table.rows(facts),
      took: facts.took
    }
  end

  defp facts(name, own, options) do
    timeout = Config.cast!(:timeout, Keyword.get(own, :timeout, @timeout))

    with :ok <- Resolver.ready(),
         {mode, config, instance} <- subject(name, own, options) do
      Examine.facts(mode, config, instance, timeout)
    else
      {:error, sentence} -> %Facts{mode: :not_running, mesh: name, library: sentence}
      # Where a query was to be given, no instance is missed.
      :unset -> %Facts{mode: :unset, mesh: if(Keyword.has_key?(own, :query), do: nil, else: name)}
    end
  end

  # A query that is given is examined by itself; else it is the instance that is asked about.
  defp subject(name, own, options) do
    case {Keyword.fetch(own, :query), instance(name, own)} do
      {{:ok, query}, _} ->
        with %Config{} = config <- config(name, [query: query] ++ options),
             do: {:apart, config, nil}

      {:error, nil} ->
        with %Config{} = config <- config(name, []), do: {missing(), config, nil}

      {:error, {config, _, _, _, _} = instance} ->
        {:running, config, instance}
    end
  end

  # `bin/app eval` runs beside the application, which is another VM.
  defp missing,
    do: if(System.get_env("RELEASE_COMMAND") == "eval", do: :apart, else: :not_running)

  defp config(name, options) do
    with :ignore <- Config.new!([name: name] ++ options), do: :unset
  end

  defp instance(name, own) do
    unless Keyword.has_key?(own, :query), do: GenServer.call(name, :status)
  catch
    :exit, _not_running -> nil
  end
end

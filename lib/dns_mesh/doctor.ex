defmodule DNSMesh.Doctor do
  @moduledoc false
  # Why Node.list() is empty: the facts, one verdict on them, and the words for it.
  #
  #   Examine   asks, in a process of its own        ─▶ Facts
  #   Verdict   what of it has to be mended first    (pure)
  #   Words     the sentence and the fix             (pure)
  #   Table     what was looked at                   (pure)

  alias DNSMesh.{Config, Diagnosis, Distribution, JSON, Options, Resolver, TestRun}
  alias DNSMesh.Doctor.{Examine, Facts, Table, Verdict, Verdicts, Words}

  @timeout 5_000
  @keys [:query, :timeout, :print, :exit]

  # As the programs of an operating system have it.
  @wrong 1
  @misused 2

  @doc "Examines, prints unless told otherwise, and returns the diagnosis; or ends the process, where that is wanted."
  @spec run(term(), term()) :: Diagnosis.t()
  def run(name, opts) do
    {subject, own} = told(name, opts)
    diagnosis = subject |> facts() |> diagnose()
    print(diagnosis, Keyword.get(own, :print, true))
    if own[:exit] && not diagnosis.healthy?, do: exit({:shutdown, @wrong})
    diagnosis
  end

  # What makes no sense is said to whoever calls; to a shell, in words and a status of its own.
  defp told(name, opts) do
    name = name!(name)
    {own, options} = split!(opts)
    {subject(name, own, options), own}
  rescue
    error in ArgumentError ->
      unless Keyword.keyword?(opts) and opts[:exit] == true, do: reraise(error, __STACKTRACE__)
      IO.puts(:stderr, Exception.message(error))
      exit({:shutdown, @misused})
  end

  defp name!(name) when is_atom(name) and name != nil, do: name

  defp name!(other) do
    raise ArgumentError,
          "expected the name of an instance, an atom (or options: DNSMesh.doctor(query: \"app.internal\")), " <>
            "got: #{Options.shape(other)}"
  end

  # The options of start_link/1 are for a query that is examined by itself: an instance has its own.
  defp split!(opts) do
    :ok = Options.keyword!(opts)
    {own, options} = Keyword.split(opts, @keys)
    own!(:print, own, [true, false, :json])
    own!(:exit, own, [true, false])

    case {Keyword.has_key?(own, :query), options} do
      {false, [{key, _value} | _]} ->
        raise ArgumentError,
              "unknown option #{inspect(key)}, expected one of #{inspect(@keys)} (and beside :query those of start_link/1)"

      _its_own ->
        {own, options}
    end
  end

  defp own!(key, own, values) do
    with {:ok, value} <- Keyword.fetch(own, key), false <- value in values do
      raise ArgumentError,
            "expected #{inspect(key)} to be one of #{inspect(values)}, got: #{inspect(value)}"
    end
  end

  defp print(_diagnosis, false), do: :ok
  defp print(diagnosis, true), do: IO.puts(Diagnosis.to_text(diagnosis))

  defp print(diagnosis, :json),
    do: diagnosis |> Diagnosis.to_map() |> JSON.encode() |> IO.puts()

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

  defp facts(%Facts{} = known), do: known

  defp facts({mode, config, instance, timeout}),
    do: %{Examine.facts(mode, config, instance, timeout) | test_run?: TestRun.now?()}

  # What is to be examined; or all there is to know, where that is nothing.
  defp subject(name, own, options) do
    timeout = Config.cast!(:timeout, Keyword.get(own, :timeout, @timeout))

    with :ok <- Resolver.ready(),
         {mode, config, instance} <- whom(name, own, options) do
      {mode, config, instance, timeout}
    else
      {:error, sentence} -> %Facts{mode: :not_running, mesh: name, library: sentence}
      # Where a query was to be given, no instance is missed.
      :unset -> %Facts{mode: :unset, mesh: if(Keyword.has_key?(own, :query), do: nil, else: name)}
    end
  end

  # A query that is given is examined by itself; else it is the instance that is asked about.
  defp whom(name, own, options) do
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
    do: if(Distribution.expected?(), do: :not_running, else: :apart)

  defp config(name, options) do
    with :ignore <- Config.new!([name: name] ++ options), do: :unset
  end

  defp instance(name, own) do
    unless Keyword.has_key?(own, :query), do: GenServer.call(name, :status)
  catch
    :exit, _not_running -> nil
  end
end

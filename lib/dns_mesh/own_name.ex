defmodule DNSMesh.OwnName do
  @moduledoc false
  # Taking a name: carries Naming's decisions out, in the Poller. Asks the ladder, starts distribution in a process of
  # its own, and lets `start_link/1` wait until the name is there.

  alias DNSMesh.{Config, Distribution, Epmd, Fit, Lookups, Naming, NodeName, Problems, Resolver}
  alias DNSMesh.Distribution.Start

  # Environment variables in which a platform tells a process its own address, in the order of trust; each is believed
  # only if it is on an interface.
  @hints ~w(POD_IP MY_POD_IP FLY_PRIVATE_IP RENDER_INTERNAL_IP)

  # Milliseconds between two looks for epmd.
  @check_again 60_000

  @enforce_keys [:naming, :config]
  defstruct [
    :naming,
    :config,
    start: nil,
    waiting: [],
    heard: [],
    fit: %Fit{},
    check: nil,
    check_at: nil
  ]

  @type t :: %__MODULE__{
          naming: Naming.t(),
          config: Config.t(),
          # The monitor of the process that starts distribution.
          start: reference() | nil,
          waiting: [GenServer.from()],
          # What each item has listed in all polls so far: a capped answer (Route 53 gives eight) lists others each time.
          heard: [[:inet.ip_address()]],
          # Whether the name fits the machine.
          fit: Fit.t(),
          # The monitor of the process that looks for epmd at the own address, and when the next one is due.
          check: reference() | nil,
          check_at: integer() | nil
        }
  @type effect :: Problems.effect() | :poll

  # What only the operator can mend is no reason to wait: the name or the port is another VM's, say.
  @for_the_operator [
    :bad_basename_variable,
    :bad_address_variable,
    :no_basename,
    :no_cookie,
    :bad_cookie,
    :wrong_proto,
    :duplicate_name,
    :port_taken,
    :epmd_missing,
    :epmd_port_taken,
    :epmd_elsewhere
  ]

  @spec new(Config.t(), integer()) :: t()
  def new(config, now) do
    naming =
      if wanted?(config),
        do: Naming.seek(basename(config), config.address, now, patience(config)),
        else: Naming.off(now)

    %__MODULE__{naming: naming, config: config}
  end

  @doc "Milliseconds after which the only address will do: in time for the name, which `start_link/1` waits for."
  @spec patience(Config.t()) :: non_neg_integer()
  # Nobody waits for the name then, so that there is no hurry.
  def patience(%{name_timeout: 0}), do: patience(Config.blank())
  def patience(%{name_timeout: timeout}), do: div(timeout * 4, 5)

  @doc "What is known where no instance runs: nothing but this machine."
  @spec nobody() :: {t(), Lookups.t()}
  def nobody do
    config = Config.blank()
    {%__MODULE__{naming: Naming.off(0), config: config}, Lookups.new([], config.interval)}
  end

  @doc "Whether a name is still to be taken."
  @spec pending?(t()) :: boolean()
  def pending?(%__MODULE__{naming: naming}), do: naming.state in [:seeking, :starting]

  @doc "Whether it may have one soon."
  @spec coming?(t()) :: boolean()
  def coming?(own),
    do: pending?(own) and kind(own.naming.obstacle) not in @for_the_operator

  @spec await(t(), GenServer.from()) :: t()
  def await(own, from), do: %{own | waiting: [from | own.waiting]}

  @doc "A lookup has ended, or a round begins: what could not be decided, or failed, is tried again."
  @spec consider(t(), Lookups.t(), integer()) :: {t(), [effect()]}
  def consider(own, lookups, now) do
    cond do
      not pending?(own) or own.start != nil ->
        {own, []}

      # Somebody else has started distribution meanwhile: that name it is.
      Node.alive?() ->
        taken(own, nil, now)

      own.config.fault ->
        own |> note(Naming.refused(own.naming, own.config.fault, now)) |> no_waiting()

      true ->
        decide(own, lookups, now)
    end
  end

  @doc "The process that starts distribution has ended."
  @spec started(t(), term(), integer()) :: {t(), [effect()]}
  def started(own, reason, now) do
    own = %{own | start: nil}

    case reason do
      {:started, {:ok, port}} -> taken(own, port, now)
      {:started, {:error, fault}} -> failed(own, fault, now)
      died -> failed(own, {:start_failed, Exception.format_exit(died)}, now)
    end
  end

  @doc "A round begins: whether the name that this node has fits the machine."
  @spec look(t(), map(), Lookups.t(), integer()) :: {t(), [effect()]}
  def look(
        %{config: %{resolver: nil}} = own,
        %{distribution: %{alive?: true}} = world,
        lookups,
        now
      ) do
    %{node: node, address: ip, basename: basename} = world.distribution

    listed =
      case Lookups.listed(lookups, basename) do
        {:ok, listed} -> listed
        :not_yet -> []
      end

    seen = %{
      node: node,
      ip: ip,
      own: world.own_addresses,
      listed: listed,
      listed_as: fn -> listed_as(world.distribution, listed) end
    }

    {fit, effects} = Fit.look(own.fit, seen, now)
    {look_for_epmd(%{own | fit: fit}, world, now), effects}
  end

  def look(own, _world, _lookups, _now), do: {own, []}

  defp listed_as(distribution, listed) do
    request = %{option: nil, family: distribution.family, answers: listed, hints: []}

    case Resolver.own_address(request) do
      {:ok, %{because: :in_answer, ip: ip}} -> ip
      _another_reason -> nil
    end
  end

  # A node that had its name when it booted has registered at loopback, wherever else its epmd listens.
  defp look_for_epmd(%{check: nil} = own, %{distribution: distribution} = world, now) do
    ip = distribution.address

    if distribution.epmd? and ip in world.own_addresses and
         DNSMesh.IP.class(ip) in [:private, :public] and
         (own.check_at == nil or now >= own.check_at or own.fit.epmd != nil) do
      {_pid, check} = spawn_monitor(fn -> exit({:epmd, Epmd.at(ip)}) end)
      %{own | check: check, check_at: now + @check_again}
    else
      own
    end
  end

  defp look_for_epmd(own, _world, _now), do: own

  @doc "The look for epmd has ended."
  @spec checked(t(), term()) :: t()
  def checked(own, {:epmd, {:error, fault}}), do: put_in(%{own | check: nil}.fit.epmd, fault)
  def checked(own, {:epmd, :ok}), do: put_in(%{own | check: nil}.fit.epmd, nil)
  def checked(own, _died), do: %{own | check: nil}

  @doc "`:name_timeout` is over."
  @spec late(t(), integer()) :: {t(), [effect()]}
  def late(own, now) do
    if pending?(own) and own.waiting != [] do
      {naming, effects} = Naming.late(own.naming, now)
      {let_go(%{own | naming: naming}), effects}
    else
      {own, []}
    end
  end

  @doc "This node's own address: the one it is named by, else what the ladder says now. Runs in the asking process."
  @spec address(t(), Lookups.t()) :: {:ok, Naming.address()} | {:error, DNSMesh.Error.reason()}
  def address(%{naming: %{state: :named, address: %{} = address}}, _lookups), do: {:ok, address}

  def address(own, lookups) do
    case Distribution.current() do
      %{address: ip} when ip != nil ->
        {:ok, %{ip: ip, interface: Resolver.interface_of(ip), because: :boot_name}}

      distribution ->
        basename = own.naming.basename || distribution.basename || basename(own.config)

        heard = Naming.union(own.heard, Lookups.listed(lookups, basename))

        with :ok <- sound(own.config),
             {:ok, address} <- ladder(own.config, heard) do
          if Naming.premature?(own.naming, address, Lookups.answered?(lookups), now()),
            do: {:error, :unanswered},
            else: {:ok, address}
        else
          {:undecided, candidates} -> {:error, {:undecided, candidates}}
          {:error, reason} -> {:error, reason}
        end
    end
  end

  @doc "This node's name: the one it has, else the one it would take."
  @spec name(t(), Lookups.t()) :: {:ok, NodeName.t()} | {:error, DNSMesh.Error.reason()}
  def name(own, lookups) do
    with %{alive?: false} <- Distribution.current(),
         :ok <- sound(own.config),
         {:ok, basename} <- known(basename(own.config)),
         {:ok, address} <- address(own, lookups) do
      NodeName.derive(basename, address.ip)
    else
      %Distribution{node: name} -> {:ok, name}
      {:error, reason} -> {:error, reason}
    end
  end

  ## Deciding

  defp decide(own, lookups, now) do
    listed = Lookups.listed(lookups, own.naming.basename)
    own = %{own | heard: Naming.union(own.heard, listed)}

    if Naming.ready?(own.naming, listed != :not_yet, now),
      do: climb(own, Lookups.answered?(lookups), now),
      else: {own, []}
  end

  defp climb(own, answered?, now) do
    with {:ok, basename} <- known(own.naming.basename),
         {:ok, address} <- ladder(own.config, own.heard),
         false <- Naming.premature?(own.naming, address, answered?, now),
         {:ok, name} <- NodeName.derive(basename, address.ip) do
      {_pid, monitor} = Start.run(name, address.ip, own.config.cookie)
      {%{own | naming: Naming.starting(own.naming, address, name), start: monitor}, []}
    else
      true -> {%{own | naming: Naming.unanswered(own.naming)}, []}
      {:undecided, candidates} -> note(own, Naming.undecided(own.naming, candidates, now))
      {:error, reason} -> own |> note(Naming.refused(own.naming, reason, now)) |> no_waiting()
    end
  end

  defp ladder(config, answers) do
    with {:ok, option} <- option(config.address) do
      Resolver.own_address(%{
        option: option,
        family: Distribution.current().family,
        answers: answers,
        hints: for(name <- @hints, value = System.get_env(name), do: value)
      })
    end
  end

  defp known(nil), do: {:error, :no_basename}
  defp known(basename), do: {:ok, basename}

  defp sound(%{fault: nil}), do: :ok
  defp sound(%{fault: fault}), do: {:error, fault}

  defp option({:env, variable}) do
    with text when text != nil <- System.get_env(variable),
         {:ok, ip} <- text |> String.trim() |> DNSMesh.IP.parse() do
      {:ok, {:literal, ip}}
    else
      _unset_or_none -> {:error, {:no_address_in, variable}}
    end
  end

  defp option(option), do: {:ok, option}

  ## Outcomes

  defp taken(own, port, now) do
    name = Atom.to_string(node())
    address = own.naming.address || %{because: :boot_name, interface: nil}
    {naming, effects} = Naming.named(own.naming, name, now)
    details = %{node: name, port: port, because: address.because, interface: address.interface}
    named = {:event, [:node, :named], %{lasted: now - naming.since}, details}
    {let_go(%{own | naming: naming}), effects ++ [named, :poll]}
  end

  defp failed(own, fault, now) do
    own |> note(Naming.failed(own.naming, fault, own.config.interval, now)) |> no_waiting()
  end

  defp no_waiting({own, effects}),
    do: {if(coming?(own), do: own, else: let_go(own)), effects}

  defp now, do: System.monotonic_time(:millisecond)

  defp kind(reason) when is_tuple(reason), do: elem(reason, 0)
  defp kind(reason), do: reason

  defp note(own, {naming, effects}), do: {%{own | naming: naming}, effects}

  defp let_go(own) do
    for from <- own.waiting, do: GenServer.reply(from, :ok)
    %{own | waiting: []}
  end

  ## Whether, and under which basename

  # As a node of the application's name it would take the real one's place.
  defp wanted?(config) do
    config.resolver == nil and config.distribution == :auto and not Node.alive?() and
      Distribution.expected?()
  end

  @doc "The part of its name before the `@`, where it has no name yet."
  @spec basename(Config.t()) :: String.t() | nil
  # Under no other one where the variable for it is of no use: that would be another application's cluster.
  def basename(%{basename: nil, fault: {:bad_basename_variable, _value}}), do: nil
  def basename(config), do: config.basename || System.get_env("RELEASE_NAME") || mix_app()

  defp mix_app do
    with true <- Code.ensure_loaded?(Mix.Project),
         app when app != nil <- Mix.Project.config()[:app] do
      Atom.to_string(app)
    else
      _no_mix -> nil
    end
  catch
    # `elixir -pa`: Mix can be loaded, and does not run.
    _kind, _not_running -> nil
  end
end

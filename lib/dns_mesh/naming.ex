defmodule DNSMesh.Naming do
  @moduledoc false
  # This node's own name, where it has none yet: how far it is, what is wrong with it, and when that is told. Pure; the
  # ladder itself is in Rust (own_address.rs), starting distribution in Distribution.Start.
  #
  #   :off       nothing to take: the VM is distributed, or is not to be
  #   :seeking   waiting for answers, or for a better one
  #   :starting  the name is decided, distribution is being started
  #   :named     taken; never changed while the VM runs

  alias DNSMesh.{NodeName, Problems}

  @patience 30_000
  # As many as one answer may hold; what a hostile server lists beyond is not worth remembering.
  @heard_max 4_096

  @enforce_keys [:state, :since]
  defstruct [
    :state,
    :since,
    :guess_at,
    :basename,
    :option,
    :address,
    :name,
    :retry_at,
    :obstacle,
    problems: %Problems{}
  ]

  @type because :: :option | :in_answer | :route_to_peer | :platform_hint | :only_address
  @type address :: %{ip: :inet.ip_address(), interface: String.t() | nil, because: because()}
  @type t :: %__MODULE__{
          state: :off | :seeking | :starting | :named,
          since: integer(),
          # When the only address there is will do though nobody has answered.
          guess_at: integer() | nil,
          basename: String.t() | nil,
          option: term(),
          address: address() | nil,
          name: NodeName.t() | nil,
          # After a start that failed: not before this time again.
          retry_at: integer() | nil,
          # What kept it from a name the last time.
          obstacle: DNSMesh.Error.reason() | nil,
          problems: Problems.t()
        }

  @spec off(integer()) :: t()
  def off(now), do: %__MODULE__{state: :off, since: now}

  @doc "`patience` is how long an answer is waited for, where there is nothing else to go by."
  @spec seek(String.t() | nil, option :: term(), integer(), patience :: non_neg_integer()) :: t()
  def seek(basename, option, now, patience \\ 0) do
    %__MODULE__{
      state: :seeking,
      since: now,
      guess_at: now + patience,
      basename: basename,
      option: option
    }
  end

  @doc "Whether it is time to look for an address, `heard?` all lookups that count or not: an option needs none."
  @spec ready?(t(), heard? :: boolean(), integer()) :: boolean()
  def ready?(%__MODULE__{state: :seeking} = naming, heard?, now),
    do: (heard? or naming.option != nil) and (naming.retry_at == nil or now >= naming.retry_at)

  def ready?(_naming, _heard?, _now), do: false

  @doc """
  Whether an address is the only one so far, and no more: a failed lookup is no evidence, and the network that the peers
  are in may be about to come up (`docker network connect` after the start, an overlay).
  """
  @spec premature?(t(), address(), answered? :: boolean(), integer()) :: boolean()
  def premature?(%__MODULE__{state: :seeking} = naming, address, answered?, now),
    do: address.because == :only_address and not answered? and now < naming.guess_at

  def premature?(_naming, _address, _answered?, _now), do: false

  @doc """
  What each item has listed so far, and what it lists now. A capped answer (Route 53 gives eight) lists others each time,
  and this node is in one of them.
  """
  @spec union([[:inet.ip_address()]], {:ok, [[:inet.ip_address()]]} | :not_yet) ::
          [[:inet.ip_address()]]
  def union(heard, :not_yet), do: heard
  def union([], {:ok, answers}), do: answers

  def union(heard, {:ok, answers}) do
    for {before, now} <- Enum.zip(heard, answers),
        do: (now ++ before) |> Enum.uniq() |> Enum.take(@heard_max)
  end

  @spec starting(t(), address(), NodeName.t()) :: t()
  def starting(naming, address, name),
    do: %{naming | state: :starting, address: address, name: name}

  @doc "The name is taken: what was wrong before is over."
  @spec named(t(), NodeName.t(), integer()) :: {t(), [Problems.effect()]}
  def named(naming, name, now) do
    details = %{node: name}

    {%{naming | state: :named, name: name, retry_at: nil}, []}
    |> problem(false, :no_own_address, nil, details, now)
    |> problem(false, :name_not_taken, nil, details, now)
  end

  @doc """
  Several addresses and nothing to choose by: usual for a moment (the first answer may come before this node is in it),
  worth a word when it has lasted for 30 s.
  """
  @spec undecided(t(), [map()], integer()) :: {t(), [Problems.effect()]}
  def undecided(naming, candidates, now) do
    if now - naming.since < @patience,
      do: {%{naming | obstacle: {:undecided, candidates}}, []},
      else: refused(naming, {:undecided, candidates}, now)
  end

  @doc "There is one address, and no answer."
  @spec unanswered(t()) :: t()
  def unanswered(naming), do: %{naming | obstacle: :unanswered}

  @doc "The ladder ended in a reason: an option that names no address of this machine, say."
  @spec refused(t(), DNSMesh.Error.reason(), integer()) :: {t(), [Problems.effect()]}
  def refused(naming, reason, now),
    do:
      problem(
        {%{naming | obstacle: reason}, []},
        true,
        :no_own_address,
        kind(reason),
        %{reason: reason},
        now
      )

  @doc "The start failed; it is tried again after `pause`."
  @spec failed(t(), DNSMesh.Error.reason(), pos_integer(), integer()) ::
          {t(), [Problems.effect()]}
  def failed(naming, reason, pause, now) do
    details = %{node: naming.name, reason: reason}
    naming = %{naming | state: :seeking, retry_at: now + pause, obstacle: reason}
    problem({naming, []}, true, :name_not_taken, kind(reason), details, now)
  end

  @doc "`start_link/1` has waited for as long as it may."
  @spec late(t(), integer()) :: {t(), [Problems.effect()]}
  def late(naming, now), do: problem({naming, []}, true, :name_late, nil, %{}, now)

  @doc "What it waits for, for people."
  @spec obstacle(t()) :: String.t()
  def obstacle(%__MODULE__{obstacle: nil}), do: "the name servers have not answered yet"
  def obstacle(%__MODULE__{obstacle: reason}), do: DNSMesh.Error.message(reason)

  # The face of a problem is its kind: texts and candidates in it may differ each time.
  defp kind(reason) when is_tuple(reason), do: elem(reason, 0)
  defp kind(reason), do: reason

  defp problem({naming, effects}, there?, key, face, details, now) do
    {problems, told} = Problems.check(naming.problems, there?, key, face, details, now, @patience)
    {%{naming | problems: problems}, effects ++ told}
  end
end

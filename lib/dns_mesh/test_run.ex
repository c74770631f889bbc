defmodule DNSMesh.TestRun do
  @moduledoc false
  # A test run starts the application, and has the environment of the shell that it is run in: it must not become a member of
  # whatever cluster that leads to. So there DNSMesh does what it is told in its options, and nothing of itself.

  @doc "Whether Mix runs this VM for tests."
  @spec now?() :: boolean()
  def now? do
    # `mix test` may run under any MIX_ENV.
    Mix.env() == :test or :erlang.module_loaded(Mix.Tasks.Test)
  catch
    # There is no Mix, as in a release, or it does not run: `elixir -pa`.
    _kind, _reason -> false
  end

  @doc "The options, which are then all that counts."
  @spec guard(term(), test_run? :: boolean()) :: term()
  def guard(opts, true) do
    if Keyword.keyword?(opts),
      do: Keyword.merge([query: :ignore, distribution: :manual], opts),
      else: opts
  end

  def guard(opts, false), do: opts

  @doc "What happens in a test run, and what to do where a cluster is wanted there."
  @spec advice() :: String.t()
  def advice do
    "In a test run (mix test, MIX_ENV=test) DNSMesh does not heed DNS_CLUSTER_QUERY, and names no node by itself. Where one is " <>
      "wanted, give the child both: {DNSMesh, query: \"app.internal\", distribution: :auto}"
  end
end

defmodule DNSMesh.ReleaseNaming do
  @moduledoc false
  # Why a release has another name than the block of `mix dns_mesh.gen.env` gives it, and what to do about it: the block is
  # not in its env.sh, or it is, and gave way.

  alias DNSMesh.ReleaseEnv

  @typedoc """
  No block there; a line of env.sh that names the node; a variable that was set, and the other one that may be too; no
  query in the environment; the block's program is missing.
  """
  @type why ::
          :no_block
          | {:by_hand, line :: pos_integer(), variable :: String.t()}
          | {:given, variable :: String.t(), other :: String.t()}
          | :no_query
          | :no_program

  @doc "Why the block has not named this node, which has another name; `nil` where this is no release."
  @spec why((String.t() -> String.t() | nil)) :: why() | nil
  def why(env \\ &System.get_env/1) do
    with name when name != nil <- env.("RELEASE_NAME"), do: why(name, env)
  end

  defp why(name, env) do
    root = env.("RELEASE_ROOT") || ""

    case block(Path.join([root, "releases", env.("RELEASE_VSN") || "", "env.sh"])) do
      {:ok, []} -> gave_way(name, root, env)
      {:ok, [{line, variable} | _]} -> {:by_hand, line, variable}
      :error -> :no_block
    end
  end

  defp block(path) do
    with {:ok, text} <- File.read(path),
         {state, _text} when state in [:current, :outdated] <- ReleaseEnv.amend(text) do
      {:ok, ReleaseEnv.named_by_hand(text)}
    else
      _without -> :error
    end
  end

  # The release's script sets both variables behind env.sh, where they are not set yet: RELEASE_NODE to the release's name,
  # RELEASE_DISTRIBUTION to sname.
  defp gave_way(name, root, env) do
    cond do
      env.("RELEASE_NODE") not in [nil, "", name] ->
        {:given, "RELEASE_NODE", "RELEASE_DISTRIBUTION"}

      not ((env.("DNS_CLUSTER_QUERY") || "") =~ ~r/[^ ,]/) ->
        :no_query

      Path.wildcard(Path.join(root, "lib/dns_mesh-*/priv/native/dns_mesh")) == [] ->
        :no_program

      true ->
        {:given, "RELEASE_DISTRIBUTION", "RELEASE_NODE"}
    end
  end

  @doc "What to do, to stand in a sentence."
  @spec cure(why()) :: String.t()
  def cure(:no_block) do
    "in the folder of mix.exs run mix dns_mesh.gen.env and MIX_ENV=prod mix release --overwrite, and start the release that " <>
      "this builds: it names itself by its own address"
  end

  def cure({:by_hand, line, variable}) do
    "take the line that sets #{variable} (line #{line} of env.sh) out of rel/env.sh.eex, build the release anew, and start " <>
      "it: the block of mix dns_mesh.gen.env, which names the node by its own address, gives way to it"
  end

  def cure({:given, variable, other}) do
    "unset #{variable} in the environment in which this release is started (and #{other}, where it is set), and start it " <>
      "again: its env.sh, which names the node by its own address, gives way to them"
  end

  def cure(:no_query) do
    "set DNS_CLUSTER_QUERY in the environment in which this release is started, and start it again: its env.sh names the " <>
      "node by its own address where that is set, and knows nothing of the option :query"
  end

  def cure(:no_program) do
    "build this release anew: its env.sh, which names the node by its own address, misses its program, " <>
      "lib/dns_mesh-*/priv/native/dns_mesh"
  end
end

defmodule Mix.Tasks.DnsMesh.Gen.Env do
  @shortdoc "Writes rel/env.sh.eex, so that a release is named by its own address"
  @moduledoc """
  Writes `rel/env.sh.eex`, or amends the one that is there, so that a release is named by its own address.

      $ mix dns_mesh.gen.env
      $ MIX_ENV=prod mix release

  A release boots with a short name by default, under which no node in another container or on another machine can join
  it. With this file, and with the environment variable `DNS_CLUSTER_QUERY`, `bin/app start` asks DNS, finds out which
  of the machine's addresses is its own, and boots as `app@10.0.0.5`. `start`, `start_iex`, `daemon`, `daemon_iex`,
  `remote`, `rpc`, `stop`, `restart` and `pid` then all go by that one name, also when DNS is down. Without
  `DNS_CLUSTER_QUERY` nothing changes.

  Your own lines in the file stay. What DNSMesh needs stands between two marks, and only what stands there is written
  anew when this task is run again, for instance after an update of DNSMesh. Running it twice changes nothing.

  Where a release sets `:rel_templates_path` in `mix.exs`, the file is written there. `RELEASE_NODE` and
  `RELEASE_DISTRIBUTION`, where something else sets them, win; this task names lines of the file that do.

  See the [guide to releases](releases.html) for what the lines do and heed.

  ## Options

    * `--check` - write nothing; exit with status 1, saying why, unless everything is there and up to date.
      Good in CI.
  """

  use Mix.Task

  alias DNSMesh.ReleaseEnv

  @file_name "env.sh.eex"
  @default_folder "rel"

  @impl true
  @spec run([String.t()]) :: :ok
  def run(arguments) do
    check? = check?(arguments)

    if Mix.Project.get() == nil or not File.regular?("mix.exs") do
      Mix.raise(
        "mix dns_mesh.gen.env writes into a Mix project: run it in the folder that holds mix.exs"
      )
    end

    # All are read before one is written: half the work done is worse than none.
    files = for path <- paths(), do: {path, amend(path)}
    if check?, do: check(files), else: Enum.each(files, &write/1)
  end

  defp check?(arguments) do
    case OptionParser.parse(arguments, strict: [check: :boolean]) do
      {options, [], []} ->
        Keyword.get(options, :check, false)

      _unknown ->
        Mix.raise(
          "expected mix dns_mesh.gen.env, or mix dns_mesh.gen.env --check, got: #{Enum.join(arguments, " ")}"
        )
    end
  end

  defp paths do
    folders =
      for {_name, release} <- Mix.Project.config()[:releases] || [] do
        # As `mix release` takes them: a list, or a function that gives one.
        options = if is_function(release, 0), do: release.(), else: release
        options[:rel_templates_path] || @default_folder
      end

    folders = if folders == [], do: [@default_folder], else: Enum.uniq(folders)
    Enum.map(folders, &Path.join(&1, @file_name))
  end

  defp amend(path) do
    with {:ok, text} <- read(path),
         {state, text} when state in [:current, :missing, :outdated] <- ReleaseEnv.amend(text) do
      {state, text}
    else
      {:error, fault} -> Mix.raise(sentence(path, fault))
    end
  end

  defp read(path) do
    case File.read(path) do
      {:ok, text} -> {:ok, text}
      {:error, :enoent} -> {:ok, nil}
      {:error, reason} -> {:error, {:unreadable, reason}}
    end
  end

  defp check(files) do
    case for({path, {state, _}} <- files, state != :current, do: complaint(path, state)) do
      [] -> Enum.each(files, &write/1)
      complaints -> Mix.raise(Enum.join(complaints, "\n"))
    end
  end

  defp complaint(path, :outdated),
    do: "#{path} holds the lines of another version of DNSMesh: run mix dns_mesh.gen.env"

  defp complaint(path, :missing) do
    if File.exists?(path),
      do: "#{path} lacks the lines of DNSMesh: run mix dns_mesh.gen.env",
      else: "#{path} is missing: run mix dns_mesh.gen.env"
  end

  defp write({path, {:current, text}}) do
    Mix.shell().info("#{path} is up to date")
    note(path, text)
  end

  defp write({path, {_state, text}}) do
    verb = if File.exists?(path), do: "updating", else: "creating"

    with :ok <- File.mkdir_p(Path.dirname(path)),
         :ok <- File.write(path, text) do
      Mix.shell().info([:green, "* #{verb} ", :reset, path])
      note(path, text)
    else
      {:error, reason} -> Mix.raise(sentence(path, {:unwritable, reason}))
    end
  end

  defp note(path, text) do
    for {line, variable} <- ReleaseEnv.named_by_hand(text) do
      Mix.shell().info(
        "#{path} sets #{variable} itself, in line #{line}, and that wins. Remove the line, and DNSMesh names the node"
      )
    end

    :ok
  end

  defp sentence(path, {:unreadable, reason}),
    do: "cannot read #{path}: #{:file.format_error(reason)}"

  defp sentence(path, {:unwritable, reason}),
    do: "cannot write #{path}: #{:file.format_error(reason)}"

  defp sentence(path, {:no_end, line}),
    do:
      "#{path} has the lines of DNSMesh without their end, from line #{line} on: delete what is left of them, and run this again"

  defp sentence(path, {:no_begin, line}),
    do:
      "#{path} has the lines of DNSMesh without their beginning, up to line #{line}: delete what is left of them, and run this again"

  defp sentence(path, {:twice, line}),
    do:
      "#{path} has the lines of DNSMesh twice, the second time from line #{line} on: delete these, and run this again"
end

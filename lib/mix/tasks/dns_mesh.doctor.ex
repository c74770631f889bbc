defmodule Mix.Tasks.DnsMesh.Doctor do
  @shortdoc "Tells why nodes do not find each other"
  @moduledoc """
  Tells why nodes do not find each other, without the application running: walks from DNS to the handshake with each node
  that a query lists, prints what it found as a table, then one verdict and one fix.

      $ mix dns_mesh.doctor app.internal
      $ DNS_CLUSTER_QUERY=app.internal mix dns_mesh.doctor

  It looks from this machine, under the name that DNSMesh would give this project here, and joins nobody. Where the
  application runs, ask it itself, which knows more: `DNSMesh.doctor()` in its shell, or in a release
  `bin/my_app rpc "DNSMesh.doctor()"`. A release has no Mix; where it does not run:
  `bin/my_app eval "DNSMesh.doctor(exit: true)"`. The verdicts are listed in `DNSMesh.Diagnosis`, and in the
  [guide](doctor.html).

  Where the nodes speak IPv6, or do without epmd, this VM has to be told so too:

      $ ELIXIR_ERL_OPTIONS="-proto_dist inet6_tcp" mix dns_mesh.doctor app.internal
      $ ELIXIR_ERL_OPTIONS="-start_epmd false -erl_epmd_port 9100" mix dns_mesh.doctor app.internal

  ## Options

    * `--json` - prints one JSON object rather than text: `healthy`, `node`, `verdict`, `subject`, `sentence`, `fix`,
      `table` (objects with `step`, `subject`, `ok`, `said`) and `took` (milliseconds).
    * `--basename` - the nodes' basename, where the query gives none. Default: `RELEASE_NAME`, else the name of this
      project's application.
    * `--cookie` - the nodes' cookie. Default: that of the VM, `RELEASE_COOKIE`, or the file `.erlang.cookie`; without one,
      the handshake ends before its proof.
    * `--nameserver` - a name server to ask, `10.0.0.2` or `127.0.0.1:8600`; may be given several times. Default: those of
      `/etc/resolv.conf`.
    * `--address` - this machine's own address.
    * `--timeout` - milliseconds it may take in all. Default: 5000.

  The exit status is 0 when nothing is wrong, 1 when something is, 2 for wrong usage.
  """

  use Mix.Task

  # As DNSMesh.doctor/2 with :exit has it.
  @misused 2

  @switches [
    json: :boolean,
    basename: :string,
    cookie: :string,
    nameserver: :keep,
    address: :string,
    timeout: :integer
  ]

  @impl true
  @spec run([String.t()]) :: :ok
  def run(arguments) do
    {options, query} = parse(arguments)
    Mix.Task.run("loadpaths")
    {:ok, _} = Application.ensure_all_started(:dns_mesh)

    query = query || System.get_env("DNS_CLUSTER_QUERY") || :ignore
    _healthy = DNSMesh.doctor([query: query, exit: true] ++ given(options))
    :ok
  end

  defp parse(arguments) do
    case OptionParser.parse(arguments, strict: @switches) do
      {options, [], []} ->
        {options, nil}

      {options, [query], []} ->
        {options, query}

      _unknown ->
        Mix.raise(
          "expected mix dns_mesh.doctor [QUERY] [--json] [--basename NAME] [--cookie COOKIE] [--nameserver ADDRESS] " <>
            "[--address ADDRESS] [--timeout MS], got: #{DNSMesh.Options.show_arguments(arguments)}",
          exit_status: @misused
        )
    end
  end

  defp given(options) do
    nameservers =
      case Keyword.get_values(options, :nameserver) do
        [] -> []
        servers -> [nameservers: servers]
      end

    print = if options[:json], do: :json, else: true

    [print: print] ++
      Keyword.take(options, [:basename, :cookie, :address, :timeout]) ++ nameservers
  end
end

defmodule Mix.Tasks.DnsMesh.Status do
  @shortdoc "Shows what DNSMesh sees at a node that runs"
  @moduledoc """
  Asks a node that runs what DNSMesh sees there, and prints it: `DNSMesh.status/1` as a table.

      $ mix dns_mesh.status app@10.0.0.5
      DNSMesh: 1 of 2 peers connected
      node   app@10.0.0.5    named by its address, IPv4 distribution
      query  app.internal A  3 records from 10.0.0.53:53, 2 s ago
      …

  Without a name it asks the node that this project would be on this machine, as `DNSMesh.node_name/1` derives it.

  The link it makes is a hidden one, under a name that the other node lends: no epmd is needed for it, and no member sees
  somebody come or go. In a release, which has no Mix: `bin/my_app rpc "IO.puts(DNSMesh.status())"`.

  Where the nodes speak IPv6, or do without epmd, this VM has to be told so too:

      $ ELIXIR_ERL_OPTIONS="-proto_dist inet6_tcp" mix dns_mesh.status app@fd00::5
      $ ELIXIR_ERL_OPTIONS="-start_epmd false -erl_epmd_port 9100" mix dns_mesh.status app@10.0.0.5

  ## Options

    * `--cookie` - the node's cookie. Default: `RELEASE_COOKIE`, else that of the file `.erlang.cookie`.
    * `--name` - the instance, where it is not `DNSMesh`: `MyApp.Mesh`, or `:jobs`.
    * `--json` - prints `DNSMesh.Status.to_json/1` instead.

  The exit status is 1 when the node cannot be asked.
  """

  use Mix.Task

  alias DNSMesh.{Cookie, Error, NodeName, Options}

  @switches [cookie: :string, name: :string, json: :boolean]
  @timeout 10_000

  @impl true
  @spec run([String.t()]) :: :ok
  def run(arguments) do
    {options, node} = parse(arguments)
    Mix.Task.run("loadpaths")

    node = target(node)
    cookie = cookie(options)
    distribute(node)
    if cookie, do: Node.set_cookie(node, NodeName.trusted(cookie))
    connect(node)

    status = ask(node, DNSMesh, :status, [mesh(options)])
    way = if options[:json], do: :to_json, else: :to_text
    node |> ask(DNSMesh.Status, way, [status]) |> Mix.shell().info()
  end

  defp parse(arguments) do
    case OptionParser.parse(arguments, strict: @switches) do
      {options, [], []} ->
        {options, nil}

      {options, [node], []} ->
        {options, node}

      _unknown ->
        Mix.raise(
          "expected mix dns_mesh.status [NODE] [--cookie COOKIE] [--name INSTANCE] [--json], got: #{Options.show_arguments(arguments)}"
        )
    end
  end

  defp target(nil) do
    case DNSMesh.node_name() do
      {:ok, name} -> target(name)
      {:error, reason} -> Mix.raise("no node is given, and #{Error.message(reason)}. " <> usage())
    end
  end

  defp target(name) do
    case NodeName.to_atom(name) do
      {:ok, node} ->
        node

      {:error, _no_name} ->
        Mix.raise("expected the name of a node, got: #{name}. " <> usage())
    end
  end

  defp usage, do: "Name one: mix dns_mesh.status app@10.0.0.5"

  defp cookie(options) do
    case Cookie.find(options[:cookie]) do
      {:ok, cookie, _where} -> cookie
      {:error, :no_cookie} -> Mix.raise("there is no cookie: give that of the node with --cookie")
      {:error, fault} -> Mix.raise(Error.message(fault))
    end
  end

  # Under no name of its own: the node that is asked lends one (OTP's dynamic node names), and this VM listens nowhere.
  defp distribute(node) do
    long? = node |> Atom.to_string() |> String.contains?([".", ":"])

    {name, domain} =
      if long?,
        do: {:"undefined@127.0.0.1", :longnames},
        else: {:undefined@localhost, :shortnames}

    started = if Node.alive?(), do: :ok, else: :net_kernel.start(name, %{name_domain: domain})

    with {:error, reason} <- started,
         do: Mix.raise("distribution does not start here: #{inspect(reason)}"),
         else: (_alive -> :ok)
  end

  # Hidden, also where this VM is a node already.
  defp connect(node) do
    unless :net_kernel.hidden_connect_node(node) do
      Mix.raise(
        "cannot connect to #{node}. Check that it runs under that very name, that its cookie is the one used here " <>
          "(--cookie, RELEASE_COOKIE), and that its ports are open; mix dns_mesh.doctor looks further"
      )
    end
  end

  defp mesh(options) do
    case options[:name] do
      nil -> DNSMesh
      ":" <> name -> NodeName.trusted(name)
      name -> NodeName.trusted("Elixir." <> name)
    end
  end

  defp ask(node, module, function, arguments) do
    :erpc.call(node, module, function, arguments, @timeout)
  rescue
    # The node has no such function, or has gone.
    error in [ErlangError, UndefinedFunctionError] ->
      Mix.raise(
        "#{node} does not tell (#{Exception.message(error)}): has it DNSMesh, of this version?"
      )
  end
end

defmodule DNSMesh.Build.ReleaseTest do
  # DNSMesh as its users meet it: a path dependency of another Mix app, and inside that app's release.
  use ExUnit.Case, async: false

  import DNSMesh.Test.BuildFolder, only: [run: 4, write!: 3]

  alias DNSMesh.Test.{BuildFolder, Ports, ScriptedDNS, TestNode}

  @moduletag timeout: 300_000

  @fault_marker "dns_mesh: fault injection is compiled in"

  # Starts as a Phoenix app would, asks once, prints the answer and ends.
  @shop """
  defmodule Shop do
    use Application

    @impl true
    def start(_type, _args) do
      mesh = {DNSMesh, query: "app.internal", nameservers: nameservers(), log: false, distribution: :manual}
      children = [mesh, {Task, &ask_and_stop/0}]
      Supervisor.start_link(children, strategy: :one_for_one)
    end

    # Of the escript.
  def main([]) do
    {:error, sentence} = DNSMesh.start_link(query: "app.internal")
    IO.puts(sentence)
    DNSMesh.doctor(query: "app.internal", exit: true)
  end

  def ask(name) do
      {:ok, answer} = DNSMesh.lookup(name, type: :a, nameservers: nameservers())
      IO.puts("\#{name} is \#{inspect(answer.records)}, says \#{answer.server}")
    end

    defp ask_and_stop do
      ask("app.internal")
      System.stop(0)
    end

    defp nameservers, do: [System.fetch_env!("NAME_SERVER")]
  end
  """

  setup_all do
    folder = BuildFolder.new!()
    write!(folder, "mix.exs", BuildFolder.shop_mix_exs())
    write!(folder, "lib/shop.ex", @shop)

    cargo = BuildFolder.cargo_folder()

    # PATH and all else as the developer has it: Rust is the real one here.
    {output, status} =
      run(folder, "mix", ["release"], [{"MIX_ENV", "prod"}, {"CARGO_TARGET_DIR", cargo}])

    assert status == 0, output
    %{folder: folder, release: Path.join(folder, "_build/prod/rel/shop"), output: output}
  end

  setup do
    dns = start_supervised!({ScriptedDNS, zone: %{{"app.internal", :a} => ["10.20.30.40"]}})

    %{
      dns: dns,
      environment: [{"NAME_SERVER", ScriptedDNS.address(dns)}, {"RELEASE_DISTRIBUTION", "none"}]
    }
  end

  test "the app compiles without a warning", %{output: output} do
    assert output =~ "Generated dns_mesh app"
    refute output =~ "warning"
  end

  test "its release starts and resolves a name", context do
    {output, status} = shop(context, ["start"])
    assert status == 0, output

    assert output =~
             "app.internal is [{10, 20, 30, 40}], says #{ScriptedDNS.address(context.dns)}"

    assert [_ | _] = ScriptedDNS.queries(context.dns, "app.internal", :a)
  end

  test "from a folder with blanks and other letters too, all modules loaded at boot or each when it is needed",
       context do
    odd = Path.join([BuildFolder.new!(), "mëin prøjekt ☂", "dns_mesh"])
    File.mkdir_p!(odd)
    moved = Path.join(odd, "shop")
    File.cp_r!(context.release, moved)

    for mode <- ["embedded", "interactive"] do
      environment = [{"RELEASE_MODE", mode} | context.environment]
      {output, status} = run(odd, Path.join(moved, "bin/shop"), ["start"], environment)
      assert {mode, status} == {mode, 0}, output
      assert output =~ "app.internal is [{10, 20, 30, 40}]"
    end
  end

  test "so does bin/shop eval, where no application is started", context do
    ask = ~S'for name <- ["app.internal", "127.0.0.1"], do: Shop.ask(name)'
    {output, status} = shop(context, ["eval", ask])
    assert status == 0, output
    assert output =~ "app.internal is [{10, 20, 30, 40}]"
    assert output =~ "127.0.0.1 is [{127, 0, 0, 1}], says literal"
  end

  test "an escript carries no native library: it is not told to be built anew", context do
    environment = [{"MIX_ENV", "prod"}, {"CARGO_TARGET_DIR", BuildFolder.cargo_folder()}]
    {output, 0} = run(context.folder, "mix", ["escript.build"], environment)
    assert output =~ "Generated escript shop"
    file = Path.join(context.folder, "shop")
    {said, 1} = run(context.folder, file, [], [])

    for line <- String.split(said, "\n"), line =~ "cannot load" do
      assert line =~
               "it would lie inside #{file}, and no system loads a library from within a file"

      assert line =~ "run the project as a release (mix release)"
      refute line =~ "anew"
    end

    assert [_, _] = Regex.scan(~r/cannot load/, said)
  end

  # For a container that has only a shell.
  describe "the doctor, by bin/shop eval" do
    setup context do
      port = Ports.free_port()
      ScriptedDNS.put(context.dns, {"app.internal", :a}, ["127.0.0.2", "127.0.0.3"])
      for n <- 2..3, do: TestNode.start!(name: "app@127.0.0.#{n}", epmd: {:fixed, port})
      flags = {"ERL_AFLAGS", "-start_epmd false -erl_epmd_port #{port}"}
      query = {"DNS_CLUSTER_QUERY", "app.internal"}
      %{context | environment: [flags, query, {"RELEASE_NAME", "app"} | context.environment]}
    end

    defp doctor(context, options, environment) do
      # The address is for a machine that has several.
      servers = ~s(nameservers: ["#{ScriptedDNS.address(context.dns)}"], address: "127.0.0.9")

      expression =
        "DNSMesh.doctor(query: System.get_env(\"DNS_CLUSTER_QUERY\"), #{servers}, #{options})"

      context = update_in(context.environment, &(&1 ++ environment))
      shop(context, ["eval", expression])
    end

    test "status 0 where every node answers and takes the cookie, 1 where not, 2 for wrong usage",
         context do
      cookie = [{"RELEASE_COOKIE", "dns_mesh_test"}]
      {text, 0} = doctor(context, "exit: true", cookie)
      assert text =~ "2 nodes listed, and every one answers and takes the cookie.\n"

      {text, 1} = doctor(context, "exit: true", [{"RELEASE_COOKIE", "another"}])
      assert text =~ "app@127.0.0.2, app@127.0.0.3: it does not take this node's cookie."
      assert text =~ "\nFix: give all nodes the same one"

      {text, 2} = doctor(context, "exit: true, timeout: :soon", cookie)
      assert text =~ ~r/\Aexpected :timeout to be an integer.*\n\z/
    end

    test "as JSON", context do
      {json, 1} = doctor(context, "print: :json, exit: true", [{"RELEASE_COOKIE", "another"}])
      assert [line] = String.split(json, "\n", trim: true)
      assert line =~ ~r/\A\{.*"healthy": false,.*"verdict": "wrong_cookie"\}\z/
    end

    # As the guide has it, word for word.
    test "without a query, it asks for one", context do
      context = update_in(context.environment, &(&1 ++ [{"DNS_CLUSTER_QUERY", nil}]))
      {text, 1} = shop(context, ["eval", "DNSMesh.doctor(exit: true)"])
      assert text =~ "DNS_CLUSTER_QUERY is not set"
    end
  end

  test "the library that ships has no fault injection, the tests' library has it", context do
    shipped = native(context, "libdns_mesh_nif.so")
    refute fault_injection?(shipped)
    assert fault_injection?(Application.app_dir(:dns_mesh, "priv/native/libdns_mesh_nif.so"))
  end

  test "the program for env.sh is in the release, and runs before there is a VM", context do
    program = native(context, "dns_mesh")
    assert Bitwise.band(File.stat!(program).mode, 0o777) == 0o755

    arguments = ~w(lookup app.internal --nameserver) ++ [ScriptedDNS.address(context.dns)]
    assert run(context.release, program, arguments, []) == {"10.20.30.40\n", 0}

    query = ~w(node-name --query 127.0.0.1 --basename shop)
    assert run(context.release, program, query, []) == {"shop@127.0.0.1\n", 0}
  end

  test "nothing else is there", context do
    assert [native] = Path.wildcard("#{context.release}/lib/dns_mesh-*/priv/native")
    assert Enum.sort(File.ls!(native)) == ["dns_mesh", "libdns_mesh_nif.so"]
  end

  defp native(context, name) do
    assert [path] = Path.wildcard("#{context.release}/lib/dns_mesh-*/priv/native/#{name}")
    path
  end

  defp shop(context, arguments) do
    run(context.release, Path.join(context.release, "bin/shop"), arguments, context.environment)
  end

  defp fault_injection?(library) do
    :binary.match(File.read!(library), @fault_marker) != :nomatch
  end
end

defmodule DNSMesh.Doctor.ProgramTest do
  # `dns_mesh doctor`, the program that needs no VM, at real nodes.
  use ExUnit.Case, async: true

  alias DNSMesh.Test.{Epmd, HungPeer, Ports, ScriptedDNS, ScriptedEpmd, TestNode}

  @name {"app.internal", :a}
  @both ["127.0.0.2", "127.0.0.3"]

  setup do
    %{dns: start_supervised!({ScriptedDNS, zone: %{@name => @both}}), port: Ports.free_port()}
  end

  # In an environment that holds nothing of this machine's.
  defp run(arguments, dns, env) do
    program = Application.app_dir(:dns_mesh, "priv/native/dns_mesh")

    unset =
      ~w(DNS_CLUSTER_QUERY RELEASE_NAME RELEASE_COOKIE ERL_EPMD_PORT ERL_AFLAGS ERL_FLAGS ERL_ZFLAGS) ++
        ~w(ELIXIR_ERL_OPTIONS POD_IP)

    arguments = ["doctor" | arguments] ++ ["--nameserver", ScriptedDNS.address(dns)]
    env = Map.merge(Map.new(unset, &{&1, nil}), Map.new(env))
    System.cmd(program, arguments, env: Map.to_list(env), stderr_to_stdout: true)
  end

  defp fixed(port, more \\ []),
    do: [{"ERL_AFLAGS", "-start_epmd false -erl_epmd_port #{port}"} | more]

  defp app!(n, port), do: TestNode.start!(name: "app@127.0.0.#{n}", epmd: {:fixed, port})

  test "nodes that answer, and the cookie in RELEASE_COOKIE", %{dns: dns, port: port} do
    for n <- 2..3, do: app!(n, port)
    arguments = ["app.internal", "--basename", "app"]

    {text, 0} = run(arguments, dns, fixed(port))

    assert text =~
             "2 nodes listed beside this machine, and every one answers; no cookie was tried."

    cookie = [{"RELEASE_COOKIE", "dns_mesh_test"}]
    {text, 0} = run(arguments, dns, fixed(port, cookie))
    assert text =~ ~r/^ok  peer +app@127.0.0.3 +port #{port} open; takes the cookie$/m
    assert text =~ "and every one answers and takes the cookie."

    {json, 0} = run(["--json" | arguments], dns, fixed(port, cookie))
    assert json =~ ~s("healthy":true) and json =~ ~s("verdict":"reachable")

    {text, 1} = run(arguments, dns, fixed(port, [{"RELEASE_COOKIE", "another"}]))
    assert text =~ "app@127.0.0.2, app@127.0.0.3: it does not take the cookie in RELEASE_COOKIE."
    assert text =~ "\nFix: give all nodes the same RELEASE_COOKIE"
  end

  test "without a basename, whatever node answers is taken by its name", %{dns: dns, port: port} do
    app!(2, port)
    TestNode.start!(name: "worker@127.0.0.3", epmd: {:fixed, port})
    {text, 0} = run(["app.internal"], dns, fixed(port, [{"RELEASE_COOKIE", "dns_mesh_test"}]))
    assert text =~ "answers as worker@127.0.0.3; takes the cookie"
  end

  test "nodes that are named by their hosts", %{dns: dns, port: port} do
    ScriptedDNS.put(dns, @name, ["127.0.0.2"])
    hosts = %{"a.svc.test" => "127.0.0.2"}
    TestNode.start!(name: "app@a.svc.test", epmd: {:fixed, port}, hosts: hosts)
    env = fixed(port, [{"RELEASE_COOKIE", "dns_mesh_test"}])
    {text, 0} = run(["app.internal", "--basename", "app"], dns, env)
    assert text =~ "answers as app@a.svc.test; takes the cookie"
  end

  test "what epmd knows", %{dns: dns, port: port} do
    epmd = Epmd.start!(addresses: ["127.0.0.2"])
    TestNode.start!(name: "app@127.0.0.2", epmd: {:port, epmd.port})

    other =
      start_supervised!(
        {ScriptedEpmd, ip: "127.0.0.3", port: epmd.port, says: [{"worker", port}]}
      )

    env = [{"ERL_EPMD_PORT", "#{epmd.port}"}]
    arguments = ["app.internal", "--basename", "app"]

    {text, 1} = run(arguments, dns, env)
    assert text =~ ~s(app@127.0.0.3: epmd answers but knows only "worker".)

    assert text =~
             ~s(Fix: start it with basename app (--name app@127.0.0.3\), or query "*@app.internal".)

    {text, 1} = run(["*@app.internal"], dns, env)
    assert text =~ "worker@127.0.0.3: epmd answers for it, and nobody listens"
    ScriptedEpmd.says(other, [])
    {text, 1} = run(arguments, dns, env)
    assert text =~ "app@127.0.0.3: epmd answers and knows no such node."

    :ok = stop_supervised(ScriptedEpmd)
    {text, 1} = run(arguments, dns, env)
    assert text =~ "app@127.0.0.3: the host answers, and no epmd runs there (port #{epmd.port})."

    start_supervised!({HungPeer, ip: "127.0.0.3", port: epmd.port})
    {text, 1} = run(arguments ++ ["--timeout", "1500"], dns, env)
    assert text =~ "app@127.0.0.3: epmd's port, #{epmd.port}, does not answer"
  end

  test "DNS", %{dns: dns} do
    for {behaviour, name, verdict} <- [
          {:nxdomain, "app.internal", "no_such_name"},
          {:no_records, "app.internal", "no_records"},
          {:silent, "app.internal", "server_silent"},
          {:refused, "app.internal", "server_refused"},
          {:servfail, "app.internal", "server_failed"},
          {:nxdomain, "app.local", "local_name"}
        ] do
      ScriptedDNS.put(dns, {name, :a}, behaviour)
      {json, 1} = run([name, "--json", "--timeout", "500"], dns, [])
      assert json =~ ~s("verdict":"#{verdict}"), json
    end

    ScriptedDNS.put(dns, @name, :no_records)
    ScriptedDNS.put(dns, {"app.internal", :aaaa}, ["fdaa::1"])
    {json, 1} = run(["app.internal", "--json"], dns, [])
    assert json =~ ~s("verdict":"wrong_family")
  end

  test "addresses that are no node's own", %{dns: dns, port: port} do
    ScriptedDNS.put(dns, @name, ["127.0.0.1"])
    {json, 1} = run(["app.internal", "--json"], dns, fixed(port))
    assert json =~ ~s("verdict":"only_myself")
    ScriptedDNS.put(dns, @name, ["127.0.0.100"])
    {json, 1} = run(["app.internal", "--json"], dns, fixed(port))
    assert json =~ ~s("verdict":"virtual_ip")
  end

  test "every verdict is one of the doctor's", %{dns: dns} do
    {json, 1} = run(["--json"], dns, [])
    assert json =~ ~s("verdict":"query_not_set")
    source = File.read!("native/dns_mesh_cli/src/verdict.rs")
    texts = for [_, text] <- Regex.scan(~r/Self::\w+ => "(\w+)",/, source), do: text
    assert texts != []
    assert texts -- Enum.map(DNSMesh.Doctor.Verdicts.kinds(), &to_string/1) == []
  end

  test "what makes no sense ends with status 2", %{dns: dns} do
    assert {text, 2} = run(["a", "b"], dns, [])
    assert text =~ "unexpected argument"
    assert {text, 2} = run(["a b"], dns, [])
    assert text =~ "contains a blank"
  end
end

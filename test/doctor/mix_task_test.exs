defmodule DNSMesh.Doctor.MixTaskTest do
  # The task as a user runs it: a process of its own, its output, its exit status.
  use ExUnit.Case, async: true

  alias DNSMesh.Test.{Ports, ScriptedDNS, TestNode}

  setup do
    zone = %{{"app.internal", :a} => ["127.0.0.2", "127.0.0.3"]}
    %{dns: start_supervised!({ScriptedDNS, zone: zone}), port: Ports.free_port()}
  end

  # As the task's documentation has it, for nodes without epmd. The address is for a machine that has several.
  defp run(arguments, dns, port) do
    arguments =
      ["dns_mesh.doctor" | arguments] ++
        ["--nameserver", ScriptedDNS.address(dns), "--address", "127.0.0.9"]

    env = [
      {"MIX_ENV", "test"},
      {"DNS_CLUSTER_QUERY", nil},
      {"ELIXIR_ERL_OPTIONS", "-start_epmd false -erl_epmd_port #{port}"}
    ]

    System.cmd("mix", arguments, env: env, stderr_to_stdout: true)
  end

  test "nodes that answer and take the cookie: status 0, without a process of the application",
       context do
    for n <- 2..3, do: TestNode.start!(name: "app@127.0.0.#{n}", epmd: {:fixed, context.port})
    options = ["app.internal", "--basename", "app", "--cookie", "dns_mesh_test"]
    {text, 0} = run(options, context.dns, context.port)
    assert text =~ "2 nodes listed, and every one answers and takes the cookie.\n"

    {json, 0} = run(options ++ ["--json"], context.dns, context.port)
    assert json =~ ~s("healthy": true) and json =~ ~s("verdict": "reachable")
    assert json |> String.trim() |> String.split("\n") |> length() == 1
  end

  test "a wrong cookie: status 1, and where the cookie tried is from", context do
    TestNode.start!(name: "app@127.0.0.2", epmd: {:fixed, context.port})
    ScriptedDNS.put(context.dns, {"app.internal", :a}, ["127.0.0.2"])
    options = ["app.internal", "--basename", "app", "--cookie", "another"]
    assert {text, 1} = run(options, context.dns, context.port)
    assert text =~ "app@127.0.0.2: it does not take this node's cookie."
    assert text =~ "\nFix: give all nodes the same one"
  end

  test "without a query it asks for one; what makes no sense is said", context do
    assert {text, 1} = run([], context.dns, context.port)
    assert text =~ "Fix: name what is to be examined: mix dns_mesh.doctor app.internal"
    # A status of its own: whoever asks by a script has nothing to mend at the nodes.
    assert {text, 2} = run(["a", "b"], context.dns, context.port)
    assert text =~ "expected mix dns_mesh.doctor [QUERY]"
    assert {text, 2} = run(["a b"], context.dns, context.port)
    assert text =~ "expected every item of :query to be a host name"
    refute text =~ "(ArgumentError)"
  end
end

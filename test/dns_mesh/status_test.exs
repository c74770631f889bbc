defmodule DNSMesh.StatusTest do
  use ExUnit.Case, async: true
  doctest DNSMesh.Status

  alias DNSMesh.{Answer, Error, Status}
  alias DNSMesh.Test.{Mesh, Ports, ScriptedDNS, TestNode}

  @answer %Answer{
    records: [{10, 0, 0, 2}, {10, 0, 0, 3}],
    ttl: 30,
    name: "app.internal",
    server: "10.0.0.53:53"
  }

  @status %Status{
    name: DNSMesh,
    state: :running,
    node: "app@10.0.0.2",
    naming: "named by its address, IPv4 distribution",
    connected: ["app@10.0.0.3", "tool@10.0.0.9"],
    queries: [
      %{
        query: "app.internal",
        type: :a,
        answer: @answer,
        answer_age: 5_000,
        error: :servfail,
        error_age: 200,
        server: "10.0.0.53:53"
      }
    ],
    peers: [
      %{
        name: "app@10.0.0.2",
        state: :refused,
        reason: :self,
        failures: 0,
        since: 42_000,
        next_attempt: nil
      },
      %{
        name: "app@10.0.0.3",
        state: :connected,
        reason: nil,
        failures: 0,
        since: 41_000,
        next_attempt: nil
      },
      %{
        name: "app@10.0.0.104",
        state: :waiting,
        reason: {:connect_failed, 7_004},
        failures: 2,
        since: 900,
        next_attempt: 17_000
      }
    ]
  }

  describe "in a terminal" do
    test "it is a table, each line of which begins with what it is about" do
      table = """
      DNSMesh: 1 of 2 peers connected
      node    app@10.0.0.2    named by its address, IPv4 distribution
      query   app.internal A  the name server failed (SERVFAIL) from 10.0.0.53:53, 200 ms ago; before that 2 records from 10.0.0.53:53, 5 s ago
      peer    app@10.0.0.2    refused for 42 s    this node itself
      peer    app@10.0.0.3    connected for 41 s
      peer    app@10.0.0.104  waiting for 900 ms  could not connect (gave up after 7004 ms), again in 17 s
      linked  tool@10.0.0.9   in no answer
      """

      assert "#{@status}\n" == table
      assert inspect(@status) == "#DNSMesh.Status<\n#{table}>"
    end

    test "a name that is very long moves only its own line" do
      long = %{hd(@status.peers) | name: "app@#{String.duplicate("a", 200)}.internal"}
      lines = %{@status | peers: @status.peers ++ [long]} |> to_string() |> String.split("\n")
      assert "peer    app@10.0.0.2    refused for 42 s    this node itself" in lines
      assert "peer    #{long.name}  refused for 42 s    this node itself" in lines
    end

    test "that the instance leaves is in its first line" do
      [line | _] = String.split("#{%{@status | state: :leaving, because: "it leaves"}}", "\n")
      assert line == "DNSMesh: 1 of 2 peers connected; it leaves"
    end

    test "where nothing runs it says why" do
      text = inspect(DNSMesh.status(:no_such_instance))

      assert text =~
               ~r/\A#DNSMesh.Status<\nDNSMesh is not running: no process is registered as :no_such_instance, .+\.\nnode  nonode@nohost  not distributed: nobody can be joined\n>\z/
    end
  end

  describe "to_map/1" do
    test "has the struct's keys, and nothing that JSON does not have" do
      map = Status.to_map(@status)
      assert Enum.sort(Map.keys(map)) == @status |> Map.from_struct() |> Map.keys() |> Enum.sort()

      assert %{
               name: "DNSMesh",
               state: "running",
               queries: [
                 %{
                   type: "a",
                   error: "servfail",
                   message: "the name server failed (SERVFAIL)",
                   answer: %{records: ["10.0.0.2", "10.0.0.3"], truncated: false, fault: nil}
                 }
               ],
               peers: [
                 %{reason: "self", state: "refused"},
                 %{reason: nil, message: nil, state: "connected"},
                 %{
                   reason: "connect_failed",
                   message: "could not connect (gave up after 7004 ms)",
                   next_attempt: 17_000
                 }
               ]
             } = map

      assert plain?(map)
    end

    test "of answers that are no addresses" do
      service = %{
        target: "a.internal",
        port: 4369,
        priority: 0,
        weight: 1,
        addresses: [{0xFD00, 0, 0, 0, 0, 0, 0, 5}]
      }

      listed = %{name: "app@b.internal", addresses: []}

      for {record, plain} <- [
            {service, %{service | addresses: ["fd00::5"]}},
            {listed, listed}
          ] do
        answer = %{@answer | records: [record], fault: {:junk_names, 3}}
        [query] = @status.queries
        map = Status.to_map(%{@status | queries: [%{query | answer: answer}]})
        assert [%{answer: %{records: [^plain], fault: "3 of the names" <> _}}] = map.queries
        assert plain?(map)
      end
    end

    test "of whatever a :resolver module or the VM gives as a reason" do
      for reason <- [{:weird, self()}, "text", %{a: 1}, {1, 2}] do
        peers = [%{hd(@status.peers) | reason: reason}]
        map = Status.to_map(%{@status | peers: peers})
        assert plain?(map)
        assert hd(map.peers).message == Error.message(reason)
      end
    end

    test "documents every key" do
      {:docs_v1, _, _, _, %{"en" => moduledoc}, _, docs} = Code.fetch_docs(Status)
      {_, _, _, %{"en" => doc}, _} = List.keyfind(docs, {:function, :to_map, 1}, 0)
      map = Status.to_map(@status)

      for part <- [map, hd(map.queries), hd(map.queries).answer, hd(map.peers)],
          key <- Map.keys(part),
          do: assert(moduledoc <> doc =~ "`:#{key}`", "#{key} is not documented")
    end

    test "to_json/1 is the same in JSON" do
      json = Status.to_json(@status)
      assert json =~ ~s("connected": ["app@10.0.0.3", "tool@10.0.0.9"])

      assert json =~
               ~s("name": "app@10.0.0.104", "next_attempt": 17000, "reason": "connect_failed")

      refute json =~ "\n"
    end
  end

  defp plain?(map) when is_map(map) and not is_struct(map),
    do: Enum.all?(map, fn {key, value} -> is_atom(key) and plain?(value) end)

  defp plain?(list) when is_list(list), do: Enum.all?(list, &plain?/1)
  defp plain?(value), do: is_binary(value) or is_number(value) or value in [nil, true, false]

  describe "mix dns_mesh.status" do
    setup do
      dns = start_supervised!({ScriptedDNS, zone: %{{"app.internal", :a} => ["127.0.0.2"]}})
      port = Ports.free_port()
      node = TestNode.start!(name: "app@127.0.0.2", epmd: {:fixed, port})
      Mesh.start!(node, query: "app.internal", nameservers: [ScriptedDNS.address(dns)])
      {:ok, node: node, port: port}
    end

    test "prints what a node sees, and nobody there sees it come or go", %{node: node, port: port} do
      TestNode.forward_nodes(node)
      assert {table, 0} = mix(["app@127.0.0.2", "--cookie", "dns_mesh_test"], port)
      assert table =~ "\nnode   app@127.0.0.2   named by its address, IPv4 distribution\n"
      assert table =~ ~r/^DNSMesh: 0 of 0 peers connected\n/
      assert table =~ ~r/^query  app\.internal A  1 record from /m
      assert_received {:from_node, _, {:nodeup, _, [node_type: :hidden]}}
      refute_received {:from_node, _, {:nodeup, _, _}}

      assert {json, 0} = mix(["app@127.0.0.2", "--cookie", "dns_mesh_test", "--json"], port)
      assert json =~ ~s("node": "app@127.0.0.2")

      arguments = ["app@127.0.0.2", "--cookie", "dns_mesh_test", "--name", ":jobs"]

      assert {"DNSMesh is not running: no process is registered as :jobs" <> _, 0} =
               mix(arguments, port)
    end

    test "a node of short name, and one that speaks IPv6", %{port: port} do
      TestNode.start!(
        name: "app@localhost",
        names: :short,
        epmd: {:fixed, port},
        interface: "127.0.0.1"
      )

      assert {table, 0} = mix(["app@localhost", "--cookie", "dns_mesh_test"], port)
      assert table =~ "DNSMesh is not running"

      six = ["-proto_dist", "inet6_tcp"]
      TestNode.start!(name: "app@::1", epmd: {:fixed, port}, args: six)

      assert {table, 0} = mix(["app@::1", "--cookie", "dns_mesh_test"], port, Enum.join(six, " "))

      assert table =~ "DNSMesh is not running"
    end

    test "without a name, the node that this project would be here", %{port: port} do
      # Which that is depends on this machine: with several networks nothing tells.
      assert {said, 1} = mix(["--cookie", "x"], port)

      assert said =~ "cannot connect to dns_mesh@" or
               (said =~ "no node is given, and " and
                  said =~ "Name one: mix dns_mesh.status app@10.0.0.5")
    end

    test "says what it expected where a node cannot be asked", %{port: port} do
      for {arguments, message} <- [
            {["app@127.0.0.2", "--cookie", "wrong"], "cannot connect to app@127.0.0.2. Check"},
            {["app", "--cookie", "x"], "expected the name of a node, got: app. Name one:"},
            {["a", "b"], "expected mix dns_mesh.status [NODE]"},
            {["--nope"], "got: --nope"}
          ] do
        assert {output, 1} = mix(arguments, port)
        assert output =~ message
      end
    end

    defp mix(arguments, port, flags \\ "") do
      System.cmd("mix", ["dns_mesh.status" | arguments],
        env: [
          {"MIX_ENV", "test"},
          {"ELIXIR_ERL_OPTIONS", "-start_epmd false -erl_epmd_port #{port} #{flags}"}
        ],
        stderr_to_stdout: true
      )
    end
  end
end

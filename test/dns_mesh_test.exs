defmodule DNSMeshTest do
  use ExUnit.Case, async: true
  doctest DNSMesh

  import ExUnit.CaptureLog

  alias DNSMesh.Test.{Ports, ScriptedDNS, TestNode}

  @moduletag :tmp_dir

  describe "the README's story" do
    test "three nodes that share a name find each other, and say whom they see" do
      dns =
        start_supervised!(
          {ScriptedDNS, zone: %{{"app.internal", :a} => ["127.0.0.2", "127.0.0.3", "127.0.0.4"]}}
        )

      port = Ports.free_port()

      nodes =
        for n <- 2..4 do
          TestNode.start!(
            name: "app@127.0.0.#{n}",
            epmd: {:fixed, port},
            # So that every link is ours: OTP's global would make the third of two.
            args: ["-connect_all", "false"],
            env: [{"DNS_CLUSTER_QUERY", "app.internal"}]
          )
        end

      for node <- nodes,
          do: TestNode.start_child(node, {DNSMesh, nameservers: [ScriptedDNS.address(dns)]})

      for node <- nodes, do: assert(TestNode.await_nodes(node, nodes -- [node], 5_000))

      [one | _] = nodes
      status = TestNode.call(one, DNSMesh, :status, [])

      assert %{
               state: :running,
               node: "app@127.0.0.2",
               naming: "named by its address, IPv4 distribution"
             } = status

      assert [%{query: "app.internal", type: :a, error: nil, answer: %{records: [_, _, _]}}] =
               status.queries

      assert for(%{state: :connected, name: name} <- status.peers, do: name) == [
               "app@127.0.0.3",
               "app@127.0.0.4"
             ]

      assert status.connected == ["app@127.0.0.3", "app@127.0.0.4"]
    end
  end

  describe "start_link/1" do
    test "without a query starts nothing and says nothing" do
      for query <- [nil, :ignore, "", []] do
        assert capture_log(fn ->
                 assert DNSMesh.start_link(query: query, name: :quiet) == :ignore
               end) == ""
      end

      assert Process.whereis(:quiet) == nil
    end

    test "raises in the caller for a wrong option" do
      assert_raise ArgumentError, ~r/expected :interval/, fn ->
        DNSMesh.start_link(query: "app.internal", interval: 1)
      end
    end

    test "under a name that is taken says so", %{test: name} do
      opts = [
        query: "app.internal",
        name: name,
        distribution: :manual,
        nameservers: ["127.0.0.1:1"],
        log: false
      ]

      pid = start_supervised!({DNSMesh, opts})
      assert DNSMesh.start_link(opts) == {:error, {:already_started, pid}}
    end

    test "where the library is not there, or another system's, is an error in one sentence", %{
      tmp_dir: dir
    } do
      node = TestNode.start!(name: nil)
      ebin = copy_without_library(dir)
      real = :dns_mesh |> :code.lib_dir() |> to_string()
      true = TestNode.call(node, :code, :del_path, [~c"#{real}/ebin"])
      true = TestNode.call(node, :code, :add_patha, [String.to_charlist(ebin)])

      assert {:error, sentence} =
               TestNode.call(node, DNSMesh, :start_link, [[query: "app.internal"]])

      assert sentence =~
               "DNSMesh cannot load its native library #{dir}/dns_mesh/priv/native/libdns_mesh_nif.so: it is not there"

      assert {:error, {:not_loaded, ^sentence}} =
               TestNode.call(node, DNSMesh, :lookup, ["app.internal"])

      # Without a query nothing is needed of it.
      assert TestNode.call(node, DNSMesh, :start_link, [[query: ""]]) == :ignore
    end

    test "with a library that cannot be loaded quotes the loader", %{tmp_dir: dir} do
      ebin = copy_without_library(dir)
      File.mkdir_p!("#{dir}/dns_mesh/priv/native")
      File.write!("#{dir}/dns_mesh/priv/native/libdns_mesh_nif.so", "not a library")
      node = TestNode.start!(name: nil)
      real = :dns_mesh |> :code.lib_dir() |> to_string()
      true = TestNode.call(node, :code, :del_path, [~c"#{real}/ebin"])
      true = TestNode.call(node, :code, :add_patha, [String.to_charlist(ebin)])

      assert {:error, sentence} =
               TestNode.call(node, DNSMesh, :start_link, [[query: "app.internal"]])

      assert sentence =~ "build it anew on this system"
      assert sentence =~ "The loader said: "
    end

    defp copy_without_library(dir) do
      ebin = Path.join(dir, "dns_mesh/ebin")
      File.mkdir_p!(ebin)

      for beam <- Path.wildcard("#{:code.lib_dir(:dns_mesh)}/ebin/*"),
          do: File.cp!(beam, Path.join(ebin, Path.basename(beam)))

      ebin
    end

    test "that fails leaves the VM, its links and its distribution as they were" do
      port = Ports.free_port()
      [a, b] = for n <- 2..3, do: TestNode.start!(name: "app@127.0.0.#{n}", epmd: {:fixed, port})
      true = TestNode.call(a, Node, :connect, [b.name])

      for bad <- [
            [query: 1],
            [query: "a b"],
            [query: "app.internal", interval: 0],
            [query: "app.internal", nope: 1]
          ] do
        assert_raise ArgumentError, fn -> TestNode.call(a, DNSMesh, :start_link, [bad]) end
      end

      assert TestNode.call(a, Process, :whereis, [DNSMesh]) == nil
      assert TestNode.call(a, Node, :self, []) == a.name
      assert TestNode.nodes(a) == [b.name]
    end
  end

  describe "child_spec/1" do
    test "is permanent, 5 s to stop, under the instance's name" do
      assert DNSMesh.child_spec([]) == %{
               id: DNSMesh,
               start: {DNSMesh, :start_link, [[]]},
               type: :worker,
               restart: :permanent,
               shutdown: 5_000
             }

      assert DNSMesh.child_spec(name: :jobs).id == :jobs
    end

    test "lets several instances run under one supervisor", %{test: name} do
      names = [:"#{name} 1", :"#{name} 2"]

      children =
        for name <- names,
            do:
              {DNSMesh,
               query: "app.internal",
               name: name,
               distribution: :manual,
               nameservers: ["127.0.0.1:1"],
               log: false}

      start_supervised!(%{
        id: :sup,
        start: {Supervisor, :start_link, [children, [strategy: :one_for_one]]},
        type: :supervisor
      })

      for name <- names, do: assert(DNSMesh.status(name).state == :running)
    end
  end

  describe "status/1" do
    test "of what does not run says why" do
      assert %{state: :not_running, because: because} = DNSMesh.status(:nobody)
      assert because =~ "no process is registered as :nobody, and DNS_CLUSTER_QUERY is not set"
      assert to_string(DNSMesh.status(:nobody)) =~ "DNSMesh is not running: no process"
    end

    test "reads well, printed and inspected", %{test: name} do
      dns =
        start_supervised!(
          {ScriptedDNS,
           zone: %{{"app.internal", :a} => ["10.0.0.2"], {"bad.internal", :a} => :servfail}}
        )

      start_supervised!(
        {DNSMesh,
         query: "worker@app.internal,bad.internal",
         name: name,
         distribution: :manual,
         nameservers: [ScriptedDNS.address(dns)],
         log: false}
      )

      DNSMesh.Test.Await.await(
        fn -> Enum.all?(DNSMesh.status(name).queries, &(&1.answer || &1.error)) end,
        2_000
      )

      text = to_string(DNSMesh.status(name))
      assert text =~ ~r/^#{Regex.escape(inspect(name))}: 0 of 1 peers connected$/m
      assert text =~ ~r/^node +nonode@nohost +not distributed: nobody can be joined$/m

      assert text =~
               ~r/^query +worker@app.internal A +1 record from 127.0.0.1:\d+, \d+ ms ago$/m

      assert text =~
               ~r/^query +bad.internal A +the name server failed \(SERVFAIL\) from 127.0.0.1:\d+, \d+ ms ago$/m

      assert text =~
               ~r/^peer +worker@10.0.0.2 +waiting for \d+ ms +this node is not distributed, again in \d+ s$/m

      assert inspect(DNSMesh.status(name)) =~ "#DNSMesh.Status<\n"
    end
  end

  describe "poll/1" do
    test "begins a round now", %{test: name} do
      dns = start_supervised!({ScriptedDNS, zone: %{{"app.internal", :a} => ["10.0.0.2"]}})
      DNSMesh.Test.Telemetry.subscribe(name)

      start_supervised!(
        {DNSMesh,
         query: "app.internal",
         name: name,
         distribution: :manual,
         nameservers: [ScriptedDNS.address(dns)],
         log: false,
         interval: 86_400_000}
      )

      # The burst at the start; after it nothing for a day.
      for _ <- 1..5,
          do: assert_receive({:telemetry, [:dns_mesh, :round, :stop], _, %{mesh: ^name}}, 3_000)

      ScriptedDNS.clear_queries(dns)
      assert DNSMesh.poll(name) == :ok
      assert_receive {:telemetry, [:dns_mesh, :round, :stop], %{peers: 0}, %{mesh: ^name}}, 1_000
      assert [%{name: "app.internal", type: :a}] = ScriptedDNS.queries(dns)
    end

    test "of what does not run is an error" do
      assert DNSMesh.poll(:nobody) == {:error, :not_running}
    end
  end

  describe "lookup/2" do
    test "takes the type by the name, else by the option" do
      dns =
        start_supervised!(
          {ScriptedDNS,
           zone: %{
             {"_epmd._tcp.app", :srv} =>
               {:ok, [{0, 16, 4369, "n1.app"}], additional: [{"n1.app", {10, 0, 0, 1}}]},
             {"app.internal", :a} => ["10.0.0.1"],
             {"app.internal", :aaaa} => ["fdaa::1"]
           }}
        )

      opts = [nameservers: [ScriptedDNS.address(dns)]]
      assert {:ok, %{records: [{10, 0, 0, 1}]}} = DNSMesh.lookup("app.internal.", opts)

      assert {:ok, %{records: [{0xFDAA, 0, 0, 0, 0, 0, 0, 1}]}} =
               DNSMesh.lookup("app.internal.", [type: :aaaa] ++ opts)

      assert {:ok, %{records: [srv]}} = DNSMesh.lookup("_epmd._tcp.app.", opts)

      assert %{target: "n1.app", port: 4369, priority: 0, weight: 16, addresses: [{10, 0, 0, 1}]} =
               srv
    end

    test "leaves nothing in the caller's mailbox, however late the reply" do
      dns =
        start_supervised!(
          {ScriptedDNS, zone: %{{"app.internal", :a} => {:delay, 200, ["10.0.0.1"]}}}
        )

      assert DNSMesh.lookup("app.internal.", nameservers: [ScriptedDNS.address(dns)], timeout: 50) ==
               {:error, :timeout}

      refute_receive _, 300
    end

    test "raises for a wrong option, with what was expected and what was got" do
      for {opts, text} <- [
            {[type: :mx], "expected :type to be :a, :aaaa or :srv, got: :mx"},
            {[timeout: 0], "expected :timeout to be"},
            {[nameservers: ["x"]], "expected :nameservers to be"},
            {[query: "x"], "unknown option :query"},
            {:a, "expected the options to be a keyword list, got: :a"}
          ] do
        error = assert_raise ArgumentError, fn -> DNSMesh.lookup("app.internal", opts) end
        assert error.message =~ text
      end
    end

    test "of what is no name is an error before any packet" do
      for {name, why} <- [
            {"", :empty},
            {"a b", :blank},
            {"a..b", :empty_label},
            {nil, :not_a_string},
            {1, :not_a_string}
          ] do
        assert DNSMesh.lookup(name, nameservers: ["127.0.0.1:1"]) == {:error, {:bad_name, why}}
      end
    end
  end
end

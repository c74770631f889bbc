defmodule DNSMesh.DoctorTest do
  # What holds whatever is found: time, mailboxes, printing, and that nobody is disturbed.
  use ExUnit.Case, async: true

  import DNSMesh.Test.Clinic
  import ExUnit.CaptureIO

  alias DNSMesh.Diagnosis
  alias DNSMesh.Test.{HungPeer, Mesh, Ports, ScriptedDNS, TestNode}

  defp dns!(ips), do: start_supervised!({ScriptedDNS, zone: %{{"app.internal", :a} => ips}})

  defp options(dns, opts \\ []),
    do: [query: "app.internal", nameservers: [ScriptedDNS.address(dns)], basename: "app"] ++ opts

  test "it prints what it returns, unless told otherwise" do
    dns = dns!(:nxdomain)

    printed =
      capture_io(fn -> send(self(), {:returned, DNSMesh.doctor(:nobody, options(dns))}) end)

    assert_received {:returned, %Diagnosis{verdict: :no_such_name} = diagnosis}
    assert printed == "#{diagnosis}\n"
    assert capture_io(fn -> DNSMesh.doctor(:nobody, options(dns, print: false)) end) == ""
  end

  test "in a release's eval, beside the application, the query is examined by itself" do
    dns = dns!(["127.0.0.3"])
    port = Ports.free_port()
    options = [nameservers: [ScriptedDNS.address(dns)], basename: "app"]
    b = TestNode.start!(name: "app@127.0.0.3", epmd: {:fixed, port})

    env = [
      {"RELEASE_COMMAND", "eval"},
      {"DNS_CLUSTER_QUERY", "127.0.0.3"},
      {"RELEASE_NAME", "app"}
    ]

    a = TestNode.start!(epmd: {:fixed, port}, env: env)
    # The address is this machine's: it is the application's own node that is listed.
    assert %{verdict: :only_myself, table: table} = doctor(a)
    assert %{ok: true, said: said} = Enum.find(table, &(&1.step == :peer))
    assert said =~ "this machine: port #{port} open; takes the cookie"
    elsewhere = [query: "app.internal", address: "127.0.0.9"] ++ options
    assert %{verdict: :reachable} = doctor(a, elsewhere)
    assert TestNode.nodes(b) == []
  end

  test "wrong options are told" do
    for {opts, message} <- [
          {[query: "a", timeout: 1], ~r/expected :timeout to be an integer/},
          {[query: "a", nonsense: 1], ~r/unknown option :nonsense/},
          {[nonsense: 1],
           ~r/unknown option :nonsense, expected one of \[:query, :timeout, :print, :exit\]/},
          {[print: :xml], ~r/expected :print to be one of \[true, false, :json\], got: :xml/},
          {[exit: 1], ~r/expected :exit to be one of \[true, false\], got: 1/},
          {[query: "a b"], ~r/a host name/},
          {:nonsense, ~r/expected the options to be a keyword list/}
        ] do
      assert_raise ArgumentError, message, fn -> DNSMesh.doctor(:nobody, opts) end
    end
  end

  test "an instance is asked for by its name, an atom; options may stand alone" do
    for name <- ["app.internal", nil, 1] do
      assert_raise ArgumentError, ~r/DNSMesh.doctor\(query: "app.internal"\)/, fn ->
        DNSMesh.doctor(name)
      end
    end

    assert DNSMesh.doctor(query: :ignore, print: false).verdict == :query_not_set
  end

  test "as JSON it is one line, the same as of to_map/1" do
    opts = options(dns!(:nxdomain), print: :json)

    printed = capture_io(fn -> send(self(), {:returned, DNSMesh.doctor(opts)}) end)

    assert_received {:returned, diagnosis}
    assert printed == DNSMesh.JSON.encode(Diagnosis.to_map(diagnosis)) <> "\n"
    assert printed =~ ~s("verdict": "no_such_name")
  end

  describe "with exit: true" do
    test "the process ends where something is wrong, and only it" do
      opts = options(dns!(:nxdomain), print: false, exit: true)
      assert catch_exit(DNSMesh.doctor(:nobody, opts)) == {:shutdown, 1}

      a = TestNode.start!(name: "app@127.0.0.2", epmd: {:fixed, Ports.free_port()})
      # As by rpc.
      assert catch_exit(TestNode.call(a, DNSMesh, :doctor, [opts]))
      assert TestNode.call(a, :erlang, :is_alive, [])
    end

    test "the diagnosis is returned where nothing is" do
      port = Ports.free_port()
      TestNode.start!(name: "app@127.0.0.3", epmd: {:fixed, port})
      a = TestNode.start!(epmd: {:fixed, port})
      opts = options(dns!(["127.0.0.3"]), exit: true, print: false, address: "127.0.0.9")
      assert %{verdict: :reachable} = TestNode.call(a, DNSMesh, :doctor, [opts])
    end

    test "what makes no sense is said, with a status of its own" do
      for opts <- [[query: "a b", exit: true], [nonsense: 1, exit: true]] do
        said =
          capture_io(:stderr, fn ->
            assert catch_exit(DNSMesh.doctor(opts)) == {:shutdown, 2}
          end)

        assert said =~ ~r/^(expected every item of :query|unknown option :nonsense)/
      end
    end
  end

  test "silent name servers take two fifths of the time, and leave nothing in the mailbox" do
    dns = dns!(:silent)
    opts = options(dns, print: false, timeout: 2_000)
    {time, diagnosis} = :timer.tc(fn -> DNSMesh.doctor(:nobody, opts) end)
    assert diagnosis.verdict == :server_silent
    assert diagnosis.sentence =~ ScriptedDNS.address(dns)
    [_, ms] = Regex.run(~r/no answer in (\d+) ms/, diagnosis.sentence)
    # The lookup's own deadline, not that of all.
    assert String.to_integer(ms) < 2_000
    assert time < 2_000_000
    refute_receive _anything, 300
  end

  test "forty nodes that are silent take no longer than they may" do
    ips = for n <- 11..50, do: "127.0.0.#{n}"
    port = Ports.free_port()
    start_supervised!({HungPeer, ip: ips, port: port})
    a = TestNode.start!(name: "app@127.0.0.2", epmd: {:fixed, port})
    Mesh.start!(a, Keyword.delete(options(dns!(ips)), :basename) ++ [ask_first: false])

    {time, diagnosis} = :timer.tc(fn -> doctor(a, timeout: 3_000) end)
    assert diagnosis.verdict == :node_silent
    assert time < 3_500_000
    assert diagnosis.took <= 3_300
  end

  test "it waits for nobody: the instance goes on polling meanwhile" do
    port = Ports.free_port()
    start_supervised!({HungPeer, ip: "127.0.0.3", port: port})
    a = TestNode.start!(name: "app@127.0.0.2", epmd: {:fixed, port})
    Mesh.start!(a, Keyword.delete(options(dns!(["127.0.0.3"])), :basename))
    doctor = Task.async(fn -> doctor(a, timeout: 2_000) end)
    Mesh.await_rounds(a, 5)
    assert Task.yield(doctor, 0) == nil
    assert %{verdict: :node_silent} = Task.await(doctor)
  end

  test "who is examined sees no member come or go, and its mesh tells nothing" do
    port = Ports.free_port()
    dns = dns!(["127.0.0.2", "127.0.0.3"])
    [a, b] = for n <- 2..3, do: TestNode.start!(name: "app@127.0.0.#{n}", epmd: {:fixed, port})
    for node <- [a, b], do: Mesh.start!(node, Keyword.delete(options(dns), :basename))
    assert TestNode.await_nodes(a, [b])
    Mesh.await_rounds(b, 2)
    TestNode.clear_logs(b)

    # From a VM that is no member, with the same cookie.
    c = TestNode.start!(name: "out@127.0.0.4", epmd: {:fixed, port})
    told = [query: "app@app.internal", nameservers: [ScriptedDNS.address(dns)]]
    assert %{verdict: :reachable} = doctor(c, told)
    Mesh.await_rounds(b, 3)
    assert TestNode.nodes(b) == [a.name]
    assert TestNode.logs(b) == []
  end

  test "beside a :resolver module its answers are examined" do
    {:module, module, code, _} =
      defmodule Resolver do
        def basename(_node), do: "app"
        def lookup("app.internal", :a), do: [{127, 0, 0, 2}, {127, 0, 0, 3}]
        def lookup(_name, _type), do: []
        def list_nodes, do: Node.list()
        def connect_node(node), do: Node.connect(node)
      end

    port = Ports.free_port()
    a = TestNode.start!(name: "app@127.0.0.2", epmd: {:fixed, port})
    {:module, _} = TestNode.call(a, :code, :load_binary, [module, ~c"resolver", code])
    Mesh.start!(a, query: "app.internal", resolver: module)
    sick(a, :port_closed, says: "app@127.0.0.3", fix: "start the node there")
    well(a, [TestNode.start!(name: "app@127.0.0.3", epmd: {:fixed, port})])
  end

  test "who is refused by policy is left alone, by probes and by the cookie" do
    port = Ports.free_port()
    hung = start_supervised!({HungPeer, ip: "127.0.0.3", port: port})
    a = TestNode.start!(name: "app@127.0.0.2", epmd: {:fixed, port})
    opts = Keyword.delete(options(dns!(["127.0.0.3"])), :basename)
    Mesh.start!(a, opts ++ [allow: ["10.0.0.0/8"]])
    assert %{verdict: :not_allowed} = doctor(a)
    assert HungPeer.accepted(hung) == 0
  end

  test "while no name server answers, the peers that are known are examined all the same" do
    port = Ports.free_port()
    dns = dns!(["127.0.0.2", "127.0.0.3", "127.0.0.4"])
    [a, b] = for n <- 2..3, do: TestNode.start!(name: "app@127.0.0.#{n}", epmd: {:fixed, port})
    Mesh.start!(a, Keyword.delete(options(dns), :basename))
    assert TestNode.await_nodes(a, [b])
    ScriptedDNS.put(dns, {"app.internal", :a}, :servfail)

    diagnosis =
      sick(a, :server_failed, says: "1 of 2 peers connected. ", fix: "mend that name server")

    assert [{"app@127.0.0.4", false}, {"app@127.0.0.3", true}] =
             for(
               %{step: :peer, said: said} = row when said != "this node itself" <-
                 diagnosis.table,
               do: {row.subject, row.ok}
             )
  end

  test "a source is not asked by the doctor, for it is never asked twice at once" do
    {:module, source, code, _} =
      defmodule Noting do
        def discover(_arg, _context) do
          {:parent, asker} = Process.info(self(), :parent)
          :persistent_term.put({__MODULE__, asker}, true)
          {:ok, ["app@127.0.0.3"]}
        end

        def askers do
          for {{__MODULE__, asker}, true} <- :persistent_term.get(), do: asker
        end
      end

    port = Ports.free_port()
    a = TestNode.start!(name: "app@127.0.0.2", epmd: {:fixed, port})
    {:module, _} = TestNode.call(a, :code, :load_binary, [source, ~c"noting", code])
    Mesh.start!(a, query: {source, nil})
    Mesh.await_rounds(a, 1)
    assert %{verdict: :port_closed} = doctor(a)

    assert TestNode.call(a, source, :askers, []) == [
             TestNode.call(a, Process, :whereis, [DNSMesh])
           ]
  end
end

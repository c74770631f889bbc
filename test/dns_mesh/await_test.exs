defmodule DNSMesh.AwaitTest do
  use ExUnit.Case, async: true
  doctest DNSMesh.Await

  import ExUnit.CaptureLog

  alias DNSMesh.Await
  alias DNSMesh.Test.{HungPeer, Mesh, Ports, ScriptedDNS, TestNode}

  defp dns(zone), do: start_supervised!({ScriptedDNS, zone: zone})

  defp node!(number, port),
    do: TestNode.start!(name: "app@127.0.0.#{number}", epmd: {:fixed, port})

  defp mesh(dns, opts \\ []),
    do: Keyword.merge([query: "app.internal", nameservers: [ScriptedDNS.address(dns)]], opts)

  # As an application has it; the last child keeps whom it saw when it was started.
  defp tree(mesh, await) do
    seen = %{id: :seen, start: {Agent, :start_link, [Node, :list, [], [name: :seen]]}}
    children = [{DNSMesh, mesh}, {Await, await}, seen]

    %{
      id: :tree,
      start: {Supervisor, :start_link, [children, [strategy: :one_for_one, name: :tree]]},
      type: :supervisor,
      restart: :temporary
    }
  end

  defp seen(node), do: TestNode.call(node, Agent, :get, [:seen, Function, :identity, []])

  defp await(node, opts),
    do: TestNode.call(node, DNSMesh, :await, [DNSMesh, opts], 60_000)

  defp ready?(node, opts), do: TestNode.call(node, DNSMesh, :ready?, [DNSMesh, opts])

  describe "a child behind DNSMesh" do
    test "holds up those after it until there are as many peers" do
      dns = dns(%{{"app.internal", :a} => ["127.0.0.2", "127.0.0.3", "127.0.0.4"]})
      port = Ports.free_port()
      nodes = for number <- 2..4, do: node!(number, port)

      nodes
      |> Enum.map(fn node ->
        Task.async(fn ->
          tree = tree(mesh(dns, interval: 200), peers: 2)
          assert {:ok, _pid} = TestNode.start_child(node, tree)

          assert node |> seen() |> Enum.sort() ==
                   for(other <- nodes, other != node, do: other.name)
        end)
      end)
      |> Task.await_many(30_000)

      # It does not stay, and is not asked to wait again.
      children = TestNode.call(hd(nodes), Supervisor, :which_children, [:tree])
      assert Enum.sort(for {id, _, _, _} <- children, do: id) == [DNSMesh, :seen]
    end

    test "lets them start without when the time is over, and says so" do
      dns = dns(%{{"app.internal", :a} => ["127.0.0.2", "127.0.0.9"]})
      node = node!(2, Ports.free_port())
      tree = tree(mesh(dns, interval: 100), peers: 2, timeout: 300)

      assert {:ok, _pid} = TestNode.start_child(node, tree)
      assert seen(node) == []

      assert {:warning, text} = TestNode.await_log(node, ~r/DNSMesh.Await/)

      assert text =~
               ~r/^DNSMesh: waited 3\d\d ms for 2 peers: 0 of 1 peers connected; missing: app@127.0.0.9. /
    end

    test "with on_timeout: :stop keeps the application from starting, and says what is missing" do
      dns = dns(%{{"app.internal", :a} => for(n <- 2..9, do: "127.0.0.#{n}")})
      port = Ports.free_port()
      [node, _] = for number <- 2..3, do: node!(number, port)
      TestNode.start_child(node, {DNSMesh, mesh(dns, interval: 100)})
      assert await(node, []) == :ok
      opts = [peers: 2, timeout: 100, on_timeout: :stop]

      assert {:error, sentence} = TestNode.call(node, Await, :start_link, [opts])

      assert sentence =~ "DNSMesh.Await: waited 100 ms for 2 peers. "
      assert sentence =~ "DNSMesh: 1 of 7 peers connected; node app@127.0.0.2: "
      assert sentence =~ "query app.internal A: 8 records"
      assert sentence =~ "peer app@127.0.0.8: waiting for "
      refute sentence =~ "app@127.0.0.3"
      refute sentence =~ "app@127.0.0.9"
      assert sentence =~ "; and 1 more. Mend that "
      refute sentence =~ "\n"

      # As a supervisor shows it.
      {:error, reason} = TestNode.start_child(node, {Await, opts})
      assert inspect(reason, printable_limit: :infinity) =~ "peer app@127.0.0.8: waiting"
    end

    test "is nothing where DNSMesh has no query", %{test: name} do
      assert capture_log(fn ->
               children = [
                 {DNSMesh, query: nil, name: name},
                 {Await, name: name, peers: 2, on_timeout: :stop},
                 {Await, name: name} |> Supervisor.child_spec(id: :again)
               ]

               {:ok, supervisor} = Supervisor.start_link(children, strategy: :one_for_one)
               assert [{^name, :undefined, :worker, _}] = Supervisor.which_children(supervisor)
               Supervisor.stop(supervisor)
             end) == ""
    end

    test "that stands before DNSMesh says so", %{test: name} do
      assert {:error, sentence} = Await.start_link(name: name, on_timeout: :stop)

      assert sentence =~
               "DNSMesh.Await: no process is registered as #{inspect(name)}, so there is nothing to wait for. Put DNSMesh.Await behind DNSMesh"

      assert capture_log(fn -> assert Await.start_link(name: name) == :ignore end) =~ sentence
    end

    test "waits for an instance that was ignored before, and runs now", %{test: name} do
      assert DNSMesh.start_link(query: :ignore, name: name) == :ignore
      dns = dns(%{{"app.internal", :a} => :silent})
      opts = mesh(dns, name: name, distribution: :manual, log: false)
      start_supervised!({DNSMesh, opts})
      opts = [name: name, timeout: 0, on_timeout: :stop]
      assert {:error, sentence} = Await.start_link(opts)
      assert sentence =~ "query app.internal A: not answered yet"
      stop_supervised!(name)
      assert {:error, sentence} = Await.start_link(opts)
      assert sentence =~ "no process is registered"
    end
  end

  describe "await/2" do
    test "holds up nobody but its caller" do
      dns = dns(%{{"app.internal", :a} => ["127.0.0.2", "127.0.0.3"]})
      port = Ports.free_port()
      a = node!(2, port)
      Mesh.start!(a, mesh(dns))
      waiting = Task.async(fn -> await(a, peers: 1, timeout: 30_000) end)
      Mesh.await_rounds(a, 3)
      assert Task.yield(waiting, 0) == nil
      assert Mesh.status(a).state == :running
      assert await(a, peers: 1, timeout: 100) == {:error, :timeout}

      node!(3, port)
      assert Task.await(waiting, 10_000) == :ok

      assert %{wanted: 1, result: {:error, :timeout}, connected: 0} =
               Mesh.await(a, [:await, :stop])

      assert %{wanted: 1, result: :ok, connected: 1, on_timeout: nil} =
               Mesh.await(a, [:await, :stop])

      # What a caller is told needs no line in the log.
      refute Enum.any?(TestNode.logs(a), fn {_level, text} -> text =~ "waited" end)
    end

    test "ends with the instance", %{test: name} do
      dns = dns(%{{"app.internal", :a} => :silent})

      pid = start_supervised!({DNSMesh, mesh(dns, name: name, distribution: :manual, log: false)})

      waiting = Task.async(fn -> DNSMesh.await(name, peers: 1) end)
      await_waiter(pid)
      Process.exit(pid, :kill)
      assert Task.await(waiting) == {:error, :not_running}
    end

    test "says that no instance runs" do
      assert DNSMesh.await(peers: 1) == {:error, :not_running}
      refute DNSMesh.ready?(peers: 1)
    end

    test "raises for wrong options" do
      for {opts, message} <- [
            {[peers: 0], "expected :peers to be a positive integer or :discovered, got: 0"},
            {[peers: "2"], "expected :peers to be a positive integer or :discovered, got: \"2\""},
            {[timeout: :infinity],
             "expected :timeout to be an integer from 0 to 86400000 (milliseconds), got: :infinity"},
            {[on_timeout: :stop],
             "unknown option :on_timeout, expected one of [:peers, :timeout]"},
            {:nope, "expected the options to be a keyword list, got: :nope"}
          ] do
        assert_raise ArgumentError, message, fn -> DNSMesh.await(:nobody, opts) end
      end

      assert_raise ArgumentError,
                   "unknown option :timeout, expected one of [:peers]",
                   fn -> DNSMesh.ready?(timeout: 1) end

      # Also on a laptop, where nothing starts.
      :ignore = DNSMesh.start_link(query: :ignore, name: :ignored_with_options)

      for wrong <- [[on_timeout: :raise], [name: nil], [retries: 3]] do
        assert_raise ArgumentError, fn ->
          Await.start_link(wrong ++ [name: :ignored_with_options])
        end
      end
    end
  end

  describe "ready?/2" do
    test "with a number follows the links, with :discovered it stays true" do
      dns = dns(%{{"app.internal", :a} => ["127.0.0.2", "127.0.0.3"]})
      port = Ports.free_port()
      [a, b] = for number <- 2..3, do: node!(number, port)
      refute ready?(a, peers: 1)
      for node <- [a, b], do: Mesh.start!(node, mesh(dns))
      assert await(a, peers: 1) == :ok
      assert await(a, peers: :discovered) == :ok
      assert ready?(a, peers: 1)
      refute ready?(a, peers: 2)

      TestNode.kill(b)
      Mesh.await(a, [:peers, :changed], DNSMesh, &(&1.left == 1))
      refute ready?(a, peers: 1)
      assert ready?(a, peers: :discovered)
    end
  end

  describe "the first discovery" do
    test "is over when nobody is listed, not while the name server fails" do
      dns = dns(%{{"app.internal", :a} => :servfail})
      node = node!(2, Ports.free_port())
      Mesh.start!(node, mesh(dns))
      Mesh.await_rounds(node, 2)
      assert await(node, timeout: 100) == {:error, :timeout}
      ScriptedDNS.put(dns, {"app.internal", :a}, :nxdomain)
      assert await(node, []) == :ok
    end

    test "waits for every item" do
      dns = dns(%{{"app.internal", :a} => ["127.0.0.2"], {"jobs.internal", :a} => :silent})
      node = node!(2, Ports.free_port())
      Mesh.start!(node, mesh(dns, query: "app.internal,worker@jobs.internal", timeout: 50))
      Mesh.await_rounds(node, 2)
      refute ready?(node, peers: :discovered)
      ScriptedDNS.put(dns, {"jobs.internal", :a}, [])
      assert await(node, []) == :ok
    end

    test "gives who is not there one turn, and waits for who hangs until :connect_timeout" do
      dns = dns(%{{"app.internal", :a} => ["127.0.0.2", "127.0.0.9"]})
      port = Ports.free_port()
      node = node!(2, port)
      Mesh.start!(node, mesh(dns))
      assert await(node, []) == :ok
      assert %{state: :waiting} = Mesh.peer(node, "app@127.0.0.9")

      other = node!(3, port)
      start_supervised!({HungPeer, ip: "127.0.0.9", port: port})
      ScriptedDNS.put(dns, {"app.internal", :a}, ["127.0.0.9"])
      Mesh.start!(other, mesh(dns, connect_timeout: 1_500))
      assert await(other, timeout: 1_000) == {:error, :timeout}
      assert await(other, []) == :ok
      assert %{state: :joining, reason: :connect_timeout} = Mesh.peer(other, "app@127.0.0.9")
    end
  end

  defp await_waiter(pid) do
    DNSMesh.Test.Await.await(fn -> :sys.get_state(pid).waiting.waiters != %{} end)
  end
end

defmodule DNSMesh.PollerTest do
  # The process: whatever comes into its mailbox, whatever happens around it, its pid stays the same and so do the
  # links. Instances that need no distribution run in this VM; the others each in a VM of their own.
  use ExUnit.Case, async: true

  alias DNSMesh.Test.{Await, HungPeer, Mesh, Ports, ScriptedDNS, Telemetry, TestNode}

  defp dns(zone, opts \\ []),
    do: start_supervised!({ScriptedDNS, [zone: zone, notify: self()] ++ opts})

  defp servers(dns), do: [ScriptedDNS.address(dns)]

  # An instance in this VM, its events sent here.
  defp start_here!(name, opts) do
    Telemetry.subscribe(name)
    defaults = [name: name, interval: 100, distribution: :manual]
    start_supervised!({DNSMesh, Keyword.merge(defaults, opts)}, id: name)
  end

  defp await_rounds_here(name, count) do
    for _ <- 1..count,
        do: assert_receive({:telemetry, [:dns_mesh, :round, :stop], _, %{mesh: ^name}}, 5_000)
  end

  defp node!(name, epmd, opts \\ []), do: TestNode.start!([name: name, epmd: epmd] ++ opts)

  # Makes the burst that follows the start one of so long ago. At a long interval there is no poll from now on but those
  # that a test makes, and those of the next burst, which may come after 10 s.
  defp end_burst(node, ago) do
    age = "&Map.update!(&1, :pace, fn pace -> %{pace | burst_at: pace.burst_at - #{ago}} end)"
    TestNode.call(node, Code, :eval_string, [":sys.replace_state(DNSMesh, #{age})"])
    # The second is ours for certain: the first may have been under way.
    for _ <- 1..2, do: Mesh.poll!(node)
  end

  describe "mail that means nothing to it" do
    test "of every shape is dropped", %{test: name} do
      dns = dns(%{{"app.internal", :a} => ["10.0.0.1"]})
      pid = start_here!(name, query: "app.internal", nameservers: servers(dns), log: false)
      await_rounds_here(name, 1)

      for stray <- strays(), do: send(pid, stray)
      GenServer.cast(pid, {:unknown, make_ref()})
      assert GenServer.call(pid, {:unknown, make_ref()}) == {:error, :unknown_call}

      ScriptedDNS.clear_queries(dns)
      await_rounds_here(name, 3)
      assert GenServer.whereis(name) == pid
      assert ScriptedDNS.queries(dns, "app.internal") != []
      assert [%{error: nil, answer: %{records: [{10, 0, 0, 1}]}}] = DNSMesh.status(name).queries
    end

    defp strays do
      ref = make_ref()

      [:x, nil, "text", 1.5, %{}, [], {}, {:x}, [1 | 2], ref, self(), fn -> :x end] ++
        [{ref, :x}, {ref, {:ok, %{}}}, {ref, {:error, :x}}, {:x, :y}, {1, 2, 3, 4, 5}] ++
        [:poll, {:poll, ref}, {:poll, nil}, {:deadline, ref}, {:deadline, :x}, :fill, :timeout] ++
        [{:DOWN, ref, :process, self(), :normal}, {:DOWN, ref, :process, self(), {:joined, true}}] ++
        [{:DOWN, ref, :port, nil, :x}, {:DOWN, 1, :process, 2, 3}, {:DOWN, ref}] ++
        [{:EXIT, self(), :killed}, {:EXIT, nil, nil}, {:timeout, ref, :x}, {:tcp, nil, "bytes"}] ++
        [{:nodeup, :"ghost@127.0.0.9"}, {:nodeup, :"ghost@127.0.0.9", []}, {:nodeup, :x, :y}] ++
        [{:nodeup, "text", []}, {:nodeup, nil, nil}, {:nodeup, :x, [1]}, {:nodeup, :x, [1 | 2]}] ++
        [
          {:nodeup, node(), []},
          {:nodedown, node(), []},
          {:nodedown, 1, 2},
          {:nodedown, ~c"x", %{}}
        ] ++
        [
          {:nodedown, :never@seen, []},
          {:nodedown, :"ghost@127.0.0.9"},
          {:nodeup, :x, node_type: 1}
        ] ++
        [{:"$gen_cast", :x}, {:"$gen_call", {self(), ref}, :x}, {:io_reply, ref, :ok}]
    end

    test "an answer that comes after its deadline is dropped", %{test: name} do
      dns = dns(%{{"app.internal", :a} => {:delay, 1_000, ["10.0.0.1"]}})
      opts = [query: "app.internal", nameservers: servers(dns), interval: 60_000]
      pid = start_here!(name, opts)

      assert_receive {:dns_query, ^dns, "app.internal", :a, :udp}, 5_000
      [ref] = Map.keys(:sys.get_state(pid).asked)
      send(pid, {:deadline, ref})
      assert_receive {:telemetry, [:dns_mesh, :lookup, :stop], _, %{result: result}}, 5_000
      assert result == {:error, :lost_reply}

      # The next lookup's answer comes after the one that is late.
      :ok = DNSMesh.poll(name)
      assert_receive {:telemetry, [:dns_mesh, :lookup, :stop], _, %{result: :ok}}, 5_000
      refute_received {:telemetry, [:dns_mesh, :lookup, :stop], _, _}
      refute Map.has_key?(:sys.get_state(pid).asked, ref)
      assert GenServer.whereis(name) == pid

      # And one that comes twice counts once.
      send(pid, {ref, {:ok, %{records: [], ttl: 0, name: "", server: "", truncated: false}}})
      assert [%{answer: %{records: [{10, 0, 0, 1}]}}] = DNSMesh.status(name).queries
    end
  end

  test "a panic in the resolver, and a lookup dropped by it, fail alone", %{test: name} do
    dns = dns(%{{"app.internal", :a} => ["10.0.0.1"]})
    faults = ["panic.faults.dns-mesh", "panic-encode.faults.dns-mesh", "drop.faults.dns-mesh"]
    opts = [query: ["app.internal" | faults], nameservers: servers(dns), log: false]
    pid = start_here!(name, opts)
    await_rounds_here(name, 5)

    assert GenServer.whereis(name) == pid
    by_query = Map.new(DNSMesh.status(name).queries, &{&1.query, &1})
    assert %{error: nil, answer: %{records: [{10, 0, 0, 1}]}} = by_query["app.internal"]
    for fault <- faults, do: assert(by_query[fault].error in [:panicked, :dropped])
  end

  describe "joins" do
    test "whose process is killed have failed, and are begun again" do
      port = Ports.free_port()
      hung = start_supervised!({HungPeer, ip: "127.0.0.20", port: port, notify: self()})
      dns = dns(%{{"app.internal", :a} => ["127.0.0.20", "127.0.0.3"]})
      a = node!("app@127.0.0.2", {:fixed, port})
      b = node!("app@127.0.0.3", {:fixed, port})
      # The first dial of it, and the next: without the questions that come before one.
      options = [query: "app.internal", nameservers: servers(dns), ask_first: false]
      pid = Mesh.start!(a, options)
      assert TestNode.await_exactly(a, [b])
      assert_receive {:hung_peer, ^hung, _ip, _port}, 5_000

      assert Mesh.kill_joins(a) == 1
      to_hung? = &(&1.peer == "app@127.0.0.20")
      assert %{result: {:down, :killed}} = Mesh.await(a, [:join, :stop], DNSMesh, to_hung?)
      Await.await(fn -> Mesh.joining(a) != [] end)
      assert %{state: :joining, failures: failures} = Mesh.peer(a, "app@127.0.0.20")
      assert failures >= 1
      assert Mesh.pid(a) == pid
      assert TestNode.nodes(a) == [b.name]
    end

    test "find the distribution stopped beneath them: no success, no crash, and all is joined when it is back" do
      epmd = {:fixed, Ports.free_port()}
      dns = dns(%{{"app.internal", :a} => ["127.0.0.3"]})
      a = TestNode.start!(epmd: epmd, interface: "127.0.0.2")
      [b, c] = for n <- 3..4, do: node!("app@127.0.0.#{n}", epmd, args: ~w(-connect_all false))
      start = [[:"app@127.0.0.2", :longnames]]
      assert {:ok, _} = TestNode.call(a, :net_kernel, :start, start)

      pid = Mesh.start!(a, query: "app.internal", nameservers: servers(dns), interval: 60_000)
      assert TestNode.await_exactly(a, [b])
      end_burst(a, 3_000)
      flush_queries(dns)
      assert Mesh.joins(a) == [{"app@127.0.0.3", true}]

      # Asked while distributed, answered when not any more.
      ScriptedDNS.put(dns, {"app.internal", :a}, {:delay, 500, ["127.0.0.3", "127.0.0.4"]})
      :ok = TestNode.call(a, DNSMesh, :poll, [])
      assert_receive {:dns_query, ^dns, "app.internal", :a, :udp}, 5_000
      assert :ok = TestNode.call(a, :net_kernel, :stop, [])

      # Both: stopping has cut the link that was there.
      dialled = for _ <- 1..2, do: Mesh.await(a, [:join, :stop])
      results = for join <- Enum.sort_by(dialled, & &1.peer), do: {join.peer, join.result}
      assert results == [{"app@127.0.0.3", :ignored}, {"app@127.0.0.4", :ignored}]
      assert Mesh.pid(a) == pid
      assert %{state: :waiting, reason: :not_distributed} = Mesh.peer(a, "app@127.0.0.4")
      assert TestNode.nodes(a) == []
      for _ <- 1..3, do: Mesh.poll!(a)
      assert Mesh.joins(a) == []

      assert [_once] =
               for({:warning, text} <- TestNode.logs(a), text =~ "not distributed", do: text)

      assert {:ok, _} = TestNode.call(a, :net_kernel, :start, start)
      Mesh.poll!(a)
      assert TestNode.await_exactly(a, [b, c])
      assert Mesh.pid(a) == pid
    end

    defp flush_queries(dns) do
      receive do
        {:dns_query, ^dns, _, _, _} -> flush_queries(dns)
      after
        0 -> :ok
      end
    end
  end

  describe "links" do
    test "outlive the poller: a killed one is started anew, finds them, and dials nobody" do
      epmd = {:fixed, Ports.free_port()}
      all = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
      dns = dns(%{{"app.internal", :a} => all})
      apart = [args: ~w(-connect_all false)]
      nodes = [a, b, c] = for n <- 2..4, do: node!("app@127.0.0.#{n}", epmd, apart)
      pid = Mesh.start!(a, query: "app.internal", nameservers: servers(dns))
      assert TestNode.await_exactly(a, [b, c])
      Mesh.await_rounds(a, 2)
      assert [_, _] = Mesh.joins(a)
      links = [[b.name, c.name], [a.name], [a.name]]
      assert Enum.map(nodes, &TestNode.nodes/1) == links
      Enum.each(nodes, &TestNode.forward_nodes/1)
      assert {:info, _} = TestNode.await_log(a, ~r/^DNSMesh: joined/)
      TestNode.clear_logs(a)

      Mesh.kill(a)
      Await.await(fn -> Mesh.pid(a) not in [nil, pid] end)
      Mesh.await_rounds(a, 3)

      assert Mesh.joins(a) == []
      connected = for peer <- Mesh.status(a).peers, peer.state == :connected, do: peer.name
      assert connected == ["app@127.0.0.3", "app@127.0.0.4"]
      # What was linked before it came is no news.
      assert for({_, "DNSMesh" <> _ = text} <- TestNode.logs(a), do: text) == []
      assert Enum.map(nodes, &TestNode.nodes/1) == links
      refute_received {:from_node, _, {:nodedown, _, _}}
    end

    test "outlive the name server: gone, back without the name, back without records, back with one more" do
      epmd = {:fixed, Ports.free_port()}
      zone = %{{"app.internal", :a} => ["127.0.0.2", "127.0.0.3"]}
      port = Ports.free_port()
      dns = dns(zone, port: port)
      a = node!("app@127.0.0.2", epmd)
      b = node!("app@127.0.0.3", epmd)
      pid = Mesh.start!(a, query: "app.internal.", nameservers: servers(dns))
      assert TestNode.await_exactly(a, [b])
      Enum.each([a, b], &TestNode.forward_nodes/1)

      lasts = fn reason ->
        failed? = &match?({:error, ^reason}, &1.result)
        for _ <- 1..3, do: Mesh.await(a, [:lookup, :stop], DNSMesh, failed?)
        assert TestNode.nodes(a) == [b.name]
        assert TestNode.nodes(b) == [a.name]
      end

      :ok = stop_supervised(ScriptedDNS)
      failed? = &match?({:error, _}, &1.result)
      for _ <- 1..3, do: Mesh.await(a, [:lookup, :stop], DNSMesh, failed?)
      assert TestNode.nodes(a) == [b.name]

      dns = dns(%{}, port: port)
      lasts.(:nxdomain)
      ScriptedDNS.put(dns, {"app.internal", :a}, :no_records)
      lasts.(:no_records)
      refute_received {:from_node, _, {:nodedown, _, _}}

      c = node!("app@127.0.0.4", epmd)
      ScriptedDNS.put(dns, {"app.internal", :a}, ["127.0.0.4"])
      assert TestNode.await_exactly(a, [b, c])
      assert Mesh.pid(a) == pid
      refute_received {:from_node, _, {:nodedown, _, _}}
    end

    test "are made once by two pollers with the same query" do
      epmd = {:fixed, Ports.free_port()}
      dns = dns(%{{"app.internal", :a} => ["127.0.0.2", "127.0.0.3"]})
      a = node!("app@127.0.0.2", epmd)
      b = node!("app@127.0.0.3", epmd)
      opts = [query: "app.internal", nameservers: servers(dns)]
      pids = for name <- [:one, :two], do: Mesh.start!(a, [name: name] ++ opts)
      assert TestNode.await_exactly(a, [b])

      for name <- [:one, :two] do
        Mesh.await_rounds(a, 3, name)
        assert %{state: :connected} = Mesh.peer(a, "app@127.0.0.3", name)

        # Both may have dialled at the same moment, and the VM makes one link of it; nobody dialled again.
        assert Mesh.joins(a, name) in [[], [{"app@127.0.0.3", true}]]
      end

      assert for(name <- [:one, :two], do: Mesh.pid(a, name)) == pids
      assert TestNode.nodes(a) == [b.name]
      assert TestNode.nodes(b) == [a.name]
    end
  end

  describe "without distribution" do
    test "lookups go on, nothing is dialled, and one line says how to mend it" do
      for {env, advice} <- [
            {[{"RELEASE_NAME", nil}], ["--name app@10.0.0.5", "--cookie"]},
            {[{"RELEASE_NAME", "app"}], ["rel/env.sh.eex", "mix dns_mesh.gen.env"]}
          ] do
        dns = start_supervised!({ScriptedDNS, zone: %{{"app.internal", :a} => ["127.0.0.3"]}})
        a = TestNode.start!(env: env)
        opts = [query: "app@app.internal", nameservers: servers(dns), interval: 5_000]
        pid = Mesh.start!(a, opts)
        for _ <- 1..5, do: Mesh.poll!(a)

        assert length(ScriptedDNS.queries(dns, "app.internal", :a)) >= 3
        assert Mesh.joins(a) == []
        assert [%{state: :waiting, reason: :not_distributed}] = Mesh.status(a).peers
        assert [{:warning, line}] = TestNode.logs(a)
        assert line =~ "not distributed"
        for text <- advice, do: assert(line =~ text)
        assert Mesh.pid(a) == pid
        stop_supervised(ScriptedDNS)
      end
    end
  end

  describe "nothing to ask" do
    test "starts nothing, logs nothing, and does not even load the native library" do
      a = TestNode.start!()

      for variable <- [nil, "", " , ,"], opts <- [[], [interval: 1_000]] do
        if variable,
          do: TestNode.call(a, System, :put_env, ["DNS_CLUSTER_QUERY", variable]),
          else: TestNode.call(a, System, :delete_env, ["DNS_CLUSTER_QUERY"])

        assert TestNode.start_child(a, {DNSMesh, opts}) == :ignore
      end

      TestNode.call(a, System, :put_env, ["DNS_CLUSTER_QUERY", "app.internal"])

      for query <- [:ignore, nil, "", [], " , "],
          do: assert(TestNode.start_child(a, {DNSMesh, query: query}) == :ignore)

      assert TestNode.call(a, Process, :whereis, [DNSMesh]) == nil
      assert TestNode.call(a, :code, :is_loaded, [DNSMesh.Poller]) == false
      assert TestNode.call(a, :code, :is_loaded, [DNSMesh.Native]) == false
      assert TestNode.logs(a) == []
      assert Mesh.status(a).state == :not_running
    end

    test "is what a set variable ends" do
      dns = dns(%{})
      a = TestNode.start!(env: [{"DNS_CLUSTER_QUERY", "app.internal"}])
      Mesh.start!(a, nameservers: servers(dns))
      assert_receive {:dns_query, ^dns, "app.internal", :a, :udp}, 5_000
    end
  end

  describe "its end" do
    defmodule Witness do
      @behaviour DNSMesh.Source

      @impl true
      def discover(_test, _context), do: {:ok, []}

      @impl true
      def leave(test, context), do: send(test, {:left, context.mesh})
    end

    # A supervisor starts it again at once, while its links, and what its sources have put up, are still good.
    for {reason, leave?} <- [
          {:normal, true},
          {:shutdown, true},
          {{:shutdown, :deploy}, true},
          {:boom, false},
          {{:badmatch, []}, false},
          {:killed, false}
        ] do
      @tag :capture_log
      test "by #{inspect(reason)} is #{unless leave?, do: "no "}leave", %{test: name} do
        Telemetry.subscribe(name)
        opts = [name: name, query: [{Witness, self()}], interval: 60_000, distribution: :manual]
        {:ok, pid} = start_supervised(Supervisor.child_spec({DNSMesh, opts}, restart: :temporary))
        await_rounds_here(name, 1)
        :ok = GenServer.stop(pid, unquote(Macro.escape(reason)))

        if unquote(leave?),
          do: assert_received({:left, ^name}),
          else: refute_received({:left, ^name})
      end
    end
  end

  # A supervisor logs what it does not know as an error.
  test "whoever starts an instance gets no mail of it but its end", %{test: name} do
    _ = Process.flag(:trap_exit, true)
    opts = [name: name, query: "app.internal", nameservers: servers(dns(%{})), log: false]

    for reason <- [:normal, :shutdown, {:shutdown, :deploy}] do
      {:ok, pid} = DNSMesh.start_link([distribution: :manual] ++ opts)
      assert DNSMesh.start_link(opts) == {:error, {:already_started, pid}}
      :ok = GenServer.stop(pid, reason)
      assert_receive {:EXIT, ^pid, ^reason}
      refute GenServer.whereis(name)
    end

    {:messages, mail} = Process.info(self(), :messages)
    # Of those that found the name taken; ScriptedDNS tells of the questions.
    assert Enum.reject(mail, &match?({:dns_query, _, _, _, _}, &1))
           |> Enum.reject(&match?({:EXIT, _pid, :normal}, &1)) == []
  end

  test "several instances run side by side, each with its name, query and server", %{test: test} do
    names = for n <- 1..3, do: :"#{test} #{n}"

    servers =
      for name <- names do
        zone = %{{"app.internal", :a} => ["10.0.0.1"]}
        dns = start_supervised!({ScriptedDNS, zone: zone}, id: {:dns, name})
        start_here!(name, query: "app.internal", nameservers: servers(dns), log: false)
        await_rounds_here(name, 1)
        ScriptedDNS.address(dns)
      end

    assert servers == for(name <- names, do: hd(DNSMesh.status(name).queries).server)
    assert names == for(name <- names, do: DNSMesh.child_spec(name: name).id)

    taken = GenServer.whereis(hd(names))
    opts = [name: hd(names), query: "app.internal"]
    assert DNSMesh.start_link(opts) == {:error, {:already_started, taken}}
  end

  describe "pace" do
    test "a nodedown is followed by polls at 250, 500, 1 000 and 2 000 ms, once in 10 s" do
      epmd = {:fixed, Ports.free_port()}
      dns = dns(%{{"app.internal", :a} => ["127.0.0.3", "127.0.0.4"]})
      [a, b, c] = for n <- 2..4, do: node!("app@127.0.0.#{n}", epmd)
      Mesh.start!(a, query: "app.internal", nameservers: servers(dns), interval: 60_000)
      assert TestNode.await_exactly(a, [b, c])

      end_burst(a, 10_000)
      ScriptedDNS.clear_queries(dns)
      flush_queries(dns)
      refute_receive {:dns_query, ^dns, _, _, _}, 600

      down = System.monotonic_time(:millisecond)
      TestNode.kill(b)
      assert TestNode.await_exactly(a, [c])
      offsets = for at <- query_times_until(dns, down + 2_000), do: at - down
      # One that comes late takes the place of the next, on a machine that is busy.
      assert hd(offsets) >= 250 and length(offsets) in 2..4, inspect(offsets)

      # Another one goes down within the ten seconds: no second burst.
      TestNode.kill(c)
      assert TestNode.await_exactly(a, [])
      refute_receive {:dns_query, ^dns, _, _, _}, 600
    end

    defp query_times_until(dns, time) do
      assert_receive {:dns_query, ^dns, "app.internal", :a, :udp}, 5_000
      times = for query <- ScriptedDNS.queries(dns), do: query.at
      if List.last(times) >= time, do: times, else: query_times_until(dns, time)
    end

    test "of hidden nodes, shells and looks, takes no notice", %{test: name} do
      opts = [query: "app.internal", nameservers: servers(dns(%{})), interval: 60_000]
      pid = start_here!(name, [log: false] ++ opts)
      long_ago = &Map.update!(&1, :burst_at, fn at -> at - 10_000 end)
      _ = :sys.replace_state(pid, &Map.update!(&1, :pace, long_ago))
      %{pace: before, timer: timer} = :sys.get_state(pid)

      down = fn type ->
        send(pid, {:nodedown, :"ghost@127.0.0.9", node_type: type, nodedown_reason: :disconnect})
        :sys.get_state(pid)
      end

      assert %{pace: ^before, timer: ^timer} = down.(:hidden)
      assert %{pace: pace, timer: next} = down.(:visible)
      assert pace.burst_at > before.burst_at
      assert next != timer
      # Within the burst, no other one begins.
      assert %{pace: ^pace, timer: ^next} = down.(:visible)
    end

    # The wall clock may jump by years; what Erlang calls monotonic does not.
    test "knows no other clock than the monotonic one" do
      wall =
        ~w(System.os_time System.system_time :os.timestamp :os.system_time :os.perf_counter :calendar DateTime) ++
          ~w(Time.utc :erlang.now :erlang.timestamp :erlang.system_time :erlang.localtime :erlang.universaltime) ++
          ~w(:erlang.time :erlang.date)

      files = Path.wildcard(Path.expand("../../lib/**/*.ex", __DIR__))
      assert length(files) > 10

      for file <- files,
          clock <- wall,
          do: refute(String.contains?(File.read!(file), clock), file)

      assert Enum.any?(files, &(File.read!(&1) =~ "System.monotonic_time(:millisecond)"))
    end

    test "is kept where monotonic time is below zero, as in every young VM", %{test: name} do
      a = TestNode.start!()
      assert TestNode.call(a, System, :monotonic_time, [:millisecond]) < 0
      dns = dns(%{{"app.internal", :a} => ["127.0.0.3"]})
      # Only the burst makes more than one round of this interval.
      opts = [name: name, query: "app.internal", interval: 60_000, nameservers: servers(dns)]
      pid = Mesh.start!(a, opts)
      Mesh.await_rounds(a, 2, name)
      assert Mesh.pid(a, name) == pid
      [%{answer_age: age}] = Mesh.status(a, name).queries
      assert age in 0..10_000
    end
  end
end

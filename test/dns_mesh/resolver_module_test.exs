defmodule DNSMesh.ResolverModuleTest do
  # A :resolver module stands for DNS and for the VM. What dns_cluster promises to such modules holds here too, and
  # nothing that a module does can end the poller.
  use ExUnit.Case, async: true

  alias DNSMesh.Test.{Await, Telemetry}

  @patience 5_000

  # A module of the test's own, each function told by the test; it tells the test of each call to lookup/2 and
  # connect_node/1, and lists what it has connected.
  defp resolver(functions \\ []) do
    module = Module.concat(__MODULE__, "R#{System.unique_integer([:positive])}")
    test = self()
    linked = :ets.new(:linked, [:public])

    defaults = %{
      basename: fn _node -> "app" end,
      lookup: fn _host, _type -> [] end,
      list_nodes: fn -> for {node} <- :ets.tab2list(linked), do: node end,
      connect_node: fn _node -> true end
    }

    :persistent_term.put(module, {test, linked, Map.merge(defaults, Map.new(functions))})
    on_exit(fn -> :persistent_term.erase(module) end)

    body =
      quote do
        def basename(node), do: unquote(__MODULE__).run(__MODULE__, :basename, [node])
        def lookup(host, type), do: unquote(__MODULE__).run(__MODULE__, :lookup, [host, type])
        def list_nodes, do: unquote(__MODULE__).run(__MODULE__, :list_nodes, [])
        def connect_node(node), do: unquote(__MODULE__).run(__MODULE__, :connect_node, [node])
      end

    Module.create(module, body, Macro.Env.location(__ENV__))
    module
  end

  @doc false
  def run(module, function, arguments) do
    {test, linked, functions} = :persistent_term.get(module)
    if function in [:lookup, :connect_node], do: send(test, {function, arguments})
    result = apply(functions[function], arguments)

    if function == :connect_node and result not in [false, nil, :ignored],
      do: :ets.insert(linked, List.to_tuple(arguments))

    result
  end

  defp set(module, function, fun) do
    {test, linked, functions} = :persistent_term.get(module)
    :persistent_term.put(module, {test, linked, Map.put(functions, function, fun)})
  end

  # Events only where a test asks for them: the other tests look at every message that comes.
  defp start!(name, opts) do
    start_supervised!(
      {DNSMesh, Keyword.merge([name: name, query: "app.internal", log: false], opts)}
    )
  end

  defp watched!(name, opts) do
    Telemetry.subscribe(name)
    start!(name, Keyword.merge([interval: 100], opts))
  end

  # Among the next fifty: at an interval of 100 ms what does not come then does not come.
  defp await_lookup(name, wanted?) do
    lookups =
      Stream.repeatedly(fn ->
        assert_receive {:telemetry, [:dns_mesh, :lookup, :stop], _, %{mesh: ^name} = lookup},
                       @patience

        lookup
      end)

    assert lookup = lookups |> Stream.take(50) |> Enum.find(wanted?)
    lookup
  end

  defp await_join(name) do
    assert_receive {:telemetry, [:dns_mesh, :join, :stop], _, %{mesh: ^name} = join}, @patience
    join
  end

  defp await_rounds(name, count) do
    flush(name, [:round, :stop])

    for _ <- 1..count,
        do: assert_receive({:telemetry, [:dns_mesh, :round, :stop], _, %{mesh: ^name}}, @patience)
  end

  defp flush(name, event) do
    full = [:dns_mesh | event]

    receive do
      {:telemetry, ^full, _, %{mesh: ^name}} -> flush(name, event)
    after
      0 -> :ok
    end
  end

  defp peers(name), do: for(peer <- DNSMesh.status(name).peers, do: {peer.name, peer.state})

  test "members' questions are none that it understands: it cannot probe", %{test: name} do
    pid = start!(name, resolver: resolver())

    for question <- [{:reach, "app@10.0.0.9"}, {:members, "app@10.0.0.8", ["app@10.0.0.9"]}] do
      assert GenServer.call(pid, {:dns_mesh, 1, question}) == {:error, :unknown_call}
    end

    assert GenServer.whereis(name) == pid
  end

  describe "dns_cluster's promises:" do
    test "what is found and not listed is connected, under the module's basename", %{test: name} do
      module =
        resolver(
          lookup: fn _, _ -> [{10, 0, 0, 1}, {10, 0, 0, 2}, {0xFDAA, 0, 0, 0, 0, 0, 0, 3}] end,
          list_nodes: fn -> [:"app@10.0.0.1"] end
        )

      start!(name, resolver: module)
      assert_receive {:lookup, ["app.internal", :a]}, @patience
      assert_receive {:lookup, ["app.internal", :aaaa]}, @patience
      assert_receive {:connect_node, [:"app@10.0.0.2"]}, @patience
      assert_receive {:connect_node, [:"app@fdaa::3"]}, @patience
      refute_receive {:connect_node, _}, 50
    end

    test "nothing but what the module's functions send comes to anybody", %{test: name} do
      start!(name, resolver: resolver(lookup: fn _, _ -> [{10, 0, 0, 1}] end))
      assert_receive {:connect_node, _}, @patience
      DNSMesh.poll(name)

      other =
        receive do
          message when elem(message, 0) not in [:lookup, :connect_node] -> message
        after
          50 -> nil
        end

      assert other == nil
    end

    test "a tuple gives its own basename; a list asks each of its items", %{test: name} do
      module =
        resolver(
          lookup: fn host, :a -> if host =~ "one", do: [{10, 0, 0, 1}], else: [{10, 0, 0, 2}] end
        )

      query = ["one.internal", {"other", "two.internal"}, {"one", "one.internal"}]
      start!(name, resolver: module, query: query, resource_types: [:a])

      assert_receive {:connect_node, [:"app@10.0.0.1"]}, @patience
      assert_receive {:connect_node, [:"other@10.0.0.2"]}, @patience
      assert_receive {:connect_node, [:"one@10.0.0.1"]}, @patience
      refute_receive {:connect_node, _}, 50
    end

    test "two items may share a name, and an address found twice is one peer", %{test: name} do
      module = resolver(lookup: fn _, _ -> [{10, 0, 0, 1}, {10, 0, 0, 1}] end)
      query = ["app.internal", {"other", "app.internal"}]
      start!(name, resolver: module, query: query)

      assert_receive {:connect_node, [:"app@10.0.0.1"]}, @patience
      assert_receive {:connect_node, [:"other@10.0.0.1"]}, @patience
      refute_receive {:connect_node, _}, 50
    end

    test "an address of this machine is a peer like any other, for the module says who is who", %{
      test: name
    } do
      start!(name, resolver: resolver(lookup: fn _, _ -> [{127, 0, 0, 1}, {224, 0, 0, 1}] end))
      assert_receive {:connect_node, [:"app@127.0.0.1"]}, @patience
      assert_receive {:connect_node, [:"app@224.0.0.1"]}, @patience
    end

    test "the host is the module's affair: it need not be a DNS name", %{test: name} do
      query = ["no dns name, but two items", {"app", "ünïcode/any thing"}]
      start!(name, resolver: resolver(), query: query, resource_types: [:srv])
      assert_receive {:lookup, ["no dns name", :srv]}, @patience
      assert_receive {:lookup, ["but two items", :srv]}, @patience
      assert_receive {:lookup, ["ünïcode/any thing", :srv]}, @patience
    end

    test "the types asked for are those given", %{test: name} do
      start!(name, resolver: resolver(), resource_types: [:srv, :a, :a])
      assert_receive {:lookup, ["app.internal", :srv]}, @patience
      assert_receive {:lookup, ["app.internal", :a]}, @patience
      assert for(query <- DNSMesh.status(name).queries, do: query.type) == [:srv, :a]
      refute_received {:lookup, [_, :aaaa]}
    end

    test "other resource types raise", %{test: name} do
      for bad <- [[], [:ptr], [:a, :mx], :a, nil, "a"] do
        expected = ~r/expected :resource_types to be a subset of \[:a, :aaaa, :srv\], got: /

        for {kind, start} <- [
              {ArgumentError, &DNSMesh.start_link/1},
              {RuntimeError, &start_supervised!({DNSMesh, &1})}
            ] do
          assert_raise kind, expected, fn ->
            start.(name: name, query: "x", resolver: resolver(), resource_types: bad)
          end
        end
      end
    end

    test "a query that is no string, tuple or list of them raises, as a child too", %{test: name} do
      for bad <- [
            1,
            1.5,
            :app,
            %{},
            [1],
            [["app"]],
            [nil],
            {"app"},
            {:app, "x"},
            {"a", "b", "c"},
            [{"a", 1}]
          ] do
        opts = [name: name, query: bad, resolver: resolver()]

        expected =
          "expected :query to be a string, {basename, query}, or list, got: #{inspect(bad)}"

        assert_raise ArgumentError, expected, fn -> DNSMesh.start_link(opts) end
        in_child = ~r/expected :query to be a string, {basename, query}, or list/
        assert_raise RuntimeError, in_child, fn -> start_supervised!({DNSMesh, opts}) end
      end
    end

    test ":ignore starts nothing and calls nothing" do
      assert DNSMesh.start_link(query: :ignore, resolver: resolver()) == :ignore
      refute_receive _, 50
    end

    test "what could not be connected is tried again, what could is not", %{test: name} do
      module =
        resolver(
          lookup: fn _, _ -> [{10, 0, 0, 1}, {10, 0, 0, 2}] end,
          connect_node: &(&1 == :"app@10.0.0.1")
        )

      watched!(name, resolver: module, resource_types: [:a])
      for _ <- 1..2, do: assert_receive({:connect_node, [:"app@10.0.0.2"]}, @patience)
      await_rounds(name, 3)
      assert Enum.count(connects(), &(&1 == :"app@10.0.0.1")) == 1
    end

    test "a node that the module lists later is not dialled any more", %{test: name} do
      listed = :counters.new(1, [])
      list = fn -> if :counters.get(listed, 1) > 0, do: [:"app@10.0.0.1"], else: [] end

      module =
        resolver(
          lookup: fn _, _ -> [{10, 0, 0, 1}] end,
          list_nodes: list,
          connect_node: fn _ -> false end
        )

      watched!(name, resolver: module, resource_types: [:a])
      assert_receive {:connect_node, _}, @patience
      :counters.add(listed, 1, 1)
      Await.await(fn -> peers(name) == [{"app@10.0.0.1", :connected}] end)
      await_rounds(name, 2)
      connects()
      await_rounds(name, 5)
      assert connects() == []
    end
  end

  defp connects do
    receive do
      {:connect_node, [node]} -> [node | connects()]
    after
      0 -> []
    end
  end

  describe "lookup/2" do
    test "may return {:ok, list}", %{test: name} do
      module = resolver(lookup: fn _, _ -> {:ok, [{10, 0, 0, 1}]} end)
      watched!(name, resolver: module, resource_types: [:a])
      assert_receive {:connect_node, [:"app@10.0.0.1"]}, @patience

      assert %{records: [{10, 0, 0, 1}], server: "module"} =
               hd(DNSMesh.status(name).queries).answer
    end

    test "may return {:error, reason}, any reason; nobody is lost by it", %{test: name} do
      module = resolver(lookup: fn _, _ -> [{10, 0, 0, 1}] end)
      pid = watched!(name, resolver: module, resource_types: [:a])
      Await.await(fn -> peers(name) == [{"app@10.0.0.1", :connected}] end)

      for reason <- [:nxdomain, :timeout, {:my_own, %{reason: 1}}, nil] do
        set(module, :lookup, fn _, _ -> {:error, reason} end)
        await_lookup(name, &(&1.result == {:error, reason}))
        assert [%{error: ^reason, answer: %{records: [_]}}] = DNSMesh.status(name).queries
        assert IO.iodata_to_binary("#{DNSMesh.status(name)}") =~ "app@10.0.0.1"
        assert Enum.map(DNSMesh.status(name).peers, & &1.name) == ["app@10.0.0.1"]
      end

      assert GenServer.whereis(name) == pid
    end

    test "finding nobody is no records", %{test: name} do
      watched!(name, resolver: resolver(lookup: fn _, _ -> [] end), resource_types: [:a])
      assert %{result: {:error, :no_records}} = await_lookup(name, fn _ -> true end)
      watched!(:"#{name} 2", resolver: resolver(lookup: fn _, _ -> {:ok, []} end))
      assert %{result: {:error, :no_records}} = await_lookup(:"#{name} 2", fn _ -> true end)
    end

    test "that raises, throws, exits or is killed fails alone", %{test: name} do
      faults = %{
        "raise" => fn -> raise "boom" end,
        "throw" => fn -> throw(:boom) end,
        "exit" => fn -> exit(:boom) end,
        "erlang" => fn -> :erlang.error(:boom) end,
        "shutdown" => fn -> exit({:shutdown, :boom}) end,
        "normal" => fn -> exit(:normal) end,
        "kill" => fn -> Process.exit(self(), :kill) end,
        "done" => fn -> exit({:done, [{10, 0, 0, 9}]}) end
      }

      lookup = fn
        "good.internal", _ -> [{10, 0, 0, 1}]
        host, _ -> faults[host].()
      end

      query = ["good.internal" | Map.keys(faults)]
      opts = [resolver: resolver(lookup: lookup), query: query, resource_types: [:a]]
      pid = watched!(name, opts)
      assert_receive {:connect_node, [:"app@10.0.0.1"]}, @patience
      await_rounds(name, 3)

      for %{query: query, error: error} <- DNSMesh.status(name).queries,
          query != "good.internal" do
        assert {:raised, text} = error
        assert is_binary(text)
      end

      assert peers(name) == [{"app@10.0.0.1", :connected}]
      assert GenServer.whereis(name) == pid
    end

    test "that returns anything but addresses has returned something bad", %{test: name} do
      returns =
        [nil, :ok, "10.0.0.1", %{}, [1], [{1, 2, 3}], [{10, 0, 0, 256}], [{10, 0, 0, 1} | :x]] ++
          [{:ok, :x}, {:ok, nil}, [{10, 0, 0, 1}, "10.0.0.2"], [~c"10.0.0.1"], [{1.0, 0, 0, 1}]] ++
          [{1, 2, 3, 4}, {:ok, [{10, 0, 0, 1}], 30}, self(), fn -> :x end]

      returns = returns |> Enum.with_index() |> Map.new(fn {term, n} -> {"host#{n}", term} end)
      lookup = fn host, _ -> returns[host] end
      opts = [resolver: resolver(lookup: lookup), query: Map.keys(returns), resource_types: [:a]]
      pid = watched!(name, opts)
      await_rounds(name, 2)

      for %{query: query, error: error} <- DNSMesh.status(name).queries,
          do: assert({:bad_return, _} = error, "#{query}: #{inspect(returns[query])}")

      assert peers(name) == []
      assert GenServer.whereis(name) == pid
    end

    test "that hangs is killed at its deadline, and holds up nothing else", %{test: name} do
      test = self()

      lookup = fn
        "good.internal", _ ->
          [{10, 0, 0, 1}]

        _hung, _ ->
          Process.flag(:trap_exit, true)
          send(test, {:hung, self()})
          receive do: (:never -> [])
      end

      query = ["hung.internal", "good.internal"]

      opts = [
        resolver: resolver(lookup: lookup),
        query: query,
        resource_types: [:a],
        timeout: 300
      ]

      pid = watched!(name, opts)

      assert_receive {:hung, hung}, @patience
      monitor = Process.monitor(hung)
      # The good one is connected long before.
      assert_receive {:connect_node, [:"app@10.0.0.1"]}, @patience
      assert_receive {:DOWN, ^monitor, :process, ^hung, :killed}, @patience
      assert %{query: "hung.internal"} = await_lookup(name, &(&1.result == {:error, :timeout}))

      # And it is asked again, by another process.
      assert_receive {:hung, another}, @patience
      assert another != hung
      assert GenServer.whereis(name) == pid
    end

    test "is not asked again while it runs", %{test: name} do
      lookup = fn _, _ -> receive(do: (:never -> [])) end
      opts = [resolver: resolver(lookup: lookup), resource_types: [:a], timeout: 2_000]
      watched!(name, opts)
      assert_receive {:lookup, _}, @patience
      for _ <- 1..5, do: DNSMesh.poll(name)
      refute_receive {:lookup, _}, 500
    end
  end

  describe "connect_node/1" do
    test "says yes by anything but false, nil and :ignored", %{test: name} do
      said = [true, :ok, 1, [], %{}, {:error, :x}, false, nil, :ignored]
      addresses = for n <- 0..8, do: {10, 0, 0, n}

      connect = fn node ->
        Enum.at(said, node |> to_string() |> String.last() |> String.to_integer())
      end

      module = resolver(lookup: fn _, _ -> addresses end, connect_node: connect)
      opts = [resolver: module, resource_types: [:a], interval: 60_000]
      pid = watched!(name, opts)
      results = for _ <- 0..8, join = await_join(name), into: %{}, do: {join.peer, join.result}

      expected = List.duplicate(true, 6) ++ [false, false, :ignored]
      for n <- 0..8, do: assert(results["app@10.0.0.#{n}"] == Enum.at(expected, n))

      states = for n <- 0..8, do: {"app@10.0.0.#{n}", if(n < 6, do: :connected, else: :waiting)}
      assert peers(name) == states
      assert GenServer.whereis(name) == pid
    end

    test "that raises, exits or is killed is a failed join", %{test: name} do
      connect = fn
        :"app@10.0.0.1" -> raise "boom"
        :"app@10.0.0.2" -> exit(:boom)
        :"app@10.0.0.3" -> exit({:joined, true})
        :"app@10.0.0.4" -> Process.exit(self(), :kill)
        :"app@10.0.0.5" -> throw(:boom)
        _good -> true
      end

      addresses = for n <- 1..6, do: {10, 0, 0, n}
      module = resolver(lookup: fn _, _ -> addresses end, connect_node: connect)
      pid = watched!(name, resolver: module, resource_types: [:a], interval: 60_000)
      results = for _ <- 1..6, join = await_join(name), into: %{}, do: {join.peer, join.result}

      for n <- 1..5, do: assert({:down, _} = results["app@10.0.0.#{n}"])
      assert results["app@10.0.0.6"] == true
      assert GenServer.whereis(name) == pid
      # No atom that was sent was a lie: whoever was not connected is not shown so.
      assert [{"app@10.0.0.6", :connected}] =
               Enum.filter(peers(name), &(elem(&1, 1) == :connected))
    end

    test "that hangs holds up nobody, and is never killed", %{test: name} do
      test = self()

      connect = fn
        :"app@10.0.0.1" ->
          send(test, {:hung, self()})
          receive(do: (:go -> true))

        _good ->
          true
      end

      module =
        resolver(lookup: fn _, _ -> [{10, 0, 0, 1}, {10, 0, 0, 2}] end, connect_node: connect)

      opts = [resolver: module, resource_types: [:a], timeout: 50, connect_timeout: 50]
      watched!(name, opts)
      assert_receive {:hung, hung}, @patience
      assert %{peer: "app@10.0.0.2", result: true} = await_join(name)
      await_rounds(name, 3)
      assert [%{state: :joining, reason: :connect_timeout}, _] = DNSMesh.status(name).peers
      refute_received {:hung, _again}

      send(hung, :go)
      assert %{peer: "app@10.0.0.1", result: true} = await_join(name)
      assert peers(name) == [{"app@10.0.0.1", :connected}, {"app@10.0.0.2", :connected}]
    end
  end

  describe "list_nodes/0 and basename/1" do
    test "that raise, hang or return nonsense cost a poll, which is told; the next may be good",
         %{test: name} do
      faults = [
        list_nodes: fn -> raise "boom" end,
        list_nodes: fn -> exit(:boom) end,
        list_nodes: fn -> :no_list end,
        list_nodes: fn -> [{:no, :name}] end,
        list_nodes: fn -> receive(do: (:never -> [])) end,
        basename: fn _ -> raise "boom" end,
        basename: fn _ -> {:no, :name} end,
        basename: fn _ -> receive(do: (:never -> "app")) end
      ]

      module = resolver(lookup: fn _, _ -> [{10, 0, 0, 1}] end)
      opts = [resolver: module, resource_types: [:a], timeout: 100]
      pid = watched!(name, opts)
      Await.await(fn -> peers(name) == [{"app@10.0.0.1", :connected}] end)
      {_test, _linked, good} = :persistent_term.get(module)

      for {function, fault} <- faults do
        flush(name, [:round, :skipped])
        set(module, function, fault)

        assert_receive {:telemetry, [:dns_mesh, :round, :skipped], _, %{reason: reason}},
                       @patience

        assert reason == :timeout or match?({:raised, text} when is_binary(text), reason)
        assert [_] = DNSMesh.status(name).peers

        set(module, function, good[function])
        await_rounds(name, 1)
      end

      assert GenServer.whereis(name) == pid
    end

    test "a new basename names the peers anew", %{test: name} do
      module = resolver(lookup: fn _, _ -> [{10, 0, 0, 1}] end)
      watched!(name, resolver: module, resource_types: [:a])
      assert_receive {:connect_node, [:"app@10.0.0.1"]}, @patience
      set(module, :basename, fn _node -> "new" end)
      assert_receive {:connect_node, [:"new@10.0.0.1"]}, @patience
    end

    test "basename/1 is asked for this node", %{test: name} do
      test = self()

      basename = fn node ->
        send(test, {:basename, node})
        :atoms_too
      end

      start!(name, resolver: resolver(basename: basename, lookup: fn _, _ -> [{10, 0, 0, 1}] end))
      assert_receive {:basename, node} when node == node(), @patience
      assert_receive {:connect_node, [:"atoms_too@10.0.0.1"]}, @patience
    end
  end

  describe "items that DNS is not asked for:" do
    test "nodes listed as atoms are connected as they are, and looked up by nobody", %{test: name} do
      module = resolver(lookup: fn _, _ -> [{10, 0, 0, 1}] end)
      watched!(name, resolver: module, query: [:node1@node1, :"b@b.test"])
      assert_receive {:connect_node, [:node1@node1]}, @patience
      assert_receive {:connect_node, [:"b@b.test"]}, @patience

      # A list of nodes that was begun before they were connected may have had them dialled once more.
      await_rounds(name, 1)
      await_rounds(name, 1)
      flush_connects()
      await_rounds(name, 2)
      refute_received {:lookup, _}
      refute_received {:connect_node, _}
      assert peers(name) == [{"b@b.test", :connected}, {"node1@node1", :connected}]
    end

    test "beside one that is looked up they are as good", %{test: name} do
      module = resolver(lookup: fn "app.internal", :a -> [{10, 0, 0, 1}] end)
      query = ["app.internal", :node1@node1]
      start!(name, resolver: module, resource_types: [:a], query: query)
      assert_receive {:connect_node, [:"app@10.0.0.1"]}, @patience
      assert_receive {:connect_node, [:node1@node1]}, @patience
    end

    test "a basename that only an epmd could tell is refused at the start" do
      for query <- ["*@app.internal", "app-*@app.internal", [:a@b, {"*", "app.internal"}]] do
        error =
          assert_raise ArgumentError, fn ->
            DNSMesh.start_link(query: query, resolver: resolver())
          end

        assert error.message =~ ":resolver, which stands for DNS and cannot ask epmd"
        assert error.message =~ ~r/got: ".*\*@app.internal"/
      end
    end
  end

  defp flush_connects do
    receive do
      {:connect_node, _} -> flush_connects()
    after
      0 -> :ok
    end
  end

  test "a module without the four functions is refused" do
    for bad <- [Enum, NoSuchModule, "module", 1, %{}] do
      expected =
        ~r/expected :resolver to be a module with basename\/1, lookup\/2, list_nodes\/0 and connect_node\/1/

      assert_raise ArgumentError, expected, fn ->
        DNSMesh.start_link(query: "app.internal", resolver: bad)
      end
    end
  end

  test "it needs no distribution, and no warning is made of its absence", %{test: name} do
    refute Node.alive?()
    module = resolver(lookup: fn _, _ -> [{8, 8, 8, 8}] end)
    watched!(name, resolver: module, resource_types: [:a])
    assert %{peer: "app@8.8.8.8", result: true} = await_join(name)
    await_rounds(name, 2)
    refute_received {:telemetry, [:dns_mesh, :problem, :raised], _, _}
  end
end

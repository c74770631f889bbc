defmodule DNSMesh.NativeTest do
  # The border between the VM and the Rust library: exactly one message for each lookup whatever happens, and nothing
  # that ever holds a scheduler. What the answers say is in resolver_test.exs.
  #
  # Not async: some of these take all of the 64 wire permits, which all resolvers of a VM share.
  use ExUnit.Case

  alias DNSMesh.Native
  alias DNSMesh.Test.{Await, Mesh, NativeLookup, Ports, ScriptedDNS, TestNode}

  import NativeLookup, only: [ask: 2, ask: 3, open: 1, open: 2, reason: 1]

  @permits 64

  # A server that answers each name, unless a test says otherwise.
  defp dns(opts \\ []) do
    opts = Keyword.merge([default: ["10.0.0.1"]], opts)
    start_supervised!({ScriptedDNS, opts}, id: make_ref())
  end

  defp refute_second(ref), do: refute_receive({^ref, _}, 100)

  describe "lookup/7" do
    test "returns :ok at once and replies once, as a Task does" do
      dns = dns()
      resolver = open([dns])
      ref = make_ref()

      assert Native.lookup(resolver, ref, :a, [], [], "app.internal", 2_000) == :ok
      assert_receive {^ref, {:ok, %{records: [{10, 0, 0, 1}]}}}, 5_000
      refute_second(ref)
    end

    test "1 000 at once return before the first is answered, and each is answered once" do
      dns = dns(default: {:delay, 150, ["10.0.0.1"]})
      resolver = open([dns])

      refs =
        for n <- 1..1_000, do: NativeLookup.start(resolver, "n#{n}.internal", timeout: 30_000)

      # Had one of the calls waited for its answer, that answer would be here.
      assert Process.info(self(), :message_queue_len) == {:message_queue_len, 0}

      for ref <- refs,
          do: assert({:ok, %{records: [{10, 0, 0, 1}]}} = NativeLookup.await(ref, 30_000))

      refute_receive {_ref, _second}, 100
    end

    test "no more than 64 are on the wire at once; the others' deadlines hold while they wait" do
      dns = dns(default: :silent, notify: self())
      resolver = open([dns])

      first =
        for n <- 1..@permits,
            do: NativeLookup.start(resolver, "first#{n}.internal", timeout: 1_500)

      for n <- 1..@permits do
        name = "first#{n}.internal"
        assert_receive {:dns_query, ^dns, ^name, :a, :udp}, 1_000
      end

      later =
        for n <- 1..1_000, do: NativeLookup.start(resolver, "later#{n}.internal", timeout: 300)

      for ref <- later, do: assert(reason(NativeLookup.await(ref)) == :timeout)
      asked = dns |> ScriptedDNS.queries() |> Enum.uniq_by(& &1.name)
      assert length(asked) == @permits

      for ref <- first, do: assert(reason(NativeLookup.await(ref)) == :timeout)

      # All permits are back.
      ScriptedDNS.default(dns, ["10.0.0.1"])
      again = for n <- 1..(2 * @permits), do: NativeLookup.start(resolver, "again#{n}.internal")
      for ref <- again, do: assert(reason(NativeLookup.await(ref)) == :ok)
    end

    test "a silent first server does not starve the second one of permits" do
      resolver = open([dns(default: :silent), dns()])
      refs = for n <- 1..300, do: NativeLookup.start(resolver, "n#{n}.internal", timeout: 4_000)
      for ref <- refs, do: assert(reason(NativeLookup.await(ref, 15_000)) == :ok)
    end

    test "200 SRV targets are all found behind a silent first server" do
      targets = for n <- 1..200, do: {0, 0, n, "n#{n}.internal"}

      zone =
        for n <- 1..200,
            into: %{{"_app._tcp.internal", :srv} => targets},
            do: {{"n#{n}.internal", :a}, [{10, 0, 0, n}]}

      resolver = open([dns(default: :silent), dns(zone: zone)])

      assert {:ok, %{records: records}} =
               ask(resolver, "_app._tcp.internal", type: :srv, timeout: 4_000)

      assert length(records) == 200
      assert Enum.all?(records, &match?([{10, 0, 0, _}], &1.addresses))
    end

    test "the same name at the same time: each asks, each is answered" do
      dns = dns(default: {:delay, 100, ["10.0.0.1"]})
      resolver = open([dns])
      refs = for _ <- 1..20, do: NativeLookup.start(resolver, "app.internal")
      for ref <- refs, do: assert(reason(NativeLookup.await(ref)) == :ok)
    end

    test "arguments of the wrong type raise here, and no message comes" do
      resolver = open([dns()])
      ref = make_ref()

      for args <- [
            [:not_a_resolver, ref, :a, [], [], "app.internal", 2_000],
            [make_ref(), ref, :a, [], [], "app.internal", 2_000],
            [resolver, :not_a_ref, :a, [], [], "app.internal", 2_000],
            [resolver, ref, :mx, [], [], "app.internal", 2_000],
            [resolver, ref, "a", [], [], "app.internal", 2_000],
            [resolver, ref, :srv, [:inet5], [], "app.internal", 2_000],
            [resolver, ref, :srv, :inet, [], "app.internal", 2_000],
            [resolver, ref, :a, [], [:ports], "app.internal", 2_000],
            [resolver, ref, :a, [], :hosts, "app.internal", 2_000],
            [resolver, ref, :a, [], [], ~c"app.internal", 2_000],
            [resolver, ref, :a, [], [], :app, 2_000],
            [resolver, ref, :a, [], [], "app.internal", -1],
            [resolver, ref, :a, [], [], "app.internal", 2_000.0],
            [resolver, ref, :a, [], [], "app.internal", :infinity]
          ] do
        assert_raise ArgumentError, fn -> apply(Native, :lookup, args) end
      end

      refute_receive {^ref, _}, 100
    end

    test "deadlines at both ends" do
      resolver = open([dns(default: :silent)], resolv_conf: one_try_of_a_second())
      assert reason(ask(resolver, "app.internal", timeout: 0)) == :timeout
      assert reason(ask(resolver, "app.internal", timeout: 1)) == :timeout

      # A day, as the largest interval, and far more: nothing may overflow.
      refs =
        for timeout <- [86_400_000, 4_294_967_295, 18_446_744_073_709_551_615],
            do: NativeLookup.start(resolver, "app.internal", timeout: timeout)

      for ref <- refs, do: refute_received({^ref, _})
      # resolv.conf's time for one try ends them.
      for ref <- refs, do: assert(reason(NativeLookup.await(ref)) == :timeout)

      assert {:ok, _} = ask(open([dns()]), "app.internal", timeout: 86_400_000)
    end
  end

  describe "whatever goes wrong inside" do
    test "a panic in the task" do
      dns = dns()
      resolver = open([dns])
      ref = NativeLookup.start(resolver, "panic.faults.dns-mesh")
      assert {:error, %{reason: :panicked}} = NativeLookup.await(ref)
      refute_second(ref)
      assert {:ok, _} = ask(resolver, "app.internal")
    end

    test "a panic while the reply is built" do
      dns = dns()
      resolver = open([dns])
      ref = NativeLookup.start(resolver, "panic-encode.faults.dns-mesh")
      assert {:error, %{reason: :panicked}} = NativeLookup.await(ref)
      refute_second(ref)
      assert {:ok, _} = ask(resolver, "app.internal")
    end

    test "a task that goes away without a word" do
      dns = dns()
      resolver = open([dns])
      ref = NativeLookup.start(resolver, "drop.faults.dns-mesh")
      assert {:error, %{reason: :dropped}} = NativeLookup.await(ref)
      refute_second(ref)
      assert {:ok, _} = ask(resolver, "app.internal")
    end

    test "these say which name it was" do
      resolver = open([dns()])

      for name <- [
            "panic.faults.dns-mesh",
            "panic-encode.faults.dns-mesh",
            "drop.faults.dns-mesh"
          ] do
        assert {:error, %{name: ^name, server: nil, negative_ttl: nil}} = ask(resolver, name)
      end
    end

    test "200 panics among 200 lookups that are well" do
      resolver = open([dns()])

      refs =
        for n <- 1..200,
            name <- ["panic.faults.dns-mesh", "n#{n}.internal"],
            do: {name, NativeLookup.start(resolver, name)}

      for {name, ref} <- refs do
        expected = if name == "panic.faults.dns-mesh", do: :panicked, else: :ok
        assert reason(NativeLookup.await(ref)) == expected
      end

      refute_receive {_ref, _second}, 100
    end

    test "the caller is dead when the answer comes" do
      dns = dns(default: {:delay, 100, ["10.0.0.1"]}, notify: self())
      resolver = open([dns])

      {pid, monitor} =
        spawn_monitor(fn ->
          for n <- 1..50, do: NativeLookup.start(resolver, "n#{n}.internal")
        end)

      assert_receive {:DOWN, ^monitor, :process, ^pid, :normal}
      for _ <- 1..50, do: assert_receive({:dns_query, ^dns, _, _, _}, 5_000)
      # The last of these is sent after the answers to the dead one.
      assert {:ok, _} = ask(resolver, "app.internal")
      refute_received {_ref, {:ok, _}}
    end

    test "the caller is killed while it waits for a permit" do
      resolver = open([dns(default: :silent)])

      {pid, monitor} =
        spawn_monitor(fn ->
          for n <- 1..500, do: NativeLookup.start(resolver, "n#{n}.internal", timeout: 300)
          Process.sleep(:infinity)
        end)

      Await.await(fn -> Process.info(pid, :status) == {:status, :waiting} end)
      Process.exit(pid, :kill)
      assert_receive {:DOWN, ^monitor, :process, ^pid, :killed}
      assert {:ok, _} = ask(open([dns()]), "app.internal", timeout: 5_000)
    end

    test "the resolver is garbage while its lookup is under way" do
      dns = dns(default: {:delay, 200, ["10.0.0.1"]})

      lookups =
        for _ <- 1..20 do
          Task.async(fn ->
            ref = ask_and_forget(dns)
            :erlang.garbage_collect()
            result = NativeLookup.await(ref)
            refute_second(ref)
            result
          end)
        end

      for result <- Task.await_many(lookups),
          do: assert({:ok, %{records: [{10, 0, 0, 1}]}} = result)
    end

    # In a VM of its own: if this goes wrong, the only thread of the runtime stands still for ever.
    test "a hosts file or resolv.conf that blocks who reads it: the lookup ends, and others go on" do
      node = TestNode.start!()
      nameservers = [ScriptedDNS.nameserver(dns())]
      pipe = pipe()

      for opts <- [[hosts: pipe], [resolv_conf: pipe]] do
        # Any outcome will do; no reply would raise here.
        TestNode.call(node, NativeLookup, :open_and_ask, [
          nameservers,
          "app.internal",
          opts ++ [timeout: 500]
        ])

        assert {:ok, _} = open_and_ask(node, nameservers, "app.internal")
      end
    end

    test "the runtime cannot start: a reply all the same, and the VM lives" do
      node = TestNode.start!(env: [{"DNS_MESH_FAULT_RUNTIME", "1"}])

      for _ <- 1..2 do
        assert {:error,
                %{reason: {:runtime, text}, name: "app.internal", server: nil, negative_ttl: nil}} =
                 open_and_ask(node, [{{127, 0, 0, 1}, Ports.free_port()}], "app.internal")

        assert is_binary(text) and text != ""
      end
    end

    test "no thread is to be had: a reply all the same, the VM and the instance live, and it is tried again" do
      # Root has as many as it likes; as another user it reads the tests' files all the same.
      as_nobody =
        if System.cmd("id", ["-u"]) == {"0\n", 0},
          do: ~w(setpriv --reuid 64321 --inh-caps +dac_override --ambient-caps +dac_override),
          else: ["env"]

      dns = dns()
      node = TestNode.start!(within: as_nobody)
      server = ScriptedDNS.nameserver(dns)
      assert TestNode.call(node, Native, :check_name, ["app.internal"]) == :ok
      {most, 0} = System.cmd("prlimit", ~w(--nproc --output HARD --noheadings --raw))
      limit_threads(as_nobody, node, "1")

      for _ <- 1..2 do
        assert {:error, %{reason: {:runtime, text}, name: "app.internal", server: nil}} =
                 open_and_ask(node, [server], "app.internal")

        assert text =~ "Resource temporarily unavailable" or text =~ "WouldBlock"
      end

      pid = Mesh.start!(node, query: "app.internal", nameservers: [ScriptedDNS.address(dns)])
      failed? = &match?({:error, {:runtime, _}}, &1.result)
      Mesh.await(node, [:lookup, :stop], DNSMesh, failed?)
      assert {:warning, line} = TestNode.await_log(node, ~r/app\.internal/)
      assert line =~ "thread"

      limit_threads(as_nobody, node, String.trim(most))
      Mesh.await(node, [:lookup, :stop], DNSMesh, &(&1.result == :ok))
      assert Mesh.pid(node) == pid
    end

    test "the VM halts in the middle of many lookups, with the status it was told" do
      for {module, function, args} <- [
            {:erlang, :halt, [3]},
            {:erlang, :halt, [3, [flush: false]]},
            {:init, :stop, [3]}
          ] do
        dns = dns(default: :silent, notify: self())
        node = TestNode.start!(exit_status: true)
        control = Process.monitor(node.peer)

        :peer.cast(node.peer, NativeLookup, :open_and_start_many, [
          [ScriptedDNS.nameserver(dns)],
          100
        ])

        assert_receive {:dns_query, ^dns, _, _, _}, 5_000
        :peer.cast(node.peer, module, function, args)
        assert_receive {:DOWN, ^control, :process, _, {:exit_status, 3}}, 5_000
      end
    end

    test "the stubs are unloaded and loaded again in the middle of many lookups" do
      dns = dns(default: {:delay, 200, ["10.0.0.1"]}, notify: self())
      node = TestNode.start!()
      nameservers = [ScriptedDNS.nameserver(dns)]
      :peer.cast(node.peer, NativeLookup, :open_and_start_many, [nameservers, 100])
      assert_receive {:dns_query, ^dns, _, _, _}, 5_000

      TestNode.call(node, :code, :delete, [Native])
      TestNode.call(node, :code, :purge, [Native])
      assert {:ok, _} = open_and_ask(node, nameservers, "app.internal")
    end
  end

  describe "resolver_open/1" do
    test "does not touch the files: a pipe nobody writes to would hold it for ever" do
      pipe = pipe()
      assert is_reference(open([{{127, 0, 0, 1}, 53}], resolv_conf: pipe, hosts: pipe))
    end

    test "settings of the wrong shape raise" do
      good = %{
        nameservers: [{{127, 0, 0, 1}, 53}],
        resolv_conf: "/nonexistent",
        hosts: "/nonexistent",
        more_resolv_conf: "",
        more_hosts: "",
        epmd_port: 4369
      }

      assert {:ok, _} = Native.resolver_open(good)

      for bad <- [
            %{},
            [],
            Map.delete(good, :hosts),
            %{good | nameservers: :none},
            %{good | nameservers: [{{127, 0, 0, 256}, 53}]},
            %{good | nameservers: [{{127, 0, 0}, 53}]},
            %{good | nameservers: [{{127, 0, 0, 1}, 65_536}]},
            %{good | nameservers: [{"127.0.0.1", 53}]},
            %{good | resolv_conf: nil},
            %{good | hosts: 1},
            %{good | more_hosts: nil},
            %{good | more_resolv_conf: 1},
            Map.delete(good, :epmd_port),
            %{good | epmd_port: 0},
            %{good | epmd_port: 65_536},
            %{good | epmd_port: "4369"}
          ] do
        assert_raise ArgumentError, fn -> Native.resolver_open(bad) end
      end
    end

    test "1 000 resolvers cost little and go away" do
      dns = dns()

      for _ <- 1..1_000, do: assert(is_reference(open([dns])))
      :erlang.garbage_collect()
      assert {:ok, _} = ask(open([dns]), "app.internal")
    end
  end

  describe "check_name/1" do
    test "names and addresses" do
      for name <- [
            "app",
            "app.internal",
            "app.internal.",
            "x_y.t",
            "_epmd._tcp.app",
            "10.0.0.1",
            "fdaa::3",
            "::1"
          ] do
        assert {name, Native.check_name(name)} == {name, :ok}
      end
    end

    test "everything else says why" do
      for {name, why} <- [
            {"", :empty},
            {".", :empty},
            {"..", :empty_label},
            {"a..b", :empty_label},
            {".a", :empty_label},
            {" app", :blank},
            {"app\t", :blank},
            {"app\r", :control},
            {<<127>>, :control},
            {"bücher.de", :not_ascii},
            {<<0xFF>>, :not_ascii},
            {"*.internal", :bad_character},
            {"[::1]", :bad_character},
            {"10.0.0.1:53", :bad_character},
            {String.duplicate("a", 64), :label_too_long},
            {String.duplicate("a.", 127) <> "a", :too_long}
          ] do
        assert {name, Native.check_name(name)} == {name, {:error, {:bad_name, why}}}
      end
    end

    test "any bytes: a verdict, never more" do
      :rand.seed(:exsss, 11)

      for _ <- 1..2_000 do
        bytes = :rand.bytes(:rand.uniform(300) - 1)

        assert Native.check_name(bytes) == :ok or
                 match?({:error, {:bad_name, _}}, Native.check_name(bytes))
      end
    end

    test "what is no binary raises" do
      for bad <- [nil, :app, ~c"app", 1],
          do: assert_raise(ArgumentError, fn -> Native.check_name(bad) end)
    end
  end

  describe "interfaces/0" do
    test "gives addresses that the VM knows of too, with their prefix, loopback included" do
      assert {:ok, interfaces} = Native.interfaces()
      assert Enum.any?(interfaces, &match?({_name, {127, 0, 0, 1}, 8}, &1))

      {:ok, known} = :inet.getifaddrs()

      for {name, ip, prefix} <- interfaces do
        {_, options} = List.keyfind!(known, String.to_charlist(name), 0)
        assert :up in options[:flags]
        assert {ip, prefix} in addresses(options)
      end
    end
  end

  describe "a machine with thousands of addresses" do
    @many_addresses """
    set -e
    mount -t sysfs none /sys
    ip link set lo up
    ip link add v0 type veth peer name v1
    ip link set v0 up
    ip link set v1 up
    ip addr add 10.50.0.7/16 dev v0
    for n in $(seq 1 1200); do
      echo "addr add 10.96.$((n / 250)).$((n % 250 + 1))/32 dev v0"
    done | ip -batch -
    exec "$@"
    """

    # What the VM has to say of itself, as it is asked for the first, the second and the third time.
    @ask """
    alias DNSMesh.Native
    few = fn -> match?({:ok, _}, Native.few_interfaces()) end
    first = few.()
    {:ok, all} = Native.interfaces()
    request = %{option: nil, family: :inet, answers: [[{10, 50, 0, 9}, {10, 50, 0, 7}]], hints: []}
    {:ok, %{ip: ip, because: because}} = Native.own_address(request)
    many = Native.few_own_address(request) == :many
    IO.inspect({first, few.(), many, length(all) > 1200, ip, because})
    """

    test "is looked at on a dirty scheduler, and one with few on the scheduler that asks" do
      inside = ["--net", "--mount", "--propagation", "private", "sh", "-c", @many_addresses, "sh"]

      if System.cmd("id", ["-u"]) == {"0\n", 0} do
        assert ask_elsewhere(["unshare" | inside]) ==
                 "{false, false, true, true, {10, 50, 0, 7}, :in_answer}\n"
      else
        IO.puts("one with thousands: skipped, it needs root")
      end

      {:ok, few} = Native.interfaces()
      assert length(few) <= 256
      assert Native.few_interfaces() == {:ok, few}
      assert {:error, {:not_local, _}} = Native.few_own_address(elsewhere())
    end

    defp elsewhere, do: %{option: {:literal, {192, 0, 2, 9}}, family: nil, answers: [], hints: []}

    defp ask_elsewhere([program | arguments]) do
      paths = Enum.flat_map(:code.get_path(), &["-pa", List.to_string(&1)])
      {output, 0} = System.cmd(program, arguments ++ ["elixir"] ++ paths ++ ["-e", @ask])
      output
    end
  end

  # Each `addr` is followed by its `netmask`.
  defp addresses([{:addr, ip}, {:netmask, mask} | rest]), do: [{ip, ones(mask)} | addresses(rest)]
  defp addresses([_ | rest]), do: addresses(rest)
  defp addresses([]), do: []

  defp ones(mask) do
    for(part <- Tuple.to_list(mask), <<(bit::1 <- <<part::16>>)>>, bit == 1, do: bit) |> length()
  end

  # A user may set the limits of what runs as the same user.
  defp limit_threads([program | arguments], node, count) do
    prlimit = ["prlimit", "--pid", node.os_pid, "--nproc=#{count}:"]
    assert {_, 0} = System.cmd(program, arguments ++ prlimit)
  end

  defp one_try_of_a_second do
    path = tmp_path()
    File.write!(path, "options timeout:1 attempts:1\n")
    path
  end

  # Nobody writes to it: who opens it for reading waits.
  defp pipe do
    path = tmp_path()
    {_, 0} = System.cmd("mkfifo", [path])
    path
  end

  defp tmp_path do
    path =
      Path.join(
        System.tmp_dir!(),
        "dns_mesh_#{System.pid()}_#{System.unique_integer([:positive])}"
      )

    on_exit(fn -> File.rm(path) end)
    path
  end

  defp ask_and_forget(dns), do: [dns] |> open() |> NativeLookup.start("app.internal")

  defp open_and_ask(node, nameservers, name),
    do: TestNode.call(node, NativeLookup, :open_and_ask, [nameservers, name])
end

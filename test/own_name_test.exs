defmodule DNSMesh.OwnNameTest do
  # Real VMs that take their name from DNS. On loopback: all of 127.0.0.0/8 is local on Linux.
  use ExUnit.Case, async: true

  alias DNSMesh.{Lookups, Naming, OwnName}
  alias DNSMesh.Test.{Await, Epmd, HungPeer, Mesh, Ports, ScriptedDNS, TestNode}

  @moduletag :tmp_dir

  # A VM without a name, as a release with RELEASE_DISTRIBUTION=none or `elixir -S mix` boots it.
  defp unnamed!(opts \\ []) do
    epmd = Keyword.get_lazy(opts, :epmd, fn -> {:fixed, Ports.free_port()} end)
    TestNode.start!([epmd: epmd, label: :a] ++ Keyword.delete(opts, :epmd))
  end

  defp dns!(zone \\ %{{"app.internal", :a} => ["127.0.0.2"]}),
    do: start_supervised!({ScriptedDNS, zone: zone}, id: make_ref())

  defp options(dns, opts \\ []),
    do:
      Keyword.merge(
        [
          distribution: :auto,
          query: "app.internal",
          nameservers: [ScriptedDNS.address(dns)],
          basename: "app"
        ],
        opts
      )

  defp node_of(vm), do: TestNode.call(vm, Node, :self, [])

  test "start_link/1 waits for the name, and what starts after it sees it in its init" do
    a = unnamed!()
    dns = dns!(%{{"app.internal", :a} => {:delay, 100, ["127.0.0.2"]}})

    children = [
      {DNSMesh, options(dns)},
      # An Agent's init function runs where Phoenix.Tracker keeps node().
      %{id: :later, start: {Agent, :start_link, [Node, :self, [], [name: :later]]}}
    ]

    {:ok, _} =
      TestNode.start_child(a, %{
        id: :sup,
        start: {Supervisor, :start_link, [children, [strategy: :one_for_one]]},
        type: :supervisor
      })

    assert TestNode.call(a, Agent, :get, [:later, Function, :identity, []]) == :"app@127.0.0.2"
    assert {:info, line} = TestNode.await_log(a, ~r/this node is/, 2_000)

    assert line =~
             "DNSMesh: this node is app@127.0.0.2 now (its address on lo is in the DNS answer, distribution port "
  end

  test "where Mix can be loaded and does not run, there is no name of a project, and that is said" do
    a = unnamed!(env: [{"RELEASE_NAME", nil}])
    assert TestNode.call(a, Code, :ensure_loaded?, [Mix.Project])
    assert TestNode.call(a, Process, :whereis, [Mix.ProjectStack]) == nil

    TestNode.start_child(a, {DNSMesh, options(dns!(), basename: nil, name_timeout: 100)})
    assert Mesh.status(a).state == :running
    assert TestNode.call(a, DNSMesh, :node_name, []) == {:error, :no_basename}
    assert {:warning, line} = TestNode.await_log(a, ~r/no basename|basename/)
    assert line =~ ":basename"
  end

  test "distribution listens on the own address only" do
    port = Ports.free_port()
    a = unnamed!(epmd: {:fixed, port})
    TestNode.start_child(a, {DNSMesh, options(dns!())})
    assert node_of(a) == :"app@127.0.0.2"
    assert {:ok, _} = :gen_tcp.connect({127, 0, 0, 2}, port, [], 1_000)
    assert {:error, :econnrefused} = :gen_tcp.connect({127, 0, 0, 3}, port, [], 1_000)
  end

  test "two VMs booted without a name take theirs and find each other; nothing is told of themselves" do
    dns = dns!(%{{"app.internal", :a} => ["127.0.0.2", "127.0.0.3"]})
    epmd = {:fixed, Ports.free_port()}

    [a, b] =
      for n <- 2..3 do
        vm = unnamed!(epmd: epmd, label: n)
        Mesh.start!(vm, options(dns, address: "127.0.0.#{n}"))
        vm
      end

    assert [node_of(a), node_of(b)] == [:"app@127.0.0.2", :"app@127.0.0.3"]
    assert TestNode.await_nodes(a, [:"app@127.0.0.3"], 5_000)
    {:info, line} = TestNode.await_log(a, ~r/joined/, 20_000)
    assert line =~ "joined 1: app@127.0.0.3"

    assert {:ok, %{ip: {127, 0, 0, 2}, because: :option}} =
             TestNode.call(a, DNSMesh, :address, [])

    assert {:ok, "app@127.0.0.2"} = TestNode.call(a, DNSMesh, :node_name, [])

    assert %{node: "app@127.0.0.2", naming: naming} = TestNode.call(a, DNSMesh, :status, [])
    assert naming == "named by DNSMesh: by the option :address; IPv4 distribution"
  end

  test "while there is no name, the status says what it waits for" do
    a = unnamed!()
    opts = options(dns!(), address: {:interface, "nope0"}, name_timeout: 0)
    TestNode.start_child(a, {DNSMesh, opts})
    {:warning, _} = TestNode.await_log(a, ~r/cannot tell its own address/, 2_000)
    text = to_string(TestNode.call(a, DNSMesh, :status, []))

    assert text =~
             "node   nonode@nohost   about to take a name; no interface called nope0 has a usable address"
  end

  test "expiry of :name_timeout warns and goes on; the name is taken when there is an answer" do
    a = unnamed!()
    dns = dns!(%{{"app.internal", :a} => {:delay, 500, ["127.0.0.2"]}})
    TestNode.start_child(a, {DNSMesh, options(dns, name_timeout: 100)})
    assert node_of(a) == :nonode@nohost
    assert {:warning, line} = TestNode.await_log(a, ~r/no name yet/, 1_000)
    assert line =~ "Phoenix.Tracker"
    assert {:info, _} = TestNode.await_log(a, ~r/this node is app@127.0.0.2 now/, 5_000)
  end

  test "an address option that cannot be met yet is tried again at every poll" do
    a = unnamed!()
    opts = options(dns!(), address: {:env, "OWN"}, name_timeout: 50, interval: 100)
    TestNode.start_child(a, {DNSMesh, opts})
    assert {:error, {:no_address_in, "OWN"}} = TestNode.call(a, DNSMesh, :address, [])
    :ok = TestNode.call(a, System, :put_env, ["OWN", "127.0.0.2"])

    assert {:info, _} =
             TestNode.await_log(a, ~r/this node is app@127.0.0.2 now \(by the option/, 5_000)
  end

  test "name_timeout: 0 does not wait" do
    a = unnamed!()
    dns = dns!(%{{"app.internal", :a} => :silent})
    TestNode.start_child(a, {DNSMesh, options(dns, name_timeout: 0)})
    assert node_of(a) == :nonode@nohost
    assert TestNode.logs(a) == []
  end

  describe "the environment variables that stand for options" do
    test "are the basename, before the release's, and the address, of this node and its peers" do
      dns = dns!(%{{"app.internal", :a} => ["127.0.0.2", "127.0.0.3"]})

      a =
        unnamed!(
          env: [
            {"DNS_MESH_BASENAME", "jobs"},
            {"DNS_MESH_ADDRESS", "env:OWN"},
            {"OWN", " 127.0.0.3\n"},
            {"RELEASE_NAME", "web"}
          ]
        )

      # Without an instance too.
      assert {:ok, %{ip: {127, 0, 0, 3}, because: :option}} =
               TestNode.call(a, DNSMesh, :address, [])

      assert {:ok, "jobs@127.0.0.3"} = TestNode.call(a, DNSMesh, :node_name, [])
      Mesh.start!(a, options(dns, basename: nil))
      assert node_of(a) == :"jobs@127.0.0.3"
      Mesh.await_rounds(a, 2)
      assert ["jobs@127.0.0.2", "jobs@127.0.0.3"] = for(p <- Mesh.status(a).peers, do: p.name)
    end

    test "count where the option is absent, and only there" do
      a = unnamed!(env: [{"DNS_MESH_BASENAME", "a b"}, {"DNS_MESH_ADDRESS", "eth0"}])
      TestNode.start_child(a, {DNSMesh, options(dns!(), address: "127.0.0.9")})
      assert node_of(a) == :"app@127.0.0.9"
    end

    for {variable, value, fault, said} <- [
          {"DNS_MESH_BASENAME", "a b", :bad_basename_variable,
           ~s(DNS_MESH_BASENAME is "a b", which cannot stand before the @)},
          {"DNS_MESH_ADDRESS", "eth0", :bad_address_variable,
           ~s(DNS_MESH_ADDRESS is "eth0": set it to an IP address)}
        ] do
      # Under the release's name, or at another address, it would join a cluster that it is none of.
      test "that hold nonsense (#{variable}) stop the naming, and nothing else" do
        dns = dns!()
        a = unnamed!(env: [{unquote(variable), unquote(value)}, {"RELEASE_NAME", "app"}])

        assert {:error, {unquote(fault), unquote(value)}} =
                 TestNode.call(a, DNSMesh, :node_name, [])

        pid = Mesh.start!(a, options(dns, basename: nil, name_timeout: 60_000))
        assert {:warning, line} = TestNode.await_log(a, ~r/takes no name/, 2_000)
        assert line =~ unquote(said)
        Mesh.await_rounds(a, 3)
        assert {node_of(a), Mesh.pid(a)} == {:nonode@nohost, pid}
        assert Mesh.status(a).naming =~ "takes no name: " <> unquote(said)

        diagnosis = TestNode.call(a, DNSMesh, :doctor, [DNSMesh, [print: false]])
        assert diagnosis.verdict == :not_distributed
        assert diagnosis.sentence =~ unquote(said)
      end
    end
  end

  describe "the cookie" do
    test "that is nowhere to be found: distribution is not started, nothing is waited for, no file is made",
         %{tmp_dir: home} do
      a = unnamed!(cookie: nil, env: home_only(home))
      TestNode.start_child(a, {DNSMesh, options(dns!(), name_timeout: 60_000)})
      assert node_of(a) == :nonode@nohost
      assert {:warning, line} = TestNode.await_log(a, ~r/cannot take the name/, 1_000)
      assert line =~ "app@127.0.0.2: there is no cookie: set RELEASE_COOKIE"
      assert File.ls!(home) == []
    end

    test "comes from the file that is there", %{tmp_dir: home} do
      File.write!(Path.join(home, ".erlang.cookie"), "from_the_file")
      File.chmod!(Path.join(home, ".erlang.cookie"), 0o400)
      a = unnamed!(cookie: nil, env: home_only(home))
      TestNode.start_child(a, {DNSMesh, options(dns!())})
      assert TestNode.call(a, Node, :get_cookie, []) == :from_the_file
    end

    test "comes from RELEASE_COOKIE, and before it from the option", %{tmp_dir: home} do
      File.write!(Path.join(home, ".erlang.cookie"), "from_the_file")
      File.chmod!(Path.join(home, ".erlang.cookie"), 0o400)
      env = home_only(home, "from_the_release")

      for {opts, cookie} <- [
            {[], :from_the_release},
            {[cookie: :from_the_option], :from_the_option}
          ] do
        a = unnamed!(cookie: nil, env: env)
        TestNode.start_child(a, {DNSMesh, options(dns!(), opts)})
        assert {node_of(a), TestNode.call(a, Node, :get_cookie, [])} == {:"app@127.0.0.2", cookie}
      end
    end

    test "as boot flag needs no HOME" do
      a = unnamed!(cookie: "boot", env: [{"HOME", nil}])
      TestNode.start_child(a, {DNSMesh, options(dns!())})
      assert {node_of(a), TestNode.call(a, Node, :get_cookie, [])} == {:"app@127.0.0.2", :boot}
    end

    test "empty or over-long is told" do
      for {cookie, why} <- [
            {"", "the cookie is empty"},
            {String.duplicate("c", 256), "longer than 255"}
          ] do
        a = unnamed!(cookie: nil)
        :ok = TestNode.call(a, System, :put_env, ["RELEASE_COOKIE", cookie])
        TestNode.start_child(a, {DNSMesh, options(dns!())})
        assert {:warning, line} = TestNode.await_log(a, ~r/cannot take the name/, 1_000)
        assert line =~ why
      end
    end

    defp home_only(home, release_cookie \\ nil) do
      [
        {"HOME", home},
        {"XDG_CONFIG_HOME", Path.join(home, "none")},
        {"RELEASE_COOKIE", release_cookie}
      ]
    end
  end

  describe "epmd" do
    # It outlives the VM and is the host's: at one address it would be of no use once that has changed.
    test "that is absent is started, at every address, as OTP does" do
      port = Ports.free_port()
      on_exit(fn -> System.cmd("epmd", ["-port", "#{port}", "-kill"], stderr_to_stdout: true) end)
      a = unnamed!(epmd: nil, env: [{"ERL_EPMD_PORT", "#{port}"}])
      TestNode.start_child(a, {DNSMesh, options(dns!())})
      assert node_of(a) == :"app@127.0.0.2"
      assert {:ok, socket} = :gen_tcp.connect({127, 0, 0, 2}, port, [], 1_000)
      :gen_tcp.close(socket)
      assert {:ok, socket} = :gen_tcp.connect({127, 0, 0, 3}, port, [], 1_000)
      :gen_tcp.close(socket)
      # So that epmd, which serves it, may end.
      TestNode.stop(a)
    end

    test "that listens elsewhere is told, with what to end, and the name taken when it does not any more" do
      epmd = Epmd.start!(addresses: ["127.0.0.3"])
      a = unnamed!(epmd: {:port, epmd.port})
      TestNode.start_child(a, {DNSMesh, options(dns!(), name_timeout: 100, interval: 100)})
      assert {:warning, line} = TestNode.await_log(a, ~r/cannot take the name/, 5_000)
      assert line =~ "the epmd of this machine does not answer at 127.0.0.2"
      assert line =~ "epmd -port #{epmd.port} -kill"
      assert node_of(a) == :nonode@nohost
      Epmd.stop(epmd)
      Epmd.start!(port: epmd.port, addresses: ["127.0.0.2"])
      assert {:info, _} = TestNode.await_log(a, ~r/this node is app@127.0.0.2/, 5_000)
    end

    test "that is absent, and may not be started, is told" do
      a = unnamed!(epmd: {:port, Ports.free_port()})
      TestNode.start_child(a, {DNSMesh, options(dns!(), name_timeout: 100)})
      assert {:warning, line} = TestNode.await_log(a, ~r/cannot take the name/, 5_000)
      assert line =~ "-start_epmd false forbids to start one"
      assert node_of(a) == :nonode@nohost
    end

    test "that is silent is told after a second, and does not hold up the start for longer" do
      hung = start_supervised!({HungPeer, ip: "127.0.0.1"})
      a = unnamed!(epmd: nil, env: [{"ERL_EPMD_PORT", "#{HungPeer.port(hung)}"}])
      TestNode.start_child(a, {DNSMesh, options(dns!(), name_timeout: 100)})
      assert {:warning, line} = TestNode.await_log(a, ~r/cannot take the name/, 5_000)
      assert line =~ "accepts connections and does not answer"
      assert node_of(a) == :nonode@nohost
    end

    test "whose port another program holds is told" do
      {:ok, listener} = :gen_tcp.listen(0, [:binary, ip: {127, 0, 0, 1}, active: false])
      {:ok, port} = :inet.port(listener)

      start_supervised!(
        {Task,
         fn ->
           {:ok, socket} = :gen_tcp.accept(listener)
           :ok = :gen_tcp.send(socket, "HTTP/1.1 400 Bad Request\r\n\r\n")
           :gen_tcp.recv(socket, 0)
         end}
      )

      a = unnamed!(epmd: nil, env: [{"ERL_EPMD_PORT", "#{port}"}])
      TestNode.start_child(a, {DNSMesh, options(dns!(), name_timeout: 60_000)})
      assert {:warning, line} = TestNode.await_log(a, ~r/cannot take the name/, 5_000)
      assert line =~ "another program than epmd"
    end

    test "that knows the basename already is told, and the name taken when it is free" do
      epmd = Epmd.start!(port: Ports.free_port(), addresses: ["127.0.0.2", "127.0.0.3"])
      other = TestNode.start!(name: "app@127.0.0.3", epmd: {:port, epmd.port})
      a = unnamed!(epmd: {:port, epmd.port})
      # Nothing is waited for: iex -S mix beside a server.
      TestNode.start_child(a, {DNSMesh, options(dns!(), name_timeout: 60_000, interval: 100)})
      assert {:warning, line} = TestNode.await_log(a, ~r/cannot take the name/, 5_000)
      assert line =~ "another node of this basename"
      TestNode.kill(other)
      assert {:info, _} = TestNode.await_log(a, ~r/this node is app@127.0.0.2/, 5_000)
    end
  end

  test "a distribution port that is taken is told, and tried again" do
    port = Ports.free_port()
    {:ok, listener} = :gen_tcp.listen(port, ip: {127, 0, 0, 2})
    a = unnamed!(epmd: {:fixed, port})
    TestNode.start_child(a, {DNSMesh, options(dns!(), name_timeout: 60_000, interval: 100)})
    assert {:warning, line} = TestNode.await_log(a, ~r/cannot take the name/, 5_000)
    assert line =~ "distribution port is taken"
    :gen_tcp.close(listener)
    assert {:info, _} = TestNode.await_log(a, ~r/this node is app@127.0.0.2/, 5_000)
  end

  describe "the file that a release's env.sh has named" do
    setup %{tmp_dir: dir}, do: %{note: Path.join(dir, "name")}

    defp filed!(file, opts \\ []),
      do: unnamed!([env: [{"DNS_MESH_NAME_FILE", file} | opts[:env] || []]] ++ opts)

    defp process_of(vm), do: TestNode.call(vm, System, :pid, [])

    test "has the name, and whose it is", %{tmp_dir: dir} do
      file = Path.join(dir, "none/yet/name")
      a = filed!(file)
      TestNode.start_child(a, {DNSMesh, options(dns!())})
      assert ["app@127.0.0.2", process, ""] = String.split(File.read!(file), "\n")

      # As env.sh reads it.
      {stat, 0} = System.cmd("cat", ["/proc/#{process_of(a)}/stat"])
      [began] = stat |> String.split() |> Enum.slice(21, 1)
      boot = String.trim(File.read!("/proc/sys/kernel/random/boot_id"))
      "pid:[" <> space = File.read_link!("/proc/self/ns/pid")
      assert process == "#{process_of(a)} #{began} #{boot} #{String.trim_trailing(space, "]")}"
      assert File.ls!(Path.dirname(file)) == ["name"]
    end

    test "says while there is no name which process it is", %{note: file} do
      File.write!(file, "\n")
      a = filed!(file)
      opts = options(dns!(%{{"app.internal", :a} => :silent}), name_timeout: 0)
      TestNode.start_child(a, {DNSMesh, opts})
      assert ["", process, ""] = String.split(File.read!(file), "\n")
      assert hd(String.split(process)) == process_of(a)
    end

    test "is another node's, as long as this one has no name", %{note: file} do
      theirs = "app@10.0.0.5\n1 1 1 1\n"
      File.write!(file, theirs)
      a = filed!(file)
      opts = options(dns!(%{{"app.internal", :a} => :silent}), name_timeout: 0)
      TestNode.start_child(a, {DNSMesh, opts})
      assert File.read!(file) == theirs
    end

    test "says whose it is where the node was named at boot, as a daemon is", %{note: file} do
      File.write!(file, "boot@127.0.0.9\n")

      a =
        TestNode.start!(
          name: "boot@127.0.0.9",
          epmd: {:fixed, Ports.free_port()},
          env: [{"DNS_MESH_NAME_FILE", file}]
        )

      TestNode.start_child(a, {DNSMesh, options(dns!())})
      assert ["boot@127.0.0.9", process, ""] = String.split(File.read!(file), "\n")
      assert hd(String.split(process)) == process_of(a)
    end

    test "has the name that somebody else gives the VM", %{note: file} do
      File.write!(file, "\n")
      a = filed!(file)
      TestNode.start_child(a, {DNSMesh, options(dns!(), distribution: :manual)})

      {:ok, _pid} =
        TestNode.call(a, :net_kernel, :start, [:"own@127.0.0.2", %{name_domain: :longnames}])

      Await.await(fn -> File.read!(file) =~ "own@127.0.0.2\n" end, 5_000)
    end

    test "stays as it is where the release names the node, and where this is bin/app eval", %{
      note: file
    } do
      for {text, env} <- [{"-\n", []}, {"\n", [{"RELEASE_COMMAND", "eval"}]}] do
        File.write!(file, text)
        env = [{"DNS_MESH_NAME_FILE", file} | env]
        a = TestNode.start!(name: "boot@127.0.0.9", epmd: {:fixed, Ports.free_port()}, env: env)
        TestNode.start_child(a, {DNSMesh, options(dns!())})
        assert File.read!(file) == text
      end
    end

    test "that cannot be written keeps nobody from a name" do
      a = filed!("/proc/none/name")
      TestNode.start_child(a, {DNSMesh, options(dns!())})
      assert node_of(a) == :"app@127.0.0.2"
    end
  end

  test "what only the operator can mend is waited for by nobody, anything else by all" do
    config = DNSMesh.Config.new!([query: "app.internal", basename: "app"], nil)

    waiting = fn fault ->
      from = {self(), make_ref()}
      own = config |> OwnName.new(0) |> OwnName.await(from)
      # This VM may have a name.
      own = %{own | naming: Naming.seek("app", nil, 0)}
      {own, _effects} = OwnName.started(own, {:started, {:error, fault}}, 10)
      {length(own.waiting), OwnName.coming?(own)}
    end

    for fault <- [
          :no_cookie,
          {:bad_cookie, :empty},
          {:wrong_proto, :inet},
          :duplicate_name,
          {:port_taken, "9100"},
          :epmd_missing,
          :epmd_port_taken,
          {:epmd_elsewhere, "127.0.0.2"}
        ],
        do: assert({fault, waiting.(fault)} == {fault, {0, false}})

    for fault <- [:epmd_absent, :epmd_silent, {:epmd_failed, "x"}, {:start_failed, "x"}],
        do: assert({fault, waiting.(fault)} == {fault, {1, true}})

    # Before a start is tried.
    own = config |> OwnName.new(0) |> OwnName.await({self(), make_ref()})
    own = %{own | naming: Naming.seek(nil, {:literal, {127, 0, 0, 2}}, 0)}
    assert {%{waiting: []}, _effects} = OwnName.consider(own, Lookups.new([], 5_000), 10)
  end

  test "without a basename nothing is waited for" do
    a = unnamed!()

    TestNode.start_child(
      a,
      {DNSMesh, options(dns!(), address: "127.0.0.2", basename: nil, name_timeout: 60_000)}
    )

    assert {:warning, line} =
             TestNode.await_log(a, ~r/cannot tell its own address|basename/, 5_000)

    assert line =~ "basename"
  end

  test "bin/app eval stays without a name" do
    a = unnamed!(env: [{"RELEASE_COMMAND", "eval"}, {"RELEASE_NAME", "app"}])
    Mesh.start!(a, options(dns!()))
    Mesh.await_rounds(a, 2)
    assert node_of(a) == :nonode@nohost

    # And nobody is told to wait for one, nor to name it.
    why = "bin/app eval runs code beside the application, and is no node"
    assert TestNode.call(a, DNSMesh, :status, []).naming == "not distributed: " <> why
    assert {:warning, line} = TestNode.await_log(a, ~r/this VM can join nobody/)
    assert line =~ why <> ~s|; run it in the node instead: bin/app rpc "DNSMesh.doctor()"|
    diagnosis = TestNode.call(a, DNSMesh, :doctor, [[print: false]])
    assert diagnosis.verdict == :not_distributed
    assert diagnosis.sentence =~ why
    assert diagnosis.fix =~ ~s|bin/app rpc "DNSMesh.doctor()"|
  end

  describe "of the two IP versions" do
    @describetag :netns

    # What a VM prints in a network of its own, with one address or none.
    defp on_a_host_with(address, flags, script) do
      network =
        if address do
          "ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up; " <>
            "ip addr add #{address} dev v0 #{if address =~ ":", do: "nodad"}; "
        end

      network = ~s(set -e; #{network} exec "$@")
      ebin = Path.join(Mix.Project.app_path(), "ebin")
      elixir = [System.find_executable("elixir"), "-pa", ebin, "-e", script]
      arguments = ["-n", "sh", "-c", network, "sh"] ++ elixir
      environment = [{"ELIXIR_ERL_OPTIONS", flags}, {"DNS_CLUSTER_QUERY", nil}]
      {said, 0} = System.cmd("unshare", arguments, env: environment, stderr_to_stdout: true)
      said
    end

    defp doctor(options),
      do:
        "{:ok, _} = DNSMesh.start_link([query: ~s(10.0.0.9), name_timeout: 0] ++ #{inspect(options)}); DNSMesh.doctor()"

    test "a host with IPv6 addresses alone, and a VM booted for IPv4: the flag, and nothing to bring up" do
      said = on_a_host_with("fd00::5/64", "", doctor([]))
      assert said =~ ~r/no name yet.*its address is an IPv6 one, but the VM was booted for IPv4/
      assert said =~ ~s(boot it with ERL_AFLAGS="-proto_dist inet6_tcp")
      refute said =~ "bring one up"
    end

    test "the other way round, on the interface that the option names" do
      options = [address: {:interface, "v0"}, basename: "app"]
      said = on_a_host_with("10.9.9.5/24", "-proto_dist inet6_tcp", doctor(options))
      assert said =~ "its address is an IPv4 one"
      assert said =~ "boot it without -proto_dist inet6_tcp"
    end

    test "no address at all: one has to come up" do
      said = on_a_host_with(nil, "", "IO.inspect(DNSMesh.address())")
      assert said =~ "{:error, :no_address}"
    end
  end

  test "distribution: :manual starts nothing, and says how to" do
    a = unnamed!()
    TestNode.start_child(a, {DNSMesh, options(dns!(), distribution: :manual)})
    assert {:warning, line} = TestNode.await_log(a, ~r/not distributed/, 2_000)
    assert line =~ "elixir --name"
    assert node_of(a) == :nonode@nohost
  end

  test "a VM that is named already keeps its name" do
    a = TestNode.start!(name: "boot@127.0.0.9", epmd: {:fixed, Ports.free_port()})
    TestNode.start_child(a, {DNSMesh, options(dns!(), address: "127.0.0.2")})
    assert node_of(a) == :"boot@127.0.0.9"

    assert {:ok, %{ip: {127, 0, 0, 9}, because: :boot_name}} =
             TestNode.call(a, DNSMesh, :address, [])

    assert {:ok, "boot@127.0.0.9"} = TestNode.call(a, DNSMesh, :node_name, [])
  end

  test "the Poller killed: distribution and links stay, and the new one finds itself named" do
    dns = dns!(%{{"app.internal", :a} => ["127.0.0.2", "127.0.0.3"]})
    epmd = {:fixed, Ports.free_port()}
    b = TestNode.start!(name: "app@127.0.0.3", epmd: epmd)
    a = unnamed!(epmd: epmd)
    Mesh.start!(a, options(dns, address: "127.0.0.2"))
    assert TestNode.await_nodes(a, [b], 5_000)
    TestNode.forward_nodes(a)

    true =
      TestNode.call(a, Process, :exit, [TestNode.call(a, Process, :whereis, [DNSMesh]), :kill])

    Mesh.await_rounds(a, 2)
    assert {node_of(a), TestNode.nodes(a)} == {:"app@127.0.0.2", [b.name]}
    refute_received {:from_node, _, {:nodedown, _, _}}
    assert %{node: "app@127.0.0.2"} = TestNode.call(a, DNSMesh, :status, [])
  end

  test "an IPv6 address on a VM booted for IPv4 is refused before the start, with what to boot it with" do
    a = unnamed!()
    TestNode.start_child(a, {DNSMesh, options(dns!(), address: "::1")})
    assert {:warning, line} = TestNode.await_log(a, ~r/cannot/, 2_000)
    assert line =~ "IP version"
    assert node_of(a) == :nonode@nohost
  end

  test "a name that lists only the other IP version is told, with what to boot the VM with" do
    for {args, address, listed, remedy} <- [
          {[], "127.0.0.2", %{{"app.internal", :aaaa} => ["fdaa::2"]},
           ~s(ERL_AFLAGS="-proto_dist inet6_tcp")},
          {~w(-proto_dist inet6_tcp), "::1", %{{"app.internal", :a} => ["127.0.0.2"]},
           "without -proto_dist inet6_tcp"}
        ] do
      a = unnamed!(args: args)
      TestNode.start_child(a, {DNSMesh, options(dns!(listed), address: address, interval: 200)})
      assert {:warning, line} = TestNode.await_log(a, ~r/lists nobody/, 5_000)
      assert line =~ remedy
    end
  end

  test "an :address that is not this machine's names itself, and the application runs on" do
    for {address, why} <- [
          {"192.0.2.77", "192.0.2.77 is on no interface"},
          {{:interface, "nope0"}, "no interface called nope0"},
          {{:subnet, "198.51.100.0/24"}, "198.51.100.0/24"},
          {{:env, "NO_SUCH_VARIABLE"}, "NO_SUCH_VARIABLE holds no IP address"}
        ] do
      a = unnamed!()
      TestNode.start_child(a, {DNSMesh, options(dns!(), address: address, name_timeout: 50)})
      assert {:warning, line} = TestNode.await_log(a, ~r/cannot tell its own address/, 2_000)
      assert line =~ why
      assert %{state: :running} = TestNode.call(a, DNSMesh, :status, [])
    end
  end

  test "without a query nothing happens: no process, no distribution, no line" do
    a = unnamed!(env: [{"DNS_CLUSTER_QUERY", nil}])
    assert TestNode.call(a, DNSMesh, :start_link, [[]]) == :ignore
    assert {node_of(a), TestNode.logs(a)} == {:nonode@nohost, []}
  end
end

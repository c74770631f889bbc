defmodule DNSMesh.Doctor.WrongSetupsTest do
  # Set-ups made wrong on purpose, on real nodes and a real wire: what the doctor says, and that whoever does literally what
  # it says has a cluster. Here what lies in DNS and in the node itself; peers are in wrong_peers_test.exs.
  use ExUnit.Case, async: true

  import DNSMesh.Test.Clinic

  alias DNSMesh.Test.{Epmd, Mesh, Ports, ScriptedDNS, TestNode}

  @moduletag :tmp_dir

  @name {"app.internal", :a}
  @both ["127.0.0.2", "127.0.0.3"]

  setup do
    %{port: Ports.free_port(), dns: dns!(%{@name => @both})}
  end

  defp dns!(zone), do: start_supervised!({ScriptedDNS, zone: zone}, id: make_ref())

  # The node that is asked, and the peer, which only waits to be found.
  defp a!(port, opts \\ []), do: node!("app@127.0.0.2", port, opts)
  defp b!(port, opts \\ []), do: node!("app@127.0.0.3", port, opts)

  defp node!(name, port, opts),
    do: TestNode.start!([name: name, epmd: {:fixed, port}] ++ opts)

  defp unnamed!(port, opts), do: TestNode.start!([epmd: {:fixed, port}, label: :a] ++ opts)

  defp mesh!(node, dns, opts \\ []) do
    servers = [ScriptedDNS.address(dns)]
    Mesh.start!(node, Keyword.merge([query: "app.internal", nameservers: servers], opts))
  end

  describe "no query" do
    test "DNS_CLUSTER_QUERY is not set", %{dns: dns, port: port} do
      mesh = {DNSMesh, nameservers: [ScriptedDNS.address(dns)], interval: 100}
      b = b!(port)
      a = a!(port)
      assert TestNode.start_child(a, mesh) == :ignore
      assert TestNode.call(a, DNSMesh, :status, []).because =~ "DNS_CLUSTER_QUERY is not set"
      sick(a, :query_not_set, says: "not set", fix: "DNS_CLUSTER_QUERY=app.internal")

      TestNode.stop(a)
      a = a!(port, env: [{"DNS_CLUSTER_QUERY", "app.internal"}])
      {:ok, _} = TestNode.start_child(a, mesh)
      well(a, [b])
    end

    test "DNSMesh is not among the children", %{dns: dns, port: port} do
      b = b!(port)
      a = a!(port, env: [{"DNS_CLUSTER_QUERY", "app.internal"}])
      sick(a, :not_running, says: "No process is registered as DNSMesh", fix: "into the children")
      mesh!(a, dns)
      well(a, [b])
    end
  end

  describe "DNS" do
    setup %{port: port} do
      %{a: a!(port), b: b!(port)}
    end

    test "the query is misspelt", %{a: a, b: b, dns: dns} do
      mesh!(a, dns, query: "ap.internal", name: Misspelt)

      sick(a, :no_such_name,
        name: Misspelt,
        says: "#{ScriptedDNS.address(dns)} says that ap.internal does not exist",
        fix: "correct the spelling of the query"
      )

      mesh!(a, dns)
      well(a, [b])
    end

    test "the name lists nobody", %{a: a, b: b, dns: dns} do
      ScriptedDNS.put(dns, @name, :no_records)
      mesh!(a, dns)
      sick(a, :no_records, says: "has no A records", fix: "have the name list")
      ScriptedDNS.put(dns, @name, @both)
      well(a, [b])
    end

    test "the name server is silent, refuses, fails, or is not there", %{a: a, b: b, dns: dns} do
      closed = "127.0.0.1:#{Ports.free_port()}"

      for {verdict, behaviour, says} <- [
            {:server_silent, :silent, "got no answer"},
            {:server_refused, :refused, "REFUSED"},
            {:server_failed, :servfail, "SERVFAIL"},
            {:server_failed, :closed, "cannot be reached"}
          ] do
        server = if behaviour == :closed, do: closed, else: address(%{@name => behaviour})
        name = :"#{verdict}_#{behaviour}"

        mesh!(a, dns, nameservers: [server], name: name, timeout: 300)
        options = [name: name, timeout: 1_000]
        diagnosis = sick(a, verdict, [says: says, fix: "/etc/resolv.conf"] ++ options)
        assert diagnosis.sentence =~ server
      end

      mesh!(a, dns)
      well(a, [b])
    end

    defp address(zone), do: zone |> dns!() |> ScriptedDNS.address()

    test "the answer is too long for UDP, and TCP is refused, or swallowed", %{
      a: a,
      b: b,
      dns: dns
    } do
      ScriptedDNS.put(dns, @name, {:truncate, @both})
      server = ScriptedDNS.address(dns)
      port = ScriptedDNS.port(dns)
      mesh!(a, dns, timeout: 1_000)

      for {mode, says} <- [
            {:hang, "does not answer over TCP"},
            {false, "refuses connections over TCP"}
          ] do
        ScriptedDNS.transport(dns, :tcp, mode)

        sick(a, :no_tcp,
          says: "#{server} has an answer that is too long for UDP, and #{says}",
          fix: "open TCP port #{port} of 127.0.0.1 to this host, beside UDP"
        )
      end

      # The log has the same advice.
      TestNode.await_log(
        a,
        ~r/too long for UDP, and the name server refuses connections over TCP: open its TCP port 53/
      )

      ScriptedDNS.transport(dns, :tcp, true)
      well(a, [b])
    end

    @full {"app.internal.corp.example", :a}

    # As Kubernetes has it: full names too are asked for under each search domain first.
    defp searching!(a, context, opts) do
      path = Path.join(context.tmp_dir, "resolv.conf")
      File.write!(path, "search corp.example\noptions ndots:5\n")
      mesh!(a, context.dns, [files: [resolv_conf: path], timeout: 500] ++ opts)
    end

    test "a wildcard in a search domain answers for the full name",
         %{a: a, b: b, dns: dns} = context do
      ScriptedDNS.put(dns, @full, ["127.0.0.99"])
      searching!(a, context, name: Searching)

      sick(a, :search_domain,
        name: Searching,
        says: "app.internal was answered as app.internal.corp.example",
        fix: "write app.internal. in the query, with a dot at its end"
      )

      searching!(a, context, query: "app.internal.")
      well(a, [b])
    end

    test "a search domain is silent, refuses or fails", %{a: a, b: b, dns: dns} = context do
      for behaviour <- [:silent, :refused, :servfail] do
        ScriptedDNS.put(dns, @full, behaviour)
        # Where it fails at once, the name as written is asked for in time, and that is well.
        ScriptedDNS.put(dns, @name, if(behaviour == :silent, do: @both, else: :nxdomain))
        searching!(a, context, name: behaviour)

        sick(a, :search_domain,
          name: behaviour,
          says: "A of app.internal was asked for as app.internal.corp.example",
          fix: if(behaviour == :silent, do: "write app.internal. in", else: "write the full name")
        )
      end

      {_warning, line} = TestNode.await_log(a, ~r/under a search domain/)
      assert line =~ "write app.internal. with a dot at its end"
      ScriptedDNS.put(dns, @name, @both)
      searching!(a, context, query: "app.internal.")
      well(a, [b])
    end

    test "a .local name, which only multicast DNS has", %{a: a, b: b, dns: dns} do
      mesh!(a, dns, query: "app.local", name: Local)
      sick(a, :local_name, name: Local, says: "multicast DNS", fix: "DNS_CLUSTER_QUERY=10.0.0.5,")
      mesh!(a, dns, query: Enum.join(@both, ","))
      well(a, [b])
    end

    test "the second of two items is misspelt", %{a: a, b: b, dns: dns} do
      mesh!(a, dns, query: "app.internal,jobs.internal")
      assert TestNode.await_nodes(a, [b])

      sick(a, :no_such_name,
        says: "jobs.internal does not exist",
        fix: "spelling",
        eventually: true
      )
    end

    test "only this node is listed", %{a: a, b: b, dns: dns} do
      ScriptedDNS.put(dns, @name, ["127.0.0.2"])
      mesh!(a, dns)

      sick(a, :only_myself,
        says: "app.internal gives 127.0.0.2",
        fix: "have the name list its address"
      )

      ScriptedDNS.put(dns, @name, @both)
      well(a, [b])
    end

    test "a virtual IP stands before the nodes", %{a: a, b: b, dns: dns} do
      ScriptedDNS.put(dns, @name, ["127.0.0.100"])
      ScriptedDNS.put(dns, {"tasks.app.internal", :a}, @both)
      mesh!(a, dns, name: Virtual)
      sick(a, :virtual_ip, name: Virtual, says: "127.0.0.100", fix: "tasks.SERVICE")
      mesh!(a, dns, query: "tasks.app.internal")
      well(a, [b])
    end

    test "a shared folder that is not there", %{a: a, b: b, dns: dns, tmp_dir: folder} do
      folder = Path.join(folder, "volume/nodes")
      mesh!(a, dns, query: "dir:#{folder}", timeout: 500)

      sick(a, :source_failed,
        says: "the folder #{folder} is not there",
        fix: "do as it says",
        eventually: true
      )

      # Mount the volume, or create the folder; the peer has the same query.
      File.mkdir_p!(folder)
      mesh!(b, dns, query: "dir:#{folder}", timeout: 500)
      well(a, [b])
    end

    test "more names than :max_peers", %{a: a, b: b, dns: dns} do
      ScriptedDNS.put(dns, @name, ["127.0.0.4" | @both])
      mesh!(a, dns, max_peers: 1, name: Small)

      # The third is somebody's whose place is taken.
      sick(a, :peer_budget,
        name: Small,
        says: "1 of the names listed are left out",
        fix: "set max_peers: 2",
        eventually: true
      )

      ScriptedDNS.put(dns, @name, @both)
      mesh!(a, dns, max_peers: 2)
      well(a, [b])
    end
  end

  test "the name has addresses of the other IP version only", %{port: port} do
    dns = dns!(%{{"app.internal", :aaaa} => ["::1"]})
    a = a!(port)
    mesh!(a, dns, query: "app@app.internal,other@app.internal")

    sick(a, :wrong_family,
      says: "has 1 IPv6 address and no IPv4 ones",
      fix: ~s(ERL_AFLAGS="-proto_dist inet6_tcp")
    )

    epmd = Epmd.start!(addresses: ["::1"])

    [a, b] =
      for name <- ["app@::1", "other@::1"] do
        TestNode.start!(
          name: name,
          epmd: {:port, epmd.port},
          env: [{"ERL_AFLAGS", "-proto_dist inet6_tcp"}]
        )
      end

    mesh!(a, dns, query: "app@app.internal,other@app.internal")
    well(a, [b])
  end

  describe "a node without a name" do
    test "as distribution: :manual has it", %{dns: dns, port: port} do
      b = b!(port)
      a = unnamed!(port, [])
      options = [address: "127.0.0.2", basename: "app"]
      mesh!(a, dns, [distribution: :manual, name: Manual] ++ options)

      sick(a, :not_distributed,
        name: Manual,
        says: "distribution: :manual",
        fix: "leave :distribution out"
      )

      mesh!(a, dns, [distribution: :auto] ++ options)
      well(a, [b])
    end

    test "for want of a cookie", %{dns: dns, port: port, tmp_dir: home} do
      b = b!(port)
      options = [distribution: :auto, address: "127.0.0.2", basename: "app"]
      env = [{"HOME", home}, {"XDG_CONFIG_HOME", home}, {"RELEASE_COOKIE", nil}]
      a = unnamed!(port, cookie: nil, env: env)
      mesh!(a, dns, options)

      sick(a, :not_distributed,
        says: "there is no cookie",
        fix: "do as it says",
        eventually: true
      )

      TestNode.stop(a)
      env = List.keystore(env, "RELEASE_COOKIE", 0, {"RELEASE_COOKIE", "dns_mesh_test"})
      a = unnamed!(port, cookie: nil, env: env)
      mesh!(a, dns, options)
      well(a, [b])
    end
  end

  describe "a node under a name of another kind" do
    test "a short one, where addresses are listed", %{dns: dns, port: port} do
      b = b!(port)

      a =
        TestNode.start!(
          name: "app@here",
          names: :short,
          epmd: {:fixed, port},
          interface: "127.0.0.2"
        )

      mesh!(a, dns, naming: :address)

      sick(a, :short_names,
        says: "app@here, has a short name",
        fix: "start this node without --sname"
      )

      TestNode.stop(a)
      a = unnamed!(port, [])
      mesh!(a, dns, distribution: :auto, address: "127.0.0.2", basename: "app")
      well(a, [b])
    end

    test "a short one, for the platform sets RELEASE_DISTRIBUTION", context do
      b = b!(context.port)
      folder = Path.join(context.tmp_dir, "releases/0.1.0")
      File.mkdir_p!(folder)
      File.write!(Path.join(folder, "env.sh"), DNSMesh.ReleaseEnv.block())
      program = Path.join(context.tmp_dir, "lib/dns_mesh-0.1.0/priv/native/dns_mesh")
      File.mkdir_p!(Path.dirname(program))
      File.touch!(program)

      # As the release's script leaves them to the VM.
      env = [
        {"RELEASE_NAME", "app"},
        {"RELEASE_NODE", "app"},
        {"RELEASE_DISTRIBUTION", "sname"},
        {"RELEASE_VSN", "0.1.0"},
        {"RELEASE_ROOT", context.tmp_dir},
        {"DNS_CLUSTER_QUERY", "app.internal"}
      ]

      a =
        TestNode.start!(
          name: "app@here",
          names: :short,
          epmd: {:fixed, context.port},
          interface: "127.0.0.2",
          env: env
        )

      mesh!(a, context.dns, naming: :address)

      diagnosis =
        sick(a, :short_names,
          says: "app@here, has a short name",
          fix: "unset RELEASE_DISTRIBUTION in the environment"
        )

      refute diagnosis.fix =~ "run mix"
      {_warning, line} = TestNode.await_log(a, ~r/runs with short names/)
      assert line =~ "Unset RELEASE_DISTRIBUTION in the environment"
      refute line =~ "mix release"
      TestNode.stop(a)

      # Then env.sh gives this name; that it does is the release's test.
      a = a!(context.port)
      mesh!(a, context.dns)
      well(a, [b])
    end

    test "a long one, where short ones are listed", %{dns: dns, port: port} do
      hosts = %{"a" => "127.0.0.2", "b" => "127.0.0.3", "a.long" => "127.0.0.2"}
      b = TestNode.start!(name: "app@b", names: :short, epmd: {:fixed, port}, hosts: hosts)
      a = TestNode.start!(name: "app@a.long", epmd: {:fixed, port}, hosts: hosts)
      ScriptedDNS.put(dns, {"b", :a}, ["127.0.0.3"])
      # By default nodes at loopback have to be named so.
      options = [query: "app@b", allow: ["127.0.0.0/8"]]
      mesh!(a, dns, options)

      sick(a, :long_names,
        says: "app@a.long, has a long name, and app@b has no dot",
        fix: "start this node with --sname"
      )

      TestNode.stop(a)
      a = TestNode.start!(name: "app@a", names: :short, epmd: {:fixed, port}, hosts: hosts)
      mesh!(a, dns, options)
      well(a, [b])
    end

    test "a host name, where addresses have none", %{dns: dns, port: port} do
      hosts = %{"a.svc.test" => "127.0.0.2", "b.svc.test" => "127.0.0.3"}
      b = TestNode.start!(name: "app@b.svc.test", epmd: {:fixed, port}, hosts: hosts)
      a = TestNode.start!(name: "app@a.svc.test", epmd: {:fixed, port}, hosts: hosts)
      ScriptedDNS.put(dns, @name, ["127.0.0.3"])
      mesh!(a, dns, allow: ["127.0.0.0/8"])
      sick(a, :no_host_name, says: "named by a host name", fix: "give each address a PTR record")

      ScriptedDNS.put(dns, {"3.0.0.127.in-addr.arpa", :ptr}, [
        {"3.0.0.127.in-addr.arpa", :ptr, nil, "b.svc.test"}
      ])

      ScriptedDNS.put(dns, {"b.svc.test", :a}, ["127.0.0.3"])
      well(a, [b])
    end
  end
end

defmodule DNSMesh.FollowTest do
  # What a lookup finds out about the addresses it found: their host names and what their epmds have registered,
  # through the real NIF. Each branch of it is tested beside the Rust code.
  use ExUnit.Case, async: true

  alias DNSMesh.Resolver
  alias DNSMesh.Test.{Epmd, HungPeer, NativeLookup, ScriptedDNS, TestNode}

  import NativeLookup, only: [ask: 3, open: 1, open: 2]

  defp dns(zone), do: start_supervised!({ScriptedDNS, zone: zone}, id: make_ref())

  defp reverse({a, b, c, d}), do: "#{d}.#{c}.#{b}.#{a}.in-addr.arpa"

  defp ptr(ip, names),
    do: {{reverse(ip), :ptr}, for(name <- names, do: {reverse(ip), :ptr, nil, name})}

  describe "host names" do
    test "of each address the one that leads back to it, or why there is none" do
      ips = for n <- 1..5, do: {10, 0, 0, n}

      zone =
        Map.new([
          {{"app.internal", :a}, ips},
          ptr({10, 0, 0, 1}, ["App-1.Internal"]),
          {{"app-1.internal", :a}, ["10.0.0.1"]},
          ptr({10, 0, 0, 2}, ["elsewhere.internal"]),
          {{"elsewhere.internal", :a}, ["10.0.0.9"]},
          {{reverse({10, 0, 0, 4}), :ptr}, :no_records},
          {{reverse({10, 0, 0, 5}), :ptr}, :refused}
        ])

      assert {:ok, %{records: ^ips, hosts: hosts, registered: registered}} =
               ask(open([dns(zone)]), "app.internal", follow: [:hosts])

      assert hosts == [
               {{10, 0, 0, 1}, {:ok, "app-1.internal"}},
               {{10, 0, 0, 2}, {:error, :unconfirmed}},
               {{10, 0, 0, 3}, {:error, :nxdomain}},
               {{10, 0, 0, 4}, {:error, :no_records}},
               {{10, 0, 0, 5}, {:error, :refused}}
             ]

      assert registered == []
    end

    test "of IPv6 addresses" do
      reverse = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.a.a.d.f.ip6.arpa"

      zone = %{
        {"app.internal", :aaaa} => ["fdaa::1"],
        {reverse, :ptr} => [{reverse, :ptr, nil, "app-1.internal"}],
        {"app-1.internal", :aaaa} => ["fdaa::1"]
      }

      assert {:ok, %{hosts: hosts}} =
               ask(open([dns(zone)]), "app.internal", type: :aaaa, follow: [:hosts])

      assert hosts == [{{0xFDAA, 0, 0, 0, 0, 0, 0, 1}, {:ok, "app-1.internal"}}]
    end

    test "silence about them costs the deadline, and not the addresses" do
      zone = %{
        {"app.internal", :a} => ["10.0.0.1"],
        {reverse({10, 0, 0, 1}), :ptr} => :silent
      }

      assert {:ok, %{records: [{10, 0, 0, 1}], hosts: hosts}} =
               ask(open([dns(zone)]), "app.internal", follow: [:hosts], timeout: 500)

      assert hosts == [{{10, 0, 0, 1}, {:error, :timeout}}]
    end
  end

  describe "what epmd has registered" do
    test "of real nodes, of an epmd without any, and of addresses without one" do
      epmd = Epmd.start!(addresses: ["127.0.0.2"])
      TestNode.start!(name: "worker@127.0.0.2", epmd: {:port, epmd.port})
      TestNode.start!(name: "app@127.0.0.2", epmd: {:port, epmd.port})
      hung = start_supervised!({HungPeer, ip: "127.0.0.3", port: epmd.port})

      zone = %{
        {"app.internal", :a} => ["127.0.0.2", "127.0.0.3", "127.0.0.4", "255.255.255.255"]
      }

      resolver = open([dns(zone)], epmd_port: epmd.port)

      assert {:ok, %{registered: registered, hosts: hosts}} =
               ask(resolver, "app.internal", follow: [:registered], timeout: 1_000)

      assert [
               {{127, 0, 0, 2}, {:ok, ["app", "worker"]}},
               {{127, 0, 0, 3}, {:error, :silent}},
               {{127, 0, 0, 4}, {:error, :refused}},
               {{255, 255, 255, 255}, {:error, {:unreachable, text}}}
             ] = registered

      assert is_binary(text)
      assert hosts == []
      assert HungPeer.accepted(hung) == 1
    end

    test "of another service's port: it is no epmd" do
      {:ok, listener} = :gen_tcp.listen(0, ip: {127, 0, 0, 1}, packet: :raw, active: false)
      {:ok, port} = :inet.port(listener)

      spawn_link(fn ->
        {:ok, socket} = :gen_tcp.accept(listener)
        # Closed with the question unread, which resets the connection.
        :gen_tcp.send(socket, "SSH-2.0-OpenSSH_9.2p1\r\n")
        :gen_tcp.close(socket)
      end)

      resolver = open([dns(%{})], epmd_port: port)

      assert {:ok, %{registered: [{{127, 0, 0, 1}, {:error, :garbled}}]}} =
               ask(resolver, "127.0.0.1", follow: [:registered])
    end
  end

  test "both at once, of the targets of services" do
    epmd = Epmd.start!(addresses: ["127.0.0.2"])
    TestNode.start!(name: "app@127.0.0.2", epmd: {:port, epmd.port})

    zone =
      Map.new([
        {{"_app._tcp.internal", :srv}, [{0, 0, 4369, "app-1.internal"}]},
        {{"app-1.internal", :a}, ["127.0.0.2"]},
        ptr({127, 0, 0, 2}, ["app-1.internal"])
      ])

    assert {:ok, answer} =
             [dns(zone)]
             |> open(epmd_port: epmd.port)
             |> ask("_app._tcp.internal",
               type: :srv,
               families: [:inet],
               follow: [:registered, :hosts]
             )

    assert answer.hosts == [{{127, 0, 0, 2}, {:ok, "app-1.internal"}}]
    assert answer.registered == [{{127, 0, 0, 2}, {:ok, ["app"]}}]
  end

  # On a VM of its own: a large map in the reply would end it.
  test "of a thousand addresses, without an end of the VM" do
    ips = for n <- 1..1_000, do: {10, 0, div(n, 256), rem(n, 256)}
    # Nobody has a name: one question for each address is enough here.
    dns = dns(%{{"app.internal", :a} => {:truncate, ips}})
    node = TestNode.start!()

    question = [
      [ScriptedDNS.nameserver(dns)],
      "app.internal",
      [follow: [:hosts], timeout: 20_000]
    ]

    assert {:ok, %{hosts: hosts}} =
             TestNode.call(node, NativeLookup, :open_and_ask, question, 30_000)

    assert hosts == for(ip <- ips, do: {ip, {:error, :nxdomain}})
  end

  test "the resolver's answer carries both" do
    zone = Map.new([{{"app.internal", :a}, ["127.0.0.1"]}, ptr({127, 0, 0, 1}, ["app.internal"])])
    files = %{resolv_conf: "/nonexistent/resolv.conf", hosts: "/nonexistent/hosts"}
    handle = Resolver.open([ScriptedDNS.nameserver(dns(zone))], files)

    ref = Resolver.ask(handle, :a, [:inet], "app.internal", 2_000, [:hosts])
    assert_receive {^ref, reply}, 5_000
    assert {:ok, %DNSMesh.Answer{hosts: hosts, registered: %{}}} = Resolver.result(reply)
    assert hosts == %{{127, 0, 0, 1} => {:ok, "app.internal"}}

    ref = Resolver.ask(handle, :a, [:inet], "app.internal", 2_000)
    assert_receive {^ref, reply}, 5_000
    assert {:ok, %DNSMesh.Answer{hosts: hosts}} = Resolver.result(reply)
    assert hosts == %{}
  end
end

defmodule DNSMesh.ReleaseEnv.ReleaseTest do
  # Real releases with and without the generated file, on loopback.
  use ExUnit.Case, async: false

  import DNSMesh.Test.ReleaseFolder

  alias DNSMesh.Test.{Await, BuildFolder, Epmd, ScriptedDNS}

  @moduletag timeout: 300_000

  @loopback {"DNS_CLUSTER_QUERY", "127.0.0.1"}
  @named {"DNS_CLUSTER_QUERY", "shop.internal"}

  setup_all do
    folder = new!()
    shell!(folder, "MIX_ENV=prod mix release")
    plain = keep!(folder)

    shell!(
      folder,
      "mix dns_mesh.gen.env && mix dns_mesh.gen.env --check && MIX_ENV=prod mix release --overwrite"
    )

    %{folder: folder, plain: plain, named: keep!(folder)}
  end

  describe "with the generated file" do
    setup %{named: named}, do: %{shop: copy!(named)}

    test "all commands agree on one name", %{shop: shop} do
      shop = with_env(shop, [@loopback])
      assert {"", 0} = daemon!(shop)
      assert rpc!(shop, "IO.puts(node())") == "shop@127.0.0.1\n"
      assert [{"shop", _port}] = Epmd.names(shop.epmd)

      # Whatever the query leads to by now.
      elsewhere = with_env(shop, [{"DNS_CLUSTER_QUERY", "127.0.0.9"}])
      assert {"shop@127.0.0.1\n", 0} = run(elsewhere, ["rpc", "IO.puts(node())"])
      assert {pid, 0} = run(elsewhere, ["pid"])
      assert pid =~ ~r/\A\d+\n\z/

      assert {"nonode@nohost shop@127.0.0.1\n", 0} =
               run(elsewhere, ["eval", ~S|IO.puts("#{node()} #{System.get_env("RELEASE_NODE")}")|])

      # A status for scripts, and the node runs on.
      assert {text, 1} = run(elsewhere, ["rpc", "DNSMesh.doctor(exit: true)"])
      assert text =~ "\nFix: start a second node with the same query"
      assert {"shop@127.0.0.1\n", 0} = run(elsewhere, ["rpc", "IO.puts(node())"])

      assert {"", 0} = run(elsewhere, ["restart"])
      await_stopped(shop)
      Await.await(fn -> Epmd.names(shop.epmd) != [] end, 20_000)
      assert rpc!(elsewhere, "IO.puts(node())") == "shop@127.0.0.1\n"

      assert {"", 0} = run(elsewhere, ["stop"])
      await_stopped(shop)
      Await.await(fn -> not File.exists?("/proc/#{String.trim(pid)}") end, 20_000)
    end

    test "an IPv6 address needs no flag by hand", %{shop: shop} do
      shop = with_env(shop, [{"DNS_CLUSTER_QUERY", "::1"}])
      assert {"", 0} = daemon!(shop)
      assert rpc!(shop, "IO.puts(node())") == "shop@::1\n"
      assert {"", 0} = run(shop, ["stop"])
      await_stopped(shop)
    end

    test "stop, rpc and pid of one folder do not reach the node of another", %{
      shop: blue,
      named: named
    } do
      green = named |> copy_beside!(blue) |> with_env([@loopback])
      blue = with_env(blue, [@loopback])
      assert {"", 0} = daemon!(blue)
      assert rpc!(blue, "IO.puts(node())") == "shop@127.0.0.1\n"

      # The name is taken, so this one has none. DNS says the same for both.
      port = green |> with_env([{"RELEASE_DISTRIBUTION", "none"}]) |> start!()
      lines_until(port, ~r/another node of this basename runs on this machine/)

      for command <- [["stop"], ["rpc", "System.stop()"], ["pid"], ["restart"]] do
        assert {said, 1} = run(green, command)
        assert said =~ "dns_mesh: the node was started from here, and has no name yet"
      end

      # In good order, as it says.
      {said, 1} = run(green, ["stop"])
      [_, pid] = Regex.run(~r/kill (\d+)/, said)
      {"", 0} = System.cmd("kill", [pid])
      assert_receive {^port, {:exit_status, 0}}, 20_000
      assert {said, 1} = run(green, ["stop"])
      assert said =~ "a node without a name yet was started from here, and no longer runs"

      assert rpc!(blue, "IO.puts(node())") == "shop@127.0.0.1\n"
      assert {"", 0} = run(blue, ["stop"])
      await_stopped(blue)

      # Now the name is the other's, and the file of the first is that of a dead node.
      assert {"", 0} = daemon!(green)
      assert rpc!(green, "IO.puts(node())") == "shop@127.0.0.1\n"
      assert {said, 1} = run(blue, ["stop"])
      assert said =~ "shop@127.0.0.1 was started from here, and no longer runs"
      assert {"", 0} = run(green, ["stop"])
      await_stopped(green)
    end

    test "two basenames from one folder are two nodes", %{shop: shop} do
      nodes =
        for basename <- ~w(web1 web2) do
          node = with_env(shop, [@loopback, {"DNS_MESH_BASENAME", basename}])
          assert {"", 0} = daemon!(node)
          assert rpc!(node, "IO.puts(node())") == "#{basename}@127.0.0.1\n"
          node
        end

      [web1, web2] = nodes
      assert {said, 1} = shop |> with_env([@loopback]) |> run(["stop"])
      assert said =~ "which node? From here were started: web1@127.0.0.1, web2@127.0.0.1."

      assert {"", 0} = run(web1, ["stop"])
      Await.await(fn -> match?([{"web2", _}], Epmd.names(shop.epmd)) end, 20_000)
      assert {"web2@127.0.0.1\n", 0} = run(web2, ["rpc", "IO.puts(node())"])
      assert {"", 0} = run(web2, ["stop"])
      await_stopped(shop)
    end

    test "a basename that makes no sense: no name at all, and the sentence from each command", %{
      shop: shop
    } do
      shop = with_env(shop, [@loopback, {"DNS_MESH_BASENAME", "web 1"}])
      port = start!(shop)
      lines_until(port, ~r/^dns_mesh: no node name \(.*DNS_MESH_BASENAME.*"web 1"/)
      lines_until(port, ~r/DNSMesh: .*DNS_MESH_BASENAME/)
      assert Epmd.names(shop.epmd) == []

      for command <- [["stop"], ["rpc", "1"], ["pid"]] do
        assert {said, 1} = run(shop, command)
        assert said =~ ~r/\Adns_mesh: the running node's name is not known \(.*DNS_MESH_BASENAME/
      end
    end

    test "a preload that is not there is no part of the name", %{shop: shop} do
      shop = with_env(shop, [@loopback])
      port = shop |> wrapped(["env", "LD_PRELOAD=/nowhere/x.so"]) |> start!()
      assert rpc!(shop, "IO.puts(node())") == "shop@127.0.0.1\n"
      assert {"", 0} = run(shop, ["stop"])
      assert_receive {^port, {:exit_status, 0}}, 20_000
    end

    test "without a query it boots as if the file were not there", %{shop: shop} do
      assert {"", 0} = daemon!(shop)
      assert "shop@" <> host = rpc!(shop, "IO.puts(node())")
      refute host =~ "."
      assert {"", 0} = run(shop, ["stop"])
      await_stopped(shop)
    end
  end

  describe "with the generated file, and a name server" do
    @describetag :netns

    setup %{named: named} do
      # resolv.conf has no place for a port, so this one must be 53; an address that no other server here has.
      dns =
        start_supervised!(
          {ScriptedDNS,
           ip: "127.0.53.3", port: 53, zone: %{{"shop.internal", :a} => ["127.0.0.2"]}}
        )

      resolv_conf = Path.join(BuildFolder.new!(), "resolv.conf")
      File.write!(resolv_conf, "nameserver 127.0.53.3\noptions timeout:1 attempts:1\n")
      mount = ~s|mount --bind "$0" /etc/resolv.conf && exec "$@"|

      shop =
        named
        |> copy!()
        |> with_env([@named])
        |> wrapped(["unshare", "-m", "sh", "-c", mount, resolv_conf])

      %{dns: dns, shop: shop}
    end

    test "the name chosen at start serves when the server is gone", %{shop: shop} do
      assert {"", 0} = daemon!(shop)
      assert rpc!(shop, "IO.puts(node())") == "shop@127.0.0.2\n"
      stop_supervised!(ScriptedDNS)
      assert {"shop@127.0.0.2\n", 0} = run(shop, ["rpc", "IO.puts(node())"])
      assert {"", 0} = run(shop, ["stop"])
      await_stopped(shop)
    end

    test "a silent server, and no name known: stop, rpc and pid end at once", %{
      shop: shop,
      dns: dns
    } do
      for type <- [:a, :aaaa], do: ScriptedDNS.put(dns, {"shop.internal", type}, :silent)
      # So that the only address of whatever machine this is cannot decide.
      shop = with_env(shop, [{"DNS_MESH_ADDRESS", "interface:none0"}])

      for command <- [["stop"], ["rpc", "1"], ["pid"]] do
        {took, {said, 1}} = :timer.tc(fn -> run(shop, command) end)

        assert said =~
                 "dns_mesh: the running node's name is not known (there is no interface none0"

        # 0.5 s where the machine is not busy; a health check has one.
        assert took < 3_000_000
      end
    end

    test "eval, version and a wrong command ask it nothing", %{shop: shop, dns: dns} do
      assert {"2\n", 0} = run(shop, ["eval", "IO.puts(1 + 1)"])
      assert {"shop 1.0.0\n", 0} = run(shop, ["version"])
      assert {_usage, 1} = run(shop, ["strat"])
      assert ScriptedDNS.queries(dns, "shop.internal", :a) == []
    end

    test "undecided at start: it starts without a name, takes one later, and rpc and stop know it",
         %{shop: shop, dns: dns} do
      # Of the same basename then as before: under the release's it could be another application's node.
      shop = with_env(shop, [{"DNS_MESH_BASENAME", "jobs"}])
      ScriptedDNS.put(dns, {"shop.internal", :a}, ["127.0.0.2", "127.0.0.3"])
      port = start!(shop)

      lines_until(
        port,
        ~r/^dns_mesh: no node name yet \(.*127\.0\.0\.\d.*\): starting without distribution/
      )

      ScriptedDNS.put(dns, {"shop.internal", :a}, ["127.0.0.3"])
      lines_until(port, ~r/this node is jobs@127\.0\.0\.3 now/)

      stop_supervised!(ScriptedDNS)
      assert rpc!(shop, "IO.puts(node())") == "jobs@127.0.0.3\n"
      assert {"", 0} = run(shop, ["stop"])
      assert_receive {^port, {:exit_status, 0}}, 20_000
    end
  end

  describe "without the file" do
    setup %{plain: plain}, do: %{shop: copy!(plain)}

    test "RELEASE_DISTRIBUTION=none takes a name at run time", %{shop: shop} do
      port = shop |> with_env([@loopback, {"RELEASE_DISTRIBUTION", "none"}]) |> start!()
      lines_until(port, ~r/this node is shop@127\.0\.0\.1 now/)
      assert [{"shop", _port}] = Epmd.names(shop.epmd)
    end

    test "short names: the advice that is printed, followed to the letter, makes it work", %{
      folder: folder,
      shop: shop
    } do
      File.rm_rf!(Path.join(folder, "rel"))
      # The second has no name, so the node must be told that it cannot dial it.
      port = shop |> with_env([{"DNS_CLUSTER_QUERY", "127.0.0.1,127.0.0.9"}]) |> start!()

      [line | _] =
        port |> lines_until(~r/runs with short names|is named by a host name/) |> Enum.reverse()

      assert line =~ "DNSMesh: this node, shop@"
      commands = commands(port)
      Port.close(port)
      assert Enum.any?(commands, &(&1 =~ "mix dns_mesh.gen.env"))
      for command <- commands, do: shell!(folder, command)

      shop = folder |> keep!() |> copy!() |> with_env([@loopback])
      port = start!(shop)
      assert rpc!(shop, "IO.puts(node())") == "shop@127.0.0.1\n"
      assert rpc!(shop, "IO.puts(DNSMesh.status().state)") == "running\n"
      assert {"", 0} = run(shop, ["stop"])
      assert_receive {^port, {:exit_status, 0}}, 20_000
    end
  end

  # What a message has set off by four blanks, up to the closing parenthesis.
  defp commands(port) do
    for "    " <> command <- lines_until(port, ~r/^\(/), do: command
  end
end

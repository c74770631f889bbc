defmodule DNSMesh.InetrcTest do
  # What a VM has been told by ERL_INETRC, or the kernel's inetrc, holds for DNSMesh too.
  use ExUnit.Case, async: true

  alias DNSMesh.{Inetrc, Resolver}
  alias DNSMesh.Test.{Clinic, Mesh, Ports, ScriptedDNS, TestNode}

  @moduletag :tmp_dir

  defp parse(terms), do: Inetrc.parse(terms, "/etc/erl_inetrc")

  describe "of its terms" do
    test "name servers, search domains, hosts and files count, the others are :inet's business" do
      assert parse([
               {:lookup, [:file, :dns]},
               {:edns, 0},
               {:timeout, 300},
               {:nameserver, {10, 0, 0, 2}},
               {:nameserver, {0xFDAA, 0, 0, 0, 0, 0, 0, 3}, 5353},
               {:alt_nameserver, {10, 0, 0, 4}},
               {:search, [~c"a.test", "b.test"]},
               {:host, {10, 0, 0, 5}, [~c"node5", ~c"n5"]},
               {:host, {10, 0, 0, 6}, ["node6"]},
               {:resolv_conf, ~c"/other/resolv.conf"},
               {:hosts_file, "/other/hosts"},
               {:usevc, true},
               :nonsense
             ]) == %Inetrc{
               path: "/etc/erl_inetrc",
               nameservers: [
                 {{10, 0, 0, 2}, 53},
                 {{0xFDAA, 0, 0, 0, 0, 0, 0, 3}, 5353},
                 {{10, 0, 0, 4}, 53}
               ],
               search: ["a.test", "b.test"],
               hosts: [{{10, 0, 0, 5}, ["node5", "n5"]}, {{10, 0, 0, 6}, ["node6"]}],
               resolv_conf: "/other/resolv.conf",
               hosts_file: "/other/hosts"
             }

      assert parse([{:lookup, [:native]}]) == %Inetrc{}
      assert %{search: ["d.test"]} = parse([{:domain, ~c"d.test"}])

      assert %{resolv_conf: "/r", hosts_file: "/h"} =
               parse([{:file, :resolv, ~c"/r"}, {:file, :hosts, ~c"/h"}])
    end

    test "what is cleared is gone, and counts no more" do
      server = {:nameserver, {10, 0, 0, 2}}
      host = {:host, {10, 0, 0, 5}, [~c"n5"]}
      search = {:search, [~c"a"]}
      assert parse([server, host, search, :clear_ns, :clear_hosts, :clear_search]) == %Inetrc{}
    end

    test "what makes no sense is passed over" do
      for term <- [
            {:nameserver, ~c"10.0.0.2"},
            {:nameserver, {10, 0, 0, 256}},
            {:nameserver, {10, 0, 0, 2}, 0},
            {:host, {10, 0, 0}, [~c"a"]},
            {:host, {10, 0, 0, 5}, []},
            {:host, {10, 0, 0, 5}, ["a\n10.0.0.6 b", "c d", "#e", self()]},
            {:domain, self()},
            {:resolv_conf, ~c""},
            42
          ],
          do: assert(parse([term]) == %Inetrc{}, inspect(term))

      assert parse([{:search, ["a b", ~c"c"]}]).search == ["c"]
    end
  end

  # A term a line, as the file has it.
  defp inetrc!(folder, terms) do
    path = Path.join(folder, "erl_inetrc_#{System.unique_integer([:positive])}")
    File.write!(path, for(term <- terms, do: :io_lib.format("~p.~n", [term])))
    path
  end

  defp dns!(zone), do: start_supervised!({ScriptedDNS, zone: zone}, id: make_ref())

  defp server(dns) do
    {:ok, [{ip, port}]} = {:ok, DNSMesh.Config.cast!(:nameservers, [ScriptedDNS.address(dns)])}
    {:nameserver, ip, port}
  end

  defp lookup(node, name, opts \\ []),
    do: TestNode.call(node, DNSMesh, :lookup, [name, [type: :a] ++ opts])

  test "its name server is asked, under its search domains, and its hosts are known", %{
    tmp_dir: folder
  } do
    dns = dns!(%{{"app.b.test", :a} => ["10.0.0.7"], {"own.test", :a} => ["10.0.0.8"]})
    hosts = [{:host, {10, 0, 0, 5}, [~c"node5", ~c"n5"]}, {:host, {127, 0, 0, 1}, [~c"own.test"]}]
    path = inetrc!(folder, [server(dns), {:search, [~c"a.test", ~c"b.test"]} | hosts])

    for options <- [
          [env: [{"ERL_INETRC", path}]],
          [args: ["-kernel", "inetrc", ~s("#{path}")], env: [{"ERL_INETRC", "/nonexistent"}]]
        ] do
      node = TestNode.start!(options)
      assert {:ok, %{records: [{10, 0, 0, 7}], server: server}} = lookup(node, "app")
      assert server == ScriptedDNS.address(dns)
      assert {:ok, %{records: [{10, 0, 0, 5}], server: "hosts"}} = lookup(node, "n5")
      # As in the hosts file: an entry that only names this machine is passed over.
      assert {:ok, %{records: [{10, 0, 0, 8}]}} = lookup(node, "own.test")
      # The option wins.
      other = dns!(%{{"app.b.test", :a} => ["10.0.0.9"]})
      servers = [nameservers: [ScriptedDNS.address(other)]]
      assert {:ok, %{records: [{10, 0, 0, 9}]}} = lookup(node, "app", servers)
      TestNode.stop(node)
    end
  end

  test "the files that it names are read instead, and followed", %{tmp_dir: folder} do
    conf = Path.join(folder, "resolv.conf")
    hosts = Path.join(folder, "hosts")
    File.write!(conf, "nameserver 127.0.0.53\nsearch c.test\n")
    File.write!(hosts, "10.0.0.11 node11\n")
    path = inetrc!(folder, [{:resolv_conf, to_charlist(conf)}, {:hosts_file, to_charlist(hosts)}])
    node = TestNode.start!(env: [{"ERL_INETRC", path}])

    assert %{resolv_conf: ^conf, hosts: ^hosts} =
             TestNode.call(node, Resolver, :settings, [
               [],
               %{resolv_conf: "/etc/resolv.conf", hosts: "/etc/hosts"}
             ])

    assert {:ok, %{records: [{10, 0, 0, 11}]}} = lookup(node, "node11")
  end

  test "one that is not there, or no such file, changes nothing", %{tmp_dir: folder} do
    broken = Path.join(folder, "broken")
    File.write!(broken, "{nameserver, {10,0,0,2}")
    files = %{resolv_conf: "/etc/resolv.conf", hosts: "/etc/hosts"}
    usual = Resolver.settings([], files)

    node = TestNode.start!()

    for path <- ["/nonexistent", broken, folder] do
      TestNode.call(node, System, :put_env, ["ERL_INETRC", path])
      assert TestNode.call(node, Resolver, :settings, [[], files]) == usual
    end
  end

  test "a cluster is found by it, and the doctor names its file where it is what is wrong", %{
    tmp_dir: folder
  } do
    dns = dns!(%{{"app.internal", :a} => ["127.0.0.2", "127.0.0.3"]})
    path = inetrc!(folder, [server(dns)])
    port = Ports.free_port()

    [a, b] =
      for n <- 2..3 do
        TestNode.start!(
          name: "app@127.0.0.#{n}",
          epmd: {:fixed, port},
          env: [{"ERL_INETRC", path}]
        )
      end

    Mesh.start!(a, query: "app.internal", timeout: 500)
    Clinic.well(a, [b])

    ScriptedDNS.put(dns, {"gone.internal", :a}, :servfail)
    Mesh.start!(a, query: "gone.internal", name: Gone, timeout: 500)

    Clinic.sick(a, :server_failed,
      name: Gone,
      says: ScriptedDNS.address(dns),
      fix:
        "mend that name server, or name another one, in #{path} or with the option :nameservers"
    )
  end
end

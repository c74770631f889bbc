defmodule DNSMesh.Doctor.GreetTest do
  # The handshake with real nodes, through the real NIF. Each branch of it is tested beside the Rust code too.
  use ExUnit.Case, async: true

  alias DNSMesh.Resolver
  alias DNSMesh.Test.{HungPeer, NativeLookup, Ports, TestNode}

  @cookie "dns_mesh_test"

  setup do
    port = Ports.free_port()
    node = TestNode.start!(name: "app@127.0.0.2", epmd: {:fixed, port})
    %{node: node, port: port}
  end

  defp greet(targets, cookie \\ @cookie) do
    {:ok, greetings} =
      targets |> Resolver.greet({"doctor@127.0.0.1", cookie}, 3_000) |> NativeLookup.await()

    Enum.map(greetings, fn {_id, greeting} -> greeting end)
  end

  defp at(port, name \\ "app@127.0.0.2"), do: {:id, name, {127, 0, 0, 2}, port}

  test "a node that takes the cookie sees a hidden node come and go, and logs nothing", context do
    TestNode.forward_nodes(context.node)
    assert greet([at(context.port)]) == [{:welcome, :visible, :proved}]
    assert_receive {:from_node, _, {:nodeup, :"doctor@127.0.0.1", info}}, 5_000
    assert info[:node_type] == :hidden
    assert_receive {:from_node, _, {:nodedown, :"doctor@127.0.0.1", _}}, 5_000
    assert TestNode.logs(context.node) == []
    assert TestNode.nodes(context.node) == []
  end

  test "a node that does not take the cookie says so in its log, as for any dial", context do
    assert greet([at(context.port)], "another") == [:wrong_cookie]
    assert {:error, _} = TestNode.await_log(context.node, ~r/doctor@127.0.0.1.*nvalid challenge/s)
  end

  test "without a cookie nothing is proved, and the node is not joined", context do
    TestNode.forward_nodes(context.node)
    assert greet([at(context.port)], nil) == [{:welcome, :visible, :unproved}]
    refute_receive {:from_node, _, {:nodeup, _, _}}, 200
  end

  test "a node under another name says its own", context do
    assert greet([at(context.port, "app@127.0.0.9")]) == [{:other_name, "app@127.0.0.2"}]
  end

  test "a node that has a list of those that may connect", context do
    TestNode.call(context.node, :net_kernel, :allow, [[:"friend@127.0.0.4"]])
    assert greet([at(context.port)]) == [:not_allowed]
  end

  test "a hidden node" do
    port = Ports.free_port()
    TestNode.start!(name: "app@127.0.0.2", epmd: {:fixed, port}, args: ["-hidden"])
    assert greet([at(port)]) == [{:welcome, :hidden, :proved}]
  end

  test "nobody, somebody who is silent, and somebody who is no node" do
    hung = start_supervised!({HungPeer, ip: "127.0.0.2"})
    {:ok, web} = :gen_tcp.listen(0, [:binary, ip: {127, 0, 0, 2}, active: false])
    {:ok, web_port} = :inet.port(web)

    spawn_link(fn ->
      {:ok, socket} = :gen_tcp.accept(web)
      {:ok, _} = :gen_tcp.recv(socket, 0)
      :gen_tcp.send(socket, "HTTP/1.1 400 Bad Request\r\n\r\n")
      Process.sleep(:infinity)
    end)

    assert greet([at(Ports.free_port()), at(HungPeer.port(hung)), at(web_port)]) == [
             :no_node,
             :silent,
             :no_node
           ]
  end
end

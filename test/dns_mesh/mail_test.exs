defmodule DNSMesh.MailTest do
  # Anybody can send a process anything. None of it ends the Poller, and none of it keeps it from its work.
  use ExUnit.Case, async: true

  alias DNSMesh.Mail
  alias DNSMesh.Test.{Await, Mesh, Ports, ScriptedDNS, StrangeMail, TestNode}

  defp options(name, more \\ []) do
    dns = start_supervised!({ScriptedDNS, zone: %{{"app.internal", :a} => ["10.0.0.1"]}})
    server = ScriptedDNS.address(dns)

    [name: name, query: "app.internal", nameservers: [server], interval: 100, log: false]
    |> Keyword.merge([distribution: :manual] ++ more)
  end

  defp start_here!(name, more \\ []), do: start_supervised!({DNSMesh, options(name, more)})

  describe "mail of every shape, with any term in it" do
    test "ends no instance of a VM without a name, nor one that is asked anew meanwhile", %{
      test: name
    } do
      pid = start_here!(name)
      assert StrangeMail.send!(name, seed(), 3_000) == :ok
      assert Process.whereis(name) == pid
      # It goes on.
      asked = fn -> hd(DNSMesh.status(name).queries).answer end
      Await.await(fn -> match?(%{records: [{10, 0, 0, 1}]}, asked.()) end)
    end

    test "ends no instance beside a :resolver module", %{test: name} do
      defmodule Static do
        def basename(_node), do: "app"
        def lookup(_host, _type), do: [{10, 0, 0, 1}]
        def list_nodes, do: []
        def connect_node(_node), do: false
      end

      pid = start_here!(name, resolver: Static)
      assert StrangeMail.send!(name, seed(), 2_000) == :ok
      assert Process.whereis(name) == pid
    end

    test "ends no member of a mesh, nor its links" do
      epmd = {:fixed, Ports.free_port()}
      zone = %{{"app.internal", :a} => ["127.0.0.2", "127.0.0.3"]}
      dns = start_supervised!({ScriptedDNS, zone: zone})
      [a, b] = for n <- 2..3, do: TestNode.start!(name: "app@127.0.0.#{n}", epmd: epmd)
      options = [query: "app.internal", nameservers: [ScriptedDNS.address(dns)]]
      [pid, _] = for node <- [a, b], do: Mesh.start!(node, options)
      assert TestNode.await_exactly(a, [b])

      assert TestNode.call(a, StrangeMail, :send!, [DNSMesh, seed(), 2_000]) == :ok
      Mesh.await_rounds(a, 2)
      assert Mesh.pid(a) == pid
      assert TestNode.nodes(a) == [b.name]
    end

    # As the tests themselves: mix test --seed N has it all again.
    defp seed, do: ExUnit.configuration()[:seed]
  end

  describe "its parent" do
    test "may be anybody's word: what says that it has ended and is there ends nothing", %{
      test: name
    } do
      {:ok, pid} = DNSMesh.start_link(options(name))
      send(pid, {:EXIT, self(), :boom})
      send(pid, {:EXIT, self(), :normal})
      Process.exit(pid, :boom)
      assert DNSMesh.status(name).state == :running
      assert Process.whereis(name) == pid
    end

    test "ends it when it ends, whatever of, and so does its :shutdown", %{test: name} do
      for reason <- [:normal, :boom, :kill, {:shutdown, :x}] do
        options = options(name)
        test = self()

        parent =
          spawn(fn ->
            send(test, DNSMesh.start_link(options))
            receive(do: (reason -> exit(reason)))
          end)

        assert_receive {:ok, pid}, 5_000
        monitor = Process.monitor(pid)
        if reason == :kill, do: Process.exit(parent, :kill), else: send(parent, reason)
        assert_receive {:DOWN, ^monitor, :process, ^pid, _reason}, 5_000
        stop_supervised!(ScriptedDNS)
      end

      pid = start_here!(name)
      monitor = Process.monitor(pid)
      :ok = stop_supervised(name)
      assert_receive {:DOWN, ^monitor, :process, ^pid, :shutdown}, 5_000
    end

    test "is whom OTP's tools say", %{test: name} do
      {:ok, pid} = DNSMesh.start_link(options(name))
      assert DNSMesh.status(name).state == :running
      assert [parent | _] = Process.info(pid)[:dictionary][:"$ancestors"]
      assert parent == self()
    end
  end

  describe "who asks" do
    test "without on_timeout, as no version of ours does, is answered all the same", %{test: name} do
      start_here!(name)
      assert GenServer.call(name, {:await, %{peers: 1, timeout: 10}}) == {:error, :timeout}
    end

    test "for what there is none of, or as nobody, gets no answer or a plain one", %{test: name} do
      pid = start_here!(name)

      for wish <- [
            %{},
            nil,
            %{peers: 0, timeout: 1},
            %{peers: 1, timeout: 86_400_001},
            %{peers: 1, timeout: -1}
          ],
          do: assert(GenServer.call(pid, {:await, wish}) == {:error, :unknown_call})

      for from <- [:x, {:x, make_ref()}, {nil, nil, nil}, []],
          call <- [:status, :await_name, :nope, {:dns_mesh, 1, {:reach, "app@127.0.0.9"}}],
          do: send(pid, {:"$gen_call", from, call})

      assert DNSMesh.status(name).state == :running
      assert Process.whereis(name) == pid
    end
  end

  test "a monitor that is none is no end of anything" do
    assert Mail.info({:DOWN, nil, :process, self(), :x}) == :unknown
    assert Mail.info({:waited, nil}) == :unknown
    assert Mail.info({:wake, nil}) == :unknown
    assert Mail.info({:nodeup, nil, []}) == :unknown
    assert Mail.info({:nodeup, :a@b, [:x | :y]}) == {:nodeup, "a@b", :visible}
    assert Mail.info({:nodedown, :a@b, node_type: 1}) == {:nodedown, "a@b", nil, nil}
  end
end

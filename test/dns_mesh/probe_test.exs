defmodule DNSMesh.ProbeTest do
  # Whether a node could be joined, asked of real nodes and of hung ones, through the real NIF. Each branch of it is
  # tested beside the Rust code.
  use ExUnit.Case, async: true

  alias DNSMesh.{Native, Resolver}
  alias DNSMesh.Test.{Epmd, HungPeer, NativeLookup, Ports, ScriptedDNS, TestNode}

  import NativeLookup, only: [open: 1, open: 2, await: 1]

  @localhost {127, 0, 0, 1}

  defp probe(resolver, targets, timeout \\ 3_000),
    do: {resolver, %{}} |> Resolver.probe(targets, timeout) |> await()

  test "a node that epmd knows, one that it does not know, and hosts without an epmd" do
    epmd = Epmd.start!()
    TestNode.start!(name: "app@127.0.0.2", epmd: {:port, epmd.port})
    hung = start_supervised!({HungPeer, ip: "127.0.0.12", port: epmd.port})
    resolver = open([], epmd_port: epmd.port)

    # The node listens at its own address only, and epmd at all of them.
    targets = [
      {:app, "app", {127, 0, 0, 2}, :epmd},
      {"worker", "worker", {127, 0, 0, 2}, :epmd},
      {{:elsewhere, 3}, "app", {127, 0, 0, 3}, :epmd},
      {make_ref(), "app", {127, 0, 0, 11}, :epmd},
      {nil, "app", {127, 0, 0, 12}, :epmd}
    ]

    assert {:ok, verdicts} = probe(resolver, targets)

    assert verdicts ==
             Enum.zip(Enum.map(targets, &elem(&1, 0)), [
               {:ok, Map.fetch!(Map.new(Epmd.names(epmd)), "app")},
               {:dead, :not_registered},
               {:dead, :refused},
               {:dead, :refused_epmd},
               {:silent, :epmd}
             ])

    assert HungPeer.accepted(hung) == 1
  end

  test "nodes without epmd, at a fixed port" do
    port = Ports.free_port()
    node = TestNode.start!(name: "app@127.0.0.2", epmd: {:fixed, port})
    resolver = open([])

    targets = [{2, "app", {127, 0, 0, 2}, port}, {3, "app", {127, 0, 0, 3}, port}]
    assert probe(resolver, targets) == {:ok, [{2, {:ok, port}}, {3, {:dead, :refused}}]}

    TestNode.kill(node)
    assert {:ok, [{2, {:dead, :refused}} | _]} = probe(resolver, targets)
  end

  test "hosts by name" do
    port = Ports.free_port()
    TestNode.start!(name: "app@127.0.0.2", epmd: {:fixed, port})
    dns = start_supervised!({ScriptedDNS, zone: %{{"app-1.internal", :a} => ["127.0.0.2"]}})

    targets = [
      {1, "app", {"app-1.internal", :inet}, port},
      {2, "app", {"app-1.internal", :inet6}, port},
      {3, "app", {"app-2.internal", :inet}, port},
      {4, "app", {"bad name", :inet}, port}
    ]

    assert probe(open([dns]), targets) ==
             {:ok, [{1, {:ok, port}} | for(n <- 2..4, do: {n, {:silent, :name}})]}
  end

  test "no targets, and no time" do
    resolver = open([])
    assert probe(resolver, []) == {:ok, []}
    assert probe(resolver, [{1, "app", @localhost, 1}], 0) == {:ok, [{1, {:silent, :not_tried}}]}
  end

  test "the call returns before the first answer, and the reply comes once" do
    hung = start_supervised!(HungPeer)
    resolver = open([], epmd_port: HungPeer.port(hung))
    targets = for n <- 1..200, do: {n, "app", @localhost, :epmd}

    ref = Resolver.probe({resolver, %{}}, targets, 500)
    assert Process.info(self(), :message_queue_len) == {:message_queue_len, 0}
    assert_receive {^ref, {:ok, verdicts}}, 1_500
    assert for({n, _} <- verdicts, do: n) == Enum.to_list(1..200)
    assert Enum.all?(verdicts, &match?({_, {:silent, _}}, &1))
    assert HungPeer.accepted(hung) == 16
    refute_receive {^ref, _}, 100
  end

  test "what breaks the library reaches the caller once" do
    resolver = open([])

    for {host, reason} <- [
          {"panic.faults.dns-mesh", :panicked},
          {"panic-encode.faults.dns-mesh", :panicked},
          {"drop.faults.dns-mesh", :dropped}
        ] do
      ref = Resolver.probe({resolver, %{}}, [{1, "app", {host, :inet}, 1}], 1_000)
      assert_receive {^ref, {:error, %{reason: ^reason, name: ^host}}}, 5_000
      refute_receive {^ref, _}, 100
    end
  end

  test "arguments of the wrong type raise here, and no message comes" do
    resolver = open([])
    ref = make_ref()

    for target <- [
          :app,
          {1, "app", @localhost},
          {1, :app, @localhost, :epmd},
          {1, "a\xff", @localhost, :epmd},
          {1, "app", {127, 0, 0}, :epmd},
          {1, "app", {127, 0, 0, 256}, :epmd},
          {1, "app", "127.0.0.1", :epmd},
          {1, "app", {:localhost, :inet}, :epmd},
          {1, "app", {"localhost", :inet5}, :epmd},
          {1, "app", @localhost, :epmd_module},
          {1, "app", @localhost, 0},
          {1, "app", @localhost, 65_536},
          {1, "app", @localhost, "4369"}
        ] do
      assert_raise ArgumentError, fn -> Native.probe(resolver, ref, [target], 1_000) end
    end

    for args <- [
          [:not_a_resolver, ref, [], 1_000],
          [resolver, :not_a_ref, [], 1_000],
          [resolver, ref, :none, 1_000],
          [resolver, ref, [], -1]
        ] do
      assert_raise ArgumentError, fn -> apply(Native, :probe, args) end
    end

    refute_receive {^ref, _}, 100
  end

  describe "50 probes leave no line in the log, no process and no port" do
    test "of a node" do
      probed_without_trace([])
    end

    @tag :tmp_dir
    test "of a node with TLS distribution", %{tmp_dir: tmp_dir} do
      probed_without_trace(["-proto_dist", "inet_tls", "-ssl_dist_optfile", tls_options(tmp_dir)])
    end

    defp probed_without_trace(args) do
      port = Ports.free_port()
      node = TestNode.start!(name: "app@127.0.0.2", epmd: {:fixed, port}, args: args)
      resolver = open([])
      target = {:app, "app", {127, 0, 0, 2}, port}
      counts = fn -> for what <- [:process_count, :port_count], do: info(node, what) end

      # What the first connection loads and starts once is not of interest.
      assert probe(resolver, [target]) == {:ok, [app: {:ok, port}]}
      TestNode.call(node, Process, :sleep, [200])
      before = counts.()
      for _ <- 1..50, do: assert(probe(resolver, [target]) == {:ok, [app: {:ok, port}]})

      # Or less: on a busy machine something of the start may have been there still.
      DNSMesh.Test.Await.await(fn ->
        Enum.all?(Enum.zip(counts.(), before), fn {now, then} -> now <= then end)
      end)

      TestNode.call(node, :logger, :error, [~c"the end"])
      TestNode.await_log(node, ~r/the end/)
      assert for({_level, text} = line <- TestNode.logs(node), text != "the end", do: line) == []
    end

    defp info(node, what), do: TestNode.call(node, :erlang, :system_info, [what])

    defp tls_options(tmp_dir) do
      chain = %{root: [], intermediates: [], peer: []}

      %{server_config: config} =
        :public_key.pkix_test_data(%{server_chain: chain, client_chain: chain})

      {key_type, key} = config[:key]
      key_file = pem(tmp_dir, "key.pem", key_type, key)
      cert_file = pem(tmp_dir, "cert.pem", :Certificate, config[:cert])
      options = Path.join(tmp_dir, "ssl_dist.conf")

      File.write!(options, """
      [{server, [{certfile, "#{cert_file}"}, {keyfile, "#{key_file}"}]},
       {client, [{verify, verify_none}]}].
      """)

      options
    end

    defp pem(tmp_dir, file, type, der) do
      path = Path.join(tmp_dir, file)
      File.write!(path, :public_key.pem_encode([{type, der, :not_encrypted}]))
      path
    end
  end
end

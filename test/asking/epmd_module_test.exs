defmodule DNSMesh.Asking.EpmdModuleTest do
  # A module in place of epmd (-epmd_module): probes go where the VM's dials would go, whatever the module does.
  use ExUnit.Case, async: true

  alias DNSMesh.Test.{Await, EpmdModule, Mesh, Ports, ScriptedDNS, TestNode}

  # A asks its module; the others have a port each, which no boot flag of A's tells.
  defp scene(n) do
    ips = for n <- 3..(2 + n), do: "127.0.0.#{n}"
    dns = start_supervised!({ScriptedDNS, zone: %{{"app.test", :a} => ips}})

    a =
      TestNode.start!(
        [name: "app@127.0.0.2", epmd: {:fixed, Ports.free_port()}] ++ EpmdModule.flags()
      )

    {a, ips, [query: "app.test", nameservers: [ScriptedDNS.address(dns)]]}
  end

  defp node!(ip) do
    port = Ports.free_port()
    {TestNode.start!(name: "app@#{ip}", epmd: {:fixed, port}), port}
  end

  test "the port it gives is the one that is probed, and dialled" do
    {a, [ip], options} = scene(1)
    {b, port} = node!(ip)
    EpmdModule.says(a, ip, {:port, port})
    Mesh.start!(a, options)
    assert TestNode.await_exactly(a, [b])
    assert %{result: true} = Mesh.await(a, [:join, :stop])
  end

  test "where it knows no port, crashes, hangs or says anything else, that is a reason, and keeps nobody else out" do
    {a, [good | bad], options} = scene(6)
    {b, port} = node!(good)
    EpmdModule.says(a, good, {:port, port})

    answers = [
      {:noport, {:dead, :not_registered}},
      {:crash, {:silent, :epmd}},
      {:hang, {:silent, :epmd}},
      {{:port, 0, 5}, {:dead, :not_registered}},
      {{:error, ["improper" | :list]}, {:dead, :not_registered}}
    ]

    for {ip, {says, _reason}} <- Enum.zip(bad, answers), do: EpmdModule.says(a, ip, says)
    processes = TestNode.call(a, :erlang, :system_info, [:process_count])
    pid = Mesh.start!(a, options)
    # It is waited for as long as an epmd is: 1.5 s.
    assert TestNode.await_exactly(a, [b], 4_000)

    for {ip, {_says, reason}} <- Enum.zip(bad, answers) do
      assert %{state: :waiting, reason: ^reason} = Mesh.peer(a, "app@#{ip}")
    end

    assert %{result: true} = Mesh.await(a, [:join, :stop])
    Mesh.await_rounds(a, 2)
    assert Mesh.joins(a) == []
    assert Mesh.pid(a) == pid
    # Those that hang are ended, and nobody logs a crash.
    Await.await(fn ->
      TestNode.call(a, :erlang, :system_info, [:process_count]) <= processes + 8
    end)

    for {level, text} <- TestNode.logs(a), do: assert(level != :error, text)
  end

  test "address_please/3 may give the port at once, or no address" do
    {a, [ip, nowhere], options} = scene(2)
    {b, port} = node!(ip)
    EpmdModule.lives_at(a, ip, {:ok, {127, 0, 0, 3}, port, 5})
    EpmdModule.lives_at(a, nowhere, {:error, :nxdomain})
    Mesh.start!(a, options)
    assert TestNode.await_exactly(a, [b])
    assert %{state: :waiting, reason: {:silent, :name}} = Mesh.peer(a, "app@#{nowhere}")
  end
end

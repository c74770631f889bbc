defmodule DNSMesh.OwnNameInANetworkTest do
  # A VM in a network of its own, whose addresses come and go.
  use ExUnit.Case, async: true

  alias DNSMesh.Test.{Mesh, OSProcess, ScriptedDNS, TestNode}

  @moduletag :netns

  # The bridge that a container is started on, and a wire that is not plugged in yet.
  @setting """
  set -e
  mount -t sysfs none /sys
  ip link set lo up
  for device in v w; do
    ip link add ${device}0 type veth peer name ${device}1
    ip link set ${device}0 up
    ip link set ${device}1 up
  done
  ip addr add 172.17.0.5/16 dev v0
  """

  @exec ~S(exec "$0" "$@")

  setup context do
    # What a node that has its name when it boots needs.
    first = context[:first] || ""
    named = context[:named] || [epmd: {:fixed, 9100}]
    flags = ["--net", "--mount", "--propagation", "private"]
    within = ["unshare" | flags] ++ ["sh", "-c", @setting <> first <> @exec]
    a = TestNode.start!([within: within, label: :a] ++ named)
    {:ok, _} = TestNode.start_child(a, {ScriptedDNS, name: :dns, default: :servfail})
    {:ok, a: a}
  end

  defp start(a, opts) do
    dns = TestNode.call(a, ScriptedDNS, :address, [:dns])

    options = [
      distribution: :auto,
      query: "app.internal",
      basename: "app",
      nameservers: [dns],
      name_timeout: 0
    ]

    Mesh.start!(a, Keyword.merge(options, opts))
  end

  defp lists(a, ips),
    do: TestNode.call(a, ScriptedDNS, :put, [:dns, {"app.internal", :a}, ips])

  defp ip!(a, line), do: {_, 0} = TestNode.call(a, System, :cmd, ["ip", String.split(line)])

  defp node_of(a), do: TestNode.call(a, Node, :self, [])

  test "an address that comes after the start is the name's, not the only one while DNS fails",
       %{a: a} do
    start(a, [])
    Mesh.await_rounds(a, 3)
    assert node_of(a) == :nonode@nohost
    assert Mesh.status(a).naming =~ "no name server has answered yet"
    assert {:error, :unanswered} = TestNode.call(a, DNSMesh, :node_name, [])

    ip!(a, "addr add 10.0.1.6/24 dev w0")
    Mesh.await_rounds(a, 2)
    assert node_of(a) == :nonode@nohost

    lists(a, ["10.0.1.6", "10.0.1.7"])
    assert {:info, line} = TestNode.await_log(a, ~r/this node is/)
    assert line =~ "app@10.0.1.6 now (its address on w0 is in the DNS answer"
  end

  test "an answer that there is nobody is one: the only address is taken at once", %{a: a} do
    lists(a, :nxdomain)
    start(a, name_timeout: 60_000)
    assert node_of(a) == :"app@172.17.0.5"
  end

  test "the platform's word needs no answer", %{a: a} do
    :ok = TestNode.call(a, System, :put_env, ["POD_IP", "172.17.0.5"])
    start(a, name_timeout: 60_000)
    assert node_of(a) == :"app@172.17.0.5"
  end

  test "without any answer the only address is taken in the end, before start_link/1 returns",
       %{a: a} do
    started = System.monotonic_time(:millisecond)
    # No poll comes between 2 s and a minute.
    start(a, name_timeout: 3_000, interval: 60_000)
    assert node_of(a) == :"app@172.17.0.5"
    assert System.monotonic_time(:millisecond) - started >= 2_400
    refute Enum.any?(TestNode.logs(a), &(elem(&1, 1) =~ "no name yet"))

    # The right one comes after all, and a peer with it.
    ip!(a, "addr add 10.0.1.6/24 dev w0")
    lists(a, ["10.0.1.6", "10.0.1.7"])
    # A round begins with a look at what the last one has heard.
    for _ <- 1..2, do: Mesh.poll!(a)

    unfit(
      a,
      "the answers list 10.0.1.6, another address",
      "restart this node, and it takes 10.0.1.6"
    )

    lists(a, ["172.17.0.5", "10.0.1.7"])
    for _ <- 1..2, do: Mesh.poll!(a)
    fits(a)
  end

  test "the address in its name goes and comes back: status, log and doctor say so", %{a: a} do
    lists(a, ["172.17.0.5"])
    start(a, [])
    assert {:info, _} = TestNode.await_log(a, ~r/this node is app@172.17.0.5/)
    Mesh.await_rounds(a, 2)
    fits(a)

    # `docker network disconnect` and `connect`.
    ip!(a, "addr del 172.17.0.5/16 dev v0")
    unfit(a, "172.17.0.5 is on no interface of this machine any more", "restart it")
    ip!(a, "addr add 172.17.0.6/16 dev v0")
    lists(a, ["172.17.0.6"])
    Mesh.await_rounds(a, 2)
    unfit(a, "172.17.0.5 is on no interface of this machine any more", "restart it")
    ip!(a, "addr add 172.17.0.5/16 dev v0")
    assert {:info, _} = TestNode.await_log(a, ~r/fits this host again/)
  end

  # An epmd of another application, that was told where to listen.
  @tag first: """
       epmd -port 4399 -address 127.0.0.1 </dev/null >/dev/null 2>&1 &
       export EPMD_PID=$!
       until epmd -port 4399 -names >/dev/null 2>&1; do sleep 0.05; done
       """
  @tag named: [name: "app@172.17.0.5", epmd: {:port, 4399}]
  test "a node that booted with its name beside an epmd that listens elsewhere says so", %{a: a} do
    pid = TestNode.call(a, System, :get_env, ["EPMD_PID"])
    on_exit(fn -> OSProcess.signal(pid, "KILL") end)
    lists(a, ["172.17.0.5"])
    start(a, basename: nil)
    assert {:warning, line} = TestNode.await_log(a, ~r/no longer fits this host/)
    assert line =~ "the epmd of this machine does not answer at 172.17.0.5"
    assert TestNode.call(a, DNSMesh, :doctor, [DNSMesh, [print: false]]).verdict == :name_unfit
  end

  defp unfit(a, why, fix) do
    assert {:warning, line} = TestNode.await_log(a, ~r/no longer fits this host/)
    assert line =~ why
    assert line =~ fix
    assert Mesh.status(a).naming =~ "no longer fits this host: " <> why
    diagnosis = TestNode.call(a, DNSMesh, :doctor, [DNSMesh, [print: false]])
    assert diagnosis.verdict == :name_unfit
    assert diagnosis.sentence =~ why
    assert diagnosis.fix =~ "restart this node"
  end

  defp fits(a) do
    refute Mesh.status(a).naming =~ "fits"
    diagnosis = TestNode.call(a, DNSMesh, :doctor, [DNSMesh, [print: false]])
    assert diagnosis.verdict != :name_unfit
  end
end

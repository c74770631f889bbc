defmodule DNSMesh.OwnNameInANetworkTest do
  # A VM in a network of its own, whose addresses come and go.
  use ExUnit.Case, async: true

  alias DNSMesh.Test.{Mesh, ScriptedDNS, TestNode}

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
  exec "$0" "$@"
  """

  setup do
    within = ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", @setting]
    a = TestNode.start!(within: within, epmd: {:fixed, 9100}, label: :a)
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
  end
end

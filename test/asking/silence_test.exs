defmodule DNSMesh.Asking.SilenceTest do
  # Two hundred names in one answer, of which nearly all lead into silence. Real VMs; the silent ones are epmds that take a
  # connection and say nothing.
  use ExUnit.Case, async: true

  alias DNSMesh.Test.{Await, Epmd, HungPeer, Mesh, ScriptedDNS, TestNode}

  @silent for n <- 1..190, do: "127.0.1.#{n}"
  @dead for n <- 1..9, do: "127.0.2.#{n}"

  # As many as are probed at once, and a few that the VM opens and closes all the time.
  @at_once 16
  @some 8

  test "190 silent ones of 200 cost bounded time, no process, no descriptor, no atom, and the poller nothing" do
    epmd = Epmd.start!(addresses: ["127.0.0.2", "127.0.0.3"])
    hung = start_supervised!({HungPeer, ip: @silent, port: epmd.port})
    dns = start_supervised!({ScriptedDNS, zone: %{{"app.test", :a} => [hd(@dead)]}})
    [a, b] = for name <- ["a@127.0.0.2", "b@127.0.0.3"], do: node!(name, epmd)
    for node <- [a, b], do: mesh!(node, dns)

    # What is loaded and opened once is there now.
    Await.await(fn -> match?(%{state: :waiting}, Mesh.peer(a, "b@#{hd(@dead)}")) end)
    _ = timed_status(a)
    before = counts(a)

    all = @silent ++ @dead ++ ["127.0.0.3"]
    ScriptedDNS.put(dns, {"app.test", :a}, all)
    started = now()
    watched = Task.async(fn -> watch(a, b, []) end)
    assert TestNode.await_exactly(a, [b], 20_000)
    assert now() - started <= 10_000

    {descriptors, spent} = watched |> Task.await(30_000) |> Enum.unzip()
    assert length(spent) > 20
    assert Enum.max(descriptors) <= before.descriptors + @at_once + @some
    assert spent |> Enum.sort() |> Enum.at(div(length(spent), 2)) < 50_000
    assert HungPeer.accepted(hung) >= @at_once

    # Once more, now with a member to ask; nobody of them is ever dialled.
    Mesh.await_rounds(a, 5)
    assert Mesh.joins(a) == [{"b@127.0.0.3", true}]
    peers = Mesh.status(a).peers
    assert length(peers) == length(all)
    silent = Enum.count(peers, &match?(%{state: :waiting, reason: {:silent, _}}, &1))
    assert silent in 150..190
    assert TestNode.nodes(a) == [b.name]

    for ip <- @silent ++ @dead,
        do: refute(atom?(a, "b@#{ip}"), "b@#{ip} has become an atom")

    # One link more than before, and its processes; between two rounds of probes.
    Await.await(fn ->
      now = counts(a)
      now.processes <= before.processes + @some and now.descriptors <= before.descriptors + @some
    end)
  end

  defp node!(name, epmd), do: TestNode.start!(name: name, epmd: {:port, epmd.port})

  defp mesh!(node, dns),
    do: Mesh.start!(node, query: "b@app.test", nameservers: [ScriptedDNS.address(dns)])

  # Until they are linked: how many descriptors are open, and how long a status takes in the node, in microseconds.
  defp watch(a, b, seen) do
    seen = [{descriptors(a), timed_status(a)} | seen]

    if TestNode.nodes(a) == [b.name] do
      seen
    else
      Process.sleep(20)
      watch(a, b, seen)
    end
  end

  defp timed_status(node) do
    {us, status} = TestNode.call(node, :timer, :tc, [DNSMesh, :status, [DNSMesh]])
    assert status.state == :running
    us
  end

  defp counts(node) do
    %{
      descriptors: descriptors(node),
      processes: TestNode.call(node, :erlang, :system_info, [:process_count])
    }
  end

  defp descriptors(node), do: length(File.ls!("/proc/#{node.os_pid}/fd"))

  defp atom?(node, text) do
    is_atom(TestNode.call(node, :erlang, :binary_to_existing_atom, [text]))
  catch
    :error, :badarg -> false
  end

  defp now, do: System.monotonic_time(:millisecond)
end

defmodule DNSMesh.Asking.HealTest do
  # A peer that crashed and is back on its address, without DNSMesh in it: nobody but this node can dial.
  use ExUnit.Case, async: true

  alias DNSMesh.Test.{Await, Epmd, Mesh, Ports, ScriptedDNS, TestNode}

  @b {127, 0, 0, 3}
  @name "app@127.0.0.3"

  test "a peer at a fixed port is linked again within a second of its listening, five times in a row" do
    port = Ports.free_port()
    heal(&TestNode.start!(name: &1, epmd: {:fixed, port}), fn -> open?(@b, port) end)
  end

  test "a peer that epmd knows is linked again within a second of its being registered" do
    # The link is over before epmd has noticed, and another port tells of another life.
    epmd = Epmd.start!(addresses: ["127.0.0.2", "127.0.0.3"])
    registered? = fn -> List.keymember?(Epmd.names(epmd), "app", 0) end

    name = fn
      @name -> @name
      _ -> "other@127.0.0.2"
    end

    heal(&TestNode.start!(name: name.(&1), epmd: {:port, epmd.port}), registered?)
  end

  # With an interval that is longer than the test: no poll helps.
  defp heal(start, there?) do
    dns = start_supervised!({ScriptedDNS, zone: %{{"app.test", :a} => [@b]}})
    a = start.("app@127.0.0.2")
    b = start.(@name)
    servers = [ScriptedDNS.address(dns)]
    Mesh.start!(a, query: "app@app.test", nameservers: servers, interval: 60_000)
    assert TestNode.await_exactly(a, [b])

    Enum.reduce(1..5, b, fn _, b ->
      TestNode.kill(b)
      Await.await(fn -> match?(%{reason: {:dead, _why}}, Mesh.peer(a, @name)) end)
      there = Task.async(fn -> await(there?) end)
      linked = Task.async(fn -> TestNode.await_nodes(a, [b], 20_000) && now() end)
      b = start.(@name)
      there = Task.await(there)
      assert is_integer(linked = Task.await(linked, 25_000))
      assert linked - there <= 1_000
      b
    end)
  end

  defp await(condition) do
    Await.await(condition, 10_000)
    now()
  end

  defp open?(ip, port) do
    case :gen_tcp.connect(ip, port, [active: false], 1_000) do
      {:ok, socket} -> :gen_tcp.close(socket) == :ok
      {:error, _nobody} -> false
    end
  end

  defp now, do: System.monotonic_time(:millisecond)
end

# How long DNSMesh.status/1 takes to answer while DNS sends as much rubbish as it can, or peers are silent. Nothing leaves
# loopback.
Code.require_file("support.exs", __DIR__)

defmodule DNSMesh.Bench.StatusUnderFire do
  alias DNSMesh.Bench.{HostileDNS, OtherVM, StatusCalls, Table}
  alias DNSMesh.Test.{Ports, ScriptedDNS, SilentPort}

  @support for file <- ~w(samples addresses linked_world status_calls),
               do: Path.expand("support/#{file}.ex", __DIR__)

  # The shortest interval there is.
  @interval 100
  @settle 3_000
  @duration 15_000

  @silent 190
  @dead 10

  def run do
    Table.header()

    row("status/1, 1 024 dead peers held", query: "many.internal", nameservers: [many()])

    port = Ports.free_port()

    row(
      "status/1, #{@silent} of #{@silent + @dead} peers silent",
      [query: "silent.internal", nameservers: [silent(port)]],
      port
    )

    row("status/1, #{HostileDNS.addresses()} strangers each #{@interval} ms",
      query: HostileDNS.name(),
      nameservers: [text(HostileDNS.start!())]
    )

    row("status/1, the same, and 1 000 peers connected",
      query: ["app", "hostile"],
      resource_types: [:a],
      resolver: DNSMesh.Bench.LinkedWorld
    )
  end

  defp row(what, opts, port \\ Ports.free_port()) do
    opts = [name: :bench, interval: @interval] ++ opts
    vm = OtherVM.start!(@support, node_args(port))
    result = OtherVM.call(vm, StatusCalls, :take, [opts, @settle, @duration])
    OtherVM.stop(vm)

    Table.row(
      what: what,
      measured: Table.spread(result.status, [:max]),
      beside: "idle Agent #{Table.spread(result.plain, [:max])}",
      goal: {"< 5 ms", Enum.max(result.status) < 5_000}
    )

    Table.row(what: "  #{peers(result.peers)}; #{length(result.status)} calls")
  end

  defp peers(counts), do: Enum.map_join(counts, ", ", fn {state, n} -> "#{n} #{state}" end)

  defp many do
    ips = for n <- 1..1_024, do: {127, 1, div(n, 250), rem(n, 250) + 1}
    {:ok, dns} = ScriptedDNS.start_link(zone: %{{"many.internal", :a} => ips})
    ScriptedDNS.address(dns)
  end

  # Ports that neither take a connection nor refuse it, at the silent ones' addresses; the probe of each takes 1.5 s.
  defp silent(port) do
    silent = for n <- 1..@silent, do: {127, 2, 0, n}
    dead = for n <- 1..@dead, do: {127, 2, 1, n}

    silent
    |> Task.async_stream(&open_silent!(&1, port), max_concurrency: @silent)
    |> Stream.run()

    {:ok, dns} = ScriptedDNS.start_link(zone: %{{"silent.internal", :a} => silent ++ dead})
    ScriptedDNS.address(dns)
  end

  defp open_silent!(ip, port) do
    # Not linked: the task ends before it.
    {:ok, _pid} = GenServer.start(SilentPort, ip: to_string(:inet.ntoa(ip)), port: port)
  end

  # A node that lives on loopback, finds nobody at its peers' port, and needs no epmd.
  defp node_args(port) do
    ~w(-name bench@127.0.0.1 -setcookie bench -start_epmd false -erl_epmd_port #{port}
       -kernel inet_dist_use_interface {127,0,0,1})
  end

  defp text({ip, port}), do: "#{:inet.ntoa(ip)}:#{port}"
end

DNSMesh.Bench.StatusUnderFire.run()

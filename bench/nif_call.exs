# What a call into the native library costs the scheduler it runs on: the call alone, not the answer.
Code.require_file("support.exs", __DIR__)

defmodule DNSMesh.Bench.NifCall do
  alias DNSMesh.Bench.{Lookups, Samples, Table}
  alias DNSMesh.{Native, Resolver}
  alias DNSMesh.Test.ScriptedDNS

  @name "app.internal."

  def run do
    {:ok, dns} = ScriptedDNS.start_link(zone: %{{"app.internal", :a} => ["10.0.0.1"]})
    {handle, _settings} = resolver = Resolver.open([ScriptedDNS.nameserver(dns)])
    Lookups.native(resolver, "app.internal")

    Table.header()
    spaced(handle)
    burst(handle)
    others()
  end

  # The library's thread sleeps by then, and the call has to wake it. Where all cores are busy, the kernel lets the woken
  # thread run first, on the core of the scheduler that woke it: then its work, a socket and a packet, is in the figure.
  # An IP literal is woken for alike, and has no such work.
  defp spaced(handle) do
    judged("NIF call, 2 ms after the last answer", for(_ <- 1..1_000, do: lookup(handle, 2)))
    judged("NIF call, at once after the last answer", for(_ <- 1..1_000, do: lookup(handle, 0)))

    Table.row(
      what: "  the same 2 ms after, for an IP literal",
      measured: Table.spread(for(_ <- 1..1_000, do: lookup(handle, 2, "127.0.0.1")), [:max])
    )
  end

  defp burst(handle) do
    samples =
      Enum.flat_map(1..50, fn _ ->
        samples = for _ <- 1..100, do: time_call(handle)
        for {_us, ref} <- samples, do: Lookups.await(ref)
        Enum.map(samples, &elem(&1, 0))
      end)

    judged("NIF call, 100 in a row", samples)
  end

  defp lookup(handle, pause, name \\ @name) do
    if pause > 0, do: Process.sleep(pause)
    {us, ref} = time_call(handle, name)
    Lookups.await(ref)
    us
  end

  defp time_call(handle, name \\ @name) do
    ref = make_ref()
    {Samples.time(fn -> Native.lookup(handle, ref, :a, [:inet], [], name, 5_000) end), ref}
  end

  defp judged(what, samples) do
    reached? = Samples.median(samples) <= 15 and Samples.percentile(samples, 99) <= 100

    Table.row(
      what: what,
      measured: Table.spread(samples, [:max]),
      goal: {"median ≤ 15 µs, p99 ≤ 100 µs", reached?}
    )
  end

  # All that a poll calls besides, and the clock itself.
  defp others do
    calls = [
      {"  reading the clock", fn -> :ok end},
      {"  check_name", fn -> Native.check_name(@name) end},
      {"  resolver_open", fn -> Resolver.open([{{127, 0, 0, 1}, 53}]) end},
      {"  interfaces, once a poll", fn -> Native.interfaces() end},
      {"", fn -> :inet.getifaddrs() end}
    ]

    samples = Samples.interleave(1_000, 100, Enum.map(calls, &elem(&1, 1)))
    {ours, [getifaddrs]} = Enum.split(samples, -1)

    for {{what, _call}, samples} <- Enum.zip(calls, ours) do
      beside =
        if what =~ "interfaces",
          do: [
            beside: ":inet.getifaddrs #{Table.time(Samples.median(getifaddrs))}",
            ratio: Samples.ratio(getifaddrs, samples)
          ],
          else: []

      Table.row([what: what, measured: Table.spread(samples, [:max])] ++ beside)
    end
  end
end

DNSMesh.Bench.NifCall.run()

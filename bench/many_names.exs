# Three names, two record types each, at a name server that takes 5 ms: all six at once, as a poll asks them, against
# one lookup; and one after the other with :inet_res, as dns_cluster asks them.
Code.require_file("support.exs", __DIR__)

defmodule DNSMesh.Bench.ManyNames do
  alias DNSMesh.Bench.{Lookups, Samples, Table}
  alias DNSMesh.Resolver
  alias DNSMesh.Test.ScriptedDNS

  @delay 5
  @names ~w(web.internal worker.internal cron.internal)
  @records %{a: ["10.0.0.1", "10.0.0.2"], aaaa: ["fd00::1", "fd00::2"]}
  @rounds 200
  @warm_up 20

  def run do
    zone =
      for name <- @names, {type, records} <- @records, into: %{} do
        {{name, type}, {:delay, @delay, records}}
      end

    {:ok, dns} = ScriptedDNS.start_link(zone: zone)
    nameserver = ScriptedDNS.nameserver(dns)
    handle = Resolver.open([nameserver])
    questions = for name <- @names, type <- [:a, :aaaa], do: {name, type}

    [one, six, sequential] =
      Samples.interleave(@rounds, @warm_up, [
        fn -> Lookups.native(handle, hd(@names)) end,
        fn -> together(handle, questions) end,
        fn -> in_turn([nameserver], questions) end
      ])

    {ratio, _, _} = ratios = Samples.ratio(six, one)
    Table.header()

    Table.row(
      what: "3 names × 2 types, server takes #{@delay} ms",
      measured: Table.spread(six),
      beside: "one lookup #{Table.time(Samples.median(one))}",
      ratio: ratios,
      goal: {"≤ 1.6", ratio <= 1.6}
    )

    Table.row(
      what: "  the same",
      measured: Table.time(Samples.median(six)),
      beside: ":inet_res in turn #{Table.time(Samples.median(sequential))}",
      ratio: Samples.ratio(sequential, six)
    )
  end

  defp together(handle, questions) do
    refs = for {name, type} <- questions, do: Lookups.ask(handle, name, type)
    for ref <- refs, do: [_, _] = Lookups.await(ref)
  end

  defp in_turn(nameservers, questions) do
    for {name, type} <- questions, do: [_, _] = Lookups.inet_res(nameservers, name, type)
  end
end

DNSMesh.Bench.ManyNames.run()

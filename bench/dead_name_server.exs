# The first name server swallows every question, the second answers: how long until there is an answer.
Code.require_file("support.exs", __DIR__)

defmodule DNSMesh.Bench.DeadNameServer do
  alias DNSMesh.Bench.{Lookups, Samples, Table}
  alias DNSMesh.Resolver
  alias DNSMesh.Test.ScriptedDNS

  @name "app.internal"
  @rounds 10

  def run do
    {:ok, hole} = ScriptedDNS.start_link(default: :silent)
    {:ok, alive} = ScriptedDNS.start_link(zone: %{{@name, :a} => ["10.0.0.1"]})
    hole = ScriptedDNS.nameserver(hole)
    alive = ScriptedDNS.nameserver(alive)

    Table.header()
    compare("first name server is a black hole", [hole, alive], 350)
    compare("first two name servers are black holes", [hole, hole, alive], nil)
  end

  defp compare(what, nameservers, goal) do
    handle = Resolver.open(nameservers)

    [ours, theirs] =
      Samples.interleave(@rounds, 1, [
        fn -> [_] = Lookups.native(handle, @name) end,
        fn -> [_] = Lookups.inet_res(nameservers, @name) end
      ])

    Table.row(
      [
        what: what,
        measured: "#{Table.time(Samples.median(ours))}, max #{Table.time(Enum.max(ours))}",
        beside: ":inet_res #{Table.time(Samples.median(theirs))}",
        ratio: Samples.ratio(theirs, ours)
      ] ++ if(goal, do: [goal: {"≤ #{goal} ms", Enum.max(ours) <= goal * 1_000}], else: [])
    )
  end
end

DNSMesh.Bench.DeadNameServer.run()

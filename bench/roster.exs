# What the Poller's pure part takes for one event. While it computes, DNSMesh.status/1 waits.
Code.require_file("support.exs", __DIR__)

defmodule DNSMesh.Bench.RosterEvents do
  alias DNSMesh.Bench.{Addresses, Samples, Table}
  alias DNSMesh.{Answer, Candidates, Config, Distribution, NodeName, Query, Roster}

  @rounds 200
  @own {10, 255, 0, 1}

  def run do
    peers = for n <- 1..1_000, do: {10, 0, div(n, 250), rem(n, 250) + 1}
    steady = roster(peers, 1_000)
    full = roster(for(n <- 1..1_024, do: {10, 1, div(n, 250), rem(n, 250) + 1}), 0)
    stranger = strangers(11)
    refused = strangers(127)

    Table.header()
    row("round, 1 000 peers connected", steady, fn -> {:round, world(1_000)} end)
    row("answer, the same 1 000 addresses", steady, fn -> answer(peers) end)
    row("answer, 4 096 strangers, roster empty", roster([], 0), fn -> answer(stranger.()) end)
    row("answer, 4 096 strangers, roster full", full, fn -> answer(stranger.()) end)
    row("answer, 4 096 of them not allowed", full, fn -> answer(refused.()) end)
    row("round, 1 024 peers wait to be dialled", full, fn -> {:round, world(0)} end)
    row("join refused, 1 024 peers held", full, fn -> {:joined, joining(full), false} end)
    row("look for the next to dial, 1 024 peers held", idle(full), fn -> :fill end)
  end

  # Outside of every heap: the collector must not walk through answers to come.
  defp strangers(network) do
    answers = List.to_tuple(for _ <- 1..50, do: Addresses.random(4_096, network))
    :persistent_term.put({__MODULE__, network}, answers)

    fn ->
      answers = :persistent_term.get({__MODULE__, network})
      elem(answers, :rand.uniform(tuple_size(answers)) - 1)
    end
  end

  defp row(what, roster, event) do
    # In a process of its own, which holds no more than the Poller does.
    samples =
      Task.async(fn ->
        for _ <- 1..@rounds do
          event = event.()
          Samples.time(fn -> handle(roster, event, 1_000) end)
        end
      end)
      |> Task.await(:infinity)

    Table.row(
      what: "roster: " <> what,
      measured: Table.spread(samples, [:max]),
      goal: {"< 5 ms", Samples.percentile(samples, 99) < 5_000}
    )
  end

  defp roster(ips, connected) do
    config = Config.new!([query: "app.internal"], nil)
    roster = Roster.new(config, 1)
    {roster, _} = Roster.handle(roster, {:round, world(connected)}, 0)
    {roster, _} = handle(roster, answer(ips), 0)
    roster
  end

  # An answer becomes names first, in the Poller too.
  defp handle(roster, {:answer, ips}, now) do
    [query] = Query.parse!("app.internal")
    answer = %Answer{records: ips, ttl: 5, name: "app.internal", server: "10.0.0.53:53"}
    own = NodeName.build("app", @own)
    me = %{by: :address, node: own, host: "10.255.0.1", basename: "app"}
    Roster.handle(roster, {:answer, :key, Candidates.of(query, answer, me)}, now)
  end

  defp handle(roster, event, now), do: Roster.handle(roster, event, now)

  # Nothing under way: the worst case for whoever looks for the next to dial.
  defp idle(roster), do: %{roster | joining: %{}}

  defp joining(roster), do: roster.joining |> Map.keys() |> Enum.random()

  defp answer(ips), do: {:answer, ips}

  defp world(connected) do
    names =
      for n <- 1..connected//1, do: NodeName.build("app", {10, 0, div(n, 250), rem(n, 250) + 1})

    %{
      distribution: %Distribution{
        alive?: true,
        node: NodeName.build("app", @own),
        basename: "app",
        host: "10.255.0.1",
        address: @own,
        names: :long,
        family: :inet,
        tls?: false,
        epmd?: true
      },
      own_addresses: [@own, {127, 0, 0, 1}],
      connected: names
    }
  end
end

DNSMesh.Bench.RosterEvents.run()

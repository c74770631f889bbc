# One lookup from call to list of addresses, for short answers and for one that needs TCP, against :inet_res.
Code.require_file("support.exs", __DIR__)

defmodule DNSMesh.Bench.AnswerSize do
  alias DNSMesh.Bench.{Lookups, Samples, Servers, Table}
  alias DNSMesh.Resolver

  @sizes [1, 10, 100]
  @rounds 300
  @warm_up 30

  def run do
    zone = for size <- @sizes, into: %{}, do: {"n#{size}.internal", addresses(size)}
    Table.header()

    for {server, nameserver} <- [
          {"dnsmasq", Servers.dnsmasq(zone)},
          {"a server that costs nothing", Servers.scripted(zone)}
        ],
        size <- @sizes,
        do: compare(server, nameserver, size, Enum.sort(zone["n#{size}.internal"]))
  end

  defp addresses(count), do: for(n <- 1..count, do: {10, 0, div(n, 250), rem(n, 250) + 1})

  defp compare(server, nameserver, size, expected) do
    handle = Resolver.open([nameserver])
    name = "n#{size}.internal"
    native = fn -> Lookups.native(handle, name) end
    inet_res = fn -> Lookups.inet_res([nameserver], name) end

    # A fast wrong answer is no figure.
    for way <- [native, inet_res], do: ^expected = Enum.sort(way.())

    [ours, theirs] = Samples.interleave(@rounds, @warm_up, [native, inet_res])
    {ratio, _, _} = ratios = Samples.ratio(theirs, ours)

    Table.row(
      [
        what: "#{size} A record#{if size > 1, do: "s"}, #{server}",
        measured: Table.spread(ours),
        beside: ":inet_res #{Table.time(Samples.median(theirs))}",
        ratio: ratios
      ] ++ if(size == 100, do: [goal: {"≥ 1.5", ratio >= 1.5}], else: [])
    )
  end
end

DNSMesh.Bench.AnswerSize.run()

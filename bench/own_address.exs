# What it costs to look at this machine's own addresses, and to choose among them, where there are many: a host with IPVS
# has one for each service. With real addresses, in network namespaces of its own; needs root.
Code.require_file("support.exs", __DIR__)

defmodule DNSMesh.Bench.OwnAddress do
  alias DNSMesh.Bench.{Samples, Table}
  alias DNSMesh.Native

  @counts [5, 105, 505, 3_005]

  # In the namespace: prints no table, but terms for the VM outside.
  def run(["inside"]) do
    peers = for n <- 1..100, do: {10, 50, 0, n}
    request = %{option: nil, family: :inet, answers: [], hints: []}

    samples =
      Samples.interleave(100, 5, [
        fn -> {:ok, _} = Native.interfaces() end,
        fn -> Native.own_address(request) end,
        fn -> {:ok, _} = Native.own_address(%{request | answers: [peers]}) end,
        fn -> {:ok, _} = :inet.getifaddrs() end
      ])

    IO.puts(samples |> :erlang.term_to_binary() |> Base.encode64())
  end

  def run([]) do
    Table.header()
    if root?(), do: Enum.each(@counts, &measure/1), else: Table.row(what: "skipped: needs root")
  end

  defp root?, do: System.cmd("id", ["-u"]) == {"0\n", 0}

  defp measure(count) do
    [interfaces, choose, in_answer, getifaddrs] = inside(count)

    Table.row(
      what: "#{count} addresses: interfaces, once a poll",
      measured: Table.spread(interfaces, [:max]),
      beside: ":inet.getifaddrs #{Table.time(Samples.median(getifaddrs))}",
      ratio: Samples.ratio(getifaddrs, interfaces)
    )

    Table.row(what: "  own_address, no answer", measured: Table.spread(choose, [:max]))
    Table.row(what: "  own_address, 100 in DNS", measured: Table.spread(in_answer, [:max]))
  end

  # /sys goes on showing the interfaces of the namespace it was mounted in.
  defp inside(count) do
    script = """
    set -e
    mount -t sysfs none /sys
    ip link set lo up
    ip link add v0 type veth peer name v1
    ip link set v0 up
    ip link set v1 up
    ip -batch -
    exec "$@"
    """

    # Loopback is one, and IPv6's beside the two of the link.
    batch = batch(count - 5)
    paths = Enum.flat_map(:code.get_path(), &["-pa", List.to_string(&1)])
    again = ["elixir"] ++ paths ++ [__ENV__.file, "inside"]
    command = ["-c", script, "sh"] ++ again
    unshare = ["--net", "--mount", "--propagation", "private", "sh"] ++ command
    output = with_input("unshare", unshare, batch)

    output
    |> String.split("\n", trim: true)
    |> List.last()
    |> Base.decode64!()
    |> :erlang.binary_to_term()
  end

  defp batch(services) do
    own = "addr add 10.50.0.7/16 dev v0\n"

    [
      own
      | for(
          n <- 1..services//1,
          do: "addr add 10.96.#{div(n, 250)}.#{rem(n, 250) + 1}/32 dev v0\n"
        )
    ]
  end

  defp with_input(program, arguments, input) do
    path = Path.join(System.tmp_dir!(), "dns_mesh_bench_#{System.pid()}")
    File.write!(path, input)
    {output, 0} = System.cmd("sh", ["-c", "exec \"$@\" < #{path}", "sh", program | arguments])
    File.rm!(path)
    output
  end
end

DNSMesh.Bench.OwnAddress.run(System.argv())

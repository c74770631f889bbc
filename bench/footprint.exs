# How big the library is, and what loading it and asking once adds to a VM: memory and threads, in fresh VMs.
Code.require_file("support.exs", __DIR__)

defmodule DNSMesh.Bench.Size do
  alias DNSMesh.Bench.{Footprint, Lookups, OtherVM, Samples, Table}
  alias DNSMesh.Test.ScriptedDNS

  @name "app.internal"
  @vms 9
  @support for file <- ~w(footprint lookups), do: Path.expand("support/#{file}.ex", __DIR__)

  def run do
    Table.header()
    size = File.stat!(Application.app_dir(:dns_mesh, "priv/native/libdns_mesh_nif.so")).size

    Table.row(
      what: "library",
      measured: megabytes(size),
      goal: {"≤ 2.0 MB", size <= 2_000_000}
    )

    {:ok, dns} = ScriptedDNS.start_link(zone: %{{@name, :a} => ["10.0.0.1"]})
    nameserver = ScriptedDNS.nameserver(dns)
    native = for _ <- 1..@vms, do: in_new_vm(&native(&1, nameserver))
    inet_res = for _ <- 1..@vms, do: in_new_vm(&inet_res(&1, nameserver))
    added = middle(native, :rss)

    Table.row(
      what: "memory added by loading it",
      measured: megabytes(middle(native, :rss_loaded))
    )

    Table.row(
      what: "memory added, with its first lookup",
      measured: "#{megabytes(added)}, max #{megabytes(highest(native, :rss))}",
      beside: ":inet_res #{megabytes(middle(inet_res, :rss))}",
      goal: {"≤ 3 MB", added <= 3_000_000}
    )

    Table.row(
      what: "threads added, with its first lookup",
      measured: "#{middle(native, :threads)}",
      beside: ":inet_res #{middle(inet_res, :threads)}"
    )
  end

  defp in_new_vm(measure) do
    vm = OtherVM.start!(@support)

    # Everything but what is measured is there before: the code that measures, and the code around the library.
    for module <- [DNSMesh.Resolver, DNSMesh.Answer],
        do: {:module, _} = OtherVM.call(vm, Code, :ensure_loaded, [module])

    OtherVM.call(vm, Footprint, :now, [])
    result = measure.(vm)
    OtherVM.stop(vm)
    result
  end

  defp native(vm, nameserver) do
    before = OtherVM.call(vm, Footprint, :now, [])
    {:module, _} = OtherVM.call(vm, Code, :ensure_loaded, [DNSMesh.Native])
    loaded = OtherVM.call(vm, Footprint, :now, [])
    [_] = OtherVM.call(vm, Lookups, :native_once, [nameserver, @name])
    Map.put(added(vm, before), :rss_loaded, 1_024 * (loaded.rss - before.rss))
  end

  defp inet_res(vm, nameserver) do
    before = OtherVM.call(vm, Footprint, :now, [])
    [_] = OtherVM.call(vm, Lookups, :inet_res, [[nameserver], @name])
    added(vm, before)
  end

  defp added(vm, before) do
    now = OtherVM.call(vm, Footprint, :now, [])
    %{rss: 1_024 * (now.rss - before.rss), threads: now.threads - before.threads}
  end

  defp middle(results, key), do: results |> Enum.map(& &1[key]) |> Samples.median()
  defp highest(results, key), do: results |> Enum.map(& &1[key]) |> Enum.max()

  defp megabytes(bytes), do: "#{Table.decimal(bytes / 1_000_000)} MB"
end

DNSMesh.Bench.Size.run()

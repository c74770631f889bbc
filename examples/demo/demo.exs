# The demo's main program. bin/demo has checked the arguments and compiled DNSMesh, which only the nodes load: this VM
# is the world around them, with the DNS server, the OS processes and the eyes.

for file <- ~w(scripted_dns.ex ports.ex),
    do: Code.require_file("../../test/support/#{file}", __DIR__)

for file <- ~w(folder http_ports name_server cluster eyes table live once),
    do: Code.require_file("#{file}.exs", __DIR__)

defmodule Demo do
  alias Demo.{Cluster, Folder, HTTPPorts, Live, NameServer, Once}

  def main([mode, port, output, ebin]) do
    port = String.to_integer(port)
    count = if mode == "once", do: Once.nodes(), else: Live.nodes()

    case HTTPPorts.check(port, count) do
      :ok -> run(mode, port, output, Path.expand(ebin))
      {:error, sentence} -> refuse(mode, sentence)
    end
  catch
    # The nodes and the folder's watcher see this VM end, and end too.
    kind, reason ->
      IO.puts(:stderr, Exception.format(kind, reason, __STACKTRACE__))
      refuse(mode, "a fault of the demo itself: #{inspect(reason)}")
  end

  defp run(mode, port, output, ebin) do
    folder = Folder.open()
    # As Ctrl-C: ends this VM at once. The nodes and the folder's watcher see that, and end too.
    :os.set_signal(:sigterm, :default)
    # The end of a process we started shows where we call it.
    Process.flag(:trap_exit, true)
    {:ok, _} = Application.ensure_all_started(:inets)
    {:ok, _} = NameServer.start_link()
    {:ok, _} = Cluster.start_link(folder: folder, http_port: port, ebin: ebin)

    quit(if mode == "once", do: Once.run(), else: Live.run(output == "terminal"))
  end

  defp quit(code) do
    folder = Cluster.stop()
    Folder.remove(folder)
    System.halt(code)
  end

  defp refuse("once", sentence) do
    IO.puts("FAILED demo: #{sentence}")
    System.halt(1)
  end

  defp refuse("live", sentence) do
    IO.puts(:stderr, "bin/demo: #{sentence}")
    System.halt(1)
  end
end

Demo.main(System.argv())

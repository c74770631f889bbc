# One node: an application that uses DNSMesh as any other would, in a VM of its own. DNS_CLUSTER_QUERY says what to ask.

for file <- ~w(who/web who/mesh who),
    do: Code.require_file("../support/who/lib/#{file}.ex", __DIR__)

for file <- ~w(report web), do: Code.require_file("#{file}.exs", __DIR__)

defmodule Demo.Node do
  def start do
    children = [
      # An application needs neither option: they point at the demo's name server, and make it quicker to watch.
      {DNSMesh, nameservers: [System.fetch_env!("DEMO_NAME_SERVER")], interval: 1_000},
      {Demo.Web,
       port: String.to_integer(System.fetch_env!("DEMO_HTTP_PORT")),
       folder: System.fetch_env!("DEMO_FOLDER")}
    ]

    {:ok, _} = Supervisor.start_link(children, strategy: :one_for_one)
  end

  # The demo holds the other end of our input. A line is its word to quit; the end of input says that it is gone.
  def wait do
    IO.gets("")
    System.halt(0)
  end
end

Demo.Node.start()
Demo.Node.wait()

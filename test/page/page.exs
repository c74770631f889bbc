# The demo's page, in a browser: three nodes of a cluster are drawn, one is killed, DNS fails; what is looked at is the
# DOM of one page that stays open all the while. Called by the check beside it with the browser, a folder to work in, one for
# the pictures, and the ebin of DNSMesh, which only the nodes load.

for file <- ~w(scripted_dns.ex ports.ex),
    do: Code.require_file("../support/#{file}", __DIR__)

for file <- ~w(folder name_server cluster eyes),
    do: Code.require_file("../../examples/demo/#{file}.exs", __DIR__)

Code.require_file("../../lib/dns_mesh/json.ex", __DIR__)
Code.require_file("browser.exs", __DIR__)

defmodule Page do
  alias Demo.{Cluster, Eyes, NameServer}
  alias DNSMesh.JSON
  alias DNSMesh.Test.Ports
  alias Page.Browser

  @numbers [2, 3, 4]
  @victim 4
  @patience 30_000
  # What the page promises.
  @marked_within 5_000

  def main([program, folder, pictures, ebin]) do
    Process.flag(:trap_exit, true)
    {:ok, _} = Application.ensure_all_started(:inets)
    {:ok, _} = NameServer.start_link()
    port = http_ports()
    {:ok, _} = Cluster.start_link(folder: folder, http_port: port, ebin: Path.expand(ebin))
    browser = Browser.start!(program, folder, {1_100, 1_100})
    for number <- @numbers, do: Cluster.start(number)

    code = steps(browser, port, pictures)
    Browser.close(browser)
    Cluster.stop()
    System.halt(code)
  end

  defp steps(browser, port, pictures) do
    tell("the page itself", fn -> open(browser, "http://127.0.0.1:#{port}/mesh") end)
    tell("three nodes, three links", fn -> three(browser, pictures) end)
    tell("/mesh.json", fn -> json(port) end)
    tell("a node killed", fn -> kill(browser, pictures) end)
    tell("DNS stopped", fn -> dns(browser) end)
    tell("the node back", fn -> back(browser) end)
    tell("nothing from elsewhere", fn -> assets(browser) end)
    tell("the page's own node killed", fn -> alone(browser, pictures) end)
    # It is not drawn over any more.
    tell("every state there is", fn -> states(browser, pictures) end)
    tell("long labels", fn -> long(browser, pictures) end)
    tell("forty nodes", fn -> forty(browser, pictures) end)
    0
  catch
    {:missed, text} ->
      IO.puts("missed: " <> String.replace(text, ~r/\s*\n\s*/, " | "))
      1
  end

  ## The steps

  defp open(browser, url) do
    # The first node has to boot; the page asks again by itself, but somebody has to give it.
    await_page(url, now() + @patience)
    Browser.open(browser, url)
    wait(browser, "document.title.includes('DNSMesh')", @patience)
    url
  end

  defp three(browser, folder) do
    wait(
      browser,
      "#{count(".node[data-state=here]")} == 3 && #{count(".link[data-state=linked]")} == 3",
      @patience
    )

    expect(browser, count(".node"), "3")
    expect(browser, count(".link"), "3")
    # Each node says what DNS has told it.
    wait(browser, "#{rows("#queries", "good")} == 3", @patience)
    expect(browser, rows("#peers", "state"), "0")
    pictures(browser, folder, "three")
    Browser.eval(browser, "document.getElementById('summary').textContent")
  end

  defp json(port) do
    {:ok, body} = Eyes.get("http://127.0.0.1:#{port}/mesh.json", @patience)

    for part <-
          [~s("me": "#{Cluster.name(2)}"), ~s("node": "#{Cluster.name(4)}")] ++
            [~s("state": "connected"), ~s("records": ["127.0.0.2", "127.0.0.3", "127.0.0.4"])],
        not String.contains?(body, part),
        do: missed("no #{part} in #{body}")

    "#{byte_size(body)} bytes"
  end

  defp kill(browser, folder) do
    name = Cluster.name(@victim)
    before = now()
    Cluster.kill(@victim)

    marked =
      "#{count(".node[data-node='#{name}'][data-state=away][data-why=lost]")} == 1 && " <>
        "#{count(".link[data-state=linked]")} == 1 && #{count(".node[data-state=here]")} == 2"

    wait(browser, marked, @marked_within)
    took = now() - before
    if took > @marked_within, do: missed("marked after #{took} ms only")
    # Both that are left say why; it stands at the node, and in the table.
    wait(browser, "#{rows("#peers", "state")} == 2", @patience)

    wait(
      browser,
      "document.querySelector(\".node[data-node='#{name}']\").textContent.includes('nobody listens')",
      @patience
    )

    pictures(browser, folder, "killed")
    "marked after #{took} ms"
  end

  defp dns(browser) do
    NameServer.down()
    wait(browser, "#{rows("#queries", "bad")} == 2", @patience)
    expect(browser, count(".link[data-state=linked]"), "1")
    text = Browser.eval(browser, "document.querySelector('#queries td.bad').textContent")

    unless text =~ ~r/^✕ .+ ago; before that 3 records/u,
      do: missed("DNS is stopped, and it says: #{text}")

    NameServer.up()
    text
  end

  defp back(browser) do
    Cluster.start(@victim)

    wait(
      browser,
      "#{count(".node[data-state=here]")} == 3 && #{count(".link[data-state=linked]")} == 3",
      @patience
    )

    "three again"
  end

  defp assets(browser) do
    origins =
      "[...new Set(performance.getEntriesByType('resource').map((e) => new URL(e.name).pathname))].join(' ')"

    expect(browser, origins, "/mesh.json")

    expect(
      browser,
      "performance.getEntriesByType('resource').every((e) => new URL(e.name).origin == location.origin)",
      "true"
    )

    "/mesh.json only"
  end

  defp alone(browser, folder) do
    Cluster.kill(2)
    wait(browser, "!document.getElementById('stale').hidden", @marked_within)
    # What was known last stays to be seen.
    expect(browser, count(".node"), "3")
    pictures(browser, folder, "alone")
    Browser.eval(browser, "document.getElementById('stale').textContent")
  end

  # Drawn by the page from what a cluster in trouble might say.
  defp states(browser, folder) do
    [me, here, one_sided, silent, held, waiting, refused, evil] =
      for name <- ~w(me here one_sided silent held waiting refused <b>evil</b>),
          do: "#{name}@10.0.0.1"

    peers = [
      peer(me, "refused", "self", "this node itself"),
      peer(here, "connected"),
      peer(silent, "connected"),
      peer(held, "held", "unreachable_for", "#{here} cannot reach it"),
      peer(waiting, "waiting", "connect_failed", "could not connect (gave up after 7004 ms)"),
      peer(refused, "refused", "not_allowed", "the address is not in :allow"),
      peer(evil, "joining")
    ]

    mesh = %{
      me: me,
      nodes: [
        %{node: me, silent: nil, status: status(me, [here, one_sided, silent], peers)},
        %{node: here, silent: nil, status: status(here, [me], [])},
        %{node: one_sided, silent: nil, status: status(one_sided, [], [])},
        %{node: silent, silent: "timeout", status: nil}
      ]
    }

    Browser.eval(browser, "(old(false), draw(#{JSON.encode(mesh)}))")

    for {node, state, why} <- [
          {me, "here", "null"},
          {here, "here", "null"},
          {one_sided, "here", "null"},
          {silent, "silent", "null"},
          {held, "away", "held"},
          {waiting, "away", "waiting"},
          {refused, "away", "refused"},
          {evil, "away", "waiting"}
        ] do
      dataset =
        "[...document.querySelectorAll('#graph .node')].find((n) => n.dataset.node == #{JSON.encode(node)}).dataset"

      expect(browser, "#{dataset}.state + ' ' + (#{dataset}.why ?? null)", "#{state} #{why}")
    end

    for {state, links} <-
          [{"linked", 2}, {"one-sided", 1}, {"held", 1}, {"waiting", 1}] ++
            [{"joining", 1}, {"refused", 1}],
        do: expect(browser, count(".link[data-state=#{state}]"), "#{links}")

    # Whoever names a node writes no HTML here.
    expect(browser, "document.querySelectorAll('b').length", "0")
    pictures(browser, folder, "states")
    Browser.eval(browser, "document.getElementById('summary').textContent")
  end

  # Nothing of a label is cut off at the edge of the drawing, wherever its node stands.
  defp long(browser, folder) do
    says =
      "an address of this machine, and nobody listens at the port that its epmd gives for it: the node has just " <>
        "stopped, or listens at another address than the one that the peers are told by the name server that they ask"

    host = "app-0.app-headless.a-namespace-of-some-length.svc.cluster.example.internal"
    me = "me@10.0.0.1"

    for count <- [1, 2, 3, 4, 6, 9] do
      others = for n <- 2..count//1, do: "app-#{n}@#{host}"
      peers = for other <- others, do: peer(other, "waiting", "dead", says)
      mesh = %{me: me, nodes: [%{node: me, silent: nil, status: status(me, [], peers)}]}
      Browser.eval(browser, "draw(#{JSON.encode(mesh)})")
      expect(browser, cut_off(), "")
      if count == 3, do: pictures(browser, folder, "long")
    end

    # Alone, and silent: no node of its own, a reason below it.
    silent = %{me: me, nodes: [%{node: me, silent: says, status: nil}]}
    Browser.eval(browser, "draw(#{JSON.encode(silent)})")
    expect(browser, cut_off(), "")
    pictures(browser, folder, "alone-long")
    "nothing is cut off"
  end

  defp cut_off do
    """
    (() => {
      const edge = document.getElementById('graph').getBoundingClientRect();
      return [...document.querySelectorAll('#graph text')].filter((text) => {
        const box = text.getBoundingClientRect();
        return box.left < edge.left || box.right > edge.right || box.top < edge.top || box.bottom > edge.bottom;
      }).map((text) => text.textContent).join(' | ');
    })()
    """
  end

  defp forty(browser, folder) do
    names = for number <- 1..40, do: "app@10.0.0.#{number}"

    nodes =
      for name <- names do
        peers = for other <- names -- [name], do: peer(other, "connected")
        %{node: name, silent: nil, status: status(name, names -- [name], peers)}
      end

    Browser.eval(browser, "draw(#{JSON.encode(%{me: hd(names), nodes: nodes})})")
    expect(browser, count(".node[data-state=here]"), "40")
    expect(browser, count(".link[data-state=linked]"), "780")
    pictures(browser, folder, "forty")
    Browser.eval(browser, "document.getElementById('summary').textContent")
  end

  defp status(node, connected, peers) do
    %{name: "DNSMesh", state: "running", because: nil, node: node, naming: "by hand"}
    |> Map.merge(%{connected: connected, peers: peers, queries: []})
  end

  defp peer(name, state, reason \\ nil, message \\ nil) do
    %{name: name, state: state, reason: reason, message: message, failures: 0, since: 1_000}
    |> Map.put(:next_attempt, if(state == "waiting", do: 17_000))
  end

  ## In the page

  defp count(selector), do: "document.querySelectorAll(\"#graph #{selector}\").length"
  defp rows(table, class), do: "document.querySelectorAll('#{table} td.#{class}').length"

  defp wait(browser, condition, timeout) do
    seen = "document.body.innerText"

    case Browser.await(browser, condition, seen, timeout) do
      :ok -> :ok
      {:error, text} -> missed("not within #{timeout} ms: #{condition}\n#{text}")
    end
  end

  defp expect(browser, expression, wanted) do
    case Browser.eval(browser, expression) do
      ^wanted -> :ok
      other -> missed("#{expression} is #{other}, not #{wanted}")
    end
  end

  # For people to look at: somebody has to, once, whenever the page is changed.
  defp pictures(browser, folder, name) do
    for {kind, scheme, vision} <- [
          {"light", "light", "none"},
          {"dark", "dark", "none"},
          {"grey", "light", "achromatopsia"}
        ] do
      Browser.look(browser, scheme, vision)
      File.write!(Path.join(folder, "#{name}-#{kind}.png"), Browser.screenshot(browser))
    end

    Browser.look(browser, "light", "none")
  end

  ## Around it

  # Three in a row that nobody listens on.
  defp http_ports do
    first = Ports.free_port()
    if Enum.all?(first..(first + 2), &free?/1), do: first, else: http_ports()
  end

  defp free?(port) do
    case :gen_tcp.listen(port, ip: {127, 0, 0, 1}, reuseaddr: true) do
      {:ok, socket} -> :gen_tcp.close(socket) == :ok
      {:error, _taken} -> false
    end
  end

  defp await_page(url, deadline) do
    with {:error, reason} <- Eyes.get(url) do
      if now() > deadline, do: missed("#{url}: #{inspect(reason)}")
      Process.sleep(100)
      await_page(url, deadline)
    end
  end

  defp tell(what, step) do
    IO.puts("#{what}: #{step.()}")
  end

  defp missed(text), do: throw({:missed, text})
  defp now, do: System.monotonic_time(:millisecond)
end

Page.main(System.argv())

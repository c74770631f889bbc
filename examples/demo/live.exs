defmodule Demo.Live do
  @moduledoc false
  # The demo for people: a table that follows the cluster, and commands from the keyboard. On a terminal it is drawn
  # in place; elsewhere it is printed again when it changes.

  alias Demo.{Cluster, Eyes, HTTPPorts, NameServer, Table}

  @nodes 3
  @most_nodes 9
  @redraw_every 500

  @title ["DNSMesh demo", ""]
  @commands "a add a node   k kill one (k3: that at .3)   r restart a killed one   d stop or start DNS   q quit"

  @home "\e[H"
  @rest_of_line "\e[K"
  @rest_of_screen "\e[J"
  @clear "\e[2J"

  @doc "How many nodes it begins with."
  def nodes, do: @nodes

  @doc "Returns the exit status when the user has enough."
  def run(terminal?) do
    for _ <- 1..@nodes, do: add()
    read_commands(self())
    if terminal?, do: IO.write(@clear)
    loop(%{terminal?: terminal?, note: "starting #{@nodes} nodes", shown: nil})
  end

  defp loop(state) do
    state |> draw() |> wait()
  end

  defp wait(state) do
    receive do
      {:command, line} ->
        case line |> String.trim() |> obey() do
          :quit -> quit("quitting")
          note -> loop(%{state | note: note})
        end

      :end_of_input ->
        quit("end of input: quitting")

      # Those who looked at the nodes for us.
      {:EXIT, _pid, :normal} ->
        wait(state)

      {:EXIT, _pid, reason} ->
        exit(reason)
    after
      @redraw_every -> loop(state)
    end
  end

  defp quit(text) do
    IO.puts(text)
    0
  end

  ## Commands

  defp read_commands(to) do
    spawn_link(fn ->
      case IO.gets("") do
        line when is_binary(line) ->
          send(to, {:command, line})
          read_commands(to)

        _end_or_error ->
          send(to, :end_of_input)
      end
    end)
  end

  defp obey(""), do: ""
  defp obey("a"), do: add()
  defp obey("d"), do: toggle_dns(NameServer.status())
  defp obey("q"), do: :quit

  defp obey("k" <> which),
    do: change(which, &(&1 == :running), :last, "running", &kill/1)

  defp obey("r" <> which),
    do: change(which, &(&1 != :running), :first, "killed", &restart/1)

  defp obey(other), do: "no such command: #{inspect(other)}"

  defp add do
    {number, port} = Cluster.next()
    count = length(Cluster.nodes())

    with {:room, true} <- {:room, count < @most_nodes},
         :ok <- HTTPPorts.check(port, 1) do
      Cluster.start(number)
      "starting #{Cluster.name(number)}"
    else
      {:room, false} -> "#{@most_nodes} nodes are enough"
      {:error, sentence} -> "not added: #{sentence}"
    end
  end

  defp toggle_dns({true, _ips}) do
    NameServer.down()
    "the DNS server is stopped; watch that nobody leaves"
  end

  defp toggle_dns({false, _ips}) do
    NameServer.up()
    "the DNS server is back"
  end

  # The node that was named, or the last (first) one for which it makes sense.
  defp change(which, fits?, default, what, action) do
    numbers = for node <- Cluster.nodes(), fits?.(node.state), do: node.number

    case {String.trim(which), numbers} do
      {"", []} ->
        "no node is #{what}"

      {"", numbers} ->
        action.(if default == :last, do: List.last(numbers), else: hd(numbers))

      {text, numbers} ->
        case Integer.parse(String.trim_leading(text, ".")) do
          {number, ""} ->
            if number in numbers, do: action.(number), else: "#{number} is not #{what}"

          _no_number ->
            "not a number: #{text}"
        end
    end
  end

  defp kill(number) do
    Cluster.kill(number)
    "killed #{Cluster.name(number)} with SIGKILL; DNS still lists it"
  end

  defp restart(number) do
    Cluster.start(number)
    "starting #{Cluster.name(number)} again"
  end

  ## Drawing

  defp draw(%{terminal?: true} = state) do
    width = width()
    lines = @title ++ picture(true) ++ ["" | help()] ++ ["", state.note]

    IO.write([
      @home,
      Enum.map(lines, &[String.slice(&1, 0, width), @rest_of_line, "\n"]),
      @rest_of_screen,
      "> "
    ])

    state
  end

  defp draw(state) do
    if state.shown == nil, do: IO.puts(Enum.join(@title ++ help(), "\n"))
    lines = ["", state.note | picture(false)]
    if lines != state.shown, do: IO.puts(Enum.join(lines, "\n"))
    %{state | shown: lines}
  end

  defp help do
    [%{url: url} | _] = Cluster.nodes()

    [
      @commands,
      "(the letter, then Enter)   The picture, in a browser: #{url}mesh   More from a node: its url, and with status at the end"
    ]
  end

  defp picture(ages?) do
    nodes = Eyes.look(Cluster.nodes())
    [dns(NameServer.status()), "" | Table.lines(nodes, ages: ages?)]
  end

  defp dns({true, ips}),
    do: "#{NameServer.name()} at #{NameServer.address()}: #{Enum.join(ips, " ")}"

  defp dns({false, _ips}),
    do: "#{NameServer.name()} at #{NameServer.address()}: the DNS server is STOPPED"

  # A line that wraps would move all below it.
  defp width do
    case :io.columns() do
      {:ok, columns} -> columns
      {:error, _unknown} -> 120
    end
  end
end

defmodule Demo.Once do
  @moduledoc false
  # The demo for machines: each step waits for what it promises, and says what it saw when that does not come.
  # The last line begins with ok or FAILED, and the exit status says the same.

  alias Demo.{Cluster, Eyes, NameServer}

  @first [2, 3, 4]
  @more [5, 6]
  @all @first ++ @more
  @victim 3

  # For one thing to happen, on a machine that is busy with other things.
  @patience 20_000
  @look_every 50
  @page_timeout 5_000

  @doc "How many nodes it needs."
  def nodes, do: length(@all)

  @doc "Returns the exit status."
  def run do
    story = [
      step("formed 3", fn -> form(@first, "") end),
      step("checked 3 endpoints", &check_endpoints/0),
      step("grew to 5", &grow/0),
      step("saw a crash", &crash/0),
      step("took it back", &take_back/0),
      step("kept all links while 3 polls failed", &break_dns/0),
      step("asked DNS again", &mend_dns/0),
      step("formed 3 without global's help", &form_alone/0)
    ]

    IO.puts("ok demo: #{Enum.join(story, ", ")}")
    0
  catch
    {:missed, step, seen} ->
      show_logs()
      failed("#{step}: #{seen}")
  end

  ## The steps

  defp form(numbers, flags) do
    for number <- numbers, do: Cluster.start(number, flags)
    await_all_see_all(numbers)
    "each of #{length(numbers)} sees #{length(numbers) - 1}, from the start of the VMs on"
  end

  defp check_endpoints do
    for node <- Cluster.nodes() do
      expected = json(node, @first)

      case Eyes.get(node.url, @page_timeout) do
        {:ok, body} -> if String.trim(body) != expected, do: missed("#{node.url} gives #{body}")
        {:error, reason} -> missed("#{node.url}: #{inspect(reason)}")
      end

      check_mesh(node.url <> "mesh.json")
    end

    Enum.map_join(Cluster.nodes(), " ", & &1.url)
  end

  # What the page at /mesh is drawn from: each node's word of itself.
  defp check_mesh(url) do
    with {:ok, body} <- Eyes.get(url, @page_timeout),
         [] <-
           for(name <- names(@first), part = ~s("node": "#{name}"), not (body =~ part), do: part) do
      if body =~ ~s("status": null), do: missed("#{url} gives #{body}")
    else
      {:error, reason} -> missed("#{url}: #{inspect(reason)}")
      parts -> missed("#{url} lacks #{Enum.join(parts, ", ")}")
    end
  end

  defp grow do
    for number <- @more, do: Cluster.start(number)
    await_all_see_all(@all)
    "each of 5 sees 4"
  end

  defp crash do
    Cluster.kill(@victim)
    await_all_see_all(@all -- [@victim])
    "SIGKILL for #{Cluster.name(@victim)}; each of the other 4 sees 3"
  end

  defp take_back do
    Cluster.start(@victim)
    await_all_see_all(@all)
    "#{Cluster.name(@victim)} again; each of 5 sees 4"
  end

  # Three ways to fail, one poll or more for each: that every node has had it is in the node's own status.
  defp break_dns do
    nodes =
      await("the last answer is good at every node", &all?(&1, fn says -> answered?(says) end))

    before = for %{says: says} <- nodes, into: %{}, do: {says.me, says.links}

    for {name, links} <- before,
        map_size(links) != length(@all) - 1,
        do: missed("#{name} has #{map_size(links)} links before DNS breaks")

    asked = [
      fail(before, "SERVFAIL", ":servfail", fn -> NameServer.answer(:servfail) end),
      fail(before, "NXDOMAIN", ":nxdomain", fn -> NameServer.answer(:nxdomain) end)
    ]

    # Nobody is there to count what is asked now.
    fail(before, "a stopped server", nil, &NameServer.down/0)

    ends = before |> Map.values() |> Enum.map(&map_size/1) |> Enum.sum()

    "SERVFAIL (asked #{hd(asked)} times), NXDOMAIN (#{List.last(asked)}), stopped; " <>
      "#{ends} link ends, 4 at each of 5 nodes, the same connections as before"
  end

  defp mend_dns do
    NameServer.answer(:addresses)
    NameServer.up()
    await("every node has a good answer again", &all?(&1, fn says -> answered?(says) end))
    "#{NameServer.questions()} questions"
  end

  # OTP's global links everybody with everybody, unless told not to: here every link is DNSMesh's work.
  defp form_alone do
    Cluster.stop()
    form(@first, "-connect_all false")

    for %{says: says} <- look(), says.connect_all, do: missed("#{says.me} runs with connect_all")
    "with -connect_all false each of 3 sees 2"
  end

  ## What they wait for

  defp await_all_see_all(numbers) do
    await("each of #{length(numbers)} sees exactly the others", fn nodes ->
      for %{number: number, state: {:ended, status}} = node <- nodes,
          number in numbers,
          do: missed("#{node.name} ended by itself, with status #{status}")

      running = for node <- nodes, node.state == :running, do: node.number

      running == Enum.sort(numbers) and
        all?(nodes, &(&1.others == names(numbers) -- [&1.me]))
    end)
  end

  # DNS fails by `break` until every node says so itself; at every look, the last one included, every link must be the
  # one it was.
  defp fail(before, what, reason, break) do
    questions = NameServer.questions()
    break.()

    await("#{what} has reached every node", fn nodes ->
      check_links(nodes, before, what)
      all?(nodes, &failed_by?(&1.dns, reason))
    end)

    if reason do
      asked = NameServer.questions() - questions
      if asked < length(@all), do: missed("only #{asked} questions during #{what}")
      asked
    end
  end

  defp failed_by?({:failed, reason, _sentence, _age}, nil),
    do: reason not in [":servfail", ":nxdomain"]

  defp failed_by?({:failed, reason, _sentence, _age}, reason), do: true
  defp failed_by?(_dns, _reason), do: false

  defp check_links(nodes, before, what) do
    for %{says: %{me: me, links: links}} <- nodes, links != before[me] do
      missed("#{what}: #{me} had the links #{inspect(before[me])}, now #{inspect(links)}")
    end
  end

  defp answered?(says), do: match?({:answered, _count, _age}, says.dns)

  # Every node that runs, and at least one.
  defp all?(nodes, fits?) do
    running = for %{state: :running} = node <- nodes, do: node
    running != [] and Enum.all?(running, &(&1.says != nil and fits?.(&1.says)))
  end

  defp await(what, holds?, deadline \\ now() + @patience) do
    nodes = look()

    cond do
      holds?.(nodes) ->
        nodes

      now() > deadline ->
        missed("not in #{@patience} ms: #{what}; seen: #{Enum.map_join(nodes, "; ", &seen/1)}")

      true ->
        Process.sleep(@look_every)
        await(what, holds?, deadline)
    end
  end

  defp look, do: Eyes.look(Cluster.nodes())

  ## Words

  defp json(node, numbers) do
    others = Enum.map_join(names(numbers) -- [node.name], ", ", &~s("#{&1}"))
    ~s({"me": "#{node.name}", "others": [#{others}]})
  end

  defp names(numbers), do: numbers |> Enum.map(&Cluster.name/1) |> Enum.sort()

  defp seen(%{says: nil} = node), do: "#{node.name} is silent: #{inspect(node.silent)}"

  defp seen(%{says: says} = node),
    do: "#{node.name} sees #{inspect(says.others)}, DNS #{inspect(says.dns)}"

  defp step(name, action) do
    before = now()
    detail = action.()
    seconds = "#{:erlang.float_to_binary((now() - before) / 1_000, decimals: 1)} s"
    IO.puts("#{String.pad_trailing(name, 36)} #{String.pad_leading(seconds, 6)}   #{detail}")
    "#{name} in #{seconds}"
  catch
    {:missed, seen} -> throw({:missed, name, seen})
  end

  defp missed(seen), do: throw({:missed, seen})

  defp failed(text) do
    IO.puts("FAILED demo: #{text |> String.trim() |> String.replace(~r/\s*\n\s*/, " | ")}")
    1
  end

  defp show_logs do
    for node <- Cluster.nodes(), do: IO.puts(log(node))
  end

  defp log(%{name: name, log: path}) do
    text =
      case File.read(path) do
        {:ok, text} -> text
        {:error, reason} -> "no log: #{:file.format_error(reason)}"
      end

    "── #{name}: #{path}\n#{String.trim(text)}\n"
  end

  defp now, do: System.monotonic_time(:millisecond)
end

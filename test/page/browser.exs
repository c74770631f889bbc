defmodule Page.Browser do
  @moduledoc false
  # Chromium without a window, driven as its own developer tools drive it: JSON messages, each ended by a zero byte, over
  # two pipes. It ends when they do, so none outlives this VM.

  alias DNSMesh.JSON

  @patience 30_000

  defstruct [:port, :session]

  @doc "Starts it with one empty page of this size. `folder` is for its profile and its log."
  def start!(program, folder, {width, height}) do
    # Pipes 3 and 4 are where it reads and writes.
    arguments =
      ["-c", ~S(log=$1; shift; exec "$@" 3<&0 4>&1 >"$log" 2>&1), "sh"] ++
        [Path.join(folder, "chromium.log"), program] ++
        ~w(--headless=new --remote-debugging-pipe --no-first-run --disable-gpu --no-proxy-server) ++
        ~w(--disable-dev-shm-usage --disable-background-networking --force-color-profile=srgb) ++
        ["--user-data-dir=#{Path.join(folder, "chromium")}", "--window-size=#{width},#{height}"] ++
        sandbox()

    port = Port.open({:spawn_executable, "/bin/sh"}, [:binary, :exit_status, args: arguments])
    target = call(port, nil, "Target.createTarget", %{url: "about:blank"}, "targetId")
    params = %{targetId: target, flatten: true}
    session = call(port, nil, "Target.attachToTarget", params, "sessionId")
    browser = %__MODULE__{port: port, session: session}

    size = %{width: width, height: height, deviceScaleFactor: 1, mobile: false}
    command(browser, "Emulation.setDeviceMetricsOverride", size)
    command(browser, "Page.enable", %{})
    browser
  end

  # Chromium's sandbox refuses root.
  defp sandbox,
    do: if(match?({"0\n", 0}, System.cmd("id", ["-u"])), do: ["--no-sandbox"], else: [])

  def open(browser, url), do: command(browser, "Page.navigate", %{url: url})

  @doc "The value of an expression in the page, a string; of a promise, when it is kept."
  def eval(browser, expression, patience \\ @patience) do
    params = %{expression: "(async () => String(await (#{expression})))()", awaitPromise: true}
    reply = message(browser.port, browser.session, "Runtime.evaluate", params, patience)

    with nil <- string(reply, "value"), do: raise("#{expression} gives no text: #{reply}")
  end

  @doc """
  Waits in the page until an expression is true there: looks at each change of the page, as somebody who watches it. Gives
  `:ok`, or `{:error, text}` with what another expression says then.
  """
  def await(browser, condition, otherwise, timeout) do
    waiting = """
    new Promise((done) => {
      const watch = new MutationObserver(() => look());
      const over = setTimeout(() => end("not: " + (#{otherwise})), #{timeout});
      const end = (text) => { clearTimeout(over); watch.disconnect(); done(text); };
      const look = () => { if (#{condition}) end("ok"); };
      watch.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
      look();
    })
    """

    case eval(browser, waiting, timeout + @patience) do
      "ok" -> :ok
      text -> {:error, text}
    end
  end

  @doc "Light or dark, and with colours or without."
  def look(browser, scheme, vision) do
    features = [%{name: "prefers-color-scheme", value: scheme}]
    command(browser, "Emulation.setEmulatedMedia", %{features: features})
    command(browser, "Emulation.setEmulatedVisionDeficiency", %{type: vision})
  end

  @doc "A PNG of the whole page."
  def screenshot(browser) do
    params = %{format: "png", captureBeyondViewport: true}

    browser.port
    |> call(browser.session, "Page.captureScreenshot", params, "data")
    |> Base.decode64!()
  end

  @doc "Ends it, and waits until it has: its profile is to be removed."
  def close(%{port: port}) do
    Port.command(port, [JSON.encode(%{id: 0, method: "Browser.close"}), 0])

    receive do
      {^port, {:exit_status, _status}} -> :ok
    after
      @patience -> :ok
    end
  end

  defp command(browser, method, params),
    do: message(browser.port, browser.session, method, params, @patience)

  defp call(port, session, method, params, key) do
    reply = message(port, session, method, params, @patience)
    string(reply, key) || raise "#{method} gives no #{key}: #{reply}"
  end

  defp message(port, session, method, params, patience) do
    id = System.unique_integer([:positive])
    base = %{id: id, method: method, params: params}
    base = if session, do: Map.put(base, :sessionId, session), else: base
    Port.command(port, [JSON.encode(base), 0])
    reply = await_reply(port, ~s({"id":#{id},), System.monotonic_time(:millisecond) + patience)
    if reply =~ ~s("error":{"code"), do: raise("#{method}: #{reply}"), else: reply
  end

  # Replies in between are events.
  defp await_reply(port, start, deadline) do
    case Process.get(port, "") |> String.split(<<0>>, parts: 2) do
      [message, rest] ->
        Process.put(port, rest)

        if String.starts_with?(message, start),
          do: message,
          else: await_reply(port, start, deadline)

      [_part] ->
        receive do
          {^port, {:data, data}} ->
            Process.put(port, Process.get(port, "") <> data)
            await_reply(port, start, deadline)

          {^port, {:exit_status, status}} ->
            raise "Chromium has ended with #{status}"
        after
          max(0, deadline - System.monotonic_time(:millisecond)) ->
            raise "Chromium does not answer #{start}"
        end
    end
  end

  # What is asked for is plain enough to be read without a JSON reader, which Elixir has since 1.18 only.
  defp string(reply, key) do
    case Regex.run(~r/"#{key}":"((?:[^"\\]|\\.)*)"/, reply) do
      [_, text] -> Regex.replace(~r/\\(u(....)|.)/, text, &unescape/3)
      nil -> nil
    end
  end

  defp unescape(_all, "n", _), do: "\n"
  defp unescape(_all, "t", _), do: "\t"
  defp unescape(_all, "u" <> _, code), do: <<String.to_integer(code, 16)::utf8>>
  defp unescape(_all, char, _), do: char
end

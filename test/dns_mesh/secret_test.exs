defmodule DNSMesh.SecretTest do
  # The cookie is nowhere to be read: not in a state, a report, a child specification, a status, a diagnosis or an error,
  # and in none of the ways in which Elixir and OTP print them.
  #
  # Not async: it looks at everything that is logged.
  use ExUnit.Case

  import ExUnit.CaptureLog

  alias DNSMesh.{Config, Cookie, Options, Query, Resolver, Secret}
  alias DNSMesh.Distribution.Start
  alias DNSMesh.Test.{Ports, ScriptedDNS, TestNode}

  @cookie "kiSqXVbW"

  # As OTP's own handler prints what is logged.
  defmodule OTPLog do
    def log(event, %{config: %{to: pid}}),
      do: send(pid, {:otp_log, IO.chardata_to_string(:logger_formatter.format(event, %{}))})
  end

  defp options(name, more \\ []) do
    dns = start_supervised!({ScriptedDNS, zone: %{{"app.internal", :a} => ["10.0.0.1"]}})

    Keyword.merge(
      [name: name, query: "app.internal", nameservers: [ScriptedDNS.address(dns)]] ++
        [distribution: :manual, cookie: @cookie],
      more
    )
  end

  # All ways to print a term.
  defp printed(term) do
    [
      inspect(term, limit: :infinity, printable_limit: :infinity),
      inspect(term, limit: :infinity, printable_limit: :infinity, structs: false),
      IO.chardata_to_string(:io_lib.format("~p ~w ~0tp", [term, term, term]))
    ]
  end

  defp assert_hidden(term) do
    for text <- printed(term) do
      refute text =~ @cookie
      # As ~w prints a text.
      refute text =~ Enum.join(String.to_charlist(@cookie), ",")
    end
  end

  defp supervise!(children) do
    start_supervised!(%{
      id: make_ref(),
      start: {Supervisor, :start_link, [children, [strategy: :one_for_one, max_restarts: 9]]},
      type: :supervisor
    })
  end

  test "the state, the status that OTP gives of it, and the child specification", %{test: name} do
    supervisor = supervise!([{DNSMesh, options(name)}])
    pid = Process.whereis(name)

    assert_hidden(:sys.get_state(pid))
    assert_hidden(:sys.get_status(pid))
    assert_hidden(:sys.get_status(supervisor))
    assert_hidden(:supervisor.get_childspec(supervisor, name))
    assert_hidden(DNSMesh.child_spec(cookie: @cookie))
    assert_hidden(Process.info(pid))

    # It is there all the same.
    assert Secret.reveal(:sys.get_state(pid).config.cookie) == @cookie
  end

  test "what is logged when it crashes, by Elixir and by OTP", %{test: name} do
    :ok = :logger.add_handler(:otp_log, OTPLog, %{config: %{to: self()}})
    on_exit(fn -> :logger.remove_handler(:otp_log) end)
    supervise!([{DNSMesh, options(name)}])

    log =
      capture_log(fn ->
        pid = Process.whereis(name)
        monitor = Process.monitor(pid)
        :sys.replace_state(pid, &%{&1 | outside: :broken})
        GenServer.cast(pid, :poll)
        assert_receive {:DOWN, ^monitor, :process, ^pid, _reason}, 5_000
        assert_receive {:otp_log, "" <> _ = text} when text != "", 5_000
        assert_hidden(text)
        Logger.flush()
      end)

    assert log =~ "DNSMesh.Poller"
    assert log =~ "not shown"
    assert_hidden(log)
    for text <- otp_logged(), do: assert_hidden(text)
  end

  test "what a supervisor says of a start that fails", %{test: name} do
    :ok = :logger.add_handler(:otp_log, OTPLog, %{config: %{to: self()}})
    on_exit(fn -> :logger.remove_handler(:otp_log) end)

    log =
      capture_log(fn ->
        Process.flag(:trap_exit, true)
        children = [{DNSMesh, options(name, interval: 1)}]
        assert {:error, reason} = Supervisor.start_link(children, strategy: :one_for_one)
        assert inspect(reason) =~ "expected :interval"
        assert_hidden(reason)
      end)

    assert_hidden(log)
    for text <- otp_logged(), do: assert_hidden(text)
  end

  defp otp_logged do
    receive do
      {:otp_log, text} -> [text | otp_logged()]
    after
      0 -> []
    end
  end

  test "status, and what the doctor finds and prints", %{test: name} do
    options = options(name)
    pid = start_supervised!({DNSMesh, options})
    status = DNSMesh.status(name)
    assert_hidden(status)
    assert_hidden(to_string(status))
    assert_hidden(GenServer.call(pid, :status))
    assert_hidden(GenServer.call(pid, :own_name))

    own = Keyword.take(options, [:query, :nameservers, :cookie])

    for options <- [[print: true], [print: :json], [print: true] ++ own] do
      printed =
        ExUnit.CaptureIO.capture_io(fn ->
          assert_hidden(DNSMesh.doctor(name, [timeout: 500] ++ options))
        end)

      assert printed != ""
      assert_hidden(printed)
    end
  end

  test "what is said of a wrong cookie, and of a wrong option that may be one" do
    long = String.duplicate(@cookie, 32)

    for {opts, said} <- [
          {[cookie: ""],
           ~s(expected :cookie to be a string or an atom of 1 to 255 characters, got: "")},
          {[cookie: long], "got: a string of 256 characters, which is not shown"},
          {[cookie: @cookie <> <<255>>], "got: a string that is not UTF-8, which is not shown"},
          {[cookie: String.to_charlist(@cookie)], "got: something else, which is not shown"},
          {[cookie: {@cookie}], "got: something else, which is not shown"},
          {[cokie: @cookie], "unknown option :cokie, expected one of [:query"},
          {%{cookie: @cookie}, "expected the options to be a keyword list, got: a map"},
          {[:x, cookie: @cookie], "got: a list in which something is no pair"},
          {[{"cookie", @cookie}], "got: a list in which something is no pair"}
        ],
        raising <- [
          fn -> DNSMesh.start_link(opts) end,
          fn ->
            {module, function, arguments} = DNSMesh.child_spec(opts).start
            assert_hidden(if is_list(opts) and opts[:cookie], do: arguments)
            apply(module, function, arguments)
          end
        ] do
      error = assert_raise ArgumentError, raising
      assert Exception.message(error) =~ said
      refute Exception.message(error) =~ @cookie
    end

    for opts <- [
          [cookie: @cookie],
          [cokie: @cookie],
          %{cookie: @cookie},
          [query: "a", cookie: {@cookie}]
        ] do
      error = assert_raise ArgumentError, fn -> DNSMesh.doctor(:nobody, opts) end
      refute Exception.message(error) =~ @cookie
    end

    error = assert_raise ArgumentError, fn -> DNSMesh.doctor(%{cookie: @cookie}) end
    refute Exception.message(error) =~ @cookie
  end

  test "what a task says of wrong arguments" do
    for task <- [Mix.Tasks.DnsMesh.Status, Mix.Tasks.DnsMesh.Doctor],
        arguments <- [
          ["--cookie", @cookie, "--nope"],
          ["--cookie=" <> @cookie, "a", "b"],
          ["--cokie", @cookie],
          ["--cokie=" <> @cookie]
        ] do
      error = assert_raise Mix.Error, fn -> task.run(arguments) end
      assert Exception.message(error) =~ "got: --co"
      refute Exception.message(error) =~ @cookie
    end

    long = String.duplicate(@cookie, 32)

    error =
      assert_raise Mix.Error, fn ->
        Mix.Tasks.DnsMesh.Status.run(["app@127.0.0.1", "--cookie", long])
      end

    assert Exception.message(error) =~ "longer than 255 characters"
    refute Exception.message(error) =~ @cookie
  end

  test "where distribution cannot be started, and where the native library refuses a greeting" do
    {_pid, monitor} = Start.run("app@127.0.0.1", :no_address, Secret.hide(@cookie))

    assert_receive {:DOWN, ^monitor, :process, _, {:started, {:error, {:start_failed, text}}}},
                   5_000

    refute text =~ @cookie

    try do
      Resolver.greet([:no_target], {"doctor@x", @cookie}, 100)
      flunk("it took that")
    rescue
      ArgumentError -> assert_hidden(__STACKTRACE__)
    end
  end

  test "one that is no text is said, not tried" do
    assert Cookie.check(<<255>>) == {:error, {:bad_cookie, :no_text}}
    assert Cookie.find(Secret.hide(@cookie)) == {:ok, @cookie, :option}
    assert DNSMesh.Error.message({:bad_cookie, :no_text}) =~ "RELEASE_COOKIE"
  end

  test "the ticket is the same for the same secret, and for no other" do
    assert Secret.hide("a") == Secret.hide("a")
    assert Secret.hide("a") != Secret.hide("b")
    assert Secret.reveal(Secret.hide("b")) == "b"
    assert Secret.hide(Secret.hide("a")) == Secret.hide("a")
    assert inspect(Secret.hide("a")) == "#DNSMesh.Secret<not shown>"
  end

  test "the argument of a source, which may hold a password, is in no text of ours" do
    query = %Query{text: "MySource", source: {MySource, password: "hunter2"}}
    refute inspect(query) =~ "hunter2"
    refute inspect(%Config{queries: [query], types: [:a]}) =~ "hunter2"
  end

  test "the option is in force: two nodes with the same one are linked, by their names from DNS" do
    epmd = {:fixed, Ports.free_port()}
    zone = %{{"app.internal", :a} => ["127.0.0.2", "127.0.0.3"]}
    dns = start_supervised!({ScriptedDNS, zone: zone})

    [a, b] =
      for n <- 2..3 do
        node = TestNode.start!(epmd: epmd, cookie: nil, label: n)

        {:ok, _pid} =
          TestNode.start_child(
            node,
            {DNSMesh,
             query: "app.internal",
             nameservers: [ScriptedDNS.address(dns)],
             basename: "app",
             address: "127.0.0.#{n}",
             cookie: @cookie,
             interval: 100}
          )

        assert TestNode.call(node, Node, :get_cookie, []) == String.to_atom(@cookie)
        node
      end

    assert TestNode.await_exactly(a, [:"app@127.0.0.3"])
    assert TestNode.await_exactly(b, [:"app@127.0.0.2"])
    for node <- [a, b], {_level, text} <- TestNode.logs(node), do: refute(text =~ @cookie)
  end

  test "arguments are shown without what follows a flag" do
    assert Options.show_arguments(~w(a b --json --cookie x --name=y z)) ==
             "a b --json --cookie ... --name=... z"

    assert Options.show_arguments([]) == ""
    assert Options.show_arguments(["--cookie"]) == "--cookie"
  end
end

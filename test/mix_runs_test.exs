defmodule DNSMesh.MixRunsTest do
  # `mix test`, `mix run` and `iex -S mix` in the environment of production: a query and a cookie.
  use ExUnit.Case, async: false

  import DNSMesh.Test.ReleaseFolder, only: [new!: 0]

  alias DNSMesh.Test.{BuildFolder, Epmd}
  alias DNSMesh.TestRun

  @moduletag timeout: 300_000

  @asked ~S'IO.puts(:standard_error, "#{node()} #{inspect(Process.whereis(DNSMesh))} #{DNSMesh.status().because}")'

  setup_all do
    folder = new!()

    # Whoever waits for the name is found out, however busy the machine is.
    BuildFolder.write!(folder, "lib/shop.ex", """
    defmodule Shop do
      use Application
      @children [{DNSMesh, name_timeout: 120_000}]
      def start(_type, _args), do: Supervisor.start_link(@children, strategy: :one_for_one)
    end
    """)

    BuildFolder.write!(folder, "test/test_helper.exs", """
    #{@asked}
    ExUnit.start()
    """)

    BuildFolder.write!(folder, "test/shop_test.exs", """
    defmodule ShopTest do
      use ExUnit.Case
      test "runs", do: :ok
    end
    """)

    %{folder: folder}
  end

  setup %{folder: folder} do
    epmd = Epmd.start!(addresses: [])

    environment = [
      {"CARGO_TARGET_DIR", BuildFolder.cargo_folder()},
      {"DNS_CLUSTER_QUERY", "127.0.0.1"},
      {"RELEASE_COOKIE", "production"},
      {"ERL_EPMD_PORT", "#{epmd.port}"},
      {"MIX_ENV", nil},
      # Compiled once for all.
      {"MIX_BUILD_PATH", Path.join(folder, "_build/all")}
    ]

    run = fn arguments, more -> BuildFolder.run(folder, "mix", arguments, environment ++ more) end
    %{run: run, epmd: epmd, environment: environment}
  end

  test "a test run takes no name and joins nobody, whatever its MIX_ENV", %{run: run, epmd: epmd} do
    for {arguments, environment} <- [
          {["test"], nil},
          {["test"], "ci"},
          {["run", "-e", @asked], "test"}
        ] do
      assert {output, 0} = run.(arguments, [{"MIX_ENV", environment}])

      assert output =~
               "nonode@nohost nil no process is registered as DNSMesh. In a test run (mix test, MIX_ENV=test) DNSMesh does not"

      assert Epmd.names(epmd) == []
    end
  end

  test "beside a node of the same name a second run does not wait for it", %{
    run: run,
    epmd: epmd,
    folder: folder,
    environment: environment
  } do
    {_compiled, 0} = run.(["compile"], [])
    first = start!(folder, environment, "IO.puts(node()); Process.sleep(:infinity)")
    assert_receive {^first, {:data, {:eol, "shop@127.0.0.1"}}}, 60_000
    assert [{"shop", _port}] = Epmd.names(epmd)

    # Since the VM was started.
    asked = """
    began = :erlang.system_info(:start_time)
    ms = System.convert_time_unit(:erlang.monotonic_time() - began, :native, :millisecond)
    IO.inspect({node(), ms})
    """

    {output, 0} = run.(["run", "-e", asked], [])
    assert [_, ms] = Regex.run(~r/\{:nonode@nohost, (\d+)\}/, output)
    assert String.to_integer(ms) < 60_000
    assert output =~ "another node of this basename runs on this machine"
  end

  test "in a test run the options alone count" do
    assert TestRun.now?()

    assert Enum.sort(TestRun.guard([name: :x], true)) ==
             [distribution: :manual, name: :x, query: :ignore]

    given = [distribution: :auto, query: "app.internal"]
    assert Enum.sort(TestRun.guard(given, true)) == given
    assert TestRun.guard([name: :x], false) == [name: :x]
    assert TestRun.guard(:no_options, true) == :no_options
  end

  defp start!(folder, environment, expression) do
    Port.open({:spawn_executable, System.find_executable("sh")}, [
      :binary,
      :stderr_to_stdout,
      line: 4_096,
      cd: folder,
      # Ends with the port.
      args: [
        "-c",
        ~S'"$@" & child=$!; cat >/dev/null; kill -9 $child',
        "sh",
        "mix",
        "run",
        "-e",
        expression
      ],
      env:
        for(
          {name, value} <- environment,
          do: {to_charlist(name), if(value, do: to_charlist(value), else: false)}
        )
    ])
  end
end

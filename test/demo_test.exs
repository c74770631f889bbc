defmodule DNSMesh.DemoTest do
  # bin/demo, as a user calls it. It compiles DNSMesh in the dev environment first.
  use ExUnit.Case, async: false

  @moduletag timeout: 300_000

  @root Path.expand("..", __DIR__)
  @demo Path.join(@root, "bin/demo")

  test "--once forms a cluster, crashes a node, breaks DNS, and leaves nothing behind" do
    folder = temporary_folder()
    {output, status} = demo(["--once", "--port", free_ports()], [{"TMPDIR", folder}])
    last = output |> String.split("\n", trim: true) |> List.last()

    assert status == 0, output
    assert last =~ ~r/^ok demo: formed 3 in \d+\.\d s, .*grew to 5 in \d+\.\d s/
    assert File.ls!(folder) == []
    # The folder's name stands in the environment of all that the demo starts.
    assert processes_with("TMPDIR=#{folder}") == []
  end

  test "ends, and its nodes with it, when its input ends" do
    folder = temporary_folder()
    {output, status} = demo(["--port", free_ports()], [{"TMPDIR", folder}])

    assert status == 0, output
    assert output =~ "app@127.0.0.4"
    assert output =~ "end of input: quitting"
    assert File.ls!(folder) == []
    assert processes_with("TMPDIR=#{folder}") == []
  end

  test "a taken port is said, with the way out" do
    {:ok, socket} = :gen_tcp.listen(0, ip: {127, 0, 0, 1})
    {:ok, port} = :inet.port(socket)

    assert {output, 1} = demo(["--port", "#{port}"])
    assert output =~ "port #{port} is taken by another program"
    assert output =~ "--port 5000"

    assert {output, 1} = demo(["--once"], [{"DEMO_PORT", "#{port}"}])

    assert output |> String.split("\n", trim: true) |> List.last() =~
             "FAILED demo: port #{port} is"
  end

  test "--help, and arguments it does not know" do
    assert {"Usage: bin/demo" <> _, 0} = demo(["--help"])

    for wrong <- [["--bogus"], ["--port"], ["--port", "none"], ["--port=0"], ["--port=65501"]] do
      assert {output, 2} = demo(wrong)
      assert output =~ "Usage: bin/demo"
    end
  end

  # As from a shell: without Mix's environment, and without the programs that a VM puts before all others in its PATH.
  defp demo(arguments, environment \\ []) do
    path =
      System.get_env("PATH") |> String.split(":") |> Enum.reject(&(&1 =~ ~r"/erts-[^/]+/bin$"))

    System.cmd("sh", ["-c", ~S(exec "$@" </dev/null), "sh", @demo | arguments],
      env: [{"MIX_ENV", nil}, {"PATH", Enum.join(path, ":")} | environment],
      stderr_to_stdout: true
    )
  end

  # The first of five in a row that nobody listens on.
  defp free_ports do
    first = DNSMesh.Test.Ports.free_port()

    if Enum.all?(1..4, &free?(first + &1)), do: "#{first}", else: free_ports()
  end

  defp free?(port) do
    case :gen_tcp.listen(port, ip: {127, 0, 0, 1}, reuseaddr: true) do
      {:ok, socket} -> :gen_tcp.close(socket) == :ok
      {:error, _in_use} -> false
    end
  end

  defp temporary_folder do
    folder =
      Path.join(System.tmp_dir!(), "dns_mesh_demo_test_#{System.unique_integer([:positive])}")

    File.mkdir_p!(folder)
    on_exit(fn -> File.rm_rf!(folder) end)
    folder
  end

  # By /proc; without one (macOS) there is nothing to see.
  defp processes_with(variable) do
    for environ <- Path.wildcard("/proc/[0-9]*/environ"),
        {:ok, variables} <- [File.read(environ)],
        variable in String.split(variables, <<0>>),
        do: environ
  end
end

defmodule DNSMesh.SourcesGuideTest do
  use ExUnit.Case, async: true

  # The guide's example, as it stands there, does what the guide says.

  alias DNSMesh.{Answer, Error}
  alias DNSMesh.Source.Runner

  @guide "guides/sources.md"
  @external_resource @guide
  @context %{mesh: __MODULE__, node: nil, interval: 5_000, timeout: 2_000}

  setup_all do
    [[_, example]] = Regex.scan(~r/```elixir\n(.*?)```/s, File.read!(@guide))
    [{module, _}] = Code.compile_string(example, @guide)
    %{source_module: module, lines: example |> String.split("\n", trim: true) |> length()}
  end

  setup c do
    path =
      Path.join(
        System.tmp_dir!(),
        "dns_mesh_nodes_#{System.pid()}_#{System.unique_integer([:positive])}"
      )

    on_exit(fn -> File.rm(path) end)
    {:ok, source} = Runner.validate({c.source_module, path})
    %{path: path, source: source}
  end

  defp ask(c) do
    {monitor, _pid} = Runner.run(c.source, @context, &Map.new(&1, fn host -> {host, :error} end))
    assert_receive {:DOWN, ^monitor, :process, _pid, reason}, 5_000
    Runner.read(reason)
  end

  test "its queries are understood" do
    guide = File.read!(@guide)
    queries = Regex.scan(~r/^    \{DNSMesh, (query: .+)\}$/m, guide, capture: :all_but_first)
    assert length(queries) == 4

    for [query] <- queries do
      {opts, _} = Code.eval_string("[" <> query <> "]")
      assert %DNSMesh.Config{} = DNSMesh.Config.new!(opts, nil)
    end

    for [query] <-
          Regex.scan(~r/DNS_CLUSTER_QUERY[=:] ?([^`\s]+)/, guide, capture: :all_but_first) do
      assert %DNSMesh.Config{} = DNSMesh.Config.new!([], query)
    end
  end

  test "its example has 20 lines at most", c do
    assert c.lines <= 20
  end

  test "its example lists the nodes of a file", c do
    File.write!(c.path, "# web\napp@10.0.0.5\n\n  app@10.0.0.6\r\nnot a node\n")
    assert {:ok, %Answer{records: records, fault: {:junk_names, 1}}} = ask(c)
    assert Enum.map(records, & &1.name) == ["app@10.0.0.5", "app@10.0.0.6"]
    File.write!(c.path, "")
    assert {:error, %{reason: :no_names}} = ask(c)
  end

  test "its example says so when there is no file, in the guide's words", c do
    assert {:error, %{reason: reason}} = ask(c)
    said = Error.message(reason)
    assert said == "no such file or directory (enoent)"
    assert @guide |> File.read!() |> String.replace("\n", " ") =~ said
  end

  test "its example checks its argument", c do
    assert Runner.validate({c.source_module, 42}) ==
             {:error, "expected the path of a file, got: 42"}
  end
end

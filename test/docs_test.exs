defmodule DNSMesh.DocsTest do
  use ExUnit.Case, async: true

  # What people read must be what the code does.

  @readme File.read!("README.md")
  @external_resource "README.md"

  test "the README's table of options is the table the options are checked by" do
    rows =
      for {key, default, doc} <- DNSMesh.Config.options(),
          do: "| `#{inspect(key)}` | #{default} | #{doc} |"

    for row <- rows, do: assert(@readme =~ row <> "\n")
    [_, after_heading] = String.split(@readme, "## Options\n")
    [section | _] = String.split(after_heading, "\n## ")
    assert length(Regex.scan(~r/^\| `:\w+` \|/m, section)) == length(rows)
  end

  # `ERL_EPMD_PORT` and `ERL_INETRC` are read as the VM reads them; RELEASE_… are the release's own.
  @variables ~w(DNS_CLUSTER_QUERY DNS_MESH_ADDRESS DNS_MESH_BASENAME DNS_MESH_NAME_FILE) ++
               ~w(RELEASE_COMMAND RELEASE_COOKIE RELEASE_DISTRIBUTION RELEASE_NAME RELEASE_NODE RELEASE_ROOT) ++
               ~w(ERL_EPMD_PORT ERL_INETRC POD_IP MY_POD_IP FLY_PRIVATE_IP RENDER_INTERNAL_IP)

  test "no other environment variable is read than those that are written down" do
    for path <- Path.wildcard("lib/**/*.ex"),
        [_, name] <- Regex.scan(~r/(?:get|fetch)_env!?\("(\w+)"/, File.read!(path)),
        do: assert(name in @variables, "#{path} reads #{name}")

    guides = Enum.map_join(Path.wildcard("guides/*.md"), &File.read!/1)

    for "DNS_" <> _ = name <- @variables,
        do: assert(guides =~ name, "no guide tells of #{name}")
  end

  test "the README asks for this version" do
    version = Version.parse!(Mix.Project.config()[:version])
    assert @readme =~ ~s({:dns_mesh, "~> #{version.major}.#{version.minor}"})
  end

  test "the README's commands are there to run" do
    for command <- ["bin/demo", "bin/test"] do
      assert @readme =~ command
      assert Bitwise.band(File.stat!(command).mode, 0o111) != 0
    end
  end

  test "every query form of the README is understood" do
    [_, section] = String.split(@readme, "## Queries\n")
    [table | _] = String.split(section, "\n\n`/etc/hosts`")

    for [_, query] <- Regex.scan(~r/^\| `([^`]+)` \|/m, table), query != "DNS_CLUSTER_QUERY" do
      assert %DNSMesh.Config{} = DNSMesh.Config.new!([], query)
    end
  end

  test "every public function has documentation and a spec" do
    for module <-
          [DNSMesh, DNSMesh.Answer, DNSMesh.Await, DNSMesh.Diagnosis, DNSMesh.Directory] ++
            [DNSMesh.Error, DNSMesh.Source, DNSMesh.Status, DNSMesh.Telemetry] do
      {:docs_v1, _, _, _, _, _, docs} = Code.fetch_docs(module)
      {:ok, specs} = Code.Typespec.fetch_specs(module)
      specs = for {{name, arity}, _} <- specs, do: {name, arity}

      for {{:function, name, arity}, _, _, doc, _} <- docs, doc != :hidden, name != :__struct__ do
        assert is_map(doc), "#{inspect(module)}.#{name}/#{arity} has no documentation"
        assert {name, arity} in specs, "#{inspect(module)}.#{name}/#{arity} has no spec"
      end
    end
  end

  test "the guide to the doctor has every verdict, and no other" do
    [_, section] = String.split(File.read!("guides/doctor.md"), "## The verdicts\n")
    rows = for [_, kind] <- Regex.scan(~r/^\| `(\w+)` \|/m, section), do: kind

    assert Enum.sort(rows) ==
             DNSMesh.Doctor.Verdicts.kinds() |> Enum.map(&to_string/1) |> Enum.sort()
  end

  describe "in lib/" do
    test "nothing reads the application environment or the wall clock" do
      for {file, module, function} <- calls() do
        # But OTP's own settings of distribution are read where distribution is.
        refute module == [:Application] and function |> to_string() |> String.ends_with?("env") and
                 file != "lib/dns_mesh/distribution.ex",
               file

        refute function in [:os_time, :system_time, :timestamp, :utc_now, :now!], file
        refute module in [[:DateTime], [:NaiveDateTime]], file
      end
    end

    test "atoms are made in one place" do
      assert for({file, [:String], :to_atom} <- calls(), uniq: true, do: file) ++
               for({file, :erlang, :binary_to_atom} <- calls(), uniq: true, do: file) == [
               "lib/dns_mesh/node_name.ex"
             ]
    end

    test "lines are logged in one place" do
      logs = [:log, :debug, :info, :notice, :warning, :warn, :error]

      assert for({file, [:Logger], function} <- calls(), function in logs, uniq: true, do: file) ==
               ["lib/dns_mesh/telemetry.ex"]
    end

    test "nothing can part two nodes, but the look at another node over a hidden link of its own" do
      for {file, _, function} <- calls(),
          do: refute(function in [:disconnect, :stop, :halt], file)

      assert for({file, _, :disconnect_node} <- calls(), do: file) == ["lib/dns_mesh/members.ex"]
    end

    test "only the resolver and the node names ask the native library" do
      assert Enum.sort(for({file, [:Native], _} <- calls(), uniq: true, do: file)) ==
               ["lib/dns_mesh/node_name.ex", "lib/dns_mesh/resolver.ex"]
    end

    # Every remote call in the sources: {file, module as an alias list or an atom, function}.
    defp calls do
      for file <- Path.wildcard("lib/**/*.ex"), call <- calls(file), do: call
    end

    defp calls(file) do
      {_, calls} =
        file
        |> File.read!()
        |> Code.string_to_quoted!()
        |> Macro.prewalk([], fn
          {{:., _, [{:__aliases__, _, module}, function]}, _, _} = node, calls ->
            {node, [{file, module, function} | calls]}

          {{:., _, [module, function]}, _, _} = node, calls when is_atom(module) ->
            {node, [{file, module, function} | calls]}

          node, calls ->
            {node, calls}
        end)

      calls
    end
  end
end

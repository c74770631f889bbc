defmodule DNSMesh.ReloadTest do
  # Code that is loaded anew in a VM that runs: by hand (l/1, r/1), or by a tool that does so with every module. The library
  # that is in use stays, and so does the process that uses it.
  use ExUnit.Case, async: true

  alias DNSMesh.{Native, Poller}
  alias DNSMesh.Test.{Mesh, ScriptedDNS, TestNode}

  @moduletag :tmp_dir

  # An instance that asks every 100 ms.
  defp running!(opts \\ []) do
    dns = start_supervised!({ScriptedDNS, zone: %{{"app.internal", :a} => ["10.0.0.1"]}})
    a = TestNode.start!(opts)
    pid = Mesh.start!(a, query: "app@app.internal", nameservers: [ScriptedDNS.address(dns)])
    %{a: a, dns: dns, pid: pid}
  end

  defp assert_goes_on(%{a: a, dns: dns, pid: pid}) do
    ScriptedDNS.clear_queries(dns)
    Mesh.await_rounds(a, 3)
    assert Mesh.pid(a) == pid
    assert [_ | _] = ScriptedDNS.queries(dns, "app.internal", :a)
    assert %{queries: [%{error: nil, answer: %{records: [{10, 0, 0, 1}]}}]} = Mesh.status(a)
  end

  defp warnings(a), do: for({:warning, "The on_load" <> _ = text} <- TestNode.logs(a), do: text)

  test "the native module stays, whoever loads it anew and however often, with one line that says so" do
    %{a: a} = mesh = running!()
    TestNode.call(a, Code, :put_compiler_option, [:ignore_module_conflict, true])

    for {module, function, arguments} <- [
          {:code, :load_file, [Native]},
          {:c, :l, [Native]},
          {IEx.Helpers, :l, [Native]},
          {IEx.Helpers, :r, [Native]},
          {:code, :load_file, [Native]}
        ] do
      TestNode.clear_logs(a)
      told = TestNode.call(a, module, function, arguments)
      assert told in [{:error, :on_load_failure}, {:reloaded, [Native]}]
      assert {:warning, _} = TestNode.await_log(a, ~r/is in use and stays as it is/)
      assert [_once] = warnings(a)
      assert TestNode.call(a, Native, :loaded, []) == :ok
      assert TestNode.call(a, Native, :check_name, ["app.internal"]) == :ok
    end

    assert_goes_on(mesh)
  end

  test "a tool that loads every module anew, again and again, ends nothing" do
    %{a: a} = mesh = running!()
    :ok = TestNode.call(a, :application, :load, [:dns_mesh])
    {:ok, modules} = TestNode.call(a, :application, :get_key, [:dns_mesh, :modules])
    # Those of the tests are among them, and run the node.
    modules = Enum.reject(modules, &(inspect(&1) =~ ~r/^DNSMesh\.Test\b/))
    assert Poller in modules and Native in modules

    for _ <- 1..3 do
      for module <- modules do
        # Kills the processes that still run code of before.
        TestNode.call(a, :code, :purge, [module])
        loaded = TestNode.call(a, :code, :load_file, [module])

        assert loaded ==
                 if(module == Native, do: {:error, :on_load_failure}, else: {:module, module})
      end

      assert_goes_on(mesh)
    end
  end

  test "a native module that is unloaded and loaded again gives the instance another handle" do
    %{a: a} = mesh = running!()

    # Mix deletes a module before it compiles it anew, and purges before that.
    for after_deleting <- [:purge, :nothing, :purge, :nothing] do
      TestNode.call(a, :code, :purge, [Native])
      assert TestNode.call(a, :code, :delete, [Native])
      if after_deleting == :purge, do: TestNode.call(a, :code, :purge, [Native])
      # Who calls it first has it loaded, and that may be the instance.
      assert TestNode.call(a, :code, :ensure_loaded, [Native]) == {:module, Native}
      assert_goes_on(mesh)
    end
  end

  test "a library that could not be loaded is, once it is there", %{tmp_dir: dir} do
    app = Path.join(dir, "dns_mesh")
    File.mkdir_p!(app)
    built = Mix.Project.app_path()
    File.cp_r!(Path.join(built, "ebin"), Path.join(app, "ebin"))

    a = TestNode.start!()
    true = TestNode.call(a, :code, :del_path, [String.to_charlist(Path.join(built, "ebin"))])
    true = TestNode.call(a, :code, :add_patha, [String.to_charlist(Path.join(app, "ebin"))])
    assert {:error, {:not_loaded, _}} = TestNode.call(a, DNSMesh, :lookup, ["127.0.0.1"])

    File.cp_r!(Path.join(built, "priv"), Path.join(app, "priv"))
    assert {:module, Native} = TestNode.call(a, :code, :load_file, [Native])
    assert {:ok, _answer} = TestNode.call(a, DNSMesh, :lookup, ["127.0.0.1"])
  end
end

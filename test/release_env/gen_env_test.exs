defmodule Mix.Tasks.DnsMesh.Gen.EnvTest do
  # In a VM for all, the folder and the project on Mix's stack are not this test's own.
  use ExUnit.Case, async: false

  alias DNSMesh.ReleaseEnv
  alias DNSMesh.Test.BuildFolder
  alias Mix.Tasks.DnsMesh.Gen.Env

  @path "rel/env.sh.eex"

  setup do
    folder = BuildFolder.new!()
    shell = Mix.shell()
    Mix.shell(Mix.Shell.Process)
    on_exit(fn -> Mix.shell(shell) end)
    %{folder: folder}
  end

  describe "in a project without the file" do
    test "it is created, and the second time nothing changes", %{folder: folder} do
      assert said(folder, []) == ["* creating rel/env.sh.eex"]
      assert "#!/bin/sh\n\n# >>> dns_mesh >>>" <> _ = text = File.read!(Path.join(folder, @path))
      assert said(folder, []) == ["rel/env.sh.eex is up to date"]
      assert File.read!(Path.join(folder, @path)) == text
    end

    test "--check says that it is missing, and writes nothing", %{folder: folder} do
      assert refused(folder, ["--check"]) == "rel/env.sh.eex is missing: run mix dns_mesh.gen.env"
      refute File.exists?(Path.join(folder, "rel"))
    end
  end

  describe "in a project with a file of its own" do
    for {what, own} <- [
          {"lines", "#!/bin/sh\nexport ECTO_IPV6=true\n"},
          {"no line end", "export A=1"},
          {"several empty lines at its end", "export A=1\n\n\n\n"},
          {"EEx", "export RELEASE_TMP=/run/<%= @release.name %>\n"}
        ] do
      test "#{what} stay, above", %{folder: folder} do
        own = unquote(own)
        BuildFolder.write!(folder, @path, own)
        File.chmod!(Path.join(folder, @path), 0o640)
        assert said(folder, []) == ["* updating rel/env.sh.eex"]

        text = File.read!(Path.join(folder, @path))
        assert text == String.trim_trailing(own) <> "\n\n" <> ReleaseEnv.block()
        assert Bitwise.band(File.stat!(Path.join(folder, @path)).mode, 0o777) == 0o640
        assert said(folder, []) == ["rel/env.sh.eex is up to date"]
        assert said(folder, ["--check"]) == ["rel/env.sh.eex is up to date"]
        assert File.read!(Path.join(folder, @path)) == text
      end
    end

    test "--check says what it lacks, and writes nothing", %{folder: folder} do
      BuildFolder.write!(folder, @path, "export A=1")

      assert refused(folder, ["--check"]) ==
               "rel/env.sh.eex lacks the lines of DNSMesh: run mix dns_mesh.gen.env"

      assert File.read!(Path.join(folder, @path)) == "export A=1"
    end

    test "an empty one gets the lines", %{folder: folder} do
      BuildFolder.write!(folder, @path, "")
      said(folder, [])
      assert File.read!(Path.join(folder, @path)) == ReleaseEnv.block()
    end

    test "a name given by hand is named, for it wins", %{folder: folder} do
      own =
        "# export RELEASE_NODE=x\nexport RELEASE_DISTRIBUTION=name\n  RELEASE_NODE=a@$(hostname -i)\n"

      BuildFolder.write!(folder, @path, own)

      notes = [
        "rel/env.sh.eex sets RELEASE_DISTRIBUTION itself, in line 2, and that wins. Remove the line, and DNSMesh names the node",
        "rel/env.sh.eex sets RELEASE_NODE itself, in line 3, and that wins. Remove the line, and DNSMesh names the node"
      ]

      assert said(folder, []) == ["* updating rel/env.sh.eex" | notes]
      assert said(folder, ["--check"]) == ["rel/env.sh.eex is up to date" | notes]
    end
  end

  describe "in a project with the lines of another version" do
    setup %{folder: folder} do
      old =
        "# >>> dns_mesh >>> written by an older one\nRELEASE_NODE=old\n# <<< dns_mesh <<< end\n"

      BuildFolder.write!(folder, @path, "export A=1\n" <> old <> "export B=2\n")
    end

    test "only these are replaced, where they are", %{folder: folder} do
      assert said(folder, []) == ["* updating rel/env.sh.eex"]

      assert File.read!(Path.join(folder, @path)) ==
               "export A=1\n" <> ReleaseEnv.block() <> "export B=2\n"

      assert said(folder, []) == ["rel/env.sh.eex is up to date"]
    end

    test "--check says so, and writes nothing", %{folder: folder} do
      text = File.read!(Path.join(folder, @path))

      assert refused(folder, ["--check"]) =~
               "rel/env.sh.eex holds the lines of another version of DNSMesh: run"

      assert File.read!(Path.join(folder, @path)) == text
    end
  end

  describe "lines of which a part is gone are not touched:" do
    for {what, text, complaint} <- [
          {"no end", "a\n# >>> dns_mesh >>>\nb\n", "without their end, from line 2 on"},
          {"no beginning", "a\nb\n# <<< dns_mesh <<<\n", "without their beginning, up to line 3"},
          {"end before beginning", "# <<< dns_mesh <<<\n# >>> dns_mesh >>>\n",
           "without their beginning, up to line 1"},
          {"twice",
           "# >>> dns_mesh >>>\n# <<< dns_mesh <<<\n# >>> dns_mesh >>>\n# <<< dns_mesh <<<\n",
           "twice, the second time from line 3 on"}
        ] do
      test what, %{folder: folder} do
        BuildFolder.write!(folder, @path, unquote(text))

        for arguments <- [[], ["--check"]] do
          assert refused(folder, arguments) =~
                   "rel/env.sh.eex has the lines of DNSMesh " <> unquote(complaint)

          assert File.read!(Path.join(folder, @path)) == unquote(text)
        end
      end
    end
  end

  test "every release's own folder of templates gets one; none is written when one is broken", %{
    folder: folder
  } do
    releases = [
      a: [],
      b: [rel_templates_path: "rel/b"],
      c: [rel_templates_path: "rel/b"],
      d: fn -> [] end
    ]

    BuildFolder.write!(folder, "rel/b/env.sh.eex", "# >>> dns_mesh >>>")
    assert refused(folder, [], releases: releases) =~ "rel/b/env.sh.eex has the lines"
    refute File.exists?(Path.join(folder, @path))

    File.rm!(Path.join(folder, "rel/b/env.sh.eex"))

    assert refused(folder, ["--check"], releases: releases) =~
             ~r{\Arel/env.sh.eex is missing.*\nrel/b/env.sh.eex is missing}

    assert said(folder, [], releases: releases) == [
             "* creating rel/env.sh.eex",
             "* creating rel/b/env.sh.eex"
           ]
  end

  test "outside of a project it says where to run it", %{folder: folder} do
    outside =
      "mix dns_mesh.gen.env writes into a Mix project: run it in the folder that holds mix.exs"

    # This project's, loaded, but not in its folder.
    assert_raise Mix.Error, outside, fn -> File.cd!(folder, fn -> Env.run([]) end) end

    expression = "Mix.start(); Mix.Tasks.DnsMesh.Gen.Env.run([])"
    ebin = Application.app_dir(:dns_mesh, "ebin")
    {output, 1} = BuildFolder.run(folder, "elixir", ["-pa", ebin, "-e", expression], [])
    assert output =~ outside
    assert File.ls!(folder) == []
  end

  test "a file that cannot be read, or written, is named with the reason", %{folder: folder} do
    File.mkdir_p!(Path.join(folder, @path))
    assert refused(folder, []) == "cannot read rel/env.sh.eex: illegal operation on a directory"

    File.rm_rf!(Path.join(folder, "rel"))
    File.write!(Path.join(folder, "rel"), "")
    assert refused(folder, []) =~ ~r"\Acannot (read|write) rel/env.sh.eex: "

    File.rm!(Path.join(folder, "rel"))
    File.ln_s!("/proc/nowhere", Path.join(folder, "rel"))
    assert refused(folder, []) =~ ~r"\Acannot write rel/env.sh.eex: "
  end

  test "other arguments are refused", %{folder: folder} do
    for arguments <- [["--chekc"], ["rel"], ["--check=x"]] do
      assert refused(folder, arguments) =~
               "expected mix dns_mesh.gen.env, or mix dns_mesh.gen.env --check, got: "
    end

    refute File.exists?(Path.join(folder, "rel"))
  end

  # As `mix` in that folder would: what it printed.
  defp said(folder, arguments, config \\ []) do
    in_project(folder, config, fn -> assert :ok = Env.run(arguments) end)
    printed()
  end

  # It ends with status 1, and with this after "** (Mix) ".
  defp refused(folder, arguments, config \\ []) do
    error =
      in_project(folder, config, fn -> assert_raise Mix.Error, fn -> Env.run(arguments) end end)

    assert error.mix == 1
    assert printed() == []
    error.message
  end

  # Mix keeps a project it has loaded by its app.
  defp in_project(folder, config, fun) do
    app = :"shop_#{System.unique_integer([:positive])}"
    module = app |> Atom.to_string() |> Macro.camelize()

    BuildFolder.write!(
      folder,
      "mix.exs",
      "defmodule #{module}.MixProject do\n  use Mix.Project\n  def project, do: [app: #{inspect(app)}]\nend\n"
    )

    Mix.Project.in_project(app, folder, config, fn _module -> fun.() end)
  end

  defp printed do
    receive do
      # Mix says which project's output follows.
      {:mix_shell, :info, ["==> " <> _]} -> printed()
      {:mix_shell, :info, [text]} -> [String.replace(text, ~r/\e\[[0-9;]*m/, "") | printed()]
    after
      0 -> []
    end
  end
end

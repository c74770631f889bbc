defmodule DNSMesh.Build.LoadingTest do
  # The native library is found from where its own module was loaded, whatever the folders are called and however the
  # module came into the VM. In releases: release_test.exs.
  use ExUnit.Case, async: false

  import DNSMesh.Test.BuildFolder, only: [run: 4, write!: 3]

  alias DNSMesh.Test.BuildFolder

  # Blanks, and characters outside of ASCII and of Latin-1.
  @odd "mëin prøjekt ☂"

  @look_up ~S|IO.inspect(DNSMesh.lookup("127.0.0.1", type: :a), charlists: :as_lists)|
  @found "records: [{127, 0, 0, 1}]"

  # What an application's folder in _build holds.
  defp app!(app) do
    File.mkdir_p!(app)
    built = Mix.Project.app_path()
    for name <- ~w(ebin priv), do: File.cp_r!(Path.join(built, name), Path.join(app, name))
    app
  end

  # This checkout as Git would give it to somebody, under any name.
  defp clone!(to) do
    File.mkdir_p!(to)

    for name <- ~w(lib mix native config mix.exs Cargo.toml Cargo.lock .formatter.exs),
        do: File.cp_r!(Path.join(BuildFolder.checkout(), name), Path.join(to, name))

    to
  end

  # As built: what is built, cargo_compiler_test.exs tells.
  defp mix_run(place) do
    arguments = ~w(run --no-start --no-compile --no-deps-check -e) ++ [@look_up]
    run(place, "mix", arguments, [{"MIX_ENV", "test"}])
  end

  test "in a checkout that is called dns_mesh, in a folder with blanks and other letters" do
    checkout = clone!(Path.join([BuildFolder.new!(), @odd, "dns_mesh"]))
    app!(Path.join(checkout, "_build/test/lib/dns_mesh"))
    {output, status} = mix_run(checkout)
    assert status == 0, output
    assert output =~ @found, output

    # What a VM of its own is given that a test starts: all of the code path, in which the checkout stands first.
    arguments = ["-pa", "_build/test/lib/dns_mesh/ebin", "-pa", checkout, "-e", @look_up]
    {output, status} = run(checkout, "elixir", arguments, [])
    assert status == 0, output
    assert output =~ @found, output
  end

  test "as a Git dependency, in an umbrella that is itself called dns_mesh" do
    folder = BuildFolder.new!()
    git = clone!(Path.join(folder, "origin"))

    for arguments <- [
          ~w(init --quiet),
          ~w(add --all),
          ~w(-c user.name=t -c user.email=t@example.com commit --quiet -m clone)
        ],
        do: assert({_, 0} = run(git, "git", arguments, []))

    umbrella = Path.join(folder, "dns_mesh")

    write!(umbrella, "mix.exs", """
    defmodule Umbrella.MixProject do
      use Mix.Project
      def project, do: [apps_path: "apps", version: "1.0.0", deps: []]
    end
    """)

    write!(umbrella, "apps/shop/mix.exs", """
    defmodule Shop.MixProject do
      use Mix.Project

      def project do
        [
          app: :shop,
          version: "1.0.0",
          build_path: "../../_build",
          deps_path: "../../deps",
          lockfile: "../../mix.lock",
          deps: [{:dns_mesh, git: #{inspect("file://" <> git)}}]
        ]
      end
    end
    """)

    assert {_, 0} = run(umbrella, "mix", ["deps.get"], [{"MIX_ENV", "test"}])
    app!(Path.join(umbrella, "_build/test/lib/dns_mesh"))
    # Where Git has put it is called dns_mesh too.
    assert File.dir?(Path.join(umbrella, "deps/dns_mesh/lib"))

    for place <- [umbrella, Path.join(umbrella, "apps/shop")] do
      {output, status} = mix_run(place)
      assert status == 0, output
      assert output =~ @found, output
    end
  end

  describe "by elixir -pa" do
    setup do
      # The current folder is in the code path, and called as the application is.
      folder = Path.join([BuildFolder.new!(), @odd, "dns_mesh"])
      File.mkdir_p!(folder)
      %{folder: folder, app: app!(Path.join(folder, "app"))}
    end

    test "ebin, from anywhere: its path absolute, relative, or no more than a dot", context do
      for {place, ebin} <- [
            {context.folder, Path.join(context.app, "ebin")},
            {context.folder, "app/ebin"},
            {context.folder, "./app/../app/ebin/"},
            {context.app, "ebin"},
            {Path.join(context.app, "ebin"), "."},
            {Path.join(context.app, "priv"), "../ebin"}
          ] do
        {output, status} = run(place, "elixir", ["-pa", ebin, "-e", @look_up], [])
        assert {ebin, status} == {ebin, 0}, output
        assert output =~ @found, output
      end
    end

    test "whatever file names are taken for", context do
      ebin = Path.join(context.app, "ebin")

      for {flag, locale} <- [{"+fnu", "C"}, {"+fnl", "C.UTF-8"}, {"", "C.UTF-8"}, {"", "C"}] do
        environment = [{"ELIXIR_ERL_OPTIONS", flag}, {"LC_ALL", locale}]

        {output, status} =
          run(context.folder, "elixir", ["-pa", ebin, "-e", @look_up], environment)

        assert {flag, locale, status} == {flag, locale, 0}, output
        assert output =~ @found, output
      end
    end

    test "and one that is not there is named as the file system has it", context do
      File.rm!(Path.join(context.app, "priv/native/libdns_mesh_nif.so"))
      script = ~S|{:error, {:not_loaded, text}} = DNSMesh.lookup("127.0.0.1"); IO.puts(text)|

      for flag <- ["+fnu", "+fnl"] do
        environment = [{"ELIXIR_ERL_OPTIONS", flag}]
        arguments = ["-pa", Path.join(context.app, "ebin"), "-e", script]
        {output, 0} = run(context.folder, "elixir", arguments, environment)
        path = Path.join(context.app, "priv/native/libdns_mesh_nif.so")
        assert output =~ "#{path}: it is not there"
        assert output =~ "'#{path}: cannot open shared object file"
      end
    end

    test "loaded by Cover, from memory, and before the application is in the path", context do
      ebin = Path.join(context.app, "ebin")
      beam = Path.join(ebin, "Elixir.DNSMesh.Native.beam")

      for load <- [
            ~s|{:ok, _} = :cover.compile_beam(DNSMesh.Native); :cover_compiled = :code.which(DNSMesh.Native)|,
            ~s|{:module, _} = :code.load_binary(DNSMesh.Native, ~c"", File.read!(#{inspect(beam)}))|,
            ~s|{:module, _} = :code.load_file(DNSMesh.Native)|,
            ~s|{:module, _} = :code.ensure_loaded(DNSMesh.Native)|
          ] do
        script = load <> "\n" <> @look_up
        {output, status} = run(context.folder, "elixir", ["-pa", ebin, "-e", script], [])
        assert {load, status} == {load, 0}, output
        assert output =~ @found, output
      end
    end
  end
end

defmodule DNSMesh.ReleaseEnv.EnvShTest do
  # The generated env.sh, in every shell there is here, inside a copy of the release's script.
  use ExUnit.Case, async: true

  alias DNSMesh.ReleaseEnv
  alias DNSMesh.Test.{BuildFolder, ReleaseShell}

  @starts ~w(start start_iex daemon daemon_iex)
  @clients ~w(remote rpc restart stop pid)
  @others ["version", "", "strat", "install"]

  @query {"DNS_CLUSTER_QUERY", "app.internal"}
  @found [@query, {"HELPER_SAYS", "shop@10.0.0.5"}]
  @down [
    @query,
    {"HELPER_COMPLAINS", "dns_mesh: no servers\\ndns_mesh: try --address\\n"},
    {"HELPER_STATUS", "1"}
  ]

  for {name, shell} <- ReleaseShell.shells() do
    describe name do
      setup do: %{release: ReleaseShell.new!(unquote(shell))}

      test "parses it", %{release: release} do
        [program | arguments] = release.shell
        file = Path.join(release.root, "releases/1.0.0/env.sh")
        assert {"", 0} = System.cmd(program, arguments ++ ["-n", file], stderr_to_stdout: true)
      end

      test "start and daemon take the name that DNS gives; the others read it when DNS is down",
           %{release: release} do
        for start <- @starts do
          ran = ReleaseShell.run(release, start, @found)

          assert %{distribution: "name", node: "shop@10.0.0.5", said: "", calls: ["node-name"]} =
                   ran

          assert ran.left_behind == []
          refute Map.has_key?(ran.env, "ERL_AFLAGS")
          assert [{_, "shop@10.0.0.5"}] = ReleaseShell.name_files(release)

          for client <- @clients, environment <- [@down, []] do
            assert %{
                     distribution: "name",
                     node: "shop@10.0.0.5",
                     said: "",
                     calls: [],
                     left_behind: []
                   } = ReleaseShell.run(release, [client, "1 + 1"], environment)
          end
        end
      end

      test "eval knows the running node's name, and asks nobody", %{release: release} do
        assert %{distribution: "sname", node: "shop", calls: []} =
                 ReleaseShell.run(release, ["eval", "1"], @found)

        ReleaseShell.run(release, "start", @found)

        assert %{node: "shop@10.0.0.5", calls: [], said: ""} =
                 ReleaseShell.run(release, ["eval", "1"], @down)
      end

      test "version, no command and a wrong one ask nobody and change nothing", %{
        release: release
      } do
        ReleaseShell.run(release, "start", @found)

        for other <- @others do
          assert %{distribution: "sname", node: "shop", calls: [], said: ""} =
                   ReleaseShell.run(release, other, @found)
        end
      end

      test "without a query nothing changes", %{release: release} do
        for command <- @starts ++ @clients ++ ["eval"],
            query <- [[], [{"DNS_CLUSTER_QUERY", " , "}]] do
          ran = ReleaseShell.run(release, command, [{"HELPER_SAYS", "shop@10.0.0.5"} | query])

          assert %{distribution: "sname", node: "shop", calls: [], said: "", left_behind: []} =
                   ran

          refute Map.has_key?(ran.env, "DNS_MESH_NAME_FILE")
        end

        assert ReleaseShell.name_files(release) == []
      end

      test "what the operator says wins", %{release: release} do
        ReleaseShell.run(release, "start", @found)

        for command <- @starts ++ @clients ++ ["eval"],
            {given, distribution, node} <- [
              {[{"RELEASE_NODE", "a@10.9.9.9"}, {"RELEASE_DISTRIBUTION", "name"}], "name",
               "a@10.9.9.9"},
              {[{"RELEASE_NODE", "a"}], "sname", "a"},
              {[{"RELEASE_NODE", "a@b"}, {"RELEASE_DISTRIBUTION", "sname"}], "sname", "a@b"},
              {[{"RELEASE_NODE", "a@b"}, {"RELEASE_DISTRIBUTION", "none"}], "none", "a@b"},
              {[{"RELEASE_DISTRIBUTION", "sname"}], "sname", "shop"}
            ] do
          assert %{distribution: ^distribution, node: ^node, calls: [], said: "", left_behind: []} =
                   ReleaseShell.run(release, command, @found ++ given)
        end

        # And the lines above the block are the operator's as well.
        ReleaseShell.put_env(
          release,
          "export RELEASE_DISTRIBUTION=name\nexport RELEASE_NODE=own@10.1.1.1\n"
        )

        assert %{node: "own@10.1.1.1", calls: []} = ReleaseShell.run(release, "start", @found)
      end

      test "RELEASE_DISTRIBUTION=name alone asks for a name", %{release: release} do
        given = [{"RELEASE_DISTRIBUTION", "name"}]
        assert %{node: "shop@10.0.0.5"} = ReleaseShell.run(release, "start", @found ++ given)

        assert %{node: "shop@10.0.0.5", calls: []} =
                 ReleaseShell.run(release, "stop", @down ++ given)
      end

      test "a node named by hand makes the name of the last start void", %{release: release} do
        by_hand = [{"RELEASE_NODE", "a@b"}, {"RELEASE_DISTRIBUTION", "name"}]
        ReleaseShell.run(release, "start", @found)
        # heart starts it again with the environment of the VM.
        same = [{"RELEASE_NODE", "shop@10.0.0.5"}, {"RELEASE_DISTRIBUTION", "name"}]
        ReleaseShell.run(release, "start", @found ++ same)
        assert %{node: "shop@10.0.0.5"} = ReleaseShell.run(release, "stop", @down)

        %{env: env} = ReleaseShell.run(release, "start", @found ++ by_hand)
        assert [{path, "a@b"}] = ReleaseShell.name_files(release)
        assert env["DNS_MESH_NAME_FILE"] == path
        assert %{node: "a@b", distribution: "name"} = ReleaseShell.run(release, "stop", @down)
        ReleaseShell.run(release, "start", [{"RELEASE_DISTRIBUTION", "sname"} | @found])
        assert %{node: "shop", distribution: "sname"} = ReleaseShell.run(release, "stop", @down)

        ReleaseShell.run(release, "start", @found)
        ReleaseShell.run(release, "start", [])
        assert %{node: "shop", distribution: "sname"} = ReleaseShell.run(release, "stop", @down)
      end

      test "no name at start: without distribution, with a file for the name it takes later", %{
        release: release
      } do
        ReleaseShell.run(release, "start", @found)

        for given <- [[], [{"RELEASE_DISTRIBUTION", "name"}]] do
          ran = ReleaseShell.run(release, "start", @down ++ given)

          assert %{distribution: "none", node: "shop", calls: ["node-name"], left_behind: []} =
                   ran

          assert ran.said ==
                   "dns_mesh: no node name yet (no servers; try DNS_MESH_ADDRESS): " <>
                     "starting without distribution, DNSMesh takes a name once it can\n"

          # The name of the start before is void.
          assert [{path, ""}] = ReleaseShell.name_files(release)
          assert ran.env["DNS_MESH_NAME_FILE"] == path

          for client <- @clients, environment <- [@found, @down, []] do
            ran = ReleaseShell.run(release, client, environment)
            assert %{status: 1, calls: []} = ran

            assert ran.said =~
                     ~r/\Adns_mesh: the node was started from here, and has no name yet, .* kill \d+\n\z/
          end

          File.write!(path, "shop@10.0.0.7\n")

          assert %{distribution: "name", node: "shop@10.0.0.7", calls: []} =
                   ReleaseShell.run(release, "stop", @down)
        end
      end

      test "no name known, and no DNS: a command ends at once, and says so", %{release: release} do
        for client <- @clients do
          ran = ReleaseShell.run(release, client, @down)
          assert %{status: 1, node: nil, calls: ["node-name --timeout 400"]} = ran

          assert ran.said ==
                   "dns_mesh: the running node's name is not known (no servers; try DNS_MESH_ADDRESS). " <>
                     "Set RELEASE_DISTRIBUTION=name and RELEASE_NODE\n"
        end
      end

      test "two basenames from one folder: each command finds its own", %{release: release} do
        web = &{"DNS_MESH_BASENAME", "web#{&1}"}
        found = &[@query, {"HELPER_SAYS", &1}]
        ReleaseShell.run(release, "start", [web.(1) | found.("web1@10.0.0.5")])

        # The only one, and another than is asked for.
        assert %{
                 status: 1,
                 said: "dns_mesh: which node? From here were started: web1@10.0.0.5." <> _
               } = ReleaseShell.run(release, "stop", @found)

        ReleaseShell.beside(release, "daemon", [web.(2) | found.("web2@10.0.0.5")])

        for client <- @clients, n <- [1, 2] do
          node = "web#{n}@10.0.0.5"
          assert %{node: ^node, calls: []} = ReleaseShell.run(release, client, [web.(n) | @down])
        end

        # Which one, if none is named? DNS would lead to any of them, or to neither.
        for client <- @clients, given <- [[], [web.(3)]] do
          assert %{status: 1, calls: [], said: said} =
                   ReleaseShell.run(release, client, given ++ @found)

          assert said ==
                   "dns_mesh: which node? From here were started: web1@10.0.0.5, web2@10.0.0.5. Give the command the " <>
                     "DNS_MESH_BASENAME and DNS_MESH_ADDRESS of its start, or RELEASE_DISTRIBUTION=name and RELEASE_NODE\n"
        end

        ReleaseShell.beside(release, "start", @found)
        assert %{node: "shop@10.0.0.5"} = ReleaseShell.run(release, "stop", @down)
        assert %{node: "web1@10.0.0.5"} = ReleaseShell.run(release, "stop", [web.(1) | @down])
      end

      test "two addresses of one basename: each command finds its own, and the only one", %{
        release: release
      } do
        at = &{"DNS_MESH_ADDRESS", "10.0.0.#{&1}"}
        found = &[at.(&1), @query, {"HELPER_SAYS", "shop@10.0.0.#{&1}"}]
        ReleaseShell.run(release, "start", found.(5))
        # What a unit file sets is not set in every shell.
        assert %{node: "shop@10.0.0.5", calls: []} = ReleaseShell.run(release, "stop", @down)
        ReleaseShell.beside(release, "start", found.(6))

        for n <- [5, 6] do
          node = "shop@10.0.0.#{n}"
          assert %{node: ^node, calls: []} = ReleaseShell.run(release, "stop", [at.(n) | @down])
        end

        for given <- [[], [at.(7)]] do
          assert %{status: 1, said: "dns_mesh: which node? " <> listed} =
                   ReleaseShell.run(release, "stop", given ++ @found)

          assert listed =~ "shop@10.0.0.5"
          assert listed =~ "shop@10.0.0.6"
        end
      end

      test "a dead node's name stops nobody else", %{release: release} do
        ReleaseShell.run(release, "start", @found)
        ReleaseShell.stop(release)

        for client <- @clients, environment <- [@found, @down, []] do
          assert %{status: 1, calls: [], said: said} =
                   ReleaseShell.run(release, client, environment)

          assert said =~
                   ~r/\Adns_mesh: shop@10\.0\.0\.5 was started from here, and no longer runs \(process \d+ has ended\)\. If another/
        end

        assert %{node: "shop", distribution: "sname"} =
                 ReleaseShell.run(release, ["eval", "1"], @found)

        # As the message says.
        by_hand = [{"RELEASE_DISTRIBUTION", "name"}, {"RELEASE_NODE", "shop@10.0.0.5"}]
        assert %{node: "shop@10.0.0.5"} = ReleaseShell.run(release, "stop", by_hand)

        # The next start is another process.
        ReleaseShell.run(release, "start", [@query, {"HELPER_SAYS", "shop@10.0.0.6"}])
        assert %{node: "shop@10.0.0.6"} = ReleaseShell.run(release, "stop", @down)
      end

      test "a node that ended before it had a name is said to have ended", %{release: release} do
        ReleaseShell.run(release, "start", @down)
        ReleaseShell.stop(release)

        assert %{status: 1, calls: [], said: said} = ReleaseShell.run(release, "stop", @found)
        assert said =~ "a node without a name yet was started from here, and no longer runs"
      end

      test "whose the file is: what is known of the process, and what is not", %{release: release} do
        ReleaseShell.run(release, "start", @found)
        [{path, name}] = ReleaseShell.name_files(release)
        [pid, began, boot, space] = path |> File.read!() |> String.split() |> tl()

        for {owner, status} <- [
              {[pid, began, boot, space], 0},
              # The pid is another process's now.
              {[pid, "1", boot, space], 1},
              {["1", began, boot, space], 1},
              # Before the machine, or the other host that shares the volume, was booted.
              {[pid, began, "00000000-0000-0000-0000-000000000000", space], 1},
              # In another container, whose processes nobody here can see.
              {[pid, "1", boot, "4026530000"], 0},
              # Without /proc, or of a daemon that has not come so far; and what is no such line.
              {[], 0},
              {["$(reboot)", "1", boot, space], 0},
              {["*", "1", boot, space], 0}
            ] do
          File.write!(path, Enum.join([name, Enum.join(owner, " "), ""], "\n"))
          assert %{status: ^status, calls: []} = ReleaseShell.run(release, "stop", @down)
        end
      end

      test "started twice: the second has not taken the name of the first", %{release: release} do
        ReleaseShell.run(release, "start", @found)
        [{path, _}] = ReleaseShell.name_files(release)
        first = File.read!(path)

        # It ends, or waits for a name; the first runs on.
        for second <- [@found, @down, [{"RELEASE_DISTRIBUTION", "none"} | @found]] do
          assert %{env: %{"DNS_MESH_NAME_FILE" => ^path}} =
                   ReleaseShell.beside(release, "start", second)

          assert File.read!(path) == first
          assert %{node: "shop@10.0.0.5"} = ReleaseShell.run(release, "stop", @down)
        end

        # Under another name they both run.
        ReleaseShell.beside(release, "start", [@query, {"HELPER_SAYS", "shop@10.0.0.6"}])
        assert %{node: "shop@10.0.0.6"} = ReleaseShell.run(release, "stop", @down)
      end

      test "blue and green: each folder has its own, and one without a name does not stop the other",
           %{release: blue} do
        green = ReleaseShell.new!(blue.shell)
        ReleaseShell.run(blue, "start", @found)
        # The name is taken, so it gets none.
        ReleaseShell.run(green, "start", @down)
        assert %{status: 1, calls: [], said: said} = ReleaseShell.run(green, "stop", @found)
        assert said =~ "has no name yet"

        ReleaseShell.stop(green)
        assert %{status: 1, calls: []} = ReleaseShell.run(green, "stop", @found)
        assert %{node: "shop@10.0.0.5", calls: []} = ReleaseShell.run(blue, "stop", @down)
      end

      test "of a VM that this is run by, only a file of the operator's counts", %{
        release: release
      } do
        other = ReleaseShell.new!(release.shell)
        %{env: env} = ReleaseShell.run(other, "start", @found)
        inherited = {"DNS_MESH_NAME_FILE", env["DNS_MESH_NAME_FILE"]}

        ReleaseShell.run(release, "start", [inherited, @query, {"HELPER_SAYS", "shop@10.0.0.6"}])
        assert %{node: "shop@10.0.0.5"} = ReleaseShell.run(other, "stop", @down)

        assert %{node: "shop@10.0.0.6"} = ReleaseShell.run(release, "stop", [inherited | @down])
      end

      test "one DNS_MESH_NAME_FILE for two basenames is found out", %{release: release} do
        web = &{"DNS_MESH_BASENAME", "web#{&1}"}
        file = {"DNS_MESH_NAME_FILE", Path.join(release.tmp, "name")}
        found = &[web.(&1), file, @query, {"HELPER_SAYS", "web#{&1}@10.0.0.5"}]
        ReleaseShell.run(release, "start", found.(1))
        ReleaseShell.beside(release, "start", found.(2))

        assert %{status: 1, calls: [], said: said} =
                 ReleaseShell.run(release, "stop", [web.(1), file | @down])

        assert said =~ "holds web2@10.0.0.5, the name of another node than DNS_MESH_BASENAME=web1"

        assert %{node: "web2@10.0.0.5"} =
                 ReleaseShell.run(release, "stop", [web.(2), file | @down])
      end

      test "a basename or address that makes no sense is said, and no other name taken for it", %{
        release: release
      } do
        ReleaseShell.run(release, "start", @found)

        for {variable, value, option} <- [
              {"DNS_MESH_BASENAME", "web 1", "--basename"},
              {"DNS_MESH_BASENAME", "../web", "--basename"},
              {"DNS_MESH_BASENAME", "wéb", "--basename"},
              {"DNS_MESH_ADDRESS", "10.0.0", "--address"}
            ] do
          bad = [
            {variable, value},
            {"HELPER_COMPLAINS", "dns_mesh: #{option}: no good\\nTry: dns_mesh --help\\n"},
            {"HELPER_STATUS", "2"}
          ]

          for client <- @clients, environment <- [[@query], []] do
            ran = ReleaseShell.run(release, client, environment ++ bad)
            assert %{status: 1, calls: ["node-name --timeout 400 " <> _]} = ran

            assert ran.said ==
                     "dns_mesh: the running node's name is not known (#{variable}: no good). " <>
                       "Set RELEASE_DISTRIBUTION=name and RELEASE_NODE\n"
          end

          ran = ReleaseShell.beside(release, "start", [@query | bad])
          assert %{distribution: "none", left_behind: []} = ran
          assert ran.said =~ "no node name (#{variable}: no good): starting without distribution"
        end

        assert %{node: "shop@10.0.0.5"} = ReleaseShell.run(release, "stop", @down)
      end

      test "only what the program prints on stdout is the name", %{release: release} do
        noise = "ERROR: ld.so: object '/nowhere/x.so' from LD_PRELOAD cannot be preloaded\\n"

        for command <- ["start", "daemon", "rpc"] do
          given = [{"HELPER_COMPLAINS", noise} | @found]
          assert %{node: "shop@10.0.0.5", said: ""} = ReleaseShell.run(release, command, given)
          for {path, _} <- ReleaseShell.name_files(release), do: File.rm!(path)
        end

        # Where it fails, its own sentence is told, without the noise.
        noisy = [
          @query,
          {"HELPER_COMPLAINS", noise <> "dns_mesh: no servers\\n"},
          {"HELPER_STATUS", "1"}
        ]

        assert ReleaseShell.run(release, "start", noisy).said =~ "yet (no servers): starting"

        # Unless it is the loader's.
        broken = [
          @query,
          {"HELPER_COMPLAINS", "libc.so.6: not found\\n"},
          {"HELPER_STATUS", "127"}
        ]

        assert ReleaseShell.run(release, "start", broken).said =~ "yet (libc.so.6: not found): "
      end

      test "RELEASE_DISTRIBUTION=none: named at run time, and the other commands know", %{
        release: release
      } do
        none = {"RELEASE_DISTRIBUTION", "none"}
        # As a VM started that way hands it on to what it runs.
        inherited = [none, {"RELEASE_NODE", "shop"}]

        for given <- [[none], inherited] do
          ran = ReleaseShell.run(release, "start", @found ++ given)
          assert %{distribution: "none", said: "", calls: []} = ran
          File.write!(ran.env["DNS_MESH_NAME_FILE"], "shop@10.0.0.8\n")

          assert %{distribution: "name", node: "shop@10.0.0.8"} =
                   ReleaseShell.run(release, "rpc", @down ++ given)

          assert %{distribution: "none", node: "shop"} =
                   ReleaseShell.run(release, "eval", @down ++ given)
        end
      end

      test "an IPv6 name brings its carrier along", %{release: release} do
        found = [@query, {"HELPER_SAYS", "shop@fdaa::5"}]

        for command <- ["start", "stop"] do
          ran = ReleaseShell.run(release, command, found)
          assert %{distribution: "name", node: "shop@fdaa::5"} = ran
          assert ran.env["ERL_AFLAGS"] == "-proto_dist inet6_tcp"

          ran = ReleaseShell.run(release, command, [{"ERL_AFLAGS", "-kernel a b"} | found])
          assert ran.env["ERL_AFLAGS"] == "-kernel a b -proto_dist inet6_tcp"

          for variable <- ~w(ERL_AFLAGS ERL_FLAGS ERL_ZFLAGS ELIXIR_ERL_OPTIONS) do
            given = {variable, "+K true -proto_dist  inet6_tls -x"}
            ran = ReleaseShell.run(release, command, [given | found])
            assert ran.env[variable] == elem(given, 1)
            assert variable == "ERL_AFLAGS" or not Map.has_key?(ran.env, "ERL_AFLAGS")
          end
        end

        assert %{env: env} = ReleaseShell.run(release, "eval", found)
        refute Map.has_key?(env, "ERL_AFLAGS")
      end

      test "a carrier in vm.args is seen, one for each file", %{release: release} do
        found = [@query, {"HELPER_SAYS", "shop@fdaa::5"}]

        BuildFolder.write!(
          release.root,
          "releases/1.0.0/vm.args",
          "+K true\n+P 9 -proto_dist inet6_tcp # v6\n"
        )

        ran = ReleaseShell.run(release, "start", found)
        assert ran.calls == ["node-name --family 6"]
        refute Map.has_key?(ran.env, "ERL_AFLAGS")

        assert %{env: %{"ERL_AFLAGS" => "-proto_dist inet6_tcp"}} =
                 ReleaseShell.run(release, "rpc", found)

        ran = ReleaseShell.run(release, "start", [{"ERL_FLAGS", "-proto_dist inet_tls"} | @found])
        assert ran.calls == ["node-name --family 4"]

        own = Path.join(release.root, "own.args")
        File.write!(own, "-proto_dist inet6_tls")
        ran = ReleaseShell.run(release, "start", [{"RELEASE_VM_ARGS", own} | found])
        refute Map.has_key?(ran.env, "ERL_AFLAGS")
      end

      test "address and basename are handed on", %{release: release} do
        given = [{"DNS_MESH_ADDRESS", "interface:eth 1"}, {"DNS_MESH_BASENAME", "web"}]

        assert %{calls: ["node-name --address interface:eth 1 --basename web"]} =
                 ReleaseShell.run(release, "start", @found ++ given)
      end

      test "an unwritable folder: the name is in a private one beside it", %{release: release} do
        # Root, too, cannot make a folder in a file.
        File.write!(Path.join(release.root, "tmp"), "")
        assert %{node: "shop@10.0.0.5", said: ""} = ReleaseShell.run(release, "start", @found)
        assert [{path, "shop@10.0.0.5"}] = ReleaseShell.name_files(release)
        private = Path.dirname(path)
        assert Path.dirname(private) == release.tmp
        assert Bitwise.band(File.stat!(private).mode, 0o777) == 0o700
        assert %{node: "shop@10.0.0.5", calls: []} = ReleaseShell.run(release, "stop", @down)
      end

      test "somebody else's folder in its place is left alone", %{release: release} do
        File.write!(Path.join(release.root, "tmp"), "")
        private = private(release)
        theirs = Path.join(release.tmp, "theirs")
        File.mkdir_p!(theirs)
        File.ln_s!(theirs, private)
        assert %{node: "shop@10.0.0.5", said: ""} = ReleaseShell.run(release, "start", @found)
        assert File.ls!(theirs) == []

        File.rm!(private)
        File.mkdir!(private)
        # Only root can give a folder away; nobody else can be robbed by this test.
        with :ok <- File.chown(private, 65_534) do
          assert %{node: "shop@10.0.0.5", said: ""} = ReleaseShell.run(release, "start", @found)
          assert File.ls!(private) == []
        end
      end

      test "containers that share the folder have a file each", %{release: release} do
        bin = Path.join(release.tmp, "bin")

        on = fn host ->
          BuildFolder.write!(bin, "uname", "#!/bin/sh\necho #{host}\n")
          File.chmod!(Path.join(bin, "uname"), 0o755)
          {"PATH", "#{bin}:#{System.fetch_env!("PATH")}"}
        end

        ReleaseShell.run(release, "start", [on.("c1"), @query, {"HELPER_SAYS", "shop@10.0.0.1"}])

        ReleaseShell.beside(release, "start", [
          on.("c2"),
          @query,
          {"HELPER_SAYS", "shop@10.0.0.2"}
        ])

        assert %{node: "shop@10.0.0.1"} = ReleaseShell.run(release, "stop", [on.("c1") | @down])
        assert %{node: "shop@10.0.0.2"} = ReleaseShell.run(release, "stop", [on.("c2") | @down])
      end

      @tag :netns
      test "containers of one host name that share the folder have a file each", %{
        release: release
      } do
        # Each run has a network of its own.
        alone = %{release | shell: ["unshare", "-n" | release.shell]}
        ReleaseShell.run(alone, "start", @found)

        assert %{node: "shop@10.0.0.6", calls: ["node-name" <> _]} =
                 ReleaseShell.run(alone, "stop", [@query, {"HELPER_SAYS", "shop@10.0.0.6"}])
      end

      test "nowhere to write: DNS is asked again, and nothing fails", %{release: release} do
        File.write!(Path.join(release.root, "tmp"), "")
        nowhere = [{"TMPDIR", "/dev/null"}]

        for command <- ["start", "rpc", "stop"] do
          assert %{node: "shop@10.0.0.5", calls: ["node-name" <> _], said: ""} =
                   ReleaseShell.run(release, command, @found ++ nowhere)
        end

        ran = ReleaseShell.run(release, "start", @down ++ nowhere)
        assert ran.distribution == "none"
        refute Map.has_key?(ran.env, "DNS_MESH_NAME_FILE")
      end

      test "a name that can no longer be removed gives way to the newer one", %{release: release} do
        ReleaseShell.run(release, "start", @found)
        [{old, _}] = ReleaseShell.name_files(release)
        File.touch!(old, System.os_time(:second) - 60)

        # mv cannot put a file in the place of a folder's; what is left to be read is the old name.
        private = private(release)
        File.mkdir_p!(private)
        File.write!(Path.join(private, Path.basename(old)), "shop@10.0.0.6\n")
        assert %{node: "shop@10.0.0.6"} = ReleaseShell.run(release, "stop", @down)
        File.touch!(old, System.os_time(:second) + 60)
        assert %{node: "shop@10.0.0.5"} = ReleaseShell.run(release, "stop", @down)
      end

      test "RELEASE_TMP and DNS_MESH_NAME_FILE say where", %{release: release} do
        tmp = Path.join(release.tmp, "of its own")
        ReleaseShell.run(release, "start", [{"RELEASE_TMP", tmp} | @found])
        assert [{path, "shop@10.0.0.5"}] = ReleaseShell.name_files(release)
        assert Path.dirname(path) == tmp

        assert %{node: "shop@10.0.0.5"} =
                 ReleaseShell.run(release, "stop", [{"RELEASE_TMP", tmp} | @down])

        file = Path.join(release.tmp, "some/where/name")
        ReleaseShell.run(release, "start", [{"DNS_MESH_NAME_FILE", file} | @found])
        assert "shop@10.0.0.5\n" <> _process = File.read!(file)

        assert %{node: "shop@10.0.0.5"} =
                 ReleaseShell.run(release, "stop", [{"DNS_MESH_NAME_FILE", file} | @down])
      end

      test "two releases that share RELEASE_TMP have a file each", %{release: release} do
        other = ReleaseShell.new!(release.shell)
        shared = {"RELEASE_TMP", release.tmp}
        ReleaseShell.run(release, "start", [shared | @found])
        ReleaseShell.run(other, "start", [shared, @query, {"HELPER_SAYS", "shop@10.0.0.6"}])
        assert [_, _] = ReleaseShell.name_files(release)
        assert %{node: "shop@10.0.0.5"} = ReleaseShell.run(release, "stop", [shared | @down])
        assert %{node: "shop@10.0.0.6"} = ReleaseShell.run(other, "stop", [shared | @down])
      end

      test "a file that holds no name is as none", %{release: release} do
        ReleaseShell.run(release, "start", @found)
        [{path, _}] = ReleaseShell.name_files(release)

        for text <- [
              "shop",
              "shop@",
              "@10.0.0.5",
              "a@b@c",
              "$(reboot)@10.0.0.5",
              "a b@c"
            ] do
          File.write!(path, text)

          assert %{node: "shop@10.0.0.9"} =
                   ReleaseShell.run(release, "stop", [@query, {"HELPER_SAYS", "shop@10.0.0.9"}])
        end

        File.rm!(path)
        File.mkdir!(path)
        assert %{node: "shop@10.0.0.5"} = ReleaseShell.run(release, "stop", @found)
      end

      test "a helper that prints what is no name is not believed", %{release: release} do
        for says <- ["", "shop", "shop@10.0.0.5 --cookie x", "warning\nshop@10.0.0.5"] do
          assert %{distribution: "none", said: "dns_mesh: no node name yet" <> _} =
                   ReleaseShell.run(release, "start", [@query, {"HELPER_SAYS", says}])
        end
      end

      test "a query that makes no sense is said, and the node starts to say so itself", %{
        release: release
      } do
        complains = "dns_mesh: a@b@c is no query\\nTry: dns_mesh --help\\n"

        ran =
          ReleaseShell.run(release, "start", [
            @query,
            {"HELPER_COMPLAINS", complains},
            {"HELPER_STATUS", "2"}
          ])

        assert ran.distribution == "none"
        assert ran.said =~ "no node name (a@b@c is no query): starting without distribution, and"
      end

      test "a helper that cannot run is said, and the node starts", %{release: release} do
        path = Path.join(release.root, "lib/dns_mesh-0.1.0/priv/native/dns_mesh")
        File.write!(path, "#!/nowhere/ld-musl.so\n")
        ran = ReleaseShell.run(release, "start", @found)
        assert ran.distribution == "none"
        assert ran.said =~ ~r/\Adns_mesh: no node name yet \(.*dns_mesh.*\): .*\n\z/

        File.rm!(path)
        ran = ReleaseShell.run(release, "start", @found)
        assert %{distribution: "sname", node: "shop", left_behind: []} = ran
        assert ran.said =~ "there is no lib/dns_mesh-*/priv/native/dns_mesh in"
      end

      test "with set -u in the user's lines, too", %{release: release} do
        ReleaseShell.put_env(release, "set -eu")

        for command <- @starts ++ @clients ++ ["eval", "version", ""],
            environment <- [@found, @down, []] do
          assert %{left_behind: []} = ReleaseShell.run(release, command, environment)
        end
      end
    end
  end

  defp private(release) do
    {uid, 0} = System.cmd("id", ["-u"])
    Path.join(release.tmp, "dns_mesh-#{String.trim(uid)}")
  end

  test "the block holds nothing that EEx would take for its own" do
    assert EEx.eval_string(ReleaseEnv.block(), []) == ReleaseEnv.block()
  end
end

defmodule DNSMesh.DirectoryTest do
  use ExUnit.Case, async: true
  doctest DNSMesh.Directory

  alias DNSMesh.{Answer, Directory}
  alias DNSMesh.Directory.{Entries, Turn}
  alias DNSMesh.Source.Runner
  alias DNSMesh.Test.{Atoms, Await}

  @me "me@10.0.0.1"
  @day 86_400

  setup %{test: test} do
    name = "dns_mesh_directory_#{System.pid()}_#{System.unique_integer([:positive])}"
    path = Path.join(System.tmp_dir!(), name)
    File.mkdir!(path)
    # File.rm_rf!/1 does not find names that are not in the VM's encoding.
    on_exit(fn -> System.cmd("rm", ["-rf", path]) end)
    %{path: path, context: %{mesh: test, node: @me, interval: 100, timeout: 60_000}}
  end

  defp discover(c, opts \\ []) do
    {given, context} = Keyword.split(opts, [:path, :expiry])

    Directory.discover(
      Keyword.put_new(given, :path, c.path),
      Map.merge(c.context, Map.new(context))
    )
  end

  defp names({:ok, names}), do: Enum.sort(names)

  defp entry(c, name), do: Path.join(c.path, name)
  defp put!(c, name), do: c |> entry(name) |> File.touch!()
  defp put!(c, name, time), do: c |> entry(name) |> File.touch!(time)

  defp put_many!(c, command) do
    {_, 0} = System.cmd("sh", ["-c", "cd \"$0\" && " <> command, c.path])
  end

  defp files(c), do: c.path |> File.ls!() |> Enum.sort()

  # What the folder's own clock says.
  defp now(c) do
    put!(c, ".now")
    %{mtime: now} = c |> entry(".now") |> File.stat!(time: :posix)
    File.rm!(entry(c, ".now"))
    now
  end

  describe "options" do
    test "that are right are given back whole" do
      assert Directory.validate(path: "/a//b/", expiry: 1_000) ==
               {:ok, [path: "/a/b", expiry: 1_000]}

      assert Directory.validate(path: "/a", expiry: @day * 1_000) ==
               {:ok, [path: "/a", expiry: @day * 1_000]}

      assert Directory.validate(path: "/") == {:ok, [path: "/", expiry: 30_000]}
    end

    test "that are wrong say what was expected and what was got" do
      for {opts, said} <- [
            {[], "expected :path to be an absolute path like \"/shared/nodes\", got: nil"},
            {[path: ""], "absolute path like \"/shared/nodes\", got: \"\""},
            {[path: "a/b"], "got: \"a/b\""},
            {[path: "~/nodes"], "got: \"~/nodes\""},
            {[path: ~c"/a"], "got: #{inspect(~c"/a")}"},
            {[path: "/a\0b"], "got: <<47, 97, 0, 98>>"},
            {[path: "/a", expiry: 999],
             "expected :expiry to be an integer from 1000 to 86400000 (milliseconds), got: 999"},
            {[path: "/a", expiry: 86_400_001], "got: 86400001"},
            {[path: "/a", expiry: nil], "got: nil"},
            {[path: "/a", expiry: 30.0], "got: 30.0"},
            {[path: "/a", expire: 30_000],
             "unknown option :expire, expected one of [:path, :expiry]"},
            {"/shared/nodes",
             "expected options like [path: \"/shared/nodes\"], got: \"/shared/nodes\""},
            {%{path: "/a"}, "got: %{path: \"/a\"}"},
            {["/a"], "got: [\"/a\"]"}
          ] do
        assert {:error, text} = Directory.validate(opts)
        assert text =~ said
        assert Directory.discover(opts, %{}) == {:error, text}
      end
    end
  end

  describe "a round" do
    test "writes this node's entry, empty, and lists those there are", c do
      put!(c, "a@10.0.0.2")
      put!(c, "b@node2")
      put!(c, "c@fd00::1")
      put!(c, "d@fe80::1%eth0")
      put!(c, "B@node2")

      assert names(discover(c)) ==
               ["B@node2", "a@10.0.0.2", "b@node2", "c@fd00::1", "d@fe80::1%eth0", @me]

      assert @me in files(c)
      assert length(files(c)) == 6
      assert File.read!(entry(c, @me)) == ""
    end

    test "lists only, as long as this node has no name", c do
      put!(c, "a@10.0.0.2")
      put!(c, "gone@10.0.0.3", now(c) - 60)
      assert discover(c, node: nil) == {:ok, ["a@10.0.0.2"]}
      assert files(c) == ["a@10.0.0.2", "gone@10.0.0.3"]
      assert {:ok, []} = discover(c, node: nil, path: make_folder(c, "empty"))
    end

    test "writes the entry anew, whatever has become of it", c do
      File.write!(entry(c, "precious"), "text")
      File.ln_s!(entry(c, "precious"), entry(c, "link"))

      for spoil <- [
            &File.rm!/1,
            &File.touch!(&1, 0),
            &File.write!(&1, "text"),
            &File.chmod!(&1, 0),
            &File.rename!(entry(c, "link"), &1),
            &mkfifo!/1
          ] do
        assert discover(c) == {:ok, [@me]}
        spoil.(entry(c, @me))
        assert discover(c) == {:ok, [@me]}

        assert %{type: :regular, size: 0, mtime: mtime} = File.lstat!(entry(c, @me), time: :posix)

        assert_in_delta mtime, now(c), 30
      end

      assert files(c) == [@me, "precious"]
      assert File.read!(entry(c, "precious")) == "text"
    end

    test "says so where its entry cannot be", c do
      File.mkdir!(entry(c, @me))
      put!(c, "a@10.0.0.2")
      assert {:partial, ["a@10.0.0.2"], {:folder, :eisdir, path}} = discover(c)
      assert path == c.path
      assert files(c) == ["a@10.0.0.2", @me]
    end

    test "of a node with an unusual name lists, and says that the name cannot be listed", c do
      put!(c, "a@10.0.0.2")

      for name <- ["me@a/../../b", "../x@h", "me@h!", "nonsense"] do
        assert {:partial, ["a@10.0.0.2"], text} = discover(c, node: name)
        assert text =~ name
      end

      assert files(c) == ["a@10.0.0.2"]
    end

    test "goes through the runner like any source", c do
      put!(c, "a@host")
      {:ok, source} = Runner.validate({Directory, path: c.path})

      {monitor, _pid} =
        Runner.run(source, c.context, fn ["host"] -> %{"host" => [{10, 0, 0, 2}]} end)

      assert_receive {:DOWN, ^monitor, :process, _pid, reason}, 5_000
      assert {:ok, %Answer{fault: nil} = answer} = Runner.read(reason)
      assert answer.name == "dir:" <> c.path

      assert Enum.sort_by(answer.records, & &1.name) == [
               %{name: "a@host", addresses: [{10, 0, 0, 2}]},
               %{name: @me, addresses: [{10, 0, 0, 1}]}
             ]
    end
  end

  describe "expiry" do
    test "goes by the folder's clock, however wrong this machine's is" do
      # A folder whose clock is a year ahead: what counts is the distance to the time it gives to a new file.
      file = fn name, mtime -> {name, :entry, %{type: :regular, size: 0, mtime: mtime}} end
      ahead = 4_000_000_000

      files = [
        file.("young@h", ahead - 29),
        file.("dead@h", ahead - 31),
        file.("next@h", ahead + 31)
      ]

      assert Enum.sort(Entries.sort(files, ahead, 30_000).listed) == ["next@h", "young@h"]
      assert Entries.sort(files, ahead + 30, 30_000).listed == ["next@h"]
    end

    test "is 30 s, or what the option says", c do
      now = now(c)
      for age <- [0, 15, 45, 75], do: put!(c, "age#{age}@10.0.0.2", now - age)
      ages = &for "age" <> name <- names(&1), do: name |> Integer.parse() |> elem(0)
      assert Enum.sort(ages.(discover(c))) == [0, 15]
      assert Enum.sort(ages.(discover(c, expiry: 60_000))) == [0, 15, 45]
      assert Enum.sort(ages.(discover(c, expiry: 10_000))) == [0]
      # None of them is old enough to go.
      assert length(files(c)) == 5
    end

    test "is never less than three rounds", c do
      put!(c, "a@10.0.0.2", now(c) - 50)
      assert names(discover(c, interval: 20_000)) == ["a@10.0.0.2", @me]
      assert names(discover(c, interval: 15_000)) == [@me]
    end

    test "never comes early, though a file's time comes in whole seconds" do
      listed? = fn age, expiry ->
        Entries.sort([{"a@h", :entry, %{type: :regular, size: 0, mtime: 0}}], age, expiry).listed !=
          []
      end

      # 2 s by whole seconds may be 1 001 ms.
      assert listed?.(1, 1_000)
      refute listed?.(2, 1_000)
      assert listed?.(2, 1_001)
      assert listed?.(30, 30_000)
      refute listed?.(31, 30_000)
    end

    test "is told by the newest entry where nothing can be written" do
      files =
        for {name, mtime} <- [{"a@h", 100}, {"b@h", 80}, {"c@h", 60}],
            do: {name, :entry, %{type: :regular, size: 0, mtime: mtime}}

      assert %{clock: 100, listed: listed} = Entries.sort(files, nil, 30_000)
      assert Enum.sort(listed) == ["a@h", "b@h"]
      assert %{listed: []} = Entries.sort([{"x", :foreign, nil}], nil, 30_000)
    end
  end

  describe "after a day" do
    setup c, do: %{old: now(c) - @day - 60, younger: now(c) - @day + 60}

    test "entries and left-over temporary files are removed", c do
      temporary = Entries.temporary_name(0xABC)
      put!(c, "old@10.0.0.2", c.old)
      put!(c, "younger@10.0.0.3", c.younger)
      put!(c, temporary, c.old)
      put!(c, Entries.temporary_name(1), c.younger)
      assert discover(c) == {:ok, [@me]}
      assert files(c) == [Entries.temporary_name(1), @me, "younger@10.0.0.3"]
    end

    test "nothing else is", c do
      for name <- ["README", ".hidden", ".dns_mesh-", ".dns_mesh-0123456789abcdef", ".dns_mesh-x"] do
        put!(c, name, c.old)
      end

      put!(c, ".dns_mesh-0123456789ABCDEF0", c.old)
      put!(c, "junk@ name", c.old)
      # A mail folder, named by mistake.
      File.write!(entry(c, "joe@example.org"), "From: ")
      File.write!(entry(c, Entries.temporary_name(2)), "text")
      File.mkdir!(entry(c, "folder@10.0.0.2"))
      File.ln_s!("/nowhere", entry(c, "link@10.0.0.2"))
      mkfifo!(entry(c, "fifo@10.0.0.2"))
      mkfifo!(entry(c, Entries.temporary_name(3)))

      for name <- ["joe@example.org", Entries.temporary_name(2), "folder@10.0.0.2"],
          do: put!(c, name, c.old)

      # Without following the link, and without opening the fifo.
      for name <- ["link@10.0.0.2", "fifo@10.0.0.2", Entries.temporary_name(3)] do
        {_, 0} = System.cmd("touch", ["-h", "-d", "@#{c.old}", entry(c, name)])
      end

      before = files(c)
      assert {:partial, [@me], {:junk_names, 4}} = discover(c)
      assert files(c) == Enum.sort([@me | before])
    end

    test "nothing is by a clock that is not the folder's", c do
      File.mkdir!(entry(c, @me))
      put!(c, "ahead@10.0.0.2", now(c) + 3 * @day)
      put!(c, "a@10.0.0.3")
      assert {:partial, ["ahead@10.0.0.2"], _} = discover(c)
      assert "a@10.0.0.3" in files(c)
    end

    test "a thousand of them go in several rounds", c do
      put_many!(c, ~s(seq -f "old%g@10.0.0.2" 1000 | xargs touch -d @#{c.old}))
      for _ <- 1..3, do: assert(discover(c) == {:ok, [@me]})
      assert length(files(c)) == 1_000 - 3 * 256 + 1
      discover(c)
      assert files(c) == [@me]
    end
  end

  describe "what is no entry" do
    test "is passed over, or left out and counted, and never an atom", c do
      for name <- ["README", "lost+found", ".gitkeep", ".a@10.0.0.2", "...", "ä"],
          do: put!(c, name)

      assert discover(c) == {:ok, [@me]}

      junk =
        ["a b@10.0.0.2", "a@b@c", "@10.0.0.2", "a@", "a'@h", "a@h\n", "ä@h", "a.b@h", "*@h"] ++
          [<<255, 254, ?@, 200>>] ++ for(n <- 1..500, do: "strange #{n}@h")

      for name <- junk, do: put!(c, name)
      assert discover(c) == {:partial, [@me], {:junk_names, length(junk)}}
      for "strange" <> _ = name <- junk, do: refute(Atoms.atom?(name))
    end

    test "is not opened, followed or entered, whatever its name", c do
      File.mkdir!(entry(c, "folder@10.0.0.2"))
      File.ln_s!(entry(c, "folder@10.0.0.2"), entry(c, "link@10.0.0.2"))
      File.ln_s!("/nowhere", entry(c, "dangling@10.0.0.2"))
      mkfifo!(entry(c, "fifo@10.0.0.2"))
      {:ok, socket} = :gen_tcp.listen(0, ifaddr: {:local, entry(c, "socket@10.0.0.2")})
      assert discover(c) == {:partial, [@me], {:junk_names, 5}}
      :gen_tcp.close(socket)
    end

    test "does not hide what else is wrong", c do
      put!(c, "a@b@c")
      put!(c, "a@10.0.0.2")
      File.mkdir!(entry(c, @me))
      assert {:partial, ["a@10.0.0.2"], {:folder, :eisdir, _}} = discover(c)
    end
  end

  describe "a folder that" do
    test "is missing is created, but not the one above it", c do
      path = entry(c, "shared/nodes")
      assert discover(c, path: path) == {:error, {:folder, :missing, path}}
      File.mkdir!(Path.dirname(path))
      assert discover(c, path: path) == {:ok, [@me]}
      assert File.ls!(path) == [@me]
    end

    test "is a file is no folder", c do
      put!(c, "file")
      path = entry(c, "file")
      assert discover(c, path: path) == {:error, {:folder, :not_a_folder, path}}
      below = entry(c, "file/nodes")
      assert discover(c, path: below) == {:error, {:folder, :not_a_folder, below}}
    end

    test "has a name that no file system takes says so", c do
      path = entry(c, String.duplicate("x", 300))
      assert discover(c, path: path) == {:error, {:folder, :enametoolong, path}}

      assert DNSMesh.Error.message({:folder, :enametoolong, "/x"}) =~
               ~r/cannot be used \(.*name.*\): look/
    end

    test "vanishes and comes back is written to again", c do
      discover(c)
      File.rm_rf!(c.path)
      assert discover(c) == {:ok, [@me]}
      assert files(c) == [@me]
    end

    test "holds 10 000 entries is read quickly", c do
      put_many!(c, ~s(seq -f "n%g@10.0.0.1" 10000 | xargs touch))
      {micros, {:ok, names}} = :timer.tc(fn -> discover(c) end)
      assert length(names) == 10_001
      # 0.2 s on an idle machine of two cores.
      assert micros < 10_000_000
    end
  end

  test "a reader never sees a name that is not a node's, nor misses one that is there", c do
    writers =
      for n <- 1..3 do
        name = "n#{n}@10.0.0.#{n}"
        assert {:ok, _} = discover(c, node: name, mesh: n)

        Task.async(fn ->
          for _ <- 1..300, do: {:ok, _} = discover(c, node: name, mesh: n)
          name
        end)
      end

    expected = for n <- 1..3, do: "n#{n}@10.0.0.#{n}"

    reader =
      Task.async(fn ->
        for _ <- 1..300 do
          visible = for "n" <> _ = name <- files(c), do: name
          assert visible == expected
          assert [] == for(name <- files(c), name not in expected, not temporary?(name), do: name)
        end
      end)

    Task.await_many([reader | writers], 60_000)
    assert files(c) == expected
  end

  test "two instances of one VM may share a folder", c do
    one = Task.async(fn -> for _ <- 1..100, do: discover(c, mesh: :one) end)
    two = Task.async(fn -> for _ <- 1..100, do: discover(c, mesh: :two) end)
    assert Enum.uniq(Task.await(one) ++ Task.await(two)) == [{:ok, [@me]}]
    assert files(c) == [@me]
  end

  describe "leave" do
    test "takes away this node's entry and nothing else", c do
      put!(c, "a@10.0.0.2")
      discover(c)
      Directory.leave([path: c.path], c.context)
      assert files(c) == ["a@10.0.0.2"]
      Directory.leave([path: c.path], c.context)
      Directory.leave([path: c.path], %{c.context | node: nil})
      Directory.leave([path: c.path], %{c.context | node: "../x@h"})
      assert files(c) == ["a@10.0.0.2"]
    end

    test "leaves what is not this node's entry, though it has its name", c do
      File.write!(entry(c, @me), "mail")
      Directory.leave([path: c.path], c.context)
      assert files(c) == [@me]
    end

    test "waits for the round that is under way, which would write the entry again", c do
      discover(c)
      me = self()

      {:ok, round} =
        Task.start(fn ->
          Turn.run({c.context.mesh, c.path}, 60_000, fn _turn ->
            send(me, :under_way)
            receive do: (:go_on -> put!(c, @me))
          end)
        end)

      assert_receive :under_way, 5_000
      [worker] = for pid <- Process.list(), waiting_for_us?(pid, round), do: pid
      leaving = Task.async(fn -> Directory.leave([path: c.path], c.context) end)
      assert Await.holds?(fn -> Process.alive?(leaving.pid) end, 50)
      send(worker, :go_on)
      Task.await(leaving)
      assert files(c) == []
    end
  end

  defp waiting_for_us?(pid, by) do
    case Process.info(pid, :monitored_by) do
      {:monitored_by, pids} -> by in pids
      nil -> false
    end
  end

  defp temporary?(name), do: Entries.kind(name) == :temporary

  defp make_folder(c, name) do
    File.mkdir!(entry(c, name))
    entry(c, name)
  end

  defp mkfifo!(path) do
    File.rm(path)
    {_, 0} = System.cmd("mkfifo", [path])
  end
end

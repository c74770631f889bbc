defmodule DNSMesh.DirectoryMountTest do
  use ExUnit.Case, async: true

  # Faults of real file systems, in a VM with a mount namespace of its own.

  alias DNSMesh.{Directory, Error}
  alias DNSMesh.Directory.Entries
  alias DNSMesh.Source.Runner
  alias DNSMesh.Test.{Await, OSProcess, TestNode}

  @me "me@10.0.0.1"
  @context %{mesh: __MODULE__, node: @me, interval: 5_000, timeout: 60_000}

  setup c do
    name = "dns_mesh_mount_#{System.pid()}_#{System.unique_integer([:positive])}"
    path = Path.join(System.tmp_dir!(), name)
    File.mkdir!(path)
    on_exit(fn -> File.rm_rf!(path) end)

    # Two threads for files: with one that hangs, one is left.
    vm = TestNode.start!(within: c[:within] || ["unshare", "-m"], args: ["+SDio", "2"])
    %{vm: vm, path: path}
  end

  defp discover(c, context \\ %{}),
    do: call(c, Directory, :discover, [[path: c.path], Map.merge(@context, context)])

  defp call(c, module, function, arguments),
    do: TestNode.call(c.vm, module, function, arguments)

  defp run!(c, command) do
    {output, status} =
      call(c, System, :cmd, ["sh", ["-ec", command, c.path], [stderr_to_stdout: true]])

    assert status == 0, output
    output
  end

  defp files(c), do: c |> call(File, :ls!, [c.path]) |> Enum.sort()
  defp sorted({:partial, names, fault}), do: {:partial, Enum.sort(names), fault}
  defp sorted({:ok, names}), do: {:ok, Enum.sort(names)}

  describe "a folder that" do
    @describetag :netns

    test "becomes read-only is still listed, by the newest entry's time, and nothing is removed",
         c do
      run!(
        c,
        ~s(mount -t tmpfs none "$0"; cd "$0"; touch a@10.0.0.2; touch -d -1hour b@10.0.0.3; touch -d -2days c@10.0.0.4)
      )

      assert {:ok, _} = discover(c)
      run!(c, ~s(touch -d -2days "$0"/d@10.0.0.5; mount -o remount,ro "$0"))
      before = files(c)
      fault = {:folder, :read_only, c.path}
      assert sorted(discover(c)) == {:partial, ["a@10.0.0.2", @me], fault}
      assert discover(c, %{node: nil}) == discover(c)
      assert files(c) == before
      call(c, Runner, :leave, [[{Directory, path: c.path}], @context])
      assert files(c) == before

      assert Error.message(fault) ==
               "the folder #{c.path} is read-only, so the others cannot see this node: mount it read-write, or mend its file system"

      run!(c, ~s(mount -o remount,rw "$0"))
      assert sorted(discover(c)) == {:ok, ["a@10.0.0.2", @me]}
    end

    test "is read-only and empty says what is wrong", c do
      run!(c, ~s(mount -t tmpfs -o ro none "$0"))
      # Which the runner makes an error of, as of any partial answer without a name.
      assert discover(c) == {:partial, [], {:folder, :read_only, c.path}}
    end

    test "has no room for data has room for an entry", c do
      run!(
        c,
        ~s(mount -t tmpfs -o size=64k none "$0"; dd if=/dev/zero of="$0"/data bs=1k count=64)
      )

      assert {_output, 1} =
               call(c, System, :cmd, [
                 "sh",
                 ["-c", ~s(echo x > "$0"/more), c.path],
                 [stderr_to_stdout: true]
               ])

      assert discover(c) == {:ok, [@me]}
      assert discover(c) == {:ok, [@me]}
    end

    test "has no room for one more file keeps the entries it has fresh", c do
      run!(c, ~s(mount -t tmpfs -o nr_inodes=5 none "$0"))
      assert discover(c) == {:ok, [@me]}
      run!(c, ~s(cd "$0"; touch a@10.0.0.2 data 2; ! touch 3; touch -d -1hour #{@me}))
      fault = {:folder, :full, c.path}
      assert sorted(discover(c)) == {:partial, ["a@10.0.0.2", @me], fault}
      # A second later too, by the clock that a truncation gave.
      run!(c, ~s(touch -d -1hour "$0"/a@10.0.0.2))
      assert discover(c) == {:partial, [@me], fault}
      # Who has no entry yet cannot be seen, and sees the others.
      assert discover(c, %{node: "new@10.0.0.9"}) == {:partial, [@me], fault}
      assert discover(c, %{node: nil}) == {:partial, [@me], fault}
      assert files(c) == ["2", "a@10.0.0.2", "data", @me]
      run!(c, ~s(rm "$0"/data))
      assert discover(c, %{node: "new@10.0.0.9"}) |> sorted() == {:ok, [@me, "new@10.0.0.9"]}
    end

    test "is unmounted while running does not say that there is nobody", c do
      run!(c, ~s(mount -t tmpfs none "$0"; touch "$0"/a@10.0.0.2))
      assert {:ok, [_, _]} = discover(c)
      run!(c, ~s(umount "$0"))
      replaced = {:error, {:folder, :replaced, c.path}}
      assert discover(c) == replaced
      assert discover(c) == replaced

      # Another volume, nobody in it yet: this node writes its entry, or all would wait for each other.
      # (The first one takes the number of the device that is free again.)
      run!(c, ~s(mount -t tmpfs none /mnt; mount -t tmpfs none "$0"))
      assert discover(c) == replaced
      assert files(c) == [@me]
      run!(c, ~s(touch "$0"/a@10.0.0.2))
      assert sorted(discover(c)) == {:ok, ["a@10.0.0.2", @me]}
      # There, it is alone in earnest.
      run!(c, ~s(rm "$0"/a@10.0.0.2))
      assert discover(c) == {:ok, [@me]}
    end

    test "is mounted after the start, where this node was alone, is the folder from then on", c do
      assert discover(c) == {:ok, [@me]}
      run!(c, ~s(mount -t tmpfs none "$0"))
      assert discover(c) == {:ok, [@me]}
    end
  end

  describe "a folder that hangs" do
    @describetag :netns
    @describetag :fuse

    # A file system whose server never answers: nobody reads from the descriptor. It ends with the sleep that holds it.
    defp hang!(c) do
      pid =
        run!(c, """
        exec 3<>/dev/fuse
        mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 hung "$0"
        sleep 60 >/dev/null 2>&1 &
        echo $!
        """)

      pid = String.trim(pid)
      on_exit(fn -> OSProcess.signal(pid, "KILL") end)
      pid
    end

    defp timed(fun) do
      {micros, result} = :timer.tc(fun)
      {div(micros, 1_000), result}
    end

    test "costs one thread, however often it is asked, and is told at once from then on", c do
      stuck = {:error, {:folder_stuck, c.path}}
      run!(c, ~s(touch "$0"/a@10.0.0.2))
      assert {:ok, [_, _]} = discover(c)
      server = hang!(c)

      assert {ms, ^stuck} = timed(fn -> discover(c, %{timeout: 500}) end)
      assert ms in 400..5_000

      for _ <- 1..20 do
        assert {ms, ^stuck} = timed(fn -> discover(c) end)
        assert ms < 10_000
      end

      # Killed, as at the deadline: the thread is not lost twice.
      assert {ms, :ok} =
               timed(fn -> call(c, Runner, :leave, [[{Directory, path: c.path}], @context]) end)

      assert ms in 900..10_000
      assert discover(c) == stuck

      # The file server, and the other thread, still work.
      other = c.path <> "_other"
      on_exit(fn -> File.rm_rf!(other) end)
      assert call(c, File, :mkdir, [other]) == :ok
      assert call(c, Directory, :discover, [[path: other], @context]) == {:ok, [@me]}

      # The server is gone for good: the call that hung comes back.
      OSProcess.signal(server, "KILL")
      gone = {:error, {:folder, :enotconn, c.path}}
      assert Await.await(fn -> discover(c) == gone end)
      assert Error.message(elem(gone, 1)) =~ "look at its mount"

      run!(c, ~s(umount "$0"))
      assert {:ok, [_, _]} = discover(c)
    end
  end

  describe "a folder without permission" do
    @describetag :setpriv
    # Root, without root's right to every file.
    @describetag within: ~w(setpriv --bounding-set -dac_override,-dac_read_search)

    setup c do
      File.touch!(Path.join(c.path, "a@10.0.0.2"))
      File.chown!(c.path, 12_345)
      on_exit(fn -> File.chmod!(c.path, 0o700) end)
      %{fault: {:folder, :no_permission, c.path}}
    end

    test "to write is still listed", c do
      File.chmod!(c.path, 0o555)
      assert discover(c) == {:partial, ["a@10.0.0.2"], c.fault}
    end

    test "to read is no answer", c do
      for mode <- [0o333, 0o444, 0o111, 0] do
        File.chmod!(c.path, mode)
        assert discover(c) == {:error, c.fault}
      end

      refute Enum.any?(File.ls!(c.path), &(Entries.kind(&1) == :temporary))
    end
  end
end

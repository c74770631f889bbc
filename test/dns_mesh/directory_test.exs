defmodule DNSMesh.DirectoryTest do
  use ExUnit.Case, async: true
  doctest DNSMesh.Directory

  alias DNSMesh.Directory

  @me "me@10.0.0.1"

  setup %{test: test} do
    path =
      Path.join(
        System.tmp_dir!(),
        "dns_mesh_directory_#{System.unique_integer([:positive])}_#{System.pid()}"
      )

    File.mkdir!(path)
    on_exit(fn -> File.rm_rf!(path) end)
    %{path: path, context: %{mesh: test, node: @me, interval: 100, timeout: 5_000}}
  end

  defp discover(c, opts \\ []) do
    Directory.discover(
      [path: c.path] ++ Keyword.take(opts, [:expiry]),
      Map.merge(c.context, Map.new(Keyword.delete(opts, :expiry)))
    )
  end

  defp names({:ok, names}), do: Enum.sort(names)
  defp entry(c, name), do: Path.join(c.path, name)
  defp put!(c, name), do: c |> entry(name) |> File.touch!()

  defp files(c), do: c.path |> File.ls!() |> Enum.sort()

  describe "a round" do
    test "writes this node's entry, empty, and lists those there are", c do
      put!(c, "a@10.0.0.2")
      put!(c, "b@node2")
      assert names(discover(c)) == ["a@10.0.0.2", "b@node2", @me]
      assert files(c) == ["a@10.0.0.2", "b@node2", @me]
      assert File.read!(entry(c, @me)) == ""
    end

    test "lists only, as long as this node has no name", c do
      put!(c, "a@10.0.0.2")
      assert discover(c, node: nil) == {:ok, ["a@10.0.0.2"]}
      assert files(c) == ["a@10.0.0.2"]
    end

    test "writes the entry anew, however it went", c do
      for spoil <- [
            &File.rm!/1,
            &File.touch!(&1, 0),
            &File.write!(&1, "text"),
            &File.chmod!(&1, 0)
          ] do
        discover(c)
        spoil.(entry(c, @me))
        assert discover(c) == {:ok, [@me]}
        assert %{size: 0, mode: mode, mtime: now} = File.stat!(entry(c, @me), time: :posix)
        assert_in_delta now, System.os_time(:second), 5
        assert Bitwise.band(mode, 0o400) != 0
      end
    end
  end
end

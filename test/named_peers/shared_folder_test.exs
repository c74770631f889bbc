defmodule DNSMesh.NamedPeers.SharedFolderTest do
  # Nodes that know each other by a folder alone. Real VMs, a real folder.
  use ExUnit.Case, async: true

  alias DNSMesh.Test.{Await, Mesh, OSProcess, Ports, TestNode}

  @loopback ["127.0.0.0/8"]

  setup do
    name = "dns_mesh_shared_#{System.pid()}_#{System.unique_integer([:positive])}"
    path = Path.join(System.tmp_dir!(), name)
    File.mkdir!(path)
    on_exit(fn -> File.rm_rf!(path) end)
    %{path: path, port: Ports.free_port()}
  end

  defp start!(c, name, opts \\ []) do
    {vm, mesh} = Keyword.split(opts, [:within, :args])
    node = TestNode.start!([name: name, epmd: {:fixed, c.port}] ++ vm)
    Mesh.start!(node, Keyword.merge([query: "dir:" <> c.path, allow: @loopback], mesh))
    node
  end

  defp files(c),
    do: c.path |> File.ls!() |> Enum.reject(&String.starts_with?(&1, ".")) |> Enum.sort()

  defp peer(node, name), do: Mesh.peer(node, name)

  test "nodes find each other; a killed one is left alone once its entry has expired", c do
    folder = {DNSMesh.Directory, path: c.path, expiry: 1_000}
    [a, b, d] = for n <- [2, 3, 4], do: start!(c, "n#{n}@127.0.0.#{n}", query: folder)
    assert TestNode.await_exactly(a, [b, d])
    assert TestNode.await_exactly(b, [a, d])
    assert files(c) == ["n2@127.0.0.2", "n3@127.0.0.3", "n4@127.0.0.4"]

    TestNode.kill(d)
    assert TestNode.await_exactly(a, [b])

    listed = fn ->
      [%{answer: answer}] = Mesh.status(a).queries
      answer.records |> Enum.map(& &1.name) |> Enum.sort()
    end

    assert Await.await(fn -> listed.() == ["n2@127.0.0.2", "n3@127.0.0.3"] end, 10_000)
    # A failed round in between would keep the last answer; this one is new.
    assert %{answer_age: age, error: nil} = hd(Mesh.status(a).queries)
    assert age < 30_000
    assert "n4@127.0.0.4" in files(c)
  end

  test "a node that stops takes its entry away", c do
    a = start!(c, "n2@127.0.0.2")
    b = TestNode.start!(name: "n3@127.0.0.3", epmd: {:fixed, c.port})
    mesh = {DNSMesh, query: "dir:" <> c.path, allow: @loopback}
    {:ok, _} = TestNode.start_child(b, Supervisor.child_spec(mesh, restart: :temporary))
    assert TestNode.await_exactly(a, [b])
    :ok = TestNode.call(b, GenServer, :stop, [DNSMesh, :shutdown])
    assert files(c) == ["n2@127.0.0.2"]
    # Nothing that was still under way wrote it again, and the link stays.
    assert Await.holds?(fn -> files(c) == ["n2@127.0.0.2"] end, 200)
    assert TestNode.nodes(a) == [b.name]
  end

  test "junk in the folder is said once, and joins go on", c do
    for name <- ["a b@h", "x@y@z", "README"], do: File.touch!(Path.join(c.path, name))
    [a, b] = for n <- [2, 3], do: start!(c, "n#{n}@127.0.0.#{n}")
    assert TestNode.await_exactly(a, [b])
    junk? = &match?({:junk_names, 2}, &1[:reason])
    assert Mesh.await(a, [:problem, :raised], DNSMesh, junk?)
    assert peer(a, "a b@h") == nil
  end

  @tag :netns
  @tag :fuse
  test "a folder that hangs costs no link", c do
    a = start!(c, "n2@127.0.0.2", within: ["unshare", "-m"], args: ["+SDio", "2"], timeout: 500)
    b = start!(c, "n3@127.0.0.3")
    assert TestNode.await_exactly(a, [b])
    assert Await.await(fn -> peer(a, "n3@127.0.0.3") end)

    # A file system whose server never answers, in the mount namespace of one of them.
    hang = """
    exec 3<>/dev/fuse
    mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 hung "$0"
    sleep 60 >/dev/null 2>&1 &
    echo $!
    """

    {pid, 0} = TestNode.call(a, System, :cmd, ["sh", ["-ec", hang, c.path]])
    pid = String.trim(pid)
    on_exit(fn -> OSProcess.signal(pid, "KILL") end)

    stuck? = &match?({:folder_stuck, _}, &1[:reason])
    assert Mesh.await(a, [:problem, :raised], DNSMesh, stuck?)

    Mesh.await_rounds(a, 10)
    assert TestNode.nodes(a) == [b.name]
    assert peer(a, "n3@127.0.0.3").state == :connected

    OSProcess.signal(pid, "KILL")
    {_, 0} = TestNode.call(a, System, :cmd, ["sh", ["-c", "umount \"$0\"", c.path]])
    assert Mesh.await(a, [:problem, :cleared], DNSMesh, &(&1.problem == :lookup_failed))
    assert TestNode.nodes(a) == [b.name]
  end
end

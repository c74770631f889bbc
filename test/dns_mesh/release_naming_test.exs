defmodule DNSMesh.ReleaseNamingTest do
  # Whose word kept a release from its own address: the folder as `mix release` makes it, and the environment as its script
  # leaves it to the VM.
  use ExUnit.Case, async: true

  alias DNSMesh.{ReleaseEnv, ReleaseNaming, Words}

  @moduletag :tmp_dir

  # What the script sets where nobody else has.
  @left %{
    "RELEASE_NAME" => "app",
    "RELEASE_VSN" => "0.1.0",
    "RELEASE_NODE" => "app",
    "RELEASE_DISTRIBUTION" => "sname",
    "DNS_CLUSTER_QUERY" => "app.internal"
  }

  defp release!(root, env_sh) do
    folder = Path.join(root, "releases/0.1.0")
    File.mkdir_p!(folder)
    if env_sh, do: File.write!(Path.join(folder, "env.sh"), env_sh)
    program = Path.join(root, "lib/dns_mesh-0.1.0/priv/native/dns_mesh")
    File.mkdir_p!(Path.dirname(program))
    File.write!(program, "")
    program
  end

  defp why(root, changes \\ %{}) do
    env = @left |> Map.put("RELEASE_ROOT", root) |> Map.merge(changes)
    ReleaseNaming.why(&env[&1])
  end

  test "no release", %{tmp_dir: root} do
    assert why(root, %{"RELEASE_NAME" => nil}) == nil
  end

  test "no env.sh, one without the block, and one that a text editor has cut off", %{
    tmp_dir: root
  } do
    for env_sh <- [nil, "#!/bin/sh\n", binary_part(ReleaseEnv.block(), 0, 300)] do
      release!(root, env_sh)
      assert why(root) == :no_block
    end

    assert ReleaseNaming.cure(:no_block) =~ "mix dns_mesh.gen.env"
    assert Words.naming_advice(:no_block) =~ "mix dns_mesh.gen.env"
  end

  describe "with the block" do
    setup %{tmp_dir: root} do
      %{program: release!(root, "#!/bin/sh\n\n" <> ReleaseEnv.block())}
    end

    test "whose variables were given, by the platform or by hand", %{tmp_dir: root} do
      given = why(root)
      assert given == {:given, "RELEASE_DISTRIBUTION", "RELEASE_NODE"}
      assert ReleaseNaming.cure(given) =~ "unset RELEASE_DISTRIBUTION in the environment"
      assert Words.naming_advice(given) =~ "Unset RELEASE_DISTRIBUTION in the environment"

      for node <- ["web", "app@pod-7", "app@10.0.0.5"] do
        given = why(root, %{"RELEASE_NODE" => node, "RELEASE_DISTRIBUTION" => "name"})
        assert given == {:given, "RELEASE_NODE", "RELEASE_DISTRIBUTION"}
        assert ReleaseNaming.cure(given) =~ "unset RELEASE_NODE in the environment"
        refute ReleaseNaming.cure(given) =~ "run mix dns_mesh.gen.env"
      end
    end

    test "a query that is no variable, but an option", %{tmp_dir: root} do
      for query <- [nil, "", " , "],
          do: assert(why(root, %{"DNS_CLUSTER_QUERY" => query}) == :no_query)

      assert ReleaseNaming.cure(:no_query) =~ "set DNS_CLUSTER_QUERY in the environment"
    end

    test "whose program is gone", %{tmp_dir: root, program: program} do
      File.rm!(program)
      assert why(root) == :no_program
      assert ReleaseNaming.cure(:no_program) =~ "build this release anew"
    end

    test "below a line that names the node", %{tmp_dir: root} do
      release!(root, "#!/bin/sh\nexport RELEASE_NODE=web\n" <> ReleaseEnv.block())
      by_hand = why(root, %{"RELEASE_NODE" => "web"})
      assert by_hand == {:by_hand, 2, "RELEASE_NODE"}
      assert ReleaseNaming.cure(by_hand) =~ "take the line that sets RELEASE_NODE (line 2"
    end
  end
end

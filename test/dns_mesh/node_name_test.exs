defmodule DNSMesh.NodeNameTest do
  use ExUnit.Case, async: true

  alias DNSMesh.{AtomBudget, NodeName}
  alias DNSMesh.Test.Atoms

  test "a name's host is written as :inet and every peer write it" do
    assert NodeName.build("app", {10, 0, 0, 5}) == "app@10.0.0.5"
    assert NodeName.build("app", {0xFDAA, 0, 0, 0xA7B, 0, 0, 0, 2}) == "app@fdaa:0:0:a7b::2"
  end

  test "only what net_kernel takes is a basename" do
    for good <- ~w(app my_app app-1 A9), do: assert(NodeName.basename?(good))

    for bad <- ["", "a b", "a@b", "ä", "a.b", "a\n", "*", String.duplicate("a", 201)],
        do: refute(NodeName.basename?(bad))
  end

  test "a node's name is a basename, one @, and a host" do
    for good <-
          ~w(app@10.0.0.5 app@fdaa:0:0:a7b::2 app@fe80::1%eth0 app-1@node1 A_9@app-0.svc.cluster.local) ++
            ["a@" <> String.duplicate("h", 253)],
        do: assert(NodeName.valid?(good))

    for bad <-
          [
            "",
            "app",
            "app@",
            "@h",
            "a@b@c",
            "a b@h",
            "a@h h",
            "a@h\n",
            "a@h'",
            "a@h\"",
            "a@[::1]"
          ] ++
            [
              "a@h/x",
              "a.b@h",
              "*@h",
              "ä@h",
              "a@hä",
              <<255, ?@, 255>>,
              "a@h\0",
              "a@" <> String.duplicate("h", 254)
            ] ++
            [nil, :a@h, 42, ~c"a@h", <<1::3>>],
        do: refute(NodeName.valid?(bad))
  end

  test "a basename has 200 bytes at most, a name 255" do
    long = String.duplicate("a", 200)
    assert NodeName.basename?(long)
    assert NodeName.valid?(long <> "@h")
    refute NodeName.valid?(long <> "a@h")
    assert NodeName.valid?(long <> "@" <> String.duplicate("h", 54))
    refute NodeName.valid?(long <> "@" <> String.duplicate("h", 55))
  end

  test "a name splits into basename and host, and what is none does not" do
    assert NodeName.split("app@10.0.0.5") == {"app", "10.0.0.5"}
    for text <- ["", "app", "app@", "@h", "@", "a@b@c"], do: assert(NodeName.split(text) == nil)
  end

  test "what is no node's name does not become an atom, even if it is one already" do
    for name <- ["strange one@h", "strange@@h", "strange_one"] do
      assert NodeName.to_atom(name) == {:error, :bad_name}
      refute Atoms.atom?(name)
    end

    assert NodeName.to_atom("ok") == {:error, :bad_name}
  end

  test "an existing atom costs nothing" do
    assert NodeName.to_atom("nonode@nohost") == {:ok, :nonode@nohost}
  end

  describe "the budget of new atoms" do
    defp drain(budget, now),
      do:
        Stream.repeatedly(fn -> AtomBudget.take(budget, now) end)
        |> Enum.find_index(&(&1 == :empty))

    test "is 1 024 at once" do
      assert drain(AtomBudget.new(0), 0) == 1_024
    end

    test "is no fuller when its module is loaded again, as a hot deploy does" do
      budget = :persistent_term.get(AtomBudget)
      assert AtomBudget.create() == :ok
      assert :persistent_term.get(AtomBudget) == budget
    end

    test "fills up at 1 024 an hour, never above 1 024" do
      budget = AtomBudget.new(-1_000_000)
      drain(budget, -1_000_000)
      assert_in_delta drain(budget, -1_000_000 + 1_800_000), 512, 1
      assert drain(budget, 100 * 3_600_000) == 1_024
    end

    test "ends after 200 000 in the VM's life" do
      budget = AtomBudget.new(0)
      assert Enum.sum(for hour <- 1..300, do: drain(budget, hour * 2 * 3_600_000)) == 200_000
    end
  end
end

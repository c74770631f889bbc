defmodule DNSMesh.CandidatesTest do
  use ExUnit.Case, async: true

  alias DNSMesh.{Answer, Candidates, Distribution, Query, Static}

  @one {10, 0, 0, 5}
  @two {10, 0, 0, 6}

  defp me(overrides \\ []) do
    Map.merge(
      %{
        by: :address,
        node: "app@10.0.0.1",
        host: "10.0.0.1",
        interface: nil,
        basename: "app"
      },
      Map.new(overrides)
    )
  end

  defp by_name(overrides \\ []),
    do: me([by: :name, node: "app@node0.net", host: "node0.net"] ++ overrides)

  defp answer(records, more \\ []),
    do: struct!(%Answer{records: records, ttl: 5, name: "x", server: "test"}, more)

  defp query(text), do: hd(Query.parse!(text))

  defp srv(target, addresses),
    do: %{target: target, port: 4369, priority: 0, weight: 0, addresses: addresses}

  defp names(candidates), do: candidates.names

  test "how peers are named follows this node's own name, unless the option says otherwise" do
    own = %Distribution{alive?: true, names: :long, family: :inet, tls?: false, epmd?: true}
    named = %{own | node: "app@n.net", host: "n.net", address: nil}
    numbered = %{own | node: "app@10.0.0.1", host: "10.0.0.1", address: {10, 0, 0, 1}}

    assert Candidates.by(named, nil) == :name
    assert Candidates.by(%{named | names: :short, host: "n"}, nil) == :name
    assert Candidates.by(numbered, nil) == :address
    # Not named yet: DNSMesh names by address.
    assert Candidates.by(%{own | alive?: false}, nil) == :address
    assert Candidates.by(named, :address) == :address
    assert Candidates.by(numbered, :name) == :name
  end

  describe "by address" do
    test "each address of the answer is a node of the item's basename, or of ours" do
      assert names(Candidates.of(query("app.internal"), answer([@one, @two]), me())) ==
               %{"app@10.0.0.5" => {[@one], nil}, "app@10.0.0.6" => {[@two], nil}}

      assert Map.keys(names(Candidates.of(query("web@x"), answer([@one]), me()))) == [
               "web@10.0.0.5"
             ]

      services = answer([srv("a.net", [@one]), srv("b.net", [@one, @two])])

      assert Map.keys(names(Candidates.of(query("_a._b.net"), services, me()))) ==
               ["app@10.0.0.5", "app@10.0.0.6"]

      assert Map.keys(names(Candidates.of(query("x"), answer([{0, 0, 0, 0, 0, 0, 0, 1}]), me()))) ==
               ["app@::1"]
    end

    test "nobody is named while no basename is known" do
      assert Candidates.of(query("x"), answer([@one]), me(basename: nil)) == :unnamed
      assert %Candidates{} = Candidates.of(query("w@x"), answer([@one]), me(basename: nil))
      assert %Candidates{} = Candidates.of(query("*@x"), answer([@one]), me(basename: nil))
    end

    test "the host of an item with a basename is only what is asked for, several addresses are several nodes" do
      candidates = Candidates.of(query("node1@node1"), answer([@one, @two]), me())
      assert Map.keys(candidates.names) == ["node1@10.0.0.5", "node1@10.0.0.6"]
      assert candidates.several == nil
    end
  end

  describe "by name" do
    test "SRV: the target, whatever its addresses" do
      services =
        answer([srv("app-0.svc", [@one]), srv("app-1.svc", []), srv("app-0.svc", [@two])])

      assert names(Candidates.of(query("_epmd._tcp.svc"), services, by_name())) == %{
               "app@app-0.svc" => {[@one, @two], nil},
               "app@app-1.svc" => {[], nil}
             }
    end

    test "an item with a basename is one node, its host as written" do
      candidates = Candidates.of(query("node1@Node1.net."), answer([@one]), by_name())

      assert candidates == %Candidates{
               query: "node1@Node1.net.",
               names: %{"node1@Node1.net" => {[@one], nil}}
             }
    end

    test "several addresses behind one node are noted" do
      candidates = Candidates.of(query("n@n.net"), answer([@one, @two, @one]), by_name())
      assert candidates.several == 2
      assert candidates.names == %{"n@n.net" => {[@one, @two], nil}}
    end

    test "this node's own host needs nobody's leave" do
      candidates = Candidates.of(query("web@NODE0.net"), answer([]), by_name())
      assert candidates.names == %{"web@NODE0.net" => {[], :join}}
      assert candidates.several == nil
    end

    test "else the PTR name of each address; without one it is refused, or held while that may change" do
      hosts = %{
        @one => {:ok, "n5.net"},
        @two => {:error, :unconfirmed},
        {10, 0, 0, 7} => {:error, :nxdomain},
        {10, 0, 0, 8} => {:error, :timeout}
      }

      candidates =
        Candidates.of(query("app.net"), answer(Map.keys(hosts), hosts: hosts), by_name())

      assert candidates.names == %{
               "app@n5.net" => {[@one], nil},
               "app@10.0.0.6" => {[@two], {:refused, {:no_host_name, :unconfirmed}}},
               "app@10.0.0.7" => {[{10, 0, 0, 7}], {:refused, {:no_host_name, :nxdomain}}},
               "app@10.0.0.8" => {[{10, 0, 0, 8}], {:held, {:no_host_name, :timeout}}}
             }

      assert candidates.unknown == [{10, 0, 0, 8}]
    end

    test "a PTR name that is that of all addresses is no host's name" do
      hosts = %{@one => {:ok, "app.net"}, @two => {:ok, "App.net"}}
      refused = {:refused, {:no_host_name, :unconfirmed}}

      # Asked as it is, and with a search domain.
      for asked <- ["app.net.", "app"] do
        answer = %{answer([@one, @two], hosts: hosts) | name: "app.net"}
        candidates = Candidates.of(query(asked), answer, by_name())

        assert candidates.names == %{
                 "app@10.0.0.5" => {[@one], refused},
                 "app@10.0.0.6" => {[@two], refused}
               }
      end

      # Of one address it may well be the name.
      candidates = Candidates.of(query("app.net"), answer([@one], hosts: hosts), by_name())
      assert candidates.names == %{"app@app.net" => {[@one], nil}}
    end

    test "a host no node can have is refused as text" do
      for host <- [
            "a b.net",
            ~S(a\032b.net),
            "a'b.net",
            "a\nb.net",
            String.duplicate("a.", 126) <> "net"
          ] do
        candidates = Candidates.of(query("_a._b.net"), answer([srv(host, [@one])]), by_name())
        assert [{_name, {_ips, {:refused, :bad_node_name}}}] = Map.to_list(candidates.names)
      end
    end
  end

  describe "a pattern" do
    @registered %{
      @one => {:ok, ["app", "app-1", "worker", "rem-1a2b-app", "rpc-3c-app@x", "we ird"]},
      @two => {:error, :silent}
    }

    test "means the names that match, of each address, but no helper of a release's commands" do
      found = answer([@one], registered: @registered)

      assert Map.keys(names(Candidates.of(query("*@x"), found, me()))) ==
               ["app-1@10.0.0.5", "app@10.0.0.5", "we ird@10.0.0.5", "worker@10.0.0.5"]

      assert {_, {:refused, :bad_node_name}} =
               Candidates.of(query("*@x"), found, me()).names["we ird@10.0.0.5"]

      assert Map.keys(names(Candidates.of(query("app-*@x"), found, me()))) == ["app-1@10.0.0.5"]
      assert Map.keys(names(Candidates.of(query("*ker@x"), found, me()))) == ["worker@10.0.0.5"]

      assert Map.keys(names(Candidates.of(query("rem-*@x"), found, me()))) == [
               "rem-1a2b-app@10.0.0.5"
             ]

      assert names(Candidates.of(query("apppp*@x"), found, me())) == %{}
      # No letter stands for both ends.
      assert names(Candidates.of(query("ap*pp@x"), found, me())) == %{}
    end

    test "holds the address whose epmd tells nothing, and forgets nobody there" do
      candidates = Candidates.of(query("*@x"), answer([@two], registered: @registered), me())
      assert candidates.names == %{"*@10.0.0.6" => {[@two], {:held, {:epmd, :silent}}}}
      assert candidates.unknown == [@two]
    end

    test "by name takes an SRV target, the host as written where it has one address, else the PTR name" do
      found = [registered: %{@one => {:ok, ["app"]}, @two => {:ok, ["web"]}}]
      services = answer([srv("a.net", [@one]), srv("b.net", [@two])], found)

      assert Map.keys(names(Candidates.of(query("*@_e._t.net"), services, by_name()))) ==
               ["app@a.net", "web@b.net"]

      assert Map.keys(names(Candidates.of(query("*@n.net"), answer([@one], found), by_name()))) ==
               ["app@n.net"]

      hosts = [hosts: %{@one => {:ok, "n5.net"}, @two => {:ok, "n6.net"}}]

      assert Map.keys(
               names(
                 Candidates.of(query("*@n.net"), answer([@one, @two], found ++ hosts), by_name())
               )
             ) ==
               ["app@n5.net", "web@n6.net"]

      # One that is left of many is no host called as the many are; a short name's host is as written.
      left = answer([@one], found ++ hosts)
      assert Map.keys(names(Candidates.of(query("*@n.net"), left, by_name()))) == ["app@n5.net"]
      short = by_name(node: "app@node0", host: "node0")
      assert Map.keys(names(Candidates.of(query("*@node5"), left, short))) == ["app@node5"]
    end
  end

  test "beside a :resolver module peers are named by address, else as the option or this node's name says" do
    own = %Distribution{
      alive?: true,
      node: "app@n.net",
      host: "n.net",
      names: :long,
      family: :inet,
      tls?: false,
      epmd?: true
    }

    own = %{own | interface: {10, 0, 0, 7}}
    expected = %{node: "app@n.net", host: "n.net", interface: {10, 0, 0, 7}, basename: "b"}

    for {resolver, naming, by} <- [
          {SomeModule, nil, :address},
          {SomeModule, :name, :address},
          {nil, nil, :name},
          {nil, :address, :address}
        ] do
      config = struct(DNSMesh.Config, resolver: resolver, naming: naming)
      assert Candidates.me(own, config, "b") == Map.put(expected, :by, by)
    end
  end

  test "an item names a node at home where its host is this node's own, by name" do
    for {item, me, home?} <- [
          {"a@node0.net", by_name(), true},
          {"a@NODE0.net.", by_name(), true},
          {"a@node0.net", by_name(host: "Node0.net"), true},
          {"a@node1.net", by_name(), false},
          {"node0.net", by_name(), false},
          {"*@node0.net", by_name(), true},
          {"app-*@NODE0.net.", by_name(), true},
          {"*@node1.net", by_name(), false},
          {"*@localhost", by_name(), true},
          {"*@LocalHost.", me(), true},
          {"app-*@localhost", me(host: nil, node: nil), true},
          {"app@localhost", me(), false},
          {"localhost", me(), false},
          {"*@10.0.0.1", me(), false},
          {"*@localhost.net", by_name(), false},
          {"a@node0.net", by_name(host: nil), false},
          {"node0.net", by_name(host: nil), false},
          {"a@10.0.0.1", me(), false}
        ],
        do: assert(Candidates.at_home?(query(item), me) == home?, item)

    source = %Query{text: "x", source: {SomeSource, []}, basename: "a", host: "node0.net"}
    refute Candidates.at_home?(source, by_name())
  end

  describe "a pattern at home lists what the epmd of this machine knows" do
    @loopback {127, 0, 0, 1}

    defp at_home(item, me, registered) do
      known = answer([@loopback], registered: %{@loopback => registered})
      Candidates.of(query(item), known, me)
    end

    test "under this node's own host, as it is written, and without Policy's leave" do
      names = {:ok, ["a", "app", "rem-1a-app", "app-2"]}
      at = &Map.new(&1, fn name -> {name, {[&2], :join}} end)

      for item <- ["*@localhost", "*@node0.net"] do
        assert names(at_home(item, by_name(host: "Node0.net"), names)) ==
                 at.(["a@Node0.net", "app@Node0.net", "app-2@Node0.net"], @loopback)
      end

      assert names(at_home("app-*@localhost", me(), names)) ==
               at.(["app-2@10.0.0.1"], {10, 0, 0, 1})

      v6 = me(host: "fd00::5")
      assert Map.keys(names(at_home("app-*@localhost", v6, names))) == ["app-2@fd00::5"]
    end

    test "where the nodes listen, if that is not everywhere" do
      me = by_name(interface: {10, 0, 0, 7})

      assert names(at_home("*@localhost", me, {:ok, ["a"]})) == %{
               "a@node0.net" => {[{10, 0, 0, 7}], :join}
             }
    end

    test "at loopback, where this node has no name yet, or another kind of name than is asked for" do
      for me <- [me(host: nil, node: nil), by_name(by: :address)] do
        assert names(at_home("*@localhost", me, {:ok, ["a"]})) ==
                 %{"a@127.0.0.1" => {[@loopback], :join}}
      end
    end

    test "none, and what it knew before stays, where it does not answer" do
      candidates = at_home("*@localhost", by_name(interface: {10, 0, 0, 7}), {:error, :refused})
      assert names(candidates) == %{"*@127.0.0.1" => {[@loopback], {:held, {:epmd, :refused}}}}
      assert candidates.unknown == [{10, 0, 0, 7}]
    end
  end

  test "of many addresses of one name only a node of ours by that name is several" do
    two = answer([@one, @two], registered: %{@one => {:ok, ["a"]}, @two => {:ok, ["a"]}})
    several = &Candidates.of(query(&1), &2, by_name()).several
    assert several.("a@n.net", two) == 2
    assert several.("a@n.net", answer([@one])) == nil
    assert several.("n.net", two) == nil
    assert several.("*@n.net", two) == nil
    assert several.("a@node0.net", two) == nil
    services = answer([srv("a.net", [@one]), srv("b.net", [@two])])
    assert several.("a@_e._t.net", services) == nil
  end

  test "an address is known by each host once, and a host's addresses each once" do
    services = answer([srv("a.net", [@one, @two]), srv("a.net", [@two])])

    assert names(Candidates.of(query("_e._t.net"), services, by_name())) ==
             %{"app@a.net" => {[@one, @two], nil}}
  end

  describe "an address of which no host name is known" do
    test "is held while that may change, and refused where it will not" do
      hosts = %{@one => {:error, :no_records}}
      found = answer([@one, @two], hosts: hosts)

      for {item, stand_ins} <- [
            {"n.net", ["app@10.0.0.5", "app@10.0.0.6"]},
            {"*@n.net", ["*@10.0.0.5", "*@10.0.0.6"]}
          ] do
        # Without a word about the name that answered, as a :resolver module's.
        for found <- [found, %{found | name: nil}] do
          candidates = Candidates.of(query(item), found, by_name())

          assert candidates.names ==
                   Map.new(
                     Enum.zip(stand_ins, [
                       {[@one], {:refused, {:no_host_name, :no_records}}},
                       {[@two], {:held, {:no_host_name, :timeout}}}
                     ])
                   )

          assert candidates.unknown == [@two]
        end
      end
    end

    test "of a pattern for one host is called by it, of whatever kind, while this node has no name" do
      found = [registered: %{@one => {:ok, ["a"]}}, hosts: %{@one => {:ok, "n5.net"}}]
      me = by_name(host: nil, node: nil)

      assert Map.keys(names(Candidates.of(query("*@n.net"), answer([@one], found), me))) ==
               ["a@n5.net"]
    end
  end

  test "what a source names is judged also while this node has no host" do
    source = %Query{text: "x", source: {SomeSource, []}}
    found = answer([%{name: "a@h1", addresses: [@one]}])
    assert Candidates.of(source, found, me(host: nil)).names == %{"a@h1" => {[@one], nil}}
  end

  test "what is asked about each address: nothing that the naming does not need" do
    for {text, type, by, expected} <- [
          {"x", :a, :address, []},
          {"a@x", :a, :address, []},
          {"*@x", :a, :address, [:registered]},
          {"*@_a._b.x", :srv, :address, [:registered]},
          {"x", :a, :name, [:hosts]},
          {"x", :aaaa, :name, [:hosts]},
          {"a@x", :a, :name, []},
          {"_a._b.x", :srv, :name, []},
          {"*@x", :a, :name, [:hosts, :registered]},
          {"*@_a._b.x", :srv, :name, [:registered]}
        ] do
      assert Candidates.follow(query(text), type, by) == expected, text
    end
  end

  test "what a list names is joined as it is; what a source names is judged" do
    [static] = Query.parse!([:a@h1, :b@h2])
    assert static.source == {Static, ["a@h1", "b@h2"]}
    listed = answer([%{name: "a@h1", addresses: []}])
    assert Candidates.of(static, listed, me()).names == %{"a@h1" => {[], :join}}

    source = %Query{text: "x", source: {SomeSource, []}}
    found = answer([%{name: "a@h1", addresses: [@one]}, %{name: "b@node0.net", addresses: []}])

    assert Candidates.of(source, found, by_name()).names ==
             %{"a@h1" => {[@one], nil}, "b@node0.net" => {[], :join}}
  end
end

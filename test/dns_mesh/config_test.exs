defmodule DNSMesh.ConfigTest do
  use ExUnit.Case, async: true

  alias DNSMesh.{Config, Query, Secret}

  defp config!(opts), do: Config.new!([query: "app.internal"] ++ opts, nil)

  describe "a query" do
    for {query, expected} <- [
          {"app.internal", [{nil, "app.internal"}]},
          {" app.internal , worker@jobs.internal ,, app.internal",
           [{nil, "app.internal"}, {"worker", "jobs.internal"}]},
          {{"worker", "jobs.internal"}, [{"worker", "jobs.internal"}]},
          {["a.b,c.d", {"w", "e.f"}, "w@e.f"], [{nil, "a.b"}, {nil, "c.d"}, {"w", "e.f"}]},
          {"tasks.minotaur-stack_minotaur", [{nil, "tasks.minotaur-stack_minotaur"}]},
          {"app.internal.", [{nil, "app.internal."}]},
          {"10.0.0.5,fdaa::3", [{nil, "10.0.0.5"}, {nil, "fdaa::3"}]},
          {"::1,app@::1", [{nil, "::1"}, {"app", "::1"}]},
          {["one.host", {"a", "one.host"}], [{nil, "one.host"}, {"a", "one.host"}]}
        ] do
      test "#{inspect(query)} is understood" do
        %Config{queries: queries} = Config.new!([query: unquote(Macro.escape(query))], nil)
        assert Enum.map(queries, &{&1.basename, &1.host}) == unquote(Macro.escape(expected))
      end
    end

    for nothing <- [nil, :ignore, "", " , ", []] do
      test "#{inspect(nothing)} is nothing to ask" do
        assert Config.new!([query: unquote(nothing)], "from.environment") == :ignore
      end
    end

    test "comes from the environment when the key is absent, and only then" do
      assert %Config{queries: [%Query{host: "env.internal"}]} = Config.new!([], "env.internal")

      assert %Config{queries: [%Query{host: "app.internal"}]} =
               Config.new!([query: "app.internal"], "env.internal")

      assert Config.new!([], nil) == :ignore
      assert Config.new!([], "") == :ignore
    end

    for {bad, why} <- [
          {1234, "expected :query to be a string, {basename, query}, or list, got: 1234"},
          {:atom, "expected :query to be a string, {basename, query}, or list, got: :atom"},
          {%{a: 1}, "expected :query to be a string, {basename, query}, or list, got: %{a: 1}"},
          {[["query"]],
           ~s(expected :query to be a string, {basename, query}, or list, got: [["query"]])},
          {["a" | "b"],
           ~s(expected :query to be a string, {basename, query}, or list, got: ["a" | "b"])},
          {{"a", :b},
           ~s(expected :query to be a string, {basename, query}, or list, got: {"a", :b})},
          {"a@b@c", ~s(got: "a@b@c" (it holds more than one @)},
          {"@x", ~s(got: "@x" (no basename stands before its @)},
          {"x@", ~s(got: "x@" (no host stands behind its @)},
          {"b c@x", ~s(got: "b c@x" (its basename "b c" is not)},
          {"a..b", ~s(got: "a..b" (the name has an empty part)},
          {"a b.c", ~s(got: "a b.c" (the name holds a blank)},
          {"a\0b", "the name holds a control character"},
          {"bücher.de", "outside ASCII"},
          {String.duplicate("a", 64) <> ".x", "longer than 63 characters"},
          {String.duplicate("a.", 127) <> "aa", "longer than 253 characters"},
          {"app.internal,**@x", ~s(got: "**@x" (its basename "**" holds more than one *)},
          {"a*b*c@x", ~s(got: "a*b*c@x" (its basename "a*b*c" holds more than one *)},
          {"a.*@x", ~s(got: "a.*@x" (its basename "a.*" is not)},
          {"dir:", ~s(got: "dir:" \()},
          {"x,dir:shared/nodes", ~s(got: "dir:shared/nodes" \()},
          {":node1@node1", ~s[got: ":node1@node1" (in a string a node is written as its name]},
          {~s(:"node1@node1"), "without the colon"},
          {[:node1], ~s[got: :node1 (an atom is a node's whole name, such as :"node1@node1")]},
          {[nil], "list, got: [nil]"},
          {[true], "list, got: [true]"},
          {["app", false], ~s(list, got: ["app", false])},
          {[:"@x"], "got: :\"@x\""},
          {[:x@], "got: :x@ "},
          {["app", :"a b@c"], "got: :\"a b@c\""},
          {[:a@b@c], "got: :a@b@c "},
          {{DNSMesh.Directory, path: "shared"},
           ~s(got: {DNSMesh.Directory, [path: "shared"]} \()},
          {{nil, 1}, "to be a string, {basename, query}, or list"},
          {{MySource, 1, 2}, "to be a string, {basename, query}, or list"}
        ] do
      test "#{inspect(bad, printable_limit: 20)} is refused, and named" do
        error =
          assert_raise ArgumentError, fn ->
            Config.new!([query: unquote(Macro.escape(bad))], nil)
          end

        assert error.message =~ unquote(why)
      end
    end

    test "malformed in the environment names the variable" do
      error = assert_raise ArgumentError, fn -> Config.new!([], "a@b@c") end
      assert error.message =~ "every item of DNS_CLUSTER_QUERY"
    end
  end

  describe "an option" do
    for {key, bad} <- [
          resource_types: [],
          resource_types: [:mx],
          resource_types: :a,
          interval: 99,
          interval: 0,
          interval: -1,
          interval: 5.0,
          interval: 86_400_001,
          interval: "5000",
          timeout: 49,
          timeout: :infinity,
          connect_timeout: 0,
          connect_timeout: nil,
          name: "DNSMesh",
          name: nil,
          log: true,
          log: :loud,
          resolver: String,
          resolver: NoSuchModule,
          resolver: 1,
          nameservers: [],
          nameservers: "10.0.0.2",
          nameservers: ["dns.example"],
          nameservers: ["10.0.0.2:0"],
          nameservers: ["10.0.0.2:65536"],
          nameservers: ["[fdaa::3"],
          nameservers: ["10.0.0.2:"],
          nameservers: [{10, 0, 0, 2}],
          basename: "a@b",
          basename: "a b",
          basename: "",
          basename: :app,
          allow: [],
          allow: ["10.0.0.0/33"],
          allow: ["10.0.0.0/8/8"],
          allow: ["everything"],
          allow: "10.0.0.0/8",
          distribution: :yes,
          distribution: true,
          address: "app.internal",
          address: {10, 0, 0, 1},
          address: {:interface, ""},
          address: {:interface, :eth0},
          address: {:subnet, "everything"},
          address: {:env, nil},
          cookie: "",
          cookie: :"",
          name_timeout: -1,
          name_timeout: :infinity,
          max_peers: 0,
          max_peers: 65_537
        ] do
      test "#{key}: #{inspect(bad)} is refused with what was expected and what was got" do
        error =
          assert_raise ArgumentError, fn ->
            config!([{unquote(key), unquote(Macro.escape(bad))}])
          end

        assert error.message =~ ~r/\Aexpected #{inspect(unquote(key))} to be .+, got: /
        assert String.ends_with?(error.message, "got: " <> inspect(unquote(Macro.escape(bad))))
      end
    end

    test "that nobody knows is refused, with those that are known" do
      error = assert_raise ArgumentError, fn -> config!(poll_interval: 1) end

      assert error.message =~
               "unknown option :poll_interval, expected one of [:query, :resource_types, :interval"
    end

    test "is checked even when there is nothing to ask" do
      assert_raise ArgumentError, fn -> Config.new!([query: :ignore, interval: 1], nil) end
    end

    test "list that is none is refused" do
      assert_raise ArgumentError, ~r/expected the options to be a keyword list, got: "app"/, fn ->
        apply(Config, :new!, ["app", nil])
      end
    end

    test "has the default of the documentation when it is not given" do
      assert %Config{
               types: [:a],
               interval: 5_000,
               timeout: 2_000,
               connect_timeout: 10_000,
               log: :info,
               resolver: nil,
               nameservers: [],
               basename: nil,
               allow: :default,
               max_peers: 1_024,
               distribution: :auto,
               address: nil,
               cookie: nil,
               name_timeout: 5_000
             } = config!([])
    end

    test "in its right form is kept" do
      config =
        config!(
          resource_types: [:srv, :a, :a],
          nameservers: ["10.0.0.2", "127.0.0.1:8600", "[fdaa::3]:53", "[::1]", "fdaa::3"],
          allow: ["10.0.0.0/8", "fd00::/8", "192.0.2.1"],
          log: false,
          basename: "my_app-2",
          cookie: :secret,
          address: {:subnet, "10.0.0.0/8"}
        )

      assert config.types == [:srv, :a]

      assert config.nameservers == [
               {{10, 0, 0, 2}, 53},
               {{127, 0, 0, 1}, 8600},
               {{0xFDAA, 0, 0, 0, 0, 0, 0, 3}, 53},
               {{0, 0, 0, 0, 0, 0, 0, 1}, 53},
               {{0xFDAA, 0, 0, 0, 0, 0, 0, 3}, 53}
             ]

      assert config.allow == [
               {{10, 0, 0, 0}, 8},
               {{0xFD00, 0, 0, 0, 0, 0, 0, 0}, 8},
               {{192, 0, 2, 1}, 32}
             ]

      assert config.basename == "my_app-2"
      assert Secret.reveal(config.cookie) == "secret"
      assert config.address == {:subnet, {{10, 0, 0, 0}, 8}}
    end
  end

  test "with a :resolver module the types default to both and hosts are the module's business" do
    assert %Config{types: [:a, :aaaa], queries: [%Query{host: "any thing"}]} =
             Config.new!([query: "any thing", resolver: __MODULE__.Resolver], nil)
  end

  defmodule Resolver do
    def basename(_), do: "app"
    def lookup(_, _), do: []
    def list_nodes, do: []
    def connect_node(_), do: false
  end

  test "a service name is asked for SRV records, whatever the types" do
    for {host, types} <- [{"_epmd._tcp.app.svc", [:srv]}, {"_app", [:a]}, {"app._x.y", [:a]}] do
      assert Query.types(%Query{text: host, host: host}, [:a]) == types
    end
  end
end

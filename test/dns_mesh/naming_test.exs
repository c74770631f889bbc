defmodule DNSMesh.NamingTest do
  use ExUnit.Case, async: true

  alias DNSMesh.{Answer, Lookups, Naming, Query}

  @address %{ip: {10, 0, 0, 5}, interface: "eth0", because: :in_answer}

  defp told({_naming, effects}),
    do:
      for(
        {:event, [:problem, what], _, metadata} <- effects,
        do: {what, metadata.problem, metadata[:reason]}
      )

  test "is ready when all that count have been heard, or at once with an option" do
    naming = Naming.seek("app", nil, 0, 4_000)
    refute Naming.ready?(naming, false, 0)
    assert Naming.ready?(naming, true, 0)
    assert Naming.ready?(Naming.seek("app", {:literal, {10, 0, 0, 5}}, 0, 4_000), false, 0)
    refute Naming.ready?(Naming.off(0), true, 0)
  end

  test "is not ready while it starts, once it is named, and for a pause after a failure" do
    starting = Naming.starting(Naming.seek("app", nil, 0, 4_000), @address, "app@10.0.0.5")
    refute Naming.ready?(starting, true, 1)
    {named, _} = Naming.named(starting, "app@10.0.0.5", 2)
    refute Naming.ready?(named, true, 3)

    {failed, _} = Naming.failed(starting, :epmd_silent, 5_000, 2)
    refute Naming.ready?(failed, true, 5_001)
    assert Naming.ready?(failed, true, 5_002)
  end

  test "the only address is premature until there is an answer, or for as long as there is patience" do
    naming = Naming.seek("app", nil, 0, 4_000)
    only = %{@address | because: :only_address}
    assert Naming.premature?(naming, only, false, 3_999)
    refute Naming.premature?(naming, only, true, 0)
    refute Naming.premature?(naming, only, false, 4_000)

    for because <- [:option, :in_answer, :route_to_peer, :platform_hint],
        do: refute(Naming.premature?(naming, %{@address | because: because}, false, 0))

    refute Naming.premature?(Naming.off(0), only, false, 0)
  end

  test "undecided is worth a word after 30 s, with the candidates and the option" do
    naming = Naming.seek("app", nil, 0, 4_000)
    assert told(Naming.undecided(naming, [@address], 29_999)) == []

    assert [{:raised, :no_own_address, {:undecided, [@address]} = reason}] =
             told(Naming.undecided(naming, [@address], 30_000))

    assert DNSMesh.Error.message(reason) =~ "10.0.0.5 (eth0); set :address"
    # The obstacle shows in the status before.
    {naming, []} = Naming.undecided(naming, [@address], 1)
    assert Naming.obstacle(naming) =~ "10.0.0.5 (eth0)"
  end

  test "a failure is told once for each kind, and not again when its text changes" do
    starting = Naming.starting(Naming.seek("app", nil, 0, 4_000), @address, "app@10.0.0.5")
    {naming, _} = first = Naming.failed(starting, {:start_failed, "one"}, 100, 0)
    assert [{:raised, :name_not_taken, {:start_failed, "one"}}] = told(first)
    {naming, _} = second = Naming.failed(naming, {:start_failed, "two"}, 100, 200)
    assert told(second) == []

    assert [{:raised, :name_not_taken, :epmd_silent}] =
             told(Naming.failed(naming, :epmd_silent, 100, 400))
  end

  test "the name clears what was in its way" do
    starting = Naming.starting(Naming.seek("app", nil, 0, 4_000), @address, "app@10.0.0.5")
    {naming, _} = Naming.failed(starting, :epmd_silent, 100, 0)
    assert [{:cleared, :name_not_taken, nil}] = told(Naming.named(naming, "app@10.0.0.5", 200))
  end

  test "the name clears all that was in its way, and is kept" do
    {naming, _} = Naming.refused(Naming.seek("app", nil, 0, 4_000), :no_address, 0)
    starting = Naming.starting(naming, @address, "app@10.0.0.5")
    assert %{state: :starting, address: @address, name: "app@10.0.0.5"} = starting
    {failed, _} = Naming.failed(starting, :epmd_silent, 100, 1)
    assert %{state: :seeking, retry_at: 101, obstacle: :epmd_silent} = failed
    {named, _} = both = Naming.named(failed, "app@10.0.0.6", 200)
    assert [{:cleared, :no_own_address, nil}, {:cleared, :name_not_taken, nil}] = told(both)
    assert %{state: :named, name: "app@10.0.0.6", retry_at: nil} = named
  end

  test "patience counts from the start of the search, wherever the clock stands" do
    for start <- [-576_460_751_000, 576_460_751_000] do
      naming = Naming.seek("app", nil, start)
      assert told(Naming.undecided(naming, [@address], start + 29_999)) == []
      assert [_] = told(Naming.undecided(naming, [@address], start + 30_000))
    end
  end

  test "that it is late is told, and what it waits for is known at any time" do
    naming = Naming.seek("app", nil, 0, 4_000)
    assert [{:raised, :name_late, nil}] = told(Naming.late(naming, 5_000))
    assert Naming.obstacle(naming) =~ "have not answered yet"
  end

  test "answers that list others each time add up, item by item, up to what one answer may hold" do
    ips = fn numbers -> for n <- numbers, do: {10, 0, div(n, 256), rem(n, 256)} end
    heard = Naming.union([], :not_yet)
    heard = Naming.union(heard, {:ok, [ips.(1..8), []]})
    heard = Naming.union(heard, :not_yet)
    heard = Naming.union(heard, {:ok, [ips.(5..12), ips.([1])]})
    assert Enum.map(heard, &Enum.sort/1) == [ips.(1..12), ips.([1])]
    assert [many, _] = Naming.union(heard, {:ok, [ips.(1..9_000), []]})
    assert length(many) == 4_096
  end

  describe "what the lookups listed" do
    @plain %Query{text: "app.internal", host: "app.internal"}
    @ours %Query{text: "app@b.internal", host: "b.internal", basename: "app"}
    @foreign %Query{text: "worker@c.internal", host: "c.internal", basename: "worker"}

    defp done(lookups, key, result) do
      {lookups, _} = Lookups.done(lookups, key, result, 0)
      lookups
    end

    defp ok(n), do: {:ok, %Answer{records: [{10, 0, 0, n}], ttl: 0, name: "x", server: "y"}}
    defp error(reason), do: {:error, %{reason: reason, server: nil}}

    test "counts in the order of the query's items, once all that count have ended, foreign basenames not" do
      lookups = Lookups.new([{@plain, :a}, {@foreign, :a}, {@ours, :a}, {@ours, :srv}], 5_000)
      assert Lookups.listed(lookups, "app") == :not_yet

      lookups =
        lookups
        |> done({@ours, :a}, ok(2))
        |> done({@ours, :srv}, ok(3))
        |> done({@plain, :a}, error(:nxdomain))

      assert Lookups.listed(lookups, "app") == {:ok, [[], [{10, 0, 0, 2}, {10, 0, 0, 3}]]}
    end

    @literal %Query{text: "10.0.0.9", host: "10.0.0.9"}
    @folder %Query{text: "dir:/nodes", source: {DNSMesh.Directory, "/nodes"}}

    test "is an answer of any name that is asked for; what is written down is one where nothing is asked" do
      for {keys, results, answered?} <- [
            {[{@plain, :a}], [], false},
            {[{@plain, :a}], [{{@plain, :a}, error(:timeout)}], false},
            {[{@plain, :a}], [{{@plain, :a}, error(:servfail)}], false},
            {[{@plain, :a}], [{{@plain, :a}, error(:nxdomain)}], true},
            {[{@plain, :a}], [{{@plain, :a}, error(:no_records)}], true},
            {[{@plain, :a}], [{{@plain, :a}, ok(1)}], true},
            {[{@plain, :a}], [{{@plain, :a}, ok(1)}, {{@plain, :a}, error(:timeout)}], true},
            # One of several, of whichever basename.
            {[{@plain, :a}, {@ours, :a}], [{{@ours, :a}, ok(1)}], true},
            {[{@plain, :a}, {@foreign, :a}], [{{@foreign, :a}, error(:nxdomain)}], true},
            {[{@foreign, :a}], [{{@foreign, :a}, error(:refused)}], false},
            # No name server's word.
            {[{@literal, :a}], [{{@literal, :a}, ok(1)}], true},
            {[{@literal, :a}, {@plain, :a}], [{{@literal, :a}, ok(1)}], false},
            {[{@folder, :names}],
             [{{@folder, :names}, {:ok, %Answer{records: [], ttl: nil, name: nil, server: ""}}}],
             true},
            {[{@folder, :names}], [{{@folder, :names}, error(:timeout)}], false},
            {[{@folder, :names}, {@plain, :a}],
             [{{@folder, :names}, {:ok, %Answer{records: [], ttl: nil, name: nil, server: ""}}}],
             false}
          ] do
        lookups =
          Enum.reduce(results, Lookups.new(keys, 5_000), fn {key, result}, lookups ->
            done(lookups, key, result)
          end)

        assert Lookups.answered?(lookups) == answered?, inspect({keys, results})
      end
    end

    test "stays through a failure, and ends with a conclusive nobody" do
      lookups = done(Lookups.new([{@plain, :a}], 5_000), {@plain, :a}, ok(1))

      assert Lookups.listed(done(lookups, {@plain, :a}, error(:timeout)), "app") ==
               {:ok, [[{10, 0, 0, 1}]]}

      assert Lookups.listed(done(lookups, {@plain, :a}, error(:nxdomain)), "app") == {:ok, [[]]}
    end
  end
end

defmodule DNSMesh.WaitingTest do
  use ExUnit.Case, async: true

  alias DNSMesh.{Candidates, Distribution, Peer, Roster, Waiting}
  alias DNSMesh.Test.Given

  @a "app@10.0.0.2"
  @b "app@10.0.0.3"

  defp world(overrides \\ []) do
    Map.merge(
      %{distribution: Given.distribution(1), own_addresses: [{10, 0, 0, 1}], connected: []},
      Map.new(overrides)
    )
  end

  defp undistributed do
    %Distribution{alive?: false, names: nil, family: :inet, tls?: false, epmd?: true}
  end

  defp listed(names, key \\ :q) do
    names =
      Map.new(names, fn "app@10.0.0." <> n = name ->
        {name, {[{10, 0, 0, String.to_integer(n)}], nil}}
      end)

    {:answer, key, %Candidates{query: "app.internal", names: names}}
  end

  defp roster(events) do
    config = Given.config(ask_first: false)

    for {now, event} <- events, reduce: Roster.new(config, 1) do
      roster -> roster |> Roster.handle(event, now) |> elem(0)
    end
  end

  # As the Poller does: a look after each event.
  defp discovered?(events, keys \\ [:q]) do
    waiting =
      for count <- 1..length(events), reduce: %Waiting{} do
        waiting ->
          {waiting, []} = Waiting.look(waiting, roster(Enum.take(events, count)), keys)
          waiting
      end

    Waiting.reached?(waiting, :discovered, roster(events))
  end

  describe "the first discovery" do
    test "is not over before every item has answered" do
      events = [{0, {:round, world()}}, {1, listed([])}]
      refute discovered?([hd(events)])
      assert discovered?(events)
      refute discovered?(events, [:q, :p])
      assert discovered?(events ++ [{2, {:listed_nothing, :p}}], [:q, :p])
    end

    test "is not over before everyone listed has had its turn" do
      events = [{0, {:round, world()}}, {1, listed([@a, @b])}]
      refute discovered?(events)
      one = events ++ [{2, {:joined, @a, true}}]
      refute discovered?(one)
      assert discovered?(one ++ [{3, {:joined, @b, true}}])
      assert discovered?(one ++ [{3, {:joined, @b, false}}])
    end

    test "does not wait for who is refused, nor for who hangs" do
      assert discovered?([{0, {:round, world()}}, {1, listed(["app@10.0.0.1"])}])

      dialled = [{0, {:round, world()}}, {1, listed([@a])}, {9_000, {:round, world()}}]
      refute discovered?(dialled)
      assert discovered?(dialled ++ [{10_001, {:round, world()}}])
    end

    test "does not wait again for a peer that has been lost" do
      linked = [{0, {:round, world()}}, {1, listed([@a])}, {2, {:joined, @a, true}}]
      events = linked ++ [{3, {:nodedown, @a, :visible, nil}}]
      assert {_, []} = Waiting.look(%Waiting{}, roster(events), [:q])
      assert {%{discovered?: true}, []} = Waiting.look(%Waiting{}, roster(events), [:q])
    end

    test "stays over when somebody comes later" do
      linked = [{0, {:round, world()}}, {1, listed([@a])}, {2, {:joined, @a, true}}]
      assert discovered?(linked ++ [{3, listed([@a, @b])}])
    end

    # The names of the first answer mean nothing once this node has one, and are dropped: nobody is left then, and yet
    # nobody was tried.
    test "begins anew when this node gets its name" do
      unnamed = world(distribution: undistributed(), basename: "app", naming?: true)
      heard = [{0, {:round, unnamed}}, {1, listed([@a])}]
      refute discovered?(heard)
      named = heard ++ [{2, {:round, world()}}]
      refute discovered?(named)
      refute discovered?(named ++ [{3, listed([@a])}])
      assert discovered?(named ++ [{3, listed([@a])}, {4, {:joined, @a, true}}])
    end

    # It is listed once it is healthy, and healthy once it has started.
    test "of a node without a name is over when nobody is listed" do
      unnamed = world(distribution: undistributed(), basename: "app", naming?: true)
      assert discovered?([{0, {:round, unnamed}}, {1, {:listed_nothing, :q}}])
    end
  end

  describe "a peer's turn" do
    for {peer, over?} <- [
          {[state: :new], false},
          {[state: :joining], false},
          {[state: :joining, failures: 1], true},
          {[state: :joining, once_connected?: true], true},
          {[state: :joining, reason: :connect_timeout], true},
          {[state: :new, once_connected?: true], true},
          {[state: :new, failures: 1], true},
          {[state: :connected], true},
          {[state: :waiting, reason: {:dead, :refused}], true},
          {[state: :waiting, reason: :atom_budget], true},
          {[state: :waiting, reason: :not_distributed], false},
          {[state: :held, reason: :unresolved], true},
          {[state: :refused, reason: :self], true}
        ] do
      test "is #{unless over?, do: "not "}over when it is #{inspect(peer)}" do
        peer = struct!(%Peer{name: @a, since: 0}, unquote(peer))
        other = %Peer{name: @b, since: 0, state: :connected}
        roster = %{Roster.new(Given.config(), 1) | peers: %{@a => peer, @b => other}}
        {waiting, []} = Waiting.look(%Waiting{}, %{roster | answers: %{q: %{}}}, [:q])
        assert Waiting.reached?(waiting, :discovered, roster) == unquote(over?)
      end
    end
  end

  test "nothing is discovered before anything has happened" do
    refute Waiting.reached?(%Waiting{}, :discovered, Roster.new(Given.config(), 1))
  end

  test "who waits is told once, when there are enough, and in no particular order" do
    waiter = fn goal -> %{wish: %{peers: goal, timeout: 1, on_timeout: nil}, from: goal} end
    [one, two, three] = for _ <- 1..3, do: make_ref()

    waiting =
      %Waiting{}
      |> Waiting.add(one, waiter.(1))
      |> Waiting.add(two, waiter.(2))
      |> Waiting.add(three, waiter.(:discovered))

    events = [{0, {:round, world()}}, {1, listed([@a, @b])}, {2, {:joined, @a, true}}]
    assert {waiting, [%{from: 1}]} = Waiting.look(waiting, roster(events), [:q])
    assert {waiting, []} = Waiting.look(waiting, roster(events), [:q])
    assert {%{from: :discovered}, waiting} = Waiting.over(waiting, three)
    assert {nil, waiting} = Waiting.over(waiting, three)
    events = events ++ [{3, {:joined, @b, true}}]
    assert {%{waiters: none}, [%{from: 2}]} = Waiting.look(waiting, roster(events), [:q])
    assert none == %{}
  end
end

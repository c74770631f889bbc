defmodule DNSMesh.AnsweringTest do
  use ExUnit.Case, async: true

  alias DNSMesh.{Answering, Members}

  @a "app@10.0.0.1"
  @b "app@10.0.0.2"
  @c "app@10.0.0.3"

  defp me(overrides \\ []),
    do:
      Map.merge(
        %{node: "app@10.0.0.9", leaving?: false, busy?: false, members: [@a, @b]},
        Map.new(overrides)
      )

  defp ask(answering \\ %Answering{}, question, from, now, me \\ me()),
    do: Answering.asked(answering, question, from, me, now)

  defp reply(from, answer), do: {:reply, from, Members.answer(answer)}

  test "a node that nobody has probed lately is probed once, however many ask, and all are answered" do
    {answering, effects} = ask({:reach, @c}, :one, 0)
    assert effects == [{:check, [@c]}]
    {answering, effects} = ask(answering, {:reach, @c}, :two, 10)
    assert effects == []
    {answering, effects} = Answering.learnt(answering, %{@c => {:ok, 9_100}}, 20)
    assert Enum.sort(effects) == [reply(:one, :ok), reply(:two, :ok)]
    assert answering.pending == []
  end

  test "a verdict is repeated for 10 s; that a port is closed is not, for it may be about to open" do
    for {verdict, answer, kept} <- [
          {:ok, :ok, 9_999},
          {{:silent, :port}, :silent, 9_999},
          {{:dead, :refused}, :dead, -1},
          {{:silent, :not_tried}, :unknown, -1},
          {{:silent, :lost}, :unknown, -1}
        ] do
      {answering, _} = ask({:reach, @c}, :one, 0)
      {answering, [told]} = Answering.learnt(answering, %{@c => {verdict, nil}}, 0)
      assert told == reply(:one, answer)

      if kept > 0 do
        assert {_, [again]} = ask(answering, {:reach, @c}, :two, kept)
        assert again == reply(:two, answer)
      end

      assert {_, [{:check, [@c]}]} = ask(answering, {:reach, @c}, :two, kept + 1)
    end
  end

  test "10 s are as long where the clock stands below zero" do
    start = -576_460_751_000
    {answering, []} = Answering.learnt(%Answering{}, %{@c => {:ok, 9_100}}, start)
    assert {_, [{:reply, :one, _}]} = ask(answering, {:reach, @c}, :one, start + 9_999)
    assert {_, [{:check, [@c]}]} = ask(answering, {:reach, @c}, :one, start + 10_000)
  end

  test "who asks about several is answered when all are known, what is no name left out" do
    for members <- [[@a, @b], []] do
      silent = if members == [], do: ["a name", @a, @b], else: [@a, @b]
      question = {:members, "app@10.0.0.8", silent}

      {answering, [{:check, [@a, @b]}]} =
        ask(%Answering{}, question, :one, 0, me(members: members))

      {answering, []} = Answering.learnt(answering, %{@a => {:ok, 1}}, 1)
      {answering, effects} = Answering.learnt(answering, %{@b => {{:dead, :refused}, nil}}, 2)
      answers = Map.new(silent, &{&1, %{@a => :ok, @b => :dead}[&1] || :unknown})
      assert effects == [reply(:one, {:members, members, answers})]
      assert answering.pending == []
    end
  end

  test "probes of our own count too" do
    {answering, []} = Answering.learnt(%Answering{}, %{@c => {:ok, 9_100}}, 0)
    assert {_, [{:reply, :one, _}]} = ask(answering, {:reach, @c}, :one, 100)
  end

  test "one that is about to let in another node says so, but for a question about itself" do
    assert {_, [told]} = ask(%Answering{}, {:reach, @c}, :one, 0, me(busy?: true))
    assert told == reply(:one, :busy)
    assert {_, [told]} = ask(%Answering{}, {:reach, "app@10.0.0.9"}, :one, 0, me(busy?: true))
    assert told == reply(:one, :ok)
  end

  test "one that another member has just asked about may be about to come in: who cannot reach it looks again later" do
    {answering, _} = ask({:reach, @c}, :one, 0)
    other = "app@10.0.0.8"
    assert {^answering, [told]} = ask(answering, {:members, other, [@c]}, :two, 499)
    assert told == reply(:two, :busy)
    # Others need not wait, and half a second later it is in, or is not.
    assert {_, [{:reply, :two, told}]} = ask(answering, {:members, other, []}, :two, 499)
    assert told == Members.answer({:members, [@a, @b], %{}})
    members = reply(:two, {:members, [@a, @b], %{}})
    assert {_, [^members]} = ask(answering, {:members, other, [@c]}, :two, 500)
    # It is no stranger to itself, nor is one of our members.
    assert {_, [^members]} = ask(answering, {:members, @c, [@c]}, :two, 1)
    {answering, _} = ask({:reach, @a}, :one, 0)
    assert {_, []} = ask(answering, {:members, other, [@a]}, :two, 1)
  end

  test "one without links tells which of those before the asker it can reach, a bounded number" do
    question = {:members, @b, [@a, @b, @c, "not a name"]}
    {answering, effects} = ask(%Answering{}, question, :one, 0, me(members: []))
    assert effects == [{:check, [@a]}]
    {_, effects} = Answering.learnt(answering, %{@a => {:ok, 9_100}}, 5)
    assert effects == [reply(:one, {:members, [], %{@a => :ok}})]

    many = for n <- 100..199, do: "app@10.0.0.#{n}"
    question = {:members, "app@10.0.0.2", many}
    assert {_, [{:check, checked}]} = ask(%Answering{}, question, :one, 0, me(members: []))
    assert length(checked) == 16
  end

  test "whom this node is linked to, and which of the silent ones it can reach" do
    {answering, effects} = ask({:members, @c, [@b, "app@10.0.0.8"]}, :one, 0)
    # Only members of ours are worth a probe.
    assert effects == [{:check, [@b]}]
    {_, effects} = Answering.learnt(answering, %{@b => {{:silent, :epmd}, nil}}, 1_500)
    assert effects == [reply(:one, {:members, [@a, @b], %{@b => :silent}})]
  end

  test "who was told our members is one of them for whoever asks next, for 5 s" do
    {answering, [_]} = ask({:members, @c, []}, :one, 0)

    {answering, [{:reply, :two, told}]} =
      ask(answering, {:members, "app@10.0.0.4", []}, :two, 4_999)

    assert told == Members.answer({:members, [@a, @b, @c], %{}})

    {later, [{:reply, :three, told}]} =
      ask(answering, {:members, "app@10.0.0.5", []}, :three, 9_000)

    assert told == Members.answer({:members, [@a, @b, "app@10.0.0.4"], %{}})
    # To the very millisecond.
    {_, [{:reply, :four, told}]} = ask(later, {:members, "app@10.0.0.6", []}, :four, 9_999)
    assert told == Members.answer({:members, [@a, @b, "app@10.0.0.5"], %{}})
  end

  test "nobody is told of itself, and of no one twice" do
    {answering, [_]} = ask({:members, @c, []}, :one, 0)
    {_, effects} = ask(answering, {:members, @c, []}, :two, 1)
    assert effects == [reply(:two, {:members, [@a, @b], %{}})]
    {_, effects} = ask(answering, {:members, @a, []}, :two, 1)
    assert effects == [reply(:two, {:members, [@b, @c], %{}})]
    # It has come in meanwhile.
    {_, effects} = ask(answering, {:members, @a, []}, :two, 1, me(members: [@a, @b, @c]))
    assert effects == [reply(:two, {:members, [@b, @c], %{}})]
  end

  test "a node that leaves says so, and no of itself" do
    leaving = me(leaving?: true)
    assert {_, [told]} = ask(%Answering{}, {:members, @c, []}, :one, 0, leaving)
    assert told == reply(:one, :leaving)
    assert {_, [told]} = ask(%Answering{}, {:reach, "app@10.0.0.9"}, :one, 0, leaving)
    assert told == reply(:one, :dead)
    assert {_, [told]} = ask(%Answering{}, {:reach, "app@10.0.0.9"}, :one, 0)
    assert told == reply(:one, :ok)
  end

  test "what is no name is not probed, and answered with that" do
    for junk <- ["app", "a@b@c", "a b@c", String.duplicate("a", 1_000), <<255>>] do
      assert {_, [told]} = ask({:reach, junk}, :one, 0)
      assert told == reply(:one, :unknown)
    end
  end

  test "a member gone mad does not make it grow" do
    name = fn n -> "app@10.1.#{div(n, 256)}.#{rem(n, 256)}" end

    # Each about another one, in the name of another one.
    # Two short of what is remembered at most.
    times = fn from, until -> for n <- from..(from + 2_045), into: %{}, do: {name.(n), until} end
    answering = %Answering{let_in: times.(10_000, 500), promised: times.(20_000, 5_000)}

    answering =
      for n <- 1..260, reduce: answering do
        answering ->
          {answering, _} = ask(answering, {:reach, name.(n)}, n, 0)
          {answering, _} = ask(answering, {:members, name.(3_000 + n), []}, n, 0)
          answering
      end

    assert length(answering.pending) == 256
    assert MapSet.size(answering.probing) == 256
    assert map_size(answering.let_in) == 2_048
    assert map_size(answering.promised) == 2_048
    # Nobody is remembered for longer because of it.
    {later, _} = ask(answering, {:members, @c, []}, :one, 5_000)
    assert later.promised == %{@c => 10_000}

    # Who is remembered already has a longer time all the same.
    {again, _} = ask(answering, {:members, name.(3_001), []}, :one, 400)
    assert again.promised[name.(3_001)] == 5_400
    {again, _} = ask(answering, {:reach, name.(1)}, :one, 400)
    assert again.let_in[name.(1)] == 900
  end

  test "verdicts add up, to a bound: then only the last ones count" do
    name = fn n -> "app@10.1.#{div(n, 256)}.#{rem(n, 256)}" end
    found = for n <- 1..2_047, into: %{}, do: {name.(n), {:ok, 1}}
    {answering, []} = Answering.learnt(%Answering{}, found, 0)
    {full, []} = Answering.learnt(answering, %{@c => {:ok, 1}}, 1)
    assert {_, [{:reply, :one, _}]} = ask(full, {:reach, name.(1)}, :one, 2)

    {new, []} = Answering.learnt(full, %{@b => {:ok, 1}}, 3)
    assert {new, [{:check, [_]}]} = ask(new, {:reach, name.(1)}, :one, 4)
    assert {_, [{:reply, :two, _}]} = ask(new, {:reach, @b}, :two, 4)

    # What is too old is dropped by the next question.
    {answering, _} = ask(full, {:reach, @a}, :one, 10_002)
    assert answering.known == %{}
  end
end

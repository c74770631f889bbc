defmodule DNSMesh.MembersTest do
  # What members say to one another, as it travels. Over real links: test/asking/members_test.exs.
  use ExUnit.Case, async: true

  alias DNSMesh.Members

  @a "app@10.0.0.1"
  @b "app@10.0.0.2"

  test "questions and news are read as they were written" do
    for said <- [{:reach, @a}, {:members, @a, []}, {:members, @a, [@b]}, {:leaving, @a}],
        do: assert(Members.read(Members.question(said)) == {:ok, said})
  end

  test "a look with more silent names than any mesh has is none of ours" do
    silent = for n <- 1..4_096, do: "app@10.1.#{div(n, 256)}.#{rem(n, 256)}"
    assert {:ok, _} = Members.read(Members.question({:members, @a, silent}))
    assert Members.read(Members.question({:members, @a, [@b | silent]})) == :other
  end

  test "what is not of the right shape, or of another version, is none of ours, and harms nobody" do
    for junk <- [
          {:reach, :"app@10.0.0.1"},
          {:reach, nil},
          {:reach, ~c"app@10.0.0.1"},
          {:leaving, :"app@10.0.0.1"},
          {:leaving, nil},
          {:members, :"app@10.0.0.1", []},
          {:members, @a, nil},
          {:members, @a, %{}},
          {:members, @a, @b},
          {:members, @a, [@b | @a]},
          {:members, @a, [@b, :"app@10.0.0.3"]},
          {:members, @a, [nil]},
          {:members, @a},
          :reach
        ] do
      assert Members.read(Members.question(junk)) == :other, inspect(junk)
    end

    for question <- [{:reach, @a}, {:members, @a, []}, {:leaving, @a}],
        version <- [0, 2, nil],
        do: assert(Members.read({:dns_mesh, version, question}) == :other)

    assert Members.read({:reach, @a}) == :other
    assert Members.read(nil) == :other
  end

  # A call to a member would dial it; a node that is not distributed cannot even try.
  test "who is not linked is not asked" do
    assert Members.ask(DNSMesh, @a, [:"nobody@10.0.0.2"]) == %{}
  end

  test "the Poller waits a little longer for the answers than they may take" do
    assert Members.patience() in 5_500..7_000
  end
end

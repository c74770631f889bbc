defmodule DNSMesh.SourceTest do
  use ExUnit.Case, async: true

  alias DNSMesh.{Answer, Error, Static}
  alias DNSMesh.Source.Runner
  alias DNSMesh.Test.Atoms

  @context %{mesh: __MODULE__, node: "me@10.0.0.1", interval: 5_000, timeout: 2_000}

  # Does what its argument says.
  defmodule Puppet do
    @behaviour DNSMesh.Source

    @impl true
    def discover(fun, context), do: fun.(context)

    @impl true
    def validate({:give, term}), do: term
    def validate(fun), do: {:ok, fun}

    @impl true
    def leave(fun, context), do: fun.({:leaving, context})
  end

  defmodule Plain do
    def discover(names, _context), do: {:ok, names}
  end

  defp ask(source, resolve \\ fn hosts -> Map.new(hosts, &{&1, :error}) end) do
    {monitor, pid} = Runner.run(source, @context, resolve)
    assert_receive {:DOWN, ^monitor, :process, ^pid, reason}, 5_000
    Runner.read(reason)
  end

  defp returning(term), do: ask({Puppet, fn _context -> term end})

  defp names({:ok, %Answer{records: records}}), do: Enum.map(records, & &1.name)

  describe "names" do
    test "are strings or atoms, each once, in the order given" do
      assert {"a@10.0.0.1", :"b@10.0.0.2", "a@10.0.0.1", :"a@10.0.0.1", "c@10.0.0.3"}
             |> Tuple.to_list()
             |> then(&returning({:ok, &1}))
             |> names() == ["a@10.0.0.1", "b@10.0.0.2", "c@10.0.0.3"]
    end

    test "whose host is an address have that one, and the others those that are found" do
      asked = self()

      resolve = fn hosts ->
        send(asked, {:hosts, hosts})
        %{"h" => [{10, 0, 0, 9}, {10, 0, 0, 10}], "gone" => :error}
      end

      listed = ["a@10.0.0.1", "b@fd00::1", "c@fe80::1%eth0", "d@h", "e@gone", "f@odd", "g@h"]

      assert {:ok, %Answer{ttl: 0, server: "source", truncated?: false, fault: nil} = answer} =
               ask({Plain, listed}, resolve)

      assert_received {:hosts, ["h", "gone", "odd"]}
      assert answer.name == inspect(Plain)

      assert answer.records == [
               %{name: "a@10.0.0.1", addresses: [{10, 0, 0, 1}]},
               %{name: "b@fd00::1", addresses: [{0xFD00, 0, 0, 0, 0, 0, 0, 1}]},
               %{name: "c@fe80::1%eth0", addresses: [{0xFE80, 0, 0, 0, 0, 0, 0, 1}]},
               %{name: "d@h", addresses: [{10, 0, 0, 9}, {10, 0, 0, 10}]},
               %{name: "e@gone", addresses: []},
               %{name: "f@odd", addresses: []},
               %{name: "g@h", addresses: [{10, 0, 0, 9}, {10, 0, 0, 10}]}
             ]
    end

    test "that are addresses alone ask nothing" do
      assert {:ok, _} = ask({Plain, ["a@10.0.0.1"]}, fn _ -> flunk("asked") end)
    end

    test "are 4 096 at most" do
      all = for n <- 1..4_096, do: "app@10.0.#{div(n, 256)}.#{rem(n, 256)}"
      assert {:ok, %Answer{truncated?: false}} = ask({Plain, all ++ all})
      assert {:ok, %Answer{truncated?: true} = answer} = ask({Plain, all ++ ["one@10.9.9.9"]})
      assert names({:ok, answer}) == all
    end
  end

  describe "junk" do
    @junk [
      "",
      "@",
      "app",
      "app@",
      "@10.0.0.1",
      "a@b@c",
      "a b@10.0.0.1",
      "a@10.0.0.1\n",
      "a@ho st",
      "a'b@h",
      "a@h\"",
      "a@h/../x",
      "*@h",
      "a@h\0",
      "ä@h",
      "a@hä",
      <<255, 254, ?@, 0>>,
      String.duplicate("x", 1_000_000),
      "a@" <> String.duplicate("h", 254),
      nil,
      true,
      :a@b@c
    ]

    test "is left out and counted, and none of it becomes an atom" do
      strange =
        for n <- 1..500,
            junk <- ["strange#{n}@h \"#{n}", "strange_#{n}", "strange#{n}@@h"],
            do: junk

      assert {:ok, answer} = returning({:ok, @junk ++ ["a@10.0.0.1" | strange]})
      assert names({:ok, answer}) == ["a@10.0.0.1"]
      assert answer.fault == {:junk_names, length(@junk) + length(strange)}
      for name <- strange, do: refute(Atoms.atom?(name))
    end

    test "alone is no answer" do
      assert returning({:ok, ["app"]}) == {:error, %{reason: {:junk_names, 1}, server: nil}}
    end

    test "does not hide what the source says is wrong" do
      assert {:ok, %Answer{fault: {:source, "half"}}} =
               returning({:partial, ["a@10.0.0.1", "junk"], "half"})
    end
  end

  describe "without names" do
    test "an empty list says that there is nobody" do
      assert returning({:ok, []}) == {:error, %{reason: :no_names, server: nil}}
    end

    test "a partial list is a failure" do
      assert returning({:partial, [], "half"}) ==
               {:error, %{reason: {:source, "half"}, server: nil}}
    end
  end

  describe "an error" do
    defp said(reason) do
      assert {:error, %{reason: reason, server: nil}} = returning({:error, reason})
      Error.message(reason)
    end

    test "is told in the source's own words" do
      assert said("the list is being rebuilt") == "the list is being rebuilt"
      assert said(:being_rebuilt) == "being_rebuilt"
      assert said({:http, 503}) == "{:http, 503}"
      assert said(%RuntimeError{message: "no list"}) == "no list"
    end

    test "of the operating system is put into words" do
      assert said(:enoent) == "no such file or directory (enoent)"
      assert said(:econnrefused) == "connection refused (econnrefused)"
      assert said(:nxdomain) == "non-existing domain (nxdomain)"
    end

    test "is cut short, and never garbage" do
      assert said(String.duplicate("x", 1_000_000)) == String.duplicate("x", 300) <> "..."
      assert said(<<255, 254>>) == ~S("\xFF\xFE")
      assert String.length(said(for n <- 1..10_000, do: n)) < 100
      assert String.length(said(%{list: String.duplicate("x", 1_000_000)})) < 300
    end

    test "of DNSMesh's own stays what it is" do
      for reason <- [{:folder, :missing, "/x"}, {:folder_stuck, "/x"}, {:junk_names, 3}] do
        assert {:error, %{reason: ^reason}} = returning({:error, reason})
      end

      assert {:error, %{reason: {:source, _}}} = returning({:error, {:folder, "x", 3}})
    end
  end

  describe "a source that" do
    test "returns something else costs its item, and is told what" do
      assert {:error, %{reason: {:bad_return, "42"} = reason}} = returning(42)
      assert Error.message(reason) =~ ~s(returned 42 instead of)

      for {term, text} <- [
            {["a@10.0.0.1"], ~s(["a@10.0.0.1"])},
            {:error, ":error"},
            {{:ok, "a@10.0.0.1"}, ~s("a@10.0.0.1")},
            {{:ok, ["a@10.0.0.1", 42]}, "a list with 42 in it"},
            {{:ok, [~c"a@10.0.0.1"]}, "a list with #{inspect(~c"a@10.0.0.1")} in it"},
            {{:ok, [<<1::3>>]}, "a list with <<1::size(3)>> in it"},
            {{:ok, ["a@10.0.0.1" | "b@10.0.0.2"]}, "an improper list"},
            {{:ok, %{}}, "%{}"},
            {{:partial, nil, "half"}, "nil"},
            {{:ok, [], []}, "{:ok, [], []}"}
          ] do
        assert returning(term) == {:error, %{reason: {:bad_return, text}, server: nil}}
      end

      assert {:error, %{reason: {:bad_return, text}}} =
               returning(String.duplicate("x", 1_000_000))

      assert String.length(text) < 200
    end

    test "raises, throws, exits or is killed costs its item, and is told how" do
      for {fun, text} <- [
            {fn _ -> raise "no list" end, "** (RuntimeError) no list"},
            {fn _ -> throw({:bad_return, "mine"}) end, ~s[** (throw) {:bad_return, "mine"}]},
            {fn _ -> exit(:gone) end, "** (exit) :gone"},
            {fn _ -> Process.exit(self(), :kill) end, "killed"},
            {fn _ -> raise <<255, 254>> end, ~S["** (RuntimeError) \xFF\xFE"]},
            {fn _ -> raise String.duplicate("x", 1_000_000) end,
             "** (RuntimeError) " <> String.duplicate("x", 282) <> "..."}
          ] do
        assert ask({Puppet, fun}) == {:error, %{reason: {:raised, text}, server: nil}}
      end

      linked = fn _ ->
        spawn_link(fn -> exit(:linked_went) end)
        Process.sleep(:infinity)
      end

      assert {:error, %{reason: {:raised, ":linked_went"}}} = ask({Puppet, linked})
    end

    test "is not there, or has no discover/2, costs its item" do
      assert {:error, %{reason: {:raised, text}}} = ask({No.Such.Source, []})
      assert text =~ "module No.Such.Source is not available"
      assert {:error, %{reason: {:raised, text}}} = ask({Enum, []})
      assert text =~ "Enum.discover/2 is undefined"
    end

    @tag capture_log: true
    test "never returns can be killed, and the caller hears nothing else" do
      {monitor, pid} = Runner.run({Puppet, fn _ -> Process.sleep(:infinity) end}, @context, & &1)
      refute pid in (Process.info(self(), :links) |> elem(1))
      Process.exit(pid, :kill)
      assert_receive {:DOWN, ^monitor, :process, ^pid, :killed}, 5_000
      refute_receive _anything, 20
    end
  end

  test "a source is given its argument and the context" do
    me = self()

    returned =
      ask(
        {Puppet,
         fn context ->
           send(me, {:context, context})
           {:ok, []}
         end}
      )

    assert {:error, %{reason: :no_names}} = returned
    assert_received {:context, @context}
  end

  test "what a lookup of the hosts raises is told too" do
    assert {:error, %{reason: {:raised, "** (RuntimeError) no DNS"}}} =
             ask({Plain, ["a@h"]}, fn _ -> raise "no DNS" end)
  end

  test "a static list is what it is" do
    assert {:ok, %Answer{name: "a@h, b@h"} = answer} = ask({Static, ["a@h", "b@h"]})
    assert names({:ok, answer}) == ["a@h", "b@h"]
  end

  describe "validate" do
    test "is asked where there is one" do
      assert Runner.validate({Puppet, {:give, {:ok, :other}}}) == {:ok, {Puppet, :other}}
      assert Runner.validate({Puppet, {:give, {:error, "no"}}}) == {:error, "no"}

      assert {:error, "DNSMesh.SourceTest.Puppet.validate/1 returned 42" <> _} =
               Runner.validate({Puppet, {:give, 42}})

      assert Runner.validate({Plain, 1}) == {:ok, {Plain, 1}}
      assert Runner.validate({No.Such.Source, 1}) == {:ok, {No.Such.Source, 1}}
    end
  end

  describe "leave" do
    test "is told to every source that wants to know" do
      me = self()
      tell = fn {:leaving, context} -> send(me, {:left, context}) end

      assert Runner.leave(
               [{Puppet, tell}, {Plain, []}, {No.Such.Source, []}, {Puppet, tell}],
               @context
             ) == :ok

      assert_received {:left, @context}
      assert_received {:left, @context}
    end

    @tag capture_log: true
    test "takes a second at most, whatever the sources do" do
      me = self()

      hang = fn {:leaving, _} ->
        send(me, {:hanging, self()})
        Process.sleep(:infinity)
      end

      {micros, :ok} =
        :timer.tc(fn ->
          Runner.leave(
            [{Puppet, hang}, {Puppet, fn _ -> raise "no" end}, {Puppet, hang}],
            @context
          )
        end)

      assert micros in 900_000..10_000_000

      for _ <- 1..2 do
        assert_received {:hanging, pid}
        refute Process.alive?(pid)
      end

      refute_receive {:DOWN, _, _, _, _}, 20
    end
  end
end

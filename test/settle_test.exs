defmodule Settle.ChecksTest do
  use ExUnit.Case, async: true

  # bin/e2e settle takes minutes and root. What it decides by is tried here, on records written by hand.

  Code.require_file("settle/load.exs", __DIR__)

  alias Settle.{Checks, Lab, Links, Log, Net, Picture, Plan}

  @moduletag :tmp_dir

  # The fault begins at 100 s, and ends at 240 s.
  @fault 100_000
  @lift 240_000
  @finish 265_000

  describe "a record" do
    test "is read line by line, and half a line is left out", %{tmp_dir: folder} do
      path = Path.join(folder, "1.log")
      File.write!(path, "noise\nsettle 12 BOOT app@a otp=25\nsettle 15 UP app@b\nsettle 1")
      assert Log.read(path) == [{12, "BOOT", ["app@a", "otp=25"]}, {15, "UP", ["app@b"]}]
      assert Log.boots(path) == 1
      assert Log.boots(Path.join(folder, "none")) == 0
    end
  end

  describe "a link" do
    test "is up while both ends say so" do
      records = %{1 => [up(10, 2), down(50, 2)], 2 => [up(20, 1), down(60, 1)]}
      assert links(records) == %{{1, 2} => [{20, 50}]}
    end

    test "is gone when one end's VM begins anew" do
      records = %{1 => [up(10, 2)], 2 => [up(10, 1), {40, "BOOT", ["app@2"]}, up(70, 1)]}
      assert links(records) == %{{1, 2} => [{10, 40}, {70, 100}]}
    end

    test "counts in a group while the whole group is up" do
      links = %{{1, 2} => [{0, 60}], {1, 3} => [{40, 100}], {2, 3} => [{0, 100}]}
      assert Links.together(links, Links.pairs([1, 2, 3]), {0, 100}) == [{40, 60}]
      assert_in_delta Links.share(links, [{1, 2}, {1, 3}], {0, 100}), 0.2, 0.001
    end

    defp links(records), do: Links.new(records, %{"app@1" => 1, "app@2" => 2}, 100)
    defp up(ms, host), do: {ms, "UP", ["app@#{host}"]}
    defp down(ms, host), do: {ms, "DOWN", ["app@#{host}"]}
  end

  describe "a newcomer whom one member cannot reach" do
    test "is held, named, and let in after the fault: nothing fails", %{tmp_dir: folder} do
      assert failed("S1", folder, settled()) == []
    end

    test "A0: a link that was not up before the fault", %{tmp_dir: folder} do
      assert :A0 in failed("S1", folder, settled() ++ broken(1, 3, 95_000, 96_000))
    end

    test "A1 and A3: a member that is cut at the end of the fault", %{tmp_dir: folder} do
      records = settled() ++ broken(1, 2, 200_000, 230_000)
      assert [:A1, :A3] -- failed("S1", folder, records) == []
    end

    test "A2: a link between those who have no part in it", %{tmp_dir: folder} do
      assert :A2 in failed("S1", folder, settled() ++ broken(1, 3, 110_000, 111_000))
    end

    test "A3: one nodedown in the last two minutes", %{tmp_dir: folder} do
      assert :A3 in failed("S1", folder, settled() ++ broken(1, 2, 230_000, 230_100))
    end

    test "A4: one nodedown early in the fault", %{tmp_dir: folder} do
      assert failed("S1", folder, settled() ++ broken(1, 2, 105_000, 105_100)) == [:A4]
    end

    test "A5: too late after the fault, or not for good", %{tmp_dir: folder} do
      late = members() ++ held() ++ joined(249_000)
      assert failed("S1", folder, late) == [:A5]
      assert failed("S1", folder, settled() ++ broken(4, 1, 260_000, 261_000)) == [:A5]
    end

    test "A8: a member dials it, or nobody says why it is held", %{tmp_dir: folder} do
      assert failed("S1", folder, settled() ++ [{1, 150_000, "DIAL", peer(4)}]) == [:A8]
      assert failed("S1", folder, members() ++ joined(241_000)) == [:A8]
      cleared = [{1, 110_000, "EVENT", "problem.cleared %{peers: [#{inspect(peer(4))}]}"}]
      assert failed("S1", folder, members() ++ cleared ++ joined(241_000)) == [:A8]
    end

    test "A9: a disconnect that is not global's", %{tmp_dir: folder} do
      cut = fn words -> [{1, 150_000, "CUT", "#{peer(2)} #{words}"}] end
      assert failed("S1", folder, settled() ++ cut.("visible by=erl_eval:do_apply/6")) == [:A9]
      assert failed("S1", folder, settled() ++ cut.("visible by=global:handle_info/2")) == []
      assert failed("S1", folder, settled() ++ cut.("hidden by=Elixir.DNSMesh:look/1")) == []
    end
  end

  describe "a pair that is blocked mid-life" do
    test "may cost global's one cut, and not one after the other", %{tmp_dir: folder} do
      assert failed("S2", folder, everybody() ++ global_cut(108_000)) == []
      again = everybody() ++ global_cut(108_000, 110_000) ++ global_cut(112_000, 114_000)
      assert failed("S2", folder, again ++ global_cut(116_000)) == [:A4]
    end

    # Host 2 is cut from all, the blocked one first, and comes back after the fault.
    defp global_cut(ms, back \\ 241_000),
      do: Enum.flat_map([1, 3, 4], &broken(2, &1, ms, back))
  end

  describe "two halves" do
    test "A7: nobody stays alone, and nobody stands in both", %{tmp_dir: folder} do
      two = everybody(5) ++ apart([{1, 3}, {1, 4}, {2, 3}, {2, 4}, {1, 5}, {2, 5}])
      assert failed("S8", folder, two) == []
      overlap = everybody(5) ++ apart([{1, 3}, {1, 4}, {2, 3}, {2, 4}])
      assert :A7 in failed("S8", folder, overlap)
      alone = two ++ apart([{1, 2}])
      assert :A7 in failed("S8", folder, alone)
    end

    defp apart(pairs),
      do: Enum.flat_map(pairs, fn {one, other} -> broken(one, other, 101_000, 242_000) end)
  end

  test "a control that nothing notices is a failure, and so is a lie that could not be told",
       %{tmp_dir: folder} do
    assert {:failed, text, _} = Settle.Report.result(picture("S1-off", folder, settled()))
    assert text =~ "none did"

    noticed = settled() ++ broken(1, 2, 230_000, 230_100)
    assert {:ok, _, _} = Settle.Report.result(picture("S1-off", folder, noticed))

    untold = noticed ++ [{1, 1_000, "NO-LIE", "there is no such function"}]
    assert {:failed, text, _} = Settle.Report.result(picture("S1-off", folder, untold))
    assert text =~ "there is no such function"
  end

  describe "the arguments" do
    test "choose runs by their ids" do
      assert {:ok, [%{id: "S2", hosts: 8}, %{id: "S8", hosts: 5}]} =
               Plan.chosen(["--only", "S2,S8", "--hosts", "8"])

      assert {:ok, selection} = Plan.chosen([])
      assert {:ok, all} = Plan.chosen(["--all"])
      assert selection -- all == [] and length(selection) < length(all)
      assert all -- Enum.uniq_by(all, & &1.id) == []
    end

    test "that are wrong are told" do
      assert {:error, "no run S9; there are S1, " <> _} = Plan.chosen(["--only", "S1,S9"])
      assert {:error, "--hosts cannot be many"} = Plan.chosen(["--hosts", "many"])
      assert {:error, "--hosts has to be from 3 to 200, not 2"} = Plan.chosen(["--hosts", "2"])
      assert {:error, "unknown argument: --fast"} = Plan.chosen(["--fast"])
      assert {:error, "unknown argument: S1"} = Plan.chosen(["S1"])
    end
  end

  ## Records by hand: `{host, ms, what, words}`

  defp settled, do: members() ++ held() ++ joined(241_000)

  # Host 4 is the newcomer, and host 2 cannot reach it.
  defp members, do: linked([1, 2, 3], 10_000)
  defp held, do: [{1, 110_000, "EVENT", held_words()}]
  defp joined(ms), do: Enum.flat_map([1, 2, 3], &link(&1, 4, ms))
  defp everybody(hosts \\ 4), do: linked(Enum.to_list(1..hosts), 10_000)

  defp held_words do
    ~s(problem.raised %{problem: :held, peer: "#{peer(4)}", cannot_reach: ["#{peer(2)}"]})
  end

  defp linked(hosts, ms),
    do: for({one, other} <- Links.pairs(hosts), event <- link(one, other, ms), do: event)

  defp link(one, other, ms),
    do: [{one, ms, "UP", peer(other)}, {other, ms, "UP", peer(one)}]

  defp broken(one, other, from, to) do
    [{one, from, "DOWN", peer(other)}, {other, from, "DOWN", peer(one)}] ++ link(one, other, to)
  end

  defp peer(host), do: "app@" <> Net.address(net(), host)
  defp net, do: %Net{prefix: "none", lab: 1}

  defp failed(id, folder, records),
    do: for({name, _} <- id |> picture(folder, records) |> Checks.failures(), do: name)

  defp picture(id, folder, records) do
    {:ok, [run]} = Plan.chosen(["--only", id])

    marks = [{@finish, :finish}, {@lift, :lift}, {@fault, :fault}]
    lab = %Lab{net: net(), hosts: run.hosts, folder: folder, dns: nil, run: run, marks: marks}

    for host <- Lab.all(lab) do
      lines =
        for {^host, ms, what, words} <- Enum.sort_by(records, &elem(&1, 1)),
            do: "settle #{ms} #{what} #{words}\n"

      File.write!(Lab.log(lab, host), lines)
    end

    Picture.new(run, lab)
  end
end

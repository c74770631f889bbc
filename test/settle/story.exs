defmodule Settle.Story do
  @moduledoc false
  # What happens to a lab, step by step. `:fault` and `:lift` are marked: when it begins, and when it is over.
  # `shape/1` says what that means for the links: who is `apart`, and which groups may be whole meanwhile.

  import Settle.Lab,
    only: [all: 1, wait: 2, mark: 2, start: 2, start: 3, stop: 2, list: 2, list: 3]

  alias Settle.{Lab, Net}

  @doc """
  `%{base: hosts linked before the fault, apart: pairs that cannot be linked, either: alternatives, each a list of groups}`
  """
  def shape(%{story: story, hosts: n}) when story in [:newcomer, :port_only, :bypassed],
    do: split(Enum.to_list(1..(n - 1)), n, {n, 2})

  def shape(%{story: story, hosts: n}) when story in [:mid_life, :cold_start, :flapping],
    do: split(Enum.to_list(1..n), n, {1, 2})

  def shape(%{story: :halves}) do
    apart = for one <- [1, 2], other <- [3, 4], do: {one, other}
    %{base: [1, 2, 3, 4, 5], apart: apart, either: [[[3, 4, 5], [1, 2]], [[1, 2, 5], [3, 4]]]}
  end

  def shape(%{story: story, hosts: n}) when story in [:vanished, :dead_address],
    do: %{base: Enum.to_list(1..(n - 1)), apart: [], either: []}

  def shape(%{hosts: n}), do: %{base: Enum.to_list(1..n), apart: [], either: []}

  defp split(base, n, {one, other}) do
    all = Enum.to_list(1..n)
    %{base: base, apart: [{one, other}], either: [[all -- [one]], [all -- [other]]]}
  end

  @doc "Lets it happen."
  # The last host comes when all are there, and one of them cannot reach it.
  def tell(:newcomer, lab, run), do: newcomer(lab, run, &Lab.block/2, &Lab.unblock/2)

  # The same, but epmd answers: only the distribution ports are silent.
  def tell(:port_only, lab, run) do
    newcomer(
      lab,
      run,
      fn lab, pairs -> each(lab, pairs, &Net.block_port(lab.net, &1, &2, Lab.port())) end,
      fn lab, pairs -> each(lab, pairs, &Net.unblock_port(lab.net, &1, &2, Lab.port())) end
    )
  end

  # Two of a full mesh lose sight of each other.
  def tell(story, lab, run) when story in [:mid_life, :halves] do
    %{apart: apart} = shape(run)

    lab
    |> everybody(run)
    |> Lab.block(apart)
    |> mark(:fault)
    |> Lab.count()
    |> wait(run.fault)
    |> Lab.count()
    |> Lab.unblock(apart)
    |> mark(:lift)
    |> wait(run.heal)
  end

  # All start, and two of them have never seen each other.
  def tell(:cold_start, lab, run) do
    %{apart: apart} = shape(run)

    lab
    |> list(all(lab))
    |> Lab.block(apart)
    |> start(all(lab))
    |> mark(:fault)
    |> Lab.count()
    |> wait(run.fault)
    |> Lab.count()
    |> Lab.unblock(apart)
    |> mark(:lift)
    |> wait(run.heal)
  end

  # Blocked 25 s, free 45 s, four times.
  def tell(:flapping, lab, run) do
    %{apart: apart} = shape(run)
    lab = lab |> everybody(run) |> mark(:fault)

    1..4
    |> Enum.reduce(lab, fn _, lab ->
      lab |> Lab.block(apart) |> wait(25) |> Lab.unblock(apart) |> mark(:lift) |> wait(45)
    end)
    |> wait(run.heal)
  end

  # One after the other is stopped, and comes back.
  def tell(:rolling, lab, run) do
    lab = lab |> everybody(run) |> mark(:fault)

    lab
    |> all()
    |> Enum.reduce(lab, fn host, lab ->
      lab |> stop(host) |> wait(4) |> start([host]) |> mark({:back, host}) |> wait(8)
    end)
    |> mark(:lift)
    |> wait(run.heal)
  end

  # The last host has no DNSMesh, so it cannot dial. It is killed, and comes back: at once or a little later, then late.
  def tell(:relinked, lab, run) do
    host = lab.hosts
    members = all(lab) -- [host]

    lab =
      lab
      |> list(all(lab))
      |> start(members)
      |> start([host], mesh: false)
      |> wait(run.base)
      |> mark(:fault)

    early = for n <- 1..run.early, do: {:early, rem(n, 4) * 0.8}
    late = for _ <- 1..run.late, do: {:late, 6}

    for {_, _} = kind <- early ++ late, reduce: lab do
      lab -> relink(lab, members, host, kind)
    end
    |> mark(:lift)
  end

  # The last host says that it leaves; some time later it is stopped, and later still it comes back.
  def tell(:leaving, lab, run) do
    host = lab.hosts

    lab
    |> everybody(run)
    |> mark(:fault)
    |> Lab.tell(host, "leave")
    |> wait(15)
    |> stop(host)
    |> wait(20)
    |> start([host])
    |> mark({:back, host})
    |> wait(run.heal)
    |> mark(:lift)
  end

  # As :newcomer, and an application of the first host dials the one who is held.
  def tell(:bypassed, lab, run) do
    %{base: members, apart: apart} = shape(run)

    lab
    |> list(members)
    |> start(members)
    |> wait(run.base)
    |> Lab.block(apart)
    |> list(all(lab))
    |> start(all(lab) -- members)
    # Long enough to be held, and for the burst that follows to be over before the window.
    |> wait(15)
    |> mark(:fault)
    |> Lab.tell(1, "dial #{Lab.node(lab, lab.hosts)}")
    |> wait(run.fault)
    |> mark(:lift)
  end

  # The last host's cable is pulled, and plugged in again.
  def tell(:host_gone, lab, run) do
    host = lab.hosts
    lab = everybody(lab, run)
    Net.unplug(lab.net, host)
    lab = lab |> mark(:fault) |> wait(run.fault)
    Net.replug(lab.net, host)
    lab |> mark({:back, host}) |> mark(:lift) |> wait(run.heal)
  end

  # The last but one is gone without a word, still listed, and still linked as far as the others know; the last comes.
  def tell(:vanished, lab, run) do
    {newcomer, gone} = {lab.hosts, lab.hosts - 1}
    members = all(lab) -- [newcomer]
    lab = lab |> list(members) |> start(members) |> wait(run.base)
    Net.unplug(lab.net, gone)

    lab
    |> mark(:fault)
    |> list(all(lab))
    |> start([newcomer])
    |> mark({:back, newcomer})
    |> wait(run.fault)
    |> mark(:lift)
  end

  # DNS lists an address at which there has never been anybody; the last host comes.
  def tell(:dead_address, lab, run) do
    newcomer = lab.hosts
    members = all(lab) -- [newcomer]
    dead = Net.nowhere(lab.net)
    for host <- all(lab), do: Net.deafen(lab.net, host, dead)

    lab
    |> list(members, [dead])
    |> start(members)
    |> wait(run.base)
    |> mark(:fault)
    |> list(all(lab), [dead])
    |> start([newcomer])
    |> mark({:back, newcomer})
    |> wait(run.fault)
    |> mark(:lift)
  end

  # Every way in which DNS can be of no use, while all are linked.
  def tell(:dns_faults, lab, run) do
    addresses = for host <- all(lab), do: Net.address(lab.net, host)
    some = max(div(2 * length(addresses), 5), 2)
    lab = lab |> everybody(run) |> mark(:fault)

    [:servfail, :nxdomain, :no_records, :silent, {:rotate, some, addresses}]
    |> Enum.reduce(lab, fn answer, lab ->
      lab |> Lab.answer(answer) |> mark(answer) |> wait(15)
    end)
    |> mark(:lift)
  end

  # A control of the record itself: somebody does what DNSMesh never does.
  def tell(:parted, lab, run) do
    lab
    |> everybody(run)
    |> mark(:fault)
    |> Lab.tell(1, "part #{Lab.node(lab, 2)}")
    |> wait(run.heal)
    |> mark(:lift)
  end

  defp newcomer(lab, run, block, unblock) do
    %{base: members, apart: apart} = shape(run)

    lab
    |> list(members)
    |> start(members)
    |> wait(run.base)
    |> block.(apart)
    |> mark(:fault)
    |> list(all(lab))
    |> Lab.count()
    |> start(all(lab) -- members)
    |> wait(run.fault)
    |> Lab.count()
    |> unblock.(apart)
    |> mark(:lift)
    |> wait(run.heal)
  end

  defp everybody(lab, run), do: lab |> list(all(lab)) |> start(all(lab)) |> wait(run.base)

  defp relink(lab, members, host, {kind, away}) do
    before = Lab.now()

    lab
    |> Lab.kill(host)
    |> wait(away)
    |> mark(kind)
    |> start([host], mesh: false)
    |> Lab.wait_for_link(members, host, before, 10)
    # A burst of polls begins at most every 10 s.
    |> wait(10)
  end

  defp each(lab, pairs, fun) do
    for {one, other} <- pairs, do: fun.(one, other)
    lab
  end
end

defmodule DNSMesh.PolicyTest do
  use ExUnit.Case, async: true

  alias DNSMesh.{Distribution, Policy}
  alias DNSMesh.Test.Given

  defp judge(ip, own, allow \\ :default) do
    distribution = %Distribution{
      alive?: true,
      node: "app@#{:inet.ntoa(own)}",
      basename: "app",
      host: List.to_string(:inet.ntoa(own)),
      address: own,
      names: :long,
      family: DNSMesh.IP.family(own),
      tls?: false,
      epmd?: true
    }

    world = %{distribution: distribution, own_addresses: [own]}
    Policy.judge("app@#{:inet.ntoa(ip)}", {[ip], nil}, world, allow)
  end

  @v4 {10, 0, 0, 1}
  @v6 {0xFDAA, 0, 0, 0, 0, 0, 0, 1}

  test "by default every unicast address is a peer" do
    for ip <- [{10, 0, 0, 2}, {192, 168, 1, 1}, {8, 8, 8, 8}, {100, 64, 0, 1}],
        do: assert(judge(ip, @v4) == :join)

    assert judge({0xFDAA, 0, 0, 0, 0, 0, 0, 2}, @v6) == :join
  end

  test "by default no address that cannot be a peer's is one" do
    for ip <- [
          {127, 0, 0, 1},
          {0, 0, 0, 0},
          {169, 254, 1, 1},
          {224, 0, 0, 1},
          {255, 255, 255, 255}
        ] do
      assert judge(ip, @v4) == {:refused, :not_allowed}
    end

    for text <- ~w(::1 :: fe80::1 ff02::1 ::ffff:10.0.0.2 64:ff9b::10.0.0.2 2002:a00:2::) do
      {:ok, ip} = DNSMesh.IP.parse(text)
      assert judge(ip, @v6) == {:refused, :not_allowed}
    end
  end

  test "loopback and link-local are peers' addresses for a node that lives at one" do
    assert judge({127, 0, 0, 3}, {127, 0, 0, 2}) == :join
    assert judge({169, 254, 0, 3}, {169, 254, 0, 2}) == :join
    assert judge({169, 254, 0, 3}, {127, 0, 0, 2}) == {:refused, :not_allowed}
  end

  test "with :allow only its networks are, and never what no node can have" do
    allow = [{{10, 0, 0, 0}, 8}, {{127, 0, 0, 0}, 8}]
    assert judge({10, 9, 9, 9}, @v4, allow) == :join
    assert judge({127, 0, 0, 9}, @v4, allow) == :join
    assert judge({192, 168, 1, 1}, @v4, allow) == {:refused, :not_allowed}

    everything = [{{0, 0, 0, 0}, 0}]
    assert judge({224, 0, 0, 1}, @v4, everything) == {:refused, :not_allowed}
    assert judge({0, 0, 0, 0}, @v4, everything) == {:refused, :not_allowed}
  end

  defp judge_by(overrides, name, candidate, allow \\ :default) do
    world = %{distribution: Given.distribution(1, overrides), own_addresses: [@v4]}
    Policy.judge(name, candidate, world, allow)
  end

  @other {10, 0, 0, 2}
  @other_v6 {0xFDAA, 0, 0, 0, 0, 0, 0, 2}

  test "long names are for nodes of long name, short ones for nodes of short name" do
    assert judge_by([], "app@host", {[@other], nil}) == {:refused, :long_names}
    assert judge_by([], "app@host.net", {[@other], nil}) == :join
    assert judge_by([names: :short], "app@host", {[@other], nil}) == :join
    assert judge_by([names: :short], "app@host.net", {[@other], nil}) == {:refused, :short_names}
    assert judge_by([names: :short], "app@fdaa::2", {[@other], nil}) == {:refused, :short_names}
    # A list by hand cannot change that.
    assert judge_by([], "app@host", {[], :join}) == {:refused, :long_names}
  end

  test "what was certain before stays as it was" do
    for names <- [:short, :long], name <- ["app@host", "app@host.net"] do
      for verdict <- [
            {:refused, :bad_node_name},
            {:held, {:epmd, :silent}},
            {:held, {:no_host_name, :timeout}}
          ],
          do: assert(judge_by([names: names], name, {[@other], verdict}) == verdict)
    end

    refused = {:refused, {:no_host_name, :nxdomain}}
    assert judge_by([], "app@10.0.0.2", {[@other], refused}) == refused
    # Before an address of the other family, which is not even looked at.
    assert judge_by([], "app@10.0.0.2", {[@other_v6], refused}) == refused
  end

  test "what is listed by hand is joined wherever it is, but for an address that cannot be dialled" do
    for ips <- [[], [{127, 0, 0, 1}], [{224, 0, 0, 1}], [@other]],
        do: assert(judge_by([], "app@host.net", {ips, :join}) == :join)

    assert judge_by([], "app@host.net", {[@other_v6], :join}) == {:refused, :wrong_family}
  end

  test "a host without an address is held till it has one" do
    assert judge_by([], "app@host.net", {[], nil}) == {:held, :unresolved}
  end

  test "of a host with several addresses none may be amiss, of those that would be dialled" do
    bad = {127, 0, 0, 1}
    assert judge_by([], "app@host.net", {[@other, bad], nil}) == {:refused, :not_allowed}
    assert judge_by([], "app@host.net", {[bad, @other], nil}) == {:refused, :not_allowed}
    assert judge_by([], "app@host.net", {[@other, @other_v6], nil}) == :join
    assert judge_by([], "app@host.net", {[@other_v6], nil}) == {:refused, :wrong_family}

    other_bad = {0, 0, 0, 0, 0, 0, 0, 1}
    assert judge_by([], "app@host.net", {[@other, other_bad], nil}) == :join
    allow = [{{10, 0, 0, 0}, 8}]
    assert judge_by([], "app@host.net", {[@other, {11, 0, 0, 1}], nil}, allow) != :join
    # Where either family may be dialled, both count.
    assert judge_by([family: nil], "app@host.net", {[@other_v6], nil}) == :join
    assert judge_by([family: nil], "app@host.net", {[@other, other_bad], nil}) != :join
  end

  test "a node named by host has peers at no loopback, and one at a strange address none there" do
    named = [node: "app@host.net", host: "host.net", address: nil]
    assert judge_by(named, "app@other.net", {[@other], nil}) == :join
    assert judge_by(named, "app@other.net", {[{127, 0, 0, 1}], nil}) == {:refused, :not_allowed}

    assert judge_by([address: {240, 0, 0, 1}], "app@240.0.0.2", {[{240, 0, 0, 2}], nil}) ==
             {:refused, :not_allowed}
  end

  test "a basename is compared as a whole, whatever stands before the @" do
    for {basename, name} <- [
          {"app", "apple@10.0.0.1"},
          {"app", "ap@10.0.0.1"},
          {"application", "app@h.i"},
          {"app@", "a@b.c"},
          {"a@b.", "a@b."},
          {"app", "my-app@10.0.0.1"}
        ],
        do: assert(judge_by([basename: basename], name, {[@v4], nil}) == :join)

    # One of many addresses is ours.
    assert judge_by([], "app@host.net", {[@other, @v4], nil}) == {:refused, :self}
  end

  test "without distribution everyone waits, this node itself too" do
    for candidate <- [{[@v4], nil}, {[], nil}, {[@other_v6], nil}],
        do:
          assert(
            judge_by([alive?: false, basename: nil, node: nil], "app@10.0.0.1", candidate) ==
              {:waiting, :not_distributed}
          )
  end

  # One epmd serves a whole machine, and takes each basename once; a fixed port is no such bound.
  test "our basename at another address of this machine is this node where ports come from epmd, and only there" do
    own = Given.distribution(1)

    judge =
      &Policy.judge(
        &1,
        {[&2], nil},
        %{distribution: &3, own_addresses: [{10, 0, 0, 1}, {10, 9, 9, 9}]},
        :default
      )

    assert judge.("app@10.9.9.9", {10, 9, 9, 9}, own) == {:refused, :self}
    assert judge.("web@10.9.9.9", {10, 9, 9, 9}, own) == :join
    assert judge.("app@10.0.0.2", {10, 0, 0, 2}, own) == :join

    fixed = %{own | epmd?: false}
    assert judge.("app@10.9.9.9", {10, 9, 9, 9}, fixed) == :join
    # Its own name, and its own address, are its own whatever tells the port.
    assert judge.("app@10.0.0.1", {10, 9, 9, 9}, fixed) == {:refused, :self}
    assert judge.("app@host.net", {10, 0, 0, 1}, fixed) == {:refused, :self}
  end

  test "this node is itself, however its host is written, and whatever address it is listed with" do
    own = %Distribution{
      alive?: true,
      node: "app@App-0.svc",
      basename: "app",
      host: "App-0.svc",
      names: :long,
      family: :inet,
      tls?: false,
      epmd?: true
    }

    world = %{distribution: own, own_addresses: [@v4]}

    assert Policy.judge("app@app-0.svc", {[{10, 0, 0, 7}], nil}, world, :default) ==
             {:refused, :self}

    assert Policy.judge("app@other.svc", {[@v4], nil}, world, :default) == {:refused, :self}
    assert Policy.judge("web@app-0.svc", {[@v4], nil}, world, :default) == :join
    assert Policy.judge("app@app-1.svc", {[{10, 0, 0, 7}], nil}, world, :default) == :join
  end
end

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

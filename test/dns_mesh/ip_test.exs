defmodule DNSMesh.IPTest do
  use ExUnit.Case, async: true

  alias DNSMesh.IP

  for {text, class} <- [
        {"0.0.0.0", :unspecified},
        {"::", :unspecified},
        {"127.0.0.1", :loopback},
        {"127.255.255.254", :loopback},
        {"::1", :loopback},
        {"169.254.172.2", :link_local},
        {"fe80::1", :link_local},
        {"224.0.0.1", :multicast},
        {"ff02::1", :multicast},
        {"255.255.255.255", :reserved},
        {"240.0.0.1", :reserved},
        {"192.0.0.8", :reserved},
        {"::ffff:10.0.0.1", :translated},
        {"::10.0.0.1", :translated},
        {"64:ff9b::10.0.0.1", :translated},
        {"2002:a00:1::", :translated},
        {"2001:0:1::", :translated},
        {"10.0.0.1", :private},
        {"172.31.255.255", :private},
        {"192.168.1.1", :private},
        {"100.64.0.1", :private},
        {"203.0.113.9", :private},
        {"fdaa::3", :private},
        {"2001:db8::1", :private},
        {"172.32.0.1", :public},
        {"8.8.8.8", :public},
        {"2a00::1", :public},
        {"2001:4860::8888", :public}
      ] do
    test "#{text} is #{class}" do
      {:ok, ip} = IP.parse(unquote(text))
      assert IP.class(ip) == unquote(class)
    end
  end

  test "an address lies in a network of its own family only, at every prefix length" do
    {:ok, ip} = IP.parse("10.1.2.3")
    assert IP.in_cidr?(ip, {{10, 1, 2, 3}, 32})
    assert IP.in_cidr?(ip, {{10, 1, 2, 0}, 30})
    refute IP.in_cidr?(ip, {{10, 1, 2, 4}, 30})
    assert IP.in_cidr?(ip, {{0, 0, 0, 0}, 0})
    refute IP.in_cidr?(ip, {{0, 0, 0, 0, 0, 0, 0, 0}, 0})
  end

  test "only whole literals without a zone are addresses" do
    for text <- ["127.1", "fe80::1%eth0", "10.0.0.256", "", "app", "10.0.0.1/8"],
        do: assert(IP.parse(text) == :error)
  end

  test "what is no address tuple is none" do
    for term <- [{1, 2, 3}, {256, 0, 0, 0}, {"1", 2, 3, 4}, "10.0.0.1", nil, {-1, 0, 0, 0}],
        do: refute(IP.ip?(term))

    assert IP.ip?({10, 0, 0, 1})
    assert IP.ip?({0xFDAA, 0, 0, 0, 0, 0, 0, 3})
  end
end

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

  test "an IPv6 address lies in a network at every prefix length too" do
    {:ok, ip} = IP.parse("fdaa::5")
    {:ok, beside} = IP.parse("fdaa::4")
    assert IP.in_cidr?(ip, {ip, 128})
    refute IP.in_cidr?(ip, {beside, 128})
    assert IP.in_cidr?(ip, {beside, 127})
    assert IP.in_cidr?(ip, {{0, 0, 0, 0, 0, 0, 0, 0}, 0})
    refute IP.in_cidr?(ip, {{0xFDAB, 0, 0, 0, 0, 0, 0, 0}, 16})
  end

  test "a network is an address and as many bits as it may have" do
    for {text, network} <- [
          {"10.0.0.0/8", {{10, 0, 0, 0}, 8}},
          {"10.0.0.0/0", {{10, 0, 0, 0}, 0}},
          {"10.0.0.0/32", {{10, 0, 0, 0}, 32}},
          {"10.0.0.1", {{10, 0, 0, 1}, 32}},
          {"fd00::/8", {{0xFD00, 0, 0, 0, 0, 0, 0, 0}, 8}},
          {"::/0", {{0, 0, 0, 0, 0, 0, 0, 0}, 0}},
          {"::1/128", {{0, 0, 0, 0, 0, 0, 0, 1}, 128}},
          {"::1", {{0, 0, 0, 0, 0, 0, 0, 1}, 128}}
        ],
        do: assert(IP.parse_cidr(text) == {:ok, network})

    for text <-
          ["10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0.0/8x", "10.0.0.0/"] ++
            ["/8", "x/8", "", "10.0.0.0/x", "10.0.0/8"],
        do: assert(IP.parse_cidr(text) == :error, text)
  end

  test "an address is of one family" do
    assert IP.family({10, 0, 0, 5}) == :inet
    assert IP.family({0xFDAA, 0, 0, 0, 0, 0, 0, 2}) == :inet6
  end

  test "an address is written as in a node's name" do
    assert IP.to_text({10, 0, 0, 5}) == "10.0.0.5"
    assert IP.to_text({0xFDAA, 0, 0, 0xA7B, 0, 0, 0, 2}) == "fdaa:0:0:a7b::2"
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
    assert IP.ip?({255, 255, 255, 255})
    assert IP.ip?({0xFFFF, 0, 0, 0, 0, 0, 0, 0xFFFF})
  end

  test "no part of an address tuple is anything but a number of its size" do
    for {size, most} <- [{4, 0xFF}, {8, 0xFFFF}], place <- 0..(size - 1) do
      part = &(List.duplicate(1, size) |> List.replace_at(place, &1) |> List.to_tuple())
      assert IP.ip?(part.(0))
      assert IP.ip?(part.(most))

      for bad <- [most + 1, -1, 1.0, nil, "1"],
          do: refute(IP.ip?(part.(bad)), inspect(part.(bad)))
    end
  end
end

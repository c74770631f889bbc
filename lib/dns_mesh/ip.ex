defmodule DNSMesh.IP do
  @moduledoc false
  # Addresses as values: their text, the networks they lie in, and what kind of address they are. Pure.

  import Bitwise

  @type t :: :inet.ip_address()
  @type cidr :: {t(), prefix :: 0..128}
  @type class ::
          :unspecified
          | :loopback
          | :link_local
          | :multicast
          | :reserved
          | :translated
          | :private
          | :public

  # IANA's special-purpose address registries (RFC 6890), reduced to what decides whether a node may live there.
  # The first match wins; whatever is in none of them is public.
  @classes [
    {:unspecified, ~w(0.0.0.0/8 ::/128)},
    {:loopback, ~w(127.0.0.0/8 ::1/128)},
    {:link_local, ~w(169.254.0.0/16 fe80::/10)},
    {:multicast, ~w(224.0.0.0/4 ff00::/8)},
    # 240/4 holds the broadcast address; 100::/64 discards.
    {:reserved, ~w(240.0.0.0/4 192.0.0.0/24 100::/64)},
    # Addresses that stand for another address: v4-mapped, v4-compatible, NAT64, Teredo, 6to4.
    {:translated, ~w(::ffff:0:0/96 ::/96 64:ff9b::/96 64:ff9b:1::/48 2001::/32 2002::/16)},
    # RFC 1918, shared address space (RFC 6598: carriers, Tailscale), benchmarks, documentation, ULA.
    {:private, ~w(10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 198.18.0.0/15
                  192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 fc00::/7 2001:db8::/32)}
  ]

  @doc "The text `:inet` and every peer's node name use for an address."
  @spec to_text(t()) :: String.t()
  # Not List.to_string/1: that one looks for Unicode, and this is called for every address of every answer.
  def to_text(ip), do: ip |> :inet.ntoa() |> :erlang.list_to_binary()

  @doc "Parses an IP literal; `:error` for anything else, `127.1`, `010.0.0.5` and zone ids included."
  @spec parse(String.t()) :: {:ok, t()} | :error
  def parse(text) do
    with true <- String.valid?(text) and not String.contains?(text, "%"),
         {:ok, ip} <- text |> String.to_charlist() |> :inet.parse_strict_address(),
         true <- decimal?(ip, text) do
      {:ok, ip}
    else
      _ -> :error
    end
  end

  # `:inet` reads 010 as octal and 0x0a as hexadecimal; others read them otherwise, or not at all.
  defp decimal?(ip, text) when tuple_size(ip) == 4, do: to_text(ip) == text

  defp decimal?(_ip, text) do
    case text |> String.split(":") |> List.last() |> String.split(".") do
      [_no_dots] -> true
      parts -> Enum.all?(parts, &(&1 == "0" or not String.starts_with?(&1, "0")))
    end
  end

  @doc "Parses `10.0.0.0/8`; a bare address is the network of itself."
  @spec parse_cidr(String.t()) :: {:ok, cidr()} | :error
  def parse_cidr(text) do
    with [address | rest] when length(rest) <= 1 <- String.split(text, "/"),
         {:ok, ip} <- parse(address),
         {:ok, prefix} <- parse_prefix(rest, bits(ip)) do
      {:ok, {ip, prefix}}
    else
      _ -> :error
    end
  end

  @spec in_cidr?(t(), cidr()) :: boolean()
  def in_cidr?(ip, {network, prefix}) when tuple_size(ip) == tuple_size(network) do
    shift = bits(ip) - prefix
    to_integer(ip) >>> shift == to_integer(network) >>> shift
  end

  def in_cidr?(_ip, _cidr), do: false

  @spec class(t()) :: class()
  def class(ip) when tuple_size(ip) == 4, do: class4(to_integer(ip))
  def class(ip) when tuple_size(ip) == 8, do: class6(to_integer(ip))

  @spec family(t()) :: :inet | :inet6
  def family(ip) when tuple_size(ip) == 4, do: :inet
  def family(ip) when tuple_size(ip) == 8, do: :inet6

  @doc "Whether a term is an address tuple as `:inet` means it."
  @spec ip?(term()) :: boolean()
  def ip?({a, b, c, d}), do: byte?(a) and byte?(b) and byte?(c) and byte?(d)
  def ip?(ip) when tuple_size(ip) == 8, do: ip |> Tuple.to_list() |> Enum.all?(&word?/1)
  def ip?(_other), do: false

  # Ranges that the compiler sees: with others, each of thousands of parts would go through the Enumerable protocol.
  defp byte?(part), do: part in 0..0xFF
  defp word?(part), do: part in 0..0xFFFF

  defp bits(ip) when tuple_size(ip) == 4, do: 32
  defp bits(ip) when tuple_size(ip) == 8, do: 128

  defp to_integer({a, b, c, d}), do: (a <<< 24) + (b <<< 16) + (c <<< 8) + d

  defp to_integer(ip),
    do: ip |> Tuple.to_list() |> Enum.reduce(0, fn part, acc -> (acc <<< 16) + part end)

  defp parse_prefix([], bits), do: {:ok, bits}

  defp parse_prefix([text], bits) do
    # Integer.parse/1 takes a sign too.
    case text =~ ~r/\A\d+\z/ and Integer.parse(text) do
      {prefix, ""} when prefix <= bits -> {:ok, prefix}
      _ -> :error
    end
  end

  # Reduced to numbers at compile time: this is asked for every address of every answer.
  @networks (for {class, texts} <- @classes, text <- texts do
               [address, prefix] = String.split(text, "/")
               {:ok, ip} = address |> String.to_charlist() |> :inet.parse_address()
               {bits, width} = if tuple_size(ip) == 4, do: {32, 8}, else: {128, 16}
               number = ip |> Tuple.to_list() |> Enum.reduce(0, &((&2 <<< width) + &1))
               shift = bits - String.to_integer(prefix)
               {bits, {class, shift, number >>> shift}}
             end)
            |> Enum.group_by(&elem(&1, 0), &elem(&1, 1))

  # Clauses rather than a list to walk through.
  for {class, shift, network} <- @networks[32] do
    defp class4(number) when number >>> unquote(shift) == unquote(network), do: unquote(class)
  end

  defp class4(_number), do: :public

  for {class, shift, network} <- @networks[128] do
    defp class6(number) when number >>> unquote(shift) == unquote(network), do: unquote(class)
  end

  defp class6(_number), do: :public
end

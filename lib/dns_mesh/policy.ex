defmodule DNSMesh.Policy do
  @moduledoc false
  # Whether a candidate may become a peer of ours: pure, decided on text and tuples, before any atom.

  alias DNSMesh.{Candidates, Distribution, IP, NodeName}

  @type world :: %{
          required(:distribution) => Distribution.t(),
          required(:own_addresses) => [IP.t()],
          optional(atom()) => term()
        }
  @type verdict ::
          :join
          | {:waiting, :not_distributed}
          | {:refused, DNSMesh.Error.reason()}
          | {:held, DNSMesh.Error.reason()}

  @doc """
  Judges a candidate. `allow` is a list of networks, or `:default`.

  A reason that lies with this node (no distribution, the kind of its name) comes before one that lies with the address:
  it is the one to mend first.
  """
  @spec judge(NodeName.t(), Candidates.candidate(), world(), [IP.cidr()] | :default) :: verdict()
  def judge(name, {ips, verdict}, %{distribution: distribution} = world, allow) do
    cond do
      not distribution.alive? -> {:waiting, :not_distributed}
      self?(name, ips, world) -> {:refused, :self}
      fault = name_fault(name, verdict, distribution.names) -> {:refused, fault}
      verdict not in [nil, :join] -> verdict
      other_family?(ips, distribution.family) -> {:refused, :wrong_family}
      verdict == :join -> :join
      ips == [] -> {:held, :unresolved}
      not allowed?(ips, allow, distribution) -> {:refused, :not_allowed}
      true -> :join
    end
  end

  # One epmd serves all addresses of a machine, and it takes each basename once: our basename at any of our addresses
  # is us. With fixed ports there is no such bound, and two nodes may share a basename on one machine.

  defp self?(name, ips, %{distribution: own, own_addresses: own_ips}) do
    starts_with?(name, own.basename) and
      (same?(name, own.node) or
         Enum.any?(ips, &(&1 == own.address or (own.epmd? and &1 in own_ips))))
  end

  # Hosts that DNS gives are in lower case, whatever this node's own was written in.
  defp same?(name, name), do: true

  defp same?(name, own) when byte_size(name) == byte_size(own),
    do: String.downcase(name) == String.downcase(own)

  defp same?(_name, _own), do: false

  # Not NodeName.split/1: this is asked of every name of every answer.
  defp starts_with?(name, basename) do
    size = byte_size(basename)

    byte_size(name) > size and :binary.at(name, size) == ?@ and
      binary_part(name, 0, size) == basename
  end

  # OTP connects long names (whose host has a dot, or is an IPv6 address) with long names, short ones with short ones.
  defp name_fault(_name, {:refused, :bad_node_name}, _names), do: nil
  # It stands for an address whose nodes' names are not known yet.
  defp name_fault(_name, {:held, _why}, _names), do: nil

  defp name_fault(name, _verdict, names) do
    long? = :binary.match(name, [".", ":"]) != :nomatch

    case names do
      :short when long? -> :short_names
      :long when not long? -> :long_names
      _either -> nil
    end
  end

  # A host may have addresses of both families: one that can be dialled is enough.
  defp other_family?([_ | _] = ips, family) when family != nil,
    do: Enum.all?(ips, &(IP.family(&1) != family))

  defp other_family?(_ips, _family), do: false

  # Whoever can change an answer could otherwise lead us anywhere with one good address among bad ones.
  defp allowed?(ips, allow, %{family: family, address: own}) do
    ips
    |> Enum.filter(&(family in [nil, IP.family(&1)]))
    |> Enum.all?(&allowed_one?(&1, allow, own))
  end

  # What an operator has named is allowed, but an address that no node can have.
  defp allowed_one?(ip, allow, _own) when is_list(allow) do
    IP.class(ip) not in [:unspecified, :multicast] and Enum.any?(allow, &IP.in_cidr?(ip, &1))
  end

  # A node that lives at a loopback or link-local address has its peers there; for any other such an answer is a
  # mistake, or an attack.
  defp allowed_one?(ip, :default, own) do
    case IP.class(ip) do
      class when class in [:private, :public] -> true
      class when class in [:loopback, :link_local] -> own != nil and IP.class(own) == class
      _never -> false
    end
  end
end

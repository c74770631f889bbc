defmodule DNSMesh.Policy do
  @moduledoc false
  # Whether an address from an answer may become a peer of ours: pure, decided on text and tuples, before any atom.

  alias DNSMesh.{Distribution, IP}

  @type world :: %{distribution: Distribution.t(), own_addresses: [IP.t()]}
  @type verdict :: :join | {:waiting, :not_distributed} | {:refused, reason()}
  @type reason :: :self | :short_names | :named_by_host | :wrong_family | :not_allowed

  @doc """
  Judges the peer `basename@ip`. `allow` is a list of networks, or `:default`.

  A reason that lies with this node (no distribution, its own naming) comes before one that lies with the address:
  it is the one to mend first.
  """
  @spec judge(String.t(), IP.t(), world(), [IP.cidr()] | :default) :: verdict()
  def judge(basename, ip, %{distribution: distribution} = world, allow) do
    cond do
      not distribution.alive? -> {:waiting, :not_distributed}
      self?(basename, ip, world) -> {:refused, :self}
      distribution.names == :short -> {:refused, :short_names}
      distribution.address == nil -> {:refused, :named_by_host}
      distribution.family not in [nil, IP.family(ip)] -> {:refused, :wrong_family}
      not allowed?(ip, allow, distribution.address) -> {:refused, :not_allowed}
      true -> :join
    end
  end

  # One epmd serves all addresses of a machine, and it takes each basename once: our basename at any of our addresses
  # is us. With fixed ports there is no such bound, and two nodes may share a basename on one machine.
  defp self?(basename, ip, %{distribution: distribution, own_addresses: own}) do
    basename == distribution.basename and
      (ip == distribution.address or (distribution.epmd? and ip in own))
  end

  # What an operator has named is allowed, but an address that no node can have.
  defp allowed?(ip, allow, _own) when is_list(allow) do
    IP.class(ip) not in [:unspecified, :multicast] and Enum.any?(allow, &IP.in_cidr?(ip, &1))
  end

  # A node that lives at a loopback or link-local address has its peers there; for any other such an answer is a
  # mistake, or an attack.
  defp allowed?(ip, :default, own) do
    case IP.class(ip) do
      class when class in [:private, :public] -> true
      class when class in [:loopback, :link_local] -> own != nil and IP.class(own) == class
      _never -> false
    end
  end
end

defmodule DNSMesh.Distribution do
  @moduledoc false
  # What this VM's distribution is at this moment. Read anew at every round: a VM may become distributed, or take
  # another name, long after DNSMesh has started.

  alias DNSMesh.{IP, NodeName}

  @enforce_keys [:alive?, :names, :family, :tls?, :epmd?]
  defstruct [
    :alive?,
    :node,
    :basename,
    :host,
    :address,
    :names,
    :family,
    :tls?,
    :epmd?,
    :interface,
    ports: :epmd
  ]

  @type t :: %__MODULE__{
          alive?: boolean(),
          node: NodeName.t() | nil,
          basename: String.t() | nil,
          host: String.t() | nil,
          # The own host as an address, when it is one.
          address: IP.t() | nil,
          names: :long | :short | nil,
          # What the distribution carrier speaks; nil for a carrier DNSMesh does not know.
          family: :inet | :inet6 | nil,
          tls?: boolean(),
          # Whether peers' ports are asked of epmd (else they are fixed, or come from an own module).
          epmd?: boolean(),
          # The one address it listens at, where that is set.
          interface: IP.t() | nil,
          # Where a peer's port is learnt: from its epmd, from the boot flag, or from a module that stands for epmd.
          ports: :epmd | {:fixed, :inet.port_number()} | {:module, module()}
        }

  @spec current() :: t()
  def current do
    {family, tls?} = carrier()

    base = %__MODULE__{
      alive?: Node.alive?(),
      names: nil,
      family: family,
      tls?: tls?,
      epmd?: epmd?(),
      interface: interface(),
      ports: ports()
    }

    if base.alive?, do: named(base, Atom.to_string(node())), else: base
  end

  @doc "Whether this VM is to be a node at all: `bin/app eval` runs code beside the application, and is none."
  @spec expected?() :: boolean()
  def expected?, do: System.get_env("RELEASE_COMMAND") != "eval"

  @doc "What it would be under that name."
  @spec as(t(), NodeName.t()) :: t()
  def as(distribution, name), do: named(%{distribution | alive?: true}, name)

  @doc "The `-proto_dist` this VM was booted with, OTP's default where there is none."
  @spec proto() :: String.t()
  def proto do
    case :init.get_argument(:proto_dist) do
      {:ok, [[proto | _] | _]} -> List.to_string(proto)
      _ -> "inet_tcp"
    end
  end

  defp named(distribution, name) do
    {basename, host} = NodeName.split(name)

    address =
      case IP.parse(host) do
        {:ok, ip} -> ip
        :error -> nil
      end

    %{
      distribution
      | node: name,
        basename: basename,
        host: host,
        address: address,
        names: names(host)
    }
  end

  # OTP takes no short name with a dot in its host, and under a host with colons peers can be dialled by address either
  # way. net_kernel knows, but asking it waits behind every dial it has been told to do.
  defp names(host) do
    if String.contains?(host, [".", ":"]) or :net_kernel.longnames() == true,
      do: :long,
      else: :short
  end

  defp carrier do
    case proto() do
      "inet_tcp" -> {:inet, false}
      "inet_tls" -> {:inet, true}
      "inet6_tcp" -> {:inet6, false}
      "inet6_tls" -> {:inet6, true}
      _other -> {nil, false}
    end
  end

  @doc """
  Whether OTP's `global` keeps the nodes linked all with all, and cuts links where it cannot: the default since OTP 25.
  Not with `-connect_all false`, nor with `prevent_overlapping_partitions` set to `false` (kernel).
  """
  @spec guarded?() :: boolean()
  def guarded? do
    :init.get_argument(:connect_all) != {:ok, [[~c"false"]]} and
      Application.get_env(:kernel, :connect_all, true) != false and
      Application.get_env(:kernel, :prevent_overlapping_partitions, true) != false
  end

  defp ports do
    case {:init.get_argument(:erl_epmd_port), :net_kernel.epmd_module()} do
      {{:ok, [[port | _] | _]}, :erl_epmd} -> {:fixed, List.to_integer(port)}
      {_none, :erl_epmd} -> :epmd
      {_, module} -> {:module, module}
    end
  end

  defp interface do
    ip = Application.get_env(:kernel, :inet_dist_use_interface)
    if IP.ip?(ip) and IP.class(ip) != :unspecified, do: ip
  end

  defp epmd?,
    do:
      :init.get_argument(:erl_epmd_port) == :error and :init.get_argument(:epmd_module) == :error
end

defmodule DNSMesh.Test.Given do
  @moduledoc """
  What the tests of the pure parts begin with: options as `DNSMesh.Config` has them, and a node named by its address.
  """

  alias DNSMesh.Distribution

  @doc "Of a configuration, what the roster looks at."
  @spec config(Enumerable.t()) :: map
  def config(overrides \\ []) do
    Map.merge(
      %{
        interval: 5_000,
        connect_timeout: 10_000,
        max_peers: 1_024,
        allow: :default,
        basename: nil,
        resolver: nil,
        ask_first: true
      },
      Map.new(overrides)
    )
  end

  @doc "`app@10.0.0.LAST`, of long name, IPv4, with epmd and without TLS."
  @spec distribution(0..255, keyword) :: Distribution.t()
  def distribution(last, overrides \\ []) do
    struct!(
      %Distribution{
        alive?: true,
        node: "app@10.0.0.#{last}",
        basename: "app",
        host: "10.0.0.#{last}",
        address: {10, 0, 0, last},
        names: :long,
        family: :inet,
        tls?: false,
        epmd?: true
      },
      overrides
    )
  end
end

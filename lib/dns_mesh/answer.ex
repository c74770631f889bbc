defmodule DNSMesh.Answer do
  @moduledoc """
  What a name server said: the answer of one lookup.

    * `:records` - for A and AAAA a list of `:inet` address tuples; for SRV a list of maps
      `%{target: String.t(), port: 0..65535, priority: 0..65535, weight: 0..65535, addresses: [tuple]}`, the target in
      lower case without the trailing dot (RFC 2782). Never empty: a name without records is `{:error, :no_records}`.
    * `:ttl` - seconds, the smallest of the records used. Nothing is cached by it; it is there to be seen.
    * `:name` - the name that answered, search domain included, without the trailing dot.
    * `:server` - the name server, `"10.0.0.2:53"`; `"hosts"` for `/etc/hosts`, `"literal"` for an IP literal,
      `"module"` for a `:resolver` module.
    * `:truncated?` - `true` when there were more than 4 096 records and the rest was dropped.
    * `:hosts` - where peers are named by host: for each address `{:ok, host}`, a PTR name (or the first name in
      `/etc/hosts`) that leads back to that address, in lower case without the trailing dot; or `{:error, reason}`, the
      reason a lookup's, or `:unconfirmed` when none of its names leads back. Of several names, the first by alphabet.
      Else `%{}`.
    * `:registered` - where the basename is unknown (`*@host`): for each address `{:ok, basenames}`, what its epmd has
      registered, in order, at most 1 024; or `{:error, why}`, one of `:silent` (nothing in time), `:refused` (nobody
      listens), `:garbled` (not an epmd) and `{:unreachable, text}`, the operating system's words. Else `%{}`.
    * `:fault` - `nil`, or the reason why a source's answer may lack somebody (`DNSMesh.Error`); its names count all the same.
  """

  @enforce_keys [:records, :ttl, :name, :server]
  defstruct [
    :records,
    :ttl,
    :name,
    :server,
    truncated?: false,
    hosts: %{},
    registered: %{},
    fault: nil
  ]

  @type srv :: %{
          target: String.t(),
          port: :inet.port_number(),
          priority: 0..65_535,
          weight: 0..65_535,
          addresses: [:inet.ip_address()]
        }
  @type epmd_fault :: :silent | :refused | :garbled | {:unreachable, String.t()}
  @type t :: %__MODULE__{
          records: [:inet.ip_address()] | [srv()],
          ttl: non_neg_integer(),
          name: String.t(),
          server: String.t(),
          truncated?: boolean(),
          hosts: %{
            :inet.ip_address() =>
              {:ok, String.t()} | {:error, DNSMesh.Error.reason() | :unconfirmed}
          },
          registered: %{:inet.ip_address() => {:ok, [String.t()]} | {:error, epmd_fault()}},
          fault: DNSMesh.Error.reason() | nil
        }

  @doc "Every address in the answer, those of SRV targets included, each once, in the order given."
  @spec addresses(t()) :: [:inet.ip_address()]
  def addresses(%__MODULE__{} = answer), do: answer |> listed() |> Enum.uniq()

  @doc false
  # The same, with the doubles: for whoever makes names of them, whose doubles drop out then.
  @spec listed(t()) :: [:inet.ip_address()]
  def listed(%__MODULE__{records: [%{addresses: _} | _] = services}),
    do: Enum.flat_map(services, & &1.addresses)

  def listed(%__MODULE__{records: ips}), do: ips
end

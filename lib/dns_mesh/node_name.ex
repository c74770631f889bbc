defmodule DNSMesh.NodeName do
  @moduledoc false
  # Node names as text, and the one gate from text to atom.
  #
  # Atoms are never collected, and whoever answers our DNS queries chooses what we would turn into atoms; so text it
  # stays until a peer is about to be dialled, and new atoms come out of a budget.

  alias DNSMesh.{AtomBudget, IP, Native}

  @type t :: String.t()

  # As long as an atom, which it is to become, may be in a byte each.
  @max 255
  @max_basename 200

  # By hand: this is asked of every name of every answer, and a regular expression takes ten times as long.
  defguardp is_basename(byte)
            when byte in ?a..?z or byte in ?0..?9 or byte in ?A..?Z or byte in [?_, ?-]

  defguardp is_host(byte) when is_basename(byte) or byte in [?., ?:, ?%]

  @doc "Whether OTP's net_kernel takes this text as the part of a node name before the `@`."
  @spec basename?(String.t()) :: boolean()
  def basename?(text),
    do: byte_size(text) <= @max_basename and match?({_length, ""}, basename(text, 0))

  @doc """
  Whether a text can be a node's name: a basename, one `@`, and a host of letters, digits and `. - _ : %`.

  `net_kernel` takes more as a host, all that is printable; but nobody's host name or address holds a quote or a bracket.
  """
  @spec valid?(term()) :: boolean()
  def valid?(text) when is_binary(text) and byte_size(text) <= @max do
    case basename(text, 0) do
      {length, <<?@, host::binary>>} when length <= @max_basename -> host?(host)
      _no_basename -> false
    end
  end

  def valid?(_other), do: false

  # How long it is, and what stands behind it.
  defp basename(<<byte, rest::binary>>, length) when is_basename(byte),
    do: basename(rest, length + 1)

  defp basename(_rest, 0), do: nil
  defp basename(rest, length), do: {length, rest}

  defp host?(<<byte>>) when is_host(byte), do: true
  defp host?(<<byte, rest::binary>>) when is_host(byte), do: host?(rest)
  defp host?(_end_or_other), do: false

  @spec build(String.t(), IP.t()) :: t()
  # Not with <>: that makes a binary off the heap, with room for more, which for thousands of names costs twice as much.
  def build(basename, ip), do: IO.iodata_to_binary([basename, ?@ | :inet.ntoa(ip)])

  @doc "This node's name to be, as Rust derives it for the release's shell step too."
  @spec derive(String.t(), IP.t()) :: {:ok, t()} | {:error, {:bad_basename, String.t()}}
  def derive(basename, ip), do: Native.node_name(basename, ip)

  @doc "Splits `basename@host`; `nil` for a text without both."
  @spec split(t()) :: {basename :: String.t(), host :: String.t()} | nil
  def split(name) do
    case String.split(name, "@") do
      [basename, host] when basename != "" and host != "" -> {basename, host}
      _ -> nil
    end
  end

  @doc "The atom of what the operator wrote (a cookie): it costs no budget."
  @spec trusted(String.t()) :: atom()
  def trusted(text), do: String.to_atom(text)

  @doc "The atom of a name that is one already."
  @spec existing_atom(t()) :: {:ok, node()} | :error
  def existing_atom(name) do
    {:ok, String.to_existing_atom(name)}
  rescue
    ArgumentError -> :error
  end

  @doc "The one gate: only what can be a node's name passes, and a new one has its price."
  @spec to_atom(t()) :: {:ok, node()} | {:error, :atom_budget | :bad_name}
  def to_atom(name), do: if(valid?(name), do: atom(name), else: {:error, :bad_name})

  defp atom(name) do
    {:ok, String.to_existing_atom(name)}
  rescue
    # Not an atom yet.
    ArgumentError ->
      case AtomBudget.take() do
        :ok -> {:ok, String.to_atom(name)}
        :empty -> {:error, :atom_budget}
      end
  end
end

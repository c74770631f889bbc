defmodule DNSMesh.NodeName do
  @moduledoc false
  # Node names as text, and the one gate from text to atom.
  #
  # Atoms are never collected, and whoever answers our DNS queries chooses what we would turn into atoms; so text it
  # stays until a peer is about to be dialled, and new atoms come out of a budget.

  alias DNSMesh.{AtomBudget, IP, Native}

  @type t :: String.t()

  @doc "Whether OTP's net_kernel takes this text as the part of a node name before the `@`."
  @spec basename?(String.t()) :: boolean()
  def basename?(text), do: byte_size(text) <= 200 and Regex.match?(~r/\A[A-Za-z0-9_-]+\z/, text)

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

  @spec to_atom(t()) :: {:ok, node()} | {:error, :atom_budget}
  def to_atom(name) do
    {:ok, String.to_existing_atom(name)}
  rescue
    # Not an atom yet: a new one has its price.
    ArgumentError ->
      case AtomBudget.take() do
        :ok -> {:ok, String.to_atom(name)}
        :empty -> {:error, :atom_budget}
      end
  end
end

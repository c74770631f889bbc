defmodule DNSMesh.Variables do
  @moduledoc false
  # The environment variables that stand for an option where it is absent, as the program that a release's env.sh calls
  # reads them too. Nothing is raised: a release's environment is not its code, and the application has to run on.

  alias DNSMesh.{IP, NodeName}

  @type fault ::
          {:bad_basename_variable, value :: String.t()}
          | {:bad_address_variable, value :: String.t()}
  @type address ::
          {:literal, IP.t()}
          | {:interface, String.t()}
          | {:subnet, IP.cidr()}
          | {:env, String.t()}

  @names %{basename: "DNS_MESH_BASENAME", address: "DNS_MESH_ADDRESS"}
  @faults %{basename: :bad_basename_variable, address: :bad_address_variable}

  @doc "The value of an option, from its variable; nil where that is unset or empty."
  @spec read(:basename | :address) :: {:ok, String.t() | address() | nil} | {:error, fault()}
  def read(key) do
    case System.get_env(@names[key], "") do
      "" -> {:ok, nil}
      text -> check(key, text)
    end
  end

  @doc "The value that a text stands for."
  @spec check(:basename | :address, String.t()) ::
          {:ok, String.t() | address()} | {:error, fault()}
  def check(key, text) do
    with :error <- parse(key, text), do: {:error, {@faults[key], text}}
  end

  defp parse(:basename, text), do: if(NodeName.basename?(text), do: {:ok, text}, else: :error)

  defp parse(:address, "interface:" <> name),
    do: if(name == "", do: :error, else: {:ok, {:interface, name}})

  defp parse(:address, "subnet:" <> text),
    do: with({:ok, cidr} <- IP.parse_cidr(text), do: {:ok, {:subnet, cidr}})

  defp parse(:address, "env:" <> name),
    do: if(name?(name), do: {:ok, {:env, name}}, else: :error)

  defp parse(:address, text), do: with({:ok, ip} <- IP.parse(text), do: {:ok, {:literal, ip}})

  @doc "Whether there can be an environment variable of that name: the VM raises where it is asked for any other."
  @spec name?(String.t()) :: boolean()
  def name?(name),
    do: name != "" and String.valid?(name) and not String.contains?(name, ["=", <<0>>])
end

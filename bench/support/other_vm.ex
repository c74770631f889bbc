defmodule DNSMesh.Bench.OtherVM do
  @moduledoc """
  A second VM on this machine, for what must not share schedulers and memory with the one that measures. It is not
  distributed unless its arguments say so, and it ends with this one.
  """

  @type t :: pid()

  @doc "Boots it with these arguments of `erl`, this VM's code path, and loads source files in it."
  @spec start!([Path.t()], [String.t()]) :: t()
  def start!(files \\ [], args \\ []) do
    # The last -pa comes first in the path, and Mix's consolidated protocols must come before Elixir's own.
    paths = :code.get_path() |> Enum.reverse() |> Enum.flat_map(&[~c"-pa", &1])
    args = Enum.map(args, &String.to_charlist/1) ++ paths

    {:ok, vm} =
      case :peer.start_link(%{connection: :standard_io, args: args}) do
        {:ok, vm} -> {:ok, vm}
        {:ok, vm, _node} -> {:ok, vm}
      end

    {:ok, _} = call(vm, :application, :ensure_all_started, [:elixir])
    for file <- files, do: call(vm, Code, :require_file, [file])
    vm
  end

  @spec call(t(), module(), atom(), [term()]) :: term()
  def call(vm, module, function, args), do: :peer.call(vm, module, function, args, :infinity)

  @spec stop(t()) :: :ok
  def stop(vm), do: :peer.stop(vm)
end

defmodule Settle.Node.Lie do
  @moduledoc false
  # Negative controls: a wrong library, to see that the checks notice. A function of a module is replaced in the running
  # VM, where the library itself must have no switch for it; its original stays callable, as `truth`.
  #
  # What the replacement gives is decided here, by `answer/3`; DNSMesh has no say in it.

  alias Settle.Node.Recorder

  # %{lie => {module, function}}, every arity of it.
  @subjects %{
    # A probe that believes epmd: whoever is registered there counts as reachable.
    "epmd" => {DNSMesh.Outside.Probe, :read}
  }

  @truth :truth

  @spec tell(String.t()) :: :ok
  def tell(lie) do
    {module, function} = Map.fetch!(@subjects, lie)
    {:module, ^module} = Code.ensure_loaded(module)

    case for({^function, arity} <- module.__info__(:functions), do: arity) do
      [] -> Recorder.say("NO-LIE", ["#{inspect(module)} has no #{function}"])
      arities -> replace(module, function, arities, lie)
    end
  end

  @doc false
  @spec answer(String.t(), module(), [term()]) :: term()
  def answer("epmd", module, arguments) do
    for {name, {verdict, port}} <- apply(module, @truth, arguments), into: %{} do
      {name, {if(verdict == {:silent, :port}, do: :ok, else: verdict), port}}
    end
  end

  defp replace(module, function, arities, lie) do
    {module, beam, path} = :code.get_object_code(module)
    {:ok, {_, [debug_info: {_, backend, data}]}} = :beam_lib.chunks(beam, [:debug_info])
    {:ok, forms} = backend.debug_info(:erlang_v1, module, data, [])
    {:ok, ^module, binary} = :compile.forms(wrap(forms, module, function, arities, lie), [])
    {:module, ^module} = :code.load_binary(module, path, binary)
    Recorder.say("LIE", [lie])
  end

  defp wrap(forms, module, function, arities, lie) do
    Enum.flat_map(forms, fn
      {:attribute, line, :module, _} = form ->
        [form, {:attribute, line, :export, for(arity <- arities, do: {@truth, arity})}]

      {:function, line, ^function, arity, clauses} ->
        [
          {:function, line, @truth, arity, clauses},
          wrapper(line, module, function, arity, lie)
        ]

      form ->
        [form]
    end)
  end

  # function(A1, …) -> 'Elixir.Settle.Node.Lie':answer(Lie, Module, [A1, …]).
  defp wrapper(line, module, function, arity, lie) do
    variables = for n <- 1..arity//1, do: {:var, line, :"A#{n}"}
    list = Enum.reduce(Enum.reverse(variables), {nil, line}, &{:cons, line, &1, &2})
    remote = {:remote, line, {:atom, line, __MODULE__}, {:atom, line, :answer}}
    call = {:call, line, remote, [:erl_parse.abstract(lie, line), {:atom, line, module}, list]}
    {:function, line, function, arity, [{:clause, line, variables, [], [call]}]}
  end
end

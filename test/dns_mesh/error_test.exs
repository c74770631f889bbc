defmodule DNSMesh.ErrorTest do
  use ExUnit.Case, async: true
  doctest DNSMesh.Error

  # The reasons of the type are the list; each must have its own sentence, and stand in the documentation.
  test "every reason of the closed list has a sentence of its own and a row in the documentation" do
    {:ok, types} = Code.Typespec.fetch_types(DNSMesh.Error)

    {:type, {:reason, {:type, _, :union, members}, []}} =
      Enum.find(types, &match?({:type, {:reason, _, _}}, &1))

    {:docs_v1, _, _, _, %{"en" => docs}, _, _} = Code.fetch_docs(DNSMesh.Error)

    for member <- members do
      {example, written} = example(member)
      sentence = DNSMesh.Error.message(example)
      assert sentence != inspect(example), "#{inspect(example)} has no sentence"
      assert docs =~ written, "#{written} is not documented"
    end
  end

  defp example({:atom, _, reason}), do: {reason, inspect(reason)}

  defp example({:type, _, :tuple, [{:atom, _, :bad_name}, _]}),
    do: {{:bad_name, :empty}, "{:bad_name, why}"}

  defp example({:type, _, :tuple, [{:atom, _, tag}, {:type, _, _, _}]}),
    do: {{tag, 3}, "{#{inspect(tag)}, "}

  defp example({:type, _, :tuple, [{:atom, _, tag}, _text]}),
    do: {{tag, "text"}, "{#{inspect(tag)}, "}
end

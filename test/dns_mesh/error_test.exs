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

  test "every fault of a shared folder names the folder and the remedy" do
    faults = ~w(missing not_a_folder read_only no_permission full stale replaced)a

    sentences =
      for why <- faults ++ [:eio], do: DNSMesh.Error.message({:folder, why, "/shared/nodes"})

    assert length(Enum.uniq(sentences)) == 8

    for sentence <- sentences ++ [DNSMesh.Error.message({:folder_stuck, "/shared/nodes"})] do
      assert sentence =~ ~r/^the folder \/shared\/nodes .+: (mount|correct|give|free|look) /
    end
  end

  # A text, or whatever the sentence for that tag can be made of.
  @values %{
    bad_name: :empty,
    no_tcp: :refused,
    rcode: 3,
    connect_failed: 3,
    wrong_proto: :inet6,
    bad_cookie: :empty,
    epmd: :silent,
    silent: :port,
    dead: :refused,
    no_host_name: :unconfirmed,
    undecided: [%{ip: {10, 0, 0, 1}, interface: "eth0"}]
  }

  defp example({:atom, _, reason}), do: {reason, inspect(reason)}

  defp example({:type, _, :tuple, [{:atom, _, :folder} | _]}),
    do: {{:folder, :missing, "/shared/nodes"}, "{:folder, "}

  defp example({:type, _, :tuple, [{:atom, _, tag}, _value]}),
    do: {{tag, Map.get(@values, tag, "text")}, "{#{inspect(tag)}, "}
end

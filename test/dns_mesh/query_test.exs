defmodule DNSMesh.QueryTest do
  # Items of a query, each as what it is: what is refused, and in which words, is config_test.exs's.
  use ExUnit.Case, async: true

  alias DNSMesh.{Directory, Query, Static}

  defmodule List do
    @behaviour DNSMesh.Source
    @impl true
    def discover(names, _context), do: {:ok, names}
  end

  defmodule :dns_mesh_query_test_source do
    def discover(names, _context), do: {:ok, names}
  end

  defp parse!(query), do: Query.parse!(query, fn _host -> :ok end)

  defp refused?(query) do
    parse!(query)
    false
  rescue
    ArgumentError -> true
  end

  test "which basenames an item lists" do
    for {listed, basename, expected} <- [
          {nil, "app", true},
          {nil, nil, true},
          {"app", "app", true},
          {"app", "apple", false},
          {"app", nil, false},
          {"*", "app", true},
          {"*", nil, false},
          {"app-*", "app-1", true},
          {"app-*", "app-", true},
          {"app-*", "web-1", false},
          {"*-app", "my-app", true},
          {"*-app", "my-web", false},
          {"a*b", "ab", true},
          {"a*b", "acb", true},
          {"a*b", "acd", false},
          {"a*b", "ccb", false},
          # No letter stands for both ends.
          {"aba*aba", "aba", false},
          {"aba*aba", "ababa", false},
          {"aba*aba", "abaaba", true}
        ] do
      query = %Query{text: "x", host: "x", basename: listed}
      assert Query.lists?(query, basename) == expected, inspect({listed, basename})
    end
  end

  test "a basename with a * in it is a pattern" do
    for {text, pattern?} <- [{"x", false}, {"a@x", false}, {"*@x", true}, {"a-*@x", true}],
        do: assert(Query.pattern?(hd(parse!(text))) == pattern?)

    for basename <- ["*", "app-*", "*-app", "a*b"],
        do: assert([%Query{basename: ^basename}] = parse!({basename, "x"}))
  end

  test "a source gives names, whatever the record types" do
    for query <- [{List, []}, [:a@h], "dir:/shared"],
        do: assert(Query.types(hd(parse!(query)), [:a, :srv]) == [:names])
  end

  test "a folder is a source" do
    assert [%Query{host: nil, basename: nil, source: {Directory, [{:path, "/shared"} | _]}}] =
             parse!("dir:/shared")
  end

  test "a module that may be a source is one, also where it is not there yet" do
    for module <- [List, :dns_mesh_query_test_source, NotThereYet],
        do: assert([%Query{source: {^module, ["a@h"]}}] = parse!({module, ["a@h"]}))

    # An atom for a basename, and a module that is no source.
    for query <- [{:app, "x"}, {:lists, "x"}, {1, "x"}, {nil, "x"}, {"a", 1}],
        do: assert(refused?(query), inspect(query))
  end

  test "nodes listed one by one are one list, each once, behind what is asked for" do
    assert [%Query{host: "x"}, %Query{host: "y"}, %Query{source: {Static, ["a@h", "b@h"]}}] =
             parse!([:a@h, "x", :b@h, :a@h, {"w", "y"} |> elem(1)])

    assert [%Query{source: {Static, ["a@h"]}}] = parse!(:a@h)
    assert [%Query{source: {Static, ["a@h"]}}] = parse!([:a@h])
  end

  test "what is no list of items is refused as a whole" do
    for query <- [[:a@h | :b@h], ["x" | "y"], [true], [false], [nil], true, [["x"]], [1]],
        do: assert(refused?(query), inspect(query))
  end

  test "a tuple's basename is checked as one before an @ is" do
    for basename <- ["", "a b", "a@b", "a.b", "**"], do: assert(refused?({basename, "x"}))
  end
end

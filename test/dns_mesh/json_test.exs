defmodule DNSMesh.JSONTest do
  use ExUnit.Case, async: true

  alias DNSMesh.JSON

  test "every kind of value" do
    assert JSON.encode(%{
             "b" => [1, -2.5, nil, true, false, :atom, "text", []],
             a: %{},
             nested: %{list: [%{one: 1}, %{two: 2}]}
           }) ==
             ~S({"a": {}, "b": [1, -2.5, null, true, false, "atom", "text", []], "nested": {"list": [{"one": 1}, {"two": 2}]}})
  end

  test "text is escaped as RFC 8259 wants it, and is UTF-8 whatever it was" do
    assert JSON.encode(~S("\ /)) == ~S("\"\\ /")
    assert JSON.encode("\t\n\0\d") == ~S("\u0009\u000A\u0000\u007F")
    assert JSON.encode("Zürich ✓ 🙂") == ~S("Zürich ✓ 🙂")
    assert JSON.encode("a\u2028b") == ~S("a\u2028b")
    assert JSON.encode(<<"caf", 0xE9, "!">>) == ~s("caf\uFFFD!")
    assert JSON.encode(%{"\"" => 1}) == ~S({"\"": 1})
  end

  # OTP has a reader since 27.
  if Code.ensure_loaded?(:json) do
    test "OTP reads it back" do
      value = %{"a" => [1, 2.5, nil, true], "b" => "\"\\\u0000\u2028🙂", "c" => %{}}

      assert value |> JSON.encode() |> :json.decode() ==
               Map.put(value, "a", [1, 2.5, :null, true])
    end
  end
end

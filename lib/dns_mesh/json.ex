defmodule DNSMesh.JSON do
  @moduledoc false
  # Writes JSON (RFC 8259), for what DNSMesh says of itself: maps with atoms or strings as keys, lists, strings, numbers,
  # booleans and nil; on one line, with the blanks that make it readable. Elixir has a writer of its own since 1.18 only.

  @type value ::
          %{optional(atom() | String.t()) => value()}
          | [value()]
          | String.t()
          | number()
          | boolean()
          | nil
          | atom()

  @spec encode(value()) :: String.t()
  def encode(value), do: value |> write() |> IO.iodata_to_binary()

  defp write(nil), do: "null"
  defp write(boolean) when is_boolean(boolean), do: Atom.to_string(boolean)
  defp write(atom) when is_atom(atom), do: atom |> Atom.to_string() |> write()
  defp write(number) when is_integer(number), do: Integer.to_string(number)
  defp write(number) when is_float(number), do: Float.to_string(number)
  defp write(text) when is_binary(text), do: [?", escape(text, []), ?"]
  defp write(list) when is_list(list), do: [?[, commas(list, &write/1), ?]]

  # By name, so that the same is written the same way each time.
  defp write(%{} = map) do
    members = Enum.sort(for {key, value} <- map, do: {to_string(key), value})
    [?{, commas(members, fn {key, value} -> [write(key), ": ", write(value)] end), ?}]
  end

  defp commas(members, write), do: members |> Enum.map(write) |> Enum.intersperse(", ")

  defp escape(<<>>, done), do: Enum.reverse(done)

  defp escape(<<char, rest::binary>>, done) when char in [?", ?\\],
    do: escape(rest, [<<?\\, char>> | done])

  defp escape(<<char, rest::binary>>, done) when char < 0x20 or char == 0x7F,
    do: escape(rest, [unicode(char) | done])

  # Two ends of line for JavaScript, that are none for JSON.
  defp escape(<<char::utf8, rest::binary>>, done) when char in [0x2028, 0x2029],
    do: escape(rest, [unicode(char) | done])

  defp escape(<<char::utf8, rest::binary>>, done), do: escape(rest, [<<char::utf8>> | done])

  # An operating system's words may be in any encoding; JSON's may not.
  defp escape(<<_byte, rest::binary>>, done), do: escape(rest, ["\uFFFD" | done])

  defp unicode(char), do: ["\\u", char |> Integer.to_string(16) |> String.pad_leading(4, "0")]
end

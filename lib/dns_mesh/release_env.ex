defmodule DNSMesh.ReleaseEnv do
  @moduledoc false
  # The block that a release's env.sh needs, and where it goes in a file that is somebody else's. Pure; the shell itself
  # is in release_env.sh.

  @source Path.join(__DIR__, "release_env.sh")
  @external_resource @source
  @block File.read!(@source)

  # What follows in these lines may change from version to version; this much finds them for ever.
  @begin_mark "# >>> dns_mesh >>>"
  @end_mark "# <<< dns_mesh <<<"

  @named_by_hand ~r/^\s*(?:export\s+)?(RELEASE_NODE|RELEASE_DISTRIBUTION)=/

  @type fault ::
          {:no_end, line :: pos_integer()}
          | {:no_begin, line :: pos_integer()}
          | {:twice, line :: pos_integer()}

  @doc "The block, both marks included."
  @spec block() :: String.t()
  def block, do: @block

  @doc """
  What the file (`nil`: there is none) is to become, and what was wrong with it.

  The block goes to the end, where it sees what the lines above set; where it is, it stays.
  """
  @spec amend(String.t() | nil) ::
          {:current | :missing | :outdated, String.t()} | {:error, fault()}
  def amend(nil), do: {:missing, "#!/bin/sh\n\n" <> @block}

  def amend(text) do
    with {:ok, before, block, rest} <- split(text) do
      case block do
        "" -> {:missing, appended(before)}
        @block -> {:current, text}
        _other -> {:outdated, before <> @block <> rest}
      end
    end
  end

  @doc "Lines of the file, outside the block, that name the node themselves and so win: `{line number, variable}`."
  @spec named_by_hand(String.t()) :: [{pos_integer(), String.t()}]
  def named_by_hand(text) do
    marked =
      Enum.scan(lines(text), {nil, 0, :outside}, fn line, {_, number, place} ->
        {line, number + 1, place(line, place)}
      end)

    for {line, number, :outside} <- marked,
        [_, variable] <- [Regex.run(@named_by_hand, line)],
        do: {number, variable}
  end

  defp split(text) do
    lines = lines(text)
    begins = numbers(lines, @begin_mark)
    ends = numbers(lines, @end_mark)

    case {begins, ends} do
      {[], []} ->
        {:ok, text, "", ""}

      {[first], [last]} when first < last ->
        {before, others} = Enum.split(lines, first - 1)
        {block, rest} = Enum.split(others, last - first + 1)
        {:ok, Enum.join(before), Enum.join(block), Enum.join(rest)}

      {[_, second | _], _} ->
        {:error, {:twice, second}}

      {[first], []} ->
        {:error, {:no_end, first}}

      {_, [last | _]} ->
        {:error, {:no_begin, last}}
    end
  end

  # Each with its line end.
  defp lines(text), do: String.split(text, ~r/(?<=\n)/, trim: true)

  defp numbers(lines, mark),
    do:
      for(
        {line, number} <- Enum.with_index(lines, 1),
        String.starts_with?(line, mark),
        do: number
      )

  defp place(@begin_mark <> _, _), do: :inside
  defp place(@end_mark <> _, _), do: :end
  defp place(_, :inside), do: :inside
  defp place(_, _), do: :outside

  defp appended(text) do
    case String.trim_trailing(text, "\n") do
      "" -> @block
      own -> own <> "\n\n" <> @block
    end
  end
end

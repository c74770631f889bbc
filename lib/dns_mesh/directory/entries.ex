defmodule DNSMesh.Directory.Entries do
  @moduledoc false
  # What lies in a shared folder, and what of it counts. Pure.

  alias DNSMesh.NodeName

  # A day, in seconds.
  @old 86_400

  @temporary_prefix ".dns_mesh-"

  @type stat :: %{type: atom(), size: non_neg_integer(), mtime: integer()}
  @type kind :: :entry | :temporary | :junk | :foreign
  @type sorted :: %{
          listed: [String.t()],
          old: [String.t()],
          junk: non_neg_integer(),
          clock: integer() | nil
        }

  @doc "The name of a file that is not an entry yet: no listing takes it for a node's, and it is ours beyond doubt."
  @spec temporary_name(non_neg_integer()) :: String.t()
  def temporary_name(number),
    do: @temporary_prefix <> (number |> Integer.to_string(16) |> String.pad_leading(16, "0"))

  @doc """
  What a file is by its name. A name without an `@` is meant for something else (`README`, `lost+found`), as is one that
  begins with a dot; one with an `@` is meant for a node.
  """
  @spec kind(String.t()) :: kind()
  def kind(@temporary_prefix <> rest = _name),
    do: if(Regex.match?(~r/\A[0-9A-F]{16}\z/, rest), do: :temporary, else: :foreign)

  def kind("." <> _hidden), do: :foreign

  def kind(name) do
    cond do
      NodeName.valid?(name) -> :entry
      String.contains?(name, "@") -> :junk
      true -> :foreign
    end
  end

  @doc """
  Sorts the files by age, in seconds of the folder's own clock (`nil`: the newest entry tells it): who is listed, and
  what is old enough to go.

  Only an empty file is ever old enough: ours are, and one with something in it (a mailbox called me@example.com) is
  somebody's.
  """
  @spec sort([{String.t(), kind(), stat() | nil}], integer() | nil, expiry :: pos_integer()) ::
          sorted()
  def sort(files, clock, expiry) do
    clock = clock || newest(files)

    Enum.reduce(files, %{listed: [], old: [], junk: 0, clock: clock}, fn
      {_name, :foreign, _stat}, sorted ->
        sorted

      {_name, :junk, _stat}, sorted ->
        %{sorted | junk: sorted.junk + 1}

      {name, kind, %{type: :regular} = stat}, sorted ->
        age = clock - stat.mtime

        cond do
          # A file's time comes in whole seconds, so an age may be one too much.
          kind == :entry and (age - 1) * 1_000 < expiry ->
            %{sorted | listed: [name | sorted.listed]}

          age > @old and stat.size == 0 ->
            %{sorted | old: [name | sorted.old]}

          true ->
            sorted
        end

      {_name, :entry, _not_regular}, sorted ->
        %{sorted | junk: sorted.junk + 1}

      {_name, :temporary, _not_regular}, sorted ->
        sorted
    end)
  end

  defp newest(files) do
    files
    |> Enum.flat_map(fn
      {_name, :entry, %{type: :regular, mtime: mtime}} -> [mtime]
      _other -> []
    end)
    |> Enum.max(fn -> 0 end)
  end
end

defmodule DNSMesh.Directory.Folder do
  @moduledoc false
  # The shared folder itself: every touch of the file system. Not with File: that goes through the VM's one file server,
  # and a folder that hangs would hang all file work with it. prim_file is what :file calls for raw files.

  alias DNSMesh.Directory.Entries

  require Record
  Record.defrecordp(:file_info, Record.extract(:file_info, from_lib: "kernel/include/file.hrl"))

  @type path :: String.t()
  @type fault :: :file.posix() | :badarg

  # Removing is housekeeping: it must not take the whole round.
  @max_removed 256

  @doc """
  Writes this node's entry anew, and gives the time at which the folder says that was. Without a node only the time.

  The entry is renamed into place: no reader ever sees another name, and as it is a new file each time, the reader of a
  network file system does not take its time from a cache. It is empty: for that a disk has room longest.
  """
  @spec register(path(), node :: String.t() | nil) ::
          {clock :: integer() | nil, fault() | nil}
  def register(path, node) do
    case with_folder(path, fn -> write(path, node) end) do
      {:ok, clock} -> {clock, nil}
      {:error, full} when full in [:enospc, :edquot] -> {refresh(path, node), full}
      {:error, fault} -> {nil, fault}
    end
  end

  @doc "What lies in the folder, with the status of what may be ours; and the device it is on."
  @spec list(path()) ::
          {:ok, [{String.t(), Entries.kind(), Entries.stat() | nil}], device :: non_neg_integer()}
          | {:error, fault()}
  def list(path) do
    # _all: the other one fails when one name is not in UTF-8.
    with {:ok, names} <- :prim_file.list_dir_all(path),
         {:ok, folder} <- :file.read_file_info(path, [:raw]),
         {:ok, files} <- look(names, path, []) do
      {:ok, files, file_info(folder, :major_device)}
    end
  end

  @doc "Removes these files. What cannot be removed stays."
  @spec remove(path(), [String.t()]) :: :ok
  def remove(path, names) do
    names
    |> Enum.take(@max_removed)
    |> Enum.each(&:file.delete(Path.join(path, &1), [:raw]))
  end

  @doc "Takes this node's entry away."
  @spec unregister(path(), node :: String.t()) :: :ok
  def unregister(path, node),
    do: if(entry?(Path.join(path, node)), do: remove(path, [node]), else: :ok)

  # Only the folder itself is made: where the one above it is missing too, a volume is not mounted.
  defp with_folder(path, write) do
    with {:error, :enoent} <- write.() do
      case :prim_file.make_dir(path) do
        made when made in [:ok, {:error, :eexist}] -> write.()
        error -> error
      end
    end
  end

  defp write(path, node) do
    number = :rand.uniform(0x1_0000_0000_0000_0000) - 1
    temporary = Path.join(path, Entries.temporary_name(number))

    with :ok <- touch(temporary, [:exclusive]) do
      with {:ok, %{mtime: clock}} <- stat(temporary),
           :ok <- put(temporary, node && Path.join(path, node)) do
        {:ok, clock}
      else
        error ->
          _ = :file.delete(temporary, [:raw])
          error
      end
    end
  end

  defp put(temporary, nil), do: :file.delete(temporary, [:raw])
  defp put(temporary, entry), do: :prim_file.rename(temporary, entry)

  # Without room for one more file, the one that is there can still be given a new time: a truncation sets it.
  defp refresh(_path, nil), do: nil

  defp refresh(path, node) do
    entry = Path.join(path, node)

    with true <- entry?(entry),
         :ok <- touch(entry, []),
         {:ok, %{mtime: clock}} <- stat(entry) do
      clock
    else
      _error -> nil
    end
  end

  defp touch(file, modes) do
    with {:ok, device} <- :file.open(file, [:raw, :write | modes]), do: :file.close(device)
  end

  # Looked at before it is opened: opening a fifo blocks.
  defp entry?(file), do: match?({:ok, %{type: :regular, size: 0}}, stat(file))

  defp look([], _path, files), do: {:ok, files}

  defp look([name | rest], path, files) do
    name = text(name)
    kind = Entries.kind(name)

    case kind in [:entry, :temporary] && stat(Path.join(path, name)) do
      false -> look(rest, path, [{name, kind, nil} | files])
      {:ok, stat} -> look(rest, path, [{name, kind, stat} | files])
      # Removed, or replaced, since the folder was read.
      {:error, :enoent} -> look(rest, path, files)
      error -> error
    end
  end

  defp stat(file) do
    with {:ok, info} <- :file.read_link_info(file, [:raw, time: :posix]) do
      file_info(type: type, size: size, mtime: mtime) = info
      {:ok, %{type: type, size: size, mtime: mtime}}
    end
  end

  # A binary is a name as it is on the disk, in no encoding that the VM knows.
  defp text(name) when is_binary(name), do: name
  defp text(name), do: :unicode.characters_to_binary(name)
end

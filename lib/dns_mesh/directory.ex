defmodule DNSMesh.Directory do
  @moduledoc """
  A shared folder as a list of nodes, for machines or containers that share files but no DNS name.

      {DNSMesh, query: {DNSMesh.Directory, path: "/shared/nodes"}}

  or `DNS_CLUSTER_QUERY=dir:/shared/nodes`.

  Every node keeps an empty file in the folder, called as the node is, `app@10.0.0.5`, and writes it anew at every poll.
  Whose file is younger than `:expiry` is a peer.

  ## Options

    * `:path` - the folder, an absolute path. It is created if the folder above it is there; if that is not, the volume
      is not mounted. Required.
    * `:expiry` - milliseconds after which an entry that is not written anew no longer counts, 1 000 to a day, and
      never less than three times `:interval`. Default: `30_000`.

  ## Time

  An entry's age is told by the folder's own clock, the time it gives to a file that this node has just written. What the
  machines' clocks say does not matter where the file system stamps files itself (a local disk shared by containers, NFS).

  ## What is written and removed

  An entry is written as `.dns_mesh-` and 16 hexadecimal digits, and renamed. A node that stops in good order removes its
  own. Empty files that are named as a node is, or as a half-written entry, are removed once they are older than a day.
  Nothing else is ever removed, and nothing is ever read: fifos, sockets, links and folders stay untouched.

  ## What goes wrong, and what it means

  | the folder | |
  |---|---|
  | is read-only, or out of files or quota | its names count (the newest entry then tells the time), and the fault is told. Out of room, an entry that is there already stays fresh |
  | holds what has an `@` in its name and is not a node's entry | left out and counted: `{:junk_names, count}` |
  | holds other files, hidden ones, `lost+found` | passed over in silence |
  | is missing, not a folder, not permitted, stale | no answer: nobody is forgotten |
  | is another one than before, with nobody in it | no answer: most likely it has been unmounted |
  | hangs | no answer, after four fifths of `:timeout`; it is tried again once the call that hangs is back: one thread of the VM at most is lost to it |

  The reasons are in `DNSMesh.Error`. Of names that differ only by case, a folder that does not tell them apart (SMB,
  macOS) holds one.
  """

  @behaviour DNSMesh.Source

  alias DNSMesh.Directory.{Entries, Folder, Turn}
  alias DNSMesh.{NodeName, Source}

  @keys [:path, :expiry]
  @expiry 30_000
  @expiries 1_000..86_400_000

  @doc """
  Checks the options; gives `[path: path, expiry: ms]`.

      iex> DNSMesh.Directory.validate(path: "/shared/nodes/")
      {:ok, [path: "/shared/nodes", expiry: 30_000]}

      iex> DNSMesh.Directory.validate(path: "nodes")
      {:error, ~s(expected :path to be an absolute path like "/shared/nodes", got: "nodes")}
  """
  @impl true
  @spec validate(term()) :: {:ok, keyword()} | {:error, String.t()}
  def validate(opts) do
    with :ok <- check(Keyword.keyword?(opts), "options like [path: \"/shared/nodes\"]", opts),
         :ok <- known(opts),
         path = opts[:path],
         expiry = Keyword.get(opts, :expiry, @expiry),
         :ok <- check(path?(path), ":path to be an absolute path like \"/shared/nodes\"", path),
         :ok <-
           check(
             is_integer(expiry) and expiry in @expiries,
             ":expiry to be an integer from 1000 to 86400000 (milliseconds)",
             expiry
           ) do
      {:ok, path: path |> Path.split() |> Path.join(), expiry: expiry}
    end
  end

  @doc "Writes this node's entry, if it has a name, and lists who has one that is young enough."
  @impl true
  @spec discover(term(), Source.context()) ::
          {:ok, [String.t()]}
          | {:partial, [String.t()], DNSMesh.Error.reason() | String.t()}
          | {:error, DNSMesh.Error.reason() | String.t()}
  def discover(opts, context) do
    with {:ok, [path: path, expiry: expiry]} <- validate(opts) do
      # An entry is to survive a round that is lost.
      expiry = max(expiry, 3 * context.interval)
      patience = max(div(context.timeout * 4, 5), 1)

      case Turn.run({context.mesh, path}, patience, &round(path, context.node, expiry, &1)) do
        {:ok, result} -> result
        _taken_or_late -> {:error, {:folder_stuck, path}}
      end
    end
  end

  @doc "Removes this node's entry."
  @impl true
  @spec leave(term(), Source.context()) :: term()
  def leave(_opts, %{node: nil}), do: :ok

  def leave(opts, context) do
    with {:ok, [path: path, expiry: _]} <- validate(opts),
         true <- NodeName.valid?(context.node) do
      Turn.await({context.mesh, path}, context.timeout, fn _turn ->
        Folder.unregister(path, context.node)
      end)
    end
  end

  defp round(path, node, expiry, turn) do
    own = if NodeName.valid?(node), do: node
    {clock, fault} = Folder.register(path, own)

    case Folder.list(path) do
      {:ok, files, device} ->
        sorted = Entries.sort(files, clock, expiry)
        # Without a clock of its own nobody should say what is old.
        _ = if clock != nil, do: Folder.remove(path, sorted.old)
        fault = fault(fault, path) || unusual(node, own) || junk(sorted.junk)
        answer(sorted.listed, sorted.listed -- [own], fault, {path, device}, turn)

      {:error, posix} ->
        {:error, fault(posix, path)}
    end
  end

  # An unmounted volume leaves an empty folder behind, on another device, that answers "nobody" as if it knew. Alone on
  # another device than where there was company last, this node had better say nothing.
  defp answer(names, [_ | _], fault, {_path, device}, turn) do
    Turn.remember(turn, device)
    answer(names, fault)
  end

  defp answer(names, [], fault, {path, device}, turn) do
    if Turn.device(turn) in [0, device],
      do: answer(names, fault),
      else: {:error, {:folder, :replaced, path}}
  end

  defp answer(names, nil), do: {:ok, names}
  defp answer(names, fault), do: {:partial, names, fault}

  defp fault(nil, _path), do: nil
  defp fault(:enoent, path), do: {:folder, :missing, path}
  defp fault(:enotdir, path), do: {:folder, :not_a_folder, path}
  defp fault(:erofs, path), do: {:folder, :read_only, path}
  defp fault(full, path) when full in [:enospc, :edquot], do: {:folder, :full, path}
  defp fault(denied, path) when denied in [:eacces, :eperm], do: {:folder, :no_permission, path}
  defp fault(:estale, path), do: {:folder, :stale, path}
  defp fault(posix, path), do: {:folder, posix, path}

  # net_kernel takes more in a host name than a list may hold; and a slash would lead out of the folder.
  defp unusual(node, node), do: nil

  defp unusual(node, nil),
    do:
      "this node's own name, #{node}, cannot stand in a list: give it a host of letters, digits and . - _"

  defp junk(0), do: nil
  defp junk(count), do: {:junk_names, count}

  defp known(opts) do
    case Keyword.keys(opts) -- @keys do
      [] -> :ok
      [key | _] -> {:error, "unknown option #{inspect(key)}, expected one of #{inspect(@keys)}"}
    end
  end

  defp path?(path),
    do: is_binary(path) and String.starts_with?(path, "/") and not String.contains?(path, "\0")

  defp check(true, _expected, _value), do: :ok
  defp check(false, expected, value), do: {:error, "expected #{expected}, got: #{inspect(value)}"}
end

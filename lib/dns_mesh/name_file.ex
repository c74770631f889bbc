defmodule DNSMesh.NameFile do
  @moduledoc false
  # The file in which `bin/app remote|rpc|stop` find this node's name; env.sh of `mix dns_mesh.gen.env` names the file, and
  # says in its `dns_mesh_read` what is in it. A disk that takes nothing is no reason to be without a name; the commands ask
  # DNS again then.

  alias DNSMesh.NodeName

  @doc """
  Says in the file that this is the node's process, with the name that it has already: a daemon's shell cannot know it.
  """
  @spec claim() :: :ok
  def claim do
    path = path()

    case {path && name(path), Node.alive?()} do
      {nil, _alive?} -> :ok
      # Named by the release or its operator: the commands have it from there.
      {"-", _alive?} -> :ok
      {_name, true} -> put(path, Atom.to_string(node()))
      {"", false} -> put(path, "")
      # Of a node that runs beside this one: theirs is the file, until this one has a name.
      {_theirs, false} -> :ok
    end
  end

  @doc "Says in the file that this node has this name now."
  @spec write(NodeName.t()) :: :ok
  def write(name), do: if(path = path(), do: put(path, name), else: :ok)

  # `eval` runs beside the node, in the same environment.
  defp path do
    case {System.get_env("DNS_MESH_NAME_FILE", ""), System.get_env("RELEASE_COMMAND")} do
      {"", _command} -> nil
      {_path, "eval"} -> nil
      {path, _command} -> path
    end
  end

  # What is in it; nothing where there is none yet.
  defp name(path) do
    case File.read(path) do
      {:ok, text} -> text |> String.split("\n") |> hd()
      {:error, _none} -> ""
    end
  end

  # All or nothing. The number is for instances that write at the same time; in a container the pid is the same each time,
  # so what a crash has left there must not be in the way for ever.
  defp put(path, name) do
    unfinished = "#{path}.#{System.pid()}.#{:erlang.unique_integer([:positive])}"
    _ = File.rm(unfinished)

    with :ok <- File.mkdir_p(Path.dirname(path)),
         :ok <- File.write(unfinished, [name, "\n", process()], [:exclusive]) do
      _ = File.rename(unfinished, path)
    end

    :ok
  end

  # As `dns_mesh_process` of env.sh has it: the process's number, when it began, and the boot and the PID namespace in which
  # these count. Nothing where there is no such /proc.
  defp process do
    with {:ok, stat} <- File.read("/proc/self/stat"),
         # The program's name, in parentheses, may hold anything.
         [_, after_name] <- Regex.run(~r/.*\) (.*)/s, stat),
         began when began != nil <- after_name |> String.split() |> Enum.at(19),
         {:ok, boot} <- File.read("/proc/sys/kernel/random/boot_id"),
         {:ok, "pid:[" <> space} <- File.read_link("/proc/self/ns/pid") do
      "#{System.pid()} #{began} #{String.trim(boot)} #{String.trim_trailing(space, "]")}\n"
    else
      _unknown -> ""
    end
  end
end

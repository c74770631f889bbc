defmodule Demo.Folder do
  @moduledoc false
  # A temporary folder for the nodes' logs, which goes when the demo goes, however that ends.

  def open do
    folder = Path.join(System.tmp_dir!(), "dns_mesh_demo.#{System.pid()}.#{random()}")
    File.mkdir!(folder)
    File.chmod!(folder, 0o700)
    watch(folder)
    folder
  end

  def remove(folder), do: File.rm_rf!(folder)

  # After Ctrl-C or SIGKILL this VM has no time to tidy up. The shell sees its input end, whatever ended us.
  defp watch(folder) do
    Port.open({:spawn_executable, "/bin/sh"},
      args: ["-c", ~S(cat >/dev/null; rm -rf "$1"), "sh", folder]
    )
  end

  defp random, do: Base.encode16(:crypto.strong_rand_bytes(4), case: :lower)
end

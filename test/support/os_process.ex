defmodule DNSMesh.Test.OSProcess do
  @moduledoc """
  A program in the foreground that never outlives the test: SIGKILL when the starting process ends, when the
  test is over, or when this VM is gone.
  """

  alias DNSMesh.Test.Await

  defstruct [:port, :os_pid]

  @type t :: %__MODULE__{port: port, os_pid: String.t()}

  # Closing a port only closes the program's stdin, which most programs do not notice. So a shell waits for that
  # end of file and kills its own child, and the program's pid comes first on stdout.
  @wrapper ~S"""
  "$@" </dev/null >/dev/null 2>&1 &
  child=$!
  echo "$child"
  cat >/dev/null
  kill -9 "$child" 2>/dev/null
  wait "$child" 2>/dev/null
  """

  @spec start!(Path.t(), [String.t()]) :: t
  def start!(executable, args) do
    port =
      Port.open(
        {:spawn_executable, System.find_executable("sh")},
        [:binary, :exit_status, :hide, line: 64, args: ["-c", @wrapper, "sh", executable | args]]
      )

    receive do
      {^port, {:data, {:eol, os_pid}}} -> %__MODULE__{port: port, os_pid: os_pid}
      {^port, {:exit_status, status}} -> raise "#{executable} could not be started: #{status}"
    end
  end

  @doc "SIGKILL, and waits until the program is gone."
  @spec kill(t) :: :ok
  def kill(%__MODULE__{os_pid: os_pid} = os_process) do
    signal(os_process, "KILL")
    Await.await(fn -> not alive?(os_pid) end)
    :ok
  end

  @doc ~S'Sends a signal: `"STOP"`, `"CONT"`, `"TERM"`, … to a process that a test has started.'
  @spec signal(t | String.t(), String.t()) :: :ok
  def signal(%__MODULE__{os_pid: os_pid}, name), do: signal(os_pid, name)

  def signal(os_pid, name) do
    System.cmd("kill", ["-#{name}", os_pid], stderr_to_stdout: true)
    :ok
  end

  @spec alive?(String.t()) :: boolean
  def alive?(os_pid),
    do: match?({_, 0}, System.cmd("kill", ["-0", os_pid], stderr_to_stdout: true))
end

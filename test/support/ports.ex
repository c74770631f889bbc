defmodule DNSMesh.Test.Ports do
  @moduledoc """
  TCP ports that are free on every loopback address, so that `app@127.0.0.2` and `app@127.0.0.3` can share one.
  """

  # Below the range from which the kernel takes ports for outgoing connections: one of those would be gone again
  # before the node that needs it has booted.
  @first 12_000
  @count 18_000

  @doc "A port nobody listens on; no two calls in this VM give the same one until most were given."
  @spec free_port() :: :inet.port_number()
  def free_port, do: free_port(@count)

  defp free_port(0), do: raise("no free port between #{@first} and #{@first + @count}")

  defp free_port(attempts) do
    port = @first + rem(next(), @count)
    if free?(port), do: port, else: free_port(attempts - 1)
  end

  # Listening on the wildcard address fails when any one address has the port in use.
  defp free?(port) do
    case :gen_tcp.listen(port, ip: {0, 0, 0, 0}, reuseaddr: true) do
      {:ok, socket} ->
        :gen_tcp.close(socket)
        true

      {:error, _in_use} ->
        false
    end
  end

  # Two test runs on one machine start at different places.
  defp next,
    do: String.to_integer(System.pid()) * 101 + System.unique_integer([:positive, :monotonic])
end

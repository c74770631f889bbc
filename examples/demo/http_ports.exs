defmodule Demo.HTTPPorts do
  @moduledoc false
  # Whether the ports on which the nodes will speak HTTP are still free.

  @spec check(:inet.port_number(), pos_integer()) :: :ok | {:error, String.t()}
  def check(first, count) do
    Enum.find_value(first..(first + count - 1), :ok, fn port ->
      # Browsers try localhost's IPv6 address first: somebody else must not answer there.
      with :ok <- try_to_listen(port, :inet, {127, 0, 0, 1}),
           :ok <- try_to_listen(port, :inet6, {0, 0, 0, 0, 0, 0, 0, 1}),
           do: nil
    end)
  end

  defp try_to_listen(port, family, ip) do
    case :gen_tcp.listen(port, [family, ip: ip, reuseaddr: true]) do
      {:ok, socket} ->
        :gen_tcp.close(socket)

      {:error, :eaddrinuse} ->
        {:error,
         "port #{port} is taken by another program. Stop it, or choose others: bin/demo --port 5000"}

      {:error, :eacces} ->
        {:error, "port #{port} needs root. Choose others: bin/demo --port 5000"}

      {:error, _no_ipv6_here} when family == :inet6 ->
        :ok

      {:error, reason} ->
        {:error, "cannot listen on port #{port}: #{:inet.format_error(reason)}"}
    end
  end
end

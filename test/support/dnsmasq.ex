defmodule DNSMesh.Test.Dnsmasq do
  @moduledoc """
  A name server from Debian, so that not all packets in the tests are of our own making.

      dnsmasq = Dnsmasq.start!(["--host-record=app.internal,10.0.0.1,fd00::1"])
      resolver = NativeLookup.open([dnsmasq.nameserver])

  It knows nothing but its arguments, and ends with the test.
  """

  alias DNSMesh.Test.{Await, OSProcess, Ports}

  defstruct [:nameserver, :os_process]

  @type t :: %__MODULE__{
          nameserver: {:inet.ip_address(), :inet.port_number()},
          os_process: OSProcess.t()
        }

  @doc "Starts it on 127.0.0.1 with these arguments and waits until it answers."
  @spec start!([String.t()]) :: t
  def start!(args) do
    port = Ports.free_port()

    base = [
      "--keep-in-foreground",
      "--conf-file=/dev/null",
      "--pid-file=",
      "--user=",
      "--no-resolv",
      "--no-hosts",
      "--listen-address=127.0.0.1",
      "--bind-interfaces",
      "--port=#{port}"
    ]

    os_process = OSProcess.start!(System.find_executable("dnsmasq"), base ++ args)
    nameserver = {{127, 0, 0, 1}, port}
    Await.await(fn -> answers?(nameserver) end)
    %__MODULE__{nameserver: nameserver, os_process: os_process}
  end

  defp answers?(nameserver) do
    case :inet_res.resolve(~c"up.invalid", :in, :a,
           nameservers: [nameserver],
           timeout: 200,
           retry: 1
         ) do
      {:error, reason} when reason in [:timeout, :econnrefused] -> false
      _an_answer -> true
    end
  end
end

defmodule DNSMesh.Test.EpmdModule do
  @moduledoc """
  A module that stands for epmd, as `-epmd_module` names one: by itself it gives the port of the boot flag, as OTP does
  with `epmd: {:fixed, port}`, and a test can have it give something else for an address, at any time.

      a = TestNode.start!([name: "app@127.0.0.2", epmd: {:fixed, port}] ++ EpmdModule.flags())
      EpmdModule.says(a, "127.0.0.4", {:port, silent_port})

  With the port of a `SilentPort` two nodes cannot reach each other, and all the others can: neither their probes nor
  their dials get through.
  """

  alias DNSMesh.Test.TestNode

  @doc "Options for `TestNode.start!/1`. A dial that gets no answer ends after `setup` seconds (OTP: 7)."
  @spec flags(setup :: pos_integer) :: keyword
  def flags(setup \\ 7),
    do: [args: ["-epmd_module", "#{__MODULE__}", "-kernel", "net_setuptime", "#{setup}"]]

  @doc "From now on it says this of nodes at an address: `{:port, port}`, `:noport`, `:crash`, `:hang`, any other term, `nil` to stop."
  @spec says(TestNode.t(), String.t(), term) :: :ok
  def says(node, ip, what) do
    {:ok, ip} = ip |> String.to_charlist() |> :inet.parse_strict_address()
    TestNode.call(node, :persistent_term, :put, [{__MODULE__, ip}, what])
  end

  @doc "From now on it says this of where a node's host is: `{:ok, ip}`, `{:ok, ip, port, 5}`, any other term, `nil` to stop."
  @spec lives_at(TestNode.t(), String.t(), term) :: :ok
  def lives_at(node, ip, what) do
    {:ok, ip} = ip |> String.to_charlist() |> :inet.parse_strict_address()
    TestNode.call(node, :persistent_term, :put, [{__MODULE__, :address, ip}, what])
  end

  @doc "Cuts two nodes off from each other; `port` is one of a `SilentPort` at every address, or `nil` to mend it."
  @spec part({TestNode.t(), String.t()}, {TestNode.t(), String.t()}, :inet.port_number() | nil) ::
          :ok
  def part({one, one_ip}, {other, other_ip}, port) do
    what = port && {:port, port}
    says(one, other_ip, what)
    says(other, one_ip, what)
  end

  ## What the VM calls

  def start_link, do: :ignore
  def register_node(_name, _port), do: {:ok, 1}
  def register_node(_name, _port, _family), do: {:ok, 1}
  def listen_port_please(_name, _host), do: {:ok, fixed()}

  def address_please(_name, host, family) do
    {:ok, ip} = :inet.getaddr(host, family)
    :persistent_term.get({__MODULE__, :address, ip}, nil) || {:ok, ip}
  end

  def names(_host), do: {:error, :address}

  def port_please(name, ip, _timeout), do: port_please(name, ip)

  def port_please(_name, ip) do
    case :persistent_term.get({__MODULE__, ip}, nil) do
      nil -> {:port, fixed(), 5}
      {:port, port} -> {:port, port, 5}
      :crash -> raise "as told"
      :hang -> Process.sleep(:infinity)
      answer -> answer
    end
  end

  defp fixed do
    {:ok, [[port]]} = :init.get_argument(:erl_epmd_port)
    List.to_integer(port)
  end
end

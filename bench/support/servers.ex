defmodule DNSMesh.Bench.Servers do
  @moduledoc """
  Name servers that are not what is measured: a program of its own, or a VM of its own.
  """

  alias DNSMesh.Bench.OtherVM
  alias DNSMesh.Test.{Dnsmasq, ScriptedDNS}

  @scripted_dns Path.expand("../../test/support/scripted_dns.ex", __DIR__)

  @type zone :: %{String.t() => [:inet.ip_address()]}

  @doc "A real server. It forks for each TCP connection, which whoever connects anew for each answer pays for."
  @spec dnsmasq(zone()) :: DNSMesh.Bench.Lookups.nameserver()
  def dnsmasq(zone) do
    records = for {name, ips} <- zone, ip <- ips, do: "--host-record=#{name},#{:inet.ntoa(ip)}"

    Dnsmasq.start!(records).nameserver
  end

  @doc "The tests' server in a VM of its own: its packets are made once, its connections cost next to nothing."
  @spec scripted(zone()) :: DNSMesh.Bench.Lookups.nameserver()
  def scripted(zone) do
    zone = for {name, ips} <- zone, into: %{}, do: {{name, :a}, ips}
    vm = OtherVM.start!([@scripted_dns])
    # Not linked to whoever serves the call.
    {:ok, server} = OtherVM.call(vm, GenServer, :start, [ScriptedDNS, [zone: zone]])
    OtherVM.call(vm, ScriptedDNS, :nameserver, [server])
  end
end

defmodule DNSMesh.Outside.Door do
  @moduledoc false
  # Where a node listens, for those of which only the VM can tell: a module stands for epmd, or nobody has looked up the
  # host (a node that :query names as an atom), and the VM may have a way to do so that no name server knows of.
  #
  # Asked as net_kernel asks it. It is foreign code, or it waits for somebody, so each node's is asked in a process of its
  # own: a name that takes long must not keep the others from being found.

  alias DNSMesh.{IP, NodeName}
  alias DNSMesh.Roster.Book

  # Milliseconds; as long as epmd is given.
  @timeout 1_500

  @type t :: {IP.t(), :inet.port_number() | :epmd}
  @type found :: {:ok, t()} | {:error, DNSMesh.Roster.Probing.verdict()}

  @doc "Asks for all of them at once. To be run in a process of its own, which traps exits from then on."
  @spec find([Book.target()], struct()) :: [{NodeName.t(), found()}]
  def find(targets, vm) do
    # So that none of them outlives this process, and none ends it.
    Process.flag(:trap_exit, true)
    at = System.monotonic_time(:millisecond) + @timeout

    asked =
      for {name, ips} <- targets,
          do: {name, spawn_link(fn -> exit({:found, ask(name, ips, vm)}) end)}

    for {name, pid} <- asked, do: {name, await(pid, at, late(vm))}
  end

  defp await(pid, at, late) do
    receive do
      {:EXIT, ^pid, {:found, found}} -> found
      {:EXIT, ^pid, _died} -> {:error, late}
    after
      max(at - System.monotonic_time(:millisecond), 0) ->
        Process.exit(pid, :kill)
        {:error, late}
    end
  end

  defp late(%{ports: {:module, _module}}), do: {:silent, :epmd}
  defp late(_vm), do: {:silent, :name}

  defp ask(name, ips, vm) do
    {basename, host} = NodeName.split(name)
    text = if ips == [], do: host, else: IP.to_text(hd(ips))
    place(vm.ports, String.to_charlist(basename), String.to_charlist(text), hd(vm.families))
  catch
    _kind, _reason -> {:error, late(vm)}
  end

  # It may know a host that no name server does, and the port at once.
  defp place({:module, module}, basename, host, family) do
    case address(module, basename, host, family) do
      {:ok, ip, port, _version} when port in 1..65_535 -> {:ok, {known!(ip), port}}
      {:ok, ip} -> port(module, basename, known!(ip))
      _no_address -> {:error, {:silent, :name}}
    end
  end

  defp place(:epmd, _basename, host, family), do: place({:fixed, :epmd}, nil, host, family)

  defp place({:fixed, port}, _basename, host, family) do
    case :inet.getaddr(host, family) do
      {:ok, ip} -> {:ok, {ip, port}}
      {:error, _reason} -> {:error, {:silent, :name}}
    end
  end

  # Others, such as the path of a local socket, are none that can be tried.
  defp known!(ip) do
    true = IP.ip?(ip)
    ip
  end

  defp address(module, basename, host, family) do
    if Code.ensure_loaded?(module) and function_exported?(module, :address_please, 3),
      do: module.address_please(basename, host, family),
      else: :inet.getaddr(host, family)
  end

  # With any other answer no dial could succeed.
  defp port(module, basename, ip) do
    case module.port_please(basename, ip) do
      {:port, port, _version} when port in 1..65_535 -> {:ok, {ip, port}}
      _none -> {:error, {:dead, :not_registered}}
    end
  end
end

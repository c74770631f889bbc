defmodule DNSMesh.Bench.Lookups do
  @moduledoc """
  The same question both ways, from the call to a list of address tuples in the caller's hand.

  `:inet_res.lookup/4` and not `getbyname/2`, which dns_cluster calls: that one keeps answers in a cache as long as
  their TTL says, and a cache is not what is compared here. On the wire the two do the same.
  """

  alias DNSMesh.Resolver

  @type nameserver :: {:inet.ip_address(), :inet.port_number()}

  @spec native(Resolver.t(), String.t(), Resolver.type()) :: [:inet.ip_address()]
  def native(handle, name, type \\ :a), do: handle |> ask(name, type) |> await()

  @doc "With a handle of its own, which cannot leave its VM."
  @spec native_once(nameserver(), String.t()) :: [:inet.ip_address()]
  def native_once(nameserver, name), do: native(Resolver.open([nameserver]), name)

  @doc "Asks, and returns at once: `await/1` gives the addresses."
  @spec ask(Resolver.t(), String.t(), Resolver.type()) :: reference()
  # The trailing dot: the machine's search domains must not matter. :inet_res' lookup has none.
  def ask(handle, name, type), do: Resolver.ask(handle, type, [:inet], name <> ".", 5_000)

  @spec await(reference()) :: [:inet.ip_address()]
  def await(ref) do
    receive do
      {^ref, reply} ->
        {:ok, answer} = Resolver.result(reply)
        answer.records
    after
      10_000 -> raise "no reply"
    end
  end

  @spec inet_res([nameserver()], String.t(), :a | :aaaa) :: [:inet.ip_address()]
  def inet_res(nameservers, name, type \\ :a) do
    :inet_res.lookup(String.to_charlist(name), :in, type, nameservers: nameservers)
  end
end

defmodule DNSMesh.Test.Certificates do
  @moduledoc """
  Certificates for distribution over TLS, made here, and the options that a VM is booted with.

      ca = Certificates.authority!(folder, "ca")
      args = Certificates.args!(ca, "a", ip: {127, 0, 0, 2}, client: [verify: :verify_peer])
      TestNode.start!(name: "app@127.0.0.2", epmd: {:fixed, port}, args: args)
  """

  @type authority :: %{folder: Path.t(), root: map, file: Path.t()}

  @doc "One that signs certificates."
  @spec authority!(Path.t(), String.t()) :: authority
  def authority!(folder, name) do
    root = public_key(:pkix_test_root_cert, [String.to_charlist(name), [key: key()]])
    file = pem!(folder, "#{name}.pem", :Certificate, root.cert)
    %{folder: folder, root: root, file: file}
  end

  @doc """
  The flags of a VM that has a certificate of this authority's, and takes those that it has signed. `:ip` is the address that
  stands in it, if any; `:client` and `:server` are more options, and `nil` as a value takes one away.
  """
  @spec args!(authority, String.t(), keyword) :: [String.t()]
  def args!(ca, name, opts \\ []) do
    # An address is looked for as text, among the host names.
    names =
      for ip <- List.wrap(opts[:ip]),
          name <- [
            iPAddress: ip |> Tuple.to_list() |> :binary.list_to_bin(),
            dNSName: :inet.ntoa(ip)
          ],
          do: name

    extensions = if names == [], do: [], else: [{:Extension, {2, 5, 29, 17}, false, names}]
    chain = %{root: ca.root, intermediates: [], peer: [key: key(), extensions: extensions]}
    none = %{root: ca.root, intermediates: [], peer: [key: key()]}

    %{server_config: made} =
      public_key(:pkix_test_data, [%{server_chain: chain, client_chain: none}])

    {kind, key} = made[:key]

    own = [
      certfile: pem!(ca.folder, "#{name}.cert.pem", :Certificate, made[:cert]),
      keyfile: pem!(ca.folder, "#{name}.key.pem", kind, key),
      cacertfile: ca.file,
      verify: :verify_none
    ]

    sides = for side <- [:server, :client], do: {side, merge(own, Keyword.get(opts, side, []))}
    file = Path.join(ca.folder, "#{name}.conf")
    File.write!(file, :io_lib.format("~p.~n", [sides]))
    ["-proto_dist", "inet_tls", "-ssl_dist_optfile", file]
  end

  defp merge(own, more) do
    for {name, value} <- Keyword.merge(own, more), value != nil do
      {name, if(is_binary(value), do: String.to_charlist(value), else: value)}
    end
  end

  # Every test VM has it, and the application does not ask for it.
  defp public_key(function, arguments), do: apply(:public_key, function, arguments)

  defp key, do: {:namedCurve, :secp256r1}

  defp pem!(folder, file, type, der) do
    path = Path.join(folder, file)
    File.write!(path, public_key(:pem_encode, [[{type, der, :not_encrypted}]]))
    path
  end
end

defmodule DNSMesh.Doctor.TLSTest do
  # Set-ups made wrong on purpose, as in wrong_peers_test.exs, where distribution speaks TLS: what the doctor says is what
  # failed, and whoever does it literally has a cluster.
  use ExUnit.Case, async: true

  import DNSMesh.Test.Clinic

  alias DNSMesh.Test.{Certificates, Mesh, Ports, ScriptedDNS, TestNode}

  @moduletag :tmp_dir

  @a {127, 0, 0, 2}
  @b {127, 0, 0, 3}
  @peer "app@127.0.0.3"

  setup %{tmp_dir: folder} do
    zone = %{{"app.internal", :a} => ["127.0.0.2", "127.0.0.3"]}
    dns = start_supervised!({ScriptedDNS, zone: zone})
    %{dns: dns, port: Ports.free_port(), ca: Certificates.authority!(folder, "ca")}
  end

  # With certificates that name both, and which each takes.
  @verifies [client: [verify: :verify_peer], server: [verify: :verify_peer]]

  defp a!(context, opts \\ []) do
    {tls, opts} = Keyword.pop(opts, :tls, [])
    {ca, opts} = Keyword.pop(opts, :ca, context.ca)
    args = Certificates.args!(ca, "a#{System.unique_integer([:positive])}", [ip: @a] ++ tls)
    a = node!("app@127.0.0.2", context.port, [args: args] ++ opts)
    servers = [ScriptedDNS.address(context.dns)]
    Mesh.start!(a, query: "app.internal", nameservers: servers)
    a
  end

  defp b!(context, opts \\ []) do
    {tls, opts} = Keyword.pop(opts, :tls, ip: @b)
    {ca, opts} = Keyword.pop(opts, :ca, context.ca)
    args = Certificates.args!(ca, "b#{System.unique_integer([:positive])}", tls)
    node!(@peer, context.port, [args: args] ++ opts)
  end

  defp node!(name, port, opts),
    do: TestNode.start!([name: name, epmd: {:fixed, port}] ++ opts)

  test "another cookie", context do
    a = a!(context)
    b = b!(context, cookie: "another")

    sick(a, :wrong_cookie,
      says: "#{@peer}: it does not take this node's cookie",
      fix: "RELEASE_COOKIE"
    )

    TestNode.kill(b)
    well(a, [b!(context)])
  end

  test "another name", context do
    a = a!(context)
    args = Certificates.args!(context.ca, "other", ip: @b)
    b = node!("app@127.0.0.9", context.port, args: args, interface: "127.0.0.3")
    sick(a, :other_name, says: "answers as app@127.0.0.9", fix: "name that node #{@peer}")
    TestNode.kill(b)
    well(a, [b!(context)])
  end

  test "a certificate of an authority that this node does not know", context do
    other = Certificates.authority!(context.tmp_dir, "other")
    a = a!(context, tls: [client: [verify: :verify_peer, cacertfile: other.file]])
    b = b!(context)

    diagnosis =
      sick(a, :tls_failed,
        says:
          "#{@peer}: this node does not take its TLS certificate, or the way it speaks TLS (Unknown CA",
        fix:
          "have the cacertfile under client in this node's -ssl_dist_optfile hold the authority"
      )

    assert diagnosis.fix =~ "a line that begins with TLS client"
    assert {_level, _line} = TestNode.await_log(a, ~r/TLS client.*Unknown CA/s)
    {_, line} = TestNode.await_log(a, ~r/cannot connect to #{@peer}/)
    assert line =~ "both take each other's certificates"
    TestNode.kill(a)
    well(a!(context, tls: @verifies), [b])
  end

  test "a certificate that does not name the node's address", context do
    a = a!(context, tls: [client: [verify: :verify_peer]])
    b = b!(context, tls: [])

    sick(a, :tls_failed,
      says: "hostname_check_failed",
      fix:
        "have its certificate name 127.0.0.3 as a subject alternative name, as iPAddress and as dNSName too"
    )

    TestNode.kill(b)
    well(a, [b!(context)])
  end

  test "a node that shows no certificate, where the other wants one", context do
    a = a!(context, tls: [client: [certfile: nil, keyfile: nil]])
    strict = [verify: :verify_peer, fail_if_no_peer_cert: true]
    b = b!(context, tls: [ip: @b, server: strict])

    sick(a, :tls_failed,
      says: "#{@peer}: it does not take this node's TLS certificate",
      fix: "certfile and keyfile under client in its -ssl_dist_optfile"
    )

    TestNode.kill(a)
    well(a!(context), [b])
  end

  test "a node without TLS", context do
    a = a!(context)
    b = node!(@peer, context.port, [])

    sick(a, :tls,
      says: "#{@peer}: its distribution speaks no TLS, and this node's does",
      fix: "that one too with -proto_dist inet_tls"
    )

    TestNode.kill(b)
    well(a, [b!(context)])
  end
end

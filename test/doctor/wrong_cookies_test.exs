defmodule DNSMesh.Doctor.WrongCookiesTest do
  # RELEASE_COOKIE is set, alike on both nodes, and not in force on one: in each way in which that comes about, what the doctor
  # says there, and that its fix, followed literally, is one.
  use ExUnit.Case, async: true

  import DNSMesh.Test.Clinic

  alias DNSMesh.Test.{Mesh, Ports, ScriptedDNS, TestNode}

  @moduletag :tmp_dir

  @peer "app@127.0.0.3"
  @cookie "alike"

  setup %{tmp_dir: home} do
    # Read only by its owner, or OTP will not have it.
    file = Path.join(home, ".erlang.cookie")
    File.write!(file, "MADEUPBYERLANG")
    File.chmod!(file, 0o400)

    dns =
      start_supervised!(
        {ScriptedDNS, zone: %{{"app.internal", :a} => ["127.0.0.2", "127.0.0.3"]}}
      )

    %{dns: dns, port: Ports.free_port(), cookie_file: file}
  end

  defp b!(port, cookie \\ @cookie),
    do: TestNode.start!(name: @peer, epmd: {:fixed, port}, cookie: cookie)

  defp a!(context, opts) do
    {release, opts} = Keyword.pop(opts, :release, @cookie)
    env = [{"RELEASE_COOKIE", release}, {"HOME", context.tmp_dir}]
    options = [name: "app@127.0.0.2", epmd: {:fixed, context.port}, env: env]
    a = TestNode.start!(Keyword.merge(options, opts))
    mesh!(a, context)
  end

  defp mesh!(a, context, opts \\ []) do
    servers = [ScriptedDNS.address(context.dns)]
    Mesh.start!(a, [query: "app.internal", nameservers: servers] ++ opts)
    a
  end

  # Says so, and neither of the cookies.
  defp astray(a, says, fix) do
    diagnosis =
      sick(a, :release_cookie, says: "#{@peer}: it does not take this node's cookie", fix: fix)

    assert diagnosis.sentence =~ says
    for cookie <- [@cookie, "MADEUP"], do: refute(to_string(diagnosis) =~ cookie)
    diagnosis
  end

  test "-setcookie is given twice", context do
    b = b!(context.port)
    a = a!(context, cookie: @cookie, args: ["-setcookie", "another"])
    astray(a, "-setcookie is given more than once", "take -setcookie out of vm.args, ERL_AFLAGS")
    TestNode.stop(a)
    well(a!(context, cookie: @cookie), [b])
  end

  test "--cookie gives another", context do
    b = b!(context.port)
    a = a!(context, cookie: "another")
    astray(a, "--cookie (-setcookie) gives another", ~s(with --cookie "$RELEASE_COOKIE"))
    TestNode.stop(a)
    well(a!(context, cookie: @cookie), [b])
  end

  test "the VM was named without a cookie", context do
    b = b!(context.port)
    a = a!(context, cookie: nil)
    astray(a, "has the cookie of #{context.cookie_file}", ~s(with --cookie "$RELEASE_COOKIE" too))
    TestNode.stop(a)
    well(a!(context, cookie: @cookie), [b])
  end

  test "it begins with a hyphen", context do
    b = b!(context.port)
    a = a!(context, cookie: "-dash", release: "-dash")
    astray(a, "it begins with -", "one that begins with a letter or a digit")
    TestNode.stop(a)
    well(a!(context, cookie: @cookie), [b])
  end

  test "the application sets one, for all or for one peer", context do
    b = b!(context.port)
    a = a!(context, cookie: @cookie)
    assert TestNode.await_nodes(a, [b])
    TestNode.stop(b)
    assert TestNode.await_exactly(a, [])

    for {set, says} <- [
          {[:another], "while the VM ran"},
          {[:"#{@peer}", :other], "that peer alone"}
        ] do
      TestNode.call(a, Node, :set_cookie, set)
      b = b!(context.port)
      astray(a, says, "take that call out")
      TestNode.kill(b)
    end

    TestNode.stop(a)
    b = b!(context.port)
    well(a!(context, cookie: @cookie), [b])
  end

  test "the option :cookie comes first", context do
    b = b!(context.port)
    env = [{"RELEASE_COOKIE", @cookie}, {"HOME", context.tmp_dir}]
    unnamed = [epmd: {:fixed, context.port}, label: :a, cookie: nil, env: env]
    options = [distribution: :auto, address: "127.0.0.2", basename: "app"]
    a = mesh!(TestNode.start!(unnamed), context, [cookie: "another"] ++ options)
    Mesh.await(a, [:node, :named])
    astray(a, "the option :cookie comes first", "take the option :cookie out")
    TestNode.stop(a)
    well(mesh!(TestNode.start!(unnamed), context, options), [b])
  end

  test "from the other side it leads to the node where it is not in force", context do
    b = b!(context.port, "another")
    a = a!(context, cookie: @cookie)
    sick(a, :wrong_cookie, says: @peer, fix: "DNSMesh.doctor() on #{@peer} tells why")
    TestNode.stop(b)
    well(a, [b!(context.port)])
  end
end

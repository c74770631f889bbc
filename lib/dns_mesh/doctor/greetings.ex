defmodule DNSMesh.Doctor.Greetings do
  @moduledoc false
  # Whether the nodes whose ports are open are those that are meant, and take the cookie: by the handshake of distribution,
  # as far as its proof. Over TLS, which the native library does not speak, by OTP's own.

  alias DNSMesh.{Config, Cookie, IP, NodeName, Resolver}
  alias DNSMesh.Doctor.{Facts, Replies, TLS}

  # Not this node's own name: a join under way under that one must not be disturbed.
  @basename "dns_mesh_doctor"

  @spec add(Facts.t(), Config.t(), until :: integer()) :: Facts.t()
  def add(facts, config, until) do
    calls =
      for peer <- facts.peers, target = target(peer) do
        {{"#{@basename}@#{host(facts)}", cookie(facts, config, peer.name)}, target}
      end

    greet = if facts.distribution.tls?, do: &greet_over_tls/2, else: &greet/2
    greetings = greet.(calls, until)
    greetings = Map.merge(greetings, greet.(as_ourselves(calls, greetings, facts), until))

    %{
      facts
      | peers: for(peer <- facts.peers, do: heard(peer, greetings[peer.name], facts, config))
    }
  end

  defp heard(peer, :wrong_cookie, %{alive?: true}, config),
    do: %{peer | greeting: :wrong_cookie, unheeded: Cookie.unheeded(config.cookie, peer.name)}

  defp heard(peer, greeting, _facts, _config), do: %{peer | greeting: greeting}

  # A list of those that may connect holds this node's name, and not the doctor's. Then under that, and no further than to
  # see whether it is let in.
  defp as_ourselves(calls, greetings, %{alive?: true, node: node}) do
    for {_caller, {name, _, _, _} = target} <- calls,
        greetings[name] == :not_allowed,
        do: {{node, nil}, target}
  end

  defp as_ourselves(_calls, _greetings, _facts), do: []

  defp greet(calls, until) do
    timeout = max(until - now(), 1)

    asked =
      for {caller, targets} <- Enum.group_by(calls, &elem(&1, 0), &elem(&1, 1)), into: %{} do
        {Resolver.greet(targets, caller, timeout), %{key: caller}}
      end

    asked
    |> Replies.collect(now() + Resolver.patience(timeout), fn _asked, reply -> heard(reply) end)
    |> Map.values()
    |> Enum.reduce(%{}, &Map.merge(&2, &1))
  end

  # Who agrees on no TLS may be a node without it: it is greeted once more, as one.
  defp greet_over_tls(calls, until) do
    timeout = max(div(until - now(), 2), 1)

    asked =
      for {caller, targets} <- Enum.group_by(calls, &elem(&1, 0), &elem(&1, 1)),
          {ref, one} <- TLS.greet(targets, caller, timeout),
          into: %{},
          do: {ref, one}

    greetings =
      Replies.collect(asked, now() + timeout + 100, fn _asked, reply -> over_tls(reply) end)

    unheard =
      for {{name, _cookie}, {id, _, _, _} = target} <- calls,
          greetings[id] in [nil, :no_node, :silent],
          do: {{name, nil}, target}

    plain =
      for {id, greeting} <- greet(unheard, until),
          match?({:welcome, _, _}, greeting) or match?({:other_name, _}, greeting),
          into: %{},
          do: {id, :plain}

    Map.merge(greetings, plain)
  end

  defp over_tls({:greeted, greeting}), do: greeting
  defp over_tls(_died), do: :no_node

  defp heard({:ok, greetings}), do: Map.new(greetings)
  defp heard(_failure), do: %{}

  defp target(%{door: {:ok, port}, ips: ips, name: name}) do
    {_basename, host} = NodeName.split(name)

    case {IP.parse(host), ips} do
      {{:ok, ip}, _} -> {name, name, ip, port}
      {:error, [ip | _]} -> {name, name, ip, port}
      {:error, []} -> nil
    end
  end

  defp target(_closed), do: nil

  # The host is for the log of the other side.
  defp host(%{own: {:ok, %{ip: ip}}}), do: IP.to_text(ip)
  defp host(_unknown), do: "unknown.invalid"

  # A node may have a cookie of its own for each of its peers; a name that is no atom yet has none.
  defp cookie(%{alive?: true}, _config, name) do
    case NodeName.existing_atom(name) do
      {:ok, node} -> node |> :erlang.get_cookie() |> bytes()
      :error -> bytes(Node.get_cookie())
    end
  end

  defp cookie(_facts, config, _name) do
    case Cookie.text(config.cookie) do
      {:ok, cookie} -> bytes(cookie)
      {:error, _fault} -> nil
    end
  end

  defp bytes(cookie) do
    # As OTP takes them: characters, a byte each.
    cookie |> to_charlist() |> :erlang.list_to_binary()
  rescue
    ArgumentError -> nil
  end

  defp now, do: System.monotonic_time(:millisecond)
end

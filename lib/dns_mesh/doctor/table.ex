defmodule DNSMesh.Doctor.Table do
  @moduledoc false
  # The facts as rows for people, in the order of the walk; those that are wrong before those that are right. Pure.

  alias DNSMesh.{Answer, Error, IP, Words}
  alias DNSMesh.Doctor.{Facts, Verdict}

  # A cluster of hundreds fills no screen with what is well.
  @well 20

  @spec rows(Facts.t()) :: [DNSMesh.Diagnosis.row()]
  def rows(%Facts{mode: :unset}), do: []
  def rows(%Facts{library: text}) when text != nil, do: []

  def rows(facts) do
    Enum.map(facts.lookups, &dns/1) ++
      [name(facts), distribution(facts), cookie(facts)] ++
      Enum.map(facts.selves, &self/1) ++ Enum.map(facts.outsiders, &outsider/1) ++ peers(facts)
  end

  defp row(step, subject, ok, said), do: %{step: step, subject: subject, ok: ok, said: said}

  ## DNS

  defp dns(%{type: :names} = lookup) do
    {ok, said} = listed(lookup, "name", "names")
    row(:dns, lookup.query.text, ok, said)
  end

  defp dns(lookup) do
    type = lookup.type |> Atom.to_string() |> String.upcase()
    {ok, said} = listed(lookup, "record", "records")
    row(:dns, "#{lookup.query.text} #{type}", ok, said)
  end

  defp listed(%{result: {:ok, answer}} = lookup, one, several) do
    count = length(answer.records)
    as = if answer.name == lookup.query.host, do: "", else: as(lookup, answer.name)
    fault = if answer.fault, do: " (#{Error.message(answer.fault)})", else: ""

    {count > 0 and answer.fault == nil,
     "#{count} #{if count == 1, do: one, else: several}#{some(answer)}#{from(lookup, answer.server)}#{as}#{took(lookup)}#{fault}"}
  end

  defp listed(%{result: {:error, failure}} = lookup, _one, _several) do
    as = as(lookup, Map.get(failure, :name))
    other = if lookup.elsewhere > 0, do: "; #{lookup.elsewhere} of the other IP version", else: ""

    {false,
     Error.message(failure.reason) <> from(lookup, failure.server) <> as <> took(lookup) <> other}
  end

  defp some(%Answer{records: [ip | _] = ips}) when is_tuple(ip) do
    {shown, more} = Enum.split(ips, 3)
    ": " <> Enum.map_join(shown, ", ", &IP.to_text/1) <> if(more == [], do: "", else: ", …")
  end

  defp some(_services_or_names), do: ""

  defp from(%{type: :names}, _server), do: ""
  defp from(_lookup, server) when server in [nil, ""], do: ""
  defp from(_lookup, server), do: ", from #{server}"

  defp as(%{type: :names}, _name), do: ""

  defp as(%{as_written: {:ok, %{records: records}}} = lookup, name) do
    count = length(records)
    as = as(%{lookup | as_written: nil}, name)

    if as == "",
      do: "",
      else: as <> " (as written: #{count} #{if count == 1, do: "record", else: "records"})"
  end

  defp as(%{query: query}, name) do
    if name in [nil, "", String.trim_trailing(query.host, ".")],
      do: "",
      else: ", asked as #{name}"
  end

  defp took(%{ms: nil}), do: ""
  defp took(%{ms: ms}), do: ", #{ms} ms"

  ## This node

  defp name(%{node: nil, mode: :running} = facts),
    do: row(:name, "nonode@nohost", false, why_unnamed(facts))

  defp name(%{node: nil, distribution: %{node: nil}} = facts),
    do: row(:name, "this machine", nil, address(facts.own))

  defp name(%{node: nil, distribution: %{node: name}} = facts),
    do: row(:name, name, nil, "what this machine would be called: #{address(facts.own)}")

  # Its own address is then what its host resolves to elsewhere.
  defp name(%{distribution: %{address: nil}} = facts),
    do: row(:name, facts.node, true, "named by its host: so are its peers")

  defp name(facts) do
    listed = if facts.selves == [], do: ", not listed", else: ""
    row(:name, facts.node, true, address(facts.own) <> listed)
  end

  defp why_unnamed(%{obstacle: :eval}), do: Words.no_node()
  defp why_unnamed(%{obstacle: :manual}), do: "distribution: :manual"
  defp why_unnamed(%{obstacle: nil, own: {:error, reason}}), do: Error.message(reason)
  defp why_unnamed(%{obstacle: nil}), do: Error.message(:not_distributed)
  defp why_unnamed(%{obstacle: reason}), do: Error.message(reason)

  defp address({:ok, %{ip: ip} = address}), do: "#{IP.to_text(ip)}, #{because(address)}"
  defp address({:error, reason}), do: Error.message(reason)

  defp because(%{because: :boot_name}), do: "by its name"
  defp because(address), do: Words.because(address)

  defp distribution(%{distribution: own} = facts) do
    names = if own.names == :short, do: "short names", else: "long names"
    tls = if own.tls?, do: " over TLS", else: ""
    hidden = if facts.hidden?, do: ", hidden", else: ""

    ok = if facts.mode == :running, do: facts.alive?, else: nil
    row(:distribution, family(own) <> tls, ok, "#{names}, ports #{ports(own.ports)}#{hidden}")
  end

  defp family(%{family: :inet}), do: "IPv4"
  defp family(%{family: :inet6}), do: "IPv6"
  defp family(_unknown), do: DNSMesh.Distribution.proto()

  defp ports(:epmd), do: "by epmd (#{DNSMesh.Epmd.port()})"
  defp ports({:fixed, port}), do: "fixed (#{port})"
  defp ports({:module, module}), do: "by #{inspect(module)}"

  defp cookie(%{cookie: {:ok, source}}), do: row(:cookie, cookie_source(source), nil, "not shown")
  defp cookie(%{cookie: {:error, fault}}), do: row(:cookie, "none", nil, Error.message(fault))

  defp cookie_source(:vm), do: "the VM's"
  defp cookie_source(:option), do: "the option's"
  defp cookie_source(:boot_flag), do: "--cookie"
  defp cookie_source(:environment), do: "RELEASE_COOKIE"
  defp cookie_source({:file, path}), do: path

  ## Peers

  defp self(%{door: nil} = peer), do: row(:peer, peer.name, true, "this node itself")

  # Looked at from beside it.
  defp self(peer) do
    ok = if match?({:welcome, _kind, _cookie}, peer.greeting), do: true
    said = findings(%{peer | policy: :join}) |> Enum.join("; ")
    row(:peer, peer.name, ok, "this machine: " <> said)
  end

  defp outsider(%{name: name, linked: []}),
    do: row(:peer, name, false, "not listed, and was a visible member until it was cut")

  defp outsider(%{name: name, linked: linked, apart: apart}) do
    said = "not listed; linked to #{Enum.join(linked, ", ")}; not to #{Enum.join(apart, ", ")}"
    row(:peer, name, false, said)
  end

  defp peers(facts) do
    {well, ailing} = facts.peers |> Enum.map(&peer(&1, facts)) |> Enum.split_with(& &1.ok)
    {shown, more} = Enum.split(well, @well)

    ailing ++
      shown ++
      if(more == [],
        do: [],
        else: [row(:peer, "#{length(more)} more", true, "like these")]
      )
  end

  defp peer(peer, facts) do
    ok =
      case Verdict.ailment(peer, facts) do
        nil -> true
        :not_yet -> nil
        _ailment -> false
      end

    row(:peer, peer.name, ok, Enum.join(findings(peer), "; "))
  end

  defp findings(%{link: :visible}), do: ["connected"]
  defp findings(%{link: :hidden}), do: ["connected, hidden"]

  defp findings(peer) do
    [policy(peer.policy), epmd(peer.epmd), door(peer.door), greeting(peer.greeting), noted(peer)]
    |> Enum.reject(&is_nil/1)
  end

  defp policy({_refused_or_held, {:epmd, _why}}), do: nil
  defp policy({state, reason}), do: "#{state}: #{Error.message(reason)}"
  defp policy(:join), do: nil

  defp epmd(nil), do: nil
  defp epmd({:ok, []}), do: "epmd knows nobody"

  defp epmd({:ok, names}) do
    {shown, more} = Enum.split(names, 5)
    "epmd knows #{Enum.join(shown, ", ")}#{if more == [], do: "", else: ", …"}"
  end

  defp epmd({:error, why}), do: Error.message({:epmd, why})

  defp door(nil), do: nil
  defp door({:ok, port}), do: "port #{port} open"
  defp door({:dead, :refused_epmd}), do: nil
  defp door({:silent, :epmd}), do: nil
  defp door(verdict), do: Error.message(verdict)

  defp greeting(nil), do: nil
  defp greeting({:welcome, :visible, :proved}), do: "takes the cookie"
  defp greeting({:welcome, :hidden, :proved}), do: "takes the cookie, hidden"
  defp greeting({:welcome, _, :unproved}), do: "answers, no cookie tried"
  defp greeting({:other_name, name}), do: "answers as #{name}"
  defp greeting(:wrong_cookie), do: "has another cookie"
  defp greeting(:not_allowed), do: "lets in only the nodes of a list"
  defp greeting(:busy), do: "handshake not tried (busy)"
  defp greeting(:tls), do: "speaks TLS"
  defp greeting(:plain), do: "speaks no TLS"
  defp greeting({:tls_failed, _whose, words}), do: "TLS fails: #{words}"
  defp greeting(:no_node), do: "is no node"
  defp greeting(:silent), do: "says nothing"
  defp greeting(:not_tried), do: "handshake not tried in time"

  defp noted(%{state: state, reason: reason}) when state in [:held, :waiting] and reason != nil,
    do: "#{state}: #{Error.message(reason)}"

  defp noted(%{state: :joining}), do: "being dialled"
  defp noted(_peer), do: nil
end

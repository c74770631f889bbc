defmodule DNSMesh.Doctor.Words.Lookups do
  @moduledoc false
  # What is said of a name that was looked up. Pure.

  import DNSMesh.Doctor.Words.Phrases

  alias DNSMesh.{Answer, Error}
  alias DNSMesh.Doctor.{Facts, Searched, Verdicts}

  @spec say(Verdicts.kind(), Facts.lookup(), Facts.t()) ::
          {sentence :: String.t(), fix :: String.t()}
  def say(:search_domain, %{result: {:ok, answer}, as_written: {:ok, other}} = lookup, facts) do
    {"#{lookup.query.host} was answered as #{Searched.asked_as(lookup)}, under a search domain of #{facts.conf.search}, by " <>
       "#{answer |> Answer.addresses() |> some_ips()}, where no node is; as it is written it gives " <>
       "#{other |> Answer.addresses() |> some_ips()}.", with_dot(lookup, facts)}
  end

  def say(:search_domain, %{as_written: {:ok, _answer}} = lookup, facts),
    do: {beside_the_name(lookup, facts) <> ", and it gives records.", with_dot(lookup, facts)}

  def say(:search_domain, lookup, facts) do
    {beside_the_name(lookup, facts) <> ": it has none there.",
     "write the full name that lists the nodes, with a dot at its end (in Kubernetes SERVICE.NAMESPACE.svc.cluster.local.), " <>
       "for then no search domain is tried; or take #{Searched.domain(lookup)} out of #{facts.conf.search}. If " <>
       "#{Searched.asked_as(lookup)} is meant, mend what serves it."}
  end

  def say(:server_silent, lookup, facts) do
    {"#{type(lookup)}#{asked_as(lookup)} got no answer in #{lookup.ms || "some"} ms from #{servers(lookup, facts)}.",
     "look whether a name server runs there, and let port 53, UDP and TCP, through from this host; or name another one, " <>
       "in #{facts.conf.servers} or with the option :nameservers."}
  end

  def say(:server_refused, lookup, facts) do
    {"#{servers(lookup, facts)} refuses to answer for #{asked_as(lookup)} (REFUSED): it serves others, or not this name.",
     "correct the name, if that is the name server which the platform gives its containers and machines; else ask that one: " <>
       "take the option :nameservers out, or write it into #{facts.conf.servers}; or permit this host's address there."}
  end

  def say(:server_failed, lookup, facts) do
    {"#{type(lookup)}#{asked_as(lookup)} failed at #{servers(lookup, facts)}: #{reason(lookup)}.",
     if(facts.servers == [],
       do:
         "write a name server into #{facts.conf.servers}, which names none, or give one with the option :nameservers.",
       else:
         "mend that name server, or name another one, in #{facts.conf.servers} or with the option :nameservers."
     )}
  end

  def say(:no_tcp, %{result: {:error, %{reason: {:no_tcp, why}}}} = lookup, facts) do
    {"#{type(lookup)}#{lookup.query.text}: #{servers(lookup, facts)} has an answer that is too long for UDP, and " <>
       "#{tcp(why)}.", "#{open_tcp(why, lookup)}; or query a name that lists fewer nodes."}
  end

  def say(:source_failed, lookup, _facts) do
    {"#{lookup.query.text} tells no nodes: #{reason(lookup)}.",
     "do as it says; DNSMesh asks again at each poll."}
  end

  def say(:local_name, lookup, facts) do
    {"#{lookup.query.text} ends in .local, which is for multicast DNS (Avahi, Bonjour): #{servers(lookup, facts)} has no " <>
       "such name (#{reason(lookup)}), and DNSMesh asks name servers only.",
     "query a name that a name server has; or write the addresses into /etc/hosts, all of them under that name; or list " <>
       "them: DNS_CLUSTER_QUERY=10.0.0.5,10.0.0.6."}
  end

  def say(:no_such_name, lookup, facts) do
    {"#{servers(lookup, facts)} says that #{asked_as(lookup)} does not exist (NXDOMAIN).",
     "correct the spelling of the query (DNS_CLUSTER_QUERY, or :query), or have the name server list the nodes' addresses " <>
       "under that name; where it is right and new, wait: DNSMesh asks again at each poll."}
  end

  def say(:no_records, %{type: :names} = lookup, _facts) do
    {"#{lookup.query.text} lists nobody.", DNSMesh.Words.fill_the_list(lookup.query.text) <> "."}
  end

  def say(:no_records, lookup, facts) do
    {"#{asked_as(lookup)} exists at #{servers(lookup, facts)}, and has no #{type_name(lookup.type)} records.",
     "have the name list the nodes' addresses: in Kubernetes a headless service (clusterIP: None) whose selector matches " <>
       "the pods, with publishNotReadyAddresses: true; in Compose and Swarm a service with running containers."}
  end

  def say(:not_registered, %{query: query, result: {:ok, answer}}, _facts) do
    case for({_ip, {:ok, names}} <- answer.registered, name <- names, uniq: true, do: name) do
      [] ->
        {"#{query.text} lists no node: no epmd at #{some_ips(Answer.addresses(answer))} knows one.",
         "start the nodes there, with names (--sname or --name); one that runs and is not known is not distributed: " <>
           "Node.self() and DNSMesh.doctor() there tell more."}

      names ->
        {"#{query.text} lists no node: none of those that epmd knows at #{some_ips(Answer.addresses(answer))} is called so, but #{quoted(names)}.",
         "query #{inspect("*@#{query.host}")}, which lists them all, or a pattern that they fit."}
    end
  end

  def say(:wrong_family, %{type: type, elsewhere: count} = lookup, _facts) do
    {"#{lookup.query.text} has #{count} #{if type == :a, do: "IPv6", else: "IPv4"} #{word(count, "address", "addresses")} and no " <>
       "#{if type == :a, do: "IPv4", else: "IPv6"} ones, and this VM's distribution speaks #{if type == :a, do: "IPv4", else: "IPv6"}.",
     boot_for(if(type == :a, do: :inet6, else: :inet))}
  end

  ## Small things

  defp type(%{type: :names}), do: ""
  defp type(%{type: type}), do: type_name(type) <> " of "

  defp type_name(type), do: type |> Atom.to_string() |> String.upcase()

  defp reason(%{result: {:error, failure}}), do: Error.message(failure.reason)
  defp reason(%{result: {:ok, _nobody}}), do: "nobody"

  defp servers(%{result: {_, %{server: server}}}, _facts) when server not in [nil, ""], do: server

  defp servers(_lookup, %{servers: []} = facts),
    do: "127.0.0.1 (#{facts.conf.servers} names no server)"

  defp servers(_lookup, %{servers: servers}), do: Enum.join(servers, ", ")

  defp tcp(:refused), do: "refuses connections over TCP"
  defp tcp(:silent), do: "does not answer over TCP"
  defp tcp(:closed), do: "hangs up over TCP before the answer is there"
  defp tcp({:unreachable, text}), do: "cannot be reached over TCP (#{text})"

  defp open_tcp(:closed, lookup) do
    "look at what takes #{tcp_port(lookup)} (a proxy, a forwarder, a limit of the name server's), and let it answer there"
  end

  defp open_tcp(_shut, lookup) do
    "open #{tcp_port(lookup)} to this host, beside UDP (the name server's own settings, firewall, security group, network " <>
      "policy)"
  end

  defp tcp_port(%{result: {:error, %{server: server}}}) do
    case Regex.run(~r/^\[?(.+?)\]?:(\d+)$/, server || "") do
      [_, ip, port] -> "TCP port #{port} of #{ip}"
      nil -> "TCP port 53 of the name server"
    end
  end

  defp asked_as(%{query: query} = lookup) do
    case Searched.asked_as(lookup) do
      nil -> query.host || query.text
      name -> "#{query.host} (asked as #{name})"
    end
  end

  defp beside_the_name(lookup, facts) do
    "#{type(lookup)}#{lookup.query.host} was asked for as #{Searched.asked_as(lookup)}, under a search domain of " <>
      "#{facts.conf.search}, and that is the trouble (#{reason(lookup)}); about the name as it is written " <>
      "#{servers(lookup, facts)} has its say"
  end

  defp with_dot(lookup, facts) do
    "write #{lookup.query.text}. in the query, with a dot at its end, for then no search domain is tried; or take " <>
      "#{Searched.domain(lookup)} out of the search domains in #{facts.conf.search}."
  end
end

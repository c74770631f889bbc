defmodule DNSMesh.Doctor.Words do
  @moduledoc false
  # What a verdict says to a person: the sentence, and the one thing to do. Pure. Whoever does what is said here literally
  # has mended it. Here what is said of this node as a whole; by what else a verdict is about, in
  #
  #   Lookups   a name that was looked up
  #   Peers     those who are listed
  #   Phrases   what several sentences are made of

  import DNSMesh.Doctor.Words.Phrases

  alias DNSMesh.Doctor.{Facts, Verdict, Verdicts}
  alias DNSMesh.Doctor.Words.{Lookups, Peers}
  alias DNSMesh.Error

  @spec say(Verdicts.kind(), Verdict.about(), Facts.t()) ::
          {subject :: String.t() | nil, sentence :: String.t(), fix :: String.t() | nil}
  def say(kind, about, facts) do
    {sentence, fix} = said(kind, about, facts)
    {subject(about), tally(facts) <> upcase(sentence), fix}
  end

  # Not what is a name.
  defp upcase("the " <> rest), do: "The " <> rest
  defp upcase("this " <> rest), do: "This " <> rest
  defp upcase(sentence), do: sentence

  defp subject(%{lookup: lookup}), do: lookup.query.text
  defp subject(%{peers: [peer | _]}), do: peer.name
  defp subject(%{outsiders: [outsider | _]}), do: outsider.name
  defp subject(nil), do: nil

  # What a member has come to so far.
  defp tally(%{mode: :running, peers: [_ | _] = peers}) do
    connected = Enum.count(peers, &(&1.link != nil))
    "#{connected} of #{counted(peers, "peer", "peers")} connected. "
  end

  defp tally(_facts), do: ""

  defp said(kind, %{lookup: lookup}, facts), do: Lookups.say(kind, lookup, facts)
  defp said(kind, %{peers: peers}, facts), do: Peers.say(kind, peers, facts)
  defp said(:outsider, %{outsiders: outsiders}, facts), do: outsiders(outsiders, facts)
  defp said(kind, nil, facts), do: verdict(kind, facts)

  ## Nothing runs

  defp verdict(:query_not_set, %{mesh: nil}) do
    {"No query is given, and DNS_CLUSTER_QUERY is not set here.",
     "name what is to be examined: mix dns_mesh.doctor app.internal, or DNSMesh.doctor(DNSMesh, query: \"app.internal\")."}
  end

  defp verdict(:query_not_set, facts) do
    {"DNS_CLUSTER_QUERY is not set, no process is registered as #{inspect(facts.mesh)}, and without a query DNSMesh does not start.",
     "set DNS_CLUSTER_QUERY in the environment in which the application is started, to the name that lists its nodes " <>
       "(DNS_CLUSTER_QUERY=app.internal), and start it again."}
  end

  defp verdict(:not_running, %{test_run?: true} = facts) do
    {"No process is registered as #{inspect(facts.mesh)}: in a test run (mix test, MIX_ENV=test) DNSMesh does not heed " <>
       "DNS_CLUSTER_QUERY.",
     "where a cluster is wanted in tests, give the child both: {DNSMesh, query: \"app.internal\", distribution: :auto}."}
  end

  defp verdict(:not_running, facts) do
    {"No process is registered as #{inspect(facts.mesh)}, though there is a query: DNSMesh has not been started, or has ended.",
     "put DNSMesh into the children of your application's supervisor, before those that need the cluster; where it is " <>
       "started as {DNSMesh, name: MyMesh}, ask DNSMesh.doctor(MyMesh)."}
  end

  defp verdict(:no_library, facts),
    do: {facts.library <> ".", "do as it says, and start again."}

  defp verdict(:left, facts) do
    {"#{inspect(facts.mesh)} joins nobody: #{DNSMesh.Words.leaving()}.",
     "nothing, if this VM is about to stop; else restart it, or the child DNSMesh under its supervisor, and it joins again."}
  end

  ## This node

  defp verdict(:name_unfit, %{unfit: {kind, _ip} = reason} = facts) do
    {"this node's name, #{facts.node}, no longer fits this host: #{Error.message(reason)}.",
     case kind do
       :epmd_elsewhere -> "end that epmd, as it says."
       _address -> "restart this node, as it says: a running one never changes its name."
     end}
  end

  defp verdict(:not_distributed, %{obstacle: :manual, test_run?: true}) do
    {"this node is not distributed, and in a test run (mix test, MIX_ENV=test) DNSMesh does not change that by itself.",
     "give the child distribution: :auto; or start the run with a name: elixir --name app@10.0.0.5 --cookie SECRET -S mix " <>
       "test, with this machine's own address."}
  end

  defp verdict(:not_distributed, %{obstacle: :manual}) do
    {"this node is not distributed, and distribution: :manual keeps DNSMesh from changing that.",
     "leave :distribution out; or start the VM with a name: elixir --name app@10.0.0.5 --cookie SECRET -S mix run --no-halt, " <>
       "with this machine's own address."}
  end

  defp verdict(:not_distributed, %{obstacle: :eval}),
    do:
      {"this VM can join nobody: #{DNSMesh.Words.no_node()}.", "#{DNSMesh.Words.ask_the_node()}."}

  defp verdict(:not_distributed, %{obstacle: nil, own: {:ok, _address}}) do
    {"this node has no name yet: it is about to take one.",
     "wait for the next poll, and ask again."}
  end

  defp verdict(:not_distributed, facts) do
    why = facts.obstacle || unnamed(facts.own)

    {"this node has no name yet, so it can join nobody: #{Error.message(why)}.",
     "do as it says; DNSMesh tries again at each poll. See DNSMesh.status() and the log for more."}
  end

  ## The rest

  defp verdict(:peer_budget, facts) do
    {"#{facts.left_out} of the names listed are left out, for :max_peers is #{facts.max_peers}.",
     "set max_peers: #{facts.max_peers + facts.left_out} or more, if the cluster is that large; else look at what the name " <>
       "server answers."}
  end

  defp verdict(:reachable, facts) do
    untried = Enum.any?(facts.peers, &(not match?({:welcome, _, :proved}, &1.greeting)))

    {"#{counted(facts.peers, "node", "nodes")} listed, and every one answers#{if untried, do: "; no cookie was tried", else: " and takes the cookie"}.",
     nil}
  end

  defp verdict(:connected, _facts), do: {"Nothing is wrong.", nil}

  ## Members that nobody lists

  defp outsiders([%{name: name} = outsider | _] = outsiders, facts) do
    {"#{some(outsiders)}: no item of the query lists it, and it is a member all the same, by a visible link#{linked(outsider)}. " <>
       "Where one member cannot reach what another is linked to, global has links cut#{cuts(facts)}.",
     "start it hidden: elixir --hidden --name #{name} (iex --hidden, erl -hidden, or -hidden in vm.args); or, if it belongs to " <>
       "the cluster, have an item of the query list it, and let #{reach(outsider)} reach it."}
  end

  defp linked(%{linked: []}), do: " that was cut lately"

  defp linked(%{linked: linked, apart: apart}),
    do: " to #{names(linked)}, and not to #{names(apart)}"

  defp cuts(%{cuts: 0}), do: ""
  defp cuts(%{cuts: 1}), do: ": 1 of this node's was, within two minutes"
  defp cuts(%{cuts: cuts}), do: ": #{cuts} of this node's were, within two minutes"

  defp reach(%{apart: []}), do: "every member"
  defp reach(%{apart: apart}), do: names(apart)

  ## Small things

  defp unnamed({:error, reason}), do: reason
  defp unnamed(_address), do: :not_distributed
end

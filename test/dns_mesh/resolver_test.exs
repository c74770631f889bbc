defmodule DNSMesh.ResolverTest do
  # What the resolver makes of what name servers say, through the real NIF. Answer shapes K1-K4, C1-C3, D1, D2 and F1
  # are those that real platforms send.
  use ExUnit.Case, async: true

  alias DNSMesh.Native
  alias DNSMesh.Test.{Dnsmasq, NativeLookup, OSProcess, ScriptedDNS}

  import NativeLookup, only: [ask: 2, ask: 3, open: 1, open: 2, reason: 1]

  # A deadline shorter than the 250 ms after which the next server is asked anyway. A busy machine may take as long
  # for other reasons, but not three times in a row.
  @at_once 240
  defp ask_at_once(resolver, name) do
    Enum.find_value(1..3, {:error, :not_at_once}, fn _ ->
      with {:error, _} <- ask(resolver, name, timeout: @at_once), do: nil
    end)
  end

  defp dns(zone, opts \\ []) do
    start_supervised!({ScriptedDNS, [zone: zone] ++ opts}, id: make_ref())
  end

  defp app(behaviour), do: %{{"app.internal", :a} => behaviour}

  defp ips(range, prefix \\ {10, 0}) do
    {a, b} = prefix
    for n <- range, do: {a, b, div(n, 256), rem(n, 256)}
  end

  defp records({:ok, %{records: records}}), do: Enum.sort(records)

  describe "addresses" do
    test "A records, with all that the answer holds" do
      dns = dns(app({:ok, ["10.0.0.1", {"app.internal", :a, 9, "10.0.0.2"}], ttl: 60}))

      assert {:ok, answer} = ask(open([dns]), "app.internal")

      assert answer == %{
               records: [{10, 0, 0, 1}, {10, 0, 0, 2}],
               ttl: 9,
               name: "app.internal",
               server: ScriptedDNS.address(dns),
               truncated: false,
               hosts: [],
               registered: []
             }
    end

    test "AAAA records, from a name server that has an IPv6 address only (F1)" do
      dns = dns(%{{"app.internal", :aaaa} => ["fdaa::3", "fdaa::4"]}, ip: "::1")
      resolver = open([dns])

      assert {:ok, answer} = ask(resolver, "app.internal", type: :aaaa)
      assert answer.records == [{0xFDAA, 0, 0, 0, 0, 0, 0, 3}, {0xFDAA, 0, 0, 0, 0, 0, 0, 4}]
      assert answer.server == "[::1]:#{ScriptedDNS.port(dns)}"

      assert {:error, %{reason: :no_records}} = ask(resolver, "app.internal", type: :a)
    end

    test "one question is one query, with EDNS and a payload that no path fragments" do
      dns = dns(app(["10.0.0.1"]))
      assert {:ok, _} = ask(open([dns]), "app.internal")

      assert [%{name: "app.internal", type: :a, transport: :udp, edns: 1232}] =
               ScriptedDNS.queries(dns)
    end

    test "each lookup asks the server: nothing is cached, whatever the TTL" do
      dns = dns(app({:ok, ["10.0.0.1"], ttl: 86_400}))
      resolver = open([dns])

      assert records(ask(resolver, "app.internal")) == [{10, 0, 0, 1}]
      ScriptedDNS.put(dns, {"app.internal", :a}, ["10.0.0.1", "10.0.0.2"])
      assert records(ask(resolver, "app.internal")) == [{10, 0, 0, 1}, {10, 0, 0, 2}]
      ScriptedDNS.put(dns, {"app.internal", :a}, {:nxdomain, negative_ttl: 3_600})
      assert reason(ask(resolver, "app.internal")) == :nxdomain
      ScriptedDNS.put(dns, {"app.internal", :a}, ["10.0.0.3"])
      assert records(ask(resolver, "app.internal")) == [{10, 0, 0, 3}]
      assert length(ScriptedDNS.queries(dns)) == 4
    end

    test "TTLs at both ends of what 32 bits hold" do
      for ttl <- [0, 2_147_483_647] do
        dns = dns(app({:ok, ["10.0.0.1"], ttl: ttl}))
        assert {:ok, %{ttl: ^ttl}} = ask(open([dns]), "app.internal")
      end
    end

    test "names as container platforms give them out" do
      for name <- [
            "tasks.minotaur-stack_minotaur",
            "my_service",
            "_x.y_",
            "web.local",
            "a-",
            "xn--mnchen-3ya.de"
          ] do
        dns = dns(%{{name, :a} => ["10.0.0.1"]})
        assert {:ok, %{name: ^name}} = ask(open([dns]), name)
        assert [%{name: ^name}] = ScriptedDNS.queries(dns)
      end
    end

    test "upper case asks the same name" do
      dns = dns(app(["10.0.0.1"]))
      assert records(ask(open([dns]), "App.Internal")) == [{10, 0, 0, 1}]
    end

    test "a random subset each time (C1): all are seen within some lookups" do
      all = ips(1..12)
      dns = dns(app({:rotate, 8, all}))
      resolver = open([dns])

      seen =
        Enum.reduce_while(1..50, MapSet.new(), fn _, seen ->
          found = records(ask(resolver, "app.internal"))
          assert length(found) == 8
          seen = MapSet.union(seen, MapSet.new(found))
          {if(MapSet.size(seen) == 12, do: :halt, else: :cont), seen}
        end)

      assert Enum.sort(seen) == all
    end

    test "nobody yet, no such name, then three (K2)" do
      dns = dns(app({:sequence, [:no_records, :nxdomain, ips(1..3)]}))
      resolver = open([dns])

      assert reason(ask(resolver, "app.internal")) == :no_records
      assert reason(ask(resolver, "app.internal")) == :nxdomain
      assert records(ask(resolver, "app.internal")) == ips(1..3)
    end
  end

  describe "whose records count" do
    test "those at the end of a CNAME (K4)" do
      dns = dns(app([{:cname, "app.ns.svc.cluster.local"}, "10.0.0.5"]))
      assert {:ok, %{records: [{10, 0, 0, 5}]}} = ask(open([dns]), "app.internal")
    end

    test "a chain of several, in any order" do
      dns =
        dns(
          app([
            {"c.internal", :a, 30, "10.0.0.5"},
            {"b.internal", :cname, 5, "c.internal"},
            {:cname, "b.internal"}
          ])
        )

      assert {:ok, %{records: [{10, 0, 0, 5}], ttl: 5}} = ask(open([dns]), "app.internal")
    end

    # A name server that recurses sends the whole chain; to ask on by ourselves would be to recurse.
    test "a chain that ends outside of the reply leads to no records" do
      dns = dns(Map.put(app([{:cname, "real.internal"}]), {"real.internal", :a}, ["10.0.0.5"]))
      assert reason(ask(open([dns]), "app.internal")) == :no_records
      assert length(ScriptedDNS.queries(dns)) == 1
    end

    test "not those of another name" do
      dns = dns(app([{"evil.internal", "10.6.6.6"}, "10.0.0.1", {"internal", "10.6.6.7"}]))
      assert records(ask(open([dns]), "app.internal")) == [{10, 0, 0, 1}]
    end

    test "not those of an alias that our name does not lead to" do
      dns =
        dns(
          app([
            {"other.internal", :cname, 30, "evil.internal"},
            {"evil.internal", "10.6.6.6"},
            "10.0.0.1"
          ])
        )

      assert records(ask(open([dns]), "app.internal")) == [{10, 0, 0, 1}]
    end

    test "not the wrong type" do
      dns = dns(app(["fdaa::3", "10.0.0.1"]))
      assert records(ask(open([dns]), "app.internal")) == [{10, 0, 0, 1}]
    end

    test "only others' records are none, not an answer" do
      dns = dns(app([{"evil.internal", "10.6.6.6"}]))
      assert reason(ask(open([dns]), "app.internal")) in [:no_records, :bad_reply]
    end

    test "a CNAME loop ends" do
      dns = dns(app([{:cname, "b.internal"}, {:cname, "app.internal"}]))
      assert {:error, _} = ask(open([dns]), "app.internal", timeout: 1_000)
    end

    test "a CNAME loop over several replies ends, after few queries" do
      dns =
        dns(
          Map.put(app([{:cname, "b.internal"}]), {"b.internal", :a}, [{:cname, "app.internal"}])
        )

      assert {:error, _} = ask(open([dns]), "app.internal", timeout: 1_000)
      assert length(ScriptedDNS.queries(dns)) < 50
    end

    test "a chain without end ends" do
      dns =
        dns(%{},
          default:
            {:fun,
             fn %{name: name} ->
               n =
                 name
                 |> String.split(".")
                 |> hd()
                 |> String.trim_leading("n")
                 |> String.to_integer()

               [{:cname, "n#{n + 1}.internal"}]
             end}
        )

      assert {:error, _} = ask(open([dns]), "n0.internal", timeout: 1_000)
      assert length(ScriptedDNS.queries(dns)) < 50
    end
  end

  describe "no answer is not an empty answer" do
    test "each way of saying no has a reason of its own" do
      for {behaviour, reason} <- [
            nxdomain: :nxdomain,
            no_records: :no_records,
            servfail: :servfail,
            refused: :refused,
            formerr: :formerr,
            notimp: :notimp,
            silent: :timeout
          ] do
        dns = dns(app(behaviour))

        {NativeLookup.start(open([dns]), "app.internal", timeout: 400), reason,
         ScriptedDNS.address(dns)}
      end
      |> Enum.each(fn {ref, reason, address} ->
        assert NativeLookup.await(ref) ==
                 {:error,
                  %{
                    reason: reason,
                    name: "app.internal",
                    server: address,
                    negative_ttl: negative_ttl(reason)
                  }}
      end)
    end

    test "codes that nobody expects keep their number" do
      for code <- [6, 7, 8, 9, 10, 11, 15] do
        {code, NativeLookup.start(open([dns(app({:rcode, code}))]), "app.internal", timeout: 400)}
      end
      |> Enum.each(fn {code, ref} -> assert reason(NativeLookup.await(ref)) == {:rcode, code} end)
    end

    test "the negative TTL is the SOA's" do
      dns =
        dns(%{
          {"gone.internal", :a} => {:nxdomain, negative_ttl: 7},
          {"empty.internal", :a} => {:no_records, negative_ttl: 8},
          {"bare.internal", :a} => {:nxdomain, soa: false}
        })

      resolver = open([dns])
      assert {:error, %{reason: :nxdomain, negative_ttl: 7}} = ask(resolver, "gone.internal")
      assert {:error, %{reason: :no_records, negative_ttl: 8}} = ask(resolver, "empty.internal")
      assert {:error, %{reason: :nxdomain, negative_ttl: nil}} = ask(resolver, "bare.internal")
    end

    test "a name with IPv6 addresses only has no A records" do
      dns = dns(%{{"app.internal", :aaaa} => ["fdaa::3"]})
      assert reason(ask(open([dns]), "app.internal", type: :a)) == :no_records
    end

    test "a server that thinks for longer than the deadline and then fails (D2) delays nobody else" do
      dns = dns(Map.put(app(["10.0.0.1"]), {"gone.internal", :a}, {:delay, 8_000, :servfail}))
      resolver = open([dns])

      slow = NativeLookup.start(resolver, "gone.internal", timeout: 600)
      assert {:ok, _} = ask(resolver, "app.internal")
      refute_received {^slow, _}
      assert reason(NativeLookup.await(slow)) == :timeout
    end

    test "a silent AAAA does not hold up the A" do
      dns = dns(Map.put(app(["10.0.0.1"]), {"app.internal", :aaaa}, :silent))
      resolver = open([dns])

      aaaa = NativeLookup.start(resolver, "app.internal", type: :aaaa, timeout: 600)
      assert {:ok, _} = ask(resolver, "app.internal")
      refute_received {^aaaa, _}
      assert reason(NativeLookup.await(aaaa)) == :timeout
    end

    test "a reply later than the deadline is dropped" do
      dns = dns(app({:delay, 350, ["10.0.0.1"]}))
      ref = NativeLookup.start(open([dns]), "app.internal", timeout: 300)
      assert reason(NativeLookup.await(ref)) == :timeout
      refute_receive {^ref, _}, 200
    end
  end

  describe "several servers" do
    test "a response code that says nothing about the name: the next server, at once" do
      for behaviour <- [:servfail, :refused, :formerr, :notimp, {:rcode, 9}] do
        bad = dns(app(behaviour))
        good = dns(app(["10.0.0.1"]))

        assert {:ok, answer} = ask_at_once(open([bad, good]), "app.internal")
        assert answer.server == ScriptedDNS.address(good)
        assert ScriptedDNS.queries(bad) != []
      end
    end

    test "the first is a black hole, the second answers" do
      hole = dns(app(:silent))
      good = dns(app(["10.0.0.1"]))
      good_address = ScriptedDNS.address(good)

      assert {:ok, %{server: ^good_address}} = ask(open([hole, good]), "app.internal")
    end

    test "two black holes, the third answers" do
      servers = [dns(app(:silent)), dns(app(:silent)), dns(app(["10.0.0.1"]))]
      assert {:ok, _} = ask(open(servers), "app.internal")
    end

    test "nobody listens at the first one's port" do
      {:ok, dead} = ScriptedDNS.start_link()
      nameserver = ScriptedDNS.nameserver(dead)
      GenServer.stop(dead)
      good = dns(app(["10.0.0.1"]))

      assert {:ok, _} = ask(open([nameserver, good]), "app.internal")
    end

    test "no such name and no records end the race: the second server is not asked" do
      for reason <- [:nxdomain, :no_records] do
        first = dns(app(reason))
        second = dns(app(["10.0.0.1"]))

        assert reason(ask(open([first, second]), "app.internal")) == reason
        assert ScriptedDNS.queries(second) == []
      end
    end

    test "a black hole and no such name is no such name" do
      servers = [dns(app(:silent)), dns(app(:nxdomain))]
      assert reason(ask(open(servers), "app.internal")) == :nxdomain
    end

    test "a response code tells more than a timeout" do
      servers = [dns(app(:silent)), dns(app(:refused))]

      for servers <- [servers, Enum.reverse(servers)] do
        NativeLookup.start(open(servers), "app.internal", timeout: 600)
      end
      |> Enum.each(&assert reason(NativeLookup.await(&1)) == :refused)
    end

    test "a good first server means that the others hear nothing" do
      first = dns(app(["10.0.0.1"]))
      second = dns(app(["10.0.0.2"]))
      assert records(ask(open([first, second]), "app.internal")) == [{10, 0, 0, 1}]
      assert ScriptedDNS.queries(second) == []
    end

    test "a slow first server may still win" do
      first = dns(app({:delay, 400, ["10.0.0.1"]}))
      second = dns(app(:silent))
      assert records(ask(open([first, second]), "app.internal")) == [{10, 0, 0, 1}]
    end

    test "trouble everywhere: once more round, as often as resolv.conf says" do
      passing = app({:sequence, [:servfail, ["10.0.0.1"]]})

      assert {:ok, _} = ask(open([dns(passing)]), "app.internal")

      once = resolv_conf("options attempts:1\n")
      dns = dns(passing)
      assert reason(ask(open([dns], resolv_conf: once), "app.internal")) == :servfail
      assert length(ScriptedDNS.queries(dns)) == 1
    end
  end

  describe "EDNS" do
    test "FORMERR because of it: once more without" do
      dns = dns(app({:formerr_with_edns, ["10.0.0.1"]}))
      assert {:ok, _} = ask_at_once(open([dns]), "app.internal")
      assert [%{edns: 1232}, %{edns: nil} | _] = ScriptedDNS.queries(dns)
    end

    test "a server that gives few without and all with it (C3)" do
      dns = dns(app({:edns_limited, 3, ips(1..20)}))
      assert records(ask(open([dns]), "app.internal")) == ips(1..20)
    end

    test "a reply of 1 232 bytes is taken, one record more comes by TCP" do
      # 12 bytes header, 18 question, 11 OPT, 16 a record.
      for {count, transports} <- [{74, [:udp]}, {75, [:udp, :tcp]}] do
        dns = dns(app(ips(1..count)))
        assert records(ask(open([dns]), "app.internal")) == ips(1..count)
        assert for(query <- ScriptedDNS.queries(dns), do: query.transport) == transports
      end
    end
  end

  describe "truncation" do
    test "100 records: the whole list, by TCP" do
      dns = dns(app(ips(1..100)))
      assert {:ok, %{truncated: false}} = answer = ask(open([dns]), "app.internal")
      assert records(answer) == ips(1..100)
      assert [%{transport: :udp}, %{transport: :tcp}] = ScriptedDNS.queries(dns)
    end

    test "what stood in the truncated reply is not taken for the answer" do
      dns = dns(app({:truncate, ips(1..3), partial: 1}))
      assert records(ask(open([dns]), "app.internal")) == ips(1..3)
    end

    test "4 093 records, as many as a DNS message holds" do
      dns = dns(app(ips(1..4_093)))
      assert {:ok, %{truncated: false}} = answer = ask(open([dns]), "app.internal")
      assert records(answer) == ips(1..4_093)
    end

    test "more than 4 096, which only SRV targets can add up to: the rest is dropped and the answer says so" do
      dns =
        dns(%{
          {"_app._tcp.internal", :srv} => [
            {0, 0, 4369, "one.internal"},
            {0, 0, 4369, "two.internal"}
          ],
          {"one.internal", :a} => ips(1..2_500, {10, 1}),
          {"two.internal", :a} => ips(1..2_500, {10, 2})
        })

      assert {:ok, %{truncated: true, records: records}} =
               ask(open([dns]), "_app._tcp.internal", type: :srv, families: [:inet])

      assert records |> Enum.map(&length(&1.addresses)) |> Enum.sum() <= 4_096
    end

    test "truncated over TCP as well is an error, not a part of the list" do
      dns = dns(app({:truncate_always, ips(1..3)}))
      assert reason(ask(open([dns]), "app.internal", timeout: 1_000)) == :truncated
    end

    test "truncated, and TCP is refused, silent or crawls: an error within the deadline" do
      for mode <- [false, :hang, {:drip, 200}] do
        NativeLookup.start(open([dns(app(ips(1..100)), tcp: mode)]), "app.internal", timeout: 500)
      end
      |> Enum.each(&assert {:error, _} = NativeLookup.await(&1))
    end

    test "truncated by a server without TCP: the next server" do
      servers = [dns(app(ips(1..100)), tcp: false), dns(app(ips(1..100)))]
      assert records(ask(open(servers), "app.internal")) == ips(1..100)
    end

    test "a TCP connection that the server has closed since is opened anew" do
      dns = dns(app(ips(1..100)))
      resolver = open([dns])
      assert records(ask(resolver, "app.internal")) == ips(1..100)
      ScriptedDNS.transport(dns, :tcp, false)
      ScriptedDNS.transport(dns, :tcp, true)
      assert records(ask(resolver, "app.internal")) == ips(1..100)
    end

    test "use-vc in resolv.conf asks by TCP from the start" do
      dns = dns(app(["10.0.0.1"]), udp: false)
      resolver = open([dns], resolv_conf: resolv_conf("options use-vc\n"))
      assert records(ask(resolver, "app.internal")) == [{10, 0, 0, 1}]
      assert [%{transport: :tcp}] = ScriptedDNS.queries(dns)
    end
  end

  describe "replies that are not ours" do
    test "the true answer counts when a forged one or junk comes first" do
      for wrapper <- [:wrong_id_first, :wrong_question_first, :junk_first] do
        dns = dns(app({wrapper, ["10.0.0.1"]}))
        assert {wrapper, records(ask(open([dns]), "app.internal"))} == {wrapper, [{10, 0, 0, 1}]}
      end
    end

    test "a body that cannot be read is an error, and the next server is asked" do
      assert {:error, %{reason: reason}} =
               ask(open([dns(app(:junk))]), "app.internal", timeout: 600)

      assert reason in [:bad_reply, :timeout]

      assert {:ok, _} = ask(open([dns(app(:junk)), dns(app(["10.0.0.1"]))]), "app.internal")
    end

    test "SRV asked, PTR with a SRV body answered (D1): an error, nobody found" do
      dns = dns(%{{"_app._tcp.internal", :srv} => :ptr_with_srv_body})

      assert {:error, %{reason: reason}} =
               ask(open([dns]), "_app._tcp.internal", type: :srv, timeout: 600)

      assert reason in [:bad_reply, :timeout, :no_records]
    end

    test "any bytes at all: an error within the deadline, and the VM lives" do
      :rand.seed(:exsss, 7)

      mutate = fn query ->
        reply = <<binary_part(query, 0, 2)::binary, 0x8180::16, 1::16, 2::16, 0::16, 0::16>>
        question = binary_part(query, 12, byte_size(query) - 12 - 11)
        record = <<0xC00C::16, 1::16, 1::16, 30::32, 4::16, 10, 0, 0, 1>>
        good = reply <> question <> record <> record
        at = Enum.random(2..(byte_size(good) - 1))
        head = binary_part(good, 0, at)
        tail = binary_part(good, at + 1, byte_size(good) - at - 1)
        bytes = <<head::binary, Enum.random(0..255), tail::binary>>
        binary_part(bytes, 0, Enum.random(12..byte_size(bytes)))
      end

      dns = dns(app({:raw, mutate}))
      resolver = open([dns], resolv_conf: resolv_conf("options attempts:1\n"))
      refs = for _ <- 1..300, do: NativeLookup.start(resolver, "app.internal", timeout: 500)

      for ref <- refs,
          do: assert(elem(NativeLookup.await(ref), 0) in [:ok, :error])
    end

    test "compression pointers that lead nowhere" do
      loop = fn query ->
        question = binary_part(query, 12, byte_size(query) - 12 - 11)
        own_offset = 12 + byte_size(question)

        <<binary_part(query, 0, 2)::binary, 0x8180::16, 1::16, 1::16, 0::16, 0::16,
          question::binary, 0b11::2, own_offset::14, 1::16, 1::16, 30::32, 4::16, 10, 0, 0, 1>>
      end

      dns = dns(app({:raw, loop}))
      assert {:error, _} = ask(open([dns]), "app.internal", timeout: 400)
    end

    test "an address record of 3 or 5 bytes is no address" do
      for body <- [<<10, 0, 0>>, <<10, 0, 0, 1, 1>>] do
        NativeLookup.start(open([dns(app([{"app.internal", 1, 30, body}]))]), "app.internal",
          timeout: 400
        )
      end
      |> Enum.each(&assert {:error, _} = NativeLookup.await(&1))
    end
  end

  describe "SRV" do
    @name "_epmd._tcp.app.ns.svc.cluster.local"

    test "addresses of both families come from the additional section (K1), without another query" do
      v4 = "10-0-0-5.app.ns.svc.cluster.local"
      v6 = "5678-abcd--1.app.ns.svc.cluster.local"

      dns =
        dns(%{
          {@name, :srv} =>
            {:ok, [{0, 50, 4369, v4}, {1, 50, 4369, v6}],
             ttl: 30, additional: [{v4, :a, 5, "10.0.0.5"}, {v6, "5678:abcd::1"}]}
        })

      assert {:ok, answer} = ask(open([dns]), @name, type: :srv)

      assert [
               %{target: ^v4, port: 4369, priority: 0, weight: 50, addresses: [{10, 0, 0, 5}]},
               %{
                 target: ^v6,
                 port: 4369,
                 priority: 1,
                 weight: 50,
                 addresses: [{0x5678, 0xABCD, 0, 0, 0, 0, 0, 1}]
               }
             ] = Enum.sort_by(answer.records, & &1.priority)

      assert answer.ttl == 5
      assert answer.name == @name
      assert [_] = ScriptedDNS.queries(dns, @name, :srv)
    end

    test "without an additional section the targets are looked up (C2), in both families" do
      dns =
        dns(%{
          {"app.service.dc1.consul", :srv} => [
            {1, 1, 9100, "0a000005.addr.dc1.consul"},
            {1, 1, 9100, "fdaa0000000000000000000000000003.addr.dc1.consul"}
          ],
          {"0a000005.addr.dc1.consul", :a} => ["10.0.0.5"],
          {"fdaa0000000000000000000000000003.addr.dc1.consul", :aaaa} => ["fdaa::3"]
        })

      assert {:ok, %{records: records}} = ask(open([dns]), "app.service.dc1.consul", type: :srv)

      addresses =
        for %{port: 9100, addresses: addresses} <- records, address <- addresses, do: address

      assert Enum.sort(addresses) == [{10, 0, 0, 5}, {0xFDAA, 0, 0, 0, 0, 0, 0, 3}]
    end

    test "only the families that are wanted are looked up" do
      dns =
        dns(%{{@name, :srv} => [{0, 0, 1, "t.internal"}], {"t.internal", :aaaa} => ["fdaa::3"]})

      assert {:ok, %{records: [%{addresses: [{0xFDAA, 0, 0, 0, 0, 0, 0, 3}]}]}} =
               ask(open([dns]), @name, type: :srv, families: [:inet6])

      assert ScriptedDNS.queries(dns, "t.internal", :a) == []
    end

    test "the target . means that there is no such service" do
      dns = dns(%{{@name, :srv} => [{0, 0, 0, "."}]})
      assert reason(ask(open([dns]), @name, type: :srv)) == :no_records

      ScriptedDNS.put(
        dns,
        {@name, :srv},
        {:ok, [{0, 0, 0, "."}, {0, 0, 1, "t.internal"}], additional: [{"t.internal", "10.0.0.1"}]}
      )

      assert {:ok, %{records: [%{target: "t.internal"}]}} = ask(open([dns]), @name, type: :srv)
    end

    test "targets are lower case without trailing dot" do
      dns =
        dns(%{
          {@name, :srv} =>
            {:ok, [{0, 0, 1, "Node-1.INTERNAL."}], additional: [{"node-1.internal", "10.0.0.1"}]}
        })

      assert {:ok, %{records: [%{target: "node-1.internal", addresses: [{10, 0, 0, 1}]}]}} =
               ask(open([dns]), @name, type: :srv)
    end

    test "a target that cannot be found keeps its place, without addresses" do
      dns =
        dns(%{
          {@name, :srv} => [{0, 0, 1, "here.internal"}, {0, 0, 1, "gone.internal"}],
          {"here.internal", :a} => ["10.0.0.1"],
          {"gone.internal", :a} => :servfail
        })

      assert {:ok, %{records: records}} = ask(open([dns]), @name, type: :srv)

      assert Map.new(records, &{&1.target, &1.addresses}) == %{
               "here.internal" => [{10, 0, 0, 1}],
               "gone.internal" => []
             }
    end

    test "all targets failed: the worst of the reasons" do
      dns =
        dns(%{
          {@name, :srv} => [{0, 0, 1, "gone.internal"}, {0, 0, 1, "ill.internal"}],
          {"ill.internal", :a} => :refused,
          {"ill.internal", :aaaa} => :refused
        })

      assert reason(ask(open([dns]), @name, type: :srv)) == :refused
    end

    test "a silent target: the others' addresses come within the deadline" do
      dns =
        dns(%{
          {@name, :srv} => [{0, 0, 1, "here.internal"}, {0, 0, 1, "hole.internal"}],
          {"here.internal", :a} => ["10.0.0.1"],
          {"hole.internal", :a} => :silent,
          {"hole.internal", :aaaa} => :silent
        })

      assert {:ok, %{records: records}} = ask(open([dns]), @name, type: :srv, timeout: 700)
      assert Map.new(records, &{&1.target, &1.addresses})["here.internal"] == [{10, 0, 0, 1}]
    end

    test "additional records of names that are no target do not count" do
      dns =
        dns(%{
          {@name, :srv} =>
            {:ok, [{0, 0, 1, "t.internal"}],
             additional: [{"ns.internal", "10.6.6.6"}, {"t.internal", "10.0.0.1"}]}
        })

      assert {:ok, %{records: [%{addresses: [{10, 0, 0, 1}]}]}} =
               ask(open([dns]), @name, type: :srv, families: [:inet])
    end

    test "a target that is no host name never becomes one" do
      for labels <- [
            ["a@b", "internal"],
            ["has space", "internal"],
            ["has.dot", "internal"],
            [<<0>>, "internal"],
            ["\"", "internal"]
          ] do
        dns =
          dns(%{
            {@name, :srv} => [{0, 0, 1, labels}, {0, 0, 1, "t.internal"}],
            {"t.internal", :a} => ["10.0.0.1"]
          })

        assert {:ok, %{records: records}} =
                 ask(open([dns]), @name, type: :srv, families: [:inet], timeout: 1_000)

        assert for(%{target: target, addresses: [_ | _]} <- records, do: target) == ["t.internal"]
        # Its text shows what was there, and is no name that anybody could ask for or dial.
        assert for(%{target: target} <- records, Native.check_name(target) == :ok, do: target) ==
                 ["t.internal"]
      end
    end

    test "50 targets are all found" do
      targets = for n <- 1..50, do: {0, 0, n, "n#{n}.internal"}

      zone =
        for n <- 1..50,
            into: %{{@name, :srv} => targets},
            do: {{"n#{n}.internal", :a}, [{10, 0, 0, n}]}

      assert {:ok, answer} = ask(open([dns(zone)]), @name, type: :srv, families: [:inet])
      assert answer.records |> Enum.flat_map(& &1.addresses) |> Enum.sort() == ips(1..50)
    end
  end

  describe "search domains" do
    @kubernetes """
    search ns.svc.cluster.local svc.cluster.local cluster.local
    options ndots:5
    """

    test "answered by the fourth name (K3): four queries; with a trailing dot: one" do
      dns = dns(%{{"app.internal", :a} => ["10.0.0.1"]})
      resolver = open([dns], resolv_conf: resolv_conf(@kubernetes))

      assert {:ok, %{name: "app.internal"}} = ask(resolver, "app.internal")

      assert names(dns) == [
               "app.internal.ns.svc.cluster.local",
               "app.internal.svc.cluster.local",
               "app.internal.cluster.local",
               "app.internal"
             ]

      ScriptedDNS.clear_queries(dns)
      assert {:ok, %{name: "app.internal"}} = ask(resolver, "app.internal.")
      assert names(dns) == ["app.internal"]
    end

    test "the name that answered is told" do
      dns = dns(%{{"app.svc.cluster.local", :a} => ["10.0.0.1"]})
      resolver = open([dns], resolv_conf: resolv_conf(@kubernetes))
      assert {:ok, %{name: "app.svc.cluster.local"}} = ask(resolver, "app")
      assert names(dns) == ["app.ns.svc.cluster.local", "app.svc.cluster.local"]
    end

    test "enough dots: as written first" do
      dns = dns(%{})
      resolver = open([dns], resolv_conf: resolv_conf("search one two\n"))
      assert reason(ask(resolver, "app.internal")) == :nxdomain
      assert names(dns) == ["app.internal", "app.internal.one", "app.internal.two"]
    end

    test "no search domain for names of one label either when there is none" do
      dns = dns(%{{"app", :a} => ["10.0.0.1"]})
      assert {:ok, %{name: "app"}} = ask(open([dns]), "app")
    end

    test "a server in trouble for one of the names: the result is trouble, not absence" do
      dns = dns(%{{"app.one", :a} => :servfail})
      resolver = open([dns], resolv_conf: resolv_conf("search one two\n"))
      assert {:error, %{reason: :servfail, name: "app.one"}} = ask(resolver, "app")
      assert "app.two" in names(dns)
    end

    test "trouble for one name does not hide the answer of the next" do
      dns = dns(%{{"app.one", :a} => :servfail, {"app.two", :a} => ["10.0.0.1"]})
      resolver = open([dns], resolv_conf: resolv_conf("search one two\n"))
      assert {:ok, %{name: "app.two"}} = ask(resolver, "app")
    end

    test "no records for one of the names tells more than no such name for the others" do
      dns = dns(%{{"app.one", :a} => :no_records})
      resolver = open([dns], resolv_conf: resolv_conf("search one two\n"))
      assert {:error, %{reason: :no_records, name: "app.one"}} = ask(resolver, "app")
    end

    test "one deadline for all names and all servers" do
      servers = for _ <- 1..3, do: dns(%{}, default: :silent)
      resolver = open(servers, resolv_conf: resolv_conf(@kubernetes))
      started = System.monotonic_time(:millisecond)
      assert reason(ask(resolver, "app.internal", timeout: 500)) == :timeout
      # Without the common deadline it would be 4 names × 3 servers × 5 s.
      assert System.monotonic_time(:millisecond) - started < 5_000
    end

    test "a SRV target is asked as it is" do
      dns = dns(%{{"_app._tcp.one", :srv} => [{0, 0, 1, "t"}], {"t", :a} => ["10.0.0.1"]})
      resolver = open([dns], resolv_conf: resolv_conf("search one two\noptions ndots:5\n"))

      assert {:ok, %{name: "_app._tcp.one"}} =
               ask(resolver, "_app._tcp", type: :srv, families: [:inet])

      assert names(dns) == ["_app._tcp.one", "t"]
    end
  end

  describe "resolv.conf" do
    test "a change of the search list is followed" do
      dns = dns(%{})
      path = resolv_conf("search one\n")
      resolver = open([dns], resolv_conf: path)

      ask(resolver, "app")
      assert "app.one" in names(dns)

      for domain <- ["other", "third"] do
        ScriptedDNS.clear_queries(dns)
        replace(path, "search #{domain}\n")
        ask(resolver, "app")
        assert "app.#{domain}" in names(dns)
      end
    end

    test "a file rewritten in place with the same size is known by its time" do
      dns = dns(%{})
      path = resolv_conf("search one\n")
      resolver = open([dns], resolv_conf: path)
      ask(resolver, "app")

      File.write!(path, "search two\n")
      # Two writes within one tick of the kernel's clock would have the same time.
      File.touch!(path, {{2026, 1, 2}, {3, 4, 5}})
      ScriptedDNS.clear_queries(dns)
      ask(resolver, "app")
      assert "app.two" in names(dns)
    end

    test "a file of the same size, time and name is still another file: kubelets pin the time" do
      dns = dns(%{})
      path = resolv_conf("search one\n")
      time = {{2026, 1, 2}, {3, 4, 5}}
      File.touch!(path, time)
      resolver = open([dns], resolv_conf: path)
      ask(resolver, "app")

      replace(path, "search two\n", time)
      ScriptedDNS.clear_queries(dns)
      ask(resolver, "app")
      assert "app.two" in names(dns)
    end

    test "a link to another file is another file" do
      dns = dns(%{})
      dir = tmp_dir()
      for domain <- ["one", "two"], do: File.write!(Path.join(dir, domain), "search #{domain}\n")
      path = Path.join(dir, "resolv.conf")
      File.ln_s!("one", path)
      resolver = open([dns], resolv_conf: path)
      ask(resolver, "app")
      assert "app.one" in names(dns)

      File.ln_s!("two", path <> ".new")
      File.rename!(path <> ".new", path)
      ScriptedDNS.clear_queries(dns)
      ask(resolver, "app")
      assert "app.two" in names(dns)
    end

    test "a file that goes away and comes back" do
      dns = dns(%{})
      path = resolv_conf("search one\n")
      resolver = open([dns], resolv_conf: path)
      File.rm!(path)
      assert reason(ask(resolver, "app")) == :nxdomain
      File.write!(path, "search two\n")
      ScriptedDNS.clear_queries(dns)
      ask(resolver, "app")
      assert "app.two" in names(dns)
    end

    test "garbage in it harms nothing" do
      dns = dns(app(["10.0.0.1"]))

      text =
        <<0, 255, "\nsearch \xFF\xFE\noptions ndots:x timeout: attempts:-1 \n", 0xC3,
          "nameserver\nnameserver nonsense\n">>

      assert {:ok, _} = ask(open([dns], resolv_conf: resolv_conf(text)), "app.internal")
    end
  end

  describe "name servers from resolv.conf" do
    # They are always asked at port 53, which only root may take.
    case :gen_udp.open(53, ip: {127, 0, 53, 1}) do
      {:ok, socket} -> :gen_udp.close(socket)
      {:error, reason} -> @describetag skip: "port 53 on loopback: #{reason}"
    end

    test "are asked, and a change is followed by the next lookup" do
      one = dns(app(["10.0.0.1"]), ip: "127.0.53.1", port: 53)
      two = dns(app(["10.0.0.2"]), ip: "127.0.53.2", port: 53)
      path = resolv_conf("nameserver 127.0.53.1\n")
      resolver = open([], resolv_conf: path)

      assert {:ok, %{server: "127.0.53.1:53", records: [{10, 0, 0, 1}]}} =
               ask(resolver, "app.internal")

      replace(path, "nameserver 127.0.53.2\n")

      assert {:ok, %{server: "127.0.53.2:53", records: [{10, 0, 0, 2}]}} =
               ask(resolver, "app.internal")

      assert length(ScriptedDNS.queries(one)) == 1
      assert length(ScriptedDNS.queries(two)) == 1
    end

    test "three count, in order; those given in the options come instead of them" do
      servers = for n <- 1..4, do: dns(app(:refused), ip: "127.0.53.1#{n}", port: 53)
      text = for n <- 1..4, into: "", do: "nameserver 127.0.53.1#{n}\n"
      path = resolv_conf(text <> "options attempts:1\n")

      assert reason(ask(open([], resolv_conf: path), "app.internal")) == :refused
      assert Enum.map(servers, &length(ScriptedDNS.queries(&1))) == [1, 1, 1, 0]

      Enum.each(servers, &ScriptedDNS.clear_queries/1)
      assert {:ok, _} = ask(open([dns(app(["10.0.0.1"]))], resolv_conf: path), "app.internal")
      assert Enum.map(servers, &length(ScriptedDNS.queries(&1))) == [0, 0, 0, 0]
    end

    test "IPv6, with a zone" do
      dns(app(["10.0.0.1"]), ip: "::1", port: 53)
      path = resolv_conf("nameserver ::1%lo\n")
      assert {:ok, %{records: [{10, 0, 0, 1}]}} = ask(open([], resolv_conf: path), "app.internal")
    end
  end

  describe "/etc/hosts" do
    test "answers before any server, and before any search domain" do
      dns = dns(%{}, default: ["10.9.9.9"])

      hosts =
        hosts("10.0.0.1 app.internal app # ours\n10.0.0.2\tapp.internal\nfdaa::3 app.internal\n")

      resolver =
        open([dns], hosts: hosts, resolv_conf: resolv_conf("search one\noptions ndots:5\n"))

      assert {:ok, %{server: "hosts", records: [{10, 0, 0, 1}, {10, 0, 0, 2}]}} =
               ask(resolver, "app.internal")

      assert {:ok, %{server: "hosts", records: [{10, 0, 0, 1}]}} = ask(resolver, "app")

      assert {:ok, %{server: "hosts", records: [{10, 0, 0, 1} | _]}} =
               ask(resolver, "APP.internal")

      assert {:ok, %{server: "hosts", records: [{0xFDAA, 0, 0, 0, 0, 0, 0, 3}]}} =
               ask(resolver, "app.internal", type: :aaaa)

      assert ScriptedDNS.queries(dns) == []
    end

    test "an entry of the other family only is no entry" do
      dns = dns(%{{"app.internal", :aaaa} => ["fdaa::3"]})
      resolver = open([dns], hosts: hosts("10.0.0.1 app.internal\n"))
      assert {:ok, %{server: server}} = ask(resolver, "app.internal", type: :aaaa)
      assert server == ScriptedDNS.address(dns)
    end

    test "an entry that leads only to this machine is skipped: Docker writes one" do
      {:ok, interfaces} = Native.interfaces()

      own =
        for {_name, {_, _, _, _} = ip, _prefix} <- interfaces, do: List.to_string(:inet.ntoa(ip))

      for address <- Enum.uniq(["127.0.0.1", "127.0.1.1" | own]) do
        dns = dns(app(["10.0.0.1"]))
        resolver = open([dns], hosts: hosts("#{address} app.internal\n"))
        assert {address, records(ask(resolver, "app.internal"))} == {address, [{10, 0, 0, 1}]}
      end
    end

    test "a name that is not in it is asked" do
      dns = dns(app(["10.0.0.1"]))

      resolver =
        open([dns],
          hosts:
            hosts("10.0.0.9 app other.internal\n# 10.0.0.8 app.internal\nnonsense app.internal\n")
        )

      assert records(ask(resolver, "app.internal")) == [{10, 0, 0, 1}]
    end

    test "a change is followed" do
      path = hosts("10.0.0.1 app.internal\n")
      resolver = open([dns(%{})], hosts: path)
      assert records(ask(resolver, "app.internal")) == [{10, 0, 0, 1}]
      replace(path, "10.0.0.2 app.internal\n")
      assert records(ask(resolver, "app.internal")) == [{10, 0, 0, 2}]
      replace(path, "")
      assert reason(ask(resolver, "app.internal")) == :nxdomain
    end
  end

  describe "names" do
    test "what is no name never leaves the machine" do
      dns = dns(%{}, default: ["10.0.0.1"])
      resolver = open([dns], resolv_conf: resolv_conf("search one\n"))

      for {name, why} <- [
            {"", :empty},
            {".", :empty},
            {"a..b", :empty_label},
            {".a", :empty_label},
            {"a b", :blank},
            {"a\nb", :control},
            {"a\0b", :control},
            {"münchen.de", :not_ascii},
            {<<255, 254>>, :not_ascii},
            {"a/b", :bad_character},
            {"app@internal", :bad_character},
            {String.duplicate("a", 64) <> ".internal", :label_too_long},
            {String.duplicate("abcdefg.", 32) <> "x", :too_long}
          ] do
        assert {:error, failure} = ask(resolver, name)
        assert {name, failure.reason} == {name, {:bad_name, why}}
        assert failure.server == nil
      end

      assert ScriptedDNS.queries(dns) == []
    end

    test "an address answers itself" do
      dns = dns(%{}, default: ["10.9.9.9"])
      resolver = open([dns])

      assert {:ok, %{records: [{10, 0, 0, 5}], ttl: 0, server: "literal", truncated: false}} =
               ask(resolver, "10.0.0.5")

      assert {:ok, %{records: [{0xFDAA, 0, 0, 0, 0, 0, 0, 3}], server: "literal"}} =
               ask(resolver, "fdaa::3", type: :aaaa)

      assert reason(ask(resolver, "10.0.0.5", type: :aaaa)) == :no_records
      assert reason(ask(resolver, "fdaa::3", type: :a)) == :no_records
      assert ScriptedDNS.queries(dns) == []
    end

    test "the longest name there may be is asked" do
      name =
        Enum.map_join(1..3, ".", fn _ -> String.duplicate("a", 63) end) <>
          "." <> String.duplicate("b", 61)

      assert byte_size(name) == 253
      dns = dns(%{{name, :a} => ["10.0.0.1"]})
      resolver = open([dns], resolv_conf: resolv_conf("search one\noptions ndots:5\n"))
      assert {:ok, %{name: ^name}} = ask(resolver, name)
    end
  end

  describe "dnsmasq" do
    @describetag :dnsmasq

    test "answers as it does in the field" do
      many = Path.join(tmp_dir(), "many")

      File.write!(
        many,
        for({a, b, c, d} <- ips(1..100), do: "#{a}.#{b}.#{c}.#{d} many.internal\n")
      )

      dnsmasq =
        Dnsmasq.start!([
          "--local=/internal/",
          "--host-record=app.internal,10.0.0.1,fdaa::3",
          "--host-record=app_two.internal,10.0.0.2",
          "--cname=alias.internal,app.internal",
          "--srv-host=_epmd._tcp.internal,app.internal,4369,10,20",
          "--addn-hosts=#{many}"
        ])

      resolver = open([dnsmasq.nameserver])
      {_ip, port} = dnsmasq.nameserver

      assert {:ok, %{records: [{10, 0, 0, 1}], server: server}} = ask(resolver, "app.internal")
      assert server == "127.0.0.1:#{port}"

      assert {:ok, %{records: [{0xFDAA, 0, 0, 0, 0, 0, 0, 3}]}} =
               ask(resolver, "app.internal", type: :aaaa)

      assert {:ok, %{records: [{10, 0, 0, 2}]}} = ask(resolver, "app_two.internal")
      assert {:ok, %{records: [{10, 0, 0, 1}]}} = ask(resolver, "alias.internal")
      assert records(ask(resolver, "many.internal")) == ips(1..100)
      assert reason(ask(resolver, "gone.internal")) == :nxdomain
      assert reason(ask(resolver, "app_two.internal", type: :aaaa)) == :no_records
      # It has nowhere to forward to.
      assert reason(ask(resolver, "elsewhere.example")) == :refused

      assert {:ok, %{records: [service]}} = ask(resolver, "_epmd._tcp.internal", type: :srv)
      assert %{target: "app.internal", port: 4369, priority: 10, weight: 20} = service
      assert Enum.sort(service.addresses) == [{10, 0, 0, 1}, {0xFDAA, 0, 0, 0, 0, 0, 0, 3}]
    end

    test "that dies is a failure, not an empty answer" do
      dnsmasq = Dnsmasq.start!(["--host-record=app.internal,10.0.0.1"])
      resolver = open([dnsmasq.nameserver])
      assert {:ok, _} = ask(resolver, "app.internal")
      OSProcess.kill(dnsmasq.os_process)
      assert {:error, %{reason: reason}} = ask(resolver, "app.internal", timeout: 500)
      assert reason not in [:nxdomain, :no_records]
    end
  end

  describe "DNSMesh.lookup/2" do
    test "asks the servers given, and gives the answer" do
      dns = dns(app({:ok, ["10.0.0.1"], ttl: 7}))
      address = ScriptedDNS.address(dns)

      assert DNSMesh.lookup("app.internal", nameservers: [address]) ==
               {:ok,
                %DNSMesh.Answer{
                  records: [{10, 0, 0, 1}],
                  ttl: 7,
                  name: "app.internal",
                  server: address,
                  truncated?: false
                }}
    end

    test "asks AAAA and SRV too, and SRV by itself for the name of a service" do
      dns =
        dns(
          %{
            {"app.internal", :aaaa} => ["fdaa::3"],
            {"_epmd._tcp.internal", :srv} =>
              {:ok, [{1, 2, 4369, "n.internal"}], additional: [{"n.internal", "10.0.0.1"}]},
            {"n.internal", :aaaa} => ["fdaa::4"]
          },
          ip: "::1"
        )

      nameservers = [ScriptedDNS.address(dns)]

      assert {:ok, %{records: [{0xFDAA, 0, 0, 0, 0, 0, 0, 3}]}} =
               DNSMesh.lookup("app.internal", type: :aaaa, nameservers: nameservers)

      for opts <- [[], [type: :srv]] do
        assert {:ok, %{records: [service]}} =
                 DNSMesh.lookup("_epmd._tcp.internal", [nameservers: nameservers] ++ opts)

        assert %{target: "n.internal", port: 4369, priority: 1, weight: 2} = service
        assert Enum.sort(service.addresses) == [{10, 0, 0, 1}, {0xFDAA, 0, 0, 0, 0, 0, 0, 4}]
      end
    end

    test "gives the reason alone, and leaves nothing in the mailbox" do
      dns = dns(%{{"slow.internal", :a} => {:delay, 200, ["10.0.0.1"]}})
      nameservers = [ScriptedDNS.address(dns)]

      assert DNSMesh.lookup("gone.internal", nameservers: nameservers) == {:error, :nxdomain}

      assert DNSMesh.lookup("slow.internal", nameservers: nameservers, timeout: 100) ==
               {:error, :timeout}

      refute_receive _late, 200
    end

    test "what is no name is told without a packet" do
      dns = dns(%{}, default: ["10.0.0.1"])

      assert DNSMesh.lookup("a..b", nameservers: [ScriptedDNS.address(dns)]) ==
               {:error, {:bad_name, :empty_label}}

      assert ScriptedDNS.queries(dns) == []
    end

    test "wrong options raise, saying what was expected and what was got" do
      for {opts, message} <- [
            {[type: :mx], ~r/expected :type .* got: :mx/},
            {[timeout: 0], ~r/expected :timeout .* got: 0/},
            {[nameservers: ["ten"]], ~r/expected :nameservers .* got: /},
            {[nameserver: []], ~r/:nameserver/},
            {:a, ~r/keyword list.* got: :a/}
          ] do
        assert_raise ArgumentError, message, fn -> DNSMesh.lookup("app.internal", opts) end
      end
    end
  end

  # Only what is conclusive comes with a SOA.
  defp negative_ttl(reason), do: if(reason in [:nxdomain, :no_records], do: 60)

  defp names(dns), do: for(query <- ScriptedDNS.queries(dns), do: query.name)

  defp resolv_conf(text), do: file("resolv.conf", text)
  defp hosts(text), do: file("hosts", text)

  defp file(name, text) do
    path = Path.join(tmp_dir(), name)
    File.write!(path, text)
    path
  end

  defp tmp_dir do
    dir =
      Path.join(
        System.tmp_dir!(),
        "dns_mesh_#{System.pid()}_#{System.unique_integer([:positive])}"
      )

    File.mkdir_p!(dir)
    on_exit(fn -> File.rm_rf!(dir) end)
    dir
  end

  # As Docker, kubelet and NetworkManager do it: a new file under the old name.
  defp replace(path, text, time \\ nil) do
    File.write!(path <> ".new", text)
    if time, do: File.touch!(path <> ".new", time)
    File.rename!(path <> ".new", path)
  end
end

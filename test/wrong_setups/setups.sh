# The wrong set-ups, each a function: it starts what is wrong, says with `sick` which verdict the doctor has to come to and
# what its fix has to say, does what the fix says, word for word, and ends with `well`. Sourced by `check`.

setups=(
  no_query not_a_child no_such_name no_records server_refuses server_silent local_name no_release_env given_names address_of_nobody
  nobody_else not_started other_basename other_cookie cookie_twice epmd_dropped port_dropped port_elsewhere not_in_allow other_family
  service_address hidden second_name unreachable_member too_many
  load_balancer outsider second_release dead_dns
)

no_query() {
  sets "DNS_CLUSTER_QUERY was forgotten"
  hosts_list 11 12
  host_start 2
  host_start 1 DNS_CLUSTER_QUERY=
  sick 1 query_not_set "DNS_CLUSTER_QUERY"
  host_stop 1
  host_start 1
  well 1
}

not_a_child() {
  sets "DNSMesh was not put into the supervision tree"
  hosts_list 11 12
  host_start 2
  host_start 1 MESH_OPTIONS=nil
  sick 1 not_running "children"
  host_stop 1
  host_start 1 MESH_OPTIONS=[]
  well 1
}

no_such_name() {
  sets "the name is misspelt"
  hosts_list 11 12
  host_start 2
  host_start 1 DNS_CLUSTER_QUERY=ap.internal
  sick 1 no_such_name "spelling"
  host_stop 1
  host_start 1
  well 1
}

no_records() {
  sets "the name is there, and lists nobody"
  hosts_list 11 12
  host_start 2
  host_start 1 DNS_CLUSTER_QUERY=nothing.internal
  sick 1 no_records "have the name list the nodes' addresses"
  printf '10.78.0.11 nothing.internal\n10.78.0.12 nothing.internal\n' >>"$hosts_folder/records"
  kill -HUP "$hosts_dns_pid"
  well 1
}

server_refuses() {
  sets "a name that this name server has no business with"
  hosts_list 11 12
  host_start 2
  host_start 1 DNS_CLUSTER_QUERY=app.example
  sick 1 server_refused "correct the name"
  host_stop 1
  host_start 1
  well 1
}

server_silent() {
  sets "a name server that nobody reaches"
  hosts_list 11 12
  host_start 2
  host_start 1
  kill -STOP "$hosts_dns_pid"
  sick 1 server_silent "53"
  kill -CONT "$hosts_dns_pid"
  well 1
}

local_name() {
  sets "a .local name"
  hosts_list 11 12
  host_start 2
  host_start 1 DNS_CLUSTER_QUERY=app.local
  sick 1 local_name "/etc/hosts"
  printf '10.78.0.11 app.local\n10.78.0.12 app.local\n' >>"$hosts_folder/hosts"
  well 1
  printf '127.0.0.1 localhost\n' >"$hosts_folder/hosts"
}

no_release_env() {
  sets "a release without rel/env.sh: OTP's short names"
  hosts_list 11 12
  host_start 2
  hosts_release=$plain host_start 1
  hosts_release=$plain sick 1 short_names "mix dns_mesh.gen.env"
  host_stop 1
  # As the fix says; that release was built with it.
  host_start 1
  well 1
}

given_names() {
  sets "the platform names the release, and its env.sh gives way"
  hosts_list 11 12
  host_start 2
  host_start 1 RELEASE_DISTRIBUTION=sname
  sick 1 short_names "unset RELEASE_DISTRIBUTION in the environment"
  told 1 "Unset RELEASE_DISTRIBUTION in the environment"
  host_stop 1
  host_start 1 RELEASE_NODE=web
  sick 1 short_names "unset RELEASE_NODE in the environment"
  host_stop 1
  host_start 1
  well 1
}

address_of_nobody() {
  sets "an own address is given that this host does not have"
  hosts_list 11 12
  host_start 2
  # Without a name there is no rpc: it is the log that tells.
  hosts_release=$plain host_start 1 RELEASE_DISTRIBUTION=none 'MESH_OPTIONS=[address: "10.78.0.111"]'
  told 1 "10.78.0.111 is on no interface"
  host_stop 1
  hosts_release=$plain host_start 1 RELEASE_DISTRIBUTION=none 'MESH_OPTIONS=[address: "10.78.0.11"]'
  await 20 "two nodes" sees_nodes 2 app@10.78.0.11
  well 2
}

nobody_else() {
  sets "the only one"
  hosts_list 11
  host_start 1
  sick 1 only_myself "second node"
  host_start 2
  hosts_list 11 12
  well 1
}

not_started() {
  sets "a host is listed where nothing runs"
  hosts_list 11 12
  host_start 1
  sick 1 epmd_refused "start the node there"
  host_start 2
  well 1
}

other_basename() {
  sets "the other node has another basename"
  hosts_list 11 12
  host_start 2 DNS_MESH_BASENAME=worker 'MESH_OPTIONS=[basename: "worker"]'
  host_start 1
  sick 1 not_registered 'basename app (--name app@10.78.0.12), or query "*@app.internal"'
  host_stop 1
  host_start 1 'DNS_CLUSTER_QUERY=*@app.internal'
  well 1
}

other_cookie() {
  sets "another cookie"
  hosts_list 11 12
  host_start 2 RELEASE_COOKIE=another
  host_start 1
  sick 1 wrong_cookie "RELEASE_COOKIE"
  host_stop 2
  host_start 2
  well 1
}

cookie_twice() {
  sets "RELEASE_COOKIE on all nodes, and another one in vm.args"
  hosts_list 11 12
  host_start 2
  host_start 1 'ERL_AFLAGS=-setcookie another'
  sick 1 release_cookie "take -setcookie out of vm.args, ERL_AFLAGS"
  sick 2 wrong_cookie "DNSMesh.doctor() on app@10.78.0.11 tells why"
  host_stop 1
  host_start 1
  well 1
}

epmd_dropped() {
  sets "a firewall swallows epmd's port"
  hosts_list 11 12
  host_drop 1 4369
  host_drop 2 4369
  host_start 2
  host_start 1
  sick 1 epmd_silent "open TCP port 4369"
  host_open 1 4369
  host_open 2 4369
  well 1
}

port_dropped() {
  sets "a firewall lets epmd's port pass, and not the distribution's"
  hosts_list 11 12
  for i in 1 2; do
    host_drop $i 9200-9205
    host_start $i 'ERL_AFLAGS=-kernel inet_dist_listen_min 9200 inet_dist_listen_max 9205'
  done
  sick 1 port_silent 'ERL_AFLAGS="-kernel inet_dist_listen_min 9100 inet_dist_listen_max 9105"'
  for i in 1 2; do
    host_stop $i
    host_start $i 'ERL_AFLAGS=-kernel inet_dist_listen_min 9100 inet_dist_listen_max 9105'
  done
  well 1
  for i in 1 2; do host_open $i 9200-9205; done
}

port_elsewhere() {
  sets "the nodes listen at loopback alone"
  hosts_list 11 12
  for i in 1 2; do host_start $i 'ERL_AFLAGS=-kernel inet_dist_use_interface {127,0,0,1}'; done
  # Not even rpc reaches the node.
  sick_by eval 1 port_closed "without inet_dist_use_interface"
  for i in 1 2; do
    host_stop $i
    host_start $i
  done
  well 1
}

not_in_allow() {
  sets ":allow lacks the network"
  hosts_list 11 12
  host_start 2
  host_start 1 'MESH_OPTIONS=[allow: ["10.99.0.0/16"]]'
  sick 1 not_allowed 'allow: ["10.99.0.0/16", "10.78.0.0/24"]'
  host_stop 1
  host_start 1 'MESH_OPTIONS=[allow: ["10.99.0.0/16", "10.78.0.0/24"]]'
  well 1
}

other_family() {
  sets "IPv6 addresses, and nodes booted for IPv4"
  hosts_list fd78::11 fd78::12
  host_start 2
  host_start 1
  sick_by eval 1 wrong_family 'ERL_AFLAGS="-proto_dist inet6_tcp"'
  for i in 1 2; do
    host_stop $i
    host_start $i "ERL_AFLAGS=-proto_dist inet6_tcp"
  done
  well 1
}

service_address() {
  sets "a service's virtual IP instead of the nodes"
  hosts_list 10.78.0.100
  host_start 2
  host_start 1
  sick 1 virtual_ip "lists the nodes themselves"
  hosts_list 11 12
  well 1
}

hidden() {
  sets "the other node is hidden"
  hosts_list 11 12
  host_start 2 ERL_AFLAGS=-hidden
  host_start 1
  sick 1 hidden "without -hidden"
  host_stop 2
  host_start 2
  well 1
}

second_name() {
  sets "the other node was given another address"
  net_ip host2 address add 10.78.0.22/24 dev eth0
  hosts_list 11 12
  host_start 2 RELEASE_DISTRIBUTION=name RELEASE_NODE=app@10.78.0.22
  host_start 1
  sick 1 other_name "name that node app@10.78.0.12"
  host_stop 2
  host_start 2
  well 1
  net_ip host2 address del 10.78.0.22/24 dev eth0
}

unreachable_member() {
  sets "two of three cannot reach each other"
  hosts_list 11 12
  host_start 1
  host_start 2
  await 20 "two nodes" sees_nodes 1 app@10.78.0.12
  host_deafen 2 3
  hosts_list 11 12 13
  host_start 3
  sick 1 unreachable_for "between app@10.78.0.12 and 10.78.0.13"
  sick 3 member_unreachable "between app@10.78.0.13 and app@10.78.0.12"
  host_hear 2 3
  well 1 2
}

too_many() {
  sets "more nodes than :max_peers"
  hosts_list 11 12 13
  host_start 2
  host_start 3
  host_start 1 'MESH_OPTIONS=[max_peers: 2]'
  await 20 "both" sees_nodes 1 app@10.78.0.12 app@10.78.0.13
  hosts_list 11 12 13 14 15
  sick 1 peer_budget "max_peers"
  hosts_list 11 12 13
  well 1 2
}

load_balancer() {
  sets "a virtual IP beside the nodes that it leads to"
  net_ip host2 address add 10.78.0.77/32 dev lo
  for i in 1 3; do net_ip host$i route add 10.78.0.77/32 via 10.78.0.12; done
  hosts_list 11 12 77
  host_start 2 DNS_MESH_ADDRESS=10.78.0.12 'MESH_OPTIONS=[address: "10.78.0.12"]'
  host_start 1
  sick 1 load_balancer "take 10.78.0.77 out of app.internal"
  hosts_list 11 12
  well 1
  net_ip host2 address del 10.78.0.77/32 dev lo
  for i in 1 3; do net_ip host$i route del 10.78.0.77/32; done
}

outsider() {
  sets "a visible shell that only one node can reach"
  hosts_list 11 12
  host_start 1
  host_start 2
  await 20 "two nodes" sees_nodes 1 app@10.78.0.12
  host_deafen 2 3
  shell_start
  sick 1 outsider "elixir --hidden --name livebook@10.78.0.13"
  sick 2 outsider "elixir --hidden --name livebook@10.78.0.13"
  host_stop 3
  shell_start --hidden
  await 20 "the hidden shell" sees_hidden 1 livebook@10.78.0.13
  well 2
  host_hear 2 3
}

# shell_start [FLAG]: on host3, and back at node 1 whenever it is cut.
shell_start() {
  host_exec 3 elixir "$@" --name livebook@10.78.0.13 --cookie a-secret-of-your-own -e '
    Stream.repeatedly(fn -> Node.connect(:"app@10.78.0.11") && Process.sleep(500) end) |> Stream.run()
  ' </dev/null >>"$hosts_folder/host3.log" 2>&1 &
}

sees_hidden() {
  host_exec "$1" "$hosts_release/bin/app" rpc 'IO.puts(Enum.join(Node.list(:hidden), " "))' | grep -F -- "$2"
}

second_release() {
  sets "a second release on the host; its stop must not reach the first"
  hosts_list 11 12
  host_start 2
  host_start 1
  await 40 "two nodes" sees_nodes 1 app@10.78.0.12
  local second=$tmp/second/bin/app pid
  [ -e "$second" ] || cp -r "$hosts_release" "$tmp/second"
  # The name file's folder, RELEASE_TMP, is the same.
  host_exec 1 env RELEASE_DISTRIBUTION=none "$second" start </dev/null >>"$hosts_folder/host1.log" 2>&1 &
  told 1 "another node of this basename runs on this machine"
  refuses 1 "has no name yet" "$second" stop
  refuses 1 "has no name yet" "$second" rpc "System.stop()"
  pid=$(sed -n 's/.*kill \([0-9]*\)$/\1/p' "$tmp/said")
  kill "$pid"
  await 40 "the end of the second" refuses 1 "no longer runs" "$second" stop

  # As the log says.
  host_exec 1 env DNS_MESH_BASENAME=other "$second" start </dev/null >>"$hosts_folder/host1.log" 2>&1 &
  await 40 "the second's own name" answers 1 other@10.78.0.11 env DNS_MESH_BASENAME=other "$second" rpc 'IO.puts(node())'
  host_exec 1 env DNS_MESH_BASENAME=other "$second" stop
  answers 1 app@10.78.0.11 "$hosts_release/bin/app" rpc 'IO.puts(node())'
  well 1
}

dead_dns() {
  sets "a dead name server, no name known: commands end within a second"
  hosts_list 11 12
  host_start 2
  # Several, so that the only one cannot be it.
  net_ip host1 address add 10.78.0.21/24 dev eth0
  rm -rf "$hosts_folder/tmp1"
  kill -STOP "$hosts_dns_pid"
  local command before longest=0
  for command in stop "rpc 1" pid; do
    before=$(milliseconds)
    refuses 1 "the running node's name is not known" "$hosts_release/bin/app" $command
    before=$(($(milliseconds) - before))
    [ "$before" -le "$longest" ] || longest=$before
  done
  [ "$longest" -lt 1000 ] || fail "a command took $longest ms"
  verdicts+=" ($longest ms)"
  kill -CONT "$hosts_dns_pid"
  net_ip host1 address del 10.78.0.21/24 dev eth0
  host_start 1
  well 1
}

# Hosts made of network namespaces, all on one bridge, and a DNS server that knows app.internal; on each host a release of
# app/ can be started with an environment of its own. Sourced; takes root.
#
#   dns    10.78.0.2  ──┐
#   host1  10.78.0.11 ──┤ 10.78.0.0/24 and fd78::/64
#   host2  10.78.0.12 ──┤
#   host3  10.78.0.13 ──┘

hosts_prefix=wrong$$
hosts_dns=10.78.0.2
# A card that nobody has: what is sent there is lost, as behind a firewall.
hosts_nobody=02:00:00:00:00:99

# hosts_up FOLDER RELEASE: the namespaces and the DNS server; logs and files go into the folder.
hosts_up() {
  hosts_folder=$1 hosts_release=$2
  ip netns add "$hosts_prefix-fabric"
  ip -n "$hosts_prefix-fabric" link add br0 type bridge
  ip -n "$hosts_prefix-fabric" link set br0 up
  local i
  hosts_plug dns 2
  for i in 1 2 3; do hosts_plug "host$i" "1$i"; done
  hosts_resolver "$hosts_dns"
  printf '127.0.0.1 localhost\n' >"$hosts_folder/hosts"
  : >"$hosts_folder/records"
  : >"$hosts_folder/dns.log"
  # Outside .internal it refuses; nothing.internal is a name without addresses.
  ip netns exec "$hosts_prefix-dns" dnsmasq --keep-in-foreground --conf-file=/dev/null --pid-file= --user=root --no-resolv \
    --no-hosts --addn-hosts="$hosts_folder/records" --listen-address="$hosts_dns" --bind-interfaces \
    --local=/internal/ --txt-record=nothing.internal,text --log-facility=- >"$hosts_folder/dns.log" 2>&1 &
  hosts_dns_pid=$!
  # A signal to read the records again, sent before it is there, would be its end.
  await 10 "the DNS server" grep -q 'started, version' "$hosts_folder/dns.log"
}

# hosts_plug NAME NUMBER: a namespace with an end of a cable.
hosts_plug() {
  ip netns add "$hosts_prefix-$1"
  ip -n "$hosts_prefix-$1" link set lo up
  ip -n "$hosts_prefix-$1" link add eth0 type veth peer name "to-$1" netns "$hosts_prefix-fabric"
  ip -n "$hosts_prefix-fabric" link set "to-$1" master br0 up
  ip -n "$hosts_prefix-$1" address add "10.78.0.$2/24" dev eth0
  ip -n "$hosts_prefix-$1" address add "fd78::$2/64" dev eth0 nodad
  ip -n "$hosts_prefix-$1" link set eth0 up
  ip -n "$hosts_prefix-$1" route add default via 10.78.0.1
}

# hosts_list NUMBER…: app.internal has these addresses now, the last parts of which are given, or whole ones.
hosts_list() {
  local one
  for one in "$@"; do
    case $one in *[.:]*) ;; *) one=10.78.0.$one ;; esac
    echo "$one app.internal"
  done >"$hosts_folder/records"
  kill -HUP "$hosts_dns_pid"
}

# hosts_resolver ADDRESS: what /etc/resolv.conf names on all hosts.
hosts_resolver() { printf 'nameserver %s\noptions timeout:1 attempts:1\n' "$1" >"$hosts_folder/resolv.conf"; }

# host_exec NUMBER COMMAND…: on that host, with the files of all hosts and the environment that `host_start` was given.
host_exec() {
  local i=$1 extra=()
  shift
  [ ! -e "$hosts_folder/env$i" ] || mapfile -t extra <"$hosts_folder/env$i"
  ip netns exec "$hosts_prefix-host$i" sh -c 'mount --bind "$0/resolv.conf" /etc/resolv.conf
    mount --bind "$0/hosts" /etc/hosts && exec "$@"' "$hosts_folder" \
    env DNS_CLUSTER_QUERY=app.internal RELEASE_COOKIE=a-secret-of-your-own RELEASE_TMP="$hosts_folder/tmp$i" \
    "${extra[@]}" "$@"
}

# host_start NUMBER [VARIABLE=VALUE…]: the release there.
host_start() {
  local i=$1
  shift
  : >"$hosts_folder/env$i"
  [ $# = 0 ] || printf '%s\n' "$@" >"$hosts_folder/env$i"
  host_exec "$i" "$hosts_release/bin/app" start </dev/null >>"$hosts_folder/host$i.log" 2>&1 &
  hosts_started+=("$!")
}

# host_stop NUMBER: all that runs there, the epmd too.
host_stop() {
  hosts_signal KILL "$hosts_prefix-host$1"
  await 10 "the end of host$1" host_is_empty "$1"
}

host_is_empty() { [ -z "$(ip netns pids "$hosts_prefix-host$1")" ]; }

# host_deafen ONE OTHER, host_hear ONE OTHER: neither reaches the other; both do again.
host_deafen() {
  ip -n "$hosts_prefix-host$1" neigh replace "10.78.0.1$2" lladdr "$hosts_nobody" dev eth0 nud permanent
  ip -n "$hosts_prefix-host$2" neigh replace "10.78.0.1$1" lladdr "$hosts_nobody" dev eth0 nud permanent
}
host_hear() {
  ip -n "$hosts_prefix-host$1" neigh del "10.78.0.1$2" dev eth0
  ip -n "$hosts_prefix-host$2" neigh del "10.78.0.1$1" dev eth0
}

# host_drop NUMBER PORTS, host_open NUMBER PORTS: what this host sends to these TCP ports (4369, or 9200-9205) is lost; passes again.
host_drop() {
  ip -n "$hosts_prefix-host$1" neigh replace 10.78.0.99 lladdr "$hosts_nobody" dev eth0 nud permanent
  ip -n "$hosts_prefix-host$1" route replace default via 10.78.0.99 dev eth0 table 78
  ip -n "$hosts_prefix-host$1" rule add to 10.78.0.0/24 ipproto tcp dport "$2" table 78
}
host_open() { ip -n "$hosts_prefix-host$1" rule del to 10.78.0.0/24 ipproto tcp dport "$2" table 78; }

hosts_signal() {
  local pids
  pids=$(ip netns pids "$2")
  [ -z "$pids" ] || kill -s "$1" $pids 2>/dev/null || true
}

# All that hosts_up has made, and all that runs in it.
hosts_down() {
  local name
  for name in $(ip netns list | cut -d ' ' -f 1 | grep "^$hosts_prefix-"); do
    hosts_signal KILL "$name"
    ip netns delete "$name"
  done
}

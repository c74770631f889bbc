# Hosts made of network namespaces, all on one bridge, and a DNS server that knows app.internal; on each host a release of
# app/ can be started with an environment of its own. Sourced; takes root.
#
#   dns    10.78.0.2  ──┐
#   host1  10.78.0.11 ──┤ 10.78.0.0/24 and fd78::/64
#   host2  10.78.0.12 ──┤
#   host3  10.78.0.13 ──┘

. "$root/examples/support/net.sh"

net_prefix=wrong$$
hosts_dns=10.78.0.2
# A card that nobody has: what is sent there is lost, as behind a firewall.
hosts_nobody=02:00:00:00:00:99

# hosts_up FOLDER RELEASE: the namespaces and the DNS server; logs and files go into the folder.
hosts_up() {
  hosts_folder=$1 hosts_release=$2
  net_up
  net_plug dns eth0 "$hosts_dns/24"
  local i
  for i in 1 2 3; do
    net_plug "host$i" eth0 "10.78.0.1$i/24"
    net_ip "host$i" address add "fd78::1$i/64" dev eth0 nodad
    net_ip "host$i" route add default via 10.78.0.1
  done
  hosts_resolver "$hosts_dns"
  printf '127.0.0.1 localhost\n' >"$hosts_folder/hosts"
  : >"$hosts_folder/records"
  : >"$hosts_folder/dns.log"
  # Outside .internal it refuses; nothing.internal is a name without addresses.
  ip netns exec "$net_prefix-dns" dnsmasq --keep-in-foreground --conf-file=/dev/null --pid-file= --user=root --no-resolv \
    --no-hosts --addn-hosts="$hosts_folder/records" --listen-address="$hosts_dns" --bind-interfaces \
    --local=/internal/ --txt-record=nothing.internal,text --log-facility=- >"$hosts_folder/dns.log" 2>&1 &
  hosts_dns_pid=$!
  # A signal to read the records again, sent before it is there, would be its end.
  await 10 "the DNS server" grep -q 'started, version' "$hosts_folder/dns.log"
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
  net_exec "host$i" sh -c 'mount --bind "$0/resolv.conf" /etc/resolv.conf
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
}

# host_stop NUMBER: all that runs there, the epmd too.
host_stop() {
  net_signal "host$1" KILL
  await 10 "the end of host$1" net_empty "host$1"
}

# host_deafen ONE OTHER, host_hear ONE OTHER: neither reaches the other; both do again.
host_deafen() {
  net_ip "host$1" neigh replace "10.78.0.1$2" lladdr "$hosts_nobody" dev eth0 nud permanent
  net_ip "host$2" neigh replace "10.78.0.1$1" lladdr "$hosts_nobody" dev eth0 nud permanent
}
host_hear() {
  net_ip "host$1" neigh del "10.78.0.1$2" dev eth0
  net_ip "host$2" neigh del "10.78.0.1$1" dev eth0
}

# host_drop NUMBER PORTS, host_open NUMBER PORTS: what this host sends to these TCP ports (4369, or 9200-9205) is lost; passes again.
host_drop() {
  net_ip "host$1" neigh replace 10.78.0.99 lladdr "$hosts_nobody" dev eth0 nud permanent
  net_ip "host$1" route replace default via 10.78.0.99 dev eth0 table 78
  net_ip "host$1" rule add to 10.78.0.0/24 ipproto tcp dport "$2" table 78
}
host_open() { net_ip "host$1" rule del to 10.78.0.0/24 ipproto tcp dport "$2" table 78; }

# All that hosts_up has made, and all that runs in it.
hosts_down() { net_down; }

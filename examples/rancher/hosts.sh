# Hosts as Rancher has them, made of network namespaces: each with Docker's bridge, whose address is the same on all of
# them, and an overlay network between them; and Rancher's DNS server at the address where it is. Sourced; takes root.
#
#   dns  169.254.169.250 ──┐
#   host1  10.42.72.199 ───┤ overlay      docker0 172.17.0.1, with the default route
#   host2  10.42.96.65 ────┤              docker0 172.17.0.1, with the default route
#   host3  10.42.240.66 ───┘              docker0 172.17.0.1, with the default route

. "$(dirname "${BASH_SOURCE[0]}")/../support/net.sh"

net_prefix=hello$$
hosts_overlay=([1]=10.42.72.199 [2]=10.42.96.65 [3]=10.42.240.66)
hosts_dns=169.254.169.250
hosts_release=${BASH_SOURCE[0]%/*}/_build/prod/rel/hello

# hosts_up FOLDER: the namespaces and the DNS server, which lists nobody; logs and files go into the folder.
hosts_up() {
  local i
  hosts_folder=$1
  net_up
  net_plug dns overlay 10.42.0.2/16
  net_ip dns address add "$hosts_dns/32" dev overlay
  for i in "${!hosts_overlay[@]}"; do
    net_plug "host$i" overlay "${hosts_overlay[$i]}/16"
    # A bridge is up once something is plugged in: a container, say, which this cable stands for.
    net_ip "host$i" link add docker0 type bridge
    net_ip "host$i" link add veth0 type veth peer name container0
    net_ip "host$i" link set veth0 master docker0 up
    net_ip "host$i" link set container0 up
    net_ip "host$i" address add 172.17.0.1/16 dev docker0
    net_ip "host$i" link set docker0 up
    net_ip "host$i" route add default via 172.17.0.2
    net_ip "host$i" route add "$hosts_dns" dev overlay
  done

  printf 'search my-stack.rancher.internal rancher.internal\nnameserver %s\n' "$hosts_dns" >"$hosts_folder/resolv.conf"
  : >"$hosts_folder/records"
  ip netns exec "$net_prefix-dns" dnsmasq --keep-in-foreground --conf-file=/dev/null --pid-file= --user=root --no-resolv \
    --no-hosts --addn-hosts="$hosts_folder/records" --listen-address="$hosts_dns" --bind-interfaces \
    --local=/rancher.internal/ --local=/my-hello-service/ --log-facility=- >"$hosts_folder/dns.log" 2>&1 &
  hosts_dns_pid=$!
  # A signal to read the records again, sent before it is there, would be its end.
  for ((i = 0; i < 200; i++)); do
    ! grep -q 'started, version' "$hosts_folder/dns.log" || return 0
    sleep 0.05
  done
  cat "$hosts_folder/dns.log" >&2
  return 1
}

# hosts_list NUMBER…: these are now the service's containers, says DNS.
hosts_list() {
  local i
  for i in "$@"; do echo "${hosts_overlay[$i]} my-hello-service.my-stack.rancher.internal"; done >"$hosts_folder/records"
  kill -HUP "$hosts_dns_pid"
}

# host_start NUMBER: the release there, as its container would be started.
host_start() {
  net_exec "host$1" sh -c 'mount --bind "$0" /etc/resolv.conf && exec "$@"' "$hosts_folder/resolv.conf" \
    env DNS_CLUSTER_QUERY=my-hello-service RELEASE_DISTRIBUTION=none RELEASE_COOKIE=a-secret-of-your-own \
    RELEASE_TMP="$hosts_folder/host$1" "$hosts_release/bin/hello" start </dev/null >>"$hosts_folder/host$1.log" 2>&1 &
}

# host_stop NUMBER: SIGTERM to all that runs there, the node and the epmd it started.
host_stop() { net_signal "host$1" TERM; }

# host_page NUMBER [PATH]: what the node there says.
host_page() {
  net_exec "host$1" curl -fsS --noproxy '*' --max-time 2 "http://localhost:4000/${2:-}"
}

host_is_empty() { net_empty "host$1"; }

# All that hosts_up has made, and all that runs in it.
hosts_down() { net_down; }

# Pods as a StatefulSet has them, made of network namespaces: each with an address, a host name and the files that Kubernetes
# puts into /etc; and a DNS server (NSD) that serves, for those that are listed, the records of their headless service.
# Sourced; takes root.
#
#   dns    10.96.0.10 ───┐
#   app-0  10.244.0.10 ──┤
#   app-1  10.244.0.11 ──┤ one network, 10.244.0.0/16
#   …                    ┘

. "$(dirname "${BASH_SOURCE[0]}")/../support/net.sh"

net_prefix=app$$
pods_domain=cluster.local
pods_service=app.default.svc.$pods_domain
pods_srv=_epmd._tcp.$pods_service
pods_dns=10.96.0.10
pods_build=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/_build
pods_release=$pods_build/prod/rel/app
pods_server=$pods_build/nsd
pods_serial=0
declare -A pods_address=()

# pods_fetch_server: NSD, out of Debian's package. Installed, the package would run a server on this machine.
pods_fetch_server() (
  [ ! -x "$pods_server/usr/sbin/nsd" ] || exit 0
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  cd "$folder"
  simulated() { apt-get install --simulate --no-install-recommends nsd; }
  simulated >/dev/null 2>&1 || apt-get update -qq || true
  # With what it links with and this machine lacks.
  missing=$(simulated | awk '$1 == "Inst" && $2 != "nsd" {print $2}') || exit
  apt-get -o APT::Sandbox::User=root download -qq nsd $missing || exit
  mkdir root
  for package in *.deb; do dpkg-deb -x "$package" root || exit; done
  mkdir -p "$pods_build"
  rm -rf "$pods_server"
  mv root "$pods_server"
)

# pods_up FOLDER: the network and the DNS server, which lists nobody; logs and files go into the folder.
pods_up() {
  local i
  pods_folder=$1
  net_up
  net_plug dns eth0 10.244.0.2/16
  net_ip dns route add default dev eth0
  net_ip dns address add "$pods_dns/32" dev eth0

  cat >"$pods_folder/resolv.conf" <<TEXT
search default.svc.$pods_domain svc.$pods_domain $pods_domain
nameserver $pods_dns
options ndots:5
TEXT
  echo "hosts: files dns" >"$pods_folder/nsswitch.conf"
  cat >"$pods_folder/nsd.conf" <<TEXT
server:
  ip-address: $pods_dns
  username: ""
  zonesdir: "$pods_folder"
  database: ""
  pidfile: ""
  xfrdfile: "$pods_folder/xfrd.state"
  zonelistfile: "$pods_folder/zone.list"
  xfrdir: "$pods_folder"
  rrl-ratelimit: 0
  round-robin: yes
remote-control:
  control-enable: no
zone:
  name: "$pods_domain"
  zonefile: "forward.zone"
zone:
  name: "244.10.in-addr.arpa"
  zonefile: "reverse.zone"
TEXT
  pods_write_zones
  : >"$pods_folder/dns.log"
  LD_LIBRARY_PATH=$(printf '%s:' "$pods_server"/usr/lib/*-linux-*) ip netns exec "$net_prefix-dns" \
    "$pods_server/usr/sbin/nsd" -d -c "$pods_folder/nsd.conf" >"$pods_folder/dns.log" 2>&1 &
  pods_dns_pid=$!
  # A signal to read the zones again, sent before it is there, would be its end.
  for ((i = 0; i < 200; i++)); do
    ! grep -q 'nsd started' "$pods_folder/dns.log" || return 0
    sleep 0.05
  done
  cat "$pods_folder/dns.log" >&2
  return 1
}

# pods_list NUMBER…: these pods are now the service's endpoints, says DNS.
pods_list() {
  pods_write_zones "$@"
  kill -HUP "$pods_dns_pid"
}

# What CoreDNS answers for a headless service with a port called epmd, and for its pods, which have a hostname and a subdomain.
pods_write_zones() {
  local i zone head host
  pods_serial=$((pods_serial + 1))
  head="@ SOA ns.dns.$pods_domain. hostmaster.$pods_domain. $pods_serial 7200 1800 86400 5
@ NS ns.dns.$pods_domain."
  {
    printf '$ORIGIN %s.\n$TTL 5\n%s\nns.dns A %s\n' "$pods_domain" "$head" "$pods_dns"
    for i in "$@"; do
      host=app-$i.$pods_service.
      echo "$pods_service. A ${pods_address[$i]}"
      echo "$host A ${pods_address[$i]}"
      echo "$pods_srv. SRV 0 $((100 / $#)) 4369 $host"
    done
  } >"$pods_folder/forward.new"
  {
    printf '$ORIGIN 244.10.in-addr.arpa.\n$TTL 5\n%s\n' "$head"
    for i in "$@"; do
      awk -F. -v host="app-$i.$pods_service." '{print $4 "." $3, "PTR", host}' <<<"${pods_address[$i]}"
    done
  } >"$pods_folder/reverse.new"
  for zone in forward reverse; do mv "$pods_folder/$zone.new" "$pods_folder/$zone.zone"; done
}

# pod_create NUMBER ADDRESS: a pod in which nothing runs yet.
pod_create() {
  pods_address[$1]=$2
  net_plug "app-$1" eth0 "$2/16"
  net_ip "app-$1" route add default dev eth0
  printf '127.0.0.1 localhost\n%s app-%d.%s app-%d\n' "$2" "$1" "$pods_service" "$1" >"$pods_folder/hosts-$1"
}

# pod_exec NUMBER COMMAND…: in the pod, with the environment of its container.
pod_exec() {
  local files=$pods_folder i=$1
  shift
  net_exec "app-$i" unshare --uts sh -c '
    echo "$2" >/proc/sys/kernel/hostname
    mount --bind "$0/resolv.conf" /etc/resolv.conf
    mount --bind "$0/hosts-$1" /etc/hosts
    [ ! -e /etc/nsswitch.conf ] || mount --bind "$0/nsswitch.conf" /etc/nsswitch.conf
    shift 2
    exec "$@"' "$files" "$i" "app-$i" \
    env RELEASE_DISTRIBUTION=name RELEASE_NODE="app@app-$i.$pods_service" RELEASE_COOKIE=a-secret-of-your-own \
    DNS_CLUSTER_QUERY="${pods_query:-$pods_srv}" RELEASE_TMP="$files/tmp-$i" "$@"
}

# pod_start NUMBER: its container's command. `pods_query`, if set, is what it asks instead of the SRV records.
pod_start() { pod_exec "$1" "$pods_release/bin/app" start </dev/null >>"$pods_folder/app-$1.log" 2>&1 & }

# pod_stop NUMBER: SIGTERM to all that runs there, the node and the epmd it started.
pod_stop() { net_signal "app-$1" TERM; }

# pod_delete NUMBER: the pod, with its address, is no more. What still runs there has no time to say goodbye.
pod_delete() {
  net_ip "app-$1" link delete eth0
  net_unplug "app-$1"
}

# pod_page NUMBER [PATH]: what the node there says.
pod_page() {
  net_exec "app-$1" curl -fsS --noproxy '*' --max-time 2 "http://localhost:4000/${2:-}"
}

pod_is_empty() { net_empty "app-$1"; }

# All that pods_up and pod_create have made, and all that runs in it.
pods_down() { net_down; }

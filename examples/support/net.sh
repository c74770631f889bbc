# Hosts made of network namespaces, all plugged into one bridge. Sourced; takes root. `net_prefix` has to be set, and to be
# of this run alone; it begins the names of all namespaces.

# net_up: the bridge, in a namespace of its own.
net_up() {
  ip netns add "$net_prefix-fabric"
  ip -n "$net_prefix-fabric" link add br0 type bridge
  ip -n "$net_prefix-fabric" link set br0 up
}

# net_plug HOST CARD ADDRESS/BITS: a host with one network card, whose cable leads to the bridge.
net_plug() {
  ip netns add "$net_prefix-$1"
  ip -n "$net_prefix-$1" link set lo up
  ip -n "$net_prefix-$1" link add "$2" type veth peer name "to-$1" netns "$net_prefix-fabric"
  ip -n "$net_prefix-fabric" link set "to-$1" master br0 up
  ip -n "$net_prefix-$1" address add "$3" dev "$2"
  ip -n "$net_prefix-$1" link set "$2" up
}

# net_ip HOST …, net_exec HOST …: `ip` there; any command there.
net_ip() { ip -n "$net_prefix-$1" "${@:2}"; }
net_exec() { ip netns exec "$net_prefix-$1" "${@:2}"; }

# net_signal HOST SIGNAL: to all that runs there.
net_signal() {
  local pids
  pids=$(ip netns pids "$net_prefix-$1")
  [ -z "$pids" ] || kill -s "$2" $pids 2>/dev/null || true
}

# net_empty HOST: nothing runs there.
net_empty() { [ -z "$(ip netns pids "$net_prefix-$1")" ]; }

# net_unplug HOST: it is no more, nor is what runs there.
net_unplug() {
  net_signal "$1" KILL
  ip netns delete "$net_prefix-$1"
}

# net_down: all that is there.
net_down() {
  local name
  for name in $(ip netns list | cut -d ' ' -f 1 | grep "^$net_prefix-"); do net_unplug "${name#"$net_prefix-"}"; done
}

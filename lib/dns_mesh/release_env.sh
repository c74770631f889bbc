# >>> dns_mesh >>> written by `mix dns_mesh.gen.env`, which replaces all down to the end mark: your lines go above it
# Names the node by its own address, which DNS_CLUSTER_QUERY leads to, when it starts. The other commands read that name
# from a file. RELEASE_NODE and RELEASE_DISTRIBUTION, where they are set, win. Says nothing and changes nothing without
# DNS_CLUSTER_QUERY. Three more variables are heeded, all optional: DNS_MESH_ADDRESS (the address, interface:eth1,
# subnet:10.0.0.0/8 or env:POD_IP), DNS_MESH_BASENAME (instead of RELEASE_NAME), DNS_MESH_NAME_FILE (where the name is).

dns_mesh_env() {
  case ${RELEASE_COMMAND:-} in
    start | start_iex | daemon | daemon_iex)
      dns_mesh_places
      dns_mesh_start "${RELEASE_VM_ARGS:-$REL_VSN_DIR/vm.args}"
      ;;
    remote | rpc | restart | stop | pid)
      dns_mesh_places
      dns_mesh_client "${RELEASE_REMOTE_VM_ARGS:-$REL_VSN_DIR/remote.vm.args}"
      ;;
    eval)
      # Not a node of its own, and DNS is none of its business; but code in it may want to know the running one's name.
      dns_mesh_places
      dns_mesh_read
      [ "${RELEASE_DISTRIBUTION:-}" = none ] || dns_mesh_given || [ -z "$dns_mesh_name" ] || dns_mesh_use
      ;;
  esac
}

dns_mesh_start() {
  if dns_mesh_given || ! dns_mesh_asked; then
    dns_mesh_forget
    return 0
  fi

  if [ "${RELEASE_DISTRIBUTION:-}" != none ]; then
    if dns_mesh_derive "$1"; then
      dns_mesh_use
      dns_mesh_proto "$1"
      dns_mesh_write "$dns_mesh_name"
      return 0
    fi
    if [ -z "$dns_mesh_helper" ]; then
      dns_mesh_say "$dns_mesh_why, so the node is named as if there were no DNS_CLUSTER_QUERY"
      return 0
    fi
    dns_mesh_say "no node name yet ($dns_mesh_why): starting without distribution, DNSMesh takes a name once it can"
  fi

  # DNSMesh writes the name it takes at run time to this file.
  export RELEASE_DISTRIBUTION=none
  if dns_mesh_write ""; then export DNS_MESH_NAME_FILE="$dns_mesh_file"; fi
}

# The node gets its name elsewhere now. What the last start has left in the file, the other commands must not read.
dns_mesh_forget() {
  dns_mesh_read
  if [ -z "$dns_mesh_name" ] || [ "$dns_mesh_name" = "${RELEASE_NODE:-}" ]; then return 0; fi
  dns_mesh_write ""
}

dns_mesh_client() {
  ! dns_mesh_given || return 0
  dns_mesh_read
  if [ -z "$dns_mesh_name" ]; then
    dns_mesh_asked || return 0
    if ! dns_mesh_derive "$1"; then
      dns_mesh_say "the running node's name is not known ($dns_mesh_why). Set RELEASE_DISTRIBUTION=name and RELEASE_NODE"
      return 0
    fi
  fi
  dns_mesh_use
  dns_mesh_proto "$1"
}

# The operator has named the node. `none` without a name has not: then DNSMesh names the node at run time.
dns_mesh_given() {
  case ${RELEASE_DISTRIBUTION:-}/${RELEASE_NODE:-} in
    / | name/) return 1 ;;
    none/*@*) return 0 ;;
    none/*) return 1 ;;
  esac
}

dns_mesh_asked() {
  case ${DNS_CLUSTER_QUERY:-} in
    *[!\ ,]*) ;;
    *) return 1 ;;
  esac
}

dns_mesh_use() {
  export RELEASE_DISTRIBUTION=name
  export RELEASE_NODE="$dns_mesh_name"
}

# An IPv6 address needs another carrier. Given twice, OTP takes none of the two, so not where it is given in a file.
dns_mesh_proto() {
  case $dns_mesh_name in
    *@*:*)
      if [ -z "$(dns_mesh_proto_given "$1")" ]; then
        export ERL_AFLAGS="${ERL_AFLAGS:+$ERL_AFLAGS }-proto_dist inet6_tcp"
      fi
      ;;
  esac
}

dns_mesh_proto_given() {
  {
    printf '%s\n' "${ERL_AFLAGS:-} ${ERL_FLAGS:-} ${ERL_ZFLAGS:-} ${ELIXIR_ERL_OPTIONS:-}"
    cat "$1"
  } 2>/dev/null | sed -n -e 's/#.*//' -e 's/^/ /' -e 's/.*[[:space:]]-proto_dist[[:space:]]\{1,\}\([a-z0-9_]*\).*/\1/p'
}

# The name, from DNS, into $dns_mesh_name; else why there is none into $dns_mesh_why.
dns_mesh_derive() {
  dns_mesh_name=
  dns_mesh_helper=
  for dns_mesh_file in "$RELEASE_ROOT"/lib/dns_mesh-*/priv/native/dns_mesh; do
    if [ -x "$dns_mesh_file" ]; then dns_mesh_helper=$dns_mesh_file; fi
  done
  if [ -z "$dns_mesh_helper" ]; then
    dns_mesh_why="there is no lib/dns_mesh-*/priv/native/dns_mesh in $RELEASE_ROOT"
    return 1
  fi

  case $(dns_mesh_proto_given "$1") in
    inet6_*) set -- node-name --family 6 ;;
    inet_*) set -- node-name --family 4 ;;
    *) set -- node-name ;;
  esac
  if [ -n "${DNS_MESH_ADDRESS:-}" ]; then set -- "$@" --address "$DNS_MESH_ADDRESS"; fi
  if [ -n "${DNS_MESH_BASENAME:-}" ]; then set -- "$@" --basename "$DNS_MESH_BASENAME"; fi

  if dns_mesh_name=$("$dns_mesh_helper" "$@" 2>&1) && dns_mesh_check; then return 0; fi
  # In one line, and by the name that such a setting has here.
  dns_mesh_why=$(printf '%s\n' "${dns_mesh_name:-$dns_mesh_helper says nothing}" |
    sed -e '/^Try: /d' -e 's/^dns_mesh: //' -e 's/--address/DNS_MESH_ADDRESS/g' |
    sed -e ':join' -e '$!N' -e 's/\n/; /' -e 't join')
  dns_mesh_why=${dns_mesh_why% }
  dns_mesh_name=
  return 1
}

# Where the name is kept: a file for each release, its folder and this host, because folders are shared by containers.
# The second place is for a root that is read-only, or somebody else's.
dns_mesh_places() {
  dns_mesh_file=$({ uname -n; printf '%s\n' "$RELEASE_ROOT"; } 2>/dev/null | cksum 2>/dev/null)
  dns_mesh_file=dns_mesh-$RELEASE_NAME-${dns_mesh_file%% *}
  dns_mesh_first=${DNS_MESH_NAME_FILE:-${RELEASE_TMP:-$RELEASE_ROOT/tmp}/$dns_mesh_file}
  dns_mesh_second=${TMPDIR:-/tmp}/dns_mesh-$(id -u 2>/dev/null)/$dns_mesh_file
}

# The name in the newer of the two files: an older one may be there to stay, where another user wrote it.
dns_mesh_read() {
  dns_mesh_name=
  dns_mesh_file=$dns_mesh_first
  if [ -z "${DNS_MESH_NAME_FILE:-}" ] && dns_mesh_private && [ -f "$dns_mesh_second" ]; then
    if [ ! -f "$dns_mesh_first" ] || [ "$dns_mesh_second" -nt "$dns_mesh_first" ]; then
      dns_mesh_file=$dns_mesh_second
    fi
  fi
  if [ -f "$dns_mesh_file" ] && [ -r "$dns_mesh_file" ]; then read -r dns_mesh_name <"$dns_mesh_file"; fi
  dns_mesh_check || dns_mesh_name=
}

# Puts the name, or nothing, into the first place that can be written; that one is in $dns_mesh_file then.
dns_mesh_write() {
  dns_mesh_file=$dns_mesh_first
  mkdir -p "${dns_mesh_file%/*}" 2>/dev/null
  if dns_mesh_put "$1" 2>/dev/null; then return 0; fi
  [ -z "${DNS_MESH_NAME_FILE:-}" ] || return 1

  dns_mesh_file=$dns_mesh_second
  mkdir -p -m 700 "${dns_mesh_file%/*}" 2>/dev/null
  dns_mesh_private && dns_mesh_put "$1" 2>/dev/null
}

# All or nothing, and never through a link that somebody else put there.
dns_mesh_put() {
  rm -f "$dns_mesh_file.$$" &&
    (set -C && printf '%s\n' "$1" >"$dns_mesh_file.$$") &&
    mv -f "$dns_mesh_file.$$" "$dns_mesh_file"
}

dns_mesh_private() {
  [ -d "${dns_mesh_second%/*}" ] && [ ! -h "${dns_mesh_second%/*}" ] && [ -O "${dns_mesh_second%/*}" ]
}

dns_mesh_check() {
  case $dns_mesh_name in
    *[!A-Za-z0-9_.:@-]* | *@*@* | @* | *@) return 1 ;;
    *@*) ;;
    *) return 1 ;;
  esac
}

dns_mesh_say() { printf '%s\n' "dns_mesh: $1" >&2; }

# Behind || no failing command ends the release's script, which runs with set -e.
dns_mesh_env || :
unset -f dns_mesh_env dns_mesh_start dns_mesh_forget dns_mesh_client dns_mesh_given dns_mesh_asked dns_mesh_use \
  dns_mesh_proto dns_mesh_proto_given dns_mesh_derive dns_mesh_places dns_mesh_read dns_mesh_write dns_mesh_put \
  dns_mesh_private dns_mesh_check dns_mesh_say
unset dns_mesh_name dns_mesh_why dns_mesh_helper dns_mesh_file dns_mesh_first dns_mesh_second
# <<< dns_mesh <<<

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
      if [ "${RELEASE_DISTRIBUTION:-}" != none ] && ! dns_mesh_given && dns_mesh_sound &&
        dns_mesh_read "$dns_mesh_own" && dns_mesh_check && ! dns_mesh_gone; then
        dns_mesh_use
      fi
      ;;
  esac
}

dns_mesh_start() {
  if ! dns_mesh_asked; then
    dns_mesh_left
    return 0
  fi

  if [ "${RELEASE_DISTRIBUTION:-}" != none ]; then
    if dns_mesh_given; then
      dns_mesh_by_hand
      return 0
    fi
    if dns_mesh_derive "$1"; then
      dns_mesh_use
      dns_mesh_proto "$1"
      dns_mesh_hand_on "$dns_mesh_name"
      return 0
    fi
    if [ -z "$dns_mesh_helper" ]; then
      dns_mesh_left
      dns_mesh_say "$dns_mesh_why, so the node is named as if there were no DNS_CLUSTER_QUERY"
      return 0
    fi
    if [ "$dns_mesh_status" = 2 ]; then
      dns_mesh_say "no node name ($dns_mesh_why): starting without distribution, and without a name until that is mended"
    else
      dns_mesh_say "no node name yet ($dns_mesh_why): starting without distribution, DNSMesh takes a name once it can"
    fi
  fi

  export RELEASE_DISTRIBUTION=none
  dns_mesh_hand_on ""
}

# The release names the node as if this block were not there. What the last start has left, the commands must not read.
dns_mesh_left() {
  if dns_mesh_sound && dns_mesh_read "$dns_mesh_own"; then dns_mesh_by_hand; fi
}

# The commands find a node that the operator has named as well, but for a short name, which only its own variables give.
dns_mesh_by_hand() {
  dns_mesh_name=${RELEASE_NODE:-}
  if [ "${RELEASE_DISTRIBUTION:-}" = name ] && dns_mesh_check; then
    dns_mesh_hand_on "$dns_mesh_name"
  else
    dns_mesh_write -
  fi
}

# DNSMesh writes to the same file which process it runs in, and the name if it takes one at run time.
dns_mesh_hand_on() {
  if dns_mesh_write "$1"; then export DNS_MESH_NAME_FILE="$dns_mesh_file"; fi
}

# The running node's name for a command. Where it is not known, the command ends here: by another name, be it the
# release's own, it could reach another node.
dns_mesh_client() {
  ! dns_mesh_given || return 0
  dns_mesh_helper=
  dns_mesh_list=
  if dns_mesh_sound && dns_mesh_find; then
    [ "$dns_mesh_name" != - ] || return 0
    dns_mesh_reachable
  elif [ -n "$dns_mesh_list" ]; then
    # An address that makes no sense is no other node's.
    if [ -n "${DNS_MESH_ADDRESS:-}" ] && ! dns_mesh_derive "$1" --timeout 400 && [ "$dns_mesh_status" = 2 ]; then
      dns_mesh_unknown
    fi
    dns_mesh_fail "which node? From here were started: $dns_mesh_list. Give the command the DNS_MESH_BASENAME and \
DNS_MESH_ADDRESS of its start, or RELEASE_DISTRIBUTION=name and RELEASE_NODE"
  else
    ! dns_mesh_sound || dns_mesh_asked || return 0
    # A health check has a second in all.
    if ! dns_mesh_derive "$1" --timeout 400; then
      if [ -z "$dns_mesh_helper" ]; then
        dns_mesh_say "$dns_mesh_why, so the node is looked for as if there were no DNS_CLUSTER_QUERY"
        return 0
      fi
      dns_mesh_unknown
    fi
  fi
  dns_mesh_use
  dns_mesh_proto "$1"
}

dns_mesh_unknown() {
  dns_mesh_fail "the running node's name is not known ($dns_mesh_why). Set RELEASE_DISTRIBUTION=name and RELEASE_NODE"
}

# Ends the command, unless what the file says is a name that the node from here bears at this moment.
dns_mesh_reachable() {
  dns_mesh_pid=${dns_mesh_owner%% *}
  if dns_mesh_gone; then
    dns_mesh_why="was started from here, and no longer runs (process $dns_mesh_pid has ended)"
    if [ -z "$dns_mesh_name" ]; then dns_mesh_fail "a node without a name yet $dns_mesh_why"; fi
    dns_mesh_fail "$dns_mesh_name $dns_mesh_why. \
If another node of that name is meant: RELEASE_DISTRIBUTION=name RELEASE_NODE=$dns_mesh_name"
  fi
  if [ -z "$dns_mesh_name" ]; then
    dns_mesh_lives || dns_mesh_pid=
    dns_mesh_fail "the node was started from here, and has no name yet, so no command reaches it: wait until its log says \
which node it is${dns_mesh_pid:+, or end it with: kill $dns_mesh_pid}"
  fi
  case ${DNS_MESH_NAME_FILE:+${DNS_MESH_BASENAME:-}} in
    '' | "${dns_mesh_name%%@*}") ;;
    *)
      dns_mesh_fail "$DNS_MESH_NAME_FILE holds $dns_mesh_name, the name of another node than \
DNS_MESH_BASENAME=$DNS_MESH_BASENAME: give each node a DNS_MESH_NAME_FILE of its own"
      ;;
  esac
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

# Whether there can be a node of that basename; if not, the program says what is wrong with it.
dns_mesh_sound() {
  case $dns_mesh_base in
    *[!A-Za-z0-9_-]*) return 1 ;;
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
  } 2>/dev/null | sed -n -e 's/#.*//' -e 's/^/ /' -e 's/.*[[:space:]]-proto_dist[[:space:]]\{1,\}\([a-z0-9_]*\).*/\1/p' \
    2>/dev/null
}

# The name, from DNS, into $dns_mesh_name; else why there is none into $dns_mesh_why.
dns_mesh_derive() {
  dns_mesh_name=
  dns_mesh_helper=
  dns_mesh_status=
  for dns_mesh_file in "$RELEASE_ROOT"/lib/dns_mesh-*/priv/native/dns_mesh; do
    if [ -x "$dns_mesh_file" ]; then dns_mesh_helper=$dns_mesh_file; fi
  done
  if [ -z "$dns_mesh_helper" ]; then
    dns_mesh_why="there is no lib/dns_mesh-*/priv/native/dns_mesh in $RELEASE_ROOT"
    return 1
  fi

  dns_mesh_args=$1
  shift
  case $(dns_mesh_proto_given "$dns_mesh_args") in
    inet6_*) set -- node-name "$@" --family 6 ;;
    inet_*) set -- node-name "$@" --family 4 ;;
    *) set -- node-name "$@" ;;
  esac
  if [ -n "${DNS_MESH_ADDRESS:-}" ]; then set -- "$@" --address "$DNS_MESH_ADDRESS"; fi
  if [ -n "${DNS_MESH_BASENAME:-}" ]; then set -- "$@" --basename "$DNS_MESH_BASENAME"; fi

  # Only what it prints on stdout is the name. On stderr others speak as well, about a preload that they lack, say: these
  # lines get a mark.
  dns_mesh_said=$(
    {
      { "$dns_mesh_helper" "$@" 3>&- || printf '\n=%s\n' "$?"; } 2>&1 >&3 3>&- | sed 's/^/!/' 2>/dev/null
    } 3>&1
  )
  dns_mesh_status=$(printf '%s\n' "$dns_mesh_said" | sed -n 's/^=//p' 2>/dev/null)
  dns_mesh_name=$(printf '%s\n' "$dns_mesh_said" | sed -e '/^!/d' -e '/^=/d' 2>/dev/null)
  if [ -z "$dns_mesh_status" ] && dns_mesh_check; then return 0; fi

  # Its own sentences, or else those of whoever kept it from running. In one line, and by the names that settings have here.
  dns_mesh_why=$(printf '%s\n' "$dns_mesh_said" | sed -n 's/^!dns_mesh: //p')
  if [ -z "$dns_mesh_why" ]; then dns_mesh_why=$(printf '%s\n' "$dns_mesh_said" | sed -e '/^=/d' -e 's/^!//'); fi
  dns_mesh_why=$(printf '%s\n' "${dns_mesh_why:-$dns_mesh_helper says nothing}" |
    sed -e 's/--address/DNS_MESH_ADDRESS/g' -e 's/--basename/DNS_MESH_BASENAME/g' -e '/^$/d' |
    sed -e ':join' -e '$!N' -e 's/\n/; /' -e 't join')
  dns_mesh_why=${dns_mesh_why% }
  dns_mesh_name=
  return 1
}

# Where the names are kept: a file for each node. Folders are shared by containers (the host's name, the network
# namespace) and by nodes of several basenames or addresses. The second place is for a root that is read-only, or
# somebody else's.
dns_mesh_places() {
  dns_mesh_base=${DNS_MESH_BASENAME:-$RELEASE_NAME}
  dns_mesh_key=$({
    uname -n
    readlink /proc/self/ns/net
    printf '%s\n' "$RELEASE_ROOT"
  } 2>/dev/null | cksum 2>/dev/null)
  dns_mesh_key=dns_mesh-$RELEASE_NAME-${dns_mesh_key%% *}
  dns_mesh_own=$dns_mesh_key-$dns_mesh_base
  if [ -n "${DNS_MESH_ADDRESS:-}" ]; then
    dns_mesh_file=$(printf '%s\n' "$DNS_MESH_ADDRESS" | cksum 2>/dev/null)
    dns_mesh_own=$dns_mesh_own.${dns_mesh_file%% *}
  fi
  dns_mesh_own=$dns_mesh_own.node
  dns_mesh_first=${RELEASE_TMP:-$RELEASE_ROOT/tmp}
  dns_mesh_second=${TMPDIR:-/tmp}/dns_mesh-$(id -u 2>/dev/null)

  # Not the operator's, but handed on by the VM that this is run by, which may be another node's.
  case ${DNS_MESH_NAME_FILE:-} in
    */dns_mesh-*.node) unset DNS_MESH_NAME_FILE ;;
  esac
}

# The file of the node that the command is for: of this basename and address, or, where no DNS_MESH_ADDRESS is given, the
# only one of this basename. Else the others that were started from here are in $dns_mesh_list: then DNS, which would lead
# to a node that was not, is not to be asked.
dns_mesh_find() {
  if dns_mesh_read "$dns_mesh_own"; then
    if [ -n "${DNS_MESH_NAME_FILE:-}" ] || ! dns_mesh_gone; then return 0; fi
  fi
  [ -z "${DNS_MESH_NAME_FILE:-}" ] || return 1

  dns_mesh_same=
  for dns_mesh_each in "$dns_mesh_first/$dns_mesh_key"-*.node "$dns_mesh_second/$dns_mesh_key"-*.node; do
    if ! dns_mesh_read "${dns_mesh_each##*/}" || [ "$dns_mesh_file" != "$dns_mesh_each" ]; then continue; fi
    if [ "$dns_mesh_name" = - ] || dns_mesh_gone; then continue; fi

    dns_mesh_each=${dns_mesh_each##*/}
    case $dns_mesh_each in
      "$dns_mesh_key-$dns_mesh_base".*) dns_mesh_same="$dns_mesh_same $dns_mesh_each" ;;
    esac
    dns_mesh_each=${dns_mesh_each#"$dns_mesh_key-"}
    dns_mesh_list="$dns_mesh_list${dns_mesh_list:+, }${dns_mesh_name:-${dns_mesh_each%%.*} (no name yet)}"
  done

  dns_mesh_same=${dns_mesh_same# }
  case ${DNS_MESH_ADDRESS:-}/$dns_mesh_same in
    /) ;;
    /*" $dns_mesh_key-"*) ;;
    /*)
      dns_mesh_read "$dns_mesh_same"
      return 0
      ;;
  esac
  # The one that has ended, if there is a file of it.
  dns_mesh_read "$dns_mesh_own"
}

# What the newer of the two files of that name says: an older one may be there to stay, where another user wrote it. Fails
# where there is none. In its first line is the name; nothing, while the node has none; or - where the release names the
# node without this block. In the second is the node's process.
dns_mesh_read() {
  dns_mesh_name=
  dns_mesh_owner=
  dns_mesh_file=${DNS_MESH_NAME_FILE:-$dns_mesh_first/$1}
  if [ -z "${DNS_MESH_NAME_FILE:-}" ] && dns_mesh_private && [ -f "$dns_mesh_second/$1" ]; then
    if [ ! -f "$dns_mesh_file" ] || [ "$dns_mesh_second/$1" -nt "$dns_mesh_file" ]; then
      dns_mesh_file=$dns_mesh_second/$1
    fi
  fi
  if [ ! -f "$dns_mesh_file" ] || [ ! -r "$dns_mesh_file" ]; then return 1; fi
  {
    read -r dns_mesh_name
    read -r dns_mesh_owner
  } <"$dns_mesh_file"
  case $dns_mesh_owner in *[!0-9a-f\ -]*) dns_mesh_owner= ;; esac
  case $dns_mesh_name in
    '' | -) ;;
    *) dns_mesh_check ;;
  esac
}

# Puts the name, or what stands for one, into the first place that can be written; that one is in $dns_mesh_file then.
dns_mesh_write() {
  dns_mesh_sound || return 1
  # This shell becomes the VM, but not a daemon: there DNSMesh says which process is the node's.
  dns_mesh_whose=
  case $RELEASE_COMMAND in start | start_iex) dns_mesh_process $$ ;; esac
  dns_mesh_line=$dns_mesh_whose

  # Started twice: the second cannot take the name that the first has, and has nothing better to say than its name.
  if dns_mesh_read "$dns_mesh_own" && [ "$dns_mesh_owner" != "$dns_mesh_line" ] && dns_mesh_lives; then
    case $1 in '' | "$dns_mesh_name") return 0 ;; esac
  fi

  dns_mesh_file=${DNS_MESH_NAME_FILE:-$dns_mesh_first/$dns_mesh_own}
  mkdir -p "${dns_mesh_file%/*}" 2>/dev/null
  if dns_mesh_put "$1" 2>/dev/null; then return 0; fi
  [ -z "${DNS_MESH_NAME_FILE:-}" ] || return 1

  dns_mesh_file=$dns_mesh_second/$dns_mesh_own
  mkdir -p -m 700 "$dns_mesh_second" 2>/dev/null
  dns_mesh_private && dns_mesh_put "$1" 2>/dev/null
}

# All or nothing, and never through a link that somebody else put there.
dns_mesh_put() {
  rm -f "$dns_mesh_file.$$" &&
    (set -C && printf '%s\n' "$1" ${dns_mesh_line:+"$dns_mesh_line"} >"$dns_mesh_file.$$") &&
    mv -f "$dns_mesh_file.$$" "$dns_mesh_file"
}

dns_mesh_private() {
  [ -d "$dns_mesh_second" ] && [ ! -h "$dns_mesh_second" ] && [ -O "$dns_mesh_second" ]
}

# A process as there is no second one, into $dns_mesh_whose: its number, when it began, and the boot and the PID namespace
# in which these count. DNSMesh writes the same. Nothing, if it has ended; fails where nobody can tell.
dns_mesh_process() {
  dns_mesh_whose=
  dns_mesh_stat=
  {
    read -r dns_mesh_boot </proc/sys/kernel/random/boot_id && read -r dns_mesh_stat </proc/1/stat &&
      dns_mesh_space=$(readlink /proc/self/ns/pid)
  } 2>/dev/null || return 1
  dns_mesh_space=${dns_mesh_space#*\[}
  dns_mesh_space=${dns_mesh_space%\]}

  { read -r dns_mesh_stat </proc/"$1"/stat; } 2>/dev/null || return 0
  # The program's name, in parentheses, may hold anything.
  set -- "$1" ${dns_mesh_stat##*) }
  case $2 in
    Z | X) ;;
    *) dns_mesh_whose="$1 ${21} $dns_mesh_boot $dns_mesh_space" ;;
  esac
}

# Whether the process of which the file is has ended, or lives. Both fail where that cannot be told.
dns_mesh_gone() { [ "$(dns_mesh_life)" = gone ]; }
dns_mesh_lives() { [ "$(dns_mesh_life)" = lives ]; }

dns_mesh_life() {
  if [ -z "$dns_mesh_owner" ] || ! dns_mesh_process "${dns_mesh_owner%% *}"; then return 0; fi
  case $dns_mesh_owner in
    "$dns_mesh_whose") echo lives ;;
    *" $dns_mesh_boot $dns_mesh_space") echo gone ;;
    # In another container of this machine.
    *" $dns_mesh_boot "*) ;;
    *) echo gone ;;
  esac
}

dns_mesh_check() {
  case $dns_mesh_name in
    *[!A-Za-z0-9_.:@-]* | *@*@* | @* | *@) return 1 ;;
    *@*) ;;
    *) return 1 ;;
  esac
}

dns_mesh_say() { printf '%s\n' "dns_mesh: $1" >&2; }

dns_mesh_fail() {
  dns_mesh_say "$1"
  exit 1
}

# Behind || no failing command ends the release's script, which runs with set -e.
dns_mesh_env || :
unset -f dns_mesh_env dns_mesh_start dns_mesh_left dns_mesh_by_hand dns_mesh_hand_on dns_mesh_client dns_mesh_unknown \
  dns_mesh_reachable dns_mesh_given dns_mesh_asked dns_mesh_sound dns_mesh_use dns_mesh_proto dns_mesh_proto_given \
  dns_mesh_derive dns_mesh_places dns_mesh_find dns_mesh_read dns_mesh_write dns_mesh_put dns_mesh_private \
  dns_mesh_process dns_mesh_gone dns_mesh_lives dns_mesh_life dns_mesh_check dns_mesh_say dns_mesh_fail
unset dns_mesh_name dns_mesh_why dns_mesh_helper dns_mesh_file dns_mesh_first dns_mesh_second dns_mesh_base dns_mesh_key \
  dns_mesh_own dns_mesh_args dns_mesh_said dns_mesh_status dns_mesh_same dns_mesh_list dns_mesh_each dns_mesh_owner \
  dns_mesh_pid dns_mesh_whose dns_mesh_line dns_mesh_stat dns_mesh_boot dns_mesh_space
# <<< dns_mesh <<<

# What the checks of the examples have in common. Sourced by examples/*/check, test/page/check, test/wrong_setups/check and
# test/settle/check, which bin/e2e calls.
#
# A check prints its steps, indented, and one closing line, `ok NAME …`, `FAILED NAME …` or `SKIPPED NAME: why`; it exits
# with 0, 1 or 77. Whatever happens it first undoes, in reverse order, what `undo` was told.
set -Eeuo pipefail
shopt -s inherit_errexit

check_folder=$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd)
check_name=$(basename "$check_folder")
root=$(cd "$check_folder/../.." && pwd)
tmp=$(mktemp -d)
check_result=FAILED
check_text="ended before its end"
check_undo=()
check_started=$SECONDS

# Says one step.
say() { printf '   %s\n' "$*"; }

# undo COMMAND…: to be called at the end, whatever the end is.
undo() { check_undo+=("$(printf '%q ' "$@")"); }

# end_job PID: ends what was started here in the background, if it has not ended by itself.
end_job() {
  ! jobs -p | grep -qx "$1" || kill "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

# The three ends.
ok() { check_result=ok check_text="$* in $((SECONDS - check_started)) s" && exit 0; }
fail() { check_text=$* && exit 1; }
skip() { check_result=SKIPPED check_text=$* && exit 77; }

check_end() {
  local status=$? i
  trap - EXIT ERR
  set +e
  if [ "$check_result" = FAILED ] && declare -F evidence >/dev/null; then evidence 2>&1 | sed 's/^/   | /'; fi
  for ((i = ${#check_undo[@]} - 1; i >= 0; i--)); do eval "${check_undo[i]}" >>"$tmp/undo" 2>&1; done
  rm -rf "$tmp"
  case $check_result in
    SKIPPED) echo "SKIPPED $check_name: $check_text" ;;
    *) echo "$check_result $check_name $check_text" ;;
  esac
  [ "$check_result" != FAILED ] || status=1
  exit "$status"
}
trap check_end EXIT
trap 'check_text="$BASH_COMMAND (line $LINENO of ${BASH_SOURCE[0]##*/}) failed"' ERR
# Through `exit`, so that it undoes.
trap 'check_text="interrupted"; exit 1' INT TERM HUP

milliseconds() { date +%s%3N; }
seconds() { printf '%d.%d' $(($1 / 1000)) $(($1 % 1000 / 100)); }

# await SECONDS "what" COMMAND…: calls it until it succeeds, and sets `took` to how long that was, such as "2.4".
# Fails the check when the time is over, with what the command said last.
await() {
  local start now limit=$1 what=$2 said
  shift 2
  start=$(milliseconds)
  until said=$("$@" 2>&1); do
    now=$(milliseconds)
    [ $((now - start)) -lt $((limit * 1000)) ] || fail "not within $limit s: $what; last: ${said:-nothing said}"
    sleep 0.1
  done
  now=$(milliseconds)
  took=$(seconds $((now - start)))
}

# hold SECONDS "what" COMMAND…: it has to go on succeeding for so long.
hold() {
  local end limit=$1 what=$2 said
  shift 2
  end=$(($(milliseconds) + limit * 1000))
  while [ "$(milliseconds)" -lt "$end" ]; do
    said=$("$@" 2>&1) || fail "no longer: $what; ${said:-nothing said}"
    sleep 0.2
  done
}

# logged COMMAND NAME…: keeps what a long step says, and shows its end if it fails.
logged() {
  local what=$1
  shift
  "$@" >"$tmp/log" 2>&1 && return
  tail -n 40 "$tmp/log" | sed 's/^/   | /'
  fail "$what failed"
}

# who NAME OTHER…: the page of a node that sees these, as examples/support/who writes it.
who() {
  local me=$1 others
  shift
  others=$(printf '%s\n' "$@" | LC_ALL=C sort | sed '/^$/d; s/.*/"&"/' | paste -sd, | sed 's/,/, /g')
  printf '{"me": "%s", "others": [%s]}\n' "$me" "$others"
}

# page URL: curl that gives up soon, and never through a proxy.
page() { curl --silent --show-error --fail --noproxy '*' --max-time 2 "$1"; }

# sees PAGE NAME OTHER…: is this page that of a node which sees these?
sees() {
  local is=$1
  shift
  [ "$is" = "$(who "$@")" ] || { echo "${is:-no page}" && return 1; }
}

# need COMMAND [PACKAGE]: it is there, or, on Debian as root, is installed as bin/setup does; else the check is skipped.
need() {
  command -v "$1" >/dev/null && return
  local package=${2:-$1}
  [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ] && command -v apt-get >/dev/null || skip "$package is not installed"
  say "installing $package"
  apt-get update -qq >"$tmp/log" 2>&1 || true
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >>"$tmp/log" 2>&1 ||
    skip "$package could not be installed"
  hash -r
}

# Root, which network namespaces take, or the check is skipped.
need_root() { [ "$(id -u)" = 0 ] || skip "takes root (network namespaces)"; }

# An engine is not installed: it changes the whole machine.
need_docker() {
  command -v docker >/dev/null || skip "docker is not installed"
  timeout 20 docker version >/dev/null 2>&1 || skip "no Docker engine answers"
  # Its containers and networks have names: one run of a check at a time, however many there are.
  exec {check_lock}>"${TMPDIR:-/tmp}/dns-mesh-e2e-$check_name.lock"
  flock --nonblock "$check_lock" && return
  say "waiting for another run of this check to end"
  flock "$check_lock"
}

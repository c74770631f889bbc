# Containers, as the checks of several examples look at them. Sourced after check.sh.

# need_compose: sets `compose` to the command, which is a plugin or, up to 1.29, a program of its own.
need_compose() {
  need_docker
  if docker compose version >/dev/null 2>&1; then
    compose=(docker compose)
  else
    need docker-compose
    compose=(docker-compose)
  fi
}

address_of() { docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$1"; }

# page_of CONTAINER [PATH]: the page, asked for inside: its address need not be reachable from here.
page_of() { timeout 5 docker exec "$1" curl -fsS --max-time 2 "http://localhost:4000/${2:-}"; }

# booted CONTAINER…: waits until each has its page. How long a VM takes to boot is the machine's affair, what it takes from
# then on DNSMesh's.
booted() {
  local id
  for id in "$@"; do await 120 "the page of $id" page_of "$id"; done
}

# log_of CONTAINER: without what a terminal adds, and without the empty line that Elixir's older log format begins every
# entry with. And without two words of OTP's, which come or not as it happens: when a node goes, that its `global` of one
# node has made another drop it too before it noticed by itself; and that the process which serves a page has crashed, as
# httpd's do on a request that comes while they start (they have no names, those of DNSMesh have).
log_of() {
  docker logs "$1" 2>&1 | sed $'s/\e\\[[0-9;]*m//g; s/\r//g' | grep . |
    grep -v -e 'in order to prevent overlapping partitions' -e '\[error\] GenServer #PID<' || true
}

# troubled CONTAINER…: a line in the log of one of them is more than news.
troubled() {
  local id
  for id in "$@"; do
    ! log_of "$id" | grep -E '\[(warning|error|critical|alert|emergency)\]|rash' || return 0
  done
  return 1
}

# crashed CONTAINER…: the same for what is an error.
crashed() {
  local id
  for id in "$@"; do
    ! log_of "$id" | grep -A 12 -E '\[(error|critical|alert|emergency)\]|rash' || return 0
  done
  return 1
}

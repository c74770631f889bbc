# The images that the examples' Dockerfiles start from. Sourced; `choose_images` exports ELIXIR, RUST and RUNNER, the
# Dockerfiles' arguments, where they are not what the Dockerfiles say by themselves.
#
# Where a registry answers (or the images are here already), they are the Dockerfiles' own. Elsewhere they are made here:
# Debian with Elixir, and beside it this machine's Rust with the crates of Cargo.lock, in the places where the official
# images have them. They are kept under tags that name what they were made of, and made once.

images_prefix=dns-mesh-e2e
images_suite=bookworm
images_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/images
images_root=$(cd "$images_folder/../../.." && pwd)
images_packages="elixir erlang-base erlang-dev erlang-asn1 erlang-crypto erlang-eunit erlang-inets erlang-parsetools \
erlang-public-key erlang-ssl erlang-syntax-tools erlang-tools gcc libc6-dev ca-certificates curl libncurses6 libstdc++6 openssl"

choose_images() {
  [ -z "${ELIXIR:-}" ] || return 0 # The user's choice.
  if images_from_registry; then return; fi
  # One at a time, however many runs there are.
  exec {images_lock}>"${TMPDIR:-/tmp}/$images_prefix.lock"
  flock "$images_lock"
  images_make_elixir
  images_make_rust
  flock -u "$images_lock"
  export ELIXIR RUST RUNNER=$ELIXIR
}

images_from_registry() {
  local image
  for image in elixir:1.18 rust:1 debian:bookworm-slim; do
    docker image inspect "$image" >/dev/null 2>&1 || timeout 20 docker manifest inspect "$image" >/dev/null 2>&1 || return
  done
}

images_digest() { sha256sum | cut -c 1-12; }
images_exists() { docker image inspect "$1" >/dev/null 2>&1; }

# Debian's mirror as this machine has it, if it is a Debian; else debootstrap knows one.
images_mirror() {
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | grep -m 1 -E '/debian/?$' || true
}

images_make_elixir() {
  ELIXIR=$images_prefix/elixir:$images_suite-$(echo "$images_packages" | images_digest)
  ! images_exists "$ELIXIR" || return 0
  [ "$(id -u)" = 0 ] || skip "no registry answers, and making an image takes root"
  need debootstrap
  local before=$SECONDS
  rm -rf "$tmp/debian"
  logged debootstrap debootstrap --variant=minbase --include="${images_packages// /,}" "$images_suite" "$tmp/debian" $(images_mirror)
  rm -rf "$tmp"/debian/var/cache/apt/archives/*.deb "$tmp"/debian/usr/share/{doc,man,locale}/*
  # CARGO_TARGET_DIR: where the image with Rust has the crates built already.
  tar -C "$tmp/debian" -c . | docker import --change 'ENV LANG=C.UTF-8 CARGO_TARGET_DIR=/usr/local/cargo/target' \
    --change 'CMD ["bash"]' - "$ELIXIR" >/dev/null
  rm -rf "$tmp/debian"
  images_only "$ELIXIR"
  say "made an image of Debian with Elixir, no registry answers ($((SECONDS - before)) s)"
}

images_make_rust() {
  local manifests
  manifests=$(cd "$images_root" && ls Cargo.toml Cargo.lock native/*/Cargo.toml)
  RUST=$images_prefix/rust:$(
    cd "$images_root" && { echo "$ELIXIR" && rustc -V && cat $manifests "$images_folder/Dockerfile.rust"; } | images_digest
  )
  ! images_exists "$RUST" || return 0
  local before=$SECONDS context=$tmp/rust sysroot
  sysroot=$(cd "$images_root" && rustc --print sysroot)
  mkdir -p "$context/rustup" "$context/cargo"
  # The toolchain without its documentation, tools and other targets.
  tar -C "$sysroot" -c --exclude 'lib/rustlib/src' bin/cargo bin/rustc lib |
    tar -C "$context/rustup" -x
  # Containers may have no way to the registry of crates.
  (cd "$images_root" && logged "cargo vendor" cargo vendor --locked --quiet "$context/cargo/vendor")
  cat >"$context/cargo/config.toml" <<'TOML'
[source.crates-io]
replace-with = "vendored"
[source.vendored]
directory = "/usr/local/cargo/vendor"
TOML
  mkdir "$context/workspace"
  tar -C "$images_root" -c Cargo.toml Cargo.lock native | tar -C "$context/workspace" -x
  logged "building the image with Rust" docker build --network none --build-arg "ELIXIR=$ELIXIR" -t "$RUST" \
    -f "$images_folder/Dockerfile.rust" "$context"
  rm -rf "$context"
  images_only "$RUST"
  say "made an image of this machine's Rust with the crates of Cargo.lock ($((SECONDS - before)) s)"
}

# replace_images TAG…: those that are built now under these tags replace the ones of earlier runs, which go at the end.
replace_images() {
  images_tags=("${@/#/--filter=reference=}")
  images_before=$(docker images --quiet --no-trunc "${images_tags[@]}" | sort -u)
  undo images_remove_replaced
}

images_remove_replaced() {
  local id
  for id in $(comm -23 <(echo "$images_before") <(docker images --quiet --no-trunc "${images_tags[@]}" | sort -u)); do
    docker rmi "$id"
  done
}

# images_only TAG: of the same name, no other tags are kept.
images_only() {
  local tag
  for tag in $(docker images --format '{{.Repository}}:{{.Tag}}' "${1%:*}"); do
    [ "$tag" = "$1" ] || docker rmi "$tag" >/dev/null || true
  done
}

# What the scripts of hack/ and .ci/ share; to be sourced.
# shellcheck shell=bash

# shellcheck disable=SC2034 # for those who source this
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck disable=SC2034 # for those who source this
cache=${PENSTOCK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/penstock}
bounded_child=

say() { echo "== $*" >&2; }

fail() {
  echo "$0: $*" >&2
  exit 1
}

# need COMMAND PACKAGE: says how to get what is missing.
need() { command -v "$1" >/dev/null || fail "$1 is missing. Install: $2"; }

# Says at once what a build needs and this machine lacks.
need_build_tools() {
  local packages="apt-get install gcc g++ make pkg-config libssl-dev zlib1g-dev util-linux" tool
  need cargo "the Rust toolchain, with rustup"
  for tool in cc c++ make pkg-config setpriv; do need "$tool" "$packages"; done
  pkg-config --exists openssl || fail "OpenSSL's headers are missing. Install: $packages"
  [[ -e /usr/include/zlib.h ]] || pkg-config --exists zlib || fail "zlib's headers are missing. Install: $packages"
}

# Says at once what a broker needs and this machine lacks.
need_java() {
  need java "apt-get install default-jre-headless"
  need mvn "apt-get install maven"
}

# bounded SECONDS COMMAND...: runs it for no longer than that, and ends it with everything it started when the script is interrupted.
bounded() {
  local seconds=$1 status=0
  shift
  # timeout leads a process group of its own, which the terminal's Ctrl-C does not reach; hence the trap.
  timeout --kill-after=30 "$seconds" "$@" &
  bounded_child=$!
  trap 'kill -TERM "$bounded_child" 2>/dev/null; wait "$bounded_child" || true; exit 130' INT TERM
  wait "$bounded_child" || status=$?
  trap - INT TERM
  ((status != 124)) || echo "$0: not finished within $seconds s: $*" >&2
  return "$status"
}

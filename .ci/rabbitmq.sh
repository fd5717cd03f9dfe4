#!/usr/bin/env bash
# cells/bus/rabbit against a real RabbitMQ, which the tests start on loopback,
# in a temporary folder, and end by process id; so they do with etcd, where
# cells have their databases, which is built from its module unless ETCD_SERVER
# names a server that is. Arguments go to go test.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! dpkg -s rabbitmq-server >/dev/null 2>&1; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "SKIPPED: needs rabbitmq-server, and root on Debian to install it"
    exit 0
  fi
  apt=(apt-get -qq -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-unsafe-io)
  "${apt[@]}" update
  # Without a run level the package does not start its own node.
  DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 "${apt[@]}" install -y --no-install-recommends rabbitmq-server >/dev/null
fi
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
export ETCD_SERVER=${ETCD_SERVER:-$work/etcd}
[ -x "$ETCD_SERVER" ] || (cd store/etcd/testdata/server && CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o "$ETCD_SERVER" .)
[ $# != 0 ] || set -- -run '^Test' -timeout 240s -v
go test -tags integration -count=1 "$@" ./cells/bus/rabbit

#!/usr/bin/env bash
# store/etcd against a real cluster of three members: etcd is built from its
# module and runs on loopback, in a temporary folder; what it starts it ends
# by process id. Then engines on clusters whose members die, stop or cannot be
# reached, and cells on such networks. ETCD_SERVER names a server that is
# already built. Arguments are a command to run, with KILONOVA_ETCD and
# KILONOVA_ETCD_PIDS set, instead of the tests.
set -euo pipefail
cd "$(dirname "$0")/.."
work="$(mktemp -d)"
pids=()
finish() {
  local code=$?
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait
  if [ $code != 0 ]; then tail -n 30 "$work"/*.log >&2 || true; fi
  rm -rf "$work"
}
trap finish EXIT

server=${ETCD_SERVER:-$work/etcd}
[ -x "$server" ] || (cd store/etcd/testdata/server && CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o "$server" .)

ports=()
while read -r port; do ports+=("$port"); done < <(/usr/bin/env python3 -c '
import socket
s = [socket.socket() for _ in range(6)]
for x in s: x.bind(("127.0.0.1", 0)); print(x.getsockname()[1])')
peers="" endpoints=""
for i in 0 1 2; do
  peers+="${peers:+,}m$i=http://127.0.0.1:${ports[i + 3]}"
  endpoints+="${endpoints:+,}127.0.0.1:${ports[i]}"
done
for i in 0 1 2; do
  client="http://127.0.0.1:${ports[i]}" peer="http://127.0.0.1:${ports[i + 3]}"
  "$server" --name "m$i" --data-dir "$work/m$i" --listen-client-urls "$client" --advertise-client-urls "$client" \
    --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "$peers" --log-level warn >"$work/m$i.log" 2>&1 &
  pids+=("$!")
done
for i in 0 1 2; do
  for try in $(seq 300); do
    if (exec 3<>"/dev/tcp/127.0.0.1/${ports[i]}") 2>/dev/null; then break; fi
    [ "$try" != 300 ] || { echo "FAILED: member $i does not listen" >&2; exit 1; }
    sleep 0.1
  done
done

export KILONOVA_ETCD=$endpoints KILONOVA_ETCD_PIDS="${pids[*]}" ETCD_SERVER=$server
if [ $# != 0 ]; then
  "$@"
  exit
fi
go test -tags integration -c -o "$work/tests" ./store/etcd
"$work/tests" -test.v -test.timeout 120s -test.skip '^TestCompacted'
"$work/tests" -test.v -test.timeout 30s -test.run '^TestCompacted'

if ! command -v ip >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then # to cut members off
  apt=(apt-get -qq -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-unsafe-io)
  "${apt[@]}" update
  DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends iproute2 >/dev/null
fi
go test -tags integration -c -o "$work/tests" ./internal/etcdtest
"$work/tests" -test.v -test.timeout 180s

go test -tags integration -p 1 -timeout 180s -run '^TestEtcd' -v ./cmd/kilonova ./cells/router

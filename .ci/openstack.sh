#!/usr/bin/env bash
# Judges that OpenStack brings: the Placement that Debian packages, a real
# Keystone and the unmodified openstack command, against bin/kilonova. On
# loopback, in a temporary folder; what it starts it ends by process id.
set -euo pipefail
cd "$(dirname "$0")/.."
packages=(python3-placement python3-keystone python3-openstackclient python3-osc-placement uwsgi-core uwsgi-plugin-python3 curl jq)
if ! dpkg -s "${packages[@]}" >/dev/null 2>&1; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "SKIPPED: needs ${packages[*]}, and root on Debian to install them"
    exit 0
  fi
  apt=(apt-get -qq -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-unsafe-io)
  "${apt[@]}" update
  DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends "${packages[@]}" >/dev/null
fi

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
fail() { echo "FAILED: $*" >&2; exit 1; }
passed=0
pass() { passed=$((passed + 1)); echo "ok: $*"; }
unset "${!OS_@}"
export PATH="/usr/sbin:/usr/bin:/sbin:/bin:$PATH" PYTHONWARNINGS=ignore LC_ALL=C.UTF-8 no_proxy=127.0.0.1

CGO_ENABLED=0 go build -trimpath -o bin/kilonova ./cmd/kilonova

echo "--- differential test against Debian's Placement"
KILONOVA_WORLDS=2 KILONOVA_STEPS=100 go test -tags integration -count=1 -run '^TestDifferential$' ./api/placementapi -v &
differential=$!
pids+=("$differential")

# free_port prints a port of loopback where nobody listens.
free_port() { /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
# ready URL PID waits until URL answers 2xx or 3xx.
ready() {
  for _ in $(seq 1800); do
    if curl -sf -o /dev/null --max-time 5 "$1"; then return; fi
    kill -0 "$2" 2>/dev/null || fail "the server of $1 ended"
    sleep 0.1
  done
  fail "$1 does not answer"
}

echo "--- Keystone"
identity_port=$(free_port)
identity="http://127.0.0.1:$identity_port/v3"
mkdir -m 700 "$work/fernet" "$work/receipts" "$work/credential"
cat >"$work/keystone.conf" <<END
[DEFAULT]
log_file = $work/keystone.log
[database]
connection = sqlite:///$work/keystone.db
sqlite_synchronous = False
[token]
provider = fernet
expiration = 3600
[fernet_tokens]
key_repository = $work/fernet
[fernet_receipts]
key_repository = $work/receipts
[credential]
key_repository = $work/credential
END
# manage COMMAND [ARGUMENTS] is keystone-manage.
manage() { keystone-manage --config-file "$work/keystone.conf" "$@" >>"$work/manage.log" 2>&1; }
manage db_sync &
database=$!
manage fernet_setup --keystone-user "$(id -un)" --keystone-group "$(id -gn)"
manage credential_setup --keystone-user "$(id -un)" --keystone-group "$(id -gn)"
wait "$database"
# Keystone reads in one connection while another commits, which only WAL allows.
/usr/bin/python3 -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute("pragma journal_mode = wal")' "$work/keystone.db"
manage bootstrap --bootstrap-password secret --bootstrap-admin-url "$identity" --bootstrap-internal-url "$identity" \
  --bootstrap-public-url "$identity" --bootstrap-region-id RegionOne
# start_keystone EXPIRATION starts it with tokens that are valid so many seconds.
start_keystone() {
  sed -i "s/^expiration = .*/expiration = $1/" "$work/keystone.conf"
  OS_KEYSTONE_CONFIG_DIR="$work" OS_KEYSTONE_CONFIG_FILES=keystone.conf uwsgi --plugin python3 --http-socket "127.0.0.1:$identity_port" \
    --wsgi-file "$(command -v keystone-wsgi-public)" --master --lazy-apps --need-app --die-on-term --disable-logging --enable-threads \
    --buffer-size 65535 --rem-header Content-Length --add-header 'Connection: close' >>"$work/uwsgi.log" 2>&1 &
  keystone=$!
  pids+=("$keystone")
  ready "$identity" "$keystone"
}
stop_keystone() { kill "$keystone"; wait "$keystone" || true; }
start_keystone 3600

# token USER PROJECT prints a new token.
token() {
  curl -sf -D - -o /dev/null -H 'content-type: application/json' "$identity/auth/tokens" -d "$(jq -n --arg u "$1" --arg p "$2" '
    {auth: {identity: {methods: ["password"], password: {user: {name: $u, domain: {id: "default"}, password: "secret"}}},
            scope: {project: {name: $p, domain: {id: "default"}}}}}')" | tr -d '\r' | awk 'tolower($1) == "x-subject-token:" {print $2}'
}
admin=$(token admin admin)
# identity_call METHOD PATH [BODY] prints the answer of Keystone.
identity_call() { curl -sf -X "$1" -H "x-auth-token: $admin" -H 'content-type: application/json' "$identity$2" ${3:+-d "$3"}; }
new() { identity_call POST "/$1s" "$(jq -n --arg k "$1" --argjson v "$2" '{($k): $v}')" | jq -r ".$1.id"; } # KIND VALUE -> id
role_of() { # NAME -> id, made if need be
  local id
  id=$(identity_call GET "/roles?name=$1" | jq -r '.roles[0].id // empty')
  if [ -n "$id" ]; then echo "$id"; else new role "{\"name\": \"$1\"}"; fi
}
grant() { identity_call PUT "/projects/$1/users/$2/roles/$(role_of "$3")"; }
demo=$(new project '{"name": "demo", "domain_id": "default"}')
service=$(new project '{"name": "service", "domain_id": "default"}')
for user in placement nova viewer nobody; do
  declare "$user=$(new user "{\"name\": \"$user\", \"domain_id\": \"default\", \"password\": \"secret\"}")"
done
grant "$service" "$placement" admin
grant "$service" "$placement" service
grant "$service" "$nova" service
grant "$demo" "$viewer" reader
grant "$demo" "$nobody" other

echo "--- kilonova placement-api"
port=$(free_port)
url="http://127.0.0.1:$port"
catalog=$(new service '{"name": "placement", "type": "placement"}')
new endpoint "{\"interface\": \"public\", \"region_id\": \"RegionOne\", \"service_id\": \"$catalog\", \"url\": \"$url\"}" >"$work/endpoint"
cat >"$work/placement.conf" <<END
[keystone_authtoken]
auth_type = password
auth_url = $identity
www_authenticate_uri = $identity
username = placement
password = secret
project_name = service
user_domain_name = Default
project_domain_name = Default
END
bin/kilonova placement-api --listen "127.0.0.1:$port" --state-dir "$work/state" --auth-strategy keystone --config-file "$work/placement.conf" 2>"$work/kilonova.log" &
pids+=("$!")
ready "$url/" "$!"

# status TOKEN PATH [CURL OPTIONS] prints the status of GET PATH.
status() { curl -s -o "$work/body" -w '%{http_code}' -H "x-auth-token: $1" -H 'openstack-api-version: placement 1.39' "${@:3}" "$url$2"; }
# answers WANT WHAT TOKEN PATH [CURL OPTIONS] checks that status.
answers() {
  local got
  got=$(status "${@:3}")
  [ "$got" = "$1" ] || fail "$2: $got, want $1: $(cat "$work/body")"
  pass "$2: $got"
}

echo "--- openstack commands"
export OS_AUTH_URL="$identity" OS_USERNAME=admin OS_PASSWORD=secret OS_PROJECT_NAME=admin OS_USER_DOMAIN_ID=default \
  OS_PROJECT_DOMAIN_ID=default OS_IDENTITY_API_VERSION=3 OS_PLACEMENT_API_VERSION=1.39
# One process runs all commands, as starting it takes longer than what it does.
sed "s/DEMO/$demo/" .ci/openstack-commands.txt >"$work/transcript"
sed -n 's/^openstack //p' "$work/transcript" | PYTHONUNBUFFERED=1 openstack 2>&1 | sed '/^$/d' >"$work/got"
grep -v '^openstack ' "$work/transcript" | diff -u - "$work/got" || fail "openstack prints something else than .ci/openstack-commands.txt has (lines with -)"
pass "$(grep -c '^openstack ' "$work/transcript") commands"
[ "$(openstack resource provider create --uuid 77777777-7777-4777-8777-777777777777 -f value -c name alone)" = alone ] || fail "a command by itself"
pass "a command by itself"
if OS_USERNAME=viewer OS_PROJECT_NAME=demo openstack resource provider list >"$work/got" 2>&1; then fail "a reader lists providers"; fi
grep -q 'Policy does not allow placement:resource_providers:list to be performed. (HTTP 403)' "$work/got" || fail "a reader is told: $(cat "$work/got")"
pass "a reader is told what it may not"
unset "${!OS_@}"

. .ci/openstack-outage.sh

wait "$differential" || fail "differential test"
pass "differential test"
echo "$passed passed, 0 failed"

# Part of openstack.sh: who may do what, and what an absent Keystone means.
echo "--- roles"
list=/resource_providers
used="/usages?project_id"
viewer_token=$(token viewer demo)
nova_token=$(token nova service)
nobody_token=$(token nobody demo)
answers 200 "the version document without a token" "" /
answers 401 "no token" "" $list
answers 401 "an unknown token" "gAAAAABunknown" $list -D "$work/head"
grep -qi "^www-authenticate: Keystone uri=\"$identity\"" "$work/head" || fail "WWW-Authenticate: $(cat "$work/head")"
answers 200 "an administrator lists providers" "$admin" $list
answers 200 "a service lists providers" "$nova_token" $list
answers 403 "a reader of a project lists providers" "$viewer_token" $list
answers 200 "a reader sees the usage of its project" "$viewer_token" "$used=$demo"
answers 403 "a reader sees the usage of another project" "$viewer_token" "$used=$service"
answers 403 "another role sees the usage of its project" "$nobody_token" "$used=$demo"
answers 403 "a reader creates a trait" "$viewer_token" /traits/CUSTOM_READER -X PUT

echo "--- Keystone away"
# eventually WANT WHAT TOKEN PATH waits up to 15 s for that status.
eventually() {
  for _ in $(seq 75); do
    if [ "$(status "$3" "$4")" = "$1" ]; then break; fi
    sleep 0.2
  done
  answers "$@"
}
fresh=$(token nova service)
stop_keystone
answers 200 "a token seen before goes on" "$nova_token" $list
answers 200 "a reader goes on as a reader" "$viewer_token" "$used=$demo"
answers 403 "and as no more than that" "$viewer_token" $list
answers 503 "a new token cannot be judged" "$fresh" $list
start_keystone 12
eventually 200 "a new token, Keystone being back" "$fresh" $list

identity_call PATCH "/users/$placement" '{"user": {"password": "secret"}}' >"$work/user" # revokes the server's own tokens
eventually 200 "a new token, the server's own being revoked" "$(token admin admin)" $list

unseen=$(token nova service)
short=$(token nova service)
until_expiry=$((SECONDS + 13))
answers 200 "a short-lived token" "$short" $list
stop_keystone
answers 200 "goes on while Keystone is away" "$short" $list
sleep $((until_expiry > SECONDS ? until_expiry - SECONDS : 0))
answers 401 "and ends at its expiry, Keystone or not" "$short" $list
answers 503 "an expired token never seen cannot be judged" "$unseen" $list
start_keystone 3600
eventually 401 "but is refused once Keystone is back" "$unseen" $list
answers 401 "an expired token stays refused" "$short" $list
answers 200 "unless a service vouches for it" "$short" $list -H "x-service-token: $(token nova service)"
answers 401 "which no reader can" "$short" $list -H "x-service-token: $(token viewer demo)"

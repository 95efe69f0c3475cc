#!/usr/bin/env bash
# Certificates from Pebble, Let's Encrypt's own test server (Debian: `apt-get install pebble`), on
# loopback: strict, one good nonce of ten refused, no authorisation reused. For each challenge:
# the first certificate, verified by openssl and curl; a restart that orders nothing; a stored
# certificate that was lost; renewals under a stream of webhooks. Then an account that is bound.
#
#   tests/acme/pebble.sh path/to/hookfan        ports ACME_PORT … ACME_PORT+9, 21300 if not told
set -euo pipefail

main() {
  hookfan=$(realpath "$1")
  port=${ACME_PORT:-21300}
  dir_port=$port mgmt=$((port + 1)) dns=$((port + 2)) dns_mgmt=$((port + 3))
  tls_port=$((port + 4)) http_port=$((port + 5)) admin=$((port + 6))
  for tool in pebble pebble-challtestsrv openssl curl; do
    command -v "$tool" >/dev/null || fail "$tool is not installed"
  done
  work=$(mktemp -d)
  pids=()
  trap 'cleanup' EXIT
  cd "$work"
  server_certificate
  begin pebble-challtestsrv -defaultIPv4 127.0.0.1 -defaultIPv6 "" -dns01 "127.0.0.1:$dns" \
    -http01 "" -https01 "" -tlsalpn01 "" -management "127.0.0.1:$dns_mgmt"
  for challenge in tls-alpn http; do
    whole_life "$challenge"
  done
  bound_account
  echo "acme: all good"
}

# Certificates of 90 days: first, restart, lost. Then short ones: renewals.
whole_life() {
  local challenge=$1 began serial
  pebble 7776000 false
  configure "$challenge" ""
  began=$(now_ms)
  gateway
  first_certificate
  echo "$challenge: first certificate after $(($(now_ms) - began)) ms"
  verified hooks.acme.example
  verified second.acme.example
  posted 1
  serial=$(shown_serial)
  restart_gateway
  first_certificate
  [ "$(shown_serial)" = "$serial" ] || fail "a restart changed the certificate"
  [ "$(issued)" = 1 ] || fail "$(issued) certificates after a restart"
  echo "$challenge: a restart ordered nothing"
  stop_gateway
  rm "$work"/data/acme/*/certificate.pem
  gateway
  first_certificate
  [ "$(shown_serial)" != "$serial" ] || fail "a lost certificate came back"
  [ "$(issued)" = 2 ] || fail "$(issued) certificates after a loss"
  [ "$(grep -c 'accounts in memory' pebble.log)" = 1 ] || fail "more than one account"
  echo "$challenge: a lost certificate was replaced, by the same account"
  stop_gateway
  end_pebble
  renewals "$challenge"
}

# Certificates of 20 seconds under one webhook after another.
renewals() {
  local challenge=$1 serials="" serial sent=0 seen
  pebble 20 false
  configure "$challenge" ""
  gateway
  first_certificate
  local until=$((SECONDS + 33))
  while [ $SECONDS -lt $until ]; do
    sent=$((sent + 1))
    posted "$challenge-$sent"
    serial=$(shown_serial)
    case "$serials" in *"$serial"*) ;; *) serials="$serials $serial" ;; esac
  done
  seen=$(wc -w <<<"$serials")
  [ "$seen" -ge 3 ] || fail "$seen certificates in 33 s: $serials"
  # Three refused nonces in a row end an order; the next one comes soon.
  grep tls.certificate_failed gateway.log | grep -v badNonce && fail "a renewal failed"
  verified hooks.acme.example
  echo "$challenge: $seen certificates in 33 s, $sent webhooks of $sent accepted on connections of their own"
  stop_gateway
  end_pebble
}

# A server that wants to know whose account it is.
bound_account() {
  pebble 7776000 true
  printf 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W' >eab.key
  chmod 600 eab.key
  configure tls-alpn ", eab = { key_id = \"kid-1\", hmac_key = { file = \"eab.key\" } }"
  gateway
  first_certificate
  verified hooks.acme.example
  echo "eab: certificate by a bound account"
  stop_gateway
  end_pebble
}

# The directory's own TLS, by a root that only the configuration names.
server_certificate() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=test root" \
    -addext "basicConstraints=critical,CA:TRUE" -keyout root.key -out root.pem 2>/dev/null
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=localhost" \
    -keyout server.key -out server.csr 2>/dev/null
  printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n' >server.ext
  openssl x509 -req -in server.csr -CA root.pem -CAkey root.key -CAcreateserial -days 2 \
    -extfile server.ext -out server.pem 2>/dev/null
}

# pebble LIFETIME BOUND
pebble() {
  rm -rf data pebble.log
  cat >pebble.json <<JSON
{"pebble": {"listenAddress": "127.0.0.1:$dir_port", "managementListenAddress": "127.0.0.1:$mgmt",
  "certificate": "server.pem", "privateKey": "server.key", "httpPort": $http_port, "tlsPort": $tls_port,
  "ocspResponderURL": "", "certificateValidityPeriod": $1, "externalAccountBindingRequired": $2,
  "externalAccountMACKeys": {"kid-1": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"}}}
JSON
  export PEBBLE_VA_NOSLEEP=1 PEBBLE_WFE_NONCEREJECT=${PEBBLE_WFE_NONCEREJECT:-10} PEBBLE_AUTHZREUSE=0
  command pebble -strict -config pebble.json -dnsserver "127.0.0.1:$dns" >pebble.log 2>&1 &
  pebble_pid=$!
  pids+=("$pebble_pid")
  eventually "pebble" curl -fs --cacert root.pem "https://localhost:$mgmt/roots/0" -o issuer.pem
  curl -fs --cacert root.pem "https://localhost:$mgmt/intermediates/0" -o intermediate.pem
}

end_pebble() {
  end "$pebble_pid"
}

issued() {
  grep -c "Issued certificate" pebble.log
}

# configure CHALLENGE MORE
configure() {
  local http=""
  [ "$1" = http ] && http=", http_listen = \"127.0.0.1:$http_port\""
  printf 'a-token-of-thirty-two-characters' >token
  chmod 600 token
  cat >routes.toml <<TOML
[server]
listen = "127.0.0.1:$tls_port"
admin = "127.0.0.1:$admin"
data_dir = "data"
tls = { acme = { domain = ["hooks.acme.example", "second.acme.example"], contact = "ops@acme.example", directory = "https://localhost:$dir_port/dir", ca = "root.pem", challenge = "$1"$http$2 } }

[log]
min_free = "16MiB"

[source.shop]
kind = "generic"
auth = { scheme = "token", header = "X-Token", secret = { file = "token" } }
TOML
  "$hookfan" check -c routes.toml --strict >check.log 2>&1 || [ $? = 2 ] || fail "$(cat check.log)"
}

gateway() {
  "$hookfan" run --log-format json -c routes.toml >>gateway.out 2>gateway.log &
  gateway_pid=$!
  pids+=("$gateway_pid")
  eventually "readiness" curl -fs "http://127.0.0.1:$admin/readyz" -o /dev/null
}

stop_gateway() {
  kill -TERM "$gateway_pid"
  wait "$gateway_pid" || fail "the gateway ended with $?"
}

restart_gateway() {
  stop_gateway
  gateway
}

first_certificate() {
  eventually "a certificate" posted "first-$RANDOM"
}

# A webhook by HTTPS, on a connection of its own, believed by Pebble's root alone.
posted() {
  curl -fs --max-time 10 --cacert issuer.pem --resolve "hooks.acme.example:$tls_port:127.0.0.1" \
    -H "X-Token: a-token-of-thirty-two-characters" -H "content-type: application/json" -d "{\"n\":\"$1\"}" \
    "https://hooks.acme.example:$tls_port/hooks/shop" -o /dev/null
}

# verified NAME: openssl builds the chain and checks the name.
verified() {
  openssl s_client -connect "127.0.0.1:$tls_port" -servername "$1" -CAfile issuer.pem -verify_return_error \
    -verify_hostname "$1" </dev/null >s_client.log 2>&1 || fail "openssl does not believe it: $(cat s_client.log)"
  # Nobody but a CA that validates is shown a proof.
  if openssl s_client -connect "127.0.0.1:$tls_port" -servername "$1" -alpn acme-tls/1 </dev/null >alpn.log 2>&1; then
    fail "acme-tls/1 was spoken with nobody validating"
  fi
}

shown_serial() {
  openssl s_client -connect "127.0.0.1:$tls_port" -servername hooks.acme.example </dev/null 2>/dev/null |
    openssl x509 -noout -serial
}

eventually() {
  local what=$1 until=$((SECONDS + 60))
  shift
  until "$@"; do
    [ $SECONDS -lt $until ] || fail "waited a minute for $what: $(tail -5 gateway.log pebble.log 2>/dev/null)"
    sleep 0.05
  done
}

now_ms() {
  date +%s%3N
}

begin() {
  "$@" >"$1.log" 2>&1 &
  pids+=("$!")
}

end() {
  kill "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

cleanup() {
  for pid in "${pids[@]}"; do end "$pid"; done
  rm -rf "$work"
}

fail() {
  echo "acme: $*" >&2
  exit 1
}

main "$@"

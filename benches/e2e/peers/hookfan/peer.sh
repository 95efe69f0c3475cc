# hookfan, run from the files alone. HOOKFAN_BIN names the binary; routes.py says which variables shape its routes.toml.
info()  { echo "DURABLE=yes (fdatasync before the answer)"; echo "NOTE=ordered per conversation, body untouched"; }
check() { [ -x "${HOOKFAN_BIN:-}" ] || { echo "set HOOKFAN_BIN to a release build"; return 1; }; }
start() {
  [ -f "$BENCH_DATA/routes.toml" ] || python3 "$PEER_DIR/routes.py" > "$BENCH_DATA/routes.toml"
  exec "$HOOKFAN_BIN" run -c "$BENCH_DATA/routes.toml"
}
ready()  { curl -sf -o /dev/null "http://127.0.0.1:$((BENCH_PORT + 1))/readyz"; }
ingest() { echo "url=http://127.0.0.1:$BENCH_PORT/hooks/bench"; }

#!/usr/bin/env bash
# Physical limits of this machine: delivery (bare hyper client -> sink) and durable appends.
# Usage: limits.sh [DIR]   DIR is on the disk to measure (default: a new temporary folder)
# The ingest limit and the in-memory fan-out are peers of run.py: bare-ingest, mem-fanout.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
bin=${LOADKIT_BIN:-$here/../../target/bench/loadkit/release}
sink=${SINK_PORT:-9300}
dir=${1:-$(mktemp -d)}
taskset -c 1 "$bin/sink" --control "$sink" --dests 3 >/dev/null & S=$!
trap 'kill $S 2>/dev/null || true' EXIT
for _ in $(seq 50); do curl -sf http://127.0.0.1:$sink/stats >/dev/null && break; sleep 0.1; done
for c in 1 8 32 64; do
  printf 'bare_deliver, %s connections per destination: ' "$c"
  taskset -c 0 "$bin/bare_deliver" --dests http://127.0.0.1:$((sink + 1))/,http://127.0.0.1:$((sink + 2))/,http://127.0.0.1:$((sink + 3))/ --conns "$c" --secs 8
  curl -sf http://127.0.0.1:$sink/stats | sed 's/.*"cpu_s":\([0-9.]*\).*/  sink CPU seconds so far: \1/'; echo
  curl -sf "http://127.0.0.1:$sink/reset?run=1" >/dev/null
done
"$bin/diskbench" --dir "$dir"

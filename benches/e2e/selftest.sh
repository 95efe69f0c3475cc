#!/usr/bin/env bash
# Tests the harness on itself: a server with known faults, a sink with known answers; every count must be exact.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
bin=${LOADKIT_BIN:-$here/../../target/bench/loadkit/release}
sink=${SINK_PORT:-9300} port=${PORT:-8390}
t=$(mktemp -d); S= M=
end() { [ -z "$M" ] || kill $M 2>/dev/null || true; [ -z "$S" ] || kill $S 2>/dev/null || true; rm -rf "$t"; }
trap end EXIT
passed=0 failed=0
C=127.0.0.1:$sink
"$bin/sink" --control "$sink" --dests 3 >/dev/null & S=$!
for _ in $(seq 50); do curl -sf "http://$C/stats" >/dev/null && break; sleep 0.1; done
U=http://127.0.0.1:$((sink + 1))/,http://127.0.0.1:$((sink + 2))/,http://127.0.0.1:$((sink + 3))/

# one case: name, mem_fanout options, behaviour of the sink, load options, then field=value expectations
one() {
  local name=$1 opts=$2 behave=$3 load=$4; shift 4
  "$bin/mem_fanout" --port $port --dests $U $opts >/dev/null & M=$!
  for _ in $(seq 50); do curl -s -o /dev/null -d x http://127.0.0.1:$port/ && break; sleep 0.1; done
  curl -sf "http://$C/behave?dest=0" >/dev/null; curl -sf "http://$C/behave?$behave" >/dev/null; curl -sf "http://$C/reset?run=9" >/dev/null
  "$bin/load" --url http://127.0.0.1:$port/in --run 9 --acks "$t/a" $load > "$t/l"
  sleep 1; curl -sf "http://$C/dump?path=$t/r" >/dev/null; curl -sf "http://$C/stats" > "$t/s"
  "$bin/verify" --acks "$t/a" --recs "$t/r" --dests 3 > "$t/v"
  kill $M; wait $M 2>/dev/null || true; M=
  if python3 - "$t" "$@" <<'P'
import json, sys
t = sys.argv[1]
l, v, s = (json.load(open(f"{t}/{f}")) for f in "lvs")
bad = 0
for e in sys.argv[2:]:
    if not eval(e, {"l": l, "v": v, "s": s, "d": v["dests"], "sd": s["dests"]}):
        print("  not so:", e, {k: v[k] for k in ("acked", "copies_lost", "dup", "reorder")}, [x["delivered"] for x in v["dests"]])
        bad = 1
sys.exit(bad)
P
  then echo "ok   $name"; passed=$((passed + 1)); else echo "FAIL $name"; failed=$((failed + 1)); fi
}
N="--conns 8 --warm 0 --secs 30 --max-events 6000"
ok='l["acked"] == 6000 and v["acked"] == 6000'
one "nothing wrong" "--workers 1" "dest=0" "$N" "$ok" 'v["copies_lost"] == 0 and v["dup"] == 0 and v["reorder"] == 0' 'all(x["delivered"] == 6000 for x in d)' 'all(x["unique"] == 6000 for x in sd)'
one "every 100th lost at destination 1" "--workers 1 --drop-every 100" "dest=0" "$N" "$ok" 'd[0]["lost"] == 60 and v["copies_lost"] == 60 and v["events_lost"] == 60 and v["reorder"] == 0'
one "every 50th repeated at destination 1" "--workers 1 --dup-every 50" "dest=0" "$N" "$ok" 'd[0]["dup"] == 120 and v["dup"] == 120 and v["copies_lost"] == 0 and sd[0]["dup"] == 120'
one "every 40th swapped with its successor, one room" "--workers 1 --swap-every 40" "dest=0" "--conns 1 --rooms 1 --warm 0 --secs 30 --max-events 6001" 'd[0]["reorder"] == 150 and sd[0]["reorder"] == 150' 'd[1]["reorder"] == 0 and v["copies_lost"] == 0'
one "destination 2 refuses everything" "--workers 1" "dest=2&error=1&status=503&retry_after=1" "$N" "$ok" 'd[1]["lost"] == 6000 and d[1]["failed"] == 6000 and d[0]["lost"] == 0' 'sd[1]["errors"] == 6000'
one "destination 2 refuses about a fifth" "--workers 1" "dest=2&error=0.2" "$N" "$ok" '1000 < d[1]["lost"] < 1400 and d[1]["lost"] == sd[1]["errors"]'
one "destination 3 closes" "--workers 4" "dest=3&mode=close" "--conns 8 --warm 0 --secs 30 --max-events 200" 'd[2]["delivered"] == 0 and sd[2]["closed"] > 0 and d[0]["lost"] == 0'
one "destination 2 hangs, the others get all" "--workers 4" "dest=2&mode=hang" "$N" "$ok" 'd[1]["delivered"] == 0 and sd[1]["hung"] == 4 and d[0]["lost"] == 0 and d[2]["lost"] == 0'
one "latency of 50 ms on one connection" "--workers 1" "dest=1&latency_ms=50" "--conns 1 --rate 5 --warm 0 --secs 2" 'd[0]["delivered"] == 10 and d[0]["e2e"]["p50_ms"] < 20'
one "open loop is at its rate" "--workers 8" "dest=0" "--conns 8 --rate 500 --warm 0 --secs 2" '990 <= l["acked"] <= 1001' 'abs(l["accepted_per_s"] - 500) < 12'
echo "$passed passed, $failed failed"
[ $failed = 0 ]

#!/usr/bin/env python3
"""Measures hookfan end to end beside systems that do less, under the same load, in the same run.

  benches/e2e/run.py                     everything, three times: an hour
  benches/e2e/run.py --quick             a look, three minutes
  benches/e2e/run.py --report FILE       docs/performance.md from a results.json

README.md beside this file says what is held equal and what each scenario is.
"""
import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import gateway
import report
import scenarios
import table
from harness import Peer, log_failure
from machine import conditions, log

HERE = Path(__file__).resolve().parent
# What every system is asked, and what hookfan alone is asked.
SHARED = {name: getattr(scenarios, name) for name in ("saturate", "latency", "slow0", "slow5", "hang", "crash")}
OWN = {
    "accept": gateway.accept, "waiting": gateway.waiting,
    "routes_few": gateway.growth({"BENCH_ROUTES": "10"}), "routes_many": gateway.growth({"BENCH_ROUTES": "10000"}),
    "dests_few": gateway.growth({"BENCH_SPREAD": "100"}),
    "dests_many": gateway.growth({"BENCH_SPREAD": "100"}, dests=300),
    "rooms_one": gateway.growth(rooms=1), "rooms_many": gateway.many_rooms,
    "idle": gateway.idle, "start": gateway.start, "size": gateway.size,
}
QUICK = {"runs": 1, "warm": 1, "latency_warm": 1, "secs": 3, "waiting": 200_000, "conversations": 10_000, "idle": 5, "starts": 5, "idle_wait": 0,
         "tries": 1, "peers": "bare-ingest,mem-fanout,hookfan",
         "scenarios": ",".join(name for name in [*SHARED, *OWN] if name != "crash")}


def main():
    cfg = options()
    if cfg.report:
        return report.write(json.load(open(cfg.report)), HERE.parent.parent)
    if os.cpu_count() < 2:
        sys.exit("two cores are needed: one for the server, one for load and sink")
    # The runner itself belongs to the load's core.
    os.sched_setaffinity(0, {int(cpu) for cpu in cfg.cpu_load.split(",")})
    asked = {"commit", "out", "peers", "report", "here", "bin", "data"}
    results = {"format": 1, "conditions": conditions(cfg), "quick": cfg.quick,
               "options": {key: value for key, value in vars(cfg).items() if key not in asked}, "skipped": {}, "runs": []}
    peers = runnable(cfg, results["skipped"])
    for number in range(cfg.runs):
        log(f"run {number + 1} of {cfg.runs}")
        results["runs"].append({})
        left_out = [] if number < cfg.waiting_runs else ["waiting"]
        once(cfg, peers, left_out, results["runs"][-1], lambda: save(cfg, results))
    drawn = table.draw(results)
    (cfg.out / "table.md").write_text(drawn + "\n")
    print(drawn)
    log(f"results in {cfg.out}")


def once(cfg, peers, left_out, run, keep):
    """Every scenario, each for all systems before the next: what drifts hits all of them."""
    run["machine"] = {"disk": scenarios.disk(cfg, 1000 if cfg.quick else 3000), "info": {"FANOUT": "0", "DURABLE": "-", "NOTE": ""}}
    for name, peer in peers.items():
        run[name] = {"info": peer.info}
    for scenario in (name for name in cfg.scenarios.split(",") if name not in left_out):
        for name, peer in peers.items():
            if scenario in OWN and name != "hookfan" or scenario not in ("saturate", "latency") and not peer.fans_out:
                continue
            log(f"{scenario}: {name}")
            run[name][scenario] = least_disturbed(cfg, name, scenario, run)
            keep()


def least_disturbed(cfg, name, scenario, run):
    """One scenario, again where the host took CPU away; a system that fails must not end the others' runs."""
    best = None
    for number in range(cfg.tries if scenario not in ("crash", "waiting") else 1):
        try:
            seen = (SHARED | OWN)[scenario](cfg, name, run)
        except Exception as error:  # whatever it is, it is this scenario's result
            return best or log_failure(name, scenario, error)
        if best is None or seen.get("steal", 0) < best["steal"]:
            best = seen
        if seen.get("steal", 0) <= cfg.max_steal:
            break
        log(f"  the host took {seen['steal']:.2f} cores away (try {number + 1} of {cfg.tries})")
    return best


def runnable(cfg, skipped):
    found = [name for name in cfg.peers.split(",") if name] or sorted(p.parent.name for p in HERE.glob("peers/*/peer.sh"))
    peers = {}
    for name in found:
        peer = Peer(name, cfg)
        why = peer.missing()
        if why:
            log(f"{name}: skipped: {why}")
            skipped[name] = why
        else:
            peers[name] = peer
    return peers


def save(cfg, results):
    (cfg.out / "results.json").write_text(json.dumps(results, indent=1))


def options():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--quick", action="store_true", help="one short run beside the two limits: for whoever changes code")
    ap.add_argument("--report", metavar="FILE", help="only write docs/performance.md from this results.json")
    ap.add_argument("--runs", type=int, default=3, help="of everything; the medians are shown")
    ap.add_argument("--peers", default="", help="comma-separated; default: every one that can run here")
    ap.add_argument("--scenarios", default=",".join([*SHARED, *OWN]))
    ap.add_argument("--out", default="", help="results, and the data: it chooses the disk; default: a new temporary folder")
    ap.add_argument("--bin", default=str(HERE.parent.parent / "target/bench/loadkit/release"), help="where loadkit is built")
    ap.add_argument("--commit", default="", help="what HOOKFAN_BIN was built from; default: this folder's")
    ap.add_argument("--conns", type=int, default=64)
    ap.add_argument("--warm", type=float, default=3, help="seconds before the window that is measured")
    ap.add_argument("--latency-warm", type=float, default=5)
    ap.add_argument("--secs", type=float, default=15)
    ap.add_argument("--rate", type=float, default=200, help="events/s of the latency scenario")
    ap.add_argument("--drain", type=float, default=150, help="longest wait for copies, in seconds")
    ap.add_argument("--waiting", type=int, default=5_000_000, help="events that wait for paused destinations")
    ap.add_argument("--waiting-runs", type=int, help="runs with that scenario, which takes ten minutes; default: all")
    ap.add_argument("--conversations", type=int, default=100_000, help="active ones, of the scenario rooms_many")
    ap.add_argument("--idle", type=float, default=30, help="seconds of doing nothing")
    ap.add_argument("--starts", type=int, default=11)
    ap.add_argument("--rooms", type=int, default=256)
    ap.add_argument("--size", type=int, default=1024, help="bytes of a body")
    ap.add_argument("--dests", type=int, default=3)
    ap.add_argument("--reply", default="ok", help="body of the sink's 200 answers")
    ap.add_argument("--port", type=int, default=8080)
    ap.add_argument("--sink-port", type=int, default=9100)
    ap.add_argument("--cpu-server", default="0")
    ap.add_argument("--cpu-load", default="1")
    ap.add_argument("--idle-wait", type=float, default=300, help="longest wait for an idle machine before each scenario, in seconds")
    ap.add_argument("--max-steal", type=float, default=0.1, help="cores taken by the host above which a scenario is run again")
    ap.add_argument("--tries", type=int, default=3, help="of a scenario; the one with the least steal counts")
    if "--quick" in sys.argv[1:]:
        ap.set_defaults(**QUICK)
    cfg = ap.parse_args()
    cfg.here, cfg.bin = HERE, Path(cfg.bin).resolve()
    cfg.waiting_runs = cfg.runs if cfg.waiting_runs is None else cfg.waiting_runs
    if not cfg.report:
        cfg.out = Path(cfg.out or tempfile.mkdtemp(prefix="bench-")).resolve()
        cfg.out.mkdir(parents=True, exist_ok=True)
        cfg.out.chmod(0o755)
        cfg.data = cfg.out / "data"
    return cfg


if __name__ == "__main__":
    main()

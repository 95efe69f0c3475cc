"""What is asked of every system that fans out: saturation, latency, bad neighbours, a crash."""
import json
import struct
import subprocess
import time

from harness import Session

# sequence number, when due, when answered, room, number in the room, status: loadkit::Ack
ACK = struct.Struct("<QQQIIH6x")


def saturate(cfg, name, run):
    with Session(cfg, name) as session:
        return session.measured(conns=cfg.conns, warm=cfg.warm, secs=cfg.secs, cap=cfg.drain)


def latency(cfg, name, run):
    """The disk is asked right before and right after: its mood changes within minutes."""
    before = fdatasyncs(cfg)
    with Session(cfg, name) as session:
        seen = session.measured(conns=cfg.conns, warm=cfg.latency_warm, secs=cfg.secs, rate=cfg.rate, cap=30)
    after = fdatasyncs(cfg)
    return {**seen, **{f"{name}_p50_ms": (before[name]["p50_ms"] + after[name]["p50_ms"]) / 2 for name in before}}


def fdatasyncs(cfg):
    """At the pace of the scenario: a disk that has rested answers otherwise."""
    return disk(cfg, 300, gap_us=round(1e6 / cfg.rate))


def disk(cfg, times, gap_us=0):
    """How long one fdatasync takes on the disk that holds the data, in quantiles; `gap_us` is waited before each."""
    cfg.data.mkdir(parents=True, exist_ok=True)
    command = [str(cfg.bin / "diskbench"), "--dir", str(cfg.data), "--latency-only", "--n", str(times),
               "--gap-us", str(gap_us)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def slow0(cfg, name, run):
    """The healthy twin of slow5 and hang: same load, same length, nothing slow."""
    return slow(cfg, name, run, "latency_ms=0")


def slow5(cfg, name, run):
    return slow(cfg, name, run, "latency_ms=5000")


def hang(cfg, name, run):
    return slow(cfg, name, run, "mode=hang")


def slow(cfg, name, run, behave):
    """Destination 2 behaves so; what that costs the others."""
    rate = half_rate(cfg, name, run)
    with Session(cfg, name) as session:
        session.sink.get(f"/behave?dest=2&{behave}")
        seen = session.measured(conns=cfg.conns, warm=cfg.warm, secs=cfg.secs, rate=rate, grace=2, cap=2, still=2)
    healthy = [dest for dest in seen["verify"]["dests"] if dest["dest"] != 2]
    others = sum(dest["in_window"] for dest in healthy) / len(healthy) / cfg.secs
    return {**seen, "rate": rate, "others_per_s": others, "others_p99_ms": max(dest["e2e"]["p99_ms"] for dest in healthy)}


def crash(cfg, name, run):
    """kill -9 of every server process under a closed loop, restart on the same data, more load, then drained."""
    with Session(cfg, name) as session:
        load = session.load(conns=cfg.conns, warm=0, secs=12, grace=15)
        time.sleep(5)
        before = [dest["unique"] for dest in session.sink.stats()["dests"]]
        session.peer.kill()
        began, killed = time.time(), time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        session.peer.start(wipe=False)
        restart = time.time() - began
        result = load.result()
        seen = session.verified(result, cfg.drain, float(session.peer.info["SETTLE"]))
        acked = sum(1 for ack in acks(session.acks) if ack[2] <= killed)
    return {"load": result, "verify": seen, "restart_s": restart, "acked": result["acked"], "unknown": seen["unknown"],
            "events_lost": seen["events_lost"], "copies_lost": seen["copies_lost"], "dup": seen["dup"],
            "reorder": seen["reorder"], "backlog_at_kill": max(0, acked - min(before))}


def acks(path):
    """The events that were answered 2xx, as the load generator wrote them."""
    with open(path, "rb") as file:
        for ack in ACK.iter_unpack(file.read()):
            if 200 <= ack[5] < 300:
                yield ack


def half_rate(cfg, name, run):
    """Half of what the system sustained end to end in this run's `saturate`; --rate where that is not known."""
    seen = run.get(name, {}).get("saturate", {})
    copies = seen.get("copies_per_s_end_to_end")
    return round(min(copies / cfg.dests, seen["accepted_per_s"]) / 2) if copies else cfg.rate

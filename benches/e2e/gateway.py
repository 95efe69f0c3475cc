"""What is asked of hookfan alone: accepting, memory, restart, growth, idleness, start, size.

A scenario with a twin is compared with that twin, under the same load in the same run.
"""
import http.client
import os
import shutil
import signal
import statistics
import subprocess
import time

from harness import Failed, Meter, Peer, Session, drain
from machine import cpu_fine, resident
from scenarios import acks, half_rate

PAUSED = {"BENCH_PAUSED": "1"}


def accept(cfg, name, run):
    """Destinations paused by the file: what taking events costs, with nothing delivered beside it."""
    with Session(cfg, name, PAUSED, probe=False) as session:
        meter = Meter(session)
        result = session.load(conns=cfg.conns, warm=cfg.warm, secs=cfg.secs).result()
        return {**meter.read(result["cpu_share"]), **meter.total(result["acked"]), "load": result,
                "accepted_per_s": result["accepted_per_s"], "ack": result["ack"]}


def waiting(cfg, name, run):
    """Many events wait for paused destinations; then a restart, a crash, and all of them are delivered."""
    with Session(cfg, name, PAUSED, probe=False, keeps=False) as session:
        result = session.load(conns=cfg.conns, warm=0, secs=1e6, max_events=cfg.waiting).result()
        if result["acked"] != cfg.waiting:
            raise Failed(f"acked {result['acked']} of {cfg.waiting}: {result['status']}")
        empty, full = rates(session.acks)
        time.sleep(2)
        seen = {"events": cfg.waiting, "accepted_empty_per_s": empty, "accepted_full_per_s": full,
                "resident": resident(session.peer.process.pid), "steal": 0}
        session.peer.end()
        seen["restart_ms"] = spawned(session.peer)
        seen["resident_after_restart"] = resident(session.peer.process.pid)
        session.peer.kill()
        seen["restart_after_kill_ms"] = spawned(session.peer)
        return {**seen, **drained(session)}


def rates(path):
    """Events a second at the beginning (its first second left out) and at the end, each over a tenth of the time."""
    times = sorted(ack[2] for ack in acks(path))
    first, last = times[0], times[-1]
    window = min(10e9, (last - first) / 10)
    begin = first + min(1e9, window)
    count = lambda low, high: sum(1 for at in times if low <= at < high) / (window / 1e9)
    return count(begin, begin + window), count(last - window, last)


def drained(session):
    """Lifts the pause in the file and waits until every copy has arrived."""
    cfg, file = session.cfg, session.cfg.data / "routes.toml"
    want = cfg.waiting * cfg.dests
    file.write_text(file.read_text().replace("paused        = true", "paused        = false"))
    session.peer.process.send_signal(signal.SIGHUP)
    drain(session.sink, want, 60 + want / 1000, 60)
    stats = session.sink.stats()["dests"]
    if any(d["stale"] for d in stats) or not all(d["unique"] for d in stats):
        raise Failed("something else uses the sink, or nothing was delivered: " + str(stats))
    span = (max(d["last_ns"] for d in stats) - min(d["first_ns"] for d in stats)) / 1e9
    copies = sum(d["unique"] for d in stats)
    return {"drained_per_s": copies / span if span else None, "missing": want - copies,
            "dup": sum(d["dup"] for d in stats), "reorder": sum(d["reorder"] for d in stats),
            "resident_after_drain": resident(session.peer.process.pid)}


def spawned(peer):
    """Starts the binary on the data as it lies; milliseconds until it is ready."""
    began = time.perf_counter()
    peer.spawn([os.environ["HOOKFAN_BIN"], "run", "-c", str(peer.cfg.data / "routes.toml")])
    while not is_ready(peer.cfg.port + 1):
        if peer.process.poll() is not None:
            raise Failed(f"{peer.name} ended while starting, see {peer.log.name}")
        if time.perf_counter() - began > 600:
            raise Failed(f"{peer.name} not ready after 600 s")
        time.sleep(0.0005)
    return 1000 * (time.perf_counter() - began)


def is_ready(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def growth(settings=None, **changes):
    """A scenario: CPU of an event with all its copies, at half of the saturated rate."""
    def measured(cfg, name, run):
        with Session(cfg, name, settings, probe=False, **changes) as session:
            rate = half_rate(cfg, name, run)
            load = {"conns": cfg.conns, "warm": cfg.warm, "secs": cfg.secs, "rate": rate}
            if settings and "BENCH_SPREAD" in settings:
                load["types"] = ",".join(f"t{n}:1" for n in range(int(settings["BENCH_SPREAD"])))
            if "rooms" in changes:
                # Long enough that every conversation has had a turn.
                load.update(share_rooms=True, secs=max(cfg.secs, session.cfg.rooms / rate - cfg.warm))
            meter = Meter(session)
            result = session.load(**load).result()
            seen = meter.read(result["cpu_share"])
            if not drain(session.sink, result["acked"] * 3, cfg.drain, 15):
                raise Failed(f"{session.sink.copies()} of {result['acked'] * 3} copies arrived")
            return {**seen, **meter.total(result["acked"]), "rate": rate, "acked": result["acked"], "load": result}
    return measured


def many_rooms(cfg, name, run):
    return growth(rooms=cfg.conversations)(cfg, name, run)


def idle(cfg, name, run):
    """A hundred destinations and nothing to do."""
    with Session(cfg, name, probe=False, dests=100) as session:
        root = session.peer.process.pid
        time.sleep(5)
        before, began = cpu_fine(root), time.time()
        time.sleep(cfg.idle)
        share = (cpu_fine(root) - before) / (time.time() - began)
        return {"cpu_share": share, "resident": resident(root)}


def start(cfg, name, run):
    """From nothing to ready, on an empty folder, several times."""
    peer, took = Peer(name, cfg), []
    for _ in range(cfg.starts):
        shutil.rmtree(cfg.data, ignore_errors=True)
        cfg.data.mkdir(parents=True)
        with open(cfg.data / "routes.toml", "wb") as file:
            subprocess.run(["python3", str(peer.dir / "routes.py")], env=peer.env(), stdout=file, check=True)
        took.append(spawned(peer))
        peer.kill()
    return {"ms": took, "best_ms": min(took), "median_ms": statistics.median(took)}


def size(cfg, name, run):
    """Bytes of the binary without symbols."""
    binary, stripped = os.environ["HOOKFAN_BIN"], cfg.out / "stripped"
    if shutil.which("strip"):
        subprocess.run(["strip", "-o", str(stripped), binary], check=True)
        binary = str(stripped)
    seen = {"bytes": os.path.getsize(binary)}
    stripped.unlink(missing_ok=True)
    return seen

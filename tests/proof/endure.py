#!/usr/bin/env python3
"""Long and hard: what a gateway holds out for an hour, and in a quarter of a gigabyte.

  endure.py BINARY KIT soak [MINUTES]     200 events/s to three destinations, two of which fail in turn
             in every way, reloads right and wrong, strangers who come and go: memory and descriptors
             must not grow, and everything acknowledged must arrive
  endure.py BINARY KIT crowded [SECONDS]  twice the events it can take, in a memory cgroup of 256 MiB
             (as root): it is not killed, refuses quickly, and still does what it can

KIT is the folder of the built benches/e2e/loadkit. Ports from HOOKFAN_PORT (21400) on, loopback. The
gateway has one processor and the kit the other. Figures go to HOOKFAN_PROOF_DIR.
"""

import contextlib
import json
import os
import re
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path

from figures import keep
from stage import Stage, get, leave_nothing_behind

PORT = int(os.environ.get("HOOKFAN_PORT", "21400"))
INGRESS, ADMIN, CONTROL, SINK = PORT, PORT + 1, PORT + 2, PORT + 3
DESTINATIONS = 3
WEBHOOK = f"http://127.0.0.1:{INGRESS}/hooks/till"
SERVER_CPU, KIT_CPU = "0", "1"
# A round of the soak: how each failing destination behaves, and for how many seconds.
ROUND = [
    ("mode=ok", 20), ("error=0.3", 15), ("mode=hang", 15), ("mode=close", 15), ("latency_ms=2000&jitter_ms=1500", 15),
    ("error=1&status=429&retry_after=1", 15), ("error=0.5&status=500", 15), ("mode=ok", 40),
]
SOAK_RATE = 200
# Full after some minutes: from then on old segments go as new ones come.
SOAK_DISK = "96MiB"
SLOPE_MAX = 1.0  # MiB an hour
# Segments come and go with what is owed.
FILES_MAX = 5
SENDERS = 16
CONCURRENCY = 32
# Senders, attempts at each destination, and a few that listen or ask.
SOCKETS_MAX = SENDERS + DESTINATIONS * CONCURRENCY + 8
CROWDED_BYTES = 256 << 20
CROWDED_DISK = "6GiB"
CROWDED_CONNECTIONS = 512
# Soon full, and then it refuses.
CROWDED_BACKLOG = '{ max_events = 50_000, when_full = "reject" }'
GOODPUT_MIN = 0.8
REFUSED_MS_MAX = 50


def routes(data: Path, max_disk: str, backlog: str = "", patience: str = "5s") -> str:
    """Each destination in order; what fails is tried again until it arrives."""
    text = f"""
[server]
listen = "127.0.0.1:{INGRESS}"
admin = "127.0.0.1:{ADMIN}"
data_dir = "{data}"
[limits]
connections = 10000
connections_per_ip = 10000
[log]
min_free = "64MiB"
max_disk = "{max_disk}"
segment_bytes = "4MiB"
dedupe = "1m"
[source.till]
kind = "generic"
auth = "none"
type = [{{ body = "type" }}]
key = [{{ body = "payload.room.id" }}]
[[route]]
from = "till"
to = ["d1", "d2", "d3"]
"""
    for number in range(DESTINATIONS):
        text += f"""
[destination.d{number + 1}]
kind = "http"
url = "http://127.0.0.1:{SINK + number}/"
allow_private = true
order = "conversation"
concurrency = {CONCURRENCY}
timeout = "{patience}"
{f"backlog = {backlog}" if backlog else ""}
retry = {{ delays = ["1s"], for = "12h" }}
breaker = {{ failures = 20, probe_every = "1s" }}
"""
    return text


class Endurance(Stage):
    """The gateway, and the kit's sink and loads."""

    def __init__(self, binary: str, kit: str, max_disk: str, cgroup: str | None = None):
        super().__init__(binary, ADMIN)
        self.kit, self.max_disk, self.cgroup = Path(kit).resolve(), max_disk, cgroup

    def routes(self, patience: str = "5s") -> str:
        return routes(self.path / "data", self.max_disk, CROWDED_BACKLOG if self.cgroup else "", patience)

    def under(self) -> list:
        into = ["sh", "-c", f'echo $$ > {self.cgroup}/cgroup.procs && exec "$@"', "sh"] if self.cgroup else []
        return [*into, "taskset", "-c", SERVER_CPU]

    def begin(self) -> None:
        sink = [self.kit / "sink", "--control", CONTROL, "--dests", DESTINATIONS, "--base", SINK, "--reply", "ok"]
        sink = self.start("taskset", "-c", KIT_CPU, *sink, stdout=subprocess.DEVNULL)
        super().begin()
        self.until("a sink", 20, lambda: get(CONTROL, "/reset?run=1"))
        if sink.poll() is not None:
            sys.exit(f"somebody else listens on a port from {CONTROL} on")

    def load(self, run: int, acks: str, **options) -> subprocess.Popen:
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        command = ["taskset", "-c", KIT_CPU, self.kit / "load", "--url", WEBHOOK, "--run", run, "--warm", "0", "--acks", self.path / acks]
        return self.start(*command, *words, stdout=subprocess.PIPE, text=True)

    def descriptors(self) -> tuple[int, int]:
        """Files and the like, and sockets."""
        names = []
        for one in Path(f"/proc/{self.gateway.pid}/fd").iterdir():
            # It may be closed meanwhile.
            with contextlib.suppress(OSError):
                names.append(os.readlink(one))
        sockets = sum(name.startswith("socket:") for name in names)
        return len(names) - sockets, sockets

    def pending(self) -> int:
        return sum(row["pending"] for row in json.loads(get(ADMIN, "/api/v1/status"))["destinations"])

    def verified(self, acks: str, drain: float) -> dict:
        """Waits until nothing is owed; what came of every acknowledged event."""
        self.until("everything delivered", drain, lambda: self.pending() == 0)
        get(CONTROL, f"/dump?path={self.path}/records")
        command = [self.kit / "verify", "--acks", self.path / acks, "--recs", self.path / "records", "--dests", str(DESTINATIONS)]
        return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def soak(stage: Endurance, minutes: float) -> dict:
    """Whole rounds; each ends calm, and what it ends with is compared."""
    seconds = sum(each for _, each in ROUND)
    rounds = max(3, round(minutes * 60 / seconds))
    load = stage.load(1, "acks", conns=SENDERS, rate=SOAK_RATE, secs=rounds * seconds, rooms=64)
    strangers, samples, reloads = [], [], 0
    for nth in range(rounds):
        for step, (behaviour, each) in enumerate(ROUND):
            # One of the two limps behind the other, so that they fail in different ways at once.
            get(CONTROL, f"/behave?dest=2&{behaviour}")
            get(CONTROL, f"/behave?dest=3&{ROUND[(step + 3) % (len(ROUND) - 1)][0] if step < len(ROUND) - 1 else behaviour}")
            wrong = "[destination.d1]\nkind = 7\n" if step % 2 else ""
            stage.file.write_text(stage.routes(f"{5 + (nth + step) % 2}s") + wrong)
            stage.gateway.send_signal(signal.SIGHUP)
            reloads += 1
            for stranger in strangers:
                stranger.close()
            strangers = [] if step == len(ROUND) - 1 else visit(step)
            time.sleep(each)
        sample = (time.monotonic() / 3600, stage.resident(), *stage.descriptors())
        samples.append(sample)
        print(f"round {nth + 1} of {rounds}: {sample[1]:.1f} MiB, {sample[2]} files, {sample[3]} sockets, {stage.pending()} owed", flush=True)
    result = json.loads(load.communicate(timeout=120)[0])
    seen = stage.verified("acks", 120)
    # What it grows to in the first third, while its disk fills up, is its size.
    later = samples[max(1, rounds // 3):]
    times, resident, files, sockets = zip(*later)
    slope = statistics.linear_regression(times, resident).slope
    figures = {
        "minutes": round(rounds * seconds / 60), "events a second": SOAK_RATE, "acknowledged": seen["acked"],
        "refused": sum(count for status, count in result["status"].items() if not status.startswith("2")),
        "lost": seen["copies_lost"], "out of order": seen["reorder"], "reloads, half of them wrong": reloads,
        "attempts that failed": sum(dest["failed"] for dest in seen["dests"]),
        "resident at the end, MiB": round(resident[-1]), "resident grows, MiB an hour": round(slope, 2),
        "files open, least": min(files), "files open, most": max(files), "sockets open, most": max(sockets),
    }
    print(json.dumps(figures, indent=1))
    if seen["copies_lost"] or seen["reorder"] or result["status"].keys() - {"200"}:
        sys.exit("something was lost, out of order or refused")
    if slope > SLOPE_MAX or max(files) - min(files) > FILES_MAX or max(sockets) > SOCKETS_MAX:
        sys.exit("it grows")
    return figures


def visit(step: int) -> list:
    """Who says nothing, half of something, or nonsense."""
    said = [b"", b"POST /hooks/till HTTP/1.1\r\nhost:", b"\x16\x03\x01\x00", b"POST /hooks/till HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{"]
    visitors = []
    for nth in range(20):
        visitor = socket.create_connection(("127.0.0.1", INGRESS), 5)
        visitor.sendall(said[(nth + step) % len(said)])
        visitors.append(visitor)
    return visitors


@contextlib.contextmanager
def cgroup():
    """A memory cgroup of either version; goes with the `with`."""
    second = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    folder = Path("/sys/fs/cgroup" if second else "/sys/fs/cgroup/memory") / f"hookfan-{os.getpid()}"
    try:
        folder.mkdir()
        (folder / ("memory.max" if second else "memory.limit_in_bytes")).write_text(str(CROWDED_BYTES))
    except OSError as error:
        sys.exit(f"no memory cgroup can be made here: {error}")
    try:
        yield folder
    finally:
        folder.rmdir()


def killed(folder: Path) -> int:
    """How often the kernel killed in it for want of memory."""
    told = folder / ("memory.events" if (folder / "memory.events").exists() else "memory.oom_control")
    return int(re.search(r"^oom_kill (\d+)", told.read_text(), re.MULTILINE)[1])


def refused_ms(acks: Path) -> list[float]:
    """How long each refusal took, in order. loadkit::Ack: number, when due, when answered, room, number in it, status, µs it was sent late."""
    record = struct.Struct("<QQQIIH2xI")
    rows = record.iter_unpack(acks.read_bytes())
    return sorted((answered - due) / 1e6 - late / 1e3 for _, due, answered, _, _, status, late in rows if status == 503)


def crowded(stage: Endurance, seconds: int) -> dict:
    began = time.monotonic()
    load = stage.load(1, "acks1", conns=CROWDED_CONNECTIONS, rooms=4 * CROWDED_CONNECTIONS, secs=15)
    first = json.loads(load.communicate(timeout=60)[0])
    stage.until("the first load delivered", 120, lambda: stage.pending() == 0)
    # To the end: what it accepts and cannot deliver at once is no capacity.
    capacity = first["acked"] / (time.monotonic() - began)
    get(CONTROL, "/reset?run=2")
    began = time.monotonic()
    load = stage.load(2, "acks", conns=CROWDED_CONNECTIONS, rooms=4 * CROWDED_CONNECTIONS, rate=round(capacity * 2), secs=seconds)
    most = 0.0
    while load.poll() is None:
        if stage.gateway.poll() is not None:
            sys.exit(f"the gateway ended with {stage.gateway.returncode} after {time.monotonic() - began:.0f} s")
        most = max(most, stage.resident())
        time.sleep(0.5)
    result = json.loads(load.communicate()[0])
    seen = stage.verified("acks", 600)
    refusals = refused_ms(stage.path / "acks")
    figures = {
        "seconds": seconds, "cgroup, MiB": CROWDED_BYTES >> 20, "it can, events/s": round(capacity),
        "asked for, events/s": round(capacity * 2), "accepted / it can": round(result["accepted_per_s"] / capacity, 2),
        "acknowledged": seen["acked"], "lost": seen["copies_lost"], "refused": len(refusals),
        "most resident, MiB": round(most), "killed for memory": killed(Path(stage.cgroup)),
    }
    if refusals:
        figures["refused after, p99 in ms from sending"] = round(refusals[len(refusals) * 99 // 100], 1)
    print(json.dumps(figures, indent=1))
    slow = refusals and refusals[len(refusals) * 99 // 100] > REFUSED_MS_MAX
    if seen["copies_lost"] or figures["killed for memory"] or figures["accepted / it can"] < GOODPUT_MIN or slow:
        sys.exit("it did not hold")
    return figures


def main(binary: str, kit: str, verb: str, much: str = "") -> None:
    began = time.time()
    leave_nothing_behind()
    with contextlib.ExitStack() as stack:
        if verb == "crowded":
            folder = stack.enter_context(cgroup())
            figures = crowded(stack.enter_context(Endurance(binary, kit, CROWDED_DISK, str(folder))), int(much or 600))
        else:
            figures = soak(stack.enter_context(Endurance(binary, kit, SOAK_DISK)), float(much or 60))
    keep(verb, figures, time.time() - began, "release")


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[3] not in ("soak", "crowded"):
        sys.exit(__doc__)
    main(*sys.argv[1:])

"""A2: power cuts under the real gateway. See `power` for how it is called.

A recording is a few seconds of load on a gateway whose data folder lies on the recorded disk,
with a SIGKILL and a SIGTERM in between. Then, for many points of its tape: an image as a cut
there may leave it, mounted (the file system replays its journal), and the real binary started
on it. What was answered 2xx before the cut must be there, owed or settled, and nothing may be
called damaged.
"""

import collections, contextlib, mmap, os, random, time

import rig
from tape import FLUSH, Base, Tape, torn

SECONDS_EACH = 1.2
CUTS_EACH = 100
DRAINED = 20
ALL = {"good", "limps", "dies", "down"}


class Recording:
    """A tape, and what was told to whom while it ran."""

    def __init__(self, folder, kind, binary, seed, environment=None):
        self.kind = kind
        self.folder = folder
        with contextlib.ExitStack() as stack:
            disk = stack.enter_context(rig.RecordedDisk(folder, kind))
            mount = stack.enter_context(rig.mounted(disk.image, folder / "mount", kind, direct=True))
            os.sync()
            self.begin = disk.count()
            receivers = stack.enter_context(rig.Receivers(disk.count))
            gateway = rig.Gateway(binary, folder / "gateway", mount / "data", receivers, environment)
            stack.callback(gateway.kill)
            must(gateway.start(), gateway, "the gateway did not start on a fresh disk")
            with rig.Senders(gateway, disk, f"r{seed}") as senders:
                time.sleep(SECONDS_EACH)
                gateway.kill()
                must(gateway.start(), gateway, "the gateway did not start after a kill")
                time.sleep(SECONDS_EACH)
                gateway.stop()
                must(gateway.start(), gateway, "the gateway did not start after a stop")
                time.sleep(SECONDS_EACH)
                self.end = disk.count()
            gateway.kill()
        self.acks = [ack for ack in senders.acks if ack[2] <= self.end]
        self.got = receivers.got
        self.tape = Tape(folder / "tape")

    def points(self, number, chance):
        """Where to cut, in order: with a flush under way, anywhere, after an answer, while the folder is made."""
        flushes = [nth for nth in range(self.begin, self.end) if self.tape.entries[nth][0] == FLUSH]
        ways = [
            lambda: chance.randint(self.begin, self.end),
            lambda: min(self.end, chance.choice(self.acks)[2] + chance.choice([0, 0, 1, 2])),
            lambda: chance.choice(flushes),
            lambda: chance.choice(flushes),
            lambda: chance.choice(flushes),
            lambda: chance.randint(self.begin, min(ack[2] for ack in self.acks)),
        ]
        return sorted(ways[nth % len(ways)]() for nth in range(number))


def must(good, gateway, what):
    if not good:
        raise RuntimeError(f"{what}:\n{gateway.log.read_text(errors='replace')[-2000:]}")


class Replay:
    """A base image that moves along a tape, and a second one that is cut, mounted, and mended again."""

    def __init__(self, recording):
        size = rig.DISK_BYTES[recording.kind]
        self.recording = recording
        self.work = recording.folder / "work"
        with open(recording.folder / "base", "w+b") as base, open(self.work, "w+b") as work:
            base.truncate(size)
            work.truncate(size)
            self.work_pages = mmap.mmap(work.fileno(), size)
            self.base = Base(recording.tape, mmap.mmap(base.fileno(), size))

    def cut(self, point, chance):
        """Makes `work` a disk whose power went after `point` entries."""
        tape = self.recording.tape
        self.base.advance(tape.last_flush(point))
        self.mend()
        for offset, data in torn(tape, point, chance):
            self.work_pages[offset : offset + len(data)] = data

    def mend(self):
        """Makes `work` equal to `base` wherever either holds something."""
        size, base, work = self.base.page, self.base.image, self.work_pages
        for page in self.base.touched | set(pages_of(self.work, size)):
            here = slice(page * size, (page + 1) * size)
            if base[here] != work[here]:
                work[here] = base[here]


def pages_of(path, size):
    """Pages of a sparse file that are there."""
    file, at = os.open(path, os.O_RDONLY), 0
    try:
        while True:
            try:
                at = os.lseek(file, at, os.SEEK_DATA)
            except OSError:
                return
            end = os.lseek(file, at, os.SEEK_HOLE)
            yield from range(at // size, (end + size - 1) // size)
            at = end
    finally:
        os.close(file)


def cut_many(kind, number, binary, folder, proof, seed, environment=None, enough=lambda seen: False):
    """Cuts `number` times, or until it is enough; a Counter of what was seen, and what was wrong in words."""
    seen, wrong = collections.Counter(), []
    chance = random.Random(seed)
    recordings = max(1, round(number / CUTS_EACH))
    with contextlib.ExitStack() as stack:
        receivers = stack.enter_context(rig.Receivers(well=True))
        for nth in range(recordings):
            inner = folder / f"recording{nth}"
            recording = Recording(inner, kind, binary, f"{seed}-{nth}", environment)
            seen["recordings"] += 1
            seen["acked"] += len(recording.acks)
            share = number * (nth + 1) // recordings - number * nth // recordings
            replay = Replay(recording)
            for point in recording.points(share, chance):
                replay.cut(point, chance)
                receivers.got = {name: {} for name in receivers.got}
                said = one(recording, replay.work, point, binary, receivers, seen, chance, proof)
                wrong += said
                if enough(seen):
                    return seen, wrong
            print(f"{kind}: {seen['cuts']} cuts, {dict(seen)}", flush=True)
            for large in ("tape", "base", "work", "disk"):
                (inner / large).unlink()
    return seen, wrong


def one(recording, image, point, binary, receivers, seen, chance, proof):
    """One cut: mounts, starts, looks. Says what is wrong."""
    seen["cuts"] += 1
    acked = {ack[0] for ack in recording.acks if ack[2] <= point}
    seen["acked_before"] += len(acked)
    folder = recording.folder
    name = f"{recording.kind}-{folder.name}-{point}"
    with rig.mounted(image, folder / "cut", recording.kind) as mount:
        gateway = rig.Gateway(binary, folder / "again", mount / "data", receivers)
        try:
            wrong = look(gateway, recording, acked, point, receivers, seen, chance)
        finally:
            gateway.kill()
        if wrong and seen["evidence"] < 5:
            seen["evidence"] += 1
            kept = rig.evidence(proof, name, mount, {"point": point, "wrong": wrong, "log": list(gateway.lines())})
            wrong = [f"{line} ({kept})" for line in wrong]
    for line in wrong:
        print(f"{name}: {line}", flush=True)
    return [f"{name}: {line}" for line in wrong]


def look(gateway, recording, acked, point, receivers, seen, chance):
    if not gateway.start():
        seen["failed_starts"] += 1
        return [f"it does not start: {list(gateway.lines())[-1:]}"]
    wrong = []
    opened = next((line for line in gateway.lines() if "the log is open" in str(line)), {})
    opened = opened.get("fields", opened)
    seen["torn"] += opened.get("torn_bytes", 0) > 0
    quarantined = gateway.metric("hookfan_log_quarantined_total")
    if quarantined:
        seen["false_damage"] += 1
        wrong.append(f"{quarantined:g} stretches are called damaged: {opened}")
    if acked:
        wrong += resend(gateway, recording, acked, chance, seen)
    try:
        rows = rig.until("well destinations with nothing to do", DRAINED, lambda: drained(gateway))
    except TimeoutError as late:
        rows = gateway.destinations()
        wrong.append(str(late))
        seen["not_drained"] += 1
    gateway.kill()
    if chance.random() < 0.1:
        # What a cut left is read the same way a second time.
        seen["second_starts"] += 1
        if not gateway.start() or gateway.metric("hookfan_log_quarantined_total") > quarantined:
            seen["failed_starts"] += 1
            wrong.append("a second start finds what the first did not")
        gateway.kill()
    return wrong + account(gateway.records(), rows, acked, recording, point, receivers, seen)


def resend(gateway, recording, acked, chance, seen):
    """A platform posts again what was acknowledged: it is known, by the same id."""
    event, own, _place = chance.choice([ack for ack in recording.acks if ack[0] in acked])
    status, answer = gateway.ask("POST", "/hooks/till", rig.json.dumps({"id": own}), gateway.listen)
    told = rig.json.loads(answer) if status == 200 else {}
    if told.get("duplicate") is True and told.get("id") == event:
        return []
    seen["forgotten"] += 1
    return [f"{own}, acknowledged as {event}, is not known any more: {status} {told}"]


def drained(gateway):
    rows = gateway.destinations()
    return rows if all(rows[name]["pending"] == 0 for name in ("good", "dies")) else None


def account(records, rows, acked, recording, point, receivers, seen):
    """Holds the log's records, the gateway's sums and both sides' memories together."""
    wrong = []
    events, owed = {}, {name: set() for name in ALL}
    false = []
    for record in records:
        kind = record["record"]
        if kind == "event":
            events[record["offset"]] = record["id"]
            for copy in record["owed"]:
                owed[copy["destination"]].add(record["id"])
        elif kind == "settled":
            if record["settlement"] == "delivered":
                event, name = events.get(record["event"]), record["destination"]
                before = recording.got.get(name, {}).get(event, point + 1) <= point
                if not before and event not in receivers.got.get(name, {}):
                    false.append((event, name))
    if false:
        wrong.append(f"{len(false)} copies are settled as delivered that never arrived: {false[:3]}")
    lost = [event for event in acked if any(event not in owed[name] for name in ALL)]
    if lost:
        seen["lost"] += len(lost)
        seen["cuts_with_loss"] += 1
        wrong.append(f"{len(lost)} of {len(acked)} acknowledged events are lost: {sorted(lost)[:3]}")
    there, now = recording.got["good"], receivers.got["good"]
    never = [event for event in acked if there.get(event, point + 1) > point and event not in now]
    if never and not lost:
        seen["lost"] += len(never)
        wrong.append(f"{len(never)} acknowledged events never arrived: {never[:3]}")
    for name in ALL:
        row = rows[name]
        settled = row["delivered"] + row["dead"] + row["dropped"]
        if row["owed"] != len(owed[name]) or settled + row["pending"] != row["owed"] or row["dropped"]:
            seen["wrong_sums"] += 1
            wrong.append(f"{name} does not add up: {len(owed[name])} events in the log, {row}")
    return wrong

"""A5: a disk that fails once and is healthy again. See `power` for how it is called.

Under load, one write of the log's (or one flush) is answered EIO by the recorded disk, which then
works as before. Nobody of that batch may be told 2xx, the process ends with 74 within a second, and
on the same disk, mounted again, and on what power cuts around that moment leave, the real binary
starts, calls nothing damaged, and has every event that was acknowledged.
"""

import collections, contextlib, json, random, socket, time

import cuts, rig
from tape import FAILED_FLUSH, FAILED_WRITE, Tape

MARK = b"the event whose write fails"
EXIT_WITHIN = 1.0
CUTS_EACH = 6


class Failed:
    """What cuts.one needs of a recording, after a gateway on it met its error."""

    def __init__(self, folder, kind, acks, got, end):
        self.folder, self.kind, self.acks, self.got, self.end = folder, kind, acks, got, end
        self.tape = Tape(folder / "tape")
        kinds = [entry[0] for entry in self.tape.entries]
        failed = [nth for nth, one in enumerate(kinds) if one in (FAILED_WRITE, FAILED_FLUSH)]
        self.failed_at = failed[0] if failed else None

    def failed_when(self):
        return self.tape.entries[self.failed_at][4]


def fail_many(rounds, binary, folder, proof, seed, environment):
    """Every file system, every kind of failure, `rounds` times: what was found, and what is wrong."""
    seen, wrong, slowest = collections.Counter(), [], 0.0
    chance = random.Random(seed)
    kinds = [(kind, how) for kind in sorted(rig.MKFS) for how in ("fail-write", "fail-flush")]
    for nth in range(rounds):
        for kind, how in kinds:
            seen["rounds"] += 1
            inner = folder / f"{kind}-{how}-{nth}"
            said, took = fail_once(inner, kind, how, binary, seen, chance, proof, environment)
            slowest = max(slowest, took or 0.0)
            for line in said:
                print(f"{inner.name}: {line}", flush=True)
            wrong += [f"{inner.name}: {line}" for line in said]
            for large in ("tape", "base", "work", "disk"):
                (inner / large).unlink(missing_ok=True)
    counts = ("rounds", "acked", "acked_in_failed_batch", "lost", "false_damage", "failed_starts", "cuts", "torn")
    found = {count: seen[count] for count in counts}
    return {**found, "file_systems": sorted(rig.MKFS), "slowest_exit_seconds": round(slowest, 3)}, wrong


def fail_once(folder, kind, how, binary, seen, chance, proof, environment):
    """One failure; what is wrong, and how long the process took to end."""
    wrong, took = [], None
    with contextlib.ExitStack() as stack:
        disk = stack.enter_context(rig.RecordedDisk(folder, kind))
        receivers = stack.enter_context(rig.Receivers(disk.count))
        with rig.mounted(disk.image, folder / "mount", kind, direct=True) as mount:
            gateway = rig.Gateway(binary, folder / "gateway", mount / "data", receivers, environment)
            stack.callback(gateway.kill)
            cuts.must(gateway.start(), gateway, "the gateway did not start on a fresh disk")
            with rig.Senders(gateway, disk, folder.name) as senders:
                rig.until("some load", 30, lambda: len(senders.acks) > 50)
                (folder / "arming").write_bytes(MARK)
                (folder / "arming").rename(folder / how)
                status = post_marked(gateway, disk)
                if status == 200 and how == "fail-write":
                    seen["acked_in_failed_batch"] += 1
                    wrong.append("2xx for the event whose write failed")
                try:
                    code = gateway.process.wait(5)
                    ended = time.time()
                except rig.subprocess.TimeoutExpired:
                    code, ended = None, None
            end = disk.count()
            gateway.kill()
        failed = Failed(folder, kind, [ack for ack in senders.acks if ack[2] <= end], receivers.got, end)
        seen["acked"] += len(failed.acks)
        if failed.failed_at is None:
            return [*wrong, "nothing failed"], None
        if code != 74:
            wrong.append(f"the process did not end with 74: {code}")
        else:
            took = ended - failed.failed_when()
            if took > EXIT_WITHIN:
                wrong.append(f"it took {took:.2f} s to end")
        well = stack.enter_context(rig.Receivers(well=True))
        # The same disk, healthy again.
        wrong += cuts.one(failed, disk.image, end, binary, well, seen, chance, proof)
    # And what a power cut about then leaves.
    replay = cuts.Replay(failed)
    with rig.Receivers(well=True) as well:
        for point in sorted(chance.randint(failed.failed_at, end) for _ in range(CUTS_EACH)):
            replay.cut(point, chance)
            wrong += cuts.one(failed, replay.work, point, binary, well, seen, chance, proof)
    return wrong, took


def post_marked(gateway, disk):
    """Posts the event that fails; its status, None where the connection ended without one."""
    body = json.dumps({"id": "marked", "room": "marked", "filling": MARK.decode()}).encode()
    with contextlib.suppress(OSError):
        with socket.create_connection(("127.0.0.1", gateway.listen), 10) as link:
            return rig.post(link, body, disk)[0]
    return None

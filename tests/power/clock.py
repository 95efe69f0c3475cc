"""H2: the wall clock leaps under load. See `power` for how it is called.

libfaketime moves what the gateway reads of the wall clock, and leaves the monotonic clock alone, as
a machine's clock that is set does. `limps` refuses everything meanwhile, so that each event is
waiting for its next attempt at every leap. No attempt may come before its schedule, and in the end
everything that was acknowledged has arrived everywhere.

In one life a leap costs nothing. A gateway that starts has nothing but the wall clock to know for
how long a copy has been failing: ten years later its schedule is over, and it is a dead letter that
can be retried; an hour earlier it waits, for no more than its schedule's longest wait (an hour). So
the second part ends a year after the latest of them, and with a retry of what died.
"""

import collections, os, time
from pathlib import Path

import rig

LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
LEAPS = ["+10y", "+0", "-10y", "+0", "+1h", "-1h", "+0"]
SECONDS_EACH = 4
# The schedule of `limps` is a second each time, and a quarter less at the least.
SOONEST = 0.75
DRAINED = 120


class NoTape:
    """Acknowledgements need no place on a tape here."""

    def count(self):
        return 0


def leap(binary, folder, restarts):
    """Runs through all leaps; what was seen, and what is wrong. With `restarts` it is killed after each."""
    seen, wrong = collections.Counter(), []
    told = folder / "leap"
    told.write_text("+0")
    environment = {
        "LD_PRELOAD": str(LIBRARY), "FAKETIME_TIMESTAMP_FILE": str(told), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with rig.Receivers(limping=1.0) as receivers:
        gateway = rig.Gateway(binary, folder / "gateway", folder / "data", receivers, environment)
        try:
            if not gateway.start():
                return seen, ["it did not start"]
            starts, log = [time.monotonic()], ""
            with rig.Senders(gateway, NoTape(), f"leap{restarts}", connections=2, pause=0.02) as senders:
                for by in LEAPS:
                    move(told, by)
                    time.sleep(SECONDS_EACH)
                    seen["leaps"] += 1
                    if gateway.process.poll() is not None:
                        return seen, [f"it ended with {gateway.process.returncode} after a leap of {by}"]
                    if restarts:
                        gateway.kill()
                        log += gateway.log.read_text(errors="replace")
                        starts.append(time.monotonic())
                        if not gateway.start():
                            return seen, [f"it did not start after a leap of {by}"]
            receivers.well = True
            if restarts:
                move(told, "+11y")
                gateway.kill()
                starts.append(time.monotonic())
                if not gateway.start():
                    return seen, ["it did not start after the last leap"]
                seen["dead_by_age"] = gateway.destinations()["limps"]["dead"]
                gateway.retry_dead("limps")
            wrong += look(gateway, receivers, {ack[0] for ack in senders.acks}, starts, seen)
            log += gateway.log.read_text(errors="replace")
            if "panicked" in log:
                seen["panics"] += 1
                wrong.append("it panicked")
        finally:
            gateway.kill()
    return seen, wrong


def move(told, by):
    """The next reading of the wall clock is as far off as `by` says. Whole or not at all."""
    fresh = told.with_suffix(".new")
    fresh.write_text(by)
    os.replace(fresh, told)


def look(gateway, receivers, acked, starts, seen):
    wrong = []
    seen["acked"] = len(acked)
    settled = lambda: all(gateway.destinations()[name]["pending"] == 0 for name in ("good", "limps"))
    try:
        rig.until("everything to be delivered", DRAINED, settled, every=0.2)
    except TimeoutError as late:
        wrong.append(f"{late}: {gateway.destinations()['limps']}")
    rows = gateway.destinations()
    for name in ("good", "limps"):
        lost = acked - set(receivers.got[name])
        if lost:
            seen["lost"] += len(lost)
            wrong.append(f"{len(lost)} of {len(acked)} never reached {name}: {rows[name]}")
    early = 0
    for tries in receivers.tries.values():
        seen["attempts"] += len(tries)
        for before, after in zip(tries, tries[1:]):
            # What was in the air when it was killed is tried again at once.
            restarted = any(before <= start <= after for start in starts)
            early += not restarted and after - before < SOONEST - 0.02
    if early:
        seen["early"] += early
        wrong.append(f"{early} attempts came before their time")
    return wrong

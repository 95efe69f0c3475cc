#!/usr/bin/env python3
"""Changes the code that must not be wrong, one place at a time, and runs its
tests: whatever no test notices is a survivor.

  mutants.py [FILE ...]     all of FILES, or these: an hour, or minutes

Needs cargo-mutants (`cargo install cargo-mutants`). A survivor in the commit
(src/log/writer.rs) fails it, and more than one in twenty anywhere does.
Figures go to HOOKFAN_PROOF_DIR/mutants.json, of all files run so far: a file
that is run again replaces its row, and one that failed has none.

The changes are made in a copy of the tree beside the build, which stays, so
that each costs one incremental build; and of a library of no more modules than
a file and its tests are made of, so that such a build is short.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from figures import keep

ROOT = Path(__file__).resolve().parents[2]
PLACE = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "mutants"
TREE = PLACE / "tree"
COMMIT = "src/log/writer.rs"
# Each with the tests that answer for it, and what it and they are made of.
ROUTE = "clock decode event expression message payload route secret trace"
LOG = "log::", f"{ROUTE} log metrics settle"
VERIFY = "verify::", "clock decode event secret trace verify"
FILES = {
    COMMIT: LOG,
    "src/log/append.rs": LOG,
    "src/log/ledger.rs": LOG,
    "src/log/recover.rs": LOG,
    "src/log/news.rs": LOG,
    "src/settle.rs": ("settle::", "clock settle"),
    "src/route.rs": ("route::", ROUTE),
    "src/verify.rs": VERIFY,
    "src/verify/*.rs": VERIFY,
}
# Tests of a second and more: asked only about changes that no other noticed.
SLOW = [
    "log::seen::",
    "log::tests::crash::a_webhook_of_several_events_is_there_whole_or_not_at_all",
    "log::tests::crash::over_power_cuts_nothing_acknowledged_is_lost",
    "log::tests::damage::a_flipped_byte_costs_at_most_what_it_hit",
    "log::tests::damage::a_torn_tail_is_ignored_and_counted",
    "log::tests::parked::a_large_checkpoint_goes_in_slices",
    "log::tests::torn::what_a_power_cut_tears_between_whole_records",
    "route::tests::ten_thousand_routes_decide_as_a_plain_scan_would",
    "verify::tests::no_flipped_bit_of_a_",
]
# So often they must pass before anything is changed: a test that fails now and
# then would notice everything.
PASSES = 5
# Seconds, without and with the slow tests: many times what they take.
QUICK, ALL = 60, 240
# One test that fails is enough, and the others may hang.
RUNNER = f"target.'cfg(all())'.runner=['{sys.executable}', '{Path(__file__).resolve()}', '--first-failure']"
CAUGHT_MIN = 0.95


def first_failure(command: list[str]) -> None:
    """Runs tests until one of them fails."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as tests:
        for line in tests.stdout:
            print(line, end="", flush=True)
            if line.endswith("... FAILED\n"):
                tests.kill()
    sys.exit(tests.returncode and 101)


def copy_tree(modules: str) -> None:
    """What git knows and what it would add. A file of the same bytes keeps its
    time, and one that differs gets a new one: cargo builds what changed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
    )
    names = {name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()}
    for name in names:
        there, bytes_ = TREE / name, (ROOT / name).read_bytes()
        if name == "src/lib.rs":
            bytes_ = "".join(f"pub mod {module};\n" for module in modules.split()).encode()
        if not there.is_file() or there.read_bytes() != bytes_:
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_bytes(bytes_)
    for path in TREE.rglob("*"):
        if path.is_file() and str(path.relative_to(TREE)) not in names:
            path.unlink()


# Tests wait for each other's threads and clocks: more of them than cores.
AROUND = os.environ | {"CARGO_TARGET_DIR": str(PLACE), "CARGO_PROFILE_DEV_DEBUG": "0", "RUST_TEST_THREADS": "8"}


def filtered(tests: str, skipped: list[str]) -> list[str]:
    return [tests, "--", *[word for name in skipped for word in ["--skip", name]]]


def check_unchanged(pattern: str, tests: str) -> None:
    command = ["cargo", "test", "--locked", "--lib", f"--config={RUNNER}", *filtered(tests, SLOW)]
    for _ in range(PASSES):
        if subprocess.run(command, cwd=TREE, env=AROUND, capture_output=True, check=False).returncode:
            sys.exit(f"{pattern}: its tests fail, or fail now and then, although nothing is changed")


def mutate(pattern: str, tests: str, skipped: list[str], more: list[str]) -> dict[str, list[str]]:
    """Which changes were caught, missed, and made the tests hang."""
    command = ["cargo", "mutants", "--in-place", "--dir", str(TREE), "--file", pattern, "--output", str(PLACE)]
    command += ["--no-shuffle", "--colors=never", f"--timeout={QUICK if skipped else ALL}"]
    command += ["--cargo-arg=--locked", "--cargo-arg=--lib", f"--cargo-arg=--config={RUNNER}", *more, "--", *filtered(tests, skipped)]
    ended = subprocess.run(command, cwd=TREE, env=AROUND, check=False).returncode
    # 2: some survived, 3: some hung.
    if ended not in [0, 2, 3]:
        sys.exit(f"{pattern}: cargo-mutants ended with {ended}")
    out = PLACE / "mutants.out"
    return {name: (out / f"{name}.txt").read_text().splitlines() for name in ["caught", "missed", "timeout"]}


def run(pattern: str) -> dict:
    """How many changes were noticed, some because the tests hung, and which were not."""
    tests, modules = FILES[pattern]
    copy_tree(modules)
    check_unchanged(pattern, tests)
    found = mutate(pattern, tests, SLOW, [])
    hung, noticed = found["timeout"], found["caught"] + found["timeout"]
    if found["missed"] and any(name.startswith(tests) for name in SLOW):
        # What hung is noticed: that need not be found out twice.
        (PLACE / "mutants.out/caught.txt").write_text("".join(f"{line}\n" for line in noticed))
        found = mutate(pattern, tests, [], ["--iterate"])
        hung += found["timeout"]
        noticed += found["caught"] + found["timeout"]
    return {"noticed": len(noticed), "hung": len(hung), "survived": found["missed"]}


def told(row: dict) -> str:
    text = f"{row['noticed']} of {row['noticed'] + len(row['survived'])} noticed"
    return f"{text}, {row['hung']} of them because the tests hung" if row["hung"] else text


def note(pattern: str, row: dict | None) -> None:
    """Replaces a file's row, or removes it, among those of earlier runs."""
    results = os.environ.get("HOOKFAN_PROOF_DIR")
    kept = Path(results) / "mutants.json" if results else None
    each = json.loads(kept.read_text()).get("each", {}) if kept and kept.exists() else {}
    each[pattern] = row
    each = {pattern: each[pattern] for pattern in FILES if each.get(pattern)}
    figures = {pattern: told(one) for pattern, one in each.items()}
    keep("mutants", figures, sum(one["seconds"] for one in each.values()), "debug", each=each)


def main(wanted: list[str]) -> None:
    failed = []
    for pattern in wanted or FILES:
        began = time.time()
        row = run(pattern)
        for change in row["survived"]:
            print(f"survived: {change}")
        print(f"{pattern}: {told(row)}", flush=True)
        row["seconds"] = int(time.time() - began)
        survived = len(row["survived"])
        held = survived <= (0 if pattern == COMMIT else (1 - CAUGHT_MIN) * (row["noticed"] + survived))
        note(pattern, row if held else None)
        if not held:
            failed.append(pattern)
    if failed:
        sys.exit(f"too many survivors in {', '.join(failed)}")


if sys.argv[1:2] == ["--first-failure"]:
    first_failure(sys.argv[2:])
main(sys.argv[1:])

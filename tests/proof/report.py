#!/usr/bin/env python3
"""docs/proof.md, made of what the proofs found.

  report.py --collect DIR   takes the figures of a run (DIR/*.json) into
                            docs/proof.json and writes docs/proof.md
  report.py --write         writes docs/proof.md again
  report.py --check         fails if docs/proof.md is not what this would write

Every row of ROWS is one proof: an id (the name of its figures), the promises
of docs/guarantees.md that it stands behind, what is done to the gateway, and
the command. A row without figures says that it was not run.
"""

import json
import re
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "docs" / "proof.json"
PAGE = ROOT / "docs" / "proof.md"
PROMISES = ROOT / "docs" / "guarantees.md"

# id, promises, what is done, command
ROWS = [
    ("kill", "1 2", "SIGKILL at random moments under load, three destinations, one of which fails half the time", "make proof"),
    ("power-ext4", "1 5 8", "The power is cut on ext4: every write of the block device is recorded, and any subset of what no flush covers is lost", "make power FS=ext4"),
    ("power-xfs", "1 5 8", "The same on XFS", "make power FS=xfs"),
    ("cuts-twin", "1", "The same rig finds a gateway whose fdatasync does nothing", "make power CUTS=60 TWIN=skip"),
    ("sim", "1 2 3 5 7", "Simulated worlds, each from a seed: crashes, torn and rotten sectors, failing and full disks, hostile destinations, reloads", "make sim"),
    ("sync-eio", "1", "One write or sync fails with EIO, the next succeeds, on real file systems; and power cuts around that moment", "make sync-eio"),
    ("eio-twin", "1", "The same rig finds a gateway that tries a failed sync again", "make sync-eio TWIN=retry"),
    ("full-disk", "1", "A file system is filled and freed again under load", "make proof"),
    ("mutants", "1 2", "The code that must not be wrong is changed, one place at a time, and a test must notice", "make mutants"),
    ("order", "3", "Conversations through failing attempts and kills", "make proof"),
    ("outage", "2 3", "A destination is down for a day, on a clock moved by hand", "make proof"),
    ("stop", "1 2", "SIGTERM under load", "make proof"),
    ("fan-out", "2", "A hundred destinations for every event", "make proof"),
    ("replay", "2", "All dead letters are retried while the process is killed", "make proof"),
    ("strangers", "4", "Slow heads, slow bodies, slow readers, silent ones and one-byte ones, all at once, beside a legitimate sender", "make proof"),
    ("slowhttptest", "4", "slowhttptest of Debian, in its four modes, against the real binary", "make hostile"),
    ("smuggling", "4", "Ambiguous heads, direct and through Debian's nginx and haproxy", "make hostile"),
    ("fuzz", "4 5 8", "Random bytes for every reader of bytes that are not ours", "make fuzz"),
    ("series", "4", "Many different types, paths, ids and hosts", "make proof"),
    ("secrets", "6", "Canary secrets in every place of a configuration, in four spellings, looked for in all that is shown at TRACE", "make proof"),
    ("reload", "7", "Reloads under load, half of them invalid", "make proof"),
    ("rotation", "7", "A signing secret is replaced under load", "make proof"),
    ("clock", "2 5", "The wall clock leaps by hours and years under load", "make clock"),
    ("backlog", "9", "Very many events wait for a destination that is down", "make proof"),
    ("soak", "1 3 7 9", "Steady load while destinations fail in every way, reloads right and wrong, strangers who come and go: memory and descriptors must not grow", "make endure"),
    ("crowded", "1 9", "Twice the events it can take, in a memory cgroup of a quarter of a gigabyte", "make endure"),
    ("isolation", "9", "A destination that hangs, one that answers 500 and one without a name stand beside a healthy one", "make proof"),
    ("lanes", "3 9", "A conversation with half the traffic fails; hosts fall silent: what the other conversations feel", "make proof"),
    ("dixa", "2 3", "Dixa, as documented, loses answers while the gateway is killed", "make proof"),
    ("quiq", "2 3", "Growing snapshots, twice and out of order, and a kill", "make proof"),
    ("bridge", "2", "Two chat platforms bridged to each other", "make proof"),
    ("advisories", "6", "All dependencies against the advisories of RustSec", "make advisories"),
]

HEAD = """# Proof

What was done to the gateway to make it break a promise, and what was found. The promises stand in
[guarantees.md](guarantees.md), with the tests of `make test` that hold each; here are the long forms,
too long for every change. This page is made by `make proof-report` from that page and the files that
the runs wrote: no figure in it was typed.

Every run fails, and leaves no figures, when anything acknowledged is lost, a promise is broken or the
run itself was void (as when too few power cuts tore anything). Most have a short form in `make test`.
The rigs that cut the power or fail the disk, and the simulation, are also shown gateways that are
broken on purpose, and must find them out.
"""

TAIL = """
## What is out of scope

A disk that confirms a flush and forgets what it confirmed; memory that changes by itself; two
gateways on one data folder over a file system whose locks do not hold; an operator who deletes the
data folder; exactly-once delivery, which no sender over HTTP can promise.
"""


def load() -> dict:
    return json.loads(FIGURES.read_text()) if FIGURES.exists() else {}


def collect(folder: Path) -> None:
    known = load()
    ids = {row[0] for row in ROWS}
    for path in sorted(folder.glob("*.json")):
        one = json.loads(path.read_text())
        if one["id"] not in ids:
            sys.exit(f"{path}: there is no proof called {one['id']}")
        known[one["id"]] = one
    FIGURES.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")


def shown(value) -> str:
    if isinstance(value, list):
        return " / ".join(shown(one) for one in value)
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def lasted(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min"


def held(known: dict) -> list[str]:
    """What holds each, as the guarantees name it, and what was run for it."""
    lines = ["| promise | tests of `make test` | long forms |\n| --- | --- | --- |"]
    for number, title, text in re.findall(r"^## (\d)\. (.*)\n((?:(?!## ).*\n)*)", PROMISES.read_text(), re.MULTILINE):
        tests = re.findall(r"`(\w+)`", text.partition("*Held by*")[2])
        if not tests:
            sys.exit(f"{PROMISES}: nothing holds promise {number}")
        runs = [f"[{name}](#{name})" for name, of, *_ in ROWS if number in of.split() and name in known]
        lines.append(f"| {number}. {title} | {'<br>'.join(f'`{test}`' for test in tests)} | {' '.join(runs)} |")
    return [*lines, ""]


def page(known: dict) -> str:
    lines = [HEAD, *held(known)]
    missing = []
    for name, promises, what, command in ROWS:
        one = known.get(name)
        if one is None:
            missing.append((name, promises, what, command))
            continue
        day = time.strftime("%Y-%m-%d", time.gmtime(one["unix"]))
        lines.append(f"## {name}\n")
        lines.append(f"{what}.\n")
        lines.append("| | |\n| --- | --- |")
        for key, value in one["figures"].items():
            lines.append(f"| {key} | {shown(value)} |")
        numbers = ", ".join(promises.split())
        plural = "s" if " " in promises else ""
        lines.append(
            f"\nPromise{plural} {numbers}. `{one.get('command', command)}`: {lasted(one['seconds'])}, {one['build']} build of"
            f" {one['commit']}, {day}.\n"
        )
    if missing:
        lines.append("## Not run yet\n")
        lines.append("| proof | promises | what | command |\n| --- | --- | --- | --- |")
        for name, promises, what, command in missing:
            lines.append(f"| {name} | {', '.join(promises.split())} | {what} | `{command}` |")
        lines.append("")
    return "\n".join(lines) + TAIL


def main(arguments: list[str]) -> None:
    match arguments:
        case ["--collect", folder]:
            collect(Path(folder))
            PAGE.write_text(page(load()))
        case ["--write"]:
            PAGE.write_text(page(load()))
        case ["--check"]:
            if not PAGE.exists() or PAGE.read_text() != page(load()):
                sys.exit("docs/proof.md is not what its figures say: make proof-report")
        case _:
            sys.exit(__doc__)


main(sys.argv[1:])

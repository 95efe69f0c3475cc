#!/usr/bin/env python3
"""Holds the instructions of each part of the hot path against those written down.

  make instructions                   compares with benches/instructions.json; fails beyond its tolerance
  make instructions COUNT=--bless     writes it anew
  make instructions COUNT=--parts=when,read
  make bench-parts                    the same of the optimised build

Cargo calls it as the runner of the bench `instructions`: `instructions.py BINARY`. Each part runs under
valgrind N times and 2N times: the difference over N is what one costs, without start and end.
Instructions do not depend on how busy a machine is. They do on the compiler and on how the code was
built: the file names the one, which another is not held against, and has a table for each of the other. `make test` counts what it has
built anyway, without optimisation: that shows work that is not needed, in seconds and for no further
build. What the optimiser makes of it is counted by `make bench`.
"""
import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

FILE = Path(__file__).with_suffix(".json")
COUNTED = re.compile(r"I\s+refs:\s+([\d,]+)")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("binary", type=Path)
    ap.add_argument("--bless", action="store_true")
    ap.add_argument("--parts", default="", help="comma-separated; default: all")
    ap.add_argument("--build", choices=["dev", "release"], default="dev", help="which of the tables")
    # Cargo says that to every bench.
    ap.add_argument("--bench", action="store_true", help=argparse.SUPPRESS)
    asked = ap.parse_args()
    why = unable(asked.binary)
    if why:
        print(f"instructions of the hot path: not counted, {why}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        seen = count(bare(asked.binary, Path(folder)), [name for name in asked.parts.split(",") if name])
    kept = json.loads(FILE.read_text()) if FILE.exists() else {"tolerance_percent": 8}
    table = kept.get(asked.build, {"instructions": {}})
    here = {"compiler": compiler(), "machine": platform.machine()}
    if asked.bless:
        table = {**here, "instructions": {**table["instructions"], **seen}}
        FILE.write_text(json.dumps({**kept, asked.build: table}, indent=1) + "\n")
    beyond = show(seen, table["instructions"], kept["tolerance_percent"])
    if any(table.get(key) != value for key, value in here.items()):
        print(f"not held against what is kept: that is of {table.get('compiler')} on {table.get('machine')}")
        return 0
    return 1 if beyond else 0


def unable(binary):
    """Why there is nothing to count with here; nothing where there is."""
    if not shutil.which("valgrind"):
        return "valgrind is not installed"
    if platform.system() != "Linux":
        return "not on Linux"
    return None


def bare(binary, folder):
    """The binary without symbols: valgrind reads them all at each start, a third of the time it takes."""
    stripped = folder / binary.name
    done = subprocess.run(["strip", "-o", stripped, binary]) if shutil.which("strip") else None
    return stripped if done and done.returncode == 0 else binary.resolve()


def count(binary, asked):
    """Instructions of one of each part; two at a time, since each has one core's worth to do."""
    lines = subprocess.run([binary], capture_output=True, text=True, check=True).stdout.splitlines()
    parts = {name: int(times) for name, times in (line.split("\t") for line in lines) if not asked or name in asked}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        once = pool.map(lambda item: instructions(binary, item[0], item[1]), parts.items())
        twice = pool.map(lambda item: instructions(binary, item[0], 2 * item[1]), parts.items())
        return {name: round((b - a) / times) for (name, times), a, b in zip(parts.items(), once, twice)}


def instructions(binary, part, times):
    done = subprocess.run(
        ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", binary, part, str(times)],
        capture_output=True, text=True)
    found = COUNTED.search(done.stderr)
    if done.returncode != 0 or not found:
        sys.exit(f"{part}: valgrind ended with {done.returncode}\n{done.stderr[-2000:]}")
    return int(found[1].replace(",", ""))


def show(seen, kept, tolerance):
    """Prints what was seen beside what is kept; the parts that are beyond the tolerance."""
    beyond = []
    print(f"{'instructions of one':<22}{'now':>12}{'kept':>12}")
    for name, now in seen.items():
        before = kept.get(name)
        if before is None or abs(now / before - 1) * 100 > tolerance:
            beyond.append(name)
        change = "new" if before is None else f"{100 * (now / before - 1):+.1f} %"
        print(f"{name:<22}{now:>12,}{before or 0:>12,}{change:>9}{'  beyond' if name in beyond else ''}")
    if beyond:
        print(f"\nbeyond ±{tolerance} %: {', '.join(beyond)}")
        print("If that is wanted: `make instructions COUNT=--bless`, and the reason in the commit.")
    return beyond


def compiler():
    done = subprocess.run(["rustc", "--version"], capture_output=True, text=True)
    return done.stdout.strip() or "an unknown compiler"


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Changes the code that must not be wrong, one place at a time, and runs its
tests: whatever no test notices is a survivor.

  mutants.py [FILE ...]     all of FILES, or these: hours, or minutes

Needs cargo-mutants (`cargo install cargo-mutants`). A survivor in the commit
(src/log/writer.rs) fails it, and more than one in twenty anywhere does.
Figures go to HOOKFAN_PROOF_DIR/mutants.json, of all files run so far.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import keep

ROOT = Path(__file__).resolve().parents[2]
COMMIT = "src/log/writer.rs"
# Each with the tests that answer for it.
FILES = {
    COMMIT: "log::",
    "src/log/append.rs": "log::",
    "src/log/ledger.rs": "log::",
    "src/log/recover.rs": "log::",
    "src/log/news.rs": "log::",
    "src/settle.rs": "settle::",
    "src/route.rs": "route::",
    "src/verify.rs": "verify::",
    "src/verify/*.rs": "verify::",
}
CAUGHT_MIN = 0.95


def run(pattern: str, tests: str, place: Path) -> dict:
    """How many changes were caught, missed, and could not be built."""
    command = ["cargo", "mutants", "--file", pattern, "--output", str(place), "--no-shuffle", "--colors=never"]
    command += ["--baseline=skip", "--timeout=300", "--cargo-test-arg=--lib", "--", tests]
    subprocess.run(command, cwd=ROOT, check=False)
    count = {}
    for name in ["caught", "missed", "timeout", "unviable"]:
        lines = (place / "mutants.out" / f"{name}.txt").read_text().splitlines()
        count[name] = len(lines)
        if name == "missed":
            print("\n".join(f"survived: {line}" for line in lines))
    return count


def main(wanted: list[str]) -> None:
    began = time.time()
    results = os.environ.get("HOOKFAN_PROOF_DIR")
    kept = Path(results) / "mutants.json" if results else None
    figures = json.loads(kept.read_text())["figures"] if kept and kept.exists() else {}
    failed = []
    for pattern in wanted or FILES:
        with tempfile.TemporaryDirectory() as place:
            count = run(pattern, FILES[pattern], Path(place))
        caught = count["caught"] + count["timeout"]
        all_of_them = caught + count["missed"]
        figures[pattern] = f"{caught} of {all_of_them} noticed"
        if count["missed"] and (pattern == COMMIT or caught < CAUGHT_MIN * all_of_them):
            failed.append(pattern)
    print(json.dumps(figures, indent=1))
    if failed:
        sys.exit(f"too many survivors in {', '.join(failed)}")
    keep("mutants", figures, time.time() - began, "debug")


main(sys.argv[1:])

#!/usr/bin/env python3
"""Fuzzes every target for some seconds each and says how far it came.

  run.py [--seconds N] [--built FOLDER] [TARGET ...]
                all targets, a minute each; FOLDER: where their binaries are

Needs cargo-fuzz (`cargo install cargo-fuzz`). What crashed is kept below
tests/fuzz/artifacts; copy it to tests/fuzz/corpus/<target>, where the tests
run it from then on. Figures go to HOOKFAN_PROOF_DIR/fuzz.json.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "proof"))
from figures import keep

TARGETS = ["record", "folder", "config", "template", "signature", "head", "vendor"]
BYTES_MAX = {"folder": 240, "head": 4096, "config": 8192}


def fuzz(target: str, seconds: int, built: str | None) -> int:
    """How many inputs were survived; ends this process at a crash."""
    with tempfile.TemporaryDirectory() as found:
        # New inputs go to the first folder and are not kept; crashes are.
        folders = [found, str(HERE / "corpus" / target)]
        if built:
            command = [f"{built}/{target}", *folders, f"-artifact_prefix={HERE}/artifacts/{target}-"]
        else:
            command = ["cargo", "fuzz", "run", "--fuzz-dir", str(HERE), target, *folders, "--"]
        command += [f"-max_total_time={seconds}", f"-max_len={BYTES_MAX.get(target, 4096)}", "-timeout=20"]
        command += ["-print_final_stats=1", "-rss_limit_mb=4096"]
        environment = {**os.environ, "RUSTC_BOOTSTRAP": "1"}
        done = subprocess.run(command, env=environment, cwd=HERE.parents[1], stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{done.stderr[-4000:]}\n{target}: a crash, or nothing to run it with")
    inputs = re.search(r"number_of_executed_units:\s*(\d+)", done.stderr)
    if not inputs:
        sys.exit(f"{target}: the fuzzer said nothing of what it did")
    return int(inputs[1])


def main(arguments: list[str]) -> None:
    seconds, built = 60, None
    while arguments and arguments[0] in ("--seconds", "--built"):
        if arguments[0] == "--built":
            built = arguments[1]
        else:
            seconds = int(arguments[1])
        arguments = arguments[2:]
    began, figures = time.time(), {"targets": 0, "seconds each": seconds}
    for target in arguments or TARGETS:
        inputs = fuzz(target, seconds, built)
        print(f"{target}: {inputs:,} inputs, no crash", flush=True)
        figures["targets"] += 1
        figures[f"inputs: {target}"] = inputs
    figures["crashes"] = 0
    keep("fuzz", figures, time.time() - began, "sanitised release")


main(sys.argv[1:])

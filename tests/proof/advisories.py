#!/usr/bin/env python3
"""Every dependency against the advisories of RustSec, by cargo-deny.

  advisories.py CARGO_DENY [FOLDER]   FOLDER: a clone of rustsec/advisory-db,
                                      for a machine without the internet

Says how old the advisories are: a snapshot knows nothing younger than itself.
Figures go to HOOKFAN_PROOF_DIR/advisories.json.
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import keep

ROOT = Path(__file__).resolve().parents[2]
URL = "https://github.com/rustsec/advisory-db"
# What cargo-deny calls its clone of that.
NAME = "advisory-db-3157b0e258782691"
DAYS_MAX = 60


def said(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def main(deny: str, folder: str | None = None) -> None:
    began = time.time()
    with tempfile.TemporaryDirectory() as place:
        config = (ROOT / "deny.toml").read_text()
        ours = f'[advisories]\ndb-path = "{place}/advisories"\ndb-urls = ["{URL}"]\n'
        (Path(place) / "deny.toml").write_text(config.replace("[advisories]\n", ours))
        command = [deny, "--all-features", "--config", f"{place}/deny.toml", "check", "advisories"]
        if folder:
            said("git", "clone", "--quiet", folder, f"{place}/advisories/{NAME}")
            command.insert(1, "--offline")
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(done.stdout + done.stderr)
        clones = [one for one in (Path(place) / "advisories").iterdir() if one.is_dir()]
        if len(clones) != 1:
            sys.exit("cargo-deny looked at no advisories")
        clone = str(clones[0])
        dated = int(said("git", "-C", clone, "log", "-1", "--format=%ct"))
        files = said("git", "-C", clone, "ls-tree", "-r", "--name-only", "HEAD", "crates").splitlines()
    days = int((time.time() - dated) // 86400)
    packages = len(re.findall(r"^\[\[package\]\]", (ROOT / "Cargo.lock").read_text(), re.MULTILINE))
    print(f"{packages} packages, {len(files)} advisories, none of them ours; the newest is {days} days old")
    if days > DAYS_MAX:
        print(f"older than {DAYS_MAX} days: good for a look, not for a release")
    figures = {"packages": packages, "advisories": len(files), "that concern us": 0, "days since the newest": days}
    keep("advisories", figures, time.time() - began, "no")


if not 2 <= len(sys.argv) <= 3:
    sys.exit(__doc__)
main(*sys.argv[1:])

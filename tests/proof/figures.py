"""Where a proof that held leaves its figures, for report.py."""

import json
import os
import time
from pathlib import Path


def keep(name: str, figures: dict, seconds: float, build: str, folder: str | None = None, **more) -> None:
    """`name` is an id of report.py's rows; `more` is kept beside the figures.
    Without a folder and HOOKFAN_PROOF_DIR nobody wants them."""
    folder = folder or os.environ.get("HOOKFAN_PROOF_DIR")
    if not folder:
        return
    whole = {
        "id": name,
        "figures": figures,
        "seconds": int(seconds),
        "unix": int(time.time()),
        "build": build,
        "commit": os.environ.get("HOOKFAN_COMMIT", "unknown"),
    } | more
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / f"{name}.json").write_text(json.dumps(whole, indent=1) + "\n")

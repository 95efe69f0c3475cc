"""The real gateway in a folder of its own, and whatever is started beside it."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path


class Stage:
    """All of it ends with the `with`. A subclass says by which routes the gateway runs, and under what."""

    def __init__(self, binary: str, admin: int):
        self.binary, self.admin = str(Path(binary).resolve()), admin

    def __enter__(self):
        with contextlib.ExitStack() as self.stack:
            self.path = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="hookfan-")))
            self.file = self.path / "routes.toml"
            self.file.write_text(self.routes())
            self.begin()
            self.stack = self.stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def routes(self) -> str:
        raise NotImplementedError

    def under(self) -> list:
        """The words in front of the gateway's own."""
        return []

    def begin(self) -> None:
        log = self.stack.enter_context(open(self.path / "log", "w"))
        self.gateway = self.start(*self.under(), self.binary, "run", "-c", self.file, "--log", "error", stderr=log)
        self.until("a ready gateway", 20, lambda: get(self.admin, "/readyz"))
        if self.gateway.poll() is not None:
            sys.exit(f"somebody else listens on {self.admin}")

    def start(self, *command, **more) -> subprocess.Popen:
        process = subprocess.Popen(list(map(str, command)), cwd=self.path, start_new_session=True, **more)
        self.stack.callback(end, process)
        return process

    def until(self, what: str, seconds: float, done) -> None:
        over = time.monotonic() + seconds
        while True:
            with contextlib.suppress(OSError):
                if done() is not False:
                    return
            if time.monotonic() > over:
                sys.exit(f"{what}: not within {seconds:.0f} s")
            time.sleep(0.1)

    def resident(self) -> float:
        """In MiB."""
        status = Path(f"/proc/{self.gateway.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def end(process: subprocess.Popen) -> None:
    """With whatever it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def get(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return answer.read()


def leave_nothing_behind() -> None:
    """What was started ends, too, when this is told to."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

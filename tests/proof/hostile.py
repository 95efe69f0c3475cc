#!/usr/bin/env python3
"""Strangers with other people's tools, against the real binary.

  hostile.py BINARY slow [CONNECTIONS [SECONDS]]   slowhttptest's slow heads,
             bodies and readers beside a sender who is in his right
  hostile.py BINARY smuggling                      heads that two parsers could
             read in two ways: direct, through nginx and through haproxy

Needs slowhttptest, nginx and haproxy (Debian packages; their services are not
used), python3. Ports 21300-21309, loopback. Figures go to HOOKFAN_PROOF_DIR.
"""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time

from figures import keep
from stage import Stage, get, leave_nothing_behind

PORT = int(os.environ.get("HOOKFAN_PORT", "21300"))
DIRECT, ADMIN, NGINX, HAPROXY = range(PORT, PORT + 4)
ROUTES = f"""
[server]
listen = "127.0.0.1:{DIRECT}"
admin = "127.0.0.1:{ADMIN}"
data_dir = "data"
[limits]
connections = 12000
connections_per_ip = 12000
[log]
min_free = "16MiB"
[source.open]
kind = "generic"
auth = "none"
[source.evil]
kind = "generic"
auth = "none"
"""
RSS_MORE_MAX = 64  # MiB
# Connections that are not the attack's: the sender's, a probe's.
OTHERS_MAX = 6
# One length, however unusual the rest: what follows is another request.
SOUND = ("length '5 '", "upgrade", "connection hides the length")
SECOND = b"POST /hooks/evil HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"


class Open(Stage):
    """A gateway that anybody may post to."""

    def __init__(self, binary: str):
        super().__init__(binary, ADMIN)

    def routes(self) -> str:
        return ROUTES

    def listening(self, port: int) -> None:
        self.until(f"somebody who listens on {port}", 20, lambda: socket.create_connection(("127.0.0.1", port), 1).close())

    def metric(self, name: str) -> int:
        """The sum of its series."""
        text = get(ADMIN, "/metrics").decode()
        return sum(map(int, re.findall(rf"^{name}(?:\{{.*\}})? (\d+)", text, re.MULTILINE)))

    def answers(self) -> int:
        """Requests it has answered, whatever the answer."""
        return self.metric("hookfan_webhooks_total")


class Sender(threading.Thread):
    """Posts a webhook every ten milliseconds and remembers how long each took."""

    def __init__(self):
        super().__init__(daemon=True)
        self.took, self.refused, self.over = [], 0, False

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", DIRECT, timeout=30)
        while not self.over:
            began = time.monotonic()
            try:
                connection.request("POST", "/hooks/open", b'{"a":1}', {"content-type": "application/json"})
                status = connection.getresponse()
                status.read()
                self.refused += status.status != 200
            except (OSError, http.client.HTTPException):
                # A kept connection may be closed; a new one must be served.
                connection.close()
                continue
            self.took.append(time.monotonic() - began)
            time.sleep(max(0, 0.01 - (time.monotonic() - began)))

    def p99(self) -> float:
        self.over = True
        self.join()
        return sorted(self.took)[len(self.took) * 99 // 100] * 1000


def slow(stage: Open, connections: int, seconds: int) -> dict:
    url = f"http://127.0.0.1:{DIRECT}/hooks/open"
    modes = {
        "slow heads": ["-H", "-i", "1", "-x", "24"],
        "slow bodies": ["-B", "-i", "1", "-s", "8192", "-x", "10"],
        "slow readers": ["-X", "-t", "POST", "-k", "8", "-w", "10", "-y", "20", "-n", "5", "-z", "32"],
    }
    alone = Sender()
    alone.start()
    time.sleep(8)
    baseline, before = alone.p99(), stage.resident()
    figures = {"connections of each mode": connections, "seconds of each mode": seconds, "legitimate p99 alone, ms": round(baseline, 1)}
    for name, options in modes.items():
        sender, most = Sender(), 0.0
        sender.start()
        command = ["slowhttptest", "-c", str(connections), "-r", "1000", "-l", str(seconds), "-p", "3", "-u", url, *options]
        attack = stage.start(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        told = []
        reader = threading.Thread(target=lambda: told.extend(attack.stdout), daemon=True)
        reader.start()
        peak, let_go, began = 0, None, time.monotonic()
        while attack.poll() is None:
            most, open_now = max(most, stage.resident()), stage.metric("hookfan_connections")
            peak = max(peak, open_now)
            # Ours, not theirs: who does not read does not see that we closed.
            if let_go is None and peak >= 0.95 * connections and open_now <= OTHERS_MAX:
                let_go = time.monotonic() - began
            time.sleep(0.2)
        reader.join()
        text = re.sub(r"\x1b\[[0-9;]*m", "", "".join(told))
        # It ends by itself when it sees that none is left.
        if let_go is None and (ended := re.search(r"ended on (\d+)th second\s+Exit status: No open", text)):
            let_go = int(ended[1])
        available = re.findall(r"service available:\s+(\w+)", text)
        p99 = sender.p99()
        figures |= {
            f"{name}: all closed by us after, s": let_go and round(let_go),
            f"{name}: service available": "always" if available and set(available) == {"YES"} else "not always",
            f"{name}: memory more, MiB": round(most - before),
            f"{name}: legitimate p99, ms": round(p99, 1),
            f"{name}: legitimate refused": sender.refused,
        }
        print(f"{name}: {figures}", flush=True)
        fine = figures[f"{name}: service available"] == "always" and most - before <= RSS_MORE_MAX and not sender.refused
        if not fine or let_go is None:
            sys.exit(f"{name}: not survived\n{text[-3000:]}")
    return figures


def heads() -> dict[str, bytes]:
    """Each is the beginning of a request after which a second one hides."""
    post = "POST /hooks/open HTTP/1.1\r\nhost: x\r\n"
    both = "content-length: 5\r\ntransfer-encoding: chunked\r\n"
    chunked = "0\r\n\r\n"
    found = {"length and chunked": post + both + "\r\n" + chunked, "chunked and length": post + "transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n" + chunked}
    codings = [
        "Transfer-Encoding : chunked", " Transfer-Encoding: chunked", "Transfer-Encoding:\tchunked", "Transfer-Encoding:\x0bchunked",
        "Transfer-Encoding: xchunked", "Transfer-Encoding: chunked, identity", "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: \"chunked\"", "Transfer-Encoding: chunked\r\nTransfer-Encoding: x", "Transfer-Encoding\r\n : chunked",
        "Transfer_Encoding: chunked", "Transfer-Encoding: chunKed", "X: y\nTransfer-Encoding: chunked", "X: y\rTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\x00", "Transfer-\x00Encoding: chunked", "Content-Encoding: chunked\r\nTransfer-Encoding:chunked",
        "Transfer-Encoding:\xff chunked", "Transfer-Encoding: ,chunked", "Transfer-Encoding: chunked;a=b",
    ]
    for coding in codings:
        found[f"length beside {coding!r}"] = f"{post}content-length: 5\r\n{coding}\r\n\r\n{chunked}"
    lengths = ["+5", "5, 5", "5, 0", "05", "0x5", "5 ", "-1", "5\r\nContent-Length: 0", "5\r\nContent-Length: 5", "\x0b5", "5a", "99999999999999999999", "5.0", "'5'", "", "5;a"]
    for length in lengths:
        found[f"length {length!r}"] = f"{post}content-length: {length}\r\n\r\n[1,2]"
    sizes = ["5;a=b", "0x5", "+5", " 5", "5 ", "5\n", "FFFFFFFFFFFFFFFFF5", "00000000000000000005", "-1", "5\r", ""]
    for size in sizes:
        found[f"chunk size {size!r}"] = f"{post}transfer-encoding: chunked\r\n\r\n{size}\r\n[1,2]\r\n0\r\n\r\n"
    others = {
        "bare LF": "POST /hooks/open HTTP/1.1\nhost: x\ncontent-length: 0\n\n",
        "bare CR": "POST /hooks/open HTTP/1.1\rhost: x\rcontent-length: 0\r\r",
        "folded": post + "x: a\r\n content-length: 5\r\n\r\n",
        "two hosts": post + "host: y\r\ncontent-length: 0\r\n\r\n",
        "no host": "POST /hooks/open HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
        "other host": "POST http://y/hooks/open HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
        "body on GET": "GET /hooks/open HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n[1,2]",
        "chunks in 1.0": "POST /hooks/open HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + chunked,
        "0.9": "POST /hooks/open\r\n\r\n",
        "2.0": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "upgrade": post + "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\ncontent-length: 0\r\n\r\n",
        "trailer": post + "transfer-encoding: chunked\r\ntrailer: content-length\r\n\r\n0\r\ncontent-length: 5\r\n\r\n",
        "space in target": "POST /hooks/open x HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
        "connection hides the length": post + "connection: content-length\r\ncontent-length: 5\r\n\r\n[1,2]",
    }
    found |= others
    return {name: head.encode("latin-1") for name, head in found.items()}


def said(port: int, probe: bytes) -> bytes:
    """All that comes back before the other side closes, or falls silent."""
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.settimeout(1.5)
        connection.sendall(probe)
        back = b""
        try:
            while more := connection.recv(65536):
                back += more
        except (TimeoutError, ConnectionError):
            pass
        return back


def statuses(back: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3})", back) if status != b"100"]


def proxies(stage: Open) -> dict[str, tuple[int, callable]]:
    (stage.path / "nginx.conf").write_text(f"""
daemon off; pid nginx.pid; error_log nginx.err; worker_processes 1;
events {{ worker_connections 256; }}
http {{
  log_format up '$upstream_status'; access_log up.log up; client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t;
  uwsgi_temp_path t; scgi_temp_path t;
  server {{ listen 127.0.0.1:{NGINX};
    location / {{ proxy_pass http://127.0.0.1:{DIRECT}; proxy_http_version 1.1; proxy_set_header Host x; proxy_next_upstream off; }} }}
}}
""")
    (stage.path / "haproxy.cfg").write_text(f"""
global
  log stdout format raw local0
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
  retries 0
  log global
  log-format "%s %ST"
frontend f
  bind 127.0.0.1:{HAPROXY}
  default_backend b
backend b
  http-reuse always
  server hookfan 127.0.0.1:{DIRECT}
""")
    stage.start(shutil.which("nginx") or "/usr/sbin/nginx", "-p", str(stage.path), "-c", "nginx.conf", "-e", "nginx.err")
    log = (stage.path / "haproxy.log").open("w")
    stage.start(shutil.which("haproxy") or "/usr/sbin/haproxy", "-f", "haproxy.cfg", stdout=log)
    for port in (NGINX, HAPROXY):
        stage.listening(port)

    def passed_by_nginx() -> int:
        lines = (stage.path / "up.log").read_text().splitlines()
        return sum(line != "-" for line in lines)

    def passed_by_haproxy() -> int:
        lines = (stage.path / "haproxy.log").read_text().splitlines()
        return sum(line.startswith("hookfan ") for line in lines)

    return {"nginx": (NGINX, passed_by_nginx), "haproxy": (HAPROXY, passed_by_haproxy)}


def smuggling(stage: Open) -> dict:
    probes = heads()
    taken, second = [], []
    for name, probe in probes.items():
        back = statuses(said(DIRECT, probe + SECOND))
        if name in ("length and chunked", "chunked and length") and back != [400]:
            sys.exit(f"{name}: {back}, not one 400")
        if len(back) > 1 and name not in SOUND:
            second.append(f"{name}: {back}")
        taken += [name] if back[:1] == [200] else []
    if second:
        sys.exit("a second answer after\n" + "\n".join(second))
    if statuses(said(DIRECT, b"POST /hooks/open HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}" + SECOND)) != [200, 200]:
        sys.exit("two sound requests do not get two answers: the probes say nothing")
    figures = {"heads": len(probes), "taken as sound": len(taken), "second answers, direct": 0}
    print(f"direct: taken as sound: {taken}", flush=True)
    for name, (port, passed) in proxies(stage).items():
        before, passed_before = stage.answers(), passed()
        for probe in probes.values():
            said(port, probe + SECOND)
        for _ in range(100):
            ours, theirs = stage.answers() - before, passed() - passed_before
            if ours == theirs:
                break
            time.sleep(0.1)
        if ours != theirs or theirs == 0:
            sys.exit(f"{name} passed {theirs} requests on, we answered {ours}")
        figures |= {f"passed on by {name}": theirs, f"answered of those by {name}": ours}
    return figures


def main(binary: str, what: str, *numbers: str) -> None:
    needed = ["slowhttptest"] if what == "slow" else ["nginx", "haproxy"]
    os.environ["PATH"] += ":/usr/sbin"
    if missing := [name for name in needed if not shutil.which(name)]:
        print(f"make hostile needs {' '.join(missing)} (apt-get install {' '.join(missing)})")
        sys.exit(2)
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    leave_nothing_behind()
    began = time.time()
    with Open(binary) as stage:
        connections, seconds = [*map(int, numbers), *[2000, 100][len(numbers) :]]
        figures = slow(stage, connections, seconds) if what == "slow" else smuggling(stage)
    name = "slowhttptest" if what == "slow" else "smuggling"
    print(json.dumps({name: figures}))
    keep(name, figures, time.time() - began, "release" if "release" in binary else "debug")


if len(sys.argv) < 3 or sys.argv[2] not in ("slow", "smuggling"):
    sys.exit(__doc__)
main(*sys.argv[1:])

"""The sink, the systems under test and the load, each a process of its own; and one measured run of the three."""
import copy
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request

from machine import Sampler, busy, log, processes, tree, tree_cpu, wait_idle

TYPES = ["post_comment_mobile", "post_comment_rest", "mark_resolved", "assign_agent"]


class Failed(Exception):
    """A scenario that could not be measured; the text says why."""


class Sink:
    """Counts what arrives, on a port per destination."""

    def __init__(self, cfg, keeps=True):
        self.cfg = cfg
        command = ["taskset", "-c", cfg.cpu_load, str(cfg.bin / "sink"), "--control", str(cfg.sink_port),
                   "--dests", str(cfg.dests), "--reply", cfg.reply]
        self.process = subprocess.Popen(command + ([] if keeps else ["--count-only"]), stdout=subprocess.PIPE, text=True)
        if not self.process.stdout.readline():
            raise Failed("the sink did not start; is a port in use?")

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.cfg.sink_port}{path}", timeout=60) as answer:
            return json.loads(answer.read())

    def stats(self):
        return self.get("/stats")

    def copies(self):
        """Different copies that arrived, over all destinations."""
        return sum(dest["unique"] for dest in self.stats()["dests"])

    def close(self):
        try:
            self.get("/quit")
            self.process.wait(5)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()


class Peer:
    """A system under test, by the five functions of its peer.sh; `settings` go into its environment."""

    def __init__(self, name, cfg, settings=None):
        self.name, self.cfg, self.settings = name, cfg, settings or {}
        self.dir = cfg.here / "peers" / name
        self.process = None
        self.info = {"DURABLE": "?", "FANOUT": "1", "NOTE": "", "SETTLE": "15"}
        self.info.update(line.split("=", 1) for line in self.call("info").stdout.splitlines() if "=" in line)
        self.fans_out = self.info["FANOUT"] == "1"

    def env(self):
        urls = [f"http://127.0.0.1:{self.cfg.sink_port + d}/d{d}" for d in range(1, self.cfg.dests + 1)]
        return {
            **os.environ, "PEER_DIR": str(self.dir), "LOADKIT_BIN": str(self.cfg.bin), "BENCH_PORT": str(self.cfg.port),
            "BENCH_TYPES": ",".join(TYPES), "BENCH_DESTS": str(self.cfg.dests), "BENCH_DATA": str(self.cfg.data),
            "SINK_URLS": ",".join(urls), **{f"SINK_{i}": url for i, url in enumerate(urls[:3], 1)}, **self.settings,
        }

    def call(self, function, timeout=120):
        command = ["bash", "-c", f'set -u; . "$1"; {function}', "peer", str(self.dir / "peer.sh")]
        return subprocess.run(command, env=self.env(), capture_output=True, text=True, timeout=timeout)

    def missing(self):
        """Why it cannot run here; nothing where it can."""
        done = self.call("check")
        return None if done.returncode == 0 else (done.stdout + done.stderr).strip() or f"check failed ({done.returncode})"

    def start(self, wipe=True):
        if wipe:
            shutil.rmtree(self.cfg.data, ignore_errors=True)
        self.cfg.data.mkdir(parents=True, exist_ok=True)
        self.cfg.data.chmod(0o755)
        began = time.time()
        self.spawn(["bash", "-c", 'set -u; . "$1"; start', "peer", str(self.dir / "peer.sh")])
        while self.call("ready", 30).returncode != 0:
            if self.process.poll() is not None:
                raise Failed(f"{self.name} ended while starting, see {self.log.name}")
            if time.time() - began > 90:
                raise Failed(f"{self.name} not ready after 90 s, see {self.log.name}")
            time.sleep(0.1)
        self.find_ingest()

    def spawn(self, command):
        self.log = open(self.cfg.out / f"{self.name}.log", "ab")
        self.process = subprocess.Popen(
            ["taskset", "-c", self.cfg.cpu_server, *command], env=self.env(), stdout=self.log, stderr=self.log,
            stdin=subprocess.DEVNULL, start_new_session=True)

    def find_ingest(self):
        done = self.call("ingest")
        if done.returncode != 0:
            raise Failed(f"{self.name} ingest: {done.stdout}{done.stderr}")
        pairs = (line.partition("=") for line in done.stdout.splitlines())
        self.load_args = [word for key, _, value in pairs if key in ("url", "header", "wrap") for word in (f"--{key}", value)]

    def kill(self):
        """SIGKILL for the whole tree."""
        pids = tree(self.process.pid, processes())
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        until = time.time() + 10
        while time.time() < until and any(os.path.exists(f"/proc/{pid}") for pid in pids):
            time.sleep(0.02)
        self.process = None
        self.log.close()

    def end(self):
        """SIGTERM, and however long it takes."""
        self.process.terminate()
        self.process.wait(120)
        self.process = None
        self.log.close()


class Load:
    def __init__(self, cfg, peer, run, acks, **options):
        command = ["taskset", "-c", cfg.cpu_load, str(cfg.bin / "load"), *peer.load_args, "--run", str(run),
                   "--acks", str(acks)]
        for key, value in {"rooms": cfg.rooms, "size": cfg.size, **options}.items():
            command += [f"--{key.replace('_', '-')}"] + ([] if value is True else [str(value)])
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def result(self):
        out, err = self.process.communicate()
        if self.process.returncode != 0:
            raise Failed("load: " + err.strip()[-500:])
        return json.loads(out)


def drain(sink, want, cap, still):
    """Until `want` different copies arrived in all, or nothing moves for `still` s, or `cap` s; whether they did."""
    began = moved = time.time()
    last = -1
    while True:
        copies = sink.copies()
        if copies >= want:
            return True
        if copies != last:
            last, moved = copies, time.time()
        if time.time() - moved > still or time.time() - began > cap:
            return False
        time.sleep(0.2)


class Session:
    """One scenario: a fresh sink, a fresh server, four probe events. Use it as `with Session(…) as session`."""

    def __init__(self, cfg, name, settings=None, probe=True, keeps=True, **changes):
        self.cfg = cfg = copy.copy(cfg)
        for key, value in changes.items():
            setattr(cfg, key, value)
        self.peer, self.probes, self.keeps = Peer(name, cfg, settings), probe, keeps
        self.acks, self.records = cfg.out / "acks.bin", cfg.out / "records.bin"

    def __enter__(self):
        wait_idle(self.cfg.idle_wait)
        self.sink = Sink(self.cfg, self.keeps)
        try:
            self.peer.start()
            if self.probes:
                self.probe()
            self.sink.get("/reset?run=2")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.peer.process:
            self.peer.kill()
        self.sink.close()
        for file in (self.acks, self.records):
            file.unlink(missing_ok=True)

    def probe(self):
        self.sink.get("/reset?run=1")
        result = Load(self.cfg, self.peer, 1, self.acks, conns=1, warm=0, secs=5, max_events=4).result()
        if result["acked"] != 4:
            raise Failed(f"probe: acked {result['acked']} of 4: {result['status']}")
        if self.peer.fans_out and not drain(self.sink, 4 * self.cfg.dests, 30, 30):
            raise Failed("probe events did not reach every destination: " + json.dumps(self.sink.stats()["dests"]))

    def load(self, **options):
        return Load(self.cfg, self.peer, 2, self.acks, **options)

    def verified(self, result, cap, still):
        """What came of every acknowledged event; waits for all copies, until `still` s of silence or `cap` s.

        The sink's count alone cannot tell: events whose outcome the client does not know may have been delivered
        too, and would stand in for acknowledged ones that were not.
        """
        began = time.time()
        drain(self.sink, result["acked"] * self.cfg.dests, cap, still)
        seen = self.verify(result)
        if seen["copies_lost"] and time.time() - began < cap:
            drain(self.sink, 1 << 62, cap - (time.time() - began), still)
            seen = self.verify(result)
        return seen

    def verify(self, result):
        self.sink.get(f"/dump?path={self.records}")
        done = subprocess.run(
            [str(self.cfg.bin / "verify"), "--acks", str(self.acks), "--recs", str(self.records), "--dests",
             str(self.cfg.dests), "--w0", str(result["w0_ns"]), "--w1", str(result["w1_ns"])],
            capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    def measured(self, cap=120, still=15, **options):
        """One load and everything there is to say about it."""
        meter = Meter(self)
        result = self.load(**options).result()
        spent = meter.read(result["cpu_share"])
        seen = self.verified(result, cap if self.peer.fans_out else 0, still)
        delivered = sum(dest["delivered"] for dest in seen["dests"])
        events = delivered / self.cfg.dests or result["acked"]
        span = (seen["t_last_ns"] - result["t0_ns"]) / 1e9 if delivered else None
        window = (result["w1_ns"] - result["w0_ns"]) / 1e9
        return {
            **spent, **meter.total(events), "load": result, "verify": seen, "drained": not seen["copies_lost"],
            "accepted_per_s": result["accepted_per_s"], "ack": result["ack"], "e2e": seen["e2e"],
            "copies_in_window_per_s": seen["copies_in_window"] / window,
            "copies_per_s_end_to_end": delivered / span if span else None,
            "lost": seen["copies_lost"], "dup": seen["dup"], "reorder": seen["reorder"],
        }


class Meter:
    """CPU and memory of the server from now on, and what else the machine did."""

    def __init__(self, session):
        self.sink, self.root = session.sink, session.peer.process.pid
        self.memory = Sampler(self.root)
        self.cpu, self.machine, self.sink_cpu, self.began = self.now()

    def now(self):
        return tree_cpu(self.root), busy(), self.sink.stats()["cpu_s"], time.time()

    def read(self, load_cpu):
        """Shares of a core while the load ran; `load_cpu` is the load generator's."""
        cpu, (busy_s, stolen_s), sink_cpu, now = self.now()
        span = now - self.began
        server, harness = (cpu - self.cpu) / span, load_cpu + (sink_cpu - self.sink_cpu) / span
        foreign = max(0.0, (busy_s - self.machine[0]) / span - server - harness)
        return {"server_cpu": server, "harness_cpu": harness, "foreign_cpu": foreign,
                "steal": (stolen_s - self.machine[1]) / span}

    def total(self, events):
        """Of the whole run, draining included."""
        cpu = tree_cpu(self.root) - self.cpu
        return {"cpu_s_per_1000": 1000 * cpu / events if events else None, "peak_rss": self.memory.stop()}


def log_failure(name, scenario, error):
    log(f"  {name} {scenario}: {type(error).__name__}: {error}")
    return {"error": f"{type(error).__name__}: {error}"[:300]}

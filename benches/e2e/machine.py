"""What the machine tells of processes and of itself, from /proc."""
import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path

HZ = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def log(*words):
    print(time.strftime("%H:%M:%S"), *words, file=sys.stderr, flush=True)


def processes():
    """pid -> (ppid, CPU ticks of itself and of its reaped children, resident pages, shared pages)."""
    table = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            stat = Path(f"/proc/{name}/stat").read_text()
            statm = Path(f"/proc/{name}/statm").read_text().split()
        except OSError:
            continue
        fields = stat[stat.rindex(")") + 2:].split()
        table[int(name)] = (int(fields[1]), sum(int(x) for x in fields[11:15]), int(statm[1]), int(statm[2]))
    return table


def tree(root, table):
    """The pids of `root` and of everything below it."""
    children = {}
    for pid, row in table.items():
        children.setdefault(row[0], []).append(pid)
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        if pid in table:
            found.append(pid)
            todo += children.get(pid, [])
    return found


def tree_cpu(root):
    """CPU seconds of a process tree so far, in ticks of 10 ms."""
    table = processes()
    return sum(table[pid][1] for pid in tree(root, table)) / HZ


def cpu_fine(pid):
    """CPU seconds of one process so far, in nanoseconds, with the threads that have ended."""
    # Linux's number for the CPU clock of a process; clock_getcpuclockid(3) computes the same.
    return time.clock_gettime((-pid - 1) << 3 | 2)


def resident(root):
    """Bytes of a process tree in memory: private pages summed, plus the largest shared part once."""
    table = processes()
    pids = tree(root, table)
    if not pids:
        return 0
    return PAGE * (sum(table[p][2] - table[p][3] for p in pids) + max(table[p][3] for p in pids))


def busy():
    """CPU seconds the machine has worked, and those the host gave to others."""
    with open("/proc/stat") as file:
        v = [int(x) for x in file.readline().split()[1:]]
    return (v[0] + v[1] + v[2] + v[5] + v[6]) / HZ, (v[7] if len(v) > 7 else 0) / HZ


class Sampler(threading.Thread):
    """Peak memory of a process tree, looked at twice a second."""

    def __init__(self, root):
        super().__init__(daemon=True)
        self.root, self.peak, self.end = root, 0, threading.Event()
        self.start()

    def run(self):
        while not self.end.wait(0.5):
            self.peak = max(self.peak, resident(self.root))

    def stop(self):
        self.end.set()
        self.join()
        return max(self.peak, resident(self.root))


def wait_idle(limit, allow=0.15):
    """Waits until the machine does little for two seconds, at most `limit` s; 0 does not look."""
    began, said = time.time(), False
    while limit > 0:
        before, then = busy()[0], time.time()
        time.sleep(2)
        cores = (busy()[0] - before) / (time.time() - then)
        if cores < allow:
            return
        if time.time() - began > limit:
            log(f"machine still busy ({cores:.2f} cores); running all the same, see foreign_cpu in the result")
            return
        if not said:
            log(f"machine busy ({cores:.2f} cores), waiting up to {limit:.0f} s")
            said = True


def conditions(cfg):
    """What a reader must know to believe a figure."""
    cpu = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    memory = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    return {
        "cpu": cpu[0] if cpu else platform.machine(), "cores": os.cpu_count(), "memory_bytes": memory,
        "kernel": platform.release(), "disk": mounted(cfg.out), "date": time.strftime("%Y-%m-%d"),
        "versions": {
            "hookfan": said([os.environ.get("HOOKFAN_BIN", "hookfan"), "--version"]),
            "commit": cfg.commit or said(["git", "-C", str(cfg.here), "describe", "--always", "--dirty"]),
            "nginx": said([os.environ.get("NGINX_BIN", "/usr/sbin/nginx"), "-v"]),
            "node": said(["node", "-p", "'Node.js ' + process.version"]),
            "python": f"Python {platform.python_version()}",
        },
    }


def said(command):
    """The first line a command prints, or nothing where there is no such command."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0] if done.returncode == 0 and lines else None


def mounted(path):
    """The kind of file system that holds `path`."""
    best = ("", "?")
    for line in open("/proc/mounts"):
        _, where, kind = line.split()[:3]
        if (str(path) + "/").startswith(where.rstrip("/") + "/") and len(where) >= len(best[0]):
            best = (where, kind)
    return best[1]

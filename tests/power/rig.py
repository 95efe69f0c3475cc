"""What the power rig runs on: the recorded disk, its mounts, a gateway, who posts and who receives.

Everything here is undone by the `with` that began it. Besides, the whole rig runs in a mount
namespace of its own and every process it starts dies with it, so that even a SIGKILL leaves no
mount and no loop device behind.
"""

import contextlib, ctypes, http.client, http.server, json, mmap, os, random, shutil, signal, socket, struct
import subprocess, threading, time
from pathlib import Path

HERE = Path(__file__).resolve().parent
MIB = 1 << 20
# XFS makes no smaller ones.
DISK_BYTES = {"ext4": 256 * MIB, "xfs": 320 * MIB, "btrfs": 256 * MIB}
MKFS = {
    # What would be initialised later, at a random moment, is so at once.
    "ext4": ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"],
    "xfs": ["mkfs.xfs", "-q", "-f", "-K"],
    "btrfs": ["mkfs.btrfs", "-q", "-f", "-K"],
}
TOOLS = ["nbdkit", "nbdfuse", "mount", "umount", "losetup", "unshare", "e2fsck", "cc"]


def missing(kinds):
    """Why the rig cannot run here on these file systems; None: it can."""
    lacking = [tool for tool in [*TOOLS, *(MKFS[kind][0] for kind in kinds)] if not shutil.which(tool)]
    if os.geteuid() != 0:
        return "it mounts file systems: run it as root"
    if lacking:
        return f"no {', '.join(lacking)}: apt-get install nbdkit nbdkit-plugin-python libnbd-bin fuse3 xfsprogs btrfs-progs e2fsprogs gcc"
    if not Path("/dev/fuse").exists() or not Path("/dev/loop-control").exists():
        return "no /dev/fuse or no /dev/loop-control: this kernel or container has none"
    return None


def until(what, seconds, condition, every=0.004):
    """Waits for a condition to be true and returns it."""
    ends = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > ends:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(every)


def dies_with_us():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def run(*command):
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, preexec_fn=dies_with_us)
    if ended.returncode != 0:
        raise OSError(f"{' '.join(map(str, command))}: {ended.stderr.strip()}")


@contextlib.contextmanager
def mounted(image, folder, kind, direct=False):
    """A file system in a file, on a loop device that goes with the mount.

    `direct`: a write is done when the file's own disk says so, and an error is the error of that
    write, as on a real device. Otherwise the loop device keeps it in the page cache, and the error
    goes to whoever asks for a flush next, which may be the file system's journal that ignores it.
    """
    folder.mkdir(exist_ok=True)
    options = "loop,nouuid" if kind == "xfs" else "loop"
    mount = ["mount", "-t", kind, "-o", options, str(image), str(folder)]
    try:
        run(*mount)
    except OSError:
        # After an error ext4 writes its superblock past the journal: a cut may tear it, and a boot
        # would check it. Everything else mounts, or the rig is at fault.
        if kind != "ext4" or subprocess.run(["e2fsck", "-fy", str(image)], capture_output=True).returncode > 2:
            raise
        run(*mount)
    try:
        if direct:
            with open("/proc/self/mounts") as mounts:
                device = next(line.split()[0] for line in mounts if line.split()[1] == str(folder))
            run("losetup", "--direct-io=on", device)
        yield folder
    finally:
        unmount(folder)


def unmount(folder):
    with contextlib.suppress(TimeoutError):
        until("an idle mount", 5, lambda: subprocess.run(["umount", str(folder)], capture_output=True).returncode == 0)
        return
    subprocess.run(["umount", "-l", str(folder)], capture_output=True)


class RecordedDisk:
    """The plugin's disk as a file that can be formatted and mounted; `folder` holds its tape."""

    def __init__(self, folder, kind):
        self.folder, self.kind, self.size = folder, kind, DISK_BYTES[kind]

    def __enter__(self):
        self.folder.mkdir()
        self.point = self.folder / "device"
        self.point.mkdir()
        self.process = subprocess.Popen(
            ["nbdfuse", f"{self.point}/disk", "--command", "nbdkit", "-s", "python", str(HERE / "recorder.py"),
             f"folder={self.folder}", f"size={self.size}"],
            # It tells in traces of each failure that it was told to make.
            stdout=subprocess.DEVNULL, stderr=open(self.folder / "nbdkit.log", "wb"), preexec_fn=dies_with_us,
        )
        self.image = self.point / "disk"
        until("the recorded disk", 20, self.image.exists)
        with open(self.folder / "count", "rb") as file:
            self.shared = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)
        run(*MKFS[self.kind], str(self.image))
        return self

    def __exit__(self, *_):
        unmount(self.point)
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def count(self):
        """How many entries the tape has."""
        return struct.unpack_from("@Q", self.shared)[0]


class Receivers:
    """Destinations: `good` takes everything, `limps` every other (unless all are well), `dies` refuses.

    `got` says where on the tape each event was first taken, `tries` when `limps` was asked for it.
    """

    def __init__(self, place=lambda: 0, well=False, limping=0.5):
        self.got = {"good": {}, "limps": {}}
        self.tries, self.well = {}, well
        receivers = self

        class Receiver(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                name, event = self.path.strip("/"), self.headers["webhook-id"]
                self.rfile.read(int(self.headers.get("content-length", "0")))
                status = 400 if name == "dies" else 200
                if name == "limps":
                    receivers.tries.setdefault(event, []).append(time.monotonic())
                    if not receivers.well and random.random() < limping:
                        status = 503
                if status == 200:
                    receivers.got[name].setdefault(event, place())
                self.send_response_only(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_):
                """A gateway that was killed hung up."""

        self.server = Server(("127.0.0.1", 0), Receiver)
        self.port = self.server.server_port

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Gateway:
    """The real binary, with its data folder on a mount and its file beside it."""

    def __init__(self, binary, folder, data, receivers, environment=None):
        self.binary, self.folder, self.data = binary, folder, data
        self.environment = {**os.environ, **(environment or {})}
        self.listen, self.admin, self.nobody = free_port(), free_port(), free_port()
        self.process, self.log = None, folder / "gateway.log"
        folder.mkdir(exist_ok=True)
        place = f"http://127.0.0.1:{receivers.port}"
        common = 'kind = "http"\nallow_private = true\n'
        (folder / "routes.toml").write_text(
            f'[server]\nlisten = "127.0.0.1:{self.listen}"\nadmin = "127.0.0.1:{self.admin}"\ndata_dir = "{data}"\n'
            '[log]\nmin_free = "8MiB"\nmax_disk = "160MiB"\nsegment_bytes = "1MiB"\n'
            '[source.till]\nkind = "generic"\nauth = "none"\nid = [{ body = "id" }]\nkey = [{ body = "room" }]\n'
            f'[destination.good]\n{common}url = "{place}/good"\norder = "conversation"\n'
            f'[destination.limps]\n{common}url = "{place}/limps"\nretry = {{ delays = ["1s"], for = "1h" }}\n'
            f'breaker = {{ failures = 1000, probe_every = "1s" }}\n'
            f'[destination.dies]\n{common}url = "{place}/dies"\n'
            f'[destination.down]\n{common}url = "http://127.0.0.1:{self.nobody}/"\n'
            '[[route]]\nfrom = "till"\nto = ["good", "limps", "dies", "down"]\n'
        )

    def start(self):
        """Starts it and waits until it is ready; False: it ended."""
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [self.binary, "run", "--log", "info", "--log-format", "json", "-c", self.folder / "routes.toml"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, env=self.environment,
                preexec_fn=dies_with_us,
            )
        until("a gateway that is ready", 20, lambda: self.process.poll() is not None or self.ready())
        return self.process.poll() is None

    def ready(self):
        try:
            return self.ask("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def ask(self, method, path, body=None, port=None):
        link = http.client.HTTPConnection("127.0.0.1", port or self.admin, timeout=10)
        try:
            link.request(method, path, body, {"content-type": "application/json"})
            answer = link.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as broken:
            raise OSError(str(broken)) from broken
        finally:
            link.close()

    def destinations(self):
        return {row["name"]: row for row in json.loads(self.ask("GET", "/api/v1/status")[1])["destinations"]}

    def retry_dead(self, name):
        """Owes all dead letters of a destination again."""
        asked = {"destination": name}
        while True:
            status, told = self.ask("POST", "/api/v1/dead:retry", json.dumps(asked))
            if status != 200:
                raise OSError(told.decode())
            step = json.loads(told)
            if step["next"] is None:
                return
            asked |= {"after": step["next"]} | ({"until": step["until"]} if step.get("until") else {})

    def metric(self, name):
        lines = self.ask("GET", "/metrics")[1].decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name)

    def lines(self):
        """What it logged."""
        for line in self.log.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                yield json.loads(line)

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self):
        """SIGTERM; its exit code."""
        self.process.terminate()
        code = self.process.wait(30)
        self.process = None
        return code

    def records(self):
        """Every record of the folder, read offline."""
        # To a file: it writes line by line, which a pipe makes slow.
        listed = self.folder / "records"
        with open(listed, "wb") as file:
            subprocess.run([self.binary, "log", "cat", self.data], stdout=file, stderr=subprocess.DEVNULL, timeout=60, check=True)
        with open(listed, "rb") as file:
            return [json.loads(line) for line in file]


class Senders:
    """Connections that post as fast as they are answered. `acks` holds (event id, own id, place on the tape)."""

    def __init__(self, gateway, disk, prefix, connections=12, pause=0):
        self.pause = pause
        self.gateway, self.disk, self.prefix = gateway, disk, prefix
        self.acks, self.refused, self.ended = [], 0, threading.Event()
        self.threads = [threading.Thread(target=self.post_until_told, args=(n,)) for n in range(connections)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join(10)

    def post_until_told(self, number):
        chance, link, sent = random.Random(f"{self.prefix}{number}"), None, 0
        body = None
        while not self.ended.is_set():
            if body is None:
                own = f"{self.prefix}-{number}-{sent}"
                filling = chance.randbytes(chance.choice([20, 200, 600, 1500, 3000])).hex()
                body = json.dumps({"id": own, "room": f"{number}-{sent % 5}", "filling": filling}).encode()
            try:
                link = link or socket.create_connection(("127.0.0.1", self.gateway.listen), 10)
                status, place, answer = post(link, body, self.disk)
            except OSError:
                link = link and link.close()
                time.sleep(0.01)
                continue
            if status == 200:
                self.acks.append((json.loads(answer)["id"], own, place))
                sent, body = sent + 1, None
                time.sleep(self.pause)
            else:
                self.refused += 1
                time.sleep(0.01)


def post(link, body, disk):
    """Posts on an open connection: status, the tape's count in the moment of the answer, body."""
    link.sendall(
        b"POST /hooks/till HTTP/1.1\r\nhost: rig\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n" % len(body) + body
    )
    link.settimeout(10)
    answer = link.recv(65536)
    place = disk.count()
    while b"\r\n\r\n" not in answer:
        more = link.recv(65536)
        if not more:
            raise OSError("hung up")
        answer += more
    head, _, rest = answer.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    while len(rest) < int(fields.get(b"content-length", b"0")):
        more = link.recv(65536)
        if not more:
            raise OSError("hung up")
        rest += more
    return int(head.split(b" ")[1]), place, rest


def free_port():
    while True:
        port = random.SystemRandom().randrange(12_000, 32_000)
        with contextlib.closing(socket.socket()) as probe:
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port


def shim(folder):
    """The library that stands before libc's fdatasync in a red twin."""
    library = folder / "lying_sync.so"
    run("cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(HERE / "lying_sync.c"))
    return library


def evidence(proof, name, data, said):
    """Keeps a data folder and what was wrong with it."""
    kept = proof / "power-evidence" / name
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    shutil.copytree(data, kept / "data", dirs_exist_ok=True)
    (kept / "said.json").write_text(json.dumps(said, indent=1))
    return kept

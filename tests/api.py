# Runs schemathesis against the admin API of a real gateway on which something has
# happened: `make api`. Exit 0: no answer contradicts the document.
#
#   api.py HOOKFAN SCHEMATHESIS [EXAMPLES]
import http.client
import json
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

TOKEN = "0123456789abcdef0123456789abcdef"
# What stays a matter of opinion, or cannot be asked this way:
# * positive_data_acceptance: a destination, a webhook or a vendor that is not there
#   is a 400 or 404 that no schema can foresee.
# * live goes on for ever; the suite reads it.
# A list that is too long may be refused as a body that is too long: 413, too.
REFUSED = ["400", "401", "403", "404", "405", "409", "413", "415", "421", "422", "429", "5xx"]
EXCLUDED_CHECKS = "positive_data_acceptance"
EXCLUDED_PATHS = "^/api/v1/live$"


def main():
    hookfan, schemathesis = sys.argv[1:3]
    examples = sys.argv[3] if len(sys.argv) > 3 else "30"
    with tempfile.TemporaryDirectory() as folder:
        ingress, admin = free_port(), free_port()
        write_rules(pathlib.Path(folder), ingress, admin)
        gateway = subprocess.Popen(
            [hookfan, "run", "--log", "warn", "-c", f"{folder}/routes.toml"]
        )
        try:
            until_ready(gateway, admin)
            make_traffic(ingress)
            return subprocess.call([
                schemathesis, "run", f"http://127.0.0.1:{admin}/api/v1/openapi.json",
                "--header", f"Authorization: Bearer {TOKEN}",
                "--checks", "all", "--exclude-checks", EXCLUDED_CHECKS,
                "--exclude-path-regex", EXCLUDED_PATHS,
                "--max-examples", examples, "--seed", "1", "--workers", "1",
                "--request-timeout", "20", "--suppress-health-check", "all",
                "--warnings", "off", "--no-color",
            ], cwd=folder)
        finally:
            gateway.send_signal(signal.SIGTERM)
            ended = gateway.wait(timeout=30)
            print(f"the gateway ended with {ended}")


def write_rules(folder, ingress, admin):
    token = folder / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    (folder / "schemathesis.toml").write_text(
        f"[checks.negative_data_rejection]\nexpected-statuses = {json.dumps(REFUSED)}\n"
    )
    nobody = free_port()
    (folder / "routes.toml").write_text(f"""
[server]
listen = "127.0.0.1:{ingress}"
admin = "127.0.0.1:{admin}"
data_dir = "data"
admin_token = {{ file = "token" }}
[log]
min_free = "16MiB"
[source.shop]
kind = "generic"
auth = "none"
type = [{{ body = "type" }}]
key = [{{ body = "key" }}]
[destination.dead]
kind = "http"
url = "http://127.0.0.1:{nobody}/in"
allow_private = true
retry = {{ delays = ["1ms"], for = "1ms" }}
breaker = {{ failures = 1000000 }}
[destination.waits]
kind = "http"
url = "http://127.0.0.1:{nobody}/in"
allow_private = true
[[route]]
name = "all"
to = ["dead", "waits"]
""")


def make_traffic(ingress):
    door = http.client.HTTPConnection("127.0.0.1", ingress, timeout=10)
    for number in range(40):
        body = json.dumps({"type": f"paid_{number % 3}", "key": f"room {number % 5} \u00e9"})
        door.request("POST", "/hooks/shop", body, {"content-type": "application/json"})
        answer = door.getresponse()
        answer.read()
        assert answer.status == 200, answer.status


def until_ready(gateway, admin):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and gateway.poll() is None:
        try:
            door = http.client.HTTPConnection("127.0.0.1", admin, timeout=2)
            door.request("GET", "/readyz")
            if door.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
    sys.exit("the gateway did not become ready")


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


sys.exit(main())

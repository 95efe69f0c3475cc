"""Prints a routes.toml for a bench, shaped by the environment.

BENCH_PAUSED=1    every destination is paused by the file
BENCH_ROUTES=N    N routes in all; those beyond ours want types that nobody sends, a tenth of them by a glob
BENCH_SPREAD=N    N types t0, t1, …, each to three destinations of its own, as far as they reach; each event
                  is still three copies
"""
import os

env = os.environ
urls = env["SINK_URLS"].split(",")
port = int(env["BENCH_PORT"])
paused = env.get("BENCH_PAUSED") == "1"
spread = int(env.get("BENCH_SPREAD", "0"))
routes = int(env.get("BENCH_ROUTES", "0"))


def route(on, to):
    listed = lambda words: ", ".join(f'"{word}"' for word in words)
    print(f'\n[[route]]\nfrom = "bench"\non   = [{listed(on)}]\nto   = [{listed(to)}]')


print(f"""[server]
listen   = "127.0.0.1:{port}"
admin    = "127.0.0.1:{port + 1}"
data_dir = "{env['BENCH_DATA']}/data"

[log]
max_disk = "60GiB"

[source.bench]
kind = "generic"
auth = "none"
type = [{{ body = "type" }}]
key  = [{{ body = "payload.room.id" }}]""")

for number in range(1, routes):
    route([f"other_{number}_*" if number % 10 == 0 else f"other_{number}"], ["d1"])
if spread:
    for number in range(spread):
        first = number * 3 % len(urls)
        route([f"t{number}"], [f"d{(first + i) % len(urls) + 1}" for i in range(3)])
else:
    route(env["BENCH_TYPES"].split(","), [f"d{n}" for n in range(1, len(urls) + 1)])

for number, url in enumerate(urls, 1):
    print(f"""
[destination.d{number}]
kind          = "http"
url           = "{url}"
allow_private = true
order         = "conversation"
concurrency   = 32
paused        = {"true" if paused else "false"}
backlog       = {{ max_events = 50_000_000, max_bytes = "50GiB", when_full = "reject" }}""")

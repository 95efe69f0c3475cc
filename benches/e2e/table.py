"""All systems side by side, and hookfan's figures below, as a table for the terminal and for a commit message."""
import statistics

from ratios import figures, number

# a column: its head, where it stands, the factor it is shown with
SATURATE = [("accepted events/s", "accepted_per_s", 1), ("copies/s end to end", "copies_per_s_end_to_end", 1),
            ("CPU s / 1,000 events", "cpu_s_per_1000", 1), ("peak MiB", "peak_rss", 2**-20), ("lost", "lost", 1),
            ("dup", "dup", 1), ("reordered", "reorder", 1), ("server CPU", "server_cpu", 1),
            ("harness CPU", "harness_cpu", 1), ("foreign CPU", "foreign_cpu", 1), ("stolen", "steal", 1)]
LATENCY = [("answer p50 ms", "ack.p50_ms", 1), ("p99", "ack.p99_ms", 1), ("end to end p50 ms", "e2e.p50_ms", 1),
           ("p99", "e2e.p99_ms", 1), ("p99.9", "e2e.p999_ms", 1), ("max", "e2e.max_ms", 1), ("foreign CPU", "foreign_cpu", 1)]
SLOW = [("offered events/s", "rate", 1), ("copies/s of each other destination", "others_per_s", 1),
        ("their p99 ms", "others_p99_ms", 1), ("accepted events/s", "accepted_per_s", 1), ("foreign CPU", "foreign_cpu", 1)]
CRASH = [("acked", "acked", 1), ("not delivered at the kill", "backlog_at_kill", 1), ("events lost", "events_lost", 1),
         ("copies lost", "copies_lost", 1), ("dup", "dup", 1), ("unknown to client", "unknown", 1), ("restart s", "restart_s", 1)]
PARTS = [("Saturated: closed loop, {conns} connections, {dests} destinations, {size} B", "saturate", SATURATE),
         ("Open loop at {rate:g} events/s, counted from when each event was due", "latency", LATENCY),
         ("Half of what each sustained, all healthy", "slow0", SLOW),
         ("The same, destination 2 answers in 5 s", "slow5", SLOW), ("The same, destination 2 hangs", "hang", SLOW),
         ("kill -9 under a closed loop, restart, drained", "crash", CRASH)]
# of a system that delivers nothing these say nothing
DELIVERY = ("copies", "e2e", "lost", "dup", "reorder")


def draw(results):
    lines = []
    for title, scenario, columns in PARTS:
        lines += systems(results, title.format(**results["options"]), scenario, columns)
    lines += ["", "hookfan, each figure within one run, the median of the runs", "", "| figure | seen | all runs |", "| --- | ---: | --- |"]
    for row, values, median, _, _ in figures(results):
        if values:
            lines.append(f"| {row.group}: {row.title} | {number(median)} {row.unit} | {', '.join(map(number, values))} |")
    lines += [""] + [f"- {name}: {note}" for name, note in notes(results).items()]
    return "\n".join(lines)


def systems(results, title, scenario, columns):
    """One table of every system that was asked this, medians of the runs; nothing where none was."""
    rows = []
    for name in names(results):
        seen = [run[name][scenario] for run in results["runs"] if scenario in run.get(name, {})]
        errors = [one["error"] for one in seen if "error" in one]
        if errors:
            rows.append(f"| {name} | {errors[0]} |")
        elif seen:
            rows.append(f"| {name} | " + " | ".join(cell(results, name, seen, column) for column in columns) + " |")
    head = "| system | " + " | ".join(column[0] for column in columns) + " |"
    return ["", title, "", head, "| --- " + "| ---: " * len(columns) + "|", *rows] if rows else []


def cell(results, name, seen, column):
    _, path, factor = column
    if path.startswith(DELIVERY) and results["runs"][0][name]["info"]["FANOUT"] != "1":
        return "–"
    return number(median_at(seen, path, factor))


def median_at(seen, path, factor=1):
    values = []
    for one in seen:
        for step in path.split("."):
            one = one.get(step) if isinstance(one, dict) else None
        if one is not None:
            values.append(one * factor)
    return statistics.median(values) if values else None


def names(results):
    """Limits first, then hookfan, then the others."""
    order = {"bare-ingest": 0, "mem-fanout": 1, "hookfan": 2}
    found = {name for run in results["runs"] for name in run if name != "machine"}
    return sorted(found, key=lambda name: (order.get(name, 3), name))


def notes(results):
    found = {name: results["runs"][0][name]["info"].get("NOTE", "") for name in names(results)}
    return {**found, **{name: f"skipped: {why}" for name, why in results["skipped"].items()}}

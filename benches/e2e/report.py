"""docs/performance.md and its charts, from a results.json alone: no figure is typed."""
import json
import re
import statistics

import charts
import table
from ratios import figures, filled, number

MIB = 2**20


def write(results, root):
    folder = root / "docs" / "performance"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    drawn = {name: chart for name, chart in drawings(results).items() if chart}
    for name, chart in drawn.items():
        (folder / f"{name}.svg").write_text(chart)
    parts = [head(results), conditions(results), targets(results), *(picture(name) for name in drawn), every_figure(results),
             systems(results), instructions(root), HOW]
    page = "\n".join(part.strip("\n") + "\n" for part in parts if part)
    (root / "docs" / "performance.md").write_text(re.sub(r"\n{3,}", "\n\n", page))


def head(results):
    quick = ("\n**This is a quick run, to show the machinery: short windows, one run, fewer events. "
             "No figure here should be quoted.**\n") if results["quick"] else ""
    runs = f"{len(results['runs'])} runs" if len(results["runs"]) > 1 else "one run"
    if results["options"].get("waiting_runs", len(results["runs"])) < len(results["runs"]):
        runs += f", but for what waits: {results['options']['waiting_runs']} of them had that"
    return f"""# Performance

For whoever wants to know what hookfan costs, and whether a change made it dearer. Written by
`make bench-report` from what `make bench` measured; no figure is typed by hand. Read ratios, not
times: each ratio is taken within one run, on one machine.
Shown is the median of {runs}.
{quick}"""


def conditions(results):
    seen, options = results["conditions"], results["options"]
    versions = seen["versions"]
    syncs = [run["machine"]["disk"]["fdatasync_4k_append_growing"] for run in results["runs"]]
    foreign, steal = noise(results, "foreign_cpu"), noise(results, "steal")
    rows = [
        ("measured", f"{seen['date']}, {versions['hookfan']}, commit {versions['commit']}"),
        ("machine", f"{seen['cpu']}, {seen['cores']} cores, {seen['memory_bytes'] / 2**30:.0f} GiB; "
                    f"Linux {seen['kernel']}; {seen['disk']}"),
        ("disk", f"one fdatasync of 4 KiB: p50 {number(statistics.median(s['p50_ms'] for s in syncs))} ms, "
                 f"p99 {number(statistics.median(s['p99_ms'] for s in syncs))} ms"),
        ("load", f"{options['conns']} connections, bodies of {options['size']} bytes, {options['rooms']} conversations, "
                 f"{options['dests']} destinations that all want every event; {options['secs']:g} s after {options['warm']:g} s"),
        ("cores", "the server has one core; load and destinations have another"),
        ("noise", f"other programs used {number(foreign[0])} cores in the median scenario, {number(foreign[1])} in the worst; "
                  f"the host took {number(steal[0])} and {number(steal[1])}"),
        ("beside", ", ".join(versions[name] for name in ("nginx", "node", "python") if versions.get(name))),
    ]
    skipped = [f"- {name} was not measured: {why}" for name, why in results["skipped"].items()]
    if foreign[0] > 0.3:
        skipped.append("\n**The machine did other work all the while: these figures say that the machinery runs, no more.**")
    return "\n".join(["## Conditions", "", "| | |", "| --- | --- |", *(f"| {a} | {b} |" for a, b in rows), "", *skipped])


def noise(results, what):
    values = [scenario[what] for run in results["runs"] for peer in run.values() for scenario in peer.values()
              if isinstance(scenario, dict) and scenario.get(what) is not None] or [0]
    return statistics.median(values), max(values)


def targets(results):
    lines = ["## What was given, and what was seen", "", "| figure | given | seen | |", "| --- | ---: | ---: | --- |"]
    for row, _, median, target, met in figures(results):
        if target:
            word = "at most" if "at_most" in target else "at least"
            given = f"{word} {number(target.get('at_most', target.get('at_least')))} {row.unit}"
            verdict = {True: "met", False: "**not met**", None: "not measured"}[met]
            lines.append(f"| {row.group}: {row.title} | {given} | {number(median)} {row.unit} | {verdict} |")
    return "\n".join(lines)


def every_figure(results):
    lines = ["## Every figure", ""]
    group = None
    for row, values, median, _, _ in figures(results):
        if not values:
            continue
        if row.group != group:
            group = row.group
            lines += ["", f"### {group}", "", "| figure | median | lowest | highest |", "| --- | ---: | ---: | ---: |"]
        lines.append(f"| {row.title} | {number(median)} {row.unit} | {number(min(values))} | {number(max(values))} |")
    return "\n".join(lines).replace("\n\n\n", "\n\n")


def instructions(root):
    """The counts that `make test` holds, as they are kept."""
    kept = json.loads((root / "benches" / "instructions.json").read_text())
    builds = [build for build in ("dev", "release") if build in kept]
    names = {"dev": "as `make test` builds it", "release": "optimised"}
    lines = ["## Instructions of the hot path", "",
             f"Counted under valgrind and held by `make test` within {kept['tolerance_percent']} %: unlike time they are the same on a",
             "busy machine. Of one event; `log/append`, `log/take and settle` and `log/read back` are of 64 at once. The",
             f"parts are in `benches/instructions.rs`; {kept[builds[0]]['compiler']}, {kept[builds[0]]['machine']}.", "",
             "| part | " + " | ".join(names[build] for build in builds) + " |", "| --- " + "| ---: " * len(builds) + "|"]
    for part in kept[builds[0]]["instructions"]:
        counts = (kept[build]["instructions"].get(part) for build in builds)
        lines.append(f"| {part} | " + " | ".join("–" if count is None else f"{count:,}" for count in counts) + " |")
    return "\n".join(lines)


def systems(results):
    """Side by side, what runs on a laptop."""
    lines = ["## Side by side", "", "Only hookfan has an event on disk before it answers; the others lose what they hold.", ""]
    columns = [column for column in table.SATURATE if column[1] != "harness_cpu"]
    for title, scenario, columns in [("Saturated", "saturate", columns), ("At {rate:g} events/s", "latency", table.LATENCY)]:
        lines += table.systems(results, title.format(**results["options"]), scenario, columns)
    notes = table.notes(results)
    return "\n".join(lines + [""] + [f"- **{name}**: {notes[name]}" for name in table.names(results) if notes[name]])


def drawings(results):
    """Charts by the name of their file; nothing for what was not measured."""
    return {
        "copies": chart(results, "Delivered end to end, saturated (copies/s)", "saturate", "copies_per_s_end_to_end"),
        "cpu": chart(results, "CPU per event with its copies (µs)", "saturate", "cpu_s_per_1000", 1000),
        "answer": chart(results, "Answer at {rate:g} events/s, p50 (ms)", "latency", "ack.p50_ms"),
        "more": ratios(results, True, "Ratios where more is better; 1 is as much as the other"),
        "less": ratios(results, False, "Ratios where less is better; 1 is as much as the other"),
    }


def chart(results, title, scenario, path, factor=1):
    rows = []
    for name in table.names(results):
        if path.startswith(("copies", "cpu")) and results["runs"][0][name]["info"]["FANOUT"] != "1":
            continue
        seen = [run[name][scenario] for run in results["runs"] if "error" not in run.get(name, {}).get(scenario, {"error": ""})]
        value = table.median_at(seen, path, factor)
        if value is not None:
            rows.append((name, value, number(value), name == "hookfan"))
    return charts.bars(title.format(**results["options"]), rows) if rows else None


def ratios(results, more, title):
    rows = [(filled(row.drawn, results), median, number(median), True) for row, _, median, _, _ in figures(results)
            if row.drawn and row.more == more and median is not None]
    return charts.bars(title, rows, (1, "1")) if rows else None


def picture(name):
    alt = {"copies": "copies a second of each system", "cpu": "CPU of an event with each system",
           "answer": "time to the answer with each system", "more": "ratios where more is better",
           "less": "ratios where less is better"}[name]
    return f"![{alt}](performance/{name}.svg)\n"


HOW = """## Run it

```
make bench                     # criterion, then everything end to end, three times: an hour; wants a machine that does nothing else
make bench-e2e BENCH=--quick   # a look, three minutes
make bench-report              # this page, from target/bench/results.json
```

[benches/e2e/README.md](../benches/e2e/README.md) says what is held equal and what each scenario is. It
needs two cores, Python 3.11, curl and taskset. nginx and Node-RED are measured where they are
installed. The targets are in `benches/e2e/targets.json`.
"""

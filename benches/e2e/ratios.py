"""The figures that are shown: each read from one run alone, then the median of the runs.

A ratio compares two measurements of the same run, so that a slow machine, or a slow hour, cancels out.
"""
import json
import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable


@dataclass
class Row:
    key: str
    group: str
    title: str
    # "×" for a ratio; else the unit of the figure
    unit: str
    of: Callable
    # how the charts call a ratio; none of them shows a row without
    drawn: str = ""
    # whether more of it is better
    more: bool = True


def look(peer, scenario, *path):
    """A function from a run to what stands there, or to nothing."""
    def of(run):
        at = run.get(peer, {}).get(scenario, {})
        for step in path:
            at = at.get(step) if isinstance(at, dict) else None
        return at
    return of


def over(above, below):
    """A function from a run to the ratio of two others."""
    def of(run):
        a, b = above(run), below(run)
        return a / b if a is not None and b else None
    return of


def beyond(ours, theirs, unit):
    """A function from a run to what ours takes more than theirs, in so many of a third."""
    def of(run):
        a, b, one = ours(run), theirs(run), unit(run)
        return (a - b) / one if None not in (a, b, one) else None
    return of


def times(factor, of):
    return lambda run: None if of(run) is None else factor * of(run)


def us(scenario, *path):
    return look("hookfan", scenario, *path)


FDATASYNC = us("latency", "fdatasync_4k_append_growing_p50_ms")
MIB = 1 / 2**20
SATURATED = us("saturate", "copies_per_s_end_to_end")
CPU = "cpu_s_per_1000"
LATENCY = "Latency at {rate:g} events/s"

ROWS = [
    Row("accepted", "Saturated", "accepted, one core", "events/s", us("saturate", "accepted_per_s")),
    Row("copies", "Saturated", "delivered end to end, one core", "copies/s", SATURATED),
    Row("copies_over_memory", "Saturated", "copies/s ÷ mem-fanout", "×",
        over(SATURATED, look("mem-fanout", "saturate", "copies_per_s_end_to_end")),
        drawn="saturated: copies/s ÷ in-memory fan-out"),
    Row("cpu_over_memory", "Saturated", "CPU per event with its copies ÷ mem-fanout", "×",
        over(us("saturate", CPU), look("mem-fanout", "saturate", CPU)),
        drawn="saturated: CPU per event ÷ in-memory fan-out", more=False),
    Row("cpu_per_event", "Saturated", "CPU per event with its copies", "µs", times(1000, us("saturate", CPU))),
    Row("lost", "Saturated", "copies lost, of all acknowledged", "copies", us("saturate", "lost")),
    Row("accept_over_bare", "Accepting alone (destinations paused)", "requests/s ÷ bare-ingest", "×",
        over(us("accept", "accepted_per_s"), look("bare-ingest", "saturate", "accepted_per_s")),
        drawn="accepting: requests/s ÷ bare HTTP server"),
    Row("answer_p50", LATENCY, "answer, p50", "ms", us("latency", "ack", "p50_ms")),
    Row("answer_p99", LATENCY, "answer, p99", "ms", us("latency", "ack", "p99_ms")),
    *(Row(f"answer_{short}_{q}", LATENCY, f"answer of {name}, {q}", "ms",
          look(name, "latency", "ack", f"{q}_ms"))
      for short, name in (("bare", "bare-ingest"), ("memory", "mem-fanout")) for q in ("p50", "p99")),
    Row("fdatasync_p50", LATENCY, "one fdatasync of a file that grows, at that pace, p50", "ms", FDATASYNC),
    Row("fdatasync_written_p50", LATENCY, "the same of a file that was written before, p50", "ms",
        us("latency", "fdatasync_4k_overwrite_zero_filled_p50_ms")),
    Row("answer_beyond", LATENCY, "answer p50 beyond the bare server's, in fdatasyncs", "×",
        beyond(us("latency", "ack", "p50_ms"), look("bare-ingest", "latency", "ack", "p50_ms"), FDATASYNC),
        drawn="answer p50 beyond a bare server's, in fdatasyncs", more=False),
    Row("answer_p99_over_memory", LATENCY, "answer p99 ÷ mem-fanout's", "×",
        over(us("latency", "ack", "p99_ms"), look("mem-fanout", "latency", "ack", "p99_ms"))),
    Row("arrival_p50", LATENCY, "end to end, p50", "ms", us("latency", "e2e", "p50_ms")),
    Row("arrival_memory_p50", LATENCY, "end to end of mem-fanout, p50", "ms", look("mem-fanout", "latency", "e2e", "p50_ms")),
    Row("arrival_beyond", LATENCY, "end to end p50 beyond mem-fanout's, in fdatasyncs", "×",
        beyond(us("latency", "e2e", "p50_ms"), look("mem-fanout", "latency", "e2e", "p50_ms"), FDATASYNC)),
    Row("arrival_p999", LATENCY, "end to end, p99.9", "ms", us("latency", "e2e", "p999_ms")),
    Row("slow_rate", "One destination of three is bad", "answers in 5 s: rate of the others ÷ healthy twin", "×",
        over(us("slow5", "others_per_s"), us("slow0", "others_per_s")),
        drawn="rate of the others, one destination slow ÷ none"),
    Row("slow_p99", "One destination of three is bad", "answers in 5 s: end-to-end p99 of the others ÷ healthy twin", "×",
        over(us("slow5", "others_p99_ms"), us("slow0", "others_p99_ms"))),
    Row("hang_rate", "One destination of three is bad", "hangs: rate of the others ÷ healthy twin", "×",
        over(us("hang", "others_per_s"), us("slow0", "others_per_s")),
        drawn="rate of the others, one destination hangs ÷ none"),
    Row("hang_p99", "One destination of three is bad", "hangs: end-to-end p99 of the others ÷ healthy twin", "×",
        over(us("hang", "others_p99_ms"), us("slow0", "others_p99_ms"))),
    Row("rss_saturated", "Memory and waiting", "peak resident, saturated", "MiB", times(MIB, us("saturate", "peak_rss"))),
    Row("rss_waiting", "Memory and waiting", "resident with {waiting:,} events waiting", "MiB",
        times(MIB, us("waiting", "resident"))),
    Row("accept_full", "Memory and waiting", "accepting with them waiting ÷ with none", "×",
        over(us("waiting", "accepted_full_per_s"), us("waiting", "accepted_empty_per_s")),
        drawn="accepting, {waiting:,} events waiting ÷ none"),
    Row("restart", "Memory and waiting", "restart to ready with them waiting", "ms", us("waiting", "restart_ms")),
    Row("restart_killed", "Memory and waiting", "the same after kill -9", "ms", us("waiting", "restart_after_kill_ms")),
    Row("drained", "Memory and waiting", "then delivered: copies/s ÷ saturated", "×",
        over(us("waiting", "drained_per_s"), SATURATED),
        drawn="delivering what waited ÷ saturated"),
    Row("drained_reordered", "Memory and waiting", "then delivered: out of order in a conversation", "copies",
        us("waiting", "reorder")),
    Row("drained_missing", "Memory and waiting", "then delivered: missing", "copies", us("waiting", "missing")),
    Row("routes", "Growth: CPU per event", "10,000 routes ÷ 10", "×",
        over(us("routes_many", CPU), us("routes_few", CPU)),
        drawn="CPU per event, 10,000 routes ÷ 10", more=False),
    Row("dests", "Growth: CPU per event", "300 destinations ÷ 3, three copies each", "×",
        over(us("dests_many", CPU), us("dests_few", CPU)),
        drawn="CPU per event, 300 destinations ÷ 3", more=False),
    Row("rooms", "Growth: CPU per event", "{conversations:,} active conversations ÷ 1", "×",
        over(us("rooms_many", CPU), us("rooms_one", CPU)),
        drawn="CPU per event, {conversations:,} conversations ÷ 1", more=False),
    Row("idle_cpu", "At rest", "CPU with 100 destinations and nothing to do", "% of a core",
        times(100, us("idle", "cpu_share"))),
    Row("idle_rss", "At rest", "resident, the same", "MiB", times(MIB, us("idle", "resident"))),
    Row("start_best", "At rest", "start to ready on an empty folder, best", "ms", us("start", "best_ms")),
    Row("start_median", "At rest", "start to ready on an empty folder, median", "ms", us("start", "median_ms")),
    Row("binary", "At rest", "binary without symbols", "MiB", times(MIB, us("size", "bytes"))),
]


def figures(results):
    """Every row with its values, run by run, and what was given: (row, values, median, target, met)."""
    targets = json.loads((Path(__file__).parent / "targets.json").read_text())
    unknown = set(targets) - {row.key for row in ROWS} - {"//"}
    if unknown:
        raise SystemExit(f"targets.json names no row: {', '.join(sorted(unknown))}")
    found = []
    for row in ROWS:
        values = [value for value in map(row.of, results["runs"]) if value is not None]
        median = statistics.median(values) if values else None
        row, target = replace(row, group=filled(row.group, results), title=filled(row.title, results)), targets.get(row.key)
        found.append((row, values, median, target, met(target, median)))
    return found


def filled(title, results):
    """A title with the options of the run in it."""
    return title.format(**results["options"])


def met(target, seen):
    """Whether what was given was reached; nothing where nothing was given or seen."""
    if target is None or seen is None:
        return None
    return seen <= target["at_most"] if "at_most" in target else seen >= target["at_least"]


def number(value):
    """Three figures are as many as a run like this can tell."""
    if value is None:
        return "–"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"

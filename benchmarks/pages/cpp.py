"""docs/cpp.md: rates, latencies and sizes of the C++ library come in, tables go out."""

from __future__ import annotations

from pages.shared import RESULTS, busy, load, machine, table, unmeasured


def embedding() -> str:
    """C++ against Python's predict, and one face against bare OpenVINO."""
    record = load("embedding")
    rows = [
        [
            f"{row['precision']}, {row['width']} x {row['height']} px",
            f"{row['images_per_second']:,.0f}",
            f"{row['python_images_per_second']:,.0f}",
            f"{row['over_python']:.2f} x",
            f"{row['latency_ms']:.2f}",
            f"{row['bare_latency_ms']:.2f}",
            f"{row['latency_over_bare']:.3f} x",
        ]
        for row in record["rows"]
    ]
    header = ["", "C++, images/s", "Python `predict`", "ratio", "one face, ms (p50)", "bare OpenVINO", "ratio"]
    said = (
        "Images in memory, many a call; medians of rounds in turn. One face: `Goal::kLatency`, a call after the other, "
        f"the bare engine's in turn with it, on pixels of the model's own size. Model `{record['model']}`, on "
        f"{machine(record['environment'])}"
    )
    return f"{table(header, rows)}\n\n{said}"


def ship() -> str:
    """The files beside a program, and their sizes."""
    record = load("embedding")
    rows = [[f"`{name}`", f"{size / 1e6:.1f}"] for name, size in record["shipped"].items()]
    total = sum(record["shipped"].values())
    rows.append(["together", f"{total / 1e6:.1f}"])
    return f"{table(['beside the program', 'MB'], rows)}\n\nA program ran with these files and none of the rest."


#: How three threads' faces reach the model, as benchmarks/cpp/callers.cpp names it.
WAYS = {
    "one_each": "three threads, a face a call",
    "queue_one_worker": "the same through a queue, 2 ms, one worker",
    "queue_two_workers": "the same through a queue, 0.5 ms, two workers",
    "many_at_once": "one thread, 64 faces a call",
}


def callers() -> str:
    """Threads that ask for one face each, by plain calls and by a queue."""
    record = load("callers")
    rows = [
        [
            f"{row['precision']}, {said}",
            f"{row['ways'][name]['rate']:,.0f}",
            f"{row['ways'][name]['over_one_each']:.2f} x",
            f"{row['ways'][name]['processor_ms']:.1f}",
        ]
        for row in record["rows"]
        for name, said in WAYS.items()
    ]
    said = (
        "Medians of rounds in turn, of the ratio, too; other work ran meanwhile, load average "
        f"{record['environment']['load_average'][0]:.1f} at the begin. "
        f"Model `{record['model']}`, on {machine(record['environment'])}"
    )
    return f"{table(['', 'faces/s', 'ratio', 'processor time a face, ms'], rows)}\n\n{said}"


#: Who answers one face a call, as benchmarks/cpp/threads.cpp and benchmarks/threads.py name them.
ANSWERERS = {"fer_fast": "C++", "bare": "bare OpenVINO", "replicas": "a loop of replicas", "python": "Python `predict`"}


def threads() -> str:
    """One face a call, from several threads."""
    if not (RESULTS / "threads.json").exists():
        return unmeasured("benchmarks/threads.py")
    record = load("threads")
    rows = [
        [
            f"{row['precision']}, threads: {count}, {ANSWERERS[way]}",
            f"{found['rate']:,.0f}",
            f"{found['over_bare']:.2f} x",
            *(f"{found[name]:.2f}" for name in ("p50_ms", "p95_ms", "p99_ms")),
        ]
        for row in record["rows"]
        for count, ways in row["threads"].items()
        for way, found in ways.items()
    ]
    about = record["environment"]
    said = (
        "One face of the model's own size a call, call after call on each thread; medians of rounds in which all take "
        "turns, of the ratio, too. Bare OpenVINO: a request a thread of one model (`THROUGHPUT`); replicas: models of "
        "one thread each, one a processor, that take faces from a queue. "
        f"Model `{record['model']}`, on {machine(about)}"
        f"{busy(about, about['load_average'][0], about['load_average_after'][0])}"
    )
    return f"{table(['', 'calls/s', 'ratio to bare', 'p50, ms', 'p95, ms', 'p99, ms'], rows)}\n\n{said}"


def soak() -> str:
    """What a process holds while its threads open and close models, by the time that this has gone on."""
    if not (RESULTS / "soak.json").exists():
        return unmeasured("benchmarks/soak.py")
    record = load("soak")
    rows = [
        [
            f"{quarter['begin_minutes']:.0f} to {quarter['end_minutes']:.0f} minutes",
            *(f"{quarter['mib'][name]:,.0f}" for name in ("least", "median", "most")),
            *(" to ".join(f"{number}" for number in sorted(set(quarter[name]))) for name in ("files", "threads")),
        ]
        for quarter in record["quarters"]
    ]
    said = (
        f"{record['rounds']} rounds in {record['minutes']:.0f} minutes: in each {record['callers']} threads open a "
        f"`{record['model']}` and a finder each, classify and find with them and with a `{record['model']}` that all "
        f"share, and close them, {record['models']:,} models in all. Behind each round, resident memory in MiB, open "
        f"files and threads, the last two least and most. On {machine(record['environment'])}"
    )
    return f"{table(['', 'least', 'median', 'most', 'files', 'threads'], rows)}\n\n{said}"


TABLES = {"ship": ship, "embedding": embedding, "callers": callers, "threads": threads, "soak": soak}

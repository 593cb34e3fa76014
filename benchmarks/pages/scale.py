"""docs/scale.md: what Ray's workers, a web server and undivided work cost, and what that makes of many machines.

ray.json, remote.json and driver.json come in, tables go out. The last table is arithmetic, not a measurement.
"""

from __future__ import annotations

from typing import Any

from pages.shared import RESULTS, load, machine, table, unmeasured

from fer_fast.types import counted

SCRIPTS = {"ray": "benchmarks/ray_workers.py", "remote": "benchmarks/remote.py", "driver": "benchmarks/driver.py"}
ONE = "one process"
TWO = "2 of Ray's workers"
MACHINES = (1, 16, 100, 1000)
IMAGES = (10**6, 10**8, 10**10)
#: Requests a second that a prefix of a bucket is granted, by "Optimizing Amazon S3 performance" of Amazon's user guide.
REQUESTS = 5500


def lacking(*names: str) -> str | None:
    """The sentence for a result that is not there yet."""
    missing = [name for name in names if not (RESULTS / f"{name}.json").exists()]
    return unmeasured(SCRIPTS[missing[0]]) if missing else None


def workers() -> str:
    """A row a way, by the best of its rounds."""
    if said := lacking("ray"):
        return said
    found = load("ray")
    base = max(found["ways"][ONE]["whole"])
    rows = []
    for way, about in found["ways"].items():
        whole, run = max(about["whole"]), max(about["run"], default=None)
        begin = "" if run is None else f"{found['count'] / whole - found['count'] / run:.1f}"
        memory = f"{max(about['mib']):.0f}" if max(about["mib"]) else ""
        rows.append([way, f"{whole:.0f}", f"{whole / base:.2f}", begin, f"{min(about['own']):.1f}", memory])
    header = ["way", "images/s", "of one process", "to begin and end, s", "the command's processor, s", "a worker, MiB"]
    faces = f"{found['count']:,} faces of {found['bytes']:,} bytes, `{found['model']}`"
    rounds = len(found["ways"][ONE]["whole"])
    return (
        f"{table(header, rows)}\n\n{faces}, the best of {rounds} rounds (the tutorial's script: one), the whole call "
        f"counted. On {machine(found['environment'])}"
    )


def web() -> str:
    """A row a way, by the best of its rounds."""
    if said := lacking("remote"):
        return said
    found = load("remote")
    rates = {way: max(rates) for way, rates in found["images_per_second"].items()}
    rows = [[way, f"{rate:.0f}", f"{rate / rates['disk']:.2f}"] for way, rate in rates.items()]
    header = ["images from", "images/s", "of the disk"]
    return (
        f"{table(header, rows)}\n\n{found['count']:,} faces, `{found['model']}`; the server is on the same processors, "
        f"and answers after so many milliseconds. On {machine(found['environment'])}"
    )


def costs() -> dict[str, float]:
    """What is done, images a second: by a machine, and for all images by one."""
    found, driver = load("ray"), load("driver")["per_second"]
    return {
        "machine": max(found["ways"][ONE]["run"]),
        "names": max(driver["names"]),
        "merge": max(driver["merge parquet"]),
        "driver": found["count"] / min(found["ways"][TWO]["own"]),
    }


def paper() -> str:
    """How long so many images take on so many machines, and what limits them: by arithmetic."""
    if said := lacking("ray", "driver"):
        return said
    rate = costs()
    rows = [[f"10^{len(str(count)) - 1}", *(cell(count, many, rate) for many in MACHINES)] for count in IMAGES]
    header = ["images", *(counted(many, "machine", "machines") for many in MACHINES)]
    lines = "\n".join(f"- {line}" for line in limits(rate, load("ray")["bytes"]))
    return (
        f"{table(header, rows)}\n\nArithmetic, not measured, from machines as the one above: "
        f"{rate['machine']:.0f} images/s; {rate['names']:,.0f} names/s looked through by each; "
        f"{rate['merge']:,.0f} rows/s merged by one, parquet; and {1e6 / rate['driver']:.0f} us of a processor an "
        f"image that Ray's driver takes. Where each is the limit:\n\n{lines}"
    )


def cell(count: int, many: int, rate: dict[str, float]) -> str:
    """The time of the shards, and behind it what is not divided by machines: names, and the merge."""
    each = (count / (rate["machine"] * many), count / rate["names"], count / rate["merge"])
    return " + ".join(map(spoken, each))


def spoken(seconds: float) -> str:
    """A time in one unit."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.{0 if seconds >= 10 * size else 1}f} {unit}"
    return f"{seconds:.0f} s"


def limits(rate: dict[str, float], size: int) -> list[str]:
    """What becomes the limit where."""
    one, driver = rate["machine"], rate["driver"]
    return [
        f"Ray's driver hands out and writes {driver:,.0f} images/s, as {driver / one:.0f} machines make.",
        f"Looking through all names takes longer than a shard's work from {rate['names'] / one:,.0f} machines on.",
        f"A merge takes longer than the shards' work from {rate['merge'] / one:,.0f} machines on.",
        f"A prefix of a bucket with {REQUESTS:,} requests/s, as Amazon says of S3, feeds {REQUESTS / one:.0f} "
        f"machines; each reads {one * size / 1e6:.1f} MB/s of such faces.",
    ]


TABLES: dict[str, Any] = {"ray workers": workers, "remote": web, "many machines": paper}

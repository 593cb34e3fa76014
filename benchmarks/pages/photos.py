"""docs/performance.md: what was measured of photos with faces comes in, its tables go out, or how to measure it."""

from __future__ import annotations

from typing import Any

from pages.shared import RESULTS, bottlenecks_of, load, machine, median, rows_of, table, unmeasured

from fer_fast.bench.findings import ratio
from fer_fast.bench.stages import faces, finder

#: The steps of faces.json in the order in which a photo goes through them, and what each is.
STEPS = {
    "open": "read the file and its header",
    "decode": "decode, at twice the finder's size or more",
    "reduce": "reduce to the finder's size",
    "find": "find",
    "decode again": "decode once more, for small faces",
    "crop": "cut the crops",
    "classify": "classify them",
}
RUN = "run, cores"
_BENCH = "-m fer_fast bench --json benchmarks/results/bench.json"


def photo_steps() -> str:
    """Microseconds of all cores that each step of a photo takes, and a whole run."""
    if not (RESULTS / "faces.json").exists():
        return unmeasured("benchmarks/faces.py")
    record = load("faces")
    found = record["found"]
    taken = [each["microseconds"] for each in found]
    rows = [[said, *(_said(each.get(step)) for each in taken)] for step, said in STEPS.items()]
    rows = [row for row in rows if any(row[1:])]
    sums = [sum(each.get(step, 0.0) for step in STEPS) for each in taken]
    rows.append(["together", *map(_said, sums)])
    rows.append(["`fer-fast classify --faces all`", *(_said(each[RUN]) for each in taken)])
    header = ["us a photo, of all cores", *(f"{each['photo']}, {each['kilobytes']:,} KB" for each in found)]
    mean = found[0]["faces"] / found[0]["photos"]
    ran = found[0]["ran"]
    about = (
        f"{mean:g} faces a photo; finder {ran['finder_engine']} {ran['finder_precision']}, `{ran['model']}` "
        f"{ran['engine']} {ran['precision']}. Measured on {machine(record['environment'])}"
    )
    return f"{table(header, rows)}\n\n{about}"


def _said(microseconds: float | None) -> str:
    return "" if microseconds is None else f"{microseconds:,.0f}"


def finders() -> str:
    """The finder alone, the network in it, and OpenCV's."""
    rows = []
    for size in finder.SIZES:
        theirs = rows_of("faces", form=finder.form_at(finder.OPENCV_FORM, size))
        for form in (finder.FORM, finder.NETWORK_FORM, finder.OPENCV_FORM):
            for row in rows_of("faces", form=finder.form_at(form, size)):
                times = f"{ratio(row, theirs[0])['median']:.2f} x" if theirs else ""
                share = row["of_limit"]
                limit = f"{share['share']:.0%} ({share['bound']})" if share else ""
                by = f"{row['engine']} {row['precision']}"
                rows.append([row["form"], by, f"{median(row):,.0f}", f"{row['noise']:.0%}", times, limit])
    header = ["one photo a call", "by", "photos/s", "noise", "of FaceDetectorYN", "of the limit"]
    return table(header, rows) if rows else unmeasured(_BENCH)


def photos() -> str:
    """Photos end to end, against the plain scripts, and what limits them."""
    rows = []
    instead = next((form for form in faces.INSTEAD[faces.FORM] if rows_of("faces", form=form)), "")
    plain = rows_of("faces", form=instead)
    for form in (faces.FORM, faces.OPENCV_FORM, faces.PLAIN_FORM):
        for row in rows_of("faces", form=form):
            times = f"{ratio(row, plain[0])['median']:.1f} x" if plain else ""
            rows.append(
                [form, f"{row['engine']} {row['precision']}", f"{median(row):,.1f}", f"{row['noise']:.0%}", times]
            )
    if not rows:
        return unmeasured(_BENCH)
    header = ["photos end to end", "by", "photos/s", "noise", f"of {instead}" if instead else ""]
    sentences = [f"> {found['sentence']}" for found in bottlenecks_of("faces")]
    return "\n\n".join([table(header, rows), *sentences])


def photo_memory() -> str:
    """Peak memory of the command by the number of photos."""
    if (study := load("growth").get("photo_memory")) is None:
        return unmeasured("benchmarks/growth.py --studies photo_memory")
    rows = [[f"{entry['files']:,}", f"{entry['peak_mib']:.0f}"] for entry in study["found"]]
    return table(["photos", "peak resident memory, MiB"], rows)


def photo_peers() -> str:
    """Other tools on the same photos, and what could not run."""
    if not (RESULTS / "peers-photos.json").exists():
        return unmeasured("benchmarks/peers/photos.py --json benchmarks/results/peers-photos.json")
    record = load("peers-photos")
    rows = [_peer(peer) for peer in record["peers"] if "reason" not in peer]
    missing = [f"{peer['title']}: {peer['reason']}." for peer in record["peers"] if "reason" in peer]
    header = [
        f"{record['photos']} photos",
        "photos/s",
        "of fer_fast",
        f"found of {record['faces']} faces",
        "faces in all",
    ]
    return "\n".join([table(header, rows), "", *missing])


def _peer(peer: dict[str, Any]) -> list[str]:
    rate, times = peer["images_per_second"]["median"], peer["times_fer_fast"]
    share = "-" if times is None else f"{times:.3f} x"
    return [peer["title"], f"{rate:,.1f}", share, str(peer["right"]), str(peer["found"])]


TABLES = {
    "steps": photo_steps,
    "finders": finders,
    "photos": photos,
    "photo_memory": photo_memory,
    "photo_peers": photo_peers,
}

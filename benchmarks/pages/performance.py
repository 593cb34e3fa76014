"""docs/performance.md: the benchmark's report and the growth studies come in, the page's tables go out."""

from __future__ import annotations

import math
import statistics

from pages.shared import bottlenecks_of, load, machine, median, rows_of, table

from fer_fast.bench.findings import name_of
from fer_fast.bench.stages.tokens import INSTEAD


def stages() -> str:
    """Every timed row of the packaged model in memory."""
    rows = []
    for stage in ("backbone", "tokens", "vit", "model"):
        for row in rows_of(stage):
            size, flop, share = row["bytes_per_second"], row["flop_per_second"], row["of_limit"]
            rows.append(
                [
                    f"{stage}: {row['form']}",
                    f"{row['engine']} {row['precision']}",
                    f"{median(row):,.0f}",
                    f"{row['noise']:.0%}",
                    f"{size / 1e9:.2f}",
                    f"{flop / 1e12:.3f}" if flop else "",
                    f"{share['share']:.0%} ({share['bound']})",
                    f"{row['error']['error']:.1g}",
                ]
            )
    header = ["batch 32", "by", "images/s", "noise", "GB/s", "TFLOP/s", "of the limit", "error"]
    return table(header, rows)


def limits() -> str:
    """What the machine could do in the same run."""
    rows = []
    for limit in load("bench")["limits"]:
        size, flop = limit["bytes_per_second"], limit["flop_per_second"]
        rate = f"{size / 1e9:.1f} GB/s" if size else f"{flop / 1e12:.3f} TFLOP/s"
        rows.append([" ".join(filter(None, [limit["precision"], limit["what"]])), limit["by"], rate])
    return table(["limit", "by", "rate"], rows)


def cost() -> str:
    """What one image costs in each stage."""
    rows, seen = [], set()
    for stage in ("backbone", "tokens", "vit"):
        for row in rows_of(stage, precision="fp32"):
            if stage in seen or row["form"] in INSTEAD.values():
                continue
            seen.add(stage)
            rows.append([stage, f"{row['flop_per_image'] / 1e6:,.0f}", f"{row['bytes_per_image'] / 1e6:.2f}"])
    return table(["an image, fp32, batch 32", "MFLOP", "MB read + written"], rows)


def busy() -> str:
    """How busy each stage was, and the sentence that names the bottleneck."""
    rows, sentences = [], []
    for found in bottlenecks_of("folder"):
        shares = [f"{share:.0%} of {found['threads'][stage]}" for stage, share in found["busy"].items()]
        rows.append([found["row"]["images"], *shares])
        sentences.append(f"> {found['sentence']}")
    return table(["threads busy", "decode", "model", "write"], rows) + "\n\n" + "\n>\n".join(sentences)


def latency() -> str:
    """One image at a time, and processes."""
    rows = []
    for stage in ("latency", "startup"):
        for row in rows_of(stage):
            name = ", ".join(filter(None, [row["form"], row["engine"] * (stage == "latency"), row["precision"]]))
            times = [row["milliseconds"][key] for key in ("p50", "p95", "p99")]
            rows.append([name, *("" if time is None else f"{time:,.4g}" for time in times)])
    return table(["milliseconds", "p50", "p95", "p99"], rows)


def growth(study: str, fields: list[str]) -> list[list[str]]:
    """Cells of a study of growth.json: what it is a size of, then stage, engine, images a second and noise."""
    cells = []
    for entry in load("growth")[study]["found"]:
        row = entry["row"]
        of = [f"{value:,}" if isinstance(value, (int, float)) else value for value in entry["of"].values()]
        by = " ".join(filter(None, [row["stage"], row["engine"], row["precision"]]))
        cells.append([*of[: len(fields)], by, f"{median(row):,.0f}", f"{row['noise']:.0%}"])
    return cells


def photo() -> str:
    """By the size of the file: decoding and end to end beside each other."""
    entries = load("growth")["photo"]["found"]
    rows = []
    for alone, whole in zip(entries[::2], entries[1::2], strict=True):
        rate = median(alone["row"])
        megapixels = rate * math.prod(int(side) for side in alone["of"]["photo"].split(" x ")) / 1e6
        cells = [alone["of"]["photo"], f"{alone['of']['kilobytes']:,.0f}", f"{rate:,.0f}"]
        rows.append([*cells, f"{megapixels:,.0f}", f"{median(whole['row']):,.0f}"])
    return table(["photo", "KB", "decode, images/s", "decode, megapixels/s", "end to end, images/s"], rows)


def model() -> str:
    """By the size of the model's image."""
    return table(
        ["preset", "pixels", "tokens", "by", "images/s", "noise"], growth("model", ["preset", "pixels", "tokens"])
    )


def batch() -> str:
    """By the images of a call."""
    return table(["batch", "by", "images/s", "noise"], growth("batch", ["batch"]))


def folder() -> str:
    """By the number of files."""
    return table(["files", "by", "images/s", "noise"], growth("folder", ["files"]))


def memory() -> str:
    """Peak memory of the command by the number of files."""
    rows = [[f"{entry['files']:,}", f"{entry['peak_mib']:.0f}"] for entry in load("growth")["memory"]["found"]]
    return table(["files", "peak resident memory, MiB"], rows)


def cores() -> str:
    """Stages by the number of cores."""
    columns = load("growth")["cores"]["found"]
    names: dict[str, list[str]] = {}
    for column in columns:
        for row in column["rows"]:
            if row["state"] == "ok" and row["stage"] in ("decode", "model", "folder") and row["images_per_second"]:
                images = f" ({row['images']})" if row["images"] else ""
                names.setdefault(f"{row['stage']}: {name_of(row)}{images}", []).append(f"{median(row):,.0f}")
    rows = [[name, *rates] for name, rates in names.items() if len(rates) == len(columns)]
    return table(["images a second", *(f"cores: {column['cores']}" for column in columns)], rows)


def op() -> str:
    """The fused op's CPU twin in every layout, against memcpy and against PyTorch."""
    rows = []
    for run in load("tokens")["benchmarks"]:
        of, info = run["params"], run["extra_info"]
        rows.append(
            [
                f"{of['pixels']} px, {of['precision']}, {of['layout']}",
                f"{info['gigabytes_per_second']:.1f}",
                f"{100 * info['fraction_of_memcpy']:.0f} %",
                f"{info['times_faster_than_reference']:.1f} x",
            ]
        )
    return table(["batch 32", "GB/s read + written", "of memcpy", "over the PyTorch reference"], rows)


def peers() -> str:
    """Other tools on the same files: speed, accuracy, and what could not run."""
    rows, missing = [], []
    for peer in load("peers")["peers"]:
        if "reason" in peer:
            missing.append(f"{peer['title']}: {peer['reason']}.")
            continue
        scores = [peer["accuracy"][protocol] for protocol in ("argmax10", "majority", "paper6")]
        rate = peer["images_per_second"]
        rows.append(
            [
                peer["title"],
                f"{rate['median']:,.0f}",
                f"{peer['times_fer_fast']:.2f} x",
                *(
                    f"{100 * score['full']['accuracy']:.1f} / {100 * score['leakage_free']['accuracy']:.1f}"
                    for score in scores
                ),
            ]
        )
    header = ["full / leakage-free accuracy, %", "images/s", "of `fast`", "argmax10", "majority", "paper6"]
    return "\n".join([table(header, rows), "", *missing])


def decoding() -> str:
    """Files of one kind decoded by threads and by processes."""
    record = load("decoding")
    rates = {(row["images"], row["way"], row["workers"]): row["images_per_second"] for row in record["rows"]}
    rows = []
    for name in dict.fromkeys(images for images, _, _ in rates):
        one, threads, processes = (rates[name, way, n] for way, n in (("threads", 1), ("threads", 2), ("processes", 2)))
        rows.append([name, *(f"{rate:,.0f}" for rate in (one, threads, processes)), f"{processes / one:.2f} x"])
    header = ["images a second", "1 worker", "2 threads", "2 workers", "2 workers over 1"]
    peak = max(held["peak_mib"] for held in record["process_memory"].values())
    return "\n".join([table(header, rows), "", f"A decoding process takes {peak:.0f} MiB at most."])


def versions() -> str:
    """What a change cost or gained: two checkouts in turn."""
    record = load("versions")
    rows = []
    for name, found in record["found"].items():
        rates = [statistics.median(found["images_per_second"][when]) for when in ("before", "after")]
        rows.append([name, *(f"{rate:,.0f}" for rate in rates), f"{found['ratio']:.3f}"])
    header = ["images a second", f"commit {record['before'][:9]}", "now", "now over then"]
    return "\n".join([table(header, rows), "", f"Measured on {machine(record['environment'])}"])


TABLES = {
    "decoding": decoding,
    "versions": versions,
    "limits": limits,
    "cost": cost,
    "stages": stages,
    "busy": busy,
    "latency": latency,
    "photo": photo,
    "model": model,
    "batch": batch,
    "folder": folder,
    "memory": memory,
    "cores": cores,
    "op": op,
    "peers": peers,
}

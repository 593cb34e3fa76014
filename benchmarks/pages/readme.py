"""README.md: the benchmark's report comes in, the tables of speed, stages and the fused op go out."""

from __future__ import annotations

from pages.photos import photos
from pages.shared import bottlenecks_of, load, machine, median, rows_of, table

from fer_fast.bench.findings import ratio
from fer_fast.bench.stages.folder import FORM, PLAIN_FORM
from fer_fast.bench.stages.tokens import INSTEAD

PRECISIONS = ("int8", "bf16", "fp32")


def speed() -> str:
    """Images a second, end to end, and the ratio to the plain script."""
    result = load("bench")
    _, default = result["chosen"]["cpu"]
    named = {f"`fer-fast classify` ({default}, the default here)": (FORM, "openvino", default)}
    others = [precision for precision in PRECISIONS if precision != default]
    named |= {f"`fer-fast classify --precision {name}`": (FORM, "openvino", name) for name in others}
    named |= {
        "plain script, OpenVINO in bf16": (PLAIN_FORM, "openvino", "bf16"),
        "plain script, torch.compile": (PLAIN_FORM, "torch.compile", "fp32"),
        "plain script": (PLAIN_FORM, "torch", "fp32"),
    }
    table_rows = []
    for name, (form, engine, precision) in named.items():
        cells = [name]
        for folder in result["images"]:
            found = rows_of("folder", form=form, engine=engine, precision=precision, images=folder)
            plain = rows_of("folder", form=PLAIN_FORM, engine="torch", precision="fp32", images=folder)
            times = ratio(found[0], plain[0])["median"]
            cells += [f"{median(found[0]):,.0f}", f"{times:.1f} x"]
        table_rows.append(cells)
    header = ["images a second, end to end"]
    for folder, count in result["images"].items():
        header += [f"{count} {folder}", ""]
    return f"{table(header, table_rows)}\n\nMeasured on {machine(result['environment'])}"


def stages() -> str:
    """Each stage alone, end to end, and what sharing the cores would allow at best."""
    rows = []
    for found in bottlenecks_of("folder"):
        alone, whole = found["alone"], found["images_per_second"]
        slowest = min(alone, key=alone.__getitem__)
        limit = found["cores_allow"]
        rates = [f"{rate:,.0f}" for rate in (*alone.values(), whole)]
        share = f"{whole / alone[slowest]:.0%} ({slowest})"
        rows.append([found["row"]["images"], *rates, share, f"{limit:,.0f}", f"{whole / limit:.0%}"])
    header = ["images a second", "decode", "model", "write", "end to end", "of the slowest", "limit", "of the limit"]
    return table(header, rows)


def op() -> str:
    """The fused op's CPU twin against the machine's copy and against PyTorch."""
    rows = []
    for row in rows_of("tokens"):
        if (instead := INSTEAD.get(row["form"])) is None:
            continue
        (other,) = rows_of("tokens", form=instead, precision=row["precision"])
        share = row["of_limit"]
        cells = [f"{row['form']}, {row['precision']}", f"{median(row):,.0f}", f"{row['bytes_per_second'] / 1e9:.1f}"]
        rows.append([*cells, f"{share['share']:.0%} ({share['bound']})", f"{ratio(row, other)['median']:.1f} x"])
    return table(["batch 32", "images/s", "GB/s read + written", "of the limit", "over PyTorch"], rows)


TABLES = {"photos": photos, "speed": speed, "stages": stages, "op": op}

"""Writes the measured tables into README.md and docs/: benchmarks/results/*.json come in, Markdown goes out.

    python benchmarks/tables.py [--check]

Each table stands between `<!-- NAME -->` and `<!-- end -->`. With --check nothing is written and the exit status is 1
if a page differs from its JSON.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def load(name: str) -> dict[str, Any]:
    """One result file."""
    return json.loads((RESULTS / f"{name}.json").read_text())  # type: ignore[no-any-return]


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table, the first column left, the others right."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine(environment: dict[str, Any]) -> str:
    """What a figure was measured on, in one line."""
    versions = environment["versions"]
    features = [name for name in environment["features"] if name.startswith(("amx", "avx512_"))]
    return (
        f"{environment['cores']} cores of an {environment['processor']} ({', '.join(features)}; no GPU), "
        f"torch {versions['torch']}, OpenVINO {versions['openvino'].split('-')[0]}, "
        f"commit {str(environment['commit'])[:9]}."
    )


def readme_speed() -> str:
    """Images a second, end to end, and the ratio to the plain script."""
    result = load("main_job")
    names = {
        "default": f"`fer-fast classify` ({result['ran']['default']['precision']}, the default here)",
        "bf16": "`fer-fast classify --precision bf16`",
        "fp32": "`fer-fast classify --precision fp32`",
    }
    rows = []
    for key, name in names.items():
        cells = [name]
        for folder in ("faces", "photos"):
            part = result[folder]
            rate, times = part["images_per_second"][key]["median"], part["times_plain"][key]
            cells += [f"{rate:,.0f}", f"{times:.1f} x", f"{part['times_plain_at_paper_size'][key]:.1f} x"]
        rows.append(cells)
    for key, name in (("plain", "plain script, same model"), ("plain at paper size", "plain script, 224 px model")):
        rates = [result[folder]["images_per_second"][key]["median"] for folder in ("faces", "photos")]
        rows.append([name, f"{rates[0]:,.0f}", "", "", f"{rates[1]:,.0f}", "", ""])
    header = ["images a second, end to end", "2,000 faces", "plain", "paper", "500 photos", "plain", "paper"]
    return f"{table(header, rows)}\n\nMeasured on {machine(result['environment'])}"


def readme_stages() -> str:
    """Each stage alone, end to end, and what sharing the cores would allow at best."""
    result = load("main_job")
    rows = []
    for folder in ("faces", "photos"):
        part = result[folder]
        rates = part["images_per_second"]
        stages = [rates[name]["median"] for name in ("decode alone", "model alone", "write alone", "default")]
        share = f"{100 * part['share_of_slowest_stage']:.0f} % ({part['slowest_stage'].split()[0]})"
        limit = part["work_conserving_limit"]
        cells = [f"{rate:,.0f}" for rate in stages]
        rows.append([folder, *cells, share, f"{limit:,.0f}", f"{100 * stages[-1] / limit:.0f} %"])
    header = [
        "images a second",
        "decode",
        "model",
        "write",
        "end to end",
        "of the slowest stage",
        "limit",
        "of the limit",
    ]
    return table(header, rows)


def readme_op() -> str:
    """The fused op's CPU twin against memcpy and against PyTorch."""
    rows = []
    result = load("tokens")
    for run in result["benchmarks"]:
        parameters, info = run["params"], run["extra_info"]
        dtype = "fp32" if "float32" in str(parameters["dtype"]) else "bf16"
        rows.append(
            [
                f"{parameters['pixels']} px, {dtype}, {parameters['layout']}",
                f"{info['gigabytes_per_second']:.1f}",
                f"{100 * info['fraction_of_memcpy']:.0f} %",
                f"{info['times_faster_than_reference']:.1f} x",
            ]
        )
    return table(["batch 32", "GB/s read + written", "of memcpy", "over the PyTorch reference"], rows)


def models_scores() -> str:
    """Scores of the packaged model, by protocol."""
    result = load("models")
    rows = []
    for model, runs in result["models"].items():
        for precision, run in runs.items():
            for split, protocols in run["scores"].items():
                for protocol, scores in protocols.items():
                    full, free = scores["full"], scores["leakage_free"]
                    cells = [f"{100 * part['accuracy']:.2f} ({part['images']:,})" for part in (full, free)]
                    rows.append([f"`{model}` {precision}", split, protocol, *cells, f"{full['ece']:.3f}"])
    header = ["model", "split", "protocol", "accuracy, full (images)", "leakage-free (images)", "calibration error"]
    return table(header, rows)


def models_recall() -> str:
    """Recall of each class on the test split."""
    result = load("models")
    rows, classes = [], []
    for model, runs in result["models"].items():
        for precision, run in runs.items():
            recall = run["scores"]["test"]["argmax10"]["full"]["recall"]
            classes = list(recall)
            rows.append([f"`{model}` {precision}", *(f"{100 * value:.1f}" for value in recall.values())])
    return table(["recall, %", *classes], rows)


#: Page -> marker -> what stands there.
PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"speed": readme_speed, "stages": readme_stages, "op": readme_op},
    "docs/models.md": {"scores": models_scores, "recall": models_recall},
}


def render(page: str, tables: dict[str, Callable[[], str]]) -> str:
    """A page's text with its tables made anew.

    Raises:
        SystemExit: if the page lacks a marker.
    """
    text = (ROOT / page).read_text()
    for name, make in tables.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not pattern.search(text):
            raise SystemExit(f"{page} has no table {name!r}")
        body = make()
        text = pattern.sub(lambda match, body=body: match[1] + body + "\n" + match[2], text)
    return text


def main() -> int:
    """Writes or checks every page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    check = parser.parse_args().check
    stale = []
    for page, tables in PAGES.items():
        text = render(page, tables)
        if text != (ROOT / page).read_text():
            stale.append(page)
            if not check:
                (ROOT / page).write_text(text)
    if stale:
        print(f"{'differs from its JSON' if check else 'written'}: {', '.join(stale)}", file=sys.stderr)
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())

"""The page of a small report: whole, closed to the network, and true to the report's numbers."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from fer_fast.bench.findings import alternatives
from fer_fast.bench.lines import cells_of
from fer_fast.bench.page import page

NASTY = "<b>&\"'\udcff"
VOID = {"meta"}
PROJECTION = {
    "card": "t4",
    "title": "NVIDIA T4",
    "sources": ["datasheet <1>"],
    "note": "",
    "rows": [{"stage": "model", "form": "as written", "precision": "fp32", "batch": 32, "images_per_second": 7211.0,
              "bound": "compute"}],
}  # fmt: skip


def row(stage, form, engine, precision, rate=None, share=None, images="", **more):
    found = {
        "stage": stage, "form": form, "engine": engine, "device": "cpu", "precision": precision, "batch": 32,
        "images": images, "state": "ok", "reason": "", "note": "", "error": None,
    }  # fmt: skip
    if rate:
        found |= {
            "images_per_second": {"median": rate, "min": rate * 0.9, "max": rate * 1.1, "rounds": [rate]},
            "noise": 0.05,
            "milliseconds": {"p50": 1.0, "p95": 2.0, "p99": 3.0},
            "bytes_per_second": 1e9,
            "flop_per_second": None,
            "of_limit": {"share": share, "bound": "memory"} if share else None,
        }
    return found | more


def made_report(**more):
    rows = [
        row("decode", "fer_fast's decoder", "pillow", "", 400.0, images=NASTY),
        row("tokens", "fused op", "native", "fp32", 4215.0, 0.25),
        row("tokens", "as written", "torch", "fp32", 281.0, 0.0125),
        row("model", "tokens as convolutions", "openvino", "int8", 333.0, 1.36),
        row("model", "as written", "openvino", "bf16", state="failed", reason="off by <0.5>", error={"error": 0.5}),
        row("folder", "fer-fast classify", "openvino", "int8", 300.0, images=NASTY),
        row("folder", "plain script", "torch", "fp32", 60.0, images=NASTY),
        row("folder", "plain script", "torch.compile", "fp32", images=NASTY, state="absent", reason="no compiler"),
    ]
    chosen = {"cpu": ["openvino", "int8"]}
    where = {field: rows[5][field] for field in ("stage", "form", "engine", "device", "precision", "batch", "images")}
    bottleneck = {
        "row": where, "images_per_second": 300.0, "alone": {"decode": 400.0}, "busy": {"decode": 0.75, "model": 0.3},
        "threads": {"decode": 2, "model": 1}, "sentence": f"{NASTY}: decode-bound",
    }  # fmt: skip
    limit = {"device": "cpu", "precision": "", "what": "copy", "by": "memory", "noise": 0.05}
    return {
        "schema": "fer_fast.bench 1",
        "environment": {
            "processor": "A & B", "features": ["avx2"], "cores": 2, "memory_gib": 23.5, "load_average": [0.5, 1.0, 1.5],
            "load_average_after": [2.5, 1.0, 1.5], "system": "Linux", "python": "3.11.7", "gpus": [], "driver": None,
            "cuda": None, "commit": "836ec3981db6", "dirty": True, "seed": 0,
            "versions": {"torch": "2.13.0", "pyarrow": None},
        },
        "model": {"name": "fast", "digest": "3a8a", "image_size": 112},
        "images": {NASTY: 24}, "images_left_out": 1, "chosen": chosen,
        "limits": [limit | {"bytes_per_second": 16.9e9, "flop_per_second": None}],
        "rows": rows, "projections": [], "bottlenecks": [bottleneck],
        "alternatives": alternatives(rows, {"cpu": ("openvino", "int8")}),
    } | more  # fmt: skip


class Outline(HTMLParser):
    """Tags that must close in order, and the text of each heading, bar and table row."""

    def __init__(self, text):
        super().__init__()
        self.open, self.attributes, self.texts = [], [], {"h2": [], "li": [], "tr": []}
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)
        if tag in self.texts:
            self.texts[tag].append([])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        for tag, texts in self.texts.items():
            if tag in self.open and data.strip():
                texts[-1].append(data.strip())


def widths(text, kind="fill"):
    return [float(width) for width in re.findall(rf'class="{kind}[^"]*" style="[^"]*width:([\d.]+)%', text)]


EMPTY = {"bottlenecks": [], "rows": [], "alternatives": []}


@pytest.mark.parametrize("more", [{}, EMPTY, {"projections": [PROJECTION]}])
def test_whole_and_closed_to_the_network(more):
    text = page(made_report(**more))
    assert text.isascii()
    outline = Outline(text)
    assert [value for name, value in outline.attributes if name in ("src", "href") and not value.startswith("#")] == []
    assert "url(" not in text and "@import" not in text and "://" not in text and "<script" not in text


def test_names_are_escaped():
    text = page(made_report())
    assert '<b>&"' not in text and "<0.5>" not in text and "A & B" not in text
    assert "&lt;b&gt;&amp;&#34;&#39;" in text and "off by &lt;0.5&gt;" in text and "A &amp; B" in text


def test_every_row_with_its_cells_or_its_reason():
    report = made_report()
    shown = Outline(page(report)).texts["tr"]
    for each in report["rows"]:
        if each["state"] == "ok":
            assert [cell.replace("\udcff", "\ufffd") for cell in cells_of(each) if cell] in shown
    failed = next(cells for cells in shown if "failed" in cells)
    assert failed == ["as written", "openvino", "bf16", "32", "failed", "off by <0.5>", "0.5"]
    absent = next(cells for cells in shown if "absent" in cells)
    assert absent[1:] == ["torch.compile", "fp32", "32", "absent", "no compiler"]


def test_bars_are_as_wide_as_their_shares():
    text = page(made_report())
    # 300 and 60 images/s of 400, for the fastest round was 330; decoding 400 of 600; of the limit; busy.
    assert widths(text) == [75.0, 15.0, 66.67, 25.0, 1.25, 100.0, 75.0, 30.0]
    assert widths(text, "spread")[:2] == [15.0, 3.0]
    assert text.count('class="fill over"') == 1 and "136% memory" in text
    bars = Outline(text).texts["li"]
    assert ["plain script, torch, fp32", "batch 32 on cpu", "60", "5.00 x (5.00 to 5.00)"] in bars
    assert ["plain script, torch.compile, fp32", "batch 32 on cpu", "absent", "no compiler"] in bars
    assert ["decode", "2 threads", "75%", "alone 400; end to end 75%"] in bars
    assert ["model", "1 thread", "30%", "alone: not measured"] in bars


def test_ours_is_marked_from_a_file_too():
    fresh = made_report(chosen={"cpu": ("openvino", "int8")})
    fresh["rows"].append(row("folder", "fer-fast classify", "openvino", "bf16", 310.0, images=NASTY))
    read = json.loads(json.dumps(fresh))
    assert page(fresh) == page(read)
    assert '<li class="ours runs"><span class="name">fer-fast classify, openvino, int8' in page(read)


def test_projections_are_labelled_and_apart():
    assert "rojection" not in page(made_report()).partition("</style>")[2]
    text = page(made_report(projections=[PROJECTION]))
    section = text.partition('<section class="projection">')[2].partition("</section>")[0]
    assert "<h2>Projection, not measured: NVIDIA T4</h2>" in section and "Source: datasheet &lt;1&gt;." in section
    assert "7,211" in section and "7,211" not in text.replace(section, "")


def test_environment_has_all_of_it():
    text = page(made_report())
    for term, value in [("load average after", "2.5, 1.0, 1.5"), ("seed", "0"), ("commit", "836ec3981db6"),
                        ("changed since commit", "yes"), ("pyarrow", "none"), ("images left out", "1")]:  # fmt: skip
        assert f"<dt>{term}</dt><dd>{value}</dd>" in text

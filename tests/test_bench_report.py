"""From made measurements to rows, ratios, sentences, comparisons and a table: figures that were worked by hand."""

from __future__ import annotations

import json
import math
import re

import pytest

from fer_fast.bench import findings
from fer_fast.bench.bottlenecks import bottlenecks
from fer_fast.bench.case import Agreement, Case, Key, Work
from fer_fast.bench.compare import Ratio, check_comparable, compare
from fer_fast.bench.lines import HEADER, alternative_line, cells_of, lines
from fer_fast.bench.measure import Measured, noise
from fer_fast.bench.report import FIELDS, SCHEMA, json_text, limits_of, read_report, row_of, typical_noise
from fer_fast.bench.stages import decode, faces, finder, folder, model, tokens
from fer_fast.pipeline.summary import Stages, Summary

CHOSEN = {"cpu": ("openvino", "bf16"), "cuda": ("torch", "fp16")}
MODEL_AS_WRITTEN = Key("model", "as written", "torch", "cpu", "fp32", 32)
OURS, FUSED, WRITTEN = model.ENGINES_FORM, model.FUSED_FORM, model.WRITTEN_FORM


def measured(key, rates, count=1, work=None, seconds=(), **state):
    case = Case(key, lambda: pytest.fail("a report prepares nothing"), count, work or Work())
    return Measured(case, rates=list(rates), seconds=list(seconds) or [0.001] * len(rates), **state)


def row(stage, form, engine, precision, *rates, batch=32, device="cpu", images="", count=1, **state):
    """A row whose images a second are `rates`, one a round."""
    return row_of(measured(Key(stage, form, engine, device, precision, batch, images), rates, count, **state), [])


def limit(form, by, precision, rate, device="cpu", **work):
    return measured(Key("limit", form, by, device, precision, 0), [rate] * 3, 0, Work(**work))


LIMITS = [
    limit("copy", "memory", "", 10.0, bytes=100),  # 1000 bytes a second
    limit("matrix product", "torch.mm", "fp32", 5.0, flop=200),
    limit("matrix product", "oneDNN", "fp32", 8.0, flop=200),  # 1600 operations a second: the faster one
    limit("matrix product", "torch.mm", "bf16", 1.0, flop=200),
    limit("copy", "memory", "", 1.0, device="cuda", bytes=100),
]
FAILED = {"state": "failed", "reason": "off by 3", "agreement": Agreement(3.0, 0.1, "logits")}


def report_of(*rows, **changes):
    """A whole report of these rows."""
    environment = {
        "processor": "AMD EPYC",
        "features": ["avx2"],
        "cores": 2,
        "memory_gib": 7.8,
        "gpus": [],
        "driver": None,
        "cuda": None,
        "versions": {"torch": "2.13.0", "pyarrow": None},
        "commit": None,
        "dirty": None,
        "load_average": [0.1, 0.2, 0.3],
        "load_average_after": [1.5, 0.2, 0.3],
        "seed": 0,
    }
    return {
        "schema": SCHEMA,
        "environment": environment,
        "model": {"name": "fast", "digest": "d", "image_size": 112},
        "images": {"faces": 256},
        "images_left_out": 0,
        "limits": limits_of(LIMITS),
        "rows": list(rows),
        "alternatives": [],
        "bottlenecks": [],
        "projections": [],
    } | changes


def test_limits_are_the_fastest_of_each_device_and_precision():
    found = limits_of([*LIMITS, measured(Key("limit", "copy", "memory", "cpu", "int8", 0), [], **FAILED)])
    assert [(each["device"], each["precision"], each["by"]) for each in found] == [
        ("cpu", "", "memory"),
        ("cpu", "fp32", "oneDNN"),
        ("cpu", "bf16", "torch.mm"),
        ("cuda", "", "memory"),
    ]
    assert [each["bytes_per_second"] for each in found] == [1000.0, None, None, 100.0]
    assert [each["flop_per_second"] for each in found] == [None, 1600.0, 200.0, None]


def test_row_by_hand():
    key = Key("model", OURS, "openvino", "cpu", "fp32", 10)
    seconds = [number / 1000 for number in range(1, 101)]
    agreement = Agreement(0.001, 0.01, "logits")
    found = row_of(
        measured(key, [2.0, 4.0, 3.0], 10, Work(10, 40), seconds, agreement=agreement, note="n", cpu_seconds=20.0),
        limits_of(LIMITS),
    )
    assert found == {
        **key._asdict(),
        "state": "ok",
        "reason": "",
        "note": "n",
        "error": {"error": 0.001, "tolerance": 0.01, "measure": "logits"},
        "count": 10,
        "bytes_per_image": 10,
        "flop_per_image": 40,
        "images_per_second": {"median": 30.0, "min": 20.0, "max": 40.0, "rounds": [20.0, 40.0, 30.0]},
        "noise": 0.9648,  # four times 1.2533 * 10 / sqrt(3) / 30
        "calls": 100,
        "milliseconds": {"p50": 50.0, "p95": 95.0, "p99": 99.0},
        "cpu_seconds_per_image": 0.02,
        "bytes_per_second": 300.0,
        "flop_per_second": 1200.0,
        "of_limit": {"share": 0.75, "bound": "compute"},  # 40 / 1600 s an image for arithmetic, 10 / 1000 for memory
    }
    assert findings.key_of(found) == key


@pytest.mark.parametrize(
    ("device", "precision", "work", "expected"),
    [
        ("cpu", "fp32", Work(10, 8), {"share": 0.3, "bound": "memory"}),  # 10 / 1000 s against 8 / 1600
        ("cpu", "bf16", Work(10, 8), {"share": 1.2, "bound": "compute"}),  # 8 / 200
        ("cpu", "int8", Work(10, 8000), {"share": 0.3, "bound": "memory"}),  # nothing is known of int8
        ("cpu", "fp32", Work(0, 40), {"share": 0.75, "bound": "compute"}),
        ("cuda", "fp32", Work(1, 40), {"share": 0.3, "bound": "memory"}),
        ("cuda", "fp32", Work(0, 40), None),
        ("cpu", "", Work(), None),
    ],
)
def test_share_of_the_limit_by_hand(device, precision, work, expected):
    key = Key("model", OURS, "openvino", device, precision, 10)
    assert row_of(measured(key, [30.0] * 3, 1, work), limits_of(LIMITS))["of_limit"] == expected


def test_rows_without_images_or_without_an_answer():
    calls = row("startup", "python alone", "process", "", 2.0, 3.0, 4.0, batch=0, count=0)
    assert calls["calls_per_second"]["median"] == 3.0 and "images_per_second" not in calls
    assert (calls["bytes_per_second"], calls["flop_per_second"], calls["of_limit"]) == (None, None, None)
    failed = row("model", OURS, "openvino", "int8", **FAILED)
    assert failed["error"]["error"] == 3.0 and failed["reason"] == "off by 3"
    assert not {"images_per_second", "calls_per_second", "milliseconds", "noise", "of_limit"} & set(failed)


def test_a_report_comes_back_from_its_file(tmp_path):
    report = report_of(row("model", OURS, "openvino", "bf16", 99.0, 100.0, 101.0))
    (tmp_path / "report.json").write_text(json_text(report))
    assert read_report(tmp_path / "report.json") == report


def test_a_report_of_an_answer_that_is_no_number_is_json(tmp_path):
    report = report_of(row("model", OURS, "openvino", "bf16", **FAILED | {"agreement": Agreement(math.nan, 0.1, "")}))
    (tmp_path / "report.json").write_text(json_text(report))
    json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory"),
        ("images: 3", "must be a report of this benchmark; it is not JSON"),
        ('{"schema": "fer_fast.bench 0"}', f"must be a report of the schema '{SCHEMA}', not 'fer_fast.bench 0'"),
        (f'["{SCHEMA}"]', f"must be a report of the schema '{SCHEMA}', not None"),
        ("[" * 200_000, "it is not JSON: maximum recursion depth exceeded"),
        (json.dumps({"schema": SCHEMA, **dict.fromkeys(sorted(FIELDS))}), "is damaged: each of its rows must have"),
        (f'{{"schema": "{SCHEMA}"}}', "is damaged: it lacks environment, images, model, rows"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path, content, message):
    path = tmp_path / "old.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_report(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"images_per_second": {"median": 0}}, "a rate must be finite and above 0, not 0.0"),
        ({"images_per_second": {"median": math.nan}}, "a rate must be finite and above 0, not nan"),
        ({"images_per_second": {"median": "fast"}}, "could not convert string to float: 'fast'"),
        ({"images_per_second": {"min": 1.0}}, "it lacks 'median'"),
        ({"noise": None}, "must be real number, not NoneType"),
        ({"noise": math.nan}, "each row's noise must be finite"),
    ],
)
def test_what_no_run_can_be_compared_with_is_refused_before_one(changes, said):
    check_comparable("old.json", report_of(quiet(100.0)))
    with pytest.raises(ValueError, match=re.escape(f"'old.json' is damaged: {said}")):
        check_comparable("old.json", report_of(quiet(100.0) | changes))


@pytest.mark.parametrize("field", ["environment", "model"])
def test_nor_with_what_does_not_say_what_it_is_of(field):
    with pytest.raises(ValueError, match=r"'old.json' is damaged: it lacks '(versions|digest)'"):
        check_comparable("old.json", report_of(quiet(100.0)) | {field: {}})


def test_ratio_is_of_the_same_round():
    mine, other = (row("decode", "", "", "", *rates) for rates in ([10.0, 40.0, 90.0], [10.0, 20.0, 30.0, 1.0]))
    assert findings.ratio(mine, other) == {"median": 2.0, "min": 1.0, "max": 3.0}


PROJECTED = "fused op, then projection"
ROWS = [
    row("decode", decode.FORM, "pillow", "", 200.0, images="faces"),
    row("decode", decode.PLAIN_FORM, "pillow", "", 100.0, batch=64, images="faces"),
    row("decode", decode.PLAIN_FORM, "pillow", "", 50.0, batch=64, images="photos"),
    row("tokens", "fused op", "native", "fp32", 300.0),
    row("tokens", tokens.INSTEAD["fused op"], "torch", "fp32", 100.0),
    row("tokens", tokens.INSTEAD["fused op"], "torch", "bf16", 100.0),
    row("tokens", tokens.INSTEAD["fused op"], "torch", "fp32", 100.0, batch=1),
    row("tokens", PROJECTED, "native", "fp32", 90.0),
    row("tokens", tokens.INSTEAD[PROJECTED], "torch", "fp32", 30.0),
    row("model", OURS, "openvino", "bf16", 80.0),
    row("model", OURS, "openvino", "int8", 90.0),  # faster, but not what "auto" chooses
    row("model", WRITTEN, "torch", "fp32", 20.0),
    row("model", WRITTEN, "torch", "fp32", 20.0, batch=1),
    row("model", WRITTEN, "torch", "fp32", 20.0, device="cuda"),
    row("model", WRITTEN, "openvino", "int8", **FAILED),
    row("folder", folder.FORM, "openvino", "bf16", 60.0, images="faces"),
    row("folder", folder.PLAIN_FORM, "torch", "fp32", 20.0, batch=64, images="faces"),
    row("folder", folder.PLAIN_FORM, "torch", "fp32", 20.0, batch=64, images="photos"),
    row("folder", folder.WRITE_FORM, "csv", "", 900.0),
    row("latency", "array to prediction", "torch", "fp32", 5.0),
    row("startup", "python alone", "process", "", 5.0, count=0),
]


def pairs_of(rows):
    return [
        (*(findings.name_of(pair[side]) for side in ("ours", "theirs")), pair["median"])
        for pair in findings.alternatives(rows, CHOSEN)
    ]


def test_alternatives_do_the_same_on_the_same():
    assert sorted(pairs_of(ROWS)) == sorted(
        [
            (f"{decode.FORM}, pillow", f"{decode.PLAIN_FORM}, pillow", 2.0),
            ("fused op, native, fp32", f"{tokens.INSTEAD['fused op']}, torch, fp32", 3.0),
            (f"{PROJECTED}, native, fp32", f"{tokens.INSTEAD[PROJECTED]}, torch, fp32", 3.0),
            (f"{OURS}, openvino, bf16", f"{WRITTEN}, torch, fp32", 4.0),
            (f"{folder.FORM}, openvino, bf16", f"{folder.PLAIN_FORM}, torch, fp32", 3.0),
        ]
    )


def test_the_fastest_stands_in_where_the_chosen_precision_is_not_there():
    rows = [row("model", OURS, "openvino", precision, rate) for precision, rate in (("int8", 40.0), ("fp32", 60.0))]
    rows.append(row("model", WRITTEN, "torch", "fp32", 20.0))
    assert pairs_of(rows) == [(f"{OURS}, openvino, fp32", f"{WRITTEN}, torch, fp32", 3.0)]


def test_a_model_that_auto_does_not_choose_is_not_ours():
    rows = [row("model", OURS, "openvino", "bf16", 90.0), row("model", FUSED, "torch", "fp32", 60.0)]
    assert pairs_of(rows) == [(f"{OURS}, openvino, bf16", f"{FUSED}, torch, fp32", 1.5)]


def test_on_a_card_what_auto_measured_is_ours_beside_faster_rows():
    rows = [
        row("model", FUSED, "torch", "bf16", 90.0, device="cuda"),
        row("model", FUSED, "tensorrt-fused", "bf16", 120.0, device="cuda"),
        row("model", OURS, "tensorrt", "bf16", 150.0, device="cuda"),
        row("model", WRITTEN, "torch", "fp32", 20.0, device="cuda"),
    ]
    chosen = CHOSEN | {"cuda": ("tensorrt-fused", "bf16")}
    assert findings.ours(rows, chosen) == [rows[1]]
    pairs = [(pair["theirs"]["engine"], pair["median"]) for pair in findings.alternatives(rows, chosen)]
    assert pairs == [("tensorrt", 0.8), ("torch", 6.0)]


WHOLE = row("folder", folder.FORM, "openvino", "bf16", 80.0, images="faces", note="2 decode workers, 1 streams")
SUMMARY = Summary(ran={"workers": 2, "streams": "1"}, seconds=10.0, stages=Stages(decode=16.0, model=5.0, write=1.0))


def bottleneck_of(*alone):
    rows = [WHOLE, *alone]
    (found,) = bottlenecks(rows, CHOSEN, {findings.key_of(WHOLE): [SUMMARY]}, cores=2)
    return found


def alone_rows(decoding, modelling):
    return [
        row("decode", decode.FORM, "pillow", "", decoding, images="faces", cpu_seconds=0.01),
        row("decode", decode.FORM, "pillow", "", 1.0, images="photos"),
        row("model", OURS, "openvino", "bf16", modelling, cpu_seconds=0.008),
        row("model", OURS, "openvino", "int8", 1.0),
        row("model", OURS, "openvino", "bf16", 1.0, batch=64),
        row("folder", folder.WRITE_FORM, "csv", "", 300.0, cpu_seconds=0.002),
    ]


def test_a_folder_that_decoding_limits():
    found = bottleneck_of(*alone_rows(200.0, 600.0))
    # One image costs 0.01 + 0.008 + 0.002 s of the two cores.
    assert found["sentence"] == (
        "faces: decode-bound: 2 workers decode 200 images/s, the model takes 600, the table 300; "
        "end to end 80, 40% of the slowest and 80% of the 100 that the stages' own work leaves room for on 2 cores"
    )
    assert found["busy"] == {"decode": 0.8, "model": 0.5, "write": 0.1}
    assert found["threads"] == {"decode": 2, "model": 1, "write": 1}
    assert found["row"] == findings.key_of(WHOLE)._asdict()


def test_a_cards_decoder_is_the_cards():
    on_card = [
        row("decode", decode.FORM, name, "", rate, images="faces") | {"device": "cuda"}
        for name, rate in (("nvimagecodec", 160.0), ("dali", 150.0))
    ]
    assert bottleneck_of(*alone_rows(200.0, 600.0), *on_card)["alone"]["decode"] == 200.0
    whole = WHOLE | {"device": "cuda", "engine": "torch"}
    rows = [whole, *alone_rows(200.0, 600.0), *on_card]
    chosen = CHOSEN | {"cuda": ("torch", "bf16")}
    (found,) = bottlenecks(rows, chosen, {findings.key_of(whole): [SUMMARY]}, cores=2)
    assert found["alone"] == {"decode": 160.0, "write": 300.0}, "the faster one's, though Pillow is faster alone"


def test_a_folder_that_the_model_limits():
    found = bottleneck_of(*alone_rows(600.0, 200.0))
    assert found["sentence"].startswith("faces: model-bound: 2 workers decode 600 images/s, the model takes 200,")
    assert found["alone"] == {"decode": 600.0, "model": 200.0, "write": 300.0}


def test_a_stage_that_was_not_measured_alone_is_not_guessed():
    found = bottleneck_of(alone_rows(200.0, 600.0)[2])
    assert found["sentence"] == "faces: model-bound: the model takes 600; end to end 80, 13% of the slowest"
    assert bottlenecks([WHOLE], CHOSEN, {}, cores=2) == []


def test_photos_by_their_faces():
    whole = row("faces", faces.FORM, "openvino", "bf16", 40.0, images="photos")
    ran = {"workers": 2, "streams": "2", "finder_precision": "fp32"}
    run = Summary(ran=ran, seconds=10.0, photos=100, stages=Stages(decode=5.0, find=10.0, model=15.0, write=1.0))
    run.statuses["ok"] = 300
    at_640, at_320 = (finder.form_at(finder.FORM, size) for size in (640, 320))
    rows = [
        whole,
        row("faces", faces.READ_FORM, "pillow", "", 200.0, images="photos", batch=1, cpu_seconds=0.01),
        row("faces", at_640, "openvino", "fp32", 250.0, batch=1, cpu_seconds=0.008),
        row("faces", at_640, "openvino", "bf16", 1.0, batch=1, cpu_seconds=9.0),
        row("faces", at_320, "openvino", "fp32", 1.0, batch=1, cpu_seconds=9.0),
        row("model", OURS, "openvino", "bf16", 300.0, cpu_seconds=0.006),
        row("folder", folder.WRITE_FORM, "csv", "", 3000.0, cpu_seconds=0.001),
    ]
    (found,) = bottlenecks(rows, CHOSEN, {findings.key_of(whole): [run]}, cores=2)
    # A photo costs 0.01 + 0.008 s, and three faces 3 (0.006 + 0.001).
    assert found["cores_allow"] == pytest.approx(2 / 0.039)
    assert found["alone"] == {"decode": 200.0, "find": 250.0, "model": 100.0, "write": 1000.0}
    assert found["busy"] == {"decode": 0.25, "find": 0.5, "model": 0.75, "write": 0.1}
    assert found["sentence"].startswith("photos: model-bound: 2 workers decode 200 images/s, the finder takes 250, the")


def test_photos_and_the_finder_against_what_does_the_same():
    rows = [
        row("faces", faces.FORM, "openvino", "bf16", 40.0, images="photos"),
        row("faces", faces.OPENCV_FORM, "torch", "fp32", 10.0, images="photos"),
        row("faces", faces.READ_FORM, "pillow", "", 90.0, images="photos"),
        row("faces", "finder, 320 px", "openvino", "fp32", 60.0),
        row("faces", "finder, 640 px", "openvino", "fp32", 30.0),
        row("faces", "the network alone, 640 px", "openvino", "fp32", 33.0),
        row("faces", "FaceDetectorYN, 640 px", "opencv", "fp32", 15.0),
    ]
    assert [(ours.split(",")[0], theirs.split(",")[0], times) for ours, theirs, times in pairs_of(rows)] == [
        ("fer-fast classify --faces all", "plain script with OpenCV", 4.0),
        ("finder", "FaceDetectorYN", 2.0),
    ]


def quiet(*rates, **state):
    return row("model", OURS, "openvino", "bf16", *rates, **state) | {"noise": 0.125}


@pytest.mark.parametrize(
    ("rate", "verdict"),  # both runs' noise together is 25 %, the root of 0.15 squared and 0.2 squared
    [(79.0, "slower"), (80.0, "same"), (100.0, "same"), (125.0, "same"), (126.0, "faster")],
)
def test_verdict_at_the_edges_of_noise(rate, verdict):
    found = compare(report_of(quiet(100.0) | {"noise": 0.15}), report_of(quiet(rate) | {"noise": 0.2}))
    assert [each.verdict for each in found.ratios] == [verdict]
    assert found.regressed is (verdict == "slower")
    assert any(line.endswith(verdict.upper()) for line in found.lines()) is (verdict != "same")


def test_a_tenth_of_the_rate_is_slower_however_noisy_the_rounds():
    assert Ratio(quiet(10.0), ratio=0.1, bound=1.2).verdict == "slower"


def test_a_report_is_no_regression_of_itself():
    report = report_of(*ROWS)
    found = compare(report, report)
    assert not found.regressed and {each.ratio for each in found.ratios} == {1.0}
    assert len(found.ratios) == len(ROWS) - 1  # one failed before, and fails still
    assert not (found.broken or found.missing or found.added or found.differences)


def test_calls_are_compared_where_there_are_no_images():
    old, new = (row("startup", "python alone", "process", "", rate, count=0) for rate in (2.0, 6.0))
    assert [each.ratio for each in compare(report_of(old), report_of(new)).ratios] == [3.0]


def test_rows_that_came_and_went():
    fails, absent = quiet(**FAILED), quiet(state="absent", reason="no bf16")
    found = compare(report_of(quiet(100.0)), report_of(fails))
    assert found.regressed and found.broken == [fails] and not found.missing
    assert any("FAILED" in line and "off by 3" in line for line in found.lines())
    other = row("decode", decode.FORM, "pillow", "", 1.0, images="faces")
    for new in ([absent, other], [other]):
        found = compare(report_of(quiet(100.0)), report_of(*new))
        assert not found.regressed and len(found.missing) == 1 and found.added == [other]
        assert [line.split()[0] for line in found.lines()] == ["COMPARED", "gone", "new", "no"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"environment": {"cores": 4}}, "another machine: cores was 2, is 4"),
        ({"environment": {"processor": "Xeon"}}, "another machine: processor was AMD EPYC, is Xeon"),
        ({"environment": {"versions": {"torch": "3", "pyarrow": None}}}, "torch was 2.13.0, is 3"),
        ({"model": {"name": "own", "digest": "e"}}, "another model: it was 'fast', is 'own'"),
        ({"images": {"faces": 9}}, "other images: they were {'faces': 256}, are {'faces': 9}"),
    ],
)
def test_what_differs_is_told(changes, told):
    old = report_of(quiet(100.0))
    new = report_of(quiet(100.0))
    for name, values in changes.items():
        new[name] = new[name] | values if name == "environment" else values
    found = compare(old, new)
    assert found.differences == [told] and f"note: {told}" in list(found.lines())


def test_every_row_and_reason_is_in_the_table():
    rows = [*ROWS, row("vit", "x", "openvino", "int8", state="absent", reason="no ranges")]
    alternatives = findings.alternatives(ROWS, CHOSEN)
    sentence = bottleneck_of(*alone_rows(200.0, 600.0))
    card = {"title": "NVIDIA T4", "rows": [quiet(1.0) | {"images_per_second": 1234.0, "bound": "memory"}]}
    text = list(lines(report_of(*rows, alternatives=alternatives, bottlenecks=[sentence], projections=[card])))
    shown = [re.split(" {2,}", line.strip()) for line in text]
    for each in rows:
        assert [cell for cell in cells_of(each) if cell] in shown
    assert "limits of cpu: copy 0.0 GB/s, fp32 0.000 TFLOP/s (oneDNN), bf16 0.000 TFLOP/s (torch.mm)" in text
    assert "failed: model: as written, openvino, int8: off by 3" in text
    assert "absent: vit: x, openvino, int8: no ranges" in text
    assert sentence["sentence"] in text
    assert "decode faces: fer_fast's decoder, pillow is 2.00 x as fast as Pillow, one after the other, pillow" in [
        line.partition(" (")[0] for line in text
    ]
    assert "PROJECTION, not measured: what NVIDIA T4 could do at most, by its roofline" in text
    assert "  model: tokens as convolutions, openvino, bf16: 1,234 images/s (memory)" in text


def test_what_is_as_written_is_said():
    keys = [key._asdict() for key in (Key("tokens", "fused op", "native", "cpu", "fp32", 32), MODEL_AS_WRITTEN)]
    pair = {"ours": keys[0], "theirs": keys[1], "median": 2.5, "min": 2.0, "max": 3.0}
    said = "tokens: fused op, native, fp32 is 2.50 x as fast as the model as written, torch, fp32 (2.00 to 3.00)"
    assert alternative_line(pair) == said
    pair["theirs"] |= {"form": "Pillow"}
    assert "as fast as Pillow, torch, fp32" in alternative_line(pair)


def test_a_row_whose_rounds_agree_by_luck_is_no_surer_than_half_of_the_others():
    key = Key("model", OURS, "openvino", "cpu", "bf16", 1)
    rounds = [[100.0, 100.0, 100.0], [100.0, 110.0, 90.0], [100.0, 150.0, 50.0]]
    each = [measured(key, rates) for rates in rounds]
    least = typical_noise([*each, measured(key, [], **FAILED)])
    assert least == noise(rounds[1])
    assert [row_of(one, [], least)["noise"] for one in each[:2]] == [round(least, 4)] * 2
    assert typical_noise([]) == 0.0


def test_a_slower_machine_is_no_regression():
    def limit(rate):
        return row_of(measured(Key("limit", "copy", "memory", "cpu", "", 0), [rate]), [])

    found = compare(report_of(limit(10.0), quiet(100.0)), report_of(limit(5.0), quiet(50.0)))
    assert [(each.ratio, each.verdict) for each in found.ratios] == [(1.0, "same")] and not found.regressed
    assert any("cpu's limits are 0.50 x" in line for line in found.lines())


def test_cells_by_hand():
    key = Key("model", WRITTEN, "torch", "cpu", "fp32", 10, "faces")
    full = row_of(measured(key, [2e3, 1e3, 3e3], 10, Work(1e4, 4e7), [0.1232, 0.004567]), [])
    full["of_limit"] = {"share": 0.75, "bound": "compute"}
    assert cells_of(full) == (
        "as written (faces)", "torch", "fp32", "10", "20,000", "10,000", "30,000", "145%",
        "4.57", "", "", "0.20", "0.800", "75% compute", "",
    )  # fmt: skip
    failed = (WRITTEN, "openvino", "int8", "32", "failed", *[""] * 9, "3")
    assert cells_of(row("model", WRITTEN, "openvino", "int8", **FAILED)) == failed
    assert len(failed) == len(HEADER)


def test_columns_are_as_wide_as_their_widest_cell():
    rows = [row("model", "x" * 60, "e" * 30, "fp32", 1e9), row("model", OURS, "openvino", "bf16", 1.0)]
    text = list(lines(report_of(*rows)))
    (start,) = [number for number, line in enumerate(text) if line.startswith("MODEL")]
    header, *found = text[start : start + 3]
    end = header.index("images/s") + len("images/s")
    assert [line[:end].split()[-1] for line in found] == ["1,000,000,000", "1"]


@pytest.mark.parametrize(("load", "busy"), [(0.5, False), (0.51, True)])  # a quarter of two cores
def test_a_busy_machine_is_told(load, busy):
    report = report_of(ROWS[0])
    report["environment"]["load_average"] = [load, 0.0, 0.0]
    assert any(line.startswith("note: the machine was busy") for line in lines(report)) is busy


def test_the_environment_is_told_with_and_without_a_gpu():
    report = report_of(ROWS[0])
    assert "2 cores of AMD EPYC (avx2), 7.8 GiB" in list(lines(report))
    report["environment"] |= {"gpus": [{"name": "H200", "memory_gib": 141.0}], "driver": "1.2", "cuda": "13.0"}
    report["environment"] |= {"commit": "0123456789ab", "dirty": True}
    text = list(lines(report))
    assert "H200, 141.0 GiB, CUDA 13.0, driver 1.2" in text
    assert "torch 2.13.0; commit 012345678 with changes" in text
    assert "load average 0.1 before, 1.5 after; seed 0" in text

"""Folders with every kind of bad file come in; each file must get its own row and no other file's prediction."""

import csv
import io
import os
import sys
import threading
from concurrent.futures import Future

import numpy as np
import pytest
from shades import ShadeClassifier, save_shade

from fer_fast import (
    FerFastError,
    OutputError,
    OutputRefusedError,
    Prediction,
    Row,
    Status,
    classify_folder,
    classify_rows,
)
from fer_fast.inputs import ImageFiles
from fer_fast.pipeline.batches import ItemBatches
from fer_fast.pipeline.summary import Stages


def table(out):
    with out.open(newline="", encoding="utf-8") as file:
        return {line["path"]: line for line in csv.DictReader(file)}


def shade_of(line):
    return round(float(line["p_neutral"]) * 255)


@pytest.fixture
def shades(tmp_path):
    """60 faces, each of another shade, called by it."""
    folder = tmp_path / "faces"
    folder.mkdir()
    for number in range(60):
        save_shade(folder / f"{number:03}.png", number * 4)
    return folder


def spoil(folder):
    """Puts a bad file of each kind between the faces."""
    whole = (folder / "000.png").read_bytes()
    (folder / "003-cut.png").write_bytes(whole[:-20])
    (folder / "007-empty.jpg").touch()
    (folder / "007-text.jpg").write_text("no image")
    (folder / "007-text-too.jpg").write_text("no image")
    (folder / "008-dangling.jpg").symlink_to("nowhere")
    (folder / "020-loop.jpg").symlink_to("020-loop.jpg")
    os.mkfifo(folder / "021-pipe.jpg")
    save_shade(folder / '022, named "so"\n.jpg', 90)
    save_shade(folder / "023-caf\udce9.jpg", 91)
    (folder / "030-folder.jpg").mkdir()
    save_shade(folder / "030-folder.jpg" / "inside.png", 93)
    return {
        "003-cut.png": "corrupt",
        "007-empty.jpg": "empty",
        "007-text.jpg": "unsupported",
        "007-text-too.jpg": "unsupported",
        "008-dangling.jpg": "unreadable",
        "020-loop.jpg": "unreadable",
        "021-pipe.jpg": "unreadable",
    }


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 32, 1000])
def test_each_file_gets_its_own_row_and_no_neighbours_prediction(tmp_path, shades, batch_size):
    bad = spoil(shades)
    classifier = ShadeClassifier(delay=0.001)
    classifier.batch_size = batch_size
    summary = classify_folder(shades, tmp_path / "out.csv", classifier=classifier)
    lines = table(tmp_path / "out.csv")
    assert len(lines) == summary.rows == 60 + len(bad) + 3
    for number in range(60):
        line = lines[f"{shades}/{number:03}.png"]
        assert (line["status"], shade_of(line)) == ("ok", number * 4)
        assert line["label"] == ("neutral" if number * 4 > 127 else "happiness")
    for name, status in bad.items():
        line = lines[f"{shades}/{name}"]
        assert line["status"] == status and line["error"] and not line["label"] and not line["p_neutral"]
    assert shade_of(lines[f'{shades}/022, named "so"\n.jpg']) == 90
    assert shade_of(lines[f"{shades}/023-caf\\xe9.jpg"]) == 91
    assert shade_of(lines[f"{shades}/030-folder.jpg/inside.png"]) == 93
    assert summary.statuses == {"ok": 63, "corrupt": 1, "empty": 1, "unsupported": 2, "unreadable": 3}
    assert summary.labels.total() == 63 and not summary.faultless
    assert max(classifier.sizes) <= batch_size and not classifier.closed


def test_a_folder_that_cannot_be_read_spoils_the_faultless_summary(tmp_path, shades, monkeypatch):
    (shades / "locked").mkdir()
    real = os.scandir

    def scandir(path):
        if str(path).endswith("locked"):  # root may read everything
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    summary = classify_folder(shades, tmp_path / "out.csv", classifier=ShadeClassifier())
    assert summary.unlistable == [f"{shades}/locked"] and summary.statuses == {"ok": 60} and not summary.faultless


def test_a_decoder_that_fails_stops_the_run(shades):
    classifier = ShadeClassifier()

    def submit(paths):
        future = Future()
        future.set_exception(FerFastError("the decoder failed: no memory"))
        return future

    classifier.decoder.submit = submit
    with pytest.raises(FerFastError, match="the decoder failed"):
        list(classify_rows(shades, classifier))


def test_rows_come_in_the_order_of_the_inputs(shades):
    spoil(shades)
    named = [str(shades / name) for name in ("050.png", "007-text.jpg", "010.png", "007-empty.jpg")]
    rows = list(classify_rows([*named, shades], ShadeClassifier()))
    assert [row.path for row in rows[:4]] == named
    rest = [row.path for row in rows[4:-1]]
    assert rest == sorted(rest) and rows[-1].path.endswith("inside.png")
    assert [row.status for row in rows[:4]] == [Status.OK, Status.UNSUPPORTED, Status.OK, Status.EMPTY]
    assert rows[2].prediction.probabilities[0] == pytest.approx(40 / 255)


def test_a_batch_without_one_image_never_reaches_the_model(tmp_path):
    for number in range(9):
        (tmp_path / f"{number}.jpg").write_text("no image")
    classifier = ShadeClassifier()
    rows = list(classify_rows(tmp_path, classifier))
    assert [row.status for row in rows] == [Status.UNSUPPORTED] * 9 and classifier.calls == 0


def test_work_is_done_ahead_but_not_far(shades):
    taken, others = [], set(threading.enumerate())

    def items():
        for item in ImageFiles([shades]).items():
            taken.append(item)
            yield item

    classifier = ShadeClassifier()
    batches = ItemBatches(items(), classifier, Stages())
    next(batches)
    ahead = 1 + (2 * classifier.streams + 1) * classifier.batch_size  # the first item goes alone
    assert len(taken) == ahead < 60
    next(batches)
    assert len(taken) == ahead + classifier.batch_size
    batches.close()
    own = set(threading.enumerate()) - others
    assert not [thread for thread in own if thread.name.startswith("fer-fast-model")]


def test_several_batches_are_in_the_model_at_once(shades):
    meeting = threading.Barrier(2)

    class Meeting(ShadeClassifier):
        def predict_batch(self, pixels):
            if len(pixels) == self.batch_size:
                meeting.wait(timeout=30)  # breaks unless two streams are here together
            return super().predict_batch(pixels)

    classifier = Meeting()
    classifier.batch_size = 14  # four full ones between the first and the last
    assert len(list(classify_rows(shades, classifier))) == 60


def test_stages_and_progress_are_reported(tmp_path, shades):
    calls = []
    summary = classify_folder(
        shades, tmp_path / "out.csv", classifier=ShadeClassifier(delay=0.001), progress=lambda *call: calls.append(call)
    )
    assert calls == [(1, 1), *((done, 4) for done in range(5, 58, 4)), (60, 3)]
    assert summary.stages.model >= 15 * 0.001 and summary.stages.decode > 0 and summary.stages.write > 0
    assert summary.images_per_second == pytest.approx(60 / summary.seconds)
    assert summary.ran["engine"] == "shade" and summary.out == str(tmp_path / "out.csv") and summary.faultless


def test_a_failing_model_stops_the_run_and_keeps_the_rows(tmp_path, shades):
    out = tmp_path / "out.csv"
    with pytest.raises(FerFastError, match=r"failed on a batch of 4 images: out of"):
        classify_folder(shades, out, classifier=ShadeClassifier(fail_at=6))
    assert not out.exists()
    with pytest.raises(OutputRefusedError, match="unfinished"):
        classify_folder(shades, out, classifier=ShadeClassifier())
    again = ShadeClassifier()
    summary = classify_folder(shades, out, classifier=again, resume=True)
    assert 0 < summary.kept < 60 and again.images == 60 - summary.kept and summary.rows == 60
    classify_folder(shades, tmp_path / "at-once.csv", classifier=ShadeClassifier())
    assert out.read_bytes() == (tmp_path / "at-once.csv").read_bytes()


@pytest.mark.parametrize("wrong", [np.full((4, 8), np.nan, np.float32), np.zeros((3, 8), np.float32)])
def test_a_model_that_answers_nonsense_stops_the_run(shades, wrong):
    classifier = ShadeClassifier()
    classifier.predict_batch = lambda pixels: wrong
    with pytest.raises(FerFastError, match="the model gave"):
        list(classify_rows(shades, classifier))


def test_a_row_below_the_threshold_keeps_all_but_its_label(tmp_path, shades):
    (shades / "007-empty.jpg").touch()
    summary = classify_folder(shades, tmp_path / "out.csv", classifier=ShadeClassifier(), abstain=0.8)
    lines = table(tmp_path / "out.csv")
    for number in range(60):
        line, neutral = lines[f"{shades}/{number:03}.png"], number * 4 / 255
        sure = max(neutral, 1 - neutral) >= 0.8  # shade 204 is 0.8 itself
        assert line["status"] == ("ok" if sure else "abstained") and line["error"] == ""
        assert line["label"] == (("neutral" if neutral > 0.5 else "happiness") if sure else "")
        assert shade_of(line) == number * 4 and float(line["confidence"]) == float(
            max(line["p_neutral"], line["p_happiness"])
        )
    assert lines[f"{shades}/051.png"]["label"] == "neutral" and lines[f"{shades}/050.png"]["label"] == ""
    assert lines[f"{shades}/007-empty.jpg"]["status"] == "empty"
    assert summary.statuses == {"ok": 22, "abstained": 38, "empty": 1}
    assert summary.labels == {"happiness": 13, "neutral": 9} and summary.predicted == 60 and not summary.faultless
    rows = list(classify_rows(shades, ShadeClassifier(), abstain=0.8))
    assert [(row.status, row.label) for row in rows] == [(line["status"], line["label"]) for line in lines.values()]
    assert {row.prediction is None for row in rows if row.status is Status.ABSTAINED} == {False}
    (shades / "007-empty.jpg").unlink()
    assert classify_folder(shades, io.BytesIO(), classifier=ShadeClassifier(), abstain=1).faultless


@pytest.mark.parametrize(
    ("confidence", "abstain", "label"),
    [
        (0.7, 0.7, "a"),  # 0.69999999 in fp32
        (0.6999997, 0.7, "a"),  # 0.700000 in every table
        (0.6999993, 0.7, ""),
        (0.7, 0.700001, ""),
        (0.9999997, 1, "a"),
        (0.999999, 1, ""),
        (0.5, 0, "a"),
    ],
)
def test_a_confidence_at_the_threshold_keeps_its_label(confidence, abstain, label):
    probabilities = np.array([confidence, 1 - confidence], np.float32)
    row = Row("x", Status.OK, prediction=Prediction(("a", "b"), probabilities)).abstaining(abstain)
    assert (row.label, row.status) == (label, Status.OK if label else Status.ABSTAINED)
    assert row.prediction.probabilities is probabilities and row.prediction.label == "a"


def test_without_a_prediction_nothing_is_abstained():
    row = Row("x", Status.CORRUPT, "cut")
    assert row.abstaining(1.0) is row and row.label == ""


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_an_abstaining_run_is_resumed_by_its_own_threshold_alone(tmp_path, shades, suffix):
    out = tmp_path / f"out{suffix}"
    with pytest.raises(FerFastError):
        classify_folder(shades, out, classifier=ShadeClassifier(fail_at=6), abstain=0.8)
    for other in (0.0, 0.81):
        with pytest.raises(OutputRefusedError, match=r"with abstain 0\.8, not"):
            classify_folder(shades, out, classifier=ShadeClassifier(), resume=True, abstain=other)
    summary = classify_folder(shades, out, classifier=ShadeClassifier(), resume=True, abstain=0.80)
    assert summary.kept and summary.statuses == {"ok": 22, "abstained": 38}
    assert summary.labels == {"happiness": 13, "neutral": 9} and summary.faultless
    classify_folder(shades, tmp_path / f"whole{suffix}", classifier=ShadeClassifier(), abstain=0.8)
    assert out.read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()


def test_a_run_that_never_abstains_is_resumed_as_before(tmp_path, shades):
    with pytest.raises(FerFastError):
        classify_folder(shades, tmp_path / "out.csv", classifier=ShadeClassifier(fail_at=6))
    with pytest.raises(OutputRefusedError, match="with abstain"):
        classify_folder(shades, tmp_path / "out.csv", classifier=ShadeClassifier(), resume=True, abstain=0.5)
    assert classify_folder(shades, tmp_path / "out.csv", classifier=ShadeClassifier(), resume=True, abstain=0).kept


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (2, ValueError),
        (-0.1, ValueError),
        (float("nan"), ValueError),
        ("x", TypeError),
        (None, TypeError),
        (True, TypeError),
    ],
)
def test_a_threshold_that_is_none_is_refused_before_anything_runs(tmp_path, shades, wrong, error):
    message = f"abstain must be a number from 0 to 1, not {wrong!r}"
    with pytest.raises(error, match=message):
        classify_folder(shades, tmp_path / "out.csv", classifier=ShadeClassifier(), abstain=wrong)
    with pytest.raises(error, match=message):
        classify_rows(shades, ShadeClassifier(), abstain=wrong)
    assert not list(tmp_path.glob("out*"))


def test_a_file_that_came_or_went_between_two_runs(tmp_path, shades):
    out = tmp_path / "out.csv"
    with pytest.raises(FerFastError):
        classify_folder(shades, out, classifier=ShadeClassifier(fail_at=6))
    (shades / "000.png").unlink()
    save_shade(shades / "000-new.png", 77)
    summary = classify_folder(shades, out, classifier=ShadeClassifier(), resume=True)
    lines = table(out)
    assert summary.unlisted == 1 and len(lines) == 61
    assert shade_of(lines[f"{shades}/000-new.png"]) == 77 and f"{shades}/000.png" in lines


def test_a_finished_table_is_not_done_again(tmp_path, shades):
    out = tmp_path / "out.jsonl"
    classify_folder(shades, out, classifier=ShadeClassifier())
    before, again = out.stat(), ShadeClassifier()
    summary = classify_folder(shades, out, classifier=again, resume=True)
    assert (summary.new, summary.kept, again.calls) == (0, 60, 0)
    after = out.stat()  # it was read meanwhile, which is a time of its own
    assert (after.st_ino, after.st_mtime_ns, after.st_size) == (before.st_ino, before.st_mtime_ns, before.st_size)
    assert summary.statuses == {"ok": 60} and summary.labels.total() == 60
    assert classify_folder(shades, out, classifier=again).rows == 60 and out.stat().st_ino != before.st_ino


def test_another_models_rows_are_not_mixed_in(tmp_path, shades):
    with pytest.raises(FerFastError):
        classify_folder(shades, tmp_path / "out.csv", classifier=ShadeClassifier(fail_at=6))
    with pytest.raises(OutputRefusedError, match="with model"):
        classify_folder(shades, tmp_path / "out.csv", classifier=ShadeClassifier("other"), resume=True)


def test_a_stream_gets_csv(shades):
    stream = io.BytesIO()
    summary = classify_folder(shades, stream, classifier=ShadeClassifier())
    assert summary.out is None and len(list(csv.DictReader(io.StringIO(stream.getvalue().decode())))) == 60


def test_a_stream_that_fails_stops_the_run(shades):
    class Full(io.BytesIO):
        def write(self, data):
            if self.tell() > 1000:
                raise OSError(28, "No space left on device")
            return super().write(data)

    with pytest.raises(OutputError, match="No space left"):
        classify_folder(shades, Full(), classifier=ShadeClassifier())


def test_what_cannot_begin_is_refused_before_a_model_is_loaded(tmp_path, shades, monkeypatch):
    monkeypatch.setitem(sys.modules, "fer_fast.classifier", None)  # an import would raise
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "notes.txt").touch()
    with pytest.raises(ValueError, match="no image in"):
        classify_folder(tmp_path / "bare", tmp_path / "out.csv")
    with pytest.raises(ValueError, match="does not exist"):
        classify_folder([shades, "nowhere"], tmp_path / "out.csv")
    with pytest.raises(ValueError, match=r"\.parquet"):
        classify_folder(shades, tmp_path / "out.xls")
    with pytest.raises(ValueError, match="not a stream"):
        classify_folder(shades, io.BytesIO(), resume=True)
    with pytest.raises(TypeError, match="device"):
        classify_folder(shades, tmp_path / "out.csv", classifier=ShadeClassifier(), device="cpu")
    assert not list(tmp_path.glob("out*"))

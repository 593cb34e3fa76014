"""Folders of photos come in; each face gets its row, a photo without one its own, and --resume keeps photos whole."""

import csv
import shutil
import time
from itertools import groupby

import pytest
from shade_faces import SHADES, ShadeFinder, draw
from shades import ShadeClassifier

from fer_fast import FerFastError, OutputRefusedError, Status, classify_folder, classify_rows
from fer_fast.pipeline import opening
from fer_fast.pipeline.faces import FaceClassifier

#: Shade, x, y and side of each face, by its photo.
PHOTOS = {
    "a-two": [(70, 10, 20, 40), (170, 100, 30, 12)],
    "b-none": [],
    "c-small": [(220, 8, 8, 20)],
    "d-four": [(shade, 30 * place, 60, 24 + place) for place, shade in enumerate(SHADES)],
    "e-one": [(120, 40, 40, 60)],
}


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "photos"
    made.mkdir()
    for name, boxes in PHOTOS.items():
        draw((160, 120), boxes).save(made / f"{name}.png")
    (made / "f-text.jpg").write_text("no photo")
    return made


def classified(folder, out, faces="all", finder=None, **options):
    return classify_folder(
        folder, out, classifier=ShadeClassifier(), faces=faces, finder=finder or ShadeFinder(160), **options
    )


def lines(out):
    with out.open(newline="") as file:
        return list(csv.DictReader(file))


def shade_of(line):
    return round(255 * float(line["p_neutral"]))


def wanted(boxes):
    return sorted(boxes, key=lambda box: -box[3])


def test_each_face_of_a_photo_is_a_row(folder, tmp_path):
    summary = classified(folder, tmp_path / "out.csv")
    for name, found in groupby(lines(tmp_path / "out.csv"), lambda line: line["path"].rpartition("/")[2]):
        rows, boxes = list(found), wanted(PHOTOS.get(name[:-4], []))
        if not boxes:
            status = "unsupported" if name == "f-text.jpg" else "no_face"
            assert [(row["status"], row["face"], row["label"]) for row in rows] == [(status, "", "")]
            continue
        assert [row["face"] for row in rows] == [str(number) for number in range(len(boxes))]
        assert [[float(row[key]) for key in ("x", "y", "width")] for row in rows] == [list(box[1:]) for box in boxes]
        for row, (shade, _, _, side) in zip(rows, boxes, strict=True):
            assert row["status"] == ("abstained" if side < 24 else "ok") and abs(shade_of(row) - shade) < 40
            assert bool(row["label"]) == (side >= 24)
    assert summary.statuses == {"ok": 6, "abstained": 2, "no_face": 1, "unsupported": 1}
    assert (summary.photos, summary.new_photos, summary.faces, summary.no_face, summary.small) == (6, 6, 8, 1, 6)
    assert summary.failed == 1 and not summary.faultless and summary.ran["finder"] == "shades"
    (folder / "f-text.jpg").unlink()
    assert classified(folder, tmp_path / "out.csv").faultless


def test_the_largest_face_alone_is_a_row(folder, tmp_path):
    classified(folder, tmp_path / "out.csv", faces="largest")
    rows = lines(tmp_path / "out.csv")
    assert [row["width"] for row in rows] == ["40.0", "", "20.0", "27.0", "60.0", ""]


def test_rows_come_to_who_iterates_too(folder):
    finder, classifier = ShadeFinder(160), ShadeClassifier()
    rows = list(classify_rows(folder, classifier, faces="all", finder=finder))
    assert [row.status.value for row in rows] == [
        *["ok", "abstained", "no_face", "abstained"],
        *["ok"] * 5,
        "unsupported",
    ]
    assert not finder.closed and not classifier.closed
    rows = classify_rows(folder, classifier, 0.9, faces="largest", finder=finder)
    assert next(rows).status is Status.ABSTAINED
    rows.close()
    plain = list(classify_rows(folder, classifier))
    assert len(plain) == 6 and {row.cells for row in plain} == {()}


def test_batches_are_filled_across_photos(folder, tmp_path):
    for number in range(20):
        shutil.copy(folder / "a-two.png", folder / f"more-{number:02}.png")
    classifier = ShadeClassifier()
    classify_folder(folder, tmp_path / "out.csv", classifier=classifier, faces="all", finder=ShadeFinder(160))
    assert classifier.images == 48 and sorted(classifier.sizes) == [2, 2, *[4] * 11], "the first photo's go alone"


def test_a_resumed_run_keeps_photos_whole(folder, tmp_path):
    out, whole = tmp_path / "out.csv", tmp_path / "whole.csv"
    classified(folder, whole)
    for after in (0, 1):
        classifier = ShadeClassifier(fail_at=after)
        with pytest.raises(FerFastError, match="the model failed"):
            classify_folder(folder, out, classifier=classifier, faces="all", finder=ShadeFinder(160))
        finder = ShadeFinder(160)
        summary = classified(folder, out, finder=finder, resume=True)
        assert out.read_bytes() == whole.read_bytes() and len(finder.seen) <= summary.new_photos
        out.unlink()
    finder = ShadeFinder(160)
    classified(folder, whole, finder=finder, resume=True)  # that there is no face is a verdict, too
    assert not finder.seen
    draw((160, 120), PHOTOS["a-two"]).save(folder / "b-none.png")
    summary = classified(folder, whole, finder=finder, resume=True)
    assert (summary.changed, summary.new_photos, summary.photos, summary.new) == (1, 1, 6, 2)
    assert [row["face"] for row in lines(whole)][:4] == ["0", "1", "0", "1"]


def test_retrying_what_failed_leaves_photos_without_a_face(folder, tmp_path):
    out = tmp_path / "out.csv"
    classified(folder, out)
    finder = ShadeFinder(160)
    assert classified(folder, out, finder=finder, retry_failed=True).new_photos == 0 and not finder.seen


def test_a_run_over_photos_is_told_from_others(folder, tmp_path):
    out = tmp_path / "out.csv"
    classified(folder, out)
    for changes, difference in (
        ({"faces": "largest"}, "faces 'all', not 'largest'"),
        ({"finder": ShadeFinder(160, name="other")}, "finder 'shades 160 4 None', not 'other 160 4 None'"),
        ({"finder": ShadeFinder(160, max_faces=2)}, "finder"),
    ):
        with pytest.raises(OutputRefusedError, match=difference):
            classified(folder, out, resume=True, **changes)
    with pytest.raises(OutputRefusedError, match="faces 'all', not 'none'"):
        classify_folder(folder, out, classifier=ShadeClassifier(), resume=True)


def test_what_a_run_has_made_is_handed_on_as_it_comes(folder, tmp_path):
    told, counted, cut = [], [], {}
    classified(
        folder,
        tmp_path / "out.csv",
        seen=lambda found: told.extend(found),
        progress=lambda *call: counted.append(call),
        crops=lambda path, frame, pixels: cut.update({path: (frame, len(pixels))}),
    )
    assert [len(result.rows) for result in told] == [2, 1, 1, 4, 1, 1]
    assert told[2].rows[0].status is Status.ABSTAINED
    assert counted == [(done, 1) for done in range(1, 7)]
    assert cut == {str(folder / f"{name}.png"): (None, len(boxes)) for name, boxes in PHOTOS.items() if boxes}


def test_what_ends_a_run_is_told_whatever_its_caller_raises_then(folder, tmp_path, caplog):
    out, told = tmp_path / "out.csv", []

    def seen(found):
        told.extend(found)
        if len(told) == 1:
            time.sleep(1)  # more rows come meanwhile
            raise KeyboardInterrupt
        raise RuntimeError("again")

    with pytest.raises(KeyboardInterrupt):
        classified(folder, out, seen=seen)
    assert len(told) > 1 and "the last rows may not be kept: again" in caplog.text
    assert classified(folder, out, resume=True).photos == 6


def test_what_was_opened_for_a_run_is_closed_with_it(folder, tmp_path, monkeypatch):
    opened = []

    def kept(what):
        opened.append(what)
        return what

    monkeypatch.setattr(opening, "_open", lambda options: kept(ShadeClassifier(**options)))
    monkeypatch.setattr("fer_fast.pipeline.faces._finder", lambda arguments: kept(ShadeFinder(**arguments)))
    classify_folder(folder, tmp_path / "out.csv", faces="all", finder={"find_size": 160, "name": "mine"}, model="shade")
    assert {type(each).__name__ for each in opened} == {"ShadeClassifier", "ShadeFinder"}
    assert all(each.closed for each in opened)
    assert {each.find_size for each in opened if isinstance(each, ShadeFinder)} == {160}
    opened.clear()
    monkeypatch.setattr("fer_fast.pipeline.faces._finder", lambda arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        classify_folder(folder, tmp_path / "other.csv", faces="all", model="shade")
    assert all(each.closed for each in opened) and not (tmp_path / "other.csv").exists()


def test_a_finder_that_is_opened_for_a_classifier_runs_where_that_does(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "fer_fast.pipeline.faces._finder", lambda arguments: asked.append(arguments) or ShadeFinder(160)
    )
    classifier = ShadeClassifier()
    classifier.device = "cuda:1"
    for finder in (None, {"score": 0.5}, {"device": "cpu"}):
        classify_rows(folder, classifier, faces="all", finder=finder).close()
    assert asked == [{"device": "cuda:1"}, {"device": "cuda:1", "score": 0.5}, {"device": "cpu"}]


def test_wrong_wishes_are_refused_before_anything_is_opened(folder, tmp_path):
    for wishes, sentence in (
        ({"faces": "some"}, "faces must be one of none, all, largest, not 'some'"),
        ({"faces": "none", "finder": {}}, "a finder is for faces 'all' or 'largest', not 'none'"),
        ({"faces": "none", "crops": print}, "crops are for faces 'all' or 'largest', not 'none'"),
        ({"faces": "all", "decoder": "dali"}, "decoder must be auto or pillow, not 'dali'"),
        ({"faces": "all", "decoder": "nvimagecodec"}, "decoder must be auto or pillow, not 'nvimagecodec'"),
        ({"faces": "all", "finder": "yunet.onnx"}, "finder must be a FaceFinder, a mapping .* not 'yunet.onnx'"),
    ):
        with pytest.raises((ValueError, TypeError), match=sentence):
            classify_folder(folder, tmp_path / "out.csv", **wishes)
    assert list(tmp_path.iterdir()) == [folder]


def test_a_model_says_how_its_faces_are_cut(folder):
    classifier = ShadeClassifier()
    classifier.framing = "level"
    made = FaceClassifier(classifier, ShadeFinder(160), "all")
    assert made.decoder.looking.framing == "level" and made.describe()["decoding"] == "2 threads"
    made.close()
    assert not classifier.closed
    classifier.close()

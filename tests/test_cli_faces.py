"""`fer-fast classify --faces`: rows, pictures, what is said, and what is refused before there is work."""

import csv
import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_fast.bench.portraits import photo_with_faces
from fer_fast.cli import run


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two drawn photos of three faces and of one, one of none, and half a file."""
    folder = tmp_path_factory.mktemp("photos")
    for name, faces in (("a", 3), ("b", 1), ("c", 0)):
        photo_with_faces(np.random.default_rng(faces), (960, 720), faces)[0].save(folder / f"{name}.jpg")
    whole = (folder / "a.jpg").read_bytes()
    (folder / "d.jpg").write_bytes(whole[: len(whole) // 2])
    return folder


def rows(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_each_face_has_a_row_and_pictures(photos, tmp_path, ended):
    drawn, crops = tmp_path / "new" / "drawn", tmp_path / "crops"
    status, out, error = ended(photos, "--faces", "all", "--draw", drawn, "--crops", crops)
    found = rows(out)
    assert status == 0 and [row["status"] for row in found] == ["ok"] * 4 + ["no_face", "corrupt"]
    assert [row["face"] for row in found] == ["0", "1", "2", "0", "", ""]
    areas = [float(row["width"]) * float(row["height"]) for row in found[:3]]
    assert areas == sorted(areas, reverse=True)
    assert "4 faces in 4 photos, 1 without one" in error and "photos/s" in error and ", find " in error
    pictures = {Image.open(path).size for path in drawn.iterdir()}
    assert len([*drawn.iterdir()]) == 3 and all(width == 960 for width, _ in pictures)
    assert f"3 pictures in {drawn}" in error and f"4 pictures in {crops}" in error
    assert [path.name.split("_")[0] + path.name[-6:] for path in sorted(crops.iterdir())] == [
        *("a_0.png", "a_1.png", "a_2.png", "b_0.png")
    ]


def test_the_largest_face_alone(photos, ended):
    status, out, _ = ended(photos / "a.jpg", photos / "b.jpg", "--faces", "largest", "--strict")
    assert status == 0 and [row["face"] for row in rows(out)] == ["0", "0"]


def test_strict_minds_what_cannot_be_read_but_no_photo_without_faces(photos, ended):
    assert ended(photos / "c.jpg", "--faces", "all", "--strict", "--quiet")[0] == 0
    status, _, error = ended(photos, "--faces", "all", "--strict", "--quiet")
    assert (status, error) == (1, "fer-fast: --strict: 1 of 4 files has no prediction\n")


def test_small_faces_are_told(photos, tmp_path, ended):
    with Image.open(photos / "b.jpg") as photo:
        small = photo.reduce(4)
    small.save(tmp_path / "small.png")
    _, out, error = ended(tmp_path, "--faces", "all", "--min-face", "8")
    sides = [max(float(row["width"]), float(row["height"])) for row in rows(out) if row["face"]]
    told = sum(side < 32 for side in sides)
    assert sides and (f"{told} face" in error) == bool(told)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--draw", "drawn"], "--draw needs --faces all or --faces largest"),
        (["--min-face", "30"], "--min-face needs --faces all or --faces largest"),
        (["--faces", "largest", "--max-faces", "3"], "leave --max-faces out"),
        (["--faces", "all", "--decoder", "dali"], "--decoder dali"),
        (["--faces", "all", "--decoder", "nvimagecodec"], "--decoder nvimagecodec"),
        (["--faces", "all", "--draw", "{}/a.jpg"], "is a file"),
        (["--faces", "all", "--crops", "{}/a.jpg/crops"], "is a file"),
        (["--faces", "all", "--crops", "{}/crops"], "lies in the input"),
        (["{}/*.jpg", "--faces", "all", "--draw", "{}"], "lies in the input"),
        (["--faces", "all", "--draw", ""], "--draw must be a folder on a disk, not ''"),
    ],
)
def test_the_callers_fault_is_one_sentence_and_two(photos, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "fer_fast.classifier", None)  # refused before anything heavy is imported
    assert run(["classify", str(photos), *(argument.format(photos) for argument in arguments)]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("fer-fast: ") and message in shown.err
    assert shown.err.count("\n") == 1 and not list(tmp_path.iterdir())


@pytest.mark.parametrize("finder", ["nowhere.onnx", "text.onnx"])
def test_a_wrong_finder_is_one_sentence_and_two(photos, tmp_path, capsys, monkeypatch, finder):
    monkeypatch.chdir(tmp_path)
    Path("text.onnx").write_text("none")
    assert run(["classify", str(photos), "--faces", "all", "--finder", finder, "-o", "out.csv"]) == 2
    shown = capsys.readouterr().err
    assert finder in shown and shown.count("\n") == 1 and not Path("out.csv").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--faces", "some"], ["--max-faces", "0"], ["--face-score", "2"], ["--face-score", "nan"]),
        *(["--min-face", "-1"], ["--find-size", "0"]),
    ],
)
def test_wrong_arguments_are_two(arguments, capsys):
    with pytest.raises(SystemExit) as ended_with:
        run(["classify", ".", *arguments])
    assert ended_with.value.code == 2 and "usage: fer-fast" in capsys.readouterr().err


def test_photos_without_faces_asked_for_are_told_once(photos, tmp_path, ended):
    paths = [tmp_path / f"{number}.jpg" for number in range(3)]
    for path in paths:
        path.symlink_to(photos / "a.jpg")
    told = "fer-fast: these look like photos: add --faces all\n"
    assert ended(*paths)[2].count(told) == 1
    assert told not in ended(*paths, "--quiet")[2] and told not in ended(*paths, "--faces", "all")[2]


@pytest.mark.needs_torch
def test_a_photos_faces_are_in_one_figure(photos, tmp_path, capsys):
    from fer_fast.reports.faces_figure import DOTS_PER_INCH, WIDTH

    for name, said in (("a.jpg", "3 faces: "), ("c.jpg", "0 faces\n")):
        out = tmp_path / f"{name}.png"
        assert run(["visualize", str(photos / name), "--faces", "--model", "tiny", "-o", str(out)]) == 0
        assert f"{out}: {said}" in capsys.readouterr().err
        with Image.open(out) as figure:
            assert figure.width == WIDTH * DOTS_PER_INCH and figure.height > figure.width / 2
    assert run(["visualize", str(photos / "d.jpg"), "--faces", "-o", str(out)]) == 1
    assert "d.jpg' is corrupt: " in capsys.readouterr().err
    assert run(["visualize", str(photos / "a.jpg"), "--face-score", "0.5", "-o", str(out)]) == 2
    assert capsys.readouterr().err == "fer-fast: --face-score needs --faces\n"


def test_crops_are_not_taken_for_photos(shades, ended):
    assert "photos" not in ended(shades)[2]

"""Training of the face finder on drawn pictures: scenes, what is learnt of them, runs that go on, the command."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fer_fast.cli import run
from fer_fast.models.files.checkpoint import read_finder
from fer_fast.models.files.storage import build_finder
from fer_fast.models.finder.network import FinderNetwork
from fer_fast.train.finder.degrade import degraded
from fer_fast.train.finder.loss import Cells, assigned, cells_of, eiou, finder_loss
from fer_fast.train.finder.material import SURE, Picture, load_pictures, looked_at, picture_of, set_apart
from fer_fast.train.finder.recipe import Composition, Degradation, FinderRecipe, load_finder_recipe
from fer_fast.train.finder.run import FinderTraining
from fer_fast.train.finder.scenes import compose, moved, similarity, warped

RECIPE = """
steps = 3
learning_rate = 1e-3
batch_size = 2
average_decay = 0.5
judged = 0.5
judged_scenes = 2
shares = [0.5, 1.0]

[composition]
side = 64
smallest = 16.0
largest = 32.0
cut_largest = 24.0

[degradation]
light = 0.5
jpeg = 0.5
"""
ALL = Degradation(*[1.0] * 7)


def drawn(seed: int, faces: int = 1) -> Picture:
    """Noise with "faces" in it: boxes of 30 x 40 px, five points each."""
    chance = np.random.default_rng(seed)
    pixels = chance.integers(0, 255, (120, 160, 3)).astype(np.uint8)
    rows = []
    for place in range(faces):
        x, y = 20.0 + 50 * place, 30.0
        rows.append([x, y, 30, 40, x + 9, y + 15, x + 21, y + 15, x + 15, y + 22, x + 10, y + 30, x + 20, y + 30, 0.9])
    return Picture(pixels, np.array(rows).reshape(-1, 15), np.array([[130.0, 90, 20, 20]]))


class Teacher:
    """Finds one face, where every picture has it, a little surer in larger ones."""

    streams = 1

    def find_in(self, pixels: np.ndarray) -> np.ndarray:
        height, width = pixels.shape[:2]
        x, y = 0.25 * width, 0.25 * height
        sure = [x, y, x, y, *[x + 1, y + 1] * 5, 0.8 + width / 1e5]
        return np.array([sure, [0, 0, 4, 4, *[1, 1] * 5, 0.4]], np.float32)


@pytest.fixture
def recipe(tmp_path: Path) -> FinderRecipe:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return load_finder_recipe(tmp_path / "recipe.toml")


# ------------------------------------------------------------------------------------------------------------- recipe


def test_recipes(recipe: FinderRecipe) -> None:
    assert recipe.composition.side == 64 and recipe.shares == (0.5, 1.0) and recipe.degradation.light == 0.5
    assert load_finder_recipe("finder").steps > 100


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("steps = 1", "must have the fields of"),
        (RECIPE.replace("steps = 3", "steps = 0"), "steps must be an integer of 1 or more, not 0"),
        (RECIPE.replace("side = 64", "side = 70"), "side must be a multiple of 32"),
        (RECIPE.replace("side = 64", f"side = 32{'0' * 400}"), "side must be a multiple of 32, 64 to 4096"),
        (RECIPE.replace("side = 64", f"parts = [1{'0' * 400}]"), "parts must be numbers of 0 or more whose sum is 1"),
        (RECIPE.replace("side = 64", 'parts = ["all"]'), "parts must be numbers of 0 or more whose sum is 1"),
        (RECIPE.replace("jpeg = 0.5", "jpeg = 2"), "jpeg must be a number from 0 to 1, not 2"),
        (RECIPE.replace("judged = 0.5", "judged = 0"), "judged must be a number from 0.01"),
        (RECIPE.replace("[composition]", "[composition]\nparts = [0.5, 0.4]"), "parts must be numbers of 0 or more"),
        (RECIPE.replace("shares = [0.5, 1.0]", "shares = [1.5]"), "shares must be numbers above 0"),
        ("steps =", "must have the fields of"),
    ],
)
def test_a_wrong_recipe_is_told(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(text)
    with pytest.raises(ValueError, match=sentence):
        load_finder_recipe(tmp_path / "recipe.toml")


# ----------------------------------------------------------------------------------------------------------- material


def test_a_face_that_is_seen_at_several_sizes_is_one() -> None:
    found = looked_at(np.zeros((300, 400, 3), np.uint8), Teacher())  # type: ignore[arg-type]
    assert found[:, 14].round(2).tolist() == [0.81, 0.4] + [0.4] * (len(found) - 2)
    assert found[0, :4].tolist() == pytest.approx([100, 75, 100, 75])
    picture = picture_of(np.zeros((300, 400, 3), np.uint8), Teacher())  # type: ignore[arg-type]
    assert picture.faces[:, 14].min() >= SURE and len(picture.faces) == 1 and len(picture.doubtful) >= 1


def test_photos_are_read_upright_and_broken_ones_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (40, 20), 99).save(tmp_path / "a.jpg", exif=exif)
    (tmp_path / "b.jpg").write_text("no image")
    with caplog.at_level(logging.WARNING, "fer_fast"):
        [picture] = load_pictures(sorted(tmp_path.iterdir()), Teacher())  # type: ignore[arg-type]
    assert picture.pixels.shape == (40, 20, 3) and "1 photo is left out" in caplog.text


def test_copies_of_a_photo_stay_together(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number:02}").write_bytes(bytes([number // 2]))
    learn, judged = set_apart(tmp_path.iterdir(), 0.5)
    assert len(learn) + len(judged) == 40 and min(len(learn), len(judged)) > 5
    assert not {file.read_bytes() for file in learn} & {file.read_bytes() for file in judged}


# ------------------------------------------------------------------------------------------------------------- scenes


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("factor", [0.3, 1.0, 1.4])
def test_faces_move_as_their_pixels_do(factor: float, mirrored: bool) -> None:
    picture = drawn(1)
    pixels = np.zeros_like(picture.pixels)
    points = picture.faces[0, 4:14].reshape(5, 2)
    middle = np.array([35.0, 50.0])
    matrix = similarity(factor, 25.0, mirrored, middle, np.array([48.0, 40.0]))
    face = moved(picture.faces, matrix)[0]
    order = (1, 0, 2, 4, 3) if mirrored else range(5)
    for own, point in zip(order, points, strict=True):
        x, y = point.astype(int)
        pixels[:] = 0
        pixels[y - 3 : y + 3, x - 3 : x + 3] = 255  # a square about the point
        levels = Picture(pixels, picture.faces, picture.doubtful).levels
        seen = np.asarray(warped(levels, matrix, (96, 80)).convert("L"), np.float64)
        rows, columns = np.mgrid[:80, :96] + 0.5
        place = (seen * columns).sum() / seen.sum(), (seen * rows).sum() / seen.sum()
        assert place == pytest.approx(face[4 + 2 * own : 6 + 2 * own], abs=0.6)
    box = face[:4]
    assert box[:2] + box[2:] / 2 == pytest.approx([48, 40]) and box[3] > box[2] > 30 * factor


def test_scenes_are_the_same_for_the_same_seed() -> None:
    pictures, cut = [drawn(1), drawn(2, 2), drawn(3, 0)], [drawn(4)]
    recipe = Composition(side=96, cut_chance=1.0, smallest=12, cut_largest=30)
    scenes = [compose(pictures, cut, recipe, seed) for seed in range(12)]
    again = compose(pictures, cut, recipe, 5)
    assert np.array_equal(again.pixels, scenes[5].pixels) and np.array_equal(again.faces, scenes[5].faces)
    assert sum(len(scene.faces) for scene in scenes) > 12
    for scene in scenes:
        assert scene.pixels.shape == (96, 96, 3)
        assert (scene.faces[:, 2:4].max(axis=1, initial=99) >= recipe.least).all()


@pytest.mark.parametrize("kind", ["light", "dark", "grey", "blur", "coarse", "noise", "jpeg"])
def test_each_degradation_does_something(kind: str) -> None:
    pixels = np.asarray(Image.fromarray(drawn(1).pixels).resize((64, 64)))
    assert np.array_equal(degraded(pixels, Degradation(), 3), pixels)
    changed = degraded(pixels, Degradation(**{kind: 1.0}), 3)
    assert changed.shape == pixels.shape and not np.array_equal(changed, pixels)
    assert np.array_equal(changed, degraded(pixels, Degradation(**{kind: 1.0}), 3))
    assert degraded(pixels, ALL, 4).std() > 0


# --------------------------------------------------------------------------------------------------------------- loss


def said(*boxes: tuple[float, float, float, float, float]) -> Cells:
    """A network's word on one scene of 64 px: nothing, but for boxes x, y, width, height at their middles' cells."""
    raw = [torch.zeros(1, 16, 64 // stride, 64 // stride) for stride in (8, 16, 32)]
    for each in raw:
        each[:, :2] = -4.0
    for x, y, width, height, logit in boxes:
        column, row = int(x + width / 2) // 8, int(y + height / 2) // 8
        cell = raw[0][0, :, row, column]
        cell[:2] = logit
        cell[2], cell[3] = (x + width / 2) / 8 - column, (y + height / 2) / 8 - row
        cell[4], cell[5] = np.log(width / 8), np.log(height / 8)
    return cells_of(raw)


def corners(*boxes: tuple[float, float, float, float]) -> torch.Tensor:
    return torch.tensor([[x, y, x + width, y + height, *[x, y] * 5] for x, y, width, height in boxes]).reshape(-1, 14)


def test_a_face_is_for_the_cells_that_find_it() -> None:
    cells = said((10, 10, 16, 20, 3.0), (40, 36, 12, 12, 3.0))
    faces = corners((10, 10, 16, 20), (40, 36, 12, 12))
    owner, overlap = assigned(cells, 0, faces)
    assert owner[2 * 8 + 2] == 0 and owner[5 * 8 + 5] == 1  # cells of stride 8, by rows
    assert overlap[2 * 8 + 2] == pytest.approx(1, abs=1e-4)
    assert sorted(owner[owner >= 0].unique().tolist()) == [0, 1]
    assert (assigned(cells, 0, corners())[0] == -1).all()


def test_the_right_answer_costs_less() -> None:
    face = corners((10, 10, 16, 20))

    def loss(cells: Cells, taught: Cells | None = None) -> dict[str, float]:
        parts = finder_loss(cells, said() if taught is None else taught, [face], 0.25)
        return {name: value.item() for name, value in parts.items()}

    right, wrong = said((10, 10, 16, 20, 4.0)), said((40, 36, 16, 20, 4.0))
    assert loss(right)["box"] < loss(wrong)["box"]
    assert loss(right)["object"] < loss(wrong)["object"]
    # What the teacher takes for a face may be one.
    alarm = said((10, 10, 16, 20, 4.0), (40, 40, 16, 16, 4.0))
    assert loss(alarm)["object"] > loss(right)["object"] + 1
    assert loss(alarm, taught=alarm)["object"] < loss(alarm)["object"] - 1


def test_eiou_is_nothing_for_the_same_box() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 20], [5, 5, 9, 9]])
    assert eiou(boxes, boxes).tolist() == pytest.approx([0, 0], abs=1e-9)
    assert eiou(boxes, boxes + 2).gt(0.1).all() and eiou(boxes, boxes + 4)[0] > eiou(boxes, boxes + 2)[0]


# ---------------------------------------------------------------------------------------------------------------- run


def training(recipe: FinderRecipe, out: Path) -> FinderTraining:
    torch.manual_seed(0)
    start = build_finder(read_finder("finder"))
    return FinderTraining(recipe, [drawn(1), drawn(2, 0)], [drawn(3, 2)], [drawn(4)], start, "Drawn.", out)


def test_a_run_that_was_stopped_goes_on(recipe: FinderRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = training(recipe, tmp_path / "whole")
    rows: list[dict[str, Any]] = []
    path = whole.run(rows.append)
    assert [row["share"] for row in rows[:3]] == [0.0, 0.5, 1.0]
    config = read_finder(path).config
    assert config.origin == "Drawn." and rows[3] == {
        f"{name} falls by": fall for name, fall in config.precision_falls.items()
    }
    stopped = training(recipe, tmp_path / "stopped")
    monkeypatch.setattr("fer_fast.train.finder.run.measure_falls", lambda *_: {})  # once suffices
    monkeypatch.setattr("fer_fast.train.finder.run.SAVE_SECONDS", 0)
    original, calls = FinderTraining._advance, []

    def advance(self: FinderTraining, *batch: Any) -> dict[str, float]:
        calls.append(self.done)
        if calls == [0, 1]:
            raise KeyboardInterrupt
        return original(self, *batch)

    monkeypatch.setattr(FinderTraining, "_advance", advance)
    with pytest.raises(KeyboardInterrupt):
        stopped.run(rows.append)
    again = training(recipe, tmp_path / "stopped")
    again.run(rows.append)
    assert calls == [0, 1, 1, 2]
    for one, other in zip(whole.live.parameters(), again.live.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="holds a run of another recipe"):
        training(load_finder_recipe("finder"), tmp_path / "stopped").run(rows.append)


def test_nothing_learnt_is_the_start(recipe: FinderRecipe, tmp_path: Path) -> None:
    found = training(recipe, tmp_path)
    start = build_finder(read_finder("finder")).state_dict()
    assert all(torch.equal(tensor, start[name]) for name, tensor in found.blended(0.0).state_dict().items())


def test_photos_without_faces_are_refused(recipe: FinderRecipe, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="of those to choose by none does"):
        FinderTraining(recipe, [drawn(1)], [drawn(2, 0)], [], FinderNetwork(), "", tmp_path)


REFUSED = {
    "no recipe": (["nothing", "--photos", "PHOTOS"], "recipe must be a .toml file or one of: finder"),
    "no photos": (["finder", "--photos", "nowhere"], "photos must be a folder"),
    "no start": (["finder", "--photos", "PHOTOS", "--start", "nobody"], "there is no file 'nobody'"),
    "no faces": (["finder", "--photos", "PHOTOS", "--faces", "nowhere"], "there is no 'nowhere'"),
    "out is a file": (
        ["finder", "--photos", "PHOTOS", "--out", os.devnull],
        "out must be a folder; '/dev/null' is none",
    ),
    "nothing in them": (["finder", "--photos", "PHOTOS"], "photos must hold a face that the teacher finds"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_command_refuses(case: str, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (64, 48)).save(tmp_path / "photos" / "a.png")
    os.mkfifo(tmp_path / "photos" / "pipe.png")  # nobody writes to it: who opens it waits
    arguments, sentence = REFUSED[case]
    words = [str(tmp_path / "photos") if word == "PHOTOS" else word for word in arguments]
    assert run(["train-finder", "--out", str(tmp_path / "run"), *words, "-q"]) == 2
    assert sentence in capsys.readouterr().err

"""On a processor nothing of classify, predict, evaluate and doctor needs torch, or loads it where it is installed."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path

import hidden_modules
import numpy as np
import pytest
from drawn_data import draw_classes
from films import save_film
from PIL import Image
from tiny_models import image_config, save_image_model

from fer_fast import doctor
from fer_fast.bench.portraits import photo_with_faces
from fer_fast.types import EMOTIONS

PREDICT = (
    "import fer_fast; classifier = fer_fast.Classifier('tiny', device='cpu'); "
    "assert len(classifier.predict(['faces/test/fear/000.png'])) == 1; "
    "(faces,) = classifier.predict_faces(['photos/photo.jpg']); assert len(faces) == 2, faces; classifier.close(); "
    "(faces,) = fer_fast.FaceFinder().find(['photos/photo.jpg']); assert len(faces) == 2, faces"
)
#: In this order; the first finds an empty cache.
LINES = {
    "cold": "classify faces/test -o cold.csv --model tiny -q",
    "warm": "classify faces/test -o warm.csv --model tiny -q --device cpu --engine openvino",
    "abstain": "classify faces/test -o abstain.csv --model tiny -q --abstain 0.99",
    "resume": "classify faces/test -o cold.csv --model tiny -q --resume",
    "faces": "classify photos --faces all -o faces.csv --model tiny -q --draw drawn --crops crops",
    "predict": PREDICT,
    "evaluate": "evaluate tiny faces --json evaluated.json --html evaluated.html -q",
    "recalibrate": "recalibrate tiny --data own --out own.safetensors --anyway -q",
    "combine": "combine known.safetensors known.safetensors -o both.safetensors -q",
    "of both": "classify faces/test -o both.csv --model both.safetensors -q",
    "export": "export tiny --format openvino --precision int8 -o exported.xml -q",
    "export of a finder": "export finder --format openvino -o finder.xml -q",
    "prior": "classify faces/test -o prior.csv --model known.safetensors -q --prior balanced",
    "export for a prior": "export known.safetensors --format openvino -o balanced.xml -q --prior balanced",
    "doctor": "doctor",
}
#: Those that leave torch alone where it is installed: evaluate and doctor are about it, too.
UNLOADED = [line for name, line in LINES.items() if name not in ("evaluate", "doctor")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("torchless")
    draw_classes(folder / "faces" / "test", dict.fromkeys(EMOTIONS, 2))
    save_image_model(folder / "known.safetensors", image_config(prior=(0.3, *[0.1] * 7)))
    draw_classes(folder / "own", dict.fromkeys(EMOTIONS, 7))
    (folder / "photos").mkdir()
    photo, _ = photo_with_faces(np.random.default_rng(2), (480, 360), faces=2)
    photo.save(folder / "photos" / "photo.jpg")
    return folder


@pytest.fixture(scope="module")
def without(place: Path) -> dict[str, tuple[int, str, str]]:
    """What each line says without an extra."""
    found = hidden_modules.answers(LINES.values(), *hidden_modules.EXTRAS, cwd=place, env=settings(place))
    return dict(zip(LINES, found, strict=True))


def settings(place: Path) -> dict[str, str]:
    return {"FER_FAST_CACHE": str(place / "cache")}


def rows(table: Path) -> list[list[str]]:
    with table.open(newline="") as lines:
        return list(csv.reader(lines))


@pytest.mark.needs_native
@pytest.mark.parametrize("name", LINES)
def test_it_works_without_an_extra(name: str, without: dict[str, tuple[int, str, str]]) -> None:
    status, _, errors = without[name]
    assert (status, errors) == (0, "")


@pytest.mark.needs_native
def test_what_comes_out_is_whole(place: Path, without: dict[str, tuple[int, str, str]]) -> None:
    cold = rows(place / "cold.csv")
    assert len(cold) == 17 and rows(place / "warm.csv") == cold
    assert {row[1] for row in rows(place / "abstain.csv")[1:]} <= {"ok", "abstained"}
    assert [row[1] for row in rows(place / "faces.csv")[1:]] == ["ok", "ok"]
    assert len(list((place / "crops").iterdir())) == 2 and len(list((place / "drawn").iterdir())) == 1


@pytest.mark.needs_native
def test_evaluate_says_what_it_compares_with(place: Path, without: dict[str, tuple[int, str, str]]) -> None:
    report = json.loads((place / "evaluated.json").read_text())
    assert report["reference"] == {"engine": "openvino", "precision": "fp32"}
    torch = next(run for run in report["runs"] if run["engine"] == "torch")
    assert "scores" not in torch and torch["reason"].startswith("engine 'torch' needs torch, which is not installed: ")
    said = f"the reference is openvino fp32 in place of torch fp32: {torch['reason']}"
    assert said in without["evaluate"][1].splitlines()


@pytest.mark.needs_native
def test_doctor_says_what_works_and_what_to_install(without: dict[str, tuple[int, str, str]]) -> None:
    out = without["doctor"][1]
    said = " ".join(out.split())
    assert "openvino on cpu works: fp32" in said and "finder works: a drawn face, by openvino" in said
    assert "torch on cpu no: engine 'torch' needs torch, which is not installed: pip install 'fer-fast[torch" in said
    for extra in ("torch", "train", "parquet", "plots", "heif", "video"):
        assert f"  -> pip install 'fer-fast[{extra}]'" in out
    assert "  cuda " not in out or "NVIDIA card      none" not in out, "of no use without a card"


@pytest.mark.needs_native
def test_where_torch_is_installed_it_is_not_loaded(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "faces", tmp_path / "faces")
    shutil.copytree(place / "own", tmp_path / "own")
    shutil.copytree(place / "photos", tmp_path / "photos")
    shutil.copy(place / "known.safetensors", tmp_path)
    lines = [*UNLOADED, "import sys; assert 'torch' not in sys.modules"]
    found = hidden_modules.answers(lines, cwd=tmp_path, env=settings(tmp_path))
    assert [(status, errors) for status, _, errors in found] == [(0, "")] * len(lines)


@pytest.mark.needs_native
def test_figures_and_parquet_do_without_torch(place: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("pyarrow")
    lines = [
        "visualize photos/photo.jpg --faces --model tiny -q -o seen.png",
        "classify faces -o out.parquet --model tiny -q",
    ]
    assert hidden_modules.answers(lines, "torch", cwd=place, env=settings(place)) == [(0, "", "")] * 2
    assert (place / "seen.png").stat().st_size and (place / "out.parquet").stat().st_size


@pytest.mark.needs_native
def test_films_do_without_torch(place: Path) -> None:
    pytest.importorskip("av")
    with Image.open(place / "photos" / "photo.jpg") as photo:
        save_film(place / "film.mp4", [np.asarray(photo)] * 3)
    classified = (
        "import fer_fast; frames = list(fer_fast.classify_video('film.mp4', fer_fast.Classifier('tiny'))); "
        "assert [len(frame.faces) for frame in frames] == [2, 2, 2], frames"
    )
    lines = [classified, "watch film.mp4 --model tiny -q", "classify film.mp4 photos -o films.csv --model tiny -q"]
    without = hidden_modules.answers(lines, "torch", cwd=place, env=settings(place))
    assert [(status, error) for status, _, error in without] == [(0, "")] * 3
    assert len(without[1][1].splitlines()) in (2, 4, 6), "two faces of each frame that was looked at"
    table = rows(place / "films.csv")
    assert [row[table[0].index("frame")] for row in table[1:]] == [*"001122", "", ""]
    wanted = [*lines, "import sys; assert 'torch' not in sys.modules"]
    found = hidden_modules.answers(wanted, cwd=place, env=settings(place))
    assert [(status, error) for status, _, error in found] == [(0, "")] * 4


@pytest.mark.parametrize(
    ("capability", "extra", "advice"),
    [((9, 0), "cuda", "pip install 'fer-fast[cuda]'"), ((6, 1), "cuda12", "then pip install 'fer-fast[cuda12]'; or")],
)
def test_doctor_says_what_a_card_needs(
    capability: tuple[int, int], extra: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = doctor.Card("a card", "580.95.05", capability, "11264")
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(doctor, "_infer", lambda *_: "fp32")
    last = [*doctor._engines([card])][-1]
    assert (last.name, last.works, last.said) == ("torch on a card", False, "torch is not there")
    assert advice in last.advice
    extras = {finding.name: finding for finding in doctor._extras([card])}
    assert [name for name in extras if name.startswith("cuda")] == [extra]
    assert extras[extra].advice == f"pip install 'fer-fast[{extra}]'" and "torch" in extras[extra].said

"""What `fer-fast export` writes for OpenVINO is opened in Python: the checkpoint's answers, and no damaged file."""

from __future__ import annotations

import csv
import json
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from damaged_models import DAMAGE, OTHER_FINDERS, PRIORS, Spoil, changes, other_finder
from PIL import Image

from fer_fast import Classifier, FaceFinder
from fer_fast.cli import run
from fer_fast.engines import open_engine, openvino_exported
from fer_fast.export import export_model
from fer_fast.export.graph import sealed
from fer_fast.models.architecture import Sides
from fer_fast.models.files.checkpoint import read_checkpoint, read_either, read_finder
from fer_fast.models.files.description import parse_description
from fer_fast.models.files.exported import read_export
from fer_fast.models.files.opening import read_any_finder, read_classifier
from fer_fast.models.files.paths import checkpoint_path, packaged_models
from fer_fast.types import CheckpointError, FerFastError

BATCH = 5


def smooth(count: int, height: int, width: int) -> npt.NDArray[np.uint8]:
    random = np.random.default_rng(3)
    coarse = random.integers(0, 256, (count, 7, 7, 3), np.uint8)
    return np.stack([np.asarray(Image.fromarray(each).resize((width, height), Image.BICUBIC)) for each in coarse])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packaged model tiny and the finder, exported."""
    path = tmp_path_factory.mktemp("exported")
    for precision in ("fp32", "fp16", "int8"):
        export_model("tiny", "openvino", path / f"{precision}.xml", precision=precision, batch_size=BATCH)
    export_model("finder", "openvino", path / "finder.xml", batch_size=2)
    (path / "cache").mkdir()
    return path


@pytest.fixture(autouse=True)
def own_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_FAST_CACHE", str(folder / "cache"))


def answers(model: str | Path, precision: str, **options: Any) -> npt.NDArray[np.float32]:
    with Classifier(model, engine="openvino", precision=precision, batch_size=BATCH, **options) as classifier:
        return classifier.predict_batch(smooth(BATCH, classifier.image_size, classifier.image_size))


def test_fp32_gives_the_checkpoints_probabilities(folder: Path) -> None:
    wanted = answers("tiny", "fp32")
    np.testing.assert_allclose(answers(folder / "fp32.xml", "fp32"), wanted, atol=1e-5)
    np.testing.assert_allclose(answers(folder / "fp16.xml", "fp32"), wanted, atol=5e-3)
    assert wanted.max() - wanted.min() > 0.1, "probabilities that hardly differ would prove nothing"


def test_int8_stays_int8(folder: Path) -> None:
    for precision in ("auto", "int8"):
        found = answers(folder / "int8.xml", precision)
        np.testing.assert_allclose(found, answers("tiny", "int8"), atol=1e-5)
    # Of it fp32 means what int8 leaves, as in C++.
    exactly = answers(folder / "int8.xml", "fp32")
    assert 1e-3 < np.abs(exactly - answers("tiny", "fp32")).max() < 0.2


def test_a_classifier_says_what_it_is(folder: Path) -> None:
    checkpoint = read_checkpoint("tiny")
    with Classifier(folder / "int8.xml", precision="fp32", workers=1) as opened:
        assert (opened.classes, opened.framing) == (checkpoint.config.classes, checkpoint.config.framing)
        assert (opened.image_size, opened.batch_size) == (checkpoint.config.image_size, BATCH)
        assert opened.identity == f"{checkpoint.digest}.xml openvino int8 fp32"
        said = opened.describe()
        assert (said["model"], said["engine"], said["precision"], said["rest"]) == (
            *(str(folder / "int8.xml"), "openvino", "int8", "fp32"),
        )
        again = pickle.loads(pickle.dumps(opened))
        photo = smooth(1, 40, 30)[0]
        assert again.predict([photo]) == opened.predict([photo])
        again.close()


def test_a_compiled_export_is_kept_by_its_content(folder: Path, tmp_path: Path) -> None:
    def cache(path: Path) -> str:
        with Classifier(path, precision="fp32", workers=1) as opened:
            return str(opened.describe()["cache"])

    export_model("tiny", "openvino", tmp_path / "one.xml", batch_size=2)
    assert [cache(tmp_path / "one.xml") for _ in range(2)] == ["stored", "hit"]
    for suffix in (".xml", ".bin"):
        shutil.copy(tmp_path / f"one{suffix}", tmp_path / f"two{suffix}")
    assert cache(tmp_path / "two.xml") == "hit"
    export_model("tiny", "openvino", tmp_path / "one.xml", precision="fp16", batch_size=2)
    assert cache(tmp_path / "one.xml") == "stored", "the file has other weights now"


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"batch_size": 6}, ValueError, "batch_size must be at most the 5 that the model was exported for, not 6"),
        ({"precision": "int8"}, ValueError, "precision must be auto, fp32 or bf16 for an .xml of fp32, not 'int8'"),
        ({"engine": "torch"}, ValueError, "engine must be auto or openvino for an .xml, not 'torch'"),
        ({"device": "cuda:1", "engine": "openvino"}, ValueError, "device must be auto or cpu for engine 'openvino'"),
    ],
)
def test_what_an_export_cannot_do(folder: Path, options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Classifier(folder / "fp32.xml", **options)


def test_precisions_of_int8_and_of_old_processors(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = r"precision must be auto, int8, fp32 or bf16 for an \.xml of int8, not 'fp16'"
    with pytest.raises(ValueError, match=words):
        Classifier(folder / "int8.xml", precision="fp16")
    monkeypatch.setattr(openvino_exported, "has_bf16", lambda _: False)
    with pytest.raises(FerFastError, match="precision 'bf16' is not there"):
        Classifier(folder / "fp32.xml", precision="bf16")
    with Classifier(folder / "fp32.xml", workers=1) as opened:
        assert opened.describe()["precision"] == "fp32"


@pytest.mark.needs_native
def test_a_finder_finds_the_checkpoints_faces(folder: Path) -> None:
    from fer_fast.bench.portraits import photo_with_faces

    photo, _ = photo_with_faces(np.random.default_rng(5), (256, 192), 2)
    with FaceFinder(precision="fp32") as packaged, FaceFinder(folder / "finder.xml", precision="fp32") as exported:
        (wanted,), (found,) = packaged.find([photo]), exported.find([photo])
        assert exported.identity.split()[0] == f"{packaged.identity.split()[0]}.xml"
    assert len(found) == len(wanted) == 2
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(
            [one.x, one.y, one.width, one.score], [other.x, other.y, other.width, other.score], atol=0.01
        )


@pytest.mark.needs_native
def test_the_command_takes_an_exported_finder(folder: Path, tmp_path: Path) -> None:
    from fer_fast.bench.portraits import photo_with_faces

    photo_with_faces(np.random.default_rng(5), (256, 192), 2)[0].save(tmp_path / "photo.png")
    options = ["--faces", "all", "--model", "tiny", "--quiet", "--finder", str(folder / "finder.xml")]
    assert run(["classify", str(tmp_path / "photo.png"), *options, "-o", str(tmp_path / "faces.csv")]) == 0
    assert [row["status"] for row in rows_of(tmp_path / "faces.csv")] == ["ok", "ok"]


def spoiled(folder: Path, target: Path, graph: Spoil, weights: Spoil) -> Path:
    (target / "m.xml").write_bytes(graph((folder / "fp32.xml").read_bytes()))
    (target / "m.bin").write_bytes(weights((folder / "fp32.bin").read_bytes()))
    return target / "m.xml"


@pytest.mark.parametrize(("graph", "weights", "code", "words"), DAMAGE)
def test_a_damaged_model_is_told(
    folder: Path, tmp_path: Path, graph: Spoil, weights: Spoil, code: int, words: str
) -> None:
    model = spoiled(folder, tmp_path, graph, weights)
    with pytest.raises(CheckpointError, match=words) as told:
        Classifier(model)
    assert str(told.value).startswith(f"the model {str(model)!r} ")


@pytest.mark.parametrize(("old", "new", "code", "words"), OTHER_FINDERS)
def test_another_finder_is_told(folder: Path, tmp_path: Path, old: str, new: str, code: int, words: str) -> None:
    finder = other_finder(folder / "finder.xml", old, new, tmp_path)
    with pytest.raises(CheckpointError, match=words):
        FaceFinder(finder)


def test_a_hundred_and_fifty_changes_are_told(folder: Path, tmp_path: Path) -> None:
    """None of these files gets to OpenVINO, which may crash on one."""
    for suffix, count in ((".xml", 100), (".bin", 50)):
        whole = (folder / f"finder{suffix}").read_bytes()
        for other in {".xml", ".bin"} - {suffix}:
            shutil.copy(folder / f"finder{other}", tmp_path / f"m{other}")
        for changed in changes(whole, count, seed=count):
            (tmp_path / f"m{suffix}").write_bytes(changed)
            with pytest.raises(CheckpointError, match=r"damaged|cut short|does not know"):
                read_export(tmp_path / "m.xml", "finder")


def test_what_is_no_model_is_told(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "fp32.xml", tmp_path / "alone.xml")
    shutil.copy(folder / "fp32.xml", tmp_path / "odd.xml")
    (tmp_path / "odd.bin").mkdir()
    (tmp_path / "m.pt2").write_bytes(b"PK")
    (tmp_path / "m.engine").write_bytes(b"engine")
    packaged = ", ".join(packaged_models())
    for name, words in (
        ("none.xml", f"model must be a .safetensors file, an export or one of: {packaged}; there is no file"),
        ("alone.xml", r"alone.bin' cannot be read: No such file"),
        ("odd.xml", r"odd.bin' cannot be read: it is no regular file"),
        ("m.pt2", "is for libtorch in C++: in Python open the checkpoint that it was exported from"),
        ("m.engine", r"m.engine.txt' cannot be read: No such file"),
    ):
        with pytest.raises(CheckpointError, match=words.replace("++", r"\+\+")):
            read_classifier(tmp_path / name)


def test_another_kind_is_told(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"finder\.xml' is a face finder: open it as a FaceFinder"):
        read_classifier(folder / "finder.xml")
    with pytest.raises(CheckpointError, match=r"fp32\.xml' is a classifier: open it as a Classifier"):
        read_any_finder(folder / "fp32.xml")


@pytest.mark.parametrize("read", [checkpoint_path, read_checkpoint, read_finder, read_either])
def test_what_needs_a_checkpoint_says_so(folder: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(
        CheckpointError, match=r"fp32.xml' is an export, .* give the checkpoint that it was exported from"
    ):
        read(folder / "fp32.xml")


def test_a_graph_that_is_not_what_its_description_says(folder: Path, tmp_path: Path) -> None:
    """Its sums are right: whoever wrote it wrote the wrong thing."""
    graph, _, rest = (folder / "fp32.xml").read_bytes().rpartition(b"<?fer_fast\n")
    facts, weights = rest.decode().partition("graph ")[0], (folder / "fp32.bin").read_bytes()
    facts = re.sub("prior .*\n", "", facts)  # of as many classes as there are, which is asked first
    for old, new in (("image_size 64", "image_size 65"), ("class anger\n", "")):
        assert old in facts
        text = sealed(facts.replace(old, new), graph=graph, weights=weights)
        (tmp_path / "m.xml").write_bytes(graph + f"<?fer_fast\n{text}?>\n".encode())
        (tmp_path / "m.bin").write_bytes(weights)
        with pytest.raises(CheckpointError, match=r"m.xml' is damaged: it is not what its description says"):
            open_engine(read_classifier(tmp_path / "m.xml"), batch_size=1, cached=False)


def test_an_engines_file_and_its_description(tmp_path: Path) -> None:
    """What TensorRT would make of the bytes is tried in test_tensorrt.py."""
    facts = "format 1\nversion 0.1.0\nkind finder\nmodel abc\nprecision fp16\nbatch_size 4\nlibrary tensorrt-rtx\n"
    facts += "sides 32 640\nstrides 8 16 32\ncells 15\n"
    (tmp_path / "f.engine").write_bytes(b"an engine")
    beside = tmp_path / "f.engine.txt"
    beside.write_text(sealed(facts, engine=b"an engine"))
    found = read_export(tmp_path / "f.engine", "finder")
    assert (found.graph, found.sides, found.digest) == (b"an engine", Sides(32, 640), "abc.engine")
    assert (found.description.library, found.output, found.description.precision) == ("tensorrt-rtx", "cells", "fp16")
    assert found.output_shape((2, 64, 32, 3)) == (2, 42, 15)
    with pytest.raises(ValueError, match="find_size must be at most the 640 that the model was exported for, not 641"):
        FaceFinder(tmp_path / "f.engine", find_size=641)
    with pytest.raises(ValueError, match=r"engine must be auto or tensorrt for an \.engine, not 'openvino'"):
        FaceFinder(tmp_path / "f.engine", engine="openvino")
    with pytest.raises(CheckpointError, match="is a face finder"):
        read_export(tmp_path / "f.engine", "classifier")
    (tmp_path / "f.engine").write_bytes(b"an engina")
    with pytest.raises(CheckpointError, match="its engine changed since it was exported"):
        read_export(tmp_path / "f.engine", "finder")
    (tmp_path / "f.engine").write_bytes(b"an engine!")
    with pytest.raises(CheckpointError, match="its engine must have 9 bytes, not 10"):
        read_export(tmp_path / "f.engine", "finder")
    beside.write_text(beside.read_text().replace("library tensorrt-rtx", "library tensorrt-four"))
    with pytest.raises(CheckpointError, match="has library 'tensorrt-four', which this package"):
        read_export(tmp_path / "f.engine", "finder")


@pytest.mark.parametrize(("shares", "known"), PRIORS)
def test_the_mix_that_a_description_says(shares: tuple[str, ...], known: bool) -> None:
    facts = "format 1\nversion 0.1.0\nmodel abc\nprecision fp32\nbatch_size 4\nimage_size 64\nclass no\nclass yes\n"
    assert parse_description(facts.encode(), "m.xml").prior == ()
    facts += "".join(f"prior {share}\n" for share in shares)
    if known:
        assert parse_description(facts.encode(), "m.xml").prior == tuple(map(float, shares))
        return
    with pytest.raises(CheckpointError, match=r"the model 'm\.xml' is damaged: its description has no prior"):
        parse_description(facts.encode(), "m.xml")


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open() as file:
        return list(csv.DictReader(file))


def test_the_command_gives_the_checkpoints_table(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "faces").mkdir()
    for number, pixels in enumerate(smooth(7, 48, 48)):
        Image.fromarray(pixels).save(tmp_path / "faces" / f"{number}.png")
    exported = str(folder / "fp32.xml")
    for model, out in (("tiny", "checkpoint.csv"), (exported, "export.csv")):
        options = ["--model", model, "--engine", "openvino", "--precision", "fp32", "-o", str(tmp_path / out)]
        assert run(["classify", str(tmp_path / "faces"), *options, "--quiet"]) == 0
    wanted, found = rows_of(tmp_path / "checkpoint.csv"), rows_of(tmp_path / "export.csv")
    assert len(found) == 7
    for one, other in zip(found, wanted, strict=True):
        assert [one[name] for name in ("path", "status", "label")] == [
            other[name] for name in ("path", "status", "label")
        ]
        np.testing.assert_allclose(float(one["confidence"]), float(other["confidence"]), atol=1e-5)
    options = ["--model", exported, "--engine", "openvino", "--precision", "fp32", "--resume", "--quiet"]
    assert run(["classify", str(tmp_path / "faces"), *options, "-o", str(tmp_path / "export.csv")]) == 0
    capsys.readouterr()
    status = run(["classify", str(tmp_path / "faces"), *options, "-o", str(tmp_path / "checkpoint.csv")])
    said = capsys.readouterr().err
    assert status == 2 and re.search(
        r"it is of a run with model 'tiny openvino fp32', not '.*fp32.xml openvino fp32'", said
    )


def test_evaluate_scores_it_as_it_runs(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, pixels in enumerate(smooth(4, 48, 48)):
        place = tmp_path / "data" / "test" / ("anger" if number % 2 else "happiness")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{number}.png")
    out = tmp_path / "scores.json"
    model = str(folder / "int8.xml")
    assert run(["evaluate", model, str(tmp_path / "data"), "--json", str(out), "--html", str(tmp_path / "s.html")]) == 0
    assert "an exported model is compared with nothing: evaluate its checkpoint" in capsys.readouterr().out
    report = json.loads(out.read_text())
    assert [(each["engine"], each["precision"]) for each in report["runs"]] == [("openvino", "int8")]
    assert report["reference"] == report["chosen"] == {"engine": "openvino", "precision": "int8"}
    assert report["model"]["digest"] == f"{read_checkpoint('tiny').digest}.xml"


def test_commands_that_need_the_checkpoint_say_so(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(folder / "fp32.xml")
    Image.fromarray(smooth(1, 48, 48)[0]).save(tmp_path / "face.png")
    (tmp_path / "faces" / "anger").mkdir(parents=True)
    for command in (
        ["visualize", str(tmp_path / "face.png"), "--model", model, "-o", str(tmp_path / "out.png")],
        ["recalibrate", model, "--data", str(tmp_path / "faces"), "--out", str(tmp_path / "m.safetensors")],
        ["export", model, "--format", "openvino", "--out", str(tmp_path / "again.xml")],
        ["bench", "--model", model],
    ):
        assert run(command) == 2, command
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and "is an export, which can be run alone: give the checkpoint" in said

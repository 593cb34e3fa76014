"""What a frozen backbone gives, kept: it is what the network computes, is computed once, and is of one set of faces."""

from __future__ import annotations

import csv
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from decoding import until
from drawn_data import draw_ferplus
from nsfwjs_files import drawn_tensors, write_nsfwjs
from PIL import Image
from small_inceptions import random_network, small_config
from tiny_models import faces
from training_runs import complaint, new_training

import fer_fast
from fer_fast.cli import run
from fer_fast.datasets.resized import plain
from fer_fast.models.inception.config import InceptionConfig
from fer_fast.models.inception.network import Inception
from fer_fast.models.loading import load_model
from fer_fast.train import calibrate, kept_features
from fer_fast.train.kept_features import KeptFeatures
from fer_fast.train.plan import planned
from fer_fast.types import FerFastError

RECIPE = """
stages = [{ steps = 6 }]
batch_size = 8
learning_rate = 1e-3
[model]
architecture = "inception"
preset = "inception-fusion"
divisor = 16
maps = 8
"""


def small_network(**changes: object) -> Inception:
    return random_network(small_config(**{"image_size": 75, **changes}))


def some_faces(count: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(faces(count, 48, seed)[:, None, :, :, 0].copy())


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A recipe, data and a package of weights, drawn: the command's options."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "recipe.toml").write_text(RECIPE)
    write_nsfwjs(folder / "package.tgz", drawn_tensors(InceptionConfig(divisor=16)))
    draw_ferplus(folder / "data", {"train": 24, "valid": 16, "test": 8})
    options = {"--data": str(folder / "data"), "--start": str(folder / "package.tgz")}
    return {"recipe": str(folder / "recipe.toml"), **options}


@torch.no_grad()
def test_they_are_what_the_network_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no bf16; kept they are fp16."""
    monkeypatch.setattr(kept_features, "has_bf16", lambda _: False)
    network, pixels = small_network(), some_faces(40)
    chosen = torch.tensor([39, 0, 7])
    found = KeptFeatures(tmp_path, pixels, network)(chosen)
    wanted = network.features(network.normalised(plain(pixels[chosen], 75)))
    assert found.shape == wanted.shape == (3, 128, 1, 1) and found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, rtol=2e-3, atol=1e-4)
    assert (wanted - wanted.roll(1, 0)).abs().mean() > 1e-2  # another face's are others


def test_they_are_computed_once_and_go_on_where_they_were_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, pixels, asked = small_network(), some_faces(40), []
    monkeypatch.setattr(kept_features, "_BATCH", 8)
    monkeypatch.setattr(kept_features, "_NOTED", 1)
    resize = kept_features.as_pixels

    def counted(part: torch.Tensor, size: int) -> torch.Tensor:
        if len(asked) == 3:
            raise KeyboardInterrupt
        asked.append(len(part))
        return resize(part, size)

    monkeypatch.setattr(kept_features, "as_pixels", counted)
    with pytest.raises(KeyboardInterrupt):
        KeptFeatures(tmp_path / "kept", pixels, network)
    asked = []
    kept = KeptFeatures(tmp_path / "kept", pixels, network)
    assert asked == [8, 8]
    monkeypatch.setattr(kept_features, "as_pixels", resize)
    every = torch.arange(40)
    assert torch.equal(kept(every), KeptFeatures(tmp_path / "at once", pixels, network)(every))
    monkeypatch.setattr(kept_features, "laid_features", None)  # whoever computes again cannot
    assert len(KeptFeatures(tmp_path / "kept", pixels, network)) == 40


@pytest.mark.parametrize("other", ["size", "weights", "faces"])
def test_of_something_else_they_are_refused(other: str, tmp_path: Path) -> None:
    KeptFeatures(tmp_path / "kept", some_faces(4), small_network())
    network, pixels = small_network(), some_faces(4)
    if other == "size":
        network = small_network(image_size=90)
    elif other == "weights":
        network.backbone.Mixed_7c.branch1x1.bn.running_mean[0] = 1
    else:
        pixels[3, 0, 5, 5] ^= 1
    told = {"size": "75 px, not 90 px", "weights": "others", "faces": "others"}[other]
    with pytest.raises(
        ValueError, match=f"features must be a new folder: .*kept' holds those of other {other}: {told}"
    ):
        KeptFeatures(tmp_path / "kept", pixels, network)


def test_what_cannot_be_kept_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file")
    with pytest.raises(FerFastError, match="cannot be written"):
        KeptFeatures(tmp_path / "kept" / "train", some_faces(4), small_network())


def test_from_kept_features_to_a_table(inputs: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two heads by one folder of features; the second computes none. Then a model classifies as any other does."""
    monkeypatch.setenv("FER_FAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(calibrate, "ENOUGH", 1)
    options = ["--data", inputs["--data"], "--start", inputs["--start"], "--features", str(tmp_path / "kept")]
    assert run(["train", inputs["recipe"], *options, "--out", str(tmp_path / "run")]) == 0
    monkeypatch.setattr(kept_features, "laid_features", None)
    (tmp_path / "deepest.toml").write_text(RECIPE.replace("-fusion", "-deepest"))
    assert run(["train", str(tmp_path / "deepest.toml"), *options, "--out", str(tmp_path / "deepest")]) == 0
    assert load_model(tmp_path / "deepest" / "last.safetensors").config.head == "deepest"  # type: ignore[attr-defined]

    model = load_model(tmp_path / "run" / "last.safetensors")
    assert isinstance(model, Inception)
    given = new_training(inputs, tmp_path / "another").live.model
    assert isinstance(given, Inception)
    for name, tensor in model.backbone.named_parameters():  # as it was, but for fp16 in the file
        assert torch.equal(tensor, given.backbone.get_parameter(name).half().float())
    assert not torch.equal(model.head.weight, given.head.weight.half().float())
    assert (model.config.activation_ranges, model.config.precision_falls) == ({}, {})

    (tmp_path / "faces").mkdir()
    for number, pixels in enumerate(faces(3, 299, seed=3)):
        Image.fromarray(pixels).save(tmp_path / "faces" / f"{number}.png")
    table = ["--engine", "openvino", "--precision", "fp32", "-o", str(tmp_path / "table.csv")]
    assert (
        run(["classify", str(tmp_path / "faces"), "--model", str(tmp_path / "run" / "last.safetensors"), *table]) == 0
    )
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["path"])
    with fer_fast.Classifier(tmp_path / "run" / "last.safetensors", engine="torch", precision="fp32") as classifier:
        wanted = classifier.predict_batch(faces(3, 299, seed=3))
        names = [f"p_{name}" for name in classifier.classes]
    np.testing.assert_allclose([[float(row[name]) for name in names] for row in rows], wanted, rtol=0, atol=1e-4)


def test_a_step_by_kept_features_is_one_by_images(inputs: dict[str, str], tmp_path: Path) -> None:
    """The same faces, the same loss and almost the same weights: what differs is rounding."""
    kept = new_training(inputs, tmp_path / "one", {"--features": str(tmp_path / "kept")})
    plainly = new_training(inputs, tmp_path / "other")
    losses = [training._advance(next(planned(training.recipe, len(training.train)))) for training in (kept, plainly)]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    before = new_training(inputs, tmp_path / "third").live.model.get_parameter("head.bias").detach()
    steps = [training.live.model.get_parameter("head.bias").detach() - before for training in (kept, plainly)]
    assert (steps[0].sign() == steps[1].sign()).all() and steps[0].abs().min() > 0


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("preset", "flip_average = true\npreset", "features must not be given for a recipe with flip_average"),
        (
            "[model]",
            "augmentation = { flip = true }\n[model]",
            "features must not be given for a recipe with augmentation",
        ),
        (
            "[model]",
            'feature_loss = "hog"\nfeature_layer = "sub_deep.0"\nfeature_weight = 1.0\nfeature_epochs = 1.0\n[model]',
            "features must not be given for a recipe with feature_loss",
        ),
        ("[model]", "backbone_learning_rate = 1e-4\n[model]", "backbone_learning_rate must be 0 for architecture"),
    ],
    ids=["views", "augmentation", "feature loss", "trained"],
)
def test_recipes_that_keep_none(
    old: str, new: str, expected: str, inputs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE.replace(old, new))
    options = ["--data", inputs["--data"], "--start", inputs["--start"], "--features", str(tmp_path / "kept")]
    assert expected in complaint([str(tmp_path / "recipe.toml"), *options, "--out", str(tmp_path / "run")], capsys)


def test_an_architecture_that_keeps_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--data", str(tmp_path), "--out", str(tmp_path / "run"), "--features", str(tmp_path / "kept")]
    draw_ferplus(tmp_path, {"train": 72, "valid": 16})
    told = "features must not be given for architecture 'cnn': none stay the same"
    assert told in complaint(["cnn-deep", *options], capsys)


def test_features_of_another_size_end_the_command(
    inputs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new_training(inputs, tmp_path / "run", {"--features": str(tmp_path / "kept")})
    (tmp_path / "larger.toml").write_text(RECIPE.replace("divisor", "image_size = 320\ndivisor"))
    options = ["--data", inputs["--data"], "--start", inputs["--start"], "--features", str(tmp_path / "kept")]
    told = complaint([str(tmp_path / "larger.toml"), *options, "--out", str(tmp_path / "run")], capsys)
    assert "holds those of other size: 299 px, not 320 px" in told


def test_without_the_weights_url_hash_and_option_are_named(
    inputs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refused)
    (tmp_path / "whole.toml").write_text(RECIPE.replace("divisor = 16\n", ""))
    told = complaint([str(tmp_path / "whole.toml"), "--data", inputs["--data"], "--out", str(tmp_path / "run")], capsys)
    assert (
        "https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth cannot be downloaded: no network" in told
    )
    assert "its SHA-256 begins with 0cc3c7bd, and give it by --backbone" in told


def test_a_second_run_waits_for_the_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Beginning anew, it would cut off what the first has written."""
    network, pixels, ended = small_network(), some_faces(8), threading.Event()

    def second() -> None:
        KeptFeatures(tmp_path, pixels, network)
        ended.set()

    with caplog.at_level("INFO", "fer_fast"), kept_features._alone(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        until(lambda: "another run computes" in caplog.text)
        assert not ended.is_set() and not (tmp_path / "features.npy").exists()
    thread.join()
    assert ended.is_set() and len(np.load(tmp_path / "features.npy")) == 8


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("about.json", b"{", "about.json' is damaged: Expecting property name"),
        ("about.json", b"[]", "about.json' is damaged: list indices must be integers"),
        ("about.json", b"{}", "about.json' is damaged: 'done'"),
        ("features.npy", b"", "features.npy' is damaged: No data left in file"),
        ("features.npy", b"hello", "features.npy' is damaged: "),
        ("features.npy", None, "features.npy' is damaged: mmap length is greater than file size"),
    ],
)
def test_damaged_features_are_told_of(file: str, content: bytes | None, told: str, tmp_path: Path) -> None:
    seen, network = some_faces(3), small_network()
    KeptFeatures(tmp_path, seen, network)
    whole = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(ValueError, match="features must be a new folder, or whole: ") as caught:
        KeptFeatures(tmp_path, seen, network)
    assert told in str(caught.value)


def test_features_of_fewer_faces_are_not_read(tmp_path: Path) -> None:
    seen, network = some_faces(3), small_network()
    KeptFeatures(tmp_path, seen, network)
    np.save(tmp_path / "features.npy", np.zeros((2, 4), np.float16))
    with pytest.raises(ValueError, match="it must have 3 rows in float16, not 2 in float16"):
        KeptFeatures(tmp_path, seen, network)

"""What the figure shows is computed a second way here; the command's files stand whole, or not at all."""

import dataclasses
import io
import itertools
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import faces, random_model, tiny_config

from fer_fast import Classifier, FerFastError
from fer_fast.cli import run
from fer_fast.models.files.storage import save_model
from fer_fast.models.fusion.resnet18 import TAP_CHANNELS
from fer_fast.models.fusion.taps import ResNet18Taps
from fer_fast.reports.canvas import DOTS_PER_INCH, WIDTH
from fer_fast.reports.figure import HEIGHT, compose, draw
from fer_fast.visualize import attention_rollout, attention_weights, channel_means, inspect_face

FACE = faces(1, 64, seed=3)[0]
TIMES = "\N{MULTIPLICATION SIGN}"


def images(count=2):
    return torch.from_numpy(faces(count, 64, seed=5))


def test_rollout_of_two_layers_worked_by_hand():
    heads = [[[1.0, 0.0], [0.4, 0.6]], [[0.6, 0.4], [0.4, 0.6]]]  # their mean is [[0.8, 0.2], [0.4, 0.6]]
    first = torch.tensor([heads])  # with the residual [[0.9, 0.1], [0.2, 0.8]]
    second = torch.tensor([[[[0.5, 0.5], [0.0, 1.0]]]])  # with the residual [[0.75, 0.25], [0, 1]]
    # second @ first is [[0.725, 0.275], [0.2, 0.8]]; the mean of its rows is what a mean over output tokens takes.
    torch.testing.assert_close(attention_rollout([first, second]), torch.tensor([[0.4625, 0.5375]]))
    torch.testing.assert_close(attention_rollout([second, first]), torch.tensor([[0.4125, 0.5875]]))


@pytest.mark.parametrize("layers", [1, 2, 6])
def test_rollout_of_even_attention_is_even(layers):
    even = torch.full((3, 2, 9, 9), 1 / 9)
    torch.testing.assert_close(attention_rollout([even] * layers), torch.full((3, 9), 1 / 9))
    torch.testing.assert_close(attention_rollout([torch.eye(9).expand(3, 2, 9, 9)] * layers), torch.full((3, 9), 1 / 9))


def test_rollout_equals_the_product_of_the_layers_and_sums_to_one():
    generator = torch.Generator().manual_seed(0)
    weights = [(torch.randn(2, 3, 5, 5, generator=generator) * 4).softmax(-1) for _ in range(4)]
    product = torch.eye(5)
    for layer in weights:
        product = (0.5 * layer.mean(1) + 0.5 * torch.eye(5)) @ product
    rollout = attention_rollout(weights)
    torch.testing.assert_close(rollout, product.mean(dim=1))
    torch.testing.assert_close(rollout.sum(dim=1), torch.ones(2))


def test_rollout_without_a_layer_is_refused():
    with pytest.raises(ValueError, match="one layer at least"):
        attention_rollout([])


def test_attention_weights_mix_the_values_to_what_the_layer_gives():
    model = random_model(tiny_config(depth=3))
    seen = []
    for block in model.vit.blocks:
        torch.nn.init.normal_(block.attn.proj.weight)
        block.attn.register_forward_hook(lambda attention, inputs, output: seen.append((attention, inputs[0], output)))
    weights = attention_weights(model, images())
    assert len(weights) == len(seen) == 3
    for layer, (attention, x, output) in zip(weights, seen, strict=True):
        assert layer.shape == (2, 2, 16, 16)
        torch.testing.assert_close(layer.sum(dim=-1), torch.ones(2, 2, 16))
        value = attention.qkv(x)[..., 64:].view(2, 16, 2, 16).transpose(1, 2)  # [batch, heads, tokens, width / heads]
        mixed = (layer @ value).transpose(1, 2).reshape(2, 16, 32)
        torch.testing.assert_close(attention.proj(mixed), output, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "sources", [("image", "FM2", "FM3", "FM4"), ("FM1", "FM2", "FM3", "FM4"), ("image", "FM3"), ("FM1",)]
)
def test_maps_are_the_channel_means_of_all_stages_of_the_backbone(sources):
    model = random_model(tiny_config(sources=sources))
    reach = list(TAP_CHANNELS)[: int(sources[-1][2])]
    whole = ResNet18Taps(reach).eval()
    whole.load_state_dict(model.backbone.state_dict())
    means = channel_means(model, images())
    assert list(means) == reach
    for name, tap in zip(reach, whole(model.normalised(images())), strict=True):
        assert tap.shape[1] == TAP_CHANNELS[name]
        torch.testing.assert_close(means[name], tap.mean(dim=1), rtol=0, atol=0)


def test_a_model_of_the_image_alone_has_no_maps():
    inspection = inspect_face(random_model(tiny_config(sources=("image",))), FACE)
    assert inspection.maps == {} and inspection.rollout.shape == (4, 4)


def with_temperature(model, **changes):
    """The same weights under another configuration."""
    other = type(model)(dataclasses.replace(model.config, **changes)).eval()
    other.load_state_dict(model.state_dict())
    return other


def test_probabilities_are_calibrated_and_honour_the_mirror_image_but_the_maps_are_upright():
    model = random_model(tiny_config(depth=2))
    plain, both = with_temperature(model, temperature=0.5), with_temperature(model, temperature=0.5, flip_average=True)
    upright, mirrored = torch.from_numpy(FACE)[None], torch.from_numpy(FACE[:, ::-1].copy())[None]
    expected = ((model(upright) + model(mirrored)) / 2 / 0.5).softmax(dim=1)[0].numpy()
    one, two = inspect_face(plain, FACE), inspect_face(both, FACE)
    np.testing.assert_allclose(two.prediction.probabilities, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(one.prediction.probabilities, (model(upright) / 0.5).softmax(1)[0], rtol=1e-4, atol=1e-6)
    assert np.abs(one.prediction.probabilities - expected).max() > 1e-3
    assert two.prediction.classes == model.config.classes
    np.testing.assert_array_equal(one.rollout, two.rollout)
    for name, values in one.maps.items():
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, two.maps[name])


def test_rollout_is_that_of_the_weights_on_the_grid():
    model = random_model(tiny_config(depth=3))
    rollout = inspect_face(model, FACE).rollout
    expected = attention_rollout(attention_weights(model, torch.from_numpy(FACE)[None]))
    np.testing.assert_array_equal(rollout.reshape(1, 16), expected)
    assert rollout.sum() == pytest.approx(1, abs=1e-6) and rollout.min() > 0


def test_looking_leaves_the_model_as_it_was(monkeypatch):
    model = random_model(tiny_config())
    before = model(images())
    inspect_face(model, FACE)
    with pytest.raises(RuntimeError):  # no hook outlives a failure
        channel_means(model, torch.zeros(1, 2, 3, 3))
    with monkeypatch.context() as patched, pytest.raises(TypeError):
        patched.setattr(model, "tokens", None)
        attention_weights(model, images())
    assert not any(module._forward_hooks for module in model.modules())
    torch.testing.assert_close(model(images()), before, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("pixels", "error", "message"),
    [
        (FACE.astype(np.float32), TypeError, "uint8 array, not float32"),
        ("face.png", TypeError, "uint8 array, not str"),
        (FACE[None], ValueError, r"must be \[64, 64, 3\], not \[1, 64, 64, 3\]"),
        (FACE[:32], ValueError, r"must be \[64, 64, 3\], not \[32, 64, 3\]"),
    ],
)
def test_pixels_of_another_kind_are_refused(pixels, error, message):
    with pytest.raises(error, match=message):
        inspect_face(random_model(tiny_config()), pixels)


def test_a_model_that_gives_no_numbers_is_told():
    model = random_model(tiny_config())
    model.vit.head.bias.fill_(float("nan"))
    with pytest.raises(FerFastError, match="not a number"):
        inspect_face(model, FACE)


def texts_of(inspection, model="tiny"):
    figure = compose(inspection, model)
    return [text.get_text() for text in figure.findobj(lambda each: hasattr(each, "get_text")) if text.get_text()]


def test_the_figure_names_all_that_it_shows():
    inspection = inspect_face(random_model(tiny_config(sources=("FM1", "FM3"), flip_average=True)), FACE)
    shown = texts_of(inspection)
    for size in ("3 x 64 x 64", "64 x 16 x 16", "128 x 8 x 8", "256 x 4 x 4", "4 x 4"):
        assert size.replace("x", TIMES) in shown
    assert {"image", "FM1", "FM2", "FM3", "FM4", "tokens", "on the face"} <= set(shown)
    assert shown.count("not fused") == 2 and shown.count("the backbone\nends at FM3") == 1
    for name, probability in zip(inspection.prediction.classes, inspection.prediction.probabilities, strict=True):
        assert name in shown and f"{100 * probability:.1f}" in shown
    (foot,) = (text for text in shown if text.startswith("Model tiny: FM1 + FM3 fused"))
    assert foot.endswith("temperature 1.00, mean over image and mirror image")
    image_alone = texts_of(inspect_face(random_model(tiny_config(sources=("image",))), FACE))
    assert image_alone.count("no backbone:\nthe image alone") == 4 and "not fused" not in image_alone


def extreme():
    inspection = inspect_face(random_model(tiny_config(sources=("FM3", "FM4"), flip_average=True)), FACE)
    sure = dataclasses.replace(inspection.prediction, probabilities=np.eye(8, dtype=np.float32)[6])
    maps = {name: values * 1000 for name, values in inspection.maps.items()}
    return dataclasses.replace(inspection, maps=maps, prediction=sure)


def flat():
    inspection = inspect_face(random_model(tiny_config(sources=("FM1", "FM2"))), FACE)
    maps = {name: values * 0 for name, values in inspection.maps.items()}
    return dataclasses.replace(inspection, maps=maps, rollout=np.full((4, 4), 1 / 16, np.float32))


def oddly_named():
    names = ("$a_b$ " * 9, "\u6f22\u5b57", "\n\x00", "W" * 30)
    return inspect_face(random_model(tiny_config(sources=("image",), classes=names)), FACE)


@pytest.mark.parametrize("case", [extreme, flat, oddly_named])
def test_no_text_covers_another_or_leaves_the_figure(case):
    inspection = case()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a glyph that the font has not
        figure = compose(inspection, "m" * 99)
        boxes = [(text.get_text(), text.get_window_extent()) for text in figure.texts if text.get_text()]
    for name, box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0, name
        assert box.x1 <= WIDTH * DOTS_PER_INCH and box.y1 <= HEIGHT * DOTS_PER_INCH, name
    for (one, box), (other, beside) in itertools.combinations(boxes, 2):
        assert not box.overlaps(beside), (one, other)


def test_the_figure_is_a_png_of_its_size_whatever_the_style_around_it():
    import matplotlib

    inspection = oddly_named()
    plain = draw(inspection, "m")
    image = Image.open(io.BytesIO(plain))
    assert image.format == "PNG" and image.size == (round(WIDTH * DOTS_PER_INCH), round(HEIGHT * DOTS_PER_INCH))
    with (
        matplotlib.rc_context({"savefig.bbox": "tight", "font.size": 30, "image.cmap": "jet"}),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("error")
        assert draw(inspection, "m") == plain
        assert matplotlib.rcParams["font.size"] == 30


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    save_model(random_model(tiny_config(sources=("FM1", "FM2"), flip_average=True, temperature=0.7)), path)
    return path


@pytest.fixture
def ended(checkpoint, tmp_path, monkeypatch, capsys):
    """Runs the command in an own folder beside a face; gives its status, output and errors."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(faces(1, 40, seed=1)[0]).save(tmp_path / "face.jpg")

    def ended(*arguments):
        model = [] if "--model" in arguments else ["--model", checkpoint]
        status = run(["visualize", *map(str, [*arguments, *model])])
        return status, *capsys.readouterr()

    return ended


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_command_draws_into_the_current_folder_and_replaces_its_own_figure(ended, checkpoint, tmp_path):
    with Classifier(checkpoint, engine="torch", device="cpu", precision="fp32") as classifier:
        (prediction,) = classifier.predict([tmp_path / "face.jpg"])
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "face.jpg").rename(tmp_path / "elsewhere" / "face.jpg")
    status, out, error = ended("elsewhere/face.jpg")
    line = f"face_fer_fast.png: {prediction.label} {100 * prediction.confidence:.1f} %\n"
    assert (status, out, error) == (0, "", line)
    first = (tmp_path / "face_fer_fast.png").read_bytes()
    assert Image.open(io.BytesIO(first)).format == "PNG"
    (tmp_path / "face_fer_fast.png").write_bytes(b"old")
    assert ended("elsewhere/face.jpg", "--quiet") == (0, "", "")
    assert (tmp_path / "face_fer_fast.png").read_bytes() == first
    assert names_in(tmp_path) == ["elsewhere", "face_fer_fast.png"]


def test_the_output_may_be_named(ended, tmp_path):
    assert ended("face.jpg", "-o", "named.PNG")[0] == 0
    assert Image.open(tmp_path / "named.PNG").format == "PNG"
    assert names_in(tmp_path) == ["face.jpg", "named.PNG"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["nothing.jpg"], 2, "'nothing.jpg' does not exist"),
        (["."], 2, "'.' is a folder: visualize takes one image"),
        (["face.jpg", "--model", "nothing"], 2, "there is no file 'nothing'"),
        (["face.jpg", "-o", "out.jpg"], 2, "the output 'out.jpg' must end in .png"),
        (["face.jpg", "-o", "nowhere/out.png"], 2, "the folder of the output 'nowhere/out.png' does not exist"),
        (["face.jpg", "-o", "folder.png"], 2, "the output 'folder.png' is a folder"),
        (["face.jpg", "-o", "pipe.png"], 2, "the output 'pipe.png' is not a regular file"),
        (["face.png", "-o", "face.png"], 2, "is IMAGE itself"),
        (["face.png", "-o", "./link.png"], 2, "is IMAGE itself"),
        (["cut.jpg"], 1, "'cut.jpg' is corrupt: "),
        (["text.jpg"], 1, "'text.jpg' is unsupported: "),
        (["empty.jpg"], 1, "'empty.jpg' is empty: "),
        (["pipe.png"], 1, "'pipe.png' is unreadable: "),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence_and_leaves_nothing(ended, tmp_path, arguments, status, message):
    whole = (tmp_path / "face.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.jpg").write_text("no image at all, but text")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "face.png").write_bytes(whole)
    (tmp_path / "link.png").symlink_to("face.png")
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    before = names_in(tmp_path)
    found = ended(*arguments)
    assert found[:2] == (status, "") and message in found[2]
    assert found[2].startswith("fer-fast: ") and found[2].count("\n") == 1
    assert names_in(tmp_path) == before and (tmp_path / "face.png").read_bytes() == whole


def test_without_matplotlib_it_says_what_to_install(ended, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "fer_fast.visualize", None)  # refused before anything heavy is imported
    message = "fer-fast: the figure needs matplotlib, which is not installed: pip install 'fer-fast[plots]'\n"
    assert ended("face.jpg") == (2, "", message)


def test_a_full_disk_leaves_the_old_figure(ended, tmp_path, monkeypatch):
    (tmp_path / "face_fer_fast.png").write_bytes(b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    message = "fer-fast: 'face_fer_fast.png' cannot be written: No space left on device\n"
    assert ended("face.jpg") == (1, "", message)
    assert (tmp_path / "face_fer_fast.png").read_bytes() == b"old"
    assert names_in(tmp_path) == ["face.jpg", "face_fer_fast.png"]


def test_help_is_quick_and_says_where_the_figure_goes():
    code = "import sys, fer_fast.cli.visualize\nprint([*sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"'torch'", "'matplotlib'", "'numpy'", "'PIL'"} & set(done.stdout[1:-2].split(", "))
    done = subprocess.run(
        [sys.executable, "-m", "fer_fast", "visualize", "--help"], capture_output=True, text=True, check=True
    )
    assert "_fer_fast.png" in done.stdout and "replaced" in done.stdout

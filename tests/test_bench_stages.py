"""What is measured: costs against brute force, every form against the reference, and wrong ones that must be found."""

from __future__ import annotations

import csv
import ctypes
import dataclasses
import shutil
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from tiny_models import random_model, tiny_config

from fer_fast import Classifier, FerFastError
from fer_fast.bench import limits, suite
from fer_fast.bench.forms import Graphs
from fer_fast.bench.images import make_faces, make_photos
from fer_fast.bench.material import Material, compared, convolution_flop, given_folder, made_folders
from fer_fast.bench.measure import check
from fer_fast.bench.plain import classify_plainly
from fer_fast.bench.stages import decode, folder, model, startup, tokens
from fer_fast.decode import open_decoder
from fer_fast.decode.pixels import square
from fer_fast.models.files.storage import build_model, save_model
from fer_fast.models.fusion.algebraic import AlgebraicModel
from fer_fast.models.quantised import measure_ranges

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # of torch's own oneDNN layers

SIZE, FACES, BATCH = 32, 12, 32
CONFIG = {"image_size": SIZE, "temperature": 1.6}
ENGINES = tuple(name for name in suite.ENGINES if name != "torch.compile")  # half a minute for one graph


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """A cache of this module's own, and limits that take no time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(limits.MATRIX, "cpu", 64)
        patch.setitem(limits.COPY_BYTES, "cpu", 2**16)
        patch.setattr(tokens, "COLD_BYTES", 2**22)
        yield


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_FAST_CACHE", str(path / "cache"))
        yield path


def saved(path, images, **changes):
    """A checkpoint whose int8 ranges are those of these very images."""
    model = random_model(tiny_config(**CONFIG, **changes))
    with open_decoder(image_size=SIZE) as decoder:
        pixels = torch.from_numpy(decoder.decode([str(image) for image in images]).pixels)
    ranges = measure_ranges(AlgebraicModel(model), pixels, batch_size=len(images))
    model.config = dataclasses.replace(model.config, activation_ranges=ranges)
    save_model(model, path)
    return path


@pytest.fixture(scope="module")
def material(work):
    folders = made_folders(work, FACES, 2, seed=0)
    return Material(saved(work / "model.safetensors", folders["faces"], sources=("image", "FM1")), folders, work)


@pytest.fixture(scope="module")
def graphs(material):
    return Graphs(material)


def cases_of(material, graphs, stage, **choice):
    choice = suite.Choice((stage,), **{"engines": ENGINES, "batch_sizes": (BATCH,), **choice})
    return [case for case in suite.cases(material, graphs, choice, folder.Runs(material)) if case.key.stage == stage]


def test_convolution_by_hand():
    # In one direction the four windows meet 2 + 3 + 3 + 2 = 10 pixels: 100 products of 144, two operations each.
    assert convolution_flop([1, 1, 4, 4], [1, 1, 3, 3], None, [1, 1], [1, 1]) == 200
    assert convolution_flop([5, 2, 4, 4], [3, 2, 3, 3], [3], [1, 1], [1, 1]) == 200 * 5 * 2 * 3


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "padding"),
    [
        ((2, 3, 15, 11), (4, 3, 7, 7), (2, 2), (3, 3)),
        ((1, 2, 9, 6), (3, 2, 3, 5), (2, 1), (1, 2)),
        ((1, 2, 8, 8), (3, 2, 1, 1), (2, 2), (0, 0)),
        ((1, 1, 2, 2), (1, 1, 5, 5), (1, 1), (2, 2)),
    ],
)
def test_convolution_by_brute_force(shape, kernel, stride, padding):
    # Of ones with ones, a convolution adds 1 for each product with a pixel that is there.
    products = F.conv2d(torch.ones(shape), torch.ones(kernel), stride=stride, padding=padding).sum()
    assert convolution_flop(shape, kernel, None, stride, padding) == 2 * products


def test_exact_answers_are_the_models(material):
    model = material.exact_model
    pixels = torch.from_numpy(material.pixels(FACES + 2))
    assert len({image.numpy().tobytes() for image in pixels[:FACES]}) == FACES
    assert torch.equal(pixels[FACES:], pixels[:2])  # again from the start
    with torch.inference_mode():
        taps = list(model.backbone(model.normalised(pixels)))
        logits = model(pixels)
        torch.testing.assert_close(material.taps(FACES + 2), taps)
        torch.testing.assert_close(material.tokens(FACES + 2), model.fuse([pixels, *taps]))
        torch.testing.assert_close(material.logits(FACES + 2), logits)


#: Numbers in a token: a patch of the image and one of FM1, whose 64 maps have 8 x 8 pixels, on a grid of 4 x 4.
TOKEN = 3 * 8**2 + 64 * 2**2


def test_bytes_by_hand(material):
    pixels, tap, token = SIZE**2 * 3, 64 * 8 * 8, 16 * TOKEN
    parts = (material.exact_model.backbone, material.exact_model.vit)
    backbone, vit = (sum(parameter.numel() for parameter in part.parameters()) for part in parts)
    cost = {stage: material.cost(stage, "bf16", 10).bytes for stage in ("backbone", "tokens", "vit", "model")}
    assert cost["backbone"] == pytest.approx(pixels + 2 * (tap + backbone / 10))
    assert cost["tokens"] == pixels + 2 * (tap + token)
    assert cost["vit"] == pytest.approx(2 * (token + 8 + vit / 10))
    assert cost["model"] == pytest.approx(pixels + 2 * (8 + (backbone + vit) / 10))
    assert material.cost("tokens", "fp32", 1).bytes == pixels + 4 * (tap + token)


def test_operations_of_the_backbone_by_brute_force(material):
    model, products = material.exact_model, []

    def count(layer, inputs, _):
        ones = torch.ones_like(inputs[0]), torch.ones_like(layer.weight)
        products.append(F.conv2d(*ones, stride=layer.stride, padding=layer.padding).sum().item())

    layers = [layer for layer in model.backbone.modules() if isinstance(layer, torch.nn.Conv2d)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.inference_mode():
        model.backbone(model.normalised(torch.from_numpy(material.pixels(1))))
    for hook in hooks:
        hook.remove()
    assert len(products) == 5 and material.cost("backbone", "fp32", 1).flop == 2 * sum(products)
    assert material.cost("tokens", "fp32", 1).flop == 0


def test_operations_of_the_transformer_by_hand(material):
    count, width = 16, 32
    projection, qkv, mixed = count * TOKEN * width, count * width * 3 * width, count * width * width
    attention, mlp, head = 2 * count * count * width, 2 * count * width * 4 * width, width * 8
    assert material.cost("vit", "fp32", 1).flop == 2 * (projection + qkv + attention + mixed + mlp + head)


def test_difference_is_of_the_largest_number():
    exact = [torch.tensor([1.0, -4.0]), torch.tensor([[100.0]])]
    found = compared([torch.tensor([1.5, -4.0]), torch.tensor([[99.0]])], exact, "fp16")
    assert (found.error, found.tolerance) == (0.125, 0.01)
    assert not found.holds and compared(exact, exact, "fp32").holds
    assert not compared([exact[0] * torch.nan, exact[1]], exact, "int8").holds
    with pytest.raises(ArithmeticError, match=r"must have the shape \[1, 1\], not \[1\]"):
        compared([exact[0], torch.tensor([100.0])], exact, "fp32")


def test_a_second_output_that_is_no_number_is_wrong():
    exact = [torch.ones(2), torch.ones(2)]
    assert not compared([exact[0], exact[1] * torch.nan], exact, "int8").holds


def test_a_second_image_whose_probabilities_are_no_numbers_is_wrong():
    wanted = {"a": [0.5, 0.5], "b": [0.5, 0.5]}
    assert not folder._agreement(wanted, wanted | {"b": [np.nan, np.nan]}, "fp32").holds


CHECKED = ("decode", "backbone", "tokens", "vit", "model", "folder", "latency")


@pytest.mark.parametrize("stage", CHECKED)
def test_every_form_is_right_or_says_why_not(material, graphs, stage):
    assert_every_form_is_right(material, graphs, stage)


@pytest.mark.needs_cuda
@pytest.mark.parametrize("stage", CHECKED)
def test_every_form_is_right_on_a_card(material, stage):
    on_card = Material(material.model, material.folders, material.work, devices=("cuda",))
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # as `run_benchmark` has it
        assert_every_form_is_right(on_card, Graphs(on_card), stage)


#: What a machine may lack: instructions, or a package that is not to be had for it.
ABSENT = ("no bf16 instructions", "tensorrt is not there", "needs NVIDIA DALI")


def assert_every_form_is_right(material, graphs, stage):
    found = [(case, *check(case)) for case in cases_of(material, graphs, stage)]
    for case, measured, prepared in found:
        absent = measured.state == "absent" and any(words in measured.reason for words in ABSENT)
        assert measured.state == "ok" or absent, (case.key, measured.reason)
        if prepared is not None and prepared.check is None:
            prepared.call()
    assert len(found) >= 3 and found[0][1].state == "ok"


def test_limits_can_be_had(monkeypatch):
    found = {case.key: check(case) for case in limits.cases("cpu")}
    assert {(key.engine, key.precision) for key in found} == {
        ("memory", ""), ("torch.mm", "fp32"), ("torch.mm", "bf16"), ("torch._int_mm", "int8"), ("oneDNN", "fp32"),
    }  # fmt: skip
    assert {measured.state for measured, _ in found.values()} == {"ok"}
    monkeypatch.setattr("torch._int_mm", lambda a, b: torch.mm(a.int(), b.int()) + 3)
    wrong = next(case for case in limits.cases("cpu") if case.key.precision == "int8")
    assert check(wrong)[0].reason == "ArithmeticError: the product is off by 3"


def test_the_copy_reads_and_writes_each_byte_once(monkeypatch):
    moved = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    copy = limits.ThreadedCopy(traffic=60, buffers=2)
    monkeypatch.setattr(ctypes, "memmove", lambda *arguments: moved.append(arguments))
    copy(), copy(), copy()
    assert {size for _, _, size in moved} == {10} and len(moved) == 9
    calls = [sorted(moved[start : start + 3]) for start in (0, 3, 6)]
    for call in calls:
        assert [target - call[0][0] for target, _, _ in call] == [0, 10, 20]
        assert [source - call[0][1] for _, source, _ in call] == [0, 10, 20]
    assert calls[0] == calls[2] != calls[1]  # two pairs of buffers, in turn


def test_a_model_that_lacks_a_part_says_so(work, material):
    save_model(random_model(tiny_config(**CONFIG, sources=("image",))), work / "image.safetensors")
    found = Material(work / "image.safetensors", material.folders, work)
    reasons = {case.key.precision: check(case)[0] for case in cases_of(found, Graphs(found), "backbone")}
    assert {measured.state for measured in reasons.values()} == {"absent"}
    assert "this model has no backbone" in reasons["fp32"].reason
    assert "activation ranges" in reasons["int8"].reason


def negative(image, side):
    return bytes(255 - value for value in square(image, side))


def renamed(classifier, pixels, right=Classifier._probabilities):
    return np.roll(right(classifier, pixels), 1, axis=1)


def shuffled(**given):
    return tokens.fused_tokens_reference(**given).roll(1, dims=1)


def spoiled(checkpoint):
    """A model with one filter and one class turned round."""
    model = build_model(checkpoint)
    model.backbone.conv1.weight[0] *= -1
    model.vit.head.weight[0] *= -1
    return model


OURS = {"engines": ("openvino",), "quick": True}
TORCH = {"engines": ("native", "torch")}
DECODES = "fer_fast.decode.views.square"
#: For the forms as written, and for the engine's.
BUILDS = "fer_fast.bench.material.build_model fer_fast.models.files.storage.build_model"
PREDICTS = "fer_fast.classifier.Classifier._probabilities"


@pytest.mark.parametrize(
    ("stage", "choice", "what", "wrong", "forms"),
    [
        ("decode", {}, DECODES, negative, {decode.FORM}),
        ("backbone", TORCH, BUILDS, spoiled, {"pixels to taps"}),
        ("tokens", TORCH, "fer_fast.bench.stages.tokens.fused_tokens", shuffled, set(tokens.INSTEAD)),
        ("vit", TORCH, BUILDS, spoiled, {"tokens to logits"}),
        ("model", TORCH, BUILDS, spoiled, {model.WRITTEN_FORM, model.FUSED_FORM}),
        ("folder", OURS, PREDICTS, renamed, {folder.FORM}),
        ("latency", OURS, PREDICTS, renamed, {"file to prediction", "array to prediction"}),
    ],
)
def test_a_wrong_form_is_found(material, graphs, monkeypatch, stage, choice, what, wrong, forms):
    assert len(material.faces) == FACES  # read before anything is wrong
    for name in what.split():
        monkeypatch.setattr(name, wrong)
    states = [(case.key.form, check(case)[0].state) for case in cases_of(material, graphs, stage, **choice)]
    assert {form for form, state in states if state == "failed"} == forms
    assert all(state == "failed" for form, state in states if form in forms)


def test_a_turned_photo_is_no_wrong_answer(material, graphs, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(material.folders["photos"][0]) as photo:
        photo.crop((0, 0, 400, 300)).save(tmp_path / "turned.jpg", exif=exif)
    folders, _ = given_folder(tmp_path)
    found = Material(material.model, folders, tmp_path)
    (case,) = (case for case in decode.cases(found) if case.key.form == decode.FORM)
    assert check(case)[0].state == "ok"


def test_tokens_are_read_and_written_in_cold_memory():
    seen = []

    def op(sources):
        seen.append(sources[0].data_ptr())
        return torch.zeros(8)

    calls = tokens.ColdCalls(op, {"sources": [torch.ones(8)]}, traffic=tokens.COLD_BYTES / 2.5)
    answers = {calls().data_ptr() for _ in range(3)}
    calls()
    assert len(calls.calls) == len(set(seen)) == 3 and seen[3] == seen[0]
    assert len(answers) == 3  # none was given back while its turn was not over


def test_each_row_is_there_once_and_the_short_run_has_what_auto_chooses(material, graphs):
    stages = ("decode", "folder", "model", "vit")
    runs = folder.Runs(material)
    keys = [case.key for case in suite.cases(material, graphs, suite.Choice(stages), runs)]
    assert len(keys) == len(set(keys))
    short = [case.key for case in suite.cases(material, graphs, suite.Choice(stages, quick=True), runs)]
    assert set(short) < set(keys) and ("torch.compile" not in {key.engine for key in short})
    ours = {(key.engine, key.precision) for key in short if key.form in (folder.FORM, *model.OUR_FORMS)}
    assert ours == set(material.chosen.values())
    told = suite.Choice(stages, precisions=("fp32",), quick=True)
    precisions = {case.key.precision for case in suite.cases(material, graphs, told, runs) if case.key.stage != "limit"}
    assert precisions == {"", "fp32"}
    with pytest.raises(ValueError, match="there is nothing to measure"):
        suite.cases(material, graphs, suite.Choice(("tokens",), ("openvino",)), runs)


def test_a_card_has_every_engines_form_side_by_side(material, graphs, monkeypatch):
    monkeypatch.setitem(vars(material), "chosen", {"cuda": ("torch", "bf16")})
    rows = [case.key for case in model.cases(material, graphs, "cuda", 32)]
    assert {(key.form, key.engine, key.precision) for key in rows if key.form in model.OUR_FORMS} == {
        *((model.FUSED_FORM, engine, precision) for engine in ("torch", "tensorrt-fused")
          for precision in ("fp32", "bf16", "fp16")),
        *((model.ENGINES_FORM, "tensorrt", precision) for precision in ("fp32", "bf16", "fp16", "int8")),
    }  # fmt: skip
    assert len(rows) == len(set(rows))


def test_what_auto_measured_on_a_card_is_the_row_that_is_ours(material, graphs, monkeypatch):
    closed = []
    monkeypatch.delitem(vars(material), "chosen", raising=False)
    monkeypatch.setattr(material, "devices", ("cuda",))
    monkeypatch.setattr("fer_fast.bench.material.open_engine", lambda *_, device: SimpleNamespace(
        describe=lambda: {"engine": "tensorrt-fused", "precision": "bf16", "chosen": f"measured on {device}"},
        close=lambda: closed.append(device),
    ))  # fmt: skip
    try:
        assert material.chosen == {"cuda": ("tensorrt-fused", "bf16")} and closed == ["cuda"]
        cases = {case.key: case.quick for case in model.cases(material, graphs, "cuda", 32)}
    finally:
        vars(material).pop("chosen", None)
    short = [(key.form, key.engine, key.precision) for key, quick in cases.items() if quick]
    assert short == [(model.WRITTEN_FORM, "torch", "fp32"), (model.FUSED_FORM, "tensorrt-fused", "bf16")]


def test_precisions_decide_nothing_where_nothing_is_computed(material, graphs):
    short, told = (
        cases_of(material, graphs, "startup", quick=True, **chosen) for chosen in ({}, {"precisions": ("fp32",)})
    )
    assert [case.key for case in told] == [case.key for case in short]


def test_processes_end_or_say_a_row():
    startup.ends([sys.executable, "-c", "pass"])
    with pytest.raises(FerFastError, match="ended with status 3: gone"):
        startup.ends([sys.executable, "-c", "import sys; print('gone', file=sys.stderr); sys.exit(3)"])
    startup.first_row([sys.executable, "-c", "print('header\\nrow', flush=True); input()"])
    with pytest.raises(FerFastError, match="wrote no row"):
        startup.first_row([sys.executable, "-c", "print('header')"])


def test_the_plain_script_agrees_with_the_classifier(material, tmp_path):
    paths = material.folders["faces"]

    def infer(pixels):
        with torch.inference_mode():
            return material.exact_model(torch.from_numpy(pixels)).numpy()

    assert classify_plainly(infer, material.config, paths, tmp_path / "plain.csv", batch_size=5) == FACES
    with Classifier(material.model, engine="torch", device="cpu", precision="fp32") as classifier:
        expected = classifier.predict(paths)
    with (tmp_path / "plain.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [str(path) for path in paths]
    assert [row["label"] for row in rows] == [prediction.label for prediction in expected]
    assert len({row["label"] for row in rows}) > 1
    for row, prediction in zip(rows, expected, strict=True):
        assert float(row["confidence"]) == pytest.approx(prediction.confidence, abs=1e-4)
        probabilities = [float(row[name]) for name in prediction.classes]
        np.testing.assert_allclose(probabilities, prediction.probabilities, atol=1e-4)


def test_a_card_has_a_row_for_each_library_that_decodes_on_it(tmp_path):
    face = tmp_path / "face.jpg"
    face.write_bytes(b"any")
    found = SimpleNamespace(folders={"faces": [face]}, devices=("cpu", "cuda"), faces=np.zeros((1, 2, 2, 3), np.uint8))
    keys = [case.key for case in decode.our_cases(found)]
    assert [(key.engine, key.device) for key in keys] == [("pillow", "cpu"), ("dali", "cuda"), ("nvimagecodec", "cuda")]


def test_a_given_folder_is_used_but_for_what_cannot_be_decoded(material, tmp_path):
    given = tmp_path / "given"
    shutil.copytree(material.folders["faces"][0].parent, given / "inner")
    (given / "bad.png").write_text("no image")
    (given / "notes.txt").write_text("no image's name")
    folders, left_out = given_folder(given)
    assert (list(folders), left_out) == (["given"], 1)
    assert folders["given"] == [given / "inner" / path.name for path in material.folders["faces"]]
    for path in (given / "inner" / "none", given / "bad.png"):
        with pytest.raises(ValueError, match="--images must be a folder"):
            given_folder(path)
    (tmp_path / "bad").mkdir()
    (given / "bad.png").rename(tmp_path / "bad" / "bad.png")
    with pytest.raises(ValueError, match="none of its files"):
        given_folder(tmp_path / "bad")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"--images must be a folder with images; in '.*empty' it has none"):
        given_folder(tmp_path / "empty")


def test_made_images_are_of_their_size_and_seed(material, tmp_path):
    faces, photos = material.folders["faces"], material.folders["photos"]
    assert (len(faces), len(photos)) == (FACES, 2)
    for paths, kind, mode, size in ((faces, "PNG", "L", (48, 48)), (photos, "JPEG", "RGB", (1280, 960))):
        for path in paths:
            with Image.open(path) as image:
                assert (image.format, image.mode, image.size) == (kind, mode, size)
    contents = {path.read_bytes() for path in (*faces, *photos)}
    assert len(contents) == FACES + 2
    assert make_faces(tmp_path / "again", 1)[0].read_bytes() == faces[0].read_bytes()
    assert make_faces(tmp_path / "other", 1, seed=1)[0].read_bytes() not in contents
    assert make_photos(tmp_path / "photo", 1)[0].read_bytes() == photos[0].read_bytes()
    assert make_photos(tmp_path / "other photo", 1, seed=1)[0].read_bytes() not in contents

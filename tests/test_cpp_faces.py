"""Faces in C++: worked by hand, then as Python finds and classifies them in photos of every form; misuse."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import PIL
import pytest
from cpp_programs import (
    BGR,
    GREY,
    RESIZING,
    RGB,
    RGBA,
    ROOT,
    assert_as_python,
    build,
    compiled,
    found_by,
    photo,
    run,
    write_images,
)
from damaged_models import OTHER_FINDERS, other_finder
from filled_photo import filled_photo
from PIL import Image
from tiny_models import random_model, tiny_config

from fer_fast import Classifier, FaceFinder
from fer_fast.bench.portraits import photo_with_faces
from fer_fast.decode.pixels import reduced
from fer_fast.decode.views import seen_size
from fer_fast.export import export_model
from fer_fast.models.files.checkpoint import read_finder, write_checkpoint
from fer_fast.models.files.storage import save_model

PHOTOS = Path(os.environ.get("FER_FAST_SHARED", Path(__file__).parents[2] / "shared")) / "data" / "photos"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The packaged finder and a small classifier, and what is exported from them."""
    folder = tmp_path_factory.mktemp("model")
    save_model(random_model(tiny_config(sources=("image", "FM1"))), folder / "model.safetensors")
    export_model(folder / "model.safetensors", "openvino", folder / "model.xml", batch_size=16)
    export_model("finder", "openvino", folder / "finder.xml")
    return folder


@pytest.fixture(scope="module")
def photos():
    """Drawn photos of one to six faces, smaller and larger than what the finder sees; one that a face fills."""
    random = np.random.default_rng(7)
    sizes = (
        (400, 300),
        (640, 480),
        (900, 1300),
        (1500, 500),
        (1311, 977),
        (333, 640),
        (700, 700),
        (2000, 1500),
        (96, 80),
    )
    drawn = [np.asarray(photo_with_faces(random, size, 1 + place % 6)[0]) for place, size in enumerate(sizes)]
    return [*drawn, filled_photo(900, 1200)]


def test_faces_worked_by_hand(prefix, tmp_path):
    sources = [f"faces/{name}" for name in ("cells", "crops", "framing")]
    flags = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    run(compiled("faces", tmp_path / "faces", prefix, sources, *flags))


def test_faces_are_pythons(consumer, models, photos, tmp_path):
    """By four threads at once, too, and in every form that a photo has in memory."""
    given, plain = [], []
    for number, pixels in enumerate(photos):
        grey = np.asarray(Image.fromarray(pixels).convert("L"))
        alpha = np.dstack([pixels, grey])
        form = (RGB, BGR, RGBA, GREY)[number % 4]
        given.append(({BGR: pixels[:, :, ::-1], RGBA: alpha, GREY: grey}.get(form, pixels), form, 13 * (number % 3)))
        plain.append(grey if form == GREY else pixels)
    found, said = found_by(consumer / "find", models / "finder.xml", models / "model.xml", given, tmp_path, 4)
    assert sum(map(len, found)) > 20 and len(found[-1]) == 1
    assert "engine=openvino\n" in said and "find_size=640\n" in said and "framing=points\n" in said
    assert_as_python(found, plain, models / "model.safetensors")


def test_faces_in_real_photos_are_pythons(consumer, tmp_path):
    paths = sorted(PHOTOS.glob("*.jpg"))
    if not paths:
        pytest.skip(f"there are no photos in {PHOTOS}; FER_FAST_SHARED names the folder that holds data/photos")
    images = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    for model in ("finder", "fast"):
        export_model(model, "openvino", tmp_path / f"{model}.xml")
    given = [(image, RGB, 0) for image in images]
    found, _ = found_by(consumer / "find", tmp_path / "finder.xml", tmp_path / "fast.xml", given, tmp_path)
    assert sum(map(len, found)) > 100
    assert_as_python(found, images, "fast")


@pytest.mark.parametrize("longest", [56, 200])
def test_what_the_finder_sees_is_pythons(longest, prefix, tmp_path):
    """Byte for byte, for photos of any shape, and small ones that are enlarged."""
    if int(PIL.__version__.partition(".")[0]) < 13:
        pytest.skip("Pillow before 13 has one order of passes")
    program = compiled("resize", tmp_path / "resize", prefix, RESIZING, "-O2")
    random = np.random.default_rng(6)
    sizes = [(longest, longest), (1, 400), (400, 1), (2 * longest, longest), (3 * longest, 2 * longest), (57, 113)]
    sizes += [tuple(int(side) for side in random.integers(1, 400, 2)) for _ in range(80)]
    arrays = [photo(random, height, width, 3) for height, width in sizes]
    write_images(tmp_path / "images.bin", [(array, RGB, 0) for array in arrays])
    run(program, longest, tmp_path / "images.bin", tmp_path / "seen.bin")
    data, at = np.fromfile(tmp_path / "seen.bin", np.uint8), 0
    for array in arrays:
        wanted = np.asarray(reduced(Image.fromarray(array), seen_size(array.shape[1::-1], longest)))
        width, height = np.frombuffer(data[at : at + 16].tobytes(), np.int64)
        at += 16 + wanted.size
        assert (height, width) == wanted.shape[:2]
        np.testing.assert_array_equal(
            data[at - wanted.size : at].reshape(wanted.shape), wanted, err_msg=str(array.shape)
        )


def test_c_program_finds_faces(consumer, models, photos, tmp_path):
    Image.fromarray(photos[4]).save(tmp_path / "photo.ppm")
    lines = run(consumer / "find_c", models / "finder.xml", models / "model.xml", tmp_path / "photo.ppm").stdout
    with FaceFinder(precision="fp32") as finder, Classifier(models / "model.safetensors") as classifier:
        (faces,) = classifier.predict_faces([photos[4]], finder=finder)
    rows = [line.split() for line in lines.splitlines()]
    wanted = [[face.x, face.y, face.width, face.height] for face in faces]
    np.testing.assert_allclose([[float(number) for number in row[:4]] for row in rows], wanted, atol=0.5)
    assert {row[4] for row in rows} <= set(faces[0].prediction.classes)


def test_the_pages_program_finds_faces(prefix, models, tmp_path):
    page = (ROOT / "docs/cpp.md").read_text()
    program = re.findall(r"```cpp\n(.*?)```", page.partition("## Faces in photos")[2], re.DOTALL)[0]
    reading = 'std::ifstream("photo.raw").read(reinterpret_cast<char*>(pixels.data()), 1280 * 960 * 3);'
    assert "// of your photo, upright" in program
    (tmp_path / "portrait.cpp").write_text(
        "#include <fstream>\n" + program.replace("// of your photo, upright", reading)
    )
    (tmp_path / "CMakeLists.txt").write_text(re.findall(r"```cmake\n(.*?)```", page, re.DOTALL)[0])
    programs = build(tmp_path, tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
    for name, model in (("finder", "finder"), ("fast", "model")):
        for suffix in (".xml", ".bin"):
            (tmp_path / f"{name}{suffix}").symlink_to(models / f"{model}{suffix}")
    drawn, boxes = photo_with_faces(np.random.default_rng(3), (1280, 960), 3)
    (tmp_path / "photo.raw").write_bytes(drawn.tobytes())
    lines = run(programs / "portrait", cwd=tmp_path).stdout.splitlines()
    assert len(lines) == len(boxes) == 3
    widths = [float(line.split()[2]) for line in lines]
    assert widths == sorted(widths, reverse=True)


def test_misuse_of_a_finder_gives_errors(consumer, models):
    run(consumer / "misuse_finder", models / "finder.xml", models / "model.xml")


@pytest.mark.parametrize(("old", "new", "code", "words"), OTHER_FINDERS)
def test_another_finder_is_told(consumer, models, tmp_path, old, new, code, words):
    """As Python tells it: test_exported.py."""
    finder = other_finder(models / "finder.xml", old, new, tmp_path)
    command = (consumer / "find", finder, models / "model.xml", "/dev/null", tmp_path / "out.bin")
    done = run(*command, check=False)
    assert done.returncode == 1 and done.stderr.startswith(f"{code} ") and words in done.stderr, done.stderr


def test_a_finder_whose_scores_are_no_numbers_is_told(consumer, models, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("fer_fast.models.finder.layers.check_tensors", lambda *_: None)  # which refuses such weights
    packaged = read_finder("finder")
    broken = {name: np.full_like(tensor, np.nan) for name, tensor in packaged.tensors.items()}
    write_checkpoint(tmp_path / "broken.safetensors", packaged.config, broken)
    export_model(tmp_path / "broken.safetensors", "openvino", tmp_path / "broken.xml")
    write_images(tmp_path / "images.bin", [(photos[4], RGB, 0)])
    command = (consumer / "find", tmp_path / "broken.xml", models / "model.xml", tmp_path / "images.bin")
    done = run(*command, tmp_path / "out.bin", check=False)
    assert done.returncode == 1 and "7 the finder gave a value that is not a number" in done.stderr, done.stderr

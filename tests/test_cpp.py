"""The C++ library: a stranger's programs, built against the install, give Python's answers; misuse gives an error."""

from __future__ import annotations

import csv
import os
import re
import shutil
import tarfile
from pathlib import Path

import numpy as np
import PIL
import pytest
from cpp_programs import (
    BF16,
    DESCRIBING,
    GREY,
    LITTLE_OPTIMISED,
    OPENVINO,
    RESIZING,
    RGB,
    ROOT,
    SANITIZERS,
    answers_of,
    assert_same,
    build,
    build_consumer,
    compiled,
    odd_images,
    photo,
    python_answers,
    run,
    write_images,
)
from damaged_models import DAMAGE
from exif_blocks import SHORT, block, tag
from PIL import Image
from tiny_models import random_model, tiny_config
from turned_files import BLOCKS, FILES, MAKE, PREFIX, UPRIGHT, XMP_FILES, nearest, xmp

from fer_fast import Classifier
from fer_fast.bench.portraits import photo_with_faces
from fer_fast.decode import pixels_of
from fer_fast.export import export_model
from fer_fast.export.graph import sealed
from fer_fast.models.files.storage import save_model
from fer_fast.types import EMOTIONS

SHARED = Path(os.environ.get("FER_FAST_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A small checkpoint, and what is exported from it."""
    folder = tmp_path_factory.mktemp("model")
    config = tiny_config(sources=("image", "FM1"), prior=(0.3, *[0.1] * 7))
    save_model(random_model(config), folder / "model.safetensors")
    export_model(folder / "model.safetensors", "openvino", folder / "model.xml", batch_size=16)
    return folder


def test_small_images_give_pythons_answers(consumer, models, tmp_path):
    given, plain = odd_images(80, 200)
    found, said = answers_of(consumer / "classify", models / "model.xml", given, tmp_path)
    assert_same(found, python_answers(models / "model.safetensors", plain))
    assert "engine=openvino\n" in said and "precision=fp32\n" in said and "batch_size=16\n" in said


def test_python_gives_the_answers_of_the_same_file(consumer, models, tmp_path):
    given, plain = odd_images(12, 80)
    found, said = answers_of(consumer / "classify", models / "model.xml", given, tmp_path)
    precision = re.search("precision=(.*)", said)[1]
    with Classifier(models / "model.xml", precision=precision, workers=1) as classifier:
        wanted = np.stack([prediction.probabilities for prediction in classifier.predict(plain)])
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_in_bf16_python_gives_nearly_the_same(consumer, tmp_path):
    """Of the export the same; of the checkpoint, whose graph is another, what docs/cpp.md says."""
    from fer_fast.engines.openvino_graph import has_bf16, openvino_core

    if not has_bf16(openvino_core()):
        pytest.skip("this processor has no bf16")
    export_model("fast", "openvino", tmp_path / "fast.xml")
    given, plain = odd_images(60, 200)
    found, said = answers_of(consumer / "classify", tmp_path / "fast.xml", given, tmp_path, precision=(BF16,))
    assert "precision=bf16\n" in said
    for model, engine, tolerance in ((tmp_path / "fast.xml", "auto", 1e-5), ("fast", "openvino", 0.01)):
        with Classifier(model, engine=engine, precision="bf16", device="cpu") as classifier:
            wanted = np.stack([prediction.probabilities for prediction in classifier.predict(plain)])
        np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance)


def test_photos_of_odd_sizes_give_pythons_answers(consumer, models, tmp_path):
    for part in range(8):  # 200 photos at once take some GB
        given, plain = odd_images(25, most=3000, least=300, seed=part)
        found, _ = answers_of(consumer / "classify", models / "model.xml", given, tmp_path)
        assert_same(found, python_answers(models / "model.safetensors", plain))


def test_pixels_are_pillows(prefix, tmp_path):
    """Byte for byte, in both orders of the passes: just before, at and behind the sizes where they change."""
    if int(PIL.__version__.partition(".")[0]) < 13:
        pytest.skip("Pillow before 13 has one order of passes")
    resize = compiled("resize", tmp_path / "resize", prefix, RESIZING, "-O2")
    rng, side = np.random.default_rng(5), 56
    sizes = [(side, side), (1, 1), (1, 300), (300, 1), (side + 1, side), (side, side + 1)]
    sizes += [(2 * width - side + more, width) for width in (57, 80, 200) for more in (-1, 0, 1)]
    sizes += [tuple(int(number) for number in rng.integers(1, 400, 2)) for _ in range(60)]
    arrays = [photo(rng, height, width, 3) for height, width in sizes]
    write_images(tmp_path / "images.bin", [(array, RGB, 0) for array in arrays])
    run(resize, side, side, tmp_path / "images.bin", tmp_path / "squares.bin")
    found = np.fromfile(tmp_path / "squares.bin", np.uint8).reshape(len(arrays), side, side, 3)
    for array, square in zip(arrays, found, strict=True):
        np.testing.assert_array_equal(square, pixels_of(array, side), err_msg=str(array.shape))


def test_faces_give_pythons_answers(consumer, tmp_path):
    archive = SHARED / "data" / "ferplus" / "FER2013Test.tar"
    if not archive.is_file():
        pytest.skip(f"there is no {archive}; FER_FAST_SHARED names the folder that holds data/ferplus")
    with tarfile.open(archive) as faces:
        images = [np.asarray(Image.open(faces.extractfile(face))) for face in faces if face.name.endswith(".png")]
    export_model("fast", "openvino", tmp_path / "fast.xml")
    found, _ = answers_of(
        consumer / "classify", tmp_path / "fast.xml", [(image, GREY, 0) for image in images], tmp_path
    )
    assert_same(found, python_answers("fast", images))


def test_eight_threads_give_the_answers_of_one(consumer, models, tmp_path):
    given, _ = odd_images(24, 200)
    answers_of(consumer / "classify", models / "model.xml", given, tmp_path, threads=8)


def test_programs_need_no_python(consumer):
    for program in ("classify", "classify_c"):
        libraries = run("ldd", consumer / program).stdout
        assert "libfer_fast.so.1" in libraries and "openvino" not in libraries
        assert "python" not in re.sub(r"=> \S+", "", libraries).lower() and "torch" not in libraries
    run(consumer / "tokens")


def test_c_program(consumer, models):
    lines = run(consumer / "classify_c", models / "model.xml").stdout.splitlines()
    found = {name: float(share) for name, share in (line.split() for line in lines)}
    pixels = np.array([[0, 90], [180, 255]], np.uint8)
    wanted = python_answers(models / "model.safetensors", [pixels])[0]
    np.testing.assert_allclose(list(found.values()), wanted, atol=1e-3)


@pytest.mark.parametrize(("graph", "weights", "code", "words"), DAMAGE)
def test_a_damaged_model_is_told(consumer, models, tmp_path, graph, weights, code, words):
    """As Python tells it: test_exported.py."""
    (tmp_path / "m.xml").write_bytes(graph((models / "model.xml").read_bytes()))
    (tmp_path / "m.bin").write_bytes(weights((models / "model.bin").read_bytes()))
    done = run(consumer / "classify", tmp_path / "m.xml", "/dev/null", tmp_path / "out.bin", check=False)
    assert done.returncode == 1 and done.stderr.startswith(f"{code} "), done.stderr
    assert re.search(words, done.stderr) and not done.stdout


def test_what_is_no_model_is_told(consumer, models, tmp_path):
    (tmp_path / "alone.xml").write_bytes((models / "model.xml").read_bytes())
    (tmp_path / "folder.xml").mkdir()
    os.mkfifo(tmp_path / "pipe.xml")
    for model, code, words in (
        (tmp_path / "none.xml", 2, "none.xml' cannot be read: No such file"),
        (tmp_path / "alone.xml", 2, "alone.bin' cannot be read"),
        (tmp_path / "folder.xml", 2, "it is no regular file"),
        (tmp_path / "pipe.xml", 2, "it is no regular file"),
        (models / "model.safetensors", 4, "must be an .xml, a .pt2 or an .engine that fer-fast export wrote"),
        (tmp_path / "m.pt2", 5, "needs libtorch, and this library was built without it"),
        (tmp_path / "m.engine", 5, "needs TensorRT, and this library was built without it"),
    ):
        done = run(consumer / "classify", model, "/dev/null", tmp_path / "out.bin", check=False)
        assert (done.returncode, done.stderr[:2]) == (1, f"{code} ") and words in done.stderr, done.stderr


#: What a program needs of OpenVINO, and what is said where it was not shipped.
SHIPPED = {
    "libopenvino_c": "no libopenvino_c.so in '{folder}'",
    "libopenvino": "OpenVINO cannot be loaded from '{folder}': libopenvino.so.",
    "libtbb": "OpenVINO cannot be loaded from '{folder}': libtbb.so.",
    "libopenvino_ir_frontend": "is {missing} of the same version beside libopenvino? It says: Exception",
    "libopenvino_intel_cpu_plugin": "is {missing} of the same version beside libopenvino? It says: Exception",
}


@pytest.mark.parametrize("missing", [None, *SHIPPED])
def test_a_library_that_was_not_shipped_is_named(consumer, models, tmp_path, missing):
    for name in SHIPPED:
        if name != missing:
            (library,) = OPENVINO.glob(f"{name}.so*")
            shutil.copy(library, tmp_path)
    command = (consumer / "classify", models / "model.xml", "/dev/null", tmp_path / "out.bin")
    done = run(*command, check=False, env=os.environ | {"FER_FAST_OPENVINO_DIR": str(tmp_path)})
    if missing is None:
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode == 1 and done.stderr.startswith("5 ") and done.stderr.count("\n") == 1
    assert SHIPPED[missing].format(folder=tmp_path, missing=missing) in done.stderr


def test_misuse_gives_errors(consumer, models):
    run(consumer / "misuse", models / "model.xml")


LEAKS = "leak:libopenvino\nleak:libtbb\n"


def test_sanitizers_find_nothing(sanitized, models, tmp_path):
    sanitizers, library = sanitized
    flags = [f"-DCMAKE_{language}_FLAGS=-fsanitize={sanitizers}" for language in ("C", "CXX")]
    (tmp_path / "leaks.txt").write_text(LEAKS)
    told = {name: value.format(folder=tmp_path) for name, value in SANITIZERS[sanitizers].items()}
    told["TBB_ENABLE_SANITIZERS"] = "1"  # TBB loads a library in a way that they do not take
    write_images(tmp_path / "images.bin", odd_images(16, 120)[0])
    drawn, _ = photo_with_faces(np.random.default_rng(2), (400, 300), 2)
    drawn.save(tmp_path / "photo.ppm")
    write_images(tmp_path / "photos.bin", [(np.asarray(drawn), RGB, 5)])
    export_model("finder", "openvino", finder := tmp_path / "finder.xml")
    commands = (
        ("classify", models / "model.xml", tmp_path / "images.bin", tmp_path / "out.bin", 8),
        ("find", finder, models / "model.xml", tmp_path / "photos.bin", tmp_path / "out.bin", 4),
        ("find_c", finder, models / "model.xml", tmp_path / "photo.ppm"),
        ("misuse_finder", finder, models / "model.xml"),
        ("misuse", models / "model.xml"),
        ("told", finder, models / "model.xml"),
        ("classify_c", models / "model.xml"),
        ("tokens",),
    )
    names = [name for name, *_ in commands]
    programs = build_consumer(tmp_path / "consumer", library / "prefix", LITTLE_OPTIMISED, *flags, programs=names)
    for command in commands:
        done = run(programs / command[0], *command[1:], env=os.environ | told)
        assert "Sanitizer" not in done.stderr


def test_bytes_of_others_do_no_harm(prefix, tmp_path):
    """Fuzzing, briefly: by libFuzzer, if there is a clang with it, and by chance."""
    sources, flags = (*RESIZING, *DESCRIBING, "faces/cells"), ("-g", "-O1", "-fno-sanitize-recover=all")
    by_chance = compiled("fuzz", tmp_path / "by_chance", prefix, sources, *flags, "-fsanitize=address,undefined")
    run(by_chance, 1, 5)
    flags = (*flags, "-DFER_FAST_LIBFUZZER", "-fsanitize=fuzzer,address,undefined")
    names = ("clang++", *(f"clang++-{version}" for version in range(14, 25)))  # Debian's have the version alone
    clang = next(filter(None, map(shutil.which, names)), None)
    if clang is None:
        return
    try:
        compiled("fuzz", tmp_path / "fuzzer", prefix, sources, *flags, compiler=clang)
    except AssertionError:  # this clang lacks the sanitizers' libraries
        return
    (tmp_path / "corpus").mkdir()
    facts = "format 1\nversion 0\nmodel 0\nprecision fp32\nimage_size 9\nbatch_size 9\nclass a\nclass b\n"
    graph = f"\1<?fer_fast\n{sealed(facts, graph=b'', weights=b'')}?>\n"
    (tmp_path / "corpus" / "graph").write_text(graph)
    (tmp_path / "corpus" / "mix").write_text('\3{"a": 1.5e-3, "\\u0062": [0, {"c": null}], "d": -0}')
    (tmp_path / "corpus" / "engine").write_text("\1" + sealed(facts, engine=b""))
    run(tmp_path / "fuzzer", "-max_total_time=10", "-max_len=4000", tmp_path / "corpus", cwd=tmp_path)


def test_the_examples_pictures_are_turned_as_pythons(prefix, tmp_path):
    """By stb_image, which does not read WebP: of that the orientation alone."""
    folder = ROOT / "examples/cpp"
    sources = [ROOT / "tests/cpp/turned.cpp", folder / "orientation.cpp", folder / "decode_stb.cpp"]
    command = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{folder}", f"-I{prefix / 'include'}"]
    run("c++", *command, "-isystem", folder / "third_party", *sources, "-o", tmp_path / "turned", timeout=300)
    names = [name for name in FILES if name.startswith(("jpeg", "png", "webp")) and "text" not in name]
    cases = [(FILES[name](block(tag(SHORT, each))), each) for name in names for each in range(1, 9)]
    cases += [(FILES[name](exif), each) for name in names for exif, each in BLOCKS.values()]
    cases += [(XMP_FILES[name](PREFIX + block(MAKE), xmp(8)), 8) for name in ("jpeg", "png", "webp")]
    cases += [(XMP_FILES[name](PREFIX + block(tag(SHORT, 6)), xmp(8)), 6) for name in ("jpeg", "png", "webp")]
    paths = [tmp_path / f"{number:03}" for number in range(len(cases))]
    for path, (content, _) in zip(paths, cases, strict=True):
        path.write_bytes(content)
    (tmp_path / "cut").write_bytes(cases[0][0][:30])
    lines = run(tmp_path / "turned", *paths, tmp_path / "cut", tmp_path / "none", timeout=60).stdout.splitlines()
    assert lines[-2:] == ["1", "0"]
    for line, (content, wanted) in zip(lines, cases, strict=False):
        orientation, *corners = map(int, line.split())
        assert orientation == wanted
        assert (corners == []) == content.startswith(b"RIFF")
        assert not corners or nearest(np.reshape(corners, (4, 3))) == UPRIGHT[wanted]


@pytest.mark.parametrize("decoder", ["OpenCV where it is found", "stb_image"])
def test_examples(prefix, models, tmp_path, decoder):
    use = "ON" if decoder.startswith("OpenCV") else "OFF"
    programs = build(ROOT / "examples/cpp", tmp_path / "b", f"-DCMAKE_PREFIX_PATH={prefix}", f"-DUSE_OPENCV={use}")
    folder = tmp_path / "faces"
    (folder / "inner").mkdir(parents=True)
    array = photo(np.random.default_rng(1), 90, 70)
    Image.fromarray(array).save(folder / "inner" / "good.png")
    (folder / "bad.jpg").write_bytes(b"no image")
    table = run(programs / "classify_images", models / "model.xml", folder).stdout
    bad, good = csv.DictReader(table.splitlines())
    assert (bad["path"], bad["status"], bad["label"], bad["neutral"]) == (f"{folder}/bad.jpg", "corrupt", "", "")
    wanted = python_answers(models / "model.safetensors", [array])[0]
    assert good["status"] == "ok" and float(good["confidence"]) == pytest.approx(wanted.max(), abs=0.1)  # in bf16
    always = ",".join(f"{name}={int(name == 'fear')}" for name in EMOTIONS)
    table = run(programs / "classify_images", models / "model.xml", folder, "--prior", always).stdout
    bad, good = csv.DictReader(table.splitlines())
    assert (bad["status"], good["label"], good["confidence"], good["neutral"]) == ("corrupt", "fear", "1", "0")
    drawn, boxes = photo_with_faces(np.random.default_rng(2), (640, 480), 2)
    named = tmp_path / 'a "photo", of two.png'
    drawn.save(named)
    export_model("finder", "openvino", tmp_path / "finder.xml")
    done = run(
        programs / "find_faces",
        tmp_path / "finder.xml",
        models / "model.xml",
        named,
        folder / "bad.jpg",
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, f"find_faces: {folder}/bad.jpg cannot be decoded\n")
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert {row["photo"] for row in rows} == {str(named)}
    assert len(rows) == len(boxes) and {row["label"] for row in rows} <= set(EMOTIONS)
    command = (programs / "find_faces", "--prior", always, tmp_path / "finder.xml", models / "model.xml", named)
    assert {row["label"] for row in csv.DictReader(run(*command).stdout.splitlines())} == {"fear"}
    said = run(programs / "latency", models / "model.xml", 5).stdout
    assert re.search(r"p50=[\d.e-]+ ms\np95=[\d.e-]+ ms\np99=", said)
    for calls in (0, -1, "many"):
        assert run(programs / "latency", models / "model.xml", calls, check=False).returncode == 2
    assert run(programs / "find_faces", models / "model.xml", check=False).returncode == 2
    for arguments in ((), (models / "model.xml", tmp_path / "nowhere")):
        done = run(programs / "classify_images", *arguments, check=False)
        assert done.returncode == 2 and done.stderr.startswith("usage: ")

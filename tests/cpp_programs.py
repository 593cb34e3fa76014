"""Programs that are built from this tree, what they read and write, and what Python says of the same images."""

from __future__ import annotations

import importlib.util
import struct
import subprocess
from pathlib import Path

import numpy as np

from fer_fast import Classifier, FaceFinder

ROOT = Path(__file__).parent.parent
#: OpenVINO's libraries in this environment. It is not imported: where a card is, it may be missing.
OPENVINO = Path(getattr(importlib.util.find_spec("openvino"), "origin", "")).parent / "libs"
#: What reads a model's description, and a wish for a mix of classes, without their endings.
DESCRIBING = tuple(f"classifier/{name}" for name in ("description", "json_object", "numbers", "shares", "utf8"))
#: What makes a photo's pixels other pixels, without their endings.
RESIZING = (
    *(f"classifier/{name}" for name in ("resize", "reduce", "photo", "error", "yuv")),
    *(f"faces/{name}" for name in ("crops", "framing")),
)
#: Sanitizers, and what they are told of libraries that were not built with them.
SANITIZERS = {
    "address,undefined": {"ASAN_OPTIONS": "detect_leaks=1", "LSAN_OPTIONS": "suppressions={folder}/leaks.txt"},
    "thread": {"TSAN_OPTIONS": "ignore_noninstrumented_modules=1"},
}
#: For what is not measured: it compiles in half the time.
LITTLE_OPTIMISED = "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -g1"
GREY, RGB, BGR, RGBA = range(4)
BF16 = 2  # a Precision
NUMBERS = 15  # of a face: box, landmarks, score


def run(*command, check=True, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def build(source, folder, *options, targets=()):
    """Builds the targets, or all; the folder that they are in."""
    run("cmake", "-S", source, "-B", folder, "-G", "Ninja", "-DFER_FAST_CUDA=0", *options)
    run("cmake", "--build", folder, *(part for target in targets for part in ("--target", target)))
    return folder


def install(folder, *options):
    """Builds the library as the options say; where it is installed."""
    build(ROOT, folder / "build", *options)
    run("cmake", "--install", folder / "build", "--component", "cpp", "--prefix", folder / "prefix")
    return folder / "prefix"


def build_consumer(folder, prefix, *options, programs=()):
    """The stranger's programs, or some, which know an install alone; the folder that they are in."""
    return build(ROOT / "tests/cpp/consumer", folder, f"-DCMAKE_PREFIX_PATH={prefix}", *options, targets=programs)


def compiled(name, program, prefix, sources, *flags, compiler="c++"):
    """A program of tests/cpp and parts of the library, which is installed at `prefix`; where it is then."""
    folders = [f"-I{folder}" for folder in (prefix / "include", ROOT / "csrc/faces")]
    files = [ROOT / "tests/cpp" / f"{name}.cpp", *(ROOT / "csrc" / f"{source}.cpp" for source in sources)]
    run(compiler, "-std=c++17", "-ffp-contract=off", "-Wno-psabi", *flags, *folders, *files, "-o", program, timeout=600)
    return program


def write_images(path, images):
    """Arrays, with the format and the bytes that follow each row, as the stranger's program reads them."""
    with path.open("wb") as file:
        for array, format, gap in images:
            rows = array.reshape(len(array), -1)
            padded = np.pad(rows, ((0, 0), (0, gap)), constant_values=77)
            stride = padded.shape[1] if gap else 0
            data = padded.tobytes()[: padded.size - gap]  # the last row's gap need not be there
            file.write(struct.pack("<5q", array.shape[1], array.shape[0], stride, format, len(data)) + data)


def answers_of(classify, model, images, folder, threads=0, device="auto", prior="train", precision=(), **options):
    """Probabilities, float32 [images, classes], and what the program `classify` said."""
    write_images(folder / "images.bin", images)
    arguments = (threads, device, prior, *precision)
    done = run(classify, model, folder / "images.bin", folder / "out.bin", *arguments, **options)
    return np.fromfile(folder / "out.bin", np.float32).reshape(len(images), -1), done.stdout


def python_answers(model, images):
    with Classifier(model, engine="torch", device="cpu", precision="fp32") as classifier:
        return np.stack([prediction.probabilities for prediction in classifier.predict(images)])


def assert_same(found, wanted):
    assert np.abs(found - wanted).max() <= 1e-3
    np.testing.assert_array_equal(found.argmax(axis=1), wanted.argmax(axis=1))


def found_by(program, finder, classifier, images, folder, *options, write=write_images):
    """Of each image its faces, float32 [faces, 15 + classes], and what the program said."""
    write(folder / "photos.bin", images)
    done = run(program, finder, classifier, folder / "photos.bin", folder / "faces.bin", *options, timeout=300)
    data, at, faces = (folder / "faces.bin").read_bytes(), 0, []
    width = NUMBERS + 8
    for _ in images:
        count = int.from_bytes(data[at : at + 8], "little")
        rows = np.frombuffer(data, np.float32, count * width, at + 8)
        faces.append(rows.reshape(count, width))
        at += 8 + rows.nbytes
    assert at == len(data)
    return faces, done.stdout


def assert_as_python(found, images, model):
    """Boxes and landmarks of `found_by` to half a pixel, the same labels."""
    with (
        FaceFinder(precision="fp32") as finder,
        Classifier(model, engine="openvino", device="cpu", precision="fp32") as classifier,
    ):
        wanted = classifier.predict_faces(images, finder=finder)
    assert [len(faces) for faces in found] == [len(faces) for faces in wanted]
    for rows, faces in zip(found, wanted, strict=True):
        for row, face in zip(rows, faces, strict=True):
            places = [face.x, face.y, face.width, face.height, *np.ravel(face.landmarks)]
            np.testing.assert_allclose(row[: NUMBERS - 1], places, atol=0.5)
            assert abs(row[NUMBERS - 1] - face.score) < 1e-3
            assert np.abs(row[NUMBERS:] - face.prediction.probabilities).max() < 2e-3
            assert face.prediction.classes[row[NUMBERS:].argmax()] == face.prediction.label


def photo(rng, height, width, channels=3):
    """Noise of few and of many pixels: it has edges, and flat places."""
    coarse = rng.integers(0, 256, (height // 40 + 2, width // 40 + 2, channels), dtype=np.int16)
    coarse = coarse.repeat(40, axis=0).repeat(40, axis=1)[:height, :width]
    fine = rng.integers(-40, 41, (97, width, channels), dtype=np.int16)
    fine = np.tile(fine, (height // 97 + 1, 1, 1))[:height]  # drawing every pixel of a photo takes long
    return np.clip(coarse + fine, 0, 255).astype(np.uint8)


def odd_images(count, most, least=1, seed=3):
    """Sides of `least` to `most` pixels, all formats, with and without gaps; and the same in Python's form."""
    rng = np.random.default_rng(seed)
    given, plain = [], []
    for number in range(count):
        height, width = (int(side) for side in rng.integers(least, most + 1, 2))
        format = number % 4
        array = photo(rng, height, width, (1, 3, 3, 4)[format])
        given.append((array, format, int(rng.integers(0, 2) * rng.integers(1, 50))))
        plain.append({GREY: array[:, :, :1], BGR: array[:, :, ::-1]}.get(format, array[:, :, :3]))
    return given, plain

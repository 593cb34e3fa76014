"""NVIDIA's libraries against Pillow: the same files, the same pixels up to rounding, the same statuses; on the CPU."""

import importlib
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from decoding import LIBRARIES, written
from image_files import FACE, FILES, encoded, face, oriented
from PIL import Image
from png_files import RGB, broken, chunk, png, text
from tiny_models import random_model, tiny_config

from fer_fast import Classifier
from fer_fast.decode import nvidia, open_decoder
from fer_fast.decode.choice import LIBRARIES as LIBRARY_MODULES
from fer_fast.decode.choice import _library
from fer_fast.types import DecodeError, FerFastError, MissingExtraError, Status

SIDE = 24


@pytest.fixture(scope="module", params=LIBRARIES)
def name(request):
    """Of the decoder."""
    return request.param


@pytest.fixture(scope="module")
def decoders(name):
    """A library's, and Pillow."""
    with open_decoder(name, SIDE, 2) as ours, open_decoder("pillow", SIDE, 2) as pillow:
        yield ours, pillow


@pytest.fixture
def ran(monkeypatch, name):
    """Puts something in the place of what a library makes of a batch."""
    return lambda run: monkeypatch.setattr(_library(name), "run", run)


@pytest.fixture
def no_pillow(monkeypatch):
    """Fails the test if a file is decoded by Pillow, which is there for what a library does not take."""

    def refuse(*_):
        raise AssertionError("decoded by Pillow")

    monkeypatch.setattr("fer_fast.decode.nvidia_batch.decode_opened", refuse)
    monkeypatch.setattr("fer_fast.decode.nvidia_batch.decoded_here", refuse)


def differences(decoders, paths):
    """Mean and largest difference of each image, in grey levels."""
    ours, theirs = (decoder.decode(paths) for decoder in decoders)
    assert ours.indices == theirs.indices == list(range(len(paths)))
    assert ours.pixels.dtype == np.uint8
    assert ours.pixels.flags.c_contiguous
    difference = np.abs(ours.pixels.astype(int) - theirs.pixels)
    return difference.mean(axis=(1, 2, 3)), difference.max(axis=(1, 2, 3))


def test_every_kind_of_file_looks_as_by_pillow(tmp_path, decoders):
    _, largest = differences(decoders, written(tmp_path, [encoded(name) for name in FILES]))
    assert dict(zip(FILES, largest <= 2, strict=True)) == dict.fromkeys(FILES, True)


@pytest.mark.usefixtures("no_pillow")
@pytest.mark.parametrize("kind", ["jpeg", "jpeg-progressive-turned", "jpeg-grey", "png"])
def test_common_files_are_decoded_by_the_library(tmp_path, decoders, kind):
    decoded = decoders[0].decode(written(tmp_path, [encoded(kind)]))
    assert decoded.indices == [0], decoded.failures


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_every_orientation_is_obeyed_and_only_once(tmp_path, decoders, kind):
    paths = [str(tmp_path / str(orientation)) for orientation in range(1, 9)]
    for orientation, path in enumerate(paths, 1):
        face(64, 48).save(path, kind, exif=oriented(orientation), **({"lossless": True} if kind == "WEBP" else {}))
    mean, _ = differences(decoders, paths)
    assert mean.max() < 1


def test_an_orientation_behind_the_pixels_of_a_png(tmp_path, decoders):
    chunks = encoded("png")
    exif = oriented(3).tobytes()
    block = len(exif).to_bytes(4, "big") + b"eXIf" + exif
    block += importlib.import_module("zlib").crc32(block[4:]).to_bytes(4, "big")
    end = chunks.rindex(b"IEND") - 4
    _, largest = differences(decoders, written(tmp_path, [chunks[:end] + block + chunks[end:]]))
    assert largest.max() <= 2


@pytest.mark.usefixtures("no_pillow")
@pytest.mark.parametrize("place", ["before", "between", "after"])
def test_what_no_pixel_of_a_png_needs_is_kept_from_the_library(tmp_path, decoders, place):
    needless = chunk(b"iCCP") + broken(b"tRNS", b"x") + text(b"Comment", b"x" * (4 << 20), b"zTXt") + chunk(b"fdAT")
    content = png(np.asarray(FACE), colours=RGB, pieces=3, **{place: needless + chunk(b"eXIf", oriented(3).tobytes())})
    (path,) = written(tmp_path, [content])
    decoded = decoders[0].decode([path])
    upright = FACE.rotate(180).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    assert np.abs(decoded.pixels[0].astype(int) - np.asarray(upright)).max() <= 2, decoded.failures


def test_photos_are_close_to_those_that_pillow_scales_while_it_decodes(tmp_path, decoders):
    path = tmp_path / "photo.jpg"
    face(48, 64).resize((1280, 960), Image.Resampling.BICUBIC).save(path, quality=90)
    mean, _ = differences(decoders, [str(path)])
    assert mean.max() < 1


def test_a_broken_file_beside_pillows_own_is_no_reason_to_warn(tmp_path, name, ran, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("encountered: no scan")

    def corrupt(*_):
        return DecodeError(Status.CORRUPT, "no scan")

    with open_decoder(name, SIDE, 1) as decoder:
        ran(broken)
        monkeypatch.setattr("fer_fast.decode.nvidia_batch.decoded_here", corrupt)
        decoded = decoder.decode(written(tmp_path, [encoded("jpeg"), encoded("gif")]))
    assert decoded.indices == [1]
    assert [(place, error.status) for place, error in decoded.failures] == [(0, Status.CORRUPT)]
    assert "decodes none" not in caplog.text


def test_a_bad_file_costs_its_own_row(tmp_path, decoders):
    good = [encoded("jpeg"), encoded("png"), encoded("png-palette"), encoded("jpeg-grey")]
    half = encoded("jpeg")[: len(encoded("jpeg")) * 2 // 3]
    bad = [half, b"", b"not an image", encoded("png")[:-30], encoded("jpeg")[:40]]
    contents = [good[0], *bad[:2], good[1], *bad[2:], *good[2:]]
    paths = [*written(tmp_path, contents), str(tmp_path / "missing.jpg")]
    ours, theirs = (decoder.decode(paths) for decoder in decoders)
    assert ours.indices == theirs.indices == [0, 3, 7, 8]
    assert np.abs(ours.pixels.astype(int) - theirs.pixels).max() <= 2
    found, wanted = ([(place, error.status) for place, error in each.failures] for each in (ours, theirs))
    assert found == wanted
    assert {status for _, status in found} == {Status.CORRUPT, Status.EMPTY, Status.UNSUPPORTED, Status.UNREADABLE}
    again = decoders[0].decode(paths[:1])
    assert np.array_equal(again.pixels[0], ours.pixels[0]), "the pipeline was built again"


def test_a_batch_keeps_pixels_and_places_together(tmp_path, decoders):
    kinds, contents = ("png", "jpeg", "gif"), []
    for number in range(75):
        path = tmp_path / "shade"
        Image.new("L", (9, 9), number * 3).save(path, kinds[number % 3])
        contents.append(path.read_bytes() if number % 7 != 3 else path.read_bytes()[:20])
    paths = written(tmp_path, contents)
    good = [number for number in range(75) if number % 7 != 3]
    with ThreadPoolExecutor(4) as pool:
        starts = [75, 0, 60, 30, 0, 45]
        found = list(pool.map(lambda start: decoders[0].decode(paths[start:]), starts))
    for start, decoded in zip(starts, found, strict=True):
        places = [number - start for number in good if number >= start]
        assert decoded.indices == places
        assert decoded.pixels.shape == (len(places), SIDE, SIDE, 3)
        shades = decoded.pixels.astype(int) - 3 * np.array([place + start for place in places]).reshape(-1, 1, 1, 1)
        assert np.abs(shades).max(initial=0) <= 1
        assert [place for place, _ in decoded.failures] == [
            number - start for number in range(start, 75) if number % 7 == 3
        ]


def test_pixels_are_the_callers_own(tmp_path, decoders):
    paths = written(tmp_path, [encoded("jpeg")] * 4)
    others = written(tmp_path / "others" if (tmp_path / "others").mkdir() is None else tmp_path, [encoded("jpeg-grey")])
    kept = decoders[0].decode(paths).pixels
    before = kept.copy()
    for _ in range(6):
        decoders[0].decode(others * 4)
    assert np.array_equal(kept, before), "it wrote over pixels that were handed out"


def test_codings_and_missing_ends_are_left_to_pillow(tmp_path, decoders, name, ran):
    seen = []
    real = _library(name).run
    ran(lambda self, encoded, batch: seen.append((len(encoded), batch)) or real(self, encoded, batch))
    content = encoded("jpeg")
    lossless = content.replace(b"\xff\xc0", b"\xff\xc3")
    decoded = decoders[0].decode(written(tmp_path, [content, lossless, content + bytes(100)]))
    assert seen == [(1, 3)], "what is built is built for all files of a batch"
    assert decoded.indices == [0, 2]
    assert decoded.failures[0][1].status is Status.CORRUPT


def test_limits_and_wrong_options(tmp_path, name):
    (path,) = written(tmp_path, [encoded("jpeg")])
    with open_decoder(name, SIDE, 1, max_pixels=FACE.size[0] * FACE.size[1] - 1) as decoder:
        ((_, error),) = decoder.decode([path]).failures
    assert error.status is Status.TOO_LARGE
    with pytest.raises(ValueError, match="image_size must be at least 1"):
        open_decoder(name, 0)
    with pytest.raises(FerFastError, match=r"device 'cuda:7' is not there: torch \S+ sees \d+ CUDA cards"):
        open_decoder(name, SIDE, device="cuda:7")


def test_without_the_library_the_error_says_what_to_install(monkeypatch, name):
    module = LIBRARY_MODULES[name][-1]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        MissingExtraError,
        match=rf"decoder '{name}' needs {module}, which .*: pip install 'fer-fast\[cuda\]'",
    ):
        open_decoder(name, SIDE)


def test_a_library_that_decodes_nothing_is_told_of(tmp_path, name, ran, caplog):
    def broken(*_):
        raise RuntimeError(f"Critical error in {'x' * 300}:\n\nencountered:\n\nno memory")

    with open_decoder(name, SIDE, 1) as decoder:
        ran(broken)
        decoded = decoder.decode(written(tmp_path, [encoded("jpeg")] * 3))
    assert decoded.indices == [0, 1, 2]
    assert f"{_library(name).title} decodes none of 3 images that Pillow decodes: no memory" in caplog.text


def test_a_library_that_does_not_decode_is_not_opened(name, ran, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("Critical error: encountered: no kernel image")

    ran(broken)
    title = _library(name).title
    with pytest.raises(FerFastError, match=f"{title} does not decode on cpu: no kernel image"):
        open_decoder(name, SIDE)
    monkeypatch.setattr("fer_fast.decode.nvidia.torch_device", lambda _: "cpu")
    monkeypatch.setattr("fer_fast.decode.choice.is_installed", lambda module: module in LIBRARY_MODULES[name])
    with open_decoder("auto", SIDE, device="cuda:0") as decoder:
        assert decoder.name == "pillow"
    assert f"Pillow decodes: {title} does not decode on cuda:0" in caplog.text


def test_the_next_library_decodes_where_the_fastest_no_longer_opens(name, monkeypatch, caplog):
    (other,) = set(LIBRARY_MODULES) - {name}
    monkeypatch.setattr("fer_fast.decode.choice.is_installed", lambda _: True)
    monkeypatch.setattr("fer_fast.decode.choice._ranked", lambda *_: ([name, other], "they were measured"))

    def opened(found, **_):
        if found == name:
            raise FerFastError(f"{name} is of no use today")
        return open_decoder("pillow", SIDE)

    monkeypatch.setattr("fer_fast.decode.choice._by_library", opened)
    caplog.set_level("INFO")
    with open_decoder("auto", SIDE, device="cuda:0") as decoder:
        assert decoder.why == "they were measured"
    assert f"decoder auto leaves out: {name} is of no use today" in caplog.messages
    assert f"{other} decodes: they were measured" in caplog.messages


def test_an_unforeseen_error_reaches_the_caller(tmp_path, name, monkeypatch):
    def broken(*_):
        raise KeyError("lost")

    monkeypatch.setattr(nvidia, "_merged", broken)
    with open_decoder(name, SIDE, 1) as decoder, pytest.raises(FerFastError, match="the decoder failed: 'lost'"):
        decoder.decode(written(tmp_path, [encoded("jpeg")]))


def test_closing_answers_what_was_asked_and_nothing_more_is_taken(tmp_path, name, monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr(nvidia.NvidiaBatch, "read", lambda *_: gate.wait(60))
    paths = written(tmp_path, [encoded("jpeg")])
    decoder = open_decoder(name, SIDE, 1)
    futures = [decoder.submit(paths) for _ in range(3)]
    decoder.close()
    for future in futures:
        with pytest.raises(FerFastError, match="the decoder is closed"):
            future.result(timeout=10)
    gate.set()
    with pytest.raises(FerFastError, match="the decoder is closed"):
        decoder.submit(paths)
    decoder.close()


def test_a_forked_child_is_refused(name):
    code = """
import os, sys
from fer_fast.decode import nvidia, open_decoder
from fer_fast.decode.choice import LIBRARIES as LIBRARY_MODULES
from fer_fast.decode.choice import _library
from fer_fast.types import FerFastError
decoder = open_decoder(sys.argv[1], 24, 1)
decoder.decode(["/nowhere"])
if not os.fork():
    try:
        decoder.submit(["/nowhere"])
    except FerFastError as error:
        print(error, flush=True)
    decoder.close()
    os._exit(0)
os.wait()
decoder.close()
"""
    ran = subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True, timeout=60)
    assert "a forked process opens its own" in ran.stdout, ran.stderr


def test_a_card_that_is_not_there_closes_the_others(name, monkeypatch):
    opened = []

    def second_fails(self, *given, right=nvidia.NvidiaDecoder.__init__, **options):
        if opened:
            raise FerFastError("no second card")
        opened.append(self)
        right(self, *given, **options)

    monkeypatch.setattr(nvidia.NvidiaDecoder, "__init__", second_fails)
    with pytest.raises(FerFastError, match="no second card"):
        open_decoder(name, SIDE, 1, device="cpu,cpu")
    assert opened[0]._pending.closed


@pytest.mark.needs_cuda
def test_on_a_card(tmp_path, decoders, name):
    """nvJPEG's inverse transform and chroma round otherwise than libjpeg's: a few grey levels, not more."""
    bad = encoded("jpeg")[: len(encoded("jpeg")) * 2 // 3]
    kinds = [kind for kind in FILES for _ in range(3)]
    paths = written(tmp_path, [*(encoded(kind) for kind in kinds), bad, b""])
    theirs = decoders[1].decode(paths)
    with open_decoder(name, SIDE, 2, device="cuda:0") as decoder:
        found = [future.result() for future in [decoder.submit(paths) for _ in range(8)]]
    for ours in found:
        assert ours.pixels.is_cuda
        assert ours.indices == theirs.indices
        assert [(place, error.status) for place, error in ours.failures] == [
            (place, error.status) for place, error in theirs.failures
        ]
        assert np.abs(ours.on_host().astype(int) - theirs.pixels).mean(axis=(1, 2, 3)).max() < 2


@pytest.mark.needs_torch
def test_a_classifier_takes_its_pixels(tmp_path, name):
    from fer_fast.models.files.storage import save_model

    save_model(random_model(tiny_config(sources=("image", "FM1"))), tmp_path / "model.safetensors")
    paths = written(tmp_path, [encoded(name) for name in ("jpeg", "png", "webp")])
    answers = []
    for decoder in (name, "pillow"):
        with Classifier(tmp_path / "model.safetensors", engine="torch", device="cpu", decoder=decoder) as classifier:
            assert classifier.describe()["decoder"] == decoder
            assert "decoder_why" not in classifier.describe()
            classifier.decoder.why = "it is the fastest"
            assert classifier.describe()["decoder_why"] == "it is the fastest"
            answers.append([prediction.probabilities for prediction in classifier.predict(paths)])
    np.testing.assert_allclose(*answers, atol=0.02)

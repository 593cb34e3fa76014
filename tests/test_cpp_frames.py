"""Frames in C++: faces cut by the caller's boxes, as Python cuts them; cameras' formats, as RGB."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from cpp_programs import (
    RESIZING,
    RGB,
    answers_of,
    assert_same,
    compiled,
    found_by,
    odd_images,
    python_answers,
    run,
    write_images,
)
from tiny_models import random_model, tiny_config

from fer_fast import _C
from fer_fast.bench.portraits import photo_with_faces
from fer_fast.export import export_model
from fer_fast.models.files.storage import save_model

SIDE = 64  # of the model
#: Within frames of 100 pixels or more, over their edges, outside of them; of a pixel's part, larger than the frame.
BOXES = np.array(
    [
        *((10, 20, 30, 40), (0, 0, 64, 64), (60.5, 70.25, 20, 19)),
        *((-20, -10, 60, 60), (80, 90, 300, 100), (-500, 3, 40, 40), (7, 7, 0.3, 0.2), (-300, -300, 2000, 2000)),
    ],
    np.float32,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small checkpoint's export, with the checkpoint beside it."""
    folder = tmp_path_factory.mktemp("model")
    save_model(random_model(tiny_config(sources=("image", "FM1"))), folder / "model.safetensors")
    export_model(folder / "model.safetensors", "openvino", folder / "model.xml", batch_size=5)
    return folder / "model.xml"


def test_boxes_are_cut_as_python_cuts_them(consumer, model, tmp_path):
    given, plain = odd_images(8, 300, least=100)
    write_images(tmp_path / "frames.bin", given)
    BOXES.tofile(tmp_path / "boxes.bin")
    run(consumer / "boxes", model, tmp_path / "frames.bin", tmp_path / "boxes.bin", tmp_path / "out.bin", timeout=300)
    rows = np.pad(BOXES, ((0, 0), (0, 10)))
    matrices = _C.crop_matrices(rows, "box", SIDE)
    colours = [np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3))) for array in plain]
    crops = [crop for array in colours for crop in _C.crop_faces(array, matrices, SIDE)]
    found = np.fromfile(tmp_path / "out.bin", np.float32).reshape(len(crops), -1)
    assert_same(found, python_answers(model.with_suffix(".safetensors"), crops))


NV12, I420, YUYV = 4, 5, 6
#: Of red and blue in the brightness, by a YuvMatrix: ITU-R BT.601-7 and BT.709-6, section 3.
SHARES = {1: (0.299, 0.114), 2: (0.2126, 0.0722)}
LIMITED, FULL = 1, 2


def equations(matrix, full):
    """RGB of 0 to 255 becomes Y, U, V: the matrix, and what is added."""
    red, blue = SHARES[matrix]
    bright = np.array([red, 1 - red - blue, blue])
    u, v = (np.eye(3)[2] - bright) / (2 * (1 - blue)), (np.eye(3)[0] - bright) / (2 * (1 - red))
    scales = np.array([[1.0], [1], [1]] if full else [[219 / 255], [224 / 255], [224 / 255]])
    return np.stack([bright, u, v]) * scales, np.array([0 if full else 16, 128, 128])


def rgb_of(y, u, v, matrix, full):
    factors, added = equations(matrix, full)
    yuv = np.stack([y, *(np.kron(plane, np.ones((y.shape[0] // plane.shape[0], 2))) for plane in (u, v))], axis=-1)
    return np.clip((yuv - added) @ np.linalg.inv(factors).T, 0, 255)


def padded(rows, gap):
    return np.pad(rows, ((0, 0), (0, gap)), constant_values=99)


def write_frames(path, frames):
    """Planes, with a format, a matrix, a range and the bytes that follow each row."""
    with path.open("wb") as file:
        for (y, u, v), format, matrix, full, gap in frames:
            rows = {
                NV12: lambda y=y, u=u, v=v: (y, np.stack([u, v], axis=-1).reshape(len(u), -1)),
                I420: lambda y=y, u=u, v=v: (y, u, v),
                YUYV: lambda y=y, u=u, v=v: (np.stack([y[:, ::2], u, y[:, 1::2], v], axis=-1).reshape(len(y), -1),),
            }[format]()
            gaps = (gap, gap // 2, gap // 2) if format == I420 else (gap, gap)
            data = b"".join(padded(plane, more).tobytes() for plane, more in zip(rows, gaps, strict=False))
            data = data[: len(data) - gaps[len(rows) - 1]]
            stride = rows[0].shape[1] + gap if gap else 0
            code = format | matrix << 8 | (FULL if full else LIMITED) << 16
            file.write(struct.pack("<5q", y.shape[1], y.shape[0], stride, code, len(data)) + data)


def camera_frames(seed=6):
    """Every byte there is, in each format, by each matrix and range, with and without gaps."""
    rng = np.random.default_rng(seed)
    for format in (NV12, I420, YUYV):
        for matrix in SHARES:
            for full in (False, True):
                height, width = (2 * int(half) for half in rng.integers(1, 90, 2))
                rows = height if format == YUYV else height // 2
                planes = [
                    rng.integers(0, 256, shape, np.uint8) for shape in ((height, width), *[(rows, width // 2)] * 2)
                ]
                yield planes, format, matrix, full, 2 * int(rng.integers(0, 20))


@pytest.fixture(scope="module")
def converted(prefix, tmp_path_factory):
    """Writes frames as RGB, each in its own size, as the library reads them."""
    folder = tmp_path_factory.mktemp("resize")
    program = compiled("resize", folder / "resize", prefix, RESIZING, "-O2", "-fsanitize=address,undefined")

    def convert(frames):
        found = []
        for frame in frames:
            write_frames(folder / "frame.bin", [frame])
            height, width = frame[0][0].shape
            run(program, width, height, folder / "frame.bin", folder / "out.bin")
            found.append(np.fromfile(folder / "out.bin", np.uint8).reshape(height, width, 3))
        return found

    return convert


def test_cameras_formats_are_rgb_to_two_grey_levels(converted):
    frames = list(camera_frames())
    for (planes, *kind, gap), found in zip(frames, converted(frames), strict=True):
        assert np.abs(found - rgb_of(*planes, *kind[1:])).max() <= 2, (kind, gap)


def test_cameras_frames_give_the_answers_of_their_rgb(converted, consumer, model, tmp_path):
    """Whole, by boxes, and by a finder."""
    frames = list(camera_frames(seed=8))
    rgb = [(array, RGB, 0) for array in converted(frames)]
    wanted, _ = answers_of(consumer / "classify", model, rgb, tmp_path)
    write_frames(tmp_path / "frames.bin", frames)
    run(consumer / "classify", model, tmp_path / "frames.bin", tmp_path / "out.bin")
    np.testing.assert_array_equal(np.fromfile(tmp_path / "out.bin", np.float32), wanted.ravel())
    BOXES.tofile(tmp_path / "boxes.bin")
    found = []
    for write, images in ((write_images, rgb), (write_frames, frames)):
        write(tmp_path / "frames.bin", images)
        run(consumer / "boxes", model, tmp_path / "frames.bin", tmp_path / "boxes.bin", tmp_path / "out.bin")
        found.append(np.fromfile(tmp_path / "out.bin", np.float32))
    assert len(found[0]) == len(frames) * len(BOXES) * 8
    np.testing.assert_allclose(found[1], found[0], rtol=0, atol=1e-3)


def test_faces_are_found_in_cameras_frames(converted, consumer, model, tmp_path):
    export_model("finder", "openvino", tmp_path / "finder.xml")
    drawn = np.asarray(photo_with_faces(np.random.default_rng(3), (640, 480), 3)[0])
    frames = []
    for matrix, full, format in ((1, False, NV12), (2, True, I420), (1, True, YUYV)):
        factors, added = equations(matrix, full)
        yuv = np.round(drawn @ factors.T + added).astype(np.uint8)
        down = 1 if format == YUYV else 2
        planes = [yuv[:, :, 0], *(yuv[::down, ::2, channel] for channel in (1, 2))]
        frames.append((planes, format, matrix, full, 0))
    rgb = [(array, RGB, 0) for array in converted(frames)]
    wanted, _ = found_by(consumer / "find", tmp_path / "finder.xml", model, rgb, tmp_path)
    assert [len(faces) for faces in wanted] == [3, 3, 3]
    found, _ = found_by(consumer / "find", tmp_path / "finder.xml", model, frames, tmp_path, write=write_frames)
    np.testing.assert_allclose(np.stack(found), np.stack(wanted), rtol=0, atol=2e-3)

"""Compiled models on disk: when one is used again, when it must not be, and what happens to damaged ones."""

from __future__ import annotations

import io
import logging
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
from openvino import opset13 as ops
from tiny_models import faces, save_image_model

from fer_fast.engines import open_engine
from fer_fast.engines import openvino as openvino_engine
from fer_fast.engines.openvino import OpenVinoEngine
from fer_fast.machine import cache
from fer_fast.models.files.checkpoint import Checkpoint, read_checkpoint


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FER_FAST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return make_checkpoint(tmp_path_factory.mktemp("model") / "m.safetensors", seed=0)


def make_checkpoint(path: Path, seed: int) -> Checkpoint:
    save_image_model(path, seed=seed)
    return read_checkpoint(path)


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Puts the sum of the pixels in the model's place, which compiles at once; its length counts conversions."""
    made: list[int] = []

    def convert(checkpoint: Checkpoint, batch_size: int, **_: Any) -> openvino.Model:
        made.append(batch_size)
        side = checkpoint.config.image_size
        images = ops.parameter([openvino.Dimension(1, batch_size), side, side, 3], np.uint8)
        pixels = ops.reshape(ops.convert(images, np.float32), np.array([0, -1]), special_zero=True)
        return openvino.Model([ops.reduce_sum(pixels, np.array([1]), keep_dims=True)], [images])

    monkeypatch.setattr(openvino_engine, "laid", convert)
    return made


def opened(checkpoint: Checkpoint, precision: str = "fp32", batch_size: int = 4) -> OpenVinoEngine:
    engine = open_engine(checkpoint, engine="openvino", precision=precision, batch_size=batch_size)
    assert isinstance(engine, OpenVinoEngine)
    images = faces(2, 8)
    # Sums of 192 pixels up to 255: bf16 keeps 8 bits of them.
    np.testing.assert_allclose(engine.infer(images)[:, 0], images.sum(axis=(1, 2, 3)), rtol=2**-7)
    return engine


def test_stored_then_hit(checkpoint: Checkpoint, folder: Path, conversions: list[int]) -> None:
    assert [opened(checkpoint).describe()["cache"] for _ in range(3)] == ["stored", "hit", "hit"]
    assert len(conversions) == 1
    (blob,) = folder.iterdir()
    assert blob.name.startswith("openvino-") and blob.suffix == ".blob"


def test_another_model_is_compiled_anew(
    checkpoint: Checkpoint, folder: Path, conversions: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(checkpoint)
    opened(make_checkpoint(tmp_path / "other.safetensors", seed=1))
    opened(checkpoint, batch_size=5)
    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        opened(checkpoint, precision="bf16")
    else:
        conversions.append(0)
    monkeypatch.setattr(openvino_engine, "GRAPH_VERSION", 1_000_000)
    opened(checkpoint)
    monkeypatch.setattr(openvino, "__version__", "2042.1")
    opened(checkpoint)
    assert len(conversions) == 6
    monkeypatch.undo()


def test_damaged_blob_is_made_again(
    checkpoint: Checkpoint, folder: Path, conversions: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    opened(checkpoint)
    (blob,) = folder.iterdir()
    whole = blob.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for damaged in (bytes(flipped), whole[:-1], whole[:10], b""):
        blob.write_bytes(damaged)
        with caplog.at_level(logging.WARNING, "fer_fast"):
            assert opened(checkpoint).cache == "stored"
        assert f"compiled model {blob} is damaged" in caplog.text
        caplog.clear()
    assert opened(checkpoint).cache == "hit"


def test_whole_blob_that_openvino_refuses_is_made_again(
    checkpoint: Checkpoint, folder: Path, conversions: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    opened(checkpoint)
    (blob,) = folder.iterdir()
    cache._write(blob, cache._digest(b"no model") + b"no model")
    with caplog.at_level(logging.WARNING, "fer_fast"):
        assert opened(checkpoint).cache == "stored"
    assert f"compiled model {blob} cannot be used" in caplog.text


def test_unwritable_cache_is_told_and_costs_nothing_else(
    checkpoint: Checkpoint, folder: Path, conversions: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    folder.write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING, "fer_fast"):
        assert opened(checkpoint).describe()["cache"] == "not stored: File exists"
        opened(checkpoint, batch_size=3)  # which is said once
    assert [record.getMessage().rpartition(" cannot")[2] for record in caplog.records] == [
        " be kept, and must be made again at each start: File exists"
    ]


def test_interrupted_store_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    assert cache.Place("openvino", {}).store(b"compiled") == "not stored: No space left on device"
    assert not list(folder.iterdir())


def test_place_of_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FER_FAST_CACHE", str(tmp_path / "mine"))
    assert cache.cache_folder() == tmp_path / "mine"
    monkeypatch.delenv("FER_FAST_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.cache_folder() == tmp_path / "xdg" / "fer_fast"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / ".cache" / "fer_fast"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert cache.cache_folder() == tmp_path / ".cache" / "fer_fast"
    monkeypatch.setenv("HOME", "not/absolute")
    with pytest.raises(RuntimeError, match="HOME must be an absolute path, not 'not/absolute'"):
        cache.cache_folder()


def test_hit_gives_the_same_logits_without_torch(checkpoint: Checkpoint, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    assert make_checkpoint(path, seed=0).digest == checkpoint.digest
    code = (
        "import sys, numpy; from fer_fast.classifier import Classifier; "
        "pixels = numpy.arange(2 * 8 * 8 * 3, dtype=numpy.uint8).reshape(2, 8, 8, 3); "
        f"ran = Classifier({str(path)!r}, device='cpu', precision='fp32', batch_size=2); "
        "print(ran.describe()['cache'], 'torch' in sys.modules, ran.predict_batch(pixels).tobytes().hex())"
    )
    environment = {**os.environ, "FER_FAST_CACHE": str(folder)}
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
        for _ in range(2)
    ]
    first, second = (run.stdout.split() for run in runs)
    assert first[:2] == ["stored", "False"]
    assert second[:2] == ["hit", "False"]
    assert first[2] == second[2]


def place(number: int = 0) -> cache.Place:
    return cache.Place("openvino", {"number": number})


def file_of(each: cache.Place) -> Path:
    assert each.file is not None
    return each.file


def test_a_disk_that_gives_a_little_at_a_time_is_read_to_the_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(io.FileIO):
        def readinto(self, buffer: Any) -> int:
            return super().readinto(memoryview(buffer)[:7]) or 0

    def opened(path: Path, mode: str, buffering: int = -1) -> Any:
        return io.BufferedReader(Slow(path)) if buffering else Slow(path)

    compiled = bytes(range(256)) * 100
    assert place().store(compiled) == "stored"
    monkeypatch.setattr(Path, "open", opened)
    assert place().fetch() == compiled


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_others_may_read_what_the_umask_allows(folder: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        assert place().store(b"compiled") == "stored"
    finally:
        os.umask(before)
    assert stat.S_IMODE(file_of(place()).stat().st_mode) == mode


def test_another_version_of_this_package_has_a_place_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = place().file
    monkeypatch.setattr(cache, "__version__", "0.0.1")
    assert place().file != before


def test_what_was_used_longest_ago_makes_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_FAST_CACHE_MB", "1")
    for number in range(3):
        place(number).store(bytes(300_000))
        os.utime(file_of(place(number)), (number, number))
    stranger = folder / "somebody-else.blob"
    stranger.write_bytes(bytes(900_000))
    os.utime(stranger, (0, 0))
    assert place(0).fetch() == bytes(300_000), "a hit makes it the newest"
    place(3).store(bytes(300_000))
    assert [place(number).fetch() is not None for number in range(4)] == [True, False, True, True]
    assert stranger.exists(), "only what is ours is removed"
    place(4).store(bytes(999_000))
    assert sorted(folder.iterdir()) == sorted([file_of(place(4)), stranger])


def test_what_is_larger_than_the_cache_is_told_and_removes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    place(0).store(b"small")
    monkeypatch.setenv("FER_FAST_CACHE_MB", "1")
    assert place(1).store(bytes(1_500_000)) == "not stored: its 1.5 MB are more than FER_FAST_CACHE_MB allows"
    assert place(0).fetch() == b"small" and len(caplog.records) == 1


@pytest.mark.parametrize("limit", ["2 GB", "-1", "1.5", "\u0662"])
def test_a_limit_that_is_no_number(folder: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setenv("FER_FAST_CACHE_MB", limit)
    with pytest.raises(ValueError, match="FER_FAST_CACHE_MB must be a whole number of megabytes, not "):
        place()


def test_what_killed_processes_left_is_removed_and_what_others_write_is_not(folder: Path) -> None:
    code = (
        "import os, signal; from pathlib import Path; from fer_fast.machine.cache import Place; "
        "Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL); Place('openvino', {}).store(b'compiled')"
    )
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code], env={**os.environ, "FER_FAST_CACHE": str(folder)}, check=False)
    left, written_now = folder.iterdir()
    os.utime(left, (0, 0))
    assert place(1).store(b"compiled") == "stored"
    assert set(folder.iterdir()) == {written_now, file_of(place(1))}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become two other users")
@pytest.mark.parametrize(
    ("folder_mode", "first", "second"),
    [
        (0o777, "os.umask(0o022); print(place.store(b'first'))", "stored first"),
        (0o777, "os.umask(0o077); print(place.store(b'first'))", "stored Permission denied"),
        (0o1777, "print(place.store(b'first')); place.file.write_bytes(b'damaged')", "stored Operation not permitted"),
        (0o755, "print('nothing')", "nothing Permission denied"),
    ],
    ids=["shared", "unreadable", "sticky", "read-only"],
)
def test_two_users_of_one_folder(folder_mode: int, first: str, second: str) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # pytest's own folders are root's alone
        Path(name).chmod(0o755)
        shared = Path(name) / "shared"
        shared.mkdir()
        shared.chmod(folder_mode)
        then = (
            "found = place.fetch(); told = str(found, 'ascii') if found else place.store(b'second'); "
            "print(told.replace('not stored: ', '').replace('it cannot be read: ', ''))"
        )
        said, logged = zip(
            *(as_user(user, code, shared) for user, code in ((12345, first), (12346, then))), strict=True
        )
        assert " ".join(said) == second
        lines = [line for line in logged[1].splitlines() if "at each start" in line]
        assert len(lines) == (0 if second == "stored first" else 1)
        assert all(str(shared) in line for line in lines)


def as_user(user: int, code: str, folder: Path) -> tuple[str, str]:
    """What a process of another user prints, and what it logs."""
    head = (
        "import os; from fer_fast.machine.cache import Place; import logging; logging.basicConfig(); "
        f"os.setgid({user}); os.setuid({user}); place = Place('openvino', {{}}); "
    )
    done = subprocess.run(
        [sys.executable, "-c", head + code],
        env={**os.environ, "FER_FAST_CACHE": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr

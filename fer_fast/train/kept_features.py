"""What a frozen backbone gives of every face, computed once into a file that any number of runs may read."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fer_fast.datasets.resized import as_pixels
from fer_fast.engines.openvino_graph import CompiledGraph, compile_options, has_bf16, openvino_core
from fer_fast.engines.openvino_layers import laid_features
from fer_fast.models.files.storage import checkpoint_of
from fer_fast.models.network import Network
from fer_fast.train.record import keep, room
from fer_fast.types import FerFastError

log = logging.getLogger(__name__)

_BATCH = 32
#: Batches between two notes of how far it is.
_NOTED = 32


class KeptFeatures:
    """Features of a set of faces, fp16 on the disk; a computation that was stopped goes on.

    Args:
        folder: where they are, or are to be.
        faces: uint8 [images, channels, height, width].
        model: whose frozen backbone and image size are used, see `Recipe.check_keeps_features`.

    Raises:
        ValueError: the folder holds what is of another size, other weights or other faces.
        FerFastError: they cannot be written.
    """

    def __init__(self, folder: Path, faces: Tensor, model: Network) -> None:
        file, note = folder / "features.npy", folder / "about.json"
        about = _about(faces, model)
        try:
            with _alone(folder):
                done = _done(note, about) if file.is_file() else 0
                if done < len(faces):
                    _compute(file, note, about, done, faces, model)
        except OSError as error:
            raise FerFastError(f"features {str(folder)!r} cannot be written: {error}") from error
        self._values = _opened(file, len(faces), "r")

    def __len__(self) -> int:
        return len(self._values)

    def __call__(self, chosen: Tensor) -> Tensor:
        """Those of some faces, float32 [batch, ...], by their places, int64 [batch]."""
        return torch.from_numpy(self._values[chosen.numpy()]).float()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Waits for another run that computes them."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("another run computes the features in %r: waiting for it", str(folder))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _about(faces: Tensor, model: Network) -> dict[str, str | int]:
    """What features are of."""
    assert model.backbone is not None
    weights = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(model.backbone.state_dict().items()):
        if tensor.is_floating_point():
            weights.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    config = model.config
    seen = [config.architecture, config.colour, config.mean, config.std, weights.hexdigest()]
    pixels = hashlib.blake2b(faces.contiguous().numpy().tobytes(), digest_size=16)
    return {
        "size": f"{config.image_size} px",
        "weights": hashlib.blake2b(str(seen).encode(), digest_size=16).hexdigest(),
        "faces": f"{len(faces)} {pixels.hexdigest()}",
    }


def _done(note: Path, about: dict[str, str | int]) -> int:
    """How many faces' features are there."""
    if not note.is_file():
        return 0
    try:
        found = json.loads(note.read_text())
        done = int(found["done"])
    except (ValueError, TypeError, LookupError) as error:
        raise _damaged(note, error) from error
    for name, value in about.items():
        if found.get(name) != value:
            said = f"{found.get(name)}, not {value}" if name == "size" else "others"
            raise ValueError(f"features must be a new folder: {str(note.parent)!r} holds those of other {name}: {said}")
    return done


def _opened(file: Path, faces: int, mode: Literal["r", "r+"]) -> npt.NDArray[np.float16]:
    """What was computed, on the disk."""
    try:
        values = np.load(file, mmap_mode=mode)
    except (ValueError, EOFError) as error:
        raise _damaged(file, error) from error
    if values.dtype != np.float16 or len(values) != faces:
        raise _damaged(file, f"it must have {faces} rows in float16, not {len(values)} in {values.dtype}")
    return values  # type: ignore[no-any-return]


def _damaged(file: Path, why: object) -> ValueError:
    return ValueError(f"features must be a new folder, or whole: {str(file)!r} is damaged: {why}")


def _compute(file: Path, note: Path, about: dict[str, str | int], done: int, faces: Tensor, model: Network) -> None:
    core = openvino_core()
    precision = "bf16" if has_bf16(core) else "fp32"
    log.info("computing the features of %d faces in %s; that is done once", len(faces) - done, precision)
    checkpoint, size = checkpoint_of(model), model.config.image_size
    graph = CompiledGraph(
        core.compile_model(laid_features(checkpoint, _BATCH), "CPU", compile_options(core, precision))
    )
    values = _opened(file, len(faces), "r+") if done else None
    for number, start in enumerate(range(done, len(faces), _BATCH), 1):
        found = graph([as_pixels(faces[start : start + _BATCH], size).numpy()])[0]
        if values is None:
            values = room(file, (len(faces), *found.shape[1:]))
        values[start : start + len(found)] = found
        stop = start + len(found)
        if number % _NOTED == 0 or stop == len(faces):
            values.flush()  # type: ignore[attr-defined]
            keep(note, json.dumps({**about, "precision": precision, "done": stop}).encode())

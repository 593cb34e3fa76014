"""A finder's checkpoint comes in, OpenCV's FaceDetectorYN with the same weights goes out: what one would use instead.

OpenCV reads YuNet from ONNX with twelve outputs; its arithmetic around them is that of `faces/cells.py`.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from fer_fast.faces.cells import OVERLAP
from fer_fast.models.files.storage import build_finder
from fer_fast.models.finder.config import HEADS, STRIDES

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from fer_fast.models.files.checkpoint import FinderCheckpoint

#: What OpenCV calls the outputs, in the order of `HEADS`.
_NAMES = ("cls", "obj", "bbox", "kps")
#: The sides that are written in the file; OpenCV takes others, too.
_SIDE = 640
#: Boxes that OpenCV compares with one another.
_MOST = 5000


class _TwelveOutputs(nn.Module):
    """Float [1, 3, height, width], BGR of 0 to 255, to [1, cells, columns] of each head at each stride."""

    def __init__(self, checkpoint: FinderCheckpoint) -> None:
        super().__init__()
        self.network = build_finder(checkpoint)
        self.network.stem.weight.data = self.network.stem.weight.data.flip(1)  # RGB to BGR

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        raw = self.network.raw(images.permute(0, 2, 3, 1))
        found, first = [], 0
        for _, width in HEADS:
            for cells in raw:
                columns = cells[:, first : first + width].flatten(2).transpose(1, 2)
                found.append(columns.sigmoid() if width == 1 else columns)
            first += width
        return tuple(found)


def yunet_onnx(checkpoint: FinderCheckpoint) -> bytes:
    """A finder as the file that FaceDetectorYN reads."""
    file: Any = io.BytesIO()
    names = [f"{name}_{stride}" for name in _NAMES for stride in STRIDES]
    example = torch.zeros(1, 3, _SIDE, _SIDE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the newer exporter needs packages that are not here
        torch.onnx.export(
            _TwelveOutputs(checkpoint).eval(), (example,), file, dynamo=False, input_names=["input"], output_names=names
        )
    return bytes(file.getvalue())


def opencv_finder(
    checkpoint: FinderCheckpoint, score: float
) -> Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]:
    """FaceDetectorYN as a function like `FaceFinder.find_in`; one call at a time.

    Raises:
        ImportError: OpenCV is not installed.
    """
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # it warns of a choice that is its own
    model: Any = np.frombuffer(yunet_onnx(checkpoint), np.uint8)
    detector = cv2.FaceDetectorYN.create("onnx", model, np.empty(0, np.uint8), (_SIDE, _SIDE), score, OVERLAP, _MOST)

    def find_in(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        height, width = pixels.shape[:2]
        detector.setInputSize((width, height))
        _, faces = detector.detect(pixels[..., ::-1])
        return np.empty((0, 15), np.float32) if faces is None else np.asarray(faces, np.float32)

    return find_in

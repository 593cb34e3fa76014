"""Handcrafted features of faces, HOG, LBP and Gabor, on a grid of cells; computed once and kept in the run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from fer_fast.datasets.resized import resized
from fer_fast.machine.extras import need
from fer_fast.models.config import LUMA
from fer_fast.train.faces import Faces
from fer_fast.train.record import keep_tensor, kept_tensor

#: Pixels of a face's side, and cells.
SIDE, GRID = 48, 6
_CELL = SIDE // GRID
_ORIENTATIONS = 9
_NEIGHBOURS = 8  # of a pixel, at a distance of 1
_FREQUENCIES, _DIRECTIONS = (0.125, 0.25), 4  # Gabor's, in periods a pixel

Grey = npt.NDArray[np.float64]


def described(train: Faces, features: Iterable[str], cache: Path) -> dict[str, Tensor]:
    """What handcrafted features say of each face, as it is.

    Args:
        train: faces to learn from.
        features: out of `FEATURES`.
        cache: beside this name they are kept, a file a feature, or are taken from there.

    Returns:
        By name float16 [images, channels, GRID, GRID]; over all images and cells each channel has mean 0 and
        deviation 1, or is 0 where it is the same everywhere.

    Raises:
        MissingExtraError: scikit-image is not installed.
        FerFastError: the cache cannot be written.
    """
    need("feature_loss", "features")
    digest = hashlib.blake2b(train.pixels.numpy().tobytes(), digest_size=16).hexdigest()
    found = {}
    for name in features:
        file, about = cache.with_name(f"{cache.stem}-{name}{cache.suffix}"), {"feature": name, "faces": digest}
        kept = kept_tensor(file, "features", about)
        if kept is None:
            kept = _standard(torch.cat([FEATURES[name](_grey(part)) for part in torch.split(train.pixels, 256)])).half()
            keep_tensor(file, "features", kept, about)
        found[name] = kept
    return found


def _hog(faces: Grey) -> Tensor:
    """Histograms of oriented gradients (Dalal & Triggs 2005), each cell normalised by itself: 9 channels."""
    from skimage.feature import hog

    cells = (_CELL, _CELL)
    found = [hog(face, _ORIENTATIONS, cells, (1, 1), feature_vector=False)[:, :, 0, 0] for face in faces]
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).float()


def _lbp(faces: Grey) -> Tensor:
    """Shares of the uniform local binary patterns (Ojala et al. 2002), at distance 1: 10 channels."""
    from skimage.feature import local_binary_pattern

    levels = faces.astype(np.uint8)
    codes = np.stack([local_binary_pattern(face, _NEIGHBOURS, 1, "uniform") for face in levels])  # type: ignore[no-untyped-call]
    patterns = F.one_hot(torch.from_numpy(codes).long(), _NEIGHBOURS + 2).permute(0, 3, 1, 2)
    return F.avg_pool2d(patterns.float(), _CELL)


def _gabor(faces: Grey) -> Tensor:
    """Mean magnitude of Gabor filters of two frequencies in four directions: 8 channels."""
    from skimage.filters import gabor_kernel

    maps = torch.from_numpy(faces).float()[:, None] / 255
    found = []
    for frequency in _FREQUENCIES:
        for place in range(_DIRECTIONS):
            kernel = torch.from_numpy(gabor_kernel(frequency, np.pi * place / _DIRECTIONS))  # type: ignore[no-untyped-call]
            both = torch.stack([kernel.real, kernel.imag])[:, None].float()  # [2, 1, height, width]
            height, width = kernel.shape
            around = F.pad(maps, (width // 2, width // 2, height // 2, height // 2), mode="reflect")
            found.append(F.conv2d(around, both).square().sum(dim=1).sqrt())
    return F.avg_pool2d(torch.stack(found, dim=1), _CELL)


#: By name: of grey faces [images, SIDE, SIDE], 0 to 255, float32 [images, channels, GRID, GRID].
FEATURES: dict[str, Callable[[Grey], Tensor]] = {"hog": _hog, "lbp": _lbp, "gabor": _gabor}


def _grey(faces: Tensor) -> Grey:
    """Of uint8 [images, channels, height, width], float64 [images, SIDE, SIDE], whole values 0..255."""
    planes = resized(faces, SIDE).double()
    weights = torch.tensor(LUMA if planes.shape[1] == 3 else [1.0], dtype=torch.float64)
    # Whole, as pixels are: HOG would make a direction of what resizing leaves of an even cell.
    found: Grey = (planes * weights.view(1, -1, 1, 1)).sum(dim=1).round().numpy()
    return found


def _standard(features: Tensor) -> Tensor:
    """Each channel of [images, channels, GRID, GRID] with mean 0 and deviation 1."""
    deviation, mean = torch.std_mean(features, dim=(0, 2, 3), keepdim=True, correction=0)
    return (features - mean) / torch.where(deviation > 1e-6, deviation, torch.inf)

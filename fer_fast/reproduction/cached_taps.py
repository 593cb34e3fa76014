"""A frozen backbone's maps FM1..FM4 of every face, computed once into files that several processes may read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fer_fast.datasets.resized import plain
from fer_fast.models.fusion.network import FusionModel
from fer_fast.train.autocast import autocast
from fer_fast.train.record import keep, room

_BATCH = 128


class CachedTaps:
    """The taps of a set of faces, in fp16 files that several processes may read.

    Args:
        folder: where the files are, or are made if it holds none of these faces.
        faces: uint8 [images, channels, height, width].
        model: whose backbone and image size are used; it has every tap that will be asked for.
    """

    def __init__(self, folder: Path, faces: Tensor, model: FusionModel) -> None:
        self.faces, self.size = faces, model.config.image_size
        self._files = {name: folder / f"{name}.npy" for name in model.config.taps}
        done = folder / "complete.json"
        about = json.dumps({"images": len(faces), "size": self.size, "taps": model.config.taps})
        if not done.is_file() or done.read_text() != about:
            folder.mkdir(parents=True, exist_ok=True)
            done.unlink(missing_ok=True)
            self._compute(model)
            keep(done, about.encode())
        self._maps: dict[str, npt.NDArray[np.float16]] = {
            name: np.load(file, mmap_mode="r") for name, file in self._files.items()
        }

    def sources(self, chosen: Tensor, names: tuple[str, ...], device: str = "cpu") -> list[Tensor]:
        """What `FusionModel.sources` would give.

        Args:
            chosen: int64 [batch], places of the faces.
            names: out of image, FM1..FM4, in this order.
            device: where the result goes.

        Returns:
            The image, float [batch, 3, size, size], 0..255, and the maps, float [batch, channels, height, width].
        """
        found = []
        for name in names:
            if name == "image":
                found.append(plain(self.faces[chosen].to(device), self.size))
            else:
                maps = torch.from_numpy(self._maps[name][chosen.numpy()]).to(device)
                found.append(maps.permute(0, 3, 1, 2).float())
        return found

    @torch.no_grad()
    def _compute(self, model: FusionModel) -> None:
        assert model.backbone is not None
        device = next(model.parameters()).device
        files: dict[str, npt.NDArray[np.float16]] = {}
        for start in range(0, len(self.faces), _BATCH):
            images = plain(self.faces[start : start + _BATCH].to(device), self.size)
            with autocast(device):
                maps = model.backbone(model.normalised(images))
            for name, tap in zip(model.config.taps, maps, strict=True):
                values = tap.permute(0, 2, 3, 1).half().cpu().numpy()
                if name not in files:
                    shape = (len(self.faces), *values.shape[1:])
                    files[name] = room(self._files[name], shape)
                files[name][start : start + len(values)] = values
        for file in files.values():
            file.flush()  # type: ignore[attr-defined]

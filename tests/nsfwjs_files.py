"""The npm package nsfwjs, written as it is published, with drawn weights of a small Inception v3."""

from __future__ import annotations

import base64
import io
import tarfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_fast.models.inception.config import InceptionConfig
from fer_fast.models.inception.plan import convolutions

#: Base64's letters of a shard, but for the last one.
SHARD = 1500
_WRAPPED = "!function(a){module.exports=a()}(function(){return{1:[function(a,n,i){n.exports=%s},{}]}});"


class DrawnTensor:
    """Bytes, and how they become numbers: Keras' order of dimensions, `steps * step + least`."""

    def __init__(self, random: np.random.Generator, shape: tuple[int, ...], least: float, most: float) -> None:
        self.steps: npt.NDArray[np.uint8] = random.integers(0, 256, shape, np.uint8)
        self.least, self.step = least, (most - least) / 255

    @property
    def values(self) -> npt.NDArray[np.float64]:
        return self.steps * self.step + self.least

    def said(self, name: str) -> str:
        """As the package's script has it, minified: no zero before a point."""
        least, step = (repr(number).replace("0.", ".", 1) for number in (self.least, self.step))
        shape = ",".join(map(str, self.steps.shape))
        quantised = f'quantization:{{min:{least},scale:{step},dtype:"uint8"}}'
        return f'{{name:"{name}",shape:[{shape}],dtype:"float32",{quantised}}}'


def drawn_tensors(config: InceptionConfig, seed: int = 0) -> dict[str, DrawnTensor]:
    """By Keras' names, norms first, as the file has them, then the classes of its own."""
    random = np.random.default_rng(seed)
    norms: dict[str, DrawnTensor] = {}
    kernels: dict[str, DrawnTensor] = {}
    for number, plan in enumerate(convolutions(config.channels, config.divisor), 1):
        ends = {"beta": (-0.5, 0.7), "moving_mean": (-0.9, 0.6), "moving_variance": (0.2, 0.9)}
        for part, (least, most) in ends.items():
            norms[f"batch_normalization_{number}/{part}"] = DrawnTensor(random, (plan.outputs,), least, most)
        reach = (6 / (plan.inputs * plan.kernel[0] * plan.kernel[1])) ** 0.5
        shape = (*plan.kernel, plan.inputs, plan.outputs)
        kernels[f"conv2d_{number}/kernel"] = DrawnTensor(random, shape, -reach, 0.9 * reach)
    return {**norms, **kernels, "dense_1/kernel": DrawnTensor(random, (config.width, 4), -0.3, 0.2)}


def write_nsfwjs(path: Path, tensors: dict[str, DrawnTensor], left_out: int = 0) -> Path:
    """Writes the archive; the last bytes may be left out."""
    data = b"".join(tensor.steps.tobytes() for tensor in tensors.values())
    text = data[: len(data) - left_out]
    parts = [text[start : start + 4 * SHARD] for start in range(0, len(text), 4 * SHARD)]
    names = [f"group1-shard{number}of{len(parts)}" for number in range(1, len(parts) + 1)]
    said = ",".join(tensor.said(name) for name, tensor in tensors.items())
    quoted = ",".join(f'"{name}"' for name in names)
    manifest = f"{{modelTopology:{{}},weightsManifest:[{{paths:[{quoted}],weights:[{said}]}}]}}"
    with tarfile.open(path, "w:gz") as archive:
        _add(archive, "model", _WRAPPED % manifest)
        for name, part in zip(names, parts, strict=True):
            _add(archive, name, _WRAPPED % f'"{base64.b64encode(part).decode()}"')
    return path


def _add(archive: tarfile.TarFile, name: str, text: str) -> None:
    member = tarfile.TarInfo(f"package/dist/models/inception_v3/{name}.min.js")
    member.size = len(text)
    archive.addfile(member, io.BytesIO(text.encode()))

"""npm's package nsfwjs comes in as it is fetched, an Inception v3 by torchvision's names goes out.

The package (MIT; `npm pack nsfwjs@4.4.0`) carries a Keras Inception v3 that began with ImageNet's weights and was then
trained to tell unsafe pictures, its last layers at least: a stand-in where torchvision's file is not to be had. Its
numbers are bytes, each tensor's with a smallest value and a step of its own, so they are not exact, either. Keras'
layers are numbered in the order of `plan.convolutions`; its norms have no scale. Three dense layers are left out.
"""

from __future__ import annotations

import base64
import binascii
import re
import tarfile
from pathlib import Path

import numpy as np

from fer_fast.models.inception.config import InceptionConfig
from fer_fast.models.inception.plan import convolutions
from fer_fast.models.layers import Array

_FOLDER, _MODEL = "package/dist/models/inception_v3", "model.min.js"
#: How a script says a tensor: its name, its shape, and how its bytes become numbers.
_TENSOR = re.compile(
    r'\{name:"(?P<name>[\w/]+)",shape:\[(?P<shape>[\d,]+)\],dtype:"float32",'
    r'quantization:\{min:(?P<least>[-+.\de]+),scale:(?P<step>[-+.\de]+),dtype:"uint8"\}\}'
)
_SHARDS = re.compile(r'paths:\[("[^\]]+")\]')
_BASE64 = re.compile(r'"([A-Za-z0-9+/=]{1000,})"')


def read_nsfwjs(path: Path, config: InceptionConfig) -> dict[str, Array]:
    """The Inception v3 in `nsfwjs-4.4.0.tgz`.

    Args:
        path: the package's archive, or that of a version that has the same.
        config: a model's; its widths and colour are those of the file, or the file is refused.

    Returns:
        All of `InceptionV3`, float32.

    Raises:
        ValueError: the file cannot be read, is damaged, or is not of this network in these widths.
    """
    tensors = _keras_tensors(path)
    found: dict[str, Array] = {}
    for number, plan in enumerate(convolutions(config.channels, config.divisor), 1):
        norm, ones = f"batch_normalization_{number}", np.ones(plan.outputs, np.float32)
        parts = {
            f"{plan.name}.conv.weight": (f"conv2d_{number}/kernel", (*plan.kernel, plan.inputs, plan.outputs)),
            f"{plan.name}.bn.bias": (f"{norm}/beta", (plan.outputs,)),
            f"{plan.name}.bn.running_mean": (f"{norm}/moving_mean", (plan.outputs,)),
            f"{plan.name}.bn.running_var": (f"{norm}/moving_variance", (plan.outputs,)),
        }
        for name, (keras, shape) in parts.items():
            if keras not in tensors or tensors[keras].shape != shape:
                raise _refused(path, f"{keras} must have the shape {list(shape)}")
            values = tensors[keras]
            found[name] = np.ascontiguousarray(values.transpose(3, 2, 0, 1) if values.ndim == 4 else values)
        found[f"{plan.name}.bn.weight"] = ones
    return found


def _keras_tensors(path: Path) -> dict[str, Array]:
    """All tensors by Keras' names, in Keras' order of dimensions."""
    try:
        with tarfile.open(path) as archive:
            model = _text(archive, _MODEL)
            shards = _SHARDS.search(model)
            names = re.findall(r'"([\w-]+)"', shards[1]) if shards else []
            data = b"".join(_bytes(_text(archive, f"{name}.min.js")) for name in names)
    except (OSError, EOFError, tarfile.TarError, KeyError, UnicodeDecodeError, binascii.Error) as error:
        raise _refused(path, str(error)) from error
    found: dict[str, Array] = {}
    place = 0
    for each in _TENSOR.finditer(model):
        shape = [int(length) for length in each["shape"].split(",")]
        count = int(np.prod(shape))
        if place + count > len(data):
            raise _refused(path, f"it ends in the middle of {each['name']}")
        steps = np.frombuffer(data, np.uint8, count, place).astype(np.float32)
        found[each["name"]] = (steps * np.float32(each["step"]) + np.float32(each["least"])).reshape(shape)
        place += count
    if not found or place != len(data):
        raise _refused(path, f"its tensors take {place} bytes, there are {len(data)}")
    return found


def _text(archive: tarfile.TarFile, name: str) -> str:
    file = archive.extractfile(f"{_FOLDER}/{name}")
    if file is None:
        raise KeyError(f"{name} is no file")
    return file.read().decode()


def _bytes(script: str) -> bytes:
    """What a script has as its one long text."""
    found = _BASE64.search(script)
    return base64.b64decode(found[1], validate=True) if found else b""


def _refused(path: Path, reason: str) -> ValueError:
    return ValueError(
        f"start {str(path)!r} must be the npm package nsfwjs, whole, with an Inception v3 in the model's widths: "
        f"{reason}"
    )

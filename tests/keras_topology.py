"""The network that nsfwjs' script says, run layer by layer as Keras on TensorFlow would: knows nothing of ours."""

from __future__ import annotations

import base64
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


class Topology:
    """The layers and the weights of an archive."""

    def __init__(self, path: Path) -> None:
        with tarfile.open(path) as archive:
            model = _json(_script(archive, "model"))
            group = model["weightsManifest"][0]
            texts = [re.findall(r'"([\w+/=]{1000,})"', _script(archive, name))[0] for name in group["paths"]]
        data, place = b"".join(map(base64.b64decode, texts)), 0
        self.layers = model["modelTopology"]["model_config"]["config"]["layers"]
        self.weights: dict[str, Tensor] = {}
        for each in group["weights"]:
            count, how = int(np.prod(each["shape"])), each["quantization"]
            steps = torch.from_numpy(np.frombuffer(data, np.uint8, count, place).copy())
            self.weights[each["name"]] = (steps * how["scale"] + how["min"]).reshape(each["shape"])
            place += count

    def run(self, pixels: Tensor, until: str) -> Tensor:
        """Pixels [batch, 3, height, width] of -1 to 1 to the output of a layer, [batch, channels, ...]."""
        found: dict[str, Tensor] = {}
        for layer in self.layers:
            name, config = layer["name"], layer["config"]
            before = [found[node[0]] for node in layer["inbound_nodes"][0]] if layer["inbound_nodes"] else [pixels]
            found[name] = self._layer(layer["class_name"], name, config, before)
            if name == until:
                return found[name]
        raise KeyError(until)

    def _layer(self, kind: str, name: str, config: dict[str, Any], before: list[Tensor]) -> Tensor:
        x = before[0]
        if kind == "Conv2D":
            kernel = self.weights[f"{name}/kernel"].permute(3, 2, 0, 1)
            x = _padded(x, config, config["kernel_size"])
            return F.conv2d(x, kernel, stride=config["strides"])
        if kind == "BatchNormalization":
            beta, mean, variance = (
                self.weights[f"{name}/{part}"].view(1, -1, 1, 1) for part in ("beta", "moving_mean", "moving_variance")
            )
            return (x - mean) / torch.sqrt(variance + config["epsilon"]) + beta
        if kind == "AveragePooling2D":  # a sum over what is there, by the count of what is there
            sums, counts = (
                F.avg_pool2d(_padded(each, config, config["pool_size"]), config["pool_size"], config["strides"])
                for each in (x, torch.ones_like(x))
            )
            return sums / counts
        if kind == "MaxPooling2D":
            assert config["padding"] == "valid"
            return F.max_pool2d(x, config["pool_size"], config["strides"])
        if kind == "Concatenate":
            return torch.cat(before, 1)
        if kind == "Activation":
            assert config["activation"] == "relu"
            return F.relu(x)
        assert kind == "InputLayer", kind
        return x


def _padded(x: Tensor, config: dict[str, Any], window: list[int]) -> Tensor:
    """With TensorFlow's zeros: as many as the last window lacks, the odd one behind."""
    if config["padding"] == "valid":
        return x
    pads: list[int] = []
    for length, side, stride in zip(x.shape[:1:-1], window[::-1], config["strides"][::-1], strict=True):
        missing = max((-(-length // stride) - 1) * stride + side - length, 0)
        pads += [missing // 2, missing - missing // 2]
    return F.pad(x, pads)


def _script(archive: tarfile.TarFile, name: str) -> str:
    file = archive.extractfile(f"package/dist/models/inception_v3/{name}.min.js")
    assert file is not None
    return file.read().decode()


def _json(script: str) -> Any:
    """The one object that a minified script exports."""
    text = script[script.index("{modelTopology:") :]
    text = re.sub(r"([{,])(\w+):", r'\1"\2":', text).replace("!0", "true").replace("!1", "false")
    text = re.sub(r"([:\[,])(-?)\.(\d)", r"\1\g<2>0.\3", text)
    return json.JSONDecoder().raw_decode(text)[0]

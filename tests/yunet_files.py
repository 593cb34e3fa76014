"""A finder's weights come in, an ONNX file as YuNet's own goes out: BGR, a head for each kind of answer."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fer_fast.models.finder.config import HEADS, STRIDES

NAMES = ("cls", "obj", "bbox", "kps")


class Writer:
    """Adds nodes one by one; the names of values are numbers, as exporters give them."""

    def __init__(self, tensors):
        self.tensors, self.nodes, self.constants = tensors, [], []

    def add(self, kind, *inputs, output=None, **attributes):
        name = output or str(len(self.nodes))
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def constant(self, array):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def conv(self, x, kernel, bias, groups=1, stride=1):
        pads = [kernel.shape[2] // 2] * 4
        options = {"kernel_shape": kernel.shape[2:], "group": groups, "pads": pads, "strides": [stride] * 2}
        return self.add("Conv", x, self.constant(kernel), self.constant(bias), **options)

    def unit(self, x, name, part=slice(None), activated=True):
        kernel, bias = (self.tensors[f"{name}.pointwise.{kind}"][part] for kind in ("weight", "bias"))
        x = self.conv(x, kernel, bias)
        kernel, bias = (self.tensors[f"{name}.depthwise.{kind}"][part] for kind in ("weight", "bias"))
        x = self.conv(x, kernel, bias, groups=len(kernel))
        return self.add("Relu", x) if activated else x

    def pool(self, x):
        return self.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])

    def head(self, x, place, name, part, width):
        x = self.add("Transpose", self.unit(x, f"heads.{place}", part, activated=False), perm=[0, 2, 3, 1])
        shape = self.constant(np.array([1, -1, width]))
        output = f"{name}_{STRIDES[place]}"
        last = name in ("bbox", "kps")
        x = self.add("Reshape", x, shape, output=output if last else None)
        return x if last else self.add("Sigmoid", x, output=output)


def yunet_file(path, tensors, side=64):
    """Writes the file; images of one side, as 2023mar's."""
    writer = Writer(tensors)
    x = writer.conv("input", tensors["stem.weight"][:, ::-1], tensors["stem.bias"], stride=2)
    x = writer.unit(writer.add("Relu", x), "early.0")
    x = writer.pool(x)
    for unit in (2, 3, 4, 5):
        x = writer.unit(x, f"early.{unit}")
    taps = []
    for place in range(3):
        x = writer.pool(x)
        x = writer.unit(writer.unit(x, f"stages.{place}.0"), f"stages.{place}.1")
        taps.append(x)
    above, scales = None, writer.constant(np.array([1, 1, 2, 2], np.float32))
    for place in (2, 1, 0):
        x = taps[place]
        if above is not None:
            x = writer.add("Add", x, writer.add("Resize", above, "", scales, mode="nearest", **_NEAREST))
        above = writer.unit(x, f"laterals.{place}")
        starts = np.cumsum([0, *(width for _, width in HEADS)])
        for name, begin, (_, width) in zip(NAMES, starts, HEADS, strict=False):
            writer.head(above, place, name, slice(begin, begin + width), width)
    outputs = [f"{name}_{stride}" for name in NAMES for stride in STRIDES]
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    images = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, side, side])
    graph = helper.make_graph(writer.nodes, "yunet", [images], infos, writer.constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


_NEAREST = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}

"""Backbone and Vision Transformer, each by itself, on exact inputs in memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch

from fer_fast.bench.case import Case, Key, Prepared, Work
from fer_fast.bench.forms import TORCH_PRECISIONS, Graphs, in_graph, on_device, torch_model
from fer_fast.bench.material import Material
from fer_fast.models.fusion.network import FusionModel


def backbone_cases(material: Material, graphs: Graphs, device: str, batch: int) -> Iterator[Case]:
    """Pixels to taps."""
    for engine, precision, quick in _runs(material, device):
        work = material.cost("backbone", precision, batch)
        prepare = partial(_backbone, material, graphs, engine, device, precision, batch)
        yield Case(Key("backbone", "pixels to taps", engine, device, precision, batch), prepare, batch, work, quick)


def vit_cases(material: Material, graphs: Graphs, device: str, batch: int) -> Iterator[Case]:
    """Tokens to logits; in int8, whose ranges are measured behind the projection, projected tokens to logits."""
    for engine, precision, quick in _runs(material, device):
        projected = precision == "int8"
        work = material.cost("vit", precision, batch)
        if projected:
            proj = material.fusion.vit.proj
            tokens, weight = material.fusion.config.grid**2, proj.in_features * proj.out_features
            size = work.bytes - tokens * (proj.in_features - proj.out_features) - weight / batch  # a byte a number
            work = Work(size, work.flop - 2 * tokens * weight)
        form = "projected tokens to logits" if projected else "tokens to logits"
        prepare = partial(_vit, material, graphs, engine, device, precision, batch)
        yield Case(Key("vit", form, engine, device, precision, batch), prepare, batch, work, quick)


def _runs(material: Material, device: str) -> list[tuple[str, str, bool]]:
    """Engine, precision, and whether it is in the short run."""
    engines = [("torch", precision) for precision in TORCH_PRECISIONS[device]]
    if device == "cpu":
        engines += [("openvino", precision) for precision in ("fp32", "bf16", "int8")]
    return [(*run, run == ("torch", "fp32")) for run in engines]


def _backbone(material: Material, graphs: Graphs, engine: str, device: str, precision: str, batch: int) -> Prepared:
    pixels = material.pixels(batch)
    exact = material.taps(batch)
    if engine == "openvino":
        nhwc = [tap.permute(0, 2, 3, 1) for tap in exact]
        return in_graph(graphs.compiled("backbone", precision), [pixels], nhwc, precision)
    model = _fusion_model(material, device, precision)
    if model.backbone is None:
        raise ValueError("this model has no backbone: its only source is the image")
    images, backbone = torch.from_numpy(pixels).to(device), model.backbone
    return on_device(lambda: backbone(model.normalised(images)), exact, device, precision)


def _vit(material: Material, graphs: Graphs, engine: str, device: str, precision: str, batch: int) -> Prepared:
    tokens = material.tokens(batch)
    with torch.inference_mode():
        exact = [material.fusion.vit(tokens)]
    if engine == "openvino":
        part = "encoder" if precision == "int8" else "vit"
        with torch.inference_mode():
            inputs = material.fusion.vit.proj(tokens) if part == "encoder" else tokens
        return in_graph(graphs.compiled(part, precision), [inputs.numpy()], exact, precision)
    model = _fusion_model(material, device, precision)
    own = tokens.to(device, model.vit.proj.weight.dtype)
    return on_device(lambda: model.vit(own), exact, device, precision)


def _fusion_model(material: Material, device: str, precision: str) -> FusionModel:
    model = torch_model(material, device, precision, ours=True)
    assert isinstance(model, FusionModel)
    return model

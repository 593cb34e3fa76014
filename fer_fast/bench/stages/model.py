"""The whole model in each form: pixels in memory come in, logits go out. The engine uses the fastest correct form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fer_fast.bench.case import Agreement, Case, Key, Prepared
from fer_fast.bench.forms import TORCH_PRECISIONS, Graphs, on_card, on_device, torch_model
from fer_fast.bench.material import Material, compared
from fer_fast.classifier import DEFAULT_BATCH_SIZE
from fer_fast.engines import open_engine
from fer_fast.ops.tokens import fused_tokens

#: uint8 [batch, size, size, 3], an array or on a card a tensor, to logits.
Infer = Callable[[Any], npt.NDArray[np.float32]]

ENGINES_FORM = "tokens as convolutions"
SPLIT_FORM = "fused op between two graphs"
FUSED_FORM = "fused op"
WRITTEN_FORM = "as written"
FOLDED_FORM = "batch norms folded"
#: What `fer-fast` runs: of a fusion model on OpenVINO and TensorRT, and on torch; of another architecture on all.
OUR_FORMS = (ENGINES_FORM, FUSED_FORM, FOLDED_FORM)


def cases(material: Material, graphs: Graphs, device: str, batch: int) -> Iterator[Case]:
    """Every form in every precision that it is used in."""
    forms = [(WRITTEN_FORM, "torch", "fp32"), (WRITTEN_FORM, "torch.compile", "fp32")]
    fused = "tokens" in material.architecture.parts
    compiled, native = (ENGINES_FORM, FUSED_FORM) if fused else (FOLDED_FORM, FOLDED_FORM)
    if device == "cpu":
        forms += [(native, "torch", precision) for precision in TORCH_PRECISIONS[device]]
        forms += [(compiled, "openvino", precision) for precision in ("fp32", "bf16", "int8")]
        forms += [(WRITTEN_FORM, "openvino", precision) for precision in ("fp32", "bf16")]
        if fused:
            forms.append((SPLIT_FORM, "openvino", "bf16"))
    else:
        # TensorRT's one engine of the whole has convolutions; whatever else runs on a card has the fused op.
        forms += [(compiled if engine == "tensorrt" else native, engine, precision) for engine, precision in on_card()]
    for form, engine, precision in forms:
        yield _case(material, graphs, Key("model", form, engine, device, precision, batch))


def our_cases(material: Material, graphs: Graphs, device: str) -> Iterator[Case]:
    """The forms that `fer-fast classify` runs on a device, in each precision."""
    yield from (case for case in cases(material, graphs, device, DEFAULT_BATCH_SIZE) if case.key.form in OUR_FORMS)


def _case(material: Material, graphs: Graphs, key: Key) -> Case:
    chosen = key.form in OUR_FORMS and (key.engine, key.precision) == material.chosen[key.device]
    prepare = partial(_model, material, graphs, key, "what auto chooses" if chosen else "")
    quick = chosen or (key.form, key.engine) == (WRITTEN_FORM, "torch")
    return Case(key, prepare, key.batch, material.cost("model", key.precision, key.batch), quick)


def _model(material: Material, graphs: Graphs, key: Key, note: str) -> Prepared:
    pixels, exact = material.pixels(key.batch), [material.logits(key.batch)]
    images = torch.from_numpy(pixels).to(key.device)
    # On a card the engine's captured graphs, its waiting and its copy of the logits are part of what runs.
    if key.engine == "openvino" or (key.device == "cuda" and key.form in OUR_FORMS):
        infer, threads = engine_form(material, graphs, key)
        given = pixels if key.device == "cpu" else images

        def check() -> Agreement:
            return compared([torch.from_numpy(infer(given))], exact, key.precision)

        return Prepared(lambda: infer(given), check, threads, note=note)
    model = torch_form(material, graphs, key)
    prepared = on_device(lambda: model(images), exact, key.device, key.precision)
    prepared.note = ", ".join(filter(None, [note, prepared.note]))
    return prepared


def torch_form(material: Material, graphs: Graphs, key: Key) -> Callable[[Tensor], Tensor]:
    """uint8 [batch, size, size, 3] to logits, eager or compiled."""
    if key.engine == "torch.compile":
        return graphs.torch_compiled(key.device)
    return torch_model(material, key.device, key.precision, ours=key.form in OUR_FORMS)


def engine_form(material: Material, graphs: Graphs, key: Key) -> tuple[Infer, int]:
    """A form of the model by an engine of this package or on OpenVINO: the call, and how many of it at once."""
    if key.form in OUR_FORMS:
        engine = open_engine(
            material.checkpoint, engine=key.engine, device=key.device, precision=key.precision, batch_size=key.batch
        )
        return engine.infer, engine.streams
    return _openvino_form(material, graphs, key.form, key.precision)


def _openvino_form(material: Material, graphs: Graphs, form: str, precision: str) -> tuple[Infer, int]:
    if form == WRITTEN_FORM:
        written = graphs.compiled("written", precision)
        return lambda pixels: written([pixels])[0], written.streams
    backbone, vit = graphs.compiled("backbone", precision), graphs.compiled("vit", precision)
    model, config = material.fusion, material.fusion.config
    means, inv_stds = model.statistics()

    def infer(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        taps = [torch.from_numpy(tap).permute(0, 3, 1, 2) for tap in backbone([pixels])]
        sources = [torch.from_numpy(pixels), *taps] if "image" in config.sources else taps
        tokens = fused_tokens(sources, means, inv_stds, model.patches, config.grid, model.reduce_mean)
        return vit([tokens.numpy()])[0]

    return infer, backbone.streams

"""Which cases a run has: all stages' cases, as far as the caller wants them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fer_fast.engines.interface import ENGINES as ALL_ENGINES
from fer_fast.engines.interface import PRECISIONS as ENGINE_PRECISIONS
from fer_fast.engines.interface import check_choice

if TYPE_CHECKING:
    from fer_fast.bench.case import Case
    from fer_fast.bench.forms import Graphs
    from fer_fast.bench.material import Material
    from fer_fast.bench.stages.folder import Runs

DEVICES: tuple[str, ...] = ("cpu", "cuda")
STAGES: tuple[str, ...] = ("decode", "backbone", "tokens", "vit", "model", "folder", "faces", "latency", "startup")
#: Those that measure a part of a model, which its architecture has or has not.
PARTS = frozenset({"backbone", "tokens", "vit"})
#: TensorRT's forms, each an engine.
TENSORRT: tuple[str, ...] = tuple(name for name in ALL_ENGINES if name.startswith("tensorrt"))
#: What computes a row that has a choice; decoding, writing and starting have none.
ENGINES: tuple[str, ...] = ("openvino", "native", "torch", "torch.compile", *TENSORRT)
COMPUTED_PRECISIONS: tuple[str, ...] = tuple(name for name in ENGINE_PRECISIONS if name != "auto")
DEFAULT_BATCH_SIZES: tuple[int, ...] = (32,)


@dataclass(frozen=True)
class Choice:
    """What the caller wants to see.

    Attributes:
        stages, engines, precisions: names; the precisions decide nothing where nothing is computed.
        devices: cpu, cuda; None is what this machine has.
        batch_sizes: of backbone, tokens, vit and model.
        quick: only what the short run has.

    Raises:
        ValueError: on an unknown name, which names the known ones, or a batch size below 1.
    """

    stages: tuple[str, ...] = STAGES
    engines: tuple[str, ...] = ENGINES
    precisions: tuple[str, ...] = COMPUTED_PRECISIONS
    batch_sizes: tuple[int, ...] = DEFAULT_BATCH_SIZES
    quick: bool = False
    devices: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for field, known in (("stages", STAGES), ("engines", ENGINES), ("precisions", COMPUTED_PRECISIONS)):
            for value in getattr(self, field):
                check_choice(f"each of {field}", value, known)
        for device in self.devices or ():
            check_choice("each of devices", device, DEVICES)
        for size in self.batch_sizes:
            if size < 1:
                raise ValueError(f"each of batch_sizes must be at least 1, not {size}")

    def has(self, case: Case) -> bool:
        """Whether a case is wanted."""
        key = case.key
        # The short run takes the precision that "auto" chooses, unless it was told which.
        told = bool(key.precision) and self.precisions != COMPUTED_PRECISIONS and key.engine != "torch.compile"
        return (
            (key.engine not in ENGINES or key.engine in self.engines)
            and (not key.precision or key.precision in self.precisions)
            and (case.quick or told or not self.quick)
        )


def cases(material: Material, graphs: Graphs, choice: Choice, runs: Runs) -> list[Case]:
    """The limits, then the wanted cases, stage by stage; none twice.

    Raises:
        ValueError: if there is none.
    """
    from fer_fast.bench import limits

    found = {case.key: case for device in material.devices for case in limits.cases(device)}
    parts = material.architecture.parts
    for stage in choice.stages:
        if stage in PARTS and stage not in parts:
            continue
        for case in _stage_cases(stage, material, graphs, choice, runs):
            if choice.has(case):
                found.setdefault(case.key, case)
    if all(key.stage == "limit" for key in found):
        raise ValueError("there is nothing to measure: no row of this choice is to be had here")
    return list(found.values())


def _stage_cases(stage: str, material: Material, graphs: Graphs, choice: Choice, runs: Runs) -> Iterator[Case]:
    from fer_fast.bench.stages import decode, faces, finder, folder, latency, model, parts, startup, tokens

    if stage == "decode":
        yield from decode.cases(material)
    elif stage == "startup":
        yield from startup.cases(material)
    elif stage == "folder":  # each stage by itself stands beside the whole
        yield from decode.our_cases(material)
        yield folder.write_case(material)
    elif stage == "faces":
        yield folder.write_case(material)
    for device in material.devices:
        if stage == "folder":
            yield from folder.cases(material, graphs, device, runs)
            yield from model.our_cases(material, graphs, device)
        elif stage == "faces":
            yield from faces.cases(material, graphs, device, runs)
            yield from finder.cases(material, device)
            yield from model.our_cases(material, graphs, device)
        elif stage == "latency":
            yield from latency.cases(material, device)
        for batch in choice.batch_sizes:
            if stage == "backbone":
                yield from parts.backbone_cases(material, graphs, device, batch)
            elif stage == "vit":
                yield from parts.vit_cases(material, graphs, device, batch)
            elif stage == "tokens":
                yield from tokens.cases(material, device, batch)
            elif stage == "model":
                yield from model.cases(material, graphs, device, batch)

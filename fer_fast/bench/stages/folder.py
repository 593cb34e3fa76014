"""End to end: a folder of image files comes in, a table of probabilities goes out, by fer_fast and by plain scripts."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from fer_fast import Classifier, Prediction, Row, Status, classify_folder
from fer_fast.bench.case import Agreement, Case, Key, Prepared, Work
from fer_fast.bench.forms import Graphs, on_card
from fer_fast.bench.material import Material
from fer_fast.bench.plain import BATCH, classify_plainly
from fer_fast.bench.stages import decode
from fer_fast.bench.stages.model import WRITTEN_FORM, Infer, engine_form, torch_form
from fer_fast.classifier import DEFAULT_BATCH_SIZE
from fer_fast.pipeline.summary import Summary
from fer_fast.table.file_table import FileTable
from fer_fast.table.manifest import run_of
from fer_fast.table.schema import Schema
from fer_fast.types import Item, ItemRows

FORM = "fer-fast classify"
PLAIN_FORM = "plain script"
WRITE_FORM = "rows to csv"
#: Images that the plain scripts read of a folder: they are slow, and their rate does not depend on how many.
PLAIN_IMAGES = BATCH
#: Largest difference of a probability from the plain script's in fp32. A photo's pixels differ by scaled decoding, too.
TOLERANCES = {"fp32": 0.05, "fp16": 0.05, "bf16": 0.1, "int8": 0.2}


class Runs:
    """What is kept of the runs: the exact table of each folder, and what `fer-fast classify` said of itself.

    Attributes:
        summaries: of every run of a row, for naming the bottleneck.
    """

    def __init__(self, material: Material) -> None:
        self.summaries: dict[Key, list[Summary]] = {}
        self._material = material
        self.exact = cache(self._exact)

    def _exact(self, name: str) -> dict[str, list[float]]:
        """Path to probabilities, by the plain script with the fp32 reference, of the folder's first images."""
        material, table = self._material, self._material.work / "exact.csv"

        def infer(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
            with torch.inference_mode():
                return material.exact_model(torch.from_numpy(pixels)).numpy()  # type: ignore[no-any-return]

        classify_plainly(infer, material.config, material.folders[name][:PLAIN_IMAGES], table)
        return _probabilities(table)


def cases(material: Material, graphs: Graphs, device: str, runs: Runs) -> Iterator[Case]:
    """fer_fast in each precision, and the plain scripts, on each folder."""
    ours, theirs = runs_on(device)
    for name, paths in material.folders.items():
        for engine, precision in ours:
            key = Key("folder", FORM, engine, device, precision, DEFAULT_BATCH_SIZE, name)
            quick = (engine, precision) == material.chosen[device]
            yield Case(key, partial(_ours, material, key, runs), len(paths), _cost(material, key), quick)
        for engine, precision in theirs:
            batch = DEFAULT_BATCH_SIZE if engine == "torch.compile" else BATCH  # what it was compiled for
            key = Key("folder", PLAIN_FORM, engine, device, precision, batch, name)
            count = min(len(paths), PLAIN_IMAGES)
            quick = engine == "torch"
            yield Case(key, partial(_plain, material, graphs, key, runs), count, _cost(material, key), quick)


def chosen_case(material: Material, name: str, runs: Runs) -> Case:
    """A folder by fer_fast as "auto" runs it on the CPU."""
    engine, precision = material.chosen["cpu"]
    key = Key("folder", FORM, engine, "cpu", precision, DEFAULT_BATCH_SIZE, name)
    return Case(key, partial(_ours, material, key, runs), len(material.folders[name]), _cost(material, key))


def write_case(material: Material) -> Case:
    """Writing by itself."""
    key = Key("folder", WRITE_FORM, "csv", "cpu", "", DEFAULT_BATCH_SIZE)
    return Case(key, partial(_write, material), 100 * DEFAULT_BATCH_SIZE)


def runs_on(device: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Engine and precision of our runs, and of the plain scripts."""
    if device == "cuda":
        return on_card(), [("torch", "fp32")]
    ours = [("openvino", precision) for precision in ("fp32", "bf16", "int8")]
    return ours, [("torch", "fp32"), ("torch.compile", "fp32"), ("openvino", "bf16")]


def _cost(material: Material, key: Key) -> Work:
    files, model = decode.cost(material, key.images), material.cost("model", key.precision, key.batch)
    return Work(files.bytes + model.bytes, model.flop)


def _ours(material: Material, key: Key, runs: Runs) -> Prepared:
    classifier = Classifier(material.model, engine=key.engine, device=key.device, precision=key.precision)
    paths = [str(path) for path in material.folders[key.images]]
    out = material.work / "ours.csv"

    def call() -> None:
        summary = classify_folder(paths, out, classifier=classifier)
        runs.summaries.setdefault(key, []).append(summary)

    def check() -> Agreement:
        call()
        return _agreement(runs.exact(key.images), _probabilities(out), key.precision)

    return Prepared(
        call, check, calls=1, note=f"{classifier.decoder.workers} decode workers, {classifier.streams} streams"
    )


def _plain(material: Material, graphs: Graphs, key: Key, runs: Runs) -> Prepared:
    infer: Infer
    if key.engine == "openvino":
        infer, _ = engine_form(material, graphs, key._replace(form=WRITTEN_FORM))
    else:
        model = torch_form(material, graphs, key)

        def infer(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
            with torch.inference_mode():
                return model(torch.from_numpy(pixels).to(key.device)).float().cpu().numpy()  # type: ignore[no-any-return]

    paths, out = material.folders[key.images][:PLAIN_IMAGES], material.work / "plain.csv"

    def call() -> None:
        classify_plainly(infer, material.config, paths, out, key.batch)

    def check() -> Agreement:
        call()
        return _agreement(runs.exact(key.images), _probabilities(out), key.precision)

    return Prepared(call, check, calls=1)


def _agreement(wanted: dict[str, list[float]], got: dict[str, list[float]], precision: str) -> Agreement:
    if missing := set(wanted) - set(got):
        raise ArithmeticError(f"{len(missing)} of {len(wanted)} images have no probabilities")
    differences = [np.abs(np.subtract(got[path], row)) for path, row in wanted.items()]
    return Agreement(float(np.max(differences)), TOLERANCES[precision], "largest difference of a probability")


def _probabilities(table: Path) -> dict[str, list[float]]:
    """Path to probabilities, of a table by fer_fast or by the plain script."""
    with table.open(newline="") as file:
        reader = csv.reader(file)
        first = next(reader).index("confidence") + 1
        return {row[0]: [float(cell) for cell in row[first:]] for row in reader if row[first]}


def _write(material: Material) -> Prepared:
    classes = material.config.classes
    prediction = Prediction(classes, np.full(len(classes), 1 / len(classes), np.float32))
    out = material.work / "rows.csv"
    schema = Schema(classes)
    run = run_of(out, schema, [str(material.work)], {})

    def call() -> None:
        table = FileTable(out, schema, run)
        for batch in range(100):
            results = []
            for number in range(DEFAULT_BATCH_SIZE):
                name = f"faces/face{number:06d}.png"
                item = Item(name, name, batch * DEFAULT_BATCH_SIZE + number)
                table.place(item)
                results.append(ItemRows(item, (Row(name, Status.OK, prediction=prediction),), (1000, 0)))
            table.write(results)
        table.finish()

    return Prepared(call)

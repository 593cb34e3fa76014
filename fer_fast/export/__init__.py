"""A model comes in; one file, or a folder, that another program runs without this package goes out."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from fer_fast.engines.interface import check_choice
from fer_fast.engines.opened import alone
from fer_fast.export.graph import Graph
from fer_fast.export.triton import BACKENDS, check_served, repository
from fer_fast.machine.disk import check_new_folder, check_place, write_folder, write_whole
from fer_fast.machine.extras import need
from fer_fast.models.files.checkpoint import Checkpoint, FinderCheckpoint, read_either
from fer_fast.models.finder.config import LARGEST_SIDE
from fer_fast.models.prior import TRAIN, PriorLike, ratios_of, shares_of
from fer_fast.types import OutputError

__all__ = ["BACKENDS", "FORMATS", "FORMAT_PRECISIONS", "TRITON", "export_model"]

#: The format that is a folder, another format's files among others.
TRITON = "triton"
#: Format -> suffix of its file, and the module whose `encode` makes it.
FORMATS: dict[str, tuple[str, str]] = {
    "onnx": (".onnx", "fer_fast.export.onnx"),
    "openvino": (".xml", "fer_fast.export.openvino"),
    "pt2": (".pt2", "fer_fast.export.pt2"),
    "tensorrt": (".engine", "fer_fast.export.tensorrt"),
    "tensorrt-rtx": (".engine", "fer_fast.export.tensorrt"),
}
#: What each format can hold.
FORMAT_PRECISIONS: dict[str, tuple[str, ...]] = {
    "onnx": ("fp32", "fp16", "int8"),
    "openvino": ("fp32", "fp16", "int8"),
    "pt2": ("fp32", "bf16", "fp16"),
    "tensorrt": ("fp32", "bf16", "fp16", "int8"),
    "tensorrt-rtx": ("fp32", "bf16", "fp16", "int8"),
}
#: What a format takes beside the package: an extra, and modules of it. TensorRT for RTX is in none of them.
_NEEDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "onnx": ("torch", ("torch", "onnx", "onnxscript")),
    "pt2": ("torch", ("torch",)),
    "tensorrt": ("cuda", ("torch", "onnx", "onnxscript", "tensorrt")),
    "tensorrt-rtx": ("torch", ("torch", "onnx", "onnxscript")),
}
#: Images that an exported model may take at once: whoever opens it makes room for them.
LARGEST_BATCH = 1 << 14
#: Largest batch of an exported model, unless told.
DEFAULT_BATCH_SIZE = 32
#: Longest side of the photos that an exported finder takes, where memory is allocated for it, unless told.
DEFAULT_FIND_SIZE = 1280


def export_model(
    model: str | Path,
    format: str,
    out: str | Path | None = None,
    *,
    precision: str = "fp32",
    batch_size: int = DEFAULT_BATCH_SIZE,
    find_size: int = DEFAULT_FIND_SIZE,
    cards: tuple[str, ...] = (),
    prior: PriorLike = TRAIN,
    backend: str | None = None,
    decode: bool = True,
) -> list[Path]:
    """Writes a model for another program: images, uint8 [batch, height, width, 3] RGB, to what it says of them.

    A classifier's graph holds everything behind the resize: normalisation, backbone, Vision Transformer, temperature,
    softmax; its output is called probabilities, float32 [batch, classes]. A face finder's takes images whose sides are
    multiples of 32; its output is called cells, float32 [batch, cells, 15], see `FinderNetwork`. The input is called
    images.

    Args:
        model: the name of a packaged model or finder, or the path of a checkpoint or of YuNet's .onnx.
        format: one of `FORMATS`; or triton, a folder that model servers read, see `fer_fast.export.triton`.
        out: the file, or for triton the folder, which must be empty or not there; None is the model's name with the
            format's suffix, in the current folder.
        precision: fp32, or where the format has it fp16, bf16 or int8; TensorRT computes what int8 leaves in fp16.
        batch_size: the largest batch.
        find_size: of a finder for TensorRT, which allocates for it, the longest side of images.
        cards: of tensorrt-rtx alone, the compute capabilities to build for, such as 8.6; none is all that take it.
        prior: of a classifier the mix of classes that its probabilities are to presume, see `Classifier`; whatever
            runs the file then answers so.
        backend: of triton alone, what is to run the model, one of `BACKENDS`; None is onnxruntime.
        decode: of triton, whether the folder has the models that take encoded images; it needs DALI.

    Returns:
        The files that were written: the one asked for first.

    Raises:
        ValueError: an unknown format or precision, or a combination that is not there.
        CheckpointError: the model is missing or damaged.
        MissingExtraError: a library that the format needs is not installed.
        FerFastError: a library fails.
        OutputError: the file cannot be written.
        OSError: there is no place for temporary files.
    """
    served = format == TRITON
    check_choice("format", format, (*FORMATS, TRITON))
    if not served and (backend is not None or not decode):
        raise ValueError(f"backend and decode are for format triton, not {format}")
    backend = "onnxruntime" if backend is None else backend
    check_choice("backend", backend, tuple(BACKENDS))
    form = BACKENDS[backend] if served else format
    asked = f"backend {backend}" if served else f"format {format}"
    _check_options(asked, form, precision, batch_size, find_size, cards)
    name = Path(str(model)).stem
    place = check_new_folder(str(out if out is not None else name)) if served else _checked_file(out, name, form)
    graph = Graph(_aimed(read_either(model), prior), form, precision, batch_size, find_size, cards)
    if served:
        check_served(graph, name)
    _check_installed(form, served and decode)
    tempfile.gettempdir()  # an OSError where there is no place for temporary files, of which torch makes a long story
    encode: Callable[[Graph], dict[str, bytes]] = importlib.import_module(FORMATS[form][1]).encode
    with alone():  # the libraries that trace and write are those that engines open with
        files = encode(graph)
        if served:
            files = repository(graph, name, backend, files, decode)
    try:
        if served:
            return write_folder(place, files)
        for ending, data in files.items():
            write_whole(place.with_suffix(ending), data)
    except OSError as error:
        raise OutputError(f"the output {str(place)!r} cannot be written: {error.strerror or error}") from error
    return [place.with_suffix(ending) for ending in files]


def _check_options(
    asked: str, format: str, precision: str, batch_size: int, find_size: int, cards: tuple[str, ...]
) -> None:
    """Raises a ValueError for what a format, `asked` for by this name, does not take."""
    check_choice(f"precision of {asked}", precision, FORMAT_PRECISIONS[format])
    for name, value, most in (("batch_size", batch_size, LARGEST_BATCH), ("find_size", find_size, LARGEST_SIDE)):
        if not 1 <= value <= most:
            raise ValueError(f"{name} must be from 1 to {most}, not {value}")
    if cards and format != "tensorrt-rtx":
        raise ValueError(f"cards are for format tensorrt-rtx, not {asked}: the others build for this machine or any")


def _checked_file(out: str | Path | None, name: str, format: str) -> Path:
    """Where a format's file goes."""
    suffix = FORMATS[format][0]
    place = check_place(str(out) if out is not None else f"{name}{suffix}")
    if place.suffix != suffix:
        raise ValueError(f"out must end in {suffix} for format {format}, not {place.name!r}")
    return place


def _check_installed(format: str, decode: bool) -> None:
    """Raises a MissingExtraError for what a format, or a folder's decoding, lacks."""
    if format in _NEEDS:
        extra, modules = _NEEDS[format]
        need(f"format {format!r}", extra, modules=modules)
    if decode:
        need("format 'triton' with models that decode (without: --no-decode)", "cuda", modules=("nvidia.dali",))


def _aimed(checkpoint: Checkpoint | FinderCheckpoint, prior: PriorLike) -> Checkpoint | FinderCheckpoint:
    """The checkpoint, for answers that presume what is wished."""
    if not isinstance(checkpoint, Checkpoint):
        if not (isinstance(prior, str) and prior == TRAIN):
            raise ValueError(f"prior must be train for a face finder, which knows no classes, not {prior!r}")
        return checkpoint
    config = checkpoint.config
    if not (shares := shares_of(prior, config.classes)):
        return checkpoint
    ratios_of(shares, config.prior, config.classes)  # whether there are any, before a graph is traced
    return checkpoint.aimed(shares)

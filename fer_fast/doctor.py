"""What this machine has, and which engines and decoders work on it or why not.

Everything is tried for real, on one image: a library that is installed may still not load.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import io
import platform
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fer_fast.machine.extras import EXTRAS, missing_modules, need, pip_line
from fer_fast.types import FerFastError
from fer_fast.version import __version__

#: The model that engines are tried with.
_MODEL = "tiny"
#: Width and height of the photo that a face is looked for in.
_PHOTO = (320, 240)
_TORCH = "pip install 'torch>=2.11,<2.14' --index-url https://download.pytorch.org/whl/cu130"
_TORCH_12 = _TORCH.replace("cu130", "cu126")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: what.
        works: whether it can be used; None for a mere fact.
        said: the fact, or how it works.
        advice: what to do, where it does not work.
    """

    name: str
    works: bool | None
    said: str
    advice: str = ""


@dataclass(frozen=True)
class Card:
    """An NVIDIA card as its driver describes it.

    Attributes:
        name: for example NVIDIA GeForce GTX 1080 Ti.
        driver: version.
        capability: compute capability; (0, 0) if the driver does not say.
        memory: of the card in MiB, as the driver says it.
    """

    name: str
    driver: str
    capability: tuple[int, int]
    memory: str


def examine() -> dict[str, list[Finding]]:
    """All findings, by section: machine, cards, engines, faces, decoders, extras."""
    found = cards()
    return {
        "machine": [*_machine()],
        "cards": [_card(card) for card in found] or [Finding("NVIDIA card", None, "none")],
        "engines": [*_engines(found)],
        "faces": [_tried("finder", _find)],
        "decoders": [*_decoders()],
        "extras": [*_extras(found)],
    }


def cards() -> list[Card]:
    """The cards that the NVIDIA driver lists, whatever torch was built for; none where there is no driver."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version,compute_cap,memory.total", "--format=csv,noheader,nounits"]
    try:
        listed = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    fields = [[field.strip() for field in line.split(",")] for line in listed.splitlines()]
    return [Card(each[0], each[1], _capability(each[2]), each[3]) for each in fields if len(each) == 4]


def _capability(text: str) -> tuple[int, int]:
    """8.6 as (8, 6); (0, 0) for what an old driver says in its place."""
    major, _, minor = text.partition(".")
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else (0, 0)


def _processor() -> str:
    """Its name, by OpenVINO where that works."""
    try:
        from fer_fast.engines.openvino_graph import openvino_core
    except FerFastError:
        return platform.processor() or platform.machine()
    return str(openvino_core().get_property("CPU", "FULL_DEVICE_NAME")).strip()


def _machine() -> Iterator[Finding]:
    import PIL

    from fer_fast.machine.processors import has_amx, has_bf16_instructions, has_int8_dot_products

    offered = {"int8": has_int8_dot_products(), "bf16": has_bf16_instructions(), "AMX": has_amx()}
    kinds = ", ".join(name for name, there in offered.items() if there) or "none"
    yield Finding("fer_fast", None, f"{__version__} on Python {platform.python_version()}, {platform.platform()}")
    yield Finding("processor", None, f"{_processor()}; instructions for low precisions: {kinds}")
    versions = {"Pillow": PIL.__version__}
    if torch := _torch():
        build = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built for the CPU"
        versions["torch"] = f"{torch.__version__}, {build}"
    others = {
        "simplejpeg": "simplejpeg",
        "OpenVINO": "openvino",
        "DALI": "nvidia-dali-cuda130",
        "DALI for CUDA 12": "nvidia-dali-cuda120",
        "TensorRT": "tensorrt",
    }
    for title, package in others.items():
        try:
            versions[title] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    for title, version in versions.items():
        yield Finding(title, None, version)


def _card(card: Card) -> Finding:
    said = f"compute capability {'.'.join(map(str, card.capability))}, {card.memory} MiB, driver {card.driver}"
    return Finding(card.name, None, said)


def _engines(found: list[Card]) -> Iterator[Finding]:
    seen = _seen()
    attempts = [("openvino", "cpu"), ("torch", "cpu")]
    attempts += [(engine, device) for device in seen for engine in ("tensorrt", "tensorrt-fused", "torch")]
    for engine, device in attempts:
        yield _tried(f"{engine} on {device}", partial(_infer, engine, device), seen.get(device))
    if found and not seen:
        why = "torch sees no card" if _torch() else "torch is not there"
        yield Finding("torch on a card", False, why, card_advice(found[0]))


def _torch() -> Any:
    """torch; None where it is not installed, or cannot be imported, which the engine's finding says."""
    try:
        import torch
    except Exception:  # whatever a broken installation raises
        return None
    return torch


def _seen() -> dict[str, Card]:
    """The cards that torch sees, by device."""
    torch, cards = _torch(), {}
    if torch is None:
        return {}
    for number in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(number)
        memory = str(about.total_memory >> 20)
        cards[f"cuda:{number}"] = Card(about.name, "in use", (about.major, about.minor), memory)
    return cards


def _infer(engine: str, device: str) -> str:
    """Runs one image in each precision; says which work, and in which auto would run."""
    from fer_fast.engines import open_engine
    from fer_fast.engines.interface import PRECISIONS
    from fer_fast.models.files.checkpoint import read_checkpoint

    checkpoint = read_checkpoint(_MODEL)
    size = checkpoint.config.image_size
    pixels = np.zeros((1, size, size, 3), np.uint8)
    worked, chosen = [], ""
    failures: dict[str, Exception] = {}
    for precision in PRECISIONS:
        try:
            running = open_engine(
                checkpoint, engine=engine, device=device, precision=precision, batch_size=1, cached=False
            )
            running.infer(pixels)
        except (ValueError, FerFastError) as error:
            failures[precision] = error
            continue
        if precision == "auto":
            chosen = running.describe()["precision"]
        else:
            worked.append(precision)
        running.close()
    if not chosen:
        raise failures["auto"]
    return f"{', '.join(worked)}; auto is {chosen}"


def _find() -> str:
    """Finds a drawn face in a photo."""
    from fer_fast.bench.portraits import photo_with_faces
    from fer_fast.faces.finder import FaceFinder

    photo, _ = photo_with_faces(np.random.default_rng(0), _PHOTO, faces=1)
    with FaceFinder(find_size=max(_PHOTO)) as finder:
        (found,) = finder.find([photo])
        ran = finder.describe()
    if len(found) != 1:
        raise FerFastError(f"it finds {len(found)} faces in a photo of one")
    return f"a drawn face, by {ran['engine']} in {ran['precision']} on {ran['device']}"


def card_advice(card: Card) -> str:
    """What to do where torch cannot compute on a card."""
    from fer_fast.ops.native import has_cuda_code

    if _is_before_turing(card):
        capability = ".".join(map(str, card.capability))
        return (
            f"{card.name} (compute capability {capability}) is older than CUDA 13: it needs driver 580 or older, torch "
            f"for CUDA 12.6 ({_TORCH_12}), then {pip_line('cuda12')}; or --device cpu"
        )
    torch = _torch()
    if torch is None:
        return pip_line("cuda")
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built for the CPU; one for CUDA: {_TORCH}"
    if not torch.cuda.is_available():
        return f"torch does not reach the card: CUDA {torch.version.cuda} needs a newer driver than {card.driver}"
    major, minor = card.capability
    return "" if has_cuda_code(10 * major + minor) else _lacking_nvrtc(10 * major + minor)


def _lacking_nvrtc(architecture: int) -> str:
    """What to do where fer_fast was built without code for a card, and nothing compiles it there."""
    from fer_fast.ops.nvrtc import find_nvrtc

    try:
        find_nvrtc(architecture)
    except FerFastError as error:
        return f"{error}; or FER_FAST_CUDA=1 pip install . with an nvcc that knows the card"
    return ""


def _is_before_turing(card: Card) -> bool:
    return (0, 0) < card.capability < (7, 5)


def _decoders() -> Iterator[Finding]:
    yield _tried("pillow", partial(_decode, "pillow", "cpu"))
    from fer_fast.decode.formats.opening import OPTIONAL, lacking_codecs

    lacking = lacking_codecs()
    for kind in OPTIONAL:
        yield Finding(kind, False, "no codec", lacking[kind]) if kind in lacking else Finding(kind, True, "read")
    for device in ("cpu", *_seen()):
        yield _tried(f"dali on {device}", partial(_decode, "dali", device))


def _decode(decoder: str, device: str) -> str:
    """Decodes one JPEG."""
    from PIL import Image

    from fer_fast.decode import open_decoder

    encoded = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 100, 50)).save(encoded, "JPEG")
    with tempfile.TemporaryDirectory() as folder, open_decoder(decoder, 32, 1, device=device) as opened:
        path = Path(folder) / "face.jpg"
        path.write_bytes(encoded.getvalue())
        decoded = opened.decode([str(path)])
    for _, failure in decoded.failures:
        raise failure
    return "JPEG, PNG; the rest by Pillow" if decoder == "dali" else "JPEG, PNG, BMP, TIFF, GIF and what has a codec"


def _extras(found: list[Card]) -> Iterator[Finding]:
    """All of them, but of those for a card what is of use with these cards."""
    of_use = {"cuda12" if _is_before_turing(card) else "cuda" for card in found}
    return (_extra(name) for name in EXTRAS if not name.startswith("cuda") or name in of_use)


def _extra(name: str) -> Finding:
    if lacking := missing_modules(name):
        verb = "is" if len(lacking) == 1 else "are"
        said = f"{EXTRAS[name].purpose}: {', '.join(lacking)} {verb} not installed"
        return Finding(name, False, said, pip_line(name))
    return _tried(name, partial(_imported, name))


def _imported(name: str) -> str:
    """Imports the modules of an extra; says what for, and their versions."""
    about = EXTRAS[name]
    need(about.purpose, name)
    versions = (f"{module} {importlib.import_module(module).__version__}" for module in about.modules)
    return f"{about.purpose}, by {', '.join(versions)}"


def _tried(name: str, attempt: Callable[[], str], card: Card | None = None) -> Finding:
    """What comes of an attempt, and what to do where it failed on a card."""
    try:
        return Finding(name, True, attempt())
    except Exception as error:  # whatever a broken library raises is what is looked for
        said = " ".join(str(error).split())[:300] or type(error).__name__
        return Finding(name, False, said, card_advice(card) if card else "")

"""What all rows are measured on: the model, images on disk and in memory, exact answers, tolerances and costs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from fer_fast.bench.case import Agreement, Work
from fer_fast.bench.images import check_images, make_faces, make_photos
from fer_fast.bench.portraits import make_photos_with_faces
from fer_fast.decode import open_decoder
from fer_fast.engines import open_engine
from fer_fast.inputs.files import ImageFiles
from fer_fast.models.classifier import classifier_of
from fer_fast.models.dtypes import DTYPES
from fer_fast.models.files.checkpoint import read_checkpoint
from fer_fast.models.files.storage import build_model
from fer_fast.models.fusion.network import FusionModel
from fer_fast.models.network import Network
from fer_fast.ops.tokens import fused_tokens_reference

#: Files of a folder given by the caller that are used.
MOST_IMAGES = 1024
#: Bytes of a number.
SIZES = {"fp32": 4, "bf16": 2, "fp16": 2, "int8": 1}
#: Largest difference of any number from fp32, as a share of the largest exact number. fp32 sums in another order; bf16
#: keeps 8 bits of each number, through some twenty layers (up to 0.05 in the folded backbone, on drawn faces), and fp16
#: 11; int8 rounds each layer's input to one of 256 values and cuts its outliers. A wrong weight, a lost channel or
#: shuffled tokens are off by half and more.
TOLERANCES = {"fp32": 1e-4, "fp16": 0.01, "bf16": 0.1, "int8": 0.2}


class Material:
    """One model, the images that it sees, and its exact answers.

    Args:
        model: the name of a packaged model, or the path of a checkpoint.
        folders: name to image files, all good; the model's stages see the pixels of the first.
        work: a folder for what is written.
        devices: that are measured: cpu, cuda.
        with_faces: as `folders`, photos with faces, for the stage of that name alone.

    Attributes:
        checkpoint, config, architecture: the model as it is stored.
        exact_model: the fp32 reference: eager PyTorch on the CPU, the tokens by `fused_tokens_reference`.
        tokens: of a fusion model, batch to the exact tokens of `pixels`, fp32 [batch, grid * grid, k]; nobody writes to
            them.
        logits: likewise the exact logits, fp32 [batch, classes], by `exact_model` as it is.
    """

    def __init__(
        self,
        model: str | Path,
        folders: dict[str, list[Path]],
        work: Path,
        devices: Sequence[str] = ("cpu",),
        with_faces: Mapping[str, list[Path]] = MappingProxyType({}),
    ) -> None:
        self.checkpoint = read_checkpoint(model)
        self.model = model
        self.config = self.checkpoint.config
        self.architecture = classifier_of(self.config)
        self.exact_model = build_model(self.checkpoint)
        self.folders = folders
        self.work = work
        self.devices = tuple(devices)
        self.with_faces = with_faces
        # Every row asks for them.
        self._sources = cache(self._sources_of)
        self.tokens = cache(self._tokens)
        self.logits = cache(self._logits)

    @cached_property
    def chosen(self) -> dict[str, tuple[str, str]]:
        """Engine and precision that "auto" chooses on each device."""
        chosen = {}
        for device in self.devices:
            engine = open_engine(self.checkpoint, device=device)
            ran = engine.describe()
            chosen[device] = ran["engine"], ran["precision"]
            engine.close()
        return chosen

    @property
    def fusion(self) -> FusionModel:
        """The reference where it is a fusion model, whose parts are measured by themselves."""
        assert isinstance(self.exact_model, FusionModel), "its architecture's stages"
        return self.exact_model

    @cached_property
    def faces(self) -> npt.NDArray[np.uint8]:
        """Pixels of up to 256 images, uint8 [images, size, size, 3]."""
        paths = [str(path) for path in next(iter(self.folders.values()))[:256]]
        with open_decoder(image_size=self.config.image_size) as decoder:
            return decoder.decode(paths).on_host()

    def pixels(self, batch: int) -> npt.NDArray[np.uint8]:
        """One batch, uint8 [batch, size, size, 3]; the images again from the start when they run out."""
        return np.ascontiguousarray(self.faces[np.arange(batch) % len(self.faces)])

    def taps(self, batch: int) -> list[Tensor]:
        """The exact taps of `pixels`, each fp32 [batch, channels, h, w], channels_last."""
        config = self.fusion.config
        return self._sources(batch)[len(config.sources) - len(config.taps) :]

    def _tokens(self, batch: int) -> Tensor:
        with torch.inference_mode():
            return self.fusion.fuse(self._sources(batch))

    def _logits(self, batch: int) -> Tensor:
        with torch.inference_mode():
            return self.exact_model(torch.from_numpy(self.pixels(batch)))  # type: ignore[no-any-return]

    def copy(self, device: str, precision: str) -> Network:
        """A model of one's own."""
        model = build_model(self.checkpoint)
        model.round_to(DTYPES[precision])
        return model.to(device)

    def cost(self, stage: str, precision: str, batch: int) -> Work:
        """What one image costs at least in a stage.

        Args:
            stage: backbone, tokens, vit or model.
            precision: of weights, taps, tokens and logits; pixels have one byte.
            batch: images that share one reading of the weights.
        """
        size, pixels, logits = SIZES[precision], self.faces[0].nbytes, len(self.config.classes)
        if stage == "model":
            return Work(pixels + (logits + _numbers(self.exact_model) / batch) * size, self._flop)
        model, tokens = self.fusion, self.tokens(1).numel()
        taps, vit = sum(tap[0].numel() for tap in self.taps(1)), _numbers(model.vit)
        sources = taps * size + (pixels if "image" in model.config.sources else 0)
        backbone = 0 if model.backbone is None else _numbers(model.backbone)
        return {
            "backbone": Work(pixels + (taps + backbone / batch) * size, self._flop - self._vit_flop),
            "tokens": Work(sources + tokens * size, 0.0),
            "vit": Work((tokens + logits + vit / batch) * size, self._vit_flop),
        }[stage]

    @cached_property
    def _flop(self) -> float:
        # The tokens' own arithmetic, a few operations a number, is not counted: they are bound by memory.
        return flop_of(self.exact_model, torch.from_numpy(self.pixels(1)))

    @cached_property
    def _vit_flop(self) -> float:
        return flop_of(self.fusion.vit, self.tokens(1))

    def _sources_of(self, batch: int) -> list[Tensor]:
        with torch.inference_mode():
            assert self.fusion.tokens is fused_tokens_reference
            return self.fusion.sources(torch.from_numpy(self.pixels(batch)))


def compared(answer: Sequence[Tensor], exact: Sequence[Tensor], precision: str) -> Agreement:
    """The largest difference of any number, as a share of the largest number of the exact answer that it belongs to."""
    errors = []
    for got, wanted in zip(answer, exact, strict=True):
        if got.shape != wanted.shape:
            raise ArithmeticError(f"the answer must have the shape {list(wanted.shape)}, not {list(got.shape)}")
        errors.append(float((got.float().cpu() - wanted).abs().max() / wanted.abs().max()))
    return Agreement(
        float(torch.tensor(errors).max()),
        TOLERANCES[precision],
        "largest difference, as a share of the largest exact number",
    )


def flop_of(model: torch.nn.Module, given: Tensor) -> float:
    """Operations of one call."""
    mapping = {
        torch.ops.aten.convolution: convolution_flop,
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention_flop,  # torch knows the GPU's alone
    }
    with torch.inference_mode(), FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        model(given)
    return float(counter.get_total_flops())


def convolution_flop(
    inputs: Sequence[int],
    weight: Sequence[int],
    bias: Sequence[int] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    *_: object,
    **__: object,
) -> int:
    """Operations of a convolution without the products with padded zeros, which a library may leave out.

    On a map of 4 x 4 pixels a 3 x 3 kernel meets its padding in 31 % of its products.

    Args:
        inputs, weight: shapes [batch, channels, height, width] and [out, channels, height, width].
        bias: its shape, not counted.
        stride, padding: of height and width.
    """
    products = 1
    for side, kernel, step, pad in zip(inputs[2:], weight[2:], stride, padding, strict=True):
        starts = range(-pad, side + pad - kernel + 1, step)
        products *= sum(min(start + kernel, side) - max(start, 0) for start in starts)
    return 2 * inputs[0] * weight[0] * weight[1] * products


def attention_flop(query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: object, **__: object) -> int:
    """Operations of both products of attention; shapes [batch, heads, tokens, width]."""
    return 2 * query[0] * query[1] * query[2] * key[2] * (query[3] + value[3])


def made_folders(work: Path, faces: int, photos: int, seed: int) -> dict[str, list[Path]]:
    """Folders of images that are made here: 48 x 48 PNG faces and 1280 x 960 JPEG photos."""
    return {
        "faces": make_faces(work / "faces", faces, seed=seed),
        "photos": make_photos(work / "photos", photos, seed=seed),
    }


def made_with_faces(work: Path, photos: int, seed: int) -> dict[str, list[Path]]:
    """A folder of 1280 x 960 JPEG photos with one to five drawn faces."""
    return {"photos with faces": make_photos_with_faces(work / "with_faces", photos, seed=seed)}


def given_folder(folder: Path) -> tuple[dict[str, list[Path]], int]:
    """The images below a folder that can be decoded, `MOST_IMAGES` at most, and how many of them cannot.

    Raises:
        ValueError: if it does not exist, or none can be decoded.
    """
    check_images(folder)
    found = list(itertools.islice(iter(ImageFiles([str(folder)])), MOST_IMAGES))
    with open_decoder(image_size=8) as decoder:
        good = [Path(found[index]) for index in decoder.decode(found).indices] if found else []
    if not good:
        why = "none of its files can be decoded" if found else "it has none"
        raise ValueError(f"--images must be a folder with images; in {str(folder)!r} {why}")
    return {folder.name or "images": good}, len(found) - len(good)


def _numbers(part: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in part.parameters())

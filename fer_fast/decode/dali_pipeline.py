"""Encoded images come in, pixels decoded and resized by one DALI pipeline go out."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from fer_fast.types import FerFastError

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

    from fer_fast.decode.interface import Pixels

#: How an image is turned that has this EXIF orientation: whether rows become columns, then what is reversed.
_TURNS: dict[int, tuple[bool, tuple[int, ...]]] = {
    2: (False, (1,)),
    3: (False, (0, 1)),
    4: (False, (0,)),
    5: (True, ()),
    6: (True, (1,)),
    7: (True, (0, 1)),
    8: (True, (0,)),
}


class Encoded(NamedTuple):
    """A file's bytes, and how its picture is to be turned, 1 to 8 as EXIF counts."""

    content: npt.NDArray[np.uint8]
    orientation: int = 1


class DaliPipeline:
    """One DALI pipeline, of one thread; made again when a batch is larger than any before, and after an error.

    Args:
        side: S, the side in pixels of what comes out.
        card: the number of a card; None decodes on the CPU.
        threads: that decode where the CPU does.
    """

    def __init__(self, side: int, card: int | None, threads: int) -> None:
        import nvidia.dali as dali

        self._dali: Any = dali
        self._side, self._card, self._threads = side, card, threads
        self._pipe: Any = None
        self._most = 0

    def run(self, encoded: Sequence[Encoded]) -> Pixels:
        """Encoded images to uint8 [images, S, S, 3]: numpy's on the CPU, torch's on a card."""
        if len(encoded) > self._most:
            self._build(len(encoded))
        try:
            self._pipe.feed_input("encoded", [each.content for each in encoded])
            self._pipe.schedule_run()
            (images,) = self._pipe.share_outputs()
            tensor = images.as_tensor()  # the dynamic executor leaves it to whoever holds it
            self._pipe.release_outputs()
        except Exception:
            self._pipe, self._most = None, 0  # DALI takes nothing more after an error
            raise
        turned = [(place, each.orientation) for place, each in enumerate(encoded) if each.orientation != 1]
        if self._card is None:
            return _turned(np.from_dlpack(tensor), turned)  # type: ignore[arg-type]
        import torch
        from torch.utils.dlpack import from_dlpack

        pixels: torch.Tensor = from_dlpack(tensor)
        for place, orientation in turned:
            swaps, axes = _TURNS[orientation]
            pixels[place] = torch.flip(pixels[place].swapaxes(0, 1) if swaps else pixels[place], axes)  # a copy
        torch.cuda.current_stream(pixels.device).synchronize()  # whatever stream the model runs on
        return pixels

    def _build(self, most: int) -> None:
        dali = self._dali
        on_card = self._card is not None
        pipe = dali.Pipeline(
            batch_size=most,
            num_threads=self._threads,
            device_id=self._card,
            prefetch_queue_depth=1,  # the runners overlap batches; DALI's own queue would have to be filled first
            exec_dynamic=True,
        )
        _define(dali, pipe, self._side, on_card)
        pipe.build()
        self._pipe, self._most = pipe, most


def serialised(side: int, most: int) -> bytes:
    """The pipeline for another program that runs DALI, on the CPU: encoded images, called encoded, to uint8 pixels.

    It turns images itself, as far as DALI knows EXIF.

    Args:
        side: S, the side in pixels of what comes out.
        most: the largest batch.

    Raises:
        FerFastError: DALI does not define it.
    """
    import nvidia.dali
    from nvidia.dali._utils import dali_trace

    dali: Any = nvidia.dali
    tracing: Any = dali_trace
    was = tracing.is_tracing_enabled()
    tracing.set_tracing(enabled=False)  # of this machine's files and lines, which servers would tell their clients
    try:
        pipe = dali.Pipeline(batch_size=most, num_threads=1, device_id=None)
        _define(dali, pipe, side, on_card=False, alone=True)
        data: bytes = pipe.serialize()
    except Exception as error:  # of DALI's own kinds
        raise FerFastError(f"DALI does not serialise its pipeline: {reason_of(error)}") from error
    finally:
        tracing.set_tracing(enabled=was)
    return data


def _define(dali: Any, pipe: Any, side: int, on_card: bool, alone: bool = False) -> None:
    """What a pipeline does; `alone`, another program feeds it, and it turns images itself."""
    with pipe:
        encoded = dali.fn.external_source(name="encoded", device="cpu", no_copy=not alone)
        # Fancy upsampling: chroma on a card as on the CPU. What DALI knows of EXIF is not all.
        images = dali.fn.decoders.image(
            encoded,
            device="mixed" if on_card else "cpu",
            output_type=dali.types.RGB,
            jpeg_fancy_upsampling=True,
            adjust_orientation=alone,
        )
        # In two passes, rounded between, as Pillow does it: in one, every eighth pixel is a grey level off.
        for axis in ("resize_x", "resize_y"):
            images = dali.fn.resize(
                images,
                **{axis: side},
                mode="stretch",
                interp_type=dali.types.INTERP_LINEAR,
                antialias=True,
            )
        pipe.set_outputs(images)


def _turned(pixels: npt.NDArray[np.uint8], turned: list[tuple[int, int]]) -> npt.NDArray[np.uint8]:
    """The images, those at some places turned by an orientation."""
    if turned:
        pixels = pixels.copy()  # DALI's memory is to be read only
    for place, orientation in turned:
        swaps, axes = _TURNS[orientation]
        image = pixels[place].copy()
        pixels[place] = np.flip(image.swapaxes(0, 1) if swaps else image, axes)
    return pixels


def check_dali(pipeline: DaliPipeline, device: str) -> None:
    """Decodes one small JPEG: alone, before threads do, and so that what is missing is told at once.

    Raises:
        FerFastError: DALI does not.
    """
    content = io.BytesIO()
    Image.new("RGB", (16, 16)).save(content, "JPEG")
    try:
        pipeline.run([Encoded(np.frombuffer(content.getvalue(), np.uint8))])
    except Exception as error:  # of DALI's own kinds
        raise FerFastError(f"DALI does not decode on {device}: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """DALI's traceback of the pipeline's definition is left out."""
    return " ".join(str(error).split()).rpartition("encountered: ")[2][:200]

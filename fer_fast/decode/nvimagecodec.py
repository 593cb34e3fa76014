"""Encoded images come in, pixels decoded by nvImageCodec and resized by torch go out; none of those that it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from fer_fast.decode.library import Encoded, Library, turned
from fer_fast.decode.squashed import squashed

if TYPE_CHECKING:
    from fer_fast.decode.library import Part


class NvImageCodec(Library):
    """A decoder of nvImageCodec's, which fails image by image.

    It decodes parts of images, but scales none: photos are decoded whole.
    """

    title = "nvImageCodec"

    def __init__(self, side: int, card: int | None, threads: int) -> None:
        super().__init__(side, card, threads)
        import nvidia.nvimgcodec as nvimgcodec

        self._library: Any = nvimgcodec
        # All of them on a card: what its hardware does not take is done by its multiprocessors, or by the CPU.
        backends = None if card is not None else [nvimgcodec.Backend(nvimgcodec.BackendKind.CPU_ONLY)]
        self._decoder: Any = nvimgcodec.Decoder(
            device_id=nvimgcodec.NVIMGCODEC_DEVICE_CPU_ONLY if card is None else card,
            max_num_cpu_threads=threads,
            backends=backends,
            options=":fancy_upsampling=1",  # chroma on a card as on the CPU
        )
        # What it knows of EXIF is not all. RGB is what it makes of grey, too; alpha is dropped.
        self._params: Any = nvimgcodec.DecodeParams(apply_exif_orientation=False, color_spec=nvimgcodec.ColorSpec.SRGB)
        self._device = torch.device("cpu" if card is None else f"cuda:{card}")
        # Of its own: two of them take turns on a card.
        self._stream = None if card is None else torch.cuda.Stream(card)  # type: ignore[no-untyped-call]

    def run(self, encoded: Sequence[Encoded], batch: int) -> Part:
        """See `Library.run`; an image that it refuses is left out."""
        with torch.cuda.stream(self._stream):  # type: ignore[arg-type]
            sources = [self._library.CodeStream(each.content) for each in encoded]
            handle = 0 if self._stream is None else self._stream.cuda_stream
            images = self._decoder.decode(sources, params=self._params, cuda_stream=handle)
            places = [place for place, image in enumerate(images) if image is not None]
            pixels = squashed([self._tensor(images[place]) for place in places], self.side, self._device)
            turned(pixels, [encoded[place].orientation for place in places])
        if self._stream is None:
            return pixels.numpy(), places
        self._stream.synchronize()  # whatever stream the model runs on
        pixels.record_stream(torch.cuda.default_stream(self._device))  # is done with them before their memory goes
        return pixels, places

    def _tensor(self, image: Any) -> Tensor:
        """uint8 [height, width, 3] of an image of its own, without a copy."""
        # By DLPack it asks the driver for an event, which a machine without a card does not have.
        return torch.from_numpy(np.asarray(image)) if self._stream is None else from_dlpack(image)

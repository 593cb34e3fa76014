"""Encoded images come in, pixels decoded and resized by one DALI pipeline go out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_fast.decode.library import Encoded, Library, reason_of, turned
from fer_fast.types import FerFastError

if TYPE_CHECKING:
    import torch

    from fer_fast.decode.library import Part


class Dali(Library):
    """One DALI pipeline; built again after an error, and for a batch that is larger than any before."""

    title = "DALI"

    def __init__(self, side: int, card: int | None, threads: int) -> None:
        super().__init__(side, card, threads)
        import nvidia.dali as dali

        self._dali: Any = dali
        self._pipe: Any = None
        self._most = 0

    def run(self, encoded: Sequence[Encoded], batch: int) -> Part:
        """See `Library.run`; it decodes all of them or raises."""
        if self._pipe is None or len(encoded) > self._most:
            self._build(max(batch, self._most))
        try:
            self._pipe.feed_input("encoded", [each.content for each in encoded])
            self._pipe.schedule_run()
            (images,) = self._pipe.share_outputs()
            tensor = images.as_tensor()  # the dynamic executor leaves it to whoever holds it
            self._pipe.release_outputs()
        except Exception:
            self._pipe = None  # DALI takes nothing more after an error
            raise
        orientations, places = [each.orientation for each in encoded], list(range(len(encoded)))
        if self.card is None:
            return turned(np.from_dlpack(tensor), orientations), places  # type: ignore[arg-type]
        import torch
        from torch.utils.dlpack import from_dlpack

        pixels: torch.Tensor = from_dlpack(tensor)
        turned(pixels, orientations)
        torch.cuda.current_stream(pixels.device).synchronize()  # whatever stream the model runs on
        return pixels, places

    def _build(self, most: int) -> None:
        dali = self._dali
        on_card = self.card is not None
        pipe = dali.Pipeline(
            batch_size=most,
            num_threads=self.threads,
            device_id=self.card,
            prefetch_queue_depth=1,  # the runners overlap batches; DALI's own queue would have to be filled first
            exec_dynamic=True,
        )
        _define(dali, pipe, self.side, on_card)
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

"""Encoded images come in, pixels decoded and resized by one DALI pipeline go out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_fast.decode.library import Encoded, Library, turned

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
        with pipe:
            encoded = dali.fn.external_source(name="encoded", device="cpu", no_copy=True)
            # Fancy upsampling: chroma on a card as on the CPU. What DALI knows of EXIF is not all.
            images = dali.fn.decoders.image(
                encoded,
                device="mixed" if on_card else "cpu",
                output_type=dali.types.RGB,
                jpeg_fancy_upsampling=True,
                adjust_orientation=False,
            )
            # In two passes, rounded between, as Pillow does it: in one, every eighth pixel is a grey level off.
            for axis in ("resize_x", "resize_y"):
                images = dali.fn.resize(
                    images,
                    **{axis: self.side},
                    mode="stretch",
                    interp_type=dali.types.INTERP_LINEAR,
                    antialias=True,
                )
            pipe.set_outputs(images)
        pipe.build()
        self._pipe, self._most = pipe, most

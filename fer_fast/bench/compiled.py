"""torch.compile in a process of its own, beside everything else; its kernels land in torch's cache on disk.

Compiling takes half a minute and more, mostly of a C++ compiler's time; preparing the other rows keeps one core busy.

    python -m fer_fast.bench.compiled MODEL DEVICE BATCH
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from fer_fast.models.batch_norm import channels_last
from fer_fast.models.files.checkpoint import read_checkpoint
from fer_fast.models.files.storage import build_model
from fer_fast.types import FerFastError

#: Seconds to wait for it once everything else is prepared.
PATIENCE = 20


class Compiler:
    """Compiles a model as it is written, in fp32, first in a process of its own.

    Args:
        model: the name of a packaged model, or the path of a checkpoint.
        device: cpu or cuda.
        batch: images of a call; another number compiles again.
    """

    def __init__(self, model: str | Path, device: str, batch: int) -> None:
        self._arguments = (str(model), device, batch)
        self._compiled: Callable[[Tensor], Tensor] | None = None
        self._failure: FerFastError | None = None
        command = [sys.executable, "-m", "fer_fast.bench.compiled", *map(str, self._arguments)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def result(self) -> Callable[[Tensor], Tensor]:
        """uint8 [batch, size, size, 3] to logits.

        Raises:
            FerFastError: torch.compile does not work here, for want of a compiler, say.
        """
        if self._failure is None and self._compiled is None:
            try:
                self._process.wait(timeout=PATIENCE)
                self._compiled = compile_model(*self._arguments)
            except subprocess.TimeoutExpired:
                self._failure = FerFastError(
                    "torch.compile is not ready in time; it keeps what it has for the next run"
                )
            except Exception as error:
                self._failure = FerFastError(f"torch.compile does not work here: {error}")
        if self._compiled is None:
            raise self._failure or FerFastError("torch.compile was not waited for")
        return self._compiled

    def close(self) -> None:
        """Ends the process, if nobody waited for it."""
        self._process.kill()
        self._process.wait()


def compile_model(model: str | Path, device: str, batch: int) -> Callable[[Tensor], Tensor]:
    """Compiles for one batch size, and runs it once."""
    module = build_model(read_checkpoint(model)).to(device)
    channels_last(module)
    compiled: Callable[[Tensor], Tensor] = torch.compile(module)
    size = module.config.image_size
    with torch.inference_mode():
        compiled(torch.zeros(batch, size, size, 3, dtype=torch.uint8, device=device))
    return compiled


if __name__ == "__main__":
    compile_model(sys.argv[1], sys.argv[2], int(sys.argv[3]))

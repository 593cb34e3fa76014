"""The precisions that are types of torch."""

from __future__ import annotations

import torch

#: Precision -> dtype; int8 is not among them: its ranges are the checkpoint's.
DTYPES: dict[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

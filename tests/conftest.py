"""Decides the markers: what a machine lacks is skipped with the reason, or fails where FER_FAST_REQUIRE_CUDA=1."""

from __future__ import annotations

import importlib.util
import os

import pytest


def _missing_cuda() -> str | None:
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed"
    import torch

    return None if torch.cuda.is_available() else "no CUDA device"


def _missing_dali() -> str | None:
    found = importlib.util.find_spec("nvidia") is not None and importlib.util.find_spec("nvidia.dali") is not None
    return None if found else "NVIDIA DALI is not installed"


def _missing_tensorrt() -> str | None:
    return None if importlib.util.find_spec("tensorrt") is not None else "TensorRT is not installed"


def _missing_native() -> str | None:
    found = importlib.util.find_spec("fer_fast._C") is not None
    return None if found else "the native part is not built for this Python"


_MISSING = {
    "needs_native": _missing_native,
    "needs_cuda": _missing_cuda,
    "needs_dali": _missing_dali,
    "needs_tensorrt": _missing_tensorrt,
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, missing in _MISSING.items():
        if item.get_closest_marker(marker) is None:
            continue
        reason = missing()
        if reason is None:
            continue
        # DALI and TensorRT may be missing where there is a card; what then was not run is in pytest's summary.
        if marker == "needs_cuda" and os.environ.get("FER_FAST_REQUIRE_CUDA") == "1":
            pytest.fail(f"FER_FAST_REQUIRE_CUDA=1, but {reason}", pytrace=False)
        pytest.skip(reason)

"""What tests of a benchmark's page share: a page whose figures lie in a folder of the test's, and a machine."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
#: What a JSON says of its machine, as far as pages want to know.
MACHINE = {
    "versions": {"torch": "2.13.0", "openvino": "2026.4.1"},
    **{"features": ["avx512_vnni"], "cores": 2, "processor": "processor", "commit": "0123456789abcdef"},
    **{"load_average": [0.5, 1, 1], "load_average_after": [1.0, 1, 1]},
}


def page_of(name: str, results: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of benchmarks/pages that makes a page's tables, of the figures in a folder."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    page = importlib.import_module(f"pages.{name}")
    for module in (page, sys.modules["pages.shared"]):
        monkeypatch.setattr(module, "RESULTS", results)
    return page

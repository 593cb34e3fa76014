"""Evaluates the packaged models on FERPlus, validation and test split: benchmarks/results/models.json goes out.

python benchmarks/models.py --data FERPLUS
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from fer_fast.bench.environment import environment
from fer_fast.evaluation import evaluate, json_text
from fer_fast.machine.disk import check_place, write_whole
from fer_fast.models.checkpoint import packaged_models

RESULTS = Path(__file__).parent / "results"
SPLITS = ("valid", "test")


def main(arguments: list[str] | None = None) -> None:
    """Evaluates and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="FERPlus")
    parser.add_argument("--out", type=Path, default=RESULTS / "models.json")
    options = parser.parse_args(arguments)
    target = check_place(str(options.out))
    models: dict[str, dict[str, dict[str, Any]]] = {}
    for model in packaged_models():
        models[model] = {split: evaluate(model, options.data, split=split, tell=_say) for split in SPLITS}
        for report in models[model].values():
            if unchecked := report["leakage"]["unchecked"]:
                raise SystemExit(f"data must be all of FERPlus: {next(iter(unchecked.values()))}")
    write_whole(target, json_text({"environment": environment(), "models": models}).encode())


def _say(doing: str) -> None:
    print(doing, file=sys.stderr)


if __name__ == "__main__":
    main()

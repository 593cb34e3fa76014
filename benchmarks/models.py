"""Evaluates the packaged models on FERPlus, as it is and by hard views: benchmarks/results/models.json goes out.

python benchmarks/models.py --data FERPLUS

The study's models have a program of their own, study.py.
"""

from __future__ import annotations

import argparse
import sys
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from fer_fast.bench.environment import environment
from fer_fast.evaluation import evaluate, json_text, scored_split
from fer_fast.machine.disk import check_place, write_whole
from fer_fast.models.files.paths import packaged_models, study_models

RESULTS = Path(__file__).parent / "results"
#: The split whose report compares all engines and precisions.
WHOLE = "test"
#: What a card calls it -> what is run alone: what auto chooses there.
ALONE: dict[str, dict[str, Any]] = {
    "valid": {"split": "valid"},
    "valid-hard": {"split": "valid", "hard": True},
    "test-hard": {"split": "test", "hard": True},
    "test-balanced": {"split": "test", "prior": "balanced"},
}


def main(arguments: list[str] | None = None) -> None:
    """Evaluates and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="FERPlus")
    parser.add_argument("--out", type=Path, default=RESULTS / "models.json")
    options = parser.parse_args(arguments)
    target = check_place(str(options.out))
    # Each report reads all splits, to look for copies.
    with patch.object(scored_split, "load_split", cache(scored_split.load_split)):
        chosen = [model for model in packaged_models() if model not in study_models()]
        models = {model: evaluated(model, options.data) for model in chosen}
    write_whole(target, json_text({"environment": environment(), "models": models}).encode())


def evaluated(model: str, data: Path) -> dict[str, dict[str, Any]]:
    """What a card shows, by its name there: reports."""
    whole = evaluate(model, data, split=WHOLE, tell=_say)
    if unchecked := whole["leakage"]["unchecked"]:
        raise SystemExit(f"data must be all of FERPlus: {next(iter(unchecked.values()))}")
    chosen = {name: whole["chosen"][name] for name in ("engine", "precision")}
    alone = {name: evaluate(model, data, alone=True, tell=_say, **how, **chosen) for name, how in ALONE.items()}
    return {WHOLE: whole, **alone}


def _say(doing: str) -> None:
    print(doing, file=sys.stderr)


if __name__ == "__main__":
    main()

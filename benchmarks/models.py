"""Scores the packaged models on FERPlus in each precision: benchmarks/results/models.json goes out.

python benchmarks/models.py --data FERPLUS
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from fer_fast import Classifier
from fer_fast.bench.environment import environment
from fer_fast.models.checkpoint import packaged_models
from fer_fast.train.scores import score

RESULTS = Path(__file__).parent / "results"
RUNS = {
    "fp32 (torch)": ("torch", "fp32"),
    "bf16 (openvino)": ("openvino", "bf16"),
    "int8 (openvino)": ("openvino", "int8"),
}


def main() -> None:
    """Scores and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="FERPlus in the official layout")
    parser.add_argument("--out", type=Path, default=RESULTS / "models.json")
    options = parser.parse_args()
    models = {}
    for model in packaged_models():
        models[model] = {}
        for name, (engine, precision) in RUNS.items():
            with Classifier(model, engine=engine, precision=precision) as classifier:
                models[model][name] = score(classifier, options.data)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"environment": environment(), "models": models}, indent=1) + "\n")


if __name__ == "__main__":
    main()

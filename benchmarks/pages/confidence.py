"""docs/evaluation.md: what tells right answers from wrong ones comes in, its table goes out."""

from __future__ import annotations

from pages.shared import RESULTS, load, machine, table, unmeasured


def confidence() -> str:
    """Every score, of every model."""
    if not (RESULTS / "confidence.json").exists():
        return unmeasured("benchmarks/confidence.py --data FERPLUS")
    found = load("confidence")
    rows = [
        [f"`{model}`", score, *(f"{each[name]:.4f}" for name in ("clean", "hard", "both")), f"{each['auroc']:.3f}"]
        for model, scores in found["models"].items()
        for score, each in scores.items()
    ]
    header = ["model", "score", "AURC, as they are", "hard views", "both", "AUROC, as they are against hard"]
    return f"{table(header, rows)}\n\nOn {machine(found['environment'])}"


TABLES = {"confidence": confidence}

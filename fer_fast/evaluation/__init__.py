"""How well a model does on labelled faces, in every engine and precision: a report, as JSON, as lines, as a page."""

from __future__ import annotations

from fer_fast.evaluation.report import Report, evaluate, json_text, run_of
from fer_fast.evaluation.scores import split_scores

__all__ = ["Report", "evaluate", "json_text", "run_of", "split_scores"]

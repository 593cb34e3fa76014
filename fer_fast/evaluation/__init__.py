"""A model and labelled faces come in, a report of how well it does goes out: as JSON, as lines, as a page."""

from __future__ import annotations

from fer_fast.evaluation.report import Report, evaluate, json_text, run_of
from fer_fast.evaluation.scores import split_scores

__all__ = ["Report", "evaluate", "json_text", "run_of", "split_scores"]

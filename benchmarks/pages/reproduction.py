"""docs/reproduction.md: the rows of the paper's study come in, its tables go out."""

from __future__ import annotations

from pages.shared import load, machine

from fer_fast.reproduction.page import body
from fer_fast.reproduction.paper import read_published
from fer_fast.train.recipe import load_recipe


def study() -> str:
    """Protocol, the three tables, and how they compare with the paper's."""
    record = load("reproduction")
    text = body(record["rows"], load_recipe(record["recipe"]), read_published())
    return f"{text}\n\nTrained on {machine(record['environment'])}"


TABLES = {"study": study}

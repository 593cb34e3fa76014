"""What a run is: its inputs, model and options. Only the same run is resumed; a finished table has it beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fer_fast.inputs import absolute
from fer_fast.table.schema import Schema
from fer_fast.types import OutputRefusedError
from fer_fast.version import __version__


@dataclass(frozen=True)
class Run:
    """What the rows of a table depend on.

    Attributes:
        version: the package's.
        format: the table's suffix, without its dot.
        columns: names of the columns.
        inputs: as `fer_fast.inputs.absolute` calls them.
        folder: where the run began, if paths in its lists depend on it; else empty.
        settings: model, engine, decoder and options, by name.
        called: the inputs as they were called; others for the same inputs are no other run.
    """

    version: str
    format: str
    columns: list[str]
    inputs: list[str]
    folder: str
    settings: dict[str, Any]
    called: list[str]

    def as_json(self, **more: Any) -> str:
        """The text of a manifest."""
        return json.dumps(asdict(self) | more, indent=1, ensure_ascii=True) + "\n"

    def check_same(self, other: Run, place: str) -> None:
        """Refuses to go on with another run's rows.

        Args:
            other: the run whose rows are there.
            place: where they are, for the message.

        Raises:
            OutputRefusedError: names the first thing that differs.
        """
        mine, theirs = asdict(self), asdict(other)
        for name in ("version", "format", "columns", "inputs", "folder"):
            _check_equal(name, theirs[name], mine[name], place)
        for name in {**theirs["settings"], **mine["settings"]}:
            _check_equal(name, theirs["settings"].get(name), mine["settings"].get(name), place)


def run_of(out: Path, schema: Schema, inputs: Iterable[str], settings: dict[str, Any]) -> Run:
    """What a run is that begins now, in the current folder."""
    called = list(inputs)
    lists = any(entry == "-" or entry.startswith("@") for entry in called)
    return Run(
        version=__version__,
        format=out.suffix[1:].lower(),
        columns=schema.names,
        inputs=[absolute(entry) for entry in called],
        folder=os.path.realpath(".") if lists else "",
        settings=settings,
        called=called,
    )


def parse_manifest(text: str | bytes) -> tuple[Run, dict[str, Any]]:
    """A run, and what else its manifest says.

    Raises:
        ValueError: it is no manifest.
    """
    facts = json.loads(text)
    if not isinstance(facts, dict) or not set(Run.__dataclass_fields__) <= set(facts):
        raise ValueError("it lacks what a run is")
    run = Run(**{name: facts.pop(name) for name in Run.__dataclass_fields__})
    return run, facts


def _check_equal(name: str, theirs: Any, mine: Any, place: str) -> None:
    if theirs != mine:
        raise OutputRefusedError(f"{place!r} cannot be resumed: it is of a run with {name} {theirs!r}, not {mine!r}")

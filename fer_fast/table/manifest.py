"""What a run is: its inputs, model and options. Only the same run is resumed; a finished table has it beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from fer_fast.inputs import absolute
from fer_fast.inputs.globs import cut
from fer_fast.inputs.naming import Naming
from fer_fast.table.schema import Schema
from fer_fast.types import OutputRefusedError
from fer_fast.version import __version__

#: What a setting is in a run that does not name it.
_UNNAMED = {"faces": "none", "films": False, "shard": "1/1"}


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
        model: what the model was called, for messages; `settings` has what tells it apart.
        kinds: of the columns that stages added, see `Column`.
    """

    version: str
    format: str
    columns: list[str]
    inputs: list[str]
    folder: str
    settings: dict[str, Any]
    called: list[str]
    model: str = ""
    kinds: list[str] = field(default_factory=list)

    def places(self, name: str) -> Iterator[str]:
        """Where a file may lie that a row calls so, whichever folder is the current one; the one with its key is it."""
        yield name
        yield from (os.path.join(folder, name) for folder in self.folder.split(os.pathsep) if folder)  # noqa: PTH118
        for entry, called in zip(self.inputs, self.called, strict=True):
            for begin, place in ((called, entry), (cut(called)[0], cut(entry)[0])):
                if name.startswith(begin):
                    yield Naming(begin, place).called(name)

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
        if difference := self.difference(other):
            raise OutputRefusedError(f"{place!r} cannot be resumed: it is of a run with {difference}")

    def difference(self, other: Run) -> str:
        """The first thing that another run has otherwise, in words such as "abstain 0.9, not 0.5"; empty if none."""
        for name in ("version", "format"):
            if getattr(other, name) != getattr(self, name):
                return f"{name} {getattr(other, name)!r}, not {getattr(self, name)!r}"
        for name in {**other.settings, **self.settings}:  # of what columns follow from, too
            theirs, mine = (run.settings.get(name, _UNNAMED.get(name)) for run in (other, self))
            if theirs != mine:
                theirs, mine = _models(other, self) if name == "model" else (theirs, mine)
                return f"{name} {theirs!r}, not {mine!r}"
        for name in ("columns", "inputs", "folder"):
            if getattr(other, name) != getattr(self, name):
                return f"{name} {getattr(other, name)!r}, not {getattr(self, name)!r}"
        return ""


#: What every manifest says; `model` and `kinds` came later.
_NEEDED = {each.name for each in fields(Run)} - {"model", "kinds"}


def _models(*runs: Run) -> list[str]:
    """The models of runs by their names; those of one name, as a file that was trained again, by their digests, too."""
    identities = [str(run.settings.get("model")) for run in runs]
    named = [_named(identity, run.model) for identity, run in zip(identities, runs, strict=True)]
    if len(set(named)) < len(named):
        return [f"{name} ({identity[:12]})" for name, identity in zip(named, identities, strict=True)]
    return named


def _named(identity: str, name: str) -> str:
    """An identity, digest and what the model runs in, with the model's name in the digest's place, if it is known."""
    digest, blank, how = identity.partition(" ")
    return f"{name or digest}{blank}{how}"


def run_of(
    out: Path,
    schema: Schema,
    inputs: Iterable[str],
    settings: dict[str, Any],
    model: str = "",
    called: Iterable[str] | None = None,
) -> Run:
    """What a run is that begins now, in the current folder; `called` is None where its rows call inputs as it does."""
    named = list(inputs)
    lists = any(entry == "-" or entry.startswith("@") for entry in named)
    return Run(
        version=__version__,
        format=out.suffix[1:].lower(),
        columns=schema.names,
        inputs=[absolute(entry) for entry in named],
        folder=os.path.realpath(".") if lists else "",
        settings=settings,
        called=named if called is None else list(called),
        model=model,
        kinds=[column.kind for column in schema.own],
    )


def parse_manifest(text: str | bytes) -> tuple[Run, dict[str, Any]]:
    """A run, and what else its manifest says.

    Raises:
        ValueError: it is no manifest.
    """
    facts = json.loads(text)
    if not isinstance(facts, dict) or _NEEDED - set(facts):
        raise ValueError("it lacks what a run is")
    run = Run(**{each.name: facts.pop(each.name) for each in fields(Run) if each.name in facts})
    return run, facts

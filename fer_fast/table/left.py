"""What earlier runs have left where a table is to be."""

from __future__ import annotations

import logging
from pathlib import Path

from fer_fast.table.assembling import MANIFEST
from fer_fast.table.finished import Manifest, manifest_of, whole_manifest
from fer_fast.table.manifest import Run
from fer_fast.table.workplace import partial_of

_log = logging.getLogger(__name__)


def standing(out: Path) -> Manifest | None:
    """The manifest of a table that stands in its place, where its run was broken off before that did; else None."""
    manifest = whole_manifest(partial_of(out) / MANIFEST)
    return manifest if manifest is not None and out.exists() and manifest.is_of(out) else None


def base_of(out: Path, digest: str) -> Manifest | None:
    """The finished table that a run went on from, if it is as it was; where it is another that is told.

    Args:
        out: the table.
        digest: of what the run went on from; empty if that was nothing.
    """
    if not digest:
        return None
    manifest = whole_manifest(manifest_of(out)) if out.exists() else None
    if manifest is not None and manifest.facts["digest"] == digest and manifest.is_of(out):
        return manifest
    _log.warning("%s is not the table that the run went on from: its rows are made again", out)
    return None


def tell_of_replacing(out: Path, run: Run) -> None:
    """A table that is made again is replaced without a word; anything else may be there by mistake."""
    if not out.exists():
        return
    manifest = whole_manifest(manifest_of(out))
    difference = run.difference(manifest.run) if manifest else ""
    if manifest is None:
        _log.warning("%s is there, and nothing tells what made it: this run will replace it", out)
    elif difference:
        _log.warning("%s is of a run with %s: this run will replace it", out, difference)

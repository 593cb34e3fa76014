"""Tables come in as they are named; those in object stores go out as copies on this disk, held while they are used."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from fer_fast.machine.urls import is_url
from fer_fast.table.stored import StoredTable
from fer_fast.types import OutputRefusedError

_Out = TypeVar("_Out")


def name_of(out: str | os.PathLike[str]) -> str:
    """What whoever named a table calls it."""
    return out.url if isinstance(out, StoredTable) else os.fspath(out)


@contextmanager
def at_hand(out: _Out, keep: bool) -> Iterator[_Out | StoredTable]:
    """While inside a table in a store is a `StoredTable`; what is none is as it is.

    Args:
        out: where a table goes.
        keep: see `StoredTable.take`.

    Raises:
        OutputRefusedError: nothing can be put there, see `StoredTable`.
        MissingExtraError: the scheme's driver is not installed.
    """
    named: object = out
    if not isinstance(named, (str, os.PathLike)) or not is_url(os.fspath(named)):
        yield out
        return
    table = StoredTable(os.fspath(named))
    with table.held(), _called(table):
        table.check()
        try:
            table.take(keep)
            yield table
        finally:
            table.leave()


@contextmanager
def copied(name: str | os.PathLike[str]) -> Iterator[str | os.PathLike[str]]:
    """While inside a table in a store, finished or not, is a copy to be read; what is none is as it is.

    Raises:
        ValueError: it cannot be read.
        MissingExtraError: the scheme's driver is not installed.
    """
    if not is_url(os.fspath(name)):
        yield name
        return
    table = StoredTable(os.fspath(name).rstrip("/").removesuffix(".partial"), "read")
    with table.held(), _called(table):
        try:
            table.take(keep=True)
            yield table
        finally:
            table.clear()


@contextmanager
def _called(table: StoredTable) -> Iterator[None]:
    """What is refused is called by its URL."""
    try:
        yield
    except (ValueError, OutputRefusedError) as error:
        here, there = f"{table.folder}/", table.url.rpartition("/")[0] + "/"
        if here not in str(error) or type(error) not in (ValueError, OutputRefusedError):
            raise
        raise type(error)(str(error).replace(here, there)) from error

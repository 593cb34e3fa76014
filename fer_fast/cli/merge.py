"""`fer-fast merge`: tables of shards come in, one table goes out."""

from __future__ import annotations

import argparse

from fer_fast.cli.console import say
from fer_fast.cli.progress import Progress
from fer_fast.cli.summary import counts
from fer_fast.types import counted

_EPILOG = """
TABLE is what fer-fast classify made, all of one model by the same options: with --shard, or of inputs that have no file
in common. Rows stand by the numbers of their shards; tables without one as they are named. OUT is of the same format,
and fer-fast classify INPUT -o OUT --resume goes on with it.

A shard that is missing or not finished, and a file that two tables have, are named, and nothing is written. With
--incomplete the rest is merged; an unfinished table is named as it would be called, or by its folder TABLE.partial.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `fer-fast merge` takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("tables", nargs="+", metavar="TABLE", help="of a shard: .csv, .jsonl or .parquet")
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help="the table; of the same format")
    parser.add_argument(
        "--incomplete", action="store_true", help="merge what is there, though shards are missing or not finished"
    )


def run(arguments: argparse.Namespace) -> int:
    """Merges; returns 0."""
    from fer_fast.merge import merge_tables

    with Progress(arguments.quiet, "rows") as progress:
        merged = merge_tables(
            arguments.tables, arguments.output, incomplete=arguments.incomplete, progress=progress.update
        )
    if not arguments.quiet:
        of_tables = counted(merged.tables, "table", "tables")
        say(f"{counted(merged.rows, 'row', 'rows')} in {merged.out} of {of_tables}: {counts(merged.statuses)}")
        if merged.labels:
            say(f"labels: {counts(merged.labels)}")
    return 0

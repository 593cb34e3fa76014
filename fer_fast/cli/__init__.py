"""The `fer-fast` command, a module for each of its sub-commands."""

from fer_fast.cli.command import main, run

__all__ = ["main", "run"]

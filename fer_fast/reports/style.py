"""A page's own style sheet comes in; with what all pages share in front of it goes out."""

from __future__ import annotations

from pathlib import Path

_SHARED = Path(__file__).with_name("page.css")


def style(own: Path) -> str:
    """The rules of a page: those of `own` win, they come last."""
    return f"{_SHARED.read_text()}\n{own.read_text()}"

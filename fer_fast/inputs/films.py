"""What is called as films are."""

from __future__ import annotations

from fer_fast.machine.urls import is_url

#: What a file in a folder must be called to be a film, in any case.
FILM_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".qt", ".mkv", ".webm", ".avi", ".wmv", ".asf", ".flv", ".f4v", ".ogv"),
    *(".mpg", ".mpeg", ".mpe", ".m2v", ".vob", ".mts", ".m2ts", ".3gp", ".3g2", ".mxf"),
)
#: Of files that are named outright: in folders most that end so are programs in TypeScript.
_NAMED = (*FILM_SUFFIXES, ".ts")


def is_film(path: str) -> bool:
    """Whether an input is called as films are; none is read from anywhere but a disk."""
    return path.lower().endswith(_NAMED) and not is_url(path)

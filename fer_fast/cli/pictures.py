"""`--draw` and `--crops`: what a run finds comes in, its pictures go to folders, and lines say what became of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from glob import has_magic
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from fer_fast.cli.console import say
from fer_fast.machine.disk import check_folder
from fer_fast.machine.urls import is_url
from fer_fast.types import ItemRows, counted

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from fer_fast.cli.progress import Progress
    from fer_fast.pipeline.drawn_films import DrawnFilms
    from fer_fast.pipeline.films import FilmOptions


class Pictures:
    """The pictures of one run; a context manager.

    Args:
        draw, crops: the folders, or None where there are to be none.
        inputs: of the run; a folder of pictures must not lie in one of them.
        limits: of a photo; see `Drawings`.
        films: how films are looked at, where there are some.

    Raises:
        OutputRefusedError: a folder could not be written.
        ValueError: it lies in an input, and its pictures would be photos of the next run.
    """

    def __init__(
        self,
        draw: str | None,
        crops: str | None,
        inputs: Sequence[str],
        limits: Mapping[str, Any] | None = None,
        films: FilmOptions | None = None,
    ) -> None:
        folders = {}
        for option, name in (("--draw", draw), ("--crops", crops)):
            if name is not None:
                folders[option] = check_folder(option, name)
                _refuse_inside(option, name, inputs)
        self._drawings = self._crops = None
        self._films: DrawnFilms | None = None
        if folders:
            from fer_fast.reports.saved import Drawings, SavedPictures

            self._drawings = Drawings(folders["--draw"], **limits or {}) if "--draw" in folders else None
            self._crops = SavedPictures(folders["--crops"]) if "--crops" in folders else None
        if films is not None and "--draw" in folders:
            from fer_fast.pipeline.drawn_films import DrawnFilms

            self._films = DrawnFilms(folders["--draw"], films)

    def see(self, found: Sequence[ItemRows]) -> None:
        """Takes what became of some files; see `Drawings.see` and `DrawnFilms.see`."""
        if self._drawings is not None:
            self._drawings.see(found)
        if self._films is not None:
            self._films.see(found)

    def keep(self, path: str, frame: int | None, crops: npt.NDArray[np.uint8]) -> None:
        """Takes faces as the model sees them; see `save_crops`."""
        if self._crops is not None:
            from fer_fast.inputs import key_of
            from fer_fast.reports.saved import save_crops

            save_crops(self._crops, path, key_of(path), frame, crops)

    def draw_films(self, table: str, progress: Progress) -> None:
        """Draws the films of the finished table; see `DrawnFilms.draw`."""
        if self._films is not None:
            try:
                self._films.draw(table, lambda path, time: progress.show(f"drawing {path}, at {time:.1f} s"))
            except KeyboardInterrupt:
                progress.close()
                say("fer-fast: interrupted; the table is finished, go on with --resume")
                raise

    def lines(self) -> list[str]:
        """What became of them."""
        pictures = "picture", "pictures"
        told = []
        for saved, words in (
            (self._drawings.pictures if self._drawings else None, pictures),
            (self._films.films if self._films else None, ("film", "films")),
            (self._crops, pictures),
        ):
            if saved is None or (self._films and not saved.saved + saved.failed):
                continue
            told.append(f"{counted(saved.saved, *words)} in {saved.folder}")
            if saved.failed:
                told.append(f"{counted(saved.failed, *words)} could not be made, the first: {saved.failures[0]}")
        return told

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._drawings is None:
            return
        if kind is None:
            self._drawings.close()
        else:
            self._drawings.stop()


def _refuse_inside(option: str, name: str, inputs: Sequence[str]) -> None:
    from fer_fast.inputs.globs import reaches

    for entry in inputs:
        if Path(entry).is_dir():
            is_inside = Path(name).resolve().is_relative_to(Path(entry).resolve())
        else:
            is_glob = has_magic(entry) and not is_url(entry) and not os.path.lexists(entry)
            is_inside = is_glob and reaches(entry, name)
        if is_inside:
            raise ValueError(
                f"{option} {name!r} lies in the input {entry!r}, where its pictures would be taken for photos: choose "
                "another folder"
            )

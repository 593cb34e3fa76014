"""What a run without `--faces` comes to first goes in; a person whose images are photos, not crops, is told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fer_fast.types import FerFastError, ItemRows

if TYPE_CHECKING:
    from fer_fast.faces.finder import FaceFinder
    from fer_fast.faces.first_look import Find

_PHOTOS = "fer-fast: these look like photos: add --faces all"

#: Images from among which some are chosen.
_ENOUGH = 64
#: That a run which was broken off waits for the look.
_LAST_SECONDS = 1.0

_log = logging.getLogger(__name__)


class FirstLook:
    """Looks at the first images beside the run, in a thread, once the run has begun; a context manager.

    Args:
        tell: is called with the sentence; None where nobody is to be told.
    """

    def __init__(self, tell: Callable[[str], None] | None) -> None:
        self._tell = tell
        self._paths: list[str] = []
        self._thread: threading.Thread | None = None
        self._finder: FaceFinder | None = None

    def see(self, found: Sequence[ItemRows]) -> None:
        """Takes what became of some images."""
        if self._tell is None or self._thread is not None:
            return
        self._paths += [each.item.path for each in found if any(row.prediction is not None for row in each.rows)]
        if len(self._paths) >= _ENOUGH:
            self._begin()

    def __enter__(self) -> FirstLook:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._tell and self._thread is None and self._paths:
            self._begin()
        if self._thread is not None:
            self._thread.join(None if kind is None else _LAST_SECONDS)

    def _begin(self) -> None:
        self._thread = threading.Thread(target=self._look, name="fer-fast-look", daemon=True)
        self._thread.start()

    def _look(self) -> None:
        from fer_fast.faces.first_look import are_photos, chosen

        try:
            if are_photos(chosen(self._paths), self._open) and self._tell:
                self._tell(_PHOTOS)
        except FerFastError as error:
            _log.info("whether the images are photos is not known: %s", error)
        finally:
            if self._finder is not None:
                self._finder.close()

    def _open(self) -> Find:
        from fer_fast.faces.finder import FaceFinder
        from fer_fast.faces.first_look import SIDE

        self._finder = FaceFinder(find_size=SIDE, device="cpu")
        return self._finder.find_in

"""The faces of live frames come in; a window shows them, drawn as `classify --draw` draws those of photos."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fer_fast.types import FerFastError, MissingExtraError, one_line

if TYPE_CHECKING:
    from PIL import Image

    from fer_fast.live.watch import LiveFaces, Watch

#: Seconds between two looks at what a user does to the window.
_TICK = 0.03
#: Pixels of the longer side of what is shown.
_LONGEST = 1280


class Window:
    """A window, by Python's own Tk; of the thread that opens it.

    Args:
        title: of it.

    Raises:
        MissingExtraError: this Python has no Tk.
        FerFastError: there is no screen.
    """

    def __init__(self, title: str) -> None:
        try:
            import tkinter

            from PIL import ImageTk
        except ImportError as error:
            what = "--window needs tkinter, which this Python lacks"
            raise MissingExtraError(f"{what} ({one_line(error)}): python3-tk, as most systems call it") from error
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise FerFastError(f"--window needs a screen, and there is none: {one_line(error)}") from None
        self._is_closed = False
        self._root.title(title)
        self._root.protocol("WM_DELETE_WINDOW", self._close)
        self._label = tkinter.Label(self._root)
        self._label.pack()
        self._picture_of = ImageTk.PhotoImage
        self._shown: ImageTk.PhotoImage | None = None  # Tk keeps no picture that Python forgets

    def until_closed(self, watching: Watch) -> Iterator[LiveFaces]:
        """What is watched, until it ends or the window is closed; each is shown once it has been dealt with."""
        while True:
            self._root.update()
            if self._is_closed:
                return
            if not watching.wait(_TICK):
                continue
            seen = next(watching, None)
            if seen is None:
                return
            yield seen
            self._shown = self._picture_of(_drawn(seen), master=self._root)
            self._label.configure(image=self._shown)

    def _close(self) -> None:
        self._is_closed = True
        self._root.destroy()


def _drawn(seen: LiveFaces) -> Image.Image:
    from PIL import Image

    from fer_fast.reports.drawing import draw_faces
    from fer_fast.reports.marks import mark_of

    whole, shown = seen.size, Image.fromarray(seen.image.reduced(_LONGEST))
    factor = max(shown.size) / max(whole)
    faces = [each.face for each in seen.faces]
    marks = [mark_of(face, face.prediction, factor) for face in faces if face.prediction is not None]
    # Without what stands beneath: that comes and goes, and the window would change its size with it.
    return draw_faces(shown, marks).crop((0, 0, *shown.size))

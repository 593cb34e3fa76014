"""Images of any kind and a finder come in; the faces in each go out, without predictions."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from typing import TYPE_CHECKING

from fer_fast.decode.formats.opening import prepare_codecs
from fer_fast.decode.limits import limits_of
from fer_fast.faces.photos import Photo, PhotoReader
from fer_fast.faces.turns import image_pieces, in_turn
from fer_fast.machine.processors import usable_processors

if TYPE_CHECKING:
    from fer_fast.faces.looking import Finder
    from fer_fast.predictions import ImageLike
    from fer_fast.types import Face


def found_in(images: Iterable[ImageLike], finder: Finder, exif: bool) -> list[list[Face]]:
    """Finds the faces of images, several at a time.

    Args:
        images, exif: see `FaceFinder.find`.
        finder: says where faces are.

    Raises:
        Exception: as `FaceFinder.find`.
    """
    prepare_codecs()
    workers = usable_processors()
    limits = limits_of(workers)

    def look(photo: Photo) -> list[Face]:
        seen, size = photo.seen()
        height, width, _ = seen.shape
        return finder.faces(finder.find_in(seen), (width, height), size)

    with closing(PhotoReader(finder.find_size, workers, limits)) as reader:
        pieces = image_pieces(images, lambda image: reader.look(image, look, exif), limits.max_pixels, exif)
        with closing(in_turn(pieces, workers)) as found:
            return list(found)

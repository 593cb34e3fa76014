"""A finder and a classifier's configuration come in; what decodes photos to the faces that are scored goes out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fer_fast.datasets import Split
from fer_fast.decode.limits import limits_of
from fer_fast.faces.decoder import FaceDecoder
from fer_fast.faces.finder import FaceFinder
from fer_fast.machine.processors import usable_processors
from fer_fast.models.config import ClassifierConfig
from fer_fast.models.files.description import Description
from fer_fast.pipeline.faces import check_faces

#: What `FaceFinder.describe` says that does not change from one run on a machine to the next.
LASTING = ("finder", "find_size", "score", "min_face", "max_faces", "engine", "precision", "device")

#: A finder, or what to open one with.
FinderLike = FaceFinder | Mapping[str, Any] | None


@contextmanager
def opened_finder(faces: str, finder: FinderLike, device: str) -> Iterator[FaceFinder | None]:
    """The finder, which is closed afterwards if it was opened here; None where no faces are looked for.

    Args:
        faces, finder: see `evaluate`.
        device: where it runs unless it is open already.

    Raises:
        ValueError, FerFastError: as `check_faces`, and what opening it raises.
    """
    check_faces(faces, finder, {})
    if faces == "none":
        yield None
    elif isinstance(finder, FaceFinder):
        yield finder
    else:
        with FaceFinder(**{"device": device, **(finder or {})}) as own:
            yield own


@contextmanager
def photo_decoder(
    faces: str, finder: FaceFinder | None, config: ClassifierConfig | Description
) -> Iterator[FaceDecoder | None]:
    """What cuts the faces out of photos for a classifier; None without a finder."""
    if finder is None:
        yield None
        return
    workers = usable_processors()
    with FaceDecoder(finder, config.image_size, config.framing, faces, workers, limits_of(workers)) as decoder:
        yield decoder


def about_faces(split: Split, faces: str, finder: FaceFinder, config: ClassifierConfig | Description) -> dict[str, Any]:
    """How faces were found, ready for JSON.

    Returns:
        which (largest or all), finder (what it says of itself), framing, photos that could be read, and the names of
        those without a face.
    """
    assert split.faceless is not None
    without = split.faceless.names
    said = finder.describe()
    return {
        "which": faces,
        "finder": {name: said[name] for name in LASTING},
        "framing": config.framing,
        "photos": len(set(split.names)) + len(without),
        "faceless": list(without),
    }

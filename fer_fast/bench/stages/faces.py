"""Photos end to end: files come in, a table of the faces in them goes out, by fer_fast and by plain scripts."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from fer_fast import Classifier, classify_folder
from fer_fast.bench.case import Agreement, Case, Key, Prepared
from fer_fast.bench.opencv import opencv_finder
from fer_fast.bench.photos import SCORE, SOME, Photos, check_faces, faces_agree
from fer_fast.bench.plain_photos import SMALLEST, classify_photos_plainly, cut_squares, labelled
from fer_fast.bench.stages import finder
from fer_fast.bench.stages.finder import SIZES, form_at
from fer_fast.bench.stages.folder import runs_on
from fer_fast.bench.stages.model import torch_form
from fer_fast.classifier import DEFAULT_BATCH_SIZE
from fer_fast.decode.limits import limits_of
from fer_fast.faces.decoder import FaceDecoder
from fer_fast.faces.finder import FaceFinder, face_of
from fer_fast.faces.framing import crop_matrices
from fer_fast.machine.processors import usable_processors
from fer_fast.ops import native

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image

    from fer_fast.bench.forms import Graphs
    from fer_fast.bench.material import Material
    from fer_fast.bench.photos import Found, Labelled, Pixels
    from fer_fast.bench.plain_photos import Cut
    from fer_fast.bench.stages.folder import Runs

FORM, READ_FORM = "fer-fast classify --faces all", "photos to crops, faces known"
OPENCV_FORM, PLAIN_FORM = "plain script with OpenCV", "plain script"
#: Longer side of what is looked at.
FIND_SIZE = SIZES[-1]
#: Our forms of the stage, and what does the same.
INSTEAD: dict[str, tuple[str, ...]] = {
    FORM: (OPENCV_FORM, PLAIN_FORM),
    **{form_at(finder.FORM, size): (form_at(finder.OPENCV_FORM, size),) for size in SIZES},
}
#: Share of faces that may have another box or label than exact arithmetic gives them. A landmark that another reduction
#: moves by a part of a pixel turns the label of a face that is hard to tell: of thirty drawn ones it is two.
TOLERANCES = {"fp32": 0.2, "fp16": 0.2, "bf16": 0.2, "int8": 0.25}


class Exact:
    """The exact tables of each folder's first photos: full decodes, eager torch in fp32 for faces and labels.

    Attributes:
        photos: name of a folder to what a finder sees of it.
        faces: the same and a way of cutting, see `Cut`, to the faces of each photo.
    """

    def __init__(self, material: Material) -> None:
        self._material = material
        self.photos = {name: Photos(paths) for name, paths in material.with_faces.items()}
        self.faces = cache(self._faces)

    def _faces(self, name: str, cut: Cut) -> list[list[Labelled]]:
        material, photos, out = self._material, self.photos[name], self._material.work / "exact_faces.csv"

        def infer(pixels: Pixels) -> npt.NDArray[np.float32]:
            with torch.inference_mode():
                return material.exact_model(torch.from_numpy(pixels)).numpy()  # type: ignore[no-any-return]

        classify_photos_plainly(photos.find, cut, infer, material.config, photos.paths, out, FIND_SIZE)
        found = labelled(out, photos.paths)
        check_faces(found)
        return found


def cases(material: Material, graphs: Graphs, device: str, runs: Runs) -> Iterator[Case]:
    """fer_fast in each precision, what it does before it classifies, and the plain scripts, on each folder."""
    exact = Exact(material)
    ours, _ = runs_on(device)
    for name, paths in material.with_faces.items():
        for engine, precision in ours:
            key = Key("faces", FORM, engine, device, precision, DEFAULT_BATCH_SIZE, name)
            quick = (engine, precision) == material.chosen[device]
            yield Case(key, partial(_ours, material, key, runs, exact), len(paths), quick=quick)
        yield read_case(material, name)
        for form in (OPENCV_FORM, PLAIN_FORM):
            key = Key("faces", form, "torch", device, "fp32", 0, name)
            yield Case(key, partial(_plain, material, graphs, key, exact), len(paths[:SOME]), quick=form == OPENCV_FORM)


def read_case(material: Material, name: str) -> Case:
    """What is neither finding nor classifying: photos are read and reduced, and their faces cut."""
    paths = material.with_faces[name]
    key = Key("faces", READ_FORM, "pillow", "cpu", "", 1, name)
    return Case(key, partial(_read, material, [str(path) for path in paths]), len(paths))


def _read(material: Material, paths: list[str]) -> Prepared:
    workers, config = usable_processors(), material.config
    remembering = _Remembering(FaceFinder(find_size=FIND_SIZE, score=SCORE, min_face=SMALLEST))
    limits = limits_of(workers)
    decoder = FaceDecoder(remembering, config.image_size, config.framing, "all", workers, limits)

    def call() -> None:
        for future in [decoder.submit([path]) for path in paths]:
            future.result()

    call()  # the finder's turn
    return Prepared(call, calls=1, note=f"{workers} workers")


class _Remembering:
    """A finder that looks at each photo once; as `fer_fast.faces.looking.Finder`."""

    def __init__(self, face_finder: FaceFinder) -> None:
        self.find_size, self.identity, self.faces = face_finder.find_size, face_finder.identity, face_finder.faces
        self._finder, self._found = face_finder, dict[bytes, "Found"]()

    def find_in(self, pixels: Pixels) -> Found:
        key = pixels[::16, ::16].tobytes()  # some of it tells drawn photos apart, and costs little
        if key not in self._found:
            self._found[key] = self._finder.find_in(pixels)
        return self._found[key]


def _ours(material: Material, key: Key, runs: Runs, exact: Exact) -> Prepared:
    wanted = exact.faces(key.images, cut_framed(material.config.framing, material.config.image_size))
    classifier = Classifier(material.model, engine=key.engine, device=key.device, precision=key.precision)
    face_finder = FaceFinder(device=key.device, find_size=FIND_SIZE, score=SCORE, min_face=SMALLEST)
    paths = [str(path) for path in material.with_faces[key.images]]
    out = material.work / f"faces_{key.engine}_{key.precision}.csv"  # a table of another model would be told of

    def call() -> None:
        summary = classify_folder(paths, out, classifier=classifier, faces="all", finder=face_finder)
        runs.summaries.setdefault(key, []).append(summary)

    def check() -> Agreement:
        call()
        got = labelled(out, exact.photos[key.images].paths)
        return faces_agree(wanted, got, TOLERANCES[key.precision])

    ran = face_finder.describe()
    note = f"finder {ran['engine']} {ran['precision']} at {FIND_SIZE} px, {face_finder.streams} streams"
    return Prepared(call, check, calls=1, note=f"{note}; classifier {classifier.streams} streams")


def _plain(material: Material, graphs: Graphs, key: Key, exact: Exact) -> Prepared:
    photos, config, out = exact.photos[key.images], material.config, material.work / "plain_faces.csv"
    find = opencv_finder(photos.checkpoint, SCORE) if key.form == OPENCV_FORM else photos.find
    model = torch_form(material, graphs, key)

    def infer(pixels: Pixels) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            return model(torch.from_numpy(pixels).to(key.device)).float().cpu().numpy()  # type: ignore[no-any-return]

    cut = cut_squares(config.image_size)
    wanted = exact.faces(key.images, cut)

    def call() -> None:
        classify_photos_plainly(find, cut, infer, config, photos.paths, out, FIND_SIZE)

    def check() -> Agreement:
        call()
        return faces_agree(wanted, labelled(out, photos.paths), TOLERANCES["fp32"])

    return Prepared(call, check, calls=1)


@cache
def cut_framed(framing: str, size: int) -> Cut:
    """The crops that fer_fast makes, from a whole photo."""

    def cut(photo: Image.Image, faces: Found) -> Pixels:
        reduction = max(1.0, max(photo.size) / FIND_SIZE)
        matrices = crop_matrices([face_of(face) for face in faces.tolist()], framing, size, reduction)
        crops: Pixels = native.core().crop_faces(np.asarray(photo), matrices, size)
        return crops

    return cut

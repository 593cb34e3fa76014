"""Decoding by itself: image files to uint8 pixels, which are dropped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from fer_fast.bench.case import Agreement, Case, Key, Prepared, Work
from fer_fast.bench.material import Material
from fer_fast.bench.plain import BATCH, read_plainly
from fer_fast.classifier import DEFAULT_BATCH_SIZE
from fer_fast.decode import open_decoder
from fer_fast.decode.choice import LIBRARIES

FORM = "fer_fast's decoder"
PLAIN_FORM = "Pillow, one after the other"
#: Of 255 grey levels, by which an image may differ on average from Pillow's full decode: libjpeg's scaled decoding of
#: photos costs up to 0.6; a wrong resize costs 2 and more.
TOLERANCE = 1.0


def cases(material: Material) -> Iterator[Case]:
    """Each folder by the decoders and by plain Pillow."""
    yield from our_cases(material)
    for name in material.folders:
        paths = material.folders[name][:BATCH]
        key = Key("decode", PLAIN_FORM, "pillow", "cpu", "", BATCH, name)
        yield Case(key, partial(_plain, paths, material.config.image_size), len(paths), cost(material, name))


def our_cases(material: Material) -> Iterator[Case]:
    """Each folder by Pillow, which decodes where a card's decoder is not there, and by those of each card."""
    for name in material.folders:
        yield decoder_case(material, name)
        for device in material.devices:
            if device != "cpu":
                yield from (decoder_case(material, name, device, library) for library in LIBRARIES)


def decoder_case(material: Material, name: str, device: str = "cpu", decoder: str = "pillow") -> Case:
    """A folder by a decoder that `fer-fast classify` may use for a device."""
    key = Key("decode", FORM, decoder, device, "", DEFAULT_BATCH_SIZE, name)
    return Case(key, partial(_prepare, material, key), len(material.folders[name]), cost(material, name))


def cost(material: Material, name: str) -> Work:
    """Bytes of a file and of its pixels."""
    paths = material.folders[name]
    return Work(sum(path.stat().st_size for path in paths) / len(paths) + material.faces[0].nbytes)


def _plain(paths: Sequence[Path], size: int) -> Prepared:
    return Prepared(partial(read_plainly, paths, size), calls=1)


def _prepare(material: Material, key: Key) -> Prepared:
    decoder = open_decoder(key.engine, material.config.image_size, device=key.device)
    paths = [str(path) for path in material.folders[key.images]]
    batches = [paths[start : start + DEFAULT_BATCH_SIZE] for start in range(0, len(paths), DEFAULT_BATCH_SIZE)]

    def call() -> None:
        for future in [decoder.submit(batch) for batch in batches]:
            future.result()

    def check() -> Agreement:
        pixels = decoder.decode(batches[0]).on_host().astype(np.float32)
        exact = read_plainly(material.folders[key.images][: len(batches[0])], material.config.image_size)
        error = float(np.abs(pixels - exact).mean(axis=(1, 2, 3)).max())
        return Agreement(error, TOLERANCE, "largest mean difference of an image, in grey levels")

    return Prepared(call, check, calls=1, note=f"{decoder.workers} workers")

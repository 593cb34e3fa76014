"""Files of every kind that the tests draw, whole and damaged, in one folder: each has its row, and its own answer."""

import random

import numpy as np
import pytest
from exif_blocks import SHORT, block, tag
from image_files import FILES, encoded
from jpeg_streams import OPTIONS, PHOTO
from jpeg_streams import written as jpeg
from png_files import KINDS, drawn, png
from shades import ShadeClassifier
from turned_files import FILES as TURNED

from fer_fast import classify_rows
from fer_fast.decode.pillow import PillowDecoder
from fer_fast.types import Status


def whole():
    """Files that are all of what they say, by name."""
    found = {name: encoded(name) for name in FILES}
    found |= {f"turned {name}": write(block(tag(SHORT, 6))) for name, write in TURNED.items()}
    found |= {f"jpeg {name}": jpeg(PHOTO, **options) for name, options in OPTIONS.items()}
    for bits, colours in KINDS:
        samples, palette, _ = drawn(bits, colours)
        found[f"png {bits} {colours}"] = png(samples, bits, colours, before=palette)
    return found


def damaged(content, rng):
    """A file's beginning, the file with its end or its middle not written, with one wrong bit, and with padding."""
    half, third = len(content) // 2, len(content) // 3
    place = rng.randrange(len(content))
    yield content[:half]
    yield content[:half] + bytes(len(content) - half)
    yield content[:third] + bytes(third) + content[2 * third :]
    yield content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder, and the names of the whole files in it."""
    folder, rng = tmp_path_factory.mktemp("kinds"), random.Random(8)
    names = []
    for number, content in enumerate(whole().values()):
        names.append(f"{number:03}-whole.jpg")
        (folder / names[-1]).write_bytes(content)
        names.append(f"{number:03}-padded.jpg")
        (folder / names[-1]).write_bytes(content + bytes(5000))
        for damage, broken in enumerate(damaged(content, rng)):
            (folder / f"{number:03}-{damage}.jpg").write_bytes(broken)
    for number, content in enumerate([b"", b"text", bytes(5000), rng.randbytes(5000)]):
        (folder / f"none-{number}.jpg").write_bytes(content)
    return folder, names


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("processes_after", [0, float("inf")], ids=["processes", "threads"])
def test_every_kind_of_file_has_its_row(folder, processes_after, capfd):
    folder, names = folder
    paths = [str(path) for path in sorted(folder.iterdir())]
    classifier = ShadeClassifier()
    classifier.decoder.close()
    with PillowDecoder(classifier.image_size, 2, processes_after=processes_after) as classifier.decoder:
        rows = list(classify_rows(str(folder), classifier))
        assert [row.path for row in rows] == paths
        for path, row in zip(paths, rows, strict=True):
            alone = classifier.decoder.decode([path])
            if row.status is Status.OK:
                shade = np.float32(alone.on_host().mean() / 255)
                assert row.prediction.probabilities[0] == pytest.approx(shade, abs=1e-6), path
            else:
                ((_, error),) = alone.failures
                assert (row.status, row.error) == (error.status, str(error)), path
                assert row.error and "\n" not in row.error
    statuses = {path.rpartition("/")[2]: row.status for path, row in zip(paths, rows, strict=True)}
    assert {statuses[name] for name in names} == {Status.OK}
    assert set(statuses.values()) == {Status.OK, Status.CORRUPT, Status.UNSUPPORTED, Status.EMPTY}
    assert capfd.readouterr().err == ""

"""DALI's pipelines: built once for the files of a batch, whatever is wrong with some of them; here on the CPU."""

import pytest
from decoding import written
from image_files import encoded, without_codes

from fer_fast.decode import open_decoder
from fer_fast.types import Status

pytestmark = pytest.mark.needs_dali

SIDE = 24
JPEG = encoded("jpeg")


@pytest.fixture
def built(monkeypatch):
    """For how many images each pipeline was built."""
    from fer_fast.decode.dali import Dali

    sizes = []
    build = Dali._build
    monkeypatch.setattr(Dali, "_build", lambda self, most: sizes.append(most) or build(self, most))
    return sizes


def test_a_bad_file_in_the_first_batch_is_no_reason_to_build_again(tmp_path, built):
    bad, good = written(tmp_path, [b"no image", *[JPEG] * 5]), written(tmp_path / "good", [JPEG] * 6)
    with open_decoder("dali", SIDE, 1) as decoder:
        built.clear()  # what opening tried
        found = [decoder.decode(paths).indices for paths in (bad, good, good[:4], good)]
    assert found == [[1, 2, 3, 4, 5], [*range(6)], [*range(4)], [*range(6)]]
    assert built == [6]


def test_after_an_image_that_dali_refuses_it_is_built_for_whole_batches(tmp_path, built):
    paths = written(tmp_path, [JPEG, without_codes(), JPEG, JPEG])
    with open_decoder("dali", SIDE, 1) as decoder:
        built.clear()
        decoded = decoder.decode(paths)
        assert decoder.decode(paths[2:]).indices == [0, 1]
    assert decoded.indices == [0, 2, 3]
    assert [(place, error.status) for place, error in decoded.failures] == [(1, Status.CORRUPT)]
    assert built == [4] * 3, "DALI takes nothing more after an error: of the batch, and of the image alone"

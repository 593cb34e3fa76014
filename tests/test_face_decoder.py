"""Photos come in, crops of their faces go out: whatever decodes them, whatever is in them, never too many at once."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from decoding import until
from image_files import oriented
from shade_faces import SHADES, ShadeFinder, draw
from threads_left import threads_left

from fer_fast.decode.formats.jpeg import JpegPicture
from fer_fast.decode.limits import limits_of
from fer_fast.faces import photos
from fer_fast.faces.decoder import NO_FACE, FaceDecoder
from fer_fast.faces.photos import PhotoReader
from fer_fast.types import FerFastError, OutputError, Status

SIDE = 8
TWO = [(70, 10, 20, 40), (170, 100, 30, 12)]


def opened(finder=None, faces="all", workers=2, limits=None, **options):
    limits = limits or limits_of(workers)
    return FaceDecoder(finder or ShadeFinder(160), SIDE, "box", faces, workers, limits, **options)


def saved(folder, name, size=(160, 120), boxes=TWO, **options):
    path = folder / name
    draw(size, boxes).save(path, **options)
    return str(path)


def shades(decoded):
    return [round(float(pixels[2:-2, 2:-2].mean())) for pixels in decoded.pixels]


def test_the_faces_of_photos_are_pictures_by_falling_area(tmp_path):
    paths = [saved(tmp_path, "two.png"), saved(tmp_path, "none.png", boxes=[]), str(tmp_path / "missing.png")]
    paths.append(saved(tmp_path, "one.png", boxes=[(220, 0, 0, 16)]))
    with opened() as decoder:
        decoded = decoder.decode(paths)
        assert decoder.files_done == 4
    assert decoded.indices == [0, 0, 3] and shades(decoded) == [70, 170, 220]
    assert [cells[:5] for cells in decoded.cells] == [(0, 10, 20, 40, 40), (1, 100, 30, 12, 12), (0, 0, 0, 16, 16)]
    assert [column.name for column in decoder.columns] == ["face", "x", "y", "width", "height", "score"]
    (none, no_face), (missing, unreadable) = decoded.failures
    assert (none, no_face.status, str(no_face), no_face.again) == (1, Status.NO_FACE, NO_FACE, False)
    assert (missing, unreadable.status) == (2, Status.UNREADABLE)
    assert [stamp and stamp[0] for stamp in decoded.stamps] == [
        None if path == paths[2] else Path(path).stat().st_size for path in paths
    ]
    assert decoded.seconds > 0 and decoded.finding >= 0


def test_the_largest_is_one_and_a_photo_in_parts_of_a_batch_is_whole(tmp_path):
    paths = [saved(tmp_path, f"{number}.png") for number in range(9)]
    with opened(faces="largest") as decoder:
        assert shades(decoder.decode(paths)) == [70] * 9
        assert decoder.decode([]).indices == []


@pytest.mark.parametrize("kind", ["L", "CMYK", "turned", "rgba", "gif", "tiff", "16 bits"])
def test_every_kind_of_photo_has_the_same_faces(tmp_path, kind):
    image, options, name = draw((160, 120), TWO), {}, "photo.png"
    if kind == "turned":
        image, options = image.transpose(2), {"exif": oriented(6)}  # against the clock; turned back by its EXIF
    elif kind == "gif":
        name, options = "photo.gif", {"save_all": True, "append_images": [draw((160, 120), [])]}
    elif kind in ("tiff", "CMYK"):
        name = "photo.tif"
    image = image.convert({"L": "L", "CMYK": "CMYK", "rgba": "RGBA"}.get(kind, image.mode))
    if kind == "16 bits":
        image = image.convert("L").point(lambda shade: shade * 257, "I").convert("I;16")
    image.save(tmp_path / name, **options)
    with opened() as decoder:
        decoded = decoder.decode([str(tmp_path / name)])
    assert not decoded.failures and shades(decoded) == [70, 170]
    assert [cells[1:5] for cells in decoded.cells] == [(10, 20, 40, 40), (100, 30, 12, 12)]


def test_a_large_photo_is_loaded_coarsely_and_small_faces_finely(tmp_path, monkeypatch):
    sizes, load = [], JpegPicture.load

    def loaded(self, least):
        image = load(self, least)
        sizes.append(image.size)
        return image

    monkeypatch.setattr(JpegPicture, "load", loaded)
    large = saved(tmp_path, "large.jpg", (2560, 1920), [(70, 320, 320, 640)])
    small = saved(tmp_path, "small.jpg", (2560, 1920), [(70, 320, 320, 640), (170, 1600, 640, 48)])
    with opened(workers=1) as decoder:
        decoded = decoder.decode([large, small])
    assert sizes == [(320, 240), (320, 240), (640, 480)]
    assert np.abs(np.array(shades(decoded)) - (70, 70, 170)).max() <= 3


@pytest.mark.parametrize("name", ["photo.tif", "photo.png", "photo.jpg"])
def test_a_process_gives_the_pixels_of_a_thread(tmp_path, monkeypatch, name):
    """A TIFF goes there anyway, the others for their memory; in pieces of two crops."""
    boxes = [(shade, 20 + 300 * place, 40, 16 + 8 * place) for place, shade in enumerate(SHADES)]
    path = saved(tmp_path, name, (1200, 900), boxes)
    monkeypatch.setattr(photos, "_PIECE_BYTES", 2 * 3 * SIDE * SIDE)
    with opened(ShadeFinder(600)) as decoder:
        here = decoder.decode([path])
        assert bool(decoder._reader._apart._processes.pids) == (name == "photo.tif")
    with opened(ShadeFinder(600), limits=limits_of(2)._replace(small=1 << 20)) as decoder:
        apart = decoder.decode([path])
        assert decoder._reader._apart._processes.pids
    assert len(here.indices) == 4 and np.array_equal(here.pixels, apart.pixels)
    assert here.cells == apart.cells and here.stamps == apart.stamps


def test_crops_that_take_more_than_a_thread_has_are_cut_in_a_process(tmp_path):
    path = saved(tmp_path, "photo.png", (1200, 900), [(70, 0, 0, 900)])
    with opened(ShadeFinder(600)) as decoder:
        here = decoder.decode([path])
    with opened(ShadeFinder(600), limits=limits_of(2)._replace(small=12 << 20)) as decoder:
        apart = decoder.decode([path])
        assert decoder._reader._apart._processes.pids, "what is seen takes less, and so a thread begins"
    assert np.array_equal(here.pixels, apart.pixels) and here.cells == apart.cells


def test_a_file_that_changes_between_two_looks_is_tried_again(tmp_path):
    path = saved(tmp_path, "photo.tif")

    class Slow(ShadeFinder):
        def find_in(self, pixels):
            saved(tmp_path, "photo.tif", boxes=TWO[:1])
            os.utime(path, ns=(1, 1))
            return super().find_in(pixels)

    with opened(Slow(160)) as decoder:
        ((_, error),) = decoder.decode([path]).failures
    assert error.status is Status.FAILED and error.again and "changed while it was read" in str(error)


def test_what_takes_too_much_is_refused_by_its_header(tmp_path):
    path = saved(tmp_path, "wide.png", (20_000, 3), [])
    with opened() as decoder:
        assert decoder.decode([path]).failures[0][1].status is Status.NO_FACE
    with opened(limits=limits_of(2, max_pixels=100)) as decoder:
        assert decoder.decode([path]).failures[0][1].status is Status.TOO_LARGE
    with opened(limits=limits_of(2, max_memory=1 << 16)) as decoder:
        assert decoder.decode([path]).failures[0][1].status is Status.TOO_LARGE


@pytest.mark.parametrize("kind", ["corrupt", "dot", "text"])
def test_what_is_no_photo_is_one_failure(tmp_path, kind):
    path = saved(tmp_path, "photo.jpg", (1, 1) if kind == "dot" else (160, 120))
    if kind == "corrupt":
        content = (tmp_path / "photo.jpg").read_bytes()
        (tmp_path / "photo.jpg").write_bytes(content[: len(content) // 2])
    elif kind == "text":
        (tmp_path / "photo.jpg").write_text("no photo")
    with opened() as decoder:
        decoded = decoder.decode([path])
    wanted = {"corrupt": Status.CORRUPT, "dot": Status.NO_FACE, "text": Status.UNSUPPORTED}[kind]
    assert [error.status for _, error in decoded.failures] == [wanted] and len(decoded.pixels) == 0


def test_no_photo_is_begun_while_too_many_pictures_wait(tmp_path):
    paths = [saved(tmp_path, f"{number}.png") for number in range(12)]
    finder = ShadeFinder(160)
    with opened(finder, most_waiting=5) as decoder:
        futures = [decoder.submit([path]) for path in paths]
        for released in range(0, 12, 4):
            # Three photos have six pictures; whoever is at work then ends, if the other thread is.
            until(lambda done=released + 3: all(future.done() for future in futures[:done]))
            time.sleep(0.05)
            assert len(finder.seen) <= released + 3 + decoder.workers
            decoder.release(8)
        assert [len(future.result(10).indices) for future in futures] == [2] * 12


def test_closing_answers_what_was_asked_and_nothing_more_is_taken(tmp_path):
    paths = [saved(tmp_path, f"{number}.png") for number in range(9)]
    decoder = opened(most_waiting=0)
    futures = [decoder.submit([path]) for path in paths]
    until(futures[0].done)
    decoder.close()
    with pytest.raises(FerFastError, match="the decoder is closed"):
        futures[8].result(10)
    with pytest.raises(FerFastError, match="the decoder is closed"):
        decoder.submit(paths)
    decoder.close()
    until(lambda: not threads_left("fer-fast-faces"))


def test_the_time_that_finding_takes_is_told_apart_whatever_is_found(tmp_path):
    class Slow(ShadeFinder):
        def find_in(self, pixels):
            time.sleep(0.05)
            return super().find_in(pixels)

    with opened(Slow(160), workers=1) as decoder:
        decoded = decoder.decode([saved(tmp_path, "none.png", boxes=[]), saved(tmp_path, "two.png")])
    assert decoded.finding >= 0.1


@pytest.mark.parametrize("error", [FerFastError("no card"), ValueError("odd")])
def test_a_finder_that_fails_is_no_verdict_on_a_file(tmp_path, error):
    finder = ShadeFinder(160)
    finder.fails = error
    with opened(finder) as decoder, pytest.raises(FerFastError, match=r"no card|the decoder failed: odd"):
        decoder.decode([saved(tmp_path, "photo.png")])


def test_crops_are_handed_on_and_who_cannot_take_them_ends_the_batch(tmp_path):
    path, taken = saved(tmp_path, "photo.png"), []
    with opened(crops=lambda *call: taken.append(call)) as decoder:
        decoded = decoder.decode([path])
    ((name, frame, pixels),) = taken
    assert (name, frame) == (path, None) and np.array_equal(pixels, decoded.pixels)

    def full(*_):
        raise OutputError("no room")

    with opened(crops=full) as decoder, pytest.raises(OutputError, match="no room"):
        decoder.decode([path])


def test_bytes_that_a_thread_does_not_decode_are_a_file_for_a_process(tmp_path):
    path = saved(tmp_path, "photo.tif")
    decoder = opened()
    reader = PhotoReader(160, 1, limits_of(1))
    looked = reader.look(Path(path).read_bytes(), decoder.looking)
    assert reader._apart._processes.pids and [face.x for face in looked.faces] == [10, 100]
    reader.close()
    decoder.close()

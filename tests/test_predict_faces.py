"""Photos of every kind come in, on disk or in memory; each gives its faces, found and classified as a run's are."""

import io

import numpy as np
import pytest
from decoding import until
from image_files import oriented
from PIL import Image
from shade_faces import SHADES, ShadeFinder, draw
from threads_left import threads_left
from tiny_models import image_config, save_image_model

from fer_fast import Classifier, DecodeError, FerFastError, Status, classify_rows
from fer_fast.faces import finder as finder_module
from fer_fast.faces.found import found_in

SIDE, BATCH = 8, 4
TWO = [(70, 10, 20, 40), (170, 100, 30, 12)]


def save(folder):
    save_image_model(folder / "model.safetensors", image_config(framing="box"))
    return folder / "model.safetensors"


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    path = save(tmp_path_factory.mktemp("model"))
    with Classifier(path, engine="openvino", device="cpu", precision="fp32", batch_size=BATCH, workers=2) as made:
        yield made


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    until(lambda: not threads_left("fer-fast-faces", "fer-fast-model"))


def photo(boxes=TWO, **options):
    content = io.BytesIO()
    draw((160, 120), boxes).save(content, "PNG", **options)
    return content.getvalue()


def test_every_kind_of_image_has_the_faces_of_its_file(classifier, tmp_path):
    content, image = photo(), draw((160, 120), TWO)
    path = tmp_path / "photo.png"
    path.write_bytes(content)
    turned = io.BytesIO(photo())
    kinds = [path, str(path), content, bytearray(content), memoryview(content), io.BytesIO(content), turned]
    kinds += [Image.open(path), image, image.convert("L"), np.asarray(image), np.asarray(image)[..., 0]]
    kinds += [np.asarray(image)[:, ::-1][:, ::-1]]
    found = classifier.predict_faces(kinds, finder=ShadeFinder(160))
    assert [(face.x, face.y, face.width) for face in found[0]] == [(10, 20, 40), (100, 30, 12)]
    assert all(faces == found[0] for faces in found)
    rows = list(classify_rows(path, classifier, faces="all", finder=ShadeFinder(160)))
    for face, row in zip(found[0], rows, strict=True):
        assert row.cells == (rows.index(row), face.x, face.y, face.width, face.height, face.score)
        np.testing.assert_allclose(face.prediction.probabilities, row.prediction.probabilities, atol=1e-6)
    bare = found_in(kinds, ShadeFinder(160), exif=True)
    assert [[face.x for face in faces] for faces in bare] == [[10, 100]] * len(kinds)
    assert bare[0][0].prediction is None


def test_a_photo_has_none_one_or_hundreds_and_batches_are_filled_across_them(classifier, monkeypatch):
    crowd = ShadeFinder(160)
    one = crowd.find_in(np.asarray(draw((160, 120), TWO[:1])))
    counts = {0: 0, 70: 1, 220: 500}
    monkeypatch.setattr(crowd, "find_in", lambda pixels: one.repeat(counts[int(pixels.max())], 0))
    sizes, infer = [], classifier._probabilities
    monkeypatch.setattr(classifier, "_probabilities", lambda pixels: sizes.append(len(pixels)) or infer(pixels))
    photos = [draw((160, 120), boxes) for boxes in ([], TWO[:1], [(220, 0, 0, 9)], [], TWO[:1])]
    found = classifier.predict_faces(photos, finder=crowd)
    assert [len(faces) for faces in found] == [0, 1, 500, 0, 1]
    assert sizes == [BATCH] * 125 + [2]
    assert classifier.predict_faces([], finder=crowd) == []


def test_the_largest_alone_is_asked_for_by_name(classifier):
    found = classifier.predict_faces([photo()], faces="largest", finder=ShadeFinder(160))
    assert [[face.width for face in faces] for faces in found] == [[40]]
    with pytest.raises(ValueError, match="faces must be all or largest, not 'some'"):
        classifier.predict_faces([photo()], faces="some")
    with pytest.raises(TypeError, match=r"finder must be a FaceFinder, not \{\}"):
        classifier.predict_faces([photo()], finder={})
    with pytest.raises(TypeError, match="finder must be a FaceFinder, not 'finder'"):
        classifier.predict_faces([photo()], finder="finder")


def test_images_that_share_a_buffer_are_copied(classifier):
    frames = [np.asarray(draw((160, 120), [(shade, 10 * place, 40, 30)])) for place, shade in enumerate(SHADES)] * 3
    buffer = np.empty_like(frames[0])

    def film():
        for frame in frames:
            buffer[:] = frame
            yield buffer

    found = classifier.predict_faces(film(), finder=ShadeFinder(160))
    assert [faces[0].x for faces in found] == [0, 10, 20, 30] * 3


def test_what_gives_no_pixels_is_called_by_its_place_once_the_others_are_seen(classifier, tmp_path):
    (tmp_path / "cut.png").write_bytes(photo()[:-40])
    finder = ShadeFinder(160)
    for bad, error, sentence in (
        (str(tmp_path / "cut.png"), DecodeError, "cut.png: "),
        (b"", DecodeError, r"images\[2\]: the file has no bytes"),
        (np.zeros((4, 4), float), TypeError, r"images\[2\]: an image array must be uint8"),
        (np.zeros((4, 4, 4), np.uint8), ValueError, r"images\[2\]: an image array must be"),
    ):
        with pytest.raises(error, match=sentence):
            classifier.predict_faces(iter([photo(), photo([]), bad, photo()]), finder=finder)
    huge = np.zeros((1, 20_000_000), np.uint8)
    with pytest.raises(DecodeError, match=r"images\[0\]: 20000000 x 10 pixels are more") as caught:
        classifier.predict_faces([np.broadcast_to(huge, (10, 20_000_000))], finder=finder)
    assert caught.value.status is Status.TOO_LARGE
    for one in (photo(), str(tmp_path), draw((9, 9), [])):
        with pytest.raises(TypeError, match="images must be several images"):
            classifier.predict_faces(one, finder=finder)
    with pytest.raises(TypeError, match="exif must be True or False"):
        classifier.predict_faces([photo()], finder=finder, exif=1)
    finder.fails = FerFastError("no card")
    with pytest.raises(FerFastError, match="no card"):
        classifier.predict_faces([photo()], finder=finder)


def test_a_pillow_image_is_turned_by_its_exif_unless_it_was_already(classifier):
    stored = draw((160, 120), TWO).transpose(Image.Transpose.ROTATE_90)
    content = io.BytesIO()
    stored.save(content, "PNG", exif=oriented(6))
    loaded = Image.open(content)
    loaded.load()
    for image in (loaded, content.getvalue()):
        assert classifier.predict_faces([image], finder=ShadeFinder(160))[0][0].x == 10
    as_it_is = classifier.predict_faces([loaded], finder=ShadeFinder(160), exif=False)
    assert (as_it_is[0][0].x, as_it_is[0][0].y) == (20, 110)


def test_a_classifier_opens_a_finder_once_and_closes_it(tmp_path, monkeypatch):
    opened = []

    def made(**options):
        opened.append(ShadeFinder(160, **options))
        return opened[-1]

    monkeypatch.setattr(finder_module, "FaceFinder", made)
    save_image_model(tmp_path / "m.safetensors")
    with Classifier(
        tmp_path / "m.safetensors", engine="openvino", device="cpu", precision="fp32", workers=1
    ) as classifier:
        for _ in range(2):
            assert len(classifier.predict_faces([photo()])[0]) == 2
        assert len(opened) == 1 and not opened[0].closed
    assert opened[0].closed
    with pytest.raises(FerFastError, match="the classifier is closed"):
        classifier.predict_faces([photo()])

"""The mix of classes in C++: wishes are read as Python reads them, and probabilities become Python's."""

from __future__ import annotations

import random

import numpy as np
import pytest
from cpp_programs import DESCRIBING, NUMBERS, RGB, answers_of, compiled, found_by, odd_images, run, write_images
from damaged_models import PRIORS
from tiny_models import image_config, save_image_model

from fer_fast import Classifier
from fer_fast.bench.portraits import photo_with_faces
from fer_fast.export import export_model
from fer_fast.models.files.description import parse_description
from fer_fast.models.prior import prior_text, ratios_of, shares_of, with_ratios
from fer_fast.types import EMOTIONS, CheckpointError

CLASSES = ("no", "yes", "may be")
OWN = (0.35, 0.25, 0.15, 0.1, 0.05, 0.05, 0.03, 0.02)
#: As text, with a share of 0.
MIX = ",".join(f"{name}={place}" for place, name in enumerate(EMOTIONS))
MODELS = {"with": OWN, "without": ()}
TEXTS = [
    "train",
    "balanced",
    "yes=30, no = 10,may be=.6e2",
    "yes=1e308,no=1e308,may be=-0",
    "yes=1e-400,no=5.,may be=+1",
    "yes=1,no=1e-38,may be=1e-37",
    "",
    "Balanced",
    "none/mix",
    "x" * 5000,
    "=",
    "yes=1,no=1",
    "yes=1,no=1,may be=1,joy=1",
    "yes=1,no=1,may be=1,yes=1",
    "yes=1,no=1,may be=-1",
    "yes=1,no=1,may be=much",
    "yes=1,no=1,may be=",
    "yes=1,no=nan,may be=1",
    "yes=1,no=1_0,may be=1",
    "yes=1,no=0x1,may be=1",
    "yes=1,no=1 0,may be=1",
    "yes=1,no=.,may be=1",
    "yes=1,no=1e,may be=1",
    "yes=1,no=1e999,may be=1",
    "yes=1,no,may be=1",
    "yes=1,,no=1",
    "yes=0,no=0,may be=0.0",
]
FILES = [
    b'{"yes": 30, "no": 10, "may be": 60}',
    b' \n{"yes": 0.3,\n "\\u006eo": 1e-1, "may\\u0020be": 6E+1}\r\n\t',
    b'{"yes":0,"no":0.0,"may be":7}',
    b"yes=30\nno=10\nmay be=60",
    b"# counted by hand\r\n\r\n yes = 30 # of 100\r\nno=10\r\n\tmay be=60.0 \r\n",
    b'\xef\xbb\xbf{"yes": 30, "no": 10, "may be": 60}',
    b"\xef\xbb\xbfyes=30\r\nno=10\r\nmay be=60\r\n",
    b"\xef\xbb\xbf",
    b"yes=\xc2\xa030\nno=10\nmay be=60",
    b"",
    b"# nothing\n",
    b"yes=1\nyes=2\n",
    b"yes=1\nno\n",
    b"yes=1\n\xff=2",
    b"yes=1\n\xed\xa0\x80=2",
    b"yes=1\n\xc0\xaf=2",
    b"\x89PNG\r\n\x1a\n",
    b"#" * (1 << 21),
    b"[1, 2, 3]",
    b"{}",
    b"{",
    b'{"yes": 1,}',
    b'{"yes": 1} {}',
    b'{"yes": 01}',
    b'{"yes": .5}',
    b'{"yes": 5.}',
    b'{"yes": +1}',
    b'{"yes" 1}',
    b"{'yes': 1}",
    b'{"y\nes": 1}',
    b'{"\\x": 1}',
    b'{"\\u12": 1}',
    b'{"yes": 1, "no": -2.5}',
    b'{"yes": "1"}',
    b'{"yes": NaN}',
    b'{"yes": true}',
    b'{"yes": null}',
    b'{"yes": [1, 2]}',
    b'{"yes": 1, "yes": 2}',
    b'{"\\ud83d\\ude00": 1}',
    '{"\u00fc": 1, "yes": [}'.encode(),
    b'{"a":' * 100_000,
]


@pytest.fixture(scope="module")
def reader(prefix, tmp_path_factory):
    """The program that reads wishes, under the sanitizers."""
    flags = ("-g", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    sources = ("classifier/prior", "classifier/error", "faces/framing", "faces/cells", *DESCRIBING)
    return compiled("prior", tmp_path_factory.mktemp("reader") / "prior", prefix, sources, *flags)


def read_by(reader, wishes, folder, classes=CLASSES):
    """What C++ makes of each wish: its name and its shares, or the words that refuse it."""
    (folder / "wishes").write_bytes(b"".join(wish.encode() + b"\0" for wish in wishes))
    lines = run(reader, folder / "wishes", *classes).stdout.splitlines()
    assert len(lines) == len(wishes)
    codes, said = zip(*(line.split(" ", 1) for line in lines), strict=True)
    found = []
    for code, words in zip(codes, said, strict=True):
        name, *shares = words.split("|")
        found.append(words if code != "0" else (name, [float(share) for share in shares]))
    return codes, found


def read_by_python(wish):
    try:
        shares = shares_of(wish, CLASSES)
    except ValueError as error:
        return str(error)
    return prior_text(shares, CLASSES), pytest.approx(list(shares), abs=1e-15)


def written(contents, folder):
    """Files with these contents; their paths."""
    paths = [folder / f"{number}" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return [str(path) for path in paths]


def test_wishes_are_read_as_python_reads_them(reader, tmp_path):
    """And refused in its words; sums apart, shares are the same to the last bit."""
    (tmp_path / "folder").mkdir()
    wishes = [*TEXTS, *written(FILES, tmp_path), str(tmp_path / "folder")]
    codes, found = read_by(reader, wishes, tmp_path)
    for wish, code, words in zip(wishes, codes, found, strict=True):
        assert words == read_by_python(wish), wish
        assert code == ("1" if isinstance(words, str) else "0")


def test_changed_files_are_read_where_python_reads_them(reader, tmp_path):
    """JSON by the same grammar, text by the same rules: a file is good for both or for none."""
    chance = random.Random(4)
    alphabet = b'{}[]",:=#\\u0eE+-. \n\t\r\x00\x0b\x7f\xc3\xa4tn1'
    contents = []
    for number in range(600):
        content = bytearray(FILES[number % 5])
        for _ in range(chance.randrange(1, 3)):
            place = chance.randrange(len(content))
            content[place : place + chance.randrange(2)] = [chance.choice(alphabet)][: chance.randrange(2)]
        contents.append(bytes(content))
    wishes = written(contents, tmp_path)
    _, found = read_by(reader, wishes, tmp_path)
    wanted = [read_by_python(wish) for wish in wishes]
    for content, here, there in zip(contents, found, wanted, strict=True):
        assert isinstance(here, str) == isinstance(there, str) and (isinstance(here, str) or here == there), content
    assert 50 < sum(isinstance(words, str) for words in wanted) < 550


def test_the_mix_that_a_description_says(reader, tmp_path):
    facts = "format 1\nversion 0.1.0\nmodel abc\nprecision fp32\nbatch_size 4\nimage_size 64\nclass no\nclass yes\n"
    texts = [facts, *(facts + "".join(f"prior {share}\n" for share in shares) for shares, _ in PRIORS)]
    codes, found = read_by(reader, texts, tmp_path, ("no", "yes"))
    assert (codes[0], found[0]) == ("0", ("train", []))
    for (shares, known), text, code, said in zip(PRIORS, texts[1:], codes[1:], found[1:], strict=True):
        if known:
            assert (code, said[1]) == ("0", list(parse_description(text.encode(), "m.xml").prior)), shares
            continue
        with pytest.raises(CheckpointError) as told:
            parse_description(text.encode(), "m.xml")
        assert (code, said) == ("3", str(told.value)), shares


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Exports of a small classifier that says its mix, and of one that does not."""
    folder = tmp_path_factory.mktemp("model")
    for name, own in MODELS.items():
        save_image_model(folder / f"{name}.safetensors", image_config(prior=own))
        export_model(folder / f"{name}.safetensors", "openvino", folder / f"{name}.xml", batch_size=16)
    export_model(folder / "with.safetensors", "openvino", folder / "mix.xml", batch_size=16, prior=MIX)
    return folder


@pytest.mark.parametrize("wish", ["balanced", MIX])
def test_probabilities_presume_the_mix(consumer, models, tmp_path, wish):
    given, plain = odd_images(40, 60)
    trained, said = answers_of(consumer / "classify", models / "with.xml", given, tmp_path)
    assert "\nprior=train\n" in said
    shares = shares_of(wish, EMOTIONS)
    found, said = answers_of(consumer / "classify", models / "with.xml", given, tmp_path, threads=4, prior=wish)
    assert f"\nprior={prior_text(shares, EMOTIONS)}\n" in said
    np.testing.assert_allclose(found, with_ratios(trained, ratios_of(shares, OWN, EMOTIONS)), rtol=0, atol=1e-6)
    assert np.abs(found - trained).max() > 0.05
    with Classifier(models / "with.xml", precision="fp32", workers=1, prior=wish) as classifier:
        wanted = np.stack([prediction.probabilities for prediction in classifier.predict(plain)])
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)


def test_what_was_exported_for_a_mix_is_put_to_another(consumer, models, tmp_path):
    given, _ = odd_images(20, 60)
    wish = ",".join(f"{name}={int(place > 0)}" for place, name in enumerate(EMOTIONS))
    wanted, _ = answers_of(consumer / "classify", models / "with.xml", given, tmp_path, prior=wish)
    found, _ = answers_of(consumer / "classify", models / "mix.xml", given, tmp_path, prior=wish)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
    command = (consumer / "classify", models / "mix.xml", tmp_path / "images.bin", tmp_path / "out.bin", 0, "cpu")
    done = run(*command, "balanced", check=False)
    words = f"1 prior must be 0 for {EMOTIONS[0]!r}, which this exported model never answers\n"
    assert (done.returncode, done.stderr) == (1, words)


def test_train_changes_no_bit(consumer, models, tmp_path):
    given, _ = odd_images(8, 60)
    answers = [answers_of(consumer / "classify", models / f"{name}.xml", given, tmp_path)[0] for name in MODELS]
    np.testing.assert_array_equal(*answers)


def test_a_model_that_does_not_say_its_mix(consumer, models, tmp_path):
    write_images(tmp_path / "images.bin", odd_images(1, 9)[0])
    command = (consumer / "classify", models / "without.xml", tmp_path / "images.bin", tmp_path / "out.bin", 0, "cpu")
    with pytest.raises(ValueError, match=r"^prior must be train for this model, ") as told:
        ratios_of(shares_of("balanced", EMOTIONS), (), EMOTIONS)
    done = run(*command, "balanced", check=False)
    assert (done.returncode, done.stderr) == (1, f"1 {told.value}\n")


def test_faces_in_photos_presume_the_mix(consumer, models, tmp_path):
    export_model("finder", "openvino", tmp_path / "finder.xml")
    pixels = np.asarray(photo_with_faces(np.random.default_rng(2), (500, 400), 2)[0])
    given = (consumer / "find", tmp_path / "finder.xml", models / "with.xml", [(pixels, RGB, 0)], tmp_path)
    (trained,), _ = found_by(*given, 0, "fp32", 640)
    (found,), _ = found_by(*given, 0, "fp32", 640, MIX)
    ratios = ratios_of(shares_of(MIX, EMOTIONS), OWN, EMOTIONS)
    assert len(found) == 2 and not found[:, NUMBERS].any()
    np.testing.assert_allclose(found[:, NUMBERS:], with_ratios(trained[:, NUMBERS:], ratios), rtol=0, atol=1e-6)


def test_the_c_interface_takes_a_mix(consumer, models):
    lines = run(consumer / "classify_c", models / "with.xml", "balanced").stdout.splitlines()
    found = [float(line.split()[1]) for line in lines]
    with Classifier(models / "with.xml", precision="fp32", workers=1, prior="balanced") as classifier:
        wanted = classifier.predict([np.array([[0, 90], [180, 255]], np.uint8)])[0].probabilities
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-6)

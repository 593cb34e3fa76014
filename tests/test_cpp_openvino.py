"""OpenVINO, which the C++ library opens when it runs: where it is found, which is taken, what is said of others."""

from __future__ import annotations

import ctypes.util
import os
import re
import sys
from pathlib import Path

import pytest
from cpp_programs import OPENVINO, ROOT, answers_of, assert_same, odd_images, python_answers, run
from tiny_models import random_model, tiny_config

from fer_fast.export import export_model
from fer_fast.models.files.storage import save_model

#: Folders of other OpenVINOs' libraries, as PATH has them: each must give the same answers.
OTHERS = [folder for folder in os.environ.get("FER_FAST_OTHER_OPENVINO", "").split(os.pathsep) if folder]
ASKED = "FER_FAST_OPENVINO_DIR"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small checkpoint beside what is exported from it."""
    folder = tmp_path_factory.mktemp("model")
    save_model(random_model(tiny_config(sources=("image", "FM1"))), folder / "model.safetensors")
    export_model(folder / "model.safetensors", "openvino", folder / "model.xml", batch_size=16)
    return folder / "model.xml"


@pytest.fixture
def stub(tmp_path):
    """Makes a libopenvino_c of a version, in a folder and by a name."""

    def make(version, folder, name):
        folder.mkdir(parents=True, exist_ok=True)
        source = ROOT / "tests/cpp/openvino_stub.c"
        run("cc", "-shared", "-fPIC", f'-DVERSION="{version}"', source, "-o", folder / name)
        return folder / name

    return make


@pytest.fixture
def alone(prefix, tmp_path):
    """A library that knows no folder of OpenVINO's but its own."""
    (library,) = prefix.glob("lib*/libfer_fast.so.1")
    content, known = library.read_bytes(), os.fsencode(OPENVINO)
    assert content.count(known) == 1
    copied = tmp_path / "alone" / library.name
    copied.parent.mkdir()
    copied.write_bytes(content.replace(known, b"/nowhere".ljust(len(known), b"e")))
    return copied


def opened(program, model, folder, **variables):
    """What the program says that opens a model, with variables in its environment."""
    environment = os.environ | {name: str(value) for name, value in variables.items()}
    return run(program, model, "/dev/null", folder / "out.bin", check=False, env=environment)


def refusal(done):
    """The one sentence of a program that found no OpenVINO to run."""
    assert done.returncode == 1 and not done.stdout, done.stdout
    assert done.stderr.startswith("5 ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr[2:-1]


def test_the_library_needs_no_openvino_and_exports_its_own_names(prefix):
    (library,) = prefix.glob("lib*/libfer_fast.so.1")
    assert "openvino" not in re.sub(r"RUNPATH.*", "", run("readelf", "-d", library).stdout)
    symbols = run("nm", "-D", library).stdout.splitlines()
    assert len(symbols) > 30 and not [line for line in symbols if re.search(r"\b_ZN?K?2ov|openvino", line)]
    exported = [line.split()[2] for line in symbols if line.split()[-2] not in "Uw"]
    own = re.compile(r"fer_fast_\w+|_ZNK?8fer_fast\w+|_ZT[IVS]N8fer_fast5ErrorE")
    assert [name for name in exported if own.fullmatch(name) is None] == []
    assert {"fer_fast_open", "_ZTIN8fer_fast5ErrorE"} <= set(exported)


def test_the_folder_that_is_named_is_the_only_one(consumer, model, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "none"):
        said = refusal(opened(consumer / "classify", model, tmp_path, FER_FAST_OPENVINO_DIR=folder))
        assert f"OpenVINO 2025.2 or later is not there: no libopenvino_c.so in '{folder}', which {ASKED} names" in said
    done = opened(consumer / "classify", model, tmp_path, FER_FAST_OPENVINO_DIR="")  # as if it were not set
    assert "engine=openvino\n" in done.stdout


def test_it_is_looked_for_where_the_loader_looks(alone, consumer, model, stub, tmp_path):
    """In LD_LIBRARY_PATH's folders, then beside the library; but a folder that is named goes before all."""
    if ctypes.util.find_library("openvino_c") is not None:
        pytest.skip("this machine has an OpenVINO where every program finds it")
    program, first = consumer / "classify", tmp_path / "first"
    paths = {"LD_PRELOAD": alone, "LD_LIBRARY_PATH": first}
    said = refusal(opened(program, model, tmp_path, **paths))
    assert f"no libopenvino_c.so in '{first}', '{alone.parent}', '/nowhere" in said
    assert said.endswith(f"; pip install openvino, ship it beside libfer_fast, or name its folder in {ASKED}")
    beside = stub("2025.1.0-1-b", alone.parent, "libopenvino_c.so.2510")
    assert refusal(opened(program, model, tmp_path, **paths)).startswith(f"'{beside}' is OpenVINO 2025.1.0-1-b: ")
    before = stub("2024.6.0-1-a", first, "libopenvino_c.so.2460")
    assert refusal(opened(program, model, tmp_path, **paths)).startswith(f"'{before}' is OpenVINO 2024.6.0-1-a: ")
    done = opened(program, model, tmp_path, **paths, FER_FAST_OPENVINO_DIR=OPENVINO)
    assert "engine=openvino\n" in done.stdout


def test_a_program_that_is_linked_with_openvino_has_no_second_one(consumer, model, stub, tmp_path):
    (library,) = OPENVINO.glob("libopenvino.so.*")
    stub("2025.1.0-1-b", tmp_path, "libopenvino_c.so.2510")
    linked = {"LD_PRELOAD": library}
    done = opened(consumer / "classify", model, tmp_path, **linked, LD_LIBRARY_PATH=tmp_path)
    assert "engine=openvino\n" in done.stdout, done.stderr
    done = opened(consumer / "classify", model, tmp_path, **linked, FER_FAST_OPENVINO_DIR=f"{OPENVINO}/../libs")
    assert "engine=openvino\n" in done.stdout, done.stderr
    said = refusal(opened(consumer / "classify", model, tmp_path, **linked, FER_FAST_OPENVINO_DIR=tmp_path))
    assert (
        said
        == f"{ASKED} names '{tmp_path}', and this program is linked with the OpenVINO in '{OPENVINO}': it can have one"
    )


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("2024.6.0-17404-4c0f47d2335", "'{file}' is OpenVINO 2024.6.0-17404-4c0f47d2335: 2025.2 or later is needed"),
        ("2025.1.0-1-a", "'{file}' is OpenVINO 2025.1.0-1-a: 2025.2 or later is needed"),
        (
            "2031.0.0-1-a",
            "'{file}' is OpenVINO 2031.0.0-1-a, which has no ov_get_last_err_msg: 2025.2 or later is needed",
        ),
        ("own", "'{file}' is OpenVINO own, which has no ov_get_last_err_msg: 2025.2 or later is needed"),
    ],
)
def test_another_openvino_is_told(consumer, model, stub, tmp_path, version, words):
    file = stub(version, tmp_path, "libopenvino_c.so.9999")
    said = refusal(opened(consumer / "classify", model, tmp_path, FER_FAST_OPENVINO_DIR=tmp_path))
    assert said == words.format(file=file)


def test_what_is_no_library_is_told(consumer, model, tmp_path):
    (tmp_path / "libopenvino_c.so.2641").write_text("no library\n" * 100)
    said = refusal(opened(consumer / "classify", model, tmp_path, FER_FAST_OPENVINO_DIR=tmp_path))
    assert said.startswith(f"OpenVINO cannot be loaded from '{tmp_path}': ") and "invalid ELF header" in said
    run("cc", "-shared", "-x", "c", "/dev/null", "-o", tmp_path / "libopenvino_c.so.2641")
    said = refusal(opened(consumer / "classify", model, tmp_path, FER_FAST_OPENVINO_DIR=tmp_path))
    assert said.startswith(
        f"'{tmp_path}/libopenvino_c.so.2641' is OpenVINO of no version, which has no ov_get_openvino"
    )


def test_of_several_the_newest_is_taken(consumer, model, stub, tmp_path):
    names = ("libopenvino_c.so", "libopenvino_c.so.2520", "libopenvino_c.so.2026.1.0", "libopenvino_c.so.2611.old")
    for name in names:
        stub("2020.1.0-1-a", tmp_path, name)
    said = refusal(opened(consumer / "classify", model, tmp_path, FER_FAST_OPENVINO_DIR=tmp_path))
    assert said.startswith(f"'{tmp_path}/libopenvino_c.so.2026.1.0' is ")
    stub("2020.1.0-1-a", tmp_path, "libopenvino_c.so.2612")
    said = refusal(opened(consumer / "classify", model, tmp_path, FER_FAST_OPENVINO_DIR=tmp_path))
    assert said.startswith(f"'{tmp_path}/libopenvino_c.so.2612' is ")


#: LIBRARY MODEL FOLDER: the first call is refused, the second finds OpenVINO in the folder.
OPEN_TWICE = """
import ctypes, os, sys
library, model, folder = ctypes.CDLL(sys.argv[1]), sys.argv[2].encode(), sys.argv[3]
library.fer_fast_last_error.restype = ctypes.c_char_p
classifier = ctypes.c_void_p()
assert library.fer_fast_open(model, None, ctypes.byref(classifier)) == 5, library.fer_fast_last_error()
assert classifier.value is None
os.environ["FER_FAST_OPENVINO_DIR"] = folder
assert library.fer_fast_open(model, None, ctypes.byref(classifier)) == 0, library.fer_fast_last_error()
library.fer_fast_close(classifier)
"""


def test_a_program_may_name_the_folder_after_a_refusal(prefix, model, tmp_path):
    (library,) = prefix.glob("lib*/libfer_fast.so.1")
    command = (sys.executable, "-c", OPEN_TWICE, library, model, OPENVINO)
    run(*command, env=os.environ | {ASKED: str(tmp_path)})


@pytest.mark.skipif(not OTHERS, reason="FER_FAST_OTHER_OPENVINO names no folders of other OpenVINOs' libraries")
@pytest.mark.parametrize("folder", OTHERS or [None])
def test_other_versions_give_pythons_answers(consumer, model, tmp_path, folder):
    given, plain = odd_images(40, 200)
    environment = os.environ | {ASKED: folder}
    found, said = answers_of(consumer / "classify", model, given, tmp_path, threads=4, env=environment)
    assert_same(found, python_answers(model.with_suffix(".safetensors"), plain))
    (library,) = Path(folder).glob("libopenvino_c.so.*")
    year, release, patch = re.search(r"version=20(\d\d)\.(\d+)\.(\d+)", said).groups()
    assert library.name == f"libopenvino_c.so.{year}{release}{patch}"


@pytest.mark.skipif(not OTHERS, reason="FER_FAST_OTHER_OPENVINO names no folders of other OpenVINOs' libraries")
@pytest.mark.parametrize("folder", OTHERS or [None])
def test_a_program_has_another_openvino(prefix, model, tmp_path, folder):
    """Linked with it, in either order, it has one: its own. What it opens itself stays beside ours."""
    (ours,), (its,) = prefix.glob("lib*/libfer_fast.so.1"), Path(folder).glob("libopenvino_c.so.*")
    year, release, patch = re.fullmatch(r".*\.(\d\d)(\d+)(\d)", its.name).groups()
    command = ["c++", "-std=c++17", "-Wall", "-Wextra", f"-I{prefix / 'include'}", ROOT / "tests/cpp/two_openvinos.cpp"]
    paths = f"-Wl,-rpath,{ours.parent}:{folder},--no-as-needed"
    for name, libraries in (("its_first", (its, ours)), ("ours_first", (ours, its)), ("ours", (ours,))):
        run(*command, paths, *libraries, "-ldl", "-o", tmp_path / name)
    for name in ("its_first", "ours_first"):
        said = run(tmp_path / name, model, timeout=120).stdout
        assert f"\nversion=20{year}.{release}.{patch}-" in said
    for order in ("before", "after"):
        said = run(tmp_path / "ours", model, its, order, timeout=120).stdout
        assert "engine=openvino\n" in said and f"\nversion=20{year}.{release}.{patch}-" not in said

"""The suite without torch: on each Python that is there, against the wheel that was built for it and then installed.

Whatever needs an extra or a compiler is skipped there, file by file as skipped_whole.py says, or test by test. Of the
rest all runs on one Python or another:

- 3.11, which runs the whole suite with torch as well: what can differ without it, and that files are decoded and runs
  go on. The rest of reading files, lists and tables has nothing to do with torch.
- 3.13: what its standard library, its numpy and the native part built for it might change, which is all but what is
  said of this repository and two files that decode for minutes.
- 3.12, between two that run it all: of that, what Python itself has a part in, as imports, processes, threads, signals,
  pickles, arguments and archives, and what calls the native part. Each format's own tests, what is killed a hundred
  times, and what films' frames and faces' scores come to run on its neighbours alone.

Each is a worker's alone where there are several (workers.py).

FER_FAST_PYTHONS names interpreters, as light_environments.py says; where there is none of a version, that is skipped.
"""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest
from light_environments import ROOT, VERSIONS, beside, call, environment, interpreter, settings
from skipped_whole import FILES

TESTS = ROOT / "tests"
#: What the tests need beside the package, and the extras that are small.
BESIDE = (
    *("aiohttp>=3.9", "av>=18.0,<20", "fsspec>=2024.6", "hypothesis", "pillow-heif>=0.18", "pyarrow>=17", "pytest>=8"),
)
#: Files that say what this repository has, whatever runs them; those that make the environments; and those whose
#: thousands of damaged files one Python decodes as the other does, in minutes.
HERE_ALONE = (
    *("docs", "gpu_script", "machine_code", "native", "nvrtc", "pages_*", "peers", "peers_photos", "reports"),
    *("pythons", "wheel", "workers", "decode_boxes", "decode_holes"),
)
#: Rooms that torch is in no way part of.
NEVER_TORCH = (
    *("apart", "batches", "budget", "decode_*", "disk", "inputs", "kinds", "limits", "memory", "orientation"),
    *("cells", "crops", "drawing", "framing", "several", "views"),
    *("film", "film_colours", "film_damage", "film_parts", "film_regions", "remote*"),
    *("stream", "table", "table_crashes", "table_runs"),
    *("arguments", "cli_interrupts", "cli_stalls", "cli_streams", "console", "kills", "progress"),
)
#: Each format of pictures; and what takes long because it waits.
NEWEST_ALONE = (
    *("decode_bands", "decode_bmp_gif", "decode_heif", "decode_images"),
    *("decode_jpeg", "decode_jpeg_damage", "decode_numbers", "decode_png", "decode_png_cost"),
    *("decode_tiff", "decode_webp", "orientation"),
    *("cli_stalls", "kills", "memory", "table_crashes"),
)
#: What is computed in numpy, or by libraries, from what other files read: answers, scores, drawings.
NOT_BETWEEN = (
    *("assignment", "classify_video", "draw_film", "film_*", "finding", "motion", "smoothing", "timeline"),
    *("tracks", "drawing", "face_decoder", "face_predictions", "first_look", "framing", "photos_to_rows"),
    *("predict_faces", "bench_cards", "bench_portraits", "calibration", "class_folders", "coverage", "evaluate*"),
    *("ferplus", "labelled_boxes", "scale_page", "scores", "splits", "dlib_weights"),
)
#: By version, what does not run there.
LEFT_OUT: dict[str, tuple[str, ...]] = {"3.11": NEVER_TORCH, "3.12": NEWEST_ALONE + NOT_BETWEEN, "3.13": ()}


def files(version: str) -> list[Path]:
    """The test files that run on a Python."""
    left_out = {path for name in (*HERE_ALONE, *LEFT_OUT[version]) for path in TESTS.glob(f"test_{name}.py")}
    return [path for path in sorted(TESTS.glob("test_*.py")) if path not in left_out]


def ended(version: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The suite's run, in a folder from which no fer_fast is imported but the installed one."""
    surroundings = settings() | {
        "PYTHONPATH": str(beside(version, *BESIDE)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "FER_FAST_CACHE": str(folder / "cache"),
        "FER_FAST_KILLS": "12",  # fewer than in the whole suite, which runs beside it
    }
    pytest_of_it = [environment(version), "-m", "pytest", "-c", ROOT / "pyproject.toml", "--rootdir", ROOT]
    places = ["--basetemp", folder / "temporary", "--junitxml", folder / "cases.xml"]
    command = [*pytest_of_it, "-p", "no:cacheprovider", *places, *files(version)]
    return subprocess.run(
        command, cwd=folder, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


@pytest.mark.long
@pytest.mark.parametrize("version", VERSIONS)
def test_the_suite_without_torch(version: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    if interpreter(version) is None:
        pytest.skip(f"there is no Python {version}; FER_FAST_PYTHONS may name one")
    folder = tmp_path_factory.mktemp(version)  # a short name: tests have folders below it
    done = ended(version, folder)
    assert done.returncode == 0, done.stdout
    (package,) = re.findall(r"^fer_fast of (.*)$", done.stdout, re.M)
    assert Path(package).is_relative_to(environment(version).parents[1])
    chosen = {path.stem.removeprefix("test_") for path in files(version)}
    there = {re.split("[<>=]", each)[0] for each in BESIDE}
    could_not = {name for module, names in FILES.items() if module not in there for name in names}
    assert skipped_whole(folder / "cases.xml") == chosen & could_not


def skipped_whole(report: Path) -> set[str]:
    """The test files of which nothing ran, because of markers or altogether."""
    ran: dict[str, bool] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        found = re.search(r"test_(\w+)", case.get("classname") or case.get("name", ""))
        assert found
        ran[found[1]] = ran.get(found[1], False) or case.find("skipped") is None
    return {name for name, anything in ran.items() if not anything}


@pytest.mark.parametrize("module", ["torch", "onnx", "matplotlib"])
def test_what_is_skipped_whole_could_not_run(module: str) -> None:
    """A file that could be imported would have tests that need a marker alone, if that."""
    version = next(version for version in VERSIONS if interpreter(version))
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    try: importlib.import_module(name)\n"
        "    except ImportError: continue\n"
        "    except Exception as error:\n"
        "        if type(error).__name__ == 'MissingExtraError': continue\n"
        "        raise\n"
        "    print(name)\n"
    )
    surroundings = settings() | {"PYTHONPATH": os.pathsep.join([str(beside(version, *BESIDE)), str(TESTS)])}
    names = [f"test_{name}" for name in FILES[module]]
    assert call(environment(version), "-c", program, *names, env=surroundings, cwd=ROOT.parent) == ""


def test_the_package_names_the_pythons_that_it_is_run_on() -> None:
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    named = [re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", each) for each in classifiers]
    assert tuple(found[1] for found in named if found) == VERSIONS


def test_every_named_file_is_there() -> None:
    named = [
        *HERE_ALONE,
        *NEVER_TORCH,
        *NEWEST_ALONE,
        *NOT_BETWEEN,
        *(name for names in FILES.values() for name in names),
    ]
    assert [name for name in named if not [*TESTS.glob(f"test_{name}.py")]] == []

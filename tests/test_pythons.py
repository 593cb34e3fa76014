"""The Python part on other Pythons, where they are installed: what needs no torch, no OpenVINO and no native part.

FER_FAST_PYTHONS names interpreters, with colons between them, in place of those that are found (empty: none). Each gets
an environment of its own in .venv-pythons/, made once and again when the requirements change.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / ".venv-pythons"
VERSIONS = ("3.12", "3.13")
#: What there may be no wheel of for such a Python; nothing below imports it.
LEFT_OUT = ("torch", "openvino")
ALSO = ("hypothesis", "pyarrow>=17", "pytest>=8")
#: The tests that run there, by room. A new file of a room joins its line.
FILES = {
    "bench": ("bench_cards",),
    "cli": ("arguments", "cli", "commands", "console", "progress"),
    "decode": (
        *("apart", "budget", "decode", "decode_bands", "decode_bmp_gif", "decode_boxes", "decode_faults"),
        *("decode_heif", "decode_holes", "decode_images", "decode_jpeg", "decode_jpeg_damage"),
        *("decode_numbers", "decode_png", "decode_png_cost", "decode_processes", "decode_tiff", "decode_webp"),
        *("kinds", "limits", "orientation", "several"),
    ),
    "evaluation": ("scores",),
    "inputs": ("inputs",),
    "machine": ("disk",),
    "ops": ("native",),
    "pipeline": ("batches", "memory", "pipeline", "stream"),
    "reports": ("drawing",),
    "table": ("table", "table_resume", "table_crashes"),
}


def interpreter(version: str) -> Path | None:
    """An interpreter of that version: one that FER_FAST_PYTHONS names, or one on PATH or of pyenv."""
    named = os.environ.get("FER_FAST_PYTHONS")
    if named is not None:
        candidates = [Path(each) for each in named.split(os.pathsep) if each]
    else:
        on_path = shutil.which(f"python{version}")
        pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
        candidates = [*sorted(pyenv.glob(f"{version}.*/bin/python")), *([Path(on_path)] if on_path else [])]
    return next((each for each in candidates if version_of(each) == version), None)


def version_of(python: Path) -> str:
    """Major and minor; empty of what does not run (pyenv's shims, where that version is not the chosen one)."""
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        return subprocess.run([python, "-c", program], capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def requirements() -> list[str]:
    """What the package declares, but for what is left out, and what its tests need."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    return [each for each in declared if not each.startswith(LEFT_OUT)] + list(ALSO)


def environment(python: Path, version: str) -> Path:
    """The interpreter of that Python's environment, which is made if it is not there as it should be."""
    folder, wanted = ENVIRONMENTS / version, "\n".join([str(python.resolve()), *requirements()])
    ENVIRONMENTS.mkdir(exist_ok=True)
    with (ENVIRONMENTS / f"{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs of the suite may want it
        made = folder / "made-of.txt"
        if not made.is_file() or made.read_text() != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            call(python, "-m", "venv", folder)
            call(folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", *requirements())
            made.write_text(wanted)
    return folder / "bin" / "python"


def call(*command: object) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[subprocess.Popen[bytes], Path]]]:
    """The tests' run and what it says, by version: all at once, since most of their time is waiting."""
    files = [f"tests/test_{name}.py" for names in FILES.values() for name in names]
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON"))}
    settings |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    started = {}
    for version in VERSIONS:
        python = interpreter(version)
        if python is None:
            continue
        said = tmp_path_factory.mktemp("pythons") / version
        command = [environment(python, version), "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
        with said.open("wb") as out:
            process = subprocess.Popen(command, cwd=ROOT, env=settings, stdout=out, stderr=subprocess.STDOUT)
        started[version] = (process, said)
    yield started
    for process, _ in started.values():
        process.kill()
        process.wait()


@pytest.mark.parametrize("version", VERSIONS)
def test_the_python_part_on_another_python(version: str, runs: dict[str, tuple[subprocess.Popen[bytes], Path]]) -> None:
    if version not in runs:
        pytest.skip(f"there is no Python {version}; FER_FAST_PYTHONS may name one")
    process, said = runs[version]
    assert process.wait() == 0, said.read_text()
    assert " passed" in said.read_text().splitlines()[-1]


def test_every_named_file_is_there() -> None:
    missing = [name for names in FILES.values() for name in names if not (ROOT / f"tests/test_{name}.py").is_file()]
    assert missing == []

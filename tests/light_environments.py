"""Environments without torch: a Python that is there, the wheel that was built for it, and what that asks for.

As a stranger has it: the source distribution becomes a wheel, pip installs it where there is no compiler. Each Python's
lies in .venv-pythons/, made once and again when the sources or the requirements change. FER_FAST_PYTHONS names
interpreters, with colons between them, in place of those that are found (empty: none).
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / ".venv-pythons"
VERSIONS = ("3.11", "3.12", "3.13")
#: What a wheel is made of.
SOURCES = ("CMakeLists.txt", "LICENSE", "MANIFEST.in", "NOTICE", "README.md", "pyproject.toml", "setup.py")
FOLDERS = ("csrc", "fer_fast")
BUILT = (".so", ".pyc")
#: The OpenVINO of this Python, so that answers are the same.
OPENVINO = f"openvino=={importlib.metadata.version('openvino')}"


def interpreter(version: str) -> Path | None:
    """An interpreter of that version: one that FER_FAST_PYTHONS names, or this one, or one on PATH or of pyenv."""
    named = os.environ.get("FER_FAST_PYTHONS")
    if named is not None:
        candidates = [Path(each) for each in named.split(os.pathsep) if each]
    else:
        on_path = shutil.which(f"python{version}")
        pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
        candidates = [Path(sys.executable), *sorted(pyenv.glob(f"{version}.*/bin/python"))]
        candidates += [Path(on_path)] if on_path else []
    return next((each for each in candidates if version_of(each) == version), None)


def version_of(python: Path) -> str:
    """Major and minor; empty of what does not run (pyenv's shims, where that version is not the chosen one)."""
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        return subprocess.run([python, "-c", program], capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def wheel(version: str) -> Path:
    """The wheel for that Python, without a CUDA kernel; its interpreter must be there."""
    with made(f"{version}-wheel", fingerprint()) as (folder, missing):
        if missing:
            pip = (interpreter(version), "-m", "pip", "--disable-pip-version-check", "wheel", "--no-deps")
            call(*pip, "--wheel-dir", folder, sdist(), env=settings() | {"FER_FAST_CUDA": "0"})
        (found,) = folder.glob("fer_fast-*.whl")
        return found


def sdist() -> Path:
    """The source distribution, by the build system's own interface."""
    with made("sdist", fingerprint()) as (folder, missing):
        if missing:
            program = "import sys, setuptools.build_meta as backend; backend.build_sdist(sys.argv[1])"
            call(sys.executable, "-c", program, folder, cwd=ROOT)
        (found,) = folder.glob("fer_fast-*.tar.gz")
        return found


def environment(version: str) -> Path:
    """The interpreter of an environment that has the wheel and what it asks for, and nothing else but pip."""
    built = wheel(version)
    with made(version, f"{fingerprint()} {OPENVINO} {interpreter(version)}") as (folder, missing):
        python = folder / "bin" / "python"
        if missing:
            call(interpreter(version), "-m", "venv", folder)
            pip = (python, "-m", "pip", "--disable-pip-version-check", "install")
            call(*pip, built, OPENVINO, env=settings() | {"PATH": str(folder / "bin")})
        return python


def beside(version: str, *requirements: str) -> Path:
    """A folder for PYTHONPATH with packages that are in no such environment, as what its tests need."""
    python = environment(version)
    with made(f"{version}-beside", f"{requirements} {python.resolve()}") as (folder, missing):
        if missing:
            pip = (python, "-m", "pip", "--disable-pip-version-check", "install", "--only-binary=:all:")
            call(*pip, "--target", folder, *requirements, env=settings())
        return folder


def settings() -> dict[str, str]:
    """This process' environment, but for what it says to pytest and to Python."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON"))}


def fingerprint() -> str:
    """Of the sources: another when one of them changes, appears or goes."""
    files = [ROOT / name for name in SOURCES]
    for folder in FOLDERS:
        files += [path for path in sorted((ROOT / folder).rglob("*")) if path.suffix not in BUILT and path.is_file()]
    digest = hashlib.sha256()
    for path in files:
        if not path.is_relative_to(ROOT / "fer_fast" / "cpp"):  # CMake's
            digest.update(f"{path.relative_to(ROOT)} {path.stat().st_size} ".encode() + path.read_bytes())
    return digest.hexdigest()


@contextmanager
def made(name: str, of: str) -> Iterator[tuple[Path, bool]]:
    """A folder of that name and whether it is still to be filled, since there is none that was made of the same.

    Held until then: two runs of the suite may want it.
    """
    folder = ENVIRONMENTS / name
    ENVIRONMENTS.mkdir(exist_ok=True)
    with (ENVIRONMENTS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = ENVIRONMENTS / f"{name}.made-of"
        missing = not said.is_file() or said.read_text() != of or not folder.is_dir()
        if missing:
            said.unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        yield folder, missing
        if missing:
            said.write_text(of)


def call(*command: object, **options: object) -> str:
    """What a command says; that it fails is an error with all that it said."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout

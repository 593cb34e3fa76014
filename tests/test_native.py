"""Where the native part is missing: what is said where the package was not built, and where its source hides it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = "from fer_fast.ops import native; native.core()"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A clone that was not built."""
    folder = tmp_path / "source folder"
    (folder / "fer_fast").mkdir(parents=True)
    for name in ("__init__.py", "types.py", "version.py"):
        shutil.copy(ROOT / "fer_fast" / name, folder / "fer_fast" / name)
    shutil.copytree(ROOT / "fer_fast" / "ops", folder / "fer_fast" / "ops")
    (folder / "CMakeLists.txt").touch()
    return folder


def said(folder: Path, site: Path) -> str:
    """The last line of what Python says in that folder, with `site` for its only packages."""
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, "-S", "-c", PROGRAM]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    return done.stderr.splitlines()[-1]


def install(site: Path, package: Path | None = None) -> None:
    """Puts fer_fast there, or a mark that it is installed from the folder `package`, as pip install -e does."""
    about = site / "fer_fast-0.1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: fer-fast\nVersion: 0.1.0\n")
    if package is None:
        (site / "fer_fast").mkdir()
    else:
        url = package.as_uri()
        (about / "direct_url.json").write_text(json.dumps({"url": url, "dir_info": {"editable": True}}))


def test_a_source_folder_says_that_it_hides_the_package(source: Path, tmp_path: Path) -> None:
    install(tmp_path / "site")
    sentence = said(source, tmp_path / "site")
    assert f"the source folder {str(source)!r}, which is not built, hides the package that is installed in" in sentence
    assert sentence.endswith(f"{str(tmp_path / 'site')!r}: start Python in another folder")


def test_an_editable_package_elsewhere_is_hidden_too(source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other clone"
    (other / "fer_fast").mkdir(parents=True)
    install(tmp_path / "site", other)
    assert f"hides the package that is installed in {str(other)!r}" in said(source, tmp_path / "site")


def test_without_another_package_it_says_how_to_build(source: Path, tmp_path: Path) -> None:
    assert "build it with `pip install .`" in said(source, tmp_path / "nothing")
    install(tmp_path / "site", source)  # itself, not built: nothing is hidden
    assert "build it with `pip install .`" in said(source, tmp_path / "site")

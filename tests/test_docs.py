"""What the pages say: generated tables equal their JSON, and links lead somewhere."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fer_fast.machine.extras import EXTRAS
from fer_fast.models.files.checkpoint import read_checkpoint
from fer_fast.models.files.paths import packaged_models, study_models

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_tables_equal_their_json():
    command = [sys.executable, str(ROOT / "benchmarks" / "tables.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_readme_names_every_command_line_option():
    done = subprocess.run(
        [sys.executable, "-m", "fer_fast", "classify", "--help"], capture_output=True, text=True, check=True
    )
    options = set(re.findall(r"--[a-z-]+", done.stdout)) - {"--help", "--output"}
    assert {"--resume", "--abstain", "--max-pixels"} <= options
    text = (ROOT / "README.md").read_text()
    assert [option for option in sorted(options) if option not in text] == []


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_extras_that_are_named_are_there():
    """In a page, an example, a message: `.[torch]`, `fer-fast[torch,plots]`."""
    folders = [ROOT / name for name in ("benchmarks", "csrc", "examples", "fer_fast")]
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in (".md", ".py", ".cpp", ".h")]
    files += [*PAGES, ROOT / "CHANGELOG.md", ROOT / "Makefile", ROOT / "CMakeLists.txt"]
    named = {name for path in files for name in extras_named_in(path.read_text())}
    assert {"torch", "train", "cuda", "cuda12", "test"} <= named
    assert named <= PROJECT["optional-dependencies"].keys()


def extras_named_in(text):
    found = re.findall(r"(?:[\s'\"]\.|fer-fast|FILE)\[([a-z0-9,]+)\]", text)
    return {name for names in found for name in names.split(",")}


def test_readme_has_every_extra():
    assert extras_named_in((ROOT / "README.md").read_text()) == EXTRAS.keys()


def test_what_contributing_points_at_is_there():
    named = re.findall(r"`([a-z_]+/[\w./*]*)`", (ROOT / "CONTRIBUTING.md").read_text())
    assert {"fer_fast/models/", "models/layers.py", "csrc/bindings/"} <= {*named}
    assert [name for name in named if not [*ROOT.glob(name), *(ROOT / "fer_fast").rglob(name.rstrip("/"))]] == []


def test_the_scores_are_of_the_packaged_models():
    models = results("models")["models"]
    scored = {name: {report["model"]["digest"] for report in splits.values()} for name, splits in models.items()}
    studied = study_models()
    assert scored == {name: {read_checkpoint(name).digest} for name in packaged_models() if name not in studied}


def test_the_studys_scores_are_of_its_packaged_models():
    models = results("study")["models"]
    for name in study_models():
        assert models[name]["test"]["model"]["digest"] == read_checkpoint(name).digest


def results(name):
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())


def test_the_makefile_has_the_promised_targets():
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^demo:", makefile, re.MULTILINE)
    assert re.search(r"^test:", makefile, re.MULTILINE)
    assert "make test" in (ROOT / ".ci" / "run").read_text()

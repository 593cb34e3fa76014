"""What is hidden in a folder, .ipynb_checkpoints, ._face.jpg, __MACOSX, is no image, no class, and told of."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from drawn_data import draw_classes
from shades import save_shade

from fer_fast.datasets import load_split
from fer_fast.inputs import ImageFiles

HIDDEN = (".ipynb_checkpoints/face-checkpoint.png", "__MACOSX/face.png", ".thumbs/a/b/face.png", "._face.png")


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    for name in ("face.png", "class/face.png", *HIDDEN, *(f"class/{name}" for name in HIDDEN)):
        (tmp_path / "faces" / name).parent.mkdir(parents=True, exist_ok=True)
        save_shade(tmp_path / "faces" / name, 100)
    (tmp_path / "faces" / ".DS_Store").touch()
    return tmp_path / "faces"


def test_a_folders_images_are_those_that_show(faces: Path) -> None:
    files = ImageFiles([faces])
    assert [str(Path(path).relative_to(faces)) for path in files] == ["face.png", "class/face.png"]
    assert files.skipped == {"hidden": 8, "": 1}, "folders, and files that are called as images are"


@pytest.mark.parametrize(
    ("named", "count"),
    [(HIDDEN[0], 1), (".ipynb_checkpoints", 1), ("__MACOSX", 1), (".thumbs", 1), ("._face.png", 1), (".*/*.png", 1)],
)
def test_what_is_named_outright_is_meant(faces: Path, named: str, count: int) -> None:
    assert len(list(ImageFiles([f"{faces}/{named}"]))) == count


def test_a_folder_in_a_hidden_one_is_as_any_other(faces: Path) -> None:
    hidden = Path(shutil.copytree(faces, faces.parent / ".cache" / "faces"))
    assert len(list(ImageFiles([hidden]))) == 2
    (faces / "shown").symlink_to(hidden)
    assert len(list(ImageFiles([faces]))) == 4, "a link that shows, too"


def test_the_command_tells_of_them(faces: Path, ended: Callable[..., tuple[int, str, str]]) -> None:
    status, out, error = ended(faces)
    assert status == 0 and out.count(",ok,") == 2
    assert "8 hidden files and folders are left out\n" in error
    assert "1 file in the folders is not called as images are: no suffix 1\n" in error
    status, _, error = ended(faces / "class" / ".thumbs" / "a")
    assert status == 0 and "hidden" not in error and error.startswith("1 row: ok 1\n")


def test_a_folder_where_all_is_hidden_says_so(
    faces: Path, tmp_path: Path, ended: Callable[..., tuple[int, str, str]]
) -> None:
    (tmp_path / "empty").mkdir()
    shutil.copytree(faces / ".thumbs", tmp_path / "empty" / ".thumbs")
    status, _, error = ended(tmp_path / "empty")
    assert (status, error) == (2, f"fer-fast: no image in '{tmp_path}/empty' (1 file or folder is hidden)\n")


@pytest.mark.parametrize("below", [".", "train"])
def test_hidden_folders_are_no_classes(tmp_path: Path, below: str) -> None:
    data = draw_classes(tmp_path / below, {"no": 3, "yes": 3}, size=8)
    before = load_split(tmp_path, "train", 8)
    for inside in (data, data / "yes"):
        for name in HIDDEN:
            (inside / name).parent.mkdir(parents=True, exist_ok=True)
            save_shade(inside / name, 100)
    after = load_split(tmp_path, "train", 8)
    assert after.columns == ("no", "yes") and after.names == before.names


def test_a_data_set_in_a_hidden_folder_is_as_any_other(tmp_path: Path) -> None:
    data: Any = draw_classes(tmp_path / ".cache" / "faces", {"no": 3, "yes": 3}, size=8)
    assert len(load_split(data, "all", 8).names) == 6

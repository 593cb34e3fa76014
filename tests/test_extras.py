"""What needs an extra says which, in one sentence and before it begins; what needs none works without any."""

from __future__ import annotations

import logging
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

import hidden_modules
import pytest
from drawn_data import draw_classes

from fer_fast.cli.command import COMMANDS
from fer_fast.decode import open_decoder
from fer_fast.machine import devices
from fer_fast.machine.extras import EXTRAS, is_installed, missing_modules, need, pip_line
from fer_fast.types import EMOTIONS, MissingExtraError

ROOT = Path(__file__).resolve().parent.parent
#: What pip knows by another name than Python does.
BROUGHT = {
    "torch_tensorrt": "tensorrt",
    "nvidia_dali_cuda130": "nvidia.dali",
    "nvidia_dali_cuda120": "nvidia.dali",
    "nvidia_nvimgcodec_cu13": "nvidia.nvimgcodec",
    "nvidia_nvimgcodec_cu12": "nvidia.nvimgcodec",
    "scikit_image": "skimage",
}
NO_TORCH = "torch, which is not installed: pip install 'fer-fast[{}]'"
#: A command line, and what is missing there where nothing but the package is installed.
LACKING = {
    "classify faces/valid -o out.csv --engine torch": f"engine 'torch' needs {NO_TORCH.format('torch')}",
    "classify faces/valid -o out.csv --engine tensorrt": (
        "engine 'tensorrt' needs torch, tensorrt, which are not installed: pip install 'fer-fast[cuda]'"
    ),
    "classify faces/valid -o out.csv --device cuda": f"device 'cuda' needs {NO_TORCH.format('cuda')}",
    "classify faces/valid -o out.csv --device cuda:0,cuda:1": f"device 'cuda:0,cuda:1' needs {NO_TORCH.format('cuda')}",
    "classify faces/valid --faces all --draw drawn --device cuda": f"device 'cuda' needs {NO_TORCH.format('cuda')}",
    "classify faces/valid -o out.csv --decoder dali": (
        "decoder 'dali' needs nvidia.dali, which is not installed: pip install 'fer-fast[cuda]'"
    ),
    "classify faces/valid -o out.csv --decoder nvimagecodec": (
        "decoder 'nvimagecodec' needs torch, nvidia.nvimgcodec, which are not installed: pip install 'fer-fast[cuda]'"
    ),
    "classify faces/valid -o out.parquet": (
        "parquet needs pyarrow, which is not installed: pip install 'fer-fast[parquet]'"
    ),
    "classify faces/valid -o out.csv --cluster ray": (
        "a cluster needs pyarrow, ray, which are not installed: pip install 'fer-fast[ray]'"
    ),
    "evaluate tiny faces --engine torch --json out.json": f"engine 'torch' needs {NO_TORCH.format('torch')}",
    "evaluate tiny faces --device cuda:1 --json out.json": f"device 'cuda:1' needs {NO_TORCH.format('cuda')}",
    "evaluate tiny faces --hard --json out.json": (
        "evaluation by hard views needs torch, kornia, which are not installed: pip install 'fer-fast[train]'"
    ),
    "visualize faces/valid/fear/000.png": (
        "the figure needs torch, matplotlib, which are not installed: pip install 'fer-fast[torch,plots]'"
    ),
    "visualize faces/valid/fear/000.png --faces": (
        "the figure needs matplotlib, which is not installed: pip install 'fer-fast[plots]'"
    ),
    "timeline faces.csv film.mp4": (
        "a page with thumbnails needs av, which is not installed: pip install 'fer-fast[video]'"
    ),
    "export tiny --format onnx": (
        "format 'onnx' needs torch, onnx, onnxscript, which are not installed: pip install 'fer-fast[torch]'"
    ),
    "export tiny --format pt2": f"format 'pt2' needs {NO_TORCH.format('torch')}",
    "export tiny --format tensorrt": (
        "format 'tensorrt' needs torch, onnx, onnxscript, tensorrt, which are not installed: "
        "pip install 'fer-fast[cuda]'"
    ),
    "export tiny --format tensorrt-rtx": (
        "format 'tensorrt-rtx' needs torch, onnx, onnxscript, which are not installed: pip install 'fer-fast[torch]'"
    ),
    "bench --quick --json out.json": f"fer-fast bench needs {NO_TORCH.format('torch')}",
    "train fast --data faces --out run": (
        "fer-fast train needs torch, kornia, which are not installed: pip install 'fer-fast[train]'"
    ),
    "train-finder finder --photos faces --out run": f"fer-fast train-finder needs {NO_TORCH.format('train')}",
    "tables --data faces --out run": f"fer-fast tables needs {NO_TORCH.format('train')}",
    "recalibrate tiny --data faces --out out.safetensors": f"fer-fast recalibrate needs {NO_TORCH.format('train')}",
}
#: By the name that users import, what says so.
IMPORTS = {
    "import fer_fast.tokens": "fer_fast.tokens",
    "import fer_fast.visualize": "fer_fast.visualize",
    "import fer_fast; fer_fast.load_model()": "fer_fast.load_model",
}
FILM = "import fer_fast.films.film; fer_fast.films.film.Film('film.mp4')"
#: As from fer_fast import *, help() and a notebook's completion ask for them.
ALL_NAMES = "import fer_fast; [getattr(fer_fast, name) for name in dir(fer_fast)]"
#: Command lines for which a torch that cannot be imported is as none.
BROKEN = {
    "classify faces/valid -o out.csv --engine torch": "engine 'torch'",
    "visualize faces/valid/fear/000.png": "the figure",
    "export tiny --format pt2": "format 'pt2'",
    "bench --quick": "fer-fast bench",
    "train fast --data faces --out run": "fer-fast train",
}


def test_they_are_those_that_pip_knows() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    told = {}
    for extra in EXTRAS:
        named = [re.split(r"[\[<>=; ]", each)[0].replace("-", "_") for each in declared[extra]]
        told[extra] = sorted(BROUGHT.get(name, name) for name in named)
    assert told == {extra: sorted(about.modules) for extra, about in EXTRAS.items()}
    assert {*declared} - {*EXTRAS} == {"test"}, "nothing of the package asks for it"


def test_a_sentence_has_what_is_lacking_and_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    need("a test", "test", modules=("json",))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert missing_modules("plots") == ["matplotlib"] and not is_installed("matplotlib")
    with pytest.raises(MissingExtraError) as raised:
        need("a figure", "torch", "plots", modules=("json", "matplotlib"))
    assert str(raised.value) == ("a figure needs matplotlib, which is not installed: pip install 'fer-fast[plots]'"), (
        "not what is there"
    )
    assert pip_line("torch", "plots") == "pip install 'fer-fast[torch,plots]'"
    assert not is_installed("nowhere.at.all"), "nor its parent"


def test_what_an_uninstalled_package_left_behind_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "left" / "__pycache__").mkdir(parents=True)
    (tmp_path / "left" / "there.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert not is_installed("left") and not is_installed("left.behind")
    assert is_installed("left.there"), "a folder may hold packages of several makers, as nvidia does"


def test_an_openvino_that_cannot_be_imported_is_told(place: Path) -> None:
    broken = place.parent / "broken_openvino"
    (broken / "openvino").mkdir(parents=True)
    (broken / "openvino" / "__init__.py").write_text("def (")
    before = names_in(place)
    lines = ["classify faces/valid -o out.csv", "export tiny --format openvino", "doctor"]
    found = hidden_modules.answers(lines, cwd=place, before=f"sys.path.insert(0, {str(broken)!r})")
    said = "OpenVINO cannot be imported (invalid syntax (__init__.py, line 1)): pip install --force-reinstall openvino"
    assert found[:2] == [(2, "", f"fer-fast: {said}\n")] * 2 and names_in(place) == before
    assert f"openvino on cpu no: {said}" in " ".join(found[2][1].split())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("extras")
    for split in ("train", "valid", "test"):
        draw_classes(folder / "faces" / split, dict.fromkeys(EMOTIONS, 2))
    (folder / "tmp").mkdir()
    return folder


def names_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


@pytest.fixture(scope="module")
def without(place: Path) -> dict[str, tuple[int, str, str]]:
    """What each line says where no extra is installed; none leaves a file, be it in the cache or a temporary one."""
    helps = [f"{command} --help" for command in COMMANDS]
    lines = [*LACKING, *IMPORTS, *helps, ALL_NAMES, FILM]
    before, settings = names_in(place), {"FER_FAST_CACHE": str(place / "cache"), "TMPDIR": str(place / "tmp")}
    found = hidden_modules.answers(lines, *hidden_modules.EXTRAS, cwd=place, env=settings)
    assert names_in(place) == before
    return dict(zip(lines, found, strict=True))


@pytest.mark.parametrize("line", LACKING)
def test_a_command_says_what_it_lacks(line: str, without: dict[str, tuple[int, str, str]]) -> None:
    assert without[line] == (2, "", f"fer-fast: {LACKING[line]}\n")


@pytest.mark.parametrize("line", IMPORTS)
def test_an_import_says_what_it_lacks(line: str, without: dict[str, tuple[int, str, str]]) -> None:
    assert without[line] == (99, "", f"MissingExtraError: {IMPORTS[line]} needs {NO_TORCH.format('torch')}")


def test_a_film_says_what_it_lacks(without: dict[str, tuple[int, str, str]]) -> None:
    said = "a film needs av, which is not installed: pip install 'fer-fast[video]'"
    assert without[FILM] == (99, "", f"MissingExtraError: {said}")


def test_all_names_of_the_package_are_there(without: dict[str, tuple[int, str, str]]) -> None:
    assert without[ALL_NAMES] == (0, "", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_needs_nothing(command: str, without: dict[str, tuple[int, str, str]]) -> None:
    status, out, errors = without[f"{command} --help"]
    assert (status, errors) == (0, "") and out.startswith(f"usage: fer-fast {command} ")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise OSError('libtorch.so: cannot open shared object file')", "libtorch.so: cannot open shared object file"),
        ("def (", "invalid syntax (__init__.py, line 1)"),
    ],
    ids=["library", "syntax"],
)
def test_a_torch_that_cannot_be_imported_is_told_with_the_reason(place: Path, code: str, said: str) -> None:
    broken = place.parent / "broken" / "torch"
    broken.mkdir(parents=True, exist_ok=True)
    (broken / "__init__.py").write_text(code)
    (broken.parent / "kornia.py").touch()
    (broken.parent / "matplotlib.py").touch()
    before = names_in(place)
    found = hidden_modules.answers(
        [*BROKEN, "import fer_fast.tokens", "doctor"], cwd=place, before=f"sys.path.insert(0, {str(broken.parent)!r})"
    )
    reason = f"which is installed but cannot be imported ({said})"
    for (status, out, errors), what in zip(found, [*BROKEN.values()], strict=False):
        assert (status, out, errors.count("\n")) == (2, "", 1), errors
        assert errors.startswith(f"fer-fast: {what} needs torch, {reason}: install it again, or what it lacks: pip")
    status, _, errors = found[-2]
    assert status == 99 and errors.startswith(f"MissingExtraError: fer_fast.tokens needs torch, {reason}")
    assert names_in(place) == before
    status, out, _ = found[-1]
    assert f"torch on cpu no: engine 'torch' needs torch, {reason}" in " ".join(out.split())


def test_a_dali_that_cannot_be_imported_leaves_decoding_to_pillow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        @staticmethod
        def find_spec(name: str, *_: object) -> ModuleSpec | None:
            loader = spec_from_file_location(name, tmp_path / "broken.py")
            return loader if name == "nvidia.dali" else None

    (tmp_path / "broken.py").write_text("raise ImportError('libcuda.so.1: cannot open shared object file')\n")
    monkeypatch.setitem(sys.modules, "nvidia", ModuleType("nvidia"))
    sys.modules["nvidia"].__path__ = []
    for library in ("nvidia.dali", "nvidia.nvimgcodec"):
        monkeypatch.delitem(sys.modules, library, raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken, *sys.meta_path])
    with open_decoder("auto", 48, device="cuda:0") as decoder:
        assert decoder.name == "pillow"
    why = "which is installed but cannot be imported (libcuda.so.1: cannot open shared object file)"
    assert f"Pillow decodes: decoder 'dali' needs nvidia.dali, {why}" in caplog.text


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A machine without torch; the path of its NVIDIA driver's file, which is not there yet."""
    driver = tmp_path / "nvidiactl"
    monkeypatch.setattr(devices, "_DEVICES", (driver, tmp_path / "dxg"))
    monkeypatch.setattr(devices, "_DRIVERS", (driver,))
    monkeypatch.setitem(sys.modules, "torch", None)
    devices._tell.cache_clear()
    yield driver
    devices._tell.cache_clear()


def test_a_card_that_is_not_used_for_want_of_torch_is_told_once(told: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert not devices.cuda_is_present() and not caplog.records, "no card"
    (told.parent / "dxg").touch()
    assert not devices.cuda_is_present() and not caplog.records, "perhaps another maker's"
    told.touch()
    assert devices.present_devices() == devices.present_devices() == ("cpu",)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message == f"the processor is used: an NVIDIA card needs {NO_TORCH.format('cuda')}"

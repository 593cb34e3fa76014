"""The comparison with peers, run on fake peers and a drawn FERPlus: the table, the reasons, what is refused."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from drawn_data import write_face, write_table

PEERS = Path(__file__).parents[1] / "benchmarks" / "peers"
#: Always the same scores, through the code that the real Python peers share.
FAKE = f"""
import sys
sys.path.insert(0, {str(PEERS)!r})
import program
def load():
    print("a library's greeting")
    return program.Program("a coin, batches of 1", ("numpy",), CLASSES, lambda paths: [SCORES for path in paths])
program.main(load)
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(PEERS)
    spec = importlib.util.spec_from_file_location("peers_run", PEERS / "run.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["peers_run"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "ferplus"
    folder.mkdir()
    write_table(
        folder,
        "PrivateTest,a.png,0,10,0,0,0,0,0,0,0,0",
        "PrivateTest,b.png,0,10,0,0,0,0,0,0,0,0",  # leaked: train holds its pixels, too
        "PrivateTest,c.png,10,0,0,0,0,0,0,0,0,0",
        "PrivateTest,d.png,0,0,0,0,0,10,0,0,0,0",
        "PublicTest,e.png,10,0,0,0,0,0,0,0,0,0",
        "Training,f.png,0,10,0,0,0,0,0,0,0,0",
    )
    for number, name in enumerate(("a", "b", "c", "d")):
        write_face(folder, f"{name}.png", 10 * number, "test")
    write_face(folder, "e.png", 200, "valid")
    write_face(folder, "f.png", 10, "train")
    return folder


class Bench:
    """Fake peers by name, and one run of them."""

    def __init__(self, run: ModuleType, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.run, self.data, self.monkeypatch, self.peers = run, data, monkeypatch, []

    def add(self, name: str, source: str) -> None:
        program = self.data.parent / f"{name}.py"
        program.write_text(source)
        self.peers.append(self.run.Peer(name, name.title(), program))

    def rows(self, *options: str) -> dict[str, dict]:
        out = self.data.parent / "out.json"
        self.monkeypatch.setattr(self.run, "PEERS", tuple(self.peers))
        assert self.run.main(["--data", str(self.data), "--json", str(out), "--rounds", "1", *options]) == 0
        return {row["name"]: row for row in json.loads(out.read_text())["peers"]}


@pytest.fixture
def bench(run: ModuleType, data: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(run, data, monkeypatch)


def fake(classes: tuple[str, ...], scores: list[float]) -> str:
    return FAKE.replace("CLASSES", repr(classes)).replace("SCORES", repr(scores))


@pytest.mark.needs_torch
def test_the_table(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.add("ours", fake(("happiness", "disgust"), [0.1, 0.9]))
    bench.add("theirs", fake(("neutral", "happiness", "disgust"), [0.0, 1.0, 0.0]))
    rows = bench.rows("--rounds", "2")
    assert rows["ours"]["accuracy"] == {
        "argmax10": {"full": {"images": 4, "accuracy": 0.25}, "leakage_free": {"images": 3, "accuracy": 0.3333}},
        "majority": {"full": {"images": 4, "accuracy": 0.25}, "leakage_free": {"images": 3, "accuracy": 0.3333}},
        # disgust cannot be answered: what is left of the scores says happiness
        "paper6": {"full": {"images": 3, "accuracy": 0.6667}, "leakage_free": {"images": 2, "accuracy": 0.5}},
    }
    assert rows["theirs"]["accuracy"]["argmax10"]["full"]["accuracy"] == 0.5
    assert rows["theirs"]["classes_missing"] == ["surprise", "sadness", "anger", "fear", "contempt"]
    assert set(rows["theirs"]["versions"]) == {"numpy"}
    assert rows["ours"]["times_fer_fast"] == 1.0 and rows["theirs"]["times_fer_fast"] > 0
    printed = capsys.readouterr().out
    assert (
        "| Ours |" in printed and "| 25.0 / 33.3 | 25.0 / 33.3 | 66.7 / 50.0 | a coin, batches of 1; lacks" in printed
    )


@pytest.mark.needs_torch
def test_only_some_images_and_no_other_split(bench: Bench) -> None:
    shutil.rmtree(bench.data / "FER2013Train")
    bench.add("ours", fake(("happiness",), [1.0]))
    assert bench.rows("--images", "2")["ours"]["accuracy"]["paper6"] == {"full": {"images": 1, "accuracy": 1.0}}


REFUSED = {
    "crashing": ("raise SystemExit('out of luck')", "crashed with status 1: out of luck"),
    "absent": ('import sys; sys.stdout.write(\'{"cannot_run": "no weights"}\')', "could not run: no weights"),
    "chatty": ("print('hello')", "wrong answer: no JSON object but 'hello"),
    "empty": ("print('{}')", "wrong answer: it lacks 'classes'"),
    "mislabelled": (fake(("joy",), [1.0]), "wrong answer: class 'joy' is none of neutral, "),
    "doubled": (fake(("fear", "fear"), [1.0, 0.0]), "wrong answer: a class stands twice in fear, fear"),
    "short": (fake(("fear", "anger"), [1.0]), "wrong answer: scores must be [4, 2], not [4, 1]"),
    "negative": (fake(("fear",), [-1.0]), "wrong answer: a score is negative or not a number"),
    "uninstalled": (
        FAKE.replace("print", "import no_such_package; print"),
        "not installed for its interpreter: No mod",
    ),
}


@pytest.mark.needs_torch
def test_a_peer_without_an_answer_is_a_row_with_the_reason(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    for name, (source, _) in REFUSED.items():
        bench.add(name, source)
    bench.add("last", fake(("happiness",), [1.0]))
    rows = bench.rows()
    for name, (_, reason) in REFUSED.items():
        assert reason in rows[name]["reason"] and "images_per_second" not in rows[name]
    assert rows["last"]["accuracy"]["argmax10"]["full"]["accuracy"] == 0.5
    assert rows["last"]["times_fer_fast"] is None  # the first row is what it would be of
    assert "| Crashing | - | - | - | - | - | - | crashed with status 1: out of luck |" in capsys.readouterr().out


@pytest.mark.needs_torch
def test_an_interpreter_that_is_not_there(bench: Bench) -> None:
    bench.add("ours", fake(("happiness",), [1.0]))
    row = bench.rows("--python", "ours=/no/such/python")["ours"]
    assert row["reason"] == "python cannot be started: No such file or directory"


def test_wrong_options(run: ModuleType, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--data", str(data / "none")]) == 2
    assert run.main(["--data", str(data), "--images", "5"]) == 2
    assert run.main(["--data", str(data), "--rounds", "0"]) == 2
    assert run.main(["--data", str(data), "--json", str(data / "none" / "out.json")]) == 2
    sentences = capsys.readouterr().err.splitlines()
    rules = ["the faces in FER2013Test/", "--images must be from 1 to 4", "--rounds must be", "does not exist"]
    assert [rule in line for rule, line in zip(rules, sentences, strict=True)] == [True] * 4
    with pytest.raises(SystemExit, match="2"):
        run.main(["--data", str(data), "--python", "nobody=python"])


@pytest.mark.parametrize("name", ["fer_package", "deepface_package", "emotiefflib_package"])
def test_a_peer_that_is_not_installed_says_so(name: str) -> None:
    command = [sys.executable, "-S", str(PEERS / f"{name}.py")]  # -S: without any installed package
    done = subprocess.run(command, input="a.png\n", capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["cannot_run"].startswith("not installed for its interpreter: No module named ")


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize(("backend", "package"), [("tfjs-node", "@tensorflow/tfjs-node"), ("wasm", "@tensorflow/tfjs")])
def test_face_api_that_is_not_installed_says_so(backend: str, package: str, tmp_path: Path) -> None:
    command = ["node", str(PEERS / "face_api.mjs"), str(tmp_path), backend]
    done = subprocess.run(command, input="a.png\n", capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["cannot_run"].startswith(f"{package} cannot be loaded: Cannot find module")

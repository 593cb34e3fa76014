"""A Ray that is begun for a run lives as long as the run needs it; an address is checked; paths are made whole."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from command_runs import ENVIRONMENT
from PIL import Image
from tiny_models import faces as drawn_faces
from tiny_models import save_image_model

from fer_fast.cli import run
from fer_fast.pipeline.elsewhere import Opening

pytestmark = pytest.mark.ray

COUNT = 5


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a tiny model and a few faces."""
    folder = tmp_path_factory.mktemp("begun")
    save_image_model(folder / "tiny.safetensors")
    (folder / "faces").mkdir()
    for number, pixels in enumerate(drawn_faces(COUNT, 32)):
        Image.fromarray(pixels).save(folder / "faces" / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def python(place):
    """Runs a Python in that folder, which begins a Ray of its own if it needs one."""
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "RAY_ADDRESS"}

    def python(*arguments, **settings):
        command = [sys.executable, *map(str, arguments)]
        given = {name: str(value) for name, value in {**environment, **settings}.items() if value is not None}
        return subprocess.run(command, cwd=place, env=given, capture_output=True, text=True, check=False)

    return python


@pytest.fixture(scope="module")
def head():
    """The address of a Ray that takes no call without the token that this process has in its environment."""
    import ray  # noqa: F401 (before its cluster)
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 << 20}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    yield cluster.address
    cluster.shutdown()


def classify(*more):
    return ["-m", "fer_fast", "classify", "faces", "--model", "tiny.safetensors", "--precision", "fp32", *more]


def test_the_command_begins_a_ray_of_its_own(python, place):
    one, many = place / "one.csv", place / "many.csv"
    alone = python(*classify("-o", one))
    assert alone.returncode == 0, alone.stderr
    ended = python(*classify("-o", many, "--cluster", "ray", "--worker-cpus", "1", "--cluster-workers", "1"))
    assert ended.returncode == 0, ended.stderr
    assert many.read_bytes() == one.read_bytes() and one.read_text().count(",ok,") == COUNT


def test_a_worker_too_large_for_it_is_one_sentence(python, place):
    out = place / "none.csv"
    ended = python(*classify("-o", out, "--cluster", "ray", "--worker-cpus", "99", "--quiet"))
    assert ended.returncode == 2 and not out.exists()
    (line,) = ended.stderr.splitlines()
    assert "a worker of 99 CPUs cannot be placed: the largest of 1 machines has" in line


@pytest.mark.parametrize(
    "settings",
    [{"RAY_AUTH_TOKEN": "0" * 64}, {"RAY_AUTH_TOKEN": None}, {"RAY_AUTH_TOKEN": None, "RAY_AUTH_MODE": None}],
    ids=["another token", "no token", "no mode"],
)
def test_a_ray_that_wants_another_token_is_one_sentence(python, head, tmp_path, settings):
    command = classify("-o", tmp_path / "out.csv", "--cluster", "ray", "--address", head)
    ended = python(*command, HOME=tmp_path, **settings)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith(
        f"fer-fast: Ray at '{head}' cannot be used: it wants its token: set RAY_AUTH_MODE=token, and"
    )


def test_auto_takes_the_token_of_this_users_file(python, head, tmp_path):
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text(os.environ["RAY_AUTH_TOKEN"])
    program = "import sys; from fer_fast.ray.session import Session; Session(sys.argv[1]).close()"
    settings = {"HOME": tmp_path, "RAY_ADDRESS": head, "RAY_AUTH_TOKEN": None, "RAY_AUTH_MODE": None}
    assert "it wants its token" in python("-c", program, head, **settings).stderr
    ended = python("-c", program, "auto", **settings)
    assert ended.returncode == 0, ended.stderr


def test_a_dataset_begins_a_ray_that_lives_until_it_is_consumed(python):
    program = (
        "from fer_fast.ray import Cluster, classify\n"
        "rows = classify('faces', cluster=Cluster(workers=1, cpus=1), model='tiny.safetensors').take_all()\n"
        "print(sorted(row['status'] for row in rows))\n"
        "import sys; print({'openvino', 'torch'} & {*sys.modules})\n"
    )
    ended = python("-c", program)
    assert ended.returncode == 0, ended.stderr
    # What this machine has is nobody's affair: its engines are not even loaded.
    assert ended.stdout.splitlines()[-2:] == [str(["ok"] * COUNT), "set()"]


def test_a_dataset_of_no_files_leaves_ray(tmp_path):
    from fer_fast.ray import classify

    class Workers:
        closed = False

        def open(self, opening):
            return self

        def close(self):
            self.closed = True

    workers = Workers()
    with pytest.raises(ValueError, match="missing"):
        classify(tmp_path / "missing", cluster=workers)
    assert workers.closed


@pytest.fixture
def apart(monkeypatch):
    """No Ray that runs on this machine is seen."""
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray._private.services.find_gcs_addresses", set)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def test_auto_finds_what_ended_long_ago(place, tmp_path, capsys, monkeypatch, apart):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr("ray.init", lambda **options: pytest.fail("Ray would try for minutes"))
    (tmp_path / "ray").mkdir()
    command = ["classify", str(place / "faces"), "-o", str(tmp_path / "out.csv"), "--cluster", "ray"]
    assert run([*command, "--address", "auto"]) == 2
    assert "Ray at 'auto' cannot be used: Could not find any running Ray" in capsys.readouterr().err
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.2:1\n")
    assert run([*command, "--address", "auto"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "Ray does not answer at '127.0.0.2:1': " in line
    assert [path.name for path in tmp_path.iterdir()] == ["ray"]


def test_the_thread_that_begins_ray_lives_until_it_is_left(monkeypatch, apart):
    from fer_fast.ray.session import Session

    threads = []
    monkeypatch.setattr("ray.init", lambda **options: threads.append(threading.current_thread()))
    monkeypatch.setattr("ray.shutdown", lambda: threads.append(threading.current_thread()))
    session = Session(None)
    assert len(threads) == 1 and threads[0].is_alive() and threads[0] is not threading.main_thread()
    session.close()
    assert threads[1] is threads[0]


def test_rays_logger_is_as_it_was_afterwards(head, monkeypatch):
    import ray

    from fer_fast.ray.session import Session

    logger = logging.getLogger("ray")
    monkeypatch.setattr(logger, "level", logging.INFO)
    before = [*logger.handlers], logger.propagate
    session = Session(head)
    assert ray.is_initialized() and logger.level == logging.ERROR
    session.close()
    assert logger.level == logging.INFO and ([*logger.handlers], logger.propagate) == before
    with pytest.raises(ValueError, match="address must be auto"):
        Session("head")
    assert logger.level == logging.INFO


def test_what_fails_to_begin_is_left(monkeypatch, apart):
    from fer_fast.ray.session import Session

    left = []

    def fail(**options):
        raise RuntimeError("no room\nfor it")

    monkeypatch.setattr("ray.init", fail)
    monkeypatch.setattr("ray.shutdown", lambda: left.append(True))
    with pytest.raises(ValueError, match=r"Ray at 'local' cannot be used: .*no room for it"):
        Session(None)
    assert left == [True]


def test_files_are_named_in_full_and_words_stay_words(tmp_path, monkeypatch):
    from fer_fast.ray.cluster import _anywhere

    monkeypatch.chdir(tmp_path)
    for name in ("cpu", "auto", "fast", "finder", "train", "mine.safetensors", "mix.json"):
        Path(name).touch()
    words = {"device": "cpu", "engine": "auto", "decoder": "auto", "precision": "auto"}

    def named(model, prior, finder):
        options = {"model": model, "prior": prior, **words}
        whole = _anywhere(Opening(options, "all", {"finder": finder, "device": "cpu"}, 0))
        assert {name: whole.options[name] for name in words} == words and whole.finder["device"] == "cpu"
        return [whole.options["model"], whole.options["prior"], whole.finder["finder"]]

    assert named("fast", "train", "finder") == ["fast", "train", "finder"]
    folder = Path.cwd()
    assert named("mine.safetensors", "mix.json", Path("mine.safetensors")) == [
        folder / "mine.safetensors",
        folder / "mix.json",
        folder / "mine.safetensors",
    ]
    shares = ",".join(f"{'long' * 20}{number}=1" for number in range(8))
    assert named("none", shares, "none") == ["none", shares, "none"]
    assert _anywhere(Opening({}, "none", None, 0)) == Opening({}, "none", None, 0)


def test_workers_without_cards_are_told_to_use_none():
    from fer_fast.ray.cluster import _on_cards

    faces = Opening({"model": "fast", "device": "auto"}, "all", None, 0)
    assert _on_cards(faces, 0) == Opening({"model": "fast", "device": "cpu"}, "all", {"device": "cpu"}, 0)
    assert _on_cards(Opening({}, "none", None, 0), 0) == Opening({"device": "cpu"}, "none", None, 0)
    assert _on_cards(faces, 0.5) == faces


@pytest.mark.parametrize("more", [["--device", "cuda"], ["--device", "cuda:1", "--faces", "all"]])
def test_a_card_of_workers_that_have_none_is_refused(place, tmp_path, capsys, monkeypatch, apart, more):
    monkeypatch.setattr("ray.init", lambda **options: pytest.fail("it is refused before"))
    command = ["classify", str(place / "faces"), "-o", str(tmp_path / "out.csv"), "--cluster", "ray"]
    assert run([*command, *more]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"device {more[1]!r} is none of workers without cards: give each some by --worker-gpus" in line

"""A table that workers of Ray make is the one of a single process, whoever of them is killed, and the driver, too."""

from __future__ import annotations

import csv
import io
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import ray_shades
from command_runs import ENVIRONMENT, wait_for_rows
from ray_shades import connect
from shade_faces import SHADES, SureFinder, draw
from shades import ShadeClassifier, save_shade

from fer_fast import FerFastError, classify_folder
from fer_fast.cli import run
from fer_fast.machine.begun import begun
from fer_fast.table import parts

pytestmark = pytest.mark.ray

COUNT = 96


@pytest.fixture(scope="module")
def switches(tmp_path_factory):
    """The folder of files that say what becomes of workers."""
    folder = tmp_path_factory.mktemp("switches")
    os.environ["RAY_SHADES"] = str(folder)
    yield folder
    del os.environ["RAY_SHADES"]


@pytest.fixture(scope="module")
def ray(switches):
    """A Ray of four processors on this machine."""
    import ray

    connect(ray, "local", num_cpus=4, include_dashboard=False, object_store_memory=500 << 20)
    yield ray
    ray.shutdown()


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """A shade an image, and a file that is none."""
    folder = tmp_path_factory.mktemp("shades") / "faces"
    folder.mkdir()
    for number in range(COUNT):
        save_shade(folder / f"{number:03}.png", number)
    (folder / "050-bad.png").write_text("no image")
    return folder


@pytest.fixture(scope="module")
def expected(faces, tmp_path_factory):
    """The table of one process, its bytes."""
    out = tmp_path_factory.mktemp("one") / "faces.csv"
    with_shades = ShadeClassifier()
    classify_folder(faces, out, classifier=with_shades)
    with_shades.close()
    return out.read_bytes()


@pytest.fixture
def cluster(ray, monkeypatch):
    """Two workers, and batches of eight files."""
    from fer_fast.ray import Cluster, batches

    monkeypatch.setattr(batches, "SIZE", 8)
    monkeypatch.setattr(parts, "SECONDS", (0.0, 0.0))
    return Cluster(workers=2, cpus=1)


def test_the_table_is_that_of_one_process(faces, expected, cluster, tmp_path):
    out, told = tmp_path / "faces.csv", []
    summary = classify_folder(faces, out, cluster=cluster, progress=lambda done, new: told.append((done, new)))
    assert out.read_bytes() == expected
    assert summary.statuses == {"ok": COUNT, "unsupported": 1} or summary.statuses == {"ok": COUNT, "corrupt": 1}
    assert summary.new == COUNT + 1 and sum(new for _, new in told) == told[-1][0] == COUNT + 1
    assert summary.ran["cluster"] == "ray" and summary.ran["cluster_workers"] == 2
    assert not out.with_name("faces.csv.partial").exists()


def test_a_killed_worker_loses_and_doubles_nothing(faces, expected, cluster, switches, tmp_path):
    (switches / "kill-60").touch()
    out = tmp_path / "faces.csv"
    classify_folder(faces, out, cluster=cluster)
    assert not (switches / "kill-60").exists()  # it was killed
    assert out.read_bytes() == expected


def test_a_batch_that_kills_each_worker_fails_and_is_tried_again_by_resume(
    faces, expected, cluster, switches, tmp_path
):
    (switches / "always-60").touch()
    out = tmp_path / "faces.csv"
    summary = classify_folder(faces, out, cluster=cluster)
    (switches / "always-60").unlink()
    assert summary.rows == COUNT + 1 and summary.new == COUNT + 1
    failed = [line for line in out.read_text().splitlines() if ",failed,its batch was lost with" in line]
    assert len(failed) == summary.statuses["failed"] == 8 and any("060.png" in line for line in failed)
    again = classify_folder(faces, out, cluster=cluster, resume=True)
    assert again.new == len(failed) and out.read_bytes() == expected


def test_a_batch_that_kills_each_worker_ends_a_dataset(faces, cluster, switches):
    from ray.data import from_items

    from fer_fast.ray import classify

    (switches / "always-60").touch()
    files = from_items([{"path": str(faces / f"{number:03}.png")} for number in (1, 60)])
    with pytest.raises(Exception, match=r"the batch of '.*' was lost with 3 workers"):
        classify(files, cluster=cluster).take_all()
    (switches / "always-60").unlink()


class Quiet:
    """An actor that answers nothing, or is not even begun."""

    def __init__(self, survives):
        if not survives:
            os._exit(1)

    def begun(self):
        return None

    def answer(self, batch):
        threading.Event().wait()


def test_workers_that_do_not_begin_end_the_run(ray, monkeypatch):
    from fer_fast.ray import pool

    monkeypatch.setattr(pool, "_MOST_LOST", 1)
    workers = pool.Pool(lambda: ray.remote(num_cpus=1)(Quiet).remote(False), 1, iter([b"a batch"]), lambda: None)
    with pytest.raises(FerFastError, match="the cluster gave up: "):
        workers.answer()


def test_a_pool_that_is_closed_while_it_is_waited_for_ends(ray):
    from fer_fast.ray.pool import Pool

    workers = Pool(lambda: ray.remote(num_cpus=1)(Quiet).remote(True), 1, iter([b"a batch"]), lambda: None)
    answer = begun(workers.answer, "waits")
    while not any(worker.batches for worker in workers._workers):
        time.sleep(0.01)
    workers.close()
    with pytest.raises(FerFastError, match="the cluster was left"):
        answer.result()


def test_a_killed_driver_loses_and_doubles_nothing(faces, expected, cluster, ray, tmp_path):
    out = tmp_path / "faces.csv"
    command = [sys.executable, ray_shades.__file__, "classify", faces, "-o", out, "--cluster", "ray"]
    address = ray.get_runtime_context().gcs_address
    driver = subprocess.Popen(
        [*map(str, command), "--cluster-workers", "2", "--worker-cpus", "1", "--quiet"],
        env={**os.environ, **ENVIRONMENT, "RAY_SHADES_AT": address, "SHADE_DELAY": "0.3"},
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_rows(out, driver, 1)
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    assert not out.exists()
    summary = classify_folder(faces, out, cluster=cluster, resume=True, model="fast")  # the command's
    assert summary.kept > 0 and summary.new > 0 and summary.kept + summary.new == COUNT + 1
    assert out.read_bytes() == expected


def test_a_model_that_fails_ends_the_run_and_keeps_what_has_come(faces, expected, cluster, switches, tmp_path):
    (switches / "fail-90").touch()
    out = tmp_path / "faces.csv"
    with pytest.raises(FerFastError, match=r"the model failed on a batch of . images: out of"):
        classify_folder(faces, out, cluster=cluster)
    (switches / "fail-90").unlink()
    assert not out.exists()
    summary = classify_folder(faces, out, cluster=cluster, resume=True)
    assert summary.kept > 0 and out.read_bytes() == expected


def test_faces_of_photos_in_this_processes_folder(cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(20):
        boxes = [(SHADES[face], 40 * face, 10, 30) for face in range(number % 4)]
        draw((160, 100), boxes).save(photos / f"{number:02}.png")
    one, many = tmp_path / "one.jsonl", tmp_path / "many.jsonl"
    classify_folder("photos", one, classifier=ShadeClassifier(), finder=SureFinder(160), faces="all")
    classify_folder("photos", many, cluster=cluster, faces="all")
    assert many.read_bytes() == one.read_bytes()


def test_a_dataset_of_paths_becomes_one_of_rows(faces, expected, cluster):
    from ray.data import from_items

    from fer_fast.ray import classify

    lines = [*csv.DictReader(io.StringIO(expected.decode()))]
    rows = classify(from_items([{"path": line["path"]} for line in lines]), cluster=cluster, abstain=0.6).take_all()
    assert sorted(row["path"] for row in rows) == sorted(line["path"] for line in lines)
    by_path = {line["path"]: line for line in lines}
    for row in rows:
        line = by_path[row["path"]]
        unsure = line["confidence"] and float(line["confidence"]) < 0.6
        assert row["status"] == ("abstained" if unsure else line["status"]) and (row["error"] or "") == line["error"]
        assert (row["label"] or "") == ("" if unsure else line["label"])
        assert (
            row["p_neutral"] == pytest.approx(float(line["p_neutral"])) if line["p_neutral"] else not row["p_neutral"]
        )
    assert classify(faces, cluster=cluster).count() == COUNT + 1
    with pytest.raises(ValueError, match="the dataset must have a column path, and has name"):
        classify(from_items([{"name": "a.png"}]), cluster=cluster)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--cluster-workers 5 --worker-cpus 1", "5 workers of 1 CPUs cannot be placed: the cluster has room for 4"),
        ("--worker-cpus 9", "a worker of 9 CPUs cannot be placed: the largest of 1 machines has 4 CPUs"),
        ("--worker-gpus 0.5", "a worker of 4 CPUs and 0.5 GPUs cannot be placed"),
        ("--every 5f", "--every is for films, which are not classified on a cluster"),
    ],
)
def test_what_finds_no_room_is_refused_before_the_work(faces, ray, tmp_path, capsys, options, told):
    out = tmp_path / "faces.csv"
    assert run(["classify", str(faces), "-o", str(out), "--cluster", "ray", *options.split()]) == 2
    assert told in capsys.readouterr().err and [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("127.0.0.1:1", "Ray does not answer at '127.0.0.1:1': "),
        ("ray://head:10001", "address must be auto or HOST:PORT of Ray's head node"),
        ("head", "address must be auto or HOST:PORT"),
        ("head:0", "address must be auto or HOST:PORT"),
    ],
)
def test_an_address_that_is_none_is_refused(faces, tmp_path, capsys, monkeypatch, address, told):
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    out = tmp_path / "faces.csv"
    assert run(["classify", str(faces), "-o", str(out), "--cluster", "ray", "--address", address]) == 2
    assert told in capsys.readouterr().err and [*tmp_path.iterdir()] == []

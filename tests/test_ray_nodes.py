"""Two nodes on this machine, one of which is killed in the middle of a run: the table is that of one process."""

from __future__ import annotations

import csv
import io

import pytest
from ray_shades import connect
from shades import ShadeClassifier, save_shade

from fer_fast import classify_folder
from fer_fast.table import parts

pytestmark = pytest.mark.ray

COUNT = 96
NODE = {"num_cpus": 2, "object_store_memory": 200 << 20}


@pytest.fixture
def lost(tmp_path, monkeypatch):
    """Connects this process to a node, begins another one, and gives the id of that: its worker kills it in its second
    batch, and until then the worker here does one batch alone."""
    import ray
    from ray.cluster_utils import Cluster

    (tmp_path / "switches").mkdir()
    monkeypatch.setenv("RAY_SHADES", str(tmp_path / "switches"))
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    try:
        connect(ray, cluster.address)
        here, lost = ray.get_runtime_context().get_node_id(), cluster.add_node(**NODE).node_id
        (tmp_path / "switches" / f"hold-{here}").touch()
        (tmp_path / "switches" / f"lose-{lost}").touch()
        yield lost
    finally:
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture
def faces(tmp_path):
    folder = tmp_path / "faces"
    folder.mkdir()
    for number in range(COUNT):
        save_shade(folder / f"{number:03}.png", number)
    return folder


@pytest.fixture
def expected(faces, tmp_path):
    """The table of one process, its bytes."""
    out = tmp_path / "one.csv"
    classify_folder(faces, out, classifier=ShadeClassifier())
    return out.read_bytes()


def was_killed(lost, tmp_path):
    return not [*(tmp_path / "switches").glob("hold-*")] and (tmp_path / "switches" / f"batches-{lost}").exists()


@pytest.mark.parametrize("cpus", [1, 2], ids=["there is room for its worker", "there is no room"])
def test_a_killed_node_loses_and_doubles_nothing(lost, faces, expected, cpus, tmp_path, monkeypatch):
    from fer_fast.ray import Cluster, batches

    monkeypatch.setattr(batches, "SIZE", 8)
    monkeypatch.setattr(parts, "SECONDS", (0.0, 0.0))
    out = tmp_path / "faces.csv"
    summary = classify_folder(faces, out, cluster=Cluster(workers=2, cpus=cpus))
    assert was_killed(lost, tmp_path)
    assert out.read_bytes() == expected and summary.new == COUNT


def test_a_dataset_survives_a_killed_node(lost, faces, expected, tmp_path, monkeypatch):
    from ray.data import from_items

    from fer_fast.ray import Cluster, classify, dataset

    monkeypatch.setattr(dataset, "_SIZE", 8)  # or Ray makes one batch of all, and one worker does it
    lines = [*csv.DictReader(io.StringIO(expected.decode()))]
    paths = from_items([{"path": line["path"]} for line in lines], override_num_blocks=12)
    rows = classify(paths, cluster=Cluster(workers=2, cpus=1)).take_all()
    assert was_killed(lost, tmp_path)
    assert sorted((row["path"], row["label"]) for row in rows) == sorted(
        (line["path"], line["label"]) for line in lines
    )

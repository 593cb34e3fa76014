"""The command is killed at random moments and resumed, here and from elsewhere: nothing is lost, doubled or torn."""

import os
import random
import signal
import time
from functools import partial
from pathlib import Path

import command_runs
import pytest
from shades import save_shade
from tables import read

HERE = Path(__file__).parent
KILLS = int(os.environ.get("FER_FAST_KILLS", "36"))  # of each format
FILES = 400


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kills") / "faces"
    (folder / "deeper").mkdir(parents=True)
    for number in range(FILES):
        save_shade(folder / ("deeper" if number % 3 else ".") / f"{number:03}.png", number % 256)
    (folder / "bad.png").write_text("no image")
    return folder


@pytest.fixture
def forking():
    with command_runs.forking() as run:
        yield partial(run, SHADE_DELAY=0.004, SHADE_PART_SECONDS=0.02)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_random_kills_lose_double_and_tear_nothing(tmp_path, faces, forking, suffix):
    rng = random.Random(suffix)
    whole = tmp_path / f"whole{suffix}"
    begun = time.monotonic()
    assert forking(["classify", "faces", "-o", whole, "-q"], faces.parent) == 0
    length = time.monotonic() - begun
    (tmp_path / "elsewhere").mkdir()
    places = [
        ("faces", faces.parent),
        ("./faces/", faces.parent),
        ("..", faces / "deeper"),
        (faces, tmp_path / "elsewhere"),
    ]
    kills = finishes = 0
    while kills < KILLS:
        out = tmp_path / f"out{finishes}{suffix}"
        resume = []
        while True:
            # Before there is a manifest a run is not known, and its rows are called as it calls its inputs.
            known = (tmp_path / f"{out.name}.partial" / "manifest.json").exists()
            name, folder = rng.choice(places) if known else places[0]
            after = rng.uniform(0, length / 2)
            status = forking(["classify", name, "-o", out, "-q", *resume], folder, after)
            if status == 0:
                break
            assert status == -signal.SIGKILL
            kills += 1
            resume = ["--resume"]
            if kills >= KILLS:
                assert forking(["classify", "faces", "-o", out, "-q", "--resume"], faces.parent) == 0
                break
        assert out.read_bytes() == whole.read_bytes(), f"after {kills} kills"
        # A kill at the very end may leave a folder that nobody owns; a next run takes it away.
        assert forking(["classify", "faces", "-o", out, "-q", "--resume"], faces.parent) == 0
        assert out.read_bytes() == whole.read_bytes()
        finishes += 1
    assert len(read(whole)) == FILES + 1
    left = {path.name for path in tmp_path.iterdir()} - {"elsewhere"}
    assert left == {
        f"{name}{end}"
        for name in (whole.name, *(f"out{n}{suffix}" for n in range(finishes)))
        for end in ("", ".manifest")
    }


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_merge_that_is_killed_leaves_nothing_or_all_and_can_be_done_again(tmp_path, faces, forking, suffix):
    rng = random.Random(suffix)
    tables = [tmp_path / f"{number}{suffix}" for number in (1, 2, 3)]
    for number, table in enumerate(tables, 1):
        assert forking(["classify", "faces", "-o", table, "-q", "--shard", f"{number}/3"], faces.parent) == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    whole, out = tmp_path / f"whole{suffix}", tmp_path / f"all{suffix}"
    begun = time.monotonic()
    assert forking(["merge", *tables, "-o", whole, "-q"], tmp_path) == 0
    length = time.monotonic() - begun
    assert len(read(whole)) == FILES + 1
    statuses = []
    for _ in range(KILLS // 2):
        statuses.append(forking(["merge", *tables, "-o", out, "-q"], tmp_path, rng.uniform(0, length)))
        assert not out.exists() or out.read_bytes() == whole.read_bytes()
        if rng.random() < 0.3:
            out.unlink(missing_ok=True)
    assert -signal.SIGKILL in statuses and {*statuses} <= {0, -signal.SIGKILL}
    assert forking(["merge", *tables, "-o", out, "-q"], tmp_path) == 0
    assert out.read_bytes() == whole.read_bytes()
    assert {path: path.read_bytes() for path in before} == before
    assert forking(["classify", "faces", "-o", out, "-q", "--resume"], faces.parent) == 0
    left = {path.name for path in tmp_path.iterdir()} - {path.name for path in before}
    assert left == {f"{name}{end}" for name in (whole.name, out.name) for end in ("", ".manifest")}

"""What docs/scale.md tells to type, as far as one machine can: a cluster's variables, an ssh that stays here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_runs import ENVIRONMENT
from shades import save_shade
from tables import read

from fer_fast.inputs import Shard

HERE = Path(__file__).parent
PAGE = (HERE.parent / "docs" / "scale.md").read_text()
#: Programs of a machine that reaches others, which are folders here.
PROGRAMS = {
    "fer-fast": f'exec {sys.executable} {HERE}/shades.py "$@"',
    "ssh": 'shift; mkdir -p "$HOSTS/$1" && cd "$HOSTS/$1" && exec sh -c "$2"',
    "scp": 'cp "$HOSTS/${1%%:*}"/${1#*:} "$2"',
}
FILES = 24


def blocks(heading):
    """The code under a heading of the page."""
    section = re.search(rf"^##? {heading}$(.*?)(?=^##? |\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]
    return re.findall(r"```\w+\n(.*?)```", section, re.DOTALL)


@pytest.fixture
def machine(tmp_path):
    (tmp_path / "photos").mkdir()
    for number in range(FILES):
        save_shade(tmp_path / "photos" / f"{number}.png", number)
    (tmp_path / "bin").mkdir()
    for name, line in PROGRAMS.items():
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/sh\n{line}\n")
        program.chmod(0o755)

    def run(script, **settings):
        path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
        environment = {**ENVIRONMENT, "PATH": path, "SHADE_FINDER": "1", "HOSTS": str(tmp_path / "hosts"), **settings}
        script = script.replace("/data/", f"{tmp_path}/")
        done = subprocess.run(["sh", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def merged(machine, folder):
    machine("fer-fast merge faces.*.csv -o faces.csv")
    return {Path(line["path"]).name for line in read(folder / "faces.csv")}


ALL = {f"{number}.png" for number in range(FILES)}


def test_a_slurm_array_does_all_shards_and_two_tasks_again(machine, tmp_path):
    [script] = blocks("Slurm")
    first, last = map(int, re.search(r"^#SBATCH --array=(\d+)-(\d+)$", script, re.MULTILINE).groups())
    assert (first, last) == (1, int(re.search(r"^shards=(\d+)$", script, re.MULTILINE)[1]))
    script = script.replace("shards=16", "shards=3")  # sixteen take their time
    for task in (1, 2, 3, 2):
        machine(script, SLURM_ARRAY_TASK_ID=str(task), SLURM_ARRAY_TASK_COUNT="1")
    assert merged(machine, tmp_path) == ALL


def test_a_kubernetes_job_does_all_indexes(machine, tmp_path):
    [manifest] = blocks("Kubernetes")
    script = re.search(r"^ +- \|\n((?: {14}.*\n)+)", manifest, re.MULTILINE)[1]
    assert f"/{re.search('completions: ([0-9]+)', manifest)[1]}" in script
    for index in range(3):
        machine(script.replace("/16", "/3"), JOB_COMPLETION_INDEX=str(index))
    assert merged(machine, tmp_path) == ALL


def test_lines_of_ssh_bring_the_tables_home(machine, tmp_path):
    [script] = blocks("ssh")
    machine(script)
    assert {Path(line["path"]).name for line in read(tmp_path / "faces.csv")} == ALL
    assert [path.name for path in sorted((tmp_path / "hosts").iterdir())] == ["alpha", "beta", "gamma"]


def test_from_a_laptop_to_a_cluster_and_with_a_machine_lost(machine, tmp_path):
    laptop, cluster, merge = blocks("More than one machine")[0].splitlines()
    machine(laptop)
    assert len(read(tmp_path / "faces.csv")) == FILES
    for number in (1, 3):
        machine(cluster.replace("3/16", f"{number}/3").replace("faces.3", f"faces.{number}"))
    incomplete = blocks("Merging")[0]
    assert incomplete.splitlines()[0].replace(" --incomplete", "") in merge
    machine(incomplete)
    assert {Path(line["path"]).name for line in read(tmp_path / "faces.csv")} == ALL


@pytest.mark.skipif(shutil.which("b2sum") is None, reason="there is no b2sum")
def test_a_shell_tells_a_name_s_shard(machine):
    number = int(machine(blocks("Which file is in which shard")[0]))
    assert Shard(f"{number}/16").takes("summer/a.jpg")

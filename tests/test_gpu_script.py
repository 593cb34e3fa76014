"""What `benchmarks/gpu.py` says before it does anything, of a step that fails or cannot run, and what it gathers."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fer_fast.bench.suite import STAGES

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


@pytest.fixture
def gpu(monkeypatch):
    spec = importlib.util.spec_from_file_location("gpu", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu", module)
    spec.loader.exec_module(module)
    return module


def test_an_unknown_step_is_told_the_known_ones(tmp_path):
    command = [sys.executable, SCRIPT, "--out", tmp_path / "out" / "gpu.json", "--steps", "build,bake"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and not (tmp_path / "out").exists()
    assert (
        "one of build, test, memcheck, racecheck, initcheck, tokens, faces, bench, accuracy, not 'bake'" in done.stderr
    )


def test_a_step_that_fails_does_not_stop_the_next(tmp_path, monkeypatch, capsys, gpu):
    report, old = tmp_path / "report.json", tmp_path / "old.json"
    old.write_text("{}")
    writes = f"import os; open({str(report)!r}, 'w').write('[3]'); print(os.environ['FER_FAST_REQUIRE_CUDA'], 'done')"
    made = {
        "build": gpu.Step([str(tmp_path / "no-such-program")]),
        "bench": gpu.Step([sys.executable, "-c", writes], report=report),
        "tokens": gpu.Step([sys.executable, "-c", "raise SystemExit('no card')"], report=old),
        "accuracy": gpu.Step(["never"], "--data was not given"),
    }
    monkeypatch.setattr(gpu, "steps", lambda *_: made)
    monkeypatch.setattr(gpu, "OPTIONAL", {"json": "json is not there", "no.such": "no such thing is installed"})
    out = tmp_path / "new" / "gpu.json"
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--out", str(out), "--logs", str(tmp_path / "logs")])
    assert gpu.main() == 1
    lines = capsys.readouterr().out.strip().splitlines()
    assert [line.split()[:2] for line in lines[-5:-1]] == [
        ["build", "FAILED"], ["bench", "ok"], ["tokens", "FAILED"], ["accuracy", "left"],
    ]  # fmt: skip
    assert "does not start" in lines[-5] and lines[-4].endswith("1 done") and lines[-3].endswith("no card")
    assert lines[-1] == "no such thing is installed"
    written = json.loads(out.read_text())
    assert written["bench"] == [3] and "tokens" not in written
    assert [row["state"] for row in written["steps"]] == ["FAILED", "ok", "FAILED", "left out"]
    assert written["left_out"] == ["no such thing is installed"]


def test_the_tests_that_need_a_card_are_found_without_what_only_a_cpu_needs(tmp_path, gpu):
    for name in ("openvino", "kornia"):
        (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError({name!r})")
    files = [name for name in gpu.steps(tmp_path, None)["test"].command if name.endswith(".py")]
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-m", "needs_cuda", *files]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=SCRIPT.parents[1], env=environment)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "test_engines_cuda.py" in done.stdout


def test_every_stage_of_the_bench_has_its_step(tmp_path, gpu):
    asked = [command[place + 1] for command in commands_of(gpu, tmp_path) for place in [command.index("--stages")]]
    assert sorted(",".join(asked[1:]).split(",")) == sorted(STAGES) and asked[0] == "tokens"


def commands_of(gpu, logs):
    return [step.command for step in gpu.steps(logs, None).values() if "--stages" in step.command]

"""What `benchmarks/gpu.py` says before it does anything, of a step that fails or cannot run, and what it gathers."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fer_fast.bench.suite import STAGES
from fer_fast.types import FerFastError

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
        "one of build, engines, test, memcheck, racecheck, initcheck, tokens, faces, bench, accuracy, not 'bake'"
        in done.stderr
    )


def test_a_step_that_fails_does_not_stop_the_next(tmp_path, monkeypatch, capsys, gpu):
    report, old = tmp_path / "report.json", tmp_path / "old.json"
    old.write_text("{}")
    writes = f"import os; open({str(report)!r}, 'w').write('[3]'); print(os.environ['FER_FAST_REQUIRE_CUDA'], 'done')"
    made = {
        "build": gpu.Step([str(tmp_path / "no-such-program")], 60),
        "bench": gpu.Step([sys.executable, "-c", writes], 60, report=report),
        "tokens": gpu.Step([sys.executable, "-c", "raise SystemExit('no card')"], 60, report=old),
        "accuracy": gpu.Step(["never"], 60, "--data was not given"),
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


def test_all_steps_together_fit_eight_minutes(tmp_path, gpu):
    made = gpu.steps(tmp_path, tmp_path)
    assert sum(step.seconds for step in made.values()) < 8 * 60
    for step in made.values():
        if "--seconds" in step.command:
            assert int(step.command[step.command.index("--seconds") + 1]) + 20 <= step.seconds


def test_a_step_is_ended_at_its_limit_and_what_it_wrote_until_then_is_kept(tmp_path, monkeypatch, gpu):
    report = tmp_path / "report.json"
    hangs = f"open({str(report)!r}, 'w').write('[1]'); import signal; signal.pause()"
    monkeypatch.setattr(gpu, "steps", lambda *_: {"engines": gpu.Step([sys.executable, "-c", hangs], 3, "", report)})
    out = tmp_path / "gpu.json"
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--out", str(out), "--logs", str(tmp_path / "logs")])
    assert gpu.main() == 1
    written = json.loads(out.read_text())
    assert written["engines"] == [1]
    assert written["steps"][0]["state"] == "FAILED" and written["steps"][0]["said"] == "ended after 3 seconds"


def test_the_build_is_for_the_cards_that_are_here(tmp_path, monkeypatch, gpu):
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\nprintf '9.0\\n8.6\\n9.0\\n'\n")
    smi.chmod(0o755)
    for name in gpu.CHOSEN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert gpu.this_card() == {"CMAKE_CUDA_ARCHITECTURES": "86-real;90-real"}
    gpu.this_card.cache_clear()
    monkeypatch.setenv("CUDAARCHS", "75")
    assert gpu.this_card() == {}


class Built:
    """An engine that was opened."""

    def __init__(self, closed):
        self.close = lambda: closed.append(self)

    def describe(self):
        return {"cache": "stored", "chosen": "by measuring"}


@pytest.mark.needs_torch
def test_engines_are_built_what_is_wanted_most_first_and_told_after_each(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("engines", SCRIPT.with_name("engines.py"))
    engines = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(engines)
    file, asked, closed = tmp_path / "engines.json", [], []

    def open_engine(checkpoint, **choice):
        asked.append((choice["engine"], choice["precision"], choice["batch_size"]))
        if len(asked) == 2:
            raise FerFastError("no room")
        if len(asked) == 6:
            raise KeyboardInterrupt
        return Built(closed)

    monkeypatch.setattr(engines, "open_engine", open_engine)
    monkeypatch.setattr(sys, "argv", ["engines.py", str(file)])
    with pytest.raises(KeyboardInterrupt):
        engines.main()
    assert asked == [
        ("auto", "auto", 32), ("auto", "auto", 1),
        ("tensorrt", "fp16", 32), ("tensorrt-fused", "fp16", 32),
        ("tensorrt", "fp16", 1), ("tensorrt-fused", "fp16", 1),
    ] and len(closed) == 4  # fmt: skip
    rows = json.loads(file.read_text())
    assert [(row["model"], row["engine"], row["state"]) for row in rows] == [
        ("fast", "auto", "ok"), ("finder", "auto", "absent"),
        ("fast", "tensorrt", "ok"), ("fast", "tensorrt-fused", "ok"), ("finder", "tensorrt", "ok"),
    ]  # fmt: skip
    assert (rows[0]["cache"], rows[0]["chosen"], rows[1]["reason"]) == ("stored", "by measuring", "no room")


def test_every_stage_of_the_bench_has_its_step(tmp_path, gpu):
    asked = [command[place + 1] for command in commands_of(gpu, tmp_path) for place in [command.index("--stages")]]
    assert {*",".join(asked[1:]).split(",")} == {*STAGES} - {"startup"} and asked[0] == "tokens"


def commands_of(gpu, logs):
    return [step.command for step in gpu.steps(logs, None).values() if "--stages" in step.command]

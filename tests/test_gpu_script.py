"""What `benchmarks/gpu.py` says before it does anything, and of a step that fails."""

import importlib.util
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


def test_an_unknown_step_is_told_the_known_ones(tmp_path):
    command = [sys.executable, SCRIPT, "--out", tmp_path / "out", "--steps", "build,bake"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and not (tmp_path / "out").exists()
    assert "must be one of build, test, sanitize, bench, not 'bake'" in done.stderr


def test_a_step_that_fails_does_not_stop_the_next(tmp_path, monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("gpu", SCRIPT)
    gpu = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(gpu)
    made = {
        "build": [str(tmp_path / "no-such-program")],
        "test": [sys.executable, "-c", "import os; print(os.environ['FER_FAST_REQUIRE_CUDA'], 'passed')"],
    }
    monkeypatch.setattr(gpu, "steps", lambda out: made)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--out", str(tmp_path)])
    assert gpu.main() == 1
    first, second = capsys.readouterr().out.strip().splitlines()[-2:]
    assert first.split()[:2] == ["build", "FAILED"] and "does not start" in first
    assert second.split()[:2] == ["test", "ok"] and second.endswith("1 passed")

"""Whose a table is: how runs are told apart, in words that people know, and which tables a new run replaces."""

import json
import logging
import zipfile
from pathlib import Path

import pytest
from tables import ROWS, SCHEMA, finished, open_table, results_of

from fer_fast.table.manifest import Run, parse_manifest, run_of
from fer_fast.types import OutputRefusedError

FAST, AGAIN, TINY = "0123456789abcdef openvino int8", "fedcba9876543210 openvino int8", "ab12 openvino int8"


def run(model: str, name: str = "") -> Run:
    return run_of(Path("out.csv"), SCHEMA, ["faces"], {"model": model}, name)


@pytest.mark.parametrize(
    ("mine", "theirs", "said"),
    [
        (run(FAST, "fast"), run(TINY, "tiny"), "'tiny openvino int8', not 'fast openvino int8'"),
        (run(FAST, "fast"), run("0123456789abcdef torch fp32", "fast"), "'fast torch fp32', not 'fast openvino int8'"),
        (
            run(AGAIN, "my.safetensors"),
            run(FAST, "my.safetensors"),
            "'my.safetensors openvino int8 (0123456789ab)', not 'my.safetensors openvino int8 (fedcba987654)'",
        ),
        (run(FAST, "fast"), run(TINY), "'ab12 openvino int8', not 'fast openvino int8'"),  # a table from before names
        (run("other"), run("m"), "'m', not 'other'"),
    ],
)
def test_models_are_told_apart_by_name(mine, theirs, said):
    assert mine.difference(theirs) == f"model {said}"
    with pytest.raises(OutputRefusedError) as caught:
        mine.check_same(theirs, "OUT")
    assert str(caught.value) == f"'OUT' cannot be resumed: it is of a run with model {said}"


def test_a_model_of_another_name_is_the_same():
    assert run(FAST, "fast").difference(run(FAST, "models/fast.safetensors")) == ""


def test_a_manifest_without_the_models_name_is_read():
    facts = json.loads(run(FAST, "fast").as_json(base="12"))
    assert parse_manifest(json.dumps(facts)) == (run(FAST, "fast"), {"base": "12"})
    del facts["model"]
    assert parse_manifest(json.dumps(facts)) == (run(FAST), {"base": "12"})
    del facts["called"]
    with pytest.raises(ValueError, match="it lacks what a run is"):
        parse_manifest(json.dumps(facts))


def test_only_a_table_that_is_made_again_is_replaced_without_a_word(tmp_path, caplog):
    caplog.set_level(logging.WARNING, "fer_fast")
    out = tmp_path / "out.csv"
    finished(out, results_of(ROWS), abstain=0.5)
    finished(out, results_of(ROWS), abstain=0.5)
    assert not caplog.messages
    finished(out, results_of(ROWS), abstain=0.75)
    assert caplog.messages == [f"{out} is of a run with abstain 0.5, not 0.75: this run will replace it"]
    caplog.clear()
    (tmp_path / "out.csv.manifest").unlink()
    open_table(out).close()
    assert caplog.messages == [f"{out} is there, and nothing tells what made it: this run will replace it"]


def test_the_command_says_by_what_name_a_model_goes(shades, tmp_path, ended, monkeypatch):
    monkeypatch.setattr("shades.ShadeClassifier.model", "my.safetensors", raising=False)
    assert ended(shades, "-q", "-o", tmp_path / "out.csv")[0] == 0
    with zipfile.ZipFile(tmp_path / "out.csv.manifest") as file:
        assert json.loads(file.read("manifest.json"))["model"] == "my.safetensors"
    status, _, error = ended(shades, "-o", tmp_path / "out.csv", "--abstain", "0.5")
    assert status == 0 and "out.csv is of a run with abstain 0.0, not 0.5: this run will replace it\n" in error

"""A classifier that is closed, or another process's, is refused before a run leaves a trace."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shades import save_shade
from tiny_models import save_image_model

from fer_fast import Classifier, FerFastError, classify_folder, classify_rows


@pytest.fixture
def classifier(tmp_path: Path) -> Classifier:
    save_image_model(tmp_path / "m.safetensors")
    return Classifier(tmp_path / "m.safetensors", engine="openvino", device="cpu", precision="fp32", workers=1)


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    (tmp_path / "faces").mkdir()
    save_shade(tmp_path / "faces" / "face.png", 100)
    return tmp_path / "faces"


def refused(call: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    with pytest.raises(FerFastError) as caught:
        call(*arguments, **options)
    return str(caught.value)


@pytest.mark.parametrize("resume", [False, True])
def test_a_closed_classifier_leaves_no_trace(classifier: Classifier, faces: Path, tmp_path: Path, resume: bool) -> None:
    out = tmp_path / "tables" / "out.csv"
    out.parent.mkdir()
    if resume:
        classify_folder(faces, out, classifier=classifier)
    before = {path: path.stat().st_mtime_ns for path in (out.parent, *out.parent.iterdir())}
    classifier.close()
    assert refused(classify_folder, faces, out, classifier=classifier, resume=resume) == "the classifier is closed"
    assert refused(classify_rows, faces, classifier) == "the classifier is closed"  # without a step
    assert {path: path.stat().st_mtime_ns for path in (out.parent, *out.parent.iterdir())} == before


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_nor_does_one_in_a_forked_process(classifier: Classifier, faces: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"

    def child(said: Any) -> None:
        said.put(refused(classify_folder, faces, out, classifier=classifier))

    fork = multiprocessing.get_context("fork")
    said = fork.SimpleQueue()
    process = fork.Process(target=child, args=(said,))
    process.start()
    process.join(60)
    process.kill()
    assert process.exitcode == 0 and "the classifier was opened before fork" in said.get()
    assert not list(tmp_path.glob("out.csv*"))
    classifier.close()

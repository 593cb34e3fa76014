"""Scores, worked by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from fer_fast.datasets.split import FERPLUS_COLUMNS, Split
from fer_fast.evaluation import json_text, split_scores
from fer_fast.evaluation.scores import confusion_of, of_classes, reliability, scores_of, wilson_interval
from fer_fast.types import EMOTIONS

NEUTRAL, HAPPINESS, SURPRISE, SADNESS, ANGER, DISGUST, FEAR, CONTEMPT, UNKNOWN, NOFACE = range(10)


def test_wilson_interval() -> None:
    assert wilson_interval(8, 10) == pytest.approx((0.490162, 0.943318), abs=1e-6)
    assert wilson_interval(0, 10) == (0.0, pytest.approx(0.277533, abs=1e-6))
    assert wilson_interval(10, 10) == (pytest.approx(0.722467, abs=1e-6), 1.0)
    assert wilson_interval(0, 0) is None


def test_scores_of_five_images() -> None:
    probabilities = np.array(
        [[0.81, 0.1, 0.09], [0.62, 0.3, 0.08], [0.2, 0.7, 0.1], [0.1, 0.9, 0.0], [0.5, 0.4, 0.1]], np.float32
    )
    scores = scores_of(probabilities, np.array([0, 0, 0, 1, 1]), ("a", "b", "c"))
    assert scores["images"] == 5 and scores["accuracy"] == 0.6
    assert scores["confusion"] == [[2, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert scores["classes"] == {
        "a": {"precision": 0.666667, "recall": 0.666667, "f1": 0.666667, "support": 3},
        "b": {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2},
        "c": {"precision": None, "recall": None, "f1": None, "support": 0},
    }
    assert scores["macro_f1"] == 0.583333  # (2/3 + 1/2) / 2: nobody is a c or is called one
    assert scores["nll"] == pytest.approx(-math.log(0.81 * 0.62 * 0.2 * 0.9 * 0.4) / 5, abs=1e-6)
    # five bins of one image: |1 - .81| + |1 - .62| + |0 - .7| + |1 - .9| + |0 - .5|
    assert scores["ece"] == pytest.approx(1.87 / 5, abs=1e-6)
    assert scores["interval"] == pytest.approx([0.230724, 0.882379], abs=1e-6)
    # By falling confidence wrong (0.9 is right), right, wrong, right, wrong: 0, 0, 1/3, 1/4, 2/5.
    assert scores["aurc"] == pytest.approx((1 / 3 + 1 / 4 + 2 / 5) / 5, abs=1e-6)
    assert scores["coverage"]["accuracy"] == [0.6, 0.6, 0.6, 0.75, 0.75, 0.666667]


def test_a_class_that_is_answered_but_never_true_has_precision_zero_and_no_recall() -> None:
    scores = scores_of(np.array([[0.4, 0.6], [0.9, 0.1]]), np.array([0, 0]), ("a", "b"))
    assert scores["classes"]["b"] == {"precision": 0.0, "recall": None, "f1": 0.0, "support": 0}
    assert scores["macro_f1"] == 0.333333  # (2/3 + 0) / 2


def test_a_photo_without_a_face_is_a_wrong_answer_of_no_class() -> None:
    probabilities, labels = np.array([[0.8, 0.2], [0.3, 0.7]]), np.array([0, 1])
    scores = scores_of(probabilities, labels, ("a", "b"), missed=np.array([1, 1]))
    assert scores["images"] == 4 and scores["accuracy"] == 0.5 and scores["confusion"] == [[1, 0], [0, 1]]
    assert scores["classes"]["a"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1}
    assert scores["classes"]["b"] == {"precision": 1.0, "recall": 0.333333, "f1": 0.5, "support": 3}
    seen = scores_of(probabilities, labels, ("a", "b"))
    for name in (
        "nll",
        "ece",
        "reliability",
        "coverage",
        "aurc",
    ):  # of probabilities, and a photo without a face has none
        assert scores[name] == seen[name]


def test_an_impossible_truth_costs_much_but_not_everything() -> None:
    scores = scores_of(np.array([[1.0, 0.0]]), np.array([1]), ("a", "b"))
    assert scores["nll"] == pytest.approx(-math.log(1e-12), abs=1e-6) and scores["ece"] == 1.0


def test_scores_of_no_image() -> None:
    scores = scores_of(np.empty((0, 2)), np.empty(0, np.int64), ("a", "b"))
    assert scores["images"] == 0 and scores["confusion"] == [[0, 0], [0, 0]]
    assert all(scores[name] is None for name in ("accuracy", "interval", "macro_f1", "nll", "ece", "aurc"))
    assert scores["reliability"]["count"] == [0] * 15 and scores["reliability"]["accuracy"] == [None] * 15


def test_confusion_has_the_truth_in_its_rows() -> None:
    assert confusion_of(np.array([0, 0, 1]), np.array([1, 1, 0]), 2).tolist() == [[0, 2], [1, 0]]


def test_reliability_bins() -> None:
    # 0.7 and 0.68 share bin 10, (10/15, 11/15]; 0.2 = 3/15 is the upper end of bin 2; 1 is in the last one.
    rows = [[0.7, 0.3, 0, 0, 0], [0.68, 0.32, 0, 0, 0], [0.2] * 5, [0, 0, 0, 0, 1.0]]
    bins = reliability(np.array(rows), np.array([0, 1, 0, 4]))
    assert {number: count for number, count in enumerate(bins["count"]) if count} == {2: 1, 10: 2, 14: 1}
    assert bins["confidence"][10] == pytest.approx(0.69) and bins["accuracy"][10] == 0.5
    assert bins["confidence"][2] == pytest.approx(0.2) and bins["accuracy"][2] == 1.0
    assert bins["confidence"][0] is None and bins["accuracy"][0] is None


def test_what_cannot_be_answered_is_shared_out() -> None:
    rows = of_classes(np.array([[0.5, 0.3, 0.2], [0.0, 1.0, 0.0]], np.float32), ("a", "b", "c"), ("c", "a"))
    np.testing.assert_allclose(rows, [[0.2 / 0.7, 0.5 / 0.7], [0.5, 0.5]], atol=1e-6)


def test_protocols_and_leaks_of_a_split() -> None:
    votes = np.zeros((4, len(FERPLUS_COLUMNS)), np.float32)
    votes[0, HAPPINESS] = votes[1, CONTEMPT] = votes[2, UNKNOWN] = votes[3, NEUTRAL] = 10
    votes[2] = [0, 0, 0, 0, 3, 0, 0, 0, 7, 0]
    split = Split(list("abcd"), np.zeros((4, 2, 2), np.uint8), votes)
    answers = np.full((4, 8), 0.05, np.float32)
    # Sure of contempt each time; happiness, happiness, anger, happiness come next.
    answers[:, CONTEMPT] = 0.4
    answers[[0, 1, 2, 3], [HAPPINESS, HAPPINESS, ANGER, HAPPINESS]] = 0.3
    scores = split_scores(split, answers, EMOTIONS, np.array([True, True, True, False]))
    accuracies = {name: [part["accuracy"] for part in parts.values()] for name, parts in scores.items()}
    assert accuracies == {
        "argmax10": [0.333333, 0.5],  # contempt; d leaks
        "argmax8": [0.25, 0.333333],  # the third counts as anger
        "majority": [0.333333, 0.5],
        "paper7": [0.5, 1.0],  # without contempt the next one is the answer
        "paper6": [0.5, 1.0],
    }
    assert list(scores["paper6"]["full"]["classes"]) == ["neutral", "happiness", "surprise", "sadness", "anger", "fear"]
    assert "leakage_free" not in split_scores(split, answers, EMOTIONS)["argmax10"]
    # A model of six classes is not asked for eight.
    six = tuple(scores["paper6"]["full"]["classes"])
    assert list(split_scores(split, of_classes(answers, EMOTIONS, six), six)) == ["paper6"]


def test_json_has_one_line_a_list_of_numbers() -> None:
    value = {"matrix": [[1, 0], [2, -3.5e-7]], "gaps": [None, 0.25], "names": ["[\n 1\n]", "a"], "empty": []}
    text = json_text(value)
    assert json.loads(text) == value
    assert "  [1, 0],\n" in text and '"gaps": [null, 0.25]' in text

"""Risk by coverage, worked by hand: what is left where the least sure are left out, whatever the order of images."""

from __future__ import annotations

import numpy as np
import pytest

from fer_fast.evaluation.coverage import COVERAGES, risk_coverage


def test_ten_images_by_hand() -> None:
    confidence = np.array([0.99, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5, 0.4])
    wrong = np.isin(np.arange(10), [4, 8, 9])
    curve, aurc = risk_coverage(confidence, ~wrong)
    assert curve["coverage"] == [*COVERAGES] == [1.0, 0.95, 0.9, 0.8, 0.7, 0.5]
    assert curve["kept"] == pytest.approx([1.0, 1.0, 0.9, 0.8, 0.7, 0.5])  # 9.5 images are ten
    assert curve["abstain"] == pytest.approx([0.4, 0.4, 0.5, 0.6, 0.7, 0.8])
    assert curve["accuracy"] == pytest.approx([0.7, 0.7, 7 / 9, 7 / 8, 6 / 7, 4 / 5])
    assert aurc == pytest.approx((1 / 5 + 1 / 6 + 1 / 7 + 1 / 8 + 2 / 9 + 3 / 10) / 10)


def test_equals_are_left_out_together_whatever_their_order() -> None:
    # In tables both confidences in the middle are 0.8: --abstain leaves out both or neither.
    confidence, correct = np.array([0.9, 0.8000001, 0.7999999, 0.3]), np.array([True, False, True, False])
    curve, aurc = risk_coverage(confidence, correct)
    assert curve["kept"] == [1.0, 1.0, 1.0, 1.0, 0.75, 0.75]
    assert curve["accuracy"] == pytest.approx([0.5, 0.5, 0.5, 0.5, 2 / 3, 2 / 3])
    assert aurc == pytest.approx(0.25 * 0 + 0.5 * (1 / 3) + 0.25 * 0.5)
    random = np.random.default_rng(0)
    for order in (random.permutation(4) for _ in range(10)):
        assert risk_coverage(confidence[order], correct[order]) == (curve, aurc)


def test_a_confidence_that_says_nothing_leaves_the_accuracy() -> None:
    curve, aurc = risk_coverage(np.full(8, 0.5), np.arange(8) < 6)
    assert curve["accuracy"] == [0.75] * len(COVERAGES) and curve["kept"] == [1.0] * len(COVERAGES)
    assert aurc == 0.25


def test_no_image_has_no_curve() -> None:
    curve, aurc = risk_coverage(np.empty(0), np.empty(0, np.bool_))
    assert aurc is None and curve["accuracy"] == [None] * len(COVERAGES)

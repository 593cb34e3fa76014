"""The mix of classes that probabilities presume: the algebra by hand, and what a caller may wish, or is told."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer_fast.models.prior import logarithms_of, prior_text, ratios_of, shares_of, with_ratios

CLASSES = ("no", "yes", "may be")


def test_a_case_worked_by_hand() -> None:
    """Half of the training was "no", of which there is as much as of the others now."""
    own, target = (0.5, 0.25, 0.25), (Fraction(1, 3),) * 3
    ratios = ratios_of(tuple(map(float, target)), own, CLASSES)
    np.testing.assert_allclose(ratios, [2 / 3, 4 / 3, 4 / 3])
    # 0.6 * 2/3, 0.3 * 4/3 and 0.1 * 4/3 are 6, 6 and 2 fifteenths.
    found = with_ratios(np.array([[0.6, 0.3, 0.1], [1.0, 0.0, 0.0]], np.float32), ratios)
    np.testing.assert_allclose(found, [[6 / 14, 6 / 14, 2 / 14], [1.0, 0.0, 0.0]], atol=1e-7)
    assert found.dtype == np.float32
    np.testing.assert_allclose(with_ratios(found, 1 / ratios), [[0.6, 0.3, 0.1], [1.0, 0.0, 0.0]], atol=1e-6)


def test_a_share_of_nothing_is_never_the_answer() -> None:
    ratios = ratios_of((0.0, 0.5, 0.5), (0.5, 0.25, 0.25), CLASSES)
    sure = np.array([[0.8, 0.15, 0.05], [1.0, 0.0, 0.0]], np.float32)
    np.testing.assert_allclose(with_ratios(sure, ratios), [[0.0, 0.75, 0.25], [0.0, 0.5, 0.5]])


def test_in_a_graph_it_is_added_to_logits() -> None:
    ratios = ratios_of((0.0, 0.9, 0.1), (0.2, 0.2, 0.6), CLASSES)
    logits = np.random.default_rng(1).normal(0, 3, (50, 3)).astype(np.float32)

    def softmax(x: Any) -> Any:
        return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)

    wanted = with_ratios(softmax(logits), ratios)
    np.testing.assert_allclose(softmax(logits + logarithms_of(ratios)), wanted, atol=1e-6)
    assert wanted[:, 0].max() == 0 < wanted[:, 2].max()


WISHES: list[tuple[Any, tuple[float, ...]]] = [
    ("train", ()),
    ("balanced", (1 / 3, 1 / 3, 1 / 3)),
    ({"yes": 1, "no": 2, "may be": 1}, (0.5, 0.25, 0.25)),
    ({"yes": np.float32(0), "no": 0.0, "may be": np.int64(7)}, (0, 0, 1)),
    ({"yes": 1e308, "no": 1e308, "may be": 0}, (0.5, 0.5, 0)),
    ("yes=30, no = 10,may be=.6e2", (0.1, 0.3, 0.6)),
]


@pytest.mark.parametrize(("wish", "shares"), WISHES, ids=lambda value: str(value)[:30])
def test_wishes(wish: Any, shares: tuple[float, ...]) -> None:
    assert shares_of(wish, CLASSES) == pytest.approx(shares)


FILES = [
    '{"yes": 30, "no": 10, "may be": 60}',
    ' \n{"yes": 0.3,\n "no": 1e-1, "may be": 0.6}\n',
    "yes=30\nno=10\nmay be=60",
    '\ufeff{"yes": 30, "no": 10, "may be": 60}',
    "\ufeffyes=30\nno=10\nmay be=60",
    "# counted by hand\r\n\r\n yes = 30 # of 100\r\nno=10\r\nmay be=60.0\r\n",
]


@pytest.mark.parametrize("text", FILES)
def test_files(text: str, tmp_path: Path) -> None:
    file = tmp_path / "mix"
    file.write_text(text, encoding="utf-8", newline="")
    for wish in (file, str(file)):
        assert shares_of(wish, CLASSES) == pytest.approx((0.1, 0.3, 0.6))


RULE = "prior must have a share for each of no, yes, may be; "
REFUSED: list[tuple[Any, str]] = [
    ("Balanced", "prior must be train, balanced, shares such as anger=0.2,fear=0.8 or a file of them, not 'Balanced'"),
    ("", "prior must be train, balanced, shares such as anger=0.2,fear=0.8 or a file of them, not ''"),
    ("x" * 5000, "prior must be train, balanced, shares such as anger=0.2,fear=0.8 or a file of them, not 'xxx"),
    ("yes=1,no=1", RULE + "'may be' is missing"),
    ({}, RULE + "'no' is missing"),
    ("yes=1,no=1,may be=1,joy=1", RULE + "'joy' is none of them"),
    ("yes=1,no=1,may be=1,yes=1", RULE + "'yes' is there twice"),
    ("yes=1,no=1,may be=-1", "prior must have numbers of 0 or more; 'may be' has -1"),
    ("yes=1,no=1,may be=much", "prior must have numbers of 0 or more; 'may be' has much"),
    ("yes=1,no=1,may be=", "prior must have numbers of 0 or more; 'may be' has "),
    ("yes=1,no=nan,may be=1", "prior must have numbers of 0 or more; 'no' has nan"),
    ("yes=1,no=1_0,may be=1", "prior must have numbers of 0 or more; 'no' has 1_0"),
    ("yes=1,no=1e999,may be=1", "prior must have numbers of 0 or more; 'no' has 1e999"),
    ({"yes": 1, "no": float("inf"), "may be": 1}, "prior must have numbers of 0 or more; 'no' has Infinity"),
    ({"yes": 1, "no": 10**400, "may be": 1}, "prior must have numbers of 0 or more; 'no' has 1000"),
    ({"yes": 1, "no": "1", "may be": 1}, "prior must have numbers of 0 or more; 'no' has \"1\""),
    ({"yes": 1, "no": True, "may be": 1}, "prior must have numbers of 0 or more; 'no' has true"),
    ({"yes": 1, "no": None, "may be": 1}, "prior must have numbers of 0 or more; 'no' has null"),
    ("yes=1,no,may be=1", "prior must have a class, a = and its share in each part, not 'no'"),
    ("yes=0,no=0,may be=0.0", "prior must have a share above 0; all are 0"),
]


@pytest.mark.parametrize(("wish", "words"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_is_refused(wish: Any, words: str) -> None:
    with pytest.raises(ValueError) as told:
        shares_of(wish, CLASSES)
    assert str(told.value).startswith(words)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("wish", [[0.5, 0.5], np.array([0.5, 0.5]), None], ids=["list", "array", "nothing"])
def test_another_type_is_refused(wish: Any) -> None:
    rule = f"prior must be a word, text, a path or shares by class, not {wish!r}"
    with pytest.raises(TypeError, match=re.escape(rule)):
        shares_of(wish, CLASSES)


def _folder(path: Path) -> None:
    path.mkdir()


BAD_FILES: list[tuple[Callable[[Path], Any], str]] = [
    (_folder, "': Is a directory"),
    (lambda path: path.write_bytes(b"yes=1\n\xff=2"), "': it must be a JSON object or lines of class=share"),
    (lambda path: path.write_bytes(b"#" * (1 << 21)), "': it must be a JSON object or lines of class=share"),
    (lambda path: path.write_text('{"yes": 1,}'), "': it must be a JSON object or lines of class=share"),
    (lambda path: path.write_text('{"a":' * 100_000), "': it must be a JSON object or lines of class=share"),
    (lambda path: path.write_text('{"yes": 1, "yes": 2}'), "'yes' is there twice"),
    (lambda path: path.write_text('{"yes": {"no": 1}}'), "prior must have numbers of 0 or more; 'yes' has "),
    (lambda path: path.write_text('{"yes": NaN}'), "prior must have numbers of 0 or more; 'yes' has NaN"),
    (lambda path: path.write_text('{"yes": "1"}'), "prior must have numbers of 0 or more; 'yes' has \"1\""),
    (lambda path: path.write_text("[1, 2, 3]"), "prior must have a class, a = and its share in each part, not '[1, 2"),
    (lambda path: path.write_text("# nothing\n"), RULE + "'no' is missing"),
    (lambda path: path.write_text("yes=1\nyes=2\n"), "'yes' is there twice"),
]


@pytest.mark.parametrize(("write", "words"), BAD_FILES, ids=[words[-30:] for _, words in BAD_FILES])
def test_what_a_file_is_refused_for(write: Callable[[Path], Any], words: str, tmp_path: Path) -> None:
    write(tmp_path / "mix.json")
    with pytest.raises(ValueError) as told:
        shares_of(tmp_path / "mix.json", CLASSES)
    assert words in str(told.value)


def test_a_model_that_does_not_know_its_mix() -> None:
    with pytest.raises(ValueError, match=r"prior must be train for this model, .* fer-fast recalibrate writes one"):
        ratios_of((0.2, 0.4, 0.4), (), CLASSES)


def test_answers_that_stay_need_no_mix() -> None:
    assert ratios_of((), (), CLASSES) is ratios_of((), (0.2, 0.4, 0.4), CLASSES) is None


def test_a_model_that_never_answers_a_class() -> None:
    assert ratios_of((0.0, 0.5, 0.5), (0.0, 0.25, 0.75), CLASSES).tolist() == [0.0, 2.0, pytest.approx(2 / 3)]
    with pytest.raises(ValueError, match="prior must be 0 for 'no', which this exported model never answers"):
        ratios_of((0.2, 0.4, 0.4), (0.0, 0.5, 0.5), CLASSES)


def test_a_share_that_float32_cannot_hold_is_none() -> None:
    """An export answers it never; without this it would be divided by 1e-320 later, and the answer be no number."""
    assert shares_of("no=1e-320,yes=1,may be=1", CLASSES) == (0.0, 0.5, 0.5)
    assert shares_of({"no": 1e-30, "yes": 1, "may be": 0}, CLASSES) == (1e-30, 1.0, 0.0)


def test_shares_have_one_name() -> None:
    even = shares_of({"no": 3, "yes": 3, "may be": 3}, CLASSES)
    names = [prior_text(each, CLASSES) for each in ((), even, shares_of("balanced", CLASSES), (0.5, 0.25, 0.25))]
    assert names == ["train", "balanced", "balanced", "no=0.5,yes=0.25,may be=0.25"]
    assert shares_of(names[-1], CLASSES) == (0.5, 0.25, 0.25)

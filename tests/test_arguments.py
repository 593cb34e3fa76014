"""What the options' kinds read, and what they refuse."""

import argparse
from pathlib import Path

import pytest

from fer_fast.cli import arguments


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (arguments.positive, "12", 12),
        (arguments.natural, "0", 0),
        (arguments.path, "runs/mine", Path("runs/mine")),
        (arguments.positives, "1, 32", (1, 32)),
        (arguments.threshold, "0.5", 0.5),
        (arguments.threshold, "1", 1.0),
        (arguments.seconds, "0", 0.0),
        (arguments.seconds, "1e3", 1000.0),
        (arguments.names, "a, b", ("a", "b")),
        (arguments.names, "a,", ("a", "")),
    ],
)
def test_a_value_is_read(kind, text, value):
    assert kind(text) == value


@pytest.mark.parametrize(
    ("kind", "rule", "texts"),
    [
        (arguments.positive, "an integer of 1 or more", ["0", "-1", "1.5", "", "many", "1e3"]),
        (arguments.natural, "an integer of 0 or more", ["-1", "1.5", ""]),
        (arguments.path, "a path", [""]),
        (arguments.positives, "integers of 1 or more", ["0", "1,0", "1,,2", "", "a"]),
        (arguments.threshold, "a number from 0 to 1", ["-0.1", "1.1", "nan", "inf", "", "half"]),
        (arguments.seconds, "a number of seconds, 0 or more", ["-1", "nan", "inf", "", "soon"]),
    ],
)
def test_a_value_that_is_none_is_refused_with_the_rule_and_what_came(kind, rule, texts):
    for text in texts:
        with pytest.raises(argparse.ArgumentTypeError, match=rule) as refused:
            kind(text)
        assert repr(text) in str(refused.value)

"""What the pages say in their own words of how the packaged models were chosen is what the committed figures say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PARTS = ("two views, clean", "two views, hard", "one view, clean", "one view, hard")


def figures(name: str) -> Any:
    return json.loads((ROOT / "benchmarks" / "results" / "training" / f"{name}.json").read_text())


def page(name: str) -> str:
    """A page's text, its lines joined."""
    return " ".join((ROOT / "docs" / f"{name}.md").read_text().split())


def test_no_mean_of_other_networks_is_better_than_accurate_on_faces_as_they_are() -> None:
    means = [each for each in figures("means")["means"] if len(each["networks"]) > 1]
    assert len(means) == 15 + 20 + 15, "of six networks"
    (accurate,) = [each for each in means if each["networks"] == ["fast before its last cycle", "face network"]]
    others = [each for each in means if each is not accurate]
    best = max(each[part] for each in others for part in PARTS if "clean" in part)
    assert best < accurate["two views, clean"]
    hard = max(each[part] for each in others for part in PARTS if "hard" in part)
    found = re.search(r"by hard views the best, ([\d.]+) %, is ([\d.]+) points above it", page("models"))
    assert found is not None
    assert [*map(float, found.groups())] == [hard, round(hard - accurate["two views, hard"], 1)]


def test_what_dlibs_weights_are_worth() -> None:
    found = figures("face_control")
    for name in ("from dlib's weights", "from weights of chance"):
        values = found[name]
        alone = f"{values['two views, clean']:.2f} / {values['two views, hard']:.2f}"
        paired = f"{values['with fast, clean']:.2f} / {values['with fast, hard']:.2f}"
        assert f"| {name} | {alone} | {paired} |" in page("training")


def test_the_halves_of_accurate_are_those_that_were_best_together() -> None:
    pairs = {name: shares["0.5"] for name, shares in figures("taught_by_their_mean")["pairs"].items()}
    rows = re.findall(r"\| `fast`(, taught)? \| ([\d.]+) / ([\d.]+) \| ([\d.]+) / ([\d.]+) \|", page("models"))
    assert len(rows) == 2
    for taught, *numbers in rows:
        told = zip(("face network", "face network, taught"), zip(numbers[::2], numbers[1::2], strict=True), strict=True)
        for network, (clean, hard) in told:
            both = pairs[f"fast{taught} + {network}"]
            assert (float(clean), float(hard)) == (both["two views, clean"], both["two views, hard"])
    assert max(pairs, key=lambda name: pairs[name]["two views, clean"]) == "fast + face network"

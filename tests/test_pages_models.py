"""What the pages say in their own words of how the packaged models were chosen is what the committed figures say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def figures(name: str) -> Any:
    return json.loads((ROOT / "benchmarks" / "results" / "training" / f"{name}.json").read_text())


def page(name: str) -> str:
    """A page's text, its lines joined."""
    return " ".join((ROOT / "docs" / f"{name}.md").read_text().split())


def both(means: dict[str, Any], views: str) -> float:
    """The mean of a model's accuracy on faces as they are and by hard views."""
    return float(means[f"{views}, clean"] + means[f"{views}, hard"]) / 2


def test_accurate_is_as_good_as_what_it_was() -> None:
    means = {tuple(each["networks"]): each for each in figures("means")["means"]}
    assert len(means) == 7 + 21 + 35 + 35, "of seven networks"
    earlier = ("fast before its last cycle", "face network")
    for name, networks in {
        "`fast`": ("fast",),
        "the other network": ("face-fusion",),
        "`accurate`: half and half": ("fast", "face-fusion"),
        "the earlier `accurate`": earlier,
    }.items():
        found = means[networks]
        assert f"| {name} | {found['two views, clean']:.2f} / {found['two views, hard']:.2f} |" in page("models")
    accurate = both(means["fast", "face-fusion"], "two views")
    assert abs(accurate - both(means[earlier], "two views")) < 0.05
    several = [each for networks, each in means.items() if len(networks) > 1]
    best = max(both(each, views) for each in several for views in ("one view", "two views"))
    assert f"the best is {best - accurate:.1f} points above it" in page("models")


def test_soups_keep_what_the_training_lost_and_what_it_gained() -> None:
    """On faces as they are no less than before, by hard views as after, but for a tenth of a point."""
    for name in ("tiny", "fast"):
        before, after, packaged = (figures("soups")[name][share] for share in ("1.0", "0.0", "0.3, as packaged"))
        assert packaged["one view, clean"] > max(before["one view, clean"], after["one view, clean"])
        assert packaged["one view, hard"] > before["one view, hard"]
        assert packaged["one view, hard"] > after["one view, hard"] - 0.1


def test_what_dlibs_weights_are_worth() -> None:
    found = figures("face_control")
    for name in ("from dlib's weights", "from weights of chance"):
        values = found[name]
        alone = f"{values['two views, clean']:.2f} / {values['two views, hard']:.2f}"
        paired = f"{values['with fast, clean']:.2f} / {values['with fast, hard']:.2f}"
        assert f"| {name} | {alone} | {paired} |" in page("training")

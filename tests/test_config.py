"""What a model may be: the rules of `FusionConfig`, its way to JSON and back, and the named sizes."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from fer_fast.models.fusion.config import PRESETS, SOURCES, FusionConfig
from fer_fast.models.fusion.sources import source_patch
from fer_fast.types import EMOTIONS

BROKEN_RULES: list[tuple[dict[str, Any], str, str]] = [
    # changed fields, words of the rule, what came
    ({"sources": ()}, "sources must be a non-empty selection of image, FM1", "()"),
    ({"sources": ("image", "FM5")}, "sources must be", "FM5"),
    ({"sources": ("FM2", "FM2")}, "each once", "('FM2', 'FM2')"),
    ({"sources": "image"}, "sources must be a list", "'image'"),
    ({"image_size": 0}, "image_size must be a positive integer", "0"),
    ({"image_size": 70_000}, "image_size must be a positive integer up to 4096", "70000"),
    ({"depth": 1001}, "depth must be a positive integer up to 1000", "1001"),
    ({"image_size": 112.0}, "image_size must be a positive integer", "112.0"),
    ({"grid": -7}, "grid must be a positive integer", "-7"),
    ({"depth": True}, "depth must be a positive integer", "True"),
    ({"width": "192"}, "width must be a positive integer", "'192'"),
    ({"heads": 0}, "heads must be a positive integer", "0"),
    ({"image_size": 100, "grid": 7}, "image_size must be a multiple of grid 7", "100"),
    ({"width": 100, "heads": 3}, "width must be a multiple of heads 3", "100"),
    ({"mlp_ratio": 0}, "mlp_ratio must be a number above 0", "0"),
    ({"mlp_ratio": "4"}, "mlp_ratio must be a number", "'4'"),
    ({"mlp_ratio": 0.001}, "mlp_ratio must make 1 to 2147483647 units of 192", "0.001"),
    ({"mlp_ratio": 1e308}, "mlp_ratio must make 1 to 2147483647 units of 192", "1e+308"),
    ({"mlp_ratio": 10**400}, "mlp_ratio must be a number above 0", "10000000"),
    ({"width": 10**400}, "width must be a positive integer up to 2147483647", "10000000"),
    ({"temperature": 0.0}, "temperature must be a number above 0", "0.0"),
    ({"temperature": float("nan")}, "temperature must be a number above 0", "nan"),
    ({"mean": (0.5, 0.5)}, "mean must be three numbers", "(0.5, 0.5)"),
    ({"mean": (0.5, 0.5, float("inf"))}, "mean must be three numbers", "inf"),
    ({"std": (0.2, 0.2, "0.2")}, "std must be three numbers", "'0.2'"),
    ({"std": (0.2, 0.2, 0.0)}, "std must be above 0", "(0.2, 0.2, 0.0)"),
    ({"colour": "grey", "mean": (0.5,), "std": (0.5,)}, "colour must be rgb for a fusion model", "'grey'"),
    ({"colour": "RGB"}, "colour must be one of rgb, grey", "'RGB'"),
    ({"classes": ("happy",)}, "classes must be two or more different names", "('happy',)"),
    ({"classes": ("happy", "happy")}, "classes must be two or more different names", "('happy', 'happy')"),
    (
        {"classes": ("very sad", "very  sad")},
        "classes must be two or more different names",
        "('very sad', 'very  sad')",
    ),
    ({"classes": ("sad", " ")}, "classes must have names that are text", "' '"),
    ({"classes": ("sad", "\udce4rger")}, "classes must have names that are text", r"'\udce4rger'"),
    ({"activation_ranges": {"vit.head": (0.5, 2.0)}}, "activation_ranges must be pairs around 0", "(0.5, 2.0)"),
    ({"activation_ranges": {"vit.head": (-1.0,)}}, "activation_ranges must be pairs", "'vit.head'"),
    ({"classes": (1, 2)}, "classes must be two or more different names", "(1, 2)"),
    ({"reduce_mean": 1}, "reduce_mean must be true or false", "1"),
    ({"reduce_mean": None}, "reduce_mean must be true or false", "None"),
    ({"flip_average": "yes"}, "flip_average must be true or false", "'yes'"),
    ({"framing": "crop"}, "framing must be one of points, box, level", "'crop'"),
    ({"framing": None}, "framing must be one of points, box, level", "None"),
    ({"flip_average": 0.0}, "flip_average must be true or false", "0.0"),
    ({"activation_ranges": []}, "activation_ranges must be values by name", "[]"),
    ({"precision_falls": [0.1]}, "precision_falls must be values by name", "[0.1]"),
    ({"precision_falls": {"fp32": 0.0}}, "precision_falls must be of bf16, fp16, int8", "'fp32'"),
    ({"precision_falls": {"bf16": 1.01}}, "precision_falls must be numbers from -1 to 1", "'bf16' has 1.01"),
    ({"precision_falls": {"bf16": 0.0, "int8": -2}}, "precision_falls must be numbers from -1 to 1", "'int8' has -2"),
    ({"precision_falls": {"fp16": float("nan")}}, "precision_falls must be numbers from -1 to 1", "'fp16' has nan"),
    ({"precision_falls": {"fp16": "0.1"}}, "precision_falls must be numbers from -1 to 1", "'fp16' has '0.1'"),
    ({"precision_falls": {"fp16": True}}, "precision_falls must be numbers from -1 to 1", "'fp16' has True"),
    ({"prior": (0.5, 0.5)}, "prior must be shares above 0 of the 8 classes that sum to 1", "(0.5, 0.5)"),
    ({"prior": (0.0, 0.3, *[0.1] * 5, 0.2)}, "prior must be shares above 0 of the 8 classes", "(0.0, 0.3,"),
    ({"prior": (1e-320, 0.3, *[0.1] * 5, 0.2)}, "prior must be shares above 0 of the 8 classes", "(1e-320, 0.3,"),
    ({"prior": (0.1,) * 8}, "prior must be shares above 0 of the 8 classes that sum to 1", "(0.1, 0.1,"),
    ({"prior": ("0.125",) * 8}, "prior must be shares", "('0.125',"),
    ({"prior": (float("nan"),) * 8}, "prior must be shares", "(nan, nan,"),
]


@pytest.mark.parametrize(("changes", "rule", "came"), BROKEN_RULES, ids=[str(row[0])[:40] for row in BROKEN_RULES])
def test_broken_rule_names_field_rule_and_value(changes: dict[str, Any], rule: str, came: str) -> None:
    with pytest.raises(ValueError) as caught:
        FusionConfig(**changes)
    assert rule in str(caught.value)
    assert came in str(caught.value)
    assert "\n" not in str(caught.value)


def test_json_keeps_everything() -> None:
    config = FusionConfig(
        sources=("image", "FM1"),
        backbone="face-resnet",
        image_size=60,
        grid=5,
        reduce_mean=True,
        width=12,
        depth=2,
        heads=4,
        mlp_ratio=2.5,
        mean=(0.1, 0.2, 0.3),
        std=(0.4, 0.5, 0.6),
        classes=("no", "yes"),
        flip_average=True,
        framing="box",
        temperature=1.7,
        activation_ranges={"vit.head": (-0.5, 2.0)},
        precision_falls={"bf16": -0.001, "int8": 0.25},
        prior=(0.75, 0.25),
    )
    defaults = FusionConfig().as_dict()
    assert [name for name, value in config.as_dict().items() if value == defaults[name]] == ["architecture", "colour"]
    assert FusionConfig.from_dict(json.loads(json.dumps(config.as_dict()))) == config


def test_a_file_of_before_has_the_defaults() -> None:
    old = {
        name: value
        for name, value in FusionConfig().as_dict().items()
        if name not in ("flip_average", "framing", "precision_falls", "prior")
    }
    config = FusionConfig.from_dict(old)
    assert (config.flip_average, config.framing, config.precision_falls, config.prior) == (False, "points", {}, ())


def test_unknown_field_is_named() -> None:
    with pytest.raises(ValueError, match=r"unknown configuration field 'widht'; known: .*width"):
        FusionConfig.from_dict({"widht": 4})


def test_order_of_sources_does_not_matter() -> None:
    assert FusionConfig(sources=("FM4", "image", "FM2")) == FusionConfig(sources=["image", "FM2", "FM4"])  # type: ignore[arg-type]
    assert FusionConfig(sources=SOURCES[::-1]).sources == SOURCES
    assert FusionConfig(sources=("FM4", "image")).taps == ("FM4",)


@pytest.mark.parametrize(
    ("preset", "size", "grid", "depth", "patches", "k"),
    [
        ("tiny", 64, 4, 2, {"image": 16, "FM2": 2, "FM3": 1}, 768 + 512 + 256),
        ("fast", 112, 7, 4, {"image": 16, "FM2": 2, "FM3": 1, "FM4": 1}, 2048),
        # Oh & Yoo 2023: 768 + 512 + 256 + 512
        ("paper", 224, 14, 6, {"image": 16, "FM2": 2, "FM3": 1, "FM4": 1}, 2048),
    ],
)
def test_presets(preset: str, size: int, grid: int, depth: int, patches: dict[str, int], k: int) -> None:
    config = PRESETS[preset]
    assert (config.image_size, config.grid, config.depth) == (size, grid, depth)
    assert config.sources == tuple(patches)
    assert config.classes == EMOTIONS
    assert {name: source_patch(name, config) for name in config.sources} == patches
    channels = {"image": 3, "FM2": 128, "FM3": 256, "FM4": 512}
    assert sum(channels[name] * patch**2 for name, patch in patches.items()) == k


@pytest.mark.parametrize("preset", ["tiny", "fast", "paper"])
def test_channel_means_get_the_images_patch(preset: str) -> None:
    config = dataclasses.replace(PRESETS[preset], sources=SOURCES, reduce_mean=True)
    assert [source_patch(name, config) for name in SOURCES] == [16] * 5
    assert [source_patch(name, dataclasses.replace(config, reduce_mean=False)) for name in SOURCES] == [16, 4, 2, 1, 1]

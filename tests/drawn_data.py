"""What training tests draw themselves: FERPlus in both layouts, folders of classes, ResNet-18 weights, a recipe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from tiny_models import faces

from fer_fast.datasets.ferplus import SPLIT_PLACES
from fer_fast.datasets.split import FERPLUS_COLUMNS

HEADER = ",".join(["Usage", "Image name", *FERPLUS_COLUMNS])
#: Every kind of stage, and all that a recipe can ask for but a teacher.
RECIPE = """
stages = [
    { image_size = 32, epochs = 1, part = "backbone" },
    { image_size = 32, steps = 3 },
    { epochs = 1 },
]
seed = 7
batch_size = 8
learning_rate = 1e-3
backbone_learning_rate = 5e-4
weight_decay = 0.05
drop_path = 0.2
auxiliary_weight = 0.3
average_decay = 0.5
balance = 0.25

[model]
sources = ["image", "FM1"]
image_size = 40
grid = 4
width = 32
depth = 2
heads = 2

[augmentation]
rotation_degrees = 15.0
scale = 0.15
shift = 0.08
contrast = 0.25
erase_chance = 0.4
mixup = 0.2
"""


def draw_ferplus(folder: Path, counts: dict[str, int]) -> Path:
    """A made-up FERPlus of PNG files: the emotions in turn, each seen by 7 of 10 annotators."""
    rows = [HEADER]
    for split, count in counts.items():
        inside, usage = SPLIT_PLACES[split]
        (folder / inside).mkdir(parents=True)
        for number, pixels in enumerate(faces(count, 48, seed=len(rows))):
            name = f"{split}{number:03}.png"
            Image.fromarray(pixels[:, :, 0]).save(folder / inside / name)
            votes = np.roll([7, 2, 1, 0, 0, 0, 0, 0], number % 8)
            rows.append(",".join([usage, name, *map(str, votes), "0", "0"]))
    (folder / "fer2013new.csv").write_text("\n".join(rows) + "\n")
    return folder


def write_table(data: Path, *rows: str) -> None:
    """FERPlus' votes, a row each."""
    (data / "fer2013new.csv").write_text("\n".join([HEADER, *rows]) + "\n")


def write_face(data: Path, name: str, grey: int, split: str = "train", mode: str = "L", side: int = 48) -> Path:
    """One face of one shade, where FERPlus has those of a split."""
    folder = data / SPLIT_PLACES[split][0]
    folder.mkdir(exist_ok=True)
    Image.new(mode, (side, side), (grey,) * 3 if mode == "RGB" else grey).save(folder / name)
    return folder / name


def draw_classes(folder: Path, counts: dict[str, int], size: int = 20, seed: int = 0) -> Path:
    """A folder of classes: `counts` images of each, PNG and RGB, none like another."""
    for place, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True)
        for number, pixels in enumerate(faces(count, size, seed=100 * seed + place)):
            Image.fromarray(pixels).save(folder / name / f"{number:03}.png")
    return folder


def draw_backbone(path: Path, taps: tuple[str, ...] = ("FM4",), without: str = "nothing", seed: int = 0) -> Path:
    """Random ResNet-18 weights up to the deepest of `taps`, but for the layers called `without`."""
    import torch
    from safetensors.torch import save_file

    from fer_fast.models.fusion.taps import ResNet18Taps

    torch.manual_seed(seed)
    network = ResNet18Taps(taps)
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    state = {name: tensor.half() if tensor.ndim else tensor for name, tensor in network.state_dict().items()}
    save_file({name: tensor for name, tensor in state.items() if without not in name}, path)
    return path


def last_sentence(said: str, command: str) -> str:
    """The one sentence in which a command says why it ended, after what its log told."""
    *told, sentence = said.splitlines(keepends=True)
    assert sentence.startswith(f"{command}: ") and sentence.endswith("\n")
    assert not any(line.startswith(f"{command}: ") or "Traceback" in line for line in told)
    return sentence

"""A model's file: what goes in comes out, and whatever is wrong with it is told in one sentence."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from tiny_models import image_config, save_image_model

import fer_fast
from fer_fast.engines import open_engine
from fer_fast.models.files.checkpoint import FORMAT, begin_checkpoint, read_checkpoint, write_checkpoint
from fer_fast.models.files.paths import WEIGHTS, checkpoint_path, packaged_models
from fer_fast.types import CheckpointError, FerFastError, OutputError

CONFIG = image_config(image_size=4, mean=(0.1, 0.2, 0.3), temperature=1.25)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "model.safetensors"
    save_image_model(path, CONFIG)
    return path


def refused(path: Path | str) -> str:
    """The sentence with which a file is refused."""
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    sentence = str(caught.value)
    assert "\n" not in sentence and len(sentence) > 20
    return sentence


def repacked(file: Path, path: Path, change: Callable[[dict[str, np.ndarray], dict[str, str]], None]) -> Path:
    """A file with changed tensors and metadata whose digest is right again unless `change` breaks it."""
    checkpoint = read_checkpoint(file)
    tensors, metadata = dict(checkpoint.tensors), {}
    change(tensors, metadata)
    write_checkpoint(path, checkpoint.config, tensors)
    if metadata:
        path.write_bytes(save_arrays(tensors, {**_metadata(path), **metadata}))
    return path


def _metadata(path: Path) -> dict[str, str]:
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    found: dict[str, str] = header["__metadata__"]
    return found


def test_file_is_safetensors_and_nothing_else(file: Path) -> None:
    content = file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    metadata = header.pop("__metadata__")
    assert set(metadata) == {"format", "config", "digest"}
    assert json.loads(metadata["config"]) == json.loads(json.dumps(CONFIG.as_dict()))
    ends = sorted(tuple(tensor["data_offsets"]) for tensor in header.values())
    assert [start for start, _ in ends] == [0] + [end for _, end in ends[:-1]], "bytes between the tensors"
    assert 8 + length + ends[-1][1] == len(content), "bytes after the tensors"
    assert set(load_arrays(content)) == set(header)


def test_digest_tells_models_apart(file: Path, tmp_path: Path) -> None:
    digests = {read_checkpoint(file).digest}
    save_image_model(tmp_path / "same.safetensors", CONFIG)
    assert read_checkpoint(tmp_path / "same.safetensors").digest in digests
    other = repacked(file, tmp_path / "weights.safetensors", lambda tensors, _: tensors.update(_one_bit_off(tensors)))
    digests.add(read_checkpoint(other).digest)
    write_checkpoint(tmp_path / "t.safetensors", image_config(temperature=2.0), read_checkpoint(file).tensors)
    digests.add(read_checkpoint(tmp_path / "t.safetensors").digest)
    assert len(digests) == 3


def _one_bit_off(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    bits = tensors["vit.head.bias"].copy().view(np.uint16)
    bits[0] ^= 1
    return {"vit.head.bias": bits.view(np.float16)}


def test_every_damaged_byte_is_noticed(file: Path, tmp_path: Path) -> None:
    content = file.read_bytes()
    weights = 8 + int.from_bytes(content[:8], "little")
    damaged = tmp_path / "damaged.safetensors"
    places = [*range(12), *range(12, weights, 7), *range(weights, len(content), 13), len(content) - 1]
    for number, place in enumerate(places):
        flipped = bytearray(content)
        flipped[place] ^= 1 << (number % 8)
        damaged.write_bytes(flipped)
        assert repr(str(damaged)) in refused(damaged), f"byte {place}"


def test_every_length_is_noticed(file: Path, tmp_path: Path) -> None:
    content = file.read_bytes()
    short = tmp_path / "short.safetensors"
    for length in [*range(0, 20), *range(20, len(content), 61), len(content) - 1]:
        short.write_bytes(content[:length])
        refused(short)
    short.write_bytes(content + b"\0")
    refused(short)


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    text = tmp_path / "text.safetensors"
    text.write_text("This is not a model, but it is long enough to look like one at first sight.\n" * 9)
    assert "cannot be read" in refused(text)
    foreign = tmp_path / "foreign.safetensors"
    foreign.write_bytes(save_arrays({"weight": np.zeros(3, np.float32)}))
    assert f"must have the format '{FORMAT}', not 'none'" in refused(foreign)
    foreign.write_bytes(save_arrays({"weight": np.zeros(3, np.float32)}, {"format": "pt"}))
    assert "not 'pt'" in refused(foreign)
    foreign.write_bytes(save_arrays({"weight": np.zeros(3, np.float32)}, {"format": FORMAT}))
    assert "its metadata lacks 'config'" in refused(foreign)
    metadata = {"format": FORMAT, "config": json.dumps(CONFIG.as_dict()), "digest": "0"}
    header = {"__metadata__": metadata, "weight": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}
    text = json.dumps(header).encode()
    foreign.write_bytes(len(text).to_bytes(8, "little") + text + bytes(6))
    assert "cannot be read: 'weight' is BF16" in refused(foreign)


@pytest.mark.parametrize("name", ["", ".", "no-such-model", "a\0b", "n" * 5000, "\udcff.safetensors"])
def test_what_is_no_file(name: str) -> None:
    sentence = refused(name)
    assert sentence.startswith("model must be a .safetensors file or one of: ")
    assert all(known in sentence for known in packaged_models())
    assert refused(Path(name)).startswith("model must be")


def test_tensors_must_fit_the_configuration(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"

    def refused() -> str:
        with pytest.raises(CheckpointError) as caught:
            open_engine(read_checkpoint(path), engine="openvino", cached=False)
        return str(caught.value)

    def shortened(tensors: dict[str, np.ndarray], _: dict[str, str]) -> None:
        tensors["vit.head.weight"] = tensors["vit.head.weight"][:7]  # seven rows for eight classes

    repacked(file, path, shortened)
    assert "'vit.head.weight' must have the shape [8, 8], not [7, 8]" in refused()
    repacked(file, path, lambda tensors, _: tensors.pop("vit.norm.bias"))
    assert "lacks tensor 'vit.norm.bias'" in refused()
    repacked(file, path, lambda tensors, _: tensors.update(extra=np.zeros(1, np.float16)))
    assert "has an unknown tensor 'extra'" in refused()


@pytest.mark.parametrize(
    ("config", "rule"),
    [
        ("{", "Expecting"),
        ("[]", "must be"),
        ("null", ""),
        ('{"grid": 0}', "grid must be a positive integer"),
        ('{"hue": "red"}', "unknown configuration field 'hue'"),
        ('{"temperature": NaN}', "temperature must be a number above 0"),
        ('{"std": ["a", 1, 1]}', "std must be three numbers"),
        ('{"sources": 3}', "sources must be a list, not 3"),
        ('{"sources": [["image"]]}', "sources must be a non-empty selection"),
        ('{"classes": "no"}', "classes must be a list, not 'no'"),
        ('{"colour": ["rgb"]}', "colour must be one of rgb, grey, not ['rgb']"),
        ('{"activation_ranges": {"head": 5}}', "activation_ranges must be pairs around 0; 'head' has 5"),
        ('{"architecture": "face-resnet", "widths": null}', "widths must be a list, not None"),
        ('{"architecture": "ensemble", "members": [{}, {}], "shares": 1}', "shares must be a list, not 1"),
        ('{"architecture": "ensemble", "members": {}, "shares": [1]}', "members must be a list, not {}"),
    ],
)
def test_wrong_configuration(file: Path, tmp_path: Path, config: str, rule: str) -> None:
    path = repacked(file, tmp_path / "m.safetensors", lambda _, metadata: metadata.update(config=config))
    sentence = refused(path)
    assert "has a wrong configuration: " in sentence
    assert rule in sentence


def test_failed_write_leaves_the_old_file(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    before = file.read_bytes()
    path.write_bytes(before)

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fer_fast.machine.disk.os.fsync", full_disk)
    sentence = f"the output {str(path)!r} cannot be written: No space left on device"
    with pytest.raises(OutputError, match=re.escape(sentence)):
        save_image_model(path, CONFIG, seed=1)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_closed_file_is_not_called_missing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(path: Path, mode: str) -> None:  # root opens anything
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", closed)
    assert refused(file).endswith(f"cannot be read: [Errno 13] Permission denied: {str(file)!r}")


def test_reading_needs_no_torch(file: Path) -> None:
    code = (
        "import sys; from fer_fast.models.files.checkpoint import read_checkpoint; "
        f"print(read_checkpoint({str(file)!r}).digest, 'torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [read_checkpoint(file).digest, "False"]


def test_public_names() -> None:
    assert issubclass(fer_fast.CheckpointError, FerFastError)


def test_weights_of_a_packaged_model_are_not_stored_twice(tmp_path: Path) -> None:
    tiny = read_checkpoint("tiny")
    config = dataclasses.replace(tiny.config, flip_average=True)
    write_checkpoint(tmp_path / "whole.safetensors", config, tiny.tensors)
    write_checkpoint(tmp_path / "small.safetensors", config, tiny.tensors, weights="tiny")
    whole, small = (read_checkpoint(tmp_path / f"{name}.safetensors") for name in ("whole", "small"))
    assert small.digest == whole.digest != tiny.digest and small.config == config
    assert all(np.array_equal(small.tensors[name], tiny.tensors[name]) for name in tiny.tensors)
    assert (tmp_path / "small.safetensors").stat().st_size < 20_000 < (WEIGHTS / "tiny.safetensors").stat().st_size
    write_checkpoint(tmp_path / "wrong.safetensors", config, tiny.tensors, weights="fast")
    with pytest.raises(CheckpointError, match="is damaged, or was made with other weights of fast than"):
        read_checkpoint(tmp_path / "wrong.safetensors")
    write_checkpoint(tmp_path / "nobody.safetensors", config, tiny.tensors, weights="nobody")
    with pytest.raises(CheckpointError, match="has the weights of the packaged model 'nobody': there is none"):
        read_checkpoint(tmp_path / "nobody.safetensors")


def test_a_damaged_packaged_model_damages_what_refers_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short, tiny = tmp_path / "tiny.safetensors", read_checkpoint("tiny")
    write_checkpoint(tmp_path / "small.safetensors", tiny.config, tiny.tensors, weights="tiny")
    short.write_bytes((WEIGHTS / "tiny.safetensors").read_bytes()[:1000])

    def place(model: str | Path) -> Path:
        return short if model == "tiny" else checkpoint_path(model)

    monkeypatch.setattr("fer_fast.models.files.checkpoint.checkpoint_path", place)
    for read in (read_checkpoint, begin_checkpoint):
        with pytest.raises(CheckpointError, match=r"^checkpoint '.*tiny.safetensors' cannot be read: "):
            read(tmp_path / "small.safetensors")

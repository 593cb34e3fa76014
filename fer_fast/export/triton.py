"""An exported classifier comes in, the folder that Triton and OpenVINO Model Server serve it from goes out.

By Triton's model configuration (`model_config.proto`) it holds three models: NAME takes pixels, NAME_decode makes them
of encoded images by DALI, NAME_encoded is the two joined. OpenVINO Model Server takes NAME.
"""

from __future__ import annotations

import re

from fer_fast.export.graph import Graph
from fer_fast.models.architecture import INPUT

#: Triton's back end -> the format that it runs.
BACKENDS = {"onnxruntime": "onnx", "openvino": "openvino", "tensorrt": "tensorrt"}
#: What Triton calls an engine; other suffixes are as in the format.
_PLAN = ".plan"
#: What the joined models take.
_ENCODED = "encoded"
#: Instances that decode: each one image at a time.
_DECODING = 4
#: Names that are whole in a URL, /v2/models/NAME.
_NAME = re.compile(r"[A-Za-z0-9_.-]+")


def check_served(graph: Graph, name: str) -> None:
    """Refuses what cannot be served so, before anything is traced.

    Raises:
        ValueError: a face finder, whose cells nobody but this package reads, or a name that is none in a URL.
    """
    if graph.architecture.kind != "classifier":
        raise ValueError(f"model must be a classifier for format triton, not a face {graph.architecture.kind}")
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"the model's name must be of letters, digits, '_', '.' and '-' for format triton, not {name!r}: "
            "it is a part of the server's URLs"
        )


def repository(graph: Graph, name: str, backend: str, files: dict[str, bytes], decode: bool) -> dict[str, bytes]:
    """The folder's files.

    Args:
        graph: what was exported.
        name: of the model.
        backend: one of `BACKENDS`.
        files: suffix to bytes, as the format's `encode` gives them.
        decode: whether there are NAME_decode and NAME_encoded.

    Returns:
        Path in the folder to bytes.

    Raises:
        FerFastError: DALI fails.
    """
    classes = [value for fact, value in graph.architecture.facts(graph.checkpoint) if fact == "class"]
    model = {f"model{suffix.replace('.engine', _PLAN)}": data for suffix, data in files.items()}
    folder = {
        **{f"{name}/1/{file}": data for file, data in model.items()},
        f"{name}/labels.txt": "".join(f"{each}\n" for each in classes).encode(),
        f"{name}/config.pbtxt": _classifier(graph, name, backend, next(iter(model)), len(classes)),
    }
    if decode:
        from fer_fast.decode.dali_pipeline import serialised

        decoding, joined = f"{name}_decode", f"{name}_{_ENCODED}"
        folder |= {
            f"{decoding}/1/model.dali": serialised(graph.sides.step, graph.batch_size),
            f"{decoding}/config.pbtxt": _decoding(graph, decoding),
            f"{joined}/1/.keep": b"",  # Triton wants the folder, and object stores have none that is empty
            f"{joined}/config.pbtxt": _joined(graph, joined, [decoding, name], len(classes)),
        }
    return folder


def _classifier(graph: Graph, name: str, backend: str, file: str, classes: int) -> bytes:
    """The model itself; what waits while it runs is its next batch."""
    answer = f'{_probabilities(graph, classes)} label_filename: "labels.txt"'
    device = "instance_group [ { kind: KIND_CPU } ]\n" if backend == "openvino" else ""  # else a card
    return (
        f"{_head(graph, name)}"
        f'backend: "{backend}"\n'
        f'default_model_filename: "{file}"\n'
        f"input [ {{ {_images(graph)} }} ]\n"
        f"output [ {{ {answer} }} ]\n"
        f"{device}"
        "dynamic_batching { }\n"
    ).encode()


def _decoding(graph: Graph, name: str) -> bytes:
    """What makes pixels of encoded images."""
    return (
        f"{_head(graph, name)}"
        'backend: "dali"\n'
        f"input [ {{ {_encoded()} }} ]\n"
        f"output [ {{ {_images(graph)} }} ]\n"
        "# An image that DALI does not take fails all that are decoded with it: requests are not batched, and several\n"
        "# instances decode side by side.\n"
        f"instance_group [ {{ count: {_DECODING} kind: KIND_CPU }} ]\n"
    ).encode()


def _joined(graph: Graph, name: str, models: list[str], classes: int) -> bytes:
    """Models one behind another; what each gives is called as the next one's input."""
    names = [_ENCODED, INPUT, graph.output]
    steps = ",\n".join(
        f'    {{ model_name: "{model}" model_version: -1\n'
        f'      input_map {{ key: "{given}" value: "{given}" }}\n'
        f'      output_map {{ key: "{made}" value: "{made}" }} }}'
        for model, given, made in zip(models, names, names[1:], strict=False)
    )
    return (
        f"{_head(graph, name)}"
        'platform: "ensemble"\n'
        f"input [ {{ {_encoded()} }} ]\n"
        f"output [ {{ {_probabilities(graph, classes)} }} ]\n"
        f"ensemble_scheduling {{\n  step [\n{steps}\n  ]\n}}\n"
    ).encode()


def _head(graph: Graph, name: str) -> str:
    return f'name: "{name}"\nmax_batch_size: {graph.batch_size}\n'


def _encoded() -> str:
    return f'name: "{_ENCODED}" data_type: TYPE_UINT8 dims: [ -1 ]'


def _images(graph: Graph) -> str:
    return f'name: "{INPUT}" data_type: TYPE_UINT8 dims: [ {graph.sides.step}, {graph.sides.step}, 3 ]'


def _probabilities(graph: Graph, classes: int) -> str:
    return f'name: "{graph.output}" data_type: TYPE_FP32 dims: [ {classes} ]'

"""An exported model comes in, the graph that OpenVINO compiles goes out: of its own files, or of ONNX."""

from __future__ import annotations

from fer_fast.engines.openvino_graph import has_bf16
from fer_fast.engines.openvino_library import openvino
from fer_fast.engines.openvino_source import Source
from fer_fast.models.files.exported import ExportedModel
from fer_fast.types import CheckpointError, FerFastError


def exported_source(model: ExportedModel, precision: str, core: openvino.Core) -> Source:
    """What to compile. What was exported in int8 stays so; `precision` is that of what is computed in floating point.

    The C++ library has the same rule (csrc/classifier/openvino.cpp).

    Args:
        model: its files, which were compared with their sums: OpenVINO may crash on a damaged one.
        precision: auto, fp32 or bf16; auto is bf16 where the processor has it. int8 is auto of a model that is so.
        core: OpenVINO.

    Raises:
        ValueError: another precision.
        FerFastError: the processor computes no bf16.
    """
    is_int8 = model.description.precision == "int8"
    known = ("auto", "int8", "fp32", "bf16") if is_int8 else ("auto", "fp32", "bf16")
    if precision not in known:
        offered = f"{', '.join(known[:-1])} or {known[-1]}"
        raise ValueError(
            f"precision must be {offered} for an .{model.format} of {model.description.precision}, not {precision!r}"
        )
    if precision == "bf16" and not has_bf16(core):
        raise FerFastError("precision 'bf16' is not there: this processor has no bf16 instructions; fp32 is")
    rest = "bf16" if has_bf16(core) and precision != "fp32" else "fp32"
    return Source(
        "int8" if is_int8 else rest,
        model.sides,
        lambda batch_size: _graph(model, batch_size, core),
        {"content": model.content, "rest": rest},
        rest,
        {"rest": rest} if is_int8 else {},
    )


def _graph(model: ExportedModel, batch_size: int, core: openvino.Core) -> openvino.Model:
    """The graph for batches of 1 to `batch_size`.

    Raises:
        CheckpointError: it is not what the description says.
    """
    graph = core.read_model(model.graph, model.weights) if model.weights else core.read_model(model.graph)
    sides = model.sides.example if model.sides.fixed else (-1, -1)
    images = openvino.PartialShape([openvino.Dimension(1, batch_size), *sides, 3])
    outputs = openvino.PartialShape([-1, *model.output_shape((batch_size, *model.sides.example, 3))[1:]])
    if not model.sides.fixed:
        outputs[1] = openvino.Dimension(-1)  # cells of an image of any size
    if _takes(graph, images):
        graph.reshape(images)
        if _gives(graph, outputs):
            return graph
    raise CheckpointError(f"the model {str(model.path)!r} is damaged: it is not what its description says")


def _takes(graph: openvino.Model, images: openvino.PartialShape) -> bool:
    (first, *others) = graph.inputs
    return not others and first.element_type == openvino.Type.u8 and first.partial_shape.compatible(images)


def _gives(graph: openvino.Model, outputs: openvino.PartialShape) -> bool:
    (first, *others) = graph.outputs
    return not others and first.element_type == openvino.Type.f32 and first.partial_shape.compatible(outputs)

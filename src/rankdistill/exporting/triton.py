"""The configuration of an exported graph for NVIDIA's Triton inference server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rankdistill.errors import ExportError

if TYPE_CHECKING:
    import onnx

_TYPES = {1: "TYPE_FP32", 7: "TYPE_INT64", 9: "TYPE_BOOL"}
"""Triton's names of ONNX's element types."""


def config(model: onnx.ModelProto, name: str) -> str:
    """The text of `config.pbtxt`.

    The batch is a dimension like the others: two inputs have none, so Triton may not put batches together itself.
    """
    blocks = [f'name: "{name}"', 'backend: "onnxruntime"', 'default_model_filename: "model.onnx"', "max_batch_size: 0"]
    for kind, values in (("input", model.graph.input), ("output", model.graph.output)):
        blocks.append(f"{kind} [\n" + ",\n".join(_tensor(value) for value in values) + "\n]")
    blocks.append("instance_group [\n  { count: 1 kind: KIND_CPU }\n]")
    return "\n".join(blocks) + "\n"


def _tensor(value: onnx.ValueInfoProto) -> str:
    tensor = value.type.tensor_type
    if tensor.elem_type not in _TYPES:
        raise ExportError(f"{value.name}: of a type that Triton is not told of")
    dims = ", ".join(str(dim.dim_value) if dim.HasField("dim_value") else "-1" for dim in tensor.shape.dim)
    return f'  {{ name: "{value.name}" data_type: {_TYPES[tensor.elem_type]} dims: [ {dims} ] }}'

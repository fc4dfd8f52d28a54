"""A served model as ONNX graphs: histories to lists, and histories to query vectors."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from rankdistill.errors import ExportError
from rankdistill.extras import extra
from rankdistill.served import Served
from rankdistill.serving import layout
from rankdistill.tables import whole

if TYPE_CHECKING:
    import onnx

OPSET = 20
_DOMAIN_VERSION = 10
"""The version of the ONNX file format: what onnxruntime has read since 1.18."""
_ALL_SCORES = "all_scores"
_EXAMPLE = (3, 7)
"""Queries and items of a history while the operations are written down; both may be any number afterwards."""


class _Both(nn.Module):
    """Scores of the whole catalogue, and query vectors with a 1 behind them for the item's bias."""

    def __init__(self, served: Served) -> None:
        super().__init__()
        self.served = served

    def forward(self, history: Tensor, user: Tensor | None = None) -> tuple[Tensor, Tensor]:
        users = _nobody(history) if user is None else user
        query = self.served.encode(users, history)
        scores = self.served.adjust(self.served.score(query), history)
        return scores, torch.cat([query, torch.ones_like(query[:, :1])], dim=1)


def _nobody(history: Tensor) -> Tensor:
    return torch.zeros_like(history[:, 0])


@dataclass(frozen=True, slots=True)
class Graphs:
    """The two graphs of a model; see `layout` for their inputs and outputs.

    Attributes:
        ranking: histories to the top k.
        encoder: histories to query vectors; None where a score is no product of a query's vector and an item's.
    """

    ranking: onnx.ModelProto
    encoder: onnx.ModelProto | None


def graphs_of(served: Served) -> Graphs:
    """A model's graphs.

    Raises:
        ExportError: the model has an operation that ONNX lacks.
        ConfigError: onnx is not installed.
    """
    onnx = extra("onnx", "export")
    extra("onnxscript", "export")
    written = _written(served)
    inputs = [each.name for each in written.graph.input]
    scores, encoder = (
        onnx.utils.Extractor(written).extract_model(inputs, [output]) for output in (_ALL_SCORES, layout.QUERY)
    )
    ranking = _ranking(onnx, scores)
    for each in (ranking, encoder):
        del each.graph.value_info[:]
        try:
            onnx.checker.check_model(each, full_check=True)
        except onnx.checker.ValidationError as error:
            raise ExportError(
                f"{type(served.model).__name__}: its ONNX graph is none ({str(error).strip().splitlines()[0]}); "
                f"scores have to depend on what was asked"
            ) from error
    return Graphs(ranking, encoder if served.model.factorized else None)


def _ranking(onnx: Any, model: onnx.ModelProto) -> onnx.ModelProto:
    """Behind the scores: what is left out, and the best of the rest."""
    helper, types = onnx.helper, onnx.TensorProto
    node, graph = helper.make_node, model.graph
    graph.initializer.extend(
        onnx.numpy_helper.from_array(value, name)
        for name, value in (
            ("no_item", np.array(0, dtype=np.int64)),
            ("nothing", np.array(-np.inf, dtype=np.float32)),
        )
    )
    graph.node.extend(
        [
            node("Where", [layout.EXCLUDE_SEEN, layout.HISTORY, "no_item"], ["seen"]),
            node("Concat", ["seen", layout.BLOCKED], ["left_out"], axis=1),
            node("Shape", ["left_out"], ["left_out_shape"]),
            node("Expand", ["nothing", "left_out_shape"], ["left_out_scores"]),
            node("ScatterElements", [_ALL_SCORES, "left_out", "left_out_scores"], ["ranked_scores"], axis=1),
            node("TopK", ["ranked_scores", layout.LENGTH], [layout.SCORES, "top"], axis=1),
            node("IsInf", [layout.SCORES], ["is_end"], detect_positive=0),
            node("Where", ["is_end", "no_item", "top"], [layout.FOUND]),
        ]
    )
    info = helper.make_tensor_value_info
    graph.input.extend(
        [
            info(layout.BLOCKED, types.INT64, ["batch", "blocked"]),
            info(layout.EXCLUDE_SEEN, types.BOOL, [1]),
            info(layout.LENGTH, types.INT64, [1]),
        ]
    )
    del graph.output[:]
    graph.output.extend(
        [
            info(layout.FOUND, types.INT64, ["batch", "k"]),
            info(layout.SCORES, types.FLOAT, ["batch", "k"]),
        ]
    )
    return model


def item_vectors(served: Served) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The item vectors [I + 1, D + 1], the bias behind each; items that no list may hold have a bias of -inf."""
    vectors = whole(served.model.item_table()[0]).detach()
    offset: Tensor = served.get_buffer("offset")
    return torch.cat([vectors, offset.unsqueeze(1)], dim=1).numpy()


def _written(served: Served) -> onnx.ModelProto:
    """The operations as an ONNX graph, batch and length of the histories open."""
    queries, items = _EXAMPLE
    history = torch.ones(queries, items, dtype=torch.int64)
    arguments: tuple[Tensor, ...] = (history,)
    batch, length = (torch.export.Dim(name, min=1, max=1 << 31) for name in ("batch", "length"))
    shapes: tuple[dict[int, Any], ...] = ({0: batch, 1: length},)
    if served.has_users:
        arguments, shapes = (history, torch.zeros(queries, dtype=torch.int64)), (*shapes, {0: batch})
    names = [layout.HISTORY, layout.USER][: len(arguments)]
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                _Both(served).eval(),
                arguments,
                input_names=names,
                output_names=[_ALL_SCORES, layout.QUERY],
                dynamic_shapes=shapes,
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:
        cause = error.__cause__ or error  # torch's own message is about the steps of an export
        reason = str(cause).strip().splitlines()
        raise ExportError(
            f"{type(served.model).__name__}: cannot be written as ONNX ({reason[0] if reason else cause!r}); "
            f"use operations that torch.onnx.export knows"
        ) from error
    assert program is not None
    model = program.model_proto
    model.ir_version = _DOMAIN_VERSION
    del model.metadata_props[:]
    for node in model.graph.node:  # where in torch it came from: paths of this machine
        del node.metadata_props[:]
        node.doc_string = ""
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the remarks that torch makes to its own developers."""
    logs = {log: log.level for log in map(logging.getLogger, ("torch.onnx", "onnx_ir"))}
    for log in logs:
        log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in logs.items():
            log.setLevel(level)

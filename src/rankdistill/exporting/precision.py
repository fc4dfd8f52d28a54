"""Tables of a graph in fewer bytes: float16, or int8 with a scale a row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from rankdistill.config import Precision
from rankdistill.errors import ExportError
from rankdistill.extras import extra
from rankdistill.rounding import SMALLEST, quantised

if TYPE_CHECKING:
    import onnx

PRECISIONS: tuple[Precision, ...] = get_args(Precision)


def lowered(model: onnx.ModelProto, precision: Precision) -> onnx.ModelProto:
    """The graph with its large tables in fewer bytes; sums are taken in float32 all the same.

    Rows that are looked up are turned back into float32. A table that queries are multiplied with is multiplied in
    int8 where it is int8: each query is rounded to 8 bits, too, by its own largest number.
    """
    if precision == "float32":
        return model
    changed = type(model)()
    changed.CopyFrom(model)
    writer = _Writer(changed, extra("onnx", "export"))
    for table in [each for each in changed.graph.initializer if writer.is_table(each)]:
        writer.replace(table, precision)
    writer.finish()
    writer.onnx.checker.check_model(changed, full_check=True)
    return changed


@dataclass(slots=True)
class _Writer:
    model: Any
    onnx: Any

    def is_table(self, table: Any) -> bool:
        """Whether all that is done with it is to look up rows, or to multiply queries with it."""
        large = len(table.dims) == 2 and np.prod(table.dims) >= SMALLEST
        users = list(self._users(table.name))
        known = all(self._looks_up(node, table.name) or self._multiplies(node, table.name) for node in users)
        return large and table.data_type == self.onnx.TensorProto.FLOAT and bool(users) and known

    def _users(self, name: str) -> Iterable[Any]:
        return (node for node in self.model.graph.node if name in node.input)

    def _looks_up(self, node: Any, name: str) -> bool:
        axis = next((each.i for each in node.attribute if each.name == "axis"), 0)
        return bool(node.op_type == "Gather" and node.input[0] == name and axis == 0)

    def _multiplies(self, node: Any, name: str) -> bool:
        numbers = {each.name: (each.i if each.name.startswith("trans") else each.f) for each in node.attribute}
        plain = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}
        return bool(
            node.op_type == "Gemm"
            and list(node.input).index(name) == 1
            and len(node.input) == 3
            and {**plain, "transB": 0, **numbers} == plain
        )

    def replace(self, table: Any, precision: Precision) -> None:
        """Puts a smaller table in the place of one."""
        array, name = self.onnx.numpy_helper.to_array(table), table.name
        users = list(self._users(name))
        self.model.graph.initializer.remove(table)
        if precision == "float16":
            largest = float(np.abs(array).max())
            if largest > float(np.finfo(np.float16).max):
                raise ExportError(f"{name} holds {largest:g}, more than float16 can hold; export it as float32 or int8")
            self._add(name, array.astype(np.float16))
        else:
            integers, scales = quantised(array)
            self._add(name, integers)
            self._add(f"{name}.scale", scales[:, None])
        for node in users:
            if node.op_type == "Gather":
                self._look_up(node, name, precision)
            elif precision == "float16":
                self._before(node, "Cast", [name], f"{node.output[0]}.table", to=self.onnx.TensorProto.FLOAT)
                node.input[1] = f"{node.output[0]}.table"
            else:
                self._multiply(node, name)

    def _look_up(self, node: Any, name: str, precision: Precision) -> None:
        """Gather, then back to float32."""
        out = node.output[0]
        node.output[0] = f"{out}.small"
        cast = {"to": self.onnx.TensorProto.FLOAT}
        if precision == "float16":
            self._after(node, "Cast", [f"{out}.small"], out, **cast)
            return
        self._after(node, "Mul", [f"{out}.whole", f"{out}.scale"], out)
        self._after(node, "Cast", [f"{out}.small"], f"{out}.whole", **cast)
        self._after(node, "Gather", [f"{name}.scale", node.input[1]], f"{out}.scale", axis=0)

    def _multiply(self, node: Any, name: str) -> None:
        """Queries [B, D] times table.T + bias: queries as uint8 about 128, integer sums, back to float32."""
        queries, _, bias = node.input
        out = node.output[0]
        types = self.onnx.TensorProto
        self._add(f"{out}.127", np.array(127, dtype=np.float32))
        self._add(f"{out}.least", np.array(1e-30, dtype=np.float32))
        self._add(f"{out}.middle", np.array(128, dtype=np.float32))
        self._add(f"{out}.zero", np.array(128, dtype=np.uint8))
        self._add(f"{out}.axis", np.array([1], dtype=np.int64))
        steps: list[tuple[str, list[str], str, dict[str, Any]]] = [
            ("Abs", [queries], f"{out}.size", {}),
            ("ReduceMax", [f"{out}.size", f"{out}.axis"], f"{out}.largest", {"keepdims": 1}),
            ("Max", [f"{out}.largest", f"{out}.least"], f"{out}.positive", {}),
            ("Div", [f"{out}.positive", f"{out}.127"], f"{out}.step", {}),
            ("Div", [queries, f"{out}.step"], f"{out}.steps", {}),
            ("Round", [f"{out}.steps"], f"{out}.rounded", {}),
            ("Add", [f"{out}.rounded", f"{out}.middle"], f"{out}.moved", {}),
            ("Cast", [f"{out}.moved"], f"{out}.bytes", {"to": types.UINT8}),
            ("Transpose", [name], f"{out}.table", {"perm": [1, 0]}),
            ("MatMulInteger", [f"{out}.bytes", f"{out}.table", f"{out}.zero"], f"{out}.sums", {}),
            ("Cast", [f"{out}.sums"], f"{out}.floats", {"to": types.FLOAT}),
            ("Transpose", [f"{name}.scale"], f"{out}.scales", {"perm": [1, 0]}),
            ("Mul", [f"{out}.floats", f"{out}.scales"], f"{out}.scaled", {}),
            ("Mul", [f"{out}.scaled", f"{out}.step"], f"{out}.products", {}),
            ("Add", [f"{out}.products", bias], out, {}),
        ]
        for kind, inputs, output, attributes in steps:
            self._before(node, kind, inputs, output, **attributes)
        self.model.graph.node.remove(node)

    def _add(self, name: str, values: np.ndarray[Any, Any]) -> None:
        if all(each.name != name for each in self.model.graph.initializer):
            self.model.graph.initializer.append(self.onnx.numpy_helper.from_array(values, name))

    def _before(self, node: Any, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self._insert(self._place(node), kind, inputs, output, attributes)

    def _after(self, node: Any, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self._insert(self._place(node) + 1, kind, inputs, output, attributes)

    def _place(self, node: Any) -> int:
        return next(place for place, each in enumerate(self.model.graph.node) if each.output[0] == node.output[0])

    def _insert(self, place: int, kind: str, inputs: list[str], output: str, attributes: dict[str, Any]) -> None:
        made = self.onnx.helper.make_node(kind, inputs, [output], name=f"{output}.{kind}", **attributes)
        self.model.graph.node.insert(place, made)

    def finish(self) -> None:
        """Types of values in between are no longer what they were."""
        del self.model.graph.value_info[:]

"""Graphs as text: readable SSA that ``parser.parse_ir`` reads back into the identical graph.

    graph mlp(%x: f32[N, 4]) -> f32[N, 3] {
      $dense.kernel : f32[4, 3]   # dense  model.py:7

      %0 = matmul(%x, $dense.kernel) : f32[N, 3]   # dense  model.py:7
      %1 = maximum(%0, 0.0)          : f32[N, 3]   # dense  model.py:7
      return %1
    }

Attributes at their default are left out; constants of rank 0 stand where they are used. A
parameter's next value stands before ``return``: ``update $dense.kernel = %12``. The body
of a region follows in braces; it calls its operands by their own names, and its values ``%3.0``,
``%3.1`` when the region is ``%3``.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ...runtime.dim import Dim
from .node import IRError, Literal, Node, exact
from .origin_text import format_origins
from .types import BOOL, FLOAT32, INT32, DType, TensorType, dtype_of

PLAIN_NAME = re.compile(r"[^\W\d][\w./-]*")
PLAIN_LABEL = re.compile(r"[\w./+-]+")
LIST_LIMIT = 16  # elements; larger constants are printed compressed
WIDE = 76  # longer lines do not push the column of types to the right
LINE = 100
DEFAULT_DTYPES = (FLOAT32, INT32, BOOL)  # of constants that are written as a bare number


@runtime_checkable
class GraphLike(Protocol):
    """What is printed: a ``Graph`` (whose module imports this one)."""

    @property
    def name(self) -> str: ...
    @property
    def inputs(self) -> tuple[Node, ...]: ...
    @property
    def outputs(self) -> tuple[Node, ...]: ...
    @property
    def returned(self) -> tuple[Node, ...]: ...
    @property
    def next_values(self) -> dict[Node, Node]: ...
    @property
    def nodes(self) -> tuple[Node, ...]: ...


def format_graph(graph: GraphLike, elide: bool = False) -> str:
    """``graph`` as IR text. ``elide`` leaves the values of large constants out, for people."""
    return "\n".join(_graph_lines(graph, elide))


def node_names(graph: GraphLike, prefix: str = "") -> dict[Node, str]:
    """The name of each node in the text of ``graph``: ``%x``, ``$kernel``, ``%0``, ``1.5``."""
    names: dict[Node, str] = {}
    count = 0
    for node in graph.nodes:
        leaf = _leaf_name(node)
        names[node] = leaf or f"%{prefix}{count}"
        count += leaf is None
    return names


def node_calls(graph: GraphLike) -> dict[Node, str]:
    """``%0 = conv2d(%x, $kernel)`` for each node with a line of its own; bodies are left out."""
    names = node_names(graph)
    return {node: node_call(node, names) for node in graph.nodes if _leaf_name(node) is None}


def node_call(node: Node, names: Mapping[Node, str]) -> str:
    """``%0 = conv2d(%x, $kernel)``, or the name of what has no such line; no bodies."""
    name = names[node]
    return name if _leaf_name(node) else f"{name} = {_call(node, names, elide=True)}"


def node_lines(node: Node, names: Mapping[Node, str]) -> list[str]:
    """The lines of one node with those of its bodies, large constants left out."""
    return [line.removeprefix("  ") for line in _aligned(_node_rows(node, names, elide=True))]


def body_names(node: Node, body: GraphLike, names: Mapping[Node, str]) -> dict[Node, str]:
    """As ``node_names``, in a body of ``node`` within a graph that has these names."""
    inner = node_names(body, f"{names[node].removeprefix('%')}.")
    if borrows_names(node, body):
        inner |= {b: names[a] for a, b in zip(node.inputs, body.inputs, strict=True)}
    return inner


def _leaf_name(node: Node) -> str | None:
    """How a node is called that has no line of its own, else None."""
    if node.op.name == "input":
        return f"%{_quoted(node.attrs['name'], PLAIN_NAME)}"
    if node.op.name == "parameter":
        return f"${_quoted(node.attrs['name'], PLAIN_NAME)}"
    if node.op.name == "constant" and not node.shape:
        return _typed_scalar(node.attrs["value"].array)
    return None


def _quoted(text: str, plain: re.Pattern[str]) -> str:
    return text if plain.fullmatch(text) else json.dumps(text, ensure_ascii=False)


@dataclass(frozen=True)
class _Line:
    """One line in three columns: what is computed, its type, where it comes from."""

    text: str
    type: str = ""
    comment: str = ""


def _graph_lines(graph: GraphLike, elide: bool) -> Iterator[str]:
    names = node_names(graph)
    yield from _signature(graph)
    parameters = [node for node in graph.nodes if node.op.name == "parameter"]
    if parameters:
        yield from _aligned([_row(names[node], node) for node in parameters])
        yield ""
    yield from _block(graph, names, elide)
    yield "}"


def _row(text: str, node: Node) -> _Line:
    return _Line(text, str(node.type), format_origins(node.origins))


def _signature(graph: GraphLike) -> Iterator[str]:
    arguments = [f"{_leaf_name(node)}: {node.type}" for node in graph.inputs]
    comments = [format_origins(node.origins) for node in graph.inputs]
    head = f"graph {_quoted(graph.name, PLAIN_NAME)}("
    tail = f") -> {_result_types(graph)} {{"
    line = f"{head}{', '.join(arguments)}{tail}"
    if len(arguments) < 2 or (len(line) <= LINE and not any(comments)):
        yield _with_comment(line, "".join(comments))
        return
    yield head
    for argument, comment in zip(arguments, comments, strict=True):
        yield _with_comment(f"  {argument},", comment)
    yield tail


def _with_comment(text: str, comment: str) -> str:
    return f"{text}   # {comment}" if comment else text


def _result_types(graph: GraphLike) -> str:
    types = [str(node.type) for node in graph.returned]
    return types[0] if len(types) == 1 else f"({', '.join(types)})"


def _block(graph: GraphLike, names: Mapping[Node, str], elide: bool) -> list[str]:
    """The lines between the braces: nodes, regions with their bodies, updates, ``return``."""
    rows: list[_Line | str] = []
    for node in graph.nodes:
        if _leaf_name(node) is None:
            rows += _node_rows(node, names, elide)
    for parameter, value in graph.next_values.items():
        rows.append(_Line(f"update {names[parameter]} = {names[value]}"))
    rows.append(_Line(f"return {', '.join(names[node] for node in graph.returned)}".rstrip()))
    return _aligned(rows)


def _aligned(rows: Sequence[_Line | str]) -> list[str]:
    """``rows`` indented, their columns lined up; strings are lines of a nested block."""
    typed = [row for row in rows if isinstance(row, _Line) and row.type and len(row.text) <= WIDE]
    width = max((len(row.text) for row in typed), default=0)
    type_width = max((len(row.type) for row in typed if row.comment), default=0)
    return [f"  {_columns(row, width, type_width)}" for row in rows]


def _columns(row: _Line | str, width: int, type_width: int) -> str:
    if isinstance(row, str):
        return row
    if not row.type:
        return row.text
    text = f"{row.text:<{width}} : {row.type}"
    if not row.comment:
        return text
    return f"{text:<{width + 3 + type_width}}   # {row.comment}"


def _node_rows(node: Node, names: Mapping[Node, str], elide: bool) -> list[_Line | str]:
    bodies = [(key, value) for key, value in node.attributes if isinstance(value, GraphLike)]
    text = f"{names[node]} = {_call(node, names, elide)}"
    rows: list[_Line | str] = []
    for key, body in bodies:
        head = text if key == "body" else f"{text} {key}"
        rows += _body_rows(head, node, body, names, elide)
        text = "}"
    return [*rows, _row(text, node)]


def _body_rows(
    head: str, node: Node, body: GraphLike, names: Mapping[Node, str], elide: bool
) -> list[_Line | str]:
    inner = body_names(node, body, names)
    if borrows_names(node, body):
        return [_Line(f"{head} {{"), *_block(body, inner, elide)]
    inputs = [f"{inner[node]}: {node.type}" for node in body.inputs]
    line = f"{head} {{ ({', '.join(inputs)})"
    if len(line) <= LINE:
        return [_Line(line), *_block(body, inner, elide)]
    return [_Line(f"{head} {{"), *_wrapped(inputs), *_block(body, inner, elide)]


def _wrapped(inputs: Sequence[str]) -> list[str]:
    """``(%a: f32[2], %b: f32[3])`` in lines of bearable length."""
    lines = ["  ("]
    for index, text in enumerate(inputs):
        piece = text + (")" if index == len(inputs) - 1 else ",")
        if len(lines[-1]) + len(piece) > LINE and lines[-1].strip() != "(":
            lines.append("   ")
        lines[-1] += piece if lines[-1].endswith(("(", "   ")) else f" {piece}"
    return lines


def borrows_names(node: Node, body: GraphLike) -> bool:
    """Whether the inputs of ``body`` can go by the names of the operands of ``node``.

    So it is where they stand one for one, as ``fuse_nodes`` makes them; otherwise, as in a loop,
    the body lists its own inputs.
    """
    operands = node.inputs
    return (
        len(set(operands)) == len(body.inputs) == len(operands)
        and not any(operand.op.name == "constant" and not operand.shape for operand in operands)
        and all(
            inner.type == outer.type and inner.attrs["name"] == f"a{index}" and not inner.origins
            for index, (inner, outer) in enumerate(zip(body.inputs, operands, strict=True))
        )
    )


def _call(node: Node, names: Mapping[Node, str], elide: bool) -> str:
    if node.op.name == "constant":
        return f"constant({format_data(node.attrs['value'].array, elide)})"
    label = node.attrs.get("label", "")
    bare = isinstance(label, str) and bool(PLAIN_LABEL.fullmatch(label))
    shown = [
        f"{key}={format_value(value)}"
        for key, value in node.attributes
        if not isinstance(value, GraphLike)
        and not (key == "label" and bare)
        and exact(value) != exact(node.op.attrs[key])
    ]
    head = f"{node.op.name} {label}" if bare else node.op.name
    return f"{head}({', '.join([*(names[operand] for operand in node.inputs), *shown])})"


def format_value(value: Any) -> str:
    """An attribute as IR text; raises ``IRError`` for a kind of value that has none."""
    if isinstance(value, (bool, int, float, DType, TensorType, Dim, type(None))):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple):
        return f"({', '.join(map(format_value, value))}{',' * (len(value) == 1)})"
    if isinstance(value, Literal):
        type_ = TensorType(dtype_of(value.array.dtype), value.array.shape)
        return f"{type_}({format_data(value.array)})"
    raise IRError(f"an attribute of type {type(value).__name__} has no text: {value!r}")


def format_data(array: np.ndarray, elide: bool = False) -> str:
    """The elements of ``array``: nested lists, or a string of compressed bytes where it is large.

    Every bit comes back, the sign of zero and the payload of a NaN included.
    """
    if array.size <= LIST_LIMIT:
        texts = [_scalar(element) for element in array.reshape(-1)]
        if None not in texts:
            return _nested(array.shape, iter(texts))
    if elide:
        return "..."
    packed = zlib.compress(np.ascontiguousarray(array).tobytes(), 9)
    return f'"{base64.b64encode(packed).decode()}"'


def _nested(shape: tuple[int, ...], texts: Iterator[str | None]) -> str:
    if not shape:
        return next(texts) or ""
    return f"[{', '.join(_nested(shape[1:], texts) for _ in range(shape[0]))}]"


def _scalar(value: Any) -> str | None:
    """The shortest text that gives ``value`` back bit for bit; None for a NaN with a payload."""
    if not dtype_of(value.dtype).is_float:
        return str(value)
    for text in sorted((str(value), repr(float(value))), key=len):
        if value.dtype.type(float(text)).tobytes() == value.tobytes():
            return text
    return None


def _typed_scalar(array: np.ndarray) -> str | None:
    """``1.5`` is f32, ``2`` is i32; others say their dtype: ``f64(1.5)``."""
    text = _scalar(array[()])
    if text is None:
        return None
    dtype = dtype_of(array.dtype)
    return text if dtype in DEFAULT_DTYPES else f"{dtype}({text})"

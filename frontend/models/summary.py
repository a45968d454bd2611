"""``model.summary()``: the table of layers, as Keras prints it."""

from __future__ import annotations

import re
import shutil
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from .. import tree
from ..errors import UsageError
from ..history import CallNode, Operation
from ..layers.base import Layer
from ..variable import Variable
from ..weights import Weighted
from .model import Model
from .sequential import Sequential

Sizes: TypeAlias = dict[int, int]  # of weights, by their ids
UNITS = ("B", "KB", "MB", "GB", "TB")


def print_summary(
    model: Model,
    line_length: int | None,
    positions: list[float] | None,
    print_fn: Callable[[str], Any] | None,
    expand_nested: bool,
    show_trainable: bool,
    layer_range: Any,
) -> None:
    """Prints to the console, or hands the text to ``print_fn``."""
    chain = _is_chain(model)
    headers = ["Layer (type)", "Output Shape", "Param #"]
    places = [0.45, 0.80, 1.0] if chain else [0.3, 0.56, 0.74, 1.0]
    width = 88 if chain else 108
    if not chain:
        headers.append("Connected to")
    places = list(positions or places)
    if show_trainable:
        headers.append("Trainable")
        places = [place * 0.9 for place in places] + [1.0]
        width += 12
    if len(places) != len(headers):
        raise UsageError(
            f"summary: expected {len(headers)} positions, one a column; received {len(places)}"
        )
    width = line_length or min(width, shutil.get_terminal_size().columns - 4)
    sizes = _sizes_within(model)
    rows = [
        _row(model, inner, depth, chain, show_trainable, sizes)
        for operation in _selected(model.operations, layer_range)
        for inner, depth in _shown(operation, expand_nested)
    ]
    _show(model, _table(headers, _column_widths(places, width), width, rows), print_fn)


def _is_chain(model: Model) -> bool:
    """Whether each layer is called once, on the result of the one before."""
    if isinstance(model, Sequential) or model.network is None:
        return True
    nodes = model.network.nodes
    operations = [node.operation for node in nodes]
    read = [id(tensor) for node in nodes for tensor in node.input_tensors]
    several = any(len(node.input_tensors) > 1 for node in nodes)
    return not several and len(set(operations)) == len(nodes) and len(set(read)) == len(read)


def _selected(operations: list[Operation], layer_range: Any) -> list[Operation]:
    if layer_range is None:
        return operations
    if len(layer_range) != 2 or not all(isinstance(name, str) for name in layer_range):
        raise UsageError(f"summary: expected layer_range as two names; received {layer_range!r}")
    places = [
        [i for i, operation in enumerate(operations) if re.match(pattern, operation.name)]
        for pattern in layer_range
    ]
    if not all(places):
        raise UsageError(f"summary: no layers are called as layer_range says: {layer_range!r}")
    ends = [min(places[0]), max(places[1])]
    if ends[0] > max(places[1]):
        ends = [min(places[1]), max(places[0])]
    return operations[ends[0] : ends[1] + 1]


def _column_widths(places: Iterable[float], width: int) -> list[int]:
    widths: list[int] = []
    for place in places:
        widths.append(int(place * width) - sum(widths))
    if min(widths) < 4:
        raise UsageError(f"summary: expected a line_length of 40 or more; received {width}")
    return widths


def _table(headers: list[str], widths: list[int], width: int, rows: list[list[str]]) -> Table:
    columns = [
        Column(
            header,
            justify={"Param #": "right", "Trainable": "center"}.get(header, "left"),  # type: ignore[arg-type]
            width=size,
        )
        for header, size in zip(headers, widths, strict=True)
    ]
    table = Table(*columns, width=width, show_lines=True)
    for row in rows:
        table.add_row(*row)
    return table


def _shown(operation: Operation, nested: bool) -> Iterator[tuple[Operation, int]]:
    """An operation and, if ``nested``, those within models within; each with how deep it lies."""
    stack = [(operation, 0)]
    while stack:
        current, depth = stack.pop()
        yield current, depth
        if nested and isinstance(current, Model):
            stack.extend((inner, depth + 1) for inner in reversed(current.layers))


def _sizes_within(model: Model) -> dict[int, Sizes]:
    """Of the model and each layer within, the sizes of its weights: each layer is walked once."""
    found: dict[int, Sizes] = {}
    begun: set[int] = set()
    stack: list[Weighted] = [model]
    while stack:
        layer, inner = stack[-1], stack[-1].sublayers
        if id(layer) not in begun:
            begun.add(id(layer))
            stack.extend(each for each in inner if id(each) not in begun)
            continue
        own = {id(weight): weight.size for weight in layer.own_variables}
        parts = [part for part in (own, *(found.get(id(each), {}) for each in inner)) if part]
        # A model around a model often has no weights but those: then it takes their table over.
        found[id(layer)] = parts[0] if len(parts) == 1 else dict(ChainMap(*parts))
        stack.pop()
    return found


def _row(
    model: Model,
    operation: Operation,
    depth: int,
    chain: bool,
    trainable: bool,
    sizes: Mapping[int, Sizes],
) -> list[str]:
    prefix = "   " * depth + "└ " if depth else ""
    row = [
        f"{escape(prefix + operation.name)} ([color(33)]{escape(operation.class_name)}[/])",
        _output_shape(operation),
        _parameters(operation, sizes),
    ]
    if not chain:
        row.append(_connections(model, operation))
    if trainable:
        row.append(_trainable_mark(operation, sizes))
    return row


def _colored(value: Any, color: int = 34) -> str:
    return f"[color({45 if value is None else color})]{value}[/]"


def _output_shape(operation: Operation) -> str:
    outputs = _outputs(operation)
    shapes = [tensor.shape for tensor in tree.flatten(outputs) if tensor is not None]
    if not shapes:
        return "?"
    texts = [f"({', '.join(_colored(size) for size in shape)})" for shape in shapes]
    if len(texts) == 1:
        return texts[0]
    return str(tree.pack_as(outputs, texts)).replace("'", "")


def _outputs(operation: Operation) -> Any:
    """The last symbolic results; of a layer of a subclassed model, those of its first call."""
    if operation.inbound_nodes:
        return operation.inbound_nodes[-1].outputs
    return getattr(operation, "first_outputs", None)


def _parameters(operation: Operation, sizes: Mapping[int, Sizes]) -> str:
    if not isinstance(operation, Layer):
        return _colored(0)
    if not operation.built:
        return f"{_colored(0)} (unbuilt)"
    return _colored(f"{sum(sizes.get(id(operation), {}).values()):,}")


def _connections(model: Model, operation: Operation) -> str:
    assert model.network is not None
    ours: set[CallNode] = set(model.network.nodes)
    sources = []
    for node in operation.inbound_nodes:
        if node not in ours:
            continue
        for tensor in node.input_tensors:
            if tensor.history is not None:
                maker, call, place = tensor.history
                sources.append(f"{escape(maker.name)}[{_colored(call)}][{_colored(place)}]")
    return ", ".join(sources) or "-"


def _trainable_mark(operation: Operation, sizes: Mapping[int, Sizes]) -> str:
    if not isinstance(operation, Layer) or not sizes.get(id(operation)):
        return "[bold]-[/]"
    if operation.trainable:
        return "[bold][color(34)]Y[/][/]"
    return "[bold][color(9)]N[/][/]"


def _show(model: Model, table: Table, print_fn: Callable[[str], Any] | None) -> None:
    plain = print_fn is not None
    console = Console(
        highlight=False,
        force_terminal=False if plain else None,
        color_system=None if plain else "auto",
    )
    if print_fn is None:
        _print_all(console, model, table)
        return
    with console.capture() as captured:
        _print_all(console, model, table)
    print_fn(captured.get())


def _print_all(console: Console, model: Model, table: Table) -> None:
    console.print(f'[bold]Model: "{escape(model.name)}"[/]')
    console.print(table)
    learned, fixed = model.trainable_weights, model.non_trainable_weights
    kept = _optimizer_state(model)
    groups = {
        "Total": [*learned, *fixed, *kept],
        "Trainable": learned,
        "Non-trainable": fixed,
        "Optimizer": kept,
    }
    for label, weights in groups.items():
        if label == "Optimizer" and not kept:
            continue
        count = sum(weight.size for weight in weights)
        console.print(f"[bold] {label} params: [/]{_colored(f'{count:,}')} ({_memory(weights)})")


def _optimizer_state(model: Model) -> list[Variable]:
    """What the optimizer keeps; nothing before the first step."""
    built = model.compiled and model.optimizer.built
    return list(model.optimizer.variables) if built else []


def _memory(weights: list[Variable]) -> str:
    size = float(sum(weight.nbytes for weight in weights))
    for unit in UNITS[:-1]:
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} {UNITS[-1]}"

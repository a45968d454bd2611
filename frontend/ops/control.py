"""Choices and loops that depend on data: cond, switch, while_loop.

A compiled program runs the same kernels at each call: it computes every branch, and keeps what the
condition says. Branches are pure functions, so that nothing else can tell the difference. Only the
branch that is chosen runs on arrays, and in steps that run eagerly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ...compiler.ir.graph import Node
from ...runtime.dim import Dim
from .. import tree
from ..accepted import Function, Functions, is_int
from ..dtypes import canonical_array
from ..errors import UsageError, of_users, shown
from ..scope import EagerScope, active_scope, entered
from ..tensor import KerasTensor
from ..variable import Variable
from .carried import Carried, changing_nothing, kind_of, nodes_of, packed
from .core import BOOL, as_node, cast_node, ir, operation
from .elementwise import convert_to_tensor
from .loops import looped


@operation
def cond(pred: Any, true_fn: Function, false_fn: Function) -> Any:
    """``true_fn()`` where the scalar ``pred`` holds, else ``false_fn()``; tensors, nested alike.

    In a compiled program both are computed, so the gradient of the one not taken counts as zeros:
    where that is infinite or NaN they become NaN.

    Raises:
        ValueError: ``pred`` is no scalar; the results differ in nesting, shapes or types.
    """
    return _chosen(
        "cond",
        _flag("cond", pred),
        tuple(partial(of_users, each, "cond") for each in (false_fn, true_fn)),
    )


@operation
def switch(index: Any, branches: Functions, *operands: Any) -> Any:
    """``branches[index](*operands)``; an ``index`` beyond the branches is the first or last.

    All are computed in a compiled program, as of ``cond``, with the same errors.
    """
    number = _scalar("switch", "index", index)
    if not number.dtype.name.startswith(("int", "uint")):
        raise UsageError(f"switch: expected index as an int; received {shown(index)}")
    functions = [partial(of_users, branch, "switch", *operands) for branch in branches]
    return _chosen("switch", number, functions)


def _flag(name: str, pred: Any) -> Any:
    """0 or 1: a number if it is known by now, else a node."""
    found = _scalar(name, "pred", pred)
    if not isinstance(found, Node):
        return int(bool(found))
    return cast_node(found, BOOL)


def _scalar(name: str, what: str, value: Any) -> Any:
    known = _value_of(value)
    found = as_node(value) if known is None else canonical_array(known)
    _check_scalar(name, what, found.shape)
    return found


def _check_scalar(name: str, what: str, shape: Any) -> None:
    if shape != ():
        raise UsageError(f"{name}: expected {what} as a scalar; received shape {shape}")


def _value_of(value: Any) -> Any:
    """The array behind a value, None if there is none yet."""
    scope = active_scope()
    if isinstance(value, KerasTensor):
        return value.numpy() if value.values is not None else None
    if isinstance(value, Variable):
        return value.numpy() if isinstance(scope, EagerScope) or scope.has_values else None
    return value


def _chosen(name: str, number: Any, functions: Sequence[Callable[[], Any]]) -> Any:
    """The result of the function of a number: of those alone, or of all, chosen by the data."""
    if not isinstance(number, Node):
        made = functions[min(max(int(number), 0), len(functions) - 1)]()
        return packed(made, nodes_of(made))
    with changing_nothing(name):
        results = [function() for function in functions]
    nodes = [nodes_of(result) for result in results]
    types = [[node.type for node in each] for each in nodes]
    for result, kinds in zip(results, types, strict=True):
        if kind_of(result) != kind_of(results[0]) or kinds != types[0]:
            listed = "; ".join(", ".join(map(str, kinds)) or "nothing" for kinds in types)
            raise UsageError(
                f"{name}: expected functions whose results are nested alike, of one shape and type "
                f"each; received {listed}"
            )
    return packed(results[0], [_select(number, each) for each in zip(*nodes, strict=True)])


def _select(number: Node, values: Sequence[Node]) -> Node:
    """``values[number]``, of those next to it the nearest."""
    found = values[0]
    for index, value in enumerate(values[1:], 1):
        reached = number
        if number.dtype is not BOOL:
            least = cast_node(ir.constant(index), number.dtype)
            reached = ir.greater_equal(number, least)
        found = ir.select(ir.broadcast_to(reached, shape=value.shape), value, found)
    return found


@operation
def while_loop(
    cond: Function, body: Function, loop_vars: Any, maximum_iterations: Any = None
) -> Any:
    """``body`` of the variables again and again, as long as ``cond`` of them holds.

    A compiled program takes ``maximum_iterations`` steps, which it has to be told; those after the
    last change nothing. So there is a gradient. On arrays it ends when ``cond`` says so.

    Args:
        cond: a function of the variables, of a list or tuple one argument each; gives a scalar.
        body: the same; gives on variables of the same nesting, shapes and types.
        loop_vars: tensors, nested. Python numbers take the type that ``body`` gives.
        maximum_iterations: how many steps there are at most.
    """
    most = maximum_iterations
    if most is not None and not (is_int(most) and (isinstance(most, Dim) or most >= 0)):
        raise UsageError(
            "while_loop: expected maximum_iterations as an int from 0, or None; received "
            f"{shown(most)}"
        )
    spread = isinstance(loop_vars, (list, tuple))
    carried = Carried.of(loop_vars)

    def call(function: Function, variables: Any) -> Any:
        return of_users(function, "while_loop", *(variables if spread else (variables,)))

    def step(variables: Any) -> Any:
        given = call(body, variables)
        if not spread:
            return given
        listed = given if isinstance(given, (list, tuple)) else (given,)
        return type(loop_vars)(listed) if type(loop_vars) in (list, tuple) else given

    scope = active_scope()
    if isinstance(scope, EagerScope):
        with entered(None):
            begun = tree.map_structure(_array, loop_vars)
            ended = _run(lambda v: call(cond, v), step, begun, most)
        return packed(ended, carried.check("while_loop", ended))
    if scope.has_values:
        begun = packed(loop_vars, carried.nodes)
        return _run(lambda v: call(cond, v), step, begun, most)
    if most is None:
        raise UsageError(
            "while_loop: expected maximum_iterations, as a compiled program takes so many steps; "
            "received None. fori_loop and scan take as many steps as there are"
        )

    def masked(variables: Any, _: Any) -> Any:
        goes_on = _flag("while_loop", call(cond, variables))
        new = carried.check("while_loop", step(variables))
        pairs = zip(nodes_of(variables), new, strict=True)
        kept = [_select_of(goes_on, cast_node(a, b.dtype), b) for a, b in pairs]
        return packed(loop_vars, kept), None

    return looped("while_loop", masked, carried, (None, ()), most)[0]


def _select_of(goes_on: Any, old: Node, new: Node) -> Node:
    if isinstance(goes_on, Node):
        return _select(goes_on, (old, new))
    return new if goes_on else old


def _array(value: Any) -> Any:
    return None if value is None else convert_to_tensor(value)


def _run(cond: Any, step: Any, variables: Any, most: int | None) -> Any:
    """The loop in Python, of variables that have values."""

    def holds(pred: Any) -> bool:
        _check_scalar("while_loop", "pred", getattr(pred, "shape", ()))
        return bool(pred)

    done = 0
    while (most is None or done < most) and holds(cond(variables)):
        variables = step(variables)
        done += 1
    return variables

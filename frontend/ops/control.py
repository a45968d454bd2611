"""Choices and loops that depend on data: cond, switch, while_loop.

Only the branch that is chosen runs, on arrays as in compiled programs. Branches and steps are pure
functions: they are traced once, whether they run or not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ...compiler.ir.graph import Node, nodes_apart
from ...compiler.ir.types import TensorType
from ...compiler.ops.cond import close_cond
from ...compiler.ops.core import constant, input_
from ...compiler.ops.stepping import ScanStep, close_while, items_of
from ...runtime.dim import Dim
from .. import tree
from ..accepted import Function, Functions, is_int
from ..dtypes import canonical_array
from ..errors import UsageError, of_users, shown
from ..scope import EagerScope, active_scope, entered
from ..tensor import KerasTensor
from ..variable import Variable
from .carried import Carried, Nodes, changing_nothing, kind_of, nodes_of, packed
from .core import BOOL, as_node, cast_node, ir, operation
from .elementwise import convert_to_tensor
from .loops import looped

_FLAG = TensorType(BOOL, ())


@operation
def cond(pred: Any, true_fn: Function, false_fn: Function) -> Any:
    """``true_fn()`` where the scalar ``pred`` holds, else ``false_fn()``; tensors, nested alike.

    One of them alone is computed, and its gradient alone flows back.

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

    One of them alone is computed, as of ``cond``, with the same errors.
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
        scope = active_scope()
        on_arrays = isinstance(scope, EagerScope) and not scope.bodies
        with entered(None if on_arrays else scope):
            made = functions[min(max(int(number), 0), len(functions) - 1)]()
        return packed(made, nodes_of(made))
    branches = []
    for function in functions:
        with changing_nothing(name), nodes_apart() as made:
            result = function()
            nodes = nodes_of(result)
        branches.append((result, _Branch(nodes, frozenset(made.values()))))
    _check_alike(name, branches)
    if not branches[0][1].nodes:
        return branches[0][0]
    return packed(branches[0][0], _nearest(number, [each for _, each in branches], 0).nodes)


@dataclass(frozen=True)
class _Branch:
    """The results of a branch, and the nodes that only it has."""

    nodes: Nodes
    inside: Collection[Node]


def _check_alike(name: str, branches: Sequence[tuple[Any, _Branch]]) -> None:
    first, types = branches[0][0], [[n.type for n in branch.nodes] for _, branch in branches]
    for (result, _), kinds in zip(branches, types, strict=True):
        if kind_of(result) != kind_of(first) or kinds != types[0]:
            listed = "; ".join(", ".join(map(str, kinds)) or "nothing" for kinds in types)
            raise UsageError(
                f"{name}: expected functions whose results are nested alike, of one shape and type "
                f"each; received {listed}"
            )


def _nearest(number: Node, branches: Sequence[_Branch], first: int) -> _Branch:
    """``branches[number - first]``, of those next to it the nearest: one half or the other."""
    if len(branches) == 1:
        return branches[0]
    half = len(branches) // 2
    upper = number
    if number.dtype is not BOOL:
        upper = ir.greater_equal(number, constant(first + half, number.dtype))
    with nodes_apart() as made:
        low = _nearest(number, branches[:half], first)
        high = _nearest(number, branches[half:], first + half)
    inside = frozenset((*low.inside, *high.inside, *made.values()))
    return _Branch(items_of(close_cond(upper, high.nodes, low.nodes, inside)), inside)


@operation
def while_loop(
    cond: Function, body: Function, loop_vars: Any, maximum_iterations: Any = None
) -> Any:
    """``body`` of the variables again and again, as long as ``cond`` of them holds.

    With ``maximum_iterations`` a compiled program takes so many steps, of which those after the
    last change nothing: so there is a gradient. Without, it ends when ``cond`` says so, as it does
    on arrays, and has none.

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
    if isinstance(scope, EagerScope) and not scope.bodies:
        with entered(None):
            begun = tree.map_structure(_array, loop_vars)
            ended = _run(lambda v: call(cond, v), step, begun, most)
        return packed(ended, carried.check("while_loop", ended))
    if scope.has_values and not scope.bodies:
        begun = packed(loop_vars, carried.nodes)
        return _run(lambda v: call(cond, v), step, begun, most)
    if most is None:
        return _endless(partial(call, cond), step, carried)

    def masked(variables: Any, _: Any) -> Any:
        goes_on = _flag("while_loop", call(cond, variables))
        new = carried.check("while_loop", step(variables))
        pairs = zip(nodes_of(variables), new, strict=True)
        kept = [_select_of(goes_on, cast_node(a, b.dtype), b) for a, b in pairs]
        return packed(loop_vars, kept), None

    return looped("while_loop", masked, carried, (None, ()), most)[0]


def _endless(cond: Callable[[Any], Any], step: Callable[[Any], Any], carried: Carried) -> Any:
    """The variables after a loop of the graph that ends when ``cond`` of them does not hold."""
    begins = _flag("while_loop", cond(packed(carried.structure, carried.nodes)))
    state = carried.inputs()
    with changing_nothing("while_loop"):
        new = step(packed(carried.structure, state))
        nodes = carried.check("while_loop", new)
        settled = carried.like(nodes)
        if settled.nodes != carried.nodes:
            return _endless(cond, step, settled)
        goes_on = _flag("while_loop", cond(packed(carried.structure, nodes)))
    if not begins:
        return packed(carried.structure, carried.nodes)
    if goes_on == 1:
        raise UsageError(
            "while_loop: expected cond to depend on the variables, as the loop would never end; "
            "it always holds"
        )
    asked = input_("goes_on", _FLAG)
    step_ = ScanStep((asked, *state), (), (_as_flag(goes_on), *nodes), ())
    return packed(
        carried.structure, items_of(close_while(step_, _as_flag(begins), carried.nodes))[1:]
    )


def _as_flag(value: Node | int) -> Node:
    return value if isinstance(value, Node) else constant(bool(value))


def _select_of(goes_on: Any, old: Node, new: Node) -> Node:
    if isinstance(goes_on, Node):
        return ir.select(ir.broadcast_to(goes_on, shape=new.shape), new, old)
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

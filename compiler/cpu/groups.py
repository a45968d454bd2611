"""Which groups around a heavy op the kernels of CPUs compute, and which are worth it."""

from __future__ import annotations

from ..decisions import Refusal
from ..engine import engines_for
from ..ir.graph import Graph, Node
from ..ir.kinds import Contraction
from ..ir.types import product
from ..loops.epilogues import anchors_of, match_epilogue
from ..loops.gates import gates_of
from ..loops.problems import known
from .blocking import BlockEngine


def group_refusal(body: Graph, engines: tuple[BlockEngine, ...]) -> Refusal | None:
    """Why no kernel is made for ``body``, a code and words; None where one is."""
    anchor, *others = anchors_of(body)
    if others:
        return "TWO_ANCHORS", f"no kernel holds {anchor.op.name} and {others[0].op.name} at once"
    gates = gates_of(body, anchor)
    if gates is None:
        return "UNEQUAL_GATES", "slices of its channels differ in width"
    matched = match_epilogue(body, anchor)
    if matched is None:
        return "OPERAND_SHAPE", "an operand is neither one value, one a channel nor one an element"
    return None if matched.is_single else _several_refusal(anchor, gates, engines)


def _several_refusal(anchor: Node, gates: int, engines: tuple[BlockEngine, ...]) -> Refusal | None:
    """Why a kernel cannot have several accumulators an element, or several results."""
    kind, name = anchor.op.kind, anchor.op.name
    kind = kind.form if isinstance(kind, Contraction) else ""
    able = engines_for(kind, anchor.inputs[0].dtype, engines)
    if not able or kind == "winograd_conv2d":
        return "ONE_RESULT", f"the kernel of {name} makes one result of one accumulator"
    if gates == 1:
        return None
    if anchor.attrs.get("groups", 1) > 1:
        return "GROUPS", "the slices of its channels are no groups of it"
    channels, depth = known(anchor.shape[-1]), _depth(anchor)
    refusals = [engine.gates_refusal(channels, depth, gates) for engine in able]
    return None if None in refusals else refusals[0]


def _depth(anchor: Node) -> int:
    """Products of a sum of the anchor."""
    weights = anchor.inputs[1].shape
    return known(weights[-2] if anchor.op.name != "conv2d" else product(weights[:-1]))

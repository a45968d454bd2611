"""Which groups around a heavy op the kernels of CPUs compute, and which are worth it."""

from __future__ import annotations

from ..decisions import Refusal
from ..engine import engines_for
from ..ir.graph import Graph, Node
from ..ir.kinds import Contraction
from ..ir.types import product
from ..loops.epilogues import MatchedEpilogue, anchors_of
from ..loops.problems import known
from ..loops.refusals import matched_or_refused
from .blocking import BlockEngine


def group_refusal(body: Graph, engines: tuple[BlockEngine, ...]) -> Refusal | None:
    """Why no kernel is made for ``body``, a code and words; None where one is."""
    matched = matched_or_refused(body)
    if not isinstance(matched, MatchedEpilogue):
        return matched
    if matched.is_single:
        return None
    return _several_refusal(anchors_of(body)[0], matched.gates, engines)


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

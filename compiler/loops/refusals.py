"""Why kernels around a heavy op cannot take a group, whatever the machine."""

from __future__ import annotations

from ..decisions import Refusal
from ..ir.graph import Graph
from .epilogues import MatchedEpilogue, anchors_of, match_epilogue
from .gates import gates_of


def matched_or_refused(body: Graph) -> MatchedEpilogue | Refusal:
    """What follows the heavy op of ``body``; or why no kernel computes that, a code and words."""
    anchor, *others = anchors_of(body)
    if others:
        return "TWO_ANCHORS", f"no kernel holds {anchor.op.name} and {others[0].op.name} at once"
    if gates_of(body, anchor) is None:
        return "UNEQUAL_GATES", "slices of its channels differ in width"
    matched = match_epilogue(body, anchor)
    if matched is None:
        return "OPERAND_SHAPE", "an operand is neither one value, one a channel nor one an element"
    return matched

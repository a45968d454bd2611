"""Which groups around a heavy op the kernels of GPUs compute."""

from __future__ import annotations

from ..decisions import Refusal
from ..ir.graph import Graph
from ..loops.epilogues import MatchedEpilogue, anchors_of
from ..loops.refusals import matched_or_refused


def group_refusal(body: Graph) -> Refusal | None:
    """Why no kernel is made for ``body``, a code and words; None where one is."""
    matched = matched_or_refused(body)
    if not isinstance(matched, MatchedEpilogue):
        return matched
    if matched.is_single:
        return None
    name = anchors_of(body)[0].op.name
    return "ONE_RESULT", f"the kernel of {name} makes one result of one accumulator"

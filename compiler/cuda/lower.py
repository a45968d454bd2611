"""From a group of ops to launches on GPUs: the templates in turn, the general one last."""

from __future__ import annotations

from ..ir.graph import Graph, IRError
from ..ir.kinds import Concatenation, Interleaving, KernelGradient, ScatterAdd
from ..loops.concatenate import build_concatenate, build_interleave
from ..loops.layout import Launch, Placed
from ..loops.nest import build_nest
from ..scheduling.lower import describe, kernel_name
from .grids import on_grid
from .templates.contract import build_contract, build_kernel_gradient, match_kernel_gradient
from .templates.scatter import build_scatter
from .templates.window import (
    build_depthwise_kernel_gradient,
    build_pooling_gradient,
    build_window,
)

HEAVY = (build_contract, build_window, build_pooling_gradient)
KERNEL_GRADIENTS = {
    "conv2d": build_kernel_gradient,
    "depthwise_conv2d": build_depthwise_kernel_gradient,
}


def lower_group(
    body: Graph, operands: tuple[Placed, ...], results: tuple[Placed, ...]
) -> tuple[Launch, ...]:
    """The launches that compute ``body``; raises ``IRError`` if no template takes it."""
    kind, name = body.outputs[0].op.kind, kernel_name(body)
    if isinstance(kind, Concatenation):
        return tuple(map(on_grid, build_concatenate(body, operands, results)))
    if isinstance(kind, Interleaving):
        return tuple(map(on_grid, build_interleave(body, operands, results)))
    if isinstance(kind, ScatterAdd):
        return (build_scatter(body, operands, results, name),)
    if isinstance(kind, KernelGradient) and kind.form in KERNEL_GRADIENTS:
        group = match_kernel_gradient(body, operands, results)
        return (KERNEL_GRADIENTS[kind.form](group, name),)
    heavy = (build(body, operands, results, name) for build in HEAVY)
    launch = next((launch for launch in heavy if launch is not None), None)
    if launch is not None:
        return (launch,)
    nest = build_nest(body, operands, results, name)
    if nest is None:
        raise IRError(f"no kernel computes {describe(body)}")
    return (on_grid(nest),)

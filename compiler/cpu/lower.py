"""From a group of ops to launches on CPUs: the templates in turn, the general one last."""

from __future__ import annotations

from ...runtime.cpu.host import Host
from ..ir.graph import Graph, IRError
from ..ir.kinds import Concatenation, Interleaving, KernelGradient, ScatterAdd
from ..loops.concatenate import build_concatenate, build_interleave
from ..loops.layout import Launch, Layout, Placed
from ..loops.nest import build_nest
from ..scheduling.lower import describe, kernel_name
from .templates.border import build_border
from .templates.contract import build_contract, build_kernel_gradient
from .templates.scatter import build_scatter
from .templates.slide import build_slide
from .templates.turn import build_turn
from .templates.unpool import build_unpool
from .templates.window_sum import build_window_sum
from .templates.winograd import build_winograd
from .templates.winograd_kernel import build_winograd_kernel
from .templates.winograd_sum import build_winograd_sum

# Tried in turn; the nest takes all that is no heavy op.
TEMPLATES = (
    build_contract,
    build_winograd,
    build_winograd_kernel,
    build_slide,
    build_unpool,
    build_turn,
)

KERNEL_GRADIENTS = {
    "conv2d": build_kernel_gradient,
    "depthwise_conv2d": build_window_sum,
    "winograd_conv2d": build_winograd_sum,
}


def lower_group(
    body: Graph, operands: tuple[Placed, ...], results: tuple[Placed, ...], machine: Host
) -> tuple[Launch, ...]:
    """The launches that compute ``body``; raises ``IRError`` if no template takes it."""
    borders = tuple(
        build_border(layout, len(operands) + i)
        for i, layout in enumerate(results)
        if isinstance(layout, Layout) and layout.has_border
    )
    return (*borders, *_compute(body, operands, results, machine))


def _compute(
    body: Graph, operands: tuple[Placed, ...], results: tuple[Placed, ...], machine: Host
) -> tuple[Launch, ...]:
    if isinstance(body.outputs[0].op.lowering, Concatenation):
        return build_concatenate(body, operands, results)
    if isinstance(body.outputs[0].op.lowering, Interleaving):
        return build_interleave(body, operands, results)
    name = kernel_name(body)
    facet = body.outputs[0].op.lowering
    if isinstance(facet, KernelGradient):
        return KERNEL_GRADIENTS[facet.kind](body, operands, results, name, machine)
    if isinstance(facet, ScatterAdd):
        return build_scatter(body, operands, results, name, machine)
    for template in TEMPLATES:
        launch = template(body, operands, results, name, machine)
        if launch is not None:
            return (launch,)
    nest = build_nest(body, operands, results, name)
    if nest is not None:
        return (nest,)
    raise IRError(f"no kernel computes {describe(body)}")

"""From a group of ops to launches: tries the templates in turn, the general one last."""

from __future__ import annotations

from .cpu.templates.border import build_border
from .cpu.templates.contract import build_contract, build_kernel_gradient
from .cpu.templates.scatter import build_scatter
from .cpu.templates.slide import build_slide
from .cpu.templates.turn import build_turn
from .cpu.templates.unpool import build_unpool
from .cpu.templates.window_sum import build_window_sum
from .cpu.templates.winograd import build_winograd
from .cpu.templates.winograd_kernel import build_winograd_kernel
from .cpu.templates.winograd_sum import build_winograd_sum
from .ir.graph import Graph, IRError, Node
from .ir.kinds import Concatenation, Interleaving, KernelGradient, ScatterAdd
from .layout import Launch, Layout, Placed
from .loops.concatenate import build_concatenate, build_interleave
from .loops.nest import build_nest

# Tried in turn; the last one takes all that is no heavy op.
TEMPLATES = (
    build_contract,
    build_winograd,
    build_winograd_kernel,
    build_slide,
    build_unpool,
    build_turn,
    build_nest,
)

KERNEL_GRADIENTS = {
    "conv2d": build_kernel_gradient,
    "depthwise_conv2d": build_window_sum,
    "winograd_conv2d": build_winograd_sum,
}


def lower_group(
    body: Graph, operands: tuple[Placed, ...], results: tuple[Placed, ...]
) -> tuple[Launch, ...]:
    """The launches that compute ``body``; raises ``IRError`` if no template takes it."""
    borders = tuple(
        build_border(layout, len(operands) + i)
        for i, layout in enumerate(results)
        if isinstance(layout, Layout) and layout.has_border
    )
    return (*borders, *_compute(body, operands, results))


def _compute(
    body: Graph, operands: tuple[Placed, ...], results: tuple[Placed, ...]
) -> tuple[Launch, ...]:
    if isinstance(body.outputs[0].op.lowering, Concatenation):
        return build_concatenate(body, operands, results)
    if isinstance(body.outputs[0].op.lowering, Interleaving):
        return build_interleave(body, operands, results)
    name = kernel_name(body)
    facet = body.outputs[0].op.lowering
    if isinstance(facet, KernelGradient):
        return KERNEL_GRADIENTS[facet.kind](body, operands, results, name)
    if isinstance(facet, ScatterAdd):
        return build_scatter(body, operands, results, name)
    for template in TEMPLATES:
        launch = template(body, operands, results, name)
        if launch is not None:
            return (launch,)
    raise IRError(f"no kernel computes {describe(body)}")


def kernel_name(body: Graph) -> str:
    """``conv2d_add_relu``: the ops of a group, shortened when they are many."""
    names = [node.op.name for node in body.nodes if node.inputs]
    return "_".join(names) if len(names) <= 6 else "_".join([*names[:5], f"and_{len(names) - 5}"])


def describe(body: Graph) -> str:
    """The group's ops with their operand types, for an error."""
    return "; ".join(_describe(node) for node in body.nodes if node.inputs)


def _describe(node: Node) -> str:
    types = ", ".join(str(operand.type) for operand in node.inputs)
    return f"{node.op.name}({types})"

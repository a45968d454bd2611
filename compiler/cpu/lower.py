"""From a group of ops to launches on CPUs: the templates in turn, the general one last."""

from __future__ import annotations

import itertools
from functools import partial

from ...runtime.cpu.host import Host
from ..ir.graph import Graph, IRError
from ..ir.kinds import Concatenation, Interleaving, KernelGradient, ScatterAdd
from ..loops.anchored import Anchored, match_anchored
from ..loops.concatenate import build_concatenate, build_interleave
from ..loops.layout import Launch, Layout, Placed
from ..loops.nest import build_nest
from ..loops.writer import MATH
from ..scheduling.lower import describe, kernel_name
from .blocking import BlockEngine
from .templates.contract import build_contract, build_kernel_gradient
from .templates.depthwise_kernel_gradient import build_depthwise_kernel_gradient
from .templates.halo_fill import build_halo_fill
from .templates.pooling_gradient import build_pooling_gradient
from .templates.scatter import build_scatter
from .templates.transpose import build_transpose
from .templates.window import build_window
from .templates.winograd import build_winograd
from .templates.winograd_kernel_gradient import build_winograd_kernel_gradient
from .templates.winograd_kernel_transform import build_winograd_kernel_transform

# Tried in turn: contractions, by whichever engine; what a vector of channels does; and copies that
# are turned. The nest takes all that is no heavy op.
CONTRACTIONS = (build_contract, build_winograd)
BY_VECTORS = (build_winograd_kernel_transform, build_window, build_pooling_gradient)
ANY_MACHINE = (build_transpose, partial(build_nest, expensive=MATH))


def lower_group(
    body: Graph,
    operands: tuple[Placed, ...],
    results: tuple[Placed, ...],
    machine: Host,
    engines: tuple[BlockEngine, ...],
) -> tuple[Launch, ...]:
    """The launches that compute ``body``; raises ``IRError`` if no template takes it."""
    halos = tuple(
        build_halo_fill(layout, len(operands) + i)
        for i, layout in enumerate(results)
        if isinstance(layout, Layout) and layout.has_halo
    )
    return (*halos, *_compute(body, operands, results, machine, engines))


def _compute(
    body: Graph,
    operands: tuple[Placed, ...],
    results: tuple[Placed, ...],
    machine: Host,
    engines: tuple[BlockEngine, ...],
) -> tuple[Launch, ...]:
    if isinstance(body.outputs[0].op.kind, Concatenation):
        return build_concatenate(body, operands, results)
    if isinstance(body.outputs[0].op.kind, Interleaving):
        return build_interleave(body, operands, results)
    name = kernel_name(body)
    kind = body.outputs[0].op.kind
    if isinstance(kind, KernelGradient):
        group = match_anchored(body, operands, results, KernelGradient)
        assert group is not None, "kernel gradients of float32 are groups of their own"
        return _kernel_gradient(group, name, machine, engines)
    if isinstance(kind, ScatterAdd):
        return build_scatter(body, operands, results, name, machine)
    tried = itertools.chain(
        (build(body, operands, results, name, engines) for build in CONTRACTIONS),
        (build(body, operands, results, name, machine) for build in BY_VECTORS),
        (build(body, operands, results, name) for build in ANY_MACHINE),
    )
    launch = next((launch for launch in tried if launch is not None), None)
    if launch is None:
        raise IRError(f"no kernel computes {describe(body)}")
    return (launch,)


def _kernel_gradient(
    group: Anchored, name: str, machine: Host, engines: tuple[BlockEngine, ...]
) -> tuple[Launch, ...]:
    match group.anchor.op.kind.form:
        case "depthwise_conv2d":
            return (build_depthwise_kernel_gradient(group, name, machine),)
        case "winograd_conv2d":
            return (build_winograd_kernel_gradient(group, name, engines),)
        case _:
            return build_kernel_gradient(group, name, engines)

"""Batch tiling: which segments of a schedule a thread runs depth first, a few samples at a time.

Instead of layer after layer over the whole batch, a thread takes a few samples through many layers,
so that what passes between them stays in its own cache, and no barriers are needed. It pays while
the segment's weights stay in the cache too, or are read rarely against the work done with them.
"""

from __future__ import annotations

from ...runtime.config import config
from ...runtime.cpu.host import Host
from ...runtime.dim import coefficient, symbol, symbols_of
from ...runtime.program import Scratch
from ..decisions import Decision, Decisions
from ..ir.graph import Graph, Node
from ..ir.kinds import (
    Concatenation,
    Contraction,
    Elementwise,
    FromIndex,
    Gather,
    Interleaving,
    Movement,
    Reduction,
    View,
    Window,
    WindowGradient,
)
from ..ir.types import TupleType
from ..loops.layout import Address, Argument, Launch, Layout, Placed
from ..scheduling.schedule import BatchTile, Loop, Schedule, Step
from ..units import BATCH, count_of, format_bytes
from .arguments import ContractArguments
from .blocking import batch_block
from .bodies import Contract
from .segments import Segment, live_bytes, stored_bytes, weight_bytes

TILES = (16, 8, 4, 2, 1)


def choose_tiles(schedule: Schedule, decisions: Decisions, machine: Host) -> tuple[BatchTile, ...]:
    """The segments worth tiling, with the decision on each recorded."""
    tiles: list[BatchTile] = []
    segment = Segment(schedule, machine)
    for index, step in enumerate(schedule.steps):
        reason = _refusal(step, schedule, machine)
        tiled = reason is None and not any(map(_blocks_samples, step.launches))
        # A loop wants more samples at a time than what makes its sequences has cache for.
        alone = step.loop is not None or (index > 0 and schedule.steps[index - 1].loop is not None)
        if tiled and not alone and segment.take(index):
            continue
        _close(segment.steps, schedule, tiles, decisions, machine)
        segment = Segment(schedule, machine)
        if tiled:
            segment.take(index, always=step.loop is not None)
        # A step without samples, such as an update of weights, always ends a segment.
        missed = any(BATCH in result.tensor_type.symbols for result in step.results)
        if reason is not None and missed:
            decisions.add(Decision("tile", step.label, step.node.layers, "declined", *reason))
    _close(segment.steps, schedule, tiles, decisions, machine)
    return tuple(tiles)


def _refusal(step: Step, schedule: Schedule, machine: Host) -> tuple[str, str] | None:
    if step.loop is not None:
        return _loop_refusal(step, step.loop, schedule, machine)
    if not all(_is_batched(result) for result in step.results):
        return "NO_BATCH", "its result has no batch axis"
    body = step.node.attrs.get("body")
    nodes = [n for n in body.nodes if n.inputs] if isinstance(body, Graph) else [step.node]
    numbered = [n for n in nodes if counts_samples(n)]
    if numbered:
        return "COUNTS_SAMPLES", f"{numbered[0].op.name} needs a sample's number in the whole batch"
    mixing = [n for n in nodes if not keeps_samples_apart(n)]
    if mixing:
        return "MIXES_SAMPLES", f"{mixing[0].op.name} combines or reorders samples"
    values = (schedule.owners[value] for value in (*step.operands, *step.results))
    sizes = (stored_bytes(schedule.layouts[value]) for value in values)
    even = all(coefficient(size, BATCH) is not None for size in sizes)
    if not even or not all(map(_is_linear, step.launches)):
        return "NOT_LINEAR", "a size in it does not grow evenly with the batch"
    if any(_packs_shared(arg, step, schedule) for launch in step.launches for arg in launch.args):
        return "SHARED_WEIGHTS", "it packs weights computed at run time, once for all samples"
    return None


def _blocks_samples(launch: Launch) -> bool:
    """Whether the launch computes samples in blocks, and the remainder in another way.

    The remainder depends on how a batch is tiled, but the bits must not. Blocks are worth more than
    the cache, so this is no missed optimization and is not reported.
    """
    body = launch.kernel.body
    if not isinstance(body, Contract) or body.tail != "single":
        return False
    names = (param.name for param in launch.kernel.params)
    columns = dict(zip(names, launch.args, strict=True))[ContractArguments[str, str].names().cols]
    return not isinstance(columns, (Address, Scratch)) and BATCH in symbols_of(columns)


def _packs_shared(arg: Argument, step: Step, schedule: Schedule) -> bool:
    if not isinstance(arg, Address) or arg.packing is None:
        return False
    weights = step.operands[arg.index]
    return schedule.weight(weights) is None and not _is_batched(weights)


def _loop_refusal(
    step: Step, loop: Loop, schedule: Schedule, machine: Host
) -> tuple[str, str] | None:
    """Why a thread cannot take some samples through all steps of a loop."""
    values = [n for n in (*step.operands, *step.results) if BATCH in n.tensor_type.symbols]
    if not values or not all(map(_is_batched, values)):
        return "NO_BATCH", "the batch is not the first axis of all that it runs over"
    if any(_is_time_major(schedule.layouts[n]) for n in values):
        return "TIME_MAJOR", "another loop reads what it stacks, all samples of a step at a time"
    for inner in loop.body.steps:
        reason = _refusal(inner, loop.body, machine)
        if reason is not None:
            return reason
    copies = (launch for group in (*loop.starts, *loop.finals) for launch in group)
    fixed = all(coefficient(carry.apart, BATCH) == 0 for carry in loop.carries)
    if not fixed or not all(map(_is_linear, copies)):
        return "NOT_LINEAR", "a carry does not grow evenly with the batch"
    weights = weight_bytes(range(len(loop.body.steps)), loop.body)
    if weights > machine.l2_bytes // 2:
        return "WEIGHTS", f"a step reads {format_bytes(weights)} of weights: threads share them"
    return None


def _is_time_major(layout: Placed) -> bool:
    return isinstance(layout, Layout) and layout.outermost != 0


def _is_batched(node: Node) -> bool:
    shape = node.tensor_type.shape
    return bool(shape) and shape[0] == symbol(BATCH)


def counts_samples(node: Node) -> bool:
    """Whether an element is made of an index that its sample's number is part of."""
    if not isinstance(node.op.kind, FromIndex) or not _is_batched(node):
        return False
    return bool(node.attrs.get("axis", 0) % node.tensor_type.rank == 0)


def keeps_samples_apart(node: Node) -> bool:
    """Whether sample ``n`` of the result depends on sample ``n`` of the operands alone."""
    batched = [i for i in node.inputs if BATCH in i.tensor_type.symbols]
    if any(not _is_batched(i) for i in batched) or isinstance(node.type, TupleType):
        return False
    if not _is_batched(node):
        return False
    kind, rank = node.op.kind, node.tensor_type.rank
    match kind:
        case Elementwise():
            return all(i.tensor_type.rank == rank for i in batched)
        case Reduction():
            return 0 not in {a % node.inputs[0].tensor_type.rank for a in node.attrs["axes"]}
        case Contraction():
            return node.inputs[1] not in batched or node.inputs[1].tensor_type.rank > 2
        case Window() | WindowGradient():
            return node.inputs[0] in batched
        case Movement():
            if not batched:
                return False
            first = kind.index(node).axes[0]
            return (first.axis, first.stride, first.offset, first.divisor) == (0, 1, 0, 1)
        case Concatenation():
            return bool(node.attrs["axis"] % rank != 0)
        case Gather():
            return node.inputs[0] not in batched and node.attrs["axis"] == 0
        case FromIndex() | Interleaving() | View():
            return True
    return False


def _is_linear(launch: Launch) -> bool:
    for arg in launch.args:
        if isinstance(arg, Address):
            if coefficient(arg.offset, BATCH) != 0:
                return False
        elif not isinstance(arg, Scratch) and coefficient(arg, BATCH) is None:
            return False
    return True


def _close(
    segment: list[int],
    schedule: Schedule,
    tiles: list[BatchTile],
    decisions: Decisions,
    machine: Host,
) -> None:
    if len(segment) < 2 and not any(schedule.steps[i].loop for i in segment):
        return
    live = live_bytes(segment, schedule)
    cache = machine.l2_bytes // 2
    fitting = [t for t in TILES if live * t <= cache]
    samples = fitting[0] if fitting else 1
    least, unit = max(2, config.threads * 2), 1
    if any(schedule.steps[i].loop for i in segment):
        # With fewer samples the threads share the weights of each step instead.
        unit = batch_block(machine.vector_registers)
        samples, least = max(samples, unit), unit * config.threads
    tiles.append(BatchTile(segment[0], segment[-1], samples, least, unit))
    layers = tuple(dict.fromkeys(layer for i in segment for layer in schedule.steps[i].node.layers))
    decisions.add(
        Decision(
            "tile",
            count_of(len(segment), "step"),
            layers,
            "tiled",
            "DEPTH_FIRST",
            f"{count_of(samples, 'sample')} at a time from batch {least}: "
            f"{format_bytes(live)} live a sample, "
            f"{format_bytes(weight_bytes(segment, schedule))} of weights",
        )
    )

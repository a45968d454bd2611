"""Builds ``Contract`` kernels: conv2d and matmul, with what follows them in the same registers.

The operand is read in place (a halo of zeros stands around images where the padding asks for
one), the weights in packed panels. A 1x1 convolution over contiguous images is a matrix product of
all their pixels, so images too small for a block do not waste it.

Gradients of weights are contractions too, whose sums run over all samples: both operands are read
in place, the left one across its rows.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ....runtime.program import Scratch
from ...ir.graph import Graph
from ...ir.kinds import Contraction
from ...ir.types import FLOAT32, Size
from ...loops.anchored import Anchored, Strides, match_anchored
from ...loops.arguments import ABSENT, Pointer
from ...loops.layout import Launch, Placed
from ...loops.problems import (
    Problem,
    conv_problem,
    kernel_gradient_problems,
    known,
    matmul_problem,
    transposed_problem,
)
from ..arguments import ContractArguments, SplitArguments
from ..blocking import BlockEngine, Choice, Extent, choose
from ..bodies import Contract, RegisterBlock

ARG = ContractArguments[str, str].names()

LONG_DEPTH = 640  # products from which a sum is blocked, for less rounding
SUM_BLOCK = 512  # products of a block: rounding grows with its length
FEW_SUM_BLOCKS = 16  # rounding of so few sums is less than that within one
PANEL_PREFETCH_BYTES = 2**20
PANEL_PREFETCH_PIXELS = 64
CHUNK_BYTES = 256 * 1024  # operand bytes that stay in a core's cache while the weights pass over
PREFETCHED_ROW = 512  # elements: 2 KB
PREFETCHED_BESIDE_PANEL = 128  # where weights come from the nearest cache, ports are free
FEWEST_BLOCKS = 4  # that read a panel of copied rows: fewer do not pay for the copy
MOST_PANEL_BYTES = 256 * 1024  # of copied rows: they stay in a core's cache
ALL_BLOCKS = 2**30  # of a matrix of unknown size


def build_contract(
    body: Graph,
    operands: tuple[Placed, ...],
    results: tuple[Placed, ...],
    name: str,
    engines: tuple[BlockEngine, ...],
) -> Launch | None:
    """The launch for a group around one contraction, or None where the kernel does not fit it."""
    group = match_anchored(body, operands, results, Contraction, several=True)
    problem = None if group is None else _problem(group)
    return None if group is None or problem is None else _launch(group, problem, name, engines)


def build_kernel_gradient(
    group: Anchored, name: str, engines: tuple[BlockEngine, ...]
) -> tuple[Launch, ...]:
    """The launches for a split ``conv2d_kernel_gradient``."""
    problems = kernel_gradient_problems(group)
    launches = [_launch(group, problem, name, engines) for problem in problems]
    found = tuple(launch for launch in launches if launch is not None)
    assert len(found) == len(launches), "some engine multiplies what is read in place"
    return found


def _launch(
    group: Anchored, problem: Problem, name: str, engines: tuple[BlockEngine, ...]
) -> Launch | None:
    rows, columns = group.matched.covered(problem.rows, problem.columns)
    extent = _extent(group, problem, rows, columns)
    choice = choose(group.anchor.op.kind.form, extent, engines)
    if choice is None:
        return None
    short = choice.engine.is_short(extent) and not problem.transposed
    contract = _contract(group, problem, extent, choice, _fixed_sizes(problem) if short else ())
    arguments = _arguments(group, problem, contract, choice)
    fixed = dict(contract.fixed)
    return group.launch(name, contract, arguments.without(fixed), problem.flops)


def _problem(group: Anchored) -> Problem | None:
    layouts = (group.x, *group.results, *group.element_layouts)
    if any(layout.strides[-1] != 1 for layout in layouts):
        return None
    kinds = {
        "matmul": matmul_problem,
        "transposed_matmul": transposed_problem,
        "conv2d": conv_problem,
    }
    kind = group.anchor.op.kind.form
    return kinds[kind](group, layouts) if kind in kinds else None


def _extent(group: Anchored, problem: Problem, rows: Size, columns: Size) -> Extent:
    pool, (kys, kxs, run) = group.matched.pool, problem.steps
    return Extent(
        rows=rows if isinstance(rows, int) else None,
        columns=_least(columns),
        channels=known(problem.channels),
        depth=kys * kxs * run,
        sweeps=kys * kxs,
        row_unit=pool.rows if pool else 1,
        column_unit=pool.columns if pool else 1,
        adjacent=problem.transposed,
        in_place=problem.right is not None,
        dtype=group.anchor.inputs[0].dtype,
        gates=group.matched.gates,
    )


def _contract(
    group: Anchored,
    problem: Problem,
    extent: Extent,
    choice: Choice,
    fixed: tuple[tuple[str, int], ...],
) -> Contract:
    matched, width, engine = group.matched, choice.width, choice.engine
    repacked = _is_repacked(problem, extent, choice)
    return Contract(
        block=choice.block,
        tail="single" if extent.columns is None else "overlap",
        masked=not isinstance(problem.channels, int) or problem.channels % width != 0,
        epilogue=matched.epilogue,
        bias=matched.bias is not None,
        fixed=fixed,
        blocked_sum=_summation_block(problem)[0],
        carried=not isinstance(problem.depth, int) or problem.depth > FEW_SUM_BLOCKS * SUM_BLOCK,
        prefetch_panels=_prefetches_panels(problem, extent),
        in_place=problem.right is not None,
        repacked=repacked,
        transposed=problem.transposed,
        splits=tuple(split.loop for split in problem.splits),
        prefetch_rows=_prefetched_rows(problem, repacked),
        clipped=_is_clipped(problem, fixed),
        unrolled=1 if fixed else engine.unrolled,
        prefetch_weights=engine.prefetches_in(choice.block, matched.gates),
        engine=engine.name,
        accumulator=engine.accumulator,
    )


def _is_repacked(problem: Problem, extent: Extent, choice: Choice) -> bool:
    """Whether the rows of a partial sum's right operand are copied to panels first.

    Rows in place, often a power of two apart, evict each other from the caches: 41 GFLOP/s of a
    core, and 62 with copies, on the 128 x 512 gradient of an LSTM's weights (Zen 3).
    """
    if not problem.splits or problem.right is None:
        return False
    if extent.rows is None or extent.columns is None or not isinstance(problem.depth, int):
        return False  # a chunk of blocks is then not just those of one partial sum
    blocks = extent.rows * extent.columns // (choice.block.rows * choice.block.columns)
    return blocks >= FEWEST_BLOCKS and _panel_bytes(problem.depth, choice) <= MOST_PANEL_BYTES


def _panel_bytes(depth: int, choice: Choice) -> int:
    return depth * choice.width * FLOAT32.itemsize


def _is_clipped(problem: Problem, fixed: tuple[tuple[str, int], ...]) -> bool:
    """Whether the loop over a window's rows may be shorter: it is neither unrolled nor blocked."""
    return problem.clip is not None and not fixed and _summation_block(problem)[0] != "kys"


def _prefetched_rows(problem: Problem, repacked: bool) -> tuple[str, ...]:
    """The operands of a gradient whose rows lie so far apart that they are prefetched."""
    if not problem.transposed:
        return ()
    strided = problem.right if not repacked else None
    rows = {ARG.x: problem.x_run, ARG.w: strided.run if strided is not None else 0}
    far = PREFETCHED_BESIDE_PANEL if repacked else PREFETCHED_ROW
    return tuple(name for name, row in rows.items() if isinstance(row, int) and row >= far)


def _summation_block(problem: Problem) -> tuple[str, int]:
    """Which loop of a long sum is blocked, and the steps of a block."""
    _, kxs, run = problem.steps
    if isinstance(problem.depth, int) and problem.depth <= LONG_DEPTH:
        return "", 1
    if run >= SUM_BLOCK or not isinstance(problem.run, int):
        return "run", SUM_BLOCK
    if kxs * run >= SUM_BLOCK or not isinstance(problem.kxs, int):
        return "kxs", max(1, SUM_BLOCK // run)
    return "kys", max(1, SUM_BLOCK // (kxs * run))


def _prefetches_panels(problem: Problem, extent: Extent) -> bool:
    """Whether the weights are read from memory rather than a cache: many, for few pixels."""
    if extent.rows is None or extent.columns is None or problem.right is not None:
        return False
    few = extent.rows * extent.columns <= PANEL_PREFETCH_PIXELS
    weights = extent.depth * extent.channels * problem.groups * FLOAT32.itemsize
    return few and weights >= PANEL_PREFETCH_BYTES


def _fixed_sizes(problem: Problem) -> tuple[tuple[str, int], ...]:
    """The sizes of a sum so short that its loops cost more than its products."""
    sums = ((ARG.kys, problem.kys), (ARG.kxs, problem.kxs), (ARG.run, problem.run))
    fixed = (*sums, (ARG.x_col, problem.x_col), (ARG.x_kx, problem.x_kx))
    known = tuple((name, size) for name, size in fixed if isinstance(size, int))
    return known if len(known) == len(fixed) else ()


def _arguments(
    group: Anchored, problem: Problem, body: Contract, choice: Choice
) -> ContractArguments[Pointer, Size]:
    rows, columns = group.matched.covered(problem.rows, problem.columns)
    panels, gates = (problem.channels + choice.width - 1) // choice.width, group.matched.gates
    left, right = group.anchor.inputs
    packed = choice.packing(problem.groups, problem.batch_axes, gates)
    arguments: ContractArguments[Pointer, Size] = ContractArguments(
        x=group.pointer(left, problem.x_offset),
        w=group.pointer(right, packing=packed),
        images=problem.images,
        rows=rows,
        cols=columns,
        panels=panels * problem.groups,
        group_panels=panels,
        channels=problem.channels // gates,
        kys=problem.kys,
        kxs=problem.kxs,
        run=problem.run,
        chunk=_chunk(problem, rows, columns, body.block),
        x_image=problem.x_image,
        x_row=problem.x_row,
        x_col=problem.x_col,
        x_ky=problem.x_ky,
        x_kx=problem.x_kx,
        x_group=problem.x_group,
        x_run=problem.x_run if problem.transposed else ABSENT,
        sum_block=_summation_block(problem)[1] if body.blocked_sum else ABSENT,
        w_image=packed.matrix(problem.depth, problem.channels) if problem.batch_axes else 0,
        splits=_splits(problem),
        epilogue=group.epilogue(partial(_walked, problem), problem.y_offset),
    )
    arguments = _read_in_place(arguments, group, problem, body, choice)
    if not body.clipped or problem.clip is None:
        return arguments
    return replace(arguments, above=problem.clip.above, height=problem.clip.height)


def _read_in_place(
    arguments: ContractArguments[Pointer, Size],
    group: Anchored,
    problem: Problem,
    body: Contract,
    choice: Choice,
) -> ContractArguments[Pointer, Size]:
    """With the strides of a right operand that is not packed, and room for copies of its rows.

    The strides of panels follow from sizes.
    """
    right, depth = problem.right, problem.depth
    if right is None:
        return arguments
    w = group.pointer(group.anchor.inputs[1], right.offset)
    in_place = replace(
        arguments, w=w, w_image=right.image, w_ky=right.ky, w_kx=right.kx, w_run=right.run
    )
    if not body.repacked or not isinstance(depth, int):
        return in_place
    return replace(in_place, panel_rows=Pointer(Scratch(_panel_bytes(depth, choice))))


def _splits(problem: Problem) -> dict[str, SplitArguments[Pointer, Size]]:
    found: dict[str, SplitArguments[Pointer, Size]] = {}
    for split in problem.splits:
        steps = getattr(problem, split.loop)
        found[split.loop] = SplitArguments(
            total=split.total, splits=(split.total + steps - 1) // steps
        )
    return found


def _walked(problem: Problem, layout: Placed) -> Strides:
    """(image, row, column) strides of an array with the shape of the output."""
    image, row, col = (0 if axis is None else layout.strides[axis] for axis in problem.walked)
    return image, row, col


def _chunk(problem: Problem, rows: Size, columns: Size, block: RegisterBlock) -> int:
    """Blocks whose operand stays in a core's cache while the weights pass over.

    The blocks of a gradient all read the same operand: that of a partial sum, or of a matrix.
    """
    if not problem.transposed:
        kys, _, run = problem.steps
        pixels = block.rows * block.columns
        return max(1, CHUNK_BYTES // max(1, pixels * run * kys * FLOAT32.itemsize))
    if not isinstance(rows, int) or not isinstance(columns, int):
        return ALL_BLOCKS
    return -(-rows // block.rows) * -(-columns // block.columns)


def _least(size: Size) -> int | None:
    """What is known of a column count: all pixels of ``N`` images are at least one image's."""
    if isinstance(size, int):
        return size
    if len(size.terms) == 1 and size.terms[0][0] == ("N",) and size.terms[0][1] > 1:
        return size.terms[0][1]
    return None

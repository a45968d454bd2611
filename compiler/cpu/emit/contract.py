"""Emits ``Contract`` kernels: a block of outputs stays in registers, weights stream past it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...loops.kernel import Kernel
from ..arguments import ContractArguments, SplitArguments, WinogradArguments
from ..bodies import Contract, RegisterBlock, Winograd
from .epilogue import cells, filter_mask, finish_block, gate_offset, prefetch_operands, set_gates
from .writer import Writer

ARG = ContractArguments[str, str].names()


@dataclass(frozen=True)
class Loop:
    """A loop of the sum: its index, its steps, and the strides of both operands along it."""

    index: str
    steps: str
    x: str
    w: str


LOOPS = (
    Loop("ky", ARG.kys, ARG.x_ky, ARG.w_ky),
    Loop("kx", ARG.kxs, ARG.x_kx, ARG.w_kx),
    Loop("c", ARG.run, ARG.x_run, ARG.w_run),
)

# Two multiply-adds start a cycle and each takes four: eight must be under way.
MIN_CHAINS = 8
# Weights are prefetched this many elements before they are used: the hardware's own prefetching
# stops at every page.
PREFETCH_AHEAD = 8192
ROWS_AHEAD = 16  # of an operand whose rows lie far apart


def emit_contract(writer: Writer, kernel: Kernel, body: Contract) -> None:
    """Writes the kernel; each thread takes a contiguous share of (chunk, panel, block) units."""
    writer.unpack(kernel.params)
    writer.use("minimum")
    block = body.block
    width = block.vectors * writer.lanes
    for name, value in body.fixed:
        writer.line(f"{name} = {value}")
    rounding = f" + {block.rows - 1}" if block.rows > 1 else ""
    writer.line(f"row_blocks = ({ARG.rows}{rounding}) // {block.rows}")
    if body.tail == "single":
        writer.line(f"whole = {ARG.cols} // {block.columns}")
        rest = _divided(f"{ARG.cols} % {block.columns}", _unit(body))
        writer.line(f"col_blocks = whole + {rest}")
    else:
        writer.line(f"col_blocks = ({ARG.cols} + {block.columns - 1}) // {block.columns}")
    writer.line(f"blocks = {ARG.images} * row_blocks * col_blocks")
    for loop in body.splits:
        writer.line(f"{loop}_split = {loop}")
    if not body.in_place:
        writer.line(f"panel_size = {ARG.kys} * {ARG.kxs} * {ARG.run} * {width}")
    writer.line(f"unit = blocks * {ARG.panels} * thread // threads")
    writer.line(f"end = blocks * {ARG.panels} * (thread + 1) // threads")
    set_gates(writer, body.epilogue, ARG.channels)
    _first(writer)
    with writer.block("while unit < end:"):
        _position(writer)
        _panel_setup(writer, body, width)
        with writer.block("while block < stop:"):
            _one_block(writer, body)
            writer.line("block += 1")
            advance_position(writer, "row_blocks", "col_blocks")
        _next(writer)


def _first(writer: Writer) -> None:
    """Blocks come in chunks that stay in cache while every panel of weights passes over them."""
    writer.line("head = 0")
    writer.line("panel = 0")
    writer.line("block = 0")
    writer.line(f"size = minimum({ARG.chunk}, blocks)")
    with writer.block("if unit > 0:"):
        writer.line(f"head = unit // ({ARG.chunk} * {ARG.panels}) * {ARG.chunk}")
        writer.line(f"size = minimum({ARG.chunk}, blocks - head)")
        writer.line(f"rest = unit - head * {ARG.panels}")
        writer.line("panel = rest // size")
        writer.line("block = head + rest % size")


def _next(writer: Writer) -> None:
    """From the end of a panel's blocks on."""
    writer.line("panel += 1")
    with writer.block(f"if panel == {ARG.panels}:"):
        writer.line("panel = 0")
        writer.line("head += size")
        writer.line(f"size = minimum({ARG.chunk}, blocks - head)")
    writer.line("block = head")


def _position(writer: Writer) -> None:
    """Where the block lies, up to which a panel has units, and what follows.

    Most matrices are one row of blocks: a division takes as long as several multiply-adds.
    """
    writer.line("stop = minimum(head + size, block + end - unit)")
    writer.line("unit += stop - block")
    writer.line("image = 0")
    writer.line("row = 0")
    writer.line("col = block")
    with writer.block("if col >= col_blocks:"):
        writer.line("row = col // col_blocks")
        writer.line("col = col % col_blocks")
        writer.line("image = row // row_blocks")
        writer.line("row = row % row_blocks")


def _panel_setup(writer: Writer, body: Contract, width: int) -> None:
    writer.line("group = 0")
    writer.line("member = panel")
    with writer.block(f"if member >= {ARG.group_panels}:"):
        writer.line(f"group = member // {ARG.group_panels}")
        writer.line(f"member = member % {ARG.group_panels}")
    writer.line(f"o = member * {width // body.epilogue.gates}")
    writer.line(f"channel = group * {ARG.channels} + o")
    writer.line("wi = channel" if body.in_place else "wi = panel * panel_size")
    if body.prefetch_panels:
        writer.line("begin = block")
        writer.line("slices = 0")
        with writer.block("while 2 << slices <= stop - begin:"):
            writer.line("slices += 1")
    channel_setup(writer, body, _results(body, body.block).vectors, ARG)
    if body.repacked:
        _repack(writer, body)


def channel_setup(
    writer: Writer,
    body: Contract | Winograd,
    vectors: int,
    arg: ContractArguments[str, str] | WinogradArguments[str, str],
) -> None:
    """Masks, and what is one value a filter, of so many vectors of them from ``o`` on.

    Those of all groups are counted by ``channel``.
    """
    for j in range(vectors):
        offset = f" - {j * writer.lanes}" if j else ""
        if body.masked:
            writer.line(f"m{j} = {writer.call('first', f'{arg.channels} - o{offset}')}")
        if body.bias:
            for gate in range(body.epilogue.gates):
                value = _channel_load(writer, body, arg.epilogue.bias, j, gate)
                writer.line(f"b{gate * vectors + j} = {value}")
        for load in body.epilogue.loads:
            if load.kind == "channel":
                value = _channel_load(writer, body, load.pointer, j, load.gate)
                writer.line(f"{load.name}_{j} = {value}")
    for load in body.epilogue.loads:
        if load.kind == "scalar":
            writer.line(f"{load.name} = {writer.call('load_splat', load.pointer, '0')}")


def _channel_load(
    writer: Writer, body: Contract | Winograd, pointer: str, j: int, gate: int
) -> str:
    index = f"channel{gate_offset(gate)}{f' + {j * writer.lanes}' if j else ''}"
    if body.masked:
        return writer.call("load_masked", pointer, index, f"m{j}")
    return writer.call("load", pointer, index)


def _one_block(writer: Writer, body: Contract) -> None:
    block = body.block
    oy = "row" if block.rows == 1 else f"minimum(row * {block.rows}, {ARG.rows} - {block.rows})"
    writer.line(f"oy = {oy}")
    if body.tail == "overlap":
        writer.line(f"ox = minimum(col * {block.columns}, {ARG.cols} - {block.columns})")
        _micro_kernel(writer, body, block)
        return
    with writer.block("if col < whole:"):
        writer.line(f"ox = col * {block.columns}")
        _micro_kernel(writer, body, block)
    with writer.block("else:"):
        unit = _unit(body)
        writer.line(f"ox = whole * {block.columns - unit} + {_times('col', unit)}")
        _micro_kernel(writer, body, RegisterBlock(block.rows, unit, block.vectors))


def _unit(body: Contract) -> int:
    """The columns that a single step of the tail takes: those of one pooling window."""
    return body.epilogue.pool.columns if body.epilogue.pool else 1


def _divided(text: str, divisor: int) -> str:
    return text if divisor == 1 else f"{text} // {divisor}"


def _times(text: str, factor: int) -> str:
    return text if factor == 1 else f"{text} * {factor}"


def _micro_kernel(writer: Writer, body: Contract, block: RegisterBlock) -> None:
    place = f"image * {ARG.x_image} + oy * {ARG.x_row} + ox * {ARG.x_col}"
    writer.line(f"xi = {place} + group * {ARG.x_group}")
    if body.repacked:
        writer.line("wj = 0")
    else:
        _weights_of_image(writer, body)
    if body.splits:
        writer.line("xi += x_skipped")
    if body.is_strided:
        writer.line("wk = wj")
    if body.prefetch_panels:
        writer.line("ahead = wi + panel_size + (block - begin) * (panel_size >> slices)")
    results = _results(body, block)
    if body.epilogue.gates > 1:
        prefetch_operands(writer, body.epilogue, results)
    zero = writer.constant(0.0, body.accumulator, True)
    for r, p, j in cells(block):
        writer.line(f"a{r}_{p}_{j} = {f'b{j}' if body.bias else zero}")
    if body.clipped:
        _clip(writer, body, block)
    _loops(writer, body, block, zero)
    finish_block(writer, body.epilogue, results, filter_mask(body.masked), ARG.epilogue)


def _results(body: Contract, block: RegisterBlock) -> RegisterBlock:
    """The results of a block: one for all gates of a unit."""
    return RegisterBlock(block.rows, block.columns, block.vectors // body.epilogue.gates)


def _clip(writer: Writer, body: Contract, block: RegisterBlock) -> None:
    """The rows of the window that see any row of the image."""
    last = f" - {block.rows - 1}" if block.rows > 1 else ""
    writer.line(f"first_ky = {writer.call('maximum', f'{ARG.above} - oy{last}', '0')}")
    stop = writer.call("minimum", ARG.kys, f"{ARG.height} + {ARG.above} - oy")
    writer.line(f"stop_ky = {stop}")
    if not body.in_place:
        writer.line(f"wj += first_ky * {ARG.kxs} * {ARG.run} * {block.vectors * writer.lanes}")


def _weights_of_image(writer: Writer, body: Contract) -> None:
    """Where the panel's weights for this image start, or for this partial sum."""
    writer.line(f"wj = wi + image * {ARG.w_image}")
    if body.splits:
        _split(writer, body)
        writer.line("wj += w_skipped")


def _split(writer: Writer, body: Contract) -> None:
    """What the partial sum of this image skips, and its steps: the last one has fewer."""
    writer.line("left = image")
    writer.line("x_skipped = 0")
    writer.line("w_skipped = 0")
    for loop in reversed([loop for loop in LOOPS if loop.steps in body.splits]):
        steps = loop.steps
        split = SplitArguments[str, str].names(steps)
        writer.line(f"skipped = left % {split.splits} * {steps}_split")
        writer.line(f"left = left // {split.splits}")
        writer.line(f"{steps} = minimum({steps}_split, {split.total} - skipped)")
        writer.line(f"x_skipped += skipped * {loop.x}")
        writer.line(f"w_skipped += skipped * {loop.w}")


def _loops(writer: Writer, body: Contract, block: RegisterBlock, zero: str, outer: int = 0) -> None:
    """The loops of a sum, from number ``outer`` on; one of them may be blocked."""
    index, steps = LOOPS[outer].index, LOOPS[outer].steps
    if body.blocked_sum != steps:
        _loop(writer, body, block, zero, outer, ("0", steps))
        return
    if body.carried:
        for r, p, j in cells(block):
            writer.line(f"e{r}_{p}_{j} = {zero}")
    with writer.block(f"for {index}_start in range(0, {steps}, {ARG.sum_block}):"):
        for r, p, j in cells(block):
            writer.line(f"s{r}_{p}_{j} = a{r}_{p}_{j}")
            writer.line(f"a{r}_{p}_{j} = {f'e{r}_{p}_{j}' if body.carried else zero}")
        writer.line(f"{index}_stop = minimum({steps}, {index}_start + {ARG.sum_block})")
        _loop(writer, body, block, zero, outer, (f"{index}_start", f"{index}_stop"))
        if body.carried:
            _carry(writer, block, zero, f"{index}_stop < {steps}")
        for r, p, j in cells(block):
            writer.line(f"a{r}_{p}_{j} = s{r}_{p}_{j} + a{r}_{p}_{j}")


def _carry(writer: Writer, block: RegisterBlock, zero: str, more: str) -> None:
    """The rounding error of a block's sum starts the next block, if there is one."""
    for r, p, j in cells(block):
        writer.line(f"e{r}_{p}_{j} = {zero}")
    with writer.block(f"if {more}:"):
        for r, p, j in cells(block):
            error = writer.call("sum_error", f"s{r}_{p}_{j}", f"a{r}_{p}_{j}")
            writer.line(f"e{r}_{p}_{j} = {error}")


def _loop(
    writer: Writer,
    body: Contract,
    block: RegisterBlock,
    zero: str,
    outer: int,
    sum_block: tuple[str, str],
) -> None:
    if outer == len(LOOPS) - 1:
        SUMS[body.engine](writer, body, block, *sum_block, zero)
        return
    first, stop = sum_block
    if outer == 0 and body.clipped:
        first, stop = "first_ky", "stop_ky"
    head = stop if first == "0" else f"{first}, {stop}"
    with writer.block(f"for {LOOPS[outer].index} in range({head}):"):
        if outer == len(LOOPS) - 2:
            writer.line(f"xk = xi + ky * {ARG.x_ky} + kx * {ARG.x_kx}")
            if body.is_strided:
                writer.line(f"wj = wk + ky * {ARG.w_ky} + kx * {ARG.w_kx}")
        _loops(writer, body, block, zero, outer + 1)


def _sum(
    writer: Writer, body: Contract, block: RegisterBlock, start: str, stop: str, zero: str
) -> None:
    """Adds the products from ``start`` to ``stop`` to the accumulators."""
    chains = _chains(body, block)
    steps = max(chains, 1 if body.transposed else body.unrolled)
    for chain in range(1, chains):
        for r, p, j in cells(block):
            writer.line(f"{accumulator(r, p, j, chain)} = {zero}")
    first = start
    if steps > 1:
        first = "whole_run"
        writer.line(f"whole_run = {start} + ({stop} - {start}) // {steps} * {steps}")
        with writer.block(f"for c in range({start}, whole_run, {steps}):"):
            for step in range(steps):
                _multiply(writer, body, block, step, step % chains)
                _prefetch(writer, body, block)
    with writer.block(f"for c in range({first}, {stop}):"):
        _multiply(writer, body, block)
        if steps == 1:
            _prefetch(writer, body, block)
    for chain in range(1, chains):
        for r, p, j in cells(block):
            writer.line(f"a{r}_{p}_{j} = a{r}_{p}_{j} + {accumulator(r, p, j, chain)}")


def _chains(body: Contract, block: RegisterBlock) -> int:
    """Independent sums a small block needs, to hide the latency of multiply-add."""
    if body.fixed:
        return 1
    return max(1, MIN_CHAINS // block.accumulators)


def accumulator(r: int, p: int, j: int, chain: int = 0) -> str:
    """The name of an accumulator; chains other than the first are added to it at the end."""
    return f"a{r}_{p}_{j}" if chain == 0 else f"a{r}_{p}_{j}_{chain}"


def _prefetch(writer: Writer, body: Contract, block: RegisterBlock) -> None:
    """Prefetches weights.

    Weights that no cache holds come from memory, panel by panel. Without prefetching, a panel's
    first block would wait for all of them, and memory would idle while the others reuse them. So
    each block prefetches a slice of the next panel.
    """
    if body.fixed or body.in_place or _chains(body, block) > 1:
        return
    if body.prefetch_panels:
        writer.line(writer.call("prefetch", ARG.w, "ahead + (wj - wi >> slices)"))
        return
    if not body.prefetch_weights:
        return
    for j in range(block.vectors):
        ahead = PREFETCH_AHEAD + j * writer.lanes
        writer.line(writer.call("prefetch", ARG.w, f"wj + {ahead}"))


def _multiply(
    writer: Writer, body: Contract, block: RegisterBlock, step: int = 0, chain: int = 0
) -> None:
    panel = ARG.panel_rows if body.repacked else ARG.w
    for j in range(block.vectors):
        packed = writer.call("load", panel, f"wj{_plus(j * writer.lanes)}")
        writer.line(f"w{j} = {_row_vector(writer, body, j) if body.is_strided else packed}")
    for r in range(block.rows):
        for p in range(block.columns):
            value = writer.call("load_splat", ARG.x, _operand(body, r, p, step))
            writer.line(f"v = {value}")
            for j in range(block.vectors):
                name = accumulator(r, p, j, chain)
                writer.line(f"{name} = {writer.call('fma', 'v', f'w{j}', name)}")
    _prefetch_rows(writer, body, block)
    if body.transposed:
        writer.line(f"xk += {ARG.x_run}")
    writer.line(f"wj += {ARG.w_run if body.is_strided else block.vectors * writer.lanes}")


def _row_vector(writer: Writer, body: Contract, j: int) -> str:
    """Vector number ``j`` of a block's weights, in the row of them in place."""
    gate, j = divmod(j, _results(body, body.block).vectors)
    index = f"wj{gate_offset(gate)}{_plus(j * writer.lanes)}"
    if body.masked:
        return writer.call("load_masked", ARG.w, index, f"m{j}")
    return writer.call("load", ARG.w, index)


def _plus(offset: int) -> str:
    return f" + {offset}" if offset else ""


def _repack(writer: Writer, body: Contract) -> None:
    """Copies the rows of a panel, for all blocks of an image, to where they lie side by side."""
    _weights_of_image(writer, body)
    writer.line("wk = wj")
    writer.line("to = 0")
    with (
        writer.block(f"for ky in range({ARG.kys}):"),
        writer.block(f"for kx in range({ARG.kxs}):"),
    ):
        writer.line(f"wj = wk + ky * {ARG.w_ky} + kx * {ARG.w_kx}")
        with writer.block(f"for c in range({ARG.run}):"):
            for j in range(body.block.vectors):
                place = f"to{_plus(j * writer.lanes)}"
                value = _row_vector(writer, body, j)
                writer.line(writer.call("store", ARG.panel_rows, place, value))
            writer.line(writer.call("prefetch", ARG.w, f"wj + {ROWS_AHEAD} * {ARG.w_run}"))
            writer.line(f"wj += {ARG.w_run}")
            writer.line(f"to += {body.block.vectors * writer.lanes}")


def _prefetch_rows(writer: Writer, body: Contract, block: RegisterBlock) -> None:
    """Prefetches rows that lie far apart: the hardware's own prefetching stops at every page."""
    results = _results(body, block)
    last = {ARG.x: block.columns - 1, ARG.w: (results.vectors - 1) * writer.lanes}
    rows = {ARG.x: ("xk", ARG.x_run), ARG.w: ("wj", ARG.w_run)}
    for pointer in body.prefetch_rows:
        at, run = rows[pointer]
        row = f"{at} + {ROWS_AHEAD} * {run}"
        for gate in range(body.epilogue.gates if pointer == ARG.w else 1):
            for offset in range(0, last[pointer] + writer.lanes, writer.lanes):
                further = f"{row}{gate_offset(gate)} + {min(offset, last[pointer])}"
                writer.line(writer.call("prefetch", pointer, further))


def _operand(body: Contract, r: int, p: int, step: int) -> str:
    """The index of what row ``r`` and column ``p`` of the block multiply with, a step on."""
    row = f" + {r} * {ARG.x_row}" if r else ""
    if body.transposed:
        return f"xk{row}{f' + {p}' if p else ''}"
    col = f" + {p} * {ARG.x_col}" if p else ""
    return f"xk{row}{col} + c{f' + {step}' if step else ''}"


# How each engine adds products to the accumulators, along the innermost loop of a sum.
SUMS: Mapping[str, Callable[[Writer, Contract, RegisterBlock, str, str, str], None]] = {
    "fma": _sum,
}


def advance_position(writer: Writer, rows: str, columns: str) -> None:
    """Steps (image, row, col) on, of so many rows and columns an image."""
    writer.line("col += 1")
    with writer.block(f"if col == {columns}:"):
        writer.line("col = 0")
        writer.line("row += 1")
        with writer.block(f"if row == {rows}:"):
            writer.line("row = 0")
            writer.line("image += 1")

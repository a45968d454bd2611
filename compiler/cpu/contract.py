"""Emits ``Contract`` kernels: a block of outputs in registers, packed weights streamed past it."""

from __future__ import annotations

from ..kernels import Contract, Kernel, RegisterBlock
from ..types import FLOAT32
from .epilogue import cells, finish_block
from .writer import Writer

# Two multiply-adds start a cycle and each takes four: eight must be under way.
MIN_CHAINS = 8
# A long sum is made of sums of so many products: rounding grows with the length of each.
STRETCH = 512
# Weights are asked for this many elements before they are used: the hardware's own prefetching
# stops at every page.
PREFETCH_AHEAD = 8192


def emit_contract(writer: Writer, kernel: Kernel, body: Contract) -> None:
    """Writes the kernel; each thread takes a contiguous share of (chunk, panel, block) units."""
    writer.unpack(kernel.params)
    writer.use("minimum")
    block = body.block
    width = block.vectors * writer.lanes
    for name, value in body.fixed:
        writer.line(f"{name} = {value}")
    rounding = f" + {block.rows - 1}" if block.rows > 1 else ""
    writer.line(f"row_blocks = (rows{rounding}) // {block.rows}")
    if body.tail == "single":
        writer.line(f"whole = cols // {block.columns}")
        writer.line(f"col_blocks = whole + {_divided(f'cols % {block.columns}', _unit(body))}")
    else:
        writer.line(f"col_blocks = (cols + {block.columns - 1}) // {block.columns}")
    writer.line("blocks = images * row_blocks * col_blocks")
    writer.line(f"panel_size = kys * kxs * run * {width}")
    writer.line("unit = blocks * panels * thread // threads")
    writer.line("end = blocks * panels * (thread + 1) // threads")
    with writer.block("while unit < end:"):
        _decode(writer)
        _panel_setup(writer, body, width)
        with writer.block("while block < stop:"):
            _one_block(writer, body)
            _advance(writer)


def _decode(writer: Writer) -> None:
    """Blocks come in chunks that stay in cache while every panel of weights passes over them."""
    writer.line("head = unit // (chunk * panels) * chunk")
    writer.line("size = minimum(chunk, blocks - head)")
    writer.line("rest = unit - head * panels")
    writer.line("panel = rest // size")
    writer.line("block = head + rest % size")
    writer.line("stop = minimum(head + size, block + end - unit)")
    writer.line("unit += stop - block")
    writer.line("image = block // (row_blocks * col_blocks)")
    writer.line("row = block // col_blocks % row_blocks")
    writer.line("col = block % col_blocks")


def _panel_setup(writer: Writer, body: Contract, width: int) -> None:
    writer.line("group = panel // group_panels")
    writer.line(f"o = panel % group_panels * {width}")
    writer.line("channel = group * channels + o")
    writer.line("wi = panel * panel_size")
    if body.streamed:
        writer.line("begin = block")
        writer.line("slices = 0")
        with writer.block("while 2 << slices <= stop - begin:"):
            writer.line("slices += 1")
    for j in range(body.block.vectors):
        offset = f" - {j * writer.lanes}" if j else ""
        if body.masked:
            writer.line(f"m{j} = {writer.call('first', f'channels - o{offset}')}")
        if body.bias:
            writer.line(f"b{j} = {_channel_load(writer, body, 'bias', j)}")
        for load in body.epilogue.loads:
            if load.kind == "channel":
                writer.line(f"{load.name}_{j} = {_channel_load(writer, body, load.pointer, j)}")
    for load in body.epilogue.loads:
        if load.kind == "scalar":
            writer.line(f"{load.name} = {writer.call('load_splat', load.pointer, '0')}")


def _channel_load(writer: Writer, body: Contract, pointer: str, j: int) -> str:
    index = f"channel + {j * writer.lanes}" if j else "channel"
    if body.masked:
        return writer.call("load_masked", pointer, index, f"m{j}")
    return writer.call("load", pointer, index)


def _one_block(writer: Writer, body: Contract) -> None:
    block = body.block
    oy = "row" if block.rows == 1 else f"minimum(row * {block.rows}, rows - {block.rows})"
    writer.line(f"oy = {oy}")
    if body.tail == "overlap":
        writer.line(f"ox = minimum(col * {block.columns}, cols - {block.columns})")
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
    start = "image * x_image + oy * x_row + ox * x_col + group * x_group"
    writer.line(f"xi = {start}")
    writer.line("wj = wi + image * w_image")
    if body.streamed:
        writer.line("ahead = wi + panel_size + (block - begin) * (panel_size >> slices)")
    zero = writer.constant(0.0, FLOAT32, True)
    for r, p, j in cells(block):
        writer.line(f"a{r}_{p}_{j} = {f'b{j}' if body.bias else zero}")
    with writer.block("for ky in range(kys):"), writer.block("for kx in range(kxs):"):
        writer.line("xk = xi + ky * x_ky + kx * x_kx")
        if body.stretched:
            with writer.block(f"for start in range(0, run, {STRETCH}):"):
                _stretch(writer, body, block, zero)
        else:
            _sum(writer, body, block, "0", "run", zero)
    finish_block(writer, body.epilogue, block, body.masked)


def _stretch(writer: Writer, body: Contract, block: RegisterBlock, zero: str) -> None:
    """A part of the sum on its own, then added to what there is (kept in memory meanwhile)."""
    for r, p, j in cells(block):
        writer.line(f"s{r}_{p}_{j} = a{r}_{p}_{j}")
        writer.line(f"a{r}_{p}_{j} = {zero}")
    writer.line(f"end_run = minimum(run, start + {STRETCH})")
    _sum(writer, body, block, "start", "end_run", zero)
    for r, p, j in cells(block):
        writer.line(f"a{r}_{p}_{j} = s{r}_{p}_{j} + a{r}_{p}_{j}")


def _sum(
    writer: Writer, body: Contract, block: RegisterBlock, start: str, stop: str, zero: str
) -> None:
    """Adds the products from ``start`` to ``stop`` to the accumulators."""
    chains = _chains(body, block)
    if chains == 1:
        with writer.block(f"for c in range({start}, {stop}):"):
            _multiply(writer, block)
            if not body.fixed:
                _prefetch(writer, body, block)
        return
    for chain in range(1, chains):
        for r, p, j in cells(block):
            writer.line(f"{accumulator(r, p, j, chain)} = {zero}")
    writer.line(f"whole_run = {start} + ({stop} - {start}) // {chains} * {chains}")
    with writer.block(f"for c in range({start}, whole_run, {chains}):"):
        for chain in range(chains):
            _multiply(writer, block, chain)
    with writer.block(f"for c in range(whole_run, {stop}):"):
        _multiply(writer, block)
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
    """Asks for weights before they are used.

    Streamed ones come from memory, a panel after the other. Left to the hardware, a panel's first
    block would wait for all of them, and memory rest while the others reuse them: so each block
    asks for a slice of the next panel.
    """
    if body.streamed:
        writer.line(writer.call("prefetch", "w", "ahead + (wj - wi >> slices)"))
        return
    for j in range(block.vectors):
        ahead = PREFETCH_AHEAD + j * writer.lanes
        writer.line(writer.call("prefetch", "w", f"wj + {ahead}"))


def _multiply(writer: Writer, block: RegisterBlock, chain: int = 0) -> None:
    for j in range(block.vectors):
        offset = f" + {j * writer.lanes}" if j else ""
        writer.line(f"w{j} = {writer.call('load', 'w', f'wj{offset}')}")
    ahead = f" + {chain}" if chain else ""
    for r in range(block.rows):
        for p in range(block.columns):
            row = f" + {r} * x_row" if r else ""
            col = f" + {p} * x_col" if p else ""
            writer.line(f"v = {writer.call('load_splat', 'x', f'xk{row}{col} + c{ahead}')}")
            for j in range(block.vectors):
                name = accumulator(r, p, j, chain)
                writer.line(f"{name} = {writer.call('fma', 'v', f'w{j}', name)}")
    writer.line(f"wj += {block.vectors * writer.lanes}")


def _advance(writer: Writer) -> None:
    writer.line("block += 1")
    writer.line("col += 1")
    with writer.block("if col == col_blocks:"):
        writer.line("col = 0")
        writer.line("row += 1")
        with writer.block("if row == row_blocks:"):
            writer.line("row = 0")
            writer.line("image += 1")

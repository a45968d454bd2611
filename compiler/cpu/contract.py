"""Emits ``Contract`` kernels: a block of outputs in registers, packed weights streamed past it."""

from __future__ import annotations

from ..kernels import Contract, Kernel, RegisterBlock
from ..types import FLOAT32
from .epilogue import cells, finish_block
from .writer import Writer


def emit_contract(writer: Writer, kernel: Kernel, body: Contract) -> None:
    """Writes the kernel; each thread takes a contiguous share of (chunk, panel, block) units."""
    writer.unpack(kernel.params)
    writer.use("minimum")
    block = body.block
    width = block.vectors * writer.lanes
    rounding = f" + {block.rows - 1}" if block.rows > 1 else ""
    writer.line(f"row_blocks = (rows{rounding}) // {block.rows}")
    if body.tail == "single":
        writer.line(f"whole = cols // {block.columns}")
        writer.line(f"col_blocks = whole + cols % {block.columns}")
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
    oy = "row" if block.rows == 1 else f"min(row * {block.rows}, rows - {block.rows})"
    writer.line(f"oy = {oy}")
    if body.tail == "overlap":
        writer.line(f"ox = minimum(col * {block.columns}, cols - {block.columns})")
        _micro_kernel(writer, body, block)
        return
    with writer.block("if col < whole:"):
        writer.line(f"ox = col * {block.columns}")
        _micro_kernel(writer, body, block)
    with writer.block("else:"):
        writer.line(f"ox = whole * {block.columns - 1} + col")
        _micro_kernel(writer, body, RegisterBlock(block.rows, 1, block.vectors))


def _micro_kernel(writer: Writer, body: Contract, block: RegisterBlock) -> None:
    start = "image * x_image + oy * x_row + ox * x_col + group * x_group"
    writer.line(f"xi = {start}")
    writer.line("wj = wi + image * w_image")
    zero = "" if body.bias else writer.constant(0.0, FLOAT32, True)
    for r, p, j in cells(block):
        writer.line(f"a{r}_{p}_{j} = {f'b{j}' if body.bias else zero}")
    with writer.block("for ky in range(kys):"), writer.block("for kx in range(kxs):"):
        writer.line("xk = xi + ky * x_ky + kx * x_kx")
        with writer.block("for c in range(run):"):
            _multiply(writer, block)
    finish_block(writer, body.epilogue, block, body.masked)


def _multiply(writer: Writer, block: RegisterBlock) -> None:
    for j in range(block.vectors):
        offset = f" + {j * writer.lanes}" if j else ""
        writer.line(f"w{j} = {writer.call('load', 'w', f'wj{offset}')}")
    for r in range(block.rows):
        for p in range(block.columns):
            row = f" + {r} * x_row" if r else ""
            col = f" + {p} * x_col" if p else ""
            writer.line(f"v = {writer.call('load_splat', 'x', f'xk{row}{col} + c')}")
            for j in range(block.vectors):
                writer.line(f"a{r}_{p}_{j} = {writer.call('fma', 'v', f'w{j}', f'a{r}_{p}_{j}')}")
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

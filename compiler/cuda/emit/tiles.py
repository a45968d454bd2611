"""Emits ``GridContract`` kernels with a tile: a product of matrices, a tile of it a block.

    for each step of the sum:
        all threads read the next step's operands into registers
        each adds the products of its rows and columns of this step, from shared memory
        all write what they have read to the other half of shared memory

Convolutions are products too (implicit GEMM): rows are places of the result, the sum runs over the
places and channels of the window, and what an element of ``x`` is follows from both.
"""

from __future__ import annotations

from ...ir.types import FLOAT32
from ...loops.kernel import Kernel
from ..arguments import GridContractArguments
from ..bodies import GridContract, Tile
from .epilogue import finish_element, read_channel
from .writer import Writer

ARG = GridContractArguments[str, str].names()
GROUP = 4  # elements that a thread reads side by side, and neighbours among its results
PAD = 4  # elements between rows of ``x`` in shared memory, so that writes do not meet in one bank
SUM_BLOCK = 512  # products of a block of a long sum


def emit_tiles(writer: Writer, kernel: Kernel, body: GridContract, tile: Tile) -> None:
    """Writes the kernel; blocks take tiles, those with the same rows one after another."""
    writer.unpack(kernel.params)
    writer.use("get", "put", "shared_f32", "barrier", "thread_index", "minimum")
    writer.use("zeros", "outer", "get_line", "row_of", "element")
    _Tiles(writer, body, tile).emit()


class _Tiles:
    """Writes the loop over tiles, and in each: loads, products, results."""

    def __init__(self, writer: Writer, body: GridContract, tile: Tile) -> None:
        self.writer = writer
        self.body = body
        self.tile = tile
        self.zero = writer.constant(0.0, FLOAT32)
        self.pool = body.epilogue.pool
        self.pitch = tile.rows + PAD

    def emit(self) -> None:
        writer, tile = self.writer, self.tile
        writer.line(f"x_tile = shared_f32({2 * tile.depth * self.pitch})")
        writer.line(f"w_tile = shared_f32({2 * tile.depth * tile.columns})")
        writer.line("t = thread_index()")
        across = tile.columns // tile.own
        writer.line(f"first_row = t // {across} * {GROUP}")
        writer.line(f"first_column = t % {across} * {GROUP}")
        pooled = f" * {self.pool.rows * self.pool.columns}" if self.pool else ""
        writer.line(f"count = {ARG.images} * {ARG.rows} * {ARG.cols}{pooled}")
        writer.line(f"row_tiles = (count + {tile.rows - 1}) // {tile.rows}")
        writer.line(f"column_tiles = ({ARG.channels} + {tile.columns - 1}) // {tile.columns}")
        writer.line(f"units = {ARG.batches} * {ARG.groups} * row_tiles * column_tiles")
        with writer.units("block"):
            extents = (ARG.batches, ARG.groups, "row_tiles", "column_tiles")
            names = ("batch", "group", "row_tile", "column_tile")
            writer.decode("unit", tuple(zip(names, extents, strict=True)))
            self._steps()
            self._places()
            self._sum()
            self._results()

    def _steps(self) -> None:
        """How many products there are of a sum: of a split one in this part."""
        writer = self.writer
        steps = ARG.run
        if self.body.split:
            steps = writer.call("minimum", ARG.run, f"{ARG.total} - batch * {ARG.run}")
        writer.line(f"steps = {steps}")
        writer.line(f"depth = {f'{ARG.kys} * {ARG.kxs} * ' if self.body.taps else ''}steps")

    def _places(self) -> None:
        """What this thread reads: its row and its first step of ``x``, the same of ``w``."""
        writer, tile = self.writer, self.tile
        if self.body.across:
            writer.line(f"x_row = t % {tile.rows}")
            writer.line(f"x_step = t // {tile.rows} * {GROUP}")
        else:
            writer.line(f"x_row = t // {tile.depth // GROUP}")
            writer.line(f"x_step = t % {tile.depth // GROUP} * {GROUP}")
        writer.line(f"w_step = t // {tile.columns // GROUP}")
        writer.line(f"w_column = t % {tile.columns // GROUP} * {GROUP}")
        writer.line(f"row = row_tile * {tile.rows} + x_row")
        writer.line("is_row = row < count")
        self._decode_row("row", "plain", "oy", "ox")
        shifts = (f" - {ARG.top}", f" - {ARG.left}") if self.body.padded else ("", "")
        writer.line(f"y_first = oy * {ARG.stride_y}{shifts[0]}")
        writer.line(f"x_first = ox * {ARG.stride_x}{shifts[1]}")
        own = f"batch * {ARG.x_batch} + plain * {ARG.x_image} + group * {ARG.x_group}"
        writer.line(f"x_start = {own}")
        writer.line(f"o = column_tile * {tile.columns} + w_column")
        writer.line(f"w_start = batch * {ARG.w_batch} + group * {ARG.channels} + o")
        if self.body.taps and self.body.fours:
            for name in ("x", "w"):
                self._decode_step(f"{name}_step", name)

    def _decode_row(self, row: str, plain: str, y: str, x: str) -> None:
        """The place of a row; those of a pooling window follow one another."""
        writer, pool = self.writer, self.pool
        rows, cols = ARG.rows, ARG.cols
        if pool is not None:
            writer.line(f"within = {row} % {pool.rows * pool.columns}")
            writer.line(f"window = {row} // {pool.rows * pool.columns}")
            row = "window"
        if self.body.gradient:
            writer.decode(row, ((y, rows), (x, cols), (plain, ARG.images)))
        else:
            writer.decode(row, ((plain, ARG.images), (y, rows), (x, cols)))
        if pool is not None:
            writer.line(f"{y} = {y} * {pool.rows} + within // {pool.columns}")
            writer.line(f"{x} = {x} * {pool.columns} + within % {pool.columns}")

    # The sum

    def _sum(self) -> None:
        """The first trip reads the first step; on the others it reads one ahead."""
        writer, tile = self.writer, self.tile
        blocked = self.body.blocked_sum
        results = tile.own**2
        writer.line(f"acc = zeros({results})")
        if blocked:
            writer.line(f"total = zeros({results})")
        for name in ("x", "w"):
            for index in range(GROUP):
                writer.line(f"{name}{index} = {self.zero}")
        writer.line("half = 0")
        with writer.block(f"for k in range(-{tile.depth}, depth, {tile.depth}):"):
            writer.line(f"more = k + {tile.depth} < depth")
            with writer.block("if more:"):
                self._read_x()
                self._read_w()
            with writer.block("if k >= 0:"):
                self._multiply()
                if blocked:
                    self._next_block()
            writer.line("half = 1 - half")
            with writer.block("if more:"):
                self._share()
            writer.line("barrier()")
        if blocked:
            writer.line(f"acc = {writer.call('add_tiles', 'total', 'acc')}")

    def _read_x(self) -> None:
        writer, body = self.writer, self.body
        writer.line(f"step = k + {self.tile.depth} + x_step")
        for index in range(GROUP):
            step = f"step + {index}" if index else "step"
            inside = f"is_row and {step} < depth"
            if not body.taps:
                # Where there is one place of the window, it may lie outside of the image too.
                place, inside = self._place_of("x_first", "y_first", inside)
                position = f"{place} + ({step}) * {ARG.x_run}"
            else:
                if not body.fours:
                    self._decode_step(step, "x")
                elif index == 0:
                    self._wrap("x")
                y, x = f"y_first + ky_x * {ARG.step_y}", f"x_first + kx_x * {ARG.step_x}"
                if index == 0 or not body.fours:
                    writer.line(f"iy = {y}")
                    writer.line(f"ix = {x}")
                place, inside = self._place_of("ix", "iy", inside)
                offset = f" + {index}" if index and body.fours else ""
                position = f"{place} + (c_x{offset}) * {ARG.x_run}"
            value = writer.call("get", ARG.x, position)
            writer.line(f"x{index} = {value} if {inside} else {self.zero}")
        if body.taps and body.fours:
            writer.line(f"c_x += {self.tile.depth}")

    def _place_of(self, x: str, y: str, inside: str) -> tuple[str, str]:
        place = f"x_start + {y} * {ARG.x_line} + {x} * {ARG.x_pixel}"
        if not self.body.padded:
            return place, inside
        return place, f"{inside} and 0 <= {y} < {ARG.height} and 0 <= {x} < {ARG.breadth}"

    def _read_w(self) -> None:
        writer, body = self.writer, self.body
        writer.line(f"step = k + {self.tile.depth} + w_step")
        position = f"w_start + step * {ARG.w_run}"
        if body.taps:
            if body.fours:
                self._wrap("w")
            else:
                self._decode_step("step", "w")
            taps = f"ky_w * {ARG.w_ky} + kx_w * {ARG.w_kx}"
            position = f"w_start + {taps} + c_w * {ARG.w_run}"
        writer.line(f"wi = {position}")
        for index in range(GROUP):
            offset = f" + {index}" if index else ""
            inside = f"step < depth and o{offset} < {ARG.channels}"
            value = writer.call("get", ARG.w, f"wi{offset}")
            writer.line(f"w{index} = {value} if {inside} else {self.zero}")
        if body.taps and body.fours:
            writer.line(f"c_w += {self.tile.depth}")

    def _decode_step(self, step: str, name: str) -> None:
        """A step of the sum as a place of the window and a channel."""
        axes = ((f"ky_{name}", ARG.kys), (f"kx_{name}", ARG.kxs), (f"c_{name}", "steps"))
        self.writer.decode(f"({step})", axes)

    def _wrap(self, name: str) -> None:
        """Goes on to the next places of the window, without a division."""
        writer = self.writer
        with writer.block(f"while c_{name} >= steps:"):
            writer.line(f"c_{name} -= steps")
            writer.line(f"kx_{name} += 1")
            with writer.block(f"if kx_{name} == {ARG.kxs}:"):
                writer.line(f"kx_{name} = 0")
                writer.line(f"ky_{name} += 1")

    def _share(self) -> None:
        """Writes what was read to the half of shared memory that is multiplied next."""
        writer, tile = self.writer, self.tile
        writer.line(f"at = (half * {tile.depth} + x_step) * {self.pitch} + x_row")
        for index in range(GROUP):
            offset = f" + {index * self.pitch}" if index else ""
            writer.line(f"put(x_tile, at{offset}, x{index})")
        writer.line(f"at = (half * {tile.depth} + w_step) * {tile.columns} + w_column")
        for index in range(GROUP):
            writer.line(f"put(w_tile, at{f' + {index}' if index else ''}, w{index})")

    def _multiply(self) -> None:
        writer, tile = self.writer, self.tile
        writer.line(f"xi = half * {tile.depth * self.pitch} + first_row")
        writer.line(f"wi = half * {tile.depth * tile.columns} + first_column")
        gaps = GROUP * tile.rows // tile.own, GROUP * tile.columns // tile.own
        for step in range(tile.depth):
            x = f"get_line(x_tile, xi + {step * self.pitch}, {tile.own}, {gaps[0]})"
            w = f"get_line(w_tile, wi + {step * tile.columns}, {tile.own}, {gaps[1]})"
            writer.line(f"acc = outer(acc, {x}, {w})")

    def _next_block(self) -> None:
        writer = self.writer
        with writer.block(f"if k % {SUM_BLOCK} == {SUM_BLOCK - self.tile.depth}:"):
            writer.line(f"total = {writer.call('add_tiles', 'total', 'acc')}")
            writer.line(f"acc = zeros({self.tile.own**2})")

    # Results

    def _results(self) -> None:
        """Row by row, or window by window where they are pooled."""
        writer, tile, own = self.writer, self.tile, self.tile.own
        window = GROUP if self.pool is not None else 1
        with writer.block(f"for i in range({own // window}):"):
            for member in range(window):
                index = f"i * {window} + {member}" if window > 1 else "i"
                writer.line(f"line{member} = row_of(acc, {index}, {own})")
            within = "first_row" if window > 1 else f"first_row + i % {GROUP}"
            group = "i" if window > 1 else f"i // {GROUP}"
            gap = GROUP * tile.rows // own
            writer.line(f"row = row_tile * {tile.rows} + {within} + {group} * {gap}")
            with writer.block("if row < count:"):
                self._row(window)

    def _row(self, window: int) -> None:
        writer, tile, own = self.writer, self.tile, self.tile.own
        if window > 1:
            writer.line(f"window = row // {window}")
            axes = (("plain", ARG.images), ("oy", ARG.rows), ("ox", ARG.cols))
            writer.decode("window", axes)
        else:
            self._decode_row("row", "plain", "oy", "ox")
        writer.line("image = plain" if self.body.split else "image = batch + plain")
        with writer.block(f"for j in range({own}):"):
            place = f"first_column + j % {GROUP} + j // {GROUP} * {GROUP * tile.columns // own}"
            writer.line(f"o = column_tile * {tile.columns} + {place}")
            with writer.block(f"if o < {ARG.channels}:"):
                self._element(window)

    def _element(self, window: int) -> None:
        writer, body = self.writer, self.body
        writer.line(f"channel = group * {ARG.channels} + o")
        accumulators = []
        bias = f" + {writer.call('get', ARG.epilogue.bias, 'channel')}" if body.bias else ""
        for member in range(window):
            accumulators.append(f"value{member}")
            writer.line(f"value{member} = element(line{member}, j){bias}")
        read_channel(writer, body.epilogue)
        start = f"batch * {ARG.y_batch} + " if body.split else ""
        finish_element(writer, body.epilogue, accumulators, ARG.epilogue, start)

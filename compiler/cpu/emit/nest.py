"""Emits ``Nest`` kernels: elementwise chains, reductions, normalisations, data movement.

With a vector axis, a full step handles ``LANES`` neighbours and the last one is masked; values
reduced along the vector axis are scalars from then on. Without, the same code is scalar.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ...ir.types import BOOL, FLOAT32
from ...loops.kernel import (
    Access,
    Accumulate,
    AnyLoad,
    Axis,
    Block,
    Gathered,
    Generated,
    Kernel,
    Nest,
    Number,
    Stage,
    Store,
    Term,
    stride_along,
)
from .writer import Writer

# Elements of the innermost axis that one unit of parallel work covers, in vectors.
BLOCK_VECTORS = 64
# Terms of the shorter sums that a long one is made of, in each lane: rounding goes one way where
# terms are equal, and so grows with their number.
STRETCH = 64

COMBINE = {"add": "{0} + {1}", "multiply": "{0} * {1}"}
HORIZONTAL = {
    "add": "sum_lanes",
    "multiply": "prod_lanes",
    "maximum": "max_lanes",
    "minimum": "min_lanes",
}


def emit_nest(writer: Writer, kernel: Kernel, body: Nest) -> None:
    """Writes the kernel; each thread takes a contiguous share of the parallel units."""
    writer.unpack(kernel.params)
    emitter = NestEmitter(writer, body)
    emitter.emit()


class NestEmitter:
    """Holds what the text of one nest needs: names in scope, and whether they are vectors."""

    def __init__(self, writer: Writer, body: Nest) -> None:
        self.writer = writer
        self.body = body
        self.names: dict[str, str] = {}
        self.vectors: set[str] = set()
        self.parts: dict[str, str] = {}  # sums of the stretch at hand
        self.masks = {name for stage in body.stages for name in _truths(stage)}
        reduced = {axis.name for axis in body.reduce}
        # The innermost axis is computed in vectors inside a sweep, or all along.
        self.sweep_vector = body.vector if body.vector in reduced else None
        self.unit_vector = None if self.sweep_vector else body.vector
        self.vector = self.unit_vector

    def emit(self) -> None:
        writer, axes = self.writer, self.body.parallel
        self._read_numbers()
        outer, rows, inner = self._split()
        if rows is not None and inner is not None:
            least = writer.call("maximum", "1", f"{self._block_size()} // {inner.extent}")
            writer.line(f"{rows.name}_block = {least}")
        counts = [*(a.extent for a in outer), *self._row_blocks(rows), *self._blocks(inner)]
        writer.line(f"units = {' * '.join(counts) or 1}")
        with writer.units():
            self._decode(outer, rows, inner)
            if inner is None:
                self._stages()
                return
            self._row_loop(rows, inner)
        assert axes or inner is None

    def _read_numbers(self) -> None:
        """What generated values are made of beside their index is read once."""
        for stage in self.body.stages:
            for load in (*stage.loads, *stage.after_loads):
                for index, pointer in enumerate(_numbers(load)):
                    self.writer.line(
                        f"{load.name}_{index} = {self.writer.call('get', pointer, '0')}"
                    )

    def _split(self) -> tuple[tuple[Axis, ...], Axis | None, Axis | None]:
        """The axes that a unit fixes, and the two innermost, of which it sweeps a block.

        Of the inner axis that is a stretch; where it is shorter, rows of it until it is as long.
        """
        axes = self.body.parallel
        if self.body.reduce and self.sweep_vector is None and self.unit_vector is None:
            return axes, None, None
        if self.sweep_vector is not None or not axes:
            return axes, None, None
        if self.body.reduce or len(axes) == 1:
            return axes[:-1], None, axes[-1]
        return axes[:-2], axes[-2], axes[-1]

    def _block_size(self) -> int:
        """One vector a unit while reducing (it stays in a register), else a stretch of them."""
        lanes = self.writer.lanes
        return lanes if self.body.reduce else BLOCK_VECTORS * lanes

    def _blocks(self, inner: Axis | None) -> list[str]:
        if inner is None:
            return []
        size = self._block_size()
        return [f"(({inner.extent} + {size - 1}) // {size})"]

    def _row_blocks(self, rows: Axis | None) -> list[str]:
        if rows is None:
            return []
        return [f"(({rows.extent} + {rows.name}_block - 1) // {rows.name}_block)"]

    def _decode(self, outer: tuple[Axis, ...], rows: Axis | None, inner: Axis | None) -> None:
        writer, rest = self.writer, "unit"
        if inner is not None:
            size = self._block_size()
            blocks = f"(({inner.extent} + {size - 1}) // {size})"
            writer.line(f"{inner.name}_start = unit % {blocks} * {size}")
            stop = writer.call("minimum", inner.extent, f"{inner.name}_start + {size}")
            writer.line(f"{inner.name}_stop = {stop}")
            if outer or rows:
                writer.line(f"rest = unit // {blocks}")
                rest = "rest"
        if rows is not None:
            (blocks,) = self._row_blocks(rows)
            writer.line(f"{rows.name}_start = {rest} % {blocks} * {rows.name}_block")
            end = f"{rows.name}_start + {rows.name}_block"
            writer.line(f"{rows.name}_stop = {writer.call('minimum', rows.extent, end)}")
            if outer:
                writer.line(f"rest = {rest} // {blocks}")
        for axis in reversed(outer[1:]):
            writer.line(f"{axis.name} = {rest} % {axis.extent}")
            writer.line(f"rest = {rest} // {axis.extent}")
            rest = "rest"
        if outer:
            writer.line(f"{outer[0].name} = {rest}")

    def _row_loop(self, rows: Axis | None, inner: Axis) -> None:
        if rows is None:
            self._inner_loop(inner)
            return
        name = rows.name
        with self.writer.block(f"for {name} in range({name}_start, {name}_stop):"):
            self._inner_loop(inner)

    def _inner_loop(self, inner: Axis) -> None:
        writer, name = self.writer, inner.name
        step = f", {writer.lanes}" if self.unit_vector else ""
        with writer.block(f"for {name} in range({name}_start, {name}_stop{step}):"):
            if self.unit_vector:
                writer.line(f"mask = {writer.call('first', f'{name}_stop - {name}')}")
            self._stages()

    def _stages(self) -> None:
        for stage in self.body.stages:
            self._sweep(stage)
            for load in stage.after_loads:
                self._load(load)
            self._block(stage.after)
            for store in stage.after_stores:
                self._store(store)

    def _sweep(self, stage: Stage) -> None:
        if not (stage.loads or stage.block or stage.accumulate or stage.stores):
            return
        if not self.body.reduce:
            self._visit(stage)
            return
        self.vector = self.body.vector
        for accumulate in stage.accumulate:
            self._start(accumulate)
        if self.body.stretched:
            self._stretches(stage)
        else:
            self._reduce_loops(stage, self.body.reduce)
        self.vector = self.unit_vector
        for accumulate in stage.accumulate:
            self._finish(accumulate)

    def _stretches(self, stage: Stage) -> None:
        """The sweep in stretches of the innermost axis; each has a sum of its own.

        Rows shorter than a stretch make one together: then ``terms`` counts those since it began.
        """
        writer, axes = self.writer, self.body.reduce
        sums = [a for a in stage.accumulate if a.combine == "add" and a.dtype == FLOAT32]
        for total in sums:
            self.parts[total.name] = f"{total.name}_part"
            self._start(total)
        if len(axes) > 1:
            writer.line("terms = 0")
        self._reduce_loops(stage, axes, sums)
        if len(axes) > 1:
            self._add_parts(sums)
        for total in sums:
            self.parts.pop(total.name)

    def _add_parts(self, sums: Sequence[Accumulate]) -> None:
        """Adds the sums of a stretch; the next ones start with what rounding took from that."""
        for name, part in ((total.name, self.parts[total.name]) for total in sums):
            self.writer.line(f"{name}_lost = {self.writer.call('sum_error', name, part)}")
            self.writer.line(f"{name} = {name} + {part}")
            self.writer.line(f"{part} = {name}_lost")

    def _reduce_loops(
        self, stage: Stage, axes: tuple[Axis, ...], sums: Sequence[Accumulate] = ()
    ) -> None:
        """Loops over ``axes`` around what is done at each place; ``sums`` are made of shorter."""
        if not axes:
            self._visit(stage)
            return
        axis, writer = axes[0], self.writer
        if not sums or len(axes) > 1:
            with self._reduce_loop(axis, "0", axis.extent):
                self._reduce_loops(stage, axes[1:], sums)
            return
        start, stop = f"{axis.name}_start", f"{axis.name}_stop"
        width = writer.lanes if axis.name == self.sweep_vector else 1
        length = STRETCH * width
        with writer.block(f"for {start} in range(0, {axis.extent}, {length}):"):
            end = writer.call("minimum", axis.extent, f"{start} + {length}")
            writer.line(f"{stop} = {end}")
            with self._reduce_loop(axis, start, stop):
                self._visit(stage)
            if len(self.body.reduce) == 1:
                self._add_parts(sums)
                return
            writer.line(f"terms += ({stop} - {start} + {width - 1}) // {width}")
            with writer.block(f"if terms >= {STRETCH}:"):
                self._add_parts(sums)
                writer.line("terms = 0")

    @contextmanager
    def _reduce_loop(self, axis: Axis, start: str, stop: str) -> Iterator[None]:
        """A loop over a part of ``axis``, in vectors where they lie along it."""
        writer, vector = self.writer, axis.name == self.sweep_vector
        limits = stop if start == "0" and not vector else f"{start}, {stop}"
        step = f", {writer.lanes}" if vector else ""
        with writer.block(f"for {axis.name} in range({limits}{step}):"):
            if vector:
                writer.line(f"mask = {writer.call('first', f'{axis.extent} - {axis.name}')}")
            yield

    def _visit(self, stage: Stage) -> None:
        for load in stage.loads:
            self._load(load)
        self._block(stage.block)
        for accumulate in stage.accumulate:
            self._combine(accumulate)
        for store in stage.stores:
            self._store(store)

    def _start(self, accumulate: Accumulate) -> None:
        vector = self.vector is not None
        value = self.writer.constant(accumulate.initial, accumulate.dtype, vector)
        self.writer.line(f"{self._running(accumulate)} = {value}")

    def _running(self, accumulate: Accumulate) -> str:
        """What terms are added to: the accumulator, or the sum of the stretch."""
        return self.parts.get(accumulate.name, accumulate.name)

    def _combine(self, accumulate: Accumulate) -> None:
        value, writer = self._value(accumulate.value), self.writer
        name = self._running(accumulate)
        if self.sweep_vector is not None:
            value = writer.call(
                "select", "mask", value, writer.constant(accumulate.initial, accumulate.dtype, True)
            )
        if accumulate.combine in COMBINE:
            text = COMBINE[accumulate.combine].format(name, value)
        else:
            text = writer.call(accumulate.combine, name, value)
        narrow = accumulate.dtype.is_integer
        text = f"{accumulate.dtype.name}({text})" if narrow else text
        writer.line(f"{name} = {text}")

    def _finish(self, accumulate: Accumulate) -> None:
        self.names[accumulate.name] = accumulate.name
        if self.sweep_vector is not None:
            lanes = self.writer.call(HORIZONTAL[accumulate.combine], accumulate.name)
            self.writer.line(f"{accumulate.name}_all = {lanes}")
            self.names[accumulate.name] = f"{accumulate.name}_all"
        elif self.vector is not None:
            self.vectors.add(accumulate.name)

    def _value(self, name: str) -> str:
        """The text of a value here: scalars are spread over the lanes of a vector sweep."""
        if self.vector is None or name in self.vectors:
            return self.names[name]
        if name in self.masks:
            return self.writer.call("first", f"{self.writer.lanes} if {self.names[name]} else 0")
        return self.writer.call("splat", self.names[name])

    def _block(self, block: Block) -> None:
        vector = self.vector is not None
        names = dict(self.names)
        if vector:
            used = {arg for let in block for arg in let.args if isinstance(arg, str)}
            for name in used & set(self.names) - self.vectors:
                names[name] = self._value(name)
        self.writer.emit_block(block, names, vector)
        for let in block:
            self.names[let.name] = names[let.name]
            if vector:
                self.vectors.add(let.name)

    def _load(self, load: AnyLoad) -> None:
        match load:
            case Gathered():
                text = self._gathered(load)
            case Generated():
                text = self._generated(load)
            case _:
                text = self._read(load.access)
        self.names[load.name] = load.name
        self.writer.line(f"{load.name} = {text}")
        if self.vector is not None:
            self.vectors.add(load.name)

    def _generated(self, load: Generated) -> str:
        numbers = [f"{load.name}_{index}" for index in range(len(load.numbers))]
        index = self._index(load.terms)
        if self.vector is not None:
            step = stride_along(load.terms, self.vector)
            return self.writer.call(f"{load.fn}_lanes", *numbers, index, step)
        if load.fn == "count":
            return f"{load.dtype.name}({numbers[0]} + {load.dtype.name}({index}))"
        return self.writer.call(load.fn, *numbers, index)

    def _gathered(self, load: Gathered) -> str:
        writer = self.writer
        index = writer.call("get", load.index.pointer, self._index(load.index.terms))
        writer.line(f"picked = int64({index})")
        if load.from_end:
            writer.line(f"picked = picked + {load.bound} if picked < 0 else picked")
        place = f"picked * {load.stride} + {self._index(load.access.terms)}"
        return self._read_inside(load.access, place, f"0 <= picked < {load.bound}", load.fill)

    def _read(self, access: Access) -> str:
        index = self._index(access.terms)
        if access.fill is None:
            return self._plain_read(access, index)
        inside = " and ".join(self._inside(term) for term in access.terms if term.bound)
        return self._read_inside(access, index, inside, Number.of(access.fill, access.dtype))

    def _plain_read(self, access: Access, index: str) -> str:
        writer = self.writer
        if self.vector is None:
            text = writer.call("get", access.pointer, index)
            return f"{text} != 0" if access.dtype == BOOL else text
        stride = access.stride_along(self.vector)
        if stride == "0":
            return writer.call("load_splat", access.pointer, index)
        if stride == "1":
            return writer.call("load_masked", access.pointer, index, "mask")
        raise AssertionError(f"{access.pointer} is not contiguous along {self.vector}")

    def _read_inside(self, access: Access, index: str, inside: str, fill: Number) -> str:
        """Reads outside the array give ``fill``; no address outside is ever used."""
        writer = self.writer
        writer.line(f"inside = {inside}")
        if self.vector is None or access.stride_along(self.vector) == "0":
            other = writer.constant(fill, access.dtype, False)
            text = writer.call("get", access.pointer, index)
            text = f"{text} != 0" if access.dtype == BOOL else text
            text = f"{text} if inside else {other}"
            return text if self.vector is None else writer.call("splat", text)
        other = writer.constant(fill, access.dtype, True)
        mask = f"mask & {writer.call('first', f'{writer.lanes} if inside else 0')}"
        writer.line(f"on = {mask}")
        value = writer.call("load_masked", access.pointer, index, "on")
        return writer.call("select", "on", value, other)

    def _index(self, terms: tuple[Term, ...]) -> str:
        return " + ".join(filter(None, map(self._term, terms))) or "0"

    def _term(self, term: Term) -> str:
        if term.is_plain:
            if term.axis is None or term.stride == "0":
                return ""
            return term.axis if term.stride == "1" else f"{term.axis} * {term.stride}"
        position = self._position(term)
        return position if term.stride == "1" else f"({position}) * {term.stride}"

    def _position(self, term: Term) -> str:
        shifted = _shifted(term)
        return shifted if term.divisor == 1 else f"{shifted} // {term.divisor}"

    def _inside(self, term: Term) -> str:
        text = f"0 <= {self._position(term)} < {term.bound}"
        if term.exact and term.divisor > 1:
            text += f" and {_shifted(term)} % {term.divisor} == 0"
        return text

    def _store(self, store: Store) -> None:
        writer, access = self.writer, store.access
        if self.vector is None:
            value = self.names[store.value]
            value = f"uint8({value})" if access.dtype == BOOL else value
            writer.line(writer.call("put", access.pointer, self._index(access.terms), value))
            return
        value = self._value(store.value)
        writer.line(
            writer.call("store_masked", access.pointer, self._index(access.terms), value, "mask")
        )


def _shifted(term: Term) -> str:
    axis = f"{term.axis} * {term.scale}" if term.axis else "0"
    return axis if term.offset == "0" and term.axis is None else f"({axis} + {term.offset})"


def _numbers(load: AnyLoad) -> tuple[str, ...]:
    return load.numbers if isinstance(load, Generated) else ()


def _truths(stage: Stage) -> Iterator[str]:
    """The names of truth values, which are masks in vectors: computed or read."""
    yield from (let.name for let in (*stage.block, *stage.after) if let.dtype == BOOL)
    for load in (*stage.loads, *stage.after_loads):
        if not isinstance(load, Generated) and load.access.dtype == BOOL:
            yield load.name

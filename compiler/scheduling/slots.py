"""The slots of a program under construction: one for every value, with the rows of its lifetime."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ...runtime.program import CONSTANT, LaunchRow, Location, Row, Slot
from ..ir.graph import Node
from ..ir.types import Size, TensorType, dtype_of
from ..loops.layout import Layout, Packing


@dataclass(frozen=True)
class Prepared:
    """A weight as a kernel reads it: the value of ``node``, perhaps packed."""

    node: Node
    packing: Packing | None = None


class Slots:
    """Slots in order of first use; ``rows`` grows while they are made."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.made: list[Slot] = []
        self.prepared: dict[Prepared, Location] = {}
        self._rows = rows

    def add(
        self, name: str, kind: str, type_: TensorType, layout: Layout | None = None
    ) -> Location:
        """A slot for a value of ``type_``, with room for the halo of ``layout``."""
        now, bytes_ = len(self._rows), type_.bytes if layout is None else layout.bytes
        self.made.append(Slot(name, kind, type_.dtype.name, type_.shape, bytes_, now, now))
        return Location(len(self.made) - 1)

    def constant(self, prepared: Prepared) -> Location:
        """The slot of a weight; kernels that want it in the same form share it."""
        if prepared not in self.prepared:
            type_ = prepared.node.tensor_type
            if prepared.packing is not None:
                type_ = type_.with_shape((prepared.packing.elements(type_),))
            self.prepared[prepared] = self.add(value_name(prepared.node), CONSTANT, type_)
        return self.prepared[prepared]

    def itemsize(self, place: Location) -> Size:
        return dtype_of(self.made[place.slot].dtype).itemsize

    def touch(self, slots: Iterable[int]) -> None:
        """Values live until the row that is added next."""
        self._extend(slots, len(self._rows))

    def keep_through(self, head: int, made: int) -> None:
        """Keeps what the rows from ``head`` on use alive until the last one, if it is there since
        row ``made`` or before."""
        rows = (row for row in self._rows[head:] if isinstance(row, LaunchRow))
        used = {slot for row in rows for slot in (*row.reads, *row.writes)}
        self._extend((s for s in used if self.made[s].first <= made), len(self._rows) - 1)

    def _extend(self, slots: Iterable[int], last: int) -> None:
        for slot in slots:
            self.made[slot] = replace(self.made[slot], last=last)


def value_name(node: Node) -> str:
    """What a slot is called: the name of an input or weight, else op and layers."""
    if "name" in node.attrs:
        return str(node.attrs["name"])
    layers = ", ".join(node.layers)
    return f"{node.op.name} ({layers})" if layers else node.op.name

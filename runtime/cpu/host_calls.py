"""Programs that call functions on the host: the table in stretches, and the calls between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..host_call import HostCall
from ..program import HostRow
from .binding import Binding
from .dispatcher import ROW, Dispatch


class CallingBinding(Binding):
    """As a binding without host rows, of which each costs a native call more.

    Raises ``ValueError`` for a function that nobody registered, or a row in a tile or loop.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.callers: Sequence[int] = ()
        self._steps = list(self._make_steps())
        self._walk = self._take_steps
        self.rows = sorted([*self.rows, *(index for _, index in self.calls)])

    def run(self, callers: Sequence[int]) -> None:
        self.callers = callers
        super().run(callers)

    def timed(self, callers: Sequence[int]) -> NDArray[np.float64]:
        for step in self._steps:
            step.start_timing()
        self.run(callers)
        return self.by_row(np.concatenate([step.times for step in self._steps]))

    def _take_steps(self) -> None:
        for step in self._steps:
            step.run()

    def _make_steps(self) -> Iterator[Dispatch | HostCall]:
        done = 0
        for before, index in self.calls:
            yield from self._stretch(done, before)
            row = self.program.rows[index]
            assert isinstance(row, HostRow), "only those are calls"
            yield HostCall(self, row)
            done = before
        yield from self._stretch(done, len(self.rows))

    def _stretch(self, first: int, end: int) -> Iterator[Dispatch]:
        """Some rows of the table, if any, on the arguments of all."""
        if first < end:
            whole = self.dispatch
            code = whole.code[first * ROW : end * ROW]
            words = (code, whole.args, whole.patches)
            yield Dispatch(*words, self.counters, self.threads, self.profile)

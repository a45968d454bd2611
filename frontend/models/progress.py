"""The progress line of ``fit``, ``evaluate`` and ``predict``, in Keras's form."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import TextIO

GREEN, GREY, BOLD, PLAIN = "\x1b[32m", "\x1b[37m", "\x1b[1m", "\x1b[0m"
LEAST_INTERVAL = 0.05  # seconds between two redrawings


class Progbar:
    """``3/3 ━━━━━━━━━━━━━━━━━━━━ 2s 140ms/step - loss: 2.7447``.

    Args:
        target: the number of steps; None where it is not known.
        verbose: 0 prints nothing, 1 redraws the line, 2 prints it once, at the end.
        stateful_metrics: names of values shown as they are; others are averaged over the steps.
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = LEAST_INTERVAL,
        stateful_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
        stream: TextIO | None = None,
    ) -> None:
        self.target = target
        self.width = width
        self.verbose = verbose
        self.interval = interval
        self.unit_name = unit_name
        self._stateful = set(stateful_metrics or ())
        self._stream = stream
        self._start = time.monotonic()
        self._after_first: float | None = None
        self._drawn_at = 0.0
        self._drawn_length = 0
        self._done = 0
        self._totals: dict[str, tuple[float, int]] = {}

    def update(
        self,
        current: int,
        values: Iterable[tuple[str, float]] | None = None,
        finalize: bool | None = None,
    ) -> None:
        """Shows ``current`` steps as done, and the values of the last ones."""
        last = current >= self.target if finalize is None and self.target else bool(finalize)
        self._collect(current, values or (), last)
        now = time.monotonic()
        step = self._seconds_a_step(current, now)
        if self.verbose == 1 and (last or now - self._drawn_at >= self.interval):
            self._draw(current, step, now, last)
        elif self.verbose == 2 and last and self.target:
            seconds = f"{now - self._start:.0f}s - {_duration(step, self.unit_name)}"
            self._write(f"{_count(current, self.target)} - {seconds}{self._values()}\n")

    def add(self, n: int, values: Iterable[tuple[str, float]] | None = None) -> None:
        """Shows ``n`` more steps as done."""
        self.update(self._done + n, values)

    def _collect(self, current: int, values: Iterable[tuple[str, float]], last: bool) -> None:
        steps = max(current - self._done, 1)
        for name, value in values:
            total, count = self._totals.get(name, (0.0, 0))
            alone = name in self._stateful or last
            self._totals[name] = (value, 1) if alone else (total + value * steps, count + steps)
        self._done = current

    def _seconds_a_step(self, current: int, now: float) -> float:
        """The mean over the steps; the first, which compiles, does not count beside others."""
        if not current:
            return 0.0
        if self._after_first is not None and current > 1:
            return (now - self._after_first) / (current - 1)
        if current == 1:
            self._after_first = now
        return (now - self._start) / current

    def _draw(self, current: int, step: float, now: float, last: bool) -> None:
        unfinished = bool(self.target) and not last
        left = step * ((self.target or 0) - current) if unfinished else now - self._start
        clock = _remaining(left) if unfinished else f"{left:.0f}s"
        tail = f" {_duration(step, self.unit_name)}{self._values()}"
        bar, length = self._bar(current)
        length += len(clock) + len(tail) + 1
        redraw = self._dynamic
        head = "\r" if redraw else ("\n" if self._drawn_at else "")
        blank = " " * max(self._drawn_length - length, 0) if redraw else ""
        end = "\n" if last else ""
        self._write(f"{head}{bar} {BOLD}{clock}{PLAIN}{tail}{blank}{end}")
        self._drawn_at, self._drawn_length = now, length

    def _bar(self, current: int) -> tuple[str, int]:
        """The count and the bar, and how many columns they take."""
        if not self.target:
            text = f"{current:7d}/Unknown"
            return text, len(text)
        count = _count(current, self.target)
        filled = int(self.width * min(current / self.target, 1.0))
        green = f"{GREEN}{'━' * filled}{PLAIN}" if filled else ""
        grey = f"{GREY}{'━' * (self.width - filled)}{PLAIN}"
        return f"{BOLD}{count}{PLAIN} {green}{grey}", len(count) + 1 + self.width

    def _values(self) -> str:
        return "".join(
            f" - {name}: {_number(total / max(count, 1))}"
            for name, (total, count) in self._totals.items()
        )

    @property
    def _dynamic(self) -> bool:
        stream = self._stream or sys.stdout
        return stream.isatty() or "ipykernel" in sys.modules

    def _write(self, text: str) -> None:
        # Looked up each time: tests and notebooks replace it.
        stream = self._stream or sys.stdout
        stream.write(text)
        stream.flush()


def _count(current: int, target: int) -> str:
    return f"{current:{len(str(target))}d}/{target}"


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) > 1e-3 else f"{value:.4e}"


def _remaining(seconds: float) -> str:
    whole = int(seconds)
    if whole > 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
    return f"{whole // 60}:{whole % 60:02d}" if whole > 60 else f"{whole}s"


def _duration(seconds: float, unit: str) -> str:
    if seconds >= 1 or seconds == 0:
        return f"{seconds:.0f}s/{unit}"
    return f"{seconds * 1e3:.0f}ms/{unit}" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us/{unit}"

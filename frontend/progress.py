"""The progress line of ``fit``, ``evaluate`` and ``predict``, in Keras's form."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

import numpy as np

from ..compiler.suggest import listed
from .accepted import Count, Natural
from .arguments import Checked
from .errors import UsageError

GREEN, GREY, BOLD, PLAIN = "\x1b[32m", "\x1b[37m", "\x1b[1m", "\x1b[0m"
LEAST_INTERVAL = 0.05  # seconds between two redrawings

Values = Mapping[str, Any] | Iterable[tuple[str, Any]]


class Progbar(Checked):
    """``3/3 ━━━━━━━━━━━━━━━━━━━━ 2s 140ms/step - loss: 2.7447``.

    On a terminal or in a notebook the line is redrawn as it changes; elsewhere, in a file or a
    pipe, it is written once, at the end, without a bar.

    Args:
        target: the number of steps; None where it is not known.
        verbose: 0 prints nothing, 1 redraws the line, 2 prints it once, at the end.
        interval: seconds between two redrawings at least.
        stateful_metrics: names of values shown as they are; others are averaged over the steps.
        stateless_metrics: the other way round: the only names to average.
        stream: where to print; ``sys.stdout`` unless given.
    """

    def __init__(
        self,
        target: Natural | None,
        width: Count = 20,
        verbose: int | bool = 1,
        interval: float = LEAST_INTERVAL,
        stateful_metrics: str | Iterable[str] | None = None,
        unit_name: str = "step",
        stateless_metrics: str | Iterable[str] | None = None,
        stream: TextIO | None = None,
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            raise UsageError("Progbar: expected stateful_metrics or stateless_metrics, not both")
        self.target = target
        self.width = width
        self.verbose = verbose
        self.interval = interval
        self.unit_name = unit_name
        self._stateful = set(listed(stateful_metrics or ()))
        self._stateless = None if stateless_metrics is None else set(listed(stateless_metrics))
        self._stream = stream
        self._start = time.monotonic()
        self._after_first: float | None = None
        self._drawn_at = 0.0
        self._drawn_length = 0
        self._done = 0
        self._totals: dict[str, tuple[float, int]] = {}

    def update(
        self, current: int, values: Values | None = None, finalize: bool | None = None
    ) -> None:
        """Shows ``current`` steps as done, and the values of the last ones.

        Args:
            values: pairs of name and number, or a mapping.
            finalize: whether this is the last time; unless given, whether the target is reached.
        """
        last = bool(self.target) and current >= (self.target or 0) if finalize is None else finalize
        self._collect(current, values or (), last)
        now = time.monotonic()
        step = self._seconds_a_step(current, now)
        if self._redraws:
            if last or now - self._drawn_at >= self.interval:
                self._draw(current, step, now, last)
        elif last and self.verbose and self.target:
            seconds = f"{now - self._start:.0f}s - {_duration(step, self.unit_name)}"
            self._write(f"{_count(current, self.target)} - {seconds}{self._values()}\n")

    @property
    def is_due(self) -> bool:
        """Whether ``update`` would redraw the line now: other values need not be read."""
        return self._redraws and time.monotonic() - self._drawn_at >= self.interval

    def add(self, n: int, values: Values | None = None) -> None:
        """Shows ``n`` more steps as done."""
        self.update(self._done + n, values)

    def close(self) -> None:
        """Ends a line that stays unfinished."""
        if self._drawn_length:
            self._write("\n")
            self._drawn_length = 0

    def _collect(self, current: int, values: Values, last: bool) -> None:
        steps = max(current - self._done, 1)
        for name, value in values.items() if isinstance(values, Mapping) else values:
            number = float(np.mean(value))
            total, count = self._totals.get(name, (0.0, 0))
            alone = last or not self._is_averaged(name)
            self._totals[name] = (number, 1) if alone else (total + number * steps, count + steps)
        self._done = current

    def _is_averaged(self, name: str) -> bool:
        return name not in self._stateful if self._stateless is None else name in self._stateless

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
        bar, length = self._bar(current)
        length += len(clock) + 1
        tail = f" {_duration(step, self.unit_name)}{self._values()}"
        tail = tail if last else self._cut(tail, length)
        length += len(tail)
        blank = " " * max(self._drawn_length - length, 0)
        end = "\n" if last else ""
        self._write(f"\r{bar} {BOLD}{clock}{PLAIN}{tail}{blank}{end}")
        self._drawn_at, self._drawn_length = now, 0 if last else length

    def _cut(self, tail: str, length: int) -> str:
        """What is redrawn has to fit on one row: a carriage return leads back no further."""
        if not self._stream_or_stdout.isatty():
            return tail
        return tail[: max(shutil.get_terminal_size().columns - length - 1, 0)]

    def _bar(self, current: int) -> tuple[str, int]:
        """The count and the bar, and how many columns they take."""
        if not self.target:
            text = f"{current:7d}/Unknown"
            return text, len(text)
        count = _count(current, self.target)
        filled = int(self.width * min(current / self.target, 1.0))
        dash = _dash(self._stream_or_stdout)
        green = f"{GREEN}{dash * filled}{PLAIN}" if filled else ""
        grey = f"{GREY}{dash * (self.width - filled)}{PLAIN}"
        return f"{BOLD}{count}{PLAIN} {green}{grey}", len(count) + 1 + self.width

    def _values(self) -> str:
        return "".join(
            f" - {name}: {_number(total / max(count, 1))}"
            for name, (total, count) in self._totals.items()
        )

    @property
    def _redraws(self) -> bool:
        if self.verbose != 1:
            return False
        return self._stream_or_stdout.isatty() or "ipykernel" in sys.modules

    @property
    def _stream_or_stdout(self) -> TextIO:
        # Looked up each time: tests and notebooks replace it.
        return self._stream or sys.stdout

    def _write(self, text: str) -> None:
        stream = self._stream_or_stdout
        stream.write(text)
        stream.flush()


def check_verbose(verbose: Any) -> None:
    """Raises ``ValueError`` unless ``verbose`` is 0, 1, 2 or "auto"."""
    if not isinstance(verbose, (str, int)) or verbose not in ("auto", 0, 1, 2):
        raise UsageError(f'verbose: expected 0, 1, 2 or "auto"; received {verbose!r}')


def _dash(stream: TextIO) -> str:
    try:
        "━".encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return "="
    return "━"


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

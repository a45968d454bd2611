"""What ``compare()`` measured: the variants of one graph, and the table they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from ..units import three_digits
from .table import Column, Table, TableRow

Options: TypeAlias = Mapping[str, Any]

NONE, DEFAULT = "none", "default"
BUSY = 0.25  # a spread from which on the machine was doing something else
COLUMNS = (
    Column("variant", wraps=True),
    Column("median ms", right=True),
    Column("spread", right=True),
    Column("best", right=True, minor=True),
    Column("vs none", right=True),
    Column("kernels", right=True),
    Column("launches", right=True),
    Column("MB moved", right=True),
    Column("compile s", right=True, minor=True),
    Column("|error|", right=True),
)


@dataclass(frozen=True)
class Variant:
    """One way to compile, and how it did.

    Attributes:
        options: what ``compile_graph`` was given.
        seconds: of each timed call, sorted.
        kernels, launches: distinct kernels, and launches of a call that is not tiled.
        bytes_moved: what the launches of one call read and write.
        compile_seconds: from graph to loaded kernels; ``cached_kernels`` needed no compiling.
        error: the largest difference from the reference in float64 (infinite where only one of
            both is a number), or None where that was not computed.
    """

    name: str
    options: Options
    seconds: tuple[float, ...]
    kernels: int
    launches: int
    bytes_moved: int
    compile_seconds: float
    cached_kernels: int
    error: float | None

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))

    @property
    def best(self) -> float:
        return self.seconds[0]

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a share of the median."""
        low, high = np.quantile(self.seconds, (0.25, 0.75))
        return float(high - low) / 2 / self.median

    def to_dict(self) -> dict[str, Any]:
        own = {key: value for key, value in vars(self).items() if key != "seconds"}
        options = {k: v if isinstance(v, str) else list(v) for k, v in self.options.items()}
        times = {"median": self.median, "spread": self.spread, "best": self.best}
        return {**own, "options": options, **times, "calls": len(self.seconds)}


@dataclass(frozen=True)
class Comparison:
    """Variants of one graph on one set of inputs. Printing it shows the table."""

    name: str
    sizes: Mapping[str, int]
    variants: tuple[Variant, ...]
    same: Mapping[str, str]  # variant that was left out -> the earlier one whose program it has

    def __str__(self) -> str:
        return str(self.table())

    def __repr__(self) -> str:
        return f"<comparison of {self.name}: {', '.join(v.name for v in self.variants)}>"

    def __getitem__(self, name: str) -> Variant:
        """The variant called ``name``; one that was left out gives the one it is the same as."""
        wanted = self.same.get(name, name)
        for variant in self.variants:
            if variant.name == wanted:
                return variant
        known = [*(variant.name for variant in self.variants), *self.same]
        raise KeyError(f"expected one of {', '.join(known)}; got {name!r}")

    @property
    def baseline(self) -> Variant:
        """``none``, or the first variant where there is no ``none``."""
        named = [variant for variant in self.variants if variant.name == NONE]
        return (named or list(self.variants))[0]

    @property
    def disturbed(self) -> bool:
        """Whether times vary so widely that they say little."""
        return any(variant.spread > BUSY for variant in self.variants)

    def table(self) -> Table:
        """One row a variant."""
        sizes = ", ".join(f"{name}={value}" for name, value in self.sizes.items())
        fastest = min(self.variants, key=lambda variant: variant.median)
        base = self.baseline
        columns = [
            replace(column, title=f"vs {base.name}") if column.title == "vs none" else column
            for column in COLUMNS
        ]
        rows = tuple(
            TableRow(
                _cells(variant, base), "good" if variant is fastest and not self.disturbed else ""
            )
            for variant in self.variants
        )
        title = f"{self.name}{f' ({sizes})' if sizes else ''}"
        return Table(title, tuple(columns), rows, tuple(self._notes()))

    def _notes(self) -> list[str]:
        notes = []
        left_out = [name for name, other in self.same.items() if name != DEFAULT]
        if left_out:
            passes = ", ".join(name.removeprefix("+") for name in left_out)
            notes.append(f"Passes that changed nothing: {passes}.")
        if DEFAULT in self.same:
            notes.append(f"{self.same[DEFAULT]} is what keraunos.compile does by default.")
        cached = sum(variant.cached_kernels for variant in self.variants)
        if cached:
            total = sum(variant.kernels for variant in self.variants)
            notes.append(f"{cached} of {total} kernels were in the cache and needed no compiling.")
        if self.disturbed:
            notes.append(
                "Times vary widely: this machine was busy with something else. Go by the best."
            )
        return notes

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-ready data; times in seconds."""
        return {
            "name": self.name,
            "sizes": dict(self.sizes),
            "baseline": self.baseline.name,
            "variants": [variant.to_dict() for variant in self.variants],
            "same": dict(self.same),
        }


def _cells(variant: Variant, base: Variant) -> tuple[str, ...]:
    return (
        variant.name,
        three_digits(variant.median * 1e3),
        f"±{variant.spread:.0%}",
        three_digits(variant.best * 1e3),
        f"{base.median / variant.median:.2f}×",
        str(variant.kernels),
        str(variant.launches),
        three_digits(variant.bytes_moved / 1e6),
        f"{variant.compile_seconds:.2f}",
        "" if variant.error is None else f"{variant.error:.1e}",
    )

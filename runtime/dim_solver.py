"""Finds the symbolic sizes that concrete argument shapes stand for."""

from __future__ import annotations

from collections.abc import Sequence

from .dim import Dim, Size, evaluate


def solve(
    declared: Sequence[tuple[str, tuple[Size, ...]]], shapes: Sequence[tuple[int, ...]]
) -> dict[str, int]:
    """``{"N": 32}`` from ``[("x", (N, 28))]`` and ``[(32, 28)]``.

    Raises ``ValueError`` naming the argument, what was expected and what came.
    """
    if len(declared) != len(shapes):
        raise ValueError(f"expected {len(declared)} arguments, got {len(shapes)}")
    found: dict[str, int] = {}
    for (name, wanted), shape in zip(declared, shapes, strict=True):
        if len(wanted) != len(shape):
            raise ValueError(_mismatch(name, wanted, shape, found))
        for size, value in zip(wanted, shape, strict=True):
            symbol = _plain_symbol(size)
            if symbol is not None:
                found.setdefault(symbol, value)
    for (name, wanted), shape in zip(declared, shapes, strict=True):
        if any(evaluate(s, found) != v for s, v in zip(wanted, shape, strict=True)):
            raise ValueError(_mismatch(name, wanted, shape, found))
    return found


def _plain_symbol(size: Size) -> str | None:
    if isinstance(size, Dim) and len(size.terms) == 1:
        atoms, factor = size.terms[0]
        if factor == 1 and len(atoms) == 1 and isinstance(atoms[0], str):
            return atoms[0]
    return None


def _mismatch(
    name: str, wanted: tuple[Size, ...], shape: tuple[int, ...], found: dict[str, int]
) -> str:
    expected = f"({', '.join(map(str, wanted))})"
    known = ", ".join(f"{k}={v}" for k, v in found.items())
    return f"argument {name}: expected shape {expected}, got {shape}" + (
        f" (with {known})" if known else ""
    )

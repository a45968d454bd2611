"""Finds the symbolic sizes that concrete argument shapes stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .dim import Size, coefficient, substitute


class ArgumentError(ValueError):
    """Arrays of other shapes than a program takes."""


def solve(
    declared: Sequence[tuple[str, tuple[Size, ...]]], shapes: Sequence[tuple[int, ...]]
) -> dict[str, int]:
    """``{"N": 32}`` from ``[("x", (N, 28))]`` and ``[(32, 28)]``.

    Raises ``ArgumentError`` naming the argument, what was expected and what came.
    """
    if len(declared) != len(shapes):
        raise ArgumentError(f"expected {len(declared)} arguments, got {len(shapes)}")
    found: dict[str, int] = {}
    for (name, wanted), shape in zip(declared, shapes, strict=True):
        if len(wanted) != len(shape):
            raise ArgumentError(_mismatch(name, wanted, shape, found))
        for size, value in zip(wanted, shape, strict=True):
            found.update(solve_size(size, value, found))
    for (name, wanted), shape in zip(declared, shapes, strict=True):
        if any(substitute(s, found) != v for s, v in zip(wanted, shape, strict=True)):
            raise ArgumentError(_mismatch(name, wanted, shape, found))
    return found


def solve_size(size: Size, extent: int, known: Mapping[str, int]) -> dict[str, int]:
    """The one unknown symbol of ``size`` where the size is linear in it; else nothing.

    ``{"N": 3}`` for the size ``2*N + 1`` and the extent 7.
    """
    rest = substitute(size, known)
    if isinstance(rest, int) or len(rest.symbols) != 1:
        return {}
    (name,) = rest.symbols
    factor = coefficient(rest, name)
    offset = substitute(rest, {name: 0})
    if not isinstance(factor, int) or factor == 0 or not isinstance(offset, int):
        return {}
    return {name: (extent - offset) // factor}


def _mismatch(
    name: str, wanted: tuple[Size, ...], shape: tuple[int, ...], found: dict[str, int]
) -> str:
    expected = f"({', '.join(map(str, wanted))})"
    known = ", ".join(f"{k}={v}" for k, v in found.items())
    return f"argument {name}: expected shape {expected}, got {shape}" + (
        f" (with {known})" if known else ""
    )

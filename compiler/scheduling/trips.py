"""The rows of one trip through a loop: what they are where each step has rows of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ...runtime.program import Argument, LaunchRow, Location, Move, Row
from ..ir.types import Size


def at_trip(rows: Sequence[Row], loop: int, trip: int) -> Iterator[Row]:
    """The rows of a step of the loop that has ``loop`` others around it, as they are at that trip.

    The addresses that move with the loop stand still there. Loops inside of it have one less around
    them.
    """
    for row in rows:
        if not isinstance(row, LaunchRow):
            yield row
            continue
        yield replace(row, arguments=tuple(_at_trip(each, loop, trip) for each in row.arguments))


def _at_trip(argument: Argument, loop: int, trip: int) -> Argument:
    if not isinstance(argument, Location) or not argument.moves:
        return argument
    offset: Size = argument.offset
    for move in argument.moves:
        if move.loop == loop:
            offset = offset + move.bytes * (trip % 2 if move.alternate else trip)
    return Location(argument.slot, offset, tuple(_around_less(argument.moves, loop)))


def _around_less(moves: Sequence[Move], loop: int) -> Iterator[Move]:
    for move in moves:
        if move.loop != loop:
            yield move if move.loop < loop else replace(move, loop=move.loop - 1)

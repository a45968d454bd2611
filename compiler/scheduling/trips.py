"""The rows of one trip through a loop: what they are where each step has rows of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ...runtime.program import Argument, GuardRow, LaunchRow, Location, Move, Row
from ..ir.types import Size


def at_trip(rows: Sequence[Row], loop: int, trip: int) -> Iterator[Row]:
    """The rows of a step of the loop that has ``loop`` others around it, as they are at that trip.

    The addresses that move with the loop stand still there. Loops inside of it have one less around
    them.
    """
    for row in rows:
        if isinstance(row, LaunchRow):
            moved = tuple(_at_trip(each, loop, trip) for each in row.arguments)
            yield replace(row, arguments=moved)
        elif isinstance(row, GuardRow):
            yield replace(row, flag=_location_at_trip(row.flag, loop, trip))
        else:
            yield row


def _at_trip(argument: Argument, loop: int, trip: int) -> Argument:
    return _location_at_trip(argument, loop, trip) if isinstance(argument, Location) else argument


def _location_at_trip(location: Location, loop: int, trip: int) -> Location:
    if not location.moves:
        return location
    offset: Size = location.offset
    for move in location.moves:
        if move.loop == loop:
            offset = offset + move.bytes * (trip % 2 if move.alternate else trip)
    return Location(location.slot, offset, tuple(_around_less(location.moves, loop)))


def _around_less(moves: Sequence[Move], loop: int) -> Iterator[Move]:
    for move in moves:
        if move.loop != loop:
            yield move if move.loop < loop else replace(move, loop=move.loop - 1)

"""The passes in the order they run: one straight list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..runtime.config import config
from .context import Context, PassFunction
from .decisions import Decisions
from .ir.graph import Graph, IRError
from .ir.verify import verify
from .ops.stepping import FULL, Unroll
from .passes.expand import expand
from .passes.fold_batch_norm import fold_batch_norm
from .passes.fold_constants import fold_constants
from .passes.fold_tables import fold_tables
from .passes.hoist import hoist
from .passes.inline import inline
from .passes.reductions import reductions
from .passes.retain import retain
from .passes.simplify import simplify
from .passes.sink import sink
from .passes.trim import trim
from .passes.unpad import unpad
from .passes.unroll import unroll
from .passes.wavefront import wavefront
from .passes.widen import widen
from .suggest import did_you_mean, listed
from .target import Target

# Those of every target; what follows is the target's own.
NEUTRAL: tuple[PassFunction, ...] = (
    widen,
    simplify,
    fold_constants,
    fold_batch_norm,
    expand,
    simplify,  # what the expansion brought
    trim,
    wavefront,
    hoist,
    fold_tables,
    retain,
    sink,
    inline,
    unroll,
    simplify,  # first steps, which know the states that they begin with
    unpad,
    reductions,
)
TRACE = "trace"
_OTHER_NAMES = {"passes": ("default", "none"), "disable": (), "stop_after": (TRACE,)}
# Forks and batch tiling work on the schedule; they are chosen by name beside the passes.
FORK, TILE = "fork", "tile"
_LATER_NAMES = {"passes": (FORK, TILE), "disable": (FORK, TILE), "stop_after": ()}


@dataclass(frozen=True)
class Stages(Mapping[str, Graph]):
    """The graph before any pass, under ``trace``, and after each that ran, in order.

    A pass that runs a second time is ``simplify_2``.
    """

    graphs: tuple[tuple[str, Graph], ...]

    @property
    def last(self) -> Graph:
        return self.graphs[-1][1]

    def __getitem__(self, name: str) -> Graph:
        found = dict(self.graphs)
        if name not in found:
            known = ", ".join(found)
            raise KeyError(f"stages: {known}; got {name!r}{did_you_mean(name, found)}")
        return found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self.graphs))

    def __len__(self) -> int:
        return len(self.graphs)


def optimize(
    graph: Graph,
    target: Target[Any],
    passes: str | Iterable[str] = "default",
    disable: str | Iterable[str] = (),
    stop_after: str | None = None,
    decisions: Decisions | None = None,
    unroll: bool | int | None = None,
) -> Stages:
    """Runs the passes over ``graph`` for ``target``; each says in ``decisions`` what it decided.

    ``passes`` is ``"default"``, ``"none"`` or names to choose from the list, whose order stays;
    ``disable`` names passes to skip. After the stage ``stop_after``, and under ``"none"``, only the
    ``mandatory`` passes run, without which there are no kernels. A pass that runs twice answers to
    its name, each run to its stage name. Verifies after each pass unless ``config.verify`` is off.
    ``unroll`` says what becomes of every loop of known length: True lays out all steps, False none,
    a number so many in one; None leaves it to the loops, and to the pass.

    Raises:
        IRError: a name is unknown, ``unroll`` is no such thing or its pass does not run, or a pass
            made a malformed graph, which is a bug.
    """
    chosen = _choose(target, passes, disable, stop_after)
    how = _how_to_unroll(unroll, chosen)
    context = Context(target, Decisions() if decisions is None else decisions, how)
    graphs = [(TRACE, graph)]
    _check(graph, TRACE)
    for stage, run in chosen:
        before, graph = graph, run(graph, context)
        if graph is not before:
            _check(graph, stage)
        graphs.append((stage, graph))
    return Stages(tuple(graphs))


def _how_to_unroll(
    wanted: bool | int | None, chosen: Sequence[tuple[str, PassFunction]]
) -> Unroll | None:
    """The option ``unroll`` in the words of a scan."""
    if wanted is None:
        return None
    if not isinstance(wanted, int) or (wanted < 1 and wanted is not False):
        raise IRError(
            f"unroll: expected True, False, or how many steps there are in one from 1 on; got "
            f"{wanted!r}"
        )
    if wanted is not False and unroll not in [run for _, run in chosen]:
        raise IRError(f"unroll={wanted!r}: expected the pass unroll to run; it is left out")
    return (FULL if wanted else 1) if isinstance(wanted, bool) else wanted


def passes_for(target: Target[Any]) -> tuple[PassFunction, ...]:
    """The default passes in order: those of every target, then its own."""
    return (*NEUTRAL, *target.passes)


def mandatory(target: Target[Any]) -> frozenset[PassFunction]:
    """The passes that always run: kernels need primitives, laid out as they read them."""
    return frozenset({widen, expand, *target.mandatory})


def stage_names(target: Target[Any]) -> tuple[str, ...]:
    """The names of the default stages in order, without ``trace``."""
    return tuple(name for name, _ in _stages(target))


def _stages(target: Target[Any]) -> tuple[tuple[str, PassFunction], ...]:
    passes = passes_for(target)
    return tuple((_stage_name(index, passes), run) for index, run in enumerate(passes))


def _stage_name(index: int, passes: Sequence[PassFunction]) -> str:
    name = passes[index].__name__
    earlier = passes[:index].count(passes[index])
    return f"{name}_{earlier + 1}" if earlier else name


def _choose(
    target: Target[Any],
    passes: str | Iterable[str],
    disable: str | Iterable[str],
    stop_after: str | None,
) -> list[tuple[str, PassFunction]]:
    names = stage_names(target)
    wanted = _wanted(passes, names)
    left_out = _known(listed(disable), "disable", names)
    needed = mandatory(target)
    _check_optional(left_out, needed)
    last = _known([stop_after] if stop_after is not None else [], "stop_after", names)
    chosen: list[tuple[str, PassFunction]] = []
    stopped = stop_after == TRACE
    for stage, run in _stages(target):
        own = {stage, run.__name__}
        optional = not stopped and own & wanted and not own & left_out
        if optional or run in needed:
            chosen.append((stage, run))
        stopped = stopped or bool(own & last)
    return chosen


def _wanted(passes: str | Iterable[str], stages: Sequence[str]) -> frozenset[str]:
    names = listed(passes)
    if names == ("default",):
        return frozenset(stages)
    return frozenset() if names == ("none",) else _known(names, "passes", stages)


def _check_optional(disabled: frozenset[str], mandatory: frozenset[PassFunction]) -> None:
    needed = sorted(disabled & {run.__name__ for run in mandatory})
    if needed:
        raise IRError(f"disable: {', '.join(needed)} cannot be disabled; kernels need it")


def _known(names: Sequence[str], option: str, stages: Sequence[str]) -> frozenset[str]:
    """``names`` as a set; raises one ``IRError`` for all that are unknown."""
    known = dict.fromkeys((*_OTHER_NAMES[option], *stages, *_LATER_NAMES[option]))
    wrong = [f"{name!r}{did_you_mean(str(name), known)}" for name in names if name not in known]
    if wrong:
        raise IRError(f"{option}: expected {', '.join(known)}; got {', '.join(wrong)}")
    return frozenset(names)


def _check(graph: Graph, stage: str) -> None:
    if config.verify:
        verify(graph, stage)

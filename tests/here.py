"""This machine as a target, for tests that call one arrow of the compiler."""

from keraunos.compiler.context import Context
from keraunos.compiler.decisions import Decisions
from keraunos.compiler.targets import CPU, target_named
from keraunos.runtime.cpu.host import Host

HERE = target_named(CPU)


def context(decisions: Decisions | None = None, unroll: int | str | None = None) -> Context[Host]:
    """What a pass is given."""
    return Context(HERE, Decisions() if decisions is None else decisions, unroll)

"""Every reason that the compiler gives, and every case it is careful about, through the kernels.

``tests/guards`` has a table for each pass: the smallest graph on which a code is recorded
(``CODES``), and graphs that another rewrite would spoil, without a word (``SILENT``).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from agreement import assert_computes
from graphs import random_arguments
from guards import (
    fold_batch_norm,
    fold_constants,
    fold_tables,
    fuse,
    indices,
    loops,
    memory,
    reductions,
    simplify,
    sizes,
    tile,
    unpad,
    winograd,
)
from kernel_machine import Supervised
from machines import machine, target_of

import keraunos
from keraunos.compiler.executable import Executable, compile_graph
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph
from keraunos.compiler.ir.parser import parse_ir

SINGLE: tuple[ModuleType, ...] = (
    *(fuse, fold_batch_norm, fold_constants, fold_tables, reductions, tile, unpad, winograd),
)
CODES: Mapping[str, Mapping[str, str]] = {
    **{module.__name__.split(".")[-1]: module.CODES for module in SINGLE},
    **loops.CODES,
}
GUARDED = [(stage, code) for stage, codes in CODES.items() for code in codes]
SILENT = {
    f"{module.__name__.split('.')[-1]}: {name}": text
    for module in (*SINGLE, loops, memory)
    for name, text in module.SILENT.items()
}
EXACT = simplify.EXACT | indices.EXACT
# Images, sequences and batches of several sizes; from eight samples on, threads take some each.
SIZES = ({"N": 1, "T": 1, "H": 6, "W": 7}, {"N": 3, "T": 4, "H": 7, "W": 5}, {"N": 9, "T": 3})
TARGET = target_of(machine())
SUPERVISED = {"N": 3, "T": 3, "H": 6, "W": 5}


def arguments(
    graph: Graph, seed: int, bound: Mapping[str, int]
) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    return random_arguments(graph, seed, {"H": 6, "W": 5, **bound})


def check(graph: Graph) -> Executable:
    """Compiles ``graph`` and holds it against the interpreter, in three sizes."""
    run = compile_graph(graph, target=TARGET)
    _, parameters = arguments(graph, 0, SUPERVISED)
    for seed, bound in enumerate(SIZES):
        run.set_parameters(parameters)
        inputs, _ = arguments(graph, seed, bound)
        results = run(*inputs)
        updated = (run.state[parameter.attrs["name"]] for parameter in graph.updates)
        assert_computes((*results, *updated), graph, inputs, parameters)
    return run


@pytest.mark.parametrize(("stage", "code"), GUARDED)
def test_a_code_is_recorded_and_the_values_are_right(
    stage: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keraunos.compiler.passes.fuse.STRUCTURAL", frozenset())
    run = check(parse_ir(CODES[stage][code]))
    assert code in {decision.reason for decision in run.decisions.of_stage(stage)}


@pytest.mark.parametrize("name", SILENT)
def test_what_is_left_alone_without_a_word(name: str) -> None:
    check(parse_ir(SILENT[name]))


@pytest.mark.parametrize("name", EXACT)
def test_what_nearly_holds_is_exact(name: str) -> None:
    """In float64 nothing is rounded, so what counts is the graph as typed."""
    graph = parse_ir(EXACT[name])
    inputs, _ = arguments(graph, 0, {"N": 9})
    run = compile_graph(graph, target=TARGET)
    for found, expected in zip(run(*inputs), evaluate(graph, inputs), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", memory.SILENT)
def test_no_kernel_leaves_its_operands_memory(name: str) -> None:
    graph = parse_ir(memory.SILENT[name])
    inputs, parameters = arguments(graph, 3, SUPERVISED)
    assert_computes(
        Supervised(graph, parameters, target=TARGET)(*inputs, seed=1), graph, inputs, parameters
    )


@pytest.mark.parametrize("passes", ["default", "none"])
@pytest.mark.parametrize("name", memory.UPDATES)
def test_parameters_are_read_before_they_are_written(name: str, passes: str) -> None:
    graph = parse_ir(memory.UPDATES[name])
    run = compile_graph(graph, passes=passes, target=TARGET)
    inputs, values = arguments(graph, 0, {"N": 5})
    run.set_parameters(values)
    for _ in range(3):
        expected = evaluate(graph, inputs, values)
        np.testing.assert_allclose(run(*inputs)[0], expected[0], rtol=1e-5, atol=1e-5)
        new = expected[len(graph.returned) :]
        values |= {n.attrs["name"]: v for n, v in zip(graph.updates, new, strict=True)}
        for parameter, value in values.items():
            np.testing.assert_allclose(run.state[parameter], value, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", sizes.REFUSED)
def test_sizes_that_make_no_sense_are_refused(name: str) -> None:
    text, wrong, right, message = sizes.REFUSED[name]
    graph = parse_ir(text)
    run = compile_graph(graph, target=TARGET)
    inputs, parameters = arguments(graph, 0, right)
    run.set_parameters(parameters)
    assert_computes(run(*inputs), graph, inputs, parameters)
    inputs, _ = arguments(graph, 0, wrong)
    with pytest.raises(ValueError, match=re.escape(message)):
        run(*inputs)


# No code without a graph


def recorded() -> set[str]:
    """The codes in the compiler's source."""
    folder = Path(keraunos.__file__).parent / "compiler"
    return {code for path in folder.rglob("*.py") for code in codes_of(ast.parse(path.read_text()))}


def codes_of(tree: ast.AST) -> Iterator[str]:
    """Codes in capitals: arguments of decisions, the first of a pair with words after it."""
    for node in ast.walk(tree):
        found: Sequence[ast.expr | None] = ()
        if isinstance(node, ast.Tuple) and len(node.elts) == 2:
            found = node.elts[:1]
        elif isinstance(node, ast.Call):
            found = [*node.args, *(each.value for each in node.keywords)]
        for each in found:
            if isinstance(each, ast.Constant) and isinstance(each.value, str):
                code = each.value
                if len(code) > 2 and code.replace("_", "").isalpha() and code.isupper():
                    yield code


# Codes that hang on options, threads and known lengths have their graphs in tests of their own.
APART = ("test_forks.py", "test_unroll.py", "test_wavefront.py")


def told_apart() -> set[str]:
    """The codes that tests of their own expect."""
    texts = [Path(__file__).with_name(name).read_text("utf-8") for name in APART]
    return {
        code for text in texts for code in re.findall(r'== \[?(?:\(".*", )?"([A-Z_]{3,})"', text)
    }


def test_each_code_has_a_graph() -> None:
    assert {code for _, code in GUARDED} | told_apart() == recorded()

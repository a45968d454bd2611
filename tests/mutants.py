"""Dumps of all kinds, and broken copies of them.

    texts = dumps()
    text = mutant(random.Random(7), texts)

A mutant has one or a few small injuries: characters and tokens lost, doubled, swapped or replaced
by odd ones, lines moved, pieces of another dump put in.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

import numpy as np
from graphs import random_graph
from here import HERE
from scan_graphs import random_scan_graph
from wild_graphs import wild_graph

import keraunos as keras
from keraunos.compiler.ir.graph import Graph
from keraunos.compiler.ir.printer import format_graph
from keraunos.compiler.ops import all_ops
from keraunos.compiler.ops.core import constant
from keraunos.compiler.pipeline import optimize

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[%$]?[\w.]+|\s+|.')
ODD = (
    *("-1", "0", "1", "2", "3", "64", "2147483648", "9223372036854775807", "9223372036854775808"),
    *("99999999999999999999", "9" * 400, "-9223372036854775808", "1000000000000", "1e400", "1e-46"),
    *("nan", "inf", "-inf", "-nan", "True", "None", "0.5", "1.", "-0.0", "N", "N*N", "-N", "N//2"),
    *("N//0", "(N + M)*(N - M)", "((((N//2)//2)//2)//2)", "M", "f32", "bool", "f32[2]", "f64(1.5)"),
    *("i8(300)", "i64(3)", "f32[2]([1.0, 2.0])", "f32[0]([])", "f32[1000000000000]", "f32[-1]"),
    *("()", "(1,)", "(0, 0)", "(1, 1)", "(-1, 2)", "(1000000000000,)", "((1, 1), (0, 2))", "[]"),
    *('"valid"', '"same"', '"full"', '"\\q"', '"\\ud800"', '"\x01"', '"', "%", "$", "%x", "%0"),
    *("{", "}", "(", ")", "[", "]", ",", "=", ":", "->", "...", "#", "# a.py:3", "\n", "\\", "//"),
    *("item(%0, index=0)", "return", "update", "graph", "body", "constant", "label", "\u0663"),
    *("\U0001087e", "\ud800", "\x00", "é", "(" * 150, "[" * 150, "-" * 3000, "{" * 50),
)


def dumps() -> list[str]:
    """Texts of models, training steps, loops, fused graphs, random graphs and constants."""
    plain = [make(seed) for make in (wild_graph, random_graph) for seed in range(12)]
    graphs = [*plain, *map(random_scan_graph, range(8)), constants(), *steps()]
    fused = [optimize(graph, HERE).last for graph in graphs[::4]]
    return [format_graph(graph) for graph in (*graphs, *fused)]


def constants() -> Graph:
    """Constants of each dtype, small and large, and of no elements."""
    arrays = [np.arange(40).reshape(4, 10).astype(t) for t in ("f4", "f8", "i1", "i4", "i8", "u1")]
    more = [np.ones((3, 20), bool), np.zeros((0, 3), "f4"), np.array([1e-45, np.nan], "f4")]
    return Graph("constants", (), tuple(map(constant, [*arrays, *more])))


def steps() -> list[Graph]:
    """Training steps: a dense one with dropout, a convolutional one, a recurrent one."""
    layers = keras.layers
    dense = [layers.Dense(5, "relu"), layers.Dropout(0.5), layers.Dense(3, "softmax")]
    image = [layers.Conv2D(4, 3, padding="same"), layers.BatchNormalization(), layers.ReLU()]
    image += [layers.MaxPooling2D(), layers.Flatten(), layers.Dense(3, "softmax")]
    found = []
    for shape, stack in (((4,), dense), ((6, 6, 2), image)):
        model = keras.Sequential([keras.Input(shape), *stack])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        found.append(model.training_step(np.ones((2, *shape), "f4"), np.zeros(2, "i4")).graph)
    return found


Injury = Callable[[random.Random, Sequence[str], list[str]], None]


def _lose(rng: random.Random, texts: Sequence[str], tokens: list[str]) -> None:
    at = rng.randrange(len(tokens))
    del tokens[at : at + rng.choice([1, 1, 1, 3, 20])]


def _double(rng: random.Random, texts: Sequence[str], tokens: list[str]) -> None:
    at = rng.randrange(len(tokens))
    tokens[at:at] = tokens[at : at + rng.choice([1, 1, 3, 20])]


def _replace(rng: random.Random, texts: Sequence[str], tokens: list[str]) -> None:
    tokens[rng.randrange(len(tokens))] = rng.choice(ODD)


def _replace_value(rng: random.Random, texts: Sequence[str], tokens: list[str]) -> None:
    """What stands in brackets or after ``=`` becomes odd."""
    places = [i for i, token in enumerate(tokens) if re.fullmatch(r"-?\d[\d.]*|[NTMHW]", token)]
    if places:
        tokens[rng.choice(places)] = rng.choice(ODD)


def _insert(rng: random.Random, texts: Sequence[str], tokens: list[str]) -> None:
    tokens.insert(rng.randrange(len(tokens)), rng.choice(ODD))


def _swap(rng: random.Random, texts: Sequence[str], tokens: list[str]) -> None:
    a, b = rng.randrange(len(tokens)), rng.randrange(len(tokens))
    tokens[a], tokens[b] = tokens[b], tokens[a]


def _other_op(rng: random.Random, texts: Sequence[str], tokens: list[str]) -> None:
    names = [op.name for op in all_ops()]
    places = [i for i, token in enumerate(tokens) if token in names]
    if places:
        tokens[rng.choice(places)] = rng.choice(names)


def _other_name(rng: random.Random, texts: Sequence[str], tokens: list[str]) -> None:
    places = [i for i, token in enumerate(tokens) if token[0] in "%$" and len(token) > 1]
    if len(places) > 1:
        tokens[rng.choice(places)] = tokens[rng.choice(places)]


def _splice(rng: random.Random, texts: Sequence[str], tokens: list[str]) -> None:
    lines = rng.choice(texts).splitlines(keepends=True)
    tokens.insert(rng.randrange(len(tokens)), rng.choice(lines))


def _character(rng: random.Random, texts: Sequence[str], tokens: list[str]) -> None:
    at = rng.randrange(len(tokens))
    text = tokens[at]
    cut = rng.randrange(len(text))
    put = rng.choice(["", chr(rng.randrange(1, 128)), chr(rng.randrange(1, 0x11000))])
    tokens[at] = text[:cut] + put + text[cut + 1 :]


INJURIES: tuple[Injury, ...] = (
    *(_lose, _double, _replace, _replace_value, _replace_value, _insert),
    *(_swap, _other_op, _other_op, _other_name, _splice, _character),
)


def mutant(rng: random.Random, texts: Sequence[str]) -> str:
    """One of ``texts`` with one to three injuries."""
    tokens = TOKEN.findall(rng.choice(texts).replace("\n", " \n"))
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        if tokens:
            tokens = [token for token in tokens if token]
            rng.choice(INJURIES)(rng, texts, tokens)
    return "".join(tokens)

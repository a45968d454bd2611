"""Decoding what a model trained by CTC says, against the sum over all ways to say it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import keraunos
from keraunos import layers, ops
from keraunos.frontend.errors import UsageError

LOGITS = np.random.default_rng(3).standard_normal((2, 4, 3)).astype("float32") * 2


def said(path: Any, blank: int) -> tuple[int, ...]:
    return tuple(int(label) for label, _ in itertools.groupby(path) if label != blank)


def all_ways(logits: np.ndarray, blank: int) -> list[tuple[float, tuple[int, ...]]]:
    """Each sequence of labels with the logarithm of its probability, the likeliest first."""
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    steps, classes = logits.shape
    found: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(classes), repeat=steps):
        labels = said(path, blank)
        found[labels] = found.get(labels, 0.0) + float(shares[np.arange(steps), path].prod())
    return sorted(((np.log(p), labels) for labels, p in found.items()), reverse=True)


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("lengths", [(4, 4), (2, 3)])
def test_a_wide_beam_finds_the_likeliest_labels(blank: int, lengths: tuple[int, int]) -> None:
    labels, scores = ops.ctc_decode(
        LOGITS, np.array(lengths), "beam_search", beam_width=50, top_paths=3, mask_index=blank
    )
    assert labels.shape == (3, 2, 4) and labels.dtype == "int32"
    assert scores.shape == (2, 3) and scores.dtype == "float32"
    for sample, length in enumerate(lengths):
        wanted = all_ways(LOGITS[sample, :length], blank)[:3]
        np.testing.assert_allclose(scores[sample], [score for score, _ in wanted], rtol=1e-5)
        for place, (_, path) in enumerate(wanted):
            assert labels[place, sample].tolist() == [*path, *[-1] * (4 - len(path))]


def test_a_narrow_beam_and_more_paths_than_there_are() -> None:
    labels, scores = ops.ctc_decode(LOGITS, [4, 4], "beam_search", beam_width=2, top_paths=5)
    assert labels.shape == (5, 2, 4)
    assert (labels[2:] == -1).all() and np.isneginf(scores[:, 2:]).all()


def test_the_likeliest_steps() -> None:
    rows = np.eye(3, dtype="float32")[[[1, 1, 0, 1, 2, 2]]] * 3
    labels, scores = ops.ctc_decode(rows, np.array([6]))
    assert labels.tolist() == [[[1, 1, 2, -1, -1, -1]]]
    np.testing.assert_allclose(scores, [[-18]])
    apart, _ = ops.ctc_decode(rows, np.array([5]), merge_repeated=False)
    assert apart.tolist() == [[[1, 1, 1, 2, -1, -1]]]
    last, _ = ops.ctc_decode(rows, np.array([6]), mask_index=None)
    assert last.tolist() == [[[1, 0, 1, -1, -1, -1]]]


@pytest.mark.parametrize(("call", "message"), [
    (lambda: ops.ctc_decode(LOGITS, [4]), r"lengths of shape \(N,\)"),
    (lambda: ops.ctc_decode(LOGITS, [4, 4], mask_index=3), "mask_index below 3 classes"),
    (lambda: ops.ctc_decode(LOGITS, [4, 4], "best"), "'greedy', 'beam_search'"),
    (lambda: ops.ctc_decode(LOGITS, [4, 4], "beam_search", merge_repeated=False), "with a search"),
    (lambda: ops.ctc_decode(keraunos.Input((4, 3)), [4]), r"decode\(model.predict"),
])  # fmt: skip
def test_what_cannot_be_decoded(call: Any, message: str) -> None:
    with pytest.raises((UsageError, TypeError), match=message):
        call()


def test_lengths_of_labels_and_steps_count() -> None:
    target = np.array([[1, 2, 1], [2, 2, 1]])
    found = ops.ctc_loss(target, LOGITS, np.array([2, 1]), np.array([4, 3]))
    wanted = [
        -{path: score for score, path in all_ways(LOGITS[sample, :steps], 0)}[labels]
        for sample, (steps, labels) in enumerate([(4, (1, 2)), (3, (2,))])
    ]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.slow
def test_what_was_learned_is_decoded() -> None:
    random = np.random.default_rng(0)
    words = random.integers(1, 4, (64, 3))
    words[:, 1] = words[:, 0] % 3 + 1
    x = np.eye(4, dtype="float32")[np.repeat(np.insert(words, [1, 2], 0, axis=1), 2, axis=1)]
    model = keraunos.Sequential([keraunos.Input((10, 4)), layers.Dense(4)])
    model.compile(keraunos.optimizers.Adam(0.1), keraunos.losses.CTC())
    model.fit(x, words, epochs=40, verbose=0)
    labels, _ = ops.ctc_decode(model.predict(x, verbose=0), np.full(64, 10), "beam_search", 10)
    np.testing.assert_array_equal(labels[0, :, :3], words)

"""Random numbers and counting: the same bits everywhere, and no pattern in them."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_machine import Supervised

from keraunos.compiler import ops
from keraunos.compiler.autodiff import gradients
from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph, IRError
from keraunos.compiler.ir.types import parse_type
from keraunos.runtime.threefry import threefry, uniform

KEY = np.array([12, -7], np.int32)


@pytest.mark.parametrize(
    ("key", "counter", "words"),
    [
        ((0, 0), (0, 0), (0x9D1C5EC6, 0x8BD50731)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0xFD36D048, 0x2D17272C)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xBA3E4725, 0xF27D669E)),
    ],
)
def test_cipher_gives_the_vectors_of_its_authors_library(key, counter, words):
    index = np.uint64(counter[0] | counter[1] << 32)
    assert tuple(map(int, threefry(np.array(key, np.uint32), index))) == words


@pytest.fixture(scope="module")
def drawn():
    return uniform(KEY, np.arange(1 << 20))


def test_numbers_are_spread_evenly(drawn):
    assert drawn.dtype == np.float32
    assert drawn.min() >= 0
    assert drawn.max() < 1
    n = drawn.size
    assert abs(drawn.mean() - 0.5) < 4 * np.sqrt(1 / 12 / n)
    assert abs(drawn.var() - 1 / 12) < 4 * np.sqrt(1 / 180 / n)
    counts = np.bincount((drawn * 1000).astype(int), minlength=1000)
    chi_square = ((counts - n / 1000) ** 2 / (n / 1000)).sum()
    assert abs(chi_square - 999) < 4 * np.sqrt(2 * 999)


@pytest.mark.parametrize("lag", [1, 2, 16, 1024])
def test_neighbours_are_independent(drawn, lag):
    counts, _, _ = np.histogram2d(drawn[:-lag], drawn[lag:], 32, [[0, 1], [0, 1]])
    expected = counts.sum() / 1024
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi_square - 1023) < 4 * np.sqrt(2 * 1023)


@pytest.mark.parametrize("change", [(1, 0), (0, 1), (1 << 20, 0), (0, 1 << 31), (1, -1)])
def test_neighbouring_keys_share_nothing(drawn, change):
    other = uniform(KEY.astype(np.int64) + change, np.arange(drawn.size))
    correlation = np.corrcoef(drawn, other)[0, 1]
    assert abs(correlation) < 4 / np.sqrt(drawn.size)
    assert (drawn == other).mean() < 1e-5


def test_a_bit_of_key_or_index_changes_half_of_the_word():
    """Of the word that is used; 64 bits of key and 64 of index, each over 4096 indices."""
    index = np.arange(4096, dtype=np.uint64)
    word, _ = threefry(KEY, index)
    for bit in range(64):
        low, high = np.uint32((1 << bit) & 0xFFFFFFFF), np.uint32(1 << bit >> 32)
        key = KEY.view(np.uint32) ^ np.array([low, high])
        flips = [threefry(key, index)[0], threefry(KEY, index ^ np.uint64(1 << bit))[0]]
        for changed in flips:
            ones = np.unpackbits((word ^ changed).view(np.uint8)).reshape(4096, 32).mean(0)
            assert np.abs(ones - 0.5).max() < 5 * 0.5 / np.sqrt(4096), bit


def dropout_graph(symbolic=True):
    x = ops.input_("x", parse_type("f32[N, 3, 37]" if symbolic else "f32[5, 3, 37]"))
    key = ops.input_("key", parse_type("i32[2]"))
    kept = ops.greater_equal(ops.random_uniform(key, shape=x.shape), ops.constant(0.25))
    return Graph("dropout", (x, key), (ops.select(kept, x, ops.constant(0.0)),))


@pytest.mark.parametrize("passes", ["default", "none"])
@pytest.mark.parametrize("threads", [1, 2])
def test_kernels_give_the_bits_of_the_reference(passes, threads):
    graph = dropout_graph()
    run = compile_graph(graph, passes=passes, threads=threads)
    for batch in (1, 7, 200):
        x = np.ones((batch, 3, 37), np.float32)
        (expected,) = evaluate(graph, (x, KEY))
        np.testing.assert_array_equal(run(x, KEY)[0], expected)
        assert 0.6 < expected.mean() < 0.9


def test_a_sample_gives_the_same_in_every_batch():
    run = compile_graph(dropout_graph())
    x = np.ones((50, 3, 37), np.float32)
    np.testing.assert_array_equal(run(x, KEY)[0][:20], run(x[:20], KEY)[0])


def test_kernels_read_and_write_what_is_theirs():
    graph = dropout_graph()
    x = np.ones((9, 3, 37), np.float32)
    (expected,) = evaluate(graph, (x, KEY))
    for passes in ("default", "none"):
        (found,) = Supervised(graph, {}, passes)(x, KEY)
        np.testing.assert_array_equal(found, expected)


def test_random_numbers_fuse_into_what_reads_them():
    run = compile_graph(dropout_graph())
    (kernel,) = run.program.kernels
    assert "uniform_lanes" in kernel.source


def test_numbers_of_any_axis_order_have_the_bits_of_their_own_index():
    """A kernel that walks them in another order, in steps or along a reduced axis."""
    key = ops.input_("key", parse_type("i32[2]"))
    drawn = ops.random_uniform(key, shape=(6, 5, 20))
    row = ops.input_("row", parse_type("f32[N, 6, 5, 20]"))
    outputs = (
        ops.add(row, drawn),
        ops.sum(ops.add(row, drawn), axes=(1,)),
        ops.max(ops.add(row, drawn), axes=(2, 3)),
        ops.transpose(drawn, axes=(2, 0, 1)),
    )
    graph = Graph("orders", (key, row), outputs)
    rows = np.random.default_rng(0).normal(size=(3, 6, 5, 20)).astype(np.float32)
    for passes in ("default", "none"):
        found = compile_graph(graph, passes=passes)(KEY, rows)
        for one, expected in zip(found, evaluate(graph, (KEY, rows)), strict=True):
            # Sums near 0 have the rounding of their terms.
            np.testing.assert_allclose(one, expected, rtol=1e-6, atol=1e-6)


def test_indices_beyond_32_bits():
    far = np.arange((1 << 32) - 8, (1 << 32) + 8)
    assert len(set(uniform(KEY, far).tolist())) == 16
    assert not np.array_equal(uniform(KEY, far[8:]), uniform(KEY, np.arange(8)))


def test_normal_numbers():
    key = ops.input_("key", parse_type("i32[2]"))
    graph = Graph("normal", (key,), (ops.random_normal(key, shape=(1 << 19,)),))
    (found,) = compile_graph(graph)(KEY)
    (expected,) = evaluate(graph, (KEY,))
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)
    n = found.size
    assert abs(found.mean()) < 4 / np.sqrt(n)
    assert abs(found.var() - 1) < 4 * np.sqrt(2 / n)
    assert abs((found**3).mean()) < 4 * np.sqrt(15 / n)
    assert abs((found**4).mean() - 3) < 4 * np.sqrt(96 / n)
    assert abs((np.abs(found) > 2).mean() - 0.0455) < 0.002
    assert np.isfinite(found).all()


def test_a_key_is_two_integers():
    with pytest.raises(IRError, match=r"expected a key of type i32\[2\], got f32\[2\]"):
        ops.random_uniform(ops.input_("key", parse_type("f32[2]")), shape=(3,))


def test_the_backward_pass_reads_the_numbers_of_the_forward_pass():
    """They are drawn once, although the mask made of them is compared again."""
    x = ops.input_("x", parse_type("f32[N, 64]"))
    key = ops.input_("key", parse_type("i32[2]"))
    first, second = (ops.parameter(name, parse_type("f32[64, 64]")) for name in "wv")
    hidden = ops.relu(ops.matmul(x, first))
    kept = ops.less(ops.random_uniform(key, shape=x.shape), ops.constant(0.8))
    dropped = ops.select(kept, hidden, ops.constant(0.0))
    loss = ops.sum(ops.square(ops.matmul(dropped, second)), axes=(0, 1))
    slopes = gradients(loss, (first, second))
    graph = Graph("backward", (x, key), (loss, *slopes))
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(size=(64, 64)).astype(np.float32) for name in "wv"}
    data = rng.normal(size=(10, 64)).astype(np.float32)
    run = compile_graph(graph)
    run.set_parameters(weights)
    assert sum("uniform" in kernel.source for kernel in run.program.kernels) == 1
    expected = evaluate(graph, (data, KEY), weights)
    for one, other in zip(run(data, KEY), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-2)


def test_what_counts_samples_is_not_tiled():
    x = ops.input_("x", parse_type("f32[N, 4096]"))
    key = ops.input_("key", parse_type("i32[2]"))
    weights = ops.parameter("w", parse_type("f32[4096, 64]"))
    drawn = ops.random_uniform(key, shape=x.shape)
    dense = ops.matmul(ops.multiply(ops.softmax(x, axis=-1), drawn), weights)
    graph = Graph("tiled", (x, key), (ops.softmax(dense, axis=-1),))
    run = compile_graph(graph)
    assert "COUNTS_SAMPLES" in {decision.reason for decision in run.decisions}


# Counting


@pytest.mark.parametrize("dtype", ["int32", "int64", "float32", "float64", "uint8"])
@pytest.mark.parametrize("axis", [0, 1])
def test_counting_along_an_axis_of_any_size(dtype, axis):
    x = ops.input_("x", parse_type("f32[N, T]"))
    counted = ops.iota(shape=x.shape, axis=axis, dtype=dtype)
    graph = Graph("counted", (x,), (counted, ops.add(x, ops.cast(counted, dtype="float32"))))
    data = np.random.default_rng(0).normal(size=(5, 40)).astype(np.float32)
    for passes in ("default", "none"):
        found = compile_graph(graph, passes=passes)(data)
        for one, expected in zip(found, evaluate(graph, (data,)), strict=True):
            assert one.dtype == expected.dtype
            np.testing.assert_array_equal(one, expected)


@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_extremes_along_the_batch(name):
    x = ops.input_("x", parse_type("f32[N, 6]"))
    graph = Graph(name, (x,), (getattr(ops, name)(x, axis=0),))
    data = np.random.default_rng(1).normal(size=(70, 6)).astype(np.float32)
    np.testing.assert_array_equal(compile_graph(graph)(data)[0], getattr(np, name)(data, 0))

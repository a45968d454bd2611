"""Convolutions of what depends on weights alone, which lies packed and not as images do."""

from __future__ import annotations

import numpy as np
import pytest

from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.parser import parse_ir

# Channels that convolutions keep apart by a cache line, where kernels make the image.
CROWDED = 512


def agree(text: str) -> None:
    """Compiled and reference, at two calls and with other weights in between."""
    graph, random = parse_ir(text), np.random.default_rng(3)
    run = compile_graph(graph)
    for _ in range(2):
        weights = {
            node.attrs["name"]: random.standard_normal(node.shape).astype("float32")
            for node in graph.parameters
        }
        run.set_parameters(weights)
        for _ in range(2):
            arrays = [random.standard_normal(n.shape).astype("float32") for n in graph.inputs]
            expected = evaluate(graph, arrays, weights)
            for received, right in zip(run(*arrays), expected, strict=True):
                np.testing.assert_allclose(received, right, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("image", ["$image", "%0"])
@pytest.mark.parametrize("kernel", ["$kernel", "%kernel"])
def test_with_a_border(image: str, kernel: str) -> None:
    agree(
        "graph g(%x: f32[1, 6, 6, 2], %kernel: f32[3, 3, 3, 2]) {\n"
        "  $image : f32[1, 6, 6, 3]\n"
        "  $kernel : f32[3, 3, 3, 2]\n"
        "  %0 = tanh($image)\n"
        f'  %1 = conv2d({image}, {kernel}, padding="same")\n'
        "  %2 = add(%1, %x)\n"
        "  %3 = add($kernel, %kernel)\n"
        "  return %2, %3, %0\n}"
    )


def test_a_depthwise_one_with_a_border() -> None:
    agree(
        "graph g(%kernel: f32[3, 3, 8, 1]) {\n"
        "  $image : f32[1, 6, 6, 8]\n"
        '  %0 = depthwise_conv2d($image, %kernel, padding="same")\n'
        "  return %0\n}"
    )


def test_the_image_of_a_transposed_one() -> None:
    agree(
        "graph g(%kernel: f32[3, 2, 2, 3]) {\n"
        "  $image : f32[2, 3, 4, 3]\n"
        '  %0 = conv2d_transpose($image, %kernel, strides=(2, 2), padding="same")\n'
        "  return %0\n}"
    )


def test_with_channels_that_others_keep_apart() -> None:
    agree(
        f"graph g(%kernel: f32[3, 3, {CROWDED}, 2]) {{\n"
        f"  $image : f32[1, 6, 6, {CROWDED}]\n"
        "  %0 = tanh($image)\n"
        "  %1 = conv2d(%0, %kernel)\n"
        "  return %1\n}"
    )

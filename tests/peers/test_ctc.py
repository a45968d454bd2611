"""CTC against Keras: the loss with lengths, its gradient, and both ways of decoding."""

import numpy as np
import pytest
from twins import MISSING, assert_close, draw, keras

import keraunos

jax = pytest.importorskip("jax", reason=MISSING)

LOGITS = draw((3, 7, 5), seed=1) * 2
TARGET = np.array([[1, 1, 2, 3], [2, 3, 3, 0], [4, 0, 0, 0]], "int32")


@pytest.mark.parametrize("blank", [0, 4])
@pytest.mark.parametrize("lengths", [([4, 3, 1], [7, 7, 7]), ([2, 3, 1], [5, 6, 1])], ids=str)
def test_the_loss_and_its_gradient(lengths, blank):
    labels, steps = (np.array(each, "int32") for each in lengths)
    target = TARGET if blank == 0 else np.where(TARGET == 4, 1, TARGET)

    def theirs(logits):
        return keras.ops.sum(keras.ops.ctc_loss(target, logits, labels, steps, mask_index=blank))

    def ours(logits):
        return keraunos.ops.sum(
            keraunos.ops.ctc_loss(target, logits, labels, steps, mask_index=blank)
        )

    assert_close(
        keraunos.ops.ctc_loss(target, LOGITS, labels, steps, mask_index=blank),
        keras.ops.ctc_loss(target, LOGITS, labels, steps, mask_index=blank),
    )
    assert_close(keraunos.grad(ours)(LOGITS), jax.grad(theirs)(LOGITS))


@pytest.mark.parametrize("blank", [0, 2, None])
@pytest.mark.parametrize("lengths", [(7, 7, 7), (1, 4, 6)], ids=str)
@pytest.mark.parametrize("options", [
    {}, {"merge_repeated": False},
    {"strategy": "beam_search", "beam_width": 50, "top_paths": 4},
    {"strategy": "beam_search", "beam_width": 3, "top_paths": 2},
    {"strategy": "beam_search", "beam_width": 5},
], ids=str)  # fmt: skip
def test_decoding(options, lengths, blank):
    found, wanted = (
        package.ops.ctc_decode(LOGITS, np.array(lengths, "int32"), mask_index=blank, **options)
        for package in (keraunos, keras)
    )
    assert_close(found, wanted)

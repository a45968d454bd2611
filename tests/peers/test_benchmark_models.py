"""The benchmarks' ONNX models compute what Keras does with the same weights."""

import numpy as np
import pytest

reason = "the `peers` extra is not installed"
keras = pytest.importorskip("keras", reason=reason)
onnxruntime = pytest.importorskip("onnxruntime", reason=reason)
pytest.importorskip("onnx", reason=reason)

from frameworks import keras_model  # noqa: E402  needs what is asked for above
from frameworks import onnxruntime as prepare_onnxruntime  # noqa: E402
from workloads import Case  # noqa: E402


@pytest.mark.parametrize("workload", ["cnn", "resnet20"])
def test_onnx_runtime_agrees_with_keras(workload):
    case = Case("infer", workload, 2)
    images, _ = case.data()
    expected = keras_model(keras, case).predict_on_batch(images)
    received = prepare_onnxruntime(2)(case)()
    np.testing.assert_allclose(received, np.asarray(expected), atol=1e-6)

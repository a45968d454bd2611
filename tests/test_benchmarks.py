"""The benchmarks' networks are the published ones. The timing itself is run by hand."""

import re
from pathlib import Path

import chart
import numpy as np
import pytest
from accuracy import FUSED, Error, Result, measure
from recording import Recorder, record
from workloads import WORKLOADS, Case, build_with_layers

# With the moving statistics. Those of torchvision's and Keras's resnet50 and mobilenetv2; of the
# 0.27 million that the paper has for 20 layers.
PARAMETERS = {"cnn": 93_322, "resnet20": 274_042, "resnet50": 25_610_152, "mobilenetv2": 3_538_984}


@pytest.mark.parametrize("name", WORKLOADS)
def test_parameters_and_classes(name):
    tape = record(WORKLOADS[name].build)
    assert tape.parameters == PARAMETERS[name]
    assert tape.output_shape == (WORKLOADS[name].classes,)


def test_layers_are_listed_in_the_order_of_making():
    tape, layers = build_with_layers(Recorder, WORKLOADS["resnet20"].build)
    assert {id(call.layer) for call in tape.calls} == {id(layer) for layer in layers}
    called = [type(call.layer).__name__ for call in tape.calls]
    made = [type(layer).__name__ for layer in layers]
    # Activation()(Add()([x, y])) makes the activation first and calls it last.
    assert called.index("Add") + 1 == made.index("Add")


def test_case_is_read_and_written():
    case = Case.parse("infer:cnn:32")
    assert (str(case), case.batch) == ("infer:cnn:32", 32)
    images, labels = case.data()
    assert (images.shape, images.dtype, labels.shape) == ((32, 28, 28, 1), np.float32, (32,))


@pytest.mark.parametrize(
    "text", ["infer:cnn", "cnn:1", "infer:vgg:1", "guess:cnn:1", "infer:cnn:x"]
)
def test_case_says_what_it_expects(text):
    with pytest.raises(ValueError, match=r"expected infer\|train:.*got"):
        Case.parse(text)


def test_accuracy_is_measured_from_float64():
    result = measure(Case.parse("infer:cnn:2"), [])
    assert list(result.errors) == ["keraunos, none", "keraunos, default"]
    largest = [error.largest for error in result.errors.values()]
    assert all(0 < error < 1e-6 for error in largest)
    assert result.to_dict()["ratios"] == {}


def test_ratio_is_ours_over_theirs():
    error = Error.of(np.float32([[1.5, 2.0]]), np.array([[1.0, 2.0]]))
    assert (error.largest, error.root_mean_square) == (0.5, np.sqrt(0.125))
    result = Result("cnn", 1, 2.0, {FUSED: error, "onnxruntime": Error(0.25, 0.1)})
    assert result.ratio("onnxruntime") == 2.0
    assert result.ratio("openvino") is None


def test_the_chart_is_that_of_the_results():
    machine, tables = chart.read(chart.RESULTS.read_text("utf-8"))
    assert chart.CHART.read_text("utf-8") == chart.draw(machine, tables)
    for times in tables:
        for case, ratio in zip(times.cases, times.ratios, strict=True):
            assert 1 / min(times.multiples(case)) == pytest.approx(ratio, abs=0.006)


def test_the_readme_tells_the_results_as_they_are():
    """From the least to the largest ratio: where it is the fastest, to train, where it is not."""
    _, (inference, training) = chart.read(chart.RESULTS.read_text("utf-8"))
    readme = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
    text = readme[readme.index("## Measured") : readme.index("## Development")]
    told = [tuple(map(float, pair)) for pair in re.findall(r"(\d\.\d\d) to (\d\.\d\d)", text)]
    faster = [ratio for ratio in inference.ratios if ratio <= 1]
    slower = [ratio for ratio in inference.ratios if ratio > 1]
    ratios = (faster, training.ratios, slower)
    assert told == [(min(each), max(each)) for each in ratios]

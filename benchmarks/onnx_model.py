"""A recorded network as an ONNX model, for ONNX Runtime and OpenVINO: NCHW.

Batch normalizations are left for the runtimes to fold. Padding is exactly Keras's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from recording import (
    Activation,
    Add,
    BatchNormalization,
    Call,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Flatten,
    GlobalAveragePooling2D,
    MaxPooling2D,
    ReLU,
    Tape,
    Window,
)

OPSET = 17
IR_VERSION = 8  # what goes with the opset; the onnx package's own may be too new for a runtime
INPUT = "images"
OPS = {"relu": "Relu", "softmax": "Softmax"}

# An operator, its further inputs, its attributes; each takes the value of the one before.
Step = tuple[str, list[str], Mapping[str, Any]]


@dataclass
class Parts:
    """The nodes and the weights made so far."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)

    def weight(self, array: Any) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, op: str, inputs: list[str], attributes: Mapping[str, Any]) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name


def onnx_bytes(tape: Tape, batch: int) -> bytes:
    """The serialized model: input "images", float32 [batch, channels, height, width]."""
    parts, values = Parts(), [INPUT]
    for call in tape.calls:
        first, *others = (values[index] for index in call.inputs)
        for op, inputs, attributes in steps(call, others, parts):
            first = parts.node(op, [first, *inputs], attributes)
        values.append(first)
    height, width, channels = tape.input_shape
    image = helper.make_tensor_value_info(
        INPUT, TensorProto.FLOAT, [batch, channels, height, width]
    )
    output = helper.make_tensor_value_info(
        values[-1], TensorProto.FLOAT, [batch, *tape.output_shape]
    )
    graph = helper.make_graph(parts.nodes, "workload", [image], [output], parts.weights)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def steps(call: Call, others: list[str], parts: Parts) -> Iterator[Step]:
    weights = dict(call.weights)
    match call.layer:
        case Conv2D() as layer:
            kernel = weights.pop("kernel").transpose(3, 2, 0, 1)
            yield convolution(call, layer, [kernel, *weights.values()], 1, parts)
            yield from activation(layer.activation)
        case DepthwiseConv2D() as layer:
            kernel = weights["depthwise_kernel"].transpose(2, 3, 0, 1)
            yield convolution(call, layer, [kernel], call.input_shape[-1], parts)
        case Dense() as layer:
            yield "Gemm", [parts.weight(array) for array in weights.values()], {}
            yield from activation(layer.activation)
        case BatchNormalization():
            names = [parts.weight(array) for array in weights.values()]
            yield "BatchNormalization", names, {"epsilon": BatchNormalization.EPSILON}
        case MaxPooling2D() as layer:
            yield "MaxPool", [], window(call, layer)
        case Activation(activation=name):
            yield OPS[name], [], {}
        case ReLU(max_value=bound):
            bounds = [np.float32(0), np.float32(bound)]
            yield "Clip", [parts.weight(value) for value in bounds], {}
        case Add():
            yield "Add", others, {}
        case Flatten():
            yield "Transpose", [], {"perm": [0, 2, 3, 1]}
            yield "Flatten", [], {}
        case GlobalAveragePooling2D():
            yield "GlobalAveragePool", [], {}
            yield "Flatten", [], {}
        case other:
            raise TypeError(f"expected a layer that recording.py has, got {other}")


def activation(name: str | None) -> Iterator[Step]:
    if name:
        yield OPS[name], [], {}


def convolution(call: Call, layer: Window, arrays: list[Any], groups: int, parts: Parts) -> Step:
    return (
        "Conv",
        [parts.weight(array) for array in arrays],
        window(call, layer) | {"group": groups},
    )


def window(call: Call, layer: Window) -> dict[str, Any]:
    (top, bottom), (left, right) = layer.pads(call.input_shape)
    return {
        "kernel_shape": [layer.size, layer.size],
        "strides": [layer.strides, layer.strides],
        "pads": [top, left, bottom, right],
    }

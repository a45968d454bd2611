"""One adapter a framework: from a case to a function that runs it once, NumPy in and NumPy out.

Each imports its own framework, when it is chosen: a worker process loads one and no other.
"""

import importlib.util
import os
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
from recording import Recorder, Tape, record
from workloads import WORKLOADS, Array, Case, build_with_layers

Step = Callable[[], Array]
Prepare = Callable[[Case], Step]

LEARNING_RATE = 1e-3
OURS = "keraunos"


def keraunos(threads: int) -> Prepare:
    import keraunos as keras

    def prepare(case: Case) -> Step:
        model = keras_model(keras, case)
        if case.kind == "train":
            return keras_step(keras, model, case)
        images, _ = case.data()
        return lambda: np.asarray(model.predict_on_batch(images))

    return prepare


def keras_jax(threads: int) -> Prepare:
    os.environ["KERAS_BACKEND"] = "jax"
    import jax
    import keras

    def prepare(case: Case) -> Step:
        model = keras_model(keras, case)
        if case.kind == "train":
            return keras_step(keras, model, case, jit_compile=True)
        images, _ = case.data()
        trained = [variable.value for variable in model.trainable_variables]
        others = [variable.value for variable in model.non_trainable_variables]

        @jax.jit
        def predict(trained: Any, others: Any, images: Any) -> Any:
            return model.stateless_call(trained, others, images, training=False)[0]

        return lambda: np.asarray(predict(trained, others, images))

    return prepare


def keras_tensorflow(threads: int) -> Prepare:
    return _keras_tensorflow(threads, xla=False)


def keras_tensorflow_xla(threads: int) -> Prepare:
    return _keras_tensorflow(threads, xla=True)


def _keras_tensorflow(threads: int, xla: bool) -> Prepare:
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    def prepare(case: Case) -> Step:
        model = keras_model(keras, case)
        if case.kind == "train":
            return keras_step(keras, model, case, jit_compile=xla)
        images, _ = case.data()
        predict = tf.function(lambda x: model(x, training=False), jit_compile=xla)
        return lambda: np.asarray(predict(tf.constant(images)))

    return prepare


def litert(threads: int) -> Prepare:
    """XNNPACK, through the interpreter that comes with TensorFlow."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf

    def prepare(case: Case) -> Step:
        refuse_training(case)
        model, (images, _) = keras_model(keras, case), case.data()
        signature = [keras.InputSpec(shape=images.shape, dtype=str(images.dtype))]
        with tempfile.TemporaryDirectory() as folder:
            model.export(folder, format="tf_saved_model", verbose=False, input_signature=signature)
            content = tf.lite.TFLiteConverter.from_saved_model(folder).convert()
        interpreter = tf.lite.Interpreter(model_content=content, num_threads=threads)
        interpreter.allocate_tensors()
        (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()

        def run() -> Array:
            interpreter.set_tensor(taken["index"], images)
            interpreter.invoke()
            result: Array = interpreter.get_tensor(given["index"])
            return result

        return run

    return prepare


def keras_model(keras: Any, case: Case) -> Any:
    """The workload with the recording's weights."""
    build = WORKLOADS[case.workload].build
    model, layers = build_with_layers(keras, build)
    for layer, call in zip(layers, in_order_of_making(build), strict=True):
        layer.set_weights(list(call.values()))
    return model


def in_order_of_making(build: Any) -> list[dict[str, Array]]:
    """The recorded weights by layer, in the order of `build_with_layers`."""
    tape, layers = build_with_layers(Recorder, build)
    weights = {id(call.layer): call.weights for call in tape.calls}
    return [weights[id(layer)] for layer in layers]


def keras_step(keras: Any, model: Any, case: Case, **settings: Any) -> Step:
    model.compile(
        optimizer=keras.optimizers.Adam(LEARNING_RATE),
        loss="sparse_categorical_crossentropy",
        **settings,
    )
    images, labels = case.data()
    return lambda: np.asarray(model.train_on_batch(images, labels))


def torch_eager(threads: int) -> Prepare:
    return _torch(threads, compiled=False)


def torch_compile(threads: int) -> Prepare:
    return _torch(threads, compiled=True)


def _torch(threads: int, compiled: bool) -> Prepare:
    import torch
    from torch_model import network

    torch.set_num_threads(threads)

    def accelerate(function: Any, **options: bool) -> Any:
        if not compiled:
            return function
        torch.compiler.reset()
        return torch.compile(function, options=options)

    def infer(case: Case) -> Step:
        # Freezing lets Inductor fold batch normalization and pack weights, as the others do.
        predict = accelerate(network(recorded(case)).eval(), freezing=True)
        images = torch.from_numpy(case.data()[0])

        def run() -> Array:
            with torch.no_grad():
                result: Array = predict(images).numpy()
                return result

        return run

    def train(case: Case) -> Step:
        model = network(recorded(case)).train()
        optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE, fused=True)
        images, labels = (torch.from_numpy(array) for array in case.data())

        def loss_of(images: Any, labels: Any) -> Any:
            likelihood = model(images).clamp(1e-7, 1 - 1e-7).log()
            return torch.nn.functional.nll_loss(likelihood, labels.long())

        compiled_loss = accelerate(loss_of)

        def run() -> Array:
            optimizer.zero_grad(set_to_none=True)
            loss = compiled_loss(images, labels)
            loss.backward()
            optimizer.step()
            return np.asarray(loss.item())

        return run

    return lambda case: (train if case.kind == "train" else infer)(case)


def onnxruntime(threads: int) -> Prepare:
    import onnxruntime as ort
    from onnx_model import INPUT, onnx_bytes

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads

    def prepare(case: Case) -> Step:
        images = channels_first(case)
        session = ort.InferenceSession(
            onnx_bytes(recorded(case), case.batch), options, providers=["CPUExecutionProvider"]
        )
        return lambda: np.asarray(session.run(None, {INPUT: images})[0])

    return prepare


def openvino(threads: int) -> Prepare:
    import openvino as ov
    from onnx_model import onnx_bytes

    core = ov.Core()
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
    }

    def prepare(case: Case) -> Step:
        images = channels_first(case)
        model = core.read_model(onnx_bytes(recorded(case), case.batch))
        request = core.compile_model(model, "CPU", settings).create_infer_request()
        return lambda: np.array(request.infer({0: images})[0])

    return prepare


def recorded(case: Case) -> Tape:
    return record(WORKLOADS[case.workload].build)


def channels_first(case: Case) -> Array:
    """The images as ONNX wants them, made once: transposing is not part of what is timed."""
    refuse_training(case)
    return np.ascontiguousarray(case.data()[0].transpose(0, 3, 1, 2))


def refuse_training(case: Case) -> None:
    """For runtimes that have no gradients."""
    if case.kind == "train":
        raise NotImplementedError("this runtime only infers")


# Name: the modules that must be there, and the adapter.
FRAMEWORKS: dict[str, tuple[tuple[str, ...], Callable[[int], Prepare]]] = {
    OURS: (("keraunos",), keraunos),
    "onnxruntime": (("onnxruntime", "onnx"), onnxruntime),
    "openvino": (("openvino", "onnx"), openvino),
    "torch": (("torch",), torch_eager),
    "torch.compile": (("torch",), torch_compile),
    "keras-jax": (("keras", "jax"), keras_jax),
    "keras-tf": (("keras", "tensorflow"), keras_tensorflow),
    "keras-tf-xla": (("keras", "tensorflow"), keras_tensorflow_xla),
    "litert": (("keras", "tensorflow"), litert),
}


def installed() -> list[str]:
    """The frameworks that this interpreter can import."""
    return [
        name
        for name, (modules, _) in FRAMEWORKS.items()
        if all(importlib.util.find_spec(module) for module in modules)
    ]

"""Right calls of all that is public, and what they become with one argument that is wrong."""

import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import layer_cases
import numpy as np

import keraunos
from keraunos import layers, metrics, ops

WRONG: tuple[Any, ...] = (
    None, "a", 1.5, object(), {"a": 1}, ["a", "b"], True, -1, 0, [], 10**12, math.nan, (0, 0),
    b"a", [[1, 2], [3]], math.inf, np.zeros((2, 2, 2, 2)),
)  # fmt: skip


@dataclass(frozen=True)
class Call:
    """A right call: ``use`` is done with what comes of it, as constructors only keep arguments."""

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    use: Callable[[Any], Any] = lambda made: made

    def run(self) -> Any:
        return self.use(self.function(*self.args, **self.kwargs))

    def variants(self) -> Iterator["Call"]:
        """The call with each argument in turn replaced by each wrong value."""
        for index in range(len(self.args)):
            for value in WRONG:
                args = (*self.args[:index], value, *self.args[index + 1 :])
                yield Call(self.name, self.function, args, self.kwargs, self.use)
        for name in self._names():
            for value in WRONG:
                kwargs = {**self.kwargs, name: value}
                yield Call(self.name, self.function, self.args, kwargs, self.use)

    def _names(self) -> list[str]:
        parameters = list(inspect.signature(self.function).parameters.values())
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        own = [p.name for p in parameters[len(self.args) :] if p.kind in named]
        return list(dict.fromkeys([*own, *self.kwargs]))

    def __str__(self) -> str:
        given = [repr(arg)[:60] for arg in self.args]
        given += [f"{name}={repr(value)[:60]}" for name, value in self.kwargs.items()]
        return f"{self.name}({', '.join(given)})"


# Layers


def _apply(case: layer_cases.Case) -> Callable[[Any], Any]:
    def use(layer: Any) -> Any:
        tensors = [keraunos.Input(shape, dtype=case.dtype) for shape in case.shapes]
        return layer(tensors if len(tensors) > 1 else tensors[0])

    return use


def of_layers() -> list[Call]:
    """One call of each class, made of the first case of the layers' tests."""
    cases = {case.name.partition("(")[0]: case for case in reversed(layer_cases.CASES)}
    common = {"name": "given", "dtype": "float32", "trainable": True, "activity_regularizer": None}
    found = []
    for name, case in cases.items():
        made = case.make()
        args, kwargs = made.given_arguments
        given = {**common, **kwargs} if name == "Dense" else kwargs
        found.append(Call(name, getattr(layers, name), args, given, _apply(case)))
    shape = {"shape": (3,), "batch_size": 2, "dtype": "float32", "name": "x"}
    return [*found, Call("Input", keraunos.Input, (), shape)]


# Functions of tensors

TEXTS = str(Path(__file__).parent / "texts")
ROWS = np.arange(6, dtype="float32").reshape(2, 3) / 7
IMAGE = np.ones((1, 4, 4, 2), "float32")
KERNEL = np.ones((2, 2, 2, 3), "float32")
_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "arange": (0, 5, 1),
    "associative_scan": (ops.add, ROWS, False, 0),
    "average_pool": (IMAGE, 2, 1, "valid"),
    "batch_normalization": (ROWS, np.ones(3), np.ones(3), -1),
    "bitwise_and": (ROWS > 0.3, ROWS > 0.6),
    "bitwise_invert": (ROWS > 0.3,),
    "bitwise_left_shift": (np.array([1, 2]), np.array([0, 3])),
    "bitwise_not": (ROWS > 0.3,),
    "bitwise_or": (ROWS > 0.3, ROWS > 0.6),
    "bitwise_right_shift": (np.array([1, 2]), np.array([0, 3])),
    "left_shift": (np.array([1, 2]), np.array([0, 3])),
    "right_shift": (np.array([1, 2]), np.array([0, 3])),
    "bitwise_xor": (ROWS > 0.3, ROWS > 0.6),
    "broadcast_to": (ROWS, (2, 2, 3)),
    "cast": (ROWS, "int32"),
    "categorical_crossentropy": (ROWS, ROWS),
    "clip": (ROWS, 0.0, 1.0),
    "concatenate": ([ROWS, ROWS], 0),
    "cond": (ROWS[0, 1] > 0.1, lambda: ROWS, lambda: ROWS * 2),
    "conv": (IMAGE, KERNEL, 1, "valid"),
    "conv_transpose": (IMAGE, np.ones((2, 2, 3, 2), "float32"), 1, "valid"),
    "ctc_decode": (np.ones((2, 4, 3), "float32"), np.array([4, 3])),
    "ctc_loss": (np.array([[1, 2]]), np.ones((1, 4, 3), "float32"), np.array([2]), np.array([4])),
    "depthwise_conv": (IMAGE, np.ones((2, 2, 2, 1), "float32"), 1, "valid"),
    "dot": (ROWS, ROWS.T),
    "einsum": ("ij,jk->ik", ROWS, ROWS.T),
    "empty": ((2, 3),),
    "expand_dims": (ROWS, 0),
    "eye": (3, 4),
    "fori_loop": (0, 3, lambda i, value: ops.add(value, i), ROWS),
    "full": ((2, 3), 1.0),
    "full_like": (ROWS, 1.0),
    "get_item": (ROWS, 0),
    "glu": (np.ones((2, 4), "float32"),),
    "hstack": ([ROWS, ROWS],),
    "identity": (3,),
    "linspace": (0.0, 1.0, 5),
    "map": (ops.square, ROWS),
    "matmul": (ROWS, ROWS.T),
    "max_pool": (IMAGE, 2, 1, "valid"),
    "moments": (ROWS, 0),
    "moveaxis": (ROWS, 0, 1),
    "multi_hot": (np.array([[0, 1]]), 3),
    "one_hot": (np.array([0, 1]), 3),
    "ones": ((2, 3),),
    "pad": (ROWS, ((1, 1), (0, 0))),
    "repeat": (ROWS, 2, 0),
    "reshape": (ROWS, (3, 2)),
    "roll": (ROWS, 1, 0),
    "scan": (lambda carry, row: (ops.add(carry, row), carry), ROWS[0], ROWS),
    "separable_conv": (IMAGE, np.ones((2, 2, 2, 1)), np.ones((1, 1, 2, 3)), 1, "valid"),
    "slice": (ROWS, (0, 0), (1, 2)),
    "sparse_categorical_crossentropy": (np.array([0, 1]), ROWS),
    "split": (ROWS, 2, 0),
    "squeeze": (ROWS[None], 0),
    "stack": ([ROWS, ROWS], 0),
    "swapaxes": (ROWS, 0, 1),
    "switch": (1, [ops.abs, ops.square], ROWS),
    "take": (ROWS, np.array([0, 1]), 0),
    "take_along_axis": (ROWS, np.array([[0], [1]]), 1),
    "tensordot": (ROWS, ROWS.T, 1),
    "threshold": (ROWS, 0.5, 0.0),
    "tile": (ROWS, (2, 1)),
    "trace": (ROWS,),
    "vectorized_map": (ops.square, ROWS),
    "vstack": ([ROWS, ROWS],),
    "while_loop": (lambda x: ops.less(ops.sum(x), 9), lambda x: ops.add(x, 1), ROWS, 20),
    "where": (ROWS > 0.3, ROWS, ROWS),
    "zeros": ((2, 3),),
}


# Of some only the data tell the sizes of what they give; others take arrays alone.
_OF_DATA = ("ctc_decode", "nonzero")


def of_ops() -> list[Call]:
    """Each function on arrays, and on symbolic tensors in place of the arrays."""
    found = []
    for name in ops.__all__:
        function = getattr(ops, name)
        args = _ARGUMENTS.get(name) or (ROWS,) * len(_required(function))
        found.append(Call(f"ops.{name}", function, args))
        if name not in _OF_DATA and any(isinstance(arg, np.ndarray) for arg in args):
            found.append(Call(f"ops.{name} of Input", _on_symbols(function), args))
    return found


def _on_symbols(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*(_symbol(arg) for arg in args), **kwargs)

    call.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return call


def _symbol(value: Any) -> Any:
    if not isinstance(value, np.ndarray) or value.ndim < 2:
        return value
    return keraunos.Input(batch_shape=value.shape, dtype=value.dtype.name)


def _required(function: Callable[..., Any]) -> list[str]:
    plain = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.default is p.empty and p.kind is plain]


# What is made by name

_MADE: dict[str, dict[str, Any]] = {
    "IoU": {"num_classes": 2, "target_class_ids": [0]},
    "OneHotIoU": {"num_classes": 2, "target_class_ids": [0]},
    "MeanIoU": {"num_classes": 2},
    "OneHotMeanIoU": {"num_classes": 2},
    "PrecisionAtRecall": {"recall": 0.5},
    "RecallAtPrecision": {"precision": 0.5},
    "SensitivityAtSpecificity": {"specificity": 0.5},
    "SpecificityAtSensitivity": {"sensitivity": 0.5},
    "MeanMetricWrapper": {"fn": metrics.mean_squared_error},
    "LossFunctionWrapper": {"fn": metrics.mean_squared_error},
    "CosineDecay": {"initial_learning_rate": 0.1, "decay_steps": 10},
    "CosineDecayRestarts": {"initial_learning_rate": 0.1, "first_decay_steps": 10},
    "ExponentialDecay": {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5},
    "InverseTimeDecay": {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5},
    "PiecewiseConstantDecay": {"boundaries": [3, 6], "values": [1.0, 0.5, 0.1]},
    "PolynomialDecay": {"initial_learning_rate": 0.1, "decay_steps": 10},
    "BackupAndRestore": {"backup_dir": "backup"},
    "CSVLogger": {"filename": "log.csv"},
    "LearningRateScheduler": {"schedule": lambda epoch, rate: rate},
    "ModelCheckpoint": {"filepath": "model.weights.h5", "save_weights_only": True},
    "MonitorCallback": {"monitor": "loss"},
    "CallbackList": {"callbacks": []},
}
CLASSES = np.array([0, 1])
_BASES = ("Loss", "Metric", "Optimizer", "LearningRateSchedule", "Initializer")


def of_classes(module: ModuleType, use: Callable[[Any], Any]) -> list[Call]:
    """The constructors of a module, each once; what is made is put to ``use``."""
    family = module.__name__.rpartition(".")[2]
    found = []
    for value in {value: None for value in vars(module).values() if inspect.isclass(value)}:
        name = value.__name__
        is_own = value.__module__.startswith("keraunos.frontend.") and name in vars(module)
        is_made = hasattr(value, "get_config") or family == "callbacks"
        if is_own and is_made and not name.startswith("_") and name not in _BASES:
            found.append(Call(f"{family}.{name}", value, (), _MADE.get(name, {}), use))
    return found


def _compare(made: Any) -> Any:
    """A loss or metric of its own kind of targets and predictions."""
    name = type(made).__name__
    if name in ("Mean", "Sum"):
        return made(ROWS)
    return made(*_pair(name))


def _pair(name: str) -> tuple[np.ndarray, np.ndarray]:
    if name in ("IoU", "MeanIoU"):
        return CLASSES, CLASSES
    if name.lower() == "ctc":
        return np.array([[1, 2]]), np.ones((1, 4, 3), "float32")
    of_classes = any(word in name.lower() for word in ("sparse", "circle", "generalized"))
    return (CLASSES if of_classes else np.eye(2, 3, dtype="float32")), ROWS


def of_objects() -> list[Call]:
    """Constructors of losses, metrics, optimizers and the like."""
    weight = np.ones((3, 3), "float32")
    return [
        *of_classes(keraunos.losses, _compare),
        *of_classes(keraunos.metrics, _compare),
        *of_classes(keraunos.optimizers, _update),
        *of_classes(keraunos.optimizers.schedules, lambda made: made(3)),
        *of_classes(keraunos.initializers, lambda made: made((3, 3))),
        *of_classes(keraunos.regularizers, lambda made: made(weight)),
        *of_classes(keraunos.constraints, lambda made: made(weight)),
        *of_classes(keraunos.callbacks, lambda made: made),
    ]


def _update(optimizer: Any) -> None:
    weight = keraunos.Variable(np.ones((3, 3)))
    optimizer.build([weight])
    optimizer.get_config()


# Helpers


def of_functions() -> list[Call]:
    """Helpers outside of the families above."""
    random, utils = keraunos.random, keraunos.utils
    shape = (2, 3)
    return [
        Call("random.normal", random.normal, (shape,)),
        Call("random.uniform", random.uniform, (shape,)),
        Call("random.truncated_normal", random.truncated_normal, (shape,)),
        Call("random.randint", random.randint, (shape, 0, 5)),
        Call("random.dropout", random.dropout, (ROWS, 0.5)),
        Call("random.categorical", random.categorical, (ROWS, 2)),
        Call("random.shuffle", random.shuffle, (ROWS,)),
        Call("SeedGenerator", keraunos.random.SeedGenerator, (1,)),
        Call("to_categorical", utils.to_categorical, ([0, 1], 3)),
        Call("normalize", utils.normalize, (ROWS,)),
        Call("pad_sequences", utils.pad_sequences, ([[1, 2], [3]], 2)),
        Call("set_random_seed", utils.set_random_seed, (1,)),
        Call("Progbar", utils.Progbar, (3,), {"stream": None}),
        Call("split_dataset", utils.split_dataset, (ROWS,), {"left_size": 0.5}),
        Call("text_files", utils.text_dataset_from_directory, (TEXTS,), {"verbose": False}),
        Call("timeseries", utils.timeseries_dataset_from_array, (ROWS, None, 1)),
        Call("pack", utils.pack_x_y_sample_weight, (ROWS,)),
        Call("unpack", utils.unpack_x_y_sample_weight, ((ROWS,),)),
        Call("PyDataset", utils.PyDataset),
        Call("digits", keraunos.datasets.digits.load_data),
        Call("parse_ir", keraunos.parse_ir, (str(keraunos.trace(_model())),)),
        Call("set_floatx", keraunos.set_floatx, ("float32",)),
        *_finders(),
        *_activations(),
        *_comparisons(keraunos.losses),
        *_comparisons(metrics),
    ]


def _activations() -> list[Call]:
    given = {"glu": (np.ones((2, 4), "float32"),), "threshold": (ROWS, 0.5, 0.0)}
    module = keraunos.activations
    found = []
    for name, function in vars(module).items():
        first = (
            list(inspect.signature(function).parameters)[:1] if inspect.isfunction(function) else []
        )
        if first == ["x"] and not name.startswith("_"):
            found.append(Call(f"activations.{name}", function, given.get(name, (ROWS,))))
    return found


def _comparisons(module: ModuleType) -> list[Call]:
    """Functions of targets and predictions."""
    family = module.__name__.rpartition(".")[2]
    functions = {f: name for name, f in vars(module).items() if inspect.isfunction(f)}
    found = []
    for function, name in functions.items():
        names = list(inspect.signature(function).parameters)
        if names[:2] == ["y_true", "y_pred"]:
            given = {"q": 0.5} if "generalized" in name else {}
            found.append(Call(f"{family}.{name}", function, _pair(function.__name__), given))
        elif name == "circle":
            circle = (CLASSES, ROWS, CLASSES, ROWS)
            found.append(Call(f"{family}.{name}", function, circle))
    return found


def _finders() -> list[Call]:
    names = {
        "losses": "mse", "metrics": "mae", "optimizers": "sgd", "initializers": "zeros",
        "regularizers": "l2", "constraints": "max_norm", "activations": "relu",
    }  # fmt: skip
    found = []
    for family, name in names.items():
        module = getattr(keraunos, family)
        found.append(Call(f"{family}.get", module.get, (name,)))
        given = module.serialize(module.get(name))
        found.append(Call(f"{family}.deserialize", module.deserialize, (given,)))
    return found


# Models


def _model() -> Any:
    model = keraunos.Sequential([keraunos.Input((3,)), layers.Dense(2, name="first")])
    model.compile("sgd", "mse")
    return model


def _on_model(method: str, *args: Any, **kwargs: Any) -> Call:
    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(_model(), method)(*args, **kwargs)

    call.__signature__ = inspect.signature(getattr(_model(), method))  # type: ignore[attr-defined]
    return Call(f"model.{method}", call, args, kwargs)


def of_models(folder: Path) -> list[Call]:
    """Methods of models, and what takes models."""
    x, y = np.ones((4, 3), "float32"), np.ones((4, 2), "float32")
    file = str(folder / "model.weights.h5")
    _model().save_weights(file)
    program = str(folder / "program")
    keraunos.compile(_model()).save(program)
    weights = [np.ones((3, 2)), np.ones(2)]
    rows = keraunos.Input((3,))
    return [
        _on_model("compile", "sgd", "mse"),
        _on_model("fit", x, y, verbose=0, epochs=1),
        _on_model("evaluate", x, y, verbose=0),
        _on_model("predict", x, verbose=0),
        _on_model("train_on_batch", x, y),
        _on_model("test_on_batch", x, y),
        _on_model("predict_on_batch", x),
        _on_model("set_weights", weights),
        _on_model("load_weights", file),
        _on_model("save_weights", str(folder / "other.weights.h5")),
        _on_model("get_layer", "first"),
        _on_model("add", layers.Dense(1)),
        _on_model("summary", print_fn=lambda line: None),
        _on_model("__call__", x),
        Call("Sequential", keraunos.Sequential, ([layers.Dense(2)],)),
        Call("Model", keraunos.Model, (rows, layers.Dense(2)(rows))),
        Call("trace", keraunos.trace, (_model(),)),
        Call("compile", keraunos.compile, (_model(),)),
        Call("explain", keraunos.explain, (_model(),)),
        Call("load_program", keraunos.load_program, (program,)),
        Call("dump", keraunos.dump, (_model(), folder / "dumped")),
        Call("compare", keraunos.compare, (_model(), x), {"repeats": 1}),
        Call("grad", keraunos.grad, (ops.sum,), {"wrt": 0}, lambda made: made(ROWS)),
        Call("value_and_grad", keraunos.value_and_grad, (ops.sum,), {}, lambda made: made(ROWS)),
        Call("Variable", keraunos.Variable, (np.ones(3),)),
        Call("InputSpec", keraunos.InputSpec, (), {"ndim": 2}),
    ]

"""Optimizers, schedules, regularizers and constraints against Keras, on the same numbers."""

import inspect
import warnings

import numpy as np
import pytest
from twins import assert_close, draw, keras

import keraunos
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.frontend.tracing import Spec, trace_call

jax = pytest.importorskip("jax")

STEPS = 100
SHAPES = {
    "kernel": (5, 3),
    "tall/embeddings": (7, 2),
    "wide": (2, 6),
    "filter": (2, 2, 3),
    "b": (4,),
}
NAMES = [name for name in keraunos.optimizers.__all__ if name[0].isupper() and name != "Optimizer"]
SHARED = [
    {},
    {"weight_decay": 0.01, "clipnorm": 0.5, "use_ema": True, "ema_overwrite_frequency": 7},
    {"gradient_accumulation_steps": 3, "global_clipnorm": 1.5, "use_ema": True},
]
# What is the same for all of them is tried with two.
BASE = [
    {"weight_decay": 0.02},
    {"clipnorm": 0.5},
    {"clipvalue": 0.3},
    {"global_clipnorm": 1.5},
    {"use_ema": True, "ema_momentum": 0.9},
    {"gradient_accumulation_steps": 4, "use_ema": True, "ema_overwrite_frequency": 3},
    {"loss_scale_factor": 8.0},
]
OWN = {
    "SGD": [{"momentum": 0.9}, {"momentum": 0.8, "nesterov": True}],
    "RMSprop": [{"momentum": 0.5}, {"centered": True}, {"centered": True, "momentum": 0.9}],
    "Adam": [{"amsgrad": True}, {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}],
    "AdamW": [{"weight_decay": 0.1, "amsgrad": True}],
    "Nadam": [{"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}],
    "Adamax": [{"beta_1": 0.5, "beta_2": 0.9}],
    "Adagrad": [{"initial_accumulator_value": 0.0}, {"epsilon": 0.1}],
    "Adadelta": [{"rho": 0.5, "learning_rate": 1.0}],
    "Adafactor": [
        {"learning_rate": 2.0},
        {"learning_rate": 2.0, "relative_step": False},
        {"learning_rate": ("ExponentialDecay", 2.0, 10, 0.9)},
        {"clip_threshold": 0.5, "beta_2_decay": -0.5},
    ],
    "Ftrl": [
        {"l1_regularization_strength": 0.1, "l2_regularization_strength": 0.2},
        {"l2_shrinkage_regularization_strength": 0.1, "beta": 0.3, "learning_rate": 0.1},
        {"learning_rate_power": -1.0, "learning_rate": 0.1},
    ],
    "Lion": [{"beta_1": 0.5, "beta_2": 0.5}],
    "Lamb": [{"beta_1": 0.5, "beta_2": 0.9}],
    "Muon": [
        {"nesterov": False, "rms_rate": None},
        {"exclude_embeddings": False, "ns_steps": 3, "adam_lr_ratio": 0.5},
        {"exclude_layers": ["wi"], "adam_weight_decay": None},
    ],
}  # fmt: skip
CASES = [(name, options) for name in NAMES for options in [*SHARED, *OWN[name]]]
CASES += [(name, options) for name in ("SGD", "Adam") for options in BASE]


def variables(package):
    return [
        package.Variable(draw(shape, seed=seed), name=name.split("/")[-1])
        for seed, (name, shape) in enumerate(SHAPES.items())
    ]


def gradients(step):
    random = np.random.default_rng(step)
    sizes = [random.standard_normal(shape) + 0.3 for shape in SHAPES.values()]
    return [(10 ** random.uniform(-2, 1) * each).astype("float32") for each in sizes]


def made(package, name, options):
    if isinstance(options.get("learning_rate"), tuple):
        schedule, *args = options["learning_rate"]
        rate = getattr(package.optimizers.schedules, schedule)(*args)
        options = {**options, "learning_rate": rate}
    return getattr(package.optimizers, name)(**options)


def with_keras(name, options):
    """The weights and the optimizer's variables after each tenth step and the last."""
    optimizer, weights = made(keras, name, options), variables(keras)
    optimizer.build(weights)
    step = jax.jit(optimizer.stateless_apply)
    state = [each.value for each in optimizer.variables]
    values = [each.value for each in weights]
    for count in range(STEPS):
        values, state = step(state, gradients(count), values)
        if count % 10 == 9:
            yield [*map(np.asarray, values)], [*map(np.asarray, state)]


def with_keraunos(name, options):
    optimizer, weights = made(keraunos, name, options), variables(keraunos)
    step = traced_update(optimizer, weights)
    values = step.values()
    names = {id(variable): name for name, variable in step.variables.items()}
    for count in range(STEPS):
        results = evaluate(step.graph, gradients(count), values)
        updated = (node.attrs["name"] for node in step.graph.updates)
        values |= dict(zip(updated, results, strict=True))
        if count % 10 == 9:
            pair = weights, optimizer.variables
            yield tuple([values.get(names.get(id(v)), v.value) for v in each] for each in pair)


def traced_update(optimizer, weights):
    """One update as a graph of the gradients."""
    specs = tuple(Spec(shape, name="g") for shape in SHAPES.values())
    return trace_call(lambda *grads: optimizer.apply(grads, weights), specs)


def assert_same_steps(name, options):
    for theirs, ours in zip(with_keras(name, options), with_keraunos(name, options), strict=True):
        for mine, other in zip([*ours[0], *ours[1]], [*theirs[0], *theirs[1]], strict=True):
            # Sums of both signs, such as Ftrl's, are as exact as their largest terms.
            assert_close(mine, other, 1e-5, 1e-5 * max(1.0, np.abs(other).max()))


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_a_hundred_updates(name, options):
    assert_same_steps(name, options)


SCHEDULES = [
    ("ExponentialDecay", 0.1, 30, 0.5),
    ("ExponentialDecay", 0.1, 30, 0.5, True),
    ("InverseTimeDecay", 0.1, 30, 0.5),
    ("InverseTimeDecay", 0.1, 30, 0.5, True),
    ("PiecewiseConstantDecay", [10, 45], [0.1, 0.05, 0.01]),
    ("PiecewiseConstantDecay", [10.5], [0.1, 0.01]),
    ("PolynomialDecay", 0.1, 40),
    ("PolynomialDecay", 0.1, 40, 0.01, 2.0),
    ("PolynomialDecay", 0.1, 30, 0.01, 0.5, True),
    ("CosineDecay", 0.1, 50),
    ("CosineDecay", 0.1, 50, 0.2),
    ("CosineDecay", 0.01, 50, 0.1, "warm", 0.1, 20),
    ("CosineDecay", 0.01, 50, 0.0, "cold", 0.1, 0),
    ("CosineDecayRestarts", 0.1, 15),
    ("CosineDecayRestarts", 0.1, 15, 1.0, 0.5, 0.1),
    ("CosineDecayRestarts", 0.1, 7, 1.5, 0.9),
]


@pytest.mark.parametrize("case", SCHEDULES, ids=str)
def test_schedules(case):
    theirs, ours = (getattr(p.optimizers.schedules, case[0])(*case[1:]) for p in (keras, keraunos))
    for step in [0, 1, 2, 7, 10, 11, 14, 15, 16, 29, 30, 31, 45, 46, 50, 70, 71, 105, 1000]:
        np.testing.assert_allclose(ours(step), theirs(step), rtol=2e-5, atol=1e-8)
    assert ours.get_config() == theirs.get_config()
    package = keraunos.optimizers.schedules
    assert package.serialize(ours) == keras.optimizers.schedules.serialize(theirs)
    again = package.deserialize(keras.optimizers.schedules.serialize(theirs))
    assert type(again) is type(ours) and again.get_config() == ours.get_config()


@pytest.mark.parametrize("name", ["SGD", "Adam", "Adafactor"])
@pytest.mark.parametrize("schedule", [SCHEDULES[1], SCHEDULES[4], SCHEDULES[11]], ids=str)
def test_updates_by_a_schedule(name, schedule):
    options = {"weight_decay": 0.1, "gradient_accumulation_steps": 2}
    assert_same_steps(name, {"learning_rate": schedule, **options})


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_configurations_and_variables(name, options):
    theirs, ours = (made(p, name, {**options, "name": "best"}) for p in (keras, keraunos))
    assert ours.get_config() == theirs.get_config()
    written = keras.optimizers.serialize(theirs)
    assert keraunos.optimizers.serialize(ours) == written
    assert keraunos.optimizers.deserialize(written).get_config() == ours.get_config()
    for optimizer, package in ((theirs, keras), (ours, keraunos)):
        optimizer.build(variables(package))
    own = [(v.shape, keras.backend.standardize_dtype(v.dtype)) for v in ours.variables]
    other = [(v.shape, keras.backend.standardize_dtype(v.dtype)) for v in theirs.variables]
    assert own == other
    pairs = zip(ours.variables, theirs.variables, strict=True)
    # Keras makes some outside of the optimizer's scope, of Nadam without a name.
    assert all(a.name == b.name and a.path == b.path for a, b in pairs if "/" in b.path)


@pytest.mark.parametrize("name", NAMES)
def test_arguments(name):
    theirs, ours = (inspect.signature(getattr(p.optimizers, name)) for p in (keras, keraunos))
    shared = set(inspect.signature(keraunos.Optimizer).parameters)
    given = {n: p.default for n, p in theirs.parameters.items() if n != "kwargs"}
    own = {n: p.default for n, p in ours.parameters.items() if n != "options"}
    assert set(given) <= shared | set(own)
    assert own == {n: given[n] for n in own}
    # By position: until the first argument that all optimizers share.
    first = [n for n in given if n in own or n not in shared][: len(own)]
    assert first == list(own)


def test_accumulated_gradients_of_variables_without_one():
    results = []
    for package in (keras, keraunos):
        weights = variables(package)
        optimizer = package.optimizers.Adam(0.1, weight_decay=0.1)
        optimizer.build(weights)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for step in range(3):
                some = [None, *gradients(step)[1:]]
                optimizer.apply(some, weights)
        results.append([np.asarray(each) for each in (*weights, *optimizer.variables)])
    assert_close(*results, 1e-5, 1e-5)


def test_constraints_and_excluded_weights():
    results = []
    for package in (keras, keraunos):
        weights = variables(package)
        weights[0].constraint = package.constraints.UnitNorm(axis=0)
        weights[1].constraint = package.constraints.NonNeg()
        optimizer = package.optimizers.AdamW(0.1, weight_decay=0.1)
        optimizer.exclude_from_weight_decay(var_list=[weights[2]], var_names=["emb", "^b$"])
        for step in range(5):
            optimizer.apply_gradients(zip(gradients(step), weights, strict=True))
        results.append([np.asarray(each) for each in (*weights, *optimizer.variables)])
    assert_close(*results, 1e-5, 1e-5)


@pytest.mark.parametrize("name", ["SGD", "Adam", "Nadam"])
def test_averages_at_the_end(name):
    results = []
    for package in (keras, keraunos):
        weights = variables(package)
        optimizer = made(package, name, {"use_ema": True, "ema_momentum": 0.8})
        for step in range(4):
            optimizer.apply(gradients(step), weights)
        optimizer.finalize_variable_values(weights)
        results.append([np.asarray(each) for each in weights])
    assert_close(*results, 1e-5, 1e-6)


REGULARIZERS = [
    ("L1", {}),
    ("L1", {"l1": 0.3}),
    ("L2", {}),
    ("L2", {"l2": 0.3}),
    ("L1L2", {}),
    ("L1L2", {"l1": 0.2, "l2": 0.3}),
    ("OrthogonalRegularizer", {}),
    ("OrthogonalRegularizer", {"factor": 0.5, "mode": "columns"}),
]
CONSTRAINTS = [
    ("MaxNorm", {}),
    ("MaxNorm", {"max_value": 0.7, "axis": [0, 1]}),
    ("NonNeg", {}),
    ("UnitNorm", {}),
    ("UnitNorm", {"axis": 1}),
    ("MinMaxNorm", {}),
    ("MinMaxNorm", {"min_value": 0.9, "max_value": 1.1, "rate": 0.4, "axis": 1}),
]


def assert_same_options(ours, theirs):
    """Keras rounds some of them to float32."""
    mine, other = ours.get_config(), theirs.get_config()
    assert mine.keys() == other.keys()
    assert all(mine[name] == pytest.approx(value) for name, value in other.items())


PENALTIES = [("regularizers", *case) for case in REGULARIZERS]
PENALTIES += [("constraints", *case) for case in CONSTRAINTS]


@pytest.mark.parametrize(("part", "name", "options"), PENALTIES, ids=str)
def test_regularizers_and_constraints(part, name, options):
    theirs, ours = (getattr(getattr(p, part), name)(**options) for p in (keras, keraunos))
    for scale in (0.1, 1.0, 5.0):
        x = scale * draw((4, 3), seed=5)
        # Arrays of numpy take another path in Keras's orthogonal one.
        expected = np.asarray(theirs(keras.ops.convert_to_tensor(x)))
        assert_close(np.asarray(ours(x)), expected, 1e-5, 1e-6)
        assert_close(np.asarray(ours(keraunos.Variable(x))), expected, 1e-5, 1e-6)
    assert_same_options(ours, theirs)
    package, other = getattr(keraunos, part), getattr(keras, part)
    again = package.get(other.serialize(theirs))
    assert type(again) is type(ours)
    assert_same_options(again, theirs)
    assert {**package.serialize(ours), "config": 0} == {**other.serialize(theirs), "config": 0}


@pytest.mark.parametrize("part", ["regularizers", "constraints", "optimizers"])
def test_names(part):
    theirs, ours = getattr(keras, part), getattr(keraunos, part)
    public = [name for name in dir(theirs) if not name.startswith("_")]
    absent = {"LossScaleOptimizer", "MultiOptimizer", "OptimizerMap", "ScheduleFreeAdamW", "legacy"}
    assert {name for name in public if not hasattr(ours, name)} <= absent

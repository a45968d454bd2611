"""Optimizers: numbers by hand, state, options, schedules, errors; arrays and traces alike."""

import math
import warnings

import numpy as np
import pytest
from tiers import deep

import keraunos
from keraunos import ops
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.frontend.tracing import Spec, trace_call
from keraunos.optimizers import schedules

NAMES = ["SGD", "RMSprop", "Adam", "AdamW", "Nadam", "Adamax", "Adagrad", "Adadelta", "Adafactor",
         "Ftrl", "Lion", "Lamb", "Muon"]  # fmt: skip


def weights():
    return [
        keraunos.Variable(np.linspace(-1, 2, 6, dtype="float32").reshape(3, 2), name="kernel"),
        keraunos.Variable(np.array([0.5, -0.25], "float32"), name="bias"),
    ]


def gradients(step=0):
    random = np.random.default_rng(step)
    return [random.standard_normal((3, 2)).astype("float32"), np.float32([0.1, -2.0 * step - 1])]


def made(name, /, **options):
    return getattr(keraunos.optimizers, name)(**options)


def state(optimizer, variables):
    return [variable.numpy() for variable in (*variables, *optimizer.variables)]


def after(steps, optimizer, variables=None):
    """The weights after some updates."""
    held = variables or weights()
    for step in range(steps):
        optimizer.apply(gradients(step), held)
    return [variable.numpy() for variable in held]


def assert_all_close(ours, theirs, rtol=1e-6, atol=1e-7):
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol, atol)


# Numbers by hand


def one(optimizer, *grads, start=1.0):
    """A weight of one element after updates by some gradients."""
    weight = keraunos.Variable(np.float32([start]), name="w")
    for gradient in grads:
        optimizer.apply([np.float32([gradient])], [weight])
    return float(weight.value[0])


def test_sgd():
    assert one(made("SGD", learning_rate=0.1), 2.0, -1.0) == pytest.approx(0.9)


def test_momentum():
    # Velocities -0.2 and -0.1 * 0.9 - 0.1, that is -0.28.
    assert one(made("SGD", learning_rate=0.1, momentum=0.9), 2.0, 1.0) == pytest.approx(0.52)


def test_nesterov():
    # 1 - 0.9 * 0.2 - 0.2, then the velocity is -0.28: 0.62 - 0.9 * 0.28 - 0.1.
    optimizer = made("SGD", learning_rate=0.1, momentum=0.9, nesterov=True)
    assert one(optimizer, 2.0, 1.0) == pytest.approx(0.268)


def test_the_first_step_of_adam_is_the_learning_rate():
    for name in ("Adam", "Adamax", "Lion"):
        assert one(made(name, learning_rate=0.1), 5.0) == pytest.approx(0.9, abs=1e-5)


def test_adam():
    m = v = 0.0
    expected = 1.0
    grads = [0.3, -0.2, 0.7, 0.1]
    for t, g in enumerate(grads, 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        rate = 0.01 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        expected -= rate * m / (math.sqrt(v) + 1e-7)
    assert one(made("Adam", learning_rate=0.01), *grads) == pytest.approx(expected, abs=1e-6)


def test_rmsprop():
    square, expected = 0.0, 1.0
    for g in (0.3, -0.2, 0.7):
        square = 0.9 * square + 0.1 * g * g
        expected -= 0.01 * g / math.sqrt(square + 1e-7)
    result = one(made("RMSprop", learning_rate=0.01), 0.3, -0.2, 0.7)
    assert result == pytest.approx(expected, abs=1e-6)


def test_adagrad():
    expected = 1 - 0.1 * 2 / math.sqrt(0.1 + 4 + 1e-7)
    assert one(made("Adagrad", learning_rate=0.1), 2.0) == pytest.approx(expected)


def test_lamb_steps_by_the_length_of_the_weight():
    # The step of one element has the length of the weight.
    assert one(made("Lamb", learning_rate=0.1), 5.0, start=4.0) == pytest.approx(3.6, abs=1e-5)
    # A weight of 0 steps by the learning rate.
    assert one(made("Lamb", learning_rate=0.1), 5.0, start=0.0) == pytest.approx(-0.1, abs=1e-5)
    assert one(made("Lamb", learning_rate=0.1), 0.0, start=4.0) == 4.0


def test_muon_makes_steps_orthogonal():
    weight = keraunos.Variable(np.zeros((4, 4), "float32"), name="kernel")
    gradient = np.diag(np.float32([9, 3, 1, 0.5]))
    made("Muon", learning_rate=1.0, rms_rate=None).apply([gradient], [weight])
    values = np.linalg.svd(weight.value, compute_uv=False)
    assert (values > 0.6).all() and (values < 1.3).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_sum_of_squares_falls(name):
    rates = {
        "Adadelta": 30.0,
        "Adagrad": 0.5,
        "Adafactor": 0.5,
        "Ftrl": 5.0,
        "SGD": 0.1,
        "Muon": 0.2,
    }
    optimizer = made(name, learning_rate=rates.get(name, 0.05))
    variables = weights()
    start = sum(float((v.value**2).sum()) for v in variables)
    for _ in range(60):
        optimizer.apply([2 * v.numpy() for v in variables], variables)
    assert sum(float((v.value**2).sum()) for v in variables) < start / 3


# Arrays and traces

OPTIONS = [
    {},
    {"weight_decay": 0.1, "clipnorm": 0.5, "use_ema": True, "ema_overwrite_frequency": 2},
    {
        "learning_rate": schedules.CosineDecay(0.1, 10),
        "gradient_accumulation_steps": 2,
        "global_clipnorm": 0.5,
    },
]


# Every optimizer with one set of options; plain ones are compared op by op below.
UPDATES = [
    each
    for row, name in enumerate(NAMES)
    for column in range(3)
    for each in deep(name, column, when=column != 1 + row % 2)
]


@pytest.mark.parametrize(("name", "choice"), UPDATES)
def test_a_compiled_update_is_that_of_the_graph(name, choice):
    options = OPTIONS[choice]
    compiled, variables = made(name, **options), weights()
    variables[0].constraint = keraunos.constraints.MaxNorm(1.5)
    traced, others = made(name, **options), weights()
    others[0].constraint = keraunos.constraints.MaxNorm(1.5)
    specs = tuple(Spec(v.shape, name="g") for v in others)
    step = trace_call(lambda *grads: traced.apply(grads, others), specs)
    names = [node.attrs["name"] for node in step.graph.updates]
    values = step.values()
    for count in range(3):
        compiled.apply(gradients(count), variables)
        results = evaluate(step.graph, gradients(count), values)
        values |= dict(zip(names, results, strict=True))
    by_id = {id(variable): name for name, variable in step.variables.items()}
    held = [values.get(by_id.get(id(v)), v.value) for v in (*others, *traced.variables)]
    assert_all_close(held, state(compiled, variables), 1e-5, 1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_op_by_op_is_the_same(name):
    # Functions may give another rate each time, so updates by them are no programs.
    compiled, by_ops = made(name), made(name, learning_rate=lambda: made(name).learning_rate)
    variables, others = weights(), weights()
    for step in range(3):
        compiled.apply(gradients(step), variables)
        by_ops.apply(gradients(step), others)
    assert len(compiled.programs) == 1 and not by_ops.programs
    held = [v for v in compiled.variables if v.name != "learning_rate"]
    mine = [v.value for v in (*variables, *held)]
    assert_all_close(mine, state(by_ops, others), 1e-5, 1e-6)


def test_an_option_that_is_changed_counts_from_then_on():
    optimizer, variables = made("SGD", learning_rate=1.0), weights()
    zeros = [np.zeros(v.shape) for v in variables]
    before = variables[1].numpy()
    optimizer.apply(zeros, variables)
    np.testing.assert_array_equal(variables[1].value, before)
    optimizer.weight_decay = 0.5
    optimizer.apply(zeros, variables)
    np.testing.assert_array_equal(variables[1].value, before / 2)
    variables[1].constraint = keraunos.constraints.NonNeg()
    optimizer.apply(zeros, variables)
    np.testing.assert_array_equal(variables[1].value, np.maximum(before / 4, 0))
    assert [v.name for v in optimizer.variables] == ["iteration", "learning_rate"]


def test_weights_that_are_assigned_are_read():
    optimizer, variables = made("SGD", learning_rate=1.0, momentum=0.5), weights()
    optimizer.apply(gradients(), variables)
    variables[1].assign([5.0, 6.0])
    optimizer.momentums[1].assign([1.0, 2.0])
    optimizer.apply([np.zeros((3, 2)), np.zeros(2)], variables)
    np.testing.assert_array_equal(variables[1].value, [5.5, 7.0])


def test_a_trace_changes_nothing():
    optimizer, variables = made("Adam"), weights()
    before = [v.numpy() for v in variables]
    specs = tuple(Spec(v.shape) for v in variables)
    trace_call(lambda *grads: optimizer.apply(grads, variables), specs)
    assert_all_close([v.value for v in variables], before, 0, 0)
    assert int(optimizer.iterations) == 0


def test_weights_share_what_depends_on_the_step_alone():
    optimizer, variables = made("Adam"), weights()
    specs = tuple(Spec(v.shape) for v in variables)
    graph = trace_call(lambda *grads: optimizer.apply(grads, variables), specs).graph
    powers = [node for node in graph.nodes if node.op.name == "power"]
    assert len(powers) == 2


def test_updates_name_the_optimizer_and_its_line():
    optimizer, variables = made("SGD", name="descent"), weights()
    specs = tuple(Spec(v.shape) for v in variables)
    graph = trace_call(lambda *grads: optimizer.apply(grads, variables), specs).graph
    node = next(node for node in graph.nodes if node.op.name == "subtract")
    assert node.origins[0].layer == "descent"
    assert node.origins[0].file == "test_optimizers.py"


# State


def test_variables_are_in_the_order_of_keras():
    optimizer = made("Adam", amsgrad=True, use_ema=True, name="adam")
    optimizer.build(weights())
    assert [v.path for v in optimizer.variables] == [
        "adam/iteration",
        "adam/learning_rate",
        "adam/kernel_average",
        "adam/bias_average",
        "adam/kernel_momentum",
        "adam/kernel_velocity",
        "adam/bias_momentum",
        "adam/bias_velocity",
        "adam/kernel_velocity_hat",
        "adam/bias_velocity_hat",
    ]
    assert not any(v.trainable for v in optimizer.variables)


def test_a_schedule_is_no_variable():
    optimizer = made("SGD", learning_rate=schedules.CosineDecay(0.1, 10))
    assert [v.name for v in optimizer.variables] == ["iteration"]
    assert float(optimizer.learning_rate) == pytest.approx(0.1)


def test_names_are_unique():
    keraunos.utils.clear_session()
    assert [made("RMSprop").name, made("RMSprop").name] == ["rm_sprop", "rm_sprop_1"]


def test_iterations_count_updates():
    optimizer = made("SGD", gradient_accumulation_steps=2)
    after(5, optimizer)
    assert int(optimizer.iterations) == 2
    plain = made("SGD")
    assert int(plain.iterations) == 0
    after(3, plain)
    assert int(plain.iterations) == 3 and plain.iterations.dtype == "int32"


@pytest.mark.parametrize("name", NAMES)
def test_saved_state_goes_on_where_it_was(name):
    optimizer, variables = made(name), weights()
    after(2, optimizer, variables)
    store = {}
    optimizer.save_own_variables(store)
    other, copies = made(name), [keraunos.Variable(v.numpy(), name=v.name) for v in variables]
    other.build(copies)
    other.load_own_variables(store)
    for each, held in ((optimizer, variables), (other, copies)):
        each.apply(gradients(7), held)
    assert_all_close(state(other, copies), state(optimizer, variables), 0, 0)


def test_state_of_another_optimizer_is_left_out():
    optimizer, other = made("Adam"), made("SGD")
    for each in (optimizer, other):
        each.build(weights())
    store = {}
    other.save_own_variables(store)
    with pytest.warns(UserWarning, match="2 variables and the optimizer 6"):
        optimizer.load_own_variables(store)


def test_set_weights_sets_all_or_none():
    optimizer = made("SGD", momentum=0.9)
    with pytest.raises(ValueError, match=r"build\(variables\)"):
        optimizer.set_weights([])
    optimizer.build(weights())
    values = [np.full(v.shape, 3) for v in optimizer.variables]
    with pytest.raises(ValueError, match="expected a value of shape"):
        optimizer.set_weights([*values[:-1], np.ones(9)])
    assert int(optimizer.iterations) == 0
    with pytest.raises(ValueError, match="expected 4 arrays; received 1"):
        optimizer.set_weights(values[:1])
    optimizer.set_weights(values)
    assert int(optimizer.iterations) == 3


# The learning rate


def test_the_learning_rate_may_be_set():
    optimizer = made("SGD", learning_rate=0.1)
    optimizer.learning_rate = 0.5
    assert float(optimizer.learning_rate) == 0.5
    assert one(optimizer, 1.0) == pytest.approx(0.5)
    optimizer.learning_rate.assign(0.25)
    assert one(made("SGD", learning_rate=optimizer.learning_rate.numpy()), 1.0) == 0.75


def test_a_schedule_may_take_its_place():
    optimizer = made("SGD", learning_rate=0.1)
    optimizer.learning_rate = schedules.PiecewiseConstantDecay([0], [1.0, 0.5])
    assert [v.name for v in optimizer.variables] == ["iteration"]
    assert one(optimizer, 1.0, 1.0) == pytest.approx(-0.5)
    with pytest.raises(TypeError, match="made with PiecewiseConstantDecay"):
        optimizer.learning_rate = 0.1


def test_a_function_as_learning_rate():
    rates = iter([0.5, 0.25])
    assert one(made("SGD", learning_rate=lambda: next(rates)), 1.0, 1.0) == pytest.approx(0.25)


def test_schedules_see_every_call_where_gradients_accumulate():
    schedule = schedules.PiecewiseConstantDecay([2], [0.0, 1.0])
    optimizer = made("SGD", learning_rate=schedule, gradient_accumulation_steps=2)
    assert one(optimizer, 1.0, 1.0) == 1.0
    assert one(made("SGD", learning_rate=schedule, gradient_accumulation_steps=4), *[1.0] * 4) == 0


# Options


def test_weight_decay_and_its_exceptions():
    optimizer, variables = made("SGD", learning_rate=0.5, weight_decay=0.2), weights()
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    before = [v.numpy() for v in variables]
    optimizer.apply([np.zeros((3, 2)), np.zeros(2)], variables)
    assert_all_close([v.value for v in variables], [before[0] * 0.9, before[1]])
    with pytest.raises(ValueError, match="before the optimizer is built"):
        optimizer.exclude_from_weight_decay(var_list=variables)


def test_gradients_are_clipped():
    def step(**options):
        variable = keraunos.Variable(np.zeros(2, "float32"))
        made("SGD", learning_rate=1.0, **options).apply([np.float32([3, -4])], [variable])
        return variable.value

    np.testing.assert_allclose(step(clipnorm=1.0), [-0.6, 0.8], rtol=1e-6)
    np.testing.assert_allclose(step(clipnorm=9.0), [-3, 4])
    np.testing.assert_allclose(step(clipvalue=3.5), [-3, 3.5])
    np.testing.assert_allclose(step(global_clipnorm=1.0), [-0.6, 0.8], rtol=1e-6)


def test_gradients_are_clipped_together():
    variables = [keraunos.Variable(np.zeros(1, "float32")) for _ in range(2)]
    optimizer = made("SGD", learning_rate=1.0, global_clipnorm=1.0)
    optimizer.apply([np.float32([3]), np.float32([4])], variables)
    np.testing.assert_allclose([v.value[0] for v in variables], [-0.6, -0.8], rtol=1e-6)
    optimizer.apply([np.float32([np.inf]), np.float32([4])], variables)
    assert all(np.isnan(v.value[0]) for v in variables)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_zero_make_no_nan(name):
    """The first of all: means of squares are zero, too, and something divides by their roots."""
    optimizer, variables = made(name), weights()
    for _ in range(2):
        zeros = [np.zeros(each.shape, "float32") for each in variables]
        optimizer.apply(zeros, variables)
    assert all(np.isfinite(array).all() for array in state(optimizer, variables))


@pytest.mark.parametrize("options", [{}, {"centered": True}, {"momentum": 0.9}])
def test_rmsprop_divides_by_the_root_of_its_epsilon_too(options):
    optimizer, variables = made("RMSprop", learning_rate=1.0, epsilon=4.0, **options), weights()
    before = variables[1].numpy()
    optimizer.apply([np.zeros((3, 2), "float32"), np.float32([1e-3, -2e-3])], variables)
    np.testing.assert_allclose(before - variables[1].numpy(), [5e-4, -1e-3], rtol=1e-3)


def test_a_gradient_of_zero_is_clipped_to_itself():
    for name in ("clipnorm", "global_clipnorm"):
        assert one(made("SGD", **{name: 1.0}), 0.0) == 1.0


def test_accumulated_gradients_are_one_update_by_their_mean():
    summed = made("Adam", learning_rate=0.1, gradient_accumulation_steps=2)
    variables, others = weights(), weights()
    before = [v.numpy() for v in variables]
    summed.apply(gradients(1), variables)
    assert_all_close([v.value for v in variables], before, 0, 0)
    summed.apply(gradients(2), variables)
    means = [(a + b) / 2 for a, b in zip(gradients(1), gradients(2), strict=True)]
    made("Adam", learning_rate=0.1).apply(means, others)
    assert_all_close([v.value for v in variables], [v.value for v in others])


def test_accumulation_holds_back_all_state():
    optimizer, variables = made("Nadam", gradient_accumulation_steps=3), weights()
    optimizer.build(variables)
    kept = [v for v in optimizer.variables if "accumulator" not in v.name and v.name != "iteration"]
    before = [v.numpy() for v in kept]
    for _ in range(2):
        optimizer.apply(gradients(), variables)
        assert_all_close([v.value for v in kept], before, 0, 0)
    optimizer.apply(gradients(), variables)
    assert all(
        (v.value != b).any() for v, b in zip(kept, before, strict=True) if "rate" not in v.name
    )
    assert not any(v.value.any() for v in optimizer.variables if "accumulator" in v.name)


def test_averages_of_weights():
    optimizer, variables = made("SGD", learning_rate=1.0, use_ema=True, ema_momentum=0.5), weights()
    seen = []
    for step in range(3):
        optimizer.apply(gradients(step), variables)
        seen.append(variables[1].numpy())
    expected = 0.25 * seen[0] + 0.25 * seen[1] + 0.5 * seen[2]
    (_, first), (weight, average) = optimizer.averages
    assert weight is variables[1]
    np.testing.assert_allclose(average.value, expected, rtol=1e-6)
    optimizer.finalize_variable_values(variables)
    np.testing.assert_allclose(variables[1].value, expected, rtol=1e-6)
    np.testing.assert_allclose(variables[0].value, first.value)


def test_averages_replace_the_weights_now_and_then():
    options = {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2}
    assert one(made("SGD", learning_rate=1.0, **options), 1.0) == 0.0
    # 0, then -1; their mean.
    assert one(made("SGD", learning_rate=1.0, **options), 1.0, 1.0) == -0.5


def test_without_averages_there_is_nothing_to_finalize():
    optimizer, variables = made("SGD"), weights()
    before = after(1, optimizer, variables)
    optimizer.finalize_variable_values(variables)
    assert_all_close([v.value for v in variables], before, 0, 0)
    assert optimizer.averages == []


def test_scaled_losses():
    optimizer = made("SGD", learning_rate=0.1, loss_scale_factor=4.0)
    assert float(optimizer.scale_loss(np.float32(2))) == 8
    assert one(optimizer, 4.0) == pytest.approx(0.9)
    assert made("SGD").scale_loss(2.0) == 2.0


def test_constraints_hold_after_an_update():
    variables = weights()
    variables[0].constraint = keraunos.constraints.NonNeg()
    after(2, made("SGD", learning_rate=1.0), variables)
    assert (variables[0].value >= 0).all() and (variables[0].value > 0).any()
    assert (variables[1].value < 0).any() or (variables[1].value > 0).any()


def test_weights_without_a_gradient_stay_as_they_are():
    variables = weights()
    before = variables[0].numpy()
    with pytest.warns(UserWarning, match="no gradients for kernel"):
        made("Adam").apply([None, gradients()[1]], variables)
    np.testing.assert_array_equal(variables[0].value, before)
    with pytest.raises(ValueError, match="None for each"):
        made("Adam").apply([None, None], variables)


def test_no_gradients_are_no_update():
    optimizer = made("Adam")
    optimizer.apply([], [])
    assert int(optimizer.iterations) == 0


def test_pairs_of_gradients_and_weights():
    variables, others = weights(), weights()
    count = made("Adam").apply_gradients(zip(gradients(), variables, strict=True))
    assert int(count) == 1
    made("Adam").apply(gradients(), others)
    assert_all_close([v.value for v in variables], [v.value for v in others], 0, 0)


def test_float64_weights():
    variable = keraunos.Variable(np.ones(2), dtype="float64")
    optimizer = made("Adam")
    optimizer.apply([np.ones(2)], [variable])
    assert {v.dtype for v in optimizer.variables[2:]} == {"float64"}
    assert variable.value[0] == pytest.approx(0.999, abs=1e-6)


# Optimizers of a user's own


class Momentum(keraunos.optimizers.Optimizer):
    """As Keras's documentation has it."""

    def __init__(self, learning_rate=0.1, mass=0.9, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.mass = mass

    def build(self, variables):
        super().build(variables)
        self.momentums = []
        for variable in variables:
            made = self.add_variable_from_reference(reference_variable=variable, name="momentum")
            self.momentums.append(made)

    def update_step(self, gradient, variable, learning_rate):
        learning_rate = ops.cast(learning_rate, variable.dtype)
        m = self.momentums[self._get_variable_index(variable)]
        self.assign(m, ops.subtract(ops.multiply(m, self.mass), gradient * learning_rate))
        self.assign_add(variable, m)

    def get_config(self):
        return {**super().get_config(), "mass": self.mass}


def test_an_optimizer_of_ones_own():
    ours = after(3, Momentum(0.1, 0.8))
    assert_all_close(ours, after(3, made("SGD", learning_rate=0.1, momentum=0.8)))
    ours = after(4, Momentum(0.1, 0.8, gradient_accumulation_steps=2))
    options = {"learning_rate": 0.1, "momentum": 0.8, "gradient_accumulation_steps": 2}
    assert_all_close(ours, after(4, made("SGD", **options)))
    config = keraunos.optimizers.serialize(Momentum(mass=0.5))
    assert config["registered_name"] == "Momentum" and config["config"]["mass"] == 0.5
    again = keraunos.optimizers.deserialize(config, custom_objects={"Momentum": Momentum})
    assert isinstance(again, Momentum) and again.mass == 0.5


def test_variables_in_attributes_are_found():
    class Counting(keraunos.Optimizer):
        def build(self, variables):
            super().build(variables)
            self.total = keraunos.Variable(np.float32(0), name="total")

        def update_step(self, gradient, variable, learning_rate):
            self.total.assign_add(ops.sum(gradient))

    optimizer = Counting(0.1, gradient_accumulation_steps=2)
    variables = weights()
    for _ in range(2):
        optimizer.apply([np.ones((3, 2)), np.ones(2)], variables)
    assert [v.name for v in optimizer.variables][-1] == "total"
    assert float(optimizer.total) == 8


def test_a_forgotten_call_of_the_base():
    class Forgetful(keraunos.Optimizer):
        def __init__(self):
            self.mass = 1

    with pytest.raises(ValueError, match=r"super\(\).__init__"):
        Forgetful().apply(gradients(), weights())


def test_an_update_must_be_defined():
    with pytest.raises(NotImplementedError, match="update_step"):
        keraunos.Optimizer(0.1).apply(gradients(), weights())


# Finding and configurations


def test_get():
    get = keraunos.optimizers.get
    for name in NAMES:
        cls = getattr(keraunos.optimizers, name)
        assert type(get(name)) is type(get(name.lower())) is type(get(cls)) is cls
    optimizer = made("Adam")
    assert get(optimizer) is optimizer and get(None) is None
    assert get({"class_name": "Adam", "config": {"learning_rate": 0.5}}).get_config()[
        "learning_rate"
    ] == pytest.approx(0.5)
    with pytest.raises(
        ValueError, match=r"unknown optimizer: received 'adem'. Did you mean 'adam'"
    ):
        get("adem")
    with pytest.raises(ValueError, match="expected an optimizer"):
        get(3)


@pytest.mark.parametrize("name", NAMES)
def test_configurations_come_back(name):
    optimizer = made(name, weight_decay=0.1, clipnorm=2.0, learning_rate=0.25, name="mine")
    config = optimizer.get_config()
    assert config["learning_rate"] == 0.25 and config["weight_decay"] == 0.1
    again = type(optimizer).from_config(config)
    assert again.get_config() == config
    described = keraunos.optimizers.serialize(optimizer)
    assert keraunos.optimizers.deserialize(described).get_config() == config


def test_schedules_and_functions_in_configurations():
    schedule = schedules.CosineDecay(0.1, 10, warmup_target=0.2, warmup_steps=3)
    optimizer = made("Adam", learning_rate=schedule)
    again = keraunos.optimizers.deserialize(keraunos.optimizers.serialize(optimizer))
    assert float(again.learning_rate) == pytest.approx(0.1)

    def constant():
        return 0.5

    config = made("SGD", learning_rate=constant).get_config()
    again = keraunos.optimizers.SGD.from_config(config, custom_objects={"constant": constant})
    assert again.learning_rate == 0.5


# Errors

WRONG = [
    ({"learning_rate": -0.1}, "expected learning_rate of 0 or more; received -0.1"),
    ({"learning_rate": "fast"}, "learning_rate of 0 or more; received 'fast'"),
    ({"learning_rate": math.nan}, "learning_rate"),
    ({"learning_rate": None}, "learning_rate"),
    ({"learning_rate": True}, "learning_rate"),
    ({"clipnorm": 1.0, "clipvalue": 2.0}, "one of clipnorm, .* received clipnorm=1.0, clipvalue"),
    ({"clipnorm": 0.0}, "clipnorm above 0; received 0.0"),
    ({"global_clipnorm": -1}, "global_clipnorm above 0"),
    ({"weight_decay": -1.0}, "weight_decay of 0 or more"),
    ({"ema_momentum": 1.5}, "ema_momentum between 0 and 1"),
    ({"ema_overwrite_frequency": 0}, "ema_overwrite_frequency as an int of 1 or more"),
    ({"gradient_accumulation_steps": 1}, "gradient_accumulation_steps as an int of 2 or more"),
    ({"gradient_accumulation_steps": 2.0}, "gradient_accumulation_steps as an int"),
    ({"loss_scale_factor": 0}, "loss_scale_factor above 0"),
    ({"lr": 0.1}, "unexpected arguments: lr. Did you mean 'learning_rate'"),
    ({"clip_norm": 0.1}, "Did you mean 'clipnorm'"),
    ({"beta1": 0.1}, "Did you mean 'beta_1'"),
    ({"xyzzy": 0.1}, "Expected out of learning_rate, beta_1"),
    ({"beta_1": 2}, "beta_1 between 0 and 1; received 2"),
    ({"epsilon": -1}, "epsilon of 0 or more"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=lambda value: str(value)[:40])
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=f"Adam: .*{message}"):
        made("Adam", **options)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("SGD", {"momentum": 1.5}, "momentum between 0 and 1"),
        ("AdamW", {"weight_decay": None}, "weight_decay as a number; received None"),
        ("Ftrl", {"learning_rate_power": 0.5}, "learning_rate_power of 0 or less"),
        ("Ftrl", {"l1_regularization_strength": -1}, "l1_regularization_strength of 0 or more"),
        ("Lion", {"beta_1": 0}, "beta_1 above 0"),
        ("Adafactor", {"clip_threshold": 0}, "clip_threshold above 0"),
    ],
)
def test_options_of_one_out_of_range(name, options, message):
    with pytest.raises(ValueError, match=f"{name}: .*{message}"):
        made(name, **options)


def test_decay_is_warned_of():
    with pytest.warns(UserWarning, match="InverseTimeDecay"):
        made("SGD", decay=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made("SGD", decay=None)


def test_gradients_that_do_not_fit():
    optimizer, variables = made("SGD"), weights()
    with pytest.raises(ValueError, match=r"the weights as apply\(gradients, variables\)"):
        optimizer.apply(gradients())
    with pytest.raises(ValueError, match="a gradient for each of 2 weights; received 1"):
        optimizer.apply(gradients()[:1], variables)
    with pytest.raises(ValueError, match=r"shape \(3, 2\) for kernel; received shape \(2,\)"):
        optimizer.apply([gradients()[1], gradients()[0]], variables)
    optimizer.apply(gradients(), variables)
    optimizer.apply(gradients())
    with pytest.raises(ValueError, match="built for; received kernel, bias"):
        optimizer.apply(gradients(), weights())


# Schedules


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (schedules.ExponentialDecay(1.0, 10, 0.5), {0: 1.0, 10: 0.5, 15: 0.5**1.5}),
        (schedules.ExponentialDecay(1.0, 10, 0.5, staircase=True), {9: 1.0, 10: 0.5, 19: 0.5}),
        (schedules.InverseTimeDecay(1.0, 10, 0.5), {0: 1.0, 10: 1 / 1.5, 20: 0.5}),
        (schedules.PiecewiseConstantDecay([2, 4], [1, 2, 3]), {0: 1, 2: 1, 3: 2, 4: 2, 5: 3}),
        (schedules.PolynomialDecay(1.0, 10, 0.0), {0: 1.0, 5: 0.5, 10: 0.0, 99: 0.0}),
        (schedules.PolynomialDecay(1.0, 10, 0.0, cycle=True), {10: 0.0, 15: 0.25, 20: 0.0}),
        (schedules.CosineDecay(1.0, 10, 0.2), {0: 1.0, 5: 0.6, 10: 0.2, 99: 0.2}),
        (schedules.CosineDecay(0.0, 10, warmup_target=1.0, warmup_steps=4), {2: 0.5, 4: 1, 9: 0.5}),
        (schedules.CosineDecayRestarts(1.0, 10), {0: 1.0, 5: 0.5, 10: 1.0, 20: 0.5, 30: 1.0}),
        (schedules.CosineDecayRestarts(1.0, 10, 1.0, 0.5), {5: 0.5, 10: 0.5, 20: 0.25}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_schedules(schedule, expected):
    for step, rate in expected.items():
        for given in (step, np.int32(step), keraunos.Variable(step, dtype="int32")):
            found = np.asarray(schedule(given))
            assert found.dtype == np.float32 and found.shape == ()
            assert found == pytest.approx(rate, abs=1e-6)
    graph = trace_call(schedule, (Spec((), "int32"),)).graph
    for step, rate in expected.items():
        assert evaluate(graph, [np.int32(step)])[0] == pytest.approx(rate, abs=1e-6)
    again = schedules.deserialize(schedules.serialize(schedule))
    assert again.get_config() == schedule.get_config()


def test_schedules_that_cannot_be():
    with pytest.raises(ValueError, match="decay_steps above 0; received 0"):
        schedules.CosineDecay(0.1, 0)
    with pytest.raises(ValueError, match="one value more than these; received 2"):
        schedules.PiecewiseConstantDecay([1, 2], [1.0, 2.0])
    with pytest.raises(ValueError, match="boundaries that rise"):
        schedules.PiecewiseConstantDecay([2, 1], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="unknown schedule"):
        schedules.deserialize({"class_name": "SineDecay", "config": {}})
    with pytest.raises(NotImplementedError, match="__call__"):
        schedules.LearningRateSchedule()(0)


def test_a_schedule_of_ones_own():
    class Halving(schedules.LearningRateSchedule):
        def __call__(self, step):
            return 1.0 / (step + 1)

    assert one(made("SGD", learning_rate=Halving()), 1.0, 1.0) == pytest.approx(-0.5)


# Modules


def test_modules_are_the_same_however_they_are_imported():
    from keraunos.optimizers.schedules import CosineDecay  # noqa: PLC0415

    assert CosineDecay is schedules.CosineDecay is keraunos.optimizers.schedules.CosineDecay

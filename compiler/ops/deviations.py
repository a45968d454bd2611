"""Where results are not those of a reference, and why: what ``NUMERICS.md`` lists and tests allow.

A reference is the numpy function of the op's entry, and for gradients Keras with JAX. What is not
in the table agrees: compiled code gives its reference's NaN, infinities, integers and signs of zero
exactly, and other floats within ``UNITS`` units in the last place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

UNITS = 4.0  # in the last place, between an elementary function and its reference


@dataclass(frozen=True)
class Deviation:
    """What ``ops`` do otherwise.

    ``units`` in the last place, ``roundings`` of 1 (the dtype's epsilon) and ``normals`` (the
    dtype's smallest normal number) are how far compiled code may be from the reference; all are 0
    where both agree and only others differ.
    """

    ops: tuple[str, ...]
    what: str
    why: str
    units: float = 0.0
    roundings: float = 0.0
    normals: float = 0.0


VALUES: tuple[Deviation, ...] = (
    Deviation(
        ("sigmoid",),
        "0 where the value is below the smallest normal number.",
        "exp(-x) overflows there, as in JAX; another formula costs every call a tenth.",
        normals=1.0,
    ),
    Deviation(
        ("silu",),
        "0 where sigmoid gives 0.",
        "It is x times sigmoid.",
        normals=800.0,
    ),
    Deviation(
        ("gelu",),
        "Far below 0 the error is that of a number near 1, not of the small result.",
        "1 + erf cancels. So it does in the reference; the tail weighs less than rounding does.",
        roundings=4.0,
    ),
    Deviation(
        ("tanh_shrink",),
        "Near 0 the error is that of x, not of the smaller result.",
        "x - tanh(x) cancels, in the reference and in Keras as well.",
        roundings=2.0,
    ),
    Deviation(
        ("mish",),
        "Within 8 units in the last place.",
        "Softplus and tanh round one after the other.",
        units=8.0,
    ),
    Deviation(
        ("erf_inverse",),
        "Within 6 units in the last place of its value; float32 alone.",
        "Single-precision polynomials (Giles 2010) make random normal numbers.",
        units=6.0,
    ),
    Deviation(
        ("cast",),
        "A float that an integer type cannot hold becomes its nearest integer, NaN becomes 0.",
        "numpy's result depends on the machine; this is JAX's.",
    ),
    Deviation(
        ("floor_divide", "mod"),
        "Integers divided by 0 give 0.",
        "numpy's choice, without its warning; JAX gives -1 or -2.",
    ),
    Deviation(
        ("power",),
        "Integers to a negative power give 1 / x**-y without its fraction, and 0 for 0.",
        "JAX's choice; numpy raises, which a compiled program cannot.",
    ),
    Deviation(
        ("sum", "prod"),
        "Of uint8 they are int64 in `keraunos.ops`.",
        "Keras has uint32, which the compiler lacks; int64 holds it.",
    ),
    Deviation(
        ("sum",),
        "Of x * f it may be sum(x) * f: an infinite f gives infinity where x has both signs, and "
        "where sum(x) overflows it is infinite.",
        "Gradients of normalizations have sum(x) anyway, and save a pass over memory. numpy gives "
        "NaN for the first.",
    ),
    Deviation(
        ("batch_norm",),
        "An infinite gamma gives NaN.",
        "x * s - mean * s, as in Keras with JAX; the reference has (x - mean) * s.",
    ),
    Deviation(
        ("conv1d", "conv2d"),
        "A weight that is infinite or NaN may leave alone what it meets only in padding.",
        "Kernels skip rows and columns of padding; the reference multiplies its zeros, "
        "which gives NaN.",
    ),
    Deviation(
        ("scan",),
        "Unrolled, a weight that is infinite or NaN may leave alone a first step's state of zeros.",
        "The product of zeros is not computed; the reference multiplies them, which gives NaN.",
    ),
    Deviation(
        ("left_shift", "right_shift"),
        "By all places or more: 0, or the sign alone.",
        "As numpy and JAX; C leaves it open.",
    ),
    Deviation(
        ("relu", "sign"),
        "-0 stays -0.",
        "One instruction less in every layer; the two zeros are equal. numpy gives 0.",
    ),
    Deviation(
        ("maximum", "minimum", "clip"),
        "Of 0 and -0 either comes.",
        "They are equal, and one instruction picks. numpy gives either, too.",
    ),
    Deviation(
        ("hard_shrink", "soft_shrink"),
        "NaN stays NaN.",
        "Keras gives 0 and hides what went wrong.",
    ),
)

GRADIENTS: tuple[Deviation, ...] = (
    Deviation(
        ("abs",),
        "The derivative at 0 is 0, and that at NaN is NaN.",
        "As in TensorFlow, PyTorch and JAX before 0.10, which has 1 and -1: an error of exactly 0 "
        "would move weights.",
    ),
    Deviation(
        ("clip", "maximum", "minimum"),
        "What loses gets 0 where the gradient is infinite or NaN.",
        "JAX has 0 times that, which is NaN: below 0, sqrt(maximum(x, 0)) has an infinite one.",
    ),
    Deviation(
        ("max_pool2d",),
        "Of a window with NaN the first element that is NaN or infinite takes all.",
        "In JAX it is one that depends on the order.",
    ),
    Deviation(
        ("sparse_sigmoid",),
        "The derivative at -1 and 1 is 0.",
        "As in Keras with TensorFlow or PyTorch; JAX has half of that inside.",
    ),
    Deviation(
        ("power",),
        "By the base, the derivative of x ** 0 is 0 for every x; by the exponent, that of bases "
        "below 0 is 0.",
        "JAX has NaN, which spreads to every weight, where x ** 0 is constant, and where the "
        "exponent is a constant anyway.",
    ),
)


def allowed(op: str) -> Deviation:
    """How far compiled code of ``op`` may be from its reference."""
    found = [each for each in VALUES if op in each.ops]
    return Deviation(
        (op,),
        "",
        "",
        max([UNITS, *(each.units for each in found)]),
        max([0.0, *(each.roundings for each in found)]),
        max([0.0, *(each.normals for each in found)]),
    )


def markdown(table: tuple[Deviation, ...]) -> Iterator[str]:
    """The lines of a table as documents show it."""
    yield "| Op | What comes | Why |"
    yield "|---|---|---|"
    for each in table:
        yield f"| {', '.join(f'`{op}`' for op in each.ops)} | {each.what} | {each.why} |"

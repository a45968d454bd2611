"""The inverse of the error function, in numpy; ``vecmath`` has the same for kernels.

M. Giles, "Approximating the erfinv function", GPU Computing Gems 2 (2010), in single precision:
polynomials in w = -log(1 - x^2), near the centre and in the tails, to be multiplied by x. The
largest error is 4e-7 of the value.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# Highest power first, in w - CENTRE_AT.
CENTRE = (
    2.81022636e-08,
    3.43273939e-07,
    -3.5233877e-06,
    -4.39150654e-06,
    0.00021858087,
    -0.00125372503,
    -0.00417768164,
    0.246640727,
    1.50140941,
)
CENTRE_AT = 2.5
# Highest power first, in sqrt(w) - TAIL_AT.
TAIL = (
    -0.000200214257,
    0.000100950558,
    0.00134934322,
    -0.00367342844,
    0.00573950773,
    -0.0076224613,
    0.00943887047,
    1.00167406,
    2.83297682,
)
TAIL_AT = 3.0
TAIL_FROM = 5.0  # w


def erf_inverse(x: Any) -> Any:
    """The number whose erf is x: infinite at -1 and 1, NaN beyond."""
    number = x.dtype.type
    w = -np.log((1 - x) * (1 + x))
    centre = np.polyval(np.asarray(CENTRE, x.dtype), w - number(CENTRE_AT))
    tail = np.polyval(np.asarray(TAIL, x.dtype), np.sqrt(w) - number(TAIL_AT))
    inside = np.where(w < TAIL_FROM, centre, tail) * x
    return np.where(np.abs(x) == 1, x * number(np.inf), inside).astype(x.dtype)

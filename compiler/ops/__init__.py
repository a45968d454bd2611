"""The op table: one entry an op with its type rule, reference, gradient and kind."""

from .activations import (
    celu,
    elu,
    gelu,
    glu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    mish,
    relu6,
    selu,
    silu,
    soft_shrink,
    softplus,
    softsign,
    sparse_plus,
    sparse_sigmoid,
    squareplus,
    tanh_shrink,
    threshold,
)
from .binary import (
    add,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    divide,
    equal,
    floor_divide,
    greater,
    greater_equal,
    left_shift,
    less,
    less_equal,
    logical_and,
    logical_or,
    logical_xor,
    maximum,
    minimum,
    mod,
    multiply,
    not_equal,
    power,
    right_shift,
    select,
    subtract,
)
from .cond import cond
from .contractions import conv2d, matmul, transposed_matmul
from .convolutions import conv1d, conv2d_transpose
from .core import CONSTANT, FUSED, INPUT, ITEM, PARAMETER, constant, copy, input_, parameter
from .depthwise import depthwise_conv2d
from .einsum import einsum
from .elementwise import abs_ as abs
from .elementwise import (
    acos,
    acosh,
    asin,
    asinh,
    atan,
    atanh,
    cast,
    ceil,
    clip,
    cos,
    cosh,
    erf,
    exp,
    expm1,
    floor,
    is_finite,
    is_inf,
    is_nan,
    log,
    log1p,
    logical_not,
    negative,
    reciprocal,
    relu,
    rsqrt,
    sigmoid,
    sign,
    sin,
    sinh,
    sqrt,
    square,
    stop_gradient,
    tan,
    tanh,
)
from .elementwise import round_ as round
from .indexing import concatenate, gather, iota, one_hot, scatter_add
from .interleave import interleave
from .kernel_gradients import conv2d_kernel_gradient, depthwise_kernel_gradient
from .movement import broadcast_to, flip, pad, repeat, reshape, transpose
from .movement import slice_ as slice
from .normalizations import batch_norm, layer_norm, log_softmax, softmax
from .pooling import avg_pool2d, avg_pool2d_gradient, max_pool2d, max_pool2d_gradient
from .random import count_from, erf_inverse, random_normal, random_uniform
from .reductions import all_ as all
from .reductions import any_ as any
from .reductions import argmax, argmin, logsumexp, mean, prod, variance
from .reductions import max_ as max
from .reductions import min_ as min
from .reductions import sum_ as sum
from .registry import all_ops, get_op, register
from .scan import scan
from .stepping import trace_scan
from .while_loop import while_loop
from .winograd import winograd_conv2d, winograd_kernel, winograd_kernel_gradient

# fmt: off
__all__ = [
    "CONSTANT", "FUSED", "INPUT", "ITEM", "PARAMETER", "abs", "acos", "acosh", "add", "all",
    "all_ops", "any", "argmax", "argmin", "asin", "asinh", "atan", "atanh", "avg_pool2d",
    "avg_pool2d_gradient", "batch_norm", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor",
    "broadcast_to", "cast", "ceil", "celu", "clip", "concatenate", "cond", "constant", "conv1d",
    "conv2d", "conv2d_kernel_gradient", "conv2d_transpose", "copy", "cos", "cosh", "count_from",
    "depthwise_conv2d", "depthwise_kernel_gradient", "divide", "einsum", "elu", "equal", "erf",
    "erf_inverse", "exp", "expm1", "flip", "floor", "floor_divide", "gather", "gelu", "get_op",
    "glu", "greater", "greater_equal", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh",
    "input_", "interleave", "iota", "is_finite", "is_inf", "is_nan", "layer_norm", "leaky_relu",
    "left_shift", "less", "less_equal", "log", "log1p", "log_sigmoid", "log_softmax", "logical_and",
    "logical_not", "logical_or", "logical_xor", "logsumexp", "matmul", "max", "max_pool2d",
    "max_pool2d_gradient", "maximum", "mean", "min", "minimum", "mish", "mod", "multiply",
    "negative", "not_equal", "one_hot", "pad", "parameter", "power", "prod", "random_normal",
    "random_uniform", "reciprocal", "register", "relu", "relu6", "repeat", "reshape", "right_shift",
    "round", "rsqrt", "scan", "scatter_add", "select", "selu", "sigmoid", "sign", "silu", "sin",
    "sinh", "slice", "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus",
    "sparse_sigmoid", "sqrt", "square", "squareplus", "stop_gradient", "subtract", "sum", "tan",
    "tanh", "tanh_shrink", "threshold", "trace_scan", "transpose", "transposed_matmul", "variance",
    "while_loop", "winograd_conv2d", "winograd_kernel", "winograd_kernel_gradient",
]
# fmt: on

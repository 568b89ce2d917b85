"""The operations of every op, against counts by hand: written from its definition, on one small call of each.

A multiply-add is two operations; every other one, a function such as exp among them, is one for each result; what only
moves elements is none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from tests.op_samples import samples_of
from tinytorch.cli.targets import parse_type
from tinytorch.ir.op import OPS, unpacked
from tinytorch.ir.types import f32, f64


@dataclass(frozen=True)
class Counted:
    """A call of an op on operands of these types, such as "f32[3,4] i64[3]", and its operations."""

    types: str
    count: int
    attrs: Mapping[str, Any] = field(default_factory=dict)


# Of all of these, the operands have one type.
ONE_PER_RESULT = {
    "f32[3,4]": (
        "neg abs sign exp expm1 log log1p sqrt rsqrt tanh sigmoid erf sin cos tan sinh cosh asin acos atan asinh acosh "
        "atanh exp2 log2 log10 floor ceil trunc round exponent sinc erfc erfcx erfinv ndtri log_ndtr entr logit lgamma "
        "digamma i0 i0e i1 i1e bessel_k0 bessel_k1 scaled_bessel_k0 scaled_bessel_k1 bessel_j0 bessel_j1 bessel_y0 "
        "bessel_y1 airy_ai relu root"
    ),
    "f32[3,4] f32[3,4]": (
        "add sub mul div mod maximum minimum pow eq ne lt le gt ge atan2 logaddexp logaddexp2 xlogy xlog1py hypot "
        "copysign fmod nextafter clamp_min clamp_max"
    ),
    "i32[3,4] i32[3,4]": "floordiv and or xor shift_left shift_right shift_right_logical gcd",
    "bool[3,4]": "not",
    "bool[3,4] f32[3,4] f32[3,4]": "where",
}

FREE = {
    "constant": Counted("", 0, {"value": np.ones(3, np.float32)}),
    "iota": Counted("", 0, {"shape": (4, 3), "axis": 0}),
    "copy": Counted("f32[3,4]", 0),
    "detach": Counted("f32[3,4]", 0),
    "custom_grad": Counted("f32[3,4] f32[3,4]", 0, {"backward": lambda ct: [ct]}),
    "reshape": Counted("f32[3,4]", 0, {"shape": (12,)}),
    "after": Counted("f32[3,4] f32[2]", 0),
    "permute": Counted("f32[3,4]", 0, {"axes": (1, 0)}),
    "broadcast": Counted("f32[1,4]", 0, {"shape": (3, 4)}),
    "slice": Counted("f32[3,4]", 0, {"starts": (1, 0), "limits": (3, 4), "steps": (1, 2)}),
    "pad": Counted("f32[3,4]", 0, {"low": (0, 1), "high": (2, 0), "interior": (0, 0), "value": 0.0}),
    "concat": Counted("f32[3,4] f32[3,2]", 0, {"axis": 1}),
    "flip": Counted("f32[3,4]", 0, {"axes": (1,)}),
    "affine_view": Counted("f32[12]", 0, {"shape": (3, 2), "starts": (0,), "strides": ((4,), (2,))}),
    "gather": Counted("f32[6,4] i64[3]", 0, {"axis": 0}),
    "scatter": Counted("f32[6,4] i64[3] f32[3,4]", 0, {"axis": 0}),
    "update_slice": Counted("f32[6,4] f32[2,4]", 0, {"starts": (1, 0), "steps": (1, 1)}),
    "dynamic_slice": Counted(
        "f32[6,4] i64[]", 0, {"starts": (0, 0), "steps": (1, 1), "axes": (0,), "limits": (2, 4)}
    ),
    "max_pool2d_take": Counted(
        "f32[2,6,6,3] u8[2,3,3,3]", 0,
        {"window": (2, 2), "stride": (2, 2), "low": (0, 0), "dilation": (1, 1)},
    ),
}  # fmt: skip

# Seven rounds of Philox4x32: two products, four exclusive ors, two additions to the key in each.
PHILOX = 7 * (2 + 4 + 2)
UNIT = PHILOX + 3  # its upper bits, as a float, scaled
OTHERS = {
    "cast": Counted("f32[3,4]", 12, {"dtype": f64}),
    "polygamma": Counted("f32[3,4]", 12, {"n": 2}),
    "checked_index": Counted("i64[3,4]", 12, {"size": 7}),
    "checked_number": Counted("f32[3,4]", 12),
    "random_bits": Counted("i64[2]", 15 * PHILOX, {"shape": (3, 5), "word": 0}),
    "uniform": Counted("i64[2]", 15 * (UNIT + 1), {"shape": (3, 5), "dtype": f32}),  # a cast
    # cos(2 pi u) sqrt(-2 log(1 - v)), and a cast
    "normal": Counted("i64[2]", 15 * (2 * UNIT + 2 + 4 + 1 + 1), {"shape": (3, 5), "dtype": f32}),
    # a threshold, a scale, a choice
    "dropout": Counted("f32[3,4] i64[2]", 12 * (PHILOX + 3), {"p": 0.5}),
}

# Sums over an axis of 5, for each of 3 rows.
N, ROWS = 5, 3
ALONG, LAST = f"f32[{ROWS},{N}]", {"axis": 1}
REDUCED, OVER = {"axes": (1,)}, {"axes": (1,), "eps": 1e-5}
MEAN = N + 1  # the sum, and its division
MEAN_IN_TWO = MEAN + N + MEAN  # a first mean, what numbers differ from it, the mean of that
NORMALIZED = MEAN_IN_TWO + 1 + N + MEAN  # the mean, the squares of the differences, their mean
REDUCTIONS = {
    **{name: Counted(ALONG, ROWS * N, REDUCED) for name in ("sum", "max", "min", "prod", "argmax", "argmin")},
    "mean": Counted(ALONG, ROWS * MEAN, REDUCED),
    # less the mean, squared, added up; less what the mean was rounded by, squared, which takes a sum, a mean, a product
    "variance": Counted(
        ALONG, ROWS * (MEAN_IN_TWO + 1 + N + 2 * N + (N + MEAN + 1 + 1) + 1), {"axes": (1,), "correction": 1.0}
    ),
    # max, difference, exp, sum; then 1 / sum and a product
    "softmax": Counted(ALONG, ROWS * (4 * N + 1 + N), LAST),
    # max, difference, exp, sum; then log and a difference
    "log_softmax": Counted(ALONG, ROWS * (4 * N + 1 + N), LAST),
    # max, difference, exp, sum, log, and the max again, unless it is infinite: a difference, a test, a choice
    "logsumexp": Counted(ALONG, ROWS * (4 * N + 2 + 3), LAST),
    # less the mean, times 1 / sqrt(variance + eps)
    "layernorm": Counted(ALONG, ROWS * (NORMALIZED + N + 3 + N), OVER),
    "layernorm_affine": Counted(f"{ALONG} f32[{N}] f32[{N}]", ROWS * (NORMALIZED + N + 3 + N + 2 * N), OVER),
    # squares, their mean, 1 / sqrt(mean + eps), a product
    "rmsnorm": Counted(ALONG, ROWS * (N + MEAN + 3 + N), OVER),
    "rmsnorm_affine": Counted(f"{ALONG} f32[{N}]", ROWS * (N + MEAN + 3 + N + N), OVER),
    # of each channel: mean and variance (less the square of the mean's error: squared, times a bound, compared, less,
    # chosen); 1 / sqrt(variance + eps) times the weight; less the mean, times that, plus the bias
    "batchnorm": Counted(
        f"f32[{N},{ROWS}] f32[{ROWS}] f32[{ROWS}]", ROWS * (NORMALIZED + 5 + 3 + 1 + 3 * N), {"eps": 1e-5}
    ),
    # the range and the width of the index; compared with each class, and a cast
    "one_hot": Counted("i64[3]", 3 * (2 + 4 + 4), {"size": 4, "dtype": f32}),
    # log(sum(exp)) of what is less than the max, less what is picked: the index, compared, chosen, added up
    "cross_entropy": Counted(f"{ALONG} i64[{ROWS}]", ROWS * (4 * N + 1 + 2 + 3 * N + 1), {"smoothing": 0.0}),
    **{name: Counted("f32[3,5]", 15, {"axis": 1, "reverse": False}) for name in ("cumsum", "cumprod")},
    **{name: Counted("f32[3,5]", 15, {"axis": 1}) for name in ("cummax", "cummin")},
    "linear_scan": Counted("f32[3,5] f32[3,5]", 2 * 15, {"axis": 1, "reverse": False}),
    # max + log1p(exp(min - max)): six, and a test and a choice where both are infinite
    "logcumsumexp": Counted("f32[3,5]", 8 * 15, {"axis": 1, "reverse": False}),
    # of 6 elements, 3 halvings
    "sort": Counted("f32[3,6]", 18 * 3, {"axis": 1, "descending": False, "count": 6}),
    # sorted, 3 being 2 halvings; no NaN: compared, cast, added up; is it all, which place
    "median": Counted("f32[3]", 3 * 2 + 3 * 3 + 2, {"skip_nan": False}),
    # of 13 elements, 4 halvings: a step, the end (limited, less one), compared, beyond the end, either, chosen
    "searchsorted": Counted("f32[13] f32[5]", 5 * 4 * 7, {"right": False}),
}  # fmt: skip

ELEMENTWISE_COMPOSITES = {
    "silu": Counted("f32[3,4]", 12 * 2),  # sigmoid, product
    "gelu": Counted("f32[3,4]", 12 * 5, {"approximate": False}),  # x 0.5 (erf(x c) + 1)
    "binary_cross_entropy": Counted("f32[7] f32[7]", 7 * (2 + 3 + 1 + 3)),  # log p, log(1 - p), each limited
    "softplus": Counted("f32[3,4]", 12 * (1 + 4 + 1)),  # max(x, 0) + log1p(exp(-|x|))
    "logistic_loss": Counted("f32[7] f32[7] f32[7]", 7 * (1 + 3 + 1 + 6 + 1)),  # a x - (a + b) (min(x, 0) - tail)
    "rotary": Counted("f32[2,6] f32[2,6] f32[2,6]", 12 * 3),
    # 48 points of the integral, 20 terms of the sum that small operands take, and what is done once
    **{name: Counted("f32[7] f32[7]", 7 * (48 * 16 + 20 * 9 + 87)) for name in ("igamma", "igammac")},
    # three sums of 9 terms, with 12 terms of Euler and Maclaurin
    "zeta": Counted("f32[7] f32[7]", 7 * (3 * (9 * 8 + 12 * 8 + 23) + 32)),
}

# Images [2,5,6,4], windows of 3 × 2, two groups, stride 2 × 1, one row around: [2,2,5,6].
RESULTS, WINDOW = 2 * 2 * 5 * 6, 3 * 2 * (4 // 2)
PLACED = {"stride": (2, 1), "low": (1, 0), "dilation": (1, 1), "groups": 2}
PADDED = {**PLACED, "high": (0, 0)}
POOLED = {"window": (2, 2), "stride": (2, 2), "low": (0, 0), "dilation": (1, 1)}
# Images [1,4,6,3] and results [1,4,5,5] in 2 × 3 tiles of 2 × 2: 16 products of channels by columns. A transform takes
# the columns of a matrix, then the rows of what that gives, n in all. Of each, with a, b, c and d in it, it makes
# a - c, b + c, c - b, d - b of images; a + b + c, b - c + d of sums; a, a + b, a - b, b of gradients; of weights
# a, h + b / 2, h - b / 2, c with h = (a + c) / 2; of their sums a + h, (b - c) / 2, h + d with h = (b + c) / 2.
SAME = {"stride": (1, 1), "low": (1, 1), "dilation": (1, 1), "groups": 1}
TILES, IN_TILE = 2 * 3, 2 * 16 * 3 * 5
OF_IMAGE, OF_SUMS, OF_GRADIENTS = 4 * (4 + 4), 4 * (4 + 2), 2 * (2 + 4)
OF_WEIGHTS, OF_WEIGHT_SUMS = 5 * (3 + 4), 6 * (4 + 3)
# Of tiles of 4 × 4, by multiply-adds (two each): images take even and odd parts for both points, four, then one for
# each of four results, and two for each of the others; sums, and those of weights, share what two pairs are together
# and apart.
IMAGE_4 = 2 * (4 + 4 + 2 * 2) * (6 + 6)
SUMS_4 = (4 + 2 + 3 + 3 + 4) * (6 + 4)
GRADIENTS_4 = 2 * (4 + 4) * (4 + 6)
WEIGHTS_4 = (2 * 3 + 1 + 2 * 4) * (3 + 6)
WEIGHT_SUMS_4 = (4 + 5 + 3 + 4) * (6 + 3)
# Of the same tiles for windows of 2 × 2: five points, 0, p, -p, q and infinity.
IMAGE_5 = 2 * (3 + (1 + 1 + 2) + 1 + 3) * (5 + 5)
SUMS_5 = (2 + 2 + 3 + 3 + 4) * (5 + 4)
GRADIENTS_5 = 2 * (1 + 1 + 2 + 3) * (4 + 5)
WEIGHTS_5 = (1 + 3 + 3 + 3) * (2 + 5)
WEIGHT_SUMS_5 = (1 + 3 * 2 + 3 * 2) * (5 + 2)
PRODUCTS = {
    "matmul": Counted("f32[2,3,4] f32[2,4,5]", 2 * 2 * 3 * 4 * 5),
    "panel_matmul": Counted("f32[3,7] f32[2,7,4]", 2 * 3 * 7 * 8, {"columns": 8}),
    "byte_panel_matmul": Counted("i8[2,7] i8[3,7,16,1]", 2 * 2 * 7 * 33, {"columns": 33}),
    "int4_matmul": Counted("i8[2,61] u8[1,8,16,4] f16[1,2,16]", 2 * 2 * 61 * 7, {"columns": 7}),
    # of the entries that are stored
    "sparse_matmul": Counted(
        "f32[3,270] f32[184,16] u8[184,4] u8[2,2,2,4] i32[2,2,2]", 2 * 3 * (184 * 16), {"columns": 41}
    ),
    "semi_structured_matmul": Counted("f32[3,30] f32[3,8,2,8] u8[3,8,2,2]", 2 * 3 * (3 * 8 * 2 * 8), {"columns": 19}),
    "conv2d": Counted("f32[2,5,6,4] f32[3,2,2,6]", 2 * RESULTS * WINDOW, PADDED),
    "conv2d_weight_grad": Counted("f32[2,5,6,4] f32[2,2,5,6]", 2 * RESULTS * WINDOW, {**PLACED, "window": (3, 2)}),
    "conv2d_input_grad": Counted("f32[2,2,5,6] f32[3,2,2,6]", 2 * RESULTS * WINDOW, {**PLACED, "size": (5, 6)}),
    "conv2d_packed": Counted(
        "i8[2,6,7,4] i32[2,3,3,1,8]", 2 * (2 * 3 * 5 * 9) * (3 * 3 * 4),
        {"stride": (2, 1), "low": (1, 0), "high": (0, 2), "dilation": (1, 2), "window": (3, 3), "columns": 9,
         "size": 4, "weights": samples_of(OPS["conv2d_packed"])[0].attrs["weights"], "most": (255, 255), "groups": 1,
         "around": 4},
    ),
    "winograd_weights": Counted("f32[3,3,3,5]", OF_WEIGHTS * 3 * 5, {"side": 2, "panel": 8}),
    "conv2d_winograd": Counted(
        "f32[1,4,6,3] f32[3,3,3,5] f32[16,1,3,8]", TILES * (IN_TILE + OF_IMAGE * 3 + OF_SUMS * 5),
        {**SAME, "high": (1, 0)},
    ),
    "winograd_weight_grad": Counted(
        "f32[1,4,6,3] f32[1,4,5,5]", TILES * (IN_TILE + OF_IMAGE * 3 + OF_GRADIENTS * 5) + OF_WEIGHT_SUMS * 3 * 5,
        {**SAME, "window": (3, 3), "side": 2},
    ),
    "max_pool2d": Counted("f32[2,6,6,3]", 2 * 3 * 3 * 3 * (2 * 2 - 1), {**POOLED, "high": (0, 0)}),
    "max_unpool2d": Counted("f32[2,3,3,3] u8[2,3,3,3]", 2 * 3 * 3 * 3, {**POOLED, "size": (6, 6)}),
    "scatter_add": Counted("f32[6,4] i64[3] f32[3,4]", 3 * 4, {"axis": 0}),
    "scatter_reduce": Counted("f32[6,4] i64[3] f32[3,4]", 3 * 4, {"axis": 0, "reduce": "mul"}),
}  # fmt: skip

# 2 · 4 heads, 3 queries, 5 keys of 4 and values of 3: a product with each key and value, and 5 for the softmax.
HEADS, SEEN = "f32[2,4,3,4] f32[2,2,5,4] f32[2,2,5,3]", 2 * 4 * 3 * 5
MASKED = {"scale": 0.5, "causal": False, "extras": (), "p": 0.0, "fill": -math.inf, "zeros": True}
ATTENTIONS = {
    "attention": Counted(HEADS, SEEN * (2 * 4 + 2 * 3 + 5), MASKED),
    # the scores again, and products for the gradients of queries, keys, values and weights
    "attention_grad": Counted(
        f"{HEADS} f32[2,4,3,2] f32[2,4,3,1] f32[2,4,3,3]", SEEN * (3 * 2 * 4 + 2 * 2 * 3 + 5), MASKED
    ),
}

# Two steps of a batch of 3 with 2 hidden units, or with 1 that these are projected to. A gate takes the product of the
# hidden units, their bias, the input and a function; its gradient the product back.
T, B, H, P = 2, 3, 2, 1
UNITS, GATE, BACK = B * H, B * H * (2 * H + 3), B * H * 2 * H
FORWARD, STATE, KEPT = {"reverse": False}, f"f32[{B},{H}]", f"f32[{T},{B},{H}]"
RECURRENT = {
    # c = f c + i g, o tanh(c)
    "lstm": Counted(
        f"f32[{T},{B},8] f32[8,{H}] f32[8] {STATE} {STATE}", T * (4 * GATE + UNITS * (3 + 2)), FORWARD
    ),
    "lstm_projected": Counted(
        f"f32[{T},{B},8] f32[8,{P}] f32[8] f32[{P},{H}] f32[{B},{P}] {STATE}",
        T * (4 * UNITS * (2 * P + 3) + UNITS * (3 + 2) + B * P * 2 * H),
        FORWARD,
    ),
    # r times what is kept; (1 - z) n + z h
    "gru": Counted(f"f32[{T},{B},6] f32[6,{H}] f32[6] {STATE}", T * (3 * GATE + UNITS * (1 + 4)), FORWARD),
    "rnn_tanh": Counted(f"f32[{T},{B},2] f32[2,{H}] f32[2] {STATE}", T * GATE, FORWARD),
    "rnn_relu": Counted(f"f32[{T},{B},2] f32[2,{H}] f32[2] {STATE}", T * GATE, FORWARD),
    # h and c get what comes back from the next step; t = tanh(c), g t; g o (1 - t t) is added to that of c; a gate's by
    # its derivative: i (1 - i) for i, f and o, 1 - g g for g, of which that of o has its factor; c goes back by f
    "lstm_grad": Counted(
        f"{KEPT} {KEPT} f32[8,{H}] {STATE} {STATE} {KEPT} {KEPT} f32[{T},{B},8]",
        T * (UNITS * (2 + 2 + 5 + (4 + 4 + 4 + 3) + 1) + 4 * BACK),
        FORWARD,
    ),
    "lstm_projected_grad": Counted(
        f"f32[{T},{B},{P}] {KEPT} f32[8,{P}] f32[{P},{H}] f32[{B},{P}] {STATE} f32[{T},{B},{P}] {KEPT} f32[{T},{B},8]",
        T * (B * P + UNITS * 2 * P + UNITS * (1 + 2 + 5 + (4 + 4 + 4 + 3) + 1) + 4 * UNITS * 2 * P),
        FORWARD,
    ),
    # what comes back; n's: g (1 - z) (1 - n n); z's: g (h - n) z (1 - z); r's: by what it is times, and r (1 - r); that
    # itself by r; h goes back by z, and by the product
    "gru_grad": Counted(
        f"{KEPT} f32[6,{H}] {STATE} {KEPT} f32[{T},{B},8]", T * (UNITS * (1 + 5 + 5 + 4 + 1 + 2) + 3 * BACK), FORWARD
    ),
    # what comes back, by 1 - h h or where h > 0, and the product
    "rnn_tanh_grad": Counted(f"{KEPT} f32[2,{H}] {STATE} {KEPT}", T * (UNITS * (1 + 3) + BACK), FORWARD),
    "rnn_relu_grad": Counted(f"{KEPT} f32[2,{H}] {STATE} {KEPT}", T * (UNITS * (1 + 2) + BACK), FORWARD),
}  # fmt: skip

COUNTED = {name: Counted(types, 12) for types, names in ONE_PER_RESULT.items() for name in names.split()}
COUNTED |= FREE | OTHERS | REDUCTIONS | ELEMENTWISE_COMPOSITES | PRODUCTS | ATTENTIONS | RECURRENT
# The same ops where their attributes change what is done.
VARIANTS = [
    ("gelu", Counted("f32[3,4]", 12 * 8, {"approximate": True})),  # x 0.5 (tanh(x (x x c + d)) + 1)
    ("dropout", Counted("f32[3,4] i64[2]", 12 * (UNIT + 3), {"p": 1e-5})),  # a rare p takes 24 bits
    ("searchsorted", Counted("f32[2,13] f32[2,5]", 10 * 4 * (7 + 2), {"right": False})),  # and which row
    # of query i, the keys up to i: 1 + 2 + 3
    ("attention", Counted(HEADS, 2 * 4 * 6 * (2 * 4 + 2 * 3 + 5), {**MASKED, "causal": True})),
    (
        "cross_entropy",
        Counted(f"{ALONG} i64[3]", ROWS * (7 * N + 4 + MEAN + 3), {"smoothing": 0.1}),
    ),  # a mean, mixed in
    # 1 × 2 tiles of 4 × 4
    ("winograd_weights", Counted("f32[3,3,3,5]", WEIGHTS_4 * 3 * 5, {"side": 4, "panel": 8})),
    (
        "conv2d_winograd",
        Counted(
            "f32[1,4,6,3] f32[3,3,3,5] f32[36,1,3,8]",
            2 * (2 * 36 * 3 * 5 + IMAGE_4 * 3 + SUMS_4 * 5),
            {**SAME, "high": (1, 0)},
        ),
    ),
    (
        "winograd_weight_grad",
        Counted(
            "f32[1,4,6,3] f32[1,4,5,5]",
            2 * (2 * 36 * 3 * 5 + IMAGE_4 * 3 + GRADIENTS_4 * 5) + WEIGHT_SUMS_4 * 3 * 5,
            {**SAME, "window": (3, 3), "side": 4},
        ),
    ),
    # 2 × 2 tiles of 4 × 4, by multiply-adds, over four phases
    ("winograd_weights", Counted("f32[4,4,3,5]", 4 * WEIGHTS_5 * 3 * 5, {"side": 4, "panel": 8, "stride": (2, 2)})),
    (
        "conv2d_winograd",
        Counted(
            "f32[1,10,14,3] f32[4,4,3,5] f32[25,1,12,8]",
            4 * (2 * 25 * 12 * 5 + IMAGE_5 * 12 + SUMS_5 * 5),
            {**SAME, "high": (1, 1), "stride": (2, 2)},
        ),
    ),
    (
        "winograd_weight_grad",
        Counted(
            "f32[1,10,14,3] f32[1,5,7,5]",
            4 * (2 * 25 * 12 * 5 + IMAGE_5 * 12 + GRADIENTS_5 * 5) + WEIGHT_SUMS_5 * 12 * 5,
            {**SAME, "window": (4, 4), "side": 4, "stride": (2, 2)},
        ),
    ),
    # 1 × 2 tiles of 3 × 3: a, (a + b) / 2, (a - b) / 2 and b of weights
    ("winograd_weights", Counted("f32[2,2,3,5]", 4 * (2 + 4) * 3 * 5, {"side": 3, "panel": 8})),
    ("sum", Counted("f32[3,0]", 0, REDUCED)),
    ("matmul", Counted("f32[3,0] f32[0,4]", 0)),
]


@pytest.mark.parametrize(("name", "counted"), [*COUNTED.items(), *VARIANTS])
def test_operations_by_hand(name: str, counted: Counted) -> None:
    op, types = OPS[name], [parse_type(text) for text in counted.types.split()]
    results = op.result_types(types, counted.attrs)
    assert op.flops(types, unpacked(results), counted.attrs) == counted.count


def test_a_kernel_has_the_operations_of_its_body() -> None:
    (sample,) = samples_of(OPS["kernel"])  # (x + y) x
    results = sample.op.result_types(sample.types, sample.attrs)
    assert sample.op.flops(sample.types, unpacked(results), sample.attrs) == 2 * 4


def test_every_op_is_counted_by_hand() -> None:
    assert COUNTED.keys() | {"kernel"} == OPS.keys()

"""Elementary functions on SIMD lanes, each written once against the Emitter protocol.

Read `core` first (the formats of floats, Horner's rule), then `exp`, `log` and `trig`, which the others are made of:
`div`, `inverse`, `erf`, `gamma`, `bessel`, `airy`.

All are branch-free (selects only), use no tables in memory, and take f32 or f64 lanes. NaN gives NaN, infinities and
signed zeros give what IEEE 754 says, subnormal inputs and results are handled. Largest error found, in ulp of the
result, over random bit patterns and dense ranges (second figure, where it differs: targets without a fused
multiply-add):

    function   f32          f64
    exp        0.9 / 1.2    0.9 / 1.2
    expm1      1.5          1.9 / 2.0
    log        0.9          0.9
    log1p      1.4          1.3
    tanh       1.9 / 2.0    2.1
    sigmoid    2.3 / 2.4    2.3
    erf        1.6 / 2.1    1.6 / 2.1
    sin, cos   1.6          2.4
    pow        0.5          1.0 / about 1000
    rsqrt      1.5          1.5
    tan        0.5          3.6
    sinh       0.5          2.2
    cosh       0.5          1.3 / 1.4
    exp2       0.5          1.0 / 1.2
    log2       0.5          1.6
    log10      0.5          0.5 / 1.8
    asin, acos 0.5          2.0
    atan       0.5          1.0
    atan2      0.5          1.5
    asinh      0.5          1.6
    acosh      0.5          2.5
    atanh      0.5          1.7
    erfc       0.5          2.5
    erfcx      0.5          3.1
    erfinv     0.5          2.4
    ndtri      0.5          2.3
    log_ndtr   0.5          3.4
    lgamma     0.5          3.0 / 4.0, of x > 0
    digamma    0.5          2.7, of x > 2
    polygamma  0.5          6.0, of x > 0 and n < 5

The functions from tan on are computed in f64 for f32 lanes, too, so that only the last rounding is seen. Near zeros of
lgamma and polygamma between negative integers, and of digamma, errors are those of the terms that cancel out.

sin, cos and tan keep that accuracy to |x| = 2**31 in f32 and 2**23 in f64, with a fused multiply-add to 2**40 in f32
and 2**31 in f64. Beyond, accuracy fades with the square of |x|; sin and cos stay in [-1, 1], but mean
nothing in the end.
"""

from __future__ import annotations

from tinytorch.ir.lanemath.div import floordiv, mod, rsqrt
from tinytorch.ir.lanemath.erf import erfc, erfcx, erfinv, log_ndtr, ndtri
from tinytorch.ir.lanemath.exp import cosh, erf, exp, exp2, expm1, sigmoid, sinh, tanh
from tinytorch.ir.lanemath.gamma import digamma, lgamma, polygamma
from tinytorch.ir.lanemath.inverse import acos, acosh, asin, asinh, atan, atan2, atanh
from tinytorch.ir.lanemath.log import log, log1p, log2, log10, pow
from tinytorch.ir.lanemath.trig import cos, sin, tan

__all__ = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cos",
    "cosh",
    "digamma",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "exp",
    "exp2",
    "expm1",
    "floordiv",
    "lgamma",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_ndtr",
    "mod",
    "ndtri",
    "polygamma",
    "pow",
    "rsqrt",
    "sigmoid",
    "sin",
    "sinh",
    "tan",
    "tanh",
]  # fmt: skip

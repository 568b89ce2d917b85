"""Elementary functions on SIMD lanes, each written once against the Emitter protocol.

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

sin and cos keep that accuracy to |x| = 2**31 in f32 and 2**23 in f64, with a fused multiply-add to 2**40 in f32 and
2**31 in f64. Beyond, accuracy fades with the square of |x|; the result stays in [-1, 1] but means nothing in the end.
"""

from __future__ import annotations

from tinytorch.ir.lanemath_div import floordiv, mod, rsqrt
from tinytorch.ir.lanemath_exp import erf, exp, expm1, sigmoid, tanh
from tinytorch.ir.lanemath_log import log, log1p, pow
from tinytorch.ir.lanemath_trig import cos, sin

__all__ = ["cos", "erf", "exp", "expm1", "floordiv", "log", "log1p", "mod", "pow", "rsqrt", "sigmoid", "sin", "tanh"]

"""The Airy function Ai, computed in f64.

A polynomial near 0; far from it, amplitude and phase (or decay) are functions of z = 2/3 |x|**(3/2) (Abramowitz &
Stegun 10.4.59, 10.4.60). Largest error found up to |x| = 30: 260 ulp on the right,
20 times 2**-52 on the left, where relative accuracy near the zeros is lost; 0.5 ulp of f32 elsewhere.
"""

from __future__ import annotations

import math

from tinytorch.ir.lanemath.core import horner, in_f64
from tinytorch.ir.lanemath.exp import exp
from tinytorch.ir.lanemath.trig import cos, sin
from tinytorch.ir.lanes.emitter import Emitter, Lane

_LOW, _HIGH = -4.5, 2.5

# Interpolation in Chebyshev nodes, in 40 digits; errors are at most 2**-54 of the function.
# Ai(x) in x + 1 on [-4.5, 2.5].
_AI_NEAR = (
    0.5355608832923521, -0.01016056711664521, -0.26778044164617615, 0.09095357506816622, 0.021468322877461435,
    -0.017936700835717072, 0.002316175073021862, 0.0009382148503136361, -0.0003616584983676642,
    1.91383364267298e-05, 1.4443037204905916e-05, -3.461789407447153e-06, 3.557045040334677e-08,
    1.1477452971393827e-07, -1.9216263758795304e-08, -3.771623495351145e-10, 5.582952384416612e-10,
    -6.926138030077111e-11, -3.0571157189673627e-12, 1.834955601104425e-12, -1.7420993956259885e-13,
    -1.1646845845141019e-14, 4.3472248003012735e-15, -3.213969720603356e-16, -2.880840473591338e-17,
    7.793566810796076e-18, -4.628272318215659e-19, -5.305260060509777e-20, 1.1624010175456601e-20,
    -4.5731321323712705e-22, -1.0151869885305838e-22, 1.1338089538166e-23, 3.2594130135706215e-25,
    -7.205213884965193e-26,
)  # fmt: skip
# x**(1/4) exp(z) Ai(x) in 1/z - 0.19 on [0, 0.38].
_AI_POS = (
    0.2786929459127564, -0.016462410898110496, 0.006553799702356263, -0.004458479236567641, 0.004076237833652288,
    -0.004532472019838879, 0.005810073075466885, -0.00830952441102001, 0.01297227416199177, -0.021769695711320553,
    0.0389179458460094, -0.073196853085844, 0.13831540351158392, -0.2801927053710566, 0.813304258210618,
    -1.8606309591545862, -0.9595230237548025, 3.406313932222416, 59.02947372738856, -150.3053078371606,
)  # fmt: skip
# P and z Q in 1/z**2, for sqrt(pi) x**(1/4) Ai(-x) = P sin(z + pi/4) - Q cos(z + pi/4), x >= 4.5.
_AI_P = (
    1.0, -0.037133487653929216, 0.05764918936166031, -0.29159026469715393, 3.078798022353356, -55.38888289673781,
    1476.5490908186384, -49929.94300294645, 1785905.0326104725, -57423509.50236974, 1465926602.3310394,
    -26677996680.061398, 301578984115.43164, -1575647880929.829,
)  # fmt: skip
_AI_Q = (
    0.06944444444444443, -0.03799305912749606, 0.11609906295879456, -0.8776654619500472, 12.340428782265988,
    -277.92456148989936, 9033.145325450327, -378622.93322148896, 17750476.58140768, -807397075.1248587,
    31910130076.937275, -1012131626523.1, 24105483923920.344, -399527489757881.4, 4079564687305880.0,
    -1.9242608013146536e+16,
)  # fmt: skip


@in_f64
def airy_ai(e: Emitter, x: Lane) -> Lane:
    """The solution of y'' = x y that falls; NaN at -inf."""
    middle = horner(e, x.max(_LOW).min(_HIGH) + 1.0, _AI_NEAR)
    above = x.max(_HIGH)
    z, root = _powers(e, above)
    right = exp(e, -z) * horner(e, 1.0 / z - 0.19, _AI_POS) / root
    below = (-x).max(-_LOW)
    z, root = _powers(e, below)
    w = (1.0 / z) * (1.0 / z)
    sine, cosine = sin(e, z), cos(e, z)
    p, q = horner(e, w, _AI_P), horner(e, w, _AI_Q) / z
    left = (p * (sine + cosine) - q * (cosine - sine)) * math.sqrt(0.5 / math.pi) / root
    return e.select(x > _HIGH, right, e.select(x < _LOW, left, middle))


def _powers(e: Emitter, x: Lane) -> tuple[Lane, Lane]:
    """2/3 x**(3/2) and x**(1/4)."""
    root = e.unary("sqrt", x)
    return x * root * (2 / 3), e.unary("sqrt", root)

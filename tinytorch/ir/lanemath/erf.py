"""erfc, erfcx and the inverses of erf and of the normal distribution, computed in f64.

erfcx(x) = exp(x**2) erfc(x) falls slowly from 1 to 0, so that (1 + 2x) erfcx(x) is one polynomial of (x - 4) / (x + 4)
for all x >= 0 (Shepherd & Laframboise, "Chebyshev approximation of (1 + 2x) exp(x**2) erfc x", 1981).

The inverse of erf is x times a function of w = -log((1 - x)(1 + x)) (Giles, "Approximating the erfinv function", 2010).
"""

from __future__ import annotations

from tinytorch.ir.lanemath.core import INF, NAN, chosen_horner, horner, in_f64
from tinytorch.ir.lanemath.exp import exp_sum
from tinytorch.ir.lanemath.log import log, log1p
from tinytorch.ir.lanes.emitter import Emitter, Lane
from tinytorch.ir.types import f64, i64

_SQRT2, _SQRT_HALF = 1.4142135623730951, 0.7071067811865476
_LN4 = 1.3862943611198906

# Interpolation in Chebyshev nodes, in 60 digits; errors relative to the function.
# (1 + 2x) erfcx(x) in q = (x - 4) / (x + 4) on [-1, 1]; 2**-59.
_ERFCX = (
    1.2329951186255526, -0.1396211168405625, 0.01537965210261959, 0.0680970542546913, -0.1010390660362999,
    0.0937328349984105, -0.06633036581219905, 0.03716751553632399, -0.0161977340596833, 0.005031969989524228,
    -0.0007577732620308658, -0.00019925676026397816, 0.0001506214923781857, -2.4398994456198184e-05,
    -1.1221292614845453e-05, 5.709314114539484e-06, 2.91982190066099e-07, -8.250783402503538e-07,
    7.746068721065394e-08, 1.102527216181963e-07, -2.05545319618171e-08, -1.480698922476478e-08,
    3.1672613472479247e-09, 1.8256955306651342e-09, -2.655727024841404e-10, -1.431132537444544e-10,
)  # fmt: skip
# erfinv(x) / x in w - 3 on [0, 6]; 2**-57.
_NEAR = (
    1.6235420064648298, 0.24163040416615827, -0.005738135221005968, -0.0008361817769093166, 0.00019506132441372799,
    -1.2716422638720585e-05, -1.7480020967030342e-06, 4.4998542545718333e-07, -2.368872626492295e-08,
    -5.4671789842189004e-09, 1.1107974232037305e-09, -3.1425551279949383e-11, -1.7328538731928835e-11,
    2.6989652309090837e-12, 6.190781479406349e-15, -5.292972044721015e-14, 6.339002394406591e-15,
    2.7405937576493665e-16, -1.62547328079684e-16, 1.2874404438465058e-17, 2.0411289874716924e-18,
    -3.916147418354864e-19, -1.0208579184069643e-20, 4.3365108728076584e-21,
)  # fmt: skip
# erfinv(x) / sqrt(w) in 1 / sqrt(w) - 0.29 on [0.161, 0.412]; 2**-56.
_FAR = (
    0.952179689930714, -0.18933483607243676, 0.13870952713199905, 0.423533703046028, -0.7817458736430772,
    -0.005649104962821121, -3.9189208523788723, 5.156963410324891, 76.63081453852864, 55.73861640603301,
    -2081.523923054034, -320.287490180482, 52551.70516975721, -77163.34206620474, -1176398.9022232932,
    5158117.7345963055, 15652715.653323585, -194375843.74560818, 157168492.8699645, 5003083987.82166,
    -14349877525.628208, -88565623898.55856, 333687450970.2167, 1017200016724.8428, -3059871404101.3047,
    -6105604211723.938,
)  # fmt: skip
# The same in 1 / sqrt(w) - 0.1 on [0.036, 0.167]; 2**-57.
_FARTHEST = (
    0.9890609132540967, -0.16908702367111214, -0.3498085085816979, 1.6380160858121438, -4.203305405296559,
    16.29454961039373, -83.19562089242443, 477.8435373317371, -2984.7472392823465, 19886.185517929145,
    -139104.5013659483, 1012295.1462254833, -7641539.0032790955, 58026427.234370396, -420276852.08989024,
    3764655956.4702783, -47549593327.62055, 243937537305.02826, 3532233613137.0137, 6326283133577.255,
    -1288386604746541.2, 5412451937379689.0, 1.3027764023034288e+17, -6.250450792047247e+17, -9.338329906100961e+18,
    6.2050179172701766e+19,
)  # fmt: skip


@in_f64
def erfcx(e: Emitter, x: Lane) -> Lane:
    """exp(x**2) erfc(x); overflows below -26.6."""
    grown = _exp_of_square(e, x.max(-30.0).min(0.0), 1.0) * 2.0
    scaled = _erfcx(e, x.abs())
    return e.select(x < 0.0, grown - scaled, scaled)


@in_f64
def erfc(e: Emitter, x: Lane) -> Lane:
    """1 - erf(x), accurate where it is small; 0 from 27.3 on."""
    a = x.abs()
    tail = _erfcx(e, a) * _exp_of_square(e, a.min(40.0), -1.0)
    return e.select(x < 0.0, 2.0 - tail, tail)


@in_f64
def log_ndtr(e: Emitter, x: Lane) -> Lane:
    """Logarithm of the normal distribution function, accurate in both tails."""
    scaled = _erfcx(e, (x * _SQRT_HALF).abs()) * 0.5
    low = log(e, scaled) - (x * 0.5) * x
    high = log1p(e, -scaled * _exp_of_square(e, x.abs().min(60.0), -0.5))
    return e.select(x < 0.0, low, high)


@in_f64
def erfinv(e: Emitter, x: Lane) -> Lane:
    """What erf takes to x; infinite at -1 and 1, NaN beyond."""
    a = x.abs()
    return _inverse(e, x, -log(e, (1.0 - a) * (a + 1.0)), a < 1.0, a.eq(1.0))


@in_f64
def ndtri(e: Emitter, p: Lane) -> Lane:
    """What the normal distribution function takes to p; infinite at 0 and 1, NaN beyond."""
    w = -(log(e, p) + log1p(e, -p) + _LN4)
    inside = (p > 0.0) & (p < 1.0)
    return _inverse(e, (p + p) - 1.0, w, inside, p.eq(0.0) | p.eq(1.0)) * _SQRT2


def _erfcx(e: Emitter, a: Lane) -> Lane:
    """erfcx of a >= 0."""
    near = a.min(1e300)
    return horner(e, (near - 4.0) / (near + 4.0), _ERFCX) * 0.5 / (a + 0.5)


def _exp_of_square(e: Emitter, x: Lane, sign: float) -> Lane:
    """exp(sign * x**2): x is cut in two, the square of whose first half is exact."""
    high = (x.bitcast(i64) & -(1 << 32)).bitcast(f64)
    return exp_sum(e, high * high * sign, (x - high) * (x + high) * sign)


def _inverse(e: Emitter, x: Lane, w: Lane, inside: Lane, edge: Lane) -> Lane:
    """erfinv of x, for w = -log(1 - x**2), where it is inside of (-1, 1); infinite at the edge."""
    w = e.select(inside, w.max(0.0), e.const(1.0, f64))
    s = e.unary("sqrt", w)
    near = horner(e, w.min(6.0) - 3.0, _NEAR) * x
    u = 1.0 / s.max(2.4)
    far = u >= 1 / 6.1
    steps = u - e.select(far, e.const(0.29, f64), e.const(0.1, f64))
    tail = e.copysign(chosen_horner(e, far, steps, _FAR, _FARTHEST) * s, x)
    value = e.select(w < 5.95, near, tail)
    outside = e.select(edge, e.copysign(e.const(INF, f64), x), e.const(NAN, f64))
    return e.select(inside, value, outside)

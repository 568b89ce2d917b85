"""Bessel functions of orders 0 and 1, computed in f64.

Near 0 they are polynomials, with the logarithm and the pole of those of the second kind split off (Abramowitz & Stegun
9.1.13, 9.6.13); far from it, amplitude and phase are polynomials of 1/x (9.2.5, 9.7.1).

Largest errors found: 10 ulp of f64 for I and K; 4 times 2**-52 for J and Y, which are below 1 but for the pole of Y. J
and Y lose relative accuracy near their zeros and are accurate as far as sin is. 0.5 ulp of f32, but near zeros.
"""

from __future__ import annotations

import math

from tinytorch.ir.lanemath.core import INF, NAN, horner, in_f64
from tinytorch.ir.lanemath.exp import exp
from tinytorch.ir.lanemath.log import log
from tinytorch.ir.lanemath.trig import cos, sin
from tinytorch.ir.lanes.emitter import Emitter, Lane
from tinytorch.ir.types import f64

_BORDER, _BORDER_K = 8.0, 2.0

# Interpolation in Chebyshev nodes, in 45 digits; errors are at most 2**-54 of the function, or of 1 for Y.
# exp(-x) I0(x) and exp(-x) I1(x) / x in x - 4 on [0, 8]; the first, and exp(-x) I1(x), by sqrt(x), in 1/x - 1/16.
_I0_NEAR = (
    0.2070019212239867, -0.02825108172155134, 0.005907226783746953, -0.0013913037712621457, 0.0003411852194355814,
    -8.297205167522027e-05, 1.9354303200080502e-05, -4.244457741183104e-06, 8.663487551119668e-07,
    -1.6397838324253338e-07, 2.8779899656504802e-08, -4.692710824967519e-09, 7.128761830010535e-10,
    -1.0121457012064705e-10, 1.347484873766931e-11, -1.687466144945514e-12, 1.9937602750876396e-13,
    -2.228570019305894e-14, 2.3633540827161314e-15, -2.385345134715477e-16, 2.2918039999794153e-17,
    -2.0881795523420167e-18, 1.837404614913825e-19, -1.622807880472786e-20, 1.3000149330944936e-21,
    -7.63353960133798e-23, 5.950286940894041e-24, -9.054594250316578e-25, 6.09849158442211e-26,
)  # fmt: skip
_I0_FAR = (
    0.4021765094450081, 0.053768831738686594, 0.03487131504377987, 0.04564186638950331, 0.09724544073616384,
    0.3118045328006903, 1.488479989081163, 10.556073865296252, 92.62666289216742, 519.8064338554275,
    -7530.760715064258, -236583.10740252968, -1418626.7127286512, 34484970.46371879, 473150180.3665511,
    -4253015707.6239567, -84598428811.4904, 510272852332.2362, 10422759091376.969, -54502750749425.164,
    -808319408539738.4, 4140449427426355.5, 2.933800315700497e+16, -1.54312214140213e+17,
)  # fmt: skip
_I1_NEAR = (
    0.044687709875608835, -0.015281084507416571, 0.004253599994344476, -0.0010700407219660453,
    0.0002490914207554926, -5.398441330760963e-05, 1.0906878081367917e-05, -2.055136445378116e-06,
    3.614199364830151e-07, -5.939983079558396e-08, 9.139978555454532e-09, -1.3195438020202292e-09,
    1.7915740037241538e-10, -2.293101793935275e-11, 2.7735248203388373e-12, -3.177449320633743e-13,
    3.4556982009859796e-14, -3.575324901185835e-15, 3.526509330767769e-16, -3.323850116469458e-17,
    2.9955255234715423e-18, -2.5755066436094298e-19, 2.138295531617554e-20, -1.7655631688129484e-21,
    1.34652838576543e-22, -7.981882722057555e-24, 5.871593382609646e-25, -7.863698681294577e-26,
    5.092697376747608e-27,
)  # fmt: skip
_I1_FAR = (
    0.38939845902587233, -0.15599323509177257, -0.05612435554089793, -0.061597889315609236, -0.12025267739744948,
    -0.3653088737699579, -1.677904951279063, -11.577027975084471, -100.4705234608745, -579.7964832535171,
    7520.83265458217, 247576.83040079824, 1574789.462616482, -34885000.9017888, -503622909.8126055,
    4159260089.8286643, 88917573475.70554, -485770833143.8988, -10892573174963.576, 51245764406939.11,
    842334583538066.8, -3887499753430113.0, -3.052405696309624e+16, 1.4535106455682832e+17,
)  # fmt: skip
# In x**2 on [0, 4]: I0(x), I1(x) / x, K0(x) + log(x/2) I0(x), x (K1(x) - log(x/2) I1(x)).
_I0_SMALL = (
    1.0, 0.25, 0.015624999999999938, 0.0004340277777779769, 6.7816840274543955e-06, 6.78168405793189e-08,
    4.709501086185397e-10, 2.4028675787778216e-12, 9.373259435491812e-15, 3.045242653561327e-17,
)  # fmt: skip
_I1_SMALL = (
    0.5, 0.062499999999999875, 0.0026041666666674814, 5.4253472220132724e-05, 6.781684054619206e-07,
    5.651401420587637e-09, 3.364012518066672e-11, 1.4997362179030207e-13, 5.481464855453059e-16,
)  # fmt: skip
_K0_NEAR = (
    -0.5772156649015329, 0.10569608377461678, 0.014418505235913549, 0.0005451899602568561, 1.0214014135961433e-05,
    1.1570350941095384e-07, 8.819883094824484e-10, 4.8431971437706104e-12, 2.009241432611261e-14,
    6.515238891874141e-17, 1.7854414371292447e-19,
)  # fmt: skip
_K1_NEAR = (
    1.0, 0.03860783245076608, -0.042049020943651316, -0.0028371119837725905, -7.493042904491131e-05,
    -1.0892182678340606e-06, -1.0112901478345438e-08, -6.54047500248146e-11, -3.1149818492859936e-13,
    -1.2137166536221055e-15,
)  # fmt: skip
# sqrt(x) exp(x) K(x) in 1/x - 1/4 on [0, 1/2].
_K0_FAR = (
    1.2185953385133905, -0.12428584729955942, 0.0485262689643856, -0.03070521963109669, 0.025487500152346965,
    -0.02532885029043826, 0.028681194925260636, -0.035900097538877476, 0.0486792595820081, -0.07050944744253386,
    0.10792349101918977, -0.1722577129917505, 0.28751714042109033, -0.5367745587396515, 0.9766877758874518,
    -0.7512305250552901, 1.0908362911707832, -20.755393320820033, 45.20706347888968, 117.18700554293547,
    -270.25474680797635, -762.8932156242968, 1708.3765137153537,
)  # fmt: skip
_K1_FAR = (
    1.363151890371342, 0.41339895101546237, -0.08906767808117219, 0.04708634591200601, -0.03573509622191233,
    0.03363211922429834, -0.03670510194020278, 0.04472882529399624, -0.059422523379128844, 0.08468630318420384,
    -0.1279249877704958, 0.20203174351539518, -0.3341209089390281, 0.6163948891667324, -1.1132845142275287,
    0.8964195330170586, -1.3210764855958796, 22.859531233992815, -49.608070679604, -127.37756200125601,
    293.31372778292393, 835.6813818790954, -1866.6669090185305,
)  # fmt: skip
# In x**2 - 32 on [0, 64]: J0(x) and J1(x) / x, divided by their first zeros; Y0(x) - 2/pi log(x) J0(x);
# (Y1(x) - 2/pi (log(x) J1(x) - 1/x)) / x.
_J0_NEAR = (
    0.0011434937743762545, -6.624357154624037e-05, 1.5269952779230138e-06, -1.957821852540931e-08,
    1.6190720285413593e-10, -9.409614027212692e-13, 4.0670226557558414e-15, -1.3612234095637556e-17,
    3.636923197969725e-20, -7.94347831694969e-23, 1.4456426684472427e-25, -2.2269610053939612e-28,
    2.942379327593022e-31, -3.3835148869933634e-34, 3.3933650010689543e-37,
)  # fmt: skip
_J1_NEAR = (
    0.00019498936985895625, -8.42975858348865e-06, 1.5488297655634642e-07, -1.6503916134904498e-09,
    1.1675046589866266e-11, -5.927960622055104e-14, 2.2747761204391907e-16, -6.845780457887608e-19,
    1.6615147338037168e-21, -3.324468173610557e-24, 5.581964951451497e-27, -7.981201446650425e-30,
    9.838598710893146e-33, -1.0599222186906092e-35, 1.0003099489260801e-38,
)  # fmt: skip
_Y0_NEAR = (
    -0.382250654459425, -0.025888621573764335, 0.0016084926551509244, 4.398386343170921e-06,
    -1.0276295984474178e-06, 2.0032437990402218e-08, -2.0392003558735958e-10, 1.3494586944980292e-12,
    -6.389874267616093e-15, 2.291240565346129e-17, -6.465532005379263e-20, 1.476962666167703e-22,
    -2.7916105485492112e-25, 4.442755575760332e-28, -6.039741359330616e-31, 7.127500906501299e-34,
    -7.311009700435055e-37,
)  # fmt: skip
_Y1_NEAR = (
    0.07075985882118005, -0.007605544712247848, 2.2819894258782797e-05, 7.173830934652635e-06,
    -1.8730010852747369e-07, 2.3409089214332497e-09, -1.8280704350303325e-11, 9.960759023433928e-14,
    -4.0364952247863336e-16, 1.2697208298522968e-18, -3.1983303777692308e-21, 6.607195463109877e-24,
    -1.1408688683157444e-26, 1.6722972914145461e-29, -2.108055595374712e-32, 2.3187529317258705e-35,
    -2.228998272394514e-38,
)  # fmt: skip
_J0_ZEROS = ((5.783185962946784, 4.123247343506204e-16), (30.471262343662087, -2.366534485750659e-16))  # squared
_J1_ZEROS = ((14.681970642123893, -9.858177825793294e-17), (49.2184563216946, 5.086354069436341e-16))
# P and x Q, in 1/x**2 on [0, 1/64], of the amplitude: J = sqrt(2 / pi x) (P cos t - Q sin t) for t = x - (2n + 1) pi/4.
_P0 = (
    1.0, -0.07031249999956396, 0.11215209825604175, -0.5724997450991535, 6.07294634497113, -109.58199745694245,
    2923.711222809837, -97635.82611237411, 3303701.47418779, -91777316.4750876, 1700191803.5918696,
    -15041715156.623728,
)  # fmt: skip
_Q0 = (
    -0.12499999999999999, 0.07324218749980572, -0.22710800088820826, 1.727726112014278, -24.379275933923086,
    550.6417529091889, -18000.138891998835, 764615.0458708593, -36440840.607005976, 1656425114.3422887,
    -62334680515.380585, 1715980313939.0117, -29799567498162.645, 241440659250221.5,
)  # fmt: skip
_P1 = (
    1.0, 0.11718749999953758, -0.14419555520551963, 0.6765908115656095, -6.882752880682356, 121.13682015278019,
    -3181.1485530781197, 105209.05915122443, -3540652.3212643317, 98069931.45922059, -1813765359.1779902,
    16030754469.284163,
)  # fmt: skip
_Q1 = (
    0.37499999999999994, -0.10253906249913583, 0.2775764433828926, -1.993527136104683, 27.24526631193016,
    -602.1566852197329, 19184.53654859767, -770090.3622213498, 32665490.96016302, -1225465020.3032584,
    34793780308.81964, -632542228987.621, 5393029232265.434,
)  # fmt: skip


@in_f64
def i0e(e: Emitter, x: Lane) -> Lane:
    """exp(-|x|) I0(x)."""
    return _scaled_i(e, x.abs(), _I0_NEAR, _I0_FAR)


@in_f64
def i1e(e: Emitter, x: Lane) -> Lane:
    """exp(-|x|) I1(x)."""
    a = x.abs()
    near = horner(e, a.min(_BORDER) - 4.0, _I1_NEAR) * a
    return e.copysign(e.select(a < _BORDER, near, _far_i(e, a, _I1_FAR)), x)


@in_f64
def i0(e: Emitter, x: Lane) -> Lane:
    """Modified Bessel function of the first kind, of order 0."""
    return _grown(e, i0e(e, x), x.abs())


@in_f64
def i1(e: Emitter, x: Lane) -> Lane:
    """Modified Bessel function of the first kind, of order 1."""
    return e.copysign(_grown(e, i1e(e, x).abs(), x.abs()), x)


@in_f64
def k0(e: Emitter, x: Lane) -> Lane:
    """Modified Bessel function of the second kind, of order 0; infinite at 0, NaN below."""
    return _k(e, x, _k0_near(e, x), exp(e, -x) * _far_k(e, x, _K0_FAR))


@in_f64
def k0e(e: Emitter, x: Lane) -> Lane:
    """exp(x) K0(x)."""
    return _k(e, x, _k0_near(e, x) * exp(e, x.min(_BORDER_K)), _far_k(e, x, _K0_FAR))


@in_f64
def k1(e: Emitter, x: Lane) -> Lane:
    """Modified Bessel function of the second kind, of order 1; infinite at 0, NaN below."""
    return _k(e, x, _k1_near(e, x), exp(e, -x) * _far_k(e, x, _K1_FAR))


@in_f64
def k1e(e: Emitter, x: Lane) -> Lane:
    """exp(x) K1(x)."""
    return _k(e, x, _k1_near(e, x) * exp(e, x.min(_BORDER_K)), _far_k(e, x, _K1_FAR))


@in_f64
def j0(e: Emitter, x: Lane) -> Lane:
    """Bessel function of the first kind, of order 0; NaN at infinity."""
    a = x.abs()
    p, q, cosine, sine = _wave(e, a, 0)
    return e.select(a < _BORDER, _j0_near(e, a), p * cosine - q * sine)


@in_f64
def j1(e: Emitter, x: Lane) -> Lane:
    """Bessel function of the first kind, of order 1; NaN at infinity."""
    a = x.abs()
    p, q, cosine, sine = _wave(e, a, 1)
    value = e.select(a < _BORDER, _j1_near(e, a), p * cosine - q * sine)
    return e.select(x < 0.0, -value, value)


@in_f64
def y0(e: Emitter, x: Lane) -> Lane:
    """Bessel function of the second kind, of order 0; -inf at 0, NaN below."""
    p, q, cosine, sine = _wave(e, x, 0)
    z = x * x - 32.0
    near = e.fma(log(e, x) * (2 / math.pi), _j0_near(e, x), horner(e, z, _Y0_NEAR))
    return _y(e, x, near, p * sine + q * cosine)


@in_f64
def y1(e: Emitter, x: Lane) -> Lane:
    """Bessel function of the second kind, of order 1; -inf at 0, NaN below."""
    p, q, cosine, sine = _wave(e, x, 1)
    z = x * x - 32.0
    part = (log(e, x) * _j1_near(e, x) - 1.0 / x) * (2 / math.pi)
    return _y(e, x, e.fma(x, horner(e, z, _Y1_NEAR), part), p * sine + q * cosine)


def _scaled_i(e: Emitter, a: Lane, near: tuple[float, ...], far: tuple[float, ...]) -> Lane:
    return e.select(a < _BORDER, horner(e, a.min(_BORDER) - 4.0, near), _far_i(e, a, far))


def _far_i(e: Emitter, a: Lane, coefficients: tuple[float, ...]) -> Lane:
    inverse = 1.0 / a.max(_BORDER)
    return horner(e, inverse - 0.0625, coefficients) * e.unary("sqrt", inverse)


def _grown(e: Emitter, scaled: Lane, a: Lane) -> Lane:
    """scaled * exp(a) in two steps, the first of which does not overflow."""
    half = exp(e, a * 0.5)
    return e.select(a.eq(INF), a, scaled * half * half)


def _k0_near(e: Emitter, x: Lane) -> Lane:
    square = x.min(_BORDER_K) * x.min(_BORDER_K)
    return horner(e, square, _K0_NEAR) - log(e, x * 0.5) * horner(e, square, _I0_SMALL)


def _k1_near(e: Emitter, x: Lane) -> Lane:
    near = x.min(_BORDER_K)
    square = near * near
    return log(e, near * 0.5) * (near * horner(e, square, _I1_SMALL)) + horner(e, square, _K1_NEAR) / near


def _far_k(e: Emitter, x: Lane, coefficients: tuple[float, ...]) -> Lane:
    inverse = 1.0 / x.max(_BORDER_K)
    return horner(e, inverse - 0.25, coefficients) * e.unary("sqrt", inverse)


def _k(e: Emitter, x: Lane, near: Lane, far: Lane) -> Lane:
    value = e.select(x < _BORDER_K, near, far)
    edge = e.select(x.eq(0.0), e.const(INF, f64), e.const(NAN, f64))
    return e.select(x > 0.0, value, edge)


def _y(e: Emitter, x: Lane, near: Lane, far: Lane) -> Lane:
    value = e.select(x < _BORDER, near, far)
    edge = e.select(x.eq(0.0), e.const(-INF, f64), e.const(NAN, f64))
    return e.select(x > 0.0, value, edge)


def _j0_near(e: Emitter, a: Lane) -> Lane:
    return _without_zeros(e, a, _J0_NEAR, _J0_ZEROS)


def _j1_near(e: Emitter, a: Lane) -> Lane:
    return _without_zeros(e, a, _J1_NEAR, _J1_ZEROS) * a


def _without_zeros(
    e: Emitter, a: Lane, coefficients: tuple[float, ...], zeros: tuple[tuple[float, float], ...]
) -> Lane:
    """The polynomial of a**2, times what vanishes at the zeros."""
    near = a.min(_BORDER)
    square = near * near
    value = horner(e, square - 32.0, coefficients)
    for high, low in zeros:
        value = value * ((square - high) - low)
    return value


def _wave(e: Emitter, x: Lane, order: int) -> tuple[Lane, Lane, Lane, Lane]:
    """(P, Q, cos t, sin t) with J = P cos t - Q sin t and Y = P sin t + Q cos t, of x >= 8."""
    far = x.max(_BORDER)
    inverse = 1.0 / far
    w = inverse * inverse
    scale = e.unary("sqrt", inverse * (1 / math.pi))
    p = horner(e, w, _P1 if order else _P0) * scale
    q = horner(e, w, _Q1 if order else _Q0) * inverse * scale
    cosine, sine = cos(e, far), sin(e, far)
    # cos(x - pi/4) = (cos x + sin x) / sqrt(2), and so on; the root is in the scale
    if order:
        return p, q, sine - cosine, -(sine + cosine)
    return p, q, cosine + sine, sine - cosine

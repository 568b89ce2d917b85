"""Elementwise functions as users call them: values eager and compiled, the spellings, gradients and errors; torch over
pairs of special values, where it is installed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import TinyTorchError

INF, NAN = math.inf, math.nan
HERE = "test_mathematics.py"


def f32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def i64(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def bools(*values: int) -> np.ndarray:
    return np.array(values, bool)


X, Y = f32(0.5, -2.5, 3.0, -0.0), f32(2.0, 2.0, -1.5, 4.0)
SPECIAL = f32(0.0, -0.0, 1.5, -1.5, INF, -INF, NAN)
K, J = i64(7, -7, 7, -7, 5), i64(2, 2, -2, -2, 0)

DATA = np.array([[1.0, 2.5, -0.5, 3.0], [0.0, 4.0, 1.0, -2.0], [1.5, 1.0, 0.5, 2.0]], np.float32)

# Function, operands, what it gives.
VALUES: dict[str, tuple[Callable[..., Any], list[Any], Any]] = {
    "add alpha": (lambda x, y: tt.add(x, y, alpha=0.5), [X, Y], f32(1.5, -1.5, 2.25, 2)),
    "add integers": (lambda x, y: tt.add(x, y, alpha=2), [K, J], i64(11, -3, 3, -11, 5)),
    "sub alpha": (lambda x: tt.subtract(x, 1, alpha=2), [X], f32(-1.5, -4.5, 1, -2)),
    "rsub": (lambda x, y: tt.rsub(x, y, alpha=2), [X, Y], f32(1, 7, -7.5, 4)),
    "mul": (lambda x: tt.multiply(2, x), [X], f32(1, -5, 6, -0.0)),
    "div": (lambda x, y: tt.divide(x, y), [K, i64(2, 2, 2, 2, 2)], f32(3.5, -3.5, 3.5, -3.5, 2.5)),
    "div floor": (lambda x, y: tt.div(x, y, rounding_mode="floor"), [K, J], i64(3, -4, -4, 3, 0)),
    "div trunc": (lambda x, y: tt.div(x, y, rounding_mode="trunc"), [K, J], i64(3, -3, -3, 3, 0)),
    "div trunc of floats": (lambda x, y: tt.div(x, y, rounding_mode="trunc"), [X, Y], f32(0, -1, -2, -0.0)),
    "floor_divide": (lambda x: tt.floor_divide(7, x), [i64(2, -2)], i64(3, -4)),
    "remainder": (lambda x, y: tt.remainder(x, y), [K, J], i64(1, 1, -1, -1, 0)),
    "fmod": (lambda x, y: tt.fmod(x, y), [K, J], i64(1, -1, 1, -1, 0)),
    "fmod of floats": (lambda x: tt.fmod(x, 2), [f32(5, -5, -0.0, INF)], f32(1, -1, -0.0, NAN)),
    "neg": (lambda x: tt.negative(x), [K], -K),
    "float_power": (lambda x: tt.float_power(x, 2), [i64(3, -4)], np.array([9.0, 16.0])),
    "pow of a number": (lambda x: tt.pow(2, x), [i64(3, 4)], i64(8, 16)),
    "addcmul": (lambda x, y: tt.addcmul(x, x, y, value=2), [X, Y], f32(2.5, -12.5, -6, -0.0)),
    "addcdiv": (lambda x, y: tt.addcdiv(x, x, y, value=2), [X, Y], f32(1, -5, -1, -0.0)),
    "lerp": (lambda x, y: tt.lerp(x, y, 0.25), [X, Y], f32(0.875, -1.375, 1.875, 1)),
    "lerp by a tensor": (lambda x, y, w: tt.lerp(x, y, w), [X, Y, f32(0, 1, 0.5, 0.75)], f32(0.5, 2, 0.75, 3)),
    "heaviside": (lambda x: tt.heaviside(x, tt.tensor(0.5)), [SPECIAL], f32(0.5, 0.5, 1, 0, 1, 0, 0)),
    "round": (lambda x: tt.round(x, decimals=1), [f32(0.26, -1.34, 2.0)], f32(0.3, -1.3, 2)),
    "round tens": (lambda x: tt.round(x, decimals=-1), [f32(26, -14, 25)], f32(30, -10, 20)),
    "frac": (lambda x: tt.frac(x), [f32(1.25, -1.25, 3)], f32(0.25, -0.25, 0)),
    "deg2rad": (lambda x: tt.deg2rad(x), [i64(180, -90)], f32(math.pi, -math.pi / 2)),
    "rad2deg": (lambda x: tt.rad2deg(x), [f32(math.pi)], f32(180)),
    "nan_to_num": (
        lambda x: tt.nan_to_num(x), [SPECIAL], f32(0, -0.0, 1.5, -1.5, 3.4028234663852886e38, -3.4028234663852886e38, 0)
    ),
    "nan_to_num of choice": (lambda x: tt.nan_to_num(x, 1, 2, 3), [SPECIAL], f32(0, -0.0, 1.5, -1.5, 2, 3, 1)),
    "nan_to_num of integers": (lambda x: tt.nan_to_num(x), [K], K),
    "ldexp": (lambda x, k: tt.ldexp(x, k), [f32(1.5, -3), i64(4, -1)], f32(24, -1.5)),
    "frexp": (lambda x: tt.frexp(x)[0], [f32(6, -0.75, 0, 1e-45, INF)], f32(0.75, -0.75, 0, 0.5, INF)),
    "frexp's exponent": (
        lambda x: tt.frexp(x).exponent, [f32(6, -0.75, 0, 1e-45, INF, NAN)], np.array([3, 0, 0, -148, 0, 0], np.int32)
    ),
    "logit": (lambda x: tt.logit(x), [f32(0.5, 0, 1, 2)], f32(0, -INF, INF, NAN)),
    "logit within": (lambda x: tt.logit(x, eps=0.25), [f32(0.5, 0, 1)], f32(0, -math.log(3), math.log(3))),
    "angle": (lambda x: tt.angle(x), [SPECIAL], f32(0, 0, 0, math.pi, 0, math.pi, NAN)),
    "real": (lambda x: tt.conj(tt.real(x)), [K], K),
    "eq": (lambda x: tt.eq(x, 7), [K], bools(1, 0, 1, 0, 0)),
    "not_equal": (lambda x: tt.not_equal(x, x), [SPECIAL], bools(0, 0, 0, 0, 0, 0, 1)),
    "less": (lambda x, y: tt.less(x, y), [X, Y], bools(1, 1, 0, 1)),
    "greater_equal": (lambda x: tt.greater_equal(x, 0.5), [X], bools(1, 0, 1, 0)),
    "logical_and": (lambda x, y: tt.logical_and(x, y), [K, J], bools(1, 1, 1, 1, 0)),
    "logical_xor": (lambda x, y: tt.logical_xor(x, y), [X, i64(0, 1, 1, 1)], bools(1, 0, 0, 1)),
    "fmax": (lambda x, y: tt.fmax(x, y), [f32(1, NAN, NAN), f32(NAN, 2, NAN)], f32(1, 2, NAN)),
    "fmin": (lambda x, y: tt.fmin(x, y), [f32(1, NAN, 3), f32(NAN, 2, 2)], f32(1, 2, 2)),
    "clamp_min": (lambda x: tt.clamp_min(x, 1), [K], i64(7, 1, 7, 1, 5)),
    "clamp_max": (lambda x: tt.clamp_max(x, 1), [SPECIAL], f32(0, -0.0, 1, -1.5, 1, -INF, NAN)),
    "isclose": (
        lambda x, y: tt.isclose(x, y, atol=0.1), [f32(1, 1, INF, INF, NAN), f32(1.05, 1.2, INF, -INF, NAN)],
        bools(1, 0, 1, 0, 0),
    ),
    "isclose of NaN": (lambda x: tt.isclose(x, x, equal_nan=True), [SPECIAL], bools(*[1] * 7)),
    "isclose of integers": (lambda x, y: tt.isclose(x, y, atol=1), [i64(1, 2**62), i64(2, -(2**62))], bools(1, 0)),
    "isposinf": (lambda x: tt.isposinf(x), [SPECIAL], bools(0, 0, 0, 0, 1, 0, 0)),
    "isneginf": (lambda x: tt.isneginf(x), [SPECIAL], bools(0, 0, 0, 0, 0, 1, 0)),
    "isreal": (lambda x: tt.isreal(x), [K], bools(1, 1, 1, 1, 1)),
    "signbit": (lambda x: tt.signbit(x), [SPECIAL[:6]], bools(0, 1, 0, 1, 0, 1)),
    "signbit of integers": (lambda x: tt.signbit(x), [K], bools(0, 1, 0, 1, 0)),
    "bitwise_and": (lambda x, y: tt.bitwise_and(x, y), [K, J], K & J),
    "bitwise_xor": (lambda x: tt.bitwise_xor(x, 3), [K], K ^ 3),
    "bitwise_not": (lambda x: tt.bitwise_not(x), [bools(1, 0)], bools(0, 1)),
    "bitwise_left_shift": (lambda x: tt.bitwise_left_shift(x, 2), [K], K << 2),
    "bitwise_right_shift": (lambda x: tt.bitwise_right_shift(x, 1), [K], K >> 1),
    "gcd": (lambda x, y: tt.gcd(x, y), [i64(12, -18, 0, 0, 7), i64(18, 12, -5, 0, 3)], i64(6, 6, 5, 0, 1)),
    "lcm": (lambda x, y: tt.lcm(x, y), [i64(12, -18, 0, 0, 7), i64(18, 12, -5, 0, 3)], i64(36, 36, 0, 0, 21)),
    "cov": (lambda x: tt.cov(x), [DATA], np.cov(DATA).astype(np.float32)),
    "cov with weights": (
        lambda x, f, a: tt.cov(x, correction=0, fweights=f, aweights=a), [DATA, i64(1, 2, 0, 3), f32(1, 0.5, 2, 1)],
        np.cov(DATA, ddof=0, fweights=[1, 2, 0, 3], aweights=[1, 0.5, 2, 1]).astype(np.float32),
    ),
    "cov of one row": (lambda x: tt.cov(x), [DATA[0]], np.float32(np.cov(DATA[0]))),
    "corrcoef": (lambda x: tt.corrcoef(x), [DATA], np.corrcoef(DATA).astype(np.float32)),
    "tan of integers": (lambda x: tt.tan(x), [i64(0, 1)], f32(0, math.tan(1))),
    "atan2": (lambda y, x: tt.arctan2(y, x), [f32(1, -0.0, 0), f32(-1, -0.0, 0)], f32(2.3561945, -math.pi, 0)),
    "xlogy": (lambda y: tt.xlogy(0, y), [f32(0, -1, NAN, 2)], f32(0, 0, NAN, 0)),
    "ndtr": (lambda x: tt.special.ndtr(x), [f32(0, 40, -40)], f32(0.5, 1, 0)),
    "polygamma": (lambda x: tt.polygamma(1, x) - x.polygamma(1) + tt.polygamma(0, x), [f32(1)], f32(-0.5772157)),
    "mvlgamma": (lambda x: tt.mvlgamma(x, 2), [f32(1.5)], f32(math.lgamma(1.5) + math.log(math.pi) / 2)),
}  # fmt: skip


def results(backend: str) -> list[np.ndarray]:
    """All of `VALUES`, compiled as one graph where there is one."""
    counts = [len(operands) for _, operands, _ in VALUES.values()]
    tensors = [Tensor(a) for _, operands, _ in VALUES.values() for a in operands]

    def together(*tensors: Tensor) -> list[Tensor]:
        rest = iter(tensors)
        return [f(*[next(rest) for _ in range(n)]) for (f, _, _), n in zip(VALUES.values(), counts, strict=True)]

    run = together if backend == "eager" else tt.compile(together, backend=backend)
    return [t.numpy() for t in run(*tensors)]


@pytest.mark.parametrize("backend", ["eager", "interpreter", "llvm"])
def test_values(backend: str) -> None:
    for name, found in zip(VALUES, results(backend), strict=True):
        wanted = VALUES[name][2]
        assert found.dtype == wanted.dtype, name
        np.testing.assert_allclose(found, wanted, rtol=4e-7, atol=1e-9, err_msg=name)
        if wanted.dtype == np.float32:
            number = ~np.isnan(wanted)
            np.testing.assert_array_equal(np.signbit(found[number]), np.signbit(wanted[number]), err_msg=name)


# Spellings.
SAME = [
    ("arcsin", "asin"), ("arccos", "acos"), ("arctan", "atan"), ("arcsinh", "asinh"), ("arccosh", "acosh"),
    ("arctanh", "atanh"), ("arctan2", "atan2"), ("divide", "div"), ("multiply", "mul"), ("subtract", "sub"),
    ("negative", "neg"), ("ne", "not_equal"), ("lt", "less"), ("le", "less_equal"), ("gt", "greater"),
    ("ge", "greater_equal"), ("absolute", "abs"), ("fix", "trunc"), ("sgn", "sign"), ("special.gammaln", "lgamma"),
    ("special.psi", "digamma"), ("special.exp2", "exp2"), ("special.logit", "logit"), ("special.sinc", "sinc"),
    ("special.xlogy", "xlogy"), ("special.erfc", "erfc"), ("special.erfinv", "erfinv"),
    ("special.multigammaln", "mvlgamma"), ("special.polygamma", "polygamma"),
]  # fmt: skip


def named(name: str) -> Any:
    found: Any = tt
    for part in name.split("."):
        found = getattr(found, part)
    return found


@pytest.mark.parametrize(("one", "other"), SAME)
def test_spellings_name_one_function(one: str, other: str) -> None:
    assert named(one) is named(other)


IN_PLACE: list[tuple[str, tuple[Any, ...]]] = [
    ("tan", ()), ("sinh", ()), ("asin", ()), ("atan2", (2.5 * np.ones(4, np.float32),)), ("exp2", ()), ("log2", ()),
    ("lgamma", ()), ("erfinv", ()), ("frac", ()), ("fmod", (2,)), ("remainder", (2,)), ("floor_divide", (2,)),
    ("lerp", (Y, 0.5)), ("addcmul", (Y, Y)), ("addcdiv", (Y, Y)), ("nan_to_num", ()), ("copysign", (-1,)),
    ("logical_and", (Y,)), ("eq", (0.5,)), ("clamp_min", (0,)), ("neg", ()), ("logit", ()), ("sinc", ()),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args"), IN_PLACE)
def test_changes_in_place(name: str, args: tuple[Any, ...]) -> None:
    operands = [Tensor(a) if isinstance(a, np.ndarray) else a for a in args]
    x = f32(0.5, 0.25, 0.75, 0.125)
    wanted = getattr(Tensor(x), name)(*operands).numpy().astype(np.float32)
    changed = Tensor(x)
    assert getattr(changed, name + "_")(*operands) is changed
    np.testing.assert_array_equal(changed.numpy(), wanted)


# Gradients where formulas have no value of their own.
GRADIENTS: list[tuple[Callable[..., Any], list[list[float]], list[list[float]]]] = [
    (tt.xlogy, [[0, 0, 2], [0, 3, 4]], [[0, math.log(3), math.log(4)], [NAN, 0, 0.5]]),
    (tt.atan2, [[0, 1], [0, 0]], [[0, 0], [0, -1]]),
    (tt.sinc, [[0, 1]], [[0, -1]]),
    (tt.copysign, [[0, 2, -3], [-1, -1, -1]], [[0, -1, 1], [0, 0, 0]]),
    (tt.fmax, [[1, NAN, 2], [1, 2, NAN]], [[1, 0, 1], [0, 1, 0]]),
    (tt.fmin, [[1, NAN, 2], [1, 2, NAN]], [[1, 0, 1], [0, 1, 0]]),
    (tt.nan_to_num, [[1, NAN, INF]], [[1, 0, 0]]),
    (tt.logit, [[0.5, 2]], [[4, NAN]]),
    (tt.lgamma, [[1, 2]], [[-0.57721566, 0.42278434]]),
    (tt.digamma, [[1]], [[math.pi**2 / 6]]),
    (lambda x, y, w: tt.lerp(x, y, w), [[1, 1], [3, 3], [0.25, 0.75]], [[0.75, 0.25], [0.25, 0.75], [2, 2]]),
    (lambda x, y, w: tt.lerp(x, y, w), [[INF, 1], [1, INF], [0.75, 0.25]], [[0.25, 0.75], [0.75, 0.25], [-INF, INF]]),
    (lambda x: tt.frexp(x)[0], [[6, -0.75]], [[0.125, 1]]),
    (lambda x: tt.logit(x, eps=0.25), [[0.5, 0.1, 0.25]], [[4, 0, 16 / 3]]),
]


@pytest.mark.parametrize("compiled", [False, True])
def test_gradients(compiled: bool) -> None:
    def slopes(operands: list[list[Tensor]]) -> list[list[Tensor]]:
        return [
            list(tt.grad(lambda *xs, f=f: f(*xs).sum(), argnums=tuple(range(len(row))))(*row))
            for (f, _, _), row in zip(GRADIENTS, operands, strict=True)
        ]

    operands = [[Tensor(np.array(x, np.float32)) for x in row] for _, row, _ in GRADIENTS]
    for found, (_, row, wanted) in zip((tt.compile(slopes) if compiled else slopes)(operands), GRADIENTS, strict=True):
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a.numpy(), np.array(b, np.float32), rtol=1e-6, err_msg=str(row))


# Second derivatives at 0, where a formula has a corner that the function has not.
BENDS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "softplus": (tt.nn.functional.softplus, 0.25),
    "logsigmoid": (tt.nn.functional.logsigmoid, -0.25),
    "mish": (tt.nn.functional.mish, 0.64),
    "huber_loss": (lambda x: tt.nn.functional.huber_loss(x, tt.zeros(()), delta=2.0), 1),
    "smooth_l1_loss": (lambda x: tt.nn.functional.smooth_l1_loss(x, tt.zeros(()), beta=2.0), 0.5),
    "x**0": (lambda x: x ** tt.zeros(()), 0),
}


@pytest.mark.parametrize("name", BENDS)
def test_second_derivatives_at_zero(name: str) -> None:
    function, wanted = BENDS[name]
    second = tt.grad(tt.grad(function))
    for run in (second, tt.compile(second)):
        assert run(tt.zeros(())).item() == pytest.approx(wanted, rel=1e-6)


# Errors.
A = Tensor([1.0, 2.0])
N = Tensor([1, 2])
SLIPS: dict[str, Callable[[], Any]] = {
    "two numbers": lambda: tt.add(1, 2), "a number first": lambda: tt.eq(2, A), "a word": lambda: tt.mul(A, "a"),
    "a number second": lambda: tt.atan2(A, 2), "None": lambda: tt.xlogy(A, None),
    "alpha of integers": lambda: tt.add(N, N, alpha=0.5), "alpha": lambda: tt.sub(A, A, alpha="1"),
    "rounding mode": lambda: tt.div(A, A, rounding_mode="round"), "lerp's dtypes": lambda: tt.lerp(A, N, 0.5),
    "lerp to a number": lambda: tt.lerp(A, 1.0, 0.5), "lerp of integers": lambda: tt.lerp(N, N, 1),
    "addcdiv of integers": lambda: tt.addcdiv(N, N, N), "heaviside's dtypes": lambda: tt.heaviside(A, N),
    "decimals of integers": lambda: tt.round(N, decimals=1), "frac of integers": lambda: tt.frac(N),
    "eps": lambda: tt.logit(A, eps=2), "polygamma": lambda: tt.polygamma(-1, A), "mvlgamma": lambda: tt.mvlgamma(A, 0),
    "isclose's dtypes": lambda: tt.isclose(A, N), "rtol": lambda: tt.isclose(A, A, rtol=-1),
    "cov of a cube": lambda: tt.cov(tt.ones(2, 2, 2)), "weights of floats": lambda: tt.cov(A, fweights=A),
    "too few weights": lambda: tt.cov(A, aweights=Tensor([1.0])), "gcd of floats": lambda: tt.gcd(A, A),
    "weights below 0": lambda: tt.cov(A, aweights=-A), "cov of bools": lambda: tt.cov(tt.tensor([True])),
    "shapes": lambda: tt.atan2(A, Tensor([1.0, 2.0, 3.0])), "bits of floats": lambda: tt.bitwise_and(A, A),
    "bools in place": lambda: tt.tensor([True]).tan_(), "nextafter of 16 bits": lambda: tt.nextafter(
        A.cast("f16"), A.cast("f16")
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", SLIPS)
def test_slips_are_errors_with_the_line(what: str) -> None:
    with pytest.raises(TinyTorchError) as caught:
        SLIPS[what]()
    assert HERE in str(caught.value)


# PyTorch over special values of every dtype.
FLOATS = [0.0, -0.0, 1, -1, 0.5, -0.5, 2, -2, -2.5, 3, 6.5, 1e-3, INF, -INF, NAN, 40]
ONE = [
    "tan", "sinh", "cosh", "asin", "acos", "atan", "asinh", "acosh", "atanh", "exp2", "log2", "log10", "erfc",
    "erfinv", "lgamma", "digamma", "sinc", "logit", "frac", "deg2rad", "rad2deg", "nan_to_num", "isposinf",
    "isneginf", "signbit", "neg", "angle", "sgn", "round", "reciprocal", "special.ndtr", "special.ndtri",
    "special.log_ndtr", "special.entr", "special.erfcx",
]  # fmt: skip
TWO = [
    "atan2", "logaddexp", "xlogy", "special.xlog1py", "hypot", "copysign", "fmod", "remainder", "eq", "ne",
    "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor", "fmax", "fmin", "maximum", "minimum",
    "add", "sub", "mul", "div", "floor_divide", "float_power", "isclose",
]  # fmt: skip


def _torch_cases(torch: Any, dtype: str) -> list[tuple[str, list[np.ndarray]]]:
    values = FLOATS if "float" in dtype else [0, 1, -1, 2, -2, 5, 100, -100]
    x = np.array(values, dtype)
    grid = [np.ascontiguousarray(g.reshape(-1)) for g in np.meshgrid(x, x, indexing="ij")]
    cases = [(name, [x]) for name in ONE if "float" in dtype or name not in ("frac", "logit")]
    if "int" in dtype:  # division by zero is an error there
        grid = [g[grid[1] != 0] for g in grid]
        cases += [(name, grid) for name in TWO if name not in ("logaddexp", "hypot")]
        return cases
    return [*cases, *((name, grid) for name in TWO)]


@pytest.mark.parametrize("backend", ["eager", "llvm"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_functions_are_torchs(dtype: str, backend: str) -> None:
    torch = pytest.importorskip("torch")
    cases = _torch_cases(torch, dtype)

    def together(operands: list[list[Tensor]]) -> list[Tensor]:
        return [named(name)(*row) for (name, _), row in zip(cases, operands, strict=True)]

    run = together if backend == "eager" else tt.compile(together)
    for (name, row), found in zip(cases, run([[Tensor(a) for a in row] for _, row in cases]), strict=True):
        theirs: Any = torch
        for part in name.split("."):
            theirs = getattr(theirs, part)
        wanted = theirs(*map(torch.tensor, row)).numpy()
        assert found.numpy().dtype == wanted.dtype, name
        close = {"rtol": 2e-6, "atol": 2e-7} if wanted.dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-13}
        np.testing.assert_allclose(found.numpy(), wanted, err_msg=name, **close)

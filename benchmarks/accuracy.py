"""How accurate compiled functions are: elementary functions in ulp, sums and products in eps beside numpy and torch.

Samples are the same in every run. References are computed in float64 for f32, and in an 80-bit long double for f64.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import tinytorch as tt
from tinytorch.frontend import functional as F
from tinytorch.frontend.tensor import Tensor

Array = NDArray[Any]
Function = Callable[[Array], Array]
_SEED = 0x9E3779B9


@dataclass(frozen=True)
class Row:
    """An elementary function: what is compiled, the reference in wider floats, ranges that are sampled densely beside
    bit patterns, the largest magnitude that it is accurate for in f32 and f64, and whether its error is counted in ulp
    of the operand (where the result is a small difference) instead of the result."""

    ours: Callable[[Tensor], Tensor]
    exact: Function
    ranges: Sequence[tuple[float, float]]
    most: tuple[float, float] = (math.inf, math.inf)
    of_operand: bool = False


def erf(x: Array) -> Array:
    """2/sqrt(pi) exp(-x**2) sum 2**n x**(2n+1) / (2n+1)!!, all of whose terms are positive; of float64, the C
    library's."""
    if x.dtype == np.float64:
        return np.frompyfunc(math.erf, 1, 1)(x).astype(np.float64)
    a = np.minimum(np.abs(x), 7)
    term = total = a
    for n in range(1, 200):
        term = term * (2 * a * a) / (2 * n + 1)
        total = total + term
    return np.copysign(np.where(a >= 7, 1, 2 / np.sqrt(_pi(x)) * np.exp(-a * a) * total), x)


def _pi(x: Array) -> Any:
    return x.dtype.type(math.pi) + x.dtype.type(1.2246467991473532e-16)


def _sigmoid(x: Array) -> Array:
    decay = np.exp(-np.abs(x))
    return np.where(x < 0, decay, 1) / (1 + decay)


def _gelu(x: Array) -> Array:
    return x * (1 + erf(x * np.sqrt(x.dtype.type(0.5)))) / 2


def _gelu_by_tanh(x: Array) -> Array:
    inner = np.sqrt(2 / _pi(x)) * (x + x.dtype.type("0.044715") * x**3)
    return x * (1 + np.tanh(inner)) / 2


def _silu(x: Array) -> Array:
    return x * _sigmoid(x)


_WAVES = [(-1, 1), (-100, 100), (-1e5, 1e5)]
FUNCTIONS: dict[str, Row] = {
    "exp": Row(lambda x: x.exp(), np.exp, [(-1, 1), (-105, 90), (-750, 710)]),
    "expm1": Row(lambda x: x.expm1(), np.expm1, [(-1, 1), (-40, 20), (-1e-3, 1e-3)]),
    "log": Row(lambda x: x.log(), np.log, [(0.5, 2), (0.99, 1.01), (0, 1e-37), (0, 1e5)]),
    "log1p": Row(lambda x: x.log1p(), np.log1p, [(-1, 1), (-1e-3, 1e-3), (0, 1e5)]),
    "sqrt": Row(lambda x: x.sqrt(), np.sqrt, [(0, 1), (0, 1e5)]),
    "rsqrt": Row(lambda x: x.rsqrt(), lambda x: 1 / np.sqrt(x), [(0, 1), (0, 1e5)]),
    "tanh": Row(lambda x: x.tanh(), np.tanh, [(-1, 1), (-9, 9), (-0.01, 0.01)]),
    "sigmoid": Row(lambda x: x.sigmoid(), _sigmoid, [(-1, 1), (-20, 20), (-105, -85)]),
    "erf": Row(lambda x: x.erf(), erf, [(-1, 1), (-6, 6), (-0.01, 0.01)]),
    "sin": Row(lambda x: x.sin(), np.sin, _WAVES, (2.0**31, 1e7)),
    "cos": Row(lambda x: x.cos(), np.cos, _WAVES, (2.0**31, 1e7)),
    "silu": Row(lambda x: F.silu(x), _silu, [(-1, 1), (-20, 20), (-105, -85), (-750, -700)]),
    "gelu": Row(lambda x: F.gelu(x), _gelu, [(-1, 1), (-6, 6)], of_operand=True),
    "gelu by tanh": Row(lambda x: F.gelu(x, approximate="tanh"), _gelu_by_tanh, [(-1, 1), (-6, 6)], of_operand=True),
}


def samples(row: Row, dtype: np.dtype[Any], count: int) -> Array:
    """Bit patterns at equal distances, the ranges, and the edges: zeros, subnormals, ones, infinities and NaN."""
    bits = 8 * dtype.itemsize
    step = max(1, 2**bits // count) | 1
    patterns = (np.arange(count, dtype=np.uint64) * np.uint64(step)).astype(f"u{dtype.itemsize}").view(dtype)
    info = np.finfo(dtype)
    edges = np.array(
        [0.0, info.smallest_subnormal, info.tiny, info.eps, 0.5, 1 - info.epsneg, 1, 1 + info.eps, 2, info.max, np.inf],
        dtype,
    )
    dense = [np.linspace(a, b, count // 2).astype(dtype) for a, b in row.ranges]
    x = np.concatenate([patterns, edges, -edges, np.array([np.nan], dtype), *dense])
    return x[~(np.abs(x) > row.most[dtype.itemsize == 8])]


def ulp_error(found: Array, exact: Array, unit: Array) -> tuple[float, int]:
    """(The largest error in ulp of `unit`, where): infinite where NaN or infinity differ."""
    with np.errstate(all="ignore"):
        rounded = exact.astype(found.dtype)
        same = (found == rounded) | (np.isnan(found) & np.isnan(rounded))
        size = np.spacing(np.abs(unit.astype(found.dtype))).astype(exact.dtype)
        error = np.abs(found.astype(exact.dtype) - exact) / size
        proper = np.isfinite(found) & np.isfinite(rounded)
        errors = np.where(same & ~proper, 0, np.where(proper, error, np.inf))
    at = int(np.argmax(errors))
    return float(errors[at]), at


def measured(name: str, dtype: str, count: int) -> tuple[float, float] | None:
    """The largest error in ulp of the machine code of a function in f32 or f64, and the operand that has it; None where
    no wider float is there for a reference."""
    row = FUNCTIONS[name]
    narrow = np.dtype(np.float32 if dtype == "f32" else np.float64)
    wide = np.dtype(np.float64 if dtype == "f32" else np.longdouble)
    if dtype == "f64" and np.finfo(wide).nmant < 63:
        return None
    x = samples(row, narrow, count)
    with np.errstate(all="ignore"):
        exact = row.exact(x.astype(wide)).astype(wide)
    found = tt.compile(row.ours)(tt.tensor(x)).numpy()
    error, at = ulp_error(found, exact, x if row.of_operand else exact)
    return error, float(x[at])


# Sums and products of positive numbers, in eps of the exact result.
def _error(found: Array, exact: Array) -> float:
    return float(np.max(np.abs(found.astype(np.float64) - exact) / (exact * np.finfo(np.float32).eps)))


def _contestants(ours: Callable[..., Tensor], numpy: Callable[..., Any], torch: str) -> dict[str, Callable[..., Array]]:
    def of_torch(*arrays: Array) -> Array:
        import torch as module  # pyright: ignore[reportMissingImports]

        return getattr(module, torch)(*map(module.from_numpy, arrays)).numpy()  # pyright: ignore

    found: dict[str, Callable[..., Array]] = {
        "compiled": lambda *arrays: tt.compile(ours)(*map(tt.tensor, arrays)).numpy(),
        "eager": lambda *arrays: ours(*map(tt.tensor, arrays)).numpy(),
        "numpy": lambda *arrays: np.asarray(numpy(*arrays)),
    }
    if importlib.util.find_spec("torch") is not None:
        found["torch"] = of_torch
    return found


def sums(count: int) -> Mapping[str, float]:
    """The error of a sum of so many numbers, by contestant."""
    x = np.random.default_rng([_SEED, count]).random(count, np.float32)
    exact = x.sum(dtype=np.float64)
    contestants = _contestants(lambda x: x.sum(), np.sum, "sum")
    return {name: _error(run(x), exact) for name, run in contestants.items()}


def products(m: int, k: int, n: int) -> Mapping[str, float]:
    """The error of a product of matrices, by contestant."""
    rng = np.random.default_rng([_SEED, m, k, n])
    a, b = rng.random((m, k), np.float32), rng.random((k, n), np.float32)
    exact = a.astype(np.float64) @ b.astype(np.float64)
    contestants = _contestants(lambda a, b: a @ b, np.matmul, "matmul")
    return {name: _error(run(a, b), exact) for name, run in contestants.items()}


SUMS = (1_000, 100_000, 10_000_000)
PRODUCTS = ((64, 784, 128), (64, 4096, 64), (3, 65_536, 5), (1, 1 << 20, 33))


def run(console: Console, count: int = 1 << 19) -> dict[str, Any]:
    """Measure, print the tables; everything measured, for JSON."""
    functions = {name: {dtype: measured(name, dtype, count) for dtype in ("f32", "f64")} for name in FUNCTIONS}
    table = Table("function", "f32, ulp", "at", "f64, ulp", "at", title="Largest error of compiled functions")
    for name, figures in functions.items():
        cells = [cell for figure in figures.values() for cell in _cells(figure)]
        table.add_row(name + (" (ulp of x)" if FUNCTIONS[name].of_operand else ""), *cells)
    console.print(table)
    sized = {f"sum of {count:,}": sums(count) for count in SUMS}
    sized |= {f"[{m}, {k:,}] @ [{k:,}, {n}]": products(m, k, n) for m, k, n in PRODUCTS}
    names = list(next(iter(sized.values())))
    table = Table("f32", *names, title="Largest error of sums and products of positive numbers, in eps")
    for what, errors in sized.items():
        table.add_row(what, *(f"{errors[name]:.1f}" for name in names))
    console.print(table)
    return {"functions": functions, "sums": sized}


def _cells(figure: tuple[float, float] | None) -> tuple[str, str]:
    return ("no reference", "") if figure is None else (f"{figure[0]:.2f}", f"{figure[1]:.6g}")

"""Both libraries are asked the same: values, dtypes and shapes must be equal (floats up to rounding), and what the
standard refuses must be refused. A function passes where all its cases do."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinytorch as tt
from benchmarks.array_api.case import Case
from benchmarks.array_api.elementwise import elementwise
from benchmarks.array_api.shapes import creation, data_types, manipulation, members, products
from benchmarks.array_api.values import indexing, searching, sets, sorting, statistics, utility
from tinytorch import array_api


@dataclass(frozen=True)
class Result:
    """A function, how many cases it has, and the first that fails."""

    section: str
    name: str
    cases: int
    failure: str


SECTIONS: dict[str, Callable[[], dict[str, list[Case]]]] = {
    "creation": creation,
    "data types": data_types,
    "elementwise": elementwise,
    "indexing": indexing,
    "linear algebra": products,
    "manipulation": manipulation,
    "searching": searching,
    "sets": sets,
    "sorting": sorting,
    "statistics": statistics,
    "utility": utility,
    "the array": members,
}


# Asking both.
def _plain(value: Any) -> Any:
    """Arrays of either library as numpy's, in tuples, too."""
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if isinstance(value, tt.Tensor):
        return value.numpy()
    return getattr(value, "_array", value)


def difference(ours: Any, theirs: Any) -> str:
    """What is not the same, or nothing."""
    if isinstance(theirs, tuple):
        if not isinstance(ours, tuple) or len(ours) != len(theirs):
            return f"gives {type(ours).__name__}, not {len(theirs)} results"
        return next(filter(None, map(difference, ours, theirs)), "")
    if not isinstance(theirs, np.ndarray):
        same = type(ours) is type(theirs) or isinstance(theirs, (int, float))
        return "" if same and ours == theirs else f"gives {str(ours)[:40]!r}, not {theirs!r}"
    if not isinstance(ours, np.ndarray):
        return f"gives a {type(ours).__name__}, not an array"
    if (ours.dtype, ours.shape) != (theirs.dtype, theirs.shape):
        return f"gives {ours.dtype}{list(ours.shape)}, not {theirs.dtype}{list(theirs.shape)}"
    if ours.dtype.kind != "f":
        return "" if np.array_equal(ours, theirs) else "gives other values"
    rounding = 2e-6 if ours.dtype == np.float32 else 1e-13
    if not np.allclose(ours, theirs, rtol=rounding, atol=rounding, equal_nan=True):
        return "gives other values"
    zeros = (ours == 0) & (theirs == 0)
    return "" if np.array_equal(np.signbit(ours[zeros]), np.signbit(theirs[zeros])) else "gives zeros of another sign"


def failure(case: Case, strict: Any) -> str:
    """Why a case fails, or nothing."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            theirs = _plain(case.ask(strict, strict.asarray))
    except Exception as error:
        if not case.refused:
            return f"the case is wrong: {error}"
        theirs = None
    try:
        ours = _plain(case.ask(array_api, array_api.asarray))
    except tt.TinyTorchError as error:
        return "" if case.refused else str(error).split("\n")[0]
    except Exception as error:
        return f"{type(error).__name__}: {error}".split("\n")[0]
    return "is not refused" if case.refused and theirs is None else difference(ours, theirs)


def judge(section: str, name: str, asked: list[Case], strict: Any) -> Result:
    if section != "the array" and not hasattr(array_api, name):
        return Result(section, name, len(asked), "is missing")
    for case in asked:
        if why := failure(case, strict):
            return Result(section, name, len(asked), f"{case.label}: {why}")
    return Result(section, name, len(asked), "")


def results() -> list[Result]:
    import array_api_strict as strict

    strict.set_array_api_strict_flags(api_version=array_api.__array_api_version__)
    return [
        judge(section, name, asked, strict)
        for section, functions in SECTIONS.items()
        for name, asked in sorted(functions().items())
    ]

"""Reductions, searching, sorting, sets and indexing: all dtypes, axes and options."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from benchmarks.array_api.case import BOOL, FLOATS, NUMBERS, B, Case, M, N, V, X, cases, given, numbers


def _reductions(name: str, dtypes: tuple[str, ...], **options: Any) -> list[Case]:
    found: list[Case] = []
    for dtype, axis, keep in itertools.product(dtypes, (None, 0, -1, (0, 2)), (False, True)):
        x, how = numbers(dtype, (2, 3, 4), -3, 3), {"axis": axis, "keepdims": keep, **options}
        found.append(Case(f"{dtype} {how}", lambda xp, a, x=x, how=how: getattr(xp, name)(a(x), **how)))
    found.append(Case("no axes", lambda xp, a: getattr(xp, name)(a(numbers(dtypes[0], ())))))
    found.append(Case("axis 3", lambda xp, a: getattr(xp, name)(a(numbers(dtypes[0], (2, 3))), axis=3), refused=True))
    return found


def _summed(name: str) -> list[Case]:
    """Of signed integers: sums of unsigned ones are uint64 in the standard, which is not here."""
    signed = tuple(d for d in NUMBERS if d != "uint8")
    more = cases(
        lambda xp, a: getattr(xp, name)(a(N), axis=0, dtype=xp.float64),
        lambda xp, a: getattr(xp, name)(a(numbers("int8", (3,))), dtype=xp.int8),
        lambda xp, a: getattr(xp, name)(a(X[:0]), axis=0),
    )
    return _reductions(name, signed) + more


def _running(name: str) -> list[Case]:
    found = [
        given(
            f"{dtype} {axis} {initial}",
            lambda xp, x, i=axis, first=initial: getattr(xp, name)(x, axis=i, include_initial=first),
            numbers(dtype, (2, 3, 4), -3, 3),
        )
        for dtype, axis, initial in itertools.product(("float32", "float64", "int32"), (0, 1, -1), (False, True))
    ]
    return found + cases(
        lambda xp, a: getattr(xp, name)(a(V)),
        lambda xp, a: getattr(xp, name)(a(V), dtype=xp.float64),
        refused=(lambda xp, a: getattr(xp, name)(a(X)), lambda xp, a: getattr(xp, name)(a(X), axis=3)),
    )


def statistics() -> dict[str, list[Case]]:
    found = {name: _reductions(name, NUMBERS) for name in ("max", "min")}
    found |= {name: _summed(name) for name in ("prod", "sum")}
    found |= {name: _running(name) for name in ("cumulative_prod", "cumulative_sum")}
    found["mean"] = _reductions("mean", FLOATS)
    for name in ("std", "var"):
        found[name] = _reductions(name, FLOATS) + _reductions(name, FLOATS, correction=1.0)
    return found


def utility() -> dict[str, list[Case]]:
    found = {name: _reductions(name, BOOL + NUMBERS) for name in ("all", "any")}
    for name in found:
        found[name] += cases(lambda xp, a, n=name: getattr(xp, n)(a(B[:0]), axis=0))
    found["diff"] = cases(
        *(lambda xp, a, i=i, n=n: xp.diff(a(X), axis=i, n=n) for i in (-1, 0, 1) for n in (0, 1, 2)),
        lambda xp, a: xp.diff(a(N), prepend=a(N[..., :1]), append=a(N[..., :2])),
        refused=(lambda xp, a: xp.diff(a(X), axis=3),),
    )
    return found


def searching() -> dict[str, list[Case]]:
    order = np.argsort(V)
    found = {
        name: [
            given(
                f"{dtype} {axis} {keep}",
                lambda xp, x, n=name, i=axis, k=keep: getattr(xp, n)(x, axis=i, keepdims=k),
                numbers(dtype, (2, 3, 4)),
            )
            for dtype, axis, keep in itertools.product(NUMBERS, (None, 0, -1), (False, True))
        ]
        + cases(refused=(lambda xp, a, n=name: getattr(xp, n)(a(X), axis=3),))
        for name in ("argmax", "argmin")
    }
    found["count_nonzero"] = _reductions("count_nonzero", NUMBERS + BOOL)
    found["nonzero"] = cases(
        lambda xp, a: xp.nonzero(a(N)),
        lambda xp, a: xp.nonzero(a(B)),
        lambda xp, a: xp.nonzero(a(V)),
        refused=(lambda xp, a: xp.nonzero(a(np.array(1.0))),),
    )
    found["searchsorted"] = cases(
        *(
            lambda xp, a, s=side: xp.searchsorted(a(np.sort(V)), a(np.array([[0, 2, 9.0]], np.float32)), side=s)
            for side in ("left", "right")
        ),
        lambda xp, a: xp.searchsorted(a(V), a(np.array([2.0], np.float32)), sorter=a(order)),
        lambda xp, a: xp.searchsorted(a(np.array([1, 3, 5])), a(np.array([0, 3, 4, 9]))),
    )
    found["where"] = cases(
        lambda xp, a: xp.where(a(B), a(X), a(-X)),
        lambda xp, a: xp.where(a(B), a(X[0]), a(M[:1, :1])),
        lambda xp, a: xp.where(a(B[0, 0]), a(np.array(1.5)), a(V[:1])),
        lambda xp, a: xp.where(a(B), a(N), 0),
        refused=(lambda xp, a: xp.where(a(B), a(V), a(V)),),
    )
    return found


def sorting() -> dict[str, list[Case]]:
    ties = np.array([[3, 1, 2, 1], [0, 0, -1, 5]])
    return {
        name: [
            given(
                f"{dtype} {axis} {descending}",
                lambda xp, x, n=name, i=axis, d=descending: getattr(xp, n)(x, axis=i, descending=d),
                ties.clip(0).astype(dtype),
            )
            for dtype, axis, descending in itertools.product(NUMBERS, (-1, 0), (False, True))
        ]
        + cases(
            lambda xp, a, n=name: getattr(xp, n)(a(X)),
            lambda xp, a, n=name: getattr(xp, n)(a(X[:0]), axis=0),
            refused=(lambda xp, a, n=name: getattr(xp, n)(a(X), axis=3),),
        )
        for name in ("argsort", "sort")
    }


def indexing() -> dict[str, list[Case]]:
    places = np.array([2, 0, 1, 2])
    along = np.array([[[1], [0], [2]], [[3], [3], [0]]])
    return {
        "take": cases(
            *(lambda xp, a, i=i: xp.take(a(X), a(places % X.shape[i]), axis=i) for i in (0, 1, -1)),
            lambda xp, a: xp.take(a(V), a(places)),
            lambda xp, a: xp.take(a(N), a(places.astype("int32")), axis=1),
            refused=(lambda xp, a: xp.take(a(X), a(places), axis=3), lambda xp, a: xp.take(a(X), a(places))),
        ),
        "take_along_axis": cases(
            lambda xp, a: xp.take_along_axis(a(X), a(along)),
            lambda xp, a: xp.take_along_axis(a(X), a(np.argsort(X, 1)[:, :2]), axis=1),
            lambda xp, a: xp.take_along_axis(a(X), a(np.argsort(X, 0)), axis=0),
        ),
    }


def sets() -> dict[str, list[Case]]:
    values = np.array([[3, 1, 2, 1], [3, 3, -1, 5]])
    sort_of = {name: values.astype(name) for name in ("int32", "int64", "float32", "float64")}
    return {
        name: cases(
            *(lambda xp, a, n=name, x=x: _fields(getattr(xp, n)(a(x))) for x in sort_of.values()),
            lambda xp, a, n=name: _fields(getattr(xp, n)(a(B))),
        )
        for name in ("unique_all", "unique_counts", "unique_inverse", "unique_values")
    }


def _fields(result: Any) -> Any:
    """Results by the names of their fields."""
    return tuple(result) if isinstance(result, tuple) else result

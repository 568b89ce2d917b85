"""Programs over a module like torch, run by tinytorch eagerly and compiled, and by torch where it is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.ir.op import Array

Case = Callable[..., Any]  # (module, *tensors) -> a tensor, or several, nested
Found = list[Array | object]
HAS_TORCH = importlib.util.find_spec("torch") is not None


def leaves(value: Any) -> list[Any]:
    return [leaf for part in value for leaf in leaves(part)] if isinstance(value, (tuple, list)) else [value]


def _plain(value: Any) -> Array | object:
    return np.asarray(value.detach().numpy()) if hasattr(value, "detach") else value


def run(module: Any, case: Case, arrays: Sequence[Array], call: Callable[[Case], Case] = lambda f: f) -> Found:
    """What `case` gives for tensors of `arrays`, and the gradients of those of floats."""
    tensors = [module.tensor(a.copy(), requires_grad=a.dtype.kind == "f") for a in arrays]
    made = leaves(call(lambda *xs: case(module, *xs))(*tensors))
    found = [_plain(x) for x in made]
    total: Any = 0
    for x in made:
        if getattr(x, "requires_grad", False):
            weights = np.sin(np.arange(x.numel(), dtype=np.float64)).reshape(tuple(x.shape)) + 2
            total = total + (x * module.tensor(weights, dtype=x.dtype)).sum()
    if getattr(total, "requires_grad", False):
        total.backward()
        found += [_plain(x.grad) for x in tensors if x.requires_grad and x.grad is not None]
    return found


def same(found: Found, expected: Found, what: str) -> None:
    assert len(found) == len(expected), what
    for a, b in zip(found, expected, strict=True):
        if isinstance(b, np.ndarray):
            assert isinstance(a, np.ndarray) and (a.dtype, a.shape) == (b.dtype, b.shape), what
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6, err_msg=what)
        else:
            assert a == b, what


def check(case: Case, arrays: Sequence[Array]) -> None:
    """Values, dtypes, shapes and gradients are torch's."""
    torch = pytest.importorskip("torch")
    same(run(tt, case, arrays), run(torch, case, arrays), "eager")


def check_compiled(cases: Mapping[str, Case], arrays: Sequence[Array]) -> None:
    """All cases in one graph give what each gives eagerly."""
    expected = [run(tt, case, arrays) for case in cases.values()]
    tensors = [tt.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]

    def together(*xs: tt.Tensor) -> list[list[Any]]:
        return [leaves(case(tt, *xs)) for case in cases.values()]

    found = tt.compile(together)(*tensors)
    for name, results, values in zip(cases, found, expected, strict=True):
        same([_plain(x) for x in results], values[: len(results)], name)

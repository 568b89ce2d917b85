"""What no function can use, in the place of each argument of every function: an error that names the user's line, and
never one from inside."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
import tinytorch.nn.functional as F
from tinytorch.frontend.binding import signature_of
from tinytorch.frontend.spelling import TABLE
from tinytorch.ir.errors import TinyTorchError

HERE = "test_wrong_arguments.py"
X = tt.arange(12).float().reshape(3, 4) / 10 + 0.1
GIVEN: dict[str, Any] = {"int": 1, "float": 0.5, "bool": True, "str": "a"}
SIZES: dict[str, Any] = {"size": (3,), "shape": (12,), "dims": (0, 1), "sizes": [3], "repeats": 2, "split_size": 2}
_TABLED = {s.names[0]: s.function for s in TABLE}
FUNCTIONS = _TABLED | {
    f"F.{name}": f for name, f in vars(F).items()
    if inspect.isfunction(f) and name[0] != "_" and f.__module__ != "tinytorch.frontend.spelling"
}  # fmt: skip


def filled(p: inspect.Parameter) -> Any:
    """A value that most parameters of this name take."""
    if p.name in SIZES or p.name.startswith("dim"):
        return SIZES.get(p.name, 1 if p.name == "dim1" else 0)
    if "index" in p.name:
        return tt.arange(3)
    return next((v for k, v in GIVEN.items() if str(p.annotation).startswith(k)), X)


def calls(function: Callable[..., Any], wrong: Any) -> list[tuple[list[Any], dict[str, Any]]]:
    """The arguments of calls with `wrong` in each place."""
    kinds = inspect.Parameter
    own = [p for p in signature_of(function).parameters.values() if p.kind != kinds.VAR_KEYWORD]
    made: list[tuple[list[Any], dict[str, Any]]] = []
    for bad in own:
        args: list[Any] = []
        options: dict[str, Any] = {}
        for p in own:
            if p.kind == kinds.VAR_POSITIONAL:
                args += [wrong] if p is bad else []
            elif p is bad and (p.default is not p.empty or p.kind == kinds.KEYWORD_ONLY):
                options[p.name] = wrong
            elif p.default is p.empty:
                args.append(wrong if p is bad else filled(p))
        made.append((args, options))
    return made


@pytest.mark.parametrize("wrong", ["a", object(), [[1], [2, 3]]], ids=["a string", "an object", "a ragged list"])
def test_every_function_refuses_what_it_cannot_use(wrong: Any) -> None:
    tried = refused = 0
    for name, function in FUNCTIONS.items():
        for args, options in calls(function, wrong):
            tried += 1
            try:
                function(*args, **options)
            except TinyTorchError as error:
                refused += 1
                assert HERE in str(error), (name, args, options)
                assert " object has no attribute " not in str(error), str(error)
            except Exception as error:
                assert HERE in str(error), (name, args, options, error)
    assert tried > 1000 and refused > 0.8 * tried


def test_calls_of_modules_are_explained() -> None:
    class Mine(tt.Module):
        def forward(self, x: Any) -> Any:
            return x.no_such_method()

    cases: dict[str, Callable[[], Any]] = {
        "Linear: missing a required argument: 'input'": lambda: tt.Linear(2, 2)(),
        "ReLU: too many positional arguments": lambda: tt.ReLU()(X, X),
        "LSTM: got an unexpected keyword argument 'banana'": lambda: tt.LSTM(2, 3)(X, banana=1),
        "Linear: got a list where it needs a tensor": lambda: tt.Linear(2, 2)([1.0]),
    }
    for says, call in cases.items():
        with pytest.raises(TinyTorchError, match=says) as info:
            call()
        assert HERE in str(info.value)
    with pytest.raises(AttributeError, match="no_such_method"):  # the user's own mistake stays what it is
        tt.Sequential(tt.ReLU(), Mine())(X)


HUGE = 2**61


def test_sizes_beyond_all_memory_are_errors_of_shapes() -> None:
    row = tt.zeros(1)
    cases: dict[str, Callable[[], Any]] = {
        "zeros": lambda: tt.zeros(HUGE), "ones": lambda: tt.ones(2**31, 2**31), "full": lambda: tt.full((HUGE,), 1.0),
        "rand": lambda: tt.rand(HUGE), "randn": lambda: tt.randn(2**40, 2**20), "arange": lambda: tt.arange(HUGE),
        "eye": lambda: tt.eye(2**40), "linspace": lambda: tt.linspace(0, 1, HUGE), "repeat": lambda: row.repeat(HUGE),
        "clone": lambda: row.expand(HUGE).clone(), "add": lambda: row.expand(2**50) + tt.zeros(1),
        "outer": lambda: tt.outer(row.expand(2**30), row.expand(2**30)), "tril": lambda: tt.tril_indices(2**40, 2**40),
        "one_hot": lambda: F.one_hot(tt.tensor([0]), 2**50), "pad": lambda: F.pad(row, (0, 2**50)),
        "tile": lambda: tt.tile(row, (2**50,)), "kron": lambda: tt.kron(row.expand(2**30), row.expand(2**30)),
        "Linear": lambda: tt.Linear(2**40, 2**20), "Embedding": lambda: tt.Embedding(2**50, 8),
        "randperm": lambda: tt.randperm(2**60), "cat": lambda: tt.cat([row.expand(2**50), row]),
        "compiled": lambda: tt.compile(lambda x: x.expand(2**50) + 1)(row),
    }  # fmt: skip
    wrong: list[str] = []
    for name, call in cases.items():
        try:
            call()
            wrong.append(f"{name}: accepted")
        except TinyTorchError as error:
            if HERE not in str(error):
                wrong.append(f"{name}: no line: {error}")
        except Exception as error:
            wrong.append(f"{name}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)


def test_truncated_normal_numbers_of_a_wide_window() -> None:
    x = tt.nn.init.trunc_normal_(tt.zeros(1000), 0.0, 1.0, -1e30, 1e30)
    assert abs(float(x.std()) - 1) < 0.1 and abs(float(x.mean())) < 0.2
    far = tt.nn.init.trunc_normal_(tt.zeros(100), 0.0, 1.0, 5.0, math.ldexp(1, 70)).numpy()
    assert np.all((far >= 5) & (far < 8))


def test_parameters_are_a_list_and_an_iterator() -> None:
    model = tt.Sequential(tt.Linear(2, 3), tt.ReLU())
    given = model.parameters()
    assert next(given).shape == (3, 2) and next(given).shape == (3,) and next(given, None) is None
    assert len(given) == 2 and next(model.parameters()).dtype == tt.f32 and [p.ndim for p in given] == [2, 1]


def test_the_type_of_a_tensor_is_no_method() -> None:
    with pytest.raises(TinyTorchError, match=r"x.to\(dtype\) converts it") as info:
        X.type(tt.int64)  # pyright: ignore[reportCallIssue]
    assert HERE in str(info.value)


def test_the_state_of_random_numbers_goes_back() -> None:
    tt.manual_seed(5)
    state, first = tt.get_rng_state(), tt.rand(3)
    assert tt.initial_seed() == 5
    tt.set_rng_state(state)
    np.testing.assert_array_equal(tt.rand(3).numpy(), first.numpy())
    assert tt.seed() == tt.initial_seed()

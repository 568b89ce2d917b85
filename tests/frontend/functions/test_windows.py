"""Windows: values are torch's, of every length, symmetric and periodic; arguments that make no sense are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.signal import windows

NEWER: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in windows.__all__ if name != "general_cosine"),
    ("general_cosine", {"a": [0.46, 0.23, 0.31]}),
    ("general_hamming", {"alpha": 0.7}),
    ("exponential", {"tau": 3.0}),
    ("gaussian", {"std": 2.5}),
    ("kaiser", {"beta": 4.0}),
]
OLDER: list[tuple[str, dict[str, Any]]] = [
    ("hann_window", {}),
    ("hamming_window", {}),
    ("hamming_window", {"alpha": 0.6, "beta": 0.3}),
    ("blackman_window", {}),
    ("bartlett_window", {}),
    ("kaiser_window", {"beta": 5.0}),
]


def test_values_are_those_of_torch() -> None:
    torch = pytest.importorskip("torch")
    from torch.signal import windows as theirs

    for name, options in NEWER:
        for count in (0, 1, 2, 3, 8, 9):
            for sym in (True, False):
                for dtype, tolerance in (("float32", 2e-6), ("float64", 1e-12)):
                    ours = getattr(windows, name)(count, sym=sym, dtype=getattr(tt, dtype), **options)
                    wanted = getattr(theirs, name)(count, sym=sym, dtype=getattr(torch, dtype), **options).numpy()
                    assert ours.numpy().dtype == wanted.dtype
                    np.testing.assert_allclose(ours, wanted, atol=tolerance, err_msg=f"{name} {count} {sym}")
    for name, options in OLDER:
        for count in (0, 1, 2, 3, 8, 9):
            for periodic in (True, False):
                wanted = getattr(torch, name)(count, periodic, dtype=torch.float64, **options).numpy()
                ours = getattr(tt, name)(count, periodic, dtype=tt.float64, **options)
                np.testing.assert_allclose(ours, wanted, atol=1e-6, err_msg=f"{name} {count} {periodic}")
    periodic = windows.exponential(5, center=1.0, sym=False)
    np.testing.assert_allclose(periodic, theirs.exponential(5, center=1.0, sym=False).numpy(), rtol=1e-6)


def test_windows_are_constants_of_a_graph_and_may_require_grad() -> None:
    x = tt.arange(8).float()
    call = tt.compile(lambda x: x * tt.hann_window(8) + windows.kaiser(8))
    np.testing.assert_allclose(call(x), x * tt.hann_window(8) + windows.kaiser(8), rtol=1e-6)
    window = tt.hann_window(4, requires_grad=True)
    (window * window).sum().backward()
    np.testing.assert_allclose(window.grad, 2 * window.detach())
    assert tt.hann_window(4).dtype is tt.float32 and tt.hann_window(4, dtype=tt.float16).dtype is tt.float16


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: windows.hann(-1), "not negative"),
        (lambda: windows.hann(4, dtype=tt.int64), "dtype is a float one"),
        (lambda: windows.kaiser(4, beta=-1.0), "beta is a number that is not negative"),
        (lambda: windows.gaussian(4, std=0.0), "std is a positive number"),
        (lambda: windows.exponential(4, tau=0.0), "tau is a positive number"),
        (lambda: windows.exponential(4, center=1.0), "center is None for a symmetric window"),
        (lambda: windows.general_cosine(4, a=[]), "a is a list of numbers"),
        (lambda: tt.hann_window(4.5), "window_length is an integer"),
    ],
)
def test_what_makes_no_sense_is_refused(call: Any, message: str) -> None:
    with pytest.raises(tt.TinyTorchError, match=message):
        call()

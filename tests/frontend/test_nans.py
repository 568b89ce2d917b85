"""TT_NANS=1 names the line that makes the first NaN, in eager mode and in compiled functions."""

from __future__ import annotations

import pytest

import tinytorch as tt


def bad(x: tt.Tensor) -> tt.Tensor:
    shifted = x - 2.0
    return (shifted.log() * 3.0).sum()


@pytest.mark.parametrize("run", [bad, tt.compile(bad)], ids=["eager", "compiled"])
def test_the_op_that_makes_a_nan_is_named(run: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(run)
    monkeypatch.setenv("TT_NANS", "1")
    with pytest.raises(tt.TinyTorchError, match=r"log made the first NaN(.|\n)*shifted\.log\(\)"):
        run(tt.ones(3))


def test_a_nan_that_was_passed_in_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TT_NANS", "1")
    x = tt.tensor([float("nan"), 3.0])
    assert bad(x).isnan().item() and tt.compile(bad)(x).isnan().item()

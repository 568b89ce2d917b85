"""TT_NANS=1 names the op and the line that make the first NaN, in eager mode and in compiled functions, says what of,
and writes a reproducer."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import tinytorch as tt


def bad(x: tt.Tensor) -> tt.Tensor:
    shifted = x - 2.0
    return (shifted.log() * 3.0).sum()


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """NaNs are looked for, and reproducers go here."""
    monkeypatch.setenv("TT_NANS", "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("run", [bad, tt.compile(bad)], ids=["eager", "compiled"])
def test_the_op_that_makes_a_nan_is_named_with_its_operands(run: Callable[[tt.Tensor], tt.Tensor]) -> None:
    x = tt.Tensor([[5.0, 4.0, 3.0], [2.0, 1.5, 1.0]])
    with pytest.raises(tt.TinyTorchError, match=r"log made the first NaN(.|\n)*shifted\.log\(\)") as error:
        run(x)
    assert "result: f32[2,3] from 0 to 1.09861, 1 infinite, 2 NaN, the first at [1, 1]\n" in str(error.value)
    assert "operand 0: f32[2,3] from -1 to 3, -0.5 at [1, 1]\n" in str(error.value)


def test_infinite_operands_and_broadcast_ones_are_told(folder: Path) -> None:
    with pytest.raises(tt.TinyTorchError, match="sub made the first NaN") as error:
        tt.Tensor([1.0, np.inf]) - tt.Tensor([np.inf])
    assert "operand 0: f32[2] from 1 to 1, 1 infinite, inf at [1]" in str(error.value)
    assert "operand 1: f32[2], 2 infinite, inf at [1]" in str(error.value)


def test_the_reproducer_runs_by_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(tt.TinyTorchError, match=r"reproduce with: python tt-nans.reproduce\.py"):
        bad(tt.ones(3).to(tt.bfloat16))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    done = subprocess.run(
        [sys.executable, folder / "tt-nans" / "reproduce.py"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("%0 = log(%x0) : bf16[3]\ntest_nans.py:")
    assert "operand 0: bf16[3] from -1 to -1\n" in done.stdout
    assert "the reference: bf16[3], 3 NaN\n" in done.stdout and "llvm: bf16[3], 3 NaN\n" in done.stdout


def test_an_op_of_several_results_says_which_one(folder: Path) -> None:
    with pytest.raises(tt.TinyTorchError, match="made the first NaN") as error:
        x = tt.Tensor(np.full((1, 1, 2, 4), np.inf, np.float32))
        tt.scaled_dot_product_attention(x, x, x)
    assert "result 0: f32[1,1,2,4]" in str(error.value) and "operand 2: f32[1,1,2,4]" in str(error.value)


def test_a_gradient_names_the_op_that_it_is_of(folder: Path) -> None:
    x = tt.zeros(2, requires_grad=True)
    y = (x * 2.0).sqrt()
    loss = (y * 0.0).sum()
    with pytest.raises(tt.TinyTorchError, match="div made the first NaN") as error:
        loss.backward()
    assert re.search(r"in the gradient of sqrt, test_nans\.py:\d+: y = \(x \* 2\.0\)\.sqrt\(\)", str(error.value))
    assert str(error.value).endswith(": loss.backward()")


def test_where_no_file_can_be_written_the_error_is_the_same(folder: Path) -> None:
    (folder / "tt-nans").write_text("a file in the place of the folder")
    with pytest.raises(tt.TinyTorchError, match="log made the first NaN") as error:
        bad(tt.ones(3))
    assert "reproduce" not in str(error.value)


def test_a_nan_that_was_passed_in_is_no_error(folder: Path) -> None:
    x = tt.tensor([float("nan"), 3.0])
    assert bad(x).isnan().item() and tt.compile(bad)(x).isnan().item()
    assert not (folder / "tt-nans").exists()

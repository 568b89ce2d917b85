"""Rounding floats and turning them into bytes: the reference's values, in vector code of a few instructions."""

from __future__ import annotations

import re

import numpy as np
import pytest

import tinytorch as tt
from tests.runtime.llvm.contract.test_kernel import FORCED, target_of
from tinytorch.ir.ops.core import cast
from tinytorch.ir.types import DType, bf16, f16, f32, f64, i8, u8
from tinytorch.runtime.llvm.backend import LlvmBackend
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.jit import emit_assembly
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import PTR

TRICKY = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, 3e38, -3e38, *np.arange(-300, 300.5, 0.25)]


@pytest.mark.parametrize("name", ["host", *FORCED])
@pytest.mark.parametrize("dtype", [u8, i8], ids=str)
def test_values(name: str, dtype: DType) -> None:
    for source in (f32, f64, f16, bf16):
        with np.errstate(over="ignore"):
            x = np.array(TRICKY).astype(source.numpy)
        run = tt.compile(lambda x: (x.cast(dtype), x.round().cast(dtype)), backend=LlvmBackend(target_of(name)))
        found = run(tt.tensor(x))
        for result, values in zip(found, (x, np.rint(x.astype(np.float64))), strict=True):
            np.testing.assert_array_equal(result.numpy(), cast.eval(values, dtype=dtype))


@pytest.mark.parametrize(("name", "rounds"), [("avx512", "vrndscaleps"), ("avx2", "vroundps"), ("neon", "frintn")])
@pytest.mark.parametrize("dtype", [u8, i8], ids=str)
def test_instructions(name: str, rounds: str, dtype: DType) -> None:
    """One to round, at most four to stay in the limits and to make NaN 0, and one or a few for the conversion."""
    target = Target.named(name)
    module = Module(target.attributes)
    fn = module.function("convert", [PTR, PTR])
    emitter = LaneEmitter(fn, target, target.lanes(f32))
    rounded = emitter.unary("rint", emitter.load(fn.params[0], f32))
    scalar = cast.scalar
    assert scalar is not None
    emitter.store(scalar(emitter, rounded, dtype=dtype), fn.params[1])
    fn.ret()
    assembly = emit_assembly(module.text(), target)
    code = [line for line in re.findall(r"^\t([a-z][\w.]*)", assembly, re.M) if not line.startswith((".", "mov"))]
    assert code.count(rounds) == 1 and len(code) <= 24, code
    assert not {"cvttss2si", "vcvttss2si", "vpinsrb", "vpextrb"} & set(code), "an element at a time"

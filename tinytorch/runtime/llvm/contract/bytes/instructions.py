"""Instructions that multiply bytes and add up their products in an i32: which a target has, and calls of them.

None of them saturates as it is used here. `quad` takes four bytes of each operand to a lane: `vpdpbusd` (AVX-512 VNNI,
AVX-VNNI) multiplies unsigned by signed ones, `sdot`, `udot` and `usdot` (NEON) what their names say. `pair` takes two
that were widened to 16 bits: `pmaddwd`, of all x86. `pmaddubsw` (AVX2) adds two products of unsigned by signed bytes
in 16 bits, which hold them only where one of the operands has fewer bits: whoever calls it has to know.
"""

from __future__ import annotations

from tinytorch.ir.types import DType, i8, u8
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I8, I16, I32

_PAIRS = {4: "llvm.x86.sse2.pmadd.wd", 8: "llvm.x86.avx2.pmadd.wd", 16: "llvm.x86.avx512.pmaddw.d.512"}
_QUADS_IN_16_BITS = {8: "llvm.x86.avx2.pmadd.ub.sw", 16: "llvm.x86.avx512.pmaddubs.w.512"}


def quad(
    fn: Function, target: Target, total: Register, x: Register, y: Register, left: DType, right: DType
) -> Register:
    """total + the products of the four bytes in each lane of x and y, which are of such dtypes."""
    lanes = total.type.lanes
    if target.has_vnni:
        name = f"llvm.x86.avx512.vpdpbusd.{32 * lanes}"
        x, y = (x, y) if left is u8 else (y, x)
    else:
        kind = {(i8, i8): "sdot", (u8, u8): "udot"}.get((left, right), "usdot")
        name = f"llvm.aarch64.neon.{kind}.v{lanes}i32.v{4 * lanes}i8"
        x, y = (y, x) if (left, right) == (i8, u8) else (x, y)
    return fn.call(name, [total, *(fn.bitcast(v, I8.widen(4 * lanes)) for v in (x, y))], total.type)


def pair(fn: Function, total: Register, x: Register, y: Register) -> Register:
    """total + the products of the two numbers of 16 bits in each lane of x and y."""
    lanes = total.type.lanes
    return total + fn.call(_PAIRS[lanes], [fn.bitcast(v, I16.widen(2 * lanes)) for v in (x, y)], total.type)


def quad_in_16_bits(fn: Function, unsigned: Register, signed: Register) -> Register:
    """Sums of two products each, <2 × lanes x i16>, of the bytes in i32 lanes; they saturate where they do not fit."""
    lanes = unsigned.type.lanes
    wide = [fn.bitcast(v, I8.widen(4 * lanes)) for v in (unsigned, signed)]
    return fn.call(_QUADS_IN_16_BITS[lanes], wide, I16.widen(2 * lanes))


def add_16_bits(fn: Function, total: Register, sums: Register) -> Register:
    """total + the two sums of 16 bits in each lane."""
    lanes = total.type.lanes
    return pair(fn, total, fn.bitcast(sums, I32.widen(lanes)), fn.const(0x10001, I32.widen(lanes)))

"""Products of bf16 in pairs of k, each of which is one lane of 32 bits.

`vdpbf16ps` (AVX-512 BF16) adds the products of a pair to an f32. Each product is exact in f32 and each of the two
additions rounds to nearest even, as a multiply-add does; but subnormal operands, products and sums count as 0, so that
such an operand times an infinity is NaN. A finite sum of n products then differs from the exact one by rounding, as one
of f32 does, and by at most 2**-126 (2 n + the sum of the operands' magnitudes). Everywhere else bf16 is widened to f32
while it is packed or loaded, and subnormals are what they are.

Weights that are laid out in panels of pairs are read in this way by one product and another: where the target has no
such instruction, or meets f32, both halves of a lane become an f32, by a shift and a mask.

An operand that is contiguous along k is read as lanes of 32 bits where it lies: its dtype says f32, though a lane holds
two numbers of bf16. In another one a step of k takes two rows (or columns), which are interleaved when they are loaded;
its dtype stays bf16.
"""

from __future__ import annotations

from dataclasses import replace

from tinytorch.ir.lanes.emitter import Lane
from tinytorch.ir.types import DType, bf16, f32
from tinytorch.runtime.llvm.contract.operands.layout import Pairs, Product
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import BF16, F32, I16, I32

_LEAST = 8  # elements of k that repay it


def paired(product: Product, target: Target) -> Product:
    """The product with a pair for each step of k, where the target multiplies pairs of bf16 and the operands are such;
    else as it is."""
    if not target.has_bf16 or not product.a.dtype is product.b.dtype is bf16 or product.panels:
        return product
    if product.k % 2 or product.k < _LEAST:
        return product
    a, b = _in_pairs(product.a, -1), _in_pairs(product.b, -2)
    return product if a is None or b is None else replace(product, a=a, b=b, pairs="dot")


def pairs_of_panels(a: Buffer, panels: Buffer, target: Target) -> tuple[Buffer, Buffer, Pairs]:
    """a [m, k] and panels [count, k / 2, width, 2] of bf16 with a pair for each step of k, and what to do with them:
    those of panels are widened where the target cannot multiply pairs, or a is none of bf16."""
    view = _in_pairs(a, -1) if target.has_bf16 and a.dtype is bf16 else None
    lanes = Buffer(f32, panels.shape[:3], tuple(step // 2 for step in panels.strides[:3]))
    if view is not None:
        return view, lanes, "dot"
    rows, column = a.strides
    return replace(a, shape=(a.shape[0], a.shape[1] // 2), strides=(rows, 2 * column)), lanes, "widen"


def _in_pairs(x: Buffer, axis: int) -> Buffer | None:
    """x with pairs along an axis; None where they lie together but others do not lie whole pairs apart."""
    shape, strides = list(x.shape), list(x.strides)
    shape[axis] //= 2
    if strides[axis] != 1:
        strides[axis] *= 2
        return replace(x, shape=tuple(shape), strides=tuple(strides))
    strides[axis] = 2
    if any(step % 2 for step, size in zip(strides, shape, strict=True) if size > 1):
        return None
    return Buffer(f32, tuple(shape), tuple(step // 2 for step in strides))


def load_lanes(
    emitter: LaneEmitter,
    pointer: Register,
    dtype: DType,
    stride: int,
    offset: Register | int,
    k_bytes: int,
    pairs: bool,
    mask: Register | None = None,
) -> Lane:
    """Elements of an operand `stride` elements apart, in f32 or wider as sums are; or pairs, the second numbers of
    which lie half of `k_bytes` behind the first."""
    if not pairs or dtype is f32:
        return emitter.load_strided(pointer, dtype, stride, offset, mask=mask)
    fn = emitter.fn
    wide = I32.widen(emitter.lanes)
    halves: list[Register] = []
    for behind in (0, k_bytes // 2):
        loaded = fn.load_strided(pointer, I16.widen(emitter.lanes), stride * 2, fn.value(offset) + behind, mask=mask)
        halves.append(fn.convert("zext", loaded, wide))
    return emitter.lane(fn.bitcast(halves[0] | (halves[1] << 16), F32.widen(emitter.lanes)), f32)


def widened(fn: Function, x: Register) -> tuple[Register, Register]:
    """The first and the second numbers of pairs, in f32."""
    bits = fn.bitcast(x, I32.widen(x.type.lanes))
    return fn.bitcast(bits << 16, x.type), fn.bitcast(bits & -0x10000, x.type)


def dot(fn: Function, total: Register, x: Register, y: Register) -> Register:
    """total + the products of the pairs of bf16 in x and y, lane by lane."""
    wide = BF16.widen(2 * total.type.lanes)
    pairs = [fn.bitcast(v, wide) for v in (x, y)]
    return fn.call("llvm.x86.avx512bf16.dpbf16ps.512", [total, *pairs], total.type)

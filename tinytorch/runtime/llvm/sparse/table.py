"""A block of x in registers, out of which an instruction of AVX-512 picks elements by their numbers."""

from __future__ import annotations

from tinytorch.ir.ops.sparse import BLOCK_ROWS, SparseLayout
from tinytorch.ir.types import f32
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import F32, I8, I32

_LANES = 16
_PAIR = 2 * _LANES  # elements that one instruction picks from


def has_table(layout: SparseLayout, target: Target) -> bool:
    """Whether a row of x is read so: each of 16 lanes has an element of its own."""
    x86 = target.triple.startswith(("x86_64", "amd64"))
    return x86 and target.vector_bytes == 64 and layout.dtype is f32 and layout.places == layout.lanes == _LANES


class Table:
    """The `depth` elements at `block`, behind which are zeros up to 256."""

    def __init__(self, fn: Function, block: Register, depth: int) -> None:
        self.fn = fn
        vector = F32.widen(_LANES)
        self.zero = fn.zero(vector)
        self.held = [fn.load(block, vector, at * 4) for at in range(0, -(-depth // _PAIR) * _PAIR, _LANES)]

    def pick(self, numbers: Register) -> Register:
        """The elements whose numbers are the 16 bytes at a pointer."""
        fn = self.fn
        index = fn.convert("zext", fn.load(numbers, I8.widen(_LANES)), I32.widen(_LANES))
        name = "llvm.x86.avx512.vpermi2var.ps.512"
        pairs = zip(self.held[::2], self.held[1::2], strict=True)
        found = [fn.call(name, [low, index, high], low.type) for low, high in pairs]
        found += [self.zero] * (BLOCK_ROWS // _PAIR - len(found))
        bit = _PAIR
        while len(found) > 1:
            odd = fn.compare("ne", index & bit, fn.zero(index.type))
            found = [a if a is b else fn.select(odd, b, a) for a, b in zip(found[::2], found[1::2], strict=True)]
            bit *= 2
        return found[0]

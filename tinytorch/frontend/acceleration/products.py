"""Matrix products by generated code alone, eager programs' products too.

A product [m, k] @ [k, n] does 2 m n k operations on m k + k n + m n elements: with n = m = k, n / 6 operations for each
byte of f32. So from some dozens of rows on, the multiply-adds are the limit and not the memory, and what separates a
naive triple loop from that limit is reuse: of cache lines (blocks), of instructions (vectors), of loads (a tile of sums
in registers), of cores (threads). `python -m benchmarks.ladder` measures these steps one by one.
"""

from __future__ import annotations

import functools
from typing import Any

from tinytorch.compile import compile as compiled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.ir.types import TensorType

_KEPT = 64  # pairs of types whose code is at hand


def vectorized_matmul(a: Tensor, b: Tensor) -> Tensor:
    """`a @ b` by the kernel that `tt.compile` writes for these very shapes: vectors of the machine's width, a tile of
    sums in registers, operands packed where that pays, all threads.

    Shapes and dtypes are those of `Tensor.matmul`: vectors, matrices, batches that broadcast; ShapeError where they do
    not fit. It has gradients, and in a compiled function it is a part of that. The first call with new types compiles,
    which takes some 10 ms.
    """
    require_tensor("vectorized_matmul", a)
    require_tensor("vectorized_matmul", b)
    return compiled_product(a.type, b.type)(a, b)


@functools.lru_cache(_KEPT)
def compiled_product(a: TensorType, b: TensorType) -> Any:
    """The compiled product of operands of these types."""

    def matmul(a: Tensor, b: Tensor) -> Tensor:
        return a.matmul(b)

    return compiled(matmul)

"""Split-K: a product whose k is long and whose result is small, cut along k.

Cut along rows or columns, each item would read all of one operand again, from beyond the caches. Cut along k, it reads
a part of both, once, and its sums stay in L2. Each part stores sums of its own in shared scratch; a second function,
run when all of them are there, adds them up in order and does what follows the product. How many parts there are
follows from the shape, so the result is the same to the bit for any number of threads.
"""

from __future__ import annotations

from tinytorch.runtime.arena import aligned
from tinytorch.runtime.llvm.contract.epilogue import STORE_SUMS, Epilogue, epilogue_function
from tinytorch.runtime.llvm.contract.operands.layout import Product
from tinytorch.runtime.llvm.contract.parts import least, over_vectors
from tinytorch.runtime.llvm.kernel import Phase
from tinytorch.runtime.llvm.text.builder import Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR, memory_type

_CHUNK_BYTES = 256 << 10  # of the sums that a chunk adds up
_MOST_CHUNKS = 16


def part_bytes(product: Product) -> int:
    """Shared scratch for the sums of a part, rows side by side."""
    return aligned(product.m * product.n * product.compute.size)


def emit_total(
    module: Module, name: str, product: Product, parts: int, lanes: int, target: Target, epilogue: Epilogue | None
) -> Phase:
    """Write `void name(ptr frame, i64 chunk)`: `epilogue(sum of the parts)` for a chunk of the rows."""
    fn = module.function(name, [PTR, I64])
    frame, chunk = fn.params
    ends, compute, columns = epilogue or STORE_SUMS, product.compute, product.n
    kind, step, pitch = memory_type(compute, lanes), part_bytes(product), -(-columns // lanes) * lanes
    shared, sums = ends.frame().scratch(fn), fn.alloca(pitch * compute.size)
    finish = epilogue_function(module, product.grid, ends, lanes, pitch, target)

    def row(i: Register) -> None:
        start = fn.at(shared, i * (columns * compute.size))

        def vector(j: Register, mask: Register | None = None) -> None:
            at = fn.at(start, j * compute.size)
            total = fn.load(at, kind, mask=mask)
            for part in range(1, parts):
                total = total + fn.load(at, kind, part * step, mask=mask)
            fn.store(total, sums, j * compute.size)

        over_vectors(fn, columns, lanes, vector)
        fn.call(finish, [frame, sums, fn.const(1), fn.const(columns), i, fn.const(0), fn.const(0)])

    chunks = max(1, min(_MOST_CHUNKS, product.m, parts * step // _CHUNK_BYTES))
    rows = -(-product.m // chunks)
    first = chunk * rows
    fn.loop(least(first + rows, product.m), [], row, start=first)
    fn.ret()
    return Phase(name, -(-product.m // rows))

"""Five ways to write c = a @ b for f32[n, n], each a few loops of the builder; what comes next is in each one's text.

All are functions (frame, chunk), where the frame holds the addresses of a, b and c, and a chunk is a block of rows of
c: the first four are called with one chunk that has all rows, the last one with many, which threads share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinytorch.ir.types import f32
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import F32, I64, PTR

UNIT = 48  # sizes are multiples of it: whole tiles of 4 or 8 rows and of 3 vectors, whole blocks
BLOCK = 48  # rows, columns and depth of a block: 3 × 9 KiB, which L1 holds
DEPTH = 240  # at most, of a packed panel: with 48 columns 45 KiB, which L2 holds
VECTORS = 3  # side by side in a tile
_ROWS = 8  # of a tile at most, and what the rows of chunks are multiples of


@dataclass(frozen=True)
class Sizes:
    """n, the rows of a chunk, and what the target has: lanes of a vector, rows of a tile of sums."""

    n: int
    rows: int
    lanes: int
    tile: int
    fused: bool

    @staticmethod
    def of(n: int, chunks: int, target: Target) -> Sizes:
        """At most so many equal chunks; 24 sums where there are 32 registers, else 12: the operands need some, too."""
        count = max(d for d in range(1, chunks + 1) if n // _ROWS % d == 0)
        tile = _ROWS if target.vector_registers >= 32 else _ROWS // 2
        return Sizes(n, n // count, target.lanes(f32), tile, target.has_fma)


@dataclass(frozen=True)
class Operands:
    """Addresses: of a and c from the chunk's first row on, of all of b."""

    a: Register
    b: Register
    c: Register


Write = Callable[[Function, Sizes, Operands], None]


def naive(f: Function, s: Sizes, x: Operands) -> None:
    """for i, j, k: c[i, j] += a[i, k] b[k, j]. Each b is in another row, so in another cache line; of each line that
    comes from memory one number is used before it is dropped."""

    def sum_of(i: Register, j: Register) -> None:
        row, column = f.at(x.a, i * (4 * s.n)), f.at(x.b, j * 4)

        def term(k: Register, total: Register) -> list[Register]:
            return [total + f.load(row, F32, k * 4) * f.load(column, F32, k * (4 * s.n))]

        (total,) = f.loop(s.n, [f.const(0.0, F32)], term)
        f.store(total, f.at(x.c, i * (4 * s.n)), j * 4)

    f.loop(s.rows, [], lambda i: f.loop(s.n, [], lambda j: sum_of(i, j)))


def blocked(f: Function, s: Sizes, x: Operands) -> None:
    """Blocks of a, b and c that L1 holds, and in them for i, k, j: rows of b and c are read along their lines. Each
    multiply-add still has a load and a store of c, and handles one number."""
    _blocks(f, s, x, 1)


def vectorised(f: Function, s: Sizes, x: Operands) -> None:
    """The same loops, where one instruction handles a whole vector of columns. Loads and stores are the limit now: a
    multiply-add has two loads and a store."""
    _blocks(f, s, x, s.lanes)


def register_tiled(f: Function, s: Sizes, x: Operands) -> None:
    """A tile of c, some rows by three vectors, stays in registers over a whole block of k: for 3 vectors of b and a
    number of each row there are 3 multiply-adds a row, and no load or store of c. Panels of b are copied to lie
    together, so that they are read one line after the other, and stay in L2."""
    width = VECTORS * s.lanes
    panel = f.alloca(4 * width * min(DEPTH, s.n))
    f.loop(s.rows * s.n, [], lambda at: f.store(f.const(0.0, F32.widen(s.lanes)), x.c, at * 4), step=s.lanes)
    for start in range(0, s.n, DEPTH):
        depth = min(DEPTH, s.n - start)
        f.loop(s.n, [], lambda j, start=start, depth=depth: _panel(f, s, x, panel, j, start, depth), step=width)


RUNGS: dict[str, Write] = {
    "naive": naive,
    "blocked": blocked,
    "vectorised": vectorised,
    "register-tiled": register_tiled,
    "threaded": register_tiled,  # with many chunks
}


def write(module: Module, name: str, rung: Write, sizes: Sizes) -> None:
    """Write a rung as the function `name(frame, chunk)`."""
    f = module.function(name, [PTR, I64])
    frame, chunk = f.params
    first = chunk * (4 * sizes.n * sizes.rows)
    a, b, c = (f.load(frame, PTR, 8 * i) for i in range(3))
    rung(f, sizes, Operands(f.at(a, first), b, f.at(c, first)))
    f.ret()


def _blocks(f: Function, s: Sizes, x: Operands, lanes: int) -> None:
    vector = F32.widen(lanes)
    f.loop(s.rows * s.n, [], lambda at: f.store(f.const(0.0, vector), x.c, at * 4), step=lanes)

    def block(i0: Register, k0: Register, j0: Register) -> None:
        def row(i: Register) -> None:
            a, c = f.at(x.a, i * (4 * s.n)), f.at(x.c, i * (4 * s.n))

            def outer(k: Register) -> None:
                factor, b = f.splat(f.load(a, F32, k * 4), lanes), f.at(x.b, k * (4 * s.n))

                def inner(j: Register) -> None:
                    f.store(_multiply_add(f, s, factor, f.load(b, vector, j * 4), f.load(c, vector, j * 4)), c, j * 4)

                f.loop(j0 + BLOCK, [], inner, start=j0, step=lanes)

            f.loop(k0 + BLOCK, [], outer, start=k0)

        f.loop(i0 + BLOCK, [], row, start=i0)

    def depth(i0: Register) -> None:
        f.loop(s.n, [], lambda k0: f.loop(s.n, [], lambda j0: block(i0, k0, j0), step=BLOCK), step=BLOCK)

    f.loop(s.rows, [], depth, step=BLOCK)


def _multiply_add(f: Function, s: Sizes, x: Register, y: Register, z: Register) -> Register:
    return f.fma(x, y, z) if s.fused else x * y + z


def _panel(f: Function, s: Sizes, x: Operands, panel: Register, j: Register, start: int, depth: int) -> None:
    """Copy the panel of b that begins at row `start` and column j, and do all tiles of c that it takes part in."""
    vector, width = F32.widen(s.lanes), VECTORS * s.lanes

    def copy(k: Register) -> None:
        source, target = f.at(x.b, k * (4 * s.n) + 4 * s.n * start + j * 4), f.at(panel, k * (4 * width))
        for v in range(VECTORS):
            f.store(f.load(source, vector, v * vector.bytes), target, v * vector.bytes)

    f.loop(depth, [], copy)
    f.loop(s.rows, [], lambda i: _tile(f, s, x, panel, i, j, start, depth), step=s.tile)


def _tile(
    f: Function, s: Sizes, x: Operands, panel: Register, i: Register, j: Register, start: int, depth: int
) -> None:
    vector = F32.widen(s.lanes)
    rows = [f.at(x.a, i * (4 * s.n) + 4 * (s.n * r + start)) for r in range(s.tile)]
    out = f.at(x.c, i * (4 * s.n) + j * 4)
    places = [4 * s.n * r + v * vector.bytes for r in range(s.tile) for v in range(VECTORS)]

    def step(k: Register, *sums: Register) -> Sequence[Register]:
        line = f.at(panel, k * (VECTORS * vector.bytes))
        b = [f.load(line, vector, v * vector.bytes) for v in range(VECTORS)]
        a = [f.splat(f.load(row, F32, k * 4), s.lanes) for row in rows]
        return [_multiply_add(f, s, a[n // VECTORS], b[n % VECTORS], total) for n, total in enumerate(sums)]

    sums = f.loop(depth, [f.load(out, vector, place) for place in places], step)
    for total, place in zip(sums, places, strict=True):
        f.store(total, out, place)

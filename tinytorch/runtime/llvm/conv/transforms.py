"""The transforms of `ir.ops.winograd`, written for registers: Bᵀ of images, G of weights, Aᵀ of sums; for the gradients
of weights A of gradients and Gᵀ of their sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from tinytorch.ir.ops.winograd import FAR, NEAR, G
from tinytorch.runtime.llvm.text.builder import Register

Line = Sequence[Register]
_NEAR2, _FAR2 = NEAR**2, FAR**2


def along_both(transform: Callable[[Line], Line], columns: Sequence[Callable[[], Line]]) -> list[list[Register]]:
    """A transform along the columns of a square, which are loaded one by one, then along its rows; by rows."""
    done = [transform(column()) for column in columns]
    return [list(transform(row)) for row in zip(*done, strict=True)]


def each(column: Callable[[int], Line], count: int) -> list[Callable[[], Line]]:
    """The columns of a square, to be loaded later."""
    return [partial(column, j) for j in range(count)]


@dataclass(frozen=True)
class Transforms:
    """Of a line of a square, for tiles with that side. `fused`: the target multiplies and adds in one instruction."""

    side: int
    fused: bool

    def image(self, line: Line) -> Line:
        """Bᵀ: coefficients of the product over all points but one of (x - point), without x for that of infinity."""
        if self.side == 2:
            a, b, c, d = line
            return a - c, b + c, c - b, b - d
        a, b, c, d, e, f = line
        fma, product, both = self._fma, _NEAR2 * _FAR2, _NEAR2 + _FAR2
        even, odd = fma(c, -_FAR2, e), fma(b, -_FAR2, d)
        even2, odd2 = fma(c, -_NEAR2, e), fma(b, -_NEAR2, d)
        return (
            fma(a, product, fma(c, -both, e)),
            fma(odd, NEAR, even),
            fma(odd, -NEAR, even),
            fma(odd2, FAR, even2),
            fma(odd2, -FAR, even2),
            fma(b, product, fma(d, -both, f)),
        )

    def sums(self, line: Line) -> Line:
        """Aᵀ: powers of the points."""
        if self.side == 2:
            a, b, c, d = line
            return a + b + c, b - c - d
        a, b, c, d, e, f = line
        near, far, near_odd, far_odd = b + c, d + e, b - c, d - e
        return (
            a + near + far,
            self._fma(near_odd, NEAR, far_odd * FAR),
            self._fma(near, _NEAR2, far * _FAR2),
            self._fma(near_odd, NEAR**3, self._fma(far_odd, FAR**3, f)),
        )

    def weights(self, line: Line) -> Line:
        """G."""
        a, b, c = line
        if self.side == 2:
            sides, middle = (a + c) * 0.5, b * 0.5
            return a, sides + middle, sides - middle, c
        (whole, *_), (near0, near1, near2), _, (far0, far1, far2), *_ = G[4].tolist()
        near, far = self._fma(c, near2, a * near0), self._fma(c, far2, a * far0)
        return (
            a * whole,
            self._fma(b, near1, near),
            self._fma(b, -near1, near),
            self._fma(b, far1, far),
            self._fma(b, -far1, far),
            c,
        )

    def gradients(self, line: Line) -> Line:
        """A: a polynomial with these coefficients at the points."""
        if self.side == 2:
            a, b = line
            return a, a + b, a - b, b * -1.0
        a, b, c, d = line
        near_even, far_even = self._fma(c, _NEAR2, a), self._fma(c, _FAR2, a)
        near_odd, far_odd = self._fma(d, _NEAR2, b), self._fma(d, _FAR2, b)
        return (
            a,
            self._fma(near_odd, NEAR, near_even),
            self._fma(near_odd, -NEAR, near_even),
            self._fma(far_odd, FAR, far_even),
            self._fma(far_odd, -FAR, far_even),
            d,
        )

    def weight_sums(self, line: Line) -> Line:
        """Gᵀ."""
        if self.side == 2:
            a, b, c, d = line
            middle = (b + c) * 0.5
            return a + middle, (b - c) * 0.5, middle + d
        a, b, c, d, e, f = line
        (whole, *_), (near0, near1, near2), _, (far0, far1, far2), *_ = G[4].tolist()
        near, far, near_odd, far_odd = b + c, d + e, b - c, d - e
        return (
            self._fma(a, whole, self._fma(near, near0, far * far0)),
            self._fma(near_odd, near1, far_odd * far1),
            self._fma(near, near2, self._fma(far, far2, f)),
        )

    def _fma(self, x: Register, factor: float, addend: Register) -> Register:
        return x.fn.fma(x, x.fn.const(factor, x.type), addend) if self.fused else x * factor + addend

"""The transforms of `ir.ops.winograd`, written for registers: Bᵀ of images, G of weights, Aᵀ of sums; for the gradients
of weights A of gradients and Gᵀ of their sums.

A multiplies with the powers of the points: it evaluates a polynomial. G does the same and scales the values. Values at
p and -p share what even and odd powers add up to, so that none of the matrices is multiplied with as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from numpy.polynomial.polynomial import polyfromroots

from tinytorch.ir.ops.winograd import POINTS, Points, Tiles
from tinytorch.runtime.llvm.text.builder import Register

Line = Sequence[Register]


def along_both(transform: Callable[[Line], Line], columns: Sequence[Callable[[], Line]]) -> list[list[Register]]:
    """A transform along the columns of a square, which are loaded one by one, then along its rows; by rows."""
    done = [transform(column()) for column in columns]
    return [list(transform(row)) for row in zip(*done, strict=True)]


def each(column: Callable[[int], Line], count: int) -> list[Callable[[], Line]]:
    """The columns of a square, to be loaded later."""
    return [partial(column, j) for j in range(count)]


@dataclass(frozen=True)
class Transforms:
    """Of a line of a square. `fused`: the target multiplies and adds in one instruction."""

    tiles: Tiles
    fused: bool

    @property
    def _points(self) -> Points:
        return POINTS[self.tiles.points]

    def image(self, line: Line) -> Line:
        """Bᵀ: coefficients of the product over all finite points but one of (x - point); of all for infinity."""
        points = self._points
        first = _product([x for x in points.finite if x])
        found = [self._sum(line, [c if first[0] > 0 else -c for c in first])]
        for p in points.both:
            others = _product([x for x in points.finite if abs(x) != p])
            low, high = self._sum(line, others), self._sum(line[1:], others)
            found += [self._add(low, p, high), self._add(low, -p, high)]
        found += [self._sum(line, _product([x for x in points.finite if x != p])) for p in points.alone]
        return [*found, self._sum(line, _product(points.finite))]

    def sums(self, line: Line) -> Line:
        """Aᵀ."""
        return self._by_powers(line, [1.0] * len(self._points.finite), self.tiles.side)

    def weights(self, line: Line) -> Line:
        """G."""
        return self._evaluated(line, self._points.scales)

    def gradients(self, line: Line) -> Line:
        """A."""
        return self._evaluated(line, [1.0] * len(self._points.finite))

    def weight_sums(self, line: Line) -> Line:
        """Gᵀ."""
        return self._by_powers(line, self._points.scales, self.tiles.taps)

    def _evaluated(self, line: Line, scales: Sequence[float]) -> Line:
        """Values, scaled, of the polynomial with these coefficients; at infinity, the last of them."""
        scale = dict(zip(self._points.finite, scales, strict=True))

        def value(x: float) -> Register:
            return self._sum(line, [scale[x] * x**k for k in range(len(line))])

        found = [self._sum(line[:1], scales)]
        for p in self._points.both:
            if scale[p] != scale[-p]:
                found += [value(p), value(-p)]
                continue
            powers = [p**k for k in range(len(line))]
            even, odd = self._sum(line[::2], [scale[p] * x for x in powers[::2]]), self._sum(line[1::2], powers[::2])
            found += [self._add(odd, scale[p] * p, even), self._add(odd, -scale[p] * p, even)]
        return [*found, *map(value, self._points.alone), line[-1]]

    def _by_powers(self, line: Line, scales: Sequence[float], count: int) -> Line:
        """Sums of values, scaled, times so many powers of their points; that at infinity has the highest one alone."""
        points = self._points
        value = dict(zip(points.finite, line[:-1], strict=True))
        scale = dict(zip(points.finite, scales, strict=True))
        parts: list[tuple[Register, Register, float]] = []  # for even powers, for odd ones, and whose they are
        for p in points.both:
            if scale[p] == scale[-p]:
                parts.append((value[p] + value[-p], value[p] - value[-p], p))
            else:
                parts += [(value[x], value[x], x) for x in (p, -p)]
        parts += [(value[x], value[x], x) for x in points.alone]
        found: list[Register] = []
        for k in range(count):
            terms = [(of[k % 2], scale[x] * x**k) for *of, x in parts]
            terms += [(line[0], scales[0])] * (k == 0) + [(line[-1], 1.0)] * (k == count - 1)
            found.append(self._sum([x for x, _ in terms], [factor for _, factor in terms]))
        return found

    def _sum(self, line: Line, factors: Sequence[float]) -> Register:
        """Each times its factor, added up; from one on that is taken as it is, if there is one."""
        terms = [(x, factor) for x, factor in zip(line, factors, strict=False) if factor]
        start, *others = sorted(terms, key=lambda term: term[1] != 1)
        total = start[0] if start[1] == 1 else start[0] * start[1]
        for x, factor in others:
            total = self._add(x, factor, total)
        return total

    def _add(self, x: Register, factor: float, addend: Register) -> Register:
        if abs(factor) == 1:
            return addend + x if factor == 1 else addend - x
        return x.fn.fma(x, x.fn.const(factor, x.type), addend) if self.fused else x * factor + addend


def _product(roots: Sequence[float]) -> list[float]:
    """The coefficients of the product of (x - root), the lowest first."""
    return [float(c) for c in polyfromroots(roots)]

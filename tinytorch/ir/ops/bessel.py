"""Bessel functions of orders 0 and 1, of the first and second kind, modified or not, and the Airy function Ai."""

from __future__ import annotations

from typing import Any

from tinytorch.ir.lanemath import bessel as lb
from tinytorch.ir.lanemath.airy import airy_ai as airy_lane
from tinytorch.ir.lanes.numpy_emitter import by_lanes
from tinytorch.ir.op import NONDIFF, Nondiff, Op, Rule, Spelled, apply
from tinytorch.ir.ops.core import filled, where, zeros_like
from tinytorch.ir.ops.elementwise import define_elementwise, eq, sign


def _bessel(name: str, doc: str, lane: Any, rule: Rule | Nondiff, *names: str, in_place: bool = False) -> Op:
    rules = rule if isinstance(rule, Nondiff) else (rule,)
    spelled = Spelled(names, in_place=in_place)
    return define_elementwise(name, doc, by_lanes(lane, fused=False), lane, rules, "float", spelled=spelled)


def _over_x(value: Any, x: Any) -> Any:
    """value / x, 1/2 at 0, which is the limit of each of these functions."""
    zero = apply(eq, x, zeros_like(x))
    return apply(where, zero, filled(x, 0.5, x.type), value / apply(where, zero, filled(x, 1.0, x.type), x))


# Derivatives: Abramowitz & Stegun 9.1.28, 9.6.27. g is the cotangent of the result, n the application.
i0 = _bessel(
    "i0", "Modified Bessel function of the first kind, of order 0", lb.i0, lambda g, n: g * apply(i1, n.inputs[0]),
    "i0", "special.i0", "special.modified_bessel_i0", in_place=True,
)  # fmt: skip
i0e = _bessel(
    "i0e", "exp(-|x|) * i0(x)", lb.i0e,
    lambda g, n: g * (apply(i1e, n.inputs[0]) - apply(sign, n.inputs[0]) * n.output), "special.i0e",
)  # fmt: skip
i1 = _bessel(
    "i1", "Modified Bessel function of the first kind, of order 1", lb.i1,
    lambda g, n: g * (apply(i0, n.inputs[0]) - _over_x(n.output, n.inputs[0])), "special.i1",
    "special.modified_bessel_i1",
)  # fmt: skip
i1e = _bessel(
    "i1e", "exp(-|x|) * i1(x)", lb.i1e,
    lambda g, n: g * (
        apply(i0e, n.inputs[0]) - apply(sign, n.inputs[0]) * n.output - _over_x(n.output, n.inputs[0])
    ),
    "special.i1e",
)  # fmt: skip
k0 = _bessel(
    "bessel_k0", "Modified Bessel function of the second kind, of order 0", lb.k0,
    lambda g, n: -g * apply(k1, n.inputs[0]), "special.modified_bessel_k0",
)  # fmt: skip
k1 = _bessel(
    "bessel_k1", "Modified Bessel function of the second kind, of order 1", lb.k1,
    lambda g, n: -g * (apply(k0, n.inputs[0]) + n.output / n.inputs[0]), "special.modified_bessel_k1",
)  # fmt: skip
k0e = _bessel(
    "scaled_bessel_k0", "exp(x) * modified_bessel_k0(x)", lb.k0e,
    lambda g, n: g * (n.output - apply(k1e, n.inputs[0])), "special.scaled_modified_bessel_k0",
)  # fmt: skip
k1e = _bessel(
    "scaled_bessel_k1", "exp(x) * modified_bessel_k1(x)", lb.k1e,
    lambda g, n: g * (n.output - apply(k0e, n.inputs[0]) - n.output / n.inputs[0]),
    "special.scaled_modified_bessel_k1",
)  # fmt: skip
j0 = _bessel(
    "bessel_j0", "Bessel function of the first kind, of order 0", lb.j0, lambda g, n: -g * apply(j1, n.inputs[0]),
    "special.bessel_j0",
)  # fmt: skip
j1 = _bessel(
    "bessel_j1", "Bessel function of the first kind, of order 1", lb.j1,
    lambda g, n: g * (apply(j0, n.inputs[0]) - _over_x(n.output, n.inputs[0])), "special.bessel_j1",
)  # fmt: skip
y0 = _bessel(
    "bessel_y0", "Bessel function of the second kind, of order 0", lb.y0, lambda g, n: -g * apply(y1, n.inputs[0]),
    "special.bessel_y0",
)  # fmt: skip
y1 = _bessel(
    "bessel_y1", "Bessel function of the second kind, of order 1", lb.y1,
    lambda g, n: g * (apply(y0, n.inputs[0]) - n.output / n.inputs[0]), "special.bessel_y1",
)  # fmt: skip

airy_ai = _bessel("airy_ai", "Airy function Ai", airy_lane, NONDIFF, "special.airy_ai")

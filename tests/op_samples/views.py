"""Views, paddings and concatenations."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from tests.op_samples.operands import rng_of
from tests.op_samples.sample import Sample
from tinytorch.ir.op import OPS
from tinytorch.ir.types import DTYPES


def _views() -> list[Sample]:
    rng = rng_of("view")
    x = rng.normal(size=(3, 4, 5))
    row, ints = x[:1, :, :1], rng.integers(0, 99, (3, 4), np.int32)
    empty = np.zeros((0, 4), np.float32)
    cut = {"starts": (1, 0, 4), "limits": (3, 4, 5), "steps": (1, 3, 1)}
    around = {"low": (1, 0, 2), "high": (0, 3, 0), "interior": (0, 1, 2), "value": 0.0}
    plain = {"low": (0, 1), "high": (2, 0), "interior": (0, 0), "value": 7.0}
    return [
        Sample(OPS["reshape"], (x,), {"shape": (5, 12)}, smooth=True),
        Sample(OPS["reshape"], (x.transpose(2, 0, 1),), {"shape": (60,)}, smooth=True),
        Sample(OPS["reshape"], (empty,), {"shape": (2, 0, 3)}),
        *(Sample(OPS["permute"], (x,), {"axes": axes}, smooth=True) for axes in itertools.permutations(range(3))),
        Sample(OPS["permute"], (ints,), {"axes": (1, 0)}),
        Sample(OPS["broadcast"], (row,), {"shape": (2, 3, 4, 5)}, smooth=True),
        Sample(OPS["broadcast"], (np.array(2, np.int8),), {"shape": (3, 2)}),
        Sample(OPS["broadcast"], (empty,), {"shape": (2, 0, 4)}),
        Sample(OPS["slice"], (x,), cut, smooth=True),
        Sample(OPS["slice"], (ints,), {"starts": (2, 1), "limits": (2, 4), "steps": (1, 2)}),
        Sample(OPS["pad"], (x,), around, smooth=True),
        Sample(OPS["pad"], (ints,), plain),
        Sample(OPS["pad"], (empty,), plain),
        Sample(OPS["concat"], (x, x[:1] * 2, x[:0]), {"axis": 0}, smooth=True),
        Sample(OPS["concat"], (x, x[:, :, :2]), {"axis": 2}, smooth=True),
        Sample(OPS["concat"], (ints,), {"axis": 1}),
        Sample(OPS["flip"], (x,), {"axes": (0, 2)}, smooth=True),
        Sample(OPS["flip"], (ints,), {"axes": (1,)}),
        Sample(OPS["after"], (x, row), smooth=True),
        Sample(OPS["after"], (ints, empty)),
        *(Sample(OPS["affine_view"], (x,), attrs, smooth=True) for attrs in _AFFINE),
        *(Sample(OPS["affine_view"], (x.astype(d.numpy),), _AFFINE[1]) for d in DTYPES.values()),
        Sample(OPS["affine_view"], (x.transpose(2, 0, 1)[::2],), {**_AFFINE[0], "shape": (3, 2), "starts": (0, 0, 1)}),
        Sample(OPS["affine_view"], (np.array(2.0),), {"shape": (), "starts": (), "strides": ()}, smooth=True),
        Sample(OPS["affine_view"], (empty,), {"shape": (0,), "starts": (0, 1), "strides": ((1, 1),)}),
    ]


_AFFINE: list[dict[str, Any]] = [  # a diagonal, windows, both at once, the same element everywhere
    {"shape": (4, 3), "starts": (0, 0, 1), "strides": ((0, 1, 0), (1, 0, 1))},
    {"shape": (3, 2, 5, 2), "starts": (0, 0, 0), "strides": ((1, 0, 0), (0, 2, 0), (0, 0, 1), (0, 1, 0))},
    {"shape": (2, 3), "starts": (0, 1, 0), "strides": ((1, 1, 2), (0, 0, 1))},
    {"shape": (2, 1, 3), "starts": (2, 3, 4), "strides": ((0, 0, 0), (5, 0, 0), (0, 0, 0))},
]


def samples() -> list[Sample]:
    return _views()

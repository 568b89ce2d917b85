"""Convolutions with what follows them: elementwise work, or max pooling whose windows tile the results."""

from __future__ import annotations

import math

from tinytorch.ir.families.contract import check_contraction
from tinytorch.ir.families.index import check_alone
from tinytorch.ir.graph import Graph, Node
from tinytorch.ir.kernels.family import Family
from tinytorch.ir.ops.convolution import conv2d, conv2d_weight_grad
from tinytorch.ir.ops.packed_convolution import conv2d_packed
from tinytorch.ir.ops.pooling import max_pool2d
from tinytorch.ir.ops.winograd import conv2d_winograd, winograd_weight_grad, winograd_weights

_CHANNELS, _OFTEN = 16, 512  # of an image, and the weights that each meets, which repay a copy of it
_MOST_PLACES = 64  # of a window that is pooled behind a convolution, where each of them has code of its own
_CONTRACTIONS = frozenset({conv2d, conv2d_packed, conv2d_weight_grad, conv2d_winograd, winograd_weight_grad})


def _absorbs(first: Node, node: Node) -> int:
    """The places of a pooling's windows, if these lie side by side, cover the results, and are not too large."""
    if node.op is not max_pool2d or first.op not in (conv2d, conv2d_packed, conv2d_winograd):
        return 0
    attrs, shape = node.attrs, node.inputs[0].type.shape
    whole = all(size % window == 0 for size, window in zip(shape[1:3], attrs["window"], strict=True))
    plain = attrs["low"] == attrs["high"] == (0, 0) and attrs["dilation"] == (1, 1)
    fits = whole and plain and attrs["stride"] == attrs["window"] and shape == first.output.type.shape
    places = math.prod(attrs["window"])
    return places if fits and places <= _MOST_PLACES else 0


def _often(node: Node) -> tuple[int, ...]:
    """Images of many channels each element of which meets many weights."""
    if node.op is not conv2d:
        return ()
    (height, width, _, columns), attrs = node.inputs[1].type.shape, node.attrs
    meets = height * width * columns // attrs["groups"] / math.prod(attrs["stride"])
    return (0,) if node.inputs[0].type.shape[3] >= _CHANNELS and meets >= _OFTEN else ()


def _check(kernel: Node) -> None:
    body: Graph = kernel.attrs["body"]
    if any(n.op is winograd_weights for n in body.nodes):
        check_alone(kernel, CONV.ops)
    else:
        check_contraction(kernel, _CONTRACTIONS, _absorbs)


CONV = Family(
    "conv",
    _check,
    ops=_CONTRACTIONS | {winograd_weights},
    epilogues=_CONTRACTIONS,
    absorbs=_absorbs,
    vectors={conv2d: (1,), conv2d_weight_grad: (1,), conv2d_winograd: (0, 1), winograd_weight_grad: (0, 1)},
    often=_often,
    row_major={conv2d_packed: (1,), conv2d_winograd: (2,)},
)

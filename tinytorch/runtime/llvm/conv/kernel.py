"""The kernels of convolutions, by op."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from tinytorch.ir.graph import Graph, Node
from tinytorch.ir.lanes.emitter import Lane
from tinytorch.ir.op import Attrs
from tinytorch.ir.ops.convolution import conv2d, conv2d_weight_grad
from tinytorch.ir.ops.packed_convolution import conv2d_packed
from tinytorch.ir.ops.pooling import max_pool2d
from tinytorch.ir.ops.winograd import (
    conv2d_winograd,
    tiles_of_gradient,
    tiles_of_weights,
    winograd_weight_grad,
    winograd_weights,
)
from tinytorch.runtime.llvm.contract.bytes.dots import byte_dot
from tinytorch.runtime.llvm.contract.epilogue import epilogue_of
from tinytorch.runtime.llvm.contract.plan.cut import TALLEST
from tinytorch.runtime.llvm.conv.depthwise import emit_depthwise, suits_blocks
from tinytorch.runtime.llvm.conv.forward import emit_conv
from tinytorch.runtime.llvm.conv.layout import Convolution, Packed, Pair
from tinytorch.runtime.llvm.conv.packed_starts import starts_moved
from tinytorch.runtime.llvm.conv.plan import accumulators_of, lanes_of
from tinytorch.runtime.llvm.conv.pooled import largest
from tinytorch.runtime.llvm.conv.weight import emit_conv_weight_grad
from tinytorch.runtime.llvm.conv.winograd import emit_winograd
from tinytorch.runtime.llvm.conv.winograd_gradient import emit_winograd_gradient
from tinytorch.runtime.llvm.conv.winograd_weights import write_winograd_weights
from tinytorch.runtime.llvm.index.moves import emit_moves, only
from tinytorch.runtime.llvm.kernel import Buffer, Kernel, KernelCode
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.target import Target

_WRITERS = {conv2d: emit_conv, conv2d_packed: emit_conv, conv2d_weight_grad: emit_conv_weight_grad}
_GRADIENTS = {conv2d_weight_grad, winograd_weight_grad}
_CONTRACTIONS = {*_WRITERS, *_GRADIENTS, conv2d_winograd}


def emit(module: Module, name: str, kernel: Kernel, target: Target) -> KernelCode:
    """Write the kernel of a convolution with what follows it in the body, or of the transform of its weights."""
    nodes = kernel.body.nodes
    if nodes[0].op is winograd_weights:
        tiles = tiles_of_weights(nodes[0].inputs[0].type.shape, nodes[0].attrs)
        return emit_moves(module, name, kernel, lambda fn, a, r: write_winograd_weights(fn, a, only(r), target, tiles))
    first = next(n for n in nodes if n.op in _CONTRACTIONS)
    a, b = (kernel.operands[kernel.body.inputs.index(v)] for v in first.inputs[:2])
    attrs = {key: first.attrs[key] for key in ("stride", "low", "dilation", "groups")}
    shape = first.output.type.shape  # that of the kernel's result may be that of pooled elements
    outputs, window = shape[1:3], b.shape[:2]
    if first.op in _GRADIENTS:
        outputs, window = b.shape[1:3], shape[:2]
    elif first.op is conv2d_packed:
        window = first.attrs["window"]
    columns = shape[3] // first.attrs["groups"]
    conv = Convolution(a, _pair(outputs), _pair(window), columns=columns, **attrs)
    pooling = None
    if first.op is conv2d_packed:
        conv = replace(conv, packed=_packed(conv, b, first.attrs, target))
        pooling = _pooled_in_registers(kernel.body, first, conv, target)
        conv = conv if pooling is None else replace(conv, block=pooling.attrs["window"])
    order, epilogue = epilogue_of(kernel, first, _pooled, pooling)
    asked = (module, name, conv, b, kernel.results[0], target)
    if first.op is conv2d_winograd:
        code = emit_winograd(*asked, kernel.operands[order[-1]], epilogue)
    elif first.op is winograd_weight_grad:
        code = emit_winograd_gradient(*asked, tiles_of_gradient(first.attrs), epilogue)
    elif first.op is conv2d and suits_blocks(conv, epilogue):
        code = emit_depthwise(*asked, epilogue)
    else:
        code = _WRITERS[first.op](*asked, epilogue)
    return replace(code, order=order)


def _pooled_in_registers(body: Graph, first: Node, conv: Convolution, target: Target) -> Node | None:
    """The max pooling that alone reads the sums, if a tile has room for the windows and nothing reads the places."""
    readers = [n for n in body.nodes if first.output in n.inputs]
    if len(readers) != 1 or readers[0].op is not max_pool2d or first.output in body.outputs or starts_moved(conv):
        return None
    best, place = readers[0].outputs
    read = {v for n in body.nodes for v in n.inputs} | set(body.outputs)
    assert conv.packed is not None and best in read, "sums of bytes are pooled for something"
    rows = math.prod(readers[0].attrs["window"])
    room = min(TALLEST, accumulators_of(conv, target) // (conv.packed.width // lanes_of(conv, target)))
    return readers[0] if place not in read and rows <= room else None


def _packed(conv: Convolution, weights: Buffer, attrs: Attrs, target: Target) -> Packed:
    """How a kernel multiplies weights in groups."""
    taps, steps, width = weights.shape[2:]
    lanes = math.gcd(width, target.lanes(conv.compute))
    dot = byte_dot(target, lanes, conv.images.dtype, attrs["weights"], attrs["size"], attrs["most"])
    return Packed(dot, taps, steps, width, attrs["around"])


def _pair(sizes: Sequence[int]) -> Pair:
    height, width = sizes
    return height, width


def _pooled(node: Node, emitter: LaneEmitter, window: list[Lane]) -> list[list[Lane]]:
    """A pooling that stands behind a convolution."""
    assert node.op is max_pool2d, f"{node.op.name} cannot follow a convolution"
    return [[lane] for lane in largest(emitter, window)]

"""The kernels of contractions, by op."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.ir.graph import Node
from tinytorch.ir.ops.contract import matmul
from tinytorch.ir.ops.convolution import conv2d
from tinytorch.ir.ops.winograd import conv2d_winograd
from tinytorch.runtime.llvm.contract.epilogue import Epilogue
from tinytorch.runtime.llvm.contract.kernel import emit_matmul
from tinytorch.runtime.llvm.contract.layout import Operand
from tinytorch.runtime.llvm.contract.parts import ContractKernel
from tinytorch.runtime.llvm.conv.kernel import emit_conv
from tinytorch.runtime.llvm.conv.layout import Convolution, Pair
from tinytorch.runtime.llvm.conv.weight import emit_conv_weight_grad
from tinytorch.runtime.llvm.conv.winograd import emit_winograd
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.target import Target


def emit_contract(
    module: Module,
    name: str,
    node: Node,
    a: Operand,
    b: Operand,
    out: Operand,
    target: Target,
    epilogue: Epilogue | None,
) -> ContractKernel:
    """Write the kernel of a contraction of a and b, whose frame is [a, b, out, *outputs and operands of the epilogue,
    *further operands, scratch]."""
    if node.op is matmul:
        product = emit_matmul(module, name, a, b, out, target, epilogue)
        return ContractKernel(((product.name, product.chunks),), 0, product.scratch_bytes)
    attrs = {key: node.attrs[key] for key in ("stride", "low", "dilation", "groups")}
    shape = node.output.type.shape  # out's own may be that of pooled elements
    columns = shape[3] // node.attrs["groups"]
    if node.op in (conv2d, conv2d_winograd):
        conv = Convolution(a, _pair(shape[1:3]), _pair(b.shape[:2]), columns=columns, **attrs)
        emit = emit_conv if node.op is conv2d else emit_winograd
        return emit(module, name, conv, b, out, target, epilogue)
    conv = Convolution(a, _pair(b.shape[1:3]), _pair(shape[:2]), columns=columns, **attrs)
    return emit_conv_weight_grad(module, name, conv, b, out, target, epilogue)


def _pair(sizes: Sequence[int]) -> Pair:
    height, width = sizes
    return height, width

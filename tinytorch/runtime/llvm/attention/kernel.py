"""The kernels of attention, by op."""

from __future__ import annotations

from tinytorch.ir.ops.attention import attention
from tinytorch.runtime.llvm.attention.backward import Backward
from tinytorch.runtime.llvm.attention.forward import Forward
from tinytorch.runtime.llvm.attention.heads import Heads
from tinytorch.runtime.llvm.kernel import Kernel, KernelCode, Phase
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR


def emit(module: Module, name: str, kernel: Kernel, target: Target) -> KernelCode:
    """Write the kernel of the body's only node, whose results may be written in any order of their axes but the last;
    those that nobody reads are left out. The result is the same to the bit whatever threads run the chunks."""
    body, (node,) = kernel.body, kernel.body.nodes
    numbers = {value: i for i, value in enumerate(body.inputs)}
    order = [numbers[v] for v in node.inputs]  # one value may be several operands
    places = {v: i for i, v in enumerate(body.outputs)}
    results = [kernel.results[places[v]] if v in places else None for v in node.outputs]
    frame = (*order, *(len(kernel.operands) + places[v] for v in node.outputs if v in places))
    if all(0 in x.shape for x in results if x is not None):
        return KernelCode((), frame)
    heads = Heads.of(node, [kernel.operands[i] for i in order], target)
    fn = module.function(name, [PTR, I64])
    if node.op is attention:
        writer = Forward(module, fn, heads, results[0], results[1])
    else:
        writer = Backward(module, fn, heads, [kernel.operands[i] for i in order[-3:]], results)
    writer.write()
    fn.ret()
    return KernelCode((Phase(name, writer.chunks),), frame, private_bytes=writer.scratch_bytes)

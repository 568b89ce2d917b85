"""What becomes of the sums of a convolution whose outputs are pooled: windows of them, still in cache, become one
element each, and only that is stored."""

from __future__ import annotations

from tinytorch.ir.lanes.emitter import Lane
from tinytorch.ir.types import i32
from tinytorch.runtime.llvm.contract.epilogue import Epilogue, EpilogueWriter
from tinytorch.runtime.llvm.conv.layout import Convolution
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR


def largest(emitter: LaneEmitter, window: list[Lane]) -> tuple[Lane, Lane]:
    """The largest of these, and its place in i32: the first of equal ones, the last of NaNs."""
    fn = emitter.fn
    best, place = window[0], emitter.const(0, i32)
    for i, found in enumerate(window[1:], 1):
        old, new = emitter.value(best), emitter.value(found)
        if best.dtype.is_float:
            better = fn.compare("ogt", new, old) | fn.compare("uno", new, new)
        else:
            better = fn.compare("sgt" if best.dtype.kind == "int" else "ugt", new, old)
        best = emitter.lane(fn.select(better, new, old), best.dtype)
        index = fn.select(better, emitter.value(emitter.const(i, i32)), emitter.value(place))
        place = emitter.lane(index, i32)
    return best, place


def pooling_function(
    module: Module,
    conv: Convolution,
    epilogue: Epilogue,
    out: Buffer,
    lanes: int,
    pitch: int,
    target: Target,
) -> Function:
    """The shared function `(frame, sums, rows, columns, image, row, column)` for whole rows of outputs, `rows` of them
    from `row` on, whose sums stand in rows of `pitch` elements, place after place; `column` counts in all groups.

    Only at the right edge of a group may `columns` not be a multiple of the lanes.
    """
    assert epilogue.pooled is not None
    (height, width), outputs = epilogue.pooled, conv.outputs
    buffers = (out, *epilogue.outputs, *epilogue.operands)
    edge = (conv.groups if conv.depthwise else conv.columns) % lanes

    def is_whole(x: Buffer) -> bool:
        """Whether an operand has an element for every output, not for every window."""
        return x.shape[1:3] == outputs

    def places(fn: Function, x: Buffer, base: Register, y: Register, column: Register) -> list[Register]:
        """An operand at all places of window (y, column), or at the pooled element."""
        if not is_whole(x):
            return [fn.at(base, y * x.strides_bytes[1] + column * x.strides_bytes[2])]
        row, step = x.strides_bytes[1:3]
        corner = fn.at(base, y * (height * row) + column * (width * step))
        return [fn.at(corner, i * row + j * step) for i in range(height) for j in range(width)]

    def build(name: str) -> Function:
        fn = module.function(name, [PTR, PTR, I64, I64, I64, I64, I64], internal=True, noinline=True)
        _, sums, rows, columns, image, row, column = fn.params
        bases: list[Register] = []
        for place, x in enumerate(buffers):
            y = row if is_whole(x) else row // height
            steps = x.strides_bytes
            offset = image * steps[0] + y * steps[1] + column * steps[3]
            bases.append(fn.at(epilogue.frame().result(fn, place), offset))
        write = EpilogueWriter(LaneEmitter(fn, target, lanes), epilogue, conv.compute, buffers, edge)
        size = conv.compute.size

        def window(y: Register, x: Register) -> None:
            start = fn.at(sums, (y * (height * outputs[1]) + x * width) * (pitch * size))
            each = [fn.at(start, (i * outputs[1] + j) * (pitch * size)) for i in range(height) for j in range(width)]
            write(each, [places(fn, b, base, y, x) for b, base in zip(buffers, bases, strict=True)], columns)

        fn.loop(rows // height, [], lambda y: fn.loop(outputs[1] // width, [], lambda x: window(y, x)))
        fn.ret()
        return fn

    layouts = (buffers, epilogue.pooled, outputs, conv.compute, edge)
    return module.shared(("pool", epilogue.key, layouts, lanes, pitch, target), build)

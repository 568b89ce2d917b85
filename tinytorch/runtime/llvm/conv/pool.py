"""What becomes of the sums of a convolution whose outputs are pooled: windows of them, still in cache, become one
element each, and only that is stored."""

from __future__ import annotations

from tinytorch.ir.emitter import Lane
from tinytorch.ir.types import i32
from tinytorch.runtime.llvm.contract.epilogue import Epilogue
from tinytorch.runtime.llvm.contract.layout import Operand
from tinytorch.runtime.llvm.conv.layout import Convolution
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Function, Module, Value
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR, memory_type


class PoolContext:
    """A window of sums inside an epilogue's body: one vector of channels for each of its `places`, row by row."""

    def __init__(
        self,
        emitter: LaneEmitter,
        sums: list[Lane],
        mask: Value | None,
        inputs: list[tuple[Operand, list[Value]]],
        results: list[tuple[Operand, list[Value]]],
    ) -> None:
        self.emitter = emitter
        self.sums = sums
        self._mask = mask
        self._inputs = inputs
        self._results = results

    def window(self, index: int) -> list[Lane]:
        """The epilogue's operand `index` in its own dtype: at each place of the window, or at the pooled element."""
        operand, pointers = self._inputs[index]
        step = operand.strides[-1]
        return [self.emitter.load_strided(p, operand.dtype, step, mask=self._mask) for p in pointers]

    def store(self, index: int, lane: Lane) -> None:
        """Result `index`, at the pooled element. The dtypes must agree."""
        operand, (pointer,) = self._results[index]
        assert lane.dtype is operand.dtype, f"epilogue stores {lane.dtype} to a buffer of {operand.dtype}"
        self.emitter.store_strided(lane, pointer, operand.strides[-1], mask=self._mask)


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


def pool_function(
    module: Module,
    conv: Convolution,
    epilogue: Epilogue,
    out: Operand,
    lanes: int,
    pitch: int,
    target: Target,
) -> Function:
    """The shared function `(frame, sums, rows, columns, image, row, column)` for whole rows of outputs, `rows` of them
    from `row` on, whose sums stand in rows of `pitch` elements, place after place; `column` counts in all groups.

    Only at the right edge of a group may `columns` not be a multiple of the lanes.
    """

    def build(name: str) -> Function:
        fn = module.function(name, [PTR, PTR, I64, I64, I64, I64, I64], internal=True, noinline=True)
        _Writer(fn, conv, epilogue, (out, *epilogue.outputs), LaneEmitter(fn, target, lanes), pitch).write()
        fn.ret()
        return fn

    layouts = (out, epilogue.outputs, epilogue.operands, epilogue.pool, conv.outputs, conv.compute, conv.columns)
    return module.shared(("pool", epilogue.key, layouts, lanes, pitch, target), build)


class _Writer:
    def __init__(
        self,
        fn: Function,
        conv: Convolution,
        epilogue: Epilogue,
        results: tuple[Operand, ...],
        emitter: LaneEmitter,
        pitch: int,
    ) -> None:
        assert epilogue.pool is not None
        self.fn = fn
        self.conv = conv
        self.pool = epilogue.pool
        self.body = epilogue.body
        self.operands = (*results, *epilogue.operands)
        self.results = len(results)
        self.emitter = emitter
        self.pitch = pitch * conv.compute.size

    def write(self) -> None:
        fn, (height, width) = self.fn, self.pool
        frame, sums, rows, columns, image, row, column = fn.params
        bases: list[Value] = []
        for place, x in enumerate(self.operands):
            pointer = fn.load(frame, PTR, (2 + place) * 8)
            y = row if self._is_whole(x) else row // height
            bases.append(fn.at(pointer, _offset(x, image, y, column)))

        def pooled(y: Value, x: Value) -> None:
            start = fn.at(sums, (y * (height * self.conv.outputs[1]) + x * width) * self.pitch)
            starts = [self._places(operand, base, y, x) for operand, base in zip(self.operands, bases, strict=True)]
            self._columns(start, starts, columns)

        def line(y: Value) -> None:
            fn.loop(self.conv.outputs[1] // width, [], lambda x: pooled(y, x))

        fn.loop(rows // height, [], line)

    def _is_whole(self, x: Operand) -> bool:
        """Whether an operand has an element for every output, not for every window."""
        return x.shape[1:3] == self.conv.outputs

    def _places(self, x: Operand, base: Value, y: Value, column: Value) -> list[Value]:
        """An operand at all places of window (y, column), or at the pooled element."""
        height, width = self.pool
        _, row, step, _ = (stride * x.dtype.size for stride in x.strides)
        if not self._is_whole(x):
            return [self.fn.at(base, y * row + column * step)]
        corner = self.fn.at(base, y * (height * row) + column * (width * step))
        return [self.fn.at(corner, i * row + j * step) for i in range(height) for j in range(width)]

    def _columns(self, sums: Value, starts: list[list[Value]], columns: Value) -> None:
        fn, lanes = self.fn, self.emitter.lanes
        group = self.conv.groups if self.conv.depthwise else self.conv.columns

        def vector(j: Value, mask: Value | None = None) -> None:
            here = [
                (x, [fn.at(start, j * (x.strides[3] * x.dtype.size)) for start in places])
                for x, places in zip(self.operands, starts, strict=True)
            ]
            window = self._window(fn.at(sums, j * self.conv.compute.size))
            self.body(PoolContext(self.emitter, window, mask, here[self.results :], here[: self.results]))

        whole = columns // lanes * lanes
        fn.loop(whole, [], vector, step=lanes)
        if group % lanes:
            mask = fn.lane_mask(lanes, group % lanes)
            fn.if_(fn.compare("ne", columns, whole), lambda: vector(whole, mask))

    def _window(self, sums: Value) -> list[Lane]:
        compute, (height, width) = self.conv.compute, self.pool
        kind = memory_type(compute, self.emitter.lanes)
        places = [(i * self.conv.outputs[1] + j) * self.pitch for i in range(height) for j in range(width)]
        return [self.emitter.lane(self.fn.load(sums, kind, at), compute) for at in places]


def _offset(x: Operand, image: Value, row: Value, column: Value) -> Value:
    steps = [stride * x.dtype.size for stride in x.strides]
    return image * steps[0] + row * steps[1] + column * steps[3]

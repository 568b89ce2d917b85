"""The entry function of a graph: it runs the kernels, wave after wave.

`void entry(ptr frame)`: `frame` holds pointers [*inputs, *outputs, pool, *constants, arena, status]: outputs without
those that are state, and the frame of `pycall.CallSpec` in all. The i64 status is 0 at the start, and not 0 where a
guard failed; no state has been changed then. The arena begins with the word of free scratch areas, then come the
frames of a wave's kernels, the schedule's buffers, memory that the kernels of a wave share among their chunks, and
scratch areas of single threads.

The function calls others, each of which prepares and runs a few kernels: LLVM's time for a function grows faster than
the function, and what one keeps in registers is of no use hundreds of kernels later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinytorch.runtime.arena import ALIGNMENT, aligned
from tinytorch.runtime.llvm.kernel import KernelCode
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.types import I64, PTR
from tinytorch.runtime.llvm.threads.code import LAUNCH_SYMBOL
from tinytorch.runtime.schedule import Argument, Call, Place, Schedule

MAX_SLOTS = 64  # scratch areas of threads: one bit each in a word
_PIECE = 128  # pointers that one function puts in their places


Wave = Sequence[tuple[Call, KernelCode]]


class Areas:
    """Where in the arena what begins."""

    def __init__(self, schedule: Schedule, waves: Sequence[Wave], slots: int) -> None:
        self.slots = slots
        self.frames = ALIGNMENT
        most = max((sum(k.frame_bytes for _, k in wave) + _dispatch_bytes(len(wave)) for wave in waves), default=0)
        self.buffers = self.frames + aligned(most)
        self.shared = self.buffers + aligned(schedule.arena_bytes)
        most = max((sum(aligned(k.shared_bytes) for _, k in wave) for wave in waves), default=0)
        self.private = self.shared + most
        self.private_bytes = aligned(max((k.private_bytes for wave in waves for _, k in wave), default=0))
        self.private_frame = max((k.frame_bytes for wave in waves for _, k in wave if k.private_bytes), default=0)
        self.bytes = self.private + self.private_bytes * slots


def write_entry(module: Module, schedule: Schedule, waves: Sequence[Wave], areas: Areas, name: str) -> None:
    """Write the entry function and those that it calls."""
    _EntryWriter(module, schedule, areas, name).write(waves)


@dataclass(frozen=True)
class _Launch:
    """One phase of a kernel, and where in the arena the frame lies that it runs on."""

    function: str
    chunks: int
    frame: int
    kernel: KernelCode


class _Piece:
    """A function that runs a part of the graph, and what it has loaded from the graph's frame."""

    def __init__(self, fn: Function, arena: int, status: int) -> None:
        self.fn = fn
        (self.frame,) = fn.params
        self.arena = self.word(arena)
        self.status = self.word(status)
        self.bases: dict[Place, Register] = {}
        self.size = 0
        self.guarded = False

    def word(self, index: int) -> Register:
        return self.fn.load(self.frame, PTR, index * 8)

    def stop_if_broken(self) -> None:
        """Return where a guard has failed."""
        self.fn.ret_if(self.fn.compare("ne", self.fn.load(self.status, I64), self.fn.const(0, I64)))


class _EntryWriter:
    def __init__(self, module: Module, schedule: Schedule, areas: Areas, name: str) -> None:
        self.module = module
        self.areas = areas
        self.name = name
        state = {output for _, output in schedule.graph.state}
        outputs = [i for i in range(len(schedule.graph.outputs)) if i not in state]
        inputs = len(schedule.graph.inputs)
        self.outputs = {output: inputs + i for i, output in enumerate(outputs)}
        self.pool_at = inputs + len(outputs)
        self.arena_at = self.pool_at + 1 + len(schedule.constants)
        self.tables = 0
        self.entry = self.piece = self._new_piece(name)

    def _new_piece(self, name: str, internal: bool = False) -> _Piece:
        fn = self.module.function(name, [PTR], internal=internal, noinline=internal)
        return _Piece(fn, self.arena_at, self.arena_at + 1)

    def write(self, waves: Sequence[Wave]) -> None:
        fn = self.piece.fn
        if self.areas.private_bytes:
            fn.store(fn.const((1 << self.areas.slots) - 1, I64), self.piece.arena)
        for number, wave in enumerate(waves):
            for phase in self._launches(wave):
                self._run(phase)
            if number + 1 < len(waves) and any(call.guarded for call, _ in wave):
                self.piece.stop_if_broken()
                self.piece.guarded = True
        self._close()
        self.entry.fn.ret()

    # Pieces.
    def _room(self, size: int) -> _Piece:
        """Where code that puts `size` pointers in their places is written."""
        if self.piece.size + size > _PIECE and self.piece.size:
            self._close()
            name = f"{self.name}_{len(self.module.functions)}"
            self.entry.fn.call(name, [self.entry.frame])
            self.piece = self._new_piece(name, internal=True)
        self.piece.size += size
        return self.piece

    def _close(self) -> None:
        """End the function that is being written; the entry stops where a guard in it has failed."""
        if self.piece is not self.entry:
            self.piece.fn.ret()
            if self.piece.guarded:
                self.entry.stop_if_broken()

    # Waves.
    def _launches(self, wave: Wave) -> list[list[_Launch]]:
        """What runs at once, phase after phase; the frames are written first."""
        frames: list[int] = []
        frame, shared = self.areas.frames, self.areas.shared
        for call, kernel in wave:
            self._write_frame(call, kernel, frame, shared)
            frames.append(frame)
            frame += kernel.frame_bytes
            shared += aligned(kernel.shared_bytes)
        self.dispatch_at = frame
        most = max((len(kernel.phases) for _, kernel in wave), default=0)
        return [
            [
                _Launch(*kernel.phases[phase], at, kernel)
                for (_, kernel), at in zip(wave, frames, strict=True)
                if phase < len(kernel.phases) and kernel.phases[phase][1]
            ]
            for phase in range(most)
        ]

    def _write_frame(self, call: Call, kernel: KernelCode, frame: int, shared: int) -> None:
        scratch = [shared] if kernel.shared_bytes else []
        scratch += [self.areas.private] if kernel.private_bytes or not scratch else []
        arguments = [*call.operands, *call.results]
        words: list[Argument | int | None] = [*(arguments[which] for which in kernel.order), *scratch, None]
        for first in range(0, len(words), _PIECE):
            some = words[first : first + _PIECE]
            piece = self._room(len(some))
            for i, word in enumerate(some, first):
                piece.fn.store(self._pointer(piece, word), piece.arena, frame + i * 8)

    def _pointer(self, piece: _Piece, word: Argument | int | None) -> Register:
        """What stands in a frame: the address of an argument, a place in the arena, or that of the status word."""
        if word is None:
            return piece.status
        if isinstance(word, int):
            return piece.fn.at(piece.arena, word)
        base = piece.bases.get(word.place)
        if base is None:
            base = piece.bases[word.place] = self._load_base(piece, word.place)
        return piece.fn.at(base, word.offset * word.value.type.dtype.size)

    def _load_base(self, piece: _Piece, place: Place) -> Register:
        if place.kind == "input":
            return piece.word(place.index)
        if place.kind == "output":
            return piece.word(self.outputs[place.index])
        if place.kind == "constant":
            return piece.word(self.pool_at + 1 + place.index)
        return piece.fn.at(piece.arena, self.areas.buffers + place.index)

    def _run(self, launches: Sequence[_Launch]) -> None:
        """Kernels of one piece run here; the others share one launch of the pool."""
        for launch in launches:
            if launch.chunks == 1:
                piece = self._room(2)
                piece.fn.call(launch.function, [piece.fn.at(piece.arena, launch.frame), piece.fn.const(0, I64)])
        split = [x for x in launches if x.chunks > 1]
        if split:
            function, frame = self._dispatch(split)
            piece = self._room(4)
            fn = piece.fn
            count = fn.const(sum(x.chunks for x in split), I64)
            at = fn.at(piece.arena, frame)
            fn.call(LAUNCH_SYMBOL, [piece.word(self.pool_at), fn.address(function), at, count])

    # Launches of the pool.
    def _dispatch(self, launches: Sequence[_Launch]) -> tuple[str, int]:
        """A function that runs chunk i of several kernels, and where the frame of that lies."""
        if len(launches) == 1 and not launches[0].kernel.private_bytes:
            return launches[0].function, launches[0].frame
        self.tables += 1
        table = f"{self.name}_table{self.tables}"
        rows: list[str] = []
        first = 0
        for x in launches:
            private = x.kernel.private_index if x.kernel.private_bytes else 0
            rows.append(f"{_ROW} {{ i64 {first}, ptr @{x.function}, i64 {x.frame}, i64 {private} }}")
            first += x.chunks
        self.module.constant(table, f"[{len(rows)} x {_ROW}] [{', '.join(rows)}]")
        piece = self._room(3)
        fn = piece.fn
        for i, pointer in enumerate((piece.arena, fn.address(table))):
            fn.store(pointer, piece.arena, self.dispatch_at + i * 8)
        fn.store(fn.const(len(rows)), piece.arena, self.dispatch_at + 16)
        shared = self.module.shared("dispatch", lambda name: _write_dispatcher(self.module, name, self.areas))
        return shared.name, self.dispatch_at


# A row of a dispatcher's table: the first chunk of a kernel's own, its function, where in the arena its frame lies,
# and which pointer of that is to a thread's scratch, or 0.
_ROW = "{ i64, ptr, i64, i64 }"
_ROW_BYTES = 32


def _dispatch_bytes(kernels: int) -> int:
    """Of a dispatcher's frame: pointers to the arena and to a table, and the length of that."""
    return 24 if kernels else 0


def _write_dispatcher(module: Module, name: str, areas: Areas) -> Function:
    """`void dispatch(ptr frame, i64 chunk)`: finds the kernel that the chunk belongs to, and runs its chunk."""
    fn = module.function(name, [PTR, I64])
    frame, chunk = fn.params
    arena, table = fn.load(frame, PTR), fn.load(frame, PTR, 8)

    def apart(low: Register, high: Register) -> Register:
        return fn.compare("sgt", high - low, fn.const(1))

    def halve(low: Register, high: Register) -> list[Register]:
        middle = (low + high) // 2
        first = fn.load(fn.at(table, middle * _ROW_BYTES), I64)
        inside = fn.compare("sle", first, chunk)
        return [fn.select(inside, middle, low), fn.select(inside, high, middle)]

    number, _ = fn.while_([fn.const(0), fn.load(frame, I64, 16)], apart, halve)
    row = fn.at(table, number * _ROW_BYTES)
    function, own = fn.load(row, PTR, 8), fn.at(arena, fn.load(row, I64, 16))
    first = chunk - fn.load(row, I64)
    if not areas.private_bytes:
        fn.call_pointer(function, [own, first])
    else:
        private = fn.load(row, I64, 24)
        fn.if_(
            fn.compare("eq", private, fn.const(0)),
            lambda: _call(fn, function, own, first),
            lambda: _call_with_scratch(fn, function, own, first, arena, private, areas),
        )
    fn.ret()
    return fn


def _call(fn: Function, function: Register, frame: Register, chunk: Register) -> None:
    fn.call_pointer(function, [frame, chunk])


def _call_with_scratch(
    fn: Function, function: Register, frame: Register, chunk: Register, arena: Register, private: Register, areas: Areas
) -> None:
    """Run one chunk on a copy of the frame, with the pointer to a free area of scratch."""
    slot = _claim(fn, arena)
    copied = fn.alloca(areas.private_frame, 8)
    fn.copy(copied, frame, (private + 2) * 8)
    fn.store(fn.at(arena, slot * areas.private_bytes + areas.private), fn.at(copied, private * 8))
    fn.call_pointer(function, [copied, chunk])
    fn.atomic_rmw("or", arena, fn.const(1, I64) << slot)


def _claim(fn: Function, slots: Register) -> Register:
    """Take the lowest free slot; wait while there is none."""
    zero = fn.const(0, I64)
    one = fn.const(1, I64)

    def attempt(ok: Register, slot: Register) -> list[Register]:
        free = fn.atomic_load(slots, I64)
        lowest = fn.count_trailing_zeros(free) & 63
        wanted = (one << lowest) & free
        old = fn.atomic_rmw("and", slots, wanted ^ -1)
        return [old & wanted, lowest]

    return fn.while_([zero, zero], lambda ok, slot: fn.compare("eq", ok, zero), attempt)[1]

"""The machine code that lends memory to calls: an arena to each, and pages to large results.

All of it runs while Python's global lock is held, so nothing here is atomic. Memory comes in *blocks*, which begin at a
page; 64 bytes in front of it say how large the block is. Blocks that nobody uses stand in two lists, one of arenas and
one of results, the last used first. `runtime/memory.py` says how many bytes of them are kept, and has the words that
all functions here get the address of.

On Linux a block is a mapping of its own, so what is freed goes back to the system; malloc may keep it in its heap.
Elsewhere numpy's allocator serves.

Large results are numpy arrays whose memory handler (NEP 49) is four of these functions: what the caller drops comes
back at once.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.types import I1, I32, I64, PTR, VOID, LLType
from tinytorch.runtime.memory import MEMORY, WORD

TRIM_SYMBOL = "tt_trim"
HANDLER_SYMBOLS = ("tt_malloc", "tt_calloc", "tt_realloc", "tt_free")  # in the order of numpy's PyDataMemAllocator
SYSTEM_SYMBOLS = ("tt_map", "tt_unmap")  # only if the system `maps`
PAGE = 4096  # results all begin at a page: a store never has the low address bits of a load that comes soon after it
_HEADER = 64
_RAW, _BYTES, _NEXT, _USED = (i * WORD for i in range(4))  # of the header: what was allocated, and of what use it is
_HUGE, _MADVISE_HUGE = 4 << 20, 14  # bytes from which numpy, too, asks for large pages; Linux's MADV_HUGEPAGE
_TRACE_DOMAIN = 389047  # numpy's, in tracemalloc
_FOREVER = (1 << 63) - 1
_SLACK = 3  # a result may get a block that is larger by 2**-3 of its size


@dataclass(frozen=True)
class Memory:
    """`take_arena(memory, bytes)` gives an address or null, `give_arena(memory, address)` takes it back."""

    take_arena: Function
    give_arena: Function


def maps() -> bool:
    """Whether blocks are mappings."""
    return sys.platform == "linux"


def write_memory(module: Module) -> Memory:
    """Write all functions; those of numpy's handler and `tt_trim` are seen from outside of the module."""

    def function(name: str, params: Sequence[LLType], ret: LLType = VOID) -> _MemoryWriter:
        outside = name in (TRIM_SYMBOL, *HANDLER_SYMBOLS, *SYSTEM_SYMBOLS)
        return _MemoryWriter(module.function(name, params, ret, internal=not outside, noinline=True))

    if maps():
        _write_map(function("tt_map", [PTR, I64], PTR))
        _write_unmap(function("tt_unmap", [PTR, PTR, I64]))
    release = _write_release(function("release", [PTR, PTR]))
    new = _write_new(function("new_block", [PTR, I64], PTR))
    take = _write_take(function("take", [PTR, PTR, I64, I64], PTR))
    trim = _write_trim(function(TRIM_SYMBOL, [PTR, I64]), release)
    give = _write_give(function("give", [PTR, PTR, I64, PTR, I64]), release, trim)
    malloc = _write_malloc(function("tt_malloc", [PTR, I64], PTR), take, new)
    free = _write_free(function("tt_free", [PTR, PTR, I64]), give)
    _write_calloc(function("tt_calloc", [PTR, I64, I64], PTR), malloc)
    _write_realloc(function("tt_realloc", [PTR, PTR, I64], PTR), malloc, free)
    return Memory(
        _write_take_arena(function("take_arena", [PTR, I64], PTR), take, release, new),
        _write_give_arena(function("give_arena", [PTR, PTR]), give),
    )


class _MemoryWriter:
    """One function being written; its first parameter is the address of the words."""

    def __init__(self, f: Function) -> None:
        self.f = f
        self.memory = f.params[0]

    def word(self, name: str, type: LLType = I64) -> Register:
        return self.f.load(self.memory, type, MEMORY[name])

    def add(self, name: str, amount: Register) -> None:
        self.f.store(self.word(name) + amount, self.memory, MEMORY[name])

    def place(self, name: str) -> Register:
        return self.f.at(self.memory, MEMORY[name])

    def bytes(self, block: Register) -> Register:
        return self.f.load(block, I64, _BYTES)

    def unlink(self, link: Register) -> Register:
        """Take the block that the pointer at `link` leads to out of its list."""
        block = self.f.load(link, PTR)
        self.f.store(self.f.load(block, PTR, _NEXT), link)
        self.add("free_bytes", 0 - self.bytes(block))
        return block

    def null(self) -> Register:
        return Register("null", PTR, self.f)

    def exists(self, pointer: Register) -> Register:
        return self.f.compare("ne", pointer, self.null())

    def unless_null(
        self, pointer: Register, then: Callable[[], Register], otherwise: Callable[[], Register]
    ) -> Register:
        return self.f.if_(self.exists(pointer), lambda: [then()], lambda: [otherwise()])[0]

    def run(self, function: Function, *args: Register) -> None:
        self.f.call(function, [self.memory, *args])

    def system(self, name: str, args: Sequence[Register], ret: LLType = VOID) -> Register:
        """Call a function of the allocator behind this one."""
        return self.f.call_pointer(self.word(name, PTR), [self.word("ctx", PTR), *args], ret)

    def search(self, first: Register, stops: Callable[[Register], Register]) -> Register:
        """The place of the first pointer of a list to a block at which `stops(block)`, or of the null at its end."""
        f = self.f

        def going(link: Register) -> Register:
            block = f.load(link, PTR)
            return f.if_(self.exists(block), lambda: [stops(block) ^ 1], lambda: [f.const(0, I1)])[0]

        def step(link: Register) -> list[Register]:
            return [f.at(f.load(link, PTR), _NEXT)]

        return f.while_([first], going, step)[0]


def _write_map(w: _MemoryWriter) -> Function:
    """tt_map(context, bytes) -> zeros at a page, or null."""
    f = w.f
    bytes = f.params[1]
    access, kind = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    arguments = [w.null(), bytes, f.const(access, I32), f.const(kind, I32), f.const(-1, I32), f.const(0)]
    made = f.convert("ptrtoint", f.call("mmap", arguments, PTR), I64)
    address = f.convert("inttoptr", f.select(f.compare("eq", made, f.const(-1)), f.const(0), made), PTR)

    def advise() -> None:
        f.call(
            "madvise", [address, bytes, f.const(_MADVISE_HUGE, I32)], I32
        )  # where the kernel cannot, nothing is lost

    f.if_(w.exists(address) & f.compare("sge", bytes, f.const(_HUGE)), advise)
    f.ret(address)
    return f


def _write_unmap(w: _MemoryWriter) -> Function:
    """tt_unmap(context, address, bytes)"""
    f = w.f
    f.call("munmap", [f.params[1], f.params[2]], I32)
    f.ret()
    return f


def _allocated(bytes: Register) -> Register:
    return bytes + (PAGE + _HEADER)


def _write_release(w: _MemoryWriter) -> Function:
    """release(memory, block): back to the system; the block stands in no list."""
    f = w.f
    _, block = f.params
    bytes, raw = w.bytes(block), f.load(block, PTR, _RAW)
    w.add("all_bytes", 0 - bytes)
    f.call_pointer(w.word("untrack", PTR), [f.const(_TRACE_DOMAIN, I32), f.convert("ptrtoint", block, I64)], I32)
    w.system("free", [raw, _allocated(bytes)])
    f.ret()
    return f


def _write_new(w: _MemoryWriter) -> Function:
    """new_block(memory, bytes) -> a block in no list, or null."""
    f = w.f
    rounded = (f.params[1] + (PAGE - 1)) & -PAGE
    raw = w.system("malloc", [_allocated(rounded)], PTR)

    def fill() -> Register:
        first = (f.convert("ptrtoint", raw, I64) + (_HEADER + PAGE - 1)) & -PAGE
        block = f.convert("inttoptr", first - _HEADER, PTR)
        f.store(raw, block, _RAW)
        f.store(rounded, block, _BYTES)
        w.add("all_bytes", rounded)
        return block

    f.ret(w.unless_null(raw, fill, w.null))
    return f


def _write_take(w: _MemoryWriter) -> Function:
    """take(memory, list, bytes, most) -> the block last used, out of the list, that has from `bytes` to `most`."""
    f = w.f
    _, first, least, most = f.params

    def fits(block: Register) -> Register:
        bytes = w.bytes(block)
        return f.compare("sle", least, bytes) & f.compare("sle", bytes, most)

    link = w.search(first, fits)
    f.ret(w.unless_null(f.load(link, PTR), lambda: w.unlink(link), w.null))
    return f


def _write_trim(w: _MemoryWriter, release: Function) -> Function:
    """tt_trim(memory, before): free blocks larger than anybody asks for, then, while there is more than the budget
    allows, the one last used longest ago, if that was `before`."""
    f = w.f
    _, before = f.params
    for name in ("arena", "result"):
        largest = w.word(f"largest_{name}")
        first = w.place(f"{name}s")

        def too_large(block: Register, largest: Register = largest) -> Register:
            return f.compare("sgt", w.bytes(block), largest)

        def more(link: Register) -> Register:
            return w.exists(f.load(link, PTR))

        def next_(
            link: Register, first: Register = first, too_large: Callable[[Register], Register] = too_large
        ) -> list[Register]:
            w.run(release, w.unlink(link))
            return [w.search(first, too_large)]

        f.while_([w.search(first, too_large)], more, next_)

    def oldest(name: str) -> tuple[Register, Register]:
        """The last link of a list, and when its block was used."""
        first = w.place(name)
        last = w.search(first, lambda block: f.compare("eq", f.load(block, PTR, _NEXT), w.null()))
        block = f.load(last, PTR)
        return last, w.unless_null(block, lambda: f.load(block, I64, _USED), lambda: f.const(_FOREVER))

    def find() -> list[Register]:
        arena, arena_used = oldest("arenas")
        result, result_used = oldest("results")
        earlier = f.compare("slt", arena_used, result_used)
        return [f.select(earlier, arena, result), f.select(earlier, arena_used, result_used)]

    def over(_link: Register, used: Register) -> Register:
        full = f.compare("sgt", w.word("free_bytes") + w.word("held_bytes"), w.word("budget"))
        return full & f.compare("slt", used, before)

    def drop(link: Register, _used: Register) -> list[Register]:
        w.run(release, w.unlink(link))
        return find()

    f.while_(find(), over, drop)
    f.ret()
    return f


def _write_give(w: _MemoryWriter, release: Function, trim: Function) -> Function:
    """give(memory, list, largest, block, before): into the list, if it is not larger than `largest`; blocks that were
    used `before` make room for it."""
    f = w.f
    _, first, largest, block, before = f.params
    bytes = w.bytes(block)

    def keep() -> None:
        f.store(w.word("clock"), block, _USED)
        f.store(f.load(first, PTR), block, _NEXT)
        f.store(block, first)
        w.add("free_bytes", bytes)
        full = f.compare("sgt", w.word("free_bytes") + w.word("held_bytes"), w.word("budget"))
        f.if_(full, lambda: w.run(trim, before))

    f.if_(f.compare("sle", bytes, largest), keep, lambda: w.run(release, block))
    f.ret()
    return f


def _block(w: _MemoryWriter, address: Register) -> Register:
    return w.f.at(address, -_HEADER)


def _write_take_arena(w: _MemoryWriter, take: Function, release: Function, new: Function) -> Function:
    """take_arena(memory, bytes) -> its address, or null. Where no free arena is large enough, one of them goes, so
    that there are never more than calls that were in flight at once."""
    f = w.f
    memory, bytes = f.params
    first = w.place("arenas")
    found = f.call(take, [memory, first, bytes, f.const(_FOREVER)])

    def track(block: Register) -> Register:
        address = f.convert("ptrtoint", block, I64)
        f.call_pointer(w.word("track", PTR), [f.const(_TRACE_DOMAIN, I32), address, w.bytes(block)], I32)
        return f.at(block, _HEADER)

    def make() -> Register:
        f.if_(w.exists(f.load(first, PTR)), lambda: w.run(release, w.unlink(first)))
        block = f.call(new, [memory, bytes])
        return w.unless_null(block, lambda: track(block), w.null)

    f.ret(w.unless_null(found, lambda: f.at(found, _HEADER), make))
    return f


def _write_give_arena(w: _MemoryWriter, give: Function) -> Function:
    """give_arena(memory, address); it stays for the next call, whatever its size."""
    f = w.f
    block, now = _block(w, f.params[1]), w.word("clock")
    f.call(give, [f.params[0], w.place("arenas"), w.word("largest_arena"), block, now])
    f.ret()
    return f


def _write_malloc(w: _MemoryWriter, take: Function, new: Function) -> Function:
    """tt_malloc(memory, bytes) -> an address, or null."""
    f = w.f
    memory, bytes = f.params
    most = bytes + (bytes >> _SLACK) + PAGE
    found = f.call(take, [memory, w.place("results"), bytes, most])
    block = w.unless_null(found, lambda: found, lambda: f.call(new, [memory, bytes]))
    f.ret(w.unless_null(block, lambda: f.at(block, _HEADER), w.null))
    return f


def _write_free(w: _MemoryWriter, give: Function) -> Function:
    """tt_free(memory, address, bytes); the address may be null."""
    f = w.f

    def back() -> None:
        block, always = _block(w, f.params[1]), f.const(_FOREVER)
        f.call(give, [f.params[0], w.place("results"), w.word("largest_result"), block, always])

    f.if_(w.exists(f.params[1]), back)
    f.ret()
    return f


def _write_calloc(w: _MemoryWriter, malloc: Function) -> Function:
    """tt_calloc(memory, count, bytes each) -> an address where all is zero, or null."""
    f = w.f
    memory, count, each = f.params
    address = f.call(malloc, [memory, count * each])
    f.if_(w.exists(address), lambda: f.fill(address, 0, count * each))
    f.ret(address)
    return f


def _write_realloc(w: _MemoryWriter, malloc: Function, free: Function) -> Function:
    """tt_realloc(memory, address, bytes) -> where the first bytes are now, or null, and then all is as it was."""
    f = w.f
    memory, address, bytes = f.params
    made = f.call(malloc, [memory, bytes])

    def move() -> None:
        before = w.bytes(_block(w, address))
        f.copy(made, address, f.select(f.compare("slt", before, bytes), before, bytes))
        f.call(free, [memory, address, before])

    f.if_(w.exists(made) & w.exists(address), move)
    f.ret(made)
    return f

"""What is kept between calls, and the one budget that bounds it.

Kept are arenas that no call uses, the memory of large results that callers have dropped, and what was compiled: code,
constants, frozen weights, graphs. What is in use is not bounded: arenas of running calls, results that somebody holds,
what was used last; the arena of the last call stays for the next one, since fresh pages cost 0.1 s for each GiB. When
there is too much, the least recently used goes first, whatever it is.

Machine code of a backend lends the blocks and keeps account of them in the words here.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Callable
from typing import Protocol

from tinytorch.ir.system import locks

# Bytes. The largest result in `benchmarks/` takes an eighth of it, a small signature 0.3 MB.
BUDGET = 512 << 20
WORD = 8  # bytes
_FOREVER = (1 << 63) - 1


def _offsets(*names: str) -> dict[str, int]:
    return {name: index * WORD for index, name in enumerate(names)}


MEMORY = _offsets(
    "arenas",  # the free block that was used last; each has a pointer to the next
    "results",
    "largest_arena",  # bytes; larger ones no compiled graph asks for
    "largest_result",
    "free_bytes",  # of the blocks in both lists
    "all_bytes",  # of all blocks, those in use included
    "held_bytes",  # of what was compiled, but for what was used last
    "budget",
    "clock",  # counts calls
    "ctx",  # the system's allocator: the first argument of its functions
    "malloc",
    "free",
    "handler",  # the object that makes numpy use ours
    "track",  # functions of tracemalloc
    "untrack",
)
_words = (ctypes.c_int64 * len(MEMORY))()
ctypes.pythonapi.Py_IncRef(ctypes.py_object(_words))  # arrays may be freed after this module
address = ctypes.addressof(_words)


def word(name: str) -> int:
    """One of the words that machine code shares."""
    return _words[MEMORY[name] // WORD]


def set_word(name: str, value: int) -> None:
    """Change one."""
    _words[MEMORY[name] // WORD] = value


def tick() -> int:
    """The next time of the clock."""
    set_word("clock", word("clock") + 1)
    return word("clock")


def _no_blocks(_before: int) -> None:
    pass


class _Asked:
    """The largest arena and result that any live compiled graph asks for, so that larger blocks need not be kept."""

    def __init__(self) -> None:
        self._each: dict[int, tuple[int, int]] = {}
        self.trim: Callable[[int], None] = _no_blocks  # frees blocks that were used before a time

    def enter(self, owner: object, arena: int, result: int) -> None:
        key = id(owner)
        self._each[key] = arena, result
        weakref.finalize(owner, self._leave, key).atexit = False  # nor does it run while Python ends
        self._update()

    def _leave(self, key: int) -> None:
        arena, result = self._each.pop(key)
        if arena == word("largest_arena") or result == word("largest_result"):
            self._update()
            self.trim(_FOREVER)

    def _update(self) -> None:
        each = list(self._each.values())
        set_word("largest_arena", max((arena for arena, _ in each), default=0))
        set_word("largest_result", max((result for _, result in each), default=0))


_clocks: weakref.WeakKeyDictionary[Callable[..., object], Callable[[], int]] = weakref.WeakKeyDictionary()


def watch(call: Callable[..., object], used: Callable[[], int]) -> None:
    """`used()` says when the function `call` ran last; a backend's own code advances the clock and takes note."""
    _clocks[call] = used


def last_use(call: Callable[..., object]) -> int:
    """When it ran last, by the clock; 0 if nobody takes note."""
    used = _clocks.get(call)
    return 0 if used is None else used()


class Cached(Protocol):
    """What was compiled, and can be dropped."""

    @property
    def bytes(self) -> int:
        """What it takes."""
        ...

    @property
    def used(self) -> int:
        """When it was used last, by the clock."""
        ...

    def drop(self) -> None:
        """Let go of it: who needs it next makes it anew."""
        ...


class _Holdings:
    """All that was compiled and still lives."""

    def __init__(self) -> None:
        self._each: dict[int, tuple[weakref.ref[Cached], int]] = {}
        self._newest = 0  # what was used last; it is not counted
        self.forget_parent()
        locks.renew_in_child(self)

    def forget_parent(self) -> None:
        self._lock = threading.RLock()  # held by the thread that makes room

    def enter(self, item: Cached) -> None:
        """Count an item from now on, for as long as it lives, and drop others where there is too much."""
        key = id(item)
        if key not in self._each:
            weakref.finalize(item, self._leave, key).atexit = False
        self._each[key] = weakref.ref(item), item.bytes
        self.make_room()

    def _leave(self, key: int) -> None:
        _, size = self._each.pop(key)
        if key != self._newest:
            set_word("held_bytes", word("held_bytes") - size)

    def make_room(self) -> None:
        """Drop what was used longest ago until the budget holds."""
        with self._lock:
            order = self._by_use()
            older, newest = order[:-1], order[-1:]
            self._newest = newest[0][1] if newest else 0
            set_word("held_bytes", sum(size for _, _, size in older))
            if word("free_bytes") > word("budget"):  # an arena: pages are cheaper than code
                asked.trim(_FOREVER)
            for used, key, _ in older:
                asked.trim(used)
                if word("held_bytes") + max(word("free_bytes"), _room()) <= word("budget"):
                    break
                self._drop(key)
            asked.trim(_FOREVER)

    def _by_use(self) -> list[tuple[int, int, int]]:
        """(when it was used last, key, bytes) of each item, the one used longest ago first."""
        # A list of the keys alone, since tuples wake Python's collector, and what that collects leaves the dict.
        alive = [(held[0](), key, held[1]) for key in list(self._each) if (held := self._each.get(key)) is not None]
        return sorted((item.used, key, size) for item, key, size in alive if item is not None)

    def _drop(self, key: int) -> None:
        item = self._each[key][0]() if key in self._each else None
        if item is not None:
            item.drop()


def _room() -> int:
    """Bytes that the next call will want to find; half of the budget at most, so that code may have the rest."""
    return min(word("largest_arena") + word("largest_result"), word("budget") // 2)


asked = _Asked()
holdings = _Holdings()
set_word("budget", BUDGET)

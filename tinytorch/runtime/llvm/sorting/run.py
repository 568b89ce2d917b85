"""The function that puts a run of keys in order, stably: few of them by their ranks, more by their digits.

The rank of a key is how many stand in front of it, which is counted in vectors, and without a branch. Digits are sorted
from the lowest byte to the highest (LSD radix sort); a digit that all keys share is skipped.
"""

from __future__ import annotations

from tinytorch.runtime.llvm.sorting.keys import Run
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR

FEW = 64  # keys, up to which ranks are counted: that takes their square


def sorter(fn: Function, run: Run, target: Target) -> Function:
    """`ptr sort(ptr half, ptr other half, ptr counters, i64 count)`: the half in which the keys are in order."""

    def build(name: str) -> Function:
        sort = fn.module.function(name, [PTR, PTR, PTR, I64], PTR, internal=True, noinline=True)
        writer = _RunWriter(sort, run, run.lanes(target))
        if run.capacity <= FEW:
            sort.ret(writer.by_ranks()[0])
        else:
            is_few = sort.compare("sle", sort.params[3], sort.const(FEW))
            sort.ret(sort.if_(is_few, writer.by_ranks, writer.by_digits)[0])
        return sort

    return fn.module.shared(("sort", run), build)


class _RunWriter:
    def __init__(self, fn: Function, run: Run, lanes: int) -> None:
        self.fn = fn
        self.run = run
        self.lanes = lanes
        self.first, self.second, self.counters, self.count = fn.params

    def _key_at(self, half: Register, i: Register) -> Register:
        return self.fn.load(half, self.run.key, i * self.run.key.bytes)

    def _move(self, source: Register, i: Register, to: Register, place: Register) -> None:
        """Key i and its number to another place."""
        fn, run = self.fn, self.run
        number = fn.load(source, run.number, i * run.number.bytes + run.numbers_at)
        fn.store(self._key_at(source, i), to, place * run.key.bytes)
        fn.store(number, to, place * run.number.bytes + run.numbers_at)

    def _index(self, number: Register) -> Register:
        return self.fn.convert("zext", number, I64)

    # By ranks.
    def by_ranks(self) -> list[Register]:
        fn, run = self.fn, self.run
        vectors = (self.count + (self.lanes - 1)) // self.lanes
        fn.loop(vectors, [], lambda v: self._rank(v * self.lanes))

        def put(i: Register) -> None:
            rank = fn.load(self.counters, run.key, i * run.key.bytes)
            self._move(self.first, i, self.second, self._index(rank))

        fn.loop(self.count, [], put)
        return [self.second]

    def _rank(self, first: Register) -> None:
        """The ranks of the keys from `first` on, as many as fit a vector."""
        fn, run, lanes = self.fn, self.run, self.lanes
        type = run.key.widen(lanes)
        keys = fn.load(self.first, type, first * run.key.bytes)

        def count(predicate: str, start: Register | int, stop: Register, ranks: Register) -> Register:
            """Keys from `start` to `stop` that stand in front."""

            def add(i: Register, ranks: Register) -> list[Register]:
                in_front = fn.compare(predicate, fn.splat(self._key_at(self.first, i), lanes), keys)
                return [ranks - fn.convert("sext", in_front, type)]

            return fn.loop(stop, [ranks], add, start=start)[0]

        ranks = count("ule", 0, first, fn.zero(type))
        ranks = count("ult", first, self.count, ranks)
        for lane in range(lanes - 1):  # those of the vector itself, of which the ones before count if they are equal
            later = fn.constants([i > lane for i in range(lanes)], fn.compare("eq", keys, keys).type)
            equal = fn.compare("eq", fn.splat(fn.extract(keys, lane), lanes), keys) & later
            ranks = ranks - fn.convert("sext", equal, type)
        fn.store(ranks, self.counters, first * run.key.bytes)

    # By digits.
    def by_digits(self) -> list[Register]:
        fn, run = self.fn, self.run
        fn.fill(self.counters, 0, run.counter_bytes)
        tables = [fn.at(self.counters, 256 * run.number.bytes * digit) for digit in range(run.digits)]

        def count(i: Register) -> None:
            key = self._key_at(self.first, i)
            for digit, table in enumerate(tables):
                self._next(table, self._digit(key, digit))

        fn.loop(self.count, [], count)
        source, to = self.first, self.second
        for digit, table in enumerate(tables):
            source, to = self._by_digit(source, to, table, digit)
        return [source]

    def _by_digit(self, source: Register, to: Register, table: Register, digit: int) -> list[Register]:
        """The half that is in the order of a digit, and the other one."""
        fn = self.fn
        shared = fn.load(table, self.run.number, self._digit(self._key_at(source, fn.const(0)), digit))
        varies = fn.compare("ne", self._index(shared), self.count)
        return fn.if_(varies, lambda: self._pass(source, to, table, digit), lambda: [source, to])

    def _digit(self, key: Register, digit: int) -> Register:
        """Where the counter of a digit of the key lies in its table."""
        byte = (key >> (8 * digit) if digit else key) & 0xFF
        return self._index(byte) * self.run.number.bytes

    def _next(self, table: Register, at: Register) -> Register:
        """What a counter counts, which goes up."""
        fn = self.fn
        found = fn.load(table, self.run.number, at)
        fn.store(found + 1, table, at)
        return found

    def _pass(self, source: Register, to: Register, table: Register, digit: int) -> list[Register]:
        """All keys to the other half, in the order of a digit."""
        fn, run = self.fn, self.run

        def begin(i: Register, total: Register) -> list[Register]:
            here = fn.load(table, run.number, i * run.number.bytes)
            fn.store(total, table, i * run.number.bytes)
            return [total + here]

        fn.loop(256, [fn.const(0, run.number)], begin)

        def put(i: Register) -> None:
            place = self._next(table, self._digit(self._key_at(source, i), digit))
            self._move(source, i, to, self._index(place))

        fn.loop(self.count, [], put)
        return [to, source]

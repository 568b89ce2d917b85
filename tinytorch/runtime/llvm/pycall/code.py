"""The machine code that Python calls: checks operands, makes outputs, runs a compiled graph.

One function serves every compiled graph: `self` is a tuple whose first item is an array of 64-bit words, the record of
the call, and the words name everything else by address. The code itself holds no address, so it is compiled once per
machine.

The frame handed to a graph is an array of pointers: operands (arguments, then states), outputs, constants, the arena,
and the status word, in which the graph leaves a number other than 0 to report an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tinytorch.runtime.llvm.pycall.layout import API, CALL, OPERAND, OUTPUT, SWAPPED, VERSION_STEP, StructLayout
from tinytorch.runtime.llvm.pycall.memory import Memory, write_memory
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I1, I8, I32, I64, PTR, VOID, LLType
from tinytorch.runtime.memory import MEMORY, WORD

CALL_SYMBOL = "tt_call"
_ALIGNMENT = 64  # of what is on the stack, in bytes


class _CallWriter:
    """One function being written; `call` is its first parameter unless it is told otherwise."""

    def __init__(self, layout: StructLayout, f: Function) -> None:
        self.layout = layout
        self.f = f
        self.call = f.params[0]

    def word(self, name: str) -> Register:
        return self.f.load(self.call, I64, CALL[name])

    def pointer(self, name: str) -> Register:
        return self.f.load(self.call, PTR, CALL[name])

    def api(self, name: str, args: Sequence[Register], ret: LLType = PTR) -> Register:
        """Call a C function through the record's table."""
        function = self.f.load(self.pointer("api"), PTR, API[name])
        return self.f.call_pointer(function, args, ret)

    def memory(self) -> Register:
        """The words of `runtime/memory.py`."""
        return self.f.load(self.pointer("api"), PTR, API["memory"])

    def decref(self, reference: Register) -> None:
        """Give a reference back; null is none."""
        self.api("Py_DecRef", [reference], VOID)

    def incref(self, reference: Register) -> None:
        self.api("Py_IncRef", [reference], VOID)

    def null(self) -> Register:
        return Register("null", PTR, self.f)

    def is_null(self, pointer: Register) -> Register:
        return self.f.compare("eq", pointer, self.null())

    def exists(self, pointer: Register) -> Register:
        return self.f.compare("ne", pointer, self.null())

    def nonzero(self, word: Register) -> Register:
        return self.f.compare("ne", word, self.f.const(0, word.type))

    def reserve(self, words: Register) -> Register:
        """An array of words on the stack, as long as the record says."""
        return self.f.op(f"alloca i64, i64 {words.ref}, align {_ALIGNMENT}", PTR)

    def item(self, array: Register, index: Register, type: LLType = PTR) -> Register:
        return self.f.load(array, type, index * WORD)

    def each(self, count: Register, body: Callable[[Register], None]) -> None:
        self.f.loop(count, [], body)

    def all(self, count: Register, holds: Callable[[Register], Register]) -> Register:
        """Whether `holds(i)` for every i < count; stops at the first that does not."""
        f = self.f

        def going(index: Register, so_far: Register) -> Register:
            return f.compare("slt", index, count) & so_far

        def step(index: Register, _so_far: Register) -> list[Register]:
            return [index + 1, holds(index)]

        return f.while_([f.const(0), f.const(1, I1)], going, step)[1]

    def both(self, first: Register, second: Callable[[], Register]) -> Register:
        """`first and second()`, where `second` may only be evaluated if `first` holds."""
        return self.f.if_(first, lambda: [second()], lambda: [self.f.const(0, I1)])[0]


def call_text(layout: StructLayout, target: Target) -> str:
    """LLVM text of `tt_call`, a METH_FASTCALL function, for these struct layouts."""
    module = Module(target.attributes)

    def function(name: str, params: Sequence[LLType], ret: LLType) -> _CallWriter:
        return _CallWriter(layout, module.function(name, params, ret, internal=name != CALL_SYMBOL, noinline=True))

    resolve = _write_resolve(function("resolve", [PTR, PTR], PTR))
    disjoint = _write_disjoint(function("disjoint", [PTR, PTR], I1))
    make_large = _write_make_large(function("make_large", [PTR, PTR], PTR))
    make = _write_make_outputs(function("make_outputs", [PTR, PTR, PTR], I1), make_large)
    execute = _write_execute(function("execute", [PTR, PTR, PTR], I1), write_memory(module))
    bump = _write_bump_versions(function("bump_versions", [PTR, PTR], I1))
    wrap = _write_wrap(function("wrap", [PTR, PTR], PTR))
    collect = _write_collect(function("collect", [PTR, PTR], PTR), wrap)
    run = _write_run(function("run", [PTR, PTR, PTR, PTR], PTR), make, execute, bump, collect)
    _write_call(function(CALL_SYMBOL, [PTR, PTR, I64], PTR), resolve, disjoint, run)
    return module.text()


def _write_resolve(w: _CallWriter) -> Function:
    """resolve(record, object) -> the array in the object if it is what the record asks for, else null."""
    f, layout = w.f, w.layout
    record, object_ = f.params

    def wanted(name: str, type: LLType = I64) -> Register:
        return f.load(record, type, OPERAND[name])

    def type_of(object_: Register) -> Register:
        return f.load(object_, PTR, layout.object_type)

    def unwrap() -> list[Register]:
        fits = f.compare("eq", type_of(object_), wanted("wrapper", PTR))
        return f.if_(fits, lambda: [f.load(f.at(object_, wanted("slot")), PTR)], lambda: [w.null()])

    array = f.if_(w.is_null(wanted("wrapper", PTR)), lambda: [object_], unwrap)[0]

    def is_array() -> Register:
        return f.compare("eq", type_of(array), wanted("array_type", PTR))

    def has_dtype() -> Register:
        descr = f.load(array, PTR, layout.array_descr)
        number = f.convert("zext", f.load(descr, I32, layout.descr_type_number), I64)
        order = f.load(descr, I8, layout.descr_byteorder)
        native = f.compare("ne", order, f.const(ord(SWAPPED), I8))
        same = f.compare("eq", descr, wanted("descr", PTR))
        return same | f.compare("eq", number, wanted("type_number")) & native

    def has_form() -> Register:
        flags = f.convert("zext", f.load(array, I32, layout.array_flags), I64)
        rank = f.convert("zext", f.load(array, I32, layout.array_rank), I64)
        clear = f.compare("eq", flags & wanted("flags"), wanted("flags"))
        return clear & f.compare("eq", rank, wanted("rank")) & has_dtype()

    def has_shape() -> Register:
        dims, expected = f.load(array, PTR, layout.array_dims), wanted("dims", PTR)
        return w.all(wanted("rank"), lambda i: f.compare("eq", w.item(dims, i, I64), w.item(expected, i, I64)))

    fits = w.both(w.exists(array), lambda: w.both(is_array(), lambda: w.both(has_form(), has_shape)))
    f.ret(f.select(fits, array, w.null()))
    return f


def _write_disjoint(w: _CallWriter) -> Function:
    """disjoint(call, frame) -> whether no written operand shares memory with another operand.

    Only operands that have moved since the last call are compared, with all others: parameters rarely move.
    """
    f = w.f
    _, frame = f.params
    count, last, records = w.word("operand_count"), w.pointer("last"), w.pointer("operands")

    def of(index: Register, name: str) -> Register:
        return f.load(f.at(records, index * (len(OPERAND) * WORD)), I64, OPERAND[name])

    def apart(i: Register) -> Register:
        start = w.item(frame, i, I64)
        end, written = start + of(i, "bytes"), of(i, "written")

        def from_(j: Register) -> Register:
            other = w.item(frame, j, I64)
            before = f.compare("ule", end, other)
            after = f.compare("ule", other + of(j, "bytes"), start)
            harmless = f.compare("eq", written | of(j, "written"), f.const(0))
            return before | after | harmless | f.compare("eq", i, j)

        return w.all(count, from_)

    def still_apart(i: Register) -> Register:
        moved = f.compare("ne", w.item(frame, i, I64), w.item(last, i, I64))
        return f.if_(moved, lambda: [apart(i)], lambda: [f.const(1, I1)])[0]

    fine = w.all(count, still_apart)
    f.if_(fine, lambda: f.copy(last, frame, count * WORD))
    f.ret(fine)
    return f


def _new_array(w: _CallWriter, record: Register) -> Register:
    """An array for an output, its content undefined; null if there is no memory."""
    descr = w.f.load(record, PTR, OUTPUT["descr"])
    w.incref(descr)  # PyArray_Empty takes the reference over
    rank = w.f.load(record, I32, OUTPUT["rank"])
    return w.api("PyArray_Empty", [rank, w.f.load(record, PTR, OUTPUT["dims"]), descr, w.f.const(0, I32)])


def _write_make_large(w: _CallWriter) -> Function:
    """make_large(call, record) -> an array whose memory comes from `runtime/memory.py` and goes back there."""
    f = w.f
    before = w.api("PyDataMem_SetHandler", [f.load(w.memory(), PTR, MEMORY["handler"])])

    def make() -> list[Register]:
        array = _new_array(w, f.params[1])
        w.decref(w.api("PyDataMem_SetHandler", [before]))
        w.decref(before)
        return [array]

    f.ret(f.if_(w.exists(before), make, lambda: [w.null()])[0])
    return f


def _write_make_outputs(w: _CallWriter, make_large: Function) -> Function:
    """make_outputs(call, frame, outputs) -> whether there was memory for all. `outputs` owns a reference each."""
    f = w.f
    call, frame, outputs = f.params
    records = w.pointer("outputs")
    first = f.at(frame, w.word("operand_count") * WORD)

    def make(i: Register) -> Register:
        record = f.at(records, i * (len(OUTPUT) * WORD))
        large = w.nonzero(f.load(record, I64, OUTPUT["large"]))
        array = f.if_(large, lambda: [f.call(make_large, [call, record])], lambda: [_new_array(w, record)])[0]
        f.store(array, outputs, i * WORD)

        def publish() -> None:
            f.store(f.load(array, PTR, w.layout.array_data), first, i * WORD)

        made = w.exists(array)
        f.if_(made, publish)
        return made

    f.ret(w.all(w.word("output_count"), make))
    return f


def _write_execute(w: _CallWriter, memory: Memory) -> Function:
    """execute(call, frame, status) -> whether there was memory for an arena; runs the graph, maybe without the GIL."""
    f = w.f
    call, frame, status = f.params
    constants = f.at(frame, (w.word("operand_count") + w.word("output_count")) * WORD)
    f.copy(constants, w.pointer("constants"), w.word("constant_count") * WORD)
    tail = f.at(constants, w.word("constant_count") * WORD)
    f.store(status, tail, WORD)
    words = w.memory()
    now = f.load(words, I64, MEMORY["clock"]) + 1
    f.store(now, words, MEMORY["clock"])
    f.store(now, call, CALL["used"])
    arena = f.call(memory.take_arena, [words, w.word("arena_bytes")])

    def run() -> list[Register]:
        f.store(arena, tail)
        entry = w.pointer("entry")

        def with_gil() -> None:
            f.call_pointer(entry, [frame])

        def without_gil() -> None:
            state = w.api("PyEval_SaveThread", [])
            f.call_pointer(entry, [frame])
            w.api("PyEval_RestoreThread", [state], VOID)

        f.if_(w.nonzero(w.word("releases_gil")), without_gil, with_gil)
        f.call(memory.give_arena, [words, arena])
        return [f.const(1, I1)]

    def give_up() -> list[Register]:
        w.api("PyErr_NoMemory", [])
        return [f.const(0, I1)]

    f.ret(f.if_(w.exists(arena), run, give_up)[0])
    return f


def _write_bump_versions(w: _CallWriter) -> Function:
    """bump_versions(call, objects) -> whether there was memory: give every written tensor a version never seen."""
    f = w.f
    _, objects = f.params
    records = w.pointer("operands")
    counter = f.load(w.pointer("api"), PTR, API["versions"])
    version = w.api("PyLong_FromLongLong", [f.atomic_rmw("add", counter, f.const(VERSION_STEP))])

    def bump(i: Register) -> None:
        record = f.at(records, i * (len(OPERAND) * WORD))
        slot = f.load(record, I64, OPERAND["storage_slot"])

        def replace() -> None:
            storage = f.load(f.at(w.item(objects, i), slot), PTR)
            place = f.at(storage, f.load(record, I64, OPERAND["version_slot"]))

            def store() -> None:
                before = f.load(place, PTR)
                w.incref(version)
                f.store(version, place)
                w.decref(before)

            f.if_(f.compare("ne", storage, w.pointer("none")), store)

        f.if_(w.nonzero(slot), replace)

    made = w.exists(version)
    f.if_(made, lambda: w.each(w.word("operand_count"), bump))
    w.decref(version)
    f.ret(made)
    return f


def _write_wrap(w: _CallWriter) -> Function:
    """wrap(call, array) -> a tensor around the array, whose reference is taken over; null if that failed."""
    f = w.f
    _, array = f.params
    template = w.pointer("template")

    def by_call() -> list[Register]:
        tensor = w.api("PyObject_CallOneArg", [w.pointer("wrap"), array])
        w.decref(array)
        return [tensor]

    def by_copy() -> list[Register]:
        tensor = w.api("PyType_GenericAlloc", [w.pointer("tensor_type"), f.const(0)])

        def fill() -> None:
            offsets = w.pointer("copied")

            def copy(i: Register) -> None:
                offset = w.item(offsets, i, I64)
                value = f.load(f.at(template, offset), PTR)
                w.incref(value)
                f.store(value, f.at(tensor, offset))

            w.each(w.word("copied_count"), copy)
            f.store(array, f.at(tensor, w.word("data_slot")))

        f.if_(w.exists(tensor), fill, lambda: w.decref(array))
        return [tensor]

    f.ret(f.if_(w.is_null(template), by_call, by_copy)[0])
    return f


def _write_collect(w: _CallWriter, wrap: Function) -> Function:
    """collect(call, outputs) -> None, the only output, or a tuple of them, wrapped. Null if that failed."""
    f = w.f
    call, outputs = f.params
    count, records = w.word("output_count"), w.pointer("outputs")

    def finish(i: Register) -> Register:
        wrapped = f.load(f.at(records, i * (len(OUTPUT) * WORD)), I64, OUTPUT["wrapped"])
        array = w.item(outputs, i)
        result = f.if_(w.nonzero(wrapped), lambda: [f.call(wrap, [call, array])], lambda: [array])[0]
        f.store(result, outputs, i * WORD)
        return w.exists(result)

    def drop_all() -> list[Register]:
        w.each(count, lambda i: w.decref(w.item(outputs, i)))
        return [w.null()]

    def fill(result: Register) -> list[Register]:
        def place(i: Register) -> None:
            w.api("PyTuple_SetItem", [result, i, w.item(outputs, i)], I32)

        w.each(count, place)
        return [result]

    def several() -> list[Register]:
        result = w.api("PyTuple_New", [count])
        return f.if_(w.exists(result), lambda: fill(result), drop_all)

    def nothing() -> list[Register]:
        w.incref(w.pointer("none"))
        return [w.pointer("none")]

    def some() -> list[Register]:
        return f.if_(f.compare("eq", count, f.const(1)), lambda: [f.load(outputs, PTR)], several)

    def finished() -> list[Register]:
        return f.if_(w.nonzero(count), some, nothing)

    f.ret(f.if_(w.all(count, finish), finished, drop_all)[0])
    return f


def _write_run(w: _CallWriter, make: Function, execute: Function, bump: Function, collect: Function) -> Function:
    """run(call, frame, arrays, objects) -> the result. Holds the arrays, which others may let go of meanwhile."""
    f = w.f
    call, frame, arrays, objects = f.params
    operands, count = w.word("operand_count"), w.word("output_count")
    outputs = w.reserve(count)
    status = f.alloca(WORD)
    f.fill(outputs, 0, count * WORD)
    f.store(f.const(0), status)
    w.each(operands, lambda i: w.incref(w.item(arrays, i)))

    def bump_if_written() -> Register:
        written = w.nonzero(w.word("writes")) & f.compare("eq", f.load(status, I64), f.const(0, I64))
        return f.if_(written, lambda: [f.call(bump, [call, objects])], lambda: [f.const(1, I1)])[0]

    def ran() -> Register:
        return w.both(f.call(execute, [call, frame, status]), bump_if_written)

    done = w.both(f.call(make, [call, frame, outputs]), ran)
    w.each(operands, lambda i: w.decref(w.item(arrays, i)))

    def drop_outputs() -> None:
        w.each(count, lambda i: w.decref(w.item(outputs, i)))

    def failed() -> list[Register]:
        drop_outputs()
        return [w.null()]

    def report() -> list[Register]:
        drop_outputs()
        number = w.api("PyLong_FromLongLong", [f.load(status, I64)])
        result = w.api("PyObject_CallOneArg", [w.pointer("on_status"), number])
        w.decref(number)
        return [result]

    def finish() -> list[Register]:
        bad = w.nonzero(f.load(status, I64))
        return f.if_(bad, report, lambda: [f.call(collect, [call, outputs])])

    f.ret(f.if_(done, finish, failed)[0])
    return f


def _write_call(w: _CallWriter, resolve: Function, disjoint: Function, run: Function) -> None:
    """tt_call(self, args, nargs) -> the result, or the record's mismatch object where an operand does not fit."""
    f = w.f
    self_, args, given = f.params
    w.call = call = f.load(f.load(self_, PTR, w.layout.tuple_items), PTR, w.layout.array_data)
    count = w.word("operand_count")
    frame, arrays, objects = (w.reserve(n) for n in (w.word("frame_words"), count, count))
    records = w.pointer("operands")

    def fits(i: Register) -> Register:
        record = f.at(records, i * (len(OPERAND) * WORD))

        def argument() -> list[Register]:
            return [w.item(args, i)]

        def state() -> list[Register]:
            return [f.load(record, PTR, OPERAND["source"])]

        object_ = f.if_(f.compare("slt", i, given), argument, state)[0]
        array = f.call(resolve, [record, object_])

        def note() -> None:
            f.store(object_, objects, i * WORD)
            f.store(array, arrays, i * WORD)
            f.store(f.load(array, PTR, w.layout.array_data), frame, i * WORD)

        found = w.exists(array)
        f.if_(found, note)
        return found

    def separate() -> Register:
        writes = w.nonzero(w.word("writes"))
        return f.if_(writes, lambda: [f.call(disjoint, [call, frame])], lambda: [f.const(1, I1)])[0]

    def refuse() -> list[Register]:
        w.incref(w.pointer("mismatch"))
        return [w.pointer("mismatch")]

    complete = f.compare("eq", given, w.word("argument_count"))
    good = w.both(complete, lambda: w.both(w.all(count, fits), separate))
    f.ret(f.if_(good, lambda: [f.call(run, [call, frame, arrays, objects])], refuse)[0])

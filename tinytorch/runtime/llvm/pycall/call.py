"""The call from Python into a compiled graph, as cheap as it can be made.

`make_call` gives a function that takes the operands of one call. In machine code it checks that each is exactly what
was compiled for, allocates the outputs, runs the graph and wraps the results. It answers MISMATCH to anything else;
`make_careful_call` gives the same function in Python, which serves operands of the right dtype and shape in any layout
and on any interpreter, and `explain_mismatch` says what does not fit.
"""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Sequence

import numpy as np

from tinytorch.runtime import cache, memory
from tinytorch.runtime.arena import aligned
from tinytorch.runtime.llvm.pycall.code import CALL_SYMBOL, call_text
from tinytorch.runtime.llvm.pycall.layout import (
    ALIGNED,
    API,
    CALL,
    CONTIGUOUS,
    HANDLER_NAME,
    HANDLER_VERSION,
    OPERAND,
    OUTPUT,
    WRITEABLE,
    Handler,
    StructLayout,
    api_table,
    find_layout,
    read_word,
    slot_offset,
    slot_offsets,
)
from tinytorch.runtime.llvm.pycall.memory import HANDLER_SYMBOLS, PAGE, SYSTEM_SYMBOLS, TRIM_SYMBOL, maps
from tinytorch.runtime.llvm.pycall.spec import (
    MISMATCH,
    Call,
    CallSpec,
    InputSpec,
    OutputSpec,
    aligned_empty,
    explain_mismatch,
    explain_type,
    make_careful_call,
)
from tinytorch.runtime.llvm.text import jit
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.memory import WORD

__all__ = [
    "MISMATCH",
    "Call",
    "CallSpec",
    "InputSpec",
    "OutputSpec",
    "aligned_empty",
    "explain_mismatch",
    "explain_type",
    "make_call",
    "make_careful_call",
]

LARGE = 1 << 20  # bytes: mapping fresh pages for an array of this size costs more than filling it
_FASTCALL = 0x80  # METH_FASTCALL: the function gets (self, arguments, their number)


def make_call(entry: int, spec: CallSpec) -> Call:
    """A function of the arguments that runs the graph at address `entry`.

    It returns the only output, a tuple of them, or None; MISMATCH where an operand does not fit. Several threads may
    call it at once. Where CPython or numpy are not laid out as expected it is `make_careful_call`'s.
    """
    layout = find_layout()
    slots = None if layout is None else _find_slots(spec)
    if layout is None or slots is None:
        return make_careful_call(entry, spec)
    method = _method(layout)
    record = _CallRecord(entry, spec, slots)
    call = _new_function(ctypes.addressof(method), (record.words, *record.references), None)
    memory.watch(call, functools.partial(record.words.item, CALL["used"] // WORD))
    return call


_Slots = dict[tuple[type, str], int]


def _find_slots(spec: CallSpec) -> _Slots | None:
    """Where the tensors of the spec hold their data and versions; None where one has no such slot."""
    kinds = {spec.tensor_type}
    kinds.update(type(value) for value, state in zip(spec.state_objects, spec.states, strict=True) if state.is_tensor)
    wanted = [(kind, spec.data_slot) for kind in kinds]
    if spec.storage_slot is not None:
        wanted += [*((kind, spec.storage_slot) for kind in kinds), (spec.storage_type, "version")]
    found = {(kind, name): slot_offset(kind, name) for kind, name in wanted}
    slots = {place: offset for place, offset in found.items() if offset is not None}
    return slots if len(slots) == len(found) else None


class _CallRecord:
    """The words that tell the machine code what to check and what to run, and all that they point to."""

    def __init__(self, entry: int, spec: CallSpec, slots: _Slots) -> None:
        self.references: list[object] = [spec]
        self.words = np.zeros(len(CALL), np.int64)
        self._spec = spec
        self._slots = slots
        self._operands = operands = spec.operands
        sizes = (math.prod(output.shape) * output.dtype.itemsize for output in spec.outputs)
        largest = max((size for size in sizes if size >= LARGE), default=0)
        memory.asked.enter(self.words, *(aligned(size, PAGE) for size in (spec.arena_bytes, largest)))
        self._fill(
            entry=entry,
            api=self._array([(api_table() or {})[name] for name in API]),
            operand_count=len(operands),
            argument_count=len(spec.arguments),
            output_count=len(spec.outputs),
            constant_count=len(spec.constants),
            operands=self._array([word for index in range(len(operands)) for word in self._operand(index)]),
            outputs=self._array([word for output in spec.outputs for word in self._output(output)]),
            constants=self._array(spec.constants),
            last=self._array([0] * len(operands)),
            frame_words=spec.frame_words,
            arena_bytes=spec.arena_bytes,
            releases_gil=spec.releases_gil,
            writes=any(operand.written for operand in operands),
            mismatch=self._object(MISMATCH),
            on_status=self._object(spec.on_status),
            wrap=self._object(spec.wrap),
            tensor_type=self._object(spec.tensor_type),
            data_slot=slots[spec.tensor_type, spec.data_slot],
            none=id(None),
        )
        self._fill_template()

    def _fill(self, **values: int) -> None:
        for name, value in values.items():
            self.words[CALL[name] // WORD] = value

    def _fill_template(self) -> None:
        """Let the code copy a wrapped array instead of calling `wrap`, if `wrap` only fills slots with constants."""
        spec = self._spec
        offsets = slot_offsets(spec.tensor_type)
        first, second = (spec.wrap(np.empty(0, np.float32)) for _ in range(2))
        if offsets is None or type(first) is not spec.tensor_type or type(second) is not spec.tensor_type:
            return
        others = [offset for offset in offsets if offset != self._slots[spec.tensor_type, spec.data_slot]]
        if all(read_word(id(first) + offset) == read_word(id(second) + offset) for offset in others):
            self._fill(template=self._object(first), copied=self._array(others), copied_count=len(others))

    def _object(self, value: object) -> int:
        """The address of an object, which is kept alive."""
        self.references.append(value)
        return id(value)

    def _array(self, words: Sequence[int]) -> int:
        """The address of these words."""
        array = np.array(words, np.int64)
        self.references.append(array)
        return array.ctypes.data

    def _operand(self, index: int) -> list[int]:
        spec, operand = self._spec, self._operands[index]
        state = index - len(spec.arguments)
        kind = type(spec.state_objects[state]) if state >= 0 else spec.tensor_type
        counts = operand.is_tensor and operand.written and spec.storage_slot is not None
        record = {
            "source": id(spec.state_objects[state]) if state >= 0 else 0,
            "wrapper": self._object(kind) if operand.is_tensor else 0,
            "slot": self._slots[kind, spec.data_slot] if operand.is_tensor else 0,
            "array_type": id(np.ndarray),
            "descr": self._object(operand.dtype),
            "type_number": operand.dtype.num,
            "flags": CONTIGUOUS | ALIGNED | (WRITEABLE if operand.written else 0),
            "written": operand.written,
            "bytes": operand.bytes,
            "rank": len(operand.shape),
            "dims": self._array(operand.shape),
            "storage_slot": self._slots[kind, spec.storage_slot or ""] if counts else 0,
            "version_slot": self._slots[spec.storage_type, "version"] if counts else 0,
        }
        return [int(record[name]) for name in OPERAND]

    def _output(self, output: OutputSpec) -> list[int]:
        record = {
            "large": math.prod(output.shape) * output.dtype.itemsize >= LARGE,
            "descr": self._object(output.dtype),
            "rank": len(output.shape),
            "dims": self._array(output.shape),
            "wrapped": output.is_tensor,
        }
        return [int(record[name]) for name in OUTPUT]


class _MethodDef(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


_new_function = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)(
    ("PyCFunction_NewEx", ctypes.pythonapi)
)


@functools.cache
def _method(layout: StructLayout) -> _MethodDef:
    """The method that all calls share; it outlives the interpreter, for calls that do so too."""
    target = Target.host()

    def compile_() -> cache.Entry:
        return cache.Entry({}, jit.compile_object(call_text(layout, target), target))

    key = cache.key(cache.source_digest(), "pycall", target.key, repr(layout))
    loaded = jit.load_object(cache.fetch(key, compile_).object_code)
    method = _MethodDef(b"compiled_graph", loaded.address(CALL_SYMBOL), _FASTCALL, None)
    for immortal in (method, loaded):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(immortal))
    _lend_memory(loaded)
    return method


_new_capsule = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
    ("PyCapsule_New", ctypes.pythonapi)
)


def _lend_memory(loaded: jit.LoadedCode) -> None:
    """Let `runtime/memory.py` and numpy use the functions of `pycall_memory`."""
    functions = [loaded.address(name) for name in HANDLER_SYMBOLS]
    handler = Handler(b"tinytorch", HANDLER_VERSION, memory.address, *functions)
    capsule = _new_capsule(ctypes.addressof(handler), HANDLER_NAME, None)
    for immortal in (handler, capsule, HANDLER_NAME):  # arrays outlive this module
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(immortal))
    memory.set_word("handler", id(capsule))
    if maps():
        for name, symbol in zip(("malloc", "free"), SYSTEM_SYMBOLS, strict=True):
            memory.set_word(name, loaded.address(symbol))
    for name, function in (("track", "PyTraceMalloc_Track"), ("untrack", "PyTraceMalloc_Untrack")):
        address = ctypes.cast(getattr(ctypes.pythonapi, function), ctypes.c_void_p).value
        memory.set_word(name, address or 0)
    trim = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(loaded.address(TRIM_SYMBOL))
    memory.asked.trim = functools.partial(trim, memory.address)

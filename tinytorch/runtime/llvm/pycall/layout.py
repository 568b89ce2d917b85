"""What the machine code that Python calls reads: the record of a call, and the structs of CPython and numpy.

The offsets into those structs are their public ABI or have long been stable, but none is taken on trust: `find_layout`
reads sample objects through them and finds no layout where one does not hold.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import sysconfig
import types
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from tinytorch.runtime import memory
from tinytorch.runtime.memory import WORD


def _words(*names: str) -> dict[str, int]:
    """The byte offsets of consecutive words."""
    return {name: index * WORD for index, name in enumerate(names)}


CALL = _words(
    "entry",  # void entry(ptr frame)
    "api",  # addresses of the C functions in API
    "operand_count",
    "argument_count",
    "output_count",
    "constant_count",
    "operands",  # records, below
    "outputs",
    "constants",
    "last",  # where the operands were in the last call
    "frame_words",
    "arena_bytes",
    "used",  # when the graph was run last, by the clock of `runtime/memory.py`
    "releases_gil",
    "writes",  # whether any operand is written
    "mismatch",  # the object to return when an operand does not fit
    "on_status",  # called with a status other than 0
    "wrap",  # called with an array, where `template` is 0
    "template",  # a wrapped array to copy the slots of
    "tensor_type",
    "copied",  # offsets of those slots
    "copied_count",
    "data_slot",  # offset of the slot that holds the array
    "none",
)

OPERAND = _words(
    "source",  # the object itself, if it is a state
    "wrapper",  # its type, 0 for a bare array
    "slot",  # where it holds the array
    "array_type",
    "descr",
    "type_number",
    "flags",
    "written",
    "bytes",
    "rank",
    "dims",
    "storage_slot",  # where a written tensor holds what counts its versions, or 0
    "version_slot",  # where that does
)

OUTPUT = _words(
    "descr",
    "rank",
    "dims",
    "wrapped",
    "large",  # whether its memory is taken from `runtime/memory.py`
)

PYTHON_API = (
    "Py_IncRef",
    "Py_DecRef",
    "PyEval_SaveThread",
    "PyEval_RestoreThread",
    "PyErr_NoMemory",
    "PyLong_FromLongLong",
    "PyObject_CallOneArg",
    "PyTuple_New",
    "PyTuple_SetItem",
    "PyType_GenericAlloc",
)
API = _words(
    *PYTHON_API,
    "PyArray_Empty",
    "PyDataMem_SetHandler",
    "versions",  # no function but the counter of versions
    "memory",  # the words of `runtime/memory.py`
)

CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400  # numpy's NPY_ARRAY_* flags
SWAPPED = ">"  # the byte order that is not this machine's; other machines have no layout
# PyArray_Type, PyArray_Empty, PyDataMem_SetHandler and PyDataMem_DefaultHandler in numpy's C API table.
_ARRAY_TYPE, _ARRAY_EMPTY, _SET_HANDLER, _DEFAULT_HANDLER = 2, 184, 304, 306
_DEFAULT_NAME, HANDLER_VERSION = b"default_allocator", 1


@dataclass(frozen=True)
class StructLayout:
    """Where CPython and numpy keep what the code reads: byte offsets into their structs."""

    object_type: int = 8
    tuple_items: int = 24
    array_data: int = 16
    array_rank: int = 24
    array_dims: int = 32
    array_descr: int = 56
    array_flags: int = 64
    descr_byteorder: int = 26
    descr_type_number: int = 28


def read_word(address: int) -> int:
    """The 64-bit number at an address."""
    return ctypes.c_int64.from_address(address).value


@functools.cache
def find_layout() -> StructLayout | None:
    """The layout of this interpreter and this numpy; None where it is not a known one."""
    known = sys.implementation.name == "cpython" and ctypes.sizeof(ctypes.c_void_p) == 8 and sys.byteorder == "little"
    if not known or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return None
    items = _find_tuple_items()
    if items is None or api_table() is None:
        return None
    layout = StructLayout(tuple_items=items)
    base = np.zeros((4, 6), np.float32)
    base.flags.writeable = False
    samples: list[np.ndarray[Any, Any]] = [base, base[1:, ::2], base.T, np.array(1), np.zeros((2, 0, 3), np.bool_)]
    samples += [np.zeros(3, ">f4"), np.zeros(3, ml_dtypes.bfloat16), np.frombuffer(bytes(9), np.float64, 1, 1)]
    return layout if all(_holds(layout, sample) for sample in samples) else None


def _find_tuple_items() -> int | None:
    first, second = object(), object()
    pair = (first, second)
    for offset in range(2 * WORD, pair.__sizeof__() - WORD, WORD):
        if (read_word(id(pair) + offset), read_word(id(pair) + offset + WORD)) == (id(first), id(second)):
            return offset
    return None


def _holds(layout: StructLayout, array: np.ndarray[Any, Any]) -> bool:
    """Whether an array and its dtype read through the layout are what numpy says they are."""
    at, descr = id(array), id(array.dtype)
    flags = array.flags
    expected = CONTIGUOUS * flags.c_contiguous | ALIGNED * flags.aligned | WRITEABLE * flags.writeable
    if sys.getsizeof(array.dtype) < layout.descr_type_number + 4 or array.__sizeof__() < layout.array_flags + 4:
        return False
    rank = ctypes.c_int32.from_address(at + layout.array_rank).value
    if (read_word(at + layout.object_type), rank) != (id(type(array)), array.ndim):
        return False
    # The strides' address follows that of the dims, and the strides follow the dims: so this is safe to read through.
    dims = read_word(at + layout.array_dims)
    if rank and read_word(at + layout.array_dims + WORD) != dims + rank * WORD:
        return False
    order = chr(ctypes.c_uint8.from_address(descr + layout.descr_byteorder).value)
    return (
        read_word(at + layout.array_data) == array.ctypes.data
        and [read_word(dims + i * WORD) for i in range(rank)] == list(array.shape)
        and read_word(at + layout.array_descr) == descr
        and ctypes.c_int32.from_address(at + layout.array_flags).value & (CONTIGUOUS | ALIGNED | WRITEABLE) == expected
        and order == array.dtype.byteorder
        and ctypes.c_int32.from_address(descr + layout.descr_type_number).value == array.dtype.num
    )


def slot_offset(kind: type, name: str) -> int | None:
    """Where an instance of `kind` holds the slot, found by putting something there; None if it is not in a slot."""
    if not isinstance(getattr(kind, name, None), types.MemberDescriptorType):
        return None
    marker = object()
    try:
        probe = object.__new__(kind)
        setattr(probe, name, marker)
    except (AttributeError, TypeError):
        return None
    offsets = range(2 * WORD, kind.__basicsize__, WORD)
    places = [offset for offset in offsets if read_word(id(probe) + offset) == id(marker)]
    return places[0] if len(places) == 1 else None


def slot_offsets(kind: type) -> list[int] | None:
    """The offsets of all slots, if instances of `kind` are slots and nothing else; else None."""
    names = [name for base in kind.__mro__ for name in _slot_names(base) if name != "__weakref__"]
    offsets = [o for o in range(2 * WORD, kind.__basicsize__, WORD) if o != kind.__weakrefoffset__]
    plain = kind.__dictoffset__ == 0 and kind.__itemsize__ == 0 and "__dict__" not in names
    return offsets if plain and len(names) == len(offsets) else None


def _slot_names(kind: type) -> tuple[str, ...]:
    names = vars(kind).get("__slots__", ())
    return (names,) if isinstance(names, str) else tuple(names)


@functools.cache
def api_table() -> dict[str, int] | None:
    """The addresses of the C functions in API; None where numpy's table is not the known one."""
    table = {name: _address(getattr(ctypes.pythonapi, name)) for name in PYTHON_API}
    capsule = getattr(getattr(getattr(np, "_core", None), "_multiarray_umath", None), "_ARRAY_API", None)
    if capsule is None:
        return None
    numpy_api = _open_capsule(id(capsule), None)
    if not numpy_api or read_word(numpy_api + _ARRAY_TYPE * WORD) != id(np.ndarray):
        return None
    default = Handler.from_address(
        _open_capsule(read_word(read_word(numpy_api + _DEFAULT_HANDLER * WORD)), HANDLER_NAME)
    )
    if (default.name, default.version) != (_DEFAULT_NAME, HANDLER_VERSION):
        return None
    for name in ("ctx", "malloc", "free"):
        memory.set_word(name, getattr(default, name) or 0)
    table["PyArray_Empty"] = read_word(numpy_api + _ARRAY_EMPTY * WORD)
    table["PyDataMem_SetHandler"] = read_word(numpy_api + _SET_HANDLER * WORD)
    table["versions"] = ctypes.addressof(versions)
    table["memory"] = memory.address
    return table


HANDLER_NAME = b"mem_handler"  # of the capsules that hold one
_open_capsule = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


class Handler(ctypes.Structure):
    """numpy's PyDataMem_Handler: how the memory of an array is had and freed."""

    _fields_ = (
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("ctx", ctypes.c_void_p),  # here begins its PyDataMemAllocator
        ("malloc", ctypes.c_void_p),
        ("calloc", ctypes.c_void_p),
        ("realloc", ctypes.c_void_p),
        ("free", ctypes.c_void_p),
    )


def _address(function: object) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0  # pyright: ignore[reportArgumentType]


# A written tensor gets the next of these as its version. They start above what eager code counts to, and leave it room
# to count on in between.
versions = ctypes.c_int64(1 << 40)
VERSION_STEP = 1 << 20

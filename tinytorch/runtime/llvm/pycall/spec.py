"""How a compiled graph is called: the description, and the call in Python that serves whatever fits it at all."""

from __future__ import annotations

import ctypes
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from tinytorch.ir.arrays.memory import overlap
from tinytorch.ir.errors import CompileError, TinyTorchError
from tinytorch.runtime.arena import ALIGNMENT
from tinytorch.runtime.backend import MISMATCH
from tinytorch.runtime.llvm.pycall.layout import VERSION_STEP, versions

Array = npt.NDArray[Any]
Call = Callable[..., Any]


@dataclass(frozen=True)
class InputSpec:
    """What a graph expects of one input: a tensor holding an array of this type, or such an array itself."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    is_tensor: bool = True
    written: bool = False

    @property
    def bytes(self) -> int:
        """Size of the array."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class OutputSpec:
    """An array that each call allocates and returns, wrapped in a tensor or bare."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    is_tensor: bool = True


def _raise_status(status: int) -> object:
    raise CompileError(f"the compiled graph reported error {status}")


@dataclass(frozen=True)
class CallSpec:
    """How a graph is called: void entry(ptr frame). The frame is an array of pointers to

    - the data of the arguments, of the states and of the outputs, then the `constants`, which are given as addresses;
    - an arena of `arena_bytes`, aligned to 64 bytes, whose content is undefined;
    - a 64-bit status word, which is 0, and which the graph sets to report an error, and then has written nothing.

    A tensor is an instance of `tensor_type`, whose slot `data_slot` holds a numpy array; `wrap(array)` makes one.
    `state_objects` are the tensors or arrays of `states`; which array a tensor holds is looked up in every call. The
    slot `storage_slot` of a written tensor holds None or a `storage_type`, whose slot `version` gets a number that it
    never held. `on_status` is called with a status other than 0, and what it returns is returned. With `releases_gil`
    other Python threads run meanwhile. `references` is what must live as long as the call: code, constants.
    """

    arguments: tuple[InputSpec, ...]
    states: tuple[InputSpec, ...]
    state_objects: tuple[object, ...]
    outputs: tuple[OutputSpec, ...]
    tensor_type: type
    wrap: Callable[[Array], object]
    constants: tuple[int, ...] = ()
    arena_bytes: int = 0
    releases_gil: bool = False
    on_status: Callable[[int], object] = _raise_status
    data_slot: str = "_data"
    storage_slot: str | None = None
    storage_type: type = object
    references: tuple[object, ...] = ()

    @property
    def operands(self) -> tuple[InputSpec, ...]:
        """Arguments, then states: the order of the frame."""
        return self.arguments + self.states

    @property
    def frame_words(self) -> int:
        """Pointers in the frame."""
        return len(self.operands) + len(self.outputs) + len(self.constants) + 2


def explain_mismatch(spec: CallSpec, arguments: tuple[object, ...]) -> str | None:
    """Why `make_call`'s function does not take these arguments in the present state; None if it does."""
    reason = explain_type(spec, arguments)
    if reason is not None:
        return reason
    for operand, value in zip(spec.arguments, arguments, strict=True):
        if operand.is_tensor and type(value) is not spec.tensor_type:
            return f"{operand.name} is a {type(value).__name__}, a subclass of {spec.tensor_type.__name__}"
    arrays = _arrays(spec, arguments)
    for operand, array in zip(spec.operands, arrays, strict=True):
        reason = _explain_layout(operand, array)
        if reason is not None:
            return f"{operand.name} {reason}"
    for i, j in _sharing(spec, arrays):
        written, other = (i, j) if spec.operands[i].written else (j, i)
        return f"{spec.operands[other].name} shares memory with {spec.operands[written].name}, which is written"
    return None


def explain_type(spec: CallSpec, arguments: tuple[object, ...]) -> str | None:
    """Why the graph cannot take these arguments, or its states, in any layout; None if it can."""
    if len(arguments) != len(spec.arguments):
        return f"takes {len(spec.arguments)} operands, got {len(arguments)}"
    for operand, value in zip(spec.operands, (*arguments, *spec.state_objects), strict=True):
        reason = _explain_operand(spec, operand, value)
        if reason is not None:
            return f"{operand.name} {reason}"
    return None


def _explain_operand(spec: CallSpec, operand: InputSpec, value: object) -> str | None:
    kind = spec.tensor_type if operand.is_tensor else np.ndarray
    if not isinstance(value, kind):
        return f"is a {type(value).__name__}, compiled for a {kind.__name__}"
    array = getattr(value, spec.data_slot, None) if operand.is_tensor else value
    if not isinstance(array, np.ndarray):
        return "holds no array"
    if array.dtype.newbyteorder("=") != operand.dtype:
        return f"has dtype {array.dtype}, compiled for {operand.dtype}"
    if array.shape != operand.shape:
        return f"has shape {list(array.shape)}, compiled for {list(operand.shape)}"
    return None


def _explain_layout(operand: InputSpec, array: Array) -> str | None:
    if type(array) is not np.ndarray:
        return f"is in a {type(array).__name__}, a subclass of ndarray"
    if not array.dtype.isnative:
        return f"has dtype {array.dtype}, not in this machine's byte order"
    if not array.flags.c_contiguous:
        return f"is not contiguous in row-major order: strides {list(array.strides)} bytes"
    if not array.flags.aligned:
        return f"is not aligned to {array.dtype.alignment} bytes"
    if operand.written and not array.flags.writeable:
        return "is read-only, but the graph writes it"
    return None


def _arrays(spec: CallSpec, arguments: tuple[object, ...]) -> list[Array]:
    values = zip(spec.operands, (*arguments, *spec.state_objects), strict=True)
    return [cast("Array", getattr(value, spec.data_slot) if operand.is_tensor else value) for operand, value in values]


def _sharing(spec: CallSpec, arrays: list[Array]) -> list[tuple[int, int]]:
    """Pairs of operands that share memory of which at least one is written."""
    if not any(operand.written for operand in spec.operands):
        return []
    bounds = [np.lib.array_utils.byte_bounds(array) for array in arrays]
    order = sorted(range(len(arrays)), key=bounds.__getitem__)
    pairs: list[tuple[int, int]] = []
    for place, i in enumerate(order):
        for j in itertools.takewhile(lambda j, end=bounds[i][1]: bounds[j][0] < end, order[place + 1 :]):
            if (spec.operands[i].written or spec.operands[j].written) and overlap(arrays[i], arrays[j]):
                pairs.append((min(i, j), max(i, j)))
    return sorted(pairs)


def make_careful_call(entry: int, spec: CallSpec, fast: Call | None = None) -> Call:
    """`make_call`'s function in Python: it copies operands of another layout, and back if they are written.

    It answers MISMATCH only where the number, types or shapes of the operands differ. TinyTorchError if an operand
    that the graph writes is read-only, or shares memory with another one that it writes. Where copies of arguments
    that are only read are all it takes, it leaves the rest to `fast`, which has memory to lend.
    """
    prototype = ctypes.CFUNCTYPE if spec.releases_gil else ctypes.PYFUNCTYPE
    run = prototype(None, ctypes.c_void_p)(entry)

    def call(*arguments: object) -> object:
        if fast is not None and len(arguments) == len(spec.arguments):
            result = fast(*[_laid_out(spec, o, value) for o, value in zip(spec.arguments, arguments, strict=True)])
            if result is not MISMATCH:
                return result
        if explain_type(spec, arguments) is not None:
            return MISMATCH
        arrays = _arrays(spec, arguments)
        shared = _check_writes(spec, arrays)
        ready = [_ready(array, operand, i in shared) for i, (array, operand) in enumerate(_with(spec, arrays))]
        outputs = [np.empty(output.shape, output.dtype) for output in spec.outputs]
        status = np.zeros(1, np.int64)
        arena = aligned_empty(spec.arena_bytes)
        addresses = [array.ctypes.data for array in (*ready, *outputs)]
        addresses += [*spec.constants, arena.ctypes.data, status.ctypes.data]
        run((ctypes.c_void_p * spec.frame_words)(*addresses))
        if status[0]:
            return spec.on_status(int(status[0]))
        _write_back(spec, arrays, ready, (*arguments, *spec.state_objects))
        results = [spec.wrap(a) if o.is_tensor else a for a, o in zip(outputs, spec.outputs, strict=True)]
        return tuple(results) if len(results) > 1 else results[0] if results else None

    return call


def _with(spec: CallSpec, arrays: list[Array]) -> list[tuple[Array, InputSpec]]:
    return list(zip(arrays, spec.operands, strict=True))


def _check_writes(spec: CallSpec, arrays: list[Array]) -> set[int]:
    """The operands to copy because they share memory with a written one, which must be possible."""
    for array, operand in _with(spec, arrays):
        if operand.written and not array.flags.writeable:
            raise TinyTorchError(f"{operand.name} is read-only, but the compiled graph updates it in place")
    copied: set[int] = set()
    for i, j in _sharing(spec, arrays):
        a, b = spec.operands[i], spec.operands[j]
        if a.written and b.written:
            raise TinyTorchError(f"{a.name} and {b.name} share memory, and the compiled graph updates both")
        copied.add(j if a.written else i)
    return copied


def _ready(array: Array, operand: InputSpec, copied: bool) -> Array:
    """The array itself if machine code can use it, else a copy in the layout that it expects."""
    fits = _explain_layout(operand, array) is None and not copied
    return array if fits else np.array(array, operand.dtype, order="C", subok=False)


def _laid_out(spec: CallSpec, operand: InputSpec, value: object) -> object:
    """A copy of a tensor that is only read, if machine code cannot use its array, else the value itself."""
    if operand.written or not operand.is_tensor or _explain_operand(spec, operand, value) is not None:
        return value
    array = cast("Array", getattr(value, spec.data_slot))
    ready = _ready(array, operand, copied=type(value) is not spec.tensor_type)
    return value if ready is array else spec.wrap(ready)


def _write_back(spec: CallSpec, arrays: list[Array], ready: list[Array], values: tuple[object, ...]) -> None:
    for (array, operand), used, value in zip(_with(spec, arrays), ready, values, strict=True):
        if operand.written and used is not array:
            np.copyto(array, used)
        storage = getattr(value, spec.storage_slot) if operand.is_tensor and spec.storage_slot is not None else None
        if operand.written and storage is not None:
            versions.value += VERSION_STEP
            storage.version = versions.value


def aligned_empty(size: int) -> npt.NDArray[np.uint8]:
    """`size` bytes that begin at a multiple of ALIGNMENT."""
    block = np.empty(size + ALIGNMENT, np.uint8)
    start = -block.ctypes.data % ALIGNMENT
    return block[start : start + size]

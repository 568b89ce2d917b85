"""Module 01: the tensor. Eager on numpy, recorded on a tape for gradients, or traced into a graph."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np

from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError, TinyTorchError, TraceError
from tinytorch.ir.indexing import array_index, basic_index
from tinytorch.ir.loc import user_loc
from tinytorch.ir.masks import index_arrays
from tinytorch.ir.op import Array, Attrs, Op
from tinytorch.ir.operators import Operators
from tinytorch.ir.ops.core import array_as
from tinytorch.ir.reference import refuse_new_nans
from tinytorch.ir.types import TensorType, bool_, dtype_of, f32, f64, i32, i64, type_of
from tinytorch.ir.vjp import pullback


class Trace(Protocol):
    """What a tensor needs of a running trace."""

    def apply(self, op: Op, operands: Sequence[Tensor], attrs: Attrs) -> Tensor: ...
    def constant(self, array: Array) -> Tensor: ...
    def created(self, tensor: Tensor) -> None: ...
    def holds(self, tensor: Tensor) -> bool: ...
    def leaf(self, tensor: Tensor) -> None: ...
    def update(self, tensor: Tensor, value: Tensor) -> None: ...
    def backward(self, tensor: Tensor, grad: Tensor) -> None: ...
    def gradients(self, output: Tensor, wrt: Sequence[Tensor], seed: Tensor) -> list[Tensor | None]: ...
    def read_grad(self, tensor: Tensor) -> None: ...
    def write_grad(self, tensor: Tensor) -> None: ...
    def use_grad(self, tensor: Tensor) -> None: ...


class _Mode(threading.local):
    """What holds in this thread: is a trace running, are gradients recorded."""

    trace: Trace | None = None
    grad: bool = True


mode = _Mode()


@dataclass(frozen=True, slots=True)
class _TapeNode:
    """How a tensor was made; `versions` are those of the inputs' storage at that time."""

    op: Op
    inputs: tuple[Tensor, ...]
    attrs: Attrs
    versions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Record:
    """A tape node together with its output, as the vjp rules see it."""

    op: Op
    inputs: tuple[Tensor, ...]
    output: Tensor
    attrs: Attrs


class Tensor(Operators):
    """An n-dimensional array of one dtype.

    `data` is anything numpy can make an array of; it is copied (`from_numpy` shares instead). Python floats become
    f32, Python integers i64, arrays keep their dtype. With `requires_grad`, `backward()` leaves d(loss)/d(self) in
    `grad`. Raises ShapeError for dtypes that are not supported.
    """

    __slots__ = ("_data", "_expr", "_grad", "_node", "_version", "name", "requires_grad", "__weakref__")  # noqa: RUF023 (`_data` first: native code reads it at a fixed offset)

    _data: Array
    requires_grad: bool
    name: str

    def __init__(self, data: Any, requires_grad: bool = False, dtype: object = None) -> None:
        self._set_up(as_array(data, dtype, copy=True))
        if mode.trace is not None:
            mode.trace.created(self)
        if requires_grad:
            self.requires_grad_()

    def _set_up(self, data: Any, expr: Any = None) -> None:
        self._data = data
        self._expr = expr
        self._grad: Tensor | Consumed | None = None
        self._node: _TapeNode | None = None
        self._version = 0
        self.requires_grad = False
        self.name = ""

    @classmethod
    def wrap(cls, array: Array, expr: Any = None) -> Tensor:
        """A tensor over `array` itself; or over a traced expression, without an array."""
        tensor = cls.__new__(cls)
        Tensor._set_up(tensor, array, expr)
        return tensor

    # The world of tensors.
    @property
    def type(self) -> TensorType:
        if self._expr is not None:
            return self._expr.type
        return type_of(self._data.dtype, self._data.shape)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape if self._expr is None else self._expr.type.shape

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: Attrs) -> Any:
        trace = mode.trace
        if trace is not None:
            return trace.apply(op, operands, attrs)
        return _eager(op, operands, attrs)

    def constant(self, array: Array) -> Any:
        trace = mode.trace
        return Tensor.wrap(array) if trace is None else trace.constant(array)

    # Values.
    def _concrete(self, what: str) -> Array:
        if self._expr is not None or (mode.trace is not None and mode.trace.holds(self)):
            raise TraceError(
                f"{what} needs the value of a tensor that is being traced; keep it in tensors (tt.where for a "
                "choice), return it from the compiled function, or do this outside of it",
                user_loc(),
            )
        return self._data

    @property
    def data(self) -> Array:
        """The numpy array that holds the values (shared, not copied)."""
        return self._concrete("reading .data")

    @data.setter
    def data(self, value: Any) -> None:
        if mode.trace is not None or isinstance(value, Tensor):
            self.copy_(value)
            return
        array = as_array(value, self.dtype)
        if array.shape != self.shape:
            raise ShapeError(f"data: {list(array.shape)} does not fit a tensor of {self.type}", user_loc())
        self._data = array
        self._version += 1

    def numpy(self) -> Array:
        """The numpy array that holds the values (shared, not copied)."""
        return self._concrete("numpy()")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self._concrete("conversion to a numpy array"), dtype=dtype, copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        return self._concrete("DLPack export").__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._concrete("DLPack export").__dlpack_device__()

    def item(self) -> Any:
        """The only element, as a Python number."""
        array = self._concrete("item()")
        if array.size != 1:
            raise ShapeError(f"item: needs one element, got {self.type}", user_loc())
        return array.item() if self.dtype.name != "bf16" else float(array.reshape(()))

    def tolist(self) -> Any:
        return self._concrete("tolist()").tolist()

    def __float__(self) -> float:
        self._concrete("float()")
        return float(self.item())

    def __int__(self) -> int:
        self._concrete("int()")
        return int(self.item())

    def __index__(self) -> int:
        self._concrete("use as an index")
        if self.dtype.kind not in ("int", "uint"):
            raise TypeError(f"only integer tensors are indices, got {self.type}")
        return int(self.item())

    def __bool__(self) -> bool:
        self._concrete("a Python condition (if, while, and, or, not)")
        return bool(self.item())

    def __iter__(self) -> Iterator[Self]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        if self._expr is not None:
            return f"Tensor(traced {self.type})"
        body = np.array2string(self._data, separator=", ", prefix="Tensor(", floatmode="maxprec_equal", precision=4)
        grad = ", requires_grad=True" if self.requires_grad else ""
        return f"Tensor({body}, dtype={self.dtype}{grad})"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    def __deepcopy__(self, memo: Any) -> Tensor:
        twin = Tensor(self._concrete("deepcopy"), self.requires_grad)
        twin.name = self.name
        return twin

    def __reduce__(self) -> Any:
        return Tensor, (self._concrete("pickling"), self.requires_grad)

    # Dtypes and places.
    def to(self, *where: Any, dtype: object = None) -> Self:
        """A tensor of another dtype; the only device is "cpu"."""
        for item in where:
            if isinstance(item, str) and item.split(":")[0] in ("cpu", "cuda", "mps", "xpu", "gpu"):
                _require_cpu(item)
            else:
                dtype = item.dtype if isinstance(item, Tensor) else item
        return self if dtype is None else self.cast(dtype)

    def cpu(self) -> Self:
        return self

    def cuda(self, device: object = None) -> Self:
        _require_cpu("cuda")
        return self

    def float(self) -> Self:
        return self.cast(f32)

    def double(self) -> Self:
        return self.cast(f64)

    def long(self) -> Self:
        return self.cast(i64)

    def int(self) -> Self:
        return self.cast(i32)

    def bool(self) -> Self:
        return self.cast(bool_)

    def astype(self, dtype: object) -> Self:
        return self.cast(dtype)

    def contiguous(self) -> Self:
        return self._apply(ops.core.copy)

    def clone(self) -> Self:
        return self._apply(ops.core.copy)

    # Indexing.
    def __getitem__(self, index: Any) -> Self:
        items = index if isinstance(index, tuple) else (index,)
        if not any(isinstance(i, (Tensor, np.ndarray, list, bool, np.bool_)) for i in items):
            return basic_index(self, items)
        return array_index(*index_arrays(self, items, _mask_values))

    def __setitem__(self, index: Any, value: Any) -> None:
        """Write into the storage (not differentiable)."""
        self._writable("item assignment")
        self._concrete("item assignment")[_plain_index(index)] = as_array(value)
        self._version += 1
        if mode.trace is not None:  # made in the trace, as a constant: from here on another one
            mode.trace.created(self)

    def index_select(self, dim: int, index: Any) -> Self:
        return self[(slice(None),) * ops.core.normalize_axis("index_select", dim, self.ndim) + (index,)]

    # Changing the storage.
    def touch(self) -> None:
        """Note that the storage was written to: a tape that needs the old values will say so."""
        self._version += 1

    def _writable(self, what: str) -> None:
        if mode.grad and self.requires_grad:
            raise TinyTorchError(f"{what} on a tensor that requires grad; do it under tt.no_grad()", user_loc())

    def copy_(self, value: Any) -> Self:
        """Overwrite the values in place; not differentiable."""
        self._writable("copy_")
        if self._expr is None and not self._data.flags.writeable:
            raise TinyTorchError("copy_: the storage of this tensor is read-only", user_loc())
        new = self._like(value).detach().cast(self.dtype).broadcast_to(self.shape)
        if mode.trace is not None:
            mode.trace.update(self, new)
        else:
            np.copyto(self._data, new._data)
            self._version += 1
        return self

    def fill_(self, value: Any) -> Self:
        return self.copy_(value)

    def zero_(self) -> Self:
        return self.copy_(0)

    def add_(self, other: Any, alpha: Any = 1) -> Self:
        self._writable("add_")
        return self.copy_(self.detach() + (other if alpha == 1 else alpha * self._like(other)))

    def sub_(self, other: Any) -> Self:
        self._writable("sub_")
        return self.copy_(self.detach() - other)

    def mul_(self, other: Any) -> Self:
        self._writable("mul_")
        return self.copy_(self.detach() * other)

    # Gradients.
    def requires_grad_(self, requires_grad: bool = True) -> Self:
        if requires_grad and not self.dtype.is_float:
            raise ShapeError(f"only float tensors have gradients, got {self.type}", user_loc())
        self.requires_grad = requires_grad
        if requires_grad and mode.trace is not None:
            mode.trace.leaf(self)
        return self

    @property
    def is_leaf(self) -> bool:
        return self._node is None

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward()` left, or None."""
        if mode.trace is not None:
            mode.trace.read_grad(self)
        if isinstance(self._grad, Consumed):
            raise TinyTorchError(
                "the compiled step used this gradient up in optimizer.step() without keeping it; call zero_grad() "
                "before backward(), or return the gradient from the compiled function",
                user_loc(),
            )
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None and value.type != self.type:
            raise ShapeError(f"grad: {value.type} does not fit {self.type}", user_loc())
        if mode.trace is not None:
            mode.trace.write_grad(self)
        self._grad = value

    def backward(self, grad: Any = None, retain_graph: bool = False, create_graph: bool = False) -> None:
        """Add d(self)/d(leaf) to the `grad` of every leaf that requires it.

        `grad` is the cotangent of self, needed unless self has one element. The tape is freed unless
        `retain_graph`; with `create_graph` the gradients can be differentiated again.
        """
        if grad is None and self.numel() != 1:
            raise ShapeError(f"backward: {self.type} has more than one element; pass its cotangent", user_loc())
        if not self.requires_grad:
            raise TinyTorchError("backward: nothing that this tensor was computed from requires grad", user_loc())
        seed = self.constant(np.ones(self.shape, self.dtype.numpy)) if grad is None else self._like(grad)
        if seed.type != self.type:
            raise ShapeError(f"backward: the cotangent is {seed.type}, the tensor {self.type}", user_loc())
        if mode.trace is not None:
            mode.trace.backward(self, seed)
            return
        for leaf, cotangent in _leaf_gradients(self, seed, retain_graph or create_graph, create_graph):
            leaf.accumulate_grad(cotangent)

    def accumulate_grad(self, cotangent: Tensor) -> None:
        """Add to `grad`."""
        known = self.grad
        if known is None:
            own = cotangent if cotangent._expr is not None or cotangent._data.flags.owndata else cotangent.clone()
            self.grad = own
        else:
            self.grad = known + cotangent

    def use_grad(self) -> Tensor | None:
        """`grad`, for an optimizer's step: a compiled step then does not keep it in memory."""
        grad = self.grad
        if mode.trace is not None:
            mode.trace.use_grad(self)
        return grad

    def retain_grad(self) -> None:
        raise TinyTorchError("gradients of intermediate tensors come from tt.grad", user_loc())


def version_of(tensor: Tensor) -> int:
    """A number that is another one whenever the storage has been written to."""
    return tensor._version  # pyright: ignore[reportPrivateUsage]


class Consumed:
    """Stands in `grad` for a gradient that a compiled step used and did not keep."""


def _require_cpu(device: str) -> None:
    if device.split(":")[0] != "cpu":
        raise TinyTorchError(f"device {device!r}: TinyTorch runs on the CPU only", user_loc())


def as_array(data: Any, dtype: object = None, copy: bool = False) -> Array:
    """`data` as a numpy array of a supported dtype; copied if asked or needed."""
    if isinstance(data, Tensor):
        data = data.numpy()
    target = None if dtype is None else dtype_of(dtype).numpy
    if isinstance(data, np.ndarray) or hasattr(data, "__array__"):
        array = np.array(data, copy=True if copy else None)
        return array_as(array, dtype_of(array.dtype).numpy if target is None else target)
    try:
        array = np.array(_plain(data))
    except (ValueError, TypeError) as error:
        raise ShapeError(f"Tensor: no array can be made of {type(data).__name__}: {error}", user_loc()) from None
    if target is None:
        target = {"f": f32.numpy, "i": i64.numpy, "b": bool_.numpy}.get(array.dtype.kind) or dtype_of(array.dtype).numpy
    return array_as(array, target)


def _plain(data: Any) -> Any:
    """Nested lists with tensors in them as nested lists of arrays."""
    if isinstance(data, (list, tuple)):
        return [_plain(item) for item in data]
    return data.numpy() if isinstance(data, Tensor) else data


def _plain_index(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(_plain_index(i) for i in index)
    return index.numpy() if isinstance(index, Tensor) else index


def _mask_values(mask: Tensor) -> Array:
    return mask._concrete("a boolean mask (its result has no static shape)")  # pyright: ignore[reportPrivateUsage]


def _eager(op: Op, operands: Sequence[Tensor], attrs: Attrs) -> Tensor:
    """Evaluate on numpy and, where a gradient may be asked for, record."""
    arrays = [o._data for o in operands]  # pyright: ignore[reportPrivateUsage]
    if any(o._expr is not None for o in operands):  # pyright: ignore[reportPrivateUsage]
        raise TraceError("a value of a trace is used after it; return it from the compiled function", user_loc())
    try:
        op.result_types([o.type for o in operands], attrs)
        with np.errstate(all="ignore"):
            result = op.eval(*arrays, **attrs)
    except (ShapeError, IndexError) as error:
        raise located(error) from None
    if wants_nan_checks():
        refuse_new_nans(op, arrays, result, user_loc())
    out = Tensor.wrap(result if isinstance(result, np.ndarray) else np.asarray(result))
    if mode.grad and op is not ops.core.detach and any(o.requires_grad for o in operands):
        out.requires_grad = out.dtype.is_float
        versions = tuple(o._version for o in operands)  # pyright: ignore[reportPrivateUsage]
        out._node = _TapeNode(op, tuple(operands), attrs, versions)  # pyright: ignore[reportPrivateUsage]
    return out


def wants_nan_checks() -> bool:
    """Whether TT_NANS=1 asks that the op which makes the first NaN raise an error."""
    return os.environ.get("TT_NANS") == "1"


def located(error: Exception) -> Exception:
    """`error` with the user's line, if it is a ShapeError that has none yet, or an IndexError of an op."""
    if isinstance(error, IndexError) and (loc := user_loc()) is not None:
        return IndexError(f"{error}\n  {loc.describe()}")
    if isinstance(error, ShapeError) and error.loc is None:
        return ShapeError(str(error), user_loc())
    return error


def _tape(root: Tensor) -> list[_Record]:
    """The records that `root` depends on, in topological order."""
    order: list[_Record] = []
    seen: set[int] = set()
    stack: list[tuple[Tensor, bool]] = [(root, False)]
    while stack:
        tensor, done = stack.pop()
        node = tensor._node  # pyright: ignore[reportPrivateUsage]
        if node is None or (not done and id(tensor) in seen):
            continue
        if done:
            order.append(_Record(node.op, node.inputs, tensor, node.attrs))
            continue
        seen.add(id(tensor))
        for operand, version in zip(node.inputs, node.versions, strict=True):
            if operand._version != version:  # pyright: ignore[reportPrivateUsage]
                raise TinyTorchError(f"backward: an operand of {node.op.name} was changed in place since", user_loc())
        stack.append((tensor, True))
        stack.extend((operand, False) for operand in node.inputs if operand.requires_grad)
    return order


def _freed(ct: Any, applied: Any, index: int) -> Any:
    raise TinyTorchError(
        "backward: the tape has been freed by an earlier backward(); pass retain_graph=True", user_loc()
    )


def _leaf_gradients(root: Tensor, seed: Tensor, retain: bool, record: bool) -> list[tuple[Tensor, Tensor]]:
    """(leaf, cotangent) for every leaf that `root` depends on."""
    tape = _tape(root)
    cotangents = cotangents_of(tape, root, seed, record)
    leaves = {id(x): x for r in tape for x in r.inputs if x.requires_grad and x.is_leaf}
    if root.is_leaf:
        leaves[id(root)] = root
    if not retain:
        for r in tape:
            r.output._node = _FREED  # pyright: ignore[reportPrivateUsage]
    return [(leaf, cotangents[key]) for key, leaf in leaves.items() if key in cotangents]


def cotangents_of(tape: Sequence[Any], root: Tensor, seed: Tensor, record: bool) -> dict[Any, Tensor]:
    """Cotangents by tensor identity; `record` puts their computation on the tape too."""
    cotangents: dict[Any, Tensor] = {id(root): seed}
    before, mode.grad = mode.grad, record
    try:
        pullback(tape, cotangents, active=lambda x: x.requires_grad, key=id)
    finally:
        mode.grad = before
    return cotangents


def tape_of(root: Tensor) -> Sequence[Any]:
    """The records that `root` was computed by, in order."""
    return _tape(root)


def _freed_node() -> _TapeNode:
    """What stands in the place of a node that backward() freed. Its operand makes the walk call its rule."""
    op = Op("freed", "elementwise", "Was freed.", lambda x: x, lambda x: x, _freed, lambda t, o, a: 0)
    operand = Tensor.wrap(np.zeros(()))
    operand.requires_grad = True
    return _TapeNode(op, (operand,), {}, (0,))


_FREED = _freed_node()


def from_numpy(array: Array) -> Tensor:
    """A tensor that shares the memory of `array`; ShapeError if the dtype is not supported."""
    if dtype_of(array.dtype).numpy != array.dtype:
        raise ShapeError(
            f"from_numpy: byte order {array.dtype.byteorder!r} cannot be shared; use Tensor(array)", user_loc()
        )
    tensor = Tensor.wrap(np.asarray(array))  # subclasses have operators of their own
    if mode.trace is not None:
        mode.trace.created(tensor)
    return tensor


def from_dlpack(source: Any) -> Tensor:
    """A tensor that shares the memory of an object with `__dlpack__`."""
    return from_numpy(np.from_dlpack(source))

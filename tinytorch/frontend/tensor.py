"""Module 01: the tensor. Eager on numpy, recorded on a tape for gradients, or traced into a graph."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, Self, cast

import numpy as np

from tinytorch.frontend.inplace import InPlace
from tinytorch.frontend.mode import Consumed, mode
from tinytorch.frontend.storage import (
    Alias,
    Storage,
    alias_of,
    base_of,
    cut_alias,
    is_cut,
    known_storage,
    layout_of,
    owner,
    put,
    show,
    storage_of,
    version_of,
)
from tinytorch.frontend.tape import Operand, Record, TapeNode, records
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError, TinyTorchError, TraceError
from tinytorch.ir.indexing import array_index, assign, basic_index
from tinytorch.ir.loc import user_loc
from tinytorch.ir.masks import index_arrays
from tinytorch.ir.op import Array, Attrs, Op
from tinytorch.ir.ops.core import array_as
from tinytorch.ir.promotion import normalize_axis
from tinytorch.ir.reference import refuse_new_nans
from tinytorch.ir.types import TensorType, bool_, dtype_of, f32, f64, i32, i64, type_of
from tinytorch.ir.vjp import pullback


class Tensor(InPlace):
    """An n-dimensional array of one dtype.

    `data` is anything numpy can make an array of; it is copied (`from_numpy` shares instead). Python floats become
    f32, Python integers i64, arrays keep their dtype. With `requires_grad`, `backward()` leaves d(loss)/d(self) in
    `grad`. Raises ShapeError for dtypes that are not supported.
    """

    __slots__ = ("_data", "_storage", "_alias", "_expr", "_grad", "_node", "_requires_grad", "name", "__weakref__")  # noqa: RUF023 (`_data` first: native code reads it at a fixed offset)

    _data: Array
    name: str

    def __init__(self, data: Any, requires_grad: bool = False, dtype: object = None) -> None:
        self._set_up(as_array(data, dtype, copy=True))
        if mode.trace is not None:
            mode.trace.created(self, data if isinstance(data, np.ndarray) and data.dtype == self._data.dtype else None)
        if requires_grad:
            self.requires_grad_()

    def _set_up(self, data: Any, expr: Any = None) -> None:
        self._data = data
        self._storage: Storage | None = None
        self._alias: Alias[Tensor] | None = None
        self._expr = expr
        self._grad: Tensor | Consumed | None = None
        self._node: TapeNode | None = None
        self._requires_grad = False
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

    def array_operand(self, array: Array) -> Any:
        trace = mode.trace
        return super().array_operand(array) if trace is None else trace.array(array)

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
        return self._shown("reading .data")

    @data.setter
    def data(self, value: Any) -> None:
        if mode.trace is not None or isinstance(value, Tensor):
            with_history, mode.grad = mode.grad, False
            try:
                self.copy_(value)
            finally:
                mode.grad = with_history
            return
        array = as_array(value, self.dtype)
        if array.shape != self.shape:
            raise ShapeError(f"data: {list(array.shape)} does not fit a tensor of {self.type}", user_loc())
        self.replace_storage(array)

    def replace_storage(self, array: Array) -> None:
        """Lie in other memory from now on, that of `array`; views keep the old one."""
        self._data, self._alias = array, None
        self._storage = known_storage(array) or Storage(version_of(self) + 1)

    def _shown(self, what: str) -> Array:
        """The array, for code that may keep it."""
        array = self._concrete(what)
        show(array, storage_of(self))
        return array

    def numpy(self) -> Array:
        """The numpy array that holds the values (shared, not copied)."""
        return self._shown("numpy()")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self._shown("conversion to a numpy array"), dtype=dtype, copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        return self._shown("DLPack export").__dlpack__(**options)

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
        """The elements in row-major order: the tensor itself if they are."""
        return self if self.is_contiguous() else self.clone()

    def is_contiguous(self) -> bool:
        return layout_of(self).flags.c_contiguous

    def clone(self) -> Self:
        return self._apply(ops.core.copy)

    def view(self, *shape: Any) -> Self:
        """`reshape` in the same memory; ShapeError where no strides express that, as of a transposed matrix."""
        out = self.reshape(*shape)
        try:
            np.reshape(layout_of(self), out.shape, copy=False)
        except ValueError:
            raise ShapeError(
                f"view: the elements of {self.type} do not lie in memory as {list(out.shape)} needs them; use "
                "reshape(), which copies",
                user_loc(),
            ) from None
        return out

    def flip(self, *dims: Any) -> Self:
        """A copy with the order along `dims` reversed; `x[::-1]` is a view."""
        return super().flip(*dims).clone()

    # Indexing.
    def __getitem__(self, index: Any) -> Self:
        items = index if isinstance(index, tuple) else (index,)
        if _PLAIN.issuperset(map(type, items)) or not any(isinstance(i, _ARRAYS) for i in items):
            return basic_index(self, items)
        return array_index(*index_arrays(self, items, _mask_values))

    def __setitem__(self, index: Any, value: Any) -> None:
        """Overwrite the elements that `index` names, as `copy_` does."""
        self._writable("item assignment")
        new = self._like(value)
        items = index if isinstance(index, tuple) else (index,)
        if mode.trace is None and not self._recorded(self, new) and not _numbers_beside_arrays(items):
            self._data[_plain_index(index)] = new.cast(self.dtype)._data
            self.touch()
            return
        if any(map(_is_unknown_mask, items)):
            self._become(assign(self, items, new))
        else:
            base, parts = index_arrays(self, items, _mask_values)
            self._become(assign(base, parts, new).reshape(self.shape))

    def index_select(self, dim: int, index: Any) -> Self:
        """What the integers of the vector `index` name along `dim`, counted from the end where they are negative."""
        chosen = self._like(index)
        if chosen.ndim > 1 or chosen.dtype.kind not in ("int", "uint"):
            raise ShapeError(f"index_select: index is a vector of integers, got {chosen.type}", user_loc())
        x = self if self.ndim else self.reshape((1,))
        axis = normalize_axis("index_select", dim, x.ndim)
        out = x[(slice(None),) * axis + (chosen.reshape((chosen.numel(),)),)]
        return out if self.ndim else out.reshape(())

    # Changing the storage.
    def touch(self) -> None:
        """Note that the storage was written to: a tape that needs the old values will say so."""
        storage_of(self).version += 1

    def _writable(self, what: str) -> None:
        root = self if self._alias is None or self._alias.cut else self._alias.base
        if mode.grad and root.requires_grad and root.is_leaf:
            raise TinyTorchError(f"{what} on a leaf that requires grad; do it under tt.no_grad()", user_loc())
        if self._expr is None and not self._data.flags.writeable:
            raise TinyTorchError(f"{what}: the storage of this tensor is read-only", user_loc())

    def _recorded(self, *operands: Any) -> bool:
        return mode.grad and any(isinstance(x, Tensor) and x.requires_grad for x in operands)

    def _become(self, value: Any) -> Self:
        if mode.trace is not None:
            mode.trace.update(self, value)
            return self
        node = self._new_history(value) if self._recorded(self, value) else None
        np.copyto(self._data, value._data)
        self.touch()
        if node is not None:
            node.version = version_of(self)
        return self

    def _new_history(self, value: Tensor) -> TapeNode:
        """Give the tensor, or what it is a view of, the history of `value` put into its place."""
        base, steps = base_of(self)
        whole = put(steps, base, value)
        if whole._node is None:  # a constant, but no leaf
            _record(ops.core.copy, (value,), {}, whole)
        base._node, base._requires_grad = whole._node, True
        return cast(TapeNode, whole._node)

    # Gradients.
    @property
    def requires_grad(self) -> bool:
        """Whether gradients are recorded of what is computed from this tensor."""
        if self._alias is not None:
            self._refresh()
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def _refresh(self) -> None:
        """Follow the tensor that this is a view of, if that has got another history."""
        alias = self._alias
        if alias is None or alias.cut:
            return
        if self._expr is not None:
            if mode.trace is not None:
                mode.trace.refresh(self)
        elif alias.base._node is not alias.seen and alias.base._storage is self._storage:
            view, recording = alias.base, mode.grad
            mode.grad = True
            try:
                for op, attrs in alias.steps:
                    view = _eager(op, (view,), attrs)
            finally:
                mode.grad = recording
            self._node, self._requires_grad, alias.seen = view._node, view._requires_grad, alias.base._node

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Have gradients recorded of this leaf from now on, or no more; a view is then a leaf of its own."""
        if requires_grad and not self.dtype.is_float:
            raise ShapeError(f"only float tensors have gradients, got {self.type}", user_loc())
        if requires_grad is self.requires_grad:
            return self
        if not requires_grad and not self.is_leaf:
            raise TinyTorchError("requires_grad_: only leaves can stop requiring grad; use detach()", user_loc())
        if mode.trace is not None:
            mode.trace.differentiate(self, requires_grad)
            return self
        if self._alias is not None and not self._alias.cut:
            self._alias = cut_alias(self)
        self._requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether it was not computed from tensors that require grad."""
        if self._expr is not None:
            return not self.requires_grad or (mode.trace is not None and mode.trace.is_leaf(self))
        return history_of(self) is None

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward()` left, or None."""
        grad = self._grad if mode.trace is None else mode.trace.read_grad(self)
        if isinstance(grad, Consumed):
            raise TinyTorchError(
                "the compiled step used this gradient up in optimizer.step() without keeping it; call zero_grad() "
                "before backward(), or return the gradient from the compiled function",
                user_loc(),
            )
        return grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None and value.type != self.type:
            raise ShapeError(f"grad: {value.type} does not fit {self.type}", user_loc())
        if mode.trace is not None:
            mode.trace.write_grad(self, value)
        else:
            self._grad = value

    def clear_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradient or, if there is one and `set_to_none` is False, make it zeros."""
        if set_to_none:
            self.grad = None
            return
        known = self._grad if mode.trace is None else mode.trace.read_grad(self)
        if known is None:
            return
        if isinstance(known, Consumed):
            self.grad = ops.core.zeros_like(self).clone()
        else:
            with_history, mode.grad = mode.grad, False
            try:
                known.zero_()
            finally:
                mode.grad = with_history

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
            mode.trace.backward(self, seed, retain_graph, create_graph)
            return
        for leaf, cotangent in _leaf_gradients(self, seed, retain_graph or create_graph, create_graph):
            leaf.accumulate_grad(cotangent)

    def accumulate_grad(self, cotangent: Tensor) -> None:
        """Add to `grad`, in its memory unless gradients of gradients are wanted. A new one has memory of its own."""
        known = self.grad
        if known is None:
            self.grad = cotangent if cotangent._expr is not None else cotangent.clone()
        elif cotangent.requires_grad or known.requires_grad:
            self.grad = known + cotangent
        else:
            known.add_(cotangent)

    def use_grad(self) -> Tensor | None:
        """`grad`, for an optimizer's step: a compiled step then does not keep it in memory."""
        grad = self.grad
        if mode.trace is not None:
            mode.trace.use_grad(self)
        return grad

    def retain_grad(self) -> None:
        raise TinyTorchError("gradients of intermediate tensors come from tt.grad", user_loc())


_PLAIN = {slice, int, type(None), type(...)}  # what indices mostly are
_ARRAYS = (Tensor, np.ndarray, list, bool, np.bool_)


def history_of(tensor: Tensor) -> TapeNode | None:
    """The node that made the values, None for a leaf."""
    tensor._refresh()
    return tensor._node


class _Past(Tensor):
    """A tensor as an op met it, though it has been changed since; its values are there only if that left them."""

    __slots__ = ("_met", "_op")

    def __init__(self, met: Operand, op: Op) -> None:
        Tensor._set_up(self, None)
        self._met, self._op = met, op
        self._node, self._requires_grad = met.node, met.requires_grad

    @property
    def _data(self) -> Array:
        if version_of(self._met.tensor) != self._met.version:
            raise TinyTorchError(f"backward: an operand of {self._op.name} was changed in place since", user_loc())
        return self._met.tensor._data

    @_data.setter
    def _data(self, value: Array) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        assert value is None

    @property
    def type(self) -> TensorType:
        return self._met.tensor.type

    @property
    def shape(self) -> tuple[int, ...]:
        return self._met.tensor.shape


def _as_met(met: Operand, op: Op) -> Tensor:
    tensor: Tensor = met.tensor
    same = tensor._node is met.node and tensor._requires_grad is met.requires_grad
    return tensor if same and version_of(tensor) == met.version else _Past(met, op)


def leaf_of(tensor: Tensor) -> Tensor:
    """The tensor itself, whatever has happened to its values."""
    return tensor._met.tensor if isinstance(tensor, _Past) else tensor


def key_of(tensor: Tensor) -> int:
    """What names a value on the tape: the node that made it, or the leaf."""
    node = history_of(tensor)
    return id(leaf_of(tensor) if node is None else node)


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


def _numbers_beside_arrays(items: tuple[Any, ...]) -> bool:
    """Whether numpy may put the axes of index arrays elsewhere than PyTorch, since it takes integers for arrays."""
    ranks = [
        i.ndim if isinstance(i, Tensor) else np.ndim(i) for i in items if isinstance(i, (Tensor, np.ndarray, list))
    ]
    plain = any(isinstance(i, (int, np.integer)) for i in items)
    return any(ranks) and (plain or not all(ranks)) and any(i is None or i is ... or type(i) is slice for i in items)


def _mask_values(mask: Tensor) -> Array:
    return mask._concrete("a boolean mask (its result has no static shape)")


def _is_unknown_mask(item: Any) -> bool:
    """Whether an index is a mask whose values are only known when the graph runs."""
    trace = mode.trace
    if trace is None or not isinstance(item, Tensor) or item.dtype != bool_:
        return False
    return item._expr is not None or trace.holds(item)


def _eager(op: Op, operands: Sequence[Tensor], attrs: Attrs) -> Tensor:
    """Evaluate on numpy and, where a gradient may be asked for, record."""
    for o in operands:
        if o._expr is not None:
            raise TraceError("a value of a trace is used after it; return it from the compiled function", user_loc())
    is_view = op.put is not None
    if is_view and operands[0]._storage is None and not operands[0]._data.flags.c_contiguous:
        operands[0]._data = np.ascontiguousarray(operands[0]._data)  # so results share memory as in a graph
    arrays = [o._data for o in operands]
    try:
        op.result_types([o.type for o in operands], attrs)
        if is_view:
            result = op.eval(*arrays, **attrs)
        else:
            with np.errstate(all="ignore"):
                result = (op.fast or op.eval)(*arrays, **attrs)
    except (ShapeError, IndexError) as error:
        raise located(error) from None
    if not is_view and wants_nan_checks():
        refuse_new_nans(op, arrays, result, user_loc())
    out = Tensor.wrap(result if isinstance(result, np.ndarray) else np.asarray(result))
    if is_view and owner(out._data) is owner(arrays[0]):
        out._storage = storage_of(operands[0])
        out._alias = cut_alias(operands[0]) if is_cut(op) else alias_of(operands[0], op, attrs)
    if mode.grad and op is not ops.core.detach and _any_requires_grad(operands):
        _record(op, operands, attrs, out)
    return out


def _any_requires_grad(tensors: Sequence[Tensor]) -> bool:
    for tensor in tensors:  # noqa: SIM110 (a generator costs more than the rest)
        # Only views have to look at what they are views of.
        if tensor._requires_grad if tensor._alias is None else tensor.requires_grad:
            return True
    return False


def _record(op: Op, operands: Sequence[Tensor], attrs: Attrs, out: Tensor) -> None:
    """Put the making of `out` on the tape."""
    met = tuple(Operand(o, history_of(o), storage_of(o).version, o._requires_grad) for o in operands)
    out._node = TapeNode(op, met, attrs, storage_of(out).version)
    out._requires_grad = out.dtype.is_float


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


def tape_of(root: Tensor) -> list[Record]:
    """The records that `root` was computed by, in order."""
    return records(Operand(root, history_of(root), version_of(root), True), _as_met)


def _leaf_gradients(root: Tensor, seed: Tensor, retain: bool, record: bool) -> list[tuple[Tensor, Tensor]]:
    """(leaf, cotangent) for every leaf that `root` depends on."""
    tape = tape_of(root)
    cotangents: dict[Any, Tensor] = {key_of(root): seed}
    before, mode.grad = mode.grad, record
    try:
        pullback(tape, cotangents, active=lambda x: x.requires_grad, key=key_of)
    finally:
        mode.grad = before
    leaves = {key_of(x): leaf_of(x) for r in tape for x in r.inputs if x.requires_grad and x.is_leaf}
    if root.is_leaf:
        leaves[key_of(root)] = root
    if not retain:
        for r in tape:
            r.node.free()
    return [(leaf, cotangents[key]) for key, leaf in leaves.items() if key in cotangents]


def over(array: Array) -> Tensor:
    """A tensor in the memory of `array`, of any byte order."""
    tensor = Tensor.wrap(np.asarray(array))  # subclasses have operators of their own
    tensor._storage = known_storage(array) or Storage()
    return tensor


def from_numpy(array: Array) -> Tensor:
    """A tensor that shares the memory of `array`; ShapeError if the dtype is not supported."""
    if dtype_of(array.dtype).numpy != array.dtype:
        raise ShapeError(
            f"from_numpy: byte order {array.dtype.byteorder!r} cannot be shared; use Tensor(array)", user_loc()
        )
    tensor = over(array)
    show(array, storage_of(tensor))
    if mode.trace is not None:
        mode.trace.created(tensor, array)
    return tensor


def from_dlpack(source: Any) -> Tensor:
    """A tensor that shares the memory of an object with `__dlpack__`."""
    return from_numpy(np.from_dlpack(source))

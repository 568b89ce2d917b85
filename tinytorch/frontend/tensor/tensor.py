"""Module 01: the tensor. Eager on numpy, recorded on a tape for gradients, or traced into a graph."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np

from tinytorch.frontend.arguments import ArgumentMemoryError, wrong_type
from tinytorch.frontend.tensor import kernels
from tinytorch.frontend.tensor.conversions import as_array
from tinytorch.frontend.tensor.gradient_hooks import GradientHook, Keep, apply_hooks
from tinytorch.frontend.tensor.indexing import Indexing
from tinytorch.frontend.tensor.mode import Consumed, mode
from tinytorch.frontend.tensor.printing import text_of
from tinytorch.frontend.tensor.results import Results, Several, apart
from tinytorch.frontend.tensor.storage import (
    Alias,
    Storage,
    alias_of,
    base_of,
    cut_alias,
    is_cut,
    known_storage,
    layout_of,
    memory_of,
    owner,
    put,
    show,
    storage_of,
    version_of,
)
from tinytorch.frontend.tensor.table_methods import TableMethods
from tinytorch.frontend.tensor.tape import Record, TapeInput, TapeNode, data_as_met, hooked, records
from tinytorch.ir import ops
from tinytorch.ir.errors import RangeError, ShapeError, TinyTorchError, TraceError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array, Attrs, Op
from tinytorch.ir.reference import refuse_new_nans
from tinytorch.ir.types import DType, Shape, TensorType, bool_, dtype_of, f32, i64, type_of
from tinytorch.ir.vjp import pullback


@dataclass(frozen=True)
class GradientFunction:
    """The op whose derivative comes next in `backward()`, by its name."""

    name: str

    def __repr__(self) -> str:
        return f"<{''.join(part.capitalize() for part in self.name.split('_'))}Backward>"


class Tensor(Indexing, TableMethods):
    """An n-dimensional array of one dtype.

    `data` is anything numpy can make an array of; it is copied (`from_numpy` shares instead). Python floats become
    f32, Python integers i64, arrays keep their dtype. With `requires_grad`, `backward()` leaves d(loss)/d(self) in
    `grad`. Raises ShapeError for dtypes that are not supported.
    """

    __slots__ = (  # noqa: RUF023 (`_data` first: native code reads it at a fixed offset)
        "_data", "_storage", "_alias", "_expr", "_grad", "_node", "_requires_grad", "name", "_hooks", "_view",
        "__weakref__",
    )  # fmt: skip

    _data: Array
    name: str

    def __init__(self, data: Any, requires_grad: bool = False, dtype: object = None) -> None:
        if not isinstance(requires_grad, (bool, np.bool_)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TinyTorchError(
                f"Tensor({data!r}, {requires_grad!r}): the second argument is requires_grad, True or False; for a "
                "tensor of a shape use tt.zeros(…) or tt.empty(…), for several numbers a list",
                user_loc(),
            )
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
        self._hooks: list[Callable[[Any], Any]] | None = None  # of a leaf
        self._view = None
        self.name = ""

    @classmethod
    def wrap(cls, array: Array, expr: Any = None) -> Tensor:
        """A tensor over `array` itself; or over a traced expression, without an array."""
        tensor = Tensor.__new__(Tensor)
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

    def repeated(self, shape: Shape) -> Any:
        if mode.trace is not None or self._expr is not None:
            return self.broadcast_to(shape)
        return Tensor.wrap(ops.view.repeated(self._data, shape))

    def array_operand(self, array: Array) -> Any:
        trace = mode.trace
        return super().array_operand(array) if trace is None else trace.array(array)

    # As an index.
    def as_position(self) -> Self | None:
        trace = mode.trace
        known = trace is None or (self._expr is None and not trace.holds(self))
        return None if known else super().as_position()

    def known_difference(self, other: Any) -> int | None:
        trace = mode.trace
        return None if trace is None else trace.lift(self).known_difference(trace.lift(other))

    # As Python objects.
    def __repr__(self) -> str:
        if self._expr is not None:
            return f"Tensor(traced {self.type})"
        notes = [] if self.dtype in (f32, i64, bool_) else [f"dtype={self.dtype}"]
        if not self.numel() and self.shape != (0,):
            notes.insert(0, f"size={self.shape}")
        if self.grad_fn is not None:
            notes.append(f"grad_fn={self.grad_fn}")
        elif self.requires_grad:
            notes.append("requires_grad=True")
        return f"tensor({', '.join([text_of(self._data, len('tensor(')), *notes])})"

    def __str__(self) -> str:
        if self._expr is not None or (mode.trace is not None and mode.trace.holds(self)):
            warnings.warn(
                f"a tensor of {self.type} is printed while the function is traced, when it has no values yet; calls of "
                "the compiled function print nothing. Return it, or call the function without compiling",
                RuntimeWarning,
                stacklevel=2,
            )
        return repr(self)

    @property
    def grad_fn(self) -> GradientFunction | None:
        """What made the values, if gradients flow through it; None for a leaf."""
        node = None if self._expr is not None else history_of(self)
        return None if node is None or not self.requires_grad else GradientFunction(node.op.name)

    def __deepcopy__(self, memo: Any) -> Tensor:
        twin = type(self)(self._concrete("deepcopy").copy(), self.requires_grad)
        twin.name = self.name
        return twin

    def __reduce__(self) -> Any:
        return type(self), (self._concrete("pickling"), self.requires_grad)

    # Copies and views.
    def contiguous(self) -> Self:
        """The elements in row-major order: the tensor itself if they are."""
        return self if self.is_contiguous() else self.clone()

    def clone(self) -> Self:
        """A copy in memory of its own, through which gradients flow."""
        return self._apply(ops.core.copy)

    def _again(self) -> Self:
        """Another tensor in the same memory: what a view is that changes nothing."""
        return self._apply(ops.view.reshape, shape=self.shape)

    def reshape(self, *sizes: Any, shape: Sequence[int] | None = None) -> Self:
        """The elements in row-major order under `shape`, of which one dimension may be -1: a view where strides can
        express that, else a copy."""
        out = super().reshape(*sizes, shape=shape)
        return self._again() if out is self else out

    def expand(self, *sizes: Any, size: Sequence[int] | None = None) -> Self:
        """A view in which axes of size 1, and new ones in front, are repeated; -1 keeps an axis."""
        out = super().expand(*sizes, size=size)
        return self._again() if out is self else out

    def t(self) -> Self:
        """The transpose of a matrix; vectors and single elements as they are."""
        out = super().t()
        return self._again() if out is self else out

    def narrow(self, dim: int, start: Any, length: int) -> Self:
        """`length` elements along `dim` from `start` on, a view: a number, or a tensor of one integer, counted from the
        end if negative. IndexError where they do not lie in the axis."""
        out = super().narrow(dim, start, length)
        return self._again() if out is self else out

    def view(self, *shape: Any) -> Self:
        """`reshape` in the same memory; ShapeError where no strides express that, as of a transposed matrix."""
        if shape and isinstance(shape[0], DType):
            raise TinyTorchError(f"view: bits are not read as another dtype; to({shape[0]}) converts", user_loc())
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

    def flip(self, *axes: Any, dims: Sequence[int] | int | None = None) -> Self:
        """A copy with the order along `dims` reversed; `x[::-1]` is a view."""
        return super().flip(*axes, dims=dims).clone()

    # Changing the storage.
    def _writable(self, what: str) -> None:
        root = self if self._alias is None or self._alias.cut else self._alias.base
        if mode.grad and root.requires_grad and root.is_leaf:
            raise TinyTorchError(f"{what} on a leaf that requires grad; do it under tt.no_grad()", user_loc())
        if self._expr is None and not self._data.flags.writeable:
            raise TinyTorchError(f"{what}: the storage of this tensor is read-only", user_loc())
        if mode.written is not None and mode.trace is None:
            base, _ = memory_of(self)
            mode.written.setdefault(id(base), (base, base._data.copy()))

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
                for op, attrs, others in alias.steps:
                    view = _eager(op, (view, *others), attrs)
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

    def register_hook(self, hook: Callable[[Any], Any]) -> GradientHook:
        """Call `hook(gradient)` when `backward()` has the gradient of this tensor; what it returns, if not None, takes
        the gradient's place. Eagerly only: TraceError in a compiled function. The handle removes it."""
        if mode.trace is not None:
            raise TraceError("hooks of gradients run in eager mode only; do this outside of tt.compile", user_loc())
        if not self.requires_grad:
            raise TinyTorchError("register_hook: this tensor does not require grad", user_loc())
        node = history_of(self)
        if node is None:
            self._hooks = self._hooks or []
            found = self._hooks
        else:
            base = node if node.of is None else node.of
            base.hooks = base.hooks or {}
            found = base.hooks.setdefault(node.key, [])
        found.append(hook)
        return GradientHook(found, hook)

    def retain_grad(self) -> None:
        """Have `backward()` leave the gradient of this tensor in `grad`, though it is no leaf."""
        if not self.is_leaf:
            self.register_hook(Keep(self))


def history_of(tensor: Tensor) -> TapeNode | None:
    """The node that made the values, None for a leaf."""
    tensor._refresh()
    return tensor._node


class _Past(Tensor):
    """A tensor as an op met it, though it has been changed since; its values are there only if that left them."""

    __slots__ = ("_met", "_op")

    def __init__(self, met: TapeInput, op: Op) -> None:
        Tensor._set_up(self, None)
        self._met, self._op = met, op
        self._node, self._requires_grad = met.node, met.requires_grad

    @property
    def _data(self) -> Array:
        return data_as_met(self._met, self._op)

    @_data.setter
    def _data(self, value: Array) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        assert value is None

    @property
    def type(self) -> TensorType:
        return self._met.tensor.type

    @property
    def shape(self) -> tuple[int, ...]:
        return self._met.tensor.shape


def _as_met(met: TapeInput, op: Op) -> Tensor:
    tensor: Tensor = met.tensor
    same = tensor._node is met.node and tensor._requires_grad is met.requires_grad
    return tensor if same and version_of(tensor) == met.version else _Past(met, op)


def leaf_of(tensor: Tensor) -> Tensor:
    """The tensor itself, whatever has happened to its values."""
    return tensor._met.tensor if isinstance(tensor, _Past) else tensor


def key_of(tensor: Tensor) -> Hashable:
    """What names a value on the tape: the node that made it, or the leaf."""
    node = history_of(tensor)
    return id(leaf_of(tensor)) if node is None else node.key


def _eager(op: Op, operands: Sequence[Tensor], attrs: Attrs) -> Any:
    """Evaluate on numpy and, where a gradient may be asked for, record."""
    for o in operands:
        if o._expr is not None:
            raise TraceError("a value of a trace is used after it; return it from the compiled function", user_loc())
    is_view = op.put is not None
    if is_view and operands[0]._storage is None and not operands[0]._data.flags.c_contiguous:
        operands[0]._data = np.ascontiguousarray(operands[0]._data)  # so results share memory as in a graph
    arrays = [o._data for o in operands]
    types = [o.type for o in operands]
    try:
        made = op.result_types(types, attrs)
        if is_view:
            result = op.eval(*arrays, **attrs)
        elif op.results > 1:
            return _several(op, operands, arrays, types, made, attrs)
        elif (found := _kernel_results(op, arrays, types, made, attrs)) is not None:
            (result,) = found
        else:
            run = op.eval if mode.reference or op.fast is None else op.fast
            assert not isinstance(run, tuple)
            with np.errstate(all="ignore"):
                result = run(*arrays, **attrs)
    except MemoryError:
        sizes = ", ".join(map(str, op.result_types(types, attrs)))
        raise ArgumentMemoryError(f"{op.name}: {sizes} does not fit into memory", user_loc()) from None
    except (ShapeError, IndexError) as error:
        raise located(error, "" if op.kind == "elementwise" else f"{op.name}: ") from None
    if not is_view and wants_nan_checks():
        refuse_new_nans(op, arrays, [np.asarray(result)], user_loc())
    out = Tensor.wrap(result if isinstance(result, np.ndarray) else np.asarray(result))
    if is_view and owner(out._data) is owner(arrays[0]):
        out._storage = storage_of(operands[0])
        out._alias = cut_alias(operands[0]) if is_cut(op) else alias_of(operands[0], op, attrs)
    if mode.grad and op is not ops.core.detach and _any_requires_grad(operands):
        _record(op, operands, attrs, out)
    return out


def _kernel_results(
    op: Op, arrays: Sequence[Array], types: Sequence[TensorType], made: Sequence[TensorType], attrs: Attrs
) -> Sequence[Array] | None:
    """What a kernel gives, where there is enough to do that one may pay; else None."""
    handed = kernels.slot.handed
    if handed is None or not (kernels.large(arrays) or kernels.large(made)) or mode.reference:
        return None
    return handed.results(op, arrays, types, attrs)


def at_once(cts: Sequence[Tensor | None], record: Record, indices: tuple[int, ...]) -> Sequence[Tensor | None] | None:
    """The cotangents of these operands, if a kernel gives them; gradients of gradients need the rules."""
    handed = kernels.slot.handed
    if handed is None or mode.grad or mode.reference or not kernels.large([x.type for x in record.inputs]):
        return None
    return handed.cotangents(cts, record, indices)


def _any_requires_grad(tensors: Sequence[Tensor]) -> bool:
    for tensor in tensors:  # noqa: SIM110 (a generator costs more than the rest)
        # Only views have to look at what they are views of.
        if tensor._requires_grad if tensor._alias is None else tensor.requires_grad:
            return True
    return False


def _record(op: Op, operands: Sequence[Tensor], attrs: Attrs, out: Tensor) -> None:
    """Put the making of `out` on the tape."""
    out._node = TapeNode(op, _met(operands), attrs, storage_of(out).version)
    out._requires_grad = out.dtype.is_float


def _met(operands: Sequence[Tensor]) -> tuple[TapeInput, ...]:
    """Tensors as an op meets them."""
    return tuple(TapeInput(o, history_of(o), storage_of(o).version, o._requires_grad) for o in operands)


def _several(
    op: Op,
    operands: Sequence[Tensor],
    arrays: Sequence[Array],
    types: Sequence[TensorType],
    expected: Sequence[TensorType],
    attrs: Attrs,
) -> Sequence[Tensor]:
    """`_eager` for an op with several results, which it may give one by one."""
    made: list[Tensor | None] = [None] * op.results
    if mode.reference or not isinstance(op.fast, tuple):
        found = _kernel_results(op, arrays, types, expected, attrs)
        if found is None:
            evaluate = op.evaluate if mode.reference else op.evaluate_fast
            with np.errstate(all="ignore"):
                found = apart(evaluate(arrays, attrs), arrays)
        made = [Tensor.wrap(a) for a in found]
    results = Results(op, _met(operands), attrs, made, Tensor.wrap)
    recorded = mode.grad and _any_requires_grad(operands)
    node = TapeNode(op, results.operands, attrs, results=results) if recorded else None
    several = Several(results, node, wants_nan_checks())
    return several if isinstance(op.fast, tuple) else tuple(several)


def wants_nan_checks() -> bool:
    """Whether TT_NANS=1 asks that the op which makes the first NaN raise an error."""
    return os.environ.get("TT_NANS") == "1"


def located(error: Exception, start: str) -> Exception:
    """`error` with the user's line, if it is a ShapeError that has none yet, or an IndexError, behind `start`."""
    if isinstance(error, IndexError):
        return RangeError(f"{start}{error}", user_loc())
    if isinstance(error, ShapeError) and error.loc is None:
        return ShapeError(str(error), user_loc())
    return error


def tape_of(root: Tensor) -> list[Record]:
    """The records that `root` was computed by, in order."""
    return records(TapeInput(root, history_of(root), version_of(root), True), _as_met)


def _leaf_gradients(root: Tensor, seed: Tensor, retain: bool, record: bool) -> list[tuple[Tensor, Tensor]]:
    """(leaf, cotangent) for every leaf that `root` depends on."""
    tape = tape_of(root)
    cotangents: dict[Any, Tensor] = {key_of(root): seed}
    before, mode.grad = mode.grad, record
    try:
        enter = hooked(tape, cotangents)
        pullback(tape, cotangents, active=lambda x: x.requires_grad, key=key_of, at_once=at_once, enter=enter)
    finally:
        mode.grad = before
    leaves = {key_of(x): leaf_of(x) for r in tape for x in r.inputs if x.requires_grad and x.is_leaf}
    if root.is_leaf:
        leaves[key_of(root)] = root
    apply_hooks({key: leaf._hooks or [] for key, leaf in leaves.items()}, leaves, cotangents)
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
    if not isinstance(array, (np.ndarray, np.generic)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise wrong_type("from_numpy", "array", "an array of numpy's", array)
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
    if not hasattr(source, "__dlpack__"):
        raise wrong_type("from_dlpack", "source", "an object with __dlpack__", source)
    return from_numpy(np.from_dlpack(source))

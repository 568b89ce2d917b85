# pyright: reportPrivateUsage=false
"""Memory that several tensors share: its version, and how a view lies in the tensor that it was taken from."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakValueDictionary

import numpy as np

from tinytorch.ir import ops
from tinytorch.ir.arrays.memory import owner
from tinytorch.ir.op import Array, Attrs, Op
from tinytorch.ir.types import Shape

# Views, one taken of the other: op, attributes, and the operands behind the first one, which only a trace has.
Steps = tuple[tuple[Op, Attrs, tuple[Any, ...]], ...]
_CUTS = (ops.core.detach, ops.core.custom_grad)  # the same memory, with a history of its own


class Stored(Protocol):
    """What storages ask of a tensor: its array, or the expression that it has in a trace, and where it lies."""

    _data: Array
    _expr: Any
    _storage: Storage | None
    _alias: Alias[Any] | None
    _node: Any

    @property
    def shape(self) -> Shape: ...
    @classmethod
    def wrap(cls, array: Array, expr: Any = None) -> Any: ...


T = TypeVar("T", bound=Stored)


class Storage:
    """The memory of a tensor and of its views. `version` is another number after every change.

    A tensor has none until something asks for its version or shares its memory; until the latter it is `private`, and
    its tensor may still be laid out anew. `permuted` is memory of a result in another order than PyTorch's, so `view`
    may have to copy.
    """

    __slots__ = ("__weakref__", "permuted", "private", "version")

    def __init__(self, version: int = 0, private: bool = False) -> None:
        self.version, self.private, self.permuted = version, private, False


class Alias(Generic[T]):
    """Where a tensor lies: `steps` (views) away from `base`, whose memory it shares.

    A view has no history of gradients but its base's: `seen` is the one that it was derived from. With `cut` (as of
    `detach`) it has a history of its own. A base is never a view. In a trace, `seen` is (the version of the memory, how
    often the base has got another history).
    """

    __slots__ = ("base", "cut", "seen", "steps")

    def __init__(self, base: T, steps: Steps, cut: bool, seen: Any = None) -> None:
        self.base = base
        self.steps = steps
        self.cut = cut
        self.seen = seen


def is_cut(op: Op) -> bool:
    """Whether a result in its operand's memory has a history of gradients of its own."""
    return op in _CUTS


def along(steps: Steps, x: Any) -> Any:
    """The view of `x`, in any world of operands."""
    for op, attrs, others in steps:
        x = x.apply_op(op, (x, *others), attrs)
    return x


def put(steps: Steps, base: Any, value: Any) -> Any:
    """`base` with `value` in the place of the view that `steps` lead to, in any world of operands."""
    if not steps:
        return value
    (op, attrs, others), rest = steps[0], steps[1:]
    inner = put(rest, base.apply_op(op, (base, *others), attrs), value) if rest else value
    assert op.put is not None
    return op.put(base, inner, *others, **attrs)


def depends_on_run(steps: Steps) -> bool:
    """Whether the views lead to a place that is known when the graph runs."""
    return any(others for _, _, others in steps)


def row_major(shape: Shape) -> Array:
    """An array of that layout without memory, to take views of."""
    strides = tuple(int(s) for s in np.cumprod([1, *reversed(shape[1:])])[::-1]) if shape else ()
    return np.lib.stride_tricks.as_strided(np.empty(1, np.uint8), shape, strides)


def is_view(op: Op, array: Array, attrs: Attrs) -> bool:
    """Whether a result of `op` lies in the memory of an operand laid out as `array`; a reshape may have to copy."""
    if op is not ops.view.reshape:
        return op.put is not None
    try:
        np.reshape(array, attrs["shape"], copy=False)
    except ValueError:
        return False
    return True


def version_of(tensor: Stored) -> int:
    """A number that is another one whenever the storage has been written to."""
    storage = tensor._storage
    return 0 if storage is None else storage.version


def storage_of(tensor: Stored) -> Storage:
    """The memory of a tensor, made known: whatever writes into it counts versions from now on, and it stays where it
    is."""
    settle(tensor)
    storage = counter_of(tensor)
    storage.private = False
    return storage


def counter_of(tensor: Stored) -> Storage:
    """The same for who asks for versions alone and shares no memory."""
    storage = tensor._storage
    if storage is None:
        storage = tensor._storage = Storage(private=True)
    return storage


def may_move(tensor: Stored) -> bool:
    """Whether nothing else knows where the tensor lies."""
    return tensor._storage is None or tensor._storage.private


def settle(tensor: Stored) -> None:
    """Have a tensor in row-major order if it may move: so are the results of ops for who looks, whatever numpy made of
    them, and views lie in them eagerly as in a graph."""
    if tensor._expr is None and not tensor._data.flags.c_contiguous and may_move(tensor):
        tensor._data = np.ascontiguousarray(tensor._data)


def base_of(tensor: T) -> tuple[T, Steps]:
    """The tensor whose history this one has, and the views that lead from it here."""
    alias = tensor._alias
    if alias is None or alias.cut or alias.base._storage is not tensor._storage:
        return tensor, ()
    return alias.base, alias.steps


def layout_of(tensor: Stored) -> Array:
    """An array that is laid out as the tensor; its values do not count."""
    alias = tensor._alias
    if tensor._expr is None and not may_move(tensor):
        return tensor._data
    if tensor._expr is None or alias is None:
        return row_major(tensor.shape)
    return _laid_along(layout_of(alias.base), alias.steps)


def _laid_along(array: Array, steps: Steps) -> Array:
    """How a view lies in what is laid out as `array`."""
    for op, attrs, others in steps:
        if others:  # a slice, wherever it begins
            op, attrs = ops.view.slice_, {name: attrs[name] for name in ("starts", "limits", "steps")}
        array = op.eval(array, **attrs)
    return array


def offset_of(tensor: Stored) -> int:
    """How many elements of the memory that a tensor shares lie before its own."""
    root, steps = memory_of(tensor)
    whole = layout_of(root)
    part = _laid_along(whole, steps)
    first, own = (array.__array_interface__["data"][0] for array in (whole, part))
    return (own - first) // whole.itemsize if part.size else 0


def memory_of(tensor: T, ends: Container[int] = ()) -> tuple[T, Steps]:
    """The tensor at the root of the memory, and the views that lead from it here. One whose id is in `ends` is a root
    itself."""
    base, steps = tensor, ()
    while (alias := base._alias) is not None and id(base) not in ends and alias.base._storage is base._storage:
        base, steps = alias.base, (*alias.steps, *steps)
    return base, steps


def alias_of(tensor: T, op: Op, attrs: Attrs, ends: Container[int] = (), others: tuple[Any, ...] = ()) -> Alias[T]:
    """Where a result of `op` in the memory of `tensor` lies; `ends` as for `memory_of`, `others` the operands behind
    the first."""
    if is_cut(op):
        return Alias(*memory_of(tensor, ends), cut=True)
    base, steps = (tensor, ()) if id(tensor) in ends else base_of(tensor)
    return Alias(base, (*steps, (op, attrs, others)), False, base._node)


def cut_alias(tensor: T) -> Alias[T]:
    """Where a tensor lies that shares the memory of `tensor`, but keeps nothing of its history alive: the root of
    memory that is shared so is a tensor that nobody else has."""
    base, steps = base_of(tensor)
    alias = base._alias
    if alias is None or alias.base._storage is not base._storage:
        storage = storage_of(base)
        bare = base.wrap(base._data)
        bare._storage = storage
        alias = base._alias = Alias(bare, (), cut=True)
    return Alias(alias.base, (*alias.steps, *steps), cut=True)


# Storages whose memory numpy code can reach, by the identity of the owner, so that arrays which come back are known.
_shown: WeakValueDictionary[int, Storage] = WeakValueDictionary()


def show(array: Array, storage: Storage) -> None:
    """Note that `array`, which lies in `storage`, is handed out."""
    _shown[id(owner(array))] = storage


def known_storage(array: Array) -> Storage | None:
    """The storage that an array from outside lies in, if it was handed out before."""
    return _shown.get(id(owner(array)))

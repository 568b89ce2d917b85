"""What joins tensors to Python and numpy: their arrays, numbers, dtypes; and arrays of what users pass."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self, cast

import numpy as np

from tinytorch.frontend.tensor.devices import device, require_cpu
from tinytorch.frontend.tensor.inplace import InPlace
from tinytorch.frontend.tensor.mode import mode
from tinytorch.frontend.tensor.storage import (
    Alias,
    Storage,
    known_storage,
    layout_of,
    offset_of,
    show,
    storage_of,
    version_of,
)
from tinytorch.ir.errors import ShapeError, TinyTorchError, TraceError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.operators.promotion import normalize_axis
from tinytorch.ir.ops.core import array_as, cast_array
from tinytorch.ir.ops.core import copy as _copy
from tinytorch.ir.types import DType, bf16, bool_, contiguous_strides, dtype_of, f16, f32, f64, i8, i32, i64, u8

_Device = device  # as a name inside of the class, `device` is the property
_HINTS = {"float()": ", or a function of Python's math (write x ** 0.5 for math.sqrt(x)),"}
_DEVICES = ("cpu", "cuda", "mps", "xpu", "gpu")


class Data(np.ndarray[Any, Any]):
    """The values of a tensor, as an array."""

    _kind: type[Conversions] | None = None

    def __array_finalize__(self, obj: Any) -> None:
        """Parts of the values, and what is computed of them, have the methods too: `p.data[0].zero_()`."""
        self._kind = getattr(obj, "_kind", None)

    def __getattr__(self, name: str) -> Any:
        if self._kind is None or name.startswith("__"):
            raise AttributeError(f"numpy.ndarray has no attribute {name!r}")
        tensor = self._kind.wrap(np.asarray(self))
        tensor._storage = known_storage(self) or Storage()
        return getattr(tensor, name)

    def __reduce__(self) -> Any:
        return np.asarray(self).__reduce__()


class Conversions(InPlace):
    """A tensor as numpy and Python see it. Subclasses have the slots."""

    __slots__ = ()

    _data: Array
    _expr: Any
    _storage: Storage | None
    _alias: Alias[Any] | None
    _view: tuple[Array, Data] | None  # what `data` showed last
    _node: Any

    @classmethod
    def wrap(cls, array: Array, expr: Any = None) -> Any:
        """A tensor over `array` itself; or over a traced expression, without an array."""
        raise TypeError(f"{cls.__name__} has no memory")

    # Values.
    def _is_traced(self) -> bool:
        """Whether the values are those of a trace, which has none yet."""
        return self._expr is not None or (mode.trace is not None and mode.trace.holds(self))

    def _concrete(self, what: str) -> Array:
        if self._is_traced():
            raise TraceError(
                f"{what}{_HINTS.get(what, '')} needs the value of a tensor that is being traced; keep it in tensors "
                "(tt.where for a choice), return it from the compiled function, or do this outside of it",
                user_loc(),
            )
        return self._data

    @property
    def data(self) -> Data:
        """The numpy array that holds the values (shared, not copied). It has the methods of tensors, too, as far as
        arrays have none of that name: `p.data.zero_()` changes the tensor without recording. Under tt.compile there is
        no array: there it is the tensor itself, without its history (`detach`)."""
        if self._is_traced():
            return cast("Any", self).detach()
        array = self._shown("reading .data")
        if self._view is None or self._view[0] is not array:
            view = array.view(Data)
            view._kind = type(self)
            self._view = array, view
        return self._view[1]

    @data.setter
    def data(self, value: Any) -> None:
        if mode.trace is not None or isinstance(value, Conversions):
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

    def lie_in(self, other: Any) -> None:
        """Lie in the memory of another tensor from now on, as its `detach()` does; views keep the old one."""
        if mode.trace is not None:
            raise TraceError("a tensor cannot move to other memory in a compiled function", user_loc())
        there = other.detach()
        storage = storage_of(there)
        self._data, self._storage, self._alias = there._data, storage, there._alias

    def touch(self) -> None:
        """Note that the storage was written to: a tape that needs the old values will say so."""
        storage_of(self).version += 1

    def _shown(self, what: str) -> Array:
        """The array, for code that may keep it."""
        self._concrete(what)
        storage = storage_of(self)
        show(self._data, storage)
        return self._data

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
        return self._only("item()")

    def _only(self, what: str, hint: str = "") -> Any:
        """The only element, as a Python number, for what needs it."""
        array = self._concrete(what)
        if array.size != 1:
            raise ShapeError(f"{what} needs one element, got {self.type}{hint}", user_loc())
        return array.item() if self.dtype.name != "bf16" else float(array.reshape(()))

    def tolist(self) -> Any:
        return self._concrete("tolist()").tolist()

    def __float__(self) -> float:
        return float(self._only("float()", "; functions of Python's math take numbers, those of tinytorch tensors"))

    def __int__(self) -> int:
        return int(self._only("int()"))

    def __index__(self) -> int:
        self._concrete("use as an index")
        if self.dtype.kind not in ("int", "uint"):
            raise TypeError(f"only integer tensors are indices, got {self.type}")
        return int(self._only("use as an index"))

    def __bool__(self) -> bool:
        hint = "; x.any() says whether one is true, x.all() whether all are"
        return bool(self._only("a Python condition (if, while, and, or, not)", hint))

    def __iter__(self) -> Iterator[Self]:
        return (self[i] for i in range(len(self)))

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    # Dtypes and places.
    @property
    def device(self) -> _Device:
        """Always the CPU."""
        return _Device()

    def to(
        self,
        *where: Any,
        device: object = None,
        dtype: object = None,
        non_blocking: object = False,
        copy: object = False,
    ) -> Self:
        """A tensor of another dtype, also that of a tensor; the only device is "cpu". `copy` makes a copy in any case;
        `non_blocking` has no effect."""
        require_cpu(device)
        for item in where:
            if isinstance(item, _Device) or (isinstance(item, str) and item.split(":")[0] in _DEVICES):
                require_cpu(item)
            elif not isinstance(item, (int, type(None))):  # bools are `non_blocking` and `copy`
                dtype = item.dtype if isinstance(item, Conversions) else item
        out = self if dtype is None else self.cast(dtype)
        return out._apply(_copy) if copy and out is self else out

    @property
    def is_cpu(self) -> bool:
        return True

    @property
    def is_cuda(self) -> bool:
        return False

    @property
    def is_meta(self) -> bool:
        """False: tensors have values."""
        return False

    @property
    def is_sparse(self) -> bool:
        """False: the elements lie in memory one by one."""
        return False

    @property
    def is_quantized(self) -> bool:
        return False

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.dtype.size

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.dtype.size * self.numel()

    def cpu(self) -> Self:
        return self

    def to_device(self, device: object, /, *, stream: object = None) -> Self:
        """The tensor itself, where `device` is the CPU; the Array API's `to`."""
        return self.to(device=device)

    def cuda(self, device: object = None) -> Self:
        """Refused: TinyTorch runs on the CPU only."""
        require_cpu("cuda")
        return self

    def float(self) -> Self:
        return self.cast(f32)

    def double(self) -> Self:
        return self.cast(f64)

    def half(self) -> Self:
        return self.cast(f16)

    def bfloat16(self) -> Self:
        return self.cast(bf16)

    def long(self) -> Self:
        return self.cast(i64)

    def int(self) -> Self:
        return self.cast(i32)

    def short(self) -> Self:
        """Refused: there are no integers of 16 bits."""
        raise TinyTorchError("short: there are no integers of 16 bits; use int(), long() or char()", user_loc())

    def char(self) -> Self:
        return self.cast(i8)

    def byte(self) -> Self:
        return self.cast(u8)

    def bool(self) -> Self:
        return self.cast(bool_)

    def astype(self, dtype: object) -> Self:
        return self.cast(dtype)

    # Memory.
    def is_contiguous(self) -> bool:
        """Whether the elements lie in row-major order: those of results do, but for images that a convolution, pooling
        or batch norm has made, whose channels are last in memory."""
        return layout_of(self).flags.c_contiguous

    def storage_offset(self) -> int:
        """How many elements of the memory that the tensor shares lie before its own."""
        return offset_of(self)

    def data_ptr(self) -> int:
        """The address of the first element. It is the same for tensors that share their first element, and stays while
        the tensor lies in this memory. TraceError in a compiled function."""
        return self._shown("data_ptr()").ctypes.data

    def stride(self, dim: int | None = None) -> Any:
        """How many elements lie in memory from one to the next along each axis, or along `dim`."""
        array = layout_of(self)
        if array.size:
            strides = tuple(s // array.itemsize for s in array.strides)
        else:
            strides = contiguous_strides(tuple(max(d, 1) for d in self.shape))
        return strides if dim is None else strides[normalize_axis("stride", dim, self.ndim)]


def as_array(data: Any, dtype: object = None, copy: bool = False) -> Array:
    """`data` as a numpy array of a supported dtype; copied if asked or needed."""
    if isinstance(data, Conversions):
        data = data.numpy()
    target = None if dtype is None else dtype_of(dtype).numpy
    if isinstance(data, np.ndarray) or hasattr(data, "__array__"):
        array = np.array(data, copy=True if copy else None)
        return _converted(array, dtype_of(array.dtype).numpy if target is None else target)
    try:
        array = np.array(_plain(data))
    except (ValueError, TypeError) as error:
        raise ShapeError(f"Tensor: no array can be made of {type(data).__name__}: {error}", user_loc()) from None
    if target is None:
        kinds = {"f": f32.numpy, "i": i64.numpy, "u": i64.numpy, "b": bool_.numpy}
        target = i64.numpy if _are_large(array) else kinds.get(array.dtype.kind) or dtype_of(array.dtype).numpy
    _check_integers(array, dtype_of(target))
    return _converted(array, target)


def _are_large(array: Array) -> bool:
    """Whether these are integers of more than 64 bits, which numpy keeps as objects."""
    return array.dtype == object and all(isinstance(item, int) for item in array.flat)


def _check_integers(array: Array, dtype: DType) -> None:
    """ShapeError unless an integer dtype holds all integers of `array`; one without a sign takes negative ones, too,
    which wrap."""
    is_whole = array.dtype.kind in "iu" or _are_large(array)
    if not is_whole or dtype.kind not in ("int", "uint") or array.dtype == dtype.numpy or not array.size:
        return
    low, high = dtype.limits
    for end in (array.min(), array.max()):
        if not (-high if dtype.kind == "uint" else low) <= end <= high:
            raise ShapeError(f"{end} does not fit dtype {dtype}", user_loc())


def _converted(array: Array, target: Any) -> Array:
    """`array` in a numpy dtype; floats as `to` makes integers of them."""
    if array.dtype == target:
        return array
    with np.errstate(all="ignore"):
        if array.dtype.kind in "fV" and target.kind in "iu":
            return cast_array(array, dtype_of(target))
        return array_as(array, target)


def _plain(data: Any) -> Any:
    """Nested lists with tensors in them as nested lists of arrays."""
    if isinstance(data, (list, tuple)):
        return [_plain(item) for item in data]
    return data.numpy() if isinstance(data, Conversions) else data


def has_values(tensor: Conversions) -> bool:
    """Whether the values of a tensor are there; those of a trace are not."""
    return not tensor._is_traced()

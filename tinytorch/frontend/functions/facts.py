"""What a tensor is, and new tensors that are like one."""

from __future__ import annotations

from typing import Any

from tinytorch.frontend.functions import creation
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.devices import require_cpu
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc


@spelled(method=False)
def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a Tensor."""
    return isinstance(obj, Tensor)


@spelled()
def is_floating_point(input: Tensor) -> bool:
    """Whether the elements are floats."""
    return input.dtype.is_float


@spelled()
def is_complex(input: Tensor) -> bool:
    """False: there are no complex numbers here."""
    return False


@spelled()
def is_conj(input: Tensor) -> bool:
    """False: there are no complex numbers here."""
    return False


@spelled()
def is_signed(input: Tensor) -> bool:
    """Whether the elements may be negative."""
    return input.dtype.kind in ("float", "int")


@spelled()
def is_nonzero(input: Tensor) -> bool:
    """Whether the only element is not 0; needs its value, so not under tt.compile."""
    if input.numel() != 1:
        raise ShapeError(f"is_nonzero: needs one element, got {input.type}", user_loc())
    return bool(input != 0)


@spelled()
def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape."""
    return input.shape == other.shape


@spelled("nelement")
def numel(input: Tensor) -> int:
    """The number of elements."""
    return input.numel()


@spelled()
def ndimension(input: Tensor) -> int:
    """The number of axes."""
    return input.ndim


@spelled()
def element_size(input: Tensor) -> int:
    """Bytes of one element."""
    return input.dtype.size


@spelled()
def get_device(input: Tensor) -> int:
    """-1, which stands for the CPU."""
    return -1


@spelled()
def type_as(input: Tensor, other: Tensor) -> Tensor:
    """Converted to the dtype of `other`."""
    return input.cast(other.dtype)


# New tensors, of this one's dtype unless another is given.
@spelled()
def new_empty(input: Tensor, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of shape `size`: memory without a value would make results depend on what was there before."""
    return new_full(input, _shape(size), 0, dtype=dtype, device=device, requires_grad=requires_grad)


@spelled()
def new_zeros(input: Tensor, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of shape `size`."""
    return new_full(input, _shape(size), 0, dtype=dtype, device=device, requires_grad=requires_grad)


@spelled()
def new_ones(input: Tensor, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of shape `size`."""
    return new_full(input, _shape(size), 1, dtype=dtype, device=device, requires_grad=requires_grad)


@spelled()
def new_full(
    input: Tensor, size: Any, fill_value: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`fill_value` in shape `size`."""
    require_cpu(device)
    return creation.full(_shape((size,)), fill_value, dtype or input.dtype, requires_grad)


@spelled()
def new_tensor(input: Tensor, data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor with a copy of `data`."""
    require_cpu(device)
    return creation.tensor(data, dtype or input.dtype, requires_grad)


@spelled()
def new(input: Tensor, *given: Any, device: Any = None) -> Tensor:
    """Of sizes (or a tuple of them, as shapes are), zeros of that shape; of data, a tensor with a copy. PyTorch's older
    name of `new_empty` and `new_tensor`."""
    if len(given) == 1 and not isinstance(given[0], (int, tuple)):
        return new_tensor(input, given[0], device=device)
    return new_empty(input, *given, device=device)


def _shape(size: tuple[Any, ...]) -> tuple[Any, ...]:
    """`f(2, 3)` and `f((2, 3))` mean the same."""
    return tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size

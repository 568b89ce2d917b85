"""Views of tensors, which share memory with what they are views of, and copies."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, TypeVar

import numpy as np

from tinytorch.frontend.tensor.devices import require_plain_format
from tinytorch.frontend.tensor.indexing import Indexing
from tinytorch.frontend.tensor.storage import counter_of, layout_of
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import DType

T = TypeVar("T", bound="Views")


def own(out: T, given: T) -> T:
    """`out`, or a copy where it lies in the memory of `given`: what a function returns whose result can be changed in
    place and leaves its argument as it is, also where it has nothing to do."""
    return out.clone() if counter_of(out) is counter_of(given) else out


class Views(Indexing):
    """Other shapes of the same elements."""

    __slots__ = ()

    def contiguous(self, memory_format: object = None) -> Self:
        """The elements in row-major order: the tensor itself if they are."""
        require_plain_format("contiguous", memory_format)
        return self if self.is_contiguous() else self.clone()

    def clone(self, *, memory_format: object = None) -> Self:
        """A copy in memory of its own, through which gradients flow."""
        require_plain_format("clone", memory_format)
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
        """`reshape` in the same memory; ShapeError where no strides express that, as of a transposed matrix. Of images
        that a convolution, pooling or batch norm has made, whose channels are last in memory, it may be a copy."""
        if shape and isinstance(shape[0], DType):
            if shape != (self.dtype,):
                raise TinyTorchError(f"view: bits are not read as another dtype; to({shape[0]}) converts", user_loc())
            return self._again()
        out = self.reshape(*shape)
        try:
            np.reshape(layout_of(self), out.shape, copy=False)
        except ValueError:
            if counter_of(self).permuted:
                return out
            raise ShapeError(
                f"view: the elements of {self.type} do not lie in memory as {list(out.shape)} needs them; use "
                "reshape(), which copies",
                user_loc(),
            ) from None
        return out

    def flip(self, *axes: Any, dims: Sequence[int] | int | None = None) -> Self:
        """A copy with the order along `dims` reversed; `x[::-1]` is a view."""
        return super().flip(*axes, dims=dims).clone()

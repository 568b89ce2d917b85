"""Functions of tensors, as they are called in fft.

Made from the table of names by `pytest tests/frontend/test_names.py --bless`.
"""

from typing import Any

from tinytorch.frontend.tensor.tensor import Tensor

__all__: list[str] = ["fftshift", "hfft", "hfft2", "hfftn", "ifftshift", "irfft", "irfft2", "irfftn"]

def fftshift(input: Tensor, dim: Any = None, *, axis: Any = None) -> Tensor:
    """The halves of each axis of `dim` (all by default) exchanged: what belongs to frequency 0 stands
    in the middle."""

def hfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *, axis: int = -1) -> Tensor:
    """The Fourier transform, which is real, of `n` numbers whose second half mirrors the first n // 2 +
    1, here real ones."""

def hfft2(input: Tensor, s: Any = None, dim: Any = ..., norm: str | None = None, *, axis: Any = ...) -> Tensor:
    """`hfftn` over two axes."""

def hfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None, *, axis: Any = None) -> Tensor:
    """The Fourier transform over the axes `dim` (all by default) of what is mirrored along the last
    one, of which the first half is given."""

def ifftshift(input: Tensor, dim: Any = None, *, axis: Any = None) -> Tensor:
    """The inverse of `fftshift`."""

def irfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *, axis: int = -1) -> Tensor:
    """The inverse of the Fourier transform of `n` real numbers, from its first n // 2 + 1 elements,
    here real ones."""

def irfft2(input: Tensor, s: Any = None, dim: Any = ..., norm: str | None = None, *, axis: Any = ...) -> Tensor:
    """`irfftn` over two axes."""

def irfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None, *, axis: Any = None) -> Tensor:
    """The inverse of the Fourier transform of real numbers over the axes `dim` (all by default), from
    the first half of the last one, here real numbers."""

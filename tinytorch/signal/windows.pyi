"""Functions of tensors, as they are called in signal.windows.

Made from the table of names by `pytest tests/frontend/test_names.py --bless`.
"""

from typing import Any

from tinytorch.frontend.tensor.tensor import Tensor

__all__: list[str] = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]

def bartlett(
    M: int, *, sym: bool = True, dtype: object = None, device: object = None, requires_grad: bool = False
) -> Tensor:
    """A triangle: 1 - |2 n / N - 1|."""

def blackman(
    M: int, *, sym: bool = True, dtype: object = None, device: object = None, requires_grad: bool = False
) -> Tensor:
    """0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N)."""

def cosine(
    M: int, *, sym: bool = True, dtype: object = None, device: object = None, requires_grad: bool = False
) -> Tensor:
    """Half a period of a sine: sin(pi (n + 1/2) / (N + 1))."""

def exponential(
    M: int,
    *,
    center: float | None = None,
    tau: float = 1.0,
    sym: bool = True,
    dtype: object = None,
    device: object = None,
    requires_grad: bool = False,
) -> Tensor:
    """exp(-|n - center| / tau); the `center`, N / 2 by default, may be given for periodic windows
    alone."""

def gaussian(
    M: int,
    *,
    std: float = 1.0,
    sym: bool = True,
    dtype: object = None,
    device: object = None,
    requires_grad: bool = False,
) -> Tensor:
    """exp(-((n - N / 2) / std)^2 / 2)."""

def general_cosine(
    M: int, *, a: Any, sym: bool = True, dtype: object = None, device: object = None, requires_grad: bool = False
) -> Tensor:
    """The sum of cosines of 0, 1, … periods with the weights `a`, of alternating signs."""

def general_hamming(
    M: int,
    *,
    alpha: float = 0.54,
    sym: bool = True,
    dtype: object = None,
    device: object = None,
    requires_grad: bool = False,
) -> Tensor:
    """alpha - (1 - alpha) cos(2 pi n / N)."""

def hamming(
    M: int, *, sym: bool = True, dtype: object = None, device: object = None, requires_grad: bool = False
) -> Tensor:
    """0.54 - 0.46 cos(2 pi n / N)."""

def hann(
    M: int, *, sym: bool = True, dtype: object = None, device: object = None, requires_grad: bool = False
) -> Tensor:
    """(1 - cos(2 pi n / N)) / 2."""

def kaiser(
    M: int,
    *,
    beta: float = 12.0,
    sym: bool = True,
    dtype: object = None,
    device: object = None,
    requires_grad: bool = False,
) -> Tensor:
    """i0(beta sqrt(1 - (2 n / N - 1)^2)) / i0(beta), with the modified Bessel function i0."""

def nuttall(
    M: int, *, sym: bool = True, dtype: object = None, device: object = None, requires_grad: bool = False
) -> Tensor:
    """The sum of four cosines whose side lobes are lowest (Nuttall 1981, minimum 4-term)."""

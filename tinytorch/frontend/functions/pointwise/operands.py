"""Operands of functions of two tensors, one of which may be a number."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.frontend.arguments import wrong_type
from tinytorch.frontend.functions.creation import as_tensor
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.operators.promotion import NUMBERS


def pair(what: str, input: Any, other: Any, *, numbers: str = "second") -> tuple[Tensor, Any]:
    """Both operands, the first as a tensor. `numbers` says where a number may stand: "second", "either" (but not both)
    or "no". ArgumentTypeError if one stands elsewhere, or something is no operand at all."""
    if isinstance(input, NUMBERS) and (numbers != "either" or isinstance(other, NUMBERS)):
        raise wrong_type(what, "one of the operands" if numbers == "either" else "input", "a tensor", input)
    if not isinstance(other, (Tensor, np.ndarray, list, tuple, *NUMBERS)):
        raise wrong_type(what, "other", "a tensor" if numbers == "no" else "a tensor or a number", other)
    if not isinstance(input, (Tensor, np.ndarray, list, tuple, *NUMBERS)):
        raise wrong_type(what, "input", "a tensor", input)
    if numbers == "no" and isinstance(other, NUMBERS):
        raise wrong_type(what, "other", "a tensor", other)
    return as_tensor(input), other


def tensor(what: str, name: str, value: Any) -> Tensor:
    """`value` as a tensor; ArgumentTypeError if it is a number or nothing like a tensor."""
    if not isinstance(value, (Tensor, np.ndarray, list, tuple)):
        raise wrong_type(what, name, "a tensor", value)
    return as_tensor(value)
